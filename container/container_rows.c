/*
 * Object rows: PUT and DELETE of one, UPDATE of many.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "container/container_private.h"
#include "lib/base/memory.h"
#include "lib/swift/bounded_json.h"
#include "lib/swift/constraints.h"
#include "lib/swift/number.h"

enum {
	UPDATE_BODY_BYTES_MAX = 8 * 1024 * 1024,
	UPDATE_ROWS_MAX = 20000,
	UPDATE_ROWS_PER_COMMIT = 1000, /* a commit holds up all others of the device */
};

/* Accounts that come into being by being written to; shards are made by sharders alone. */
static bool may_create(const struct container_call *call)
{
	struct slice account = call->path.account;
	if (config_true_value(headers_get(&call->request->headers, "X-Backend-Auto-Create")))
		return true;
	return constraints_account_auto_created(call->server->options.constraints, account) &&
	       !slice_starts_with(account, SLICE_LITERAL(".shards_"));
}

static void init_row(const struct container_call *call, struct slice name, struct listing_object_row *row)
{
	memcpy(row->hash, call->hash, sizeof(row->hash));
	row->account = call->path.account;
	row->container = call->path.container;
	row->name = name;
	row->create_missing = may_create(call);
}

/* Commits rows of the call's container; *ret_missing: there is none. Non-zero: the reply is filled
 * in. */
static int co_commit_rows(struct container_call *call, struct listing_object_row *rows, size_t count, bool *ret_missing)
{
	static const char doing[] = "writing object rows";
	struct container_rows batch = {.rows = rows, .count = count};
	int error = co_container_commit(call, container_change_rows, &batch, doing);
	bool refused = error == -E2BIG || (!error && batch.error);
	if (refused)
		server_reply_error(call->request, call->reply, call->path.device, error ? error : batch.error, doing);
	*ret_missing = batch.missing;
	return refused ? -EIO : error;
}

/* ---- one row ---- */

/* The rows' policy: a missing header means 0. */
static int take_row_policy(struct container_call *call, struct listing_object_row *row)
{
	int policy;
	if (container_call_policy(call, &policy) < 0)
		return -EINVAL;
	row->policy = policy >= 0 ? (uint16_t)policy : 0;
	return 0;
}

static int refuse_header(struct container_call *call, const char *name)
{
	const char *text = arena_printf(call->reply->arena, "Missing or invalid %s header", name);
	reply_text(call->reply, 400, "text/plain", text);
	return -EINVAL;
}

/* An optional time; *time stays as it is when the header is missing. */
static int take_time(struct container_call *call, const char *name, struct timestamp *time)
{
	const char *text = headers_get(&call->request->headers, name);
	if (text && timestamp_parse(slice_from(text), time) < 0)
		return refuse_header(call, name);
	return 0;
}

static int take_row(struct container_call *call, struct container_row *row)
{
	const struct headers *headers = &call->request->headers;
	const char *size = headers_get(headers, "X-Size");
	const char *content_type = headers_get(headers, "X-Content-Type");
	const char *etag = headers_get(headers, "X-Etag");
	if (!size || number_parse_integer(slice_from(size), &row->size) < 0)
		return refuse_header(call, "X-Size");
	if (!content_type)
		return refuse_header(call, "X-Content-Type");
	if (!etag)
		return refuse_header(call, "X-Etag");
	row->data = call->timestamp;
	row->content_type_time = row->data;
	if (take_time(call, "X-Content-Type-Timestamp", &row->content_type_time) < 0)
		return -EINVAL;
	row->meta = row->content_type_time;
	if (take_time(call, "X-Meta-Timestamp", &row->meta) < 0)
		return -EINVAL;
	row->etag = slice_from(etag);
	content_type_split(call->request->arena, slice_from(content_type), &row->content_type, &row->swift_bytes);
	return 0;
}

void co_container_row_put(struct container_call *call)
{
	struct listing_object_row row = {.policy = 0};
	bool missing;
	init_row(call, call->path.object, &row);
	if (take_row_policy(call, &row) < 0 || take_row(call, &row.row) < 0 || co_commit_rows(call, &row, 1, &missing))
		return;
	if (missing)
		reply_status(call->reply, 404);
	else
		reply_empty(call->reply, 201);
}

/* A tombstone has the texts that Swift gives it: they are part of what replicas exchange. */
void co_container_row_delete(struct container_call *call)
{
	struct listing_object_row row = {
		.row =
			{
				.data = call->timestamp,
				.content_type_time = call->timestamp,
				.meta = call->timestamp,
				.content_type = SLICE_LITERAL("application/deleted"),
				.etag = SLICE_LITERAL("noetag"),
				.deleted = true,
			},
	};
	bool missing;
	init_row(call, call->path.object, &row);
	if (take_row_policy(call, &row) < 0 || co_commit_rows(call, &row, 1, &missing))
		return;
	if (missing)
		reply_status(call->reply, 404);
	else
		reply_empty(call->reply, 204);
}

