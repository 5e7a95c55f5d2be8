/*
 * The container controller.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/swift/acl.h"
#include "lib/swift/constraints.h"
#include "lib/swift/url.h"
#include "proxy/account.h"
#include "proxy/proxy_private.h"

static const char allow[] = "DELETE, GET, HEAD, OPTIONS, POST, PUT";

/* ---- what the owner alone may see and set ---- */

static const char *const owner_headers[] = {"X-Container-Read", "X-Container-Write", "X-Container-Sync-Key",
	"X-Container-Sync-To", "X-Container-Meta-Temp-Url-Key", "X-Container-Meta-Temp-Url-Key-2", NULL};

static void hide_owner_headers(struct request *request, struct headers *headers)
{
	if (proxy_context_of(request)->swift_owner)
		return;
	for (size_t i = 0; owner_headers[i]; i++) {
		headers_remove(headers, owner_headers[i]);
		headers_remove(headers, arena_printf(request->arena, "X-Remove-%s", owner_headers[i] + strlen("X-")));
	}
}

/* Swift's clean_acls: refused with 400, or the cleaned text takes the header's place. */
static bool clean_acls(struct request *request, struct reply *reply)
{
	static const char *const names[] = {"X-Container-Read", "X-Container-Write"};
	for (size_t i = 0; i < 2; i++) {
		const char *value = headers_get(&request->headers, names[i]);
		if (!value)
			continue;
		struct slice clean;
		const char *error;
		if (acl_clean(request->arena, names[i], slice_from(value), &clean, &error)) {
			reply_plain(reply, 400, error);
			return false;
		}
		headers_set(&request->headers, names[i], arena_strndup(request->arena, clean.data, clean.length));
	}
	return true;
}

/* ---- policies by name ---- */

static void policy_to_client(struct proxy *proxy, struct reply *reply)
{
	const char *index = headers_get(&reply->headers, "X-Backend-Storage-Policy-Index");
	if (!index)
		return;
	const struct proxy_policy *policy = proxy_policy_by_index(proxy, (int)strtol(index, NULL, 10));
	if (policy)
		headers_set(&reply->headers, "X-Storage-Policy", policy->name);
}

/* The policy that the client names; *ret_index is -1 when it names none. False: 400 is set. */
static bool policy_from_client(struct proxy *proxy, struct request *request, struct reply *reply, int *ret_index)
{
	const char *name = headers_get(&request->headers, "X-Storage-Policy");
	*ret_index = -1;
	if (!name || !*name)
		return true;
	const struct proxy_policy *policy = proxy_policy_by_name(proxy, name);
	if (!policy) {
		reply_plain(reply, 400, arena_printf(reply->arena, "Invalid X-Storage-Policy '%s'", name));
		return false;
	}
	if (policy->is_deprecated) {
		reply_plain(reply, 400, arena_printf(reply->arena, "Storage Policy '%s' is deprecated", policy->name));
		return false;
	}
	*ret_index = policy->index;
	return true;
}

/* 200 when the account is there or need not be; 404; 503 when nobody could say. */
static int co_account_status(struct proxy *proxy, struct request *request)
{
	struct slice account = proxy_context_of(request)->account;
	if (constraints_account_auto_created(&proxy->options.constraints, account))
		return 200;
	const struct info *info = co_account_info(proxy, request, account);
	if (info_exists(info))
		return 200;
	return info->status / 100 == 5 ? 503 : 404;
}

/* ---- GET and HEAD ---- */

static void co_get_or_head(struct proxy *proxy, struct request *request, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	int account_status = co_account_status(proxy, request);
	if (account_status != 200) {
		/* the ACL cannot be asked, so the first answer of authorize stands */
		if (co_authorize(request, reply) == 0)
			reply_status(reply, account_status);
		return;
	}
	struct nodes nodes;
	if (nodes_init(&nodes, proxy, BACKEND_CONTAINER, 0, context->account, context->container, SLICE_NONE, true)) {
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
		.container = context->container,
		.query = request->query,
		.headers = &headers,
		.newest = config_true_value(headers_get(&request->headers, "X-Newest")),
	};
	co_read(request, &plan, reply);
	nodes_release(&nodes);
	context->acl = headers_get(&reply->headers, "X-Container-Read");
	struct reply denial;
	reply_init(&denial, reply->arena);
	if (co_authorize(request, &denial)) {
		body_close(reply->body);
		denial.finished = reply->finished;
		denial.finished_argument = reply->finished_argument;
		*reply = denial;
		return;
	}
	hide_owner_headers(request, &reply->headers);
	policy_to_client(proxy, reply);
	headers_set(&reply->headers, "Accept-Ranges", "bytes");
	headers_remove(&reply->headers, "X-Put-Timestamp");
	if (reply->status / 100 == 2)
		headers_set(&reply->headers, "X-Container-Sharding",
			config_true_value(headers_get(&reply->headers, "X-Container-Sysmeta-Shard-Root")) ? "True"
													  : "False");
}

/* ---- writes ---- */

/* The account servers (the argument), shared out over the container requests. */
static void add_account_headers(void *argument, size_t index, size_t count, struct headers *headers)
{
	const struct nodes *accounts = argument;
	nodes_share_out(accounts, accounts->primary_count, index, count, false, "X-Account", headers);
}

