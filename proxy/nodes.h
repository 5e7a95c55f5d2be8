/*
 * Which servers to ask, in which order: primaries, then handoffs in the ring's order, without those
 * that failed too often of late.
 */
#ifndef PROXY_NODES_H
#define PROXY_NODES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/backend/leg.h"
#include "proxy/proxy.h"
#include "ring/ring.h"

struct error_limiter;
struct error_limiter *error_limiter_new(unsigned limit, uint64_t interval_ms);
void error_limiter_free(struct error_limiter *limiter);

struct nodes {
	struct proxy *proxy;
	enum backend_service service;
	struct ring *ring;
	uint32_t partition;
	const struct ring_device *primaries[RING_REPLICAS_MAX];
	size_t primary_count;
	size_t next_primary;
	struct ring_handoffs handoffs;
	bool handoffs_started;
	size_t left; /* how many may still be handed out */
};

/*
 * The nodes of a name. 0, or -ENOENT when this process has no such ring. `for_reading` puts this
 * process's own devices first and shuffles the others; writing keeps the ring's order.
 */
int nodes_init(struct nodes *nodes, struct proxy *proxy, enum backend_service service, int policy_index,
	struct slice account, struct slice container, struct slice object, bool for_reading);
void nodes_release(struct nodes *nodes);

/* The next one to try, or NULL. *ret_handoff tells which kind it is. */
const struct ring_device *nodes_next(struct nodes *nodes, bool *ret_handoff);

/*
 * A failed request: counts. A missing device (507): limited at once; a full one, which still serves reads and removals,
 * only makes room for another node in this request. Logged with the transaction. A node that is limited now does not
 * count towards the number that a request may try: another one takes its place.
 */
void node_failed(struct nodes *nodes, const struct ring_device *device, const char *transaction, const char *what);
void node_refused(
	struct nodes *nodes, const struct ring_device *device, const struct reply *reply, const char *transaction);

/* A leg_late_failure_function: counts and logs as node_failed() does. The argument is the proxy. */
void node_failed_late(void *proxy, const struct leg_target *target, const char *transaction, int error);

/*
 * Names the primaries that request `index` of `count` shall tell of its change, as <prefix>-Partition, -Host and -Device:
 * of `updates` in all, number j = 0, 1, … goes to node j and with request j, both round and round; with the requests
 * from the last one down if `reversed`. Nothing is set when none falls to this request.
 */
void nodes_share_out(const struct nodes *nodes, size_t updates, size_t index, size_t count, bool reversed,
	const char *prefix, struct headers *headers);

/* "/device/partition" and the percent-encoded names, in the arena. */
struct slice node_path(struct arena *arena, const struct ring_device *device, uint32_t partition, struct slice account,
	struct slice container, struct slice object);

#endif
