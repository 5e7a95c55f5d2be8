/*
 * The object controller: GET, HEAD, POST, DELETE; PUT is in object_put.c.
 */
#include "proxy/object.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/swift/constraints.h"
#include "lib/swift/http_date.h"
#include "lib/swift/quorum.h"
#include "proxy/expirer_queue.h"

/* COPY is answered by a filter, for objects alone. */
static const char allow[] = "COPY, DELETE, GET, HEAD, OPTIONS, POST, PUT";

/* ---- headers ---- */

/*
 * What is between the client and this proxy: the connection, what the client can read, who it is.
 * No secret of a client goes to the storage servers. All the rest goes with the request, as in
 * Swift: servers pick what they know.
 */
static bool stays_here(const char *name)
{
	static const char *const names[] = {"Content-Length", "Transfer-Encoding", "Connection", "Expect", "Host",
		"Keep-Alive", "Te", "Trailer", "Upgrade", "Via", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host",
		"X-Forwarded-Proto", "X-Cluster-Client-Ip", "Proxy-Authorization", "Proxy-Connection", "Accept",
		"Accept-Charset", "Accept-Encoding", "Accept-Language", "Origin", "Access-Control-Request-Headers",
		"Access-Control-Request-Method", "Authorization", "Cookie", "X-Auth-Token", "X-Auth-User", "X-Auth-Key",
		"X-Storage-Token", "X-Storage-User", "X-Storage-Pass", "X-Service-Token", "X-Subject-Token", "X-Newest",
		"X-Timestamp", "X-Trans-Id-Extra", NULL};
	for (size_t i = 0; names[i]; i++)
		if (header_name_equal(name, names[i]))
			return true;
	return false;
}

void object_backend_headers(struct request *request, int policy_index, struct headers *headers)
{
	for (size_t i = 0; i < request->headers.count; i++) {
		const struct header *header = &request->headers.items[i];
		if (!stays_here(header->name))
			headers_add(headers, header->name, header->value);
	}
	backend_headers(request, headers, true);
	headers_set_format(headers, "X-Backend-Storage-Policy-Index", "%d", policy_index);
}

bool object_check_content_type(struct request *request, struct reply *reply)
{
	const char *type = headers_get(&request->headers, "Content-Type");
	if (!type || proxy_context_of(request)->content_type_overridden)
		return true;
	for (const char *at = strchr(type, ';'); at; at = strchr(at, ';')) {
		at++;
		at += strspn(at, " \t");
		if (strncmp(at, "swift_", strlen("swift_")) != 0)
			continue;
		reply_text(reply, 400, "text/html; charset=UTF-8",
			"Invalid Content-Type, swift_* is not a valid parameter name.");
		return false;
	}
	return true;
}

bool object_take_delete_at(struct request *request, struct reply *reply, int64_t *ret_delete_at)
{
	char error[CONSTRAINTS_ERROR_BYTES];
	if (delete_at_check(headers_get(&request->headers, "X-Delete-At"),
		    headers_get(&request->headers, "X-Delete-After"), proxy_context_of(request)->timestamp, false,
		    ret_delete_at, error)) {
		reply_plain(reply, 400, arena_strdup(reply->arena, error));
		return false;
	}
	headers_remove(&request->headers, "X-Delete-After");
	if (*ret_delete_at >= 0) {
		char text[DELETE_AT_TEXT_BYTES];
		delete_at_format(*ret_delete_at, text);
		headers_set_format(&request->headers, "X-Delete-At", "%s", text);
	}
	return true;
}

/* ---- updates ---- */

