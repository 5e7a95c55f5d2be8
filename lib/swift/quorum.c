#include "lib/swift/quorum.h"

enum { STATUS_UNAVAILABLE = 503 };

size_t quorum_size(size_t replicas)
{
	return (replicas + 1) / 2;
}

bool quorum_reached(const int *statuses, size_t count, size_t quorum)
{
	size_t members[5] = {0}; /* by hundred; 5xx never counts */
	for (size_t i = 0; i < count; i++) {
		int hundred = statuses[i] / 100;
		if (hundred >= 1 && hundred <= 4 && ++members[hundred] >= quorum)
			return true;
	}
	return false;
}

static const struct quorum_override *find_override(
	int status, const struct quorum_override *overrides, size_t override_count)
{
	for (size_t i = 0; i < override_count; i++)
		if (overrides[i].status == status)
			return &overrides[i];
	return NULL;
}

/*
 * The status of `hundred` to answer with, or 0 when the class has no quorum or nobody in it can be
 * chosen. Responses with an override count as what they become, and cannot be chosen.
 */
static int best_of_class(int hundred, const int *statuses, size_t count, size_t quorum,
	const struct quorum_override *overrides, size_t override_count, size_t *ret_index)
{
	size_t members = 0, best_index = 0;
	int best = 0;
	for (size_t i = 0; i < count; i++) {
		const struct quorum_override *override = find_override(statuses[i], overrides, override_count);
		int status = override ? override->replacement : statuses[i];
		if (status / 100 != hundred)
			continue;
		members++;
		if (!override && status > best) {
			best = status;
			best_index = i;
		}
	}
	if (members < quorum || best == 0)
		return 0;
	*ret_index = best_index;
	return best;
}

static int best_of_all(const int *statuses, size_t count, size_t quorum, const struct quorum_override *overrides,
	size_t override_count, size_t *ret_index)
{
	for (int hundred = 2; hundred <= 4; hundred++) {
		int status = best_of_class(hundred, statuses, count, quorum, overrides, override_count, ret_index);
		if (status)
			return status;
	}
	return 0;
}

int quorum_best_response(const int *statuses, size_t count, size_t quorum, const struct quorum_override *overrides,
	size_t override_count, size_t *ret_index)
{
	int status = best_of_all(statuses, count, quorum, NULL, 0, ret_index);
	if (!status && override_count)
		status = best_of_all(statuses, count, quorum, overrides, override_count, ret_index);
	if (!status) {
		*ret_index = count;
		status = STATUS_UNAVAILABLE;
	}
	return status;
}

size_t num_container_updates(
	size_t container_replicas, size_t container_quorum, size_t object_requests, size_t object_quorum)
{
	/* The object quorum never exceeds the requests where a PUT could succeed at all. */
	size_t may_fail = object_requests > object_quorum ? object_requests - object_quorum : 0;
	size_t for_quorum = container_quorum + may_fail;
	return for_quorum > container_replicas ? for_quorum : container_replicas;
}
