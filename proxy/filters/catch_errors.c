#include "proxy/filters/catch_errors.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/co/co.h"
#include "lib/swift/url.h"
#include "proxy/proxy_private.h"

enum { TRANS_ID_EXTRA_MAX = 32, RANDOM_DIGITS = 21, TIME_DIGITS = 10 };

/* The last `count` hex digits of the value. */
static void put_hex(char *at, uint64_t value, size_t count)
{
	for (; count > 0; value >>= 4)
		at[--count] = "0123456789abcdef"[value & 15];
}

/* The texts one after the other, cut where the room ends. */
static void join(char *room, size_t size, const char *const *texts)
{
	char *end = room + size - 1;
	for (; *texts; texts++) {
		size_t length = strnlen(*texts, (size_t)(end - room));
		memcpy(room, *texts, length);
		room += length;
	}
	*room = '\0';
}

static void make_transaction_id(const struct proxy *proxy, struct request *request)
{
	const char *suffix = proxy->options.trans_id_suffix ? proxy->options.trans_id_suffix : "";
	const char *extra = headers_get(&request->headers, "X-Trans-Id-Extra");
	char quoted_extra[TRANS_ID_EXTRA_MAX * 3 + 2] = "";
	if (extra && *extra) {
		struct slice part = slice_from(extra);
		if (part.length > TRANS_ID_EXTRA_MAX)
			part.length = TRANS_ID_EXTRA_MAX;
		struct slice quoted = url_encode(request->arena, part, true);
		(void)snprintf(quoted_extra, sizeof(quoted_extra), "-%.*s", SLICE_PRINT(quoted));
	}
	char digits[RANDOM_DIGITS + 1 + TIME_DIGITS + 1];
	put_hex(digits, proxy_random(), RANDOM_DIGITS - 16);
	put_hex(digits + RANDOM_DIGITS - 16, proxy_random(), 16);
	digits[RANDOM_DIGITS] = '-';
	put_hex(digits + RANDOM_DIGITS + 1, (uint64_t)time(NULL), TIME_DIGITS);
	digits[sizeof(digits) - 1] = '\0';
	join(request->transaction_id, sizeof(request->transaction_id),
		(const char *const[]){"tx", digits, suffix, quoted_extra, NULL});
}

/* The decoded path's parts. What is wrong with it is answered by the application, after the
 * filters. */
void context_take_path(struct request *request)
{
	struct proxy_context *context = proxy_context_of(request);
	struct slice segments[4];
	context->version = NULL;
	context->account = context->container = context->object = SLICE_NONE;
	if (path_split(request->arena, request->path, 1, 4, true, segments))
		return;
	context->version = arena_strndup(request->arena, segments[0].data, segments[0].length);
	context->account = segments[1];
	context->container = segments[2];
	context->object = segments[3];
}

void catch_errors_begin(struct proxy *proxy, struct request *request)
{
	struct proxy_context *context = arena_zalloc(request->arena, sizeof(*context));
	context->proxy = proxy;
	context->timestamp = timestamp_now();
	context->client_path = arena_printf(request->arena, "%.*s%s%.*s", SLICE_PRINT(request->path),
		request->query.length ? "?" : "", SLICE_PRINT(request->query));
	request->context = context;
	make_transaction_id(proxy, request);
	co_set_transaction(request->transaction_id);
	if (request->path.length)
		context_take_path(request);
}

void catch_errors_end(struct request *request, struct reply *reply)
{
	headers_set(&reply->headers, "X-Trans-Id", request->transaction_id);
	headers_set(&reply->headers, "X-Openstack-Request-Id", request->transaction_id);
}
