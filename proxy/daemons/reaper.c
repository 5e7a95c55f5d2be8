#include "proxy/daemons/reaper.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/metrics.h"
#include "lib/co/co.h"
#include "lib/store/listing.h"
#include "lib/swift/bounded_json.h"
#include "lib/swift/quorum.h"
#include "lib/swift/url.h"
#include "proxy/daemons/crew.h"
#include "proxy/internal_client.h"
#include "proxy/object.h"

enum {
	ACCOUNTS_AT_ONCE = 32, /* deleted ones that are found by one look at a device */
	PAGE_ROWS = 1000,      /* of a listing: what is in memory at once */
	LISTING_BYTES_MAX = 16 << 20,
};

enum reaped { REAPED_OBJECT, REAPED_CONTAINER, REAPED_OBJECT_FAILED, REAPED_CONTAINER_FAILED };

struct reaper {
	struct reaper_options options;
	struct internal_client client;
	size_t workers; /* on containers, and on the objects of each */
	bool stopping;
	struct co_signal wake;
	struct timestamp now; /* of the pass */
	struct reaper_counts counts;
};

struct reaper *reaper_new(const struct reaper_options *options)
{
	struct reaper *reaper = xcalloc(1, sizeof(*reaper));
	reaper->options = *options;
	reaper->workers = (size_t)sqrt((double)options->concurrency);
	if (!reaper->workers)
		reaper->workers = 1;
	internal_client_init(&reaper->client, options->proxy, "REAPER");
	return reaper;
}

void reaper_free(struct reaper *reaper)
{
	free(reaper);
}

static void count_reaped(struct reaper *reaper, enum reaped reaped)
{
	uint64_t *counts[] = {
		[REAPED_OBJECT] = &reaper->counts.objects,
		[REAPED_CONTAINER] = &reaper->counts.containers,
		[REAPED_OBJECT_FAILED] = &reaper->counts.objects_failed,
		[REAPED_CONTAINER_FAILED] = &reaper->counts.containers_failed,
	};
	++*counts[reaped];
	metric_add(METRIC_REAPER, 1, reaped);
}

static bool is_past(const struct reaper *reaper, struct timestamp time, uint64_t later_ms)
{
	uint64_t later = later_ms * (TIMESTAMP_RAW_PER_SECOND / 1000);
	return reaper->now.raw >= later && time.raw <= reaper->now.raw - later;
}

/* ---- objects ---- */

/* A page of a container on its way to nothing. */
struct object_page {
	struct reaper *reaper;
	struct slice account;
	struct slice container;
	int policy_index;
	json_t *rows;
};

static struct slice row_name(const json_t *rows, size_t index)
{
	const json_t *name = json_object_get(json_array_get(rows, index), "name");
	return json_is_string(name) ? slice_of(json_string_value(name), json_string_length(name)) : SLICE_NONE;
}

/* The account is gone for the application, so this goes to the servers itself. */
static int co_delete_object(const struct object_page *page, struct request *base, struct slice object)
{
	struct proxy *proxy = page->reaper->options.proxy;
	struct proxy_context *context = proxy_context_of(base);
	static const struct quorum_override missing_is_gone = {404, 204};
	const struct info container = {.policy_index = page->policy_index};
	struct object_updates updates;
	struct nodes nodes;
	context->account = page->account;
	context->container = page->container;
	context->object = object;
	if (nodes_init(
		    &nodes, proxy, BACKEND_OBJECT, page->policy_index, page->account, page->container, object, false))
		return 503;
	struct reply reply;
	reply_init(&reply, base->arena);
	reply.status = 503;
	if (object_updates_init(&updates, proxy, base, &container, -1) == 0) {
		struct headers headers;
		headers_init(&headers, base->arena);
		backend_headers(base, &headers, true);
		headers_set_format(&headers, "X-Backend-Storage-Policy-Index", "%d", page->policy_index);
		struct fan_out plan = {
			.nodes = &nodes,
			.method = METHOD_DELETE,
			.account = page->account,
			.container = page->container,
			.object = object,
			.headers = &headers,
			.more_headers = object_updates_headers,
			.argument = &updates,
			.overrides = &missing_is_gone,
			.override_count = 1,
		};
		base->method_text = "DELETE";
		co_fan_out(base, &plan, &reply);
		object_updates_release(&updates);
	}
	nodes_release(&nodes);
	return reply.status;
}

