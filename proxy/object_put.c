/*
 * PUT of a replicated object (Swift's ReplicatedObjectController._store_object). Steps:
 *
 *	check the request ─► legs to all primaries, replaced by handoffs ─► a quorum is willing ─►
 * the body goes to all, its MD5 taken on the way ─► a quorum has it on stable storage ─► 201
 *
 * "Willing" is LEG_READY: the server has looked at what it holds (409, 412, 507 come before) and
 * asks for the body.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "lib/backend/leg.h"
#include "lib/base/log.h"
#include "lib/co/co.h"
#include "lib/http/chunk_pipe.h"
#include "lib/swift/conditional.h"
#include "lib/swift/constraints.h"
#include "lib/swift/http_date.h"
#include "lib/swift/mime_guess.h"
#include "lib/swift/quorum.h"
#include "lib/swift/url.h"
#include "proxy/object.h"

/* One of the copies that are wanted. */
struct copy {
	struct leg *leg; /* NULL when no node was left */
	const struct ring_device *device;
	uint64_t deadline_ms; /* to be willing */
	bool dropped;         /* given up: too slow to join, or it broke while the body went out */
	bool counted;         /* its failure was counted */
};

struct put_run {
	struct proxy *proxy;
	struct request *request;
	struct reply *reply;
	const struct info *container;
	struct nodes nodes;
	struct object_updates updates;
	struct headers headers; /* common to all copies */
	struct legs *legs;
	struct copy copies[RING_REPLICAS_MAX];
	size_t count;
	size_t quorum;
	EVP_MD_CTX *md5;
	struct chunk_pipe *digesting; /* a thread takes the MD5 of what is larger than a block */
	uint64_t received;
	struct body_digest digest;
};

/* ---- the request ---- */

/* The answer to a PUT that goes no further; always false. */
static bool fail(struct put_run *run, int status, const char *text)
{
	if (text)
		reply_plain(run->reply, status, text);
	else
		reply_status(run->reply, status);
	return false;
}

static void guess_content_type(struct request *request)
{
	const char *type = headers_get(&request->headers, "Content-Type");
	bool detect = config_true_value(headers_get(&request->headers, "X-Detect-Content-Type"));
	headers_remove(&request->headers, "X-Detect-Content-Type");
	if (!detect && type && *type)
		return;
	headers_set(&request->headers, "Content-Type", mime_guess(proxy_context_of(request)->object));
}

/* check_object_creation, in Swift's order. */
static bool check_request(struct put_run *run, int64_t *ret_delete_at)
{
	struct request *request = run->request;
	const struct constraints *constraints = &run->proxy->options.constraints;
	const char *none_match = headers_get(&request->headers, "If-None-Match");
	if (none_match && strcmp(none_match, "*") != 0)
		return fail(run, 400, "If-None-Match only supports *");
	guess_content_type(request);
	if (!object_check_content_type(request, run->reply))
		return false;
	if (request->content_length > constraints->max_file_size)
		return fail(run, 413, "Your request is too large.");
	if (!request->chunked && !request->has_length)
		return fail(run, 411, "Missing Content-Length header.");
	char error[CONSTRAINTS_ERROR_BYTES];
	if (constraints_check_object_name(constraints, proxy_context_of(request)->object, error))
		return fail(run, 400, arena_strdup(request->arena, error));
	if (!object_take_delete_at(request, run->reply, ret_delete_at))
		return false;
	if (!utf8_valid(slice_from(headers_get(&request->headers, "Content-Type"))))
		return fail(run, 400, "Please specify utf8 Content-Type");
	return check_metadata(run->proxy, request, "object", run->reply);
}

/* ---- willing servers ---- */

