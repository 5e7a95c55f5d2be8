/*
 * Tells account servers about a container: its times and numbers, as a row PUT to each of the given
 * servers at once. Used right after a container was created or deleted, and later by the
 * container-updater.
 */
#ifndef CONTAINER_ACCOUNT_UPDATE_H
#define CONTAINER_ACCOUNT_UPDATE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/backend/backend.h"
#include "lib/store/listing.h"

enum { ACCOUNT_NODES_MAX = 32 };

/* An account server; the texts must live until co_account_update() first sleeps (it copies them
 * before). */
struct account_node {
	const char *ip; /* without brackets */
	int port;
	const char *device;
};

struct account_update {
	const struct listing_info *info;
	const char *partition;   /* of the account */
	const char *user_agent;  /* "container-server <pid>" */
	const char *referer;     /* NULL for none */
	const char *transaction; /* NULL: "-" is sent */
	bool override_deleted;   /* the row is wanted even in a deleted account */
	struct backend_timeouts timeouts;
};

struct account_update_result {
	size_t successes; /* answers 2xx */
	size_t missing;   /* answers 404 */
};

/* Sends to all nodes and waits for every answer or time-out. Failures are logged, one line each. */
struct account_update_result co_account_update(
	const struct account_update *update, const struct account_node *nodes, size_t node_count);

#endif
