#include "ring/builder.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "ring/builder_private.h"
#include "ring/ring.h"

/* Takes replicas off removed devices, and second replicas of a partition off any device. */
static void clear_lost_slots(struct ring_builder *builder)
{
	for (uint32_t partition = 0; partition < builder->partition_count; partition++) {
		uint16_t *slots = &builder->slots[(size_t)partition * builder->row_count];
		for (uint32_t row = 0; row < builder_replicas_of(builder, partition); row++) {
			bool lost = slots[row] != BUILDER_SLOT_NONE && builder->devices[slots[row]]->removed;
			for (uint32_t other = 0; other < row && !lost; other++)
				lost = slots[other] == slots[row];
			if (lost)
				slots[row] = BUILDER_SLOT_NONE;
		}
	}
	builder_count_parts(builder);
}

/* Partitions that moved less than min_part_hours ago. */
static bool *freeze_young(const struct ring_builder *builder, uint32_t now_seconds)
{
	bool *frozen = xcalloc(builder->partition_count, sizeof(frozen[0]));
	uint64_t rest_seconds = (uint64_t)builder->min_part_hours * 3600;
	for (uint32_t i = 0; i < builder->partition_count; i++)
		frozen[i] = builder->moved_at[i] && builder->moved_at[i] + rest_seconds > now_seconds;
	return frozen;
}

/* Compares with the slots before, notes the time of what moved. */
static void note_moves(
	struct ring_builder *builder, const uint16_t *before, uint32_t now_seconds, struct ring_rebalance *result)
{
	for (uint32_t partition = 0; partition < builder->partition_count; partition++) {
		size_t at = (size_t)partition * builder->row_count, moved = 0;
		for (uint32_t row = 0; row < builder->row_count; row++)
			moved += before[at + row] != builder->slots[at + row];
		result->replicas_moved += moved;
		result->partitions_moved += moved > 0;
		if (moved)
			builder->moved_at[partition] = now_seconds;
	}
}

static size_t drop_removed(struct ring_builder *builder)
{
	size_t dropped = 0;
	for (size_t id = 0; id < builder->device_count; id++) {
		if (!builder->devices[id] || !builder->devices[id]->removed)
			continue;
		builder_drop_device(builder, id);
		dropped++;
	}
	return dropped;
}

int ring_builder_rebalance(struct ring_builder *builder, uint64_t seed, uint32_t now_seconds,
	struct ring_rebalance *ret_result, char **ret_error)
{
	struct plan plan;
	struct ring_rebalance result = {0};
	uint64_t random = seed;
	size_t slots_bytes = (size_t)builder->partition_count * builder->row_count * sizeof(builder->slots[0]);
	int error = plan_make(builder, &plan, ret_error);
	if (error < 0)
		return error;
	_cleanup_free_ uint16_t *before = xmalloc(slots_bytes);
	memcpy(before, builder->slots, slots_bytes);
	if (!builder->assigned) {
		plan_assign_all(&plan, builder, &random);
		builder->assigned = true;
	} else {
		/* A plan rounds so as to save moves: it needs the loads that are left. */
		plan_release(&plan);
		clear_lost_slots(builder);
		error = plan_make(builder, &plan, NULL);
		assert(error == 0);
		_cleanup_free_ bool *frozen = freeze_young(builder, now_seconds);
		plan_improve(&plan, builder, frozen, &random);
		result.replicas_pending = plan_excess(&plan);
	}
	plan_release(&plan);
	note_moves(builder, before, now_seconds, &result);
	result.devices_removed = drop_removed(builder);
	builder_count_parts(builder);
	builder->version++;
	*ret_result = result;
	return 0;
}