static void start_copy(struct put_run *run, size_t index)
{
	struct copy *copy = &run->copies[index];
	struct proxy_context *context = proxy_context_of(run->request);
	bool handoff;
	*copy = (struct copy){.device = nodes_next(&run->nodes, &handoff)};
	if (!copy->device)
		return;
	struct leg_target target = {BACKEND_OBJECT, copy->device->ip, copy->device->port, copy->device->device};
	struct leg *leg = leg_new(run->legs, &target, METHOD_PUT, copy);
	struct request *request = leg_request(leg);
	request->path = node_path(leg_arena(leg), copy->device, run->nodes.partition, context->account,
		context->container, context->object);
	headers_copy(&request->headers, &run->headers);
	object_updates_headers(&run->updates, index, run->count, &request->headers);
	(void)snprintf(request->transaction_id, sizeof(request->transaction_id), "%s", run->request->transaction_id);
	leg_expect_body(leg, run->request->chunked ? -1 : run->request->content_length);
	const struct backend_timeouts *timeouts = &run->proxy->options.timeouts;
	copy->leg = leg;
	copy->deadline_ms = deadline_after_ms(timeouts->connect_ms + timeouts->node_ms);
	leg_start(leg, timeouts);
}

/* Counts a failure of the copy's server once. */
static void count_failure(struct put_run *run, struct copy *copy, const char *what)
{
	if (copy->counted)
		return;
	copy->counted = true;
	node_failed(&run->nodes, copy->device, run->request->transaction_id, what);
}

/* A server that failed, answered 5xx or took too long before the body is replaced by the next node.
 */
static void replace_failed(struct put_run *run, size_t index)
{
	struct copy *copy = &run->copies[index];
	if (!copy->leg)
		return;
	enum leg_state state = leg_state(copy->leg);
	if (state == LEG_FAILED) {
		count_failure(run, copy, strerror(-leg_error(copy->leg)));
	} else if (state == LEG_REPLIED && leg_reply(copy->leg)->status == 507) {
		node_refused(&run->nodes, copy->device, leg_reply(copy->leg), run->request->transaction_id);
	} else if (state == LEG_REPLIED && leg_reply(copy->leg)->status / 100 == 5) {
		count_failure(run, copy, status_reason(leg_reply(copy->leg)->status));
	} else if (state == LEG_CONNECTING && loop_now_ms() >= copy->deadline_ms) {
		count_failure(run, copy, "timed out before it took the body");
		leg_feed_abort(copy->leg);
	} else {
		return;
	}
	start_copy(run, index);
}

static bool is_connecting(const struct copy *copy)
{
	return copy->leg && !copy->dropped && leg_state(copy->leg) == LEG_CONNECTING;
}

static bool is_willing(const struct copy *copy)
{
	return copy->leg && !copy->dropped && leg_state(copy->leg) == LEG_READY;
}

/* 2xx before the body: an empty object. */
static bool is_stored(const struct copy *copy)
{
	return copy->leg && leg_state(copy->leg) == LEG_REPLIED && leg_reply(copy->leg)->status / 100 == 2;
}

static size_t count_copies(const struct put_run *run, bool (*test)(const struct copy *))
{
	size_t count = 0;
	for (size_t i = 0; i < run->count; i++)
		count += test(&run->copies[i]);
	return count;
}

static bool has_quorum(const struct put_run *run)
{
	return count_copies(run, is_willing) + count_copies(run, is_stored) >= run->quorum;
}

/* Gives up those who have not said anything; a handoff gets the place of each, if wanted. */
static void give_up_silent(struct put_run *run, bool replace)
{
	for (size_t i = 0; i < run->count; i++) {
		struct copy *copy = &run->copies[i];
		if (!is_connecting(copy))
			continue;
		copy->dropped = true;
		leg_feed_abort(copy->leg);
		if (replace)
			start_copy(run, i);
	}
}

