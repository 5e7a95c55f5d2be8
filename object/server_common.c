#include <errno.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/swift/constraints.h"
#include "lib/swift/number.h"
#include "object/object_server_private.h"

int object_request_enter(struct object_request *r, bool needs_space)
{
	int error = server_request_enter(r->server->options.devices, &r->path, needs_space, r->reply, &r->entry);
	if (error)
		return error;
	r->device = device_entry_device(r->entry);
	r->pool = device_entry_pool(r->entry);
	return 0;
}

void object_request_leave(struct object_request *r)
{
	if (r->entry)
		device_entry_leave(r->entry);
	r->entry = NULL;
}

const char *object_request_header(const struct object_request *r, const char *name)
{
	return headers_get(&r->request->headers, name);
}

bool object_request_is_true(const struct object_request *r, const char *name)
{
	return config_true_value(object_request_header(r, name));
}

/* ---- replies ---- */

void object_reply_timestamp(struct object_request *r, const char *name, struct timestamp time)
{
	char text[TIMESTAMP_TEXT_BYTES];
	(void)timestamp_internal(time, text);
	headers_set(&r->reply->headers, name, arena_strdup(r->reply->arena, text));
}

void object_reply_time(struct object_request *r, int status, const struct timestamp *time)
{
	if (r->request->method == METHOD_HEAD)
		reply_empty(r->reply, status);
	else
		reply_status(r->reply, status);
	if (time)
		object_reply_timestamp(r, "X-Backend-Timestamp", *time);
}

void object_device_fail(struct object_request *r, const char *doing)
{
	if (device_fail(r->device))
		log_write(LOG_LEVEL_ERROR, r->request->transaction_id, "device %s failed: %s", r->path.device, doing);
}

void object_reply_device(struct object_request *r, int error, const char *doing)
{
	/* a full disk is no news, and a failed one was logged when it failed */
	if (error == -ENOSPC)
		server_reply_full(r->reply, r->path.device);
	else if (device_state(r->device) == DEVICE_FAILED)
		server_reply_drive(r->reply, r->path.device);
	else
		server_reply_error(r->request, r->reply, r->path.device, error, doing);
}

/* ---- the record ---- */

struct read_job {
	struct object_request *request;
	struct object_record *record;
	int result;
};

static void read_record(void *argument)
{
	struct read_job *job = argument;
	const struct object_request *r = job->request;
	job->result = object_read(r->device, &r->key, r->arena, job->record);
}

struct quarantine_job {
	struct object_request *request;
	const struct object_record *record;
	int result;
};

static void quarantine(void *argument)
{
	struct quarantine_job *job = argument;
	job->result = object_quarantine(job->request->device, &job->request->key, job->record);
}

void co_object_quarantine(struct object_request *r, const struct object_record *record, const char *why)
{
	struct quarantine_job job = {r, record, 0};
	co_offload(r->pool, quarantine, &job);
	char hash[HASH_PATH_HEX_BYTES];
	hash_hex(r->key.hash, hash);
	log_write(LOG_LEVEL_ERROR, r->request->transaction_id, "quarantined %s on %s: %s%s%s", hash, r->path.device,
		why, job.result ? "; this failed: " : "", job.result ? strerror(-job.result) : "");
}

int co_object_request_record(struct object_request *r, struct object_record *ret_record)
{
	struct object_record record;
	struct read_job job = {.request = r, .record = &record};
	job.result = object_read_cached(r->device, &r->key, r->arena, &record);
	if (job.result == -EAGAIN)
		co_offload(r->pool, read_record, &job);
	if (job.result == -EBADMSG) {
		co_object_quarantine(r, NULL, "its record is damaged");
		object_reply_time(r, 404, NULL);
	} else if (job.result) {
		object_device_fail(r, "reading an object's record");
		object_reply_device(r, job.result, "reading an object's record");
	} else if (record.kind != OBJECT_ABSENT && !slice_equal(record.name, r->name)) {
		object_reply_time(r, 403, NULL);
		job.result = -EBADMSG;
	} else {
		*ret_record = record;
	}
	return job.result;
}

int64_t object_delete_at(const struct object_header *headers, size_t count)
{
	const char *text = object_header_get(headers, count, "X-Delete-At");
	int64_t seconds;
	if (!text || number_parse_integer(slice_from(text), &seconds) || seconds < 0)
		return 0;
	return seconds;
}

bool object_is_expired(const struct object_request *r, const struct object_view *view)
{
	int64_t delete_at = object_delete_at(view->headers, view->header_count);
	return delete_at && (uint64_t)delete_at <= r->timestamp.raw / TIMESTAMP_RAW_PER_SECOND;
}
