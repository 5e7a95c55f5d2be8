#include "proxy/daemons/expirer.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/metrics.h"
#include "lib/base/recon.h"
#include "lib/co/co.h"
#include "lib/swift/number.h"
#include "lib/swift/url.h"
#include "proxy/daemons/crew.h"
#include "proxy/expirer_queue.h"
#include "proxy/internal_client.h"

enum {
	PAGE_ROWS = 1000,        /* of a listing: what is in memory at once */
	RATE_SLEEP_MAX_MS = 250, /* between two looks at whether to stop */
	/* until a task container is surely never written to again */
	TASK_CONTAINER_SECONDS = EXPIRER_DIVISOR_SECONDS + EXPIRER_CONTAINERS_PER_DIVISOR,
};

/* [expirer] delay_reaping: objects of an account or container are removed that much later. */
struct delay {
	struct slice account;
	struct slice container; /* .data == NULL: all that have no delay of their own */
	uint64_t raw;
};

struct expirer {
	struct expirer_options options;
	struct internal_client client;
	struct arena *arena; /* of the delays */
	struct delay *delays;
	size_t delay_count;
	bool stopping;
	struct co_signal wake;
	double next_task_ms;  /* when the rate allows the next one, in loop_now_ms() terms */
	struct timestamp now; /* of the pass */
	struct expirer_counts counts;
};

/* ---- options ---- */

static int parse_delay(struct expirer *expirer, const char *item, struct delay *ret_delay)
{
	const char *equals = strrchr(item, '=');
	double seconds;
	struct slice parts[2];
	if (!equals || number_parse_decimal(slice_from(equals + 1), &seconds) || seconds < 0 || seconds > 1e9)
		return -EINVAL;
	struct slice name = number_trim(slice_of(item, (size_t)(equals - item)));
	const char *path = arena_printf(expirer->arena, "/%.*s", SLICE_PRINT(name));
	if (path_split(expirer->arena, slice_from(path), 1, 2, false, parts) ||
		slice_ends_with(name, SLICE_LITERAL("/")))
		return -EINVAL;
	*ret_delay = (struct delay){parts[0], parts[1], (uint64_t)(seconds * (double)TIMESTAMP_RAW_PER_SECOND)};
	return 0;
}

static int parse_delays(struct expirer *expirer, char **ret_error)
{
	const struct text_list *list = expirer->options.delay_reaping;
	size_t count = list ? list->count : 0;
	expirer->delays = arena_zalloc(expirer->arena, (count + 1) * sizeof(*expirer->delays));
	for (; expirer->delay_count < count; expirer->delay_count++) {
		const char *item = list->items[expirer->delay_count];
		if (parse_delay(expirer, item, &expirer->delays[expirer->delay_count]) == 0)
			continue;
		*ret_error = xasprintf(
			"[expirer] delay_reaping: \"%s\" is not like account=seconds or account/container=seconds",
			item);
		return -EINVAL;
	}
	return 0;
}

int expirer_new(const struct expirer_options *options, struct expirer **ret_expirer, char **ret_error)
{
	struct expirer *expirer = xcalloc(1, sizeof(*expirer));
	expirer->options = *options;
	expirer->arena = arena_new();
	internal_client_init(&expirer->client, options->proxy, "EXP");
	int error = parse_delays(expirer, ret_error);
	if (error)
		expirer_free(expirer);
	else
		*ret_expirer = expirer;
	return error;
}

void expirer_free(struct expirer *expirer)
{
	if (!expirer)
		return;
	arena_free(expirer->arena);
	free(expirer);
}

static uint64_t delay_of(const struct expirer *expirer, const struct expirer_task *task)
{
	uint64_t raw = 0;
	for (size_t i = 0; i < expirer->delay_count; i++) {
		const struct delay *delay = &expirer->delays[i];
		if (!slice_equal(delay->account, task->account))
			continue;
		if (!delay->container.data)
			raw = delay->raw;
		else if (slice_equal(delay->container, task->container))
			return delay->raw;
	}
	return raw;
}

/* ---- whose work it is ---- */

/* Which of the primaries of a task container are servers of this process. */
struct places {
	bool ours[RING_REPLICAS_MAX];
	size_t count;
	bool any;
};

static void find_places(const struct expirer *expirer, struct slice container, struct places *ret_places)
{
	struct nodes nodes;
	memset(ret_places, 0, sizeof(*ret_places));
	if (nodes_init(&nodes, expirer->options.proxy, BACKEND_CONTAINER, 0, SLICE_LITERAL(EXPIRER_QUEUE_ACCOUNT),
		    container, SLICE_NONE, false))
		return;
	ret_places->count = nodes.primary_count;
	for (size_t i = 0; i < nodes.primary_count; i++) {
		const struct ring_device *device = nodes.primaries[i];
		ret_places->ours[i] = backend_is_local(BACKEND_CONTAINER, device->ip, device->port);
		ret_places->any |= ret_places->ours[i];
	}
	nodes_release(&nodes);
}