/* ---- UPDATE ---- */

/* The body of an UPDATE on its way to rows, in the device's pool: a body is large, and the parser's
 * recursion deep. */
struct rows_job {
	const struct container_call *call;
	struct slice body;
	json_t *list; /* owns the texts of the rows */
	struct listing_object_row *rows;
	size_t count;
	const char *trouble; /* in the reply's arena; NULL: all is well */
};

static struct slice json_text(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_string(value))
		return SLICE_NONE;
	return slice_of(json_string_value(value), json_string_length(value));
}

/* A number, or a text with one in it, as databases of different ages send. */
static int json_number(const json_t *object, const char *key, int64_t missing, int64_t *ret_number)
{
	const json_t *value = json_object_get(object, key);
	if (!value || json_is_null(value)) {
		*ret_number = missing;
		return 0;
	}
	if (json_is_integer(value)) {
		*ret_number = json_integer_value(value);
		return 0;
	}
	return json_is_string(value) ? number_parse_integer(json_text(object, key), ret_number) : -EINVAL;
}

static int json_times(const json_t *item, struct container_row *row)
{
	struct slice created_at = json_text(item, "created_at");
	struct slice content_type_time = json_text(item, "ctype_timestamp");
	struct slice meta = json_text(item, "meta_timestamp");
	int error = timestamp_decode(created_at, &row->data, &row->content_type_time, &row->meta);
	if (!error && content_type_time.length) {
		error = timestamp_parse(content_type_time, &row->content_type_time);
		row->meta = row->content_type_time;
	}
	if (!error && meta.length)
		error = timestamp_parse(meta, &row->meta);
	return error;
}

static int json_row(const struct container_call *call, const json_t *item, struct listing_object_row *row)
{
	int64_t policy;
	int64_t deleted;
	struct slice name = json_text(item, "name");
	struct slice content_type = json_text(item, "content_type");
	init_row(call, name, row);
	if (!name.length || json_times(item, &row->row) < 0 || json_number(item, "size", 0, &row->row.size) < 0 ||
		json_number(item, "deleted", 0, &deleted) < 0 ||
		json_number(item, "storage_policy_index", 0, &policy) < 0 || policy < 0 || policy > UINT16_MAX)
		return -EINVAL;
	row->policy = (uint16_t)policy;
	row->row.deleted = deleted != 0;
	row->row.etag = json_text(item, "etag");
	content_type_split(call->request->arena, content_type, &row->row.content_type, &row->row.swift_bytes);
	return 0;
}

static void run_rows(void *argument)
{
	struct rows_job *job = argument;
	struct arena *arena = job->call->reply->arena;
	json_error_t error;
	job->list = bounded_json_parse(job->body, &error);
	if (!job->list) {
		job->trouble = arena_strdup(arena, error.text);
		return;
	}
	if (!json_is_array(job->list)) {
		job->trouble = "a list of rows is wanted";
		return;
	}
	job->count = json_array_size(job->list);
	if (job->count > UPDATE_ROWS_MAX) {
		job->trouble = "too many rows";
		return;
	}
	job->rows = xcalloc(job->count + 1, sizeof(*job->rows));
	for (size_t i = 0; i < job->count && !job->trouble; i++)
		if (json_row(job->call, json_array_get(job->list, i), &job->rows[i]) < 0)
			job->trouble = arena_printf(arena, "row %zu makes no sense", i);
}

static void co_merge_rows(struct container_call *call, struct rows_job *job)
{
	bool missing = false;
	for (size_t done = 0; done < job->count && !missing;) {
		size_t count = job->count - done;
		if (count > UPDATE_ROWS_PER_COMMIT)
			count = UPDATE_ROWS_PER_COMMIT;
		if (co_commit_rows(call, job->rows + done, count, &missing))
			return;
		done += count;
	}
	reply_status(call->reply, missing ? 404 : 202);
}

/* The body could not be had whole. */
static void reply_body_error(struct container_call *call, int error)
{
	if (error == -EFBIG)
		reply_status(call->reply, 413);
	else if (error == -ETIMEDOUT)
		reply_status(call->reply, 408);
	else
		reply_status(call->reply, error == -EPROTO ? 400 : 499);
}

void co_container_rows_update(struct container_call *call)
{
	struct rows_job job = {.call = call};
	int policy;
	if (container_call_policy(call, &policy) < 0)
		return;
	int error = co_body_read_all(call->request->body, call->request->arena, UPDATE_BODY_BYTES_MAX, &job.body);
	if (error) {
		reply_body_error(call, error);
		return;
	}
	co_offload(device_entry_pool(call->entry), run_rows, &job);
	if (job.trouble)
		reply_text(call->reply, 400, "text/plain", job.trouble);
	else
		co_merge_rows(call, &job);
	free(job.rows);
	json_decref(job.list);
}
