#include "proxy/expirer_queue.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "lib/swift/url.h"

#define MD5_OF_NOTHING "d41d8cd98f00b204e9800998ecf8427e"

/* Rows of one UPDATE: what a container server commits at once. */
enum { ROWS_PER_UPDATE = 1000 };

const char *expirer_queue_container(const struct proxy *proxy, struct arena *arena, struct slice account,
	struct slice container, struct slice object, int64_t seconds)
{
	unsigned char hash[16];
	hash_path(&proxy->options.hash, account, container, object, hash);
	unsigned remainder = 0;
	for (size_t i = 0; i < sizeof(hash); i++)
		remainder = (remainder * 256 + hash[i]) % EXPIRER_CONTAINERS_PER_DIVISOR;
	int64_t day = seconds / EXPIRER_DIVISOR_SECONDS * EXPIRER_DIVISOR_SECONDS - (int64_t)remainder;
	return arena_printf(arena, "%010lld", (long long)(day < 0 ? 0 : day));
}

/* Takes what is before the next `separator`. False when there is none, or nothing before it. */
static bool take_part(struct slice *rest, char separator, struct slice *ret_part)
{
	const char *at = rest->length ? memchr(rest->data, separator, rest->length) : NULL;
	if (!at || at == rest->data)
		return false;
	*ret_part = slice_of(rest->data, (size_t)(at - rest->data));
	*rest = slice_of(at + 1, rest->length - ret_part->length - 1);
	return true;
}

int expirer_task_parse(struct slice name, struct expirer_task *ret_task)
{
	struct slice time;
	if (!take_part(&name, '-', &time) || timestamp_parse(time, &ret_task->due) ||
		!take_part(&name, '/', &ret_task->account) || !take_part(&name, '/', &ret_task->container) ||
		!name.length)
		return -EINVAL;
	ret_task->object = name;
	return 0;
}

/* ---- asynchronous deletions ---- */

/* swift/cli/container_deleter.py, make_delete_jobs(): the time with its fraction, so that it is the time of the DELETE. */
static json_t *delete_row(struct request *request, struct slice container, struct slice object)
{
	const struct proxy_context *context = proxy_context_of(request);
	char due[TIMESTAMP_TEXT_BYTES], created_at[TIMESTAMP_TEXT_BYTES];
	(void)timestamp_normal(context->timestamp, due);
	(void)timestamp_internal(context->timestamp, created_at);
	struct buf name = BUF_INIT;
	buf_printf(&name, "%s-", due);
	buf_append_slice(&name, context->account);
	buf_append_byte(&name, '/');
	buf_append_slice(&name, container);
	buf_append_byte(&name, '/');
	buf_append_slice(&name, object);
	json_t *row = json_pack("{s:o, s:i, s:s, s:s, s:i, s:i, s:s}", "name", json_stringn(name.data, name.length),
		"deleted", 0, "created_at", created_at, "etag", MD5_OF_NOTHING, "size", 0, "storage_policy_index", 0,
		"content_type", EXPIRER_ASYNC_DELETE_TYPE);
	buf_release(&name);
	return row;
}

static int co_update(struct request *request, const char *queue_container, struct slice rows)
{
	struct proxy_context *context = proxy_context_of(request);
	struct slice account = SLICE_LITERAL(EXPIRER_QUEUE_ACCOUNT), container = slice_from(queue_container);
	struct nodes nodes;
	if (nodes_init(&nodes, context->proxy, BACKEND_CONTAINER, 0, account, container, SLICE_NONE, false))
		return -EIO;
	struct headers headers;
	headers_init(&headers, request->arena);
	backend_headers(request, &headers, true);
	headers_set(&headers, "Content-Type", "application/json");
	headers_set(&headers, "X-Backend-Storage-Policy-Index", "0");
	struct fan_out plan = {
		.nodes = &nodes,
		.method = METHOD_UPDATE,
		.account = account,
		.container = container,
		.headers = &headers,
		.body = rows,
	};
	struct reply reply;
	reply_init(&reply, request->arena);
	co_fan_out(request, &plan, &reply);
	nodes_release(&nodes);
	return reply.status / 100 == 2 ? 0 : -EIO;
}

int co_expirer_queue_deletes(struct request *request, struct slice container, const struct slice *objects, size_t count)
{
	const struct proxy_context *context = proxy_context_of(request);
	const char *queue_container = expirer_queue_container(context->proxy, request->arena, context->account,
		context->container, context->object, (int64_t)(context->timestamp.raw / TIMESTAMP_RAW_PER_SECOND));
	int error = 0;
	for (size_t done = 0; done < count && !error;) {
		json_t *rows = json_array();
		for (size_t end = done + ROWS_PER_UPDATE; done < count && done < end; done++)
			json_array_append_new(rows, delete_row(request, container, objects[done]));
		char *text = json_dumps(rows, JSON_COMPACT);
		error = co_update(request, queue_container, slice_from(text));
		free(text);
		json_decref(rows);
	}
	return error;
}
