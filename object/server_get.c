#include <errno.h>
#include <openssl/rand.h>
#include <string.h>
#include <strings.h>

#include "lib/swift/conditional.h"
#include "lib/swift/http_date.h"
#include "lib/swift/number.h"
#include "lib/swift/range.h"
#include "object/object_server_private.h"

enum {
	OPEN_ATTEMPTS = 3, /* a body that vanishes was replaced: its successor is read */
	BOUNDARY_BYTES = 16,
};

struct get {
	struct object_request *request;
	struct object_record record;
	struct object_view view;
	struct byte_range ranges[RANGE_COUNT_MAX];
	size_t range_count;
};

/* ---- headers ---- */

static void set_headers(struct get *get)
{
	struct object_request *r = get->request;
	const struct object_view *view = &get->view;
	struct headers *headers = &r->reply->headers;
	headers_set(headers, "Content-Type", view->content_type);
	for (size_t i = 0; i < view->header_count; i++)
		if (object_header_is_shown(r->server, view->headers[i].name))
			headers_add(headers, view->headers[i].name, view->headers[i].value);
	headers_set_format(headers, "Etag", "\"%s\"", get->record.etag);
	char text[TIMESTAMP_TEXT_BYTES];
	http_date_format(timestamp_ceil_seconds(view->timestamp), text);
	headers_set(headers, "Last-Modified", arena_strdup(headers->arena, text));
	(void)timestamp_normal(view->timestamp, text);
	headers_set(headers, "X-Timestamp", arena_strdup(headers->arena, text));
	object_reply_timestamp(r, "X-Backend-Timestamp", view->timestamp);
	object_reply_timestamp(r, "X-Backend-Data-Timestamp", get->record.data_time);
	object_reply_timestamp(r, "X-Backend-Durable-Timestamp", get->record.data_time);
}

/* A value of the object's metadata by name, as Swift's metadata dictionary has it, or NULL. */
static const char *metadata_value(const struct get *get, const char *name)
{
	if (strcasecmp(name, "ETag") == 0)
		return get->record.etag;
	if (strcasecmp(name, "Content-Type") == 0)
		return get->view.content_type;
	/* always there, and never of use as an ETag */
	if (strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "X-Timestamp") == 0 ||
		strcasecmp(name, "name") == 0)
		return "";
	return object_header_get(get->view.headers, get->view.header_count, name);
}

/* The first value that one of the comma-separated names has in the metadata, or NULL. */
static const char *first_value(const struct get *get, const char *names)
{
	while (names && *names) {
		size_t length = strcspn(names, ",");
		struct slice name = number_trim(slice_of(names, length));
		const char *text = arena_strndup(get->request->arena, name.data, name.length);
		const char *value = metadata_value(get, text);
		if (value)
			return value;
		names += length;
		names += *names == ',';
	}
	return NULL;
}

static int condition(const struct get *get)
{
	const struct object_request *r = get->request;
	const char *etag = first_value(get, object_request_header(r, "X-Backend-Etag-Is-At"));
	return conditional_evaluate(object_request_header(r, "If-Match"), object_request_header(r, "If-None-Match"),
		object_request_header(r, "If-Modified-Since"), object_request_header(r, "If-Unmodified-Since"),
		etag ? etag : get->record.etag, timestamp_ceil_seconds(get->view.timestamp));
}

/* Nothing to be seen: deleted, expired, or never there (`time` NULL). */
static void reply_missing(struct object_request *r, const struct timestamp *time)
{
	object_reply_time(r, 404, time);
	if (conditional_evaluate(object_request_header(r, "If-Match"), NULL, NULL, NULL, NULL, -1) == 412)
		reply_empty(r->reply, 412);
}

/* ---- segments of the reply ---- */

struct plan {
	struct object_segment *segments;
	size_t count;
	int64_t bytes;
};

static void plan_text(struct plan *plan, const char *text)
{
	plan->segments[plan->count++] = (struct object_segment){.text = slice_from(text)};
	plan->bytes += (int64_t)strlen(text);
}

static void plan_range(struct plan *plan, uint64_t first, uint64_t bytes)
{
	plan->segments[plan->count++] = (struct object_segment){.first = first, .bytes = bytes};
	plan->bytes += (int64_t)bytes;
}

static const char *random_boundary(struct arena *arena)
{
	unsigned char bytes[BOUNDARY_BYTES];
	char text[HASH_PATH_HEX_BYTES];
	(void)RAND_bytes(bytes, sizeof(bytes));
	hash_hex(bytes, text);
	return arena_strdup(arena, text);
}

