/*
 * The account controller.
 */
#include <string.h>

#include "lib/store/listing_format.h"
#include "lib/swift/accept.h"
#include "lib/swift/constraints.h"
#include "lib/swift/url.h"
#include "proxy/account.h"
#include "proxy/proxy_private.h"

static const char allow[] = "DELETE, GET, HEAD, OPTIONS, POST, PUT";
static const char allow_without_management[] = "GET, HEAD, OPTIONS, POST";

/* The auth filter has moved a client's ACL to the name under which it is stored. "{}" is the ACL
 * that says nothing: none is stored. */
static void drop_empty_acl(struct headers *headers)
{
	const char *acl = headers_get(headers, "X-Account-Sysmeta-Core-Access-Control");
	if (acl && strcmp(acl, "{}") == 0)
		headers_set(headers, "X-Account-Sysmeta-Core-Access-Control", "");
}

static void acl_to_client(struct headers *headers)
{
	const char *acl = headers_get(headers, "X-Account-Sysmeta-Core-Access-Control");
	if (acl)
		headers_set(headers, "X-Account-Access-Control", acl);
}

/* Headers that only the owner may see and set (proxy.md section 4). */
static const char *const owner_headers[] = {
	"X-Account-Meta-Temp-Url-Key", "X-Account-Meta-Temp-Url-Key-2", "X-Account-Access-Control", NULL};

static void hide_owner_headers(struct request *request, struct reply *reply)
{
	if (proxy_context_of(request)->swift_owner)
		return;
	for (size_t i = 0; owner_headers[i]; i++)
		headers_remove(&reply->headers, owner_headers[i]);
}

/* An account that would be created by its first container looks empty. */
static void fake_listing(struct request *request, struct reply *reply)
{
	struct slice format = SLICE_NONE;
	struct query query;
	if (query_parse(request->arena, request->query, &query) == 0)
		(void)query_get(&query, "format", &format);
	enum listing_format chosen = listing_format_choose(format, NULL);
	reply_reset(reply);
	char now[TIMESTAMP_TEXT_BYTES];
	(void)timestamp_normal(proxy_context_of(request)->timestamp, now);
	headers_set(&reply->headers, "X-Account-Container-Count", "0");
	headers_set(&reply->headers, "X-Account-Object-Count", "0");
	headers_set(&reply->headers, "X-Account-Bytes-Used", "0");
	headers_set_format(&reply->headers, "X-Timestamp", "%s", now);
	headers_set_format(&reply->headers, "X-Put-Timestamp", "%s", now);
	const char *type =
		arena_printf(request->arena, "%s; charset=utf-8", listing_format_content_type(chosen < 0 ? 0 : chosen));
	if (request->method == METHOD_HEAD) {
		reply_text(reply, 200, type, "");
		return;
	}
	struct buf body = BUF_INIT;
	struct listing_writer writer;
	listing_writer_begin(&writer, LISTING_ACCOUNT, chosen < 0 ? LISTING_FORMAT_PLAIN : chosen,
		proxy_context_of(request)->account, &body);
	listing_writer_end(&writer);
	reply_text(reply, body.length ? 200 : 204, type, arena_strndup(reply->arena, body.data, body.length));
	buf_release(&body);
}

static void co_get_or_head(struct proxy *proxy, struct request *request, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	struct nodes nodes;
	if (nodes_init(&nodes, proxy, BACKEND_ACCOUNT, 0, context->account, SLICE_NONE, SLICE_NONE, true)) {
		reply_status(reply, 503);
		return;
	}
	struct headers headers;
	headers_init(&headers, request->arena);
	backend_headers(request, &headers, true);
	if (context->allow_reserved_names)
		headers_set(&headers, "X-Backend-Allow-Reserved-Names", "true");
	struct read_plan plan = {
		.nodes = &nodes,
		.method = request->method,
		.account = context->account,
		.query = request->query,
		.headers = &headers,
		.newest = config_true_value(headers_get(&request->headers, "X-Newest")),
	};
	co_read(request, &plan, reply);
	nodes_release(&nodes);
	const char *status = headers_get(&reply->headers, "X-Account-Status");
	if (reply->status == 404 && status && strcmp(status, "Deleted") == 0) {
		reply_reset(reply);
		reply_status(reply, 410);
		return;
	}
	if (reply->status == 404 && proxy->options.account_autocreate)
		fake_listing(request, reply);
	acl_to_client(&reply->headers);
	hide_owner_headers(request, reply);
	headers_set(&reply->headers, "Accept-Ranges", "bytes");
	headers_remove(&reply->headers, "X-Put-Timestamp");
}

