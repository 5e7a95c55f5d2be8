#include "lib/backend/server_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/swift/url.h"

static const char text_plain[] = "text/plain";
static const char text_html[] = "text/html; charset=UTF-8";

/* ---- path ---- */

static int refuse(struct reply *reply, int status, const char *content_type, const char *text)
{
	reply_text(reply, status, content_type, text);
	return -EINVAL;
}

static const char *text_of(struct arena *arena, struct slice bytes)
{
	return arena_strndup(arena, bytes.data, bytes.length);
}

/* "Invalid <what>: <quoted>" */
static int refuse_quoted(struct reply *reply, const char *what, struct slice bytes)
{
	struct slice quoted = url_encode(reply->arena, bytes, true);
	const char *text = arena_printf(reply->arena, "Invalid %s: %.*s", what, SLICE_PRINT(quoted));
	return refuse(reply, 400, text_plain, text);
}

/* validate_device_partition: what could lead out of the folder. A NUL would end the name early for
 * everybody below. */
static bool is_folder_name(struct slice name)
{
	return name.length && !slice_equal(name, SLICE_LITERAL(".")) && !slice_equal(name, SLICE_LITERAL("..")) &&
	       !memchr(name.data, '/', name.length) && !memchr(name.data, '\0', name.length);
}

int server_request_parse(struct request *request, struct reply *reply, const struct constraints *constraints,
	enum server_path_end shortest, enum server_path_end longest, struct server_path *ret_path)
{
	struct slice segments[SERVER_PATH_OBJECT] = {SLICE_NONE};
	struct slice path = url_decode(request->arena, request->path, false);
	if (!constraints_text_valid(path, true))
		return refuse(reply, 412, text_html, "Invalid UTF8 or contains NULL");
	bool has_object = longest == SERVER_PATH_OBJECT;
	if (path_split_decoded(path, (int)shortest, (int)longest, has_object, segments) < 0)
		return refuse_quoted(reply, "path", path);
	if (!is_folder_name(segments[0]))
		return refuse_quoted(reply, "device", segments[0]);
	if (!is_folder_name(segments[1]))
		return refuse_quoted(reply, "partition", segments[1]);
	char error[CONSTRAINTS_ERROR_BYTES];
	if (constraints_check_reserved(constraints, segments[2], segments[3], segments[4], error) < 0)
		return refuse(reply, 400, text_html, arena_strdup(reply->arena, error));
	*ret_path = (struct server_path){
		.device = text_of(request->arena, segments[0]),
		.partition = text_of(request->arena, segments[1]),
		.account = segments[2],
		.container = segments[3],
		.object = segments[4],
	};
	return 0;
}

/* ---- device ---- */

void server_reply_drive(struct reply *reply, const char *device)
{
	const char *text = arena_printf(reply->arena,
		"<html><h1>Insufficient Storage</h1><p>There was not enough space to save the "
		"resource. Drive: "
		"%s</p></html>",
		device);
	reply_text(reply, 507, text_html, text);
}

void server_reply_full(struct reply *reply, const char *device)
{
	server_reply_drive(reply, device);
	headers_set(&reply->headers, "X-Backend-Device-Full", "true");
}

/* The name stands in a page of HTML: only names that a device can have are given back as they are
 * (check_drive). */
static const char *printable_device(struct arena *arena, const char *device)
{
	struct slice quoted = url_encode(arena, slice_from(device), false);
	return text_of(arena, quoted);
}

int server_request_enter(struct device_set *set, const struct server_path *path, bool needs_space, struct reply *reply,
	struct device_entry **ret_entry)
{
	struct device_entry *entry = device_set_find(set, path->device);
	int result = device_entry_enter(entry);
	if (result == 0 && needs_space && !device_entry_writable(entry)) {
		device_entry_leave(entry);
		result = -ENOSPC;
	}
	if (result == -EBUSY)
		reply_status(reply, 503);
	else if (result == -ENOSPC)
		server_reply_full(reply, printable_device(reply->arena, path->device));
	else if (result)
		server_reply_drive(reply, printable_device(reply->arena, path->device));
	else
		*ret_entry = entry;
	return result;
}

void server_reply_error(struct request *request, struct reply *reply, const char *device, int error, const char *doing)
{
	const char *transaction = server_request_transaction(request);
	log_write(LOG_LEVEL_ERROR, transaction, "%s on %s: %s", doing, device, strerror(-error));
	if (error == -ENOSPC)
		server_reply_full(reply, printable_device(reply->arena, device));
	else if (error == -EIO || error == -ENODEV || error == -EROFS)
		server_reply_drive(reply, printable_device(reply->arena, device));
	else
		reply_status(reply, 500);
}

/* ---- headers ---- */

int server_request_timestamp(struct request *request, struct reply *reply, struct timestamp *ret_timestamp)
{
	const char *text = headers_get(&request->headers, "X-Timestamp");
	if (!text)
		return refuse(reply, 400, text_plain, "Missing X-Timestamp header");
	if (timestamp_parse(slice_from(text), ret_timestamp) < 0)
		return refuse(reply, 400, text_plain, "Invalid X-Timestamp header");
	return 0;
}

int server_request_policy(const struct request *request, int *ret_policy)
{
	const char *text = headers_get(&request->headers, "X-Backend-Storage-Policy-Index");
	if (!text || !*text) {
		*ret_policy = text ? 0 : -1;
		return 0;
	}
	size_t length = strspn(text, "0123456789");
	if (text[length] || length > 4)
		return -EINVAL;
	*ret_policy = (int)strtol(text, NULL, 10);
	return 0;
}

const char *server_request_transaction(const struct request *request)
{
	if (*request->transaction_id)
		return request->transaction_id;
	return headers_get(&request->headers, "X-Trans-Id");
}

void server_reply_options(struct reply *reply, const char *allow)
{
	reply_empty(reply, 200);
	headers_set(&reply->headers, "Allow", allow);
}
