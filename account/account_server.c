#include "account/account_server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/memory.h"
#include "lib/store/co_device.h"
#include "lib/swift/number.h"

struct account_server {
	struct account_server_options options;
};

/* A request on its way through the handlers. */
struct account_call {
	struct account_server *server;
	struct request *request;
	struct reply *reply;
	struct server_path path;
	struct device_entry *entry;          /* entered */
	unsigned char hash[HASH_PATH_BYTES]; /* of the account */
};

struct account_server *account_server_new(const struct account_server_options *options)
{
	struct account_server *server = xcalloc(1, sizeof(*server));
	server->options = *options;
	return server;
}

void account_server_free(struct account_server *server)
{
	free(server);
}

/* ---- steps that the handlers share ---- */

/* The caller leaves the device. 0, or the reply is filled in. */
static int call_enter(struct account_call *call, bool needs_space)
{
	const struct account_server_options *options = &call->server->options;
	int error = server_request_enter(options->devices, &call->path, needs_space, call->reply, &call->entry);
	if (!error)
		hash_path(options->hash_path, call->path.account, SLICE_NONE, SLICE_NONE, call->hash);
	return error;
}

static int reply_error(struct account_call *call, int error, const char *doing)
{
	server_reply_error(call->request, call->reply, call->path.device, error, doing);
	return error;
}

/* Answers about an account as such differ from others in the case of their charset. */
static void reply_account(struct account_call *call, int status, bool deleted, const char *text)
{
	reply_text(call->reply, status, "text/html; charset=utf-8", text);
	if (deleted)
		headers_set(&call->reply->headers, "X-Account-Status", "Deleted");
}

/* 0, -E2BIG, or the reply is filled in (other errors). */
static int co_commit(struct account_call *call, device_change_fn *change, void *argument, const char *doing)
{
	int error = co_device_commit(device_entry_device(call->entry), change, argument);
	return error && error != -E2BIG ? reply_error(call, error, doing) : error;
}

static void init_change(const struct account_call *call, struct timestamp timestamp, struct listing_change *change)
{
	const struct constraints *constraints = call->server->options.constraints;
	memcpy(change->hash, call->hash, sizeof(change->hash));
	change->kind = LISTING_ACCOUNT;
	change->account = call->path.account;
	change->timestamp = timestamp;
	change->keep_put_timestamp = true;
	change->meta_count_max = (size_t)constraints->max_meta_count;
	change->meta_bytes_max = (size_t)constraints->max_meta_overall_size;
}

/* A change with the request's metadata. 0, or the reply is filled in. */
static int co_commit_metas(struct account_call *call, device_change_fn *apply, struct timestamp timestamp,
	struct listing_change *change, const char *doing)
{
	init_change(call, timestamp, change);
	if (server_request_metas(call->request, call->reply, LISTING_ACCOUNT, NULL, timestamp, change) < 0)
		return -EINVAL;
	int error = co_commit(call, apply, change, doing);
	if (error == -E2BIG)
		server_reply_too_much_meta(call->reply, call->server->options.constraints);
	return error;
}

/* ---- PUT of a container's row ---- */

static int refuse_header(struct account_call *call, const char *name)
{
	const char *text = arena_printf(call->reply->arena, "Missing or invalid %s header", name);
	reply_text(call->reply, 400, "text/plain", text);
	return -EINVAL;
}

static int take_time(struct account_call *call, const char *name, struct timestamp *ret_time)
{
	const char *text = headers_get(&call->request->headers, name);
	if (!text || timestamp_parse(slice_from(text), ret_time) < 0)
		return refuse_header(call, name);
	return 0;
}

static int take_number(struct account_call *call, const char *name, int64_t *ret_number)
{
	const char *text = headers_get(&call->request->headers, name);
	if (!text || number_parse_integer(slice_from(text), ret_number) < 0)
		return refuse_header(call, name);
	return 0;
}

/* The account keeps what containers report, known or not: a policy may reach this server's
 * configuration later. */
static int take_policy(struct account_call *call, uint16_t *ret_policy)
{
	int policy;
	if (server_request_policy(call->request, &policy) < 0)
		return refuse_header(call, "X-Backend-Storage-Policy-Index");
	*ret_policy = policy >= 0 ? (uint16_t)policy : 0;
	return 0;
}

