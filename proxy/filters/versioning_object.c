#include <stdlib.h>
#include <string.h>

#include "lib/swift/http_date.h"
#include "lib/swift/url.h"
#include "proxy/filters/versioning.h"

/*
 * Object requests of containers that are or were versioned.
 */

struct versioned {
	const struct filter *filter;
	struct request *request;
	struct proxy_context *context;
	const struct info *info; /* of the container */
	struct slice hidden;     /* the versions container; .data NULL: there never was one */
	bool enabled;
};

/* A version as its link names it. */
struct version {
	struct slice name; /* in the hidden container */
	const char *etag;
	const char *bytes;
	const char *content_type;
};

/* ---- answers ---- */

static bool refuse(struct reply *reply, int status, const char *text)
{
	reply_text(reply, status, "text/html; charset=UTF-8", text);
	return false;
}

static bool refuse_without_container(struct reply *reply)
{
	reply_text(reply, 500, "text/plain",
		"The versions container does not exist. You may want to re-enable object versioning.");
	return false;
}

/* False: what the client gets for a request of ours that failed is in the reply. */
static bool succeeded(const struct reply *inner, struct reply *reply)
{
	if (inner->status / 100 == 2)
		return true;
	if (inner->status == 404) {
		reply_status(reply, 412);
	} else if (inner->status / 100 == 4) {
		headers_copy(&reply->headers, &inner->headers);
		reply->status = inner->status;
		reply->text = inner->text;
	} else {
		reply_status(reply, 503);
	}
	return false;
}

/* A request of the client's kind, judged as the client's, about a version. */
static struct request *version_request(struct versioned *v, enum method method, struct slice name)
{
	struct slice query = v->request->query;
	struct inner_request inner = {
		.method = method,
		.account = v->context->account,
		.container = v->hidden,
		.object = name,
		.query = query.length ? arena_strndup(v->request->arena, query.data, query.length) : NULL,
		.with_headers = true,
		.reserved_names = true,
		.client_timestamp = true,
	};
	return inner_request_new(v->request->arena, v->request, &inner);
}

/* HEAD of a name in a container, without asking who may. */
static void co_head(struct versioned *v, struct slice container, struct slice object, struct reply *ret_reply)
{
	struct inner_request inner = {
		.method = METHOD_HEAD,
		.account = v->context->account,
		.container = container,
		.object = object,
		.query = "symlink=get",
		.source = VERSIONING_SOURCE,
		.authorised = true,
		.reserved_names = true,
	};
	struct request *head = inner_request_new(v->request->arena, v->request, &inner);
	headers_set(&head->headers, "X-Newest", "True");
	co_versions_ask(v->filter, head, ret_reply);
}

static struct timestamp time_of(const struct reply *reply)
{
	struct timestamp time = TIMESTAMP_ZERO;
	const char *text = headers_get(&reply->headers, "X-Backend-Timestamp");
	if (!text)
		text = headers_get(&reply->headers, "X-Timestamp");
	if (text && timestamp_parse(slice_from(text), &time) == 0)
		return time;
	int64_t seconds = 0;
	const char *modified = headers_get(&reply->headers, "Last-Modified");
	if (modified && http_date_parse(slice_from(modified), &seconds) == 0 && seconds > 0)
		time.raw = (uint64_t)seconds * TIMESTAMP_RAW_PER_SECOND;
	return time;
}

/* ---- PUT ---- */

/*
 * What was stored before versioning was enabled becomes a version before something takes its place. False: the reply says
 * why it cannot.
 */
static bool co_keep_current(struct versioned *v, struct reply *reply)
{
	if (!co_versions_may_write(v->request, v->info, reply))
		return false;
	struct versions_source source;
	co_versions_open(v->filter, v->request, v->context->container, v->context->object, VERSIONING_SOURCE, &source);
	const char *link = headers_get(&source.reply.headers, SYMLINK_STORED_VERSION);
	const char *none_match = headers_get(&v->request->headers, "If-None-Match");
	bool is_put = v->request->method == METHOD_PUT;
	bool none = source.reply.status == 404 || (link && strcmp(link, "true") == 0);
	/* the link would be refused later, when the version is stored already */
	if (is_put && none_match && strcmp(none_match, "*") == 0 && source.reply.status / 100 == 2) {
		versions_source_end(&source);
		reply_status(reply, 412);
		return false;
	}
	if (none || !succeeded(&source.reply, reply)) {
		versions_source_end(&source);
		return none;
	}
	struct slice name = versions_object_name(v->request->arena, v->context->object, time_of(&source.reply));
	struct reply stored;
	co_versions_store(v->filter, v->request, &source, v->hidden, name, VERSIONING_SOURCE, &stored);
	versions_source_end(&source);
	if (stored.status == 404)
		return refuse_without_container(reply);
	return succeeded(&stored, reply);
}

