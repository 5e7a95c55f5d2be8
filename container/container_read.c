/*
 * HEAD and GET of a container.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "container/container_private.h"
#include "lib/swift/constraints.h"
#include "lib/swift/http_date.h"
#include "lib/swift/url.h"

/* The times of the database: in every answer, also in a 404. `info` NULL: there is none. */
static void set_backend_headers(struct container_call *call, const struct listing_info *info)
{
	static const struct listing_info nothing = {.kind = LISTING_CONTAINER};
	struct reply *reply = call->reply;
	if (!info)
		info = &nothing;
	server_reply_time(reply, "X-Backend-Timestamp", info->created_at, timestamp_internal);
	server_reply_time(reply, "X-Backend-Put-Timestamp", info->put_timestamp, timestamp_internal);
	server_reply_time(reply, "X-Backend-Delete-Timestamp", info->delete_timestamp, timestamp_internal);
	server_reply_time(reply, "X-Backend-Status-Changed-At", info->status_changed_at, timestamp_internal);
	headers_set_format(&reply->headers, "X-Backend-Storage-Policy-Index", "%u", info->policy);
}

static void set_info_headers(struct container_call *call, const struct listing_info *info)
{
	struct reply *reply = call->reply;
	struct listing_policy_count count = listing_count_of(info, info->policy);
	char date[HTTP_DATE_BYTES];
	set_backend_headers(call, info);
	headers_set_format(&reply->headers, "X-Container-Object-Count", "%lld", (long long)count.objects);
	headers_set_format(&reply->headers, "X-Container-Bytes-Used", "%lld", (long long)count.bytes);
	server_reply_time(reply, "X-Timestamp", info->created_at, timestamp_normal);
	server_reply_time(reply, "X-Put-Timestamp", info->put_timestamp, timestamp_normal);
	headers_set(&reply->headers, "X-Backend-Sharding-State", "unsharded");
	server_reply_metas(reply, info);
	http_date_format(timestamp_ceil_seconds(info->put_timestamp), date);
	headers_set(&reply->headers, "Last-Modified", arena_strdup(reply->arena, date));
}

void container_reply_missing(struct container_call *call, const struct listing_info *info)
{
	if (call->request->method == METHOD_HEAD)
		reply_empty(call->reply, 404);
	else
		reply_status(call->reply, 404);
	set_backend_headers(call, info);
}

/* 0: the database is there, deleted or not. Otherwise the reply is filled in. */
static int co_read_info(struct container_call *call, struct listing_info *ret_info)
{
	int error = co_server_listing_read(call->entry, LISTING_CONTAINER, call->hash, call->request->arena, ret_info);
	if (error == -ENOENT)
		container_reply_missing(call, NULL);
	else if (error)
		server_reply_error(call->request, call->reply, call->path.device, error, "reading a container");
	return error;
}

/* ---- HEAD ---- */

static void co_head_entered(struct container_call *call, enum listing_format format)
{
	struct listing_info info;
	if (co_read_info(call, &info) < 0)
		return;
	if (listing_is_deleted(&info)) {
		container_reply_missing(call, &info);
		return;
	}
	server_reply_listing_head(call->reply, format);
	set_info_headers(call, &info);
}

void co_container_head(struct container_call *call)
{
	enum listing_format format;
	if (server_listing_format(call->request, call->reply, &format) < 0 || container_call_enter(call, false) < 0)
		return;
	co_head_entered(call, format);
	device_entry_leave(call->entry);
}

/* ---- GET of shard ranges ---- */

/* Names, numbers and aliases of ShardRange.resolve_states. */
static bool is_shard_state(struct slice state)
{
	static const char *const known[] = {"found", "created", "cleaved", "active", "shrinking", "sharding", "sharded",
		"shrunk", "10", "20", "30", "40", "50", "60", "70", "80", "listing", "updating", "auditing"};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (state.length == strlen(known[i]) && strncasecmp(state.data, known[i], state.length) == 0)
			return true;
	return false;
}