static int take_row(struct account_call *call, struct listing_container_row *row)
{
	const struct headers *headers = &call->request->headers;
	const char *override = headers_get(headers, "X-Account-Override-Deleted");
	if (headers_get(headers, "X-Timestamp") &&
		server_request_timestamp(call->request, call->reply, &row->timestamp) < 0)
		return -EINVAL;
	if (take_policy(call, &row->policy) < 0 || take_time(call, "X-Put-Timestamp", &row->put_timestamp) < 0 ||
		take_time(call, "X-Delete-Timestamp", &row->delete_timestamp) < 0 ||
		take_number(call, "X-Object-Count", &row->object_count) < 0 ||
		take_number(call, "X-Bytes-Used", &row->bytes_used) < 0)
		return -EINVAL;
	memcpy(row->hash, call->hash, sizeof(row->hash));
	row->account = call->path.account;
	row->name = call->path.container;
	row->override_deleted = override && strcasecmp(override, "yes") == 0;
	row->create_missing = constraints_account_auto_created(call->server->options.constraints, call->path.account);
	return 0;
}

static void co_put_row(struct account_call *call)
{
	const struct headers *headers = &call->request->headers;
	struct listing_container_row row = {.policy = 0};
	if (take_row(call, &row) < 0)
		return;
	int error = co_commit(call, listing_put_container_row, &row, "writing a container row");
	if (error == -E2BIG)
		reply_error(call, error, "writing a container row");
	if (error)
		return;
	if (row.outcome == LISTING_MISSING) {
		reply_status(call->reply, 404);
		return;
	}
	/* Swift compares the texts of this request, whatever the stored row has become. */
	const char *put = headers_get(headers, "X-Put-Timestamp");
	const char *delete = headers_get(headers, "X-Delete-Timestamp");
	reply_empty(call->reply, strcmp(delete, put) > 0 ? 204 : 201);
}

/* ---- PUT, POST, DELETE of the account ---- */

static void co_put_account(struct account_call *call)
{
	struct listing_change change = {.kind = LISTING_ACCOUNT};
	struct timestamp timestamp;
	if (server_request_timestamp(call->request, call->reply, &timestamp) < 0 ||
		co_commit_metas(call, listing_put, timestamp, &change, "creating an account"))
		return;
	if (change.outcome == LISTING_RECENTLY_DELETED)
		reply_account(call, 403, true, "Recently deleted");
	else if (change.outcome == LISTING_CONFLICT)
		reply_status(call->reply, 409);
	else
		reply_status(call->reply, change.outcome == LISTING_CREATED ? 201 : 202);
}

static void co_put(struct account_call *call)
{
	if (call_enter(call, true) < 0)
		return;
	if (call->path.container.data)
		co_put_row(call);
	else
		co_put_account(call);
	device_entry_leave(call->entry);
}

static void co_post(struct account_call *call)
{
	struct listing_change change = {.kind = LISTING_ACCOUNT};
	struct timestamp timestamp;
	if (server_request_timestamp(call->request, call->reply, &timestamp) < 0 || call_enter(call, true) < 0)
		return;
	int error = co_commit_metas(call, listing_post, timestamp, &change, "updating an account");
	device_entry_leave(call->entry);
	if (error)
		return;
	if (change.outcome == LISTING_MISSING)
		reply_account(call, 404, change.is_deleted, NULL);
	else
		reply_empty(call->reply, 204);
}

static void co_delete(struct account_call *call)
{
	struct listing_change change = {.kind = LISTING_ACCOUNT};
	struct timestamp timestamp;
	if (call_enter(call, false) < 0)
		return;
	int error = server_request_timestamp(call->request, call->reply, &timestamp);
	if (!error) {
		init_change(call, timestamp, &change);
		error = co_commit(call, listing_delete, &change, "deleting an account");
	}
	device_entry_leave(call->entry);
	if (error)
		return;
	if (change.outcome == LISTING_MISSING)
		reply_account(call, 404, change.is_deleted, NULL);
	else
		reply_account(call, 204, true, NULL);
}

/* ---- HEAD and GET ---- */

static void set_policy_headers(struct account_call *call, const struct listing_policy_count *count)
{
	const struct server_policies *policies = call->server->options.policies;
	struct arena *arena = call->reply->arena;
	struct headers *headers = &call->reply->headers;
	const char *name = server_policy_name(count->policy, (void *)policies);
	if (!name)
		return;
	char *prefix = arena_printf(arena, "X-Account-Storage-Policy-%s", name);
	header_title_case(prefix);
	headers_set_format(
		headers, arena_printf(arena, "%s-Container-Count", prefix), "%lld", (long long)count->containers);
	headers_set_format(headers, arena_printf(arena, "%s-Object-Count", prefix), "%lld", (long long)count->objects);
	headers_set_format(headers, arena_printf(arena, "%s-Bytes-Used", prefix), "%lld", (long long)count->bytes);
}