/* How long after its time this process does a task of the hash: 0 for the first in line. */
static uint64_t takeover_raw(const struct expirer *expirer, const struct places *places, uint64_t hash)
{
	size_t rank = 0;
	while (rank < places->count && !places->ours[(hash + rank) % places->count])
		rank++;
	return rank * expirer->options.takeover_ms * (TIMESTAMP_RAW_PER_SECOND / 1000);
}

static bool is_past(const struct expirer *expirer, uint64_t raw, uint64_t later)
{
	return expirer->now.raw >= later && raw <= expirer->now.raw - later;
}

/* ---- one task ---- */

enum outcome { OUTCOME_DELETED, OUTCOME_DROPPED, OUTCOME_KEPT, OUTCOME_FAILED, OUTCOME_COUNT };

struct job {
	struct slice name; /* of the row */
	struct expirer_task task;
	bool is_async;
};

/* The tasks of one page that are to be done now. */
struct page {
	struct expirer *expirer;
	struct slice container;
	struct arena *arena;
	struct job *jobs;
	size_t count;
};

static int co_delete_object(struct expirer *expirer, struct request *base, const struct job *job)
{
	struct inner_request inner = {
		.method = METHOD_DELETE,
		.account = job->task.account,
		.container = job->task.container,
		.object = job->task.object,
	};
	struct request *request = inner_request_new(base->arena, base, &inner);
	proxy_context_of(request)->timestamp = job->task.due;
	char due[TIMESTAMP_TEXT_BYTES];
	(void)timestamp_normal(job->task.due, due);
	if (!job->is_async) {
		headers_set_format(&request->headers, "X-If-Delete-At", "%s", due);
		headers_set(&request->headers, "X-Backend-Clean-Expiring-Object-Queue", "no");
	}
	return co_internal_client_status(&expirer->client, request);
}

static enum outcome judge(const struct expirer *expirer, const struct job *job, int status)
{
	if (status / 100 == 2 || status == 409 || (status == 404 && job->is_async))
		return OUTCOME_DELETED;
	if (status != 404 && status != 412)
		return OUTCOME_FAILED;
	uint64_t reclaim = expirer->options.reclaim_age_ms * (TIMESTAMP_RAW_PER_SECOND / 1000);
	return is_past(expirer, job->task.due.raw, reclaim) ? OUTCOME_DROPPED : OUTCOME_KEPT;
}

/* Removes the row from the container's servers alone: there is no object to it. */
static bool co_pop(struct expirer *expirer, struct request *base, struct slice container, struct slice name)
{
	struct slice account = SLICE_LITERAL(EXPIRER_QUEUE_ACCOUNT);
	struct nodes nodes;
	if (nodes_init(&nodes, expirer->options.proxy, BACKEND_CONTAINER, 0, account, container, SLICE_NONE, false))
		return false;
	struct headers headers;
	headers_init(&headers, base->arena);
	backend_headers(base, &headers, true);
	headers_set(&headers, "X-Backend-Storage-Policy-Index", "0");
	struct fan_out plan = {
		.nodes = &nodes,
		.method = METHOD_DELETE,
		.account = account,
		.container = container,
		.object = name,
		.headers = &headers,
	};
	struct reply reply;
	reply_init(&reply, base->arena);
	co_fan_out(base, &plan, &reply);
	nodes_release(&nodes);
	return reply.status / 100 == 2 || reply.status == 404;
}

static void count_outcome(struct expirer *expirer, enum outcome outcome)
{
	uint64_t *counts[OUTCOME_COUNT] = {
		[OUTCOME_DELETED] = &expirer->counts.deleted,
		[OUTCOME_DROPPED] = &expirer->counts.dropped,
		[OUTCOME_KEPT] = &expirer->counts.kept,
		[OUTCOME_FAILED] = &expirer->counts.failed,
	};
	++*counts[outcome];
	metric_add(METRIC_EXPIRER_TASKS, 1, outcome);
}

/* Sleeps until the rate allows one more. */
static void co_wait_turn(struct expirer *expirer)
{
	double now = (double)loop_now_ms();
	if (expirer->options.tasks_per_second <= 0)
		return;
	double turn = expirer->next_task_ms > now ? expirer->next_task_ms : now;
	expirer->next_task_ms = turn + 1000 / expirer->options.tasks_per_second;
	while (!expirer->stopping && (now = (double)loop_now_ms()) < turn)
		co_sleep_ms(turn - now < RATE_SLEEP_MAX_MS ? (uint64_t)(turn - now) + 1 : RATE_SLEEP_MAX_MS);
}