static bool shard_states_valid(const struct request *request)
{
	struct query query;
	struct slice states;
	if (query_parse(request->arena, request->query, &query) < 0 || !query_get(&query, "states", &states))
		return true;
	while (states.length) {
		const char *comma = memchr(states.data, ',', states.length);
		size_t length = comma ? (size_t)(comma - states.data) : states.length;
		if (!is_shard_state(slice_of(states.data, length)))
			return false;
		length += comma != NULL;
		states = slice_of(states.data + length, states.length - length);
	}
	return true;
}

/* There are none: containers are not sharded here. Asked for them, Swift's tools want the empty
 * list. */
static void reply_shards(struct container_call *call, const struct listing_info *info, enum listing_format format)
{
	static const char *const full = "full";
	const char *wanted = headers_get(&call->request->headers, "X-Backend-Record-Shard-Format");
	struct buf text = BUF_INIT;
	struct listing_writer writer;
	if (!shard_states_valid(call->request)) {
		reply_text(call->reply, 400, "text/html; charset=UTF-8", "Bad state");
		return;
	}
	listing_writer_begin(&writer, LISTING_CONTAINER, format, call->path.container, &text);
	listing_writer_end(&writer);
	struct slice body = arena_slice(call->reply->arena, buf_slice(&text));
	buf_release(&text);
	server_reply_listing(call->reply, format, body, "OK");
	set_info_headers(call, info);
	headers_set(&call->reply->headers, "X-Backend-Record-Type", "shard");
	headers_set(&call->reply->headers, "X-Backend-Record-Shard-Format",
		wanted && strcasecmp(wanted, "namespace") == 0 ? "namespace" : full);
}

/* ---- GET ---- */

static void co_get_objects(struct container_call *call, const struct listing_info *info, struct listing_query *query,
	enum listing_format format)
{
	struct slice text;
	int policy;
	if (container_call_policy(call, &policy) < 0)
		return;
	memcpy(query->hash, call->hash, sizeof(query->hash));
	query->policy = policy >= 0 ? (uint16_t)policy : info->policy;
	int error = co_server_listing_render(
		call->entry, query, format, call->path.container, NULL, call->reply->arena, &text);
	if (error) {
		server_reply_error(call->request, call->reply, call->path.device, error, "listing a container");
		return;
	}
	/* Swift's status line for an empty listing is "204 OK". */
	server_reply_listing(call->reply, format, text, "OK");
	set_info_headers(call, info);
	headers_set(&call->reply->headers, "X-Backend-Record-Type", "object");
	headers_set_format(&call->reply->headers, "X-Backend-Record-Storage-Policy-Index", "%u", query->policy);
}

static void co_get_entered(struct container_call *call, struct listing_query *query, enum listing_format format)
{
	const struct headers *headers = &call->request->headers;
	const char *record_type = headers_get(headers, "X-Backend-Record-Type");
	bool shards = record_type && strcasecmp(record_type, "shard") == 0;
	bool even_deleted = shards && config_true_value(headers_get(headers, "X-Backend-Override-Deleted"));
	struct listing_info info;
	if (co_read_info(call, &info) < 0)
		return;
	if (listing_is_deleted(&info) && !even_deleted)
		container_reply_missing(call, &info);
	else if (shards)
		reply_shards(call, &info, format);
	else
		co_get_objects(call, &info, query, format);
}

void co_container_get(struct container_call *call)
{
	struct listing_query query;
	enum listing_format format;
	size_t limit_max = (size_t)call->server->options.constraints->container_listing_limit;
	if (server_listing_parse(call->request, call->reply, LISTING_CONTAINER, limit_max, &query, &format) < 0 ||
		container_call_enter(call, false) < 0)
		return;
	co_get_entered(call, &query, format);
	device_entry_leave(call->entry);
}
