/*
 * The container server: Swift's REST protocol for containers and their object rows
 * (swift/container/server.py) over the listing store, and the container-updater, which tells the
 * account servers what changed.
 *
 * Every change of a container leaves, in the same commit, a to-do entry on its device; the updater
 * sends the numbers to the account's servers and removes the entry, unless the container has
 * changed again meanwhile. So updates are coalesced, none is ever lost, and nothing is searched
 * for.
 *
 * One struct serves all loops of a process.
 */
#ifndef CONTAINER_CONTAINER_SERVER_H
#define CONTAINER_CONTAINER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "container/account_update.h"
#include "lib/backend/server_listing.h"
#include "lib/http/message.h"
#include "lib/store/device_set.h"
#include "lib/swift/constraints.h"
#include "lib/swift/hash_path.h"

/* What is pointed to must outlive the server. */
struct container_server_options {
	struct device_set *devices;
	const struct hash_path_config *hash_path;
	const struct constraints *constraints;
	const struct server_policies *policies;
	struct backend_timeouts account_timeouts; /* Swift: connect 500 ms, node 3000 ms */
	uint64_t update_interval_ms;              /* between passes of the updater; 0: 1000 */
	uint64_t account_suppression_ms;          /* an account that could not be told is left alone for so
	                                    long; 0: 60000 */

	/*
	 * The primaries of an account for the updater: fills in at most `max` nodes (of the
	 * replication network) and the partition, returns how many. The texts must stay valid until
	 * the caller sleeps. NULL: the updater does nothing.
	 */
	size_t (*account_nodes)(void *argument, struct slice account, struct account_node *ret_nodes, size_t max,
		uint32_t *ret_partition);
	/*
	 * Whether an address in X-Account-Host is one of the cluster's account servers. Others are
	 * never spoken to, as the header might be anybody's. NULL: none is.
	 */
	bool (*peer_allowed)(void *argument, const char *ip, int port);
	/* Checks X-Container-Sync-To: NULL when it is fine, else the text of a 400. NULL:
	 * everything is fine. */
	const char *(*sync_to_error)(void *argument, const char *value, struct arena *arena);
	void *argument; /* of the three above */

	co_handler_function *co_replicate; /* answers REPLICATE; NULL: 405 */
	void *replicate_context;
};

struct container_server;

struct container_server *container_server_new(const struct container_server_options *options);
/* No request may be in it, and the updater must have returned. NULL is accepted. */
void container_server_free(struct container_server *server);

/* A co_handler_function; `server` is a struct container_server. */
void co_container_server_handle(void *server, struct request *request, struct reply *reply);

/* Sends account updates until container_updater_stop(): the body of one coroutine per process. */
void co_container_updater_run(struct container_server *server);
/* From the updater's loop. */
void container_updater_stop(struct container_server *server);

/* One pass over all devices: how many containers were reported, and how many remain to be (failed
 * or put off). */
void co_container_updater_pass(struct container_server *server, size_t *ret_reported, size_t *ret_remaining);

#endif