static void co_write(
	struct proxy *proxy, struct request *request, struct headers *headers, bool tell_account, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	struct nodes nodes, accounts;
	if (nodes_init(&nodes, proxy, BACKEND_CONTAINER, 0, context->account, context->container, SLICE_NONE, false)) {
		reply_status(reply, 503);
		return;
	}
	if (nodes_init(&accounts, proxy, BACKEND_ACCOUNT, 0, context->account, SLICE_NONE, SLICE_NONE, false)) {
		nodes_release(&nodes);
		reply_status(reply, 503);
		return;
	}
	struct fan_out plan = {
		.nodes = &nodes,
		.method = request->method,
		.account = context->account,
		.container = context->container,
		.headers = headers,
		.more_headers = tell_account ? add_account_headers : NULL,
		.argument = &accounts,
	};
	co_fan_out(request, &plan, reply);
	nodes_release(&accounts);
	nodes_release(&nodes);
	info_forget(proxy, context->account, context->container);
	policy_to_client(proxy, reply);
}

static bool co_too_many_containers(struct proxy *proxy, struct request *request, const struct info *account)
{
	struct proxy_context *context = proxy_context_of(request);
	if (!proxy->options.max_containers_per_account ||
		account->container_count < proxy->options.max_containers_per_account)
		return false;
	const char *const *listed = proxy->options.max_containers_whitelist;
	for (; listed && *listed; listed++)
		if (slice_equal(slice_from(*listed), context->account))
			return false;
	return !info_exists(co_container_info(proxy, request, context->account, context->container));
}

/* The account exists, or was made. False: the reply is set. */
static bool co_account_ready(struct proxy *proxy, struct request *request, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	const struct info *account = co_account_info(proxy, request, context->account);
	bool hidden = constraints_account_auto_created(&proxy->options.constraints, context->account);
	if (!info_exists(account) && !hidden && !co_account_autocreate(proxy, request)) {
		reply_status(reply, account->status / 100 == 5 ? 503 : 404);
		return false;
	}
	if (co_too_many_containers(proxy, request, account)) {
		reply_status(reply, 403);
		reply->text = slice_from(arena_printf(reply->arena, "Reached container limit of %lld",
			(long long)proxy->options.max_containers_per_account));
		return false;
	}
	return true;
}

static void co_put(struct proxy *proxy, struct request *request, struct reply *reply)
{
	int policy;
	char error[CONSTRAINTS_ERROR_BYTES];
	struct proxy_context *context = proxy_context_of(request);
	if (!clean_acls(request, reply) || !check_metadata(proxy, request, "container", reply) ||
		!policy_from_client(proxy, request, reply, &policy))
		return;
	if (constraints_check_container_name(
		    &proxy->options.constraints, context->account, context->container, error)) {
		reply_text(reply, 400, "text/html; charset=UTF-8", arena_strdup(reply->arena, error));
		return;
	}
	if (!co_account_ready(proxy, request, reply))
		return;
	struct headers headers;
	headers_init(&headers, request->arena);
	transfer_headers(request, "container", &headers);
	backend_headers(request, &headers, true);
	if (policy >= 0)
		headers_set_format(&headers, "X-Backend-Storage-Policy-Index", "%d", policy);
	else
		headers_set_format(
			&headers, "X-Backend-Storage-Policy-Default", "%d", proxy_policy_default(proxy)->index);
	co_write(proxy, request, &headers, true, reply);
}

static void co_post(struct proxy *proxy, struct request *request, struct reply *reply)
{
	if (!clean_acls(request, reply) || !check_metadata(proxy, request, "container", reply))
		return;
	int account_status = co_account_status(proxy, request);
	if (account_status != 200) {
		reply_status(reply, account_status);
		return;
	}
	struct headers headers;
	headers_init(&headers, request->arena);
	transfer_headers(request, "container", &headers);
	backend_headers(request, &headers, true);
	co_write(proxy, request, &headers, false, reply);
}

static void co_delete(struct proxy *proxy, struct request *request, struct reply *reply)
{
	int account_status = co_account_status(proxy, request);
	if (account_status != 200) {
		reply_status(reply, account_status);
		return;
	}
	struct headers headers;
	headers_init(&headers, request->arena);
	backend_headers(request, &headers, true);
	co_write(proxy, request, &headers, true, reply);
	/* a server answers 202 where the others have not got it: nothing that the client could see
	 */
	if (reply->status == 202) {
		reply_reset(reply);
		reply_status(reply, 404);
	}
}

void co_container_handle(struct proxy *proxy, struct request *request, struct reply *reply)
{
	if (request->method == METHOD_OPTIONS) {
		co_cors_options(proxy, request, reply, allow);
		return;
	}
	if (request->method > METHOD_DELETE) {
		reply_not_allowed(reply, allow);
		return;
	}
	struct proxy_context *context = proxy_context_of(request);
	bool reading = request->method == METHOD_GET || request->method == METHOD_HEAD;
	context->delay_denial = reading;
	if (co_authorize(request, reply)) {
		if (!reading)
			return;
		reply_reset(reply);
		co_get_or_head(proxy, request, reply);
		return;
	}
	hide_owner_headers(request, &request->headers);
	if (reading) {
		context->co_authorize = NULL;
		co_get_or_head(proxy, request, reply);
	} else if (request->method == METHOD_PUT) {
		co_put(proxy, request, reply);
	} else if (request->method == METHOD_POST) {
		co_post(proxy, request, reply);
	} else {
		co_delete(proxy, request, reply);
	}
	hide_owner_headers(request, &reply->headers);
}
