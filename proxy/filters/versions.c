#include "proxy/filters/versions.h"

#include <string.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/swift/url.h"
#include "proxy/filters/symlink.h"

/* ---- names ---- */

/* "\0first\0second" */
static struct slice reserved_name(struct arena *arena, struct slice first, struct slice second)
{
	struct buf name = BUF_INIT;
	buf_append_byte(&name, '\0');
	buf_append_slice(&name, first);
	buf_append_byte(&name, '\0');
	buf_append_slice(&name, second);
	struct slice copy = arena_slice(arena, buf_slice(&name));
	buf_release(&name);
	return copy;
}

/* Exactly two parts, as Swift wants it. */
static bool split_reserved(struct slice name, struct slice *ret_first, struct slice *ret_second)
{
	if (name.length < 2 || name.data[0] != '\0')
		return false;
	const char *end = name.data + name.length, *middle = memchr(name.data + 1, '\0', name.length - 1);
	if (!middle || memchr(middle + 1, '\0', (size_t)(end - middle - 1)))
		return false;
	*ret_first = slice_of(name.data + 1, (size_t)(middle - name.data - 1));
	*ret_second = slice_of(middle + 1, (size_t)(end - middle - 1));
	return true;
}

struct slice versions_container_name(struct arena *arena, struct slice container)
{
	return reserved_name(arena, SLICE_LITERAL("versions"), container);
}

struct slice versions_container_parent(struct slice name)
{
	struct slice word, container;
	if (!split_reserved(name, &word, &container) || !slice_equal(word, SLICE_LITERAL("versions")))
		return name;
	return container;
}

struct slice versions_object_prefix(struct arena *arena, struct slice object)
{
	return reserved_name(arena, object, SLICE_LITERAL(""));
}

struct slice versions_object_name(struct arena *arena, struct slice object, struct timestamp time)
{
	struct timestamp inverted;
	char text[TIMESTAMP_TEXT_BYTES];
	time.offset = 0;
	(void)timestamp_invert(time, &inverted);
	size_t length = timestamp_internal(inverted, text);
	return reserved_name(arena, object, slice_of(text, length));
}

bool versions_object_parse(struct arena *arena, struct slice name, struct slice *ret_object, const char **ret_version)
{
	struct slice object, text;
	struct timestamp inverted, time;
	char version[TIMESTAMP_TEXT_BYTES];
	if (!split_reserved(name, &object, &text) || timestamp_parse(text, &inverted) ||
		timestamp_invert(inverted, &time))
		return false;
	size_t length = timestamp_internal(time, version);
	*ret_object = object;
	*ret_version = arena_strndup(arena, version, length);
	return true;
}

bool versions_path_split(struct slice path, struct slice *ret_container, struct slice *ret_object)
{
	const char *slash = path.length ? memchr(path.data, '/', path.length) : NULL;
	if (!slash || slash == path.data)
		return false;
	*ret_container = slice_of(path.data, (size_t)(slash - path.data));
	*ret_object = slice_of(slash + 1, path.length - ret_container->length - 1);
	return ret_object->length > 0;
}

/* ---- requests ---- */

bool versions_parameter(struct request *request, const char *name, struct slice *ret_value)
{
	struct query query;
	return request->query.length && query_parse(request->arena, request->query, &query) == 0 &&
	       query_get(&query, name, ret_value);
}

static bool is_hidden(struct slice container)
{
	return container.length && container.data[0] == '\0';
}

bool co_versions_may_write(struct request *request, const struct info *container, struct reply *reply)
{
	proxy_context_of(request)->acl = info_header(container, "X-Container-Write");
	return co_authorize(request, reply) == 0;
}

void co_versions_open(const struct filter *filter, struct request *request, struct slice container, struct slice object,
	const char *source_tag, struct versions_source *ret_source)
{
	const struct proxy_context *context = proxy_context_of(request);
	struct inner_request inner = {
		.method = METHOD_GET,
		.account = context->account,
		.container = container,
		.object = object,
		.query = "symlink=get",
		.source = source_tag,
		.authorised = true,
		.reserved_names = is_hidden(container),
	};
	struct reply *reply = &ret_source->reply;
	ret_source->request = inner_request_new(request->arena, request, &inner);
	headers_set(&ret_source->request->headers, "X-Newest", "True");
	reply_init(reply, request->arena);
	co_filter_next(filter, ret_source->request, reply);
	int64_t max = context->proxy->options.constraints.max_file_size;
	if (reply->body && (reply->content_length < 0 || reply->content_length > max)) {
		reply_reset(reply);
		reply_status(reply, 413);
	}
}

void versions_source_end(struct versions_source *source)
{
	reply_finish(source->request, &source->reply, 0, 0);
	source->reply.body = NULL;
}

/* Headers of the stored object's reply that are not its metadata. */
static bool is_of_reply(const char *name, void *argument)
{
	static const char *const names[] = {"Content-Length", "Transfer-Encoding", "X-Timestamp", "Last-Modified",
		"Accept-Ranges", "Date", "Connection", "X-Trans-Id", "X-Openstack-Request-Id", NULL};
	(void)argument;
	if (header_has_prefix(name, "X-Backend-"))
		return true;
	for (size_t i = 0; names[i]; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

void co_versions_store(const struct filter *filter, struct request *request, struct versions_source *source,
	struct slice container, struct slice object, const char *source_tag, struct reply *ret_reply)
{
	struct inner_request inner = {
		.method = METHOD_PUT,
		.account = proxy_context_of(request)->account,
		.container = container,
		.object = object,
		.source = source_tag,
		.authorised = true,
		.reserved_names = is_hidden(container),
	};
	struct request *put = inner_request_new(request->arena, request, &inner);
	struct reply *from = &source->reply;
	headers_copy(&put->headers, &from->headers);
	headers_remove_if(&put->headers, is_of_reply, NULL);
	headers_remove_if(&put->headers, symlink_header_is_grant, NULL);
	proxy_context_of(put)->content_type_overridden = false;
	const char *slo_size = headers_get(&put->headers, "X-Object-Sysmeta-Slo-Size");
	const char *type = headers_get(&put->headers, "Content-Type");
	if (slo_size && type) {
		headers_set_format(&put->headers, "Content-Type", "%s; swift_bytes=%s", type, slo_size);
		proxy_context_of(put)->content_type_overridden = true;
	}
	if (from->body)
		inner_request_set_body(put, from->body, from->content_length);
	else
		inner_request_set_body(put, body_from_slice(put->arena, from->text), (int64_t)from->text.length);
	co_versions_ask(filter, put, ret_reply);
}

void co_versions_ask(const struct filter *filter, struct request *request, struct reply *ret_reply)
{
	struct slice text;
	if (co_inner_request_read(filter, request, VERSIONS_REPLY_BYTES_MAX, ret_reply, &text) == 0)
		return;
	reply_init(ret_reply, request->arena);
	reply_status(ret_reply, 503);
}

void co_versions_mark_deleted(const struct filter *filter, struct request *request, struct slice container,
	struct slice object, bool client_timestamp, const char *source_tag, struct reply *ret_reply)
{
	struct inner_request inner = {
		.method = METHOD_PUT,
		.account = proxy_context_of(request)->account,
		.container = container,
		.object = object,
		.source = source_tag,
		.authorised = true,
		.reserved_names = is_hidden(container),
		.client_timestamp = client_timestamp,
	};
	struct request *put = inner_request_new(request->arena, request, &inner);
	headers_set(&put->headers, "Content-Type", DELETE_MARKER_TYPE);
	proxy_context_of(put)->content_type_overridden = true;
	co_versions_ask(filter, put, ret_reply);
}
