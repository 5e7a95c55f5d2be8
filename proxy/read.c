/*
 * Reads (Swift's GETorHEAD_base and GetOrHeadHandler). Servers are asked one after the other until
 * one has a good answer; while one is silent the next is asked as well after a moment, and the
 * first good answer wins (Swift's concurrent_gets with its concurrency_timeout). With X-Newest all
 * are asked at once, and the newest answer wins. A transfer that breaks off goes on at another
 * server.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/backend/leg.h"
#include "lib/base/log.h"
#include "lib/co/co.h"
#include "lib/swift/conditional.h"
#include "lib/swift/quorum.h"
#include "lib/swift/timestamp.h"
#include "proxy/proxy_private.h"

enum { ANSWERS_MAX = 64, COPIED_TEXT_BYTES_MAX = 16384, ERROR_BODY_BYTES_MAX = 65536, ETAG_BYTES_MAX = 80 };

/* One server that was asked: the argument of its leg. */
struct asked {
	struct leg *leg;
	const struct ring_device *device;
	bool handoff;
	bool done;            /* its outcome was looked at */
	uint64_t deadline_ms; /* to answer */
};

struct source {
	struct body body; /* first: the stream of the client's reply */
	struct request *request;
	struct read_plan plan;
	struct nodes nodes;  /* a copy that outlives the caller's */
	struct legs *legs;   /* the leg in use, alone; NULL when there is none */
	struct asked *asked; /* whom it asks */
	/* for going on elsewhere */
	char etag[ETAG_BYTES_MAX];
	uint64_t first; /* of the bytes that this reply covers */
	uint64_t last;
	uint64_t sent;
	bool can_resume;
	bool finished;
};

/* A search for a server with a good answer. */
struct search {
	struct source *source;
	struct legs *legs;
	const char *range;               /* instead of the client's; NULL: as the client asked */
	bool all;                        /* the newest of all answers */
	bool exhausted;                  /* no node is left to ask */
	size_t pending;                  /* asked, and not done */
	uint64_t next_ms;                /* when the next one is asked although one is pending */
	struct asked *best;              /* so far */
	struct timestamp best_time;      /* of its data */
	struct timestamp best_meta_time; /* of its newest POST, if that is newer */
	/* Whether the answer is good; it may be kept for co_give_best. */
	bool (*co_judge)(struct search *search, struct asked *asked);
	/* answers that were not good, for best_response */
	int statuses[ANSWERS_MAX];
	struct headers *answer_headers[ANSWERS_MAX];
	struct slice texts[ANSWERS_MAX];
	size_t count;
	size_t ignored_404s;
	struct timestamp newest_404; /* X-Backend-Timestamp of the newest tombstone seen */
};

static struct timestamp header_time(const struct headers *headers, const char *name)
{
	struct timestamp time = {0, 0};
	const char *text = headers_get(headers, name);
	if (text)
		(void)timestamp_parse(slice_from(text), &time);
	return time;
}

/* Swift's source_key: the time by which answers are compared. */
static struct timestamp answer_time(const struct headers *headers)
{
	static const char *const names[] = {
		"X-Backend-Data-Timestamp", "X-Backend-Timestamp", "X-Put-Timestamp", "X-Timestamp"};
	for (size_t i = 0; i < 4; i++)
		if (headers_get(headers, names[i]))
			return header_time(headers, names[i]);
	return (struct timestamp){0, 0};
}

/* ---- asking ---- */