static void plan_parts(struct get *get, struct plan *plan)
{
	struct arena *arena = get->request->reply->arena;
	const char *boundary = random_boundary(arena);
	for (size_t i = 0; i < get->range_count; i++) {
		const struct byte_range *range = &get->ranges[i];
		plan_text(plan,
			arena_printf(arena,
				"%s--%s\r\nContent-Type: %s\r\nContent-Range: bytes "
				"%llu-%llu/%llu\r\n\r\n",
				i ? "\r\n" : "", boundary, get->view.content_type, (unsigned long long)range->first,
				(unsigned long long)range->last, (unsigned long long)get->record.size));
		plan_range(plan, range->first, range->last - range->first + 1);
	}
	plan_text(plan, arena_printf(arena, "\r\n--%s--", boundary));
	headers_set_format(&get->request->reply->headers, "Content-Type", "multipart/byteranges;boundary=%s", boundary);
}

static struct plan make_plan(struct get *get)
{
	struct arena *arena = get->request->reply->arena;
	struct plan plan = {0};
	plan.segments = arena_alloc(arena, (2 * get->range_count + 1) * sizeof(*plan.segments));
	if (get->range_count > 1)
		plan_parts(get, &plan);
	else if (get->range_count == 1)
		plan_range(&plan, get->ranges[0].first, get->ranges[0].last - get->ranges[0].first + 1);
	else if (get->record.size > 0)
		plan_range(&plan, 0, get->record.size);
	return plan;
}

/* ---- replies ---- */

static enum range_result find_ranges(struct get *get)
{
	const struct object_request *r = get->request;
	const char *ignore = object_request_header(r, "X-Backend-Ignore-Range-If-Metadata-Present");
	get->range_count = 0;
	if (first_value(get, ignore))
		return RANGE_NONE;
	enum range_result result =
		range_evaluate(object_request_header(r, "Range"), get->record.size, get->ranges, &get->range_count);
	if (result != RANGE_OK)
		get->range_count = 0;
	return result;
}

static void reply_unsatisfiable(struct get *get)
{
	struct reply *reply = get->request->reply;
	reply_status(reply, 416);
	set_headers(get);
	headers_set_format(&reply->headers, "Content-Range", "bytes */%llu", (unsigned long long)get->record.size);
}

/* 0: the reply streams the body; or why it cannot be had (co_object_stream_new). */
static int co_reply_body(struct get *get)
{
	struct reply *reply = get->request->reply;
	struct plan plan = make_plan(get);
	struct body *body = NULL;
	if (plan.count > 0) {
		int error = co_object_stream_new(get->request, &get->record, plan.segments, plan.count, &body);
		if (error)
			return error;
	}
	if (get->range_count == 1)
		headers_set_format(&reply->headers, "Content-Range", "bytes %llu-%llu/%llu",
			(unsigned long long)get->ranges[0].first, (unsigned long long)get->ranges[0].last,
			(unsigned long long)get->record.size);
	reply->status = get->range_count ? 206 : 200;
	reply->body = body;
	reply->content_length = plan.bytes;
	return 0;
}

static int co_reply_object(struct get *get)
{
	struct object_request *r = get->request;
	int status = condition(get);
	enum range_result ranges = RANGE_NONE;
	if (!status && r->request->method == METHOD_GET)
		ranges = find_ranges(get);
	if (ranges == RANGE_UNSATISFIABLE) {
		reply_unsatisfiable(get);
		return 0;
	}
	reply_empty(r->reply, status ? status : 200);
	set_headers(get);
	if (status)
		return 0;
	if (r->request->method == METHOD_GET)
		return co_reply_body(get);
	headers_set_format(&r->reply->headers, "Content-Length", "%llu", (unsigned long long)get->record.size);
	return 0;
}

/* One attempt. 0: the reply is made. -ENOENT: the body has vanished. */
static int co_attempt(struct get *get)
{
	struct object_request *r = get->request;
	if (co_object_request_record(r, &get->record))
		return 0;
	if (get->record.kind == OBJECT_ABSENT) {
		reply_missing(r, NULL);
		return 0;
	}
	if (get->record.kind == OBJECT_TOMBSTONE) {
		reply_missing(r, &get->record.data_time);
		return 0;
	}
	object_view(&get->record, r->arena, &get->view);
	bool open_expired = r->replication || object_request_is_true(r, "X-Backend-Open-Expired");
	if (!open_expired && object_is_expired(r, &get->view)) {
		reply_missing(r, &get->view.timestamp);
		return 0;
	}
	return co_reply_object(get);
}

void co_object_get(struct object_request *r)
{
	if (object_request_enter(r, false))
		return;
	/* the stream of the reply needs the record for as long as it lasts */
	struct get *get = arena_zalloc(r->reply->arena, sizeof(*get));
	get->request = r;
	int error = -ENOENT;
	for (int i = 0; error == -ENOENT && i < OPEN_ATTEMPTS; i++) {
		reply_reset(r->reply);
		error = co_attempt(get);
	}
	if (!error)
		return;
	reply_reset(r->reply);
	if (error == -ENOENT)
		co_object_quarantine(r, &get->record, "its body is missing");
	if (error == -ENOENT || error == -EBADMSG)
		reply_missing(r, NULL);
	else
		object_reply_device(r, error, "reading an object");
}
