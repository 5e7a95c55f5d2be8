/*
 * Reads (Swift's GETorHEAD_base and GetOrHeadHandler): one server after the other until one has a good answer; with
 * X-Newest all of them, and the newest wins. A transfer that breaks off goes on at another server.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/backend/leg.h"
#include "lib/base/log.h"
#include "lib/co/co.h"
#include "lib/swift/quorum.h"
#include "lib/swift/timestamp.h"
#include "proxy/proxy_private.h"

enum { ANSWERS_MAX = 64, ERROR_BODY_BYTES_MAX = 65536 };

struct source {
	struct body body; /* first: the stream of the client's reply */
	struct request *request;
	struct read_plan plan;
	struct nodes nodes;       /* a copy that outlives the caller's */
	struct legs *legs;        /* the leg in use, alone */
	struct reply *backend;    /* its reply */
	const struct ring_device *device;
	/* for going on elsewhere */
	char etag[80];
	uint64_t first;           /* of the bytes that this reply covers */
	uint64_t last;
	uint64_t sent;
	bool can_resume;
	bool finished;
};

struct read_run {
	struct request *request;
	const struct read_plan *plan;
	struct source *source;
	/* answers that were not good, for best_response */
	int statuses[ANSWERS_MAX];
	struct headers *answer_headers[ANSWERS_MAX];
	struct slice texts[ANSWERS_MAX];
	size_t count;
	size_t asked_primaries;
	size_t ignored_404s;
	struct timestamp newest_404;  /* X-Backend-Timestamp of the newest tombstone seen */
	struct timestamp best_time;   /* X-Newest */
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

/* ---- one server ---- */

/* Asks one node and waits for the head of its reply. NULL when it failed (which was counted). */
static struct legs *co_ask(struct source *source, const struct ring_device *device, const char *range)
{
	const struct read_plan *plan = &source->plan;
	const struct backend_timeouts *timeouts = &source->nodes.proxy->options.timeouts;
	struct legs *legs = legs_new();
	struct leg_target target = {source->nodes.service, device->ip, device->port, device->device};
	struct leg *leg = leg_new(legs, &target, plan->method, NULL);
	struct request *request = leg_request(leg);
	request->path = node_path(leg_arena(leg), device, source->nodes.partition, plan->account,
		plan->container, plan->object);
	request->query = arena_slice(leg_arena(leg), plan->query);
	headers_copy(&request->headers, plan->headers);
	(void)snprintf(request->transaction_id, sizeof(request->transaction_id), "%s",
		source->request->transaction_id);
	if (range)
		headers_set(&request->headers, "Range", arena_strdup(leg_arena(leg), range));
	leg_start(leg, timeouts);
	uint64_t deadline = deadline_after_ms(timeouts->connect_ms + timeouts->node_ms);
	int error = 0;
	while (!error && leg_state(leg) < LEG_REPLIED)
		error = co_legs_wait(legs, deadline);
	if (!error && leg_state(leg) == LEG_REPLIED)
		return legs;
	node_failed(&source->nodes, device, source->request->transaction_id,
		error ? "timed out" : strerror(-leg_error(leg)));
	legs_free(legs);
	return NULL;
}

static bool is_good(const struct read_plan *plan, int status)
{
	return status / 100 == 2 || status / 100 == 3 || (plan->is_object && status == 416);
}

static void remember(struct read_run *run, int status, struct reply *reply)
{
	if (run->count == ANSWERS_MAX)
		return;
	struct headers *headers = NULL;
	struct slice text = SLICE_NONE;
	if (reply) {
		headers = arena_alloc(run->request->arena, sizeof(*headers));
		headers_init(headers, run->request->arena);
		headers_copy(headers, &reply->headers);
		text = reply->text;
		if (reply->body &&
			co_body_read_all(reply->body, run->request->arena, ERROR_BODY_BYTES_MAX, &text))
			text = SLICE_NONE;
		text = arena_slice(run->request->arena, text);
	}
	run->statuses[run->count] = status;
	run->answer_headers[run->count] = headers;
	run->texts[run->count++] = text;
}

/* Answers that are not good; most are kept for best_response. */
static void take_bad(struct read_run *run, struct reply *reply, const struct ring_device *device, bool handoff)
{
	struct nodes *nodes = &run->source->nodes;
	int status = reply->status;
	bool has_time = headers_get(&reply->headers, "X-Backend-Timestamp") != NULL;
	if (status == 507)
		node_limit(nodes, device, run->request->transaction_id);
	else if (status / 100 == 5)
		node_failed(nodes, device, run->request->transaction_id, status_reason(status));
	if (status == 404 && run->plan->is_object) {
		struct timestamp time = header_time(&reply->headers, "X-Backend-Timestamp");
		if (timestamp_compare(time, run->newest_404) > 0)
			run->newest_404 = time;
	}
	if (handoff && (status == 404 || status / 100 == 5) && !has_time)
		return;
	/* a primary that has just been assigned the partition may not have got it yet */
	if (!handoff && status == 404 && !has_time && run->plan->is_object && run->ignored_404s == 0 &&
		nodes->primary_count > 1) {
		run->ignored_404s++;
		return;
	}
	remember(run, status, reply);
}

static bool is_wanted(const struct read_run *run, const struct reply *reply)
{
	const char *put_time = headers_get(&reply->headers, "X-Put-Timestamp");
	if (put_time && timestamp_is_zero(header_time(&reply->headers, "X-Put-Timestamp")) &&
		!run->plan->is_object)
		return false;
	struct timestamp time = answer_time(&reply->headers);
	return !(run->plan->is_object && timestamp_compare(time, run->newest_404) < 0);
}

/* Keeps a good answer if it is the best so far. */
static void take_good(struct read_run *run, struct legs *legs, const struct ring_device *device)
{
	struct source *source = run->source;
	struct reply *reply = leg_reply(legs_at(legs, 0));
	struct timestamp time = answer_time(&reply->headers);
	if (source->legs && timestamp_compare(time, run->best_time) <= 0) {
		legs_free(legs);
		return;
	}
	legs_free(source->legs);
	source->legs = legs;
	source->backend = reply;
	source->device = device;
	run->best_time = time;
}

static void ask_nodes(struct read_run *run)
{
	struct source *source = run->source;
	bool handoff;
	const struct ring_device *device;
	while ((device = nodes_next(&source->nodes, &handoff))) {
		/* asking everybody is asking the primaries, and handoffs only for those that fail */
		if (run->plan->newest && handoff && run->asked_primaries >= source->nodes.primary_count &&
			source->legs)
			return;
		struct legs *legs = co_ask(source, device, NULL);
		if (!legs) {
			if (!handoff)
				remember(run, 503, NULL);
			continue;
		}
		run->asked_primaries += !handoff;
		struct reply *reply = leg_reply(legs_at(legs, 0));
		if (!is_good(run->plan, reply->status)) {
			take_bad(run, reply, device, handoff);
			legs_free(legs);
			continue;
		}
		if (!is_wanted(run, reply)) {
			if (!run->plan->is_object)
				remember(run, 404, NULL);
			legs_free(legs);
			continue;
		}
		take_good(run, legs, device);
		if (!run->plan->newest)
			return;
	}
}

/* ---- the stream ---- */

static bool co_resume(struct source *source)
{
	char range[64];
	if (!source->can_resume)
		return false;
	legs_free(source->legs);
	source->legs = NULL;
	(void)snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)(source->first + source->sent),
		(unsigned long long)source->last);
	bool handoff;
	const struct ring_device *device;
	while ((device = nodes_next(&source->nodes, &handoff))) {
		struct legs *legs = co_ask(source, device, range);
		if (!legs)
			continue;
		struct reply *reply = leg_reply(legs_at(legs, 0));
		const char *etag = headers_get(&reply->headers, "Etag");
		if (reply->status == 206 && reply->body && etag && strcmp(etag, source->etag) == 0) {
			source->legs = legs;
			source->backend = reply;
			source->device = device;
			return true;
		}
		legs_free(legs);
	}
	return false;
}