static uint64_t earliest_deadline(const struct put_run *run)
{
	uint64_t deadline = CO_FOREVER;
	for (size_t i = 0; i < run->count; i++)
		if (is_connecting(&run->copies[i]) && run->copies[i].deadline_ms < deadline)
			deadline = run->copies[i].deadline_ms;
	return deadline;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * Until a quorum is willing every server has its full time. From then on the others have one moment
 * (post_quorum) to join; whoever is silent then is replaced by a handoff, and those have one more
 * moment: the client waits no longer for copies that it can do without.
 */
static void co_wait_willing(struct put_run *run)
{
	uint64_t moment_ms = run->proxy->options.post_quorum_ms;
	uint64_t replace_at = CO_FOREVER, end_at = CO_FOREVER;
	for (;;) {
		for (size_t i = 0; i < run->count; i++)
			replace_failed(run, i);
		if (!has_quorum(run)) {
			replace_at = end_at = CO_FOREVER;
		} else if (end_at == CO_FOREVER) {
			replace_at = deadline_after_ms(moment_ms);
			end_at = deadline_after_ms(moment_ms * 2);
		}
		if (loop_now_ms() >= replace_at) {
			give_up_silent(run, true);
			replace_at = CO_FOREVER;
		}
		if (loop_now_ms() >= end_at)
			give_up_silent(run, false);
		if (count_copies(run, is_connecting) == 0)
			return;
		(void)co_legs_wait(run->legs, earlier(earliest_deadline(run), earlier(replace_at, end_at)));
	}
}

static size_t count_status(const struct put_run *run, int status)
{
	size_t count = 0;
	for (size_t i = 0; i < run->count; i++) {
		const struct copy *copy = &run->copies[i];
		count += copy->leg && leg_state(copy->leg) == LEG_REPLIED && leg_reply(copy->leg)->status == status;
	}
	return count;
}

/* 0 while the server has not answered. */
static int final_status(const struct copy *copy)
{
	if (!copy->leg || copy->dropped || leg_state(copy->leg) == LEG_FAILED)
		return 503;
	return leg_state(copy->leg) == LEG_REPLIED ? leg_reply(copy->leg)->status : 0;
}

/* Servers that have not answered count as 503. */
static void collect_statuses(const struct put_run *run, int statuses[RING_REPLICAS_MAX])
{
	for (size_t i = 0; i < run->count; i++) {
		int status = final_status(&run->copies[i]);
		statuses[i] = status ? status : 503;
	}
}

static bool fail_unavailable(struct put_run *run)
{
	int statuses[RING_REPLICAS_MAX];
	collect_statuses(run, statuses);
	log_unavailable(run->request, BACKEND_OBJECT, statuses, run->count);
	return fail(run, 503, NULL);
}

/* Swift's _check_failure_put_connections. */
static bool enough_willing(struct put_run *run)
{
	if (headers_get(&run->request->headers, "If-None-Match") && count_status(run, 412))
		return fail(run, 412, NULL);
	/* somebody holds a newer version: the client's would lose anyway */
	if (count_status(run, 409))
		return fail(run, 202, NULL);
	if (has_quorum(run))
		return true;
	return fail_unavailable(run);
}

/* ---- the body ---- */

static void drop_copy(struct put_run *run, struct copy *copy, const char *what)
{
	count_failure(run, copy, what);
	copy->dropped = true;
	leg_feed_abort(copy->leg);
}

static bool co_feed_copies(struct put_run *run, const struct chunk *chunk)
{
	uint64_t deadline = deadline_after_ms(run->proxy->options.timeouts.node_ms);
	for (size_t i = 0; i < run->count; i++) {
		struct copy *copy = &run->copies[i];
		if (!is_willing(copy))
			continue;
		int error = co_leg_feed(copy->leg, chunk, deadline);
		if (error == -ETIMEDOUT)
			drop_copy(run, copy, "timed out while it took the body");
	}
	return count_copies(run, is_willing) >= run->quorum;
}

static int status_of_body_error(int error)
{
	switch (error) {
	case -ETIMEDOUT:
		return 408;
	case -EPROTO:
		return 400;
	case -EFBIG:
		return 413;
	case -ECONNRESET:
		return 499;
	default:
		return 500; /* not the client: what is copied could not be read */
	}
}

static int digest_chunks(void *md5, const struct chunk *chunks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		EVP_DigestUpdate(md5, chunks[i].data, chunks[i].length);
	return 0;
}

/* Takes over the chunk. The servers work on it meanwhile. */
static void co_digest(struct put_run *run, struct chunk *chunk)
{
	bool first = run->received == chunk->length;
	bool is_all = first && run->request->content_length == (int64_t)chunk->length;
	if (!run->digesting && !is_all && chunk->length >= BLOCK_BYTES / 2)
		run->digesting = chunk_pipe_new(run->proxy->digest_pool, digest_chunks, run->md5);
	if (run->digesting) {
		(void)co_chunk_pipe_push(run->digesting, chunk);
		return;
	}
	(void)digest_chunks(run->md5, chunk, 1);
	chunk_release(chunk);
}

/* Sends the whole body. False: the reply is set and the servers see a broken request. */
static bool co_send_body(struct put_run *run)
{
	int64_t limit = run->proxy->options.constraints.max_file_size;
	for (;;) {
		struct chunk chunk;
		int error = co_body_next(run->request->body, &chunk);
		if (error)
			return fail(run, status_of_body_error(error), NULL);
		if (chunk.length == 0)
			return true;
		run->received += chunk.length;
		bool fits = run->received <= (uint64_t)limit;
		bool fed = fits && co_feed_copies(run, &chunk);
		co_digest(run, &chunk);
		if (!fits)
			return fail(run, 413, "Your request is too large.");
		if (!fed)
			return fail_unavailable(run);
	}
}

static void co_finish_digest(struct put_run *run)
{
	unsigned char md5[16];
	if (run->digesting)
		(void)co_chunk_pipe_drain(run->digesting);
	EVP_DigestFinal_ex(run->md5, md5, NULL);
	hash_hex(md5, run->digest.md5);
	run->digest.known = true;
}

/* The client's ETag against what arrived; quotes are allowed, case is not (as in Swift). */
static bool etag_fits(struct put_run *run)
{
	const char *etag = headers_get(&run->request->headers, "ETag");
	if (!etag || !*etag)
		return true;
	struct slice wanted = normalize_etag(slice_from(etag));
	return slice_equal(wanted, slice_from(run->digest.md5));
}

static void end_copies(struct put_run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		struct copy *copy = &run->copies[i];
		if (copy->leg && !copy->dropped)
			leg_feed_end(copy->leg, &run->digest);
	}
}

