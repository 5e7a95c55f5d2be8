#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/log.h"
#include "lib/base/metrics.h"
#include "lib/base/statsd.h"
#include "lib/http/access_log.h"
#include "proxy/filters/filters.h"
#include "proxy/proxy_private.h"

struct logged {
	struct body body; /* first: counts what is read of the client's, which it stands before */
	struct body *client_body;
	uint64_t received;
	struct timespec start;
	uint64_t started;    /* metric_now() */
	uint64_t first_byte; /* nanoseconds until the reply's head was ready; 0: not known */
	enum method verb;    /* the client's, as the next one; a filter may change the request's */
	char method[24];
	const char *token;
	const char *referer;
	const char *agent;
	const char *etag;
	const char *policy_index; /* of the reply, while it still says so */
};

/* ---- what is told of a request when it is over ---- */

/* 499 for a client that went away, 500 for a reply that we broke off. */
static int logged_status(const struct reply *reply, int error)
{
	if (error == -EIO)
		return 500;
	return error ? 499 : reply->status;
}

static const char *client_of(const struct request *request)
{
	const char *forwarded = headers_get(&request->headers, "X-Cluster-Client-Ip");
	if (forwarded && *forwarded)
		return forwarded;
	forwarded = headers_get(&request->headers, "X-Forwarded-For");
	return forwarded && *forwarded ? forwarded : request->remote_address;
}

static void write_line(
	const struct logged *logged, const struct request *request, int status, uint64_t bytes_sent, int error)
{
	const struct proxy_context *context = proxy_context_of(request);
	struct access_entry entry = {
		.server = "proxy-server",
		.transaction_id = request->transaction_id,
		.client_ip = client_of(request),
		.remote_address = request->remote_address,
		.method = logged->method,
		.path = context->client_path,
		.referer = logged->referer,
		.user_agent = logged->agent,
		.token = logged->token,
		.etag = logged->etag,
		.source = context->source,
		.user = context->user,
		.policy = logged->policy_index,
		.error = error ? strerror(-error) : NULL,
		.http_1_0 = request->http_1_0,
		.status = status,
		.bytes_received = logged->received,
		.bytes_sent = bytes_sent,
		.start = logged->start,
		.first_byte_seconds = logged->first_byte ? (double)logged->first_byte / 1e9 : -1,
	};
	clock_gettime(CLOCK_REALTIME, &entry.end);
	access_log_write(&entry);
}

/* "account", "container", "object", the filter that answered, or NULL (Swift: get_metric_name_type). */
static const char *statsd_type(const struct proxy_context *context)
{
	if (!context->version || strcmp(context->version, "v1") != 0)
		return context->source;
	return context->object.data ? "object" : context->container.data ? "container" : "account";
}

static void tell_statsd_as(const char *name, double milliseconds, uint64_t bytes)
{
	char text[160];
	(void)snprintf(text, sizeof(text), "%s.timing", name);
	statsd_timing("proxy-server", text, milliseconds);
	(void)snprintf(text, sizeof(text), "%s.xfer", name);
	statsd_count("proxy-server", text, bytes);
}

/* object.GET.200, and object.policy.0.GET.200 where the policy is known. */
static void tell_statsd(const struct logged *logged, const struct proxy_context *context, int status,
	double milliseconds, uint64_t bytes)
{
	const char *type = statsd_type(context);
	if (!type)
		return;
	/* the verbs of clients: Swift's log_statsd_valid_http_methods */
	const char *method = logged->verb <= METHOD_OPTIONS ? method_name(logged->verb) : "BAD_METHOD";
	char name[128];
	(void)snprintf(name, sizeof(name), "%.40s.%s.%d", type, method, status);
	tell_statsd_as(name, milliseconds, bytes);
	if (logged->policy_index && context->object.data) {
		(void)snprintf(
			name, sizeof(name), "%.40s.policy.%.10s.%s.%d", type, logged->policy_index, method, status);
		tell_statsd_as(name, milliseconds, bytes);
	}
	statsd_flush();
}

static void finished(struct request *request, struct reply *reply, uint64_t bytes_sent, int error, void *argument)
{
	const struct logged *logged = argument;
	int status = logged_status(reply, error);
	unsigned policy = metric_policy(logged->policy_index ? (int)strtol(logged->policy_index, NULL, 10) : -1);
	uint64_t duration = metric_now() - logged->started;
	metric_add(METRIC_REQUESTS_IN_FLIGHT, -1, METRIC_ROLE_PROXY);
	metric_add(METRIC_REQUESTS, 1, METRIC_ROLE_PROXY, logged->verb, metric_status(status), policy);
	metric_observe(METRIC_REQUEST_SECONDS, duration, METRIC_ROLE_PROXY, logged->verb, policy);
	if (logged->first_byte)
		metric_observe(METRIC_FIRST_BYTE_SECONDS, logged->first_byte, METRIC_ROLE_PROXY, logged->verb);
	if (bytes_sent)
		metric_add(METRIC_SENT_BYTES, bytes_sent, METRIC_ROLE_PROXY, logged->verb, policy);
	if (logged->received)
		metric_add(METRIC_RECEIVED_BYTES, logged->received, METRIC_ROLE_PROXY, logged->verb, policy);
	if (statsd_on())
		tell_statsd(logged, proxy_context_of(request), status, (double)duration / 1e6,
			bytes_sent + logged->received);
	if (log_wants(LOG_LEVEL_INFO))
		write_line(logged, request, status, bytes_sent, error);
}

/* ---- one request ---- */

static int co_counted_next(struct body *body, struct chunk *ret_chunk)
{
	struct logged *logged = (struct logged *)body;
	int error = co_body_next(logged->client_body, ret_chunk);
	if (!error)
		logged->received += ret_chunk->length;
	return error;
}

static struct logged *logging_begin(struct request *request, struct reply *reply)
{
	static const struct body_operations operations = {.co_next = co_counted_next};
	struct logged *logged = arena_zalloc(request->arena, sizeof(*logged));
	clock_gettime(CLOCK_REALTIME, &logged->start);
	logged->started = metric_now();
	metric_add(METRIC_REQUESTS_IN_FLIGHT, 1, METRIC_ROLE_PROXY);
	logged->verb = request->method;
	logged->body.operations = &operations;
	logged->client_body = request->body;
	request->body = &logged->body;
	(void)snprintf(logged->method, sizeof(logged->method), "%.20s", request->method_text);
	const char *token = headers_get(&request->headers, "X-Auth-Token");
	if (!token)
		token = headers_get(&request->headers, "X-Storage-Token");
	logged->token = token;
	logged->referer = headers_get(&request->headers, "Referer");
	logged->agent = headers_get(&request->headers, "User-Agent");
	logged->etag = headers_get(&request->headers, "ETag");
	reply->finished = finished;
	reply->finished_argument = logged;
	return logged;
}

void proxy_logging_refused(struct request *request, struct reply *reply)
{
	(void)logging_begin(request, reply);
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct logged *logged = logging_begin(request, reply);
	co_filter_next(filter, request, reply);
	logged->first_byte = metric_now() - logged->started;
	logged->policy_index =
		arena_strdup(request->arena, headers_get(&reply->headers, "X-Backend-Storage-Policy-Index"));
}

struct filter filter_proxy_logging(struct proxy *proxy)
{
	return (struct filter){.name = "proxy-logging", .co_handle = co_handle, .context = proxy};
}
