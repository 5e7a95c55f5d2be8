/*
 * The object server: Swift's REST protocol for objects (GET, HEAD, PUT, POST, DELETE of
 * "/device/partition/account/container/object") over the object store.
 *
 * A write is one commit: the record, a small body, and the promises of what must follow it (the
 * container's row, the entry in the expirer's queue). The promises are tried at once, for
 * container_update_timeout_ms at most; what does not succeed then is the updater's
 * (object/updater.h).
 *
 * Files: object_server.c dispatches; server_put.c, server_get.c, server_post.c and server_delete.c
 * are the verbs; server_common.c what they share, server_metadata.c which headers are kept,
 * server_promise.c the updates, server_stream.c the body of a reply.
 */
#ifndef OBJECT_OBJECT_SERVER_H
#define OBJECT_OBJECT_SERVER_H

#include "lib/backend/backend.h"
#include "lib/backend/server_listing.h"
#include "lib/http/message.h"
#include "lib/store/device_set.h"
#include "lib/swift/constraints.h"
#include "lib/swift/hash_path.h"
#include "object/update_board.h"

struct object_server_options {
	struct device_set *devices;
	const struct hash_path_config *hash_path;
	const struct constraints *constraints;
	const char *const *allowed_headers;         /* NULL-terminated: stored beside metadata; Swift's
						   option of that name */
	const struct server_policies *policies;     /* that this server knows; NULL: policy 0 alone */
	uint64_t container_update_timeout_ms;       /* how long a reply waits for the updates it caused */
	struct backend_timeouts container_timeouts; /* conn_timeout and node_timeout of updates */
	uint64_t upload_timeout_ms;                 /* max_upload_time: of a whole body */
	size_t updates_max;                         /* being sent at once; more are left to the updater */
	/*
	 * Whether updates may go to that server: hosts come from headers, which may have been
	 * forged. Others are left to the updater, which asks its ring alone. NULL: all are allowed.
	 */
	bool (*peer_allowed)(void *argument, enum backend_service service, const char *ip, int port);
	void *argument;                    /* of peer_allowed */
	co_handler_function *co_replicate; /* answers REPLICATE and SSYNC; NULL: 405 */
	void *replicate_context;
};

/* Swift's defaults; devices and hash_path are to be filled in. */
extern const struct object_server_options object_server_options_default;

struct object_server;

/* The options are copied; what they point to must live as long as the server. */
struct object_server *object_server_new(const struct object_server_options *options);

/*
 * Frees the server. All requests, and the updates that they started, must have ended
 * (object_server_updates), and the device set be closed: the last changes may be on their way to
 * it. NULL is accepted.
 */
void object_server_free(struct object_server *server);

/* Handles one request; a co_handler_function with the server as context. From any loop. */
void co_object_server_handle(void *server, struct request *request, struct reply *reply);

/* What the server and the updaters of its devices share. */
struct update_board *object_server_board(struct object_server *server);

/* Updates that are being sent, after whose end nobody waits. */
size_t object_server_updates(struct object_server *server);

#endif