/* Checks metadata, sends the write to all account servers, forgets what was known. */
static void co_write(struct proxy *proxy, struct request *request, enum method method, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	struct nodes nodes;
	if (nodes_init(&nodes, proxy, BACKEND_ACCOUNT, 0, context->account, SLICE_NONE, SLICE_NONE, false)) {
		reply_status(reply, 503);
		return;
	}
	struct headers headers;
	headers_init(&headers, request->arena);
	if (method != METHOD_DELETE) {
		drop_empty_acl(&request->headers);
		transfer_headers(request, "account", &headers);
	}
	backend_headers(request, &headers, true);
	struct fan_out plan = {
		.nodes = &nodes,
		.method = method,
		.account = context->account,
		.headers = &headers,
	};
	co_fan_out(request, &plan, reply);
	nodes_release(&nodes);
	info_forget(proxy, context->account, SLICE_NONE);
	acl_to_client(&reply->headers);
}

static bool check_name(struct proxy *proxy, struct request *request, struct reply *reply)
{
	char error[CONSTRAINTS_ERROR_BYTES];
	if (constraints_check_account_name(&proxy->options.constraints, proxy_context_of(request)->account, error) == 0)
		return true;
	reply_text(reply, 400, "text/html; charset=UTF-8", arena_strdup(reply->arena, error));
	return false;
}

bool co_account_autocreate(struct proxy *proxy, struct request *request)
{
	struct proxy_context *context = proxy_context_of(request);
	struct nodes nodes;
	if (!proxy->options.account_autocreate ||
		nodes_init(&nodes, proxy, BACKEND_ACCOUNT, 0, context->account, SLICE_NONE, SLICE_NONE, false))
		return false;
	struct headers headers;
	headers_init(&headers, request->arena);
	backend_headers(request, &headers, true);
	struct fan_out plan = {
		.nodes = &nodes,
		.method = METHOD_PUT,
		.account = context->account,
		.headers = &headers,
	};
	struct reply reply;
	reply_init(&reply, request->arena);
	co_fan_out(request, &plan, &reply);
	nodes_release(&nodes);
	info_forget(proxy, context->account, SLICE_NONE);
	return reply.status / 100 == 2;
}

static void co_put_or_delete(struct proxy *proxy, struct request *request, struct reply *reply)
{
	if (!proxy->options.allow_account_management) {
		reply_not_allowed(reply, allow_without_management);
		return;
	}
	if (request->method == METHOD_DELETE && request->query.length) {
		reply_status(reply, 400);
		return;
	}
	if (request->method == METHOD_PUT &&
		(!check_metadata(proxy, request, "account", reply) || !check_name(proxy, request, reply)))
		return;
	co_write(proxy, request, request->method, reply);
}

static void co_post(struct proxy *proxy, struct request *request, struct reply *reply)
{
	if (!check_name(proxy, request, reply) || !check_metadata(proxy, request, "account", reply))
		return;
	co_write(proxy, request, METHOD_POST, reply);
	if (reply->status != 404 || headers_get(&reply->headers, "X-Account-Status"))
		return;
	if (!co_account_autocreate(proxy, request))
		return;
	reply_reset(reply);
	co_write(proxy, request, METHOD_POST, reply);
}

void co_account_handle(struct proxy *proxy, struct request *request, struct reply *reply)
{
	const char *allowed = proxy->options.allow_account_management ? allow : allow_without_management;
	if (request->method == METHOD_OPTIONS) {
		co_cors_options(proxy, request, reply, allowed);
		return;
	}
	bool known = request->method <= METHOD_DELETE;
	if (!known) {
		reply_not_allowed(reply, allowed);
		return;
	}
	if (co_authorize(request, reply))
		return;
	if (!check_name(proxy, request, reply))
		return;
	if (request->method == METHOD_GET || request->method == METHOD_HEAD)
		co_get_or_head(proxy, request, reply);
	else if (request->method == METHOD_POST)
		co_post(proxy, request, reply);
	else
		co_put_or_delete(proxy, request, reply);
	hide_owner_headers(request, reply);
}