static int source_next(struct body *body, struct chunk *ret_chunk)
{
	struct source *source = (struct source *)body;
	if (!source->legs)
		return -EIO;
	for (;;) {
		int error = co_body_next(source->backend->body, ret_chunk);
		if (!error) {
			source->sent += ret_chunk->length;
			return 0;
		}
		if (source->sent > source->last - source->first)
			return error;
		node_failed(&source->nodes, source->device, source->request->transaction_id, strerror(-error));
		if (!co_resume(source))
			return error;
		log_write(LOG_LEVEL_WARNING, source->request->transaction_id,
			"the transfer goes on at %s:%d/%s from byte %llu", source->device->ip,
			source->device->port, source->device->device, (unsigned long long)source->sent);
	}
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

/* What the reply covers, so that the rest can be asked for elsewhere: whole objects and single ranges. */
static void prepare_resume(struct source *source)
{
	const struct reply *reply = source->backend;
	const char *etag = headers_get(&reply->headers, "Etag");
	const char *range = headers_get(&reply->headers, "Content-Range");
	if (!source->plan.is_object || !etag || reply->content_length <= 0)
		return;
	(void)snprintf(source->etag, sizeof(source->etag), "%s", etag);
	unsigned long long first = 0, last = (unsigned long long)reply->content_length - 1;
	if (reply->status == 206 && (!range || sscanf(range, "bytes %llu-%llu/", &first, &last) != 2))
		return;
	source->first = first;
	source->last = last;
	source->can_resume = reply->status == 200 || reply->status == 206;
}

static void give_source(struct source *source, struct reply *reply)
{
	static const struct body_operations operations = {source_next, source_close};
	struct reply *backend = source->backend;
	reply->status = backend->status;
	reply->reason = NULL;
	headers_copy(&reply->headers, &backend->headers);
	if (!backend->body) {
		reply->text = arena_slice(reply->arena, backend->text);
		return;
	}
	source->body.operations = &operations;
	reply->body = &source->body;
	reply->content_length = backend->content_length;
	prepare_resume(source);
}

static void give_best(struct read_run *run, struct reply *reply)
{
	while (run->count < run->source->nodes.primary_count)
		remember(run, 503, NULL);
	size_t index;
	int status =
		quorum_best_response(run->statuses, run->count, quorum_size(run->count), NULL, 0, &index);
	if (index >= run->count || !run->answer_headers[index]) {
		reply_status(reply, status);
		return;
	}
	reply->status = status;
	headers_copy(&reply->headers, run->answer_headers[index]);
	reply->text = run->texts[index];
}

void co_read(struct request *request, const struct read_plan *plan, struct reply *reply)
{
	struct read_run *run = arena_zalloc(request->arena, sizeof(*run));
	struct source *source = arena_zalloc(request->arena, sizeof(*source));
	run->request = request;
	run->plan = plan;
	run->source = source;
	source->request = request;
	source->plan = *plan;
	source->nodes = *plan->nodes;
	source->nodes.ring = ring_ref(plan->nodes->ring);
	arena_defer(request->arena, source_release, source);
	ask_nodes(run);
	if (source->legs)
		give_source(source, reply);
	else
		give_best(run, reply);
	if (!reply->body)
		source_release(source);
	headers_remove(&reply->headers, "Transfer-Encoding");
}
