#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/swift/url.h"
#include "lib/swift/constraints.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/symlink.h"
#include "proxy/inner_request.h"
#include "proxy/proxy_private.h"

/*
 * COPY with Destination, and PUT with X-Copy-From: a GET of the source whose body becomes the body
 * of a PUT, both through the rest of the chain, so that each is authorised for itself.
 */

struct copy {
	const struct filter *filter;
	struct request *request;
	struct slice source_account, source_container, source_object; /* decoded */
	struct slice target_account, target_container, target_object;
	bool fresh_metadata;
	bool manifest_wanted; /* multipart-manifest=get: of a large object the manifest */
};

/* ---- the names ---- */

/* "container/object" of a header, percent-encoded, a leading slash allowed. */
static bool split_name(struct arena *arena, const char *text, struct slice *ret_container, struct slice *ret_object)
{
	struct slice raw = slice_from(text);
	const char *mark = memchr(raw.data, '?', raw.length);
	if (mark)
		raw.length = (size_t)(mark - raw.data);
	struct slice decoded = url_decode(arena, raw, false);
	if (decoded.length && decoded.data[0] == '/') {
		decoded.data++;
		decoded.length--;
	}
	const char *slash = memchr(decoded.data, '/', decoded.length);
	if (!slash || slash == decoded.data)
		return false;
	*ret_container = slice_of(decoded.data, (size_t)(slash - decoded.data));
	*ret_object = slice_of(slash + 1, decoded.length - ret_container->length - 1);
	return ret_object->length > 0;
}

/* Swift's check_account_format: one path segment. */
static bool account_of(struct request *request, const char *header, struct slice fallback, struct slice *ret_account,
	struct reply *reply)
{
	const char *text = headers_get(&request->headers, header);
	*ret_account = fallback;
	/* an empty X-Copy-From-Account counts as none, an empty Destination-Account does not (as in
	 * Swift) */
	if (!text || (!*text && strcmp(header, "X-Copy-From-Account") == 0))
		return true;
	struct slice decoded = url_decode(request->arena, slice_from(text), false);
	if (decoded.length == 0) {
		reply_text(reply, 412, "text/html; charset=UTF-8", "Account name cannot be empty");
		return false;
	}
	if (memchr(decoded.data, '/', decoded.length)) {
		reply_text(reply, 412, "text/html; charset=UTF-8", "Account name cannot contain slashes");
		return false;
	}
	*ret_account = decoded;
	return true;
}

static bool name_or_412(struct request *request, const char *header, struct slice *ret_container,
	struct slice *ret_object, struct reply *reply)
{
	const char *text = headers_get(&request->headers, header);
	if (text && split_name(request->arena, text, ret_container, ret_object))
		return true;
	reply_text(reply, 412, "text/html; charset=UTF-8",
		arena_printf(reply->arena, "%s header must be of the form <container name>/<object name>", header));
	return false;
}

static bool take_copy(struct copy *copy, struct reply *reply)
{
	struct request *request = copy->request;
	struct proxy_context *context = proxy_context_of(request);
	copy->target_account = context->account;
	copy->target_container = context->container;
	copy->target_object = context->object;
	if (!account_of(request, "X-Copy-From-Account", context->account, &copy->source_account, reply))
		return false;
	return name_or_412(request, "X-Copy-From", &copy->source_container, &copy->source_object, reply);
}

/* COPY: the request's own path is the source. */
static bool take_destination(struct copy *copy, struct reply *reply)
{
	struct request *request = copy->request;
	struct proxy_context *context = proxy_context_of(request);
	const char *destination = headers_get(&request->headers, "Destination");
	if (!destination || !*destination) {
		reply_text(reply, 412, "text/html; charset=UTF-8", "Destination header required");
		return false;
	}
	copy->source_account = context->account;
	copy->source_container = context->container;
	copy->source_object = context->object;
	if (!account_of(request, "Destination-Account", context->account, &copy->target_account, reply))
		return false;
	return name_or_412(request, "Destination", &copy->target_container, &copy->target_object, reply);
}

/* ---- the two requests ---- */

/* The client's parameters without some, and with one more; "" for none. */
static const char *query_without(
	const struct copy *copy, const char *name, const char *other, const char *more, const char *value)
{
	struct request *request = copy->request;
	struct query query;
	struct buf text = BUF_INIT;
	if (query_parse(request->arena, request->query, &query) == 0)
		for (size_t i = 0; i < query.count; i++) {
			const struct query_parameter *parameter = &query.parameters[i];
			if (slice_equal(parameter->name, slice_from(name)) ||
				slice_equal(parameter->name, slice_from(other)))
				continue;
			buf_append_text(&text, text.length ? "&" : "");
			url_encode_append(&text, parameter->name, false);
			buf_append_byte(&text, '=');
			url_encode_append(&text, parameter->value, false);
		}
	if (more)
		buf_printf(&text, "%s%s=%s", text.length ? "&" : "", more, value);
	char *kept = arena_strndup(request->arena, text.data ? text.data : "", text.length);
	buf_release(&text);
	return kept;
}

