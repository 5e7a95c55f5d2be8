#include "proxy/inner_request.h"

#include <strings.h>

#include "lib/base/buf.h"
#include "lib/swift/bounded_json.h"
#include "lib/swift/url.h"

/* What belongs to the client's body and connection. */
static bool is_of_framing(const char *name, void *argument)
{
	static const char *const names[] = {"Content-Length", "Transfer-Encoding", "Expect", "Trailer", NULL};
	(void)argument;
	for (size_t i = 0; names[i]; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static void append_part(struct buf *path, struct slice part, bool keep_slash)
{
	buf_append_byte(path, '/');
	url_encode_append(path, part, keep_slash);
}

struct slice inner_request_path(
	struct arena *arena, const char *version, struct slice account, struct slice container, struct slice object)
{
	struct buf path = BUF_INIT;
	append_part(&path, slice_from(version), false);
	if (account.data) {
		append_part(&path, account, false);
		if (container.data) {
			append_part(&path, container, false);
			if (object.data)
				append_part(&path, object, true);
		}
	}
	struct slice text = arena_slice(arena, buf_slice(&path));
	buf_release(&path);
	return text;
}

static struct proxy_context *inner_context(
	struct arena *arena, const struct request *original, const struct inner_request *inner)
{
	struct proxy_context *context = arena_alloc(arena, sizeof(*context));
	*context = *proxy_context_of(original);
	context->account = inner->account;
	context->container = inner->container;
	context->object = inner->object;
	context->acl = NULL;
	context->over_quota = NULL;
	if (!inner->client_timestamp)
		context->timestamp = timestamp_now();
	if (inner->source)
		context->source = inner->source;
	if (inner->reserved_names)
		context->allow_reserved_names = true;
	if (inner->authorised) {
		context->co_authorize = NULL;
		context->authorize_override = true;
		context->swift_owner = true;
	}
	if (!context->version)
		context->version = "v1";
	return context;
}

struct request *inner_request_new(
	struct arena *arena, const struct request *original, const struct inner_request *inner)
{
	struct request *request = arena_alloc(arena, sizeof(*request));
	struct proxy_context *context = inner_context(arena, original, inner);
	*request = *original;
	request->arena = arena;
	request->context = context;
	request->method = inner->method;
	request->method_text = method_name(inner->method);
	request->path = inner_request_path(arena, context->version, inner->account, inner->container, inner->object);
	request->query = inner->query ? slice_from(inner->query) : SLICE_NONE;
	request->continue_headers = NULL;
	request->transport = NULL;
	headers_init(&request->headers, arena);
	if (inner->with_headers) {
		headers_copy(&request->headers, &original->headers);
		headers_remove_if(&request->headers, is_of_framing, NULL);
	} else if (headers_get(&original->headers, "Referer")) {
		/* a container's ACL may judge by it */
		headers_set(&request->headers, "Referer", headers_get(&original->headers, "Referer"));
	}
	inner_request_set_body(request, body_from_slice(arena, SLICE_NONE), 0);
	return request;
}

void inner_request_set_body(struct request *request, struct body *body, int64_t content_length)
{
	request->body = body;
	request->content_length = content_length;
	request->chunked = content_length < 0;
	request->has_length = !request->chunked;
	request->digest = NULL;
}

int co_inner_request_read(const struct filter *filter, struct request *request, size_t bytes_max,
	struct reply *ret_reply, struct slice *ret_body)
{
	struct reply reply;
	reply_init(&reply, request->arena);
	co_filter_next(filter, request, &reply);
	struct slice body = reply.text;
	int error = reply.body ? co_body_read_all(reply.body, request->arena, bytes_max, &body) : 0;
	reply_finish(request, &reply, body.length, error);
	reply.body = NULL;
	reply.text = body;
	*ret_reply = reply;
	if (!error)
		*ret_body = body;
	return error;
}

/* ---- listings ---- */

static void append_parameter(struct buf *query, const char *name, struct slice value)
{
	if (value.length == 0)
		return;
	buf_printf(query, "&%s=", name);
	url_encode_append(query, value, false);
}

static const char *listing_query(struct arena *arena, const struct inner_listing *listing)
{
	struct buf query = BUF_INIT;
	buf_append_text(&query, "format=json");
	append_parameter(&query, "prefix", listing->prefix);
	append_parameter(&query, "marker", listing->marker);
	append_parameter(&query, "end_marker", listing->end_marker);
	append_parameter(&query, "delimiter", listing->delimiter);
	if (listing->limit)
		buf_printf(&query, "&limit=%zu", listing->limit);
	if (listing->reverse)
		buf_append_text(&query, "&reverse=true");
	char *text = arena_strndup(arena, buf_slice(&query).data, query.length);
	buf_release(&query);
	return text;
}

json_t *co_inner_listing(const struct filter *filter, const struct request *original, struct arena *arena,
	const struct inner_listing *listing, struct reply *ret_reply)
{
	struct inner_request inner = {
		.method = METHOD_GET,
		.account = listing->account,
		.container = listing->container,
		.query = listing_query(arena, listing),
		.source = listing->source,
		.authorised = listing->authorised,
		.reserved_names = listing->reserved_names,
	};
	struct request *request = inner_request_new(arena, original, &inner);
	struct slice body;
	int error = co_inner_request_read(filter, request, INNER_LISTING_BYTES_MAX, ret_reply, &body);
	if (!error && ret_reply->status / 100 != 2)
		return NULL;
	json_t *rows = error ? NULL : ret_reply->status == 204 ? json_array() : bounded_json_parse(body, NULL);
	if (json_is_array(rows))
		return rows;
	json_decref(rows);
	reply_reset(ret_reply);
	reply_status(ret_reply, 502);
	return NULL;
}