/* Asks the next node; false when none is left. */
static bool ask_next(struct search *search)
{
	struct source *source = search->source;
	const struct read_plan *plan = &source->plan;
	const struct backend_timeouts *timeouts = &source->nodes.proxy->options.timeouts;
	bool handoff;
	const struct ring_device *device = nodes_next(&source->nodes, &handoff);
	if (!device)
		return false;
	struct asked *asked = arena_zalloc(source->request->arena, sizeof(*asked));
	struct leg_target target = {source->nodes.service, device->ip, device->port, device->device};
	struct leg *leg = leg_new(search->legs, &target, plan->method, asked);
	struct request *request = leg_request(leg);
	request->path = node_path(
		leg_arena(leg), device, source->nodes.partition, plan->account, plan->container, plan->object);
	request->query = arena_slice(leg_arena(leg), plan->query);
	headers_copy(&request->headers, plan->headers);
	memcpy(request->transaction_id, source->request->transaction_id, sizeof(request->transaction_id));
	if (search->range)
		headers_set(&request->headers, "Range", arena_strdup(leg_arena(leg), search->range));
	*asked = (struct asked){.leg = leg,
		.device = device,
		.handoff = handoff,
		.deadline_ms = deadline_after_ms(timeouts->connect_ms + timeouts->node_ms)};
	leg_start(leg, timeouts);
	search->pending++;
	search->next_ms = deadline_after_ms(timeouts->connect_ms);
	return true;
}

/* Keeps a good answer if it is the best so far. */
static void take_good(struct search *search, struct asked *asked)
{
	const struct headers *headers = &leg_reply(asked->leg)->headers;
	struct timestamp time = answer_time(headers);
	/* of two with the same data the one with the newer POST */
	struct timestamp meta_time = header_time(headers, "X-Backend-Timestamp");
	int order = search->best ? timestamp_compare(time, search->best_time) : 1;
	if (order < 0 || (order == 0 && timestamp_compare(meta_time, search->best_meta_time) <= 0))
		return;
	search->best = asked;
	search->best_time = time;
	search->best_meta_time = meta_time;
}

/* Looks at a server that has answered, failed, or had its time. */
static void co_take_outcome(struct search *search, struct asked *asked)
{
	struct source *source = search->source;
	const char *transaction = source->request->transaction_id;
	asked->done = true;
	search->pending--;
	if (leg_state(asked->leg) == LEG_FAILED)
		node_failed(&source->nodes, asked->device, transaction, strerror(-leg_error(asked->leg)));
	else if (leg_state(asked->leg) != LEG_REPLIED)
		node_failed(&source->nodes, asked->device, transaction, "timed out");
	else if (search->co_judge(search, asked))
		take_good(search, asked);
}

static void co_take_outcomes(struct search *search)
{
	for (size_t i = 0; i < legs_count(search->legs); i++) {
		struct leg *leg = legs_at(search->legs, i);
		struct asked *asked = leg_argument(leg);
		bool over = leg_state(leg) >= LEG_REPLIED || loop_now_ms() >= asked->deadline_ms;
		if (!asked->done && over)
			co_take_outcome(search, asked);
		if (search->best && !search->all)
			return;
	}
}

static void co_wait_for_outcome(struct search *search)
{
	uint64_t until = search->exhausted ? CO_FOREVER : search->next_ms;
	for (size_t i = 0; i < legs_count(search->legs); i++) {
		const struct asked *asked = leg_argument(legs_at(search->legs, i));
		if (!asked->done && asked->deadline_ms < until)
			until = asked->deadline_ms;
	}
	(void)co_legs_wait(search->legs, until);
}

/* Asks until there is a good answer, or nobody is left. */
static void co_ask_nodes(struct search *search)
{
	while (search->all ? !search->exhausted || search->pending : !search->best) {
		bool next_is_due = !search->pending || search->all || loop_now_ms() >= search->next_ms;
		if (!search->exhausted && next_is_due)
			search->exhausted = !ask_next(search);
		else if (search->pending)
			co_wait_for_outcome(search);
		else
			return;
		co_take_outcomes(search);
	}
}

/* Makes the best answer the source. False when there is none. */
static bool co_find(struct search *search)
{
	struct source *source = search->source;
	search->legs = legs_new();
	legs_on_late_failure(search->legs, node_failed_late, source->nodes.proxy);
	co_ask_nodes(search);
	/* what is older than a tombstone seen later has been deleted */
	if (search->best && timestamp_compare(search->best_time, search->newest_404) < 0)
		search->best = NULL;
	if (!search->best) {
		legs_free(search->legs);
		return false;
	}
	legs_keep_only(search->legs, search->best->leg);
	source->legs = search->legs;
	source->asked = search->best;
	return true;
}

static struct reply *source_reply(const struct source *source)
{
	return leg_reply(source->asked->leg);
}