/* ---- the answer ---- */

static void co_wait_stored(struct put_run *run)
{
	uint64_t deadline = deadline_after_ms(run->proxy->options.timeouts.node_ms);
	uint64_t stragglers = CO_FOREVER;
	for (;;) {
		int statuses[RING_REPLICAS_MAX];
		size_t answered = 0;
		for (size_t i = 0; i < run->count; i++)
			if (final_status(&run->copies[i]))
				statuses[answered++] = final_status(&run->copies[i]);
		if (answered == run->count)
			return;
		if (stragglers == CO_FOREVER && quorum_reached(statuses, answered, run->quorum))
			stragglers = deadline_after_ms(run->proxy->options.post_quorum_ms);
		uint64_t until = stragglers < deadline ? stragglers : deadline;
		if (co_legs_wait(run->legs, until) == -ETIMEDOUT)
			return;
	}
}

static bool etags_agree(const struct put_run *run)
{
	const char *first = NULL;
	for (size_t i = 0; i < run->count; i++) {
		if (!is_stored(&run->copies[i]))
			continue;
		const char *etag = headers_get(&leg_reply(run->copies[i].leg)->headers, "Etag");
		if (first && etag && !slice_equal(normalize_etag(slice_from(first)), normalize_etag(slice_from(etag))))
			return false;
		if (etag)
			first = etag;
	}
	return true;
}