static bool is_expiry(const char *name, void *argument)
{
	(void)argument;
	return strcasecmp(name, "X-Delete-At") == 0 || strcasecmp(name, "X-Delete-After") == 0;
}

/* The client's body on its way, counted: a chunked one has no length before its end. */
struct counted_body {
	struct body body;
	struct body *inner;
	uint64_t bytes;
};

static int co_counted_next(struct body *body, struct chunk *ret_chunk)
{
	struct counted_body *counted = (struct counted_body *)body;
	int error = co_body_next(counted->inner, ret_chunk);
	if (!error)
		counted->bytes += ret_chunk->length;
	return error;
}

/* What was sent as type, without parameters. */
static const char *bare_type(struct arena *arena, const char *type)
{
	size_t length = type ? strcspn(type, ";") : 0;
	while (length && (type[length - 1] == ' ' || type[length - 1] == '\t'))
		length--;
	return arena_strndup(arena, type ? type : "", length);
}

/* The client's data becomes a version. False: the reply says why not. */
static bool co_store_version(struct versioned *v, struct version *ret_version, struct reply *reply)
{
	static const struct body_operations operations = {co_counted_next, NULL};
	struct request *request = v->request;
	struct slice name = versions_object_name(request->arena, v->context->object, v->context->timestamp);
	struct inner_request inner = {
		.method = METHOD_PUT,
		.account = v->context->account,
		.container = v->hidden,
		.object = name,
		.source = VERSIONING_SOURCE,
		.with_headers = true,
		.authorised = true,
		.reserved_names = true,
		.client_timestamp = true,
	};
	struct request *put = inner_request_new(request->arena, request, &inner);
	struct counted_body *counted = arena_zalloc(request->arena, sizeof(*counted));
	counted->body.operations = &operations;
	counted->inner = request->body;
	headers_remove_if(&put->headers, is_expiry, NULL);
	inner_request_set_body(put, &counted->body, request->content_length);
	put->chunked = request->chunked;
	put->has_length = request->has_length;
	struct reply stored;
	co_versions_ask(v->filter, put, &stored);
	if (stored.status == 404)
		return refuse_without_container(reply);
	if (!succeeded(&stored, reply))
		return false;
	const char *slo_size = headers_get(&put->headers, "X-Object-Sysmeta-Slo-Size");
	const char *etag = headers_get(&stored.headers, "Etag");
	*ret_version = (struct version){
		.name = name,
		.etag = etag ? etag : "",
		.bytes = slo_size ? slo_size : arena_printf(request->arena, "%llu", (unsigned long long)counted->bytes),
		.content_type = bare_type(request->arena, headers_get(&put->headers, "Content-Type")),
	};
	return true;
}