/* ---- judging a first answer ---- */

static bool is_good(const struct read_plan *plan, int status)
{
	return status / 100 == 2 || status / 100 == 3 || (plan->is_object && status == 416);
}

static void co_remember(struct search *search, int status, struct reply *reply)
{
	if (search->count == ANSWERS_MAX)
		return;
	struct arena *arena = search->source->request->arena;
	struct headers *headers = NULL;
	struct slice text = SLICE_NONE;
	if (reply) {
		headers = arena_alloc(arena, sizeof(*headers));
		headers_init(headers, arena);
		headers_copy(headers, &reply->headers);
		text = reply->text;
		if (reply->body && co_body_read_all(reply->body, arena, ERROR_BODY_BYTES_MAX, &text))
			text = SLICE_NONE;
		text = arena_slice(arena, text);
	}
	search->statuses[search->count] = status;
	search->answer_headers[search->count] = headers;
	search->texts[search->count++] = text;
}

/* Answers that are not good; most are kept for best_response. */
static void co_take_bad(struct search *search, struct asked *asked)
{
	struct nodes *nodes = &search->source->nodes;
	struct reply *reply = leg_reply(asked->leg);
	const char *transaction = search->source->request->transaction_id;
	int status = reply->status;
	struct timestamp time = header_time(&reply->headers, "X-Backend-Timestamp");
	if (status == 507)
		node_refused(nodes, asked->device, reply, transaction);
	else if (status / 100 == 5)
		node_failed(nodes, asked->device, transaction, status_reason(status));
	bool is_404 = status == 404;
	if (is_404 && search->source->plan.is_object && timestamp_compare(time, search->newest_404) > 0)
		search->newest_404 = time;
	if (asked->handoff && (is_404 || status / 100 == 5) && timestamp_is_zero(time))
		return;
	/* a primary that has just been assigned the partition may not have got it yet
	 * (rebalance_missing_suppression_count) */
	if (is_404 && timestamp_is_zero(time) && search->ignored_404s == 0 && nodes->primary_count > 1) {
		search->ignored_404s++;
		return;
	}
	co_remember(search, status, reply);
}

static bool co_judge_first(struct search *search, struct asked *asked)
{
	struct reply *reply = leg_reply(asked->leg);
	if (!is_good(&search->source->plan, reply->status)) {
		co_take_bad(search, asked);
		return false;
	}
	/* a database that replication has made, but not filled yet */
	if (headers_get(&reply->headers, "X-Put-Timestamp") &&
		timestamp_is_zero(header_time(&reply->headers, "X-Put-Timestamp"))) {
		co_remember(search, 404, NULL);
		return false;
	}
	return timestamp_compare(answer_time(&reply->headers), search->newest_404) >= 0;
}

/* ---- the stream ---- */

static bool has_etag(const struct reply *reply, const char *wanted)
{
	const char *etag = headers_get(&reply->headers, "Etag");
	return etag && slice_equal(normalize_etag(slice_from(etag)), normalize_etag(slice_from(wanted)));
}

/* An answer with the rest of the very same object. */
static bool co_judge_rest(struct search *search, struct asked *asked)
{
	const struct source *source = search->source;
	const struct reply *reply = leg_reply(asked->leg);
	uint64_t left = source->last - source->first + 1 - source->sent;
	return reply->status == 206 && reply->body && reply->content_length >= 0 &&
	       (uint64_t)reply->content_length == left && has_etag(reply, source->etag);
}

/* Finds another server for what is left. */
static bool co_resume(struct source *source)
{
	legs_free(source->legs);
	source->legs = NULL;
	if (!source->can_resume || source->sent > source->last - source->first)
		return false;
	struct search search = {
		.source = source,
		.range = arena_printf(source->request->arena, "bytes=%llu-%llu",
			(unsigned long long)(source->first + source->sent), (unsigned long long)source->last),
		.co_judge = co_judge_rest,
	};
	return co_find(&search);
}

