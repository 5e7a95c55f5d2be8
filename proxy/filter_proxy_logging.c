#include <stdio.h>
#include <time.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/swift/url.h"
#include "proxy/filters.h"
#include "proxy/proxy_private.h"

enum { TOKEN_CHARACTERS_SHOWN = 16 };

struct logged {
	struct timespec start;
	char method[24];     /* the client's; a filter may change the request's */
	int64_t content_length;
	const char *token;   /* a few characters of it, or NULL */
	const char *referer;
	const char *agent;
	const char *etag;
};

/* Fields are percent-encoded, so that a line has as many as it should whatever a client sends. */
static void add_field(struct buf *line, const char *text)
{
	if (line->length)
		buf_append_byte(line, ' ');
	if (!text || !*text) {
		buf_append_byte(line, '-');
		return;
	}
	url_encode_append(line, slice_from(text), true);
}

static void add_seconds(struct buf *line, double seconds, int digits)
{
	buf_printf(line, " %.*f", digits, seconds);
}

static double seconds_of(struct timespec time)
{
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static const char *client_of(const struct request *request)
{
	const char *forwarded = headers_get(&request->headers, "X-Cluster-Client-Ip");
	if (forwarded && *forwarded)
		return forwarded;
	forwarded = headers_get(&request->headers, "X-Forwarded-For");
	return forwarded && *forwarded ? forwarded : request->remote_address;
}

/* client_ip remote_addr datetime method path protocol status referer user_agent auth_token bytes_recvd bytes_sent
 * client_etag transaction_id headers request_time source log_info start_time end_time policy_index */
static void finished(struct request *request, struct reply *reply, uint64_t bytes_sent, int error, void *argument)
{
	struct logged *logged = argument;
	const struct proxy_context *context = proxy_context_of(request);
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	struct tm broken_down;
	gmtime_r(&end.tv_sec, &broken_down);
	char date[32];
	(void)strftime(date, sizeof(date), "%d/%b/%Y/%H/%M/%S", &broken_down);
	struct buf line = BUF_INIT;
	add_field(&line, client_of(request));
	add_field(&line, request->remote_address);
	add_field(&line, date);
	add_field(&line, logged->method);
	buf_append_byte(&line, ' ');
	buf_append_text(&line, context->client_path && *context->client_path ? context->client_path : "-");
	add_field(&line, request->http_1_0 ? "HTTP/1.0" : "HTTP/1.1");
	buf_printf(&line, " %d", error ? 499 : reply->status);
	add_field(&line, logged->referer);
	add_field(&line, logged->agent);
	add_field(&line, logged->token);
	buf_printf(&line, logged->content_length > 0 ? " %lld" : " -", (long long)logged->content_length);
	buf_printf(&line, bytes_sent ? " %llu" : " -", (unsigned long long)bytes_sent);
	add_field(&line, logged->etag);
	add_field(&line, request->transaction_id);
	add_field(&line, NULL);
	add_seconds(&line, seconds_of(end) - seconds_of(logged->start), 4);
	add_field(&line, context->source);
	add_field(&line, context->user);
	add_seconds(&line, seconds_of(logged->start), 9);
	add_seconds(&line, seconds_of(end), 9);
	add_field(&line, headers_get(&reply->headers, "X-Backend-Storage-Policy-Index"));
	log_raw(line.data);
	buf_release(&line);
}

static void handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	if (!log_wants(LOG_LEVEL_INFO)) {
		co_filter_next(filter, request, reply);
		return;
	}
	struct logged *logged = arena_zalloc(request->arena, sizeof(*logged));
	clock_gettime(CLOCK_REALTIME, &logged->start);
	(void)snprintf(logged->method, sizeof(logged->method), "%.20s", request->method_text);
	logged->content_length = request->content_length;
	const char *token = headers_get(&request->headers, "X-Auth-Token");
	if (!token)
		token = headers_get(&request->headers, "X-Storage-Token");
	if (token && *token)
		logged->token = arena_printf(request->arena, "%.*s...", TOKEN_CHARACTERS_SHOWN, token);
	logged->referer = headers_get(&request->headers, "Referer");
	logged->agent = headers_get(&request->headers, "User-Agent");
	logged->etag = headers_get(&request->headers, "ETag");
	reply->finished = finished;
	reply->finished_argument = logged;
	co_filter_next(filter, request, reply);
}

struct filter filter_proxy_logging(struct proxy *proxy)
{
	return (struct filter){.name = "proxy-logging", .co_handle = handle, .context = proxy};
}