static void set_info_headers(struct account_call *call, const struct listing_info *info)
{
	struct reply *reply = call->reply;
	struct listing_policy_count total = listing_total(info);
	headers_set_format(&reply->headers, "X-Account-Container-Count", "%lld", (long long)total.containers);
	headers_set_format(&reply->headers, "X-Account-Object-Count", "%lld", (long long)total.objects);
	headers_set_format(&reply->headers, "X-Account-Bytes-Used", "%lld", (long long)total.bytes);
	server_reply_time(reply, "X-Timestamp", info->created_at, timestamp_normal);
	server_reply_time(reply, "X-Put-Timestamp", info->put_timestamp, timestamp_normal);
	for (size_t i = 0; i < info->count_count; i++)
		set_policy_headers(call, &info->counts[i]);
	server_reply_metas(reply, info);
}

/* Swift's is_status_deleted: what is said of accounts that answer 404. */
static bool is_status_deleted(const struct listing_info *info)
{
	return info->account_status_deleted || timestamp_compare(info->delete_timestamp, info->put_timestamp) > 0;
}

/* 0: the account is there. Otherwise the reply is filled in. */
static int co_read_info(struct account_call *call, struct listing_info *ret_info)
{
	int error = co_server_listing_read(call->entry, LISTING_ACCOUNT, call->hash, call->request->arena, ret_info);
	if (error == -ENOENT) {
		reply_account(call, 404, false, NULL);
		return error;
	}
	if (error)
		return reply_error(call, error, "reading an account");
	if (!listing_is_deleted(ret_info))
		return 0;
	reply_account(call, 404, is_status_deleted(ret_info), NULL);
	return -ENOENT;
}

static void co_head(struct account_call *call)
{
	enum listing_format format;
	struct listing_info info;
	if (server_listing_format(call->request, call->reply, &format) < 0 || call_enter(call, false) < 0)
		return;
	int error = co_read_info(call, &info);
	device_entry_leave(call->entry);
	if (error)
		return;
	server_reply_listing_head(call->reply, format);
	set_info_headers(call, &info);
}

static void co_get_entered(struct account_call *call, struct listing_query *query, enum listing_format format)
{
	struct listing_info info;
	struct slice text;
	if (co_read_info(call, &info) < 0)
		return;
	memcpy(query->hash, call->hash, sizeof(query->hash));
	int error = co_server_listing_render(call->entry, query, format, call->path.account,
		call->server->options.policies, call->reply->arena, &text);
	if (error) {
		reply_error(call, error, "listing an account");
		return;
	}
	server_reply_listing(call->reply, format, text, NULL);
	set_info_headers(call, &info);
}

static void co_get(struct account_call *call)
{
	struct listing_query query;
	enum listing_format format;
	size_t limit_max = (size_t)call->server->options.constraints->account_listing_limit;
	if (server_listing_parse(call->request, call->reply, LISTING_ACCOUNT, limit_max, &query, &format) < 0 ||
		call_enter(call, false) < 0)
		return;
	co_get_entered(call, &query, format);
	device_entry_leave(call->entry);
}

/* ---- dispatch ---- */

static void co_handle_method(struct account_call *call)
{
	enum method method = call->request->method;
	const struct constraints *constraints = call->server->options.constraints;
	enum server_path_end longest = method == METHOD_PUT ? SERVER_PATH_CONTAINER : SERVER_PATH_ACCOUNT;
	if (server_request_parse(call->request, call->reply, constraints, SERVER_PATH_ACCOUNT, longest, &call->path) <
		0)
		return;
	if (method == METHOD_PUT)
		co_put(call);
	else if (method == METHOD_POST)
		co_post(call);
	else if (method == METHOD_DELETE)
		co_delete(call);
	else if (method == METHOD_HEAD)
		co_head(call);
	else
		co_get(call);
}

void co_account_server_handle(void *context, struct request *request, struct reply *reply)
{
	struct account_server *server = context;
	const struct account_server_options *options = &server->options;
	struct account_call call = {.server = server, .request = request, .reply = reply};
	switch (request->method) {
	case METHOD_GET:
	case METHOD_HEAD:
	case METHOD_PUT:
	case METHOD_POST:
	case METHOD_DELETE:
		co_handle_method(&call);
		break;
	case METHOD_OPTIONS:
		server_reply_options(reply, options->co_replicate ? "DELETE, GET, HEAD, OPTIONS, POST, PUT, REPLICATE"
								  : "DELETE, GET, HEAD, OPTIONS, POST, PUT");
		break;
	case METHOD_REPLICATE:
		if (options->co_replicate) {
			options->co_replicate(options->replicate_context, request, reply);
			break;
		}
		/* fall through */
	default:
		reply_status(reply, 405);
	}
	assert(reply->status >= 200);
}
