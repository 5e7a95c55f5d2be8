/*
 * The account server: Swift's REST protocol for accounts and their container rows
 * (swift/account/server.py) over the listing store. One struct serves all loops of a process.
 */
#ifndef ACCOUNT_ACCOUNT_SERVER_H
#define ACCOUNT_ACCOUNT_SERVER_H

#include "lib/backend/server_listing.h"
#include "lib/http/message.h"
#include "lib/store/device_set.h"
#include "lib/swift/constraints.h"
#include "lib/swift/hash_path.h"

/* What is pointed to must outlive the server. */
struct account_server_options {
	struct device_set *devices;
	const struct hash_path_config *hash_path;
	const struct constraints *constraints;
	const struct server_policies *policies;
	co_handler_function *co_replicate; /* answers REPLICATE; NULL: 405 */
	void *replicate_context;
};

struct account_server;

struct account_server *account_server_new(const struct account_server_options *options);
/* No request may be in it. NULL is accepted. */
void account_server_free(struct account_server *server);

/* A co_handler_function; `server` is a struct account_server. */
void co_account_server_handle(void *server, struct request *request, struct reply *reply);

#endif
