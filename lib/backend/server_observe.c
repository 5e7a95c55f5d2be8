#include "lib/backend/server_observe.h"

#include <stdio.h>
#include <time.h>

#include "lib/backend/server_request.h"
#include "lib/base/log.h"
#include "lib/base/statsd.h"
#include "lib/co/co.h"
#include "lib/http/access_log.h"

_Static_assert(METHOD_OTHER == 10, "the METHOD label of lib/base/metrics.def goes with enum method");

/* Stands before a body and counts what passes. */
struct counted_body {
	struct body body; /* first */
	struct body *inner;
	uint64_t bytes;
	enum metric metric;
	struct counted_labels {
		unsigned items[METRIC_LABELS_MAX];
	} labels; /* of the metric in which each piece is counted at once */
};

static int co_counted_next(struct body *body, struct chunk *ret_chunk)
{
	struct counted_body *counted = (struct counted_body *)body;
	int error = co_body_next(counted->inner, ret_chunk);
	if (error)
		return error;
	counted->bytes += ret_chunk->length;
	if (ret_chunk->length)
		metric_add_at(counted->metric, counted->labels.items, ret_chunk->length);
	return 0;
}

static void counted_close(struct body *body)
{
	body_close(((struct counted_body *)body)->inner);
}

static struct counted_body *count_body(
	struct arena *arena, struct body *inner, enum metric metric, const struct counted_labels *labels)
{
	static const struct body_operations operations = {.co_next = co_counted_next, .close = counted_close};
	struct counted_body *counted = arena_zalloc(arena, sizeof(*counted));
	counted->body.operations = &operations;
	counted->inner = inner;
	counted->metric = metric;
	counted->labels = *labels;
	return counted;
}

static int policy_of(const struct server_observed *observed, const struct request *request)
{
	int policy;
	if (observed->role != METRIC_ROLE_OBJECT || server_request_policy(request, &policy) || policy < 0)
		return observed->role == METRIC_ROLE_OBJECT ? 0 : -1;
	return policy;
}

/* Swift's decorator timing_stats: "GET.timing", or "GET.errors.timing" where the server is to blame. */
static void tell_statsd(const struct server_observed *observed, const struct request *request, int status, uint64_t ns)
{
	char name[48];
	(void)snprintf(name, sizeof(name), "%s%s.timing", method_name(request->method), status >= 500 ? ".errors" : "");
	statsd_timing(observed->name, name, (double)ns / 1e6);
	statsd_flush();
}

static void write_line(const struct server_observed *observed, const struct request *request, const struct reply *reply,
	uint64_t received, uint64_t duration_ns)
{
	struct access_entry entry = {
		.server = observed->name,
		.transaction_id = request->transaction_id,
		.remote_address = request->remote_address,
		.method = request->method_text,
		.path = arena_strndup(request->arena, request->path.data, request->path.length),
		.referer = headers_get(&request->headers, "Referer"),
		.user_agent = headers_get(&request->headers, "User-Agent"),
		.policy = headers_get(&request->headers, "X-Backend-Storage-Policy-Index"),
		.http_1_0 = request->http_1_0,
		.status = reply->status,
		.bytes_received = received,
		.bytes_sent = reply->body ? (uint64_t)(reply->content_length > 0 ? reply->content_length : 0)
					  : reply->text.length,
		.first_byte_seconds = (double)duration_ns / 1e9,
	};
	clock_gettime(CLOCK_REALTIME, &entry.end);
	uint64_t start = (uint64_t)entry.end.tv_sec * 1000000000 + (uint64_t)entry.end.tv_nsec - duration_ns;
	entry.start = (struct timespec){(time_t)(start / 1000000000), (long)(start % 1000000000)};
	access_log_write(&entry);
}

static void take_transaction(struct request *request)
{
	const char *id = headers_get(&request->headers, "X-Trans-Id");
	if (id && !request->transaction_id[0])
		(void)snprintf(request->transaction_id, sizeof(request->transaction_id), "%s", id);
	if (request->transaction_id[0])
		co_set_transaction(request->transaction_id);
}

/* Swift's servers log what the cluster does with itself for debugging alone. */
static bool is_logged(const struct server_observed *observed, const struct request *request, int status)
{
	bool from_here = request->internal && status < 500;
	if (!observed->log_network || (from_here && !observed->log_inside))
		return false;
	bool quiet = request->method == METHOD_REPLICATE || request->method == METHOD_SSYNC ||
		     headers_get(&request->headers, "X-Backend-Replication");
	return log_wants(quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
}

void co_server_observe(void *context, struct request *request, struct reply *reply)
{
	const struct server_observed *observed = context;
	unsigned policy = metric_policy(policy_of(observed, request));
	struct counted_labels labels = {{observed->role, request->method, policy}};
	uint64_t start = metric_now();
	take_transaction(request);
	struct counted_body *received = count_body(request->arena, request->body, METRIC_RECEIVED_BYTES, &labels);
	request->body = &received->body;
	metric_add(METRIC_REQUESTS_IN_FLIGHT, 1, observed->role);
	observed->handler(observed->context, request, reply);
	metric_add(METRIC_REQUESTS_IN_FLIGHT, -1, observed->role);
	request->body = received->inner;
	if (request->method == METHOD_OPTIONS)
		headers_set(&reply->headers, "Server", observed->product);
	uint64_t duration = metric_now() - start;
	metric_add(METRIC_REQUESTS, 1, observed->role, request->method, metric_status(reply->status), policy);
	metric_observe(METRIC_REQUEST_SECONDS, duration, observed->role, request->method, policy);
	if (statsd_on())
		tell_statsd(observed, request, reply->status, duration);
	if (is_logged(observed, request, reply->status))
		write_line(observed, request, reply, received->bytes, duration);
	if (request->method == METHOD_HEAD)
		return;
	if (reply->body)
		reply->body = &count_body(reply->arena, reply->body, METRIC_SENT_BYTES, &labels)->body;
	else if (reply->text.length)
		metric_add(METRIC_SENT_BYTES, reply->text.length, observed->role, request->method, policy);
}