/* The link takes the object's place. */
static void co_link_to_version(struct versioned *v, const struct version *version, struct reply *reply)
{
	static const char *const not_for_links[] = {"ETag", "X-If-Delete-At", SYMLINK_TARGET_ACCOUNT,
		"X-Object-Manifest", "X-Static-Large-Object", "X-Object-Sysmeta-Slo-Etag", "X-Object-Sysmeta-Slo-Size",
		NULL};
	struct arena *arena = v->request->arena;
	struct inner_request inner = {
		.method = METHOD_PUT,
		.account = v->context->account,
		.container = v->context->container,
		.object = v->context->object,
		.source = VERSIONING_SOURCE,
		.with_headers = true,
		.reserved_names = true,
		.client_timestamp = true,
	};
	struct request *put = inner_request_new(arena, v->request, &inner);
	for (size_t i = 0; not_for_links[i]; i++)
		headers_remove(&put->headers, not_for_links[i]);
	/* newer than what a plain PUT of the same moment would be */
	proxy_context_of(put)->timestamp.offset = 1;
	proxy_context_of(put)->content_type_overridden = false;
	headers_set(&put->headers, SYMLINK_STORED_ETAG, version->etag);
	headers_set(&put->headers, SYMLINK_STORED_BYTES, version->bytes);
	headers_set(&put->headers, "Content-Type", version->content_type);
	headers_set_format(&put->headers, SYMLINK_TARGET, "%.*s/%.*s", SLICE_PRINT(url_encode(arena, v->hidden, true)),
		SLICE_PRINT(url_encode(arena, version->name, true)));
	headers_set(&put->headers, SYMLINK_STORED_VERSION, "true");
	headers_set(&put->headers, SYMLINK_STORED_EXTEND, "true");
	headers_set(&put->headers, SYMLINK_STORED_RESERVED, "true");
	co_filter_next(v->filter, put, reply);
	struct slice object;
	const char *id;
	headers_set(&reply->headers, "Etag", version->etag);
	if (versions_object_parse(arena, version->name, &object, &id))
		headers_set(&reply->headers, VERSION_ID, id);
}

static void co_put(struct versioned *v, struct reply *reply)
{
	struct version version;
	if (!v->enabled)
		co_filter_next(v->filter, v->request, reply);
	else if (co_keep_current(v, reply) && co_store_version(v, &version, reply))
		co_link_to_version(v, &version, reply);
}

/* ---- DELETE and POST ---- */

static void co_delete(struct versioned *v, struct reply *reply)
{
	if (!v->enabled) {
		co_filter_next(v->filter, v->request, reply);
		return;
	}
	if (!co_keep_current(v, reply))
		return;
	struct arena *arena = v->request->arena;
	struct slice name = versions_object_name(arena, v->context->object, v->context->timestamp), object;
	struct reply marked;
	const char *id;
	co_versions_mark_deleted(v->filter, v->request, v->hidden, name, true, VERSIONING_SOURCE, &marked);
	if (!succeeded(&marked, reply))
		return;
	co_filter_next(v->filter, v->request, reply);
	if (reply->status / 100 != 2 && reply->status != 404)
		return;
	if (versions_object_parse(arena, name, &object, &id))
		headers_set(&reply->headers, VERSION_ID, id);
	headers_set(&reply->headers, "X-Backend-Content-Type", DELETE_MARKER_TYPE);
}

/* The name of the version that a path of the hidden container means; false: it is another path. */
static bool is_version_path(struct versioned *v, const char *path, struct slice *ret_name)
{
	struct slice parts[4];
	if (!path || path_split(v->request->arena, slice_from(path), 4, 4, true, parts))
		return false;
	*ret_name = parts[3];
	return slice_equal(parts[1], v->context->account) && slice_equal(parts[2], v->hidden);
}

/* Metadata that the link has taken goes to the version, too. */
static void co_post(struct versioned *v, struct reply *reply)
{
	struct inner_request inner = {
		.method = METHOD_POST,
		.account = v->context->account,
		.container = v->hidden,
		.source = VERSIONING_SOURCE,
		.with_headers = true,
		.authorised = true,
		.reserved_names = true,
	};
	/* as the client sent it: the controllers change headers */
	struct headers sent;
	headers_init(&sent, v->request->arena);
	headers_copy(&sent, &v->request->headers);
	headers_remove_if(&sent, is_expiry, NULL);
	co_filter_next(v->filter, v->request, reply);
	const char *location = headers_get(&reply->headers, "Location");
	if (reply->status != 307 || !config_true_value(headers_get(&reply->headers, SYMLINK_STORED_VERSION)) ||
		!is_version_path(v, location, &inner.object))
		return;
	struct request *post = inner_request_new(v->request->arena, v->request, &inner);
	headers_init(&post->headers, v->request->arena);
	headers_copy(&post->headers, &sent);
	headers_remove(&post->headers, "Content-Length");
	headers_remove(&post->headers, "Transfer-Encoding");
	reply_reset(reply);
	co_filter_next(v->filter, post, reply);
}

/* ---- GET and HEAD ---- */