static void co_reap_object(void *argument, size_t index)
{
	struct object_page *page = argument;
	struct slice object = row_name(page->rows, index);
	struct arena *arena = arena_new();
	struct request *base = internal_client_begin(&page->reaper->client, arena);
	int status = co_delete_object(page, base, object);
	bool gone = status / 100 == 2 || status == 404;
	if (!gone)
		log_warning("reaper: %.*s/%.*s/%.*s could not be removed: answer %d", SLICE_PRINT(page->account),
			SLICE_PRINT(page->container), SLICE_PRINT(object), status);
	count_reaped(page->reaper, gone ? REAPED_OBJECT : REAPED_OBJECT_FAILED);
	arena_free(arena);
	co_set_transaction("");
}

/* ---- containers ---- */

struct account_work {
	struct reaper *reaper;
	struct slice account;
	unsigned char hash[16];
	struct timestamp deleted_at;
	struct nodes nodes;
	struct slice *names; /* of the containers of the page */
	size_t count;
};

static const char *listing_query(const struct proxy *proxy, struct arena *arena, struct slice marker)
{
	int64_t limit_max = proxy->options.constraints.container_listing_limit;
	struct slice encoded = url_encode(arena, marker, false);
	return arena_printf(arena, "format=json&limit=%d&marker=%.*s",
		limit_max < PAGE_ROWS ? (int)limit_max : PAGE_ROWS, SLICE_PRINT(encoded));
}

/* A page of the objects, asked of the container's servers. NULL: there are none to be had. */
static json_t *co_list_objects(struct object_page *page, struct request *base, struct slice marker)
{
	struct nodes nodes;
	struct slice text;
	if (nodes_init(&nodes, page->reaper->options.proxy, BACKEND_CONTAINER, 0, page->account, page->container,
		    SLICE_NONE, true))
		return NULL;
	struct headers headers;
	headers_init(&headers, base->arena);
	backend_headers(base, &headers, true);
	headers_set(&headers, "X-Backend-Allow-Reserved-Names", "true");
	struct read_plan plan = {
		.nodes = &nodes,
		.method = METHOD_GET,
		.account = page->account,
		.container = page->container,
		.query = slice_from(listing_query(page->reaper->options.proxy, base->arena, marker)),
		.headers = &headers,
	};
	struct reply reply;
	reply_init(&reply, base->arena);
	co_read(base, &plan, &reply);
	nodes_release(&nodes);
	text = reply.text;
	int error = reply.body ? co_body_read_all(reply.body, base->arena, LISTING_BYTES_MAX, &text) : 0;
	const char *policy = headers_get(&reply.headers, "X-Backend-Storage-Policy-Index");
	page->policy_index = policy ? (int)strtol(policy, NULL, 10) : 0;
	json_t *rows = !error && reply.status == 200 ? bounded_json_parse(text, NULL) : NULL;
	reply_finish(base, &reply, text.length, error);
	if (json_is_array(rows) && json_array_size(rows))
		return rows;
	json_decref(rows);
	return NULL;
}

static void co_reap_objects(struct account_work *work, struct slice container)
{
	struct reaper *reaper = work->reaper;
	struct arena *markers = arena_new();
	struct slice marker = SLICE_NONE;
	bool more = true;
	while (more && !reaper->stopping) {
		struct arena *arena = arena_new();
		struct object_page page = {.reaper = reaper, .account = work->account, .container = container};
		page.rows = co_list_objects(&page, internal_client_begin(&reaper->client, arena), marker);
		size_t count = json_array_size(page.rows);
		co_crew_run(count, reaper->workers, co_reap_object, &page, &reaper->stopping);
		/* a page that does not go on would come again and again */
		more = count > 0 && slice_compare(row_name(page.rows, count - 1), marker) > 0;
		if (more)
			marker = arena_slice(markers, row_name(page.rows, count - 1));
		json_decref(page.rows);
		arena_free(arena);
	}
	arena_free(markers);
}

static void add_account_headers(void *argument, size_t index, size_t count, struct headers *headers)
{
	const struct nodes *accounts = argument;
	nodes_share_out(accounts, accounts->primary_count, index, count, false, "X-Account", headers);
}

static int co_delete_container(struct account_work *work, struct request *base, struct slice container)
{
	struct nodes nodes;
	if (nodes_init(&nodes, work->reaper->options.proxy, BACKEND_CONTAINER, 0, work->account, container, SLICE_NONE,
		    false))
		return 503;
	struct headers headers;
	headers_init(&headers, base->arena);
	backend_headers(base, &headers, true);
	headers_set(&headers, "X-Account-Override-Deleted", "yes");
	struct fan_out plan = {
		.nodes = &nodes,
		.method = METHOD_DELETE,
		.account = work->account,
		.container = container,
		.headers = &headers,
		.more_headers = add_account_headers,
		.argument = &work->nodes,
	};
	struct reply reply;
	reply_init(&reply, base->arena);
	base->method_text = "DELETE";
	co_fan_out(base, &plan, &reply);
	nodes_release(&nodes);
	info_forget(work->reaper->options.proxy, work->account, container);
	return reply.status;
}