static void answer(struct put_run *run)
{
	/* a 409 after the body: somebody stored a newer version meanwhile. This one is accepted and
	 * superseded, as it would have been a moment later. */
	static const struct quorum_override superseded = {409, 202};
	int statuses[RING_REPLICAS_MAX];
	collect_statuses(run, statuses);
	if (!etags_agree(run)) {
		log_write(LOG_LEVEL_ERROR, run->request->transaction_id,
			"object servers answered a PUT with different ETags");
		reply_status(run->reply, 500);
		return;
	}
	size_t index;
	int status = quorum_best_response(statuses, run->count, run->quorum, &superseded, 1, &index);
	if (status == 503)
		log_unavailable(run->request, BACKEND_OBJECT, statuses, run->count);
	if (status != 201) {
		reply_status(run->reply, status == superseded.status ? superseded.replacement : status);
		return;
	}
	char date[HTTP_DATE_BYTES];
	http_date_format(timestamp_ceil_seconds(proxy_context_of(run->request)->timestamp), date);
	reply_empty(run->reply, 201);
	headers_set_format(&run->reply->headers, "Etag", "%s", run->digest.md5);
	headers_set_format(&run->reply->headers, "Last-Modified", "%s", date);
}

/* Counts the servers that failed since they were willing; those that are merely late count when
 * they fail at last. */
static void count_failures(struct put_run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		struct copy *copy = &run->copies[i];
		if (!copy->leg || copy->dropped)
			continue;
		if (leg_state(copy->leg) == LEG_FAILED)
			count_failure(run, copy, strerror(-leg_error(copy->leg)));
		else if (final_status(copy) == 507)
			node_refused(&run->nodes, copy->device, leg_reply(copy->leg), run->request->transaction_id);
		else if (final_status(copy) / 100 == 5)
			count_failure(run, copy, status_reason(final_status(copy)));
	}
}

/* ---- all of it ---- */

/* Where it ends early the copies' bodies are not ended: legs_free() breaks them off, and nothing is
 * stored. */
static void co_run_put(struct put_run *run)
{
	for (size_t i = 0; i < run->count; i++)
		start_copy(run, i);
	co_wait_willing(run);
	if (!enough_willing(run) || !co_send_body(run))
		return;
	co_finish_digest(run);
	if (!etag_fits(run)) {
		reply_status(run->reply, 422);
		return;
	}
	end_copies(run);
	co_wait_stored(run);
	answer(run);
}

static bool prepare(struct put_run *run)
{
	struct proxy_context *context = proxy_context_of(run->request);
	int64_t delete_at;
	if (!check_request(run, &delete_at))
		return false;
	if (nodes_init(&run->nodes, run->proxy, BACKEND_OBJECT, run->container->policy_index, context->account,
		    context->container, context->object, false))
		return fail(run, 503, NULL);
	if (object_updates_init(&run->updates, run->proxy, run->request, run->container, delete_at)) {
		nodes_release(&run->nodes);
		return fail(run, 503, NULL);
	}
	run->count = run->nodes.primary_count;
	run->quorum = quorum_size(run->count);
	headers_init(&run->headers, run->request->arena);
	object_backend_headers(run->request, run->container->policy_index, &run->headers);
	return true;
}

void co_store_object(struct proxy *proxy, struct request *request, const struct info *container, struct reply *reply)
{
	struct put_run *run = arena_zalloc(request->arena, sizeof(*run));
	run->proxy = proxy;
	run->request = request;
	run->reply = reply;
	run->container = container;
	if (!prepare(run))
		return;
	run->md5 = EVP_MD_CTX_new();
	EVP_DigestInit_ex(run->md5, EVP_md5(), NULL);
	run->legs = legs_new();
	legs_on_late_failure(run->legs, node_failed_late, proxy);
	co_run_put(run);
	count_failures(run);
	legs_free(run->legs);
	co_chunk_pipe_free(run->digesting);
	EVP_MD_CTX_free(run->md5);
	object_updates_release(&run->updates);
	nodes_release(&run->nodes);
}