int object_updates_init(struct object_updates *updates, struct proxy *proxy, struct request *request,
	const struct info *container, int64_t delete_at)
{
	struct proxy_context *context = proxy_context_of(request);
	memset(updates, 0, sizeof(*updates));
	updates->policy_index = container->policy_index;
	if (nodes_init(&updates->containers, proxy, BACKEND_CONTAINER, 0, context->account, context->container,
		    SLICE_NONE, false))
		return -ENOENT;
	updates->has_containers = true;
	if (delete_at < 0)
		return 0;
	updates->delete_at_container = expirer_queue_container(
		proxy, request->arena, context->account, context->container, context->object, delete_at);
	updates->has_expirer =
		nodes_init(&updates->expirer, proxy, BACKEND_CONTAINER, 0, SLICE_LITERAL(EXPIRER_QUEUE_ACCOUNT),
			slice_from(updates->delete_at_container), SLICE_NONE, false) == 0;
	return 0;
}

void object_updates_release(struct object_updates *updates)
{
	if (updates->has_containers)
		nodes_release(&updates->containers);
	if (updates->has_expirer)
		nodes_release(&updates->expirer);
	updates->has_containers = updates->has_expirer = false;
}

/* How many updates the requests carry together, so that enough servers hear of a write that only a quorum took. */
static size_t update_count(const struct nodes *nodes, size_t requests)
{
	size_t replicas = nodes->primary_count;
	return num_container_updates(replicas, quorum_size(replicas), requests, quorum_size(requests));
}

void object_updates_headers(void *argument, size_t index, size_t count, struct headers *headers)
{
	const struct object_updates *updates = argument;
	const struct nodes *containers = &updates->containers;
	const struct nodes *expirer = &updates->expirer;
	nodes_share_out(containers, update_count(containers, count), index, count, false, "X-Container", headers);
	if (updates->has_expirer) {
		headers_set_format(headers, "X-Delete-At-Container", "%s", updates->delete_at_container);
		nodes_share_out(expirer, update_count(expirer, count), index, count, true, "X-Delete-At", headers);
	}
	/* the expirer removes entries of the queue by itself, and says so */
	if (!headers_get(headers, "X-Backend-Clean-Expiring-Object-Queue"))
		headers_set(headers, "X-Backend-Clean-Expiring-Object-Queue", index < 2 ? "t" : "f");
}

/* ---- GET and HEAD ---- */

static void unquote_etag(struct reply *reply)
{
	const char *etag = headers_get(&reply->headers, "Etag");
	size_t length = etag ? strlen(etag) : 0;
	if (length >= 2 && etag[0] == '"' && etag[length - 1] == '"')
		headers_set(&reply->headers, "Etag", arena_strndup(reply->arena, etag + 1, length - 2));
}

/* The size that a large object has in listings is not for clients. */
static void clean_content_type(struct reply *reply)
{
	const char *type = headers_get(&reply->headers, "Content-Type");
	const char *last = type ? strrchr(type, ';') : NULL;
	if (!last)
		return;
	const char *name = last + 1 + strspn(last + 1, " \t");
	if (strncmp(name, "swift_bytes=", strlen("swift_bytes=")) == 0)
		headers_set(&reply->headers, "Content-Type", arena_strndup(reply->arena, type, (size_t)(last - type)));
}

/* Objects that have expired and are not removed yet, for those who ask for them. */
static void allow_expired(const struct proxy *proxy, const struct request *request, struct headers *headers)
{
	if (proxy->options.allow_open_expired && config_true_value(headers_get(&request->headers, "X-Open-Expired")))
		headers_set(headers, "X-Backend-Open-Expired", "true");
}

static void co_get_or_head(
	struct proxy *proxy, struct request *request, const struct info *container, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	struct nodes nodes;
	if (nodes_init(&nodes, proxy, BACKEND_OBJECT, container->policy_index, context->account, context->container,
		    context->object, true)) {
		reply_status(reply, 503);
		return;
	}
	struct headers headers;
	headers_init(&headers, request->arena);
	object_backend_headers(request, container->policy_index, &headers);
	allow_expired(proxy, request, &headers);
	struct read_plan plan = {
		.nodes = &nodes,
		.method = request->method,
		.account = context->account,
		.container = context->container,
		.object = context->object,
		.headers = &headers,
		.newest = config_true_value(headers_get(&request->headers, "X-Newest")),
		.is_object = true,
	};
	co_read(request, &plan, reply);
	nodes_release(&nodes);
	unquote_etag(reply);
	clean_content_type(reply);
	headers_set(&reply->headers, "Accept-Ranges", "bytes");
}

