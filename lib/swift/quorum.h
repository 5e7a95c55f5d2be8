/*
 * How a proxy makes one answer out of many: Swift's quorum_size, have_quorum, best_response and the
 * number of container updates to hand out. Classes are the hundreds of a status; 5xx never has a
 * quorum.
 */
#ifndef LIB_SWIFT_QUORUM_H
#define LIB_SWIFT_QUORUM_H

#include <stdbool.h>
#include <stddef.h>

/* (replicas + 1) / 2: not a majority for even numbers. For replicated data; an EC policy has its
 * own quorum. */
size_t quorum_size(size_t replicas);

/* Whether at least `quorum` of the statuses are 1xx, or 2xx, or 3xx, or 4xx: nothing can change the
 * answer now. */
bool quorum_reached(const int *statuses, size_t count, size_t quorum);

/* Replaces a status when no class has a quorum by itself; deletes count 404 as 204 this way. */
struct quorum_override {
	int status;      /* as the backend answered */
	int replacement; /* what it counts as */
};

/*
 * The status for the client. The first class of 2xx, 3xx, 4xx with `quorum` members wins, in it the
 * numerically greatest status (the first one of equals), whose response supplies body and headers:
 * *ret_index. Without a quorum the overrides are applied and the classes counted again; responses
 * that were replaced cannot be chosen. Still none: 503, and *ret_index is `count`. `overrides` may
 * be NULL when override_count is 0. Responses that never came belong in the array as 503.
 */
int quorum_best_response(const int *statuses, size_t count, size_t quorum, const struct quorum_override *overrides,
	size_t override_count, size_t *ret_index);

/*
 * How many container updates the requests of one object PUT must carry so that a quorum of
 * containers hears of it even if only `object_quorum` of the requests succeed, and every container
 * at least once.
 */
size_t num_container_updates(
	size_t container_replicas, size_t container_quorum, size_t object_requests, size_t object_quorum);

#endif