static bool is_source_only(const char *name, void *argument)
{
	static const char *const names[] = {"Content-Length", "Transfer-Encoding", "Etag", "If-None-Match", "If-Match",
		"If-Modified-Since", "If-Unmodified-Since", "Range", "X-Copy-From", "X-Copy-From-Account",
		"Destination", "Destination-Account", "X-Fresh-Metadata", "Expect", NULL};
	(void)argument;
	for (size_t i = 0; names[i]; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static void co_get_source(struct copy *copy, struct reply *reply)
{
	const struct inner_request get = {
		.method = METHOD_GET,
		.account = copy->source_account,
		.container = copy->source_container,
		.object = copy->source_object,
		/* a manifest is copied in the form in which clients send it */
		.query = copy->manifest_wanted ? query_without(copy, "format", "format", "format", "raw")
					       : query_without(copy, "", "", NULL, NULL),
		.source = "SSC",
		.with_headers = true,
	};
	struct request *request = inner_request_new(copy->request->arena, copy->request, &get);
	headers_remove(&request->headers, "X-Copy-From");
	headers_set(&request->headers, "X-Newest", "True");
	co_filter_next(copy->filter, request, reply);
}

/* Headers of the source that go with the copy; what the client sent wins. With fresh metadata only
 * the client's, but sysmeta and what tells how to read the data stay. */
static void inherit_headers(struct copy *copy, struct request *put, const struct reply *source)
{
	static const char *const always[] = {"Content-Type", NULL};
	static const char *const kept[] = {"Content-Encoding", "Content-Disposition", "X-Delete-At", "Cache-Control",
		"Content-Language", "Expires", "X-Robots-Tag", NULL};
	static const char link[] = "X-Symlink-Target"; /* of a link that was asked for as such */
	for (size_t i = 0; i < source->headers.count; i++) {
		const struct header *header = &source->headers.items[i];
		if (symlink_header_is_grant(header->name, NULL))
			continue;
		bool wanted = header_has_prefix(header->name, "X-Object-Sysmeta-");
		for (size_t j = 0; always[j]; j++)
			wanted |= strcasecmp(header->name, always[j]) == 0;
		if (!copy->fresh_metadata) {
			wanted |= header_has_prefix(header->name, "X-Object-Meta-") ||
				  header_has_prefix(header->name, "X-Object-Transient-Sysmeta-") ||
				  header_has_prefix(header->name, link);
			for (size_t j = 0; kept[j]; j++)
				wanted |= strcasecmp(header->name, kept[j]) == 0;
		}
		const char *sent = headers_get(&put->headers, header->name);
		bool deletes_itself =
			strcasecmp(header->name, "X-Delete-At") == 0 && headers_get(&put->headers, "X-Delete-After");
		if (wanted && (!sent || !*sent) && !deletes_itself)
			headers_set(&put->headers, header->name, header->value);
	}
}

/* A manifest that was read as such is stored as such. */
static const char *put_query(const struct copy *copy, const struct reply *source)
{
	bool is_static = headers_get(&source->headers, "X-Static-Large-Object") != NULL;
	bool is_dynamic = headers_get(&source->headers, "X-Object-Manifest") != NULL;
	if (copy->manifest_wanted && (is_static || is_dynamic))
		return query_without(
			copy, "multipart-manifest", "version-id", is_dynamic ? NULL : "multipart-manifest", "put");
	return query_without(copy, "version-id", "version-id", NULL, NULL);
}

/* The ETag of a large object is not that of its bytes. */
static bool etag_is_of_content(const struct copy *copy, const struct reply *source)
{
	if (headers_get(&source->headers, "X-Static-Large-Object"))
		return false;
	return copy->manifest_wanted || !headers_get(&source->headers, "X-Object-Manifest");
}

static void co_put_target(struct copy *copy, const struct reply *source, struct reply *reply)
{
	const struct inner_request put = {
		.method = METHOD_PUT,
		.account = copy->target_account,
		.container = copy->target_container,
		.object = copy->target_object,
		.query = put_query(copy, source),
		.source = "SSC",
		.with_headers = true,
	};
	struct request *request = inner_request_new(copy->request->arena, copy->request, &put);
	headers_remove_if(&request->headers, is_source_only, NULL);
	inherit_headers(copy, request, source);
	if (source->body)
		inner_request_set_body(request, source->body, source->content_length);
	else
		inner_request_set_body(
			request, body_from_slice(request->arena, source->text), (int64_t)source->text.length);
	/* a whole copy must arrive as it left */
	const char *source_etag = headers_get(&source->headers, "Etag");
	if (source->status == 200 && source_etag && etag_is_of_content(copy, source))
		headers_set(&request->headers, "ETag", source_etag);
	else
		headers_remove_prefix(&request->headers, "X-Object-Sysmeta-Container-Update-Override-");
	const char *prefix = headers_get(&source->headers, "X-Object-Manifest");
	if (copy->manifest_wanted && prefix)
		headers_set(&request->headers, "X-Object-Manifest", prefix);
	co_filter_next(copy->filter, request, reply);
}

static void describe_source(struct copy *copy, const struct reply *source, struct reply *reply)
{
	struct slice from = url_encode(reply->arena, copy->source_account, false);
	headers_set_format(&reply->headers, "X-Copied-From-Account", "%.*s", SLICE_PRINT(from));
	struct slice container = url_encode(reply->arena, copy->source_container, false);
	struct slice object = url_encode(reply->arena, copy->source_object, true);
	headers_set_format(&reply->headers, "X-Copied-From", "%.*s/%.*s", SLICE_PRINT(container), SLICE_PRINT(object));
	const char *modified = headers_get(&source->headers, "Last-Modified");
	if (modified)
		headers_set(&reply->headers, "X-Copied-From-Last-Modified", modified);
	const char *version = headers_get(&source->headers, "X-Object-Version-Id");
	if (version)
		headers_set(&reply->headers, "X-Copied-From-Version-Id", version);
	for (size_t i = 0; i < source->headers.count; i++) {
		const struct header *header = &source->headers.items[i];
		if (header_has_prefix(header->name, "X-Object-Meta-") && !copy->fresh_metadata &&
			!headers_get(&reply->headers, header->name))
			headers_set(&reply->headers, header->name, header->value);
	}
	for (size_t i = 0; i < copy->request->headers.count; i++) {
		const struct header *header = &copy->request->headers.items[i];
		if (header_has_prefix(header->name, "X-Object-Meta-"))
			headers_set(&reply->headers, header->name, header->value);
	}
}

static bool wants_manifest(struct request *request)
{
	struct query query;
	struct slice mode;
	return request->query.length && query_parse(request->arena, request->query, &query) == 0 &&
	       query_get(&query, "multipart-manifest", &mode) && slice_equal(mode, SLICE_LITERAL("get"));
}

static void co_copy(struct copy *copy, struct reply *reply)
{
	struct request *request = copy->request;
	struct constraints limits = proxy_options_of(copy->filter->context)->constraints;
	copy->manifest_wanted = wants_manifest(request);
	copy->fresh_metadata = config_true_value(headers_get(&request->headers, "X-Fresh-Metadata"));
	struct reply source;
	reply_init(&source, request->arena);
	co_get_source(copy, &source);
	if (source.status / 100 != 2) {
		source.finished = reply->finished;
		source.finished_argument = reply->finished_argument;
		*reply = source;
		return;
	}
	/* one of unknown length is a dynamic large object with more segments than a listing shows */
	if (source.body && (source.content_length > limits.max_file_size || source.content_length < 0)) {
		reply_finish(request, &source, 0, 0);
		reply_status(reply, 413);
		return;
	}
	co_put_target(copy, &source, reply);
	if (reply->status / 100 == 2)
		describe_source(copy, &source, reply);
	reply_finish(request, &source, 0, 0);
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	const char *copy_from = headers_get(&request->headers, "X-Copy-From");
	bool to_here = request->method == METHOD_PUT && copy_from && *copy_from;
	if (!context->object.data || (!to_here && request->method != METHOD_COPY)) {
		co_filter_next(filter, request, reply);
		return;
	}
	struct copy copy = {.filter = filter, .request = request};
	if (to_here && request->content_length > 0) {
		reply_text(reply, 400, "text/html; charset=UTF-8", "Copy requests require a zero byte body");
		return;
	}
	if (!(to_here ? take_copy(&copy, reply) : take_destination(&copy, reply)))
		return;
	co_copy(&copy, reply);
}

struct filter filter_copy(struct proxy *proxy)
{
	return (struct filter){.name = "copy", .co_handle = co_handle, .context = proxy};
}