static const char *own_path_with_id(struct versioned *v, const char *prefix, const char *id)
{
	struct arena *arena = v->request->arena;
	return arena_printf(arena, "%s%.*s/%.*s?version-id=%s", prefix,
		SLICE_PRINT(url_encode(arena, v->context->container, true)),
		SLICE_PRINT(url_encode(arena, v->context->object, true)), id);
}

/* Tells which version it was, in words of the client's own container. */
static void co_get(struct versioned *v, struct reply *reply)
{
	struct arena *arena = v->request->arena;
	struct slice name, container, object;
	const char *id;
	co_filter_next(v->filter, v->request, reply);
	headers_set(&reply->headers, VERSION_ID, "null");
	const char *location = headers_get(&reply->headers, "Content-Location");
	if (is_version_path(v, location, &name) && versions_object_parse(arena, name, &object, &id)) {
		const char *prefix = arena_printf(arena, "/%s/%.*s/", v->context->version,
			SLICE_PRINT(url_encode(arena, v->context->account, true)));
		headers_set(&reply->headers, VERSION_ID, id);
		headers_set(&reply->headers, "Content-Location", own_path_with_id(v, prefix, id));
	}
	const char *target = headers_get(&reply->headers, SYMLINK_TARGET);
	if (target && versions_path_split(url_decode(arena, slice_from(target), false), &container, &name) &&
		slice_equal(container, v->hidden) && versions_object_parse(arena, name, &object, &id)) {
		headers_set(&reply->headers, VERSION_ID, id);
		headers_set(&reply->headers, SYMLINK_TARGET, own_path_with_id(v, "", id));
	}
}

/* ---- requests with version-id ---- */

static void co_get_version(struct versioned *v, const char *id, struct slice name, struct reply *reply)
{
	co_filter_next(v->filter, version_request(v, v->request->method, name), reply);
	const char *type = headers_get(&reply->headers, "X-Backend-Content-Type");
	if (!type)
		type = headers_get(&reply->headers, "Content-Type");
	if (type && strcmp(type, DELETE_MARKER_TYPE) == 0) {
		reply_reset(reply);
		reply_status(reply, 404);
		headers_set(&reply->headers, VERSION_ID, id);
		headers_set(&reply->headers, "Content-Type", DELETE_MARKER_TYPE);
	} else if (reply->status / 100 == 2) {
		headers_set(&reply->headers, VERSION_ID, id);
	}
}

/* "null": what is in the client's own container, unless that is a link to a version. */
static void co_get_null(struct versioned *v, struct reply *reply)
{
	struct arena *arena = v->request->arena;
	struct slice parts[4];
	co_filter_next(v->filter, v->request, reply);
	if (reply->status / 100 != 2)
		return;
	const char *location = headers_get(&reply->headers, "Content-Location");
	struct slice none = versions_container_name(arena, SLICE_LITERAL(""));
	if (location && path_split(arena, slice_from(location), 4, 4, true, parts) == 0 &&
		slice_starts_with(parts[2], none)) {
		reply_reset(reply);
		reply_status(reply, 404);
		return;
	}
	headers_set(&reply->headers, VERSION_ID, "null");
}

/* Without a query, which names a version. */
static void co_delete_link(struct versioned *v, struct reply *ret_reply)
{
	struct inner_request inner = {
		.method = METHOD_DELETE,
		.account = v->context->account,
		.container = v->context->container,
		.object = v->context->object,
		.with_headers = true,
		.client_timestamp = true,
	};
	co_versions_ask(v->filter, inner_request_new(v->request->arena, v->request, &inner), ret_reply);
}

static void co_delete_version(struct versioned *v, const char *id, struct slice name, struct reply *reply)
{
	struct arena *arena = v->request->arena;
	struct slice container = SLICE_NONE, linked = SLICE_NONE, object;
	const char *current = "null";
	struct reply head, link;
	co_head(v, v->context->container, v->context->object, &head);
	if (head.status != 404 && !succeeded(&head, reply))
		return;
	const char *is_link = headers_get(&head.headers, SYMLINK_STORED_VERSION);
	const char *target = headers_get(&head.headers, SYMLINK_TARGET);
	bool links = head.status != 404 && is_link && strcmp(is_link, "true") == 0 && target &&
		     versions_path_split(url_decode(arena, slice_from(target), false), &container, &linked);
	if (links && slice_equal(container, v->hidden) && slice_equal(linked, name)) {
		co_delete_link(v, &link);
		if (!succeeded(&link, reply))
			return;
	} else if (links) {
		(void)versions_object_parse(arena, linked, &object, &current);
	}
	co_filter_next(v->filter, version_request(v, METHOD_DELETE, name), reply);
	headers_set(&reply->headers, VERSION_ID, id);
	headers_set(&reply->headers, "X-Object-Current-Version-Id", current);
}