/* How long after the account's deletion this process does a container: its delay for the first in line. */
static bool is_ours(const struct account_work *work, struct slice container)
{
	const struct reaper_options *options = &work->reaper->options;
	size_t count = work->nodes.primary_count, rank = 0;
	uint64_t hash = XXH3_64bits(container.data, container.length);
	for (; rank < count; rank++) {
		const struct ring_device *device = work->nodes.primaries[(hash + rank) % count];
		if (backend_is_local(BACKEND_ACCOUNT, device->ip, device->port))
			break;
	}
	return rank < count && is_past(work->reaper, work->deleted_at, options->delay_ms + rank * options->takeover_ms);
}

static void co_reap_container(void *argument, size_t index)
{
	struct account_work *work = argument;
	struct slice container = work->names[index];
	if (!is_ours(work, container))
		return;
	co_reap_objects(work, container);
	if (work->reaper->stopping)
		return;
	struct arena *arena = arena_new();
	int status = co_delete_container(work, internal_client_begin(&work->reaper->client, arena), container);
	bool gone = status / 100 == 2 || status == 404;
	if (!gone)
		log_warning(
			"reaper: container %.*s/%.*s could not be removed: answer %d; trying again in the next pass",
			SLICE_PRINT(work->account), SLICE_PRINT(container), status);
	count_reaped(work->reaper, gone ? REAPED_CONTAINER : REAPED_CONTAINER_FAILED);
	arena_free(arena);
	co_set_transaction("");
}

/* ---- accounts ---- */

/* Names of containers, read from this process's own database. */
struct names_job {
	struct device *device;
	struct listing_query query;
	struct arena *arena;
	struct slice *names;
	size_t count;
	int error;
};

static int take_name(const struct listing_entry *entry, void *argument)
{
	struct names_job *job = argument;
	job->names[job->count++] = arena_slice(job->arena, entry->name);
	return 0;
}

static void run_names(void *argument)
{
	struct names_job *job = argument;
	job->error = listing_walk(job->device, &job->query, take_name, job);
}

/* A page of containers. False at the end. */
static bool co_reap_page(
	struct account_work *work, struct device_entry *entry, struct arena *markers, struct slice *marker)
{
	struct arena *arena = arena_new();
	struct names_job job = {
		.device = device_entry_device(entry),
		.query = {.kind = LISTING_ACCOUNT, .limit = PAGE_ROWS, .marker = *marker, .allow_reserved = true},
		.arena = arena,
		.names = arena_alloc(arena, PAGE_ROWS * sizeof(struct slice)),
	};
	memcpy(job.query.hash, work->hash, sizeof(work->hash));
	co_offload(device_entry_pool(entry), run_names, &job);
	if (job.error)
		log_warning("reaper: containers of account %.*s cannot be listed on %s: %s", SLICE_PRINT(work->account),
			device_entry_name(entry), strerror(-job.error));
	work->names = job.names;
	work->count = job.count;
	co_crew_run(job.count, work->reaper->workers, co_reap_container, work, &work->reaper->stopping);
	bool more = !job.error && job.count == PAGE_ROWS && !work->reaper->stopping;
	if (more)
		*marker = arena_slice(markers, job.names[job.count - 1]);
	arena_free(arena);
	return more;
}

/* The device is one of the account's places; what lies elsewhere waits to be brought home. */
static bool is_primary(const struct account_work *work, const char *device_name)
{
	for (size_t i = 0; i < work->nodes.primary_count; i++) {
		const struct ring_device *device = work->nodes.primaries[i];
		if (strcmp(device->device, device_name) == 0 &&
			backend_is_local(BACKEND_ACCOUNT, device->ip, device->port))
			return true;
	}
	return false;
}

struct found_account {
	unsigned char hash[16];
	struct slice name;
	struct timestamp deleted_at;
};

static void co_reap_account(struct reaper *reaper, struct device_entry *entry, const struct found_account *found)
{
	struct account_work *work = xcalloc(1, sizeof(*work));
	struct arena *markers = arena_new();
	struct slice marker = SLICE_NONE;
	uint64_t failed = reaper->counts.containers_failed;
	work->reaper = reaper;
	work->account = found->name;
	work->deleted_at = found->deleted_at;
	memcpy(work->hash, found->hash, sizeof(work->hash));
	if (nodes_init(&work->nodes, reaper->options.proxy, BACKEND_ACCOUNT, 0, found->name, SLICE_NONE, SLICE_NONE,
		    false) == 0) {
		if (is_primary(work, device_entry_name(entry))) {
			reaper->counts.accounts++;
			while (co_reap_page(work, entry, markers, &marker))
				continue;
		}
		nodes_release(&work->nodes);
	}
	if (reaper->counts.containers_failed > failed &&
		is_past(reaper, found->deleted_at, reaper->options.delay_ms + reaper->options.warn_after_ms)) {
		char time[TIMESTAMP_TEXT_BYTES];
		(void)timestamp_iso(found->deleted_at, time);
		log_warning("reaper: account %.*s, deleted %s, is not empty yet", SLICE_PRINT(found->name), time);
	}
	arena_free(markers);
	free(work);
}