/* Any error is -EIO: it is not the client who went away. */
static int co_source_next(struct body *body, struct chunk *ret_chunk)
{
	struct source *source = (struct source *)body;
	while (source->legs) {
		int error = co_body_next(source_reply(source)->body, ret_chunk);
		if (!error) {
			source->sent += ret_chunk->length;
			return 0;
		}
		const char *transaction = source->request->transaction_id;
		node_failed(&source->nodes, source->asked->device, transaction, strerror(-error));
		if (!co_resume(source))
			break;
		const struct ring_device *device = source->asked->device;
		log_write(LOG_LEVEL_WARNING, transaction, "the transfer goes on at %s:%d/%s from byte %llu", device->ip,
			device->port, device->device, (unsigned long long)(source->first + source->sent));
	}
	return -EIO;
}

static void source_release(void *argument)
{
	struct source *source = argument;
	if (source->finished)
		return;
	source->finished = true;
	legs_free(source->legs);
	source->legs = NULL;
	nodes_release(&source->nodes);
}

static void source_close(struct body *body)
{
	source_release(body);
}

/* What the reply covers, so that the rest can be asked for elsewhere: whole objects and single
 * ranges. */
static void prepare_resume(struct source *source)
{
	const struct reply *reply = source_reply(source);
	const char *etag = headers_get(&reply->headers, "Etag");
	const char *range = headers_get(&reply->headers, "Content-Range");
	if (!source->plan.is_object || !etag || strlen(etag) >= sizeof(source->etag) || reply->content_length <= 0)
		return;
	(void)snprintf(source->etag, sizeof(source->etag), "%s", etag);
	unsigned long long first = 0, last = (unsigned long long)reply->content_length - 1;
	if (reply->status == 206 && (!range || sscanf(range, "bytes %llu-%llu/", &first, &last) != 2))
		return;
	source->first = first;
	source->last = last;
	source->can_resume = last - first + 1 == (unsigned long long)reply->content_length &&
			     (reply->status == 200 || reply->status == 206);
}

static void give_source(struct source *source, struct reply *reply)
{
	static const struct body_operations operations = {co_source_next, source_close};
	struct reply *backend = source_reply(source);
	reply->status = backend->status;
	reply->reason = NULL;
	headers_copy(&reply->headers, &backend->headers);
	if (!backend->body) {
		/* a page of a listing stays where it is, and with it the leg until the request ends */
		bool large = backend->text.length > COPIED_TEXT_BYTES_MAX;
		reply->text = large ? backend->text : arena_slice(reply->arena, backend->text);
		return;
	}
	source->body.operations = &operations;
	reply->body = &source->body;
	reply->content_length = backend->content_length;
	prepare_resume(source);
}

static void give_best(struct search *search, struct reply *reply)
{
	size_t index;
	int status = quorum_best_response(search->statuses, search->count, quorum_size(search->count), NULL, 0, &index);
	if (status == 503)
		log_unavailable(
			search->source->request, search->source->nodes.service, search->statuses, search->count);
	if (index >= search->count || !search->answer_headers[index]) {
		reply_status(reply, status);
		return;
	}
	reply->status = status;
	headers_copy(&reply->headers, search->answer_headers[index]);
	reply->text = search->texts[index];
}

void co_read(struct request *request, const struct read_plan *plan, struct reply *reply)
{
	struct search *search = arena_zalloc(request->arena, sizeof(*search));
	struct source *source = arena_zalloc(request->arena, sizeof(*source));
	search->source = source;
	search->all = plan->newest;
	search->co_judge = co_judge_first;
	source->request = request;
	source->plan = *plan;
	/* the caller's headers may be gone when the transfer must go on elsewhere */
	struct headers *headers = arena_alloc(request->arena, sizeof(*headers));
	*headers = *plan->headers;
	source->plan.headers = headers;
	source->nodes = *plan->nodes;
	source->nodes.ring = ring_ref(plan->nodes->ring);
	arena_defer(request->arena, source_release, source);
	if (co_find(search))
		give_source(source, reply);
	else
		give_best(search, reply);
	if (!reply->body && reply->text.length <= COPIED_TEXT_BYTES_MAX)
		source_release(source);
	headers_remove(&reply->headers, "Transfer-Encoding");
}
