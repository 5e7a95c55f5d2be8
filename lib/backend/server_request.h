/*
 * What account, container and object servers do with every request before they look into it: taking
 * the path apart, the device, X-Timestamp, the policy index. Each function answers what Swift
 * answers when something is wrong: it then fills in the reply and returns a negative errno, and the
 * handler returns.
 *
 * A handler goes: server_request_parse(), server_request_timestamp() for writes,
 * server_request_enter(), its work, device_entry_leave().
 */
#ifndef LIB_BACKEND_SERVER_REQUEST_H
#define LIB_BACKEND_SERVER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/http/message.h"
#include "lib/store/device_set.h"
#include "lib/swift/constraints.h"
#include "lib/swift/timestamp.h"

/* "/device/partition/account[/container[/object]]", decoded; texts live in the request's arena. */
struct server_path {
	const char *device;
	const char *partition; /* as sent: servers store wherever they are told, so it need not be a
	                          number */
	struct slice account;
	struct slice container; /* .data NULL when absent, as is object's */
	struct slice object;
};

enum server_path_end {
	SERVER_PATH_ACCOUNT = 3, /* how many segments the path has up to there */
	SERVER_PATH_CONTAINER = 4,
	SERVER_PATH_OBJECT = 5,
};

/*
 * Splits and checks the path, which must reach at least to `shortest` and at most to `longest`; the
 * rest of a path that may reach to the object belongs to the object's name, slashes included. 412
 * "Invalid UTF8 or contains NULL"; 400 "Invalid path: …", "Invalid device: …", "Invalid partition:
 * …", and for misplaced NUL bytes (reserved names). 0 or -EINVAL.
 */
int server_request_parse(struct request *request, struct reply *reply, const struct constraints *constraints,
	enum server_path_end shortest, enum server_path_end longest, struct server_path *ret_path);

/*
 * Begins using the path's device. 507 with Swift's "Drive: <device>" when there is none, or it is
 * not usable, or `needs_space` (PUT, POST, UPDATE, REPLICATE) and it is full; 503 when too many
 * requests wait on it. 0: the handler must call device_entry_leave(*ret_entry) when it is done; or
 * -ENODEV, -ENOSPC, -EBUSY.
 */
int server_request_enter(struct device_set *set, const struct server_path *path, bool needs_space, struct reply *reply,
	struct device_entry **ret_entry);

/* The 507 of server_request_enter, for devices that fail later. */
void server_reply_drive(struct reply *reply, const char *device);

/*
 * The same for a device that is full: it still serves reads and removals, which a proxy of ours is told by
 * X-Backend-Device-Full, so that it does not leave the device alone as it does with one that is gone.
 */
void server_reply_full(struct reply *reply, const char *device);

/* X-Timestamp. 400 "Missing X-Timestamp header" or "Invalid X-Timestamp header". 0 or -EINVAL. */
int server_request_timestamp(struct request *request, struct reply *reply, struct timestamp *ret_timestamp);

/*
 * X-Backend-Storage-Policy-Index as a number: -1 when the header is missing, 0 when it is empty.
 * -EINVAL, without a reply, for anything but a small decimal number: servers differ in how they
 * refuse it.
 */
int server_request_policy(const struct request *request, int *ret_policy);

/* The request's transaction id for the log and for requests that follow from it, NULL when it has
 * none. */
const char *server_request_transaction(const struct request *request);

/* Answers OPTIONS: 200 with Allow. */
void server_reply_options(struct reply *reply, const char *allow);

/*
 * The answer to an error of a read or commit on the device: 507 for -EIO, -ENODEV, -EROFS and
 * -ENOSPC, 500 for anything else, with one line in the log that names what failed. `doing` is such
 * as "listing a container".
 */
void server_reply_error(struct request *request, struct reply *reply, const char *device, int error, const char *doing);

#endif