/* Deleted accounts of one device, read in its pool. */
struct find_job {
	struct reaper *reaper;
	struct device *device;
	const unsigned char *after; /* NULL: from the start */
	struct arena *arena;
	struct found_account found[ACCOUNTS_AT_ONCE];
	size_t count;
	int result;
};

static int take_account(
	const unsigned char hash[16], const struct listing_info *info, struct arena *arena, void *argument)
{
	struct find_job *job = argument;
	(void)arena;
	bool deleted =
		info->account_status_deleted || timestamp_compare(info->delete_timestamp, info->put_timestamp) > 0;
	if (!deleted || listing_total(info).containers == 0 ||
		!is_past(job->reaper, info->delete_timestamp, job->reaper->options.delay_ms))
		return 0;
	struct found_account *found = &job->found[job->count++];
	memcpy(found->hash, hash, sizeof(found->hash));
	found->name = arena_slice(job->arena, info->account);
	found->deleted_at = info->delete_timestamp;
	return job->count == ACCOUNTS_AT_ONCE;
}

static void run_find(void *argument)
{
	struct find_job *job = argument;
	job->result = listing_databases(job->device, LISTING_ACCOUNT, job->after, take_account, job);
}

/* With the device entered. */
static void co_reap_device(struct reaper *reaper, struct device_entry *entry)
{
	unsigned char after[16];
	bool first = true, more = true;
	while (more && !reaper->stopping) {
		struct arena *arena = arena_new();
		struct find_job *job = arena_zalloc(arena, sizeof(*job));
		job->reaper = reaper;
		job->device = device_entry_device(entry);
		job->after = first ? NULL : after;
		job->arena = arena;
		co_offload(device_entry_pool(entry), run_find, job);
		for (size_t i = 0; i < job->count && !reaper->stopping; i++)
			co_reap_account(reaper, entry, &job->found[i]);
		more = job->result > 0;
		if (job->result < 0)
			log_warning("reaper: the accounts of %s cannot be read: %s", device_entry_name(entry),
				strerror(-job->result));
		if (more)
			memcpy(after, job->found[job->count - 1].hash, sizeof(after));
		first = false;
		arena_free(arena);
	}
}

/* ---- passes ---- */

void co_reaper_pass(struct reaper *reaper, struct timestamp now, struct reaper_counts *ret_counts)
{
	struct device_set *devices = reaper->options.devices;
	reaper->now = now;
	reaper->counts = (struct reaper_counts){0};
	for (size_t i = 0; i < device_set_count(devices) && !reaper->stopping; i++) {
		struct device_entry *entry = device_set_at(devices, i);
		if (device_entry_enter(entry))
			continue;
		co_reap_device(reaper, entry);
		device_entry_leave(entry);
	}
	*ret_counts = reaper->counts;
}

static void co_sleep(struct reaper *reaper, uint64_t duration_ms)
{
	uint64_t deadline_ms = deadline_after_ms(duration_ms);
	while (!reaper->stopping && co_signal_wait(&reaper->wake, deadline_ms) == 0)
		continue;
}

void co_reaper_run(void *argument)
{
	struct reaper *reaper = argument;
	uint64_t interval_ms = reaper->options.interval_ms;
	co_sleep(reaper, proxy_random() % (interval_ms + 1));
	while (!reaper->stopping) {
		struct reaper_counts counts;
		uint64_t start_ms = loop_now_ms();
		co_reaper_pass(reaper, timestamp_now(), &counts);
		uint64_t elapsed_ms = loop_now_ms() - start_ms;
		if (counts.objects || counts.containers || counts.objects_failed || counts.containers_failed)
			log_info("reaper: a pass of %.1f s over %llu deleted accounts; %llu objects and %llu "
				 "containers removed, "
				 "%llu and %llu could not be",
				(double)elapsed_ms / 1000, (unsigned long long)counts.accounts,
				(unsigned long long)counts.objects, (unsigned long long)counts.containers,
				(unsigned long long)counts.objects_failed,
				(unsigned long long)counts.containers_failed);
		co_sleep(reaper, elapsed_ms < interval_ms ? interval_ms - elapsed_ms : 0);
	}
}

void reaper_stop(struct reaper *reaper)
{
	reaper->stopping = true;
	co_signal_raise(&reaper->wake);
}