static bool co_has_body(struct request *request)
{
	struct chunk chunk;
	if (!request->chunked)
		return request->content_length > 0;
	if (co_body_next(request->body, &chunk) || chunk.length == 0)
		return false;
	chunk_release(&chunk);
	return true;
}

/* An older version becomes the current one again: the link is made anew. */
static void co_restore(struct versioned *v, struct slice name, struct reply *reply)
{
	struct reply head;
	if (!v->request->chunked && !v->request->has_length) {
		reply_status(reply, 411);
		return;
	}
	if (co_has_body(v->request)) {
		reply_text(reply, 400, "text/plain", "PUT version-id requests require a zero byte body");
		return;
	}
	co_head(v, v->hidden, name, &head);
	if (head.status == 404) {
		const struct info *info =
			co_container_info(v->context->proxy, v->request, v->context->account, v->hidden);
		if (info_exists(info))
			reply_text(reply, 404, "text/plain", "The specified version does not exist");
		else
			(void)refuse_without_container(reply);
		return;
	}
	if (!succeeded(&head, reply))
		return;
	const char *etag = headers_get(&head.headers, "Etag"), *bytes = headers_get(&head.headers, "Content-Length");
	const char *type = headers_get(&head.headers, "Content-Type");
	struct version version = {name, etag ? etag : "", bytes ? bytes : "0", type ? type : ""};
	co_link_to_version(v, &version, reply);
}

static void co_with_id(struct versioned *v, struct slice id, struct reply *reply)
{
	struct request *request = v->request;
	bool null = slice_equal(id, SLICE_LITERAL("null"));
	struct timestamp time = TIMESTAMP_ZERO;
	if (request->method == METHOD_POST) {
		(void)refuse(reply, 400, "POST to a specific version is not allowed");
		return;
	}
	if (!v->hidden.data && !null) {
		(void)refuse(reply, 400, "version-aware operations require that the container is versioned");
		return;
	}
	bool bad = !null && (timestamp_parse(id, &time) || time.offset);
	if (bad || (null && request->method == METHOD_PUT)) {
		(void)refuse(reply, 400, "Invalid version parameter");
		return;
	}
	const char *text = arena_strndup(request->arena, id.data, id.length);
	struct slice name = versions_object_name(request->arena, v->context->object, time);
	bool reads = request->method == METHOD_GET || request->method == METHOD_HEAD;
	if (reads && null)
		co_get_null(v, reply);
	else if (reads)
		co_get_version(v, text, name, reply);
	else if (request->method == METHOD_DELETE && !null)
		co_delete_version(v, text, name, reply);
	else if (request->method == METHOD_PUT)
		co_restore(v, name, reply);
	else
		co_filter_next(v->filter, request, reply);
}

/* ---- all ---- */

void co_versioning_object(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	const struct info *info = co_container_info(context->proxy, request, context->account, context->container);
	struct versioned v = {
		.filter = filter,
		.request = request,
		.context = context,
		.info = info,
		.hidden = versioning_hidden_container(request->arena, info),
		.enabled = config_true_value(info_header(info, VERSIONS_STORED_ENABLED)),
	};
	struct slice id;
	if (versions_parameter(request, "version-id", &id) && id.length)
		co_with_id(&v, id, reply);
	else if (!v.hidden.data)
		co_filter_next(filter, request, reply);
	else if (request->method == METHOD_PUT)
		co_put(&v, reply);
	else if (request->method == METHOD_POST)
		co_post(&v, reply);
	else if (request->method == METHOD_DELETE)
		co_delete(&v, reply);
	else
		co_get(&v, reply);
}