static void co_do_job(void *argument, size_t index)
{
	struct page *page = argument;
	struct expirer *expirer = page->expirer;
	const struct job *job = &page->jobs[index];
	co_wait_turn(expirer);
	if (expirer->stopping)
		return;
	struct arena *arena = arena_new();
	struct request *base = internal_client_begin(&expirer->client, arena);
	int status = co_delete_object(expirer, base, job);
	enum outcome outcome = judge(expirer, job, status);
	if (outcome <= OUTCOME_DROPPED && !co_pop(expirer, base, page->container, job->name))
		outcome = OUTCOME_FAILED;
	if (outcome == OUTCOME_FAILED)
		log_warning("%.*s could not be expired (answer %d); trying again in the next pass",
			SLICE_PRINT(job->name), status);
	count_outcome(expirer, outcome);
	arena_free(arena);
	co_set_transaction("");
}

/* ---- one task container ---- */

static struct slice json_text(const json_t *row, const char *key)
{
	const json_t *value = json_object_get(row, key);
	return json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value)) : SLICE_NONE;
}

/* False: neither this one nor those behind it have their time yet. */
static bool take_row(struct page *page, const struct places *places, const json_t *row)
{
	struct expirer *expirer = page->expirer;
	struct job job = {.name = json_text(row, "name")};
	if (expirer_task_parse(job.name, &job.task)) {
		log_warning("the expirer's queue has a row that is no task: %.*s/%.*s", SLICE_PRINT(page->container),
			SLICE_PRINT(job.name));
		return true;
	}
	if (!is_past(expirer, job.task.due.raw, 0))
		return false;
	job.is_async = slice_equal(json_text(row, "content_type"), SLICE_LITERAL(EXPIRER_ASYNC_DELETE_TYPE));
	uint64_t hash = XXH3_64bits(job.name.data, job.name.length);
	uint64_t later = takeover_raw(expirer, places, hash) + (job.is_async ? 0 : delay_of(expirer, &job.task));
	if (is_past(expirer, job.task.due.raw, later))
		page->jobs[page->count++] = job;
	return true;
}

/*
 * A page of a listing of the queue's account, or of a container of it. NULL when it cannot be had, which is logged; 404
 * is nothing to talk about.
 */
static json_t *co_list(struct expirer *expirer, struct arena *arena, struct slice container, struct slice marker)
{
	const struct constraints *constraints = &expirer->options.proxy->options.constraints;
	int64_t limit_max = container.data ? constraints->container_listing_limit : constraints->account_listing_limit;
	struct inner_listing listing = {
		.account = SLICE_LITERAL(EXPIRER_QUEUE_ACCOUNT),
		.container = container,
		.marker = marker,
		.limit = limit_max < PAGE_ROWS ? (size_t)limit_max : PAGE_ROWS,
	};
	struct request *base = internal_client_begin(&expirer->client, arena);
	struct reply reply;
	json_t *rows = co_inner_listing(&expirer->client.filter, base, arena, &listing, &reply);
	if (!rows && reply.status != 404)
		log_warning(
			"the expirer's queue %.*s cannot be listed: answer %d", SLICE_PRINT(container), reply.status);
	co_set_transaction("");
	return rows;
}

/* Moves the marker to the last row. False when that is no way forward, as with a server that knows of no markers. */
static bool move_marker(const json_t *rows, struct arena *markers, struct slice *marker)
{
	struct slice last = json_text(json_array_get(rows, json_array_size(rows) - 1), "name");
	if (slice_compare(last, *marker) <= 0)
		return false;
	*marker = arena_slice(markers, last);
	return true;
}

/* Nothing will ever be written to it again, or what is makes it anew. */
static void co_delete_container(struct expirer *expirer, struct slice container)
{
	struct arena *arena = arena_new();
	struct inner_request inner = {
		.method = METHOD_DELETE,
		.account = SLICE_LITERAL(EXPIRER_QUEUE_ACCOUNT),
		.container = container,
	};
	struct request *base = internal_client_begin(&expirer->client, arena);
	int status = co_internal_client_status(&expirer->client, inner_request_new(arena, base, &inner));
	if (status / 100 != 2 && status != 404 && status != 409)
		log_warning("the empty task container %.*s could not be deleted: answer %d", SLICE_PRINT(container),
			status);
	arena_free(arena);
	co_set_transaction("");
}