/* ---- POST and DELETE ---- */

static void co_write(struct proxy *proxy, struct request *request, const struct info *container, int64_t delete_at,
	struct reply *reply)
{
	static const struct quorum_override delete_overrides[] = {{404, 204}};
	struct proxy_context *context = proxy_context_of(request);
	struct nodes nodes;
	struct object_updates updates;
	if (nodes_init(&nodes, proxy, BACKEND_OBJECT, container->policy_index, context->account, context->container,
		    context->object, false)) {
		reply_status(reply, 503);
		return;
	}
	if (object_updates_init(&updates, proxy, request, container, delete_at)) {
		nodes_release(&nodes);
		reply_status(reply, 503);
		return;
	}
	struct headers headers;
	headers_init(&headers, request->arena);
	object_backend_headers(request, container->policy_index, &headers);
	bool deleting = request->method == METHOD_DELETE;
	if (!deleting)
		allow_expired(proxy, request, &headers);
	struct fan_out plan = {
		.nodes = &nodes,
		.method = request->method,
		.account = context->account,
		.container = context->container,
		.object = context->object,
		.headers = &headers,
		.more_headers = object_updates_headers,
		.argument = &updates,
		.overrides = deleting ? delete_overrides : NULL,
		.override_count = deleting ? 1 : 0,
		.is_post = !deleting,
	};
	co_fan_out(request, &plan, reply);
	object_updates_release(&updates);
	nodes_release(&nodes);
	unquote_etag(reply);
}

static void co_post(struct proxy *proxy, struct request *request, const struct info *container, struct reply *reply)
{
	int64_t delete_at;
	if (!object_check_content_type(request, reply) || !object_take_delete_at(request, reply, &delete_at) ||
		!check_metadata(proxy, request, "object", reply))
		return;
	co_write(proxy, request, container, delete_at, reply);
}

/* ---- who may ---- */

/* The ACL that judges this request. */
static const char *acl_of(const struct request *request, const struct info *container)
{
	bool reading = request->method == METHOD_GET || request->method == METHOD_HEAD;
	return info_header(container, reading ? "X-Container-Read" : "X-Container-Write");
}

static bool co_may(struct request *request, const struct info *container, struct reply *reply)
{
	proxy_context_of(request)->acl = acl_of(request, container);
	return co_authorize(request, reply) == 0;
}

void co_object_handle(struct proxy *proxy, struct request *request, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	if (request->method == METHOD_OPTIONS) {
		co_cors_options(proxy, request, reply, allow);
		return;
	}
	if (request->method > METHOD_DELETE) {
		reply_not_allowed(reply, allow);
		return;
	}
	const struct info *container = co_container_info(proxy, request, context->account, context->container);
	/* before the question who may: without its ACL nobody could say */
	if (container->status / 100 == 5) {
		reply_status(reply, 503);
		return;
	}
	if (!co_may(request, container, reply))
		return;
	bool reading = request->method == METHOD_GET || request->method == METHOD_HEAD;
	if (!info_exists(container)) {
		reply_status(reply, 404);
		return;
	}
	if (reading)
		co_get_or_head(proxy, request, container, reply);
	else if (request->method == METHOD_PUT)
		co_store_object(proxy, request, container, reply);
	else if (request->method == METHOD_POST)
		co_post(proxy, request, container, reply);
	else
		co_write(proxy, request, container, -1, reply);
	/* for the access log; the gatekeeper keeps it from the client */
	headers_set_format(&reply->headers, "X-Backend-Storage-Policy-Index", "%d", container->policy_index);
}
