#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "proxy/filters/filters.h"
#include "proxy/proxy_private.h"

enum { TOKEN_CHARACTERS_SHOWN = 16, LINE_BYTES_USUAL = 512 };

struct logged {
	struct body body; /* first: counts what is read of the client's, which it stands before */
	struct body *client_body;
	uint64_t received;
	struct timespec start;
	char method[24];   /* the client's; a filter may change the request's */
	const char *token; /* a few characters of it, or NULL */
	const char *referer;
	const char *agent;
	const char *etag;
	const char *policy_index; /* of the reply, while it still says so */
};

/* ---- the line ---- */

/*
 * Fields are percent-encoded but for letters, digits and "_.-~:/{}" (Swift's LogStringFormatter),
 * so that a line has as many as it should whatever a client sends.
 */
static void add_field(struct buf *line, const char *text)
{
	static const bool plain[256] = {['a' ... 'z'] = true,
		['A' ... 'Z'] = true,
		['0' ... '9'] = true,
		['_'] = true,
		['.'] = true,
		['-'] = true,
		['~'] = true,
		[':'] = true,
		['/'] = true,
		['{'] = true,
		['}'] = true};
	if (!text || !*text)
		text = "-";
	char *at = buf_reserve(line, 3 * strlen(text) + 1);
	if (line->length)
		*at++ = ' ';
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;
		if (plain[byte]) {
			*at++ = (char)byte;
			continue;
		}
		*at++ = '%';
		*at++ = "0123456789ABCDEF"[byte >> 4];
		*at++ = "0123456789ABCDEF"[byte & 0xf];
	}
	*at = '\0';
	line->length = (size_t)(at - line->data);
}

static void add_number(struct buf *line, uint64_t number)
{
	buf_append_byte(line, ' ');
	buf_append_decimal(line, number);
}

/* 0 is shown as "-". */
static void add_count(struct buf *line, uint64_t count)
{
	if (count)
		add_number(line, count);
	else
		buf_append(line, " -", 2);
}

/* Seconds and as many decimals as `fraction` has below 10^decimals. */
static void add_seconds(struct buf *line, uint64_t seconds, uint64_t fraction, size_t decimals)
{
	char text[10] = ".";
	for (size_t i = decimals; i > 0; i--, fraction /= 10)
		text[i] = (char)('0' + fraction % 10);
	add_number(line, seconds);
	buf_append(line, text, decimals + 1);
}

static void add_time(struct buf *line, struct timespec time)
{
	add_seconds(line, (uint64_t)time.tv_sec, (uint64_t)time.tv_nsec, 9);
}

/* In tenths of a millisecond; 0 when the clock was set back. */
static void add_duration(struct buf *line, struct timespec start, struct timespec end)
{
	int64_t ns = (end.tv_sec - start.tv_sec) * 1000000000 + (end.tv_nsec - start.tv_nsec);
	uint64_t rounded = ns > 0 ? ((uint64_t)ns + 50000) / 100000 : 0;
	add_seconds(line, rounded / 10000, rounded % 10000, 4);
}

/* "21/Nov/2026/06/50/57", formatted once a second. */
static const char *date_of(time_t second)
{
	static __thread char text[32];
	static __thread time_t formatted;
	if (second != formatted) {
		struct tm broken_down;
		gmtime_r(&second, &broken_down);
		(void)strftime(text, sizeof(text), "%d/%b/%Y/%H/%M/%S", &broken_down);
		formatted = second;
	}
	return text;
}

/* What the log says: 499 for a client that went away, 500 for a reply that we broke off. */
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

/* client_ip remote_addr datetime method path protocol status referer user_agent auth_token
 * bytes_recvd bytes_sent client_etag transaction_id headers request_time source log_info start_time
 * end_time policy_index */
static void finished(struct request *request, struct reply *reply, uint64_t bytes_sent, int error, void *argument)
{
	struct logged *logged = argument;
	const struct proxy_context *context = proxy_context_of(request);
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	struct buf line = BUF_INIT;
	(void)buf_reserve(&line, LINE_BYTES_USUAL);
	add_field(&line, client_of(request));
	add_field(&line, request->remote_address);
	add_field(&line, date_of(end.tv_sec));
	add_field(&line, logged->method);
	add_field(&line, context->client_path);
	add_field(&line, request->http_1_0 ? "HTTP/1.0" : "HTTP/1.1");
	add_number(&line, (uint64_t)logged_status(reply, error));
	add_field(&line, logged->referer);
	add_field(&line, logged->agent);
	add_field(&line, logged->token);
	add_count(&line, logged->received);
	add_count(&line, bytes_sent);
	add_field(&line, logged->etag);
	add_field(&line, request->transaction_id);
	add_field(&line, NULL);
	add_duration(&line, logged->start, end);
	add_field(&line, context->source);
	add_field(&line, context->user);
	add_time(&line, logged->start);
	add_time(&line, end);
	add_field(&line, logged->policy_index);
	log_raw(line.data);
	buf_release(&line);
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
	logged->body.operations = &operations;
	logged->client_body = request->body;
	request->body = &logged->body;
	(void)snprintf(logged->method, sizeof(logged->method), "%.20s", request->method_text);
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
	return logged;
}

void proxy_logging_refused(struct request *request, struct reply *reply)
{
	if (log_wants(LOG_LEVEL_INFO))
		(void)logging_begin(request, reply);
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	if (!log_wants(LOG_LEVEL_INFO)) {
		co_filter_next(filter, request, reply);
		return;
	}
	struct logged *logged = logging_begin(request, reply);
	co_filter_next(filter, request, reply);
	logged->policy_index =
		arena_strdup(request->arena, headers_get(&reply->headers, "X-Backend-Storage-Policy-Index"));
}

struct filter filter_proxy_logging(struct proxy *proxy)
{
	return (struct filter){.name = "proxy-logging", .co_handle = co_handle, .context = proxy};
}