/* One page of it; the marker moves on. False at the end. */
static bool co_work_page(struct expirer *expirer, struct slice container, const struct places *places,
	struct arena *markers, struct slice *marker)
{
	struct page page = {.expirer = expirer, .container = container, .arena = arena_new()};
	json_t *rows = co_list(expirer, page.arena, container, *marker);
	size_t size = json_array_size(rows);
	bool more = size > 0;
	page.jobs = arena_alloc(page.arena, (size + 1) * sizeof(*page.jobs));
	for (size_t i = 0; i < size && more; i++)
		more = take_row(&page, places, json_array_get(rows, i));
	co_crew_run(page.count, expirer->options.concurrency, co_do_job, &page, &expirer->stopping);
	more = more && move_marker(rows, markers, marker);
	json_decref(rows);
	arena_free(page.arena);
	return more && !expirer->stopping;
}

static bool co_is_empty(struct expirer *expirer, struct slice container)
{
	struct arena *arena = arena_new();
	json_t *rows = co_list(expirer, arena, container, SLICE_NONE);
	bool empty = rows && json_array_size(rows) == 0;
	json_decref(rows);
	arena_free(arena);
	return empty;
}

static void co_work_container(struct expirer *expirer, struct slice container, uint64_t seconds)
{
	struct places places;
	find_places(expirer, container, &places);
	if (!places.any)
		return;
	struct arena *markers = arena_new();
	struct slice marker = SLICE_NONE;
	while (co_work_page(expirer, container, &places, markers, &marker))
		continue;
	arena_free(markers);
	uint64_t later = TASK_CONTAINER_SECONDS * TIMESTAMP_RAW_PER_SECOND + takeover_raw(expirer, &places, 0);
	if (!expirer->stopping && is_past(expirer, seconds * TIMESTAMP_RAW_PER_SECOND, later) &&
		co_is_empty(expirer, container))
		co_delete_container(expirer, container);
}

/* ---- passes ---- */

/* One page of the task containers, in the order of their times. False at the end of those whose time has come. */
static bool co_work_containers(struct expirer *expirer, struct arena *markers, struct slice *marker)
{
	struct arena *arena = arena_new();
	json_t *rows = co_list(expirer, arena, SLICE_NONE, *marker);
	size_t size = json_array_size(rows);
	bool more = size > 0;
	for (size_t i = 0; i < size && more && !expirer->stopping; i++) {
		struct slice name = json_text(json_array_get(rows, i), "name");
		int64_t seconds;
		if (number_parse_integer(name, &seconds) || seconds < 0)
			continue;
		more = (uint64_t)seconds <= expirer->now.raw / TIMESTAMP_RAW_PER_SECOND;
		if (more)
			co_work_container(expirer, name, (uint64_t)seconds);
	}
	more = more && move_marker(rows, markers, marker);
	json_decref(rows);
	arena_free(arena);
	return more && !expirer->stopping;
}

void co_expirer_pass(struct expirer *expirer, struct timestamp now, struct expirer_counts *ret_counts)
{
	struct arena *markers = arena_new();
	struct slice marker = SLICE_NONE;
	expirer->now = now;
	expirer->counts = (struct expirer_counts){0};
	while (co_work_containers(expirer, markers, &marker))
		continue;
	arena_free(markers);
	*ret_counts = expirer->counts;
}

static void co_sleep(struct expirer *expirer, uint64_t duration_ms)
{
	uint64_t deadline_ms = deadline_after_ms(duration_ms);
	while (!expirer->stopping && co_signal_wait(&expirer->wake, deadline_ms) == 0)
		continue;
}

static void report(const struct expirer_counts *counts, uint64_t elapsed_ms)
{
	double seconds = (double)elapsed_ms / 1000;
	recon_put_number("object", "object_expiration_pass", seconds);
	recon_put_number("object", "expired_last_pass", (double)(counts->deleted + counts->dropped));
	if (counts->deleted || counts->dropped || counts->failed)
		log_info("expirer: a pass of %.1f s; %llu objects expired, %llu given up, %llu to be asked again, %llu "
			 "failed",
			seconds, (unsigned long long)counts->deleted, (unsigned long long)counts->dropped,
			(unsigned long long)counts->kept, (unsigned long long)counts->failed);
}

void co_expirer_run(void *argument)
{
	struct expirer *expirer = argument;
	uint64_t interval_ms = expirer->options.interval_ms;
	co_sleep(expirer, proxy_random() % (interval_ms + 1));
	while (!expirer->stopping) {
		struct expirer_counts counts;
		uint64_t start_ms = loop_now_ms();
		co_expirer_pass(expirer, timestamp_now(), &counts);
		uint64_t elapsed_ms = loop_now_ms() - start_ms;
		report(&counts, elapsed_ms);
		co_sleep(expirer, elapsed_ms < interval_ms ? interval_ms - elapsed_ms : 0);
	}
}

void expirer_stop(struct expirer *expirer)
{
	expirer->stopping = true;
	co_signal_raise(&expirer->wake);
}
