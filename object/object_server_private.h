/*
 * What the files of the object server share.
 */
#ifndef OBJECT_OBJECT_SERVER_PRIVATE_H
#define OBJECT_OBJECT_SERVER_PRIVATE_H

#include <stdatomic.h>

#include "lib/backend/server_request.h"
#include "lib/co/pool.h"
#include "object/object_server.h"
#include "object/object_store.h"
#include "object/update.h"
#include "object/update_send.h"

struct object_server {
	struct object_server_options options;
	struct update_board *board;
	atomic_size_t updates;            /* being sent */
	atomic_uint_least64_t refused_ms; /* when a refused peer was last logged */
	char user_agent[40];
};

/* One request under way. */
struct object_request {
	struct object_server *server;
	/*
	 * What is read and made on the way. The request's own arena, unless a change of the verb
	 * allocates in the committer's thread: the caller of an in-process request may be using the
	 * request's at that time.
	 */
	struct arena *arena;
	struct request *request;
	struct reply *reply;
	struct server_path path;
	struct slice name; /* "/account/container/object" */
	struct object_key key;
	struct timestamp timestamp; /* of the request */
	bool replication;           /* X-Backend-Replication */
	struct device_entry *entry; /* entered; NULL when not, or when a stream took it over */
	struct device *device;
	struct pool *pool; /* of the device */
};

/* ---- server_common.c: what all verbs do ---- */

/* Begins using the device. 0, or the reply is made. */
int object_request_enter(struct object_request *request, bool needs_space);
void object_request_leave(struct object_request *request);

/*
 * Reads the record, on the loop where memory holds it. 0 (also for OBJECT_ABSENT); or the reply is
 * made: 403 for the record of another name, 404 for one that was damaged and set aside, 507.
 */
int co_object_request_record(struct object_request *request, struct object_record *ret_record);

/* Takes the device out of service after a read error; writes and commits do that themselves. */
void object_device_fail(struct object_request *request, const char *doing);
/* Makes the reply to an error of the device: 507 for -ENOSPC and -EIO. Logged unless it is known.
 */
void object_reply_device(struct object_request *request, int error, const char *doing);

/* 404, 409 and the like, with X-Backend-Timestamp unless `time` is NULL. HEAD gets no body. */
void object_reply_time(struct object_request *request, int status, const struct timestamp *time);

/* Sets the object aside and says so in the log. */
void co_object_quarantine(struct object_request *request, const struct object_record *record, const char *why);

const char *object_request_header(const struct object_request *request, const char *name);
bool object_request_is_true(const struct object_request *request, const char *name);
void object_reply_timestamp(struct object_request *request, const char *name, struct timestamp time);

/* X-Delete-At of a list of headers in seconds; 0: none. */
int64_t object_delete_at(const struct object_header *headers, size_t count);
/* Whether a record's object has expired at the time of the request. */
bool object_is_expired(const struct object_request *request, const struct object_view *view);

/* ---- server_metadata.c: which headers are kept ---- */

struct object_header_list {
	struct arena *arena;
	struct object_header *items;
	size_t count;
	size_t capacity;
};

enum object_header_kinds {
	OBJECT_META = 1,       /* X-Object-Meta- and X-Object-Transient-Sysmeta- */
	OBJECT_SYSMETA = 2,    /* X-Object-Sysmeta- */
	OBJECT_ALLOWED = 4,    /* allowed_headers */
	OBJECT_REPLICATED = 8, /* those that X-Backend-Replication-Headers names */
};

/* Adds the fields of those kinds, names title-cased. A field of `from` replaces one that the list
 * had before. */
void object_headers_collect(const struct object_request *request, const struct headers *from, unsigned kinds,
	struct object_header_list *list);
void object_headers_put(struct object_header_list *list, const char *name, const char *value);
/* Whether a stored header is shown to readers. */
bool object_header_is_shown(const struct object_server *server, const char *name);
bool object_header_is_sysmeta(const char *name);
/* check_metadata. 0, or the reply is made. */
int object_request_check_metadata(struct object_request *request);

/* ---- server_promise.c: updates that a write causes ---- */

/* One update: committed with the write, then sent. */
struct object_promise {
	struct object_update update;
	struct update_target targets[UPDATE_TARGETS_MAX];
	size_t target_count; /* to try at once */
	bool incomplete;     /* there are servers that cannot be tried from here */
};

struct object_promises {
	struct object_promise *items[OBJECT_TODOS_MAX];
	size_t count;
};

/*
 * The row of the object's container, to the servers that X-Container-Host names. The caller fills
 * in the headers of the row. NULL when the request wants no update.
 */
struct object_update *object_promise_row(
	struct object_request *request, struct object_promises *promises, enum update_operation operation);

/*
 * A new entry in the expirer's queue, when the request names servers for it. `size` and `data_time`
 * are the object's. Made by object_promise_queue(), which returns NULL when there is to be none;
 * filled in when those are known.
 */
struct object_update *object_promise_queue(
	struct object_request *request, struct object_promises *promises, int64_t delete_at);
void object_promise_queue_fill(struct object_update *update, uint64_t size, struct timestamp data_time);

/* Overrides for the row: X-Backend-Container-Update-Override-* and the same as sysmeta. `footers`
 * may be NULL. */
void object_update_override(struct object_update *update, const struct headers *headers, const struct headers *footers);

/* The promises as values. Texts come from `arena`. */
void object_promises_encode(const struct object_promises *promises, struct arena *arena, struct object_todos *todos);

/* A change of the object store with the promises that it makes. */
struct object_change {
	struct object_request *request;
	device_change_fn *change; /* object_put, object_post or object_delete */
	void *argument;
	struct object_todos *todos; /* of the argument */
	/* After the change: X-Delete-At of the version that it replaced, 0 for none. Runs in the
	 * committer's thread. */
	int64_t (*old_delete_at)(void *argument);
	int64_t new_delete_at; /* 0: none */
	/* the change's own: */
	size_t claimed;
	bool queue_promised; /* the old queue entry is to be removed */
};

/* Commits. Its promises are claimed on the board before anybody can see them. Returns the change's
 * result. */
int co_object_change(struct object_change *change);

/* After a successful commit: leaves the device, sends the promises and waits for a while. */
void co_object_promises_keep(
	struct object_request *request, const struct object_promises *promises, const struct object_todos *todos);

/* ---- server_stream.c: the body of a reply ---- */

struct object_segment {
	struct slice text; /* sent as it is, when `bytes` is 0 */
	uint64_t first;    /* of the body */
	uint64_t bytes;
};

/*
 * Opens the record's body and reads the first piece that the segments ask for. 0: *ret_body streams
 * the segments, and has taken over the request's device entry. -ENOENT: the body is gone; -EBADMSG:
 * it is damaged and was set aside; -EIO.
 */
int co_object_stream_new(struct object_request *request, const struct object_record *record,
	const struct object_segment *segments, size_t count, struct body **ret_body);

/* ---- the verbs ---- */

void co_object_get(struct object_request *request); /* and HEAD */
void co_object_put(struct object_request *request);
void co_object_post(struct object_request *request);
void co_object_delete(struct object_request *request);

#endif
