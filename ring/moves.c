/*
 * Moving replicas of an assigned ring towards the plan, as few as it takes.
 *
 *	1. fill     Empty slots get the device that fits best.
 *	2. spread   A partition that has too many replicas in one region, zone or host, or none
 *	            where it must have one, moves the replica that cures most, even onto a device
 *	            that is full: step 3 relieves that one.
 *	3. relieve  Devices above their quota give to devices below it what fits there directly.
 *	4. chains   What is left over goes by way of other devices: A gives to B, which gives
 *	            another partition to C.
 *
 * A move fits when the partition is spread no worse after it. Each partition moves once at most,
 * then it is frozen.
 */
#include "ring/builder_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "ring/ring_private.h"

enum { NO_DEVICE = -1, LEAF = PLAN_LEVELS - 1 };

/*
 * How bad one replica too many or too few is: a region outweighs whatever a single move can do to
 * its zones, and so on (one move changes at most two replicas on a level).
 */
static const int level_weights[PLAN_LEVELS] = {125, 25, 5, 1};

/* Chains are searched breadth first; looking at this many moves takes some seconds. */
enum { CHAIN_LOOKS_MAX = 100000000 };

struct mover {
	struct plan *plan;
	struct ring_builder *builder;
	bool *frozen;
	uint32_t *order;  /* partitions as the seed shuffled them */
	uint32_t *tally;  /* [node] replicas there of the partition at hand; zeros in between */
	uint32_t *leaves; /* nodes of devices with a quota: where replicas may go */
	size_t leaf_count;
	uint32_t *takers; /* those of `leaves` that are below their quota */
	size_t taker_count;
	uint32_t *outlets; /* [device] partitions not looked at yet that it could give to a taker */
	uint32_t *musts;   /* nodes that should have a replica of every partition */
	size_t must_count;
};

static uint16_t *slots_of(const struct mover *mover, uint32_t partition)
{
	return &mover->builder->slots[(size_t)partition * mover->builder->row_count];
}

/* Adds `step` (1 or -1) to the tally for each replica of the partition. */
static void count_partition(struct mover *mover, uint32_t partition, int step)
{
	const uint16_t *slots = slots_of(mover, partition);
	for (uint32_t row = 0; row < builder_replicas_of(mover->builder, partition); row++) {
		if (slots[row] == BUILDER_SLOT_NONE)
			continue;
		for (int level = 0; level < PLAN_LEVELS; level++)
			mover->tally[mover->plan->path[slots[row]][level]] += (uint32_t)step;
	}
}

/* How many replicas of one partition a node has in excess of its ceiling, or short of its floor. */
static int misfit(const struct plan_node *node, int64_t count)
{
	if (count > node->ceiling)
		return (int)(count - node->ceiling);
	return count < node->floor ? (int)(node->floor - count) : 0;
}

/* What a step from one device to another does to the tallied partition and to the loads. */
struct effect {
	int cost;   /* change of the weighted misfits; below zero is better spread */
	int gain;   /* levels where loads come nearer to the quotas, less those where they part */
	bool harms; /* on some level they part */
};

/* From device `from` (or NO_DEVICE) to the device of node `leaf`. */
static struct effect effect_of(const struct mover *mover, int from, uint32_t leaf)
{
	const struct plan_node *nodes = mover->plan->nodes;
	const uint32_t *target = mover->plan->path[nodes[leaf].device];
	const uint32_t *source = from == NO_DEVICE ? NULL : mover->plan->path[from];
	struct effect effect = {0, 0, false};
	for (int level = LEAF; level >= 0; level--) {
		if (source && source[level] == target[level])
			break;
		const struct plan_node *gets = &nodes[target[level]];
		int64_t count = mover->tally[target[level]];
		int cost = misfit(gets, count + 1) - misfit(gets, count);
		int gain = gets->load < gets->quota ? 1 : -1;
		if (source) {
			const struct plan_node *gives = &nodes[source[level]];
			count = mover->tally[source[level]];
			cost += misfit(gives, count - 1) - misfit(gives, count);
			gain += gives->load > gives->quota ? 1 : -1;
		}
		effect.cost += cost * level_weights[level];
		effect.gain += gain;
		effect.harms |= gain < 0;
	}
	return effect;
}

static void change_load(struct mover *mover, int device, int step)
{
	for (int level = 0; level < PLAN_LEVELS; level++)
		mover->plan->nodes[mover->plan->path[device][level]].load += step;
}

/* Puts the slot on another device; the partition may not be tallied at this moment. */
static void move_slot(struct mover *mover, uint32_t partition, uint32_t row, int device)
{
	uint16_t *slot = &slots_of(mover, partition)[row];
	if (*slot != BUILDER_SLOT_NONE)
		change_load(mover, *slot, -1);
	*slot = (uint16_t)device;
	change_load(mover, device, 1);
	mover->frozen[partition] = true;
}

/* A possible move, and how it compares with others. */
struct choice {
	uint32_t row;
	int device; /* NO_DEVICE: none found */
	struct effect effect;
	double urgency; /* of the source to give; 0 where that does not matter */
	int64_t room;   /* of the target */
};

static bool better(const struct choice *a, const struct choice *b)
{
	if (b->device == NO_DEVICE || a->effect.cost != b->effect.cost)
		return b->device == NO_DEVICE || a->effect.cost < b->effect.cost;
	if (a->effect.gain != b->effect.gain)
		return a->effect.gain > b->effect.gain;
	if (a->urgency != b->urgency)
		return a->urgency > b->urgency;
	return a->room > b->room;
}

static int64_t room_of(const struct plan_node *node)
{
	return node->quota - node->load;
}

/* Weighs moving a tallied partition's slot to the devices of `leaves`; the best stays in *best. */
static void weigh_slot(const struct mover *mover, uint32_t row, int from, const uint32_t *leaves, size_t leaf_count,
	struct choice *best)
{
	const struct plan_node *nodes = mover->plan->nodes;
	for (size_t i = 0; i < leaf_count; i++) {
		const struct plan_node *leaf = &nodes[leaves[i]];
		if (mover->tally[leaves[i]])
			continue;
		struct choice choice = {.row = row,
			.device = leaf->device,
			.effect = effect_of(mover, from, leaves[i]),
			.room = room_of(leaf)};
		if (better(&choice, best))
			*best = choice;
	}
}

/* Makes mover->takers those of `leaves` that have room. `leaves` may be mover->takers itself. */
static void list_takers(struct mover *mover, const uint32_t *leaves, size_t count)
{
	mover->taker_count = 0;
	for (size_t i = 0; i < count; i++)
		if (room_of(&mover->plan->nodes[leaves[i]]) > 0)
			mover->takers[mover->taker_count++] = leaves[i];
}

static void fill_partition(struct mover *mover, uint32_t partition)
{
	const uint16_t *slots = slots_of(mover, partition);
	for (uint32_t row = 0; row < builder_replicas_of(mover->builder, partition); row++) {
		if (slots[row] != BUILDER_SLOT_NONE)
			continue;
		struct choice best = {.device = NO_DEVICE};
		count_partition(mover, partition, 1);
		weigh_slot(mover, row, NO_DEVICE, mover->leaves, mover->leaf_count, &best);
		count_partition(mover, partition, -1);
		assert(best.device != NO_DEVICE); /* plan_make() found enough devices */
		move_slot(mover, partition, row, best.device);
	}
}

static bool is_misfit(const struct mover *mover, uint32_t partition)
{
	const uint16_t *slots = slots_of(mover, partition);
	const struct plan_node *nodes = mover->plan->nodes;
	for (size_t i = 0; i < mover->must_count; i++)
		if (mover->tally[mover->musts[i]] < nodes[mover->musts[i]].floor)
			return true;
	for (uint32_t row = 0; row < builder_replicas_of(mover->builder, partition); row++) {
		for (int level = 0; level < PLAN_LEVELS; level++) {
			uint32_t node = mover->plan->path[slots[row]][level];
			if (mover->tally[node] > nodes[node].ceiling)
				return true;
		}
	}
	return false;
}

static void spread_partition(struct mover *mover, uint32_t partition)
{
	const uint16_t *slots = slots_of(mover, partition);
	struct choice best = {.device = NO_DEVICE};
	count_partition(mover, partition, 1);
	if (is_misfit(mover, partition))
		for (uint32_t row = 0; row < builder_replicas_of(mover->builder, partition); row++)
			weigh_slot(mover, row, slots[row], mover->leaves, mover->leaf_count, &best);
	count_partition(mover, partition, -1);
	if (best.device != NO_DEVICE && best.effect.cost < 0)
		move_slot(mover, partition, best.row, best.device);
}

/* Whether the device is above its quota and could give the tallied partition to a taker. */
static bool can_give(const struct mover *mover, int from)
{
	if (room_of(&mover->plan->nodes[mover->plan->path[from][LEAF]]) >= 0)
		return false;
	for (size_t i = 0; i < mover->taker_count; i++)
		if (!mover->tally[mover->takers[i]] && effect_of(mover, from, mover->takers[i]).cost <= 0)
			return true;
	return false;
}

/* Counts for each device the partitions that it could give away. */
static void count_outlets(struct mover *mover)
{
	memset(mover->outlets, 0, mover->plan->device_count * sizeof(mover->outlets[0]));
	for (uint32_t partition = 0; partition < mover->builder->partition_count; partition++) {
		const uint16_t *slots = slots_of(mover, partition);
		if (mover->frozen[partition])
			continue;
		count_partition(mover, partition, 1);
		for (uint32_t row = 0; row < builder_replicas_of(mover->builder, partition); row++)
			mover->outlets[slots[row]] += can_give(mover, slots[row]);
		count_partition(mover, partition, -1);
	}
}

/*
 * Moves one replica from a device above its quota to one below it, if that fits. Where several
 * devices could give, the one gives that has the fewest other outlets for its excess, lest it be
 * left without. `harmless`: only when the move takes the load of no region, zone or host away from
 * its quota.
 */
static void relieve_partition(struct mover *mover, uint32_t partition, bool harmless)
{
	const uint16_t *slots = slots_of(mover, partition);
	struct choice best = {.device = NO_DEVICE};
	count_partition(mover, partition, 1);
	for (uint32_t row = 0; row < builder_replicas_of(mover->builder, partition); row++) {
		int64_t excess = -room_of(&mover->plan->nodes[mover->plan->path[slots[row]][LEAF]]);
		struct choice choice = {.device = NO_DEVICE};
		if (excess > 0)
			weigh_slot(mover, row, slots[row], mover->takers, mover->taker_count, &choice);
		if (choice.device == NO_DEVICE || choice.effect.cost > 0)
			continue;
		uint32_t *outlets = &mover->outlets[slots[row]];
		choice.urgency = (double)excess / (*outlets ? *outlets : 1);
		*outlets -= *outlets > 0;
		if (better(&choice, &best))
			best = choice;
	}
	count_partition(mover, partition, -1);
	if (best.device == NO_DEVICE || (harmless && best.effect.harms))
		return;
	move_slot(mover, partition, best.row, best.device);
	list_takers(mover, mover->takers, mover->taker_count);
}

static void relieve_all(struct mover *mover, bool harmless)
{
	list_takers(mover, mover->leaves, mover->leaf_count);
	if (mover->taker_count > 0)
		count_outlets(mover);
	for (uint32_t i = 0; i < mover->builder->partition_count && mover->taker_count > 0; i++)
		if (!mover->frozen[mover->order[i]])
			relieve_partition(mover, mover->order[i], harmless);
}

/* One device met by the search for a chain: the step that led to it. */
struct chain_step {
	int from; /* NO_DEVICE: the start of the chain, or not met */
	uint32_t partition;
	uint32_t row;
};

struct chain_search {
	struct mover *mover;
	struct chain_step *steps; /* [device] */
	uint32_t *first;          /* [device] start of its slots in `held`; one more at the end */
	uint32_t *held;           /* partitions that a device held when the search began */
	bool *hopeless;           /* [device] an earlier search found no way on; moves only close ways */
	uint32_t *unmet;          /* leaves that no step has led to */
	size_t unmet_count;
	int *queue; /* devices met, in order */
	size_t queue_length;
	int64_t looks_left;
};

static bool in_chain(const struct chain_search *search, int device, uint32_t partition)
{
	for (; search->steps[device].from != NO_DEVICE; device = search->steps[device].from)
		if (search->steps[device].partition == partition)
			return true;
	return false;
}

/* Meets the devices that could take the replica of `from`. Returns one with room or NO_DEVICE. */
static int meet_takers(struct chain_search *search, int from, uint32_t partition, uint32_t row)
{
	struct mover *mover = search->mover;
	int found = NO_DEVICE;
	size_t kept = 0;
	count_partition(mover, partition, 1);
	for (size_t i = 0; i < search->unmet_count; i++) {
		uint32_t leaf = search->unmet[i];
		const struct plan_node *node = &mover->plan->nodes[leaf];
		if (found != NO_DEVICE || mover->tally[leaf] || effect_of(mover, from, leaf).cost > 0) {
			search->unmet[kept++] = leaf;
			continue;
		}
		search->steps[node->device] = (struct chain_step){from, partition, row};
		search->queue[search->queue_length++] = node->device;
		if (node->load < node->quota)
			found = node->device;
	}
	count_partition(mover, partition, -1);
	search->looks_left -= (int64_t)search->unmet_count + 1;
	search->unmet_count = kept;
	return found;
}

static int meet_takers_of_device(struct chain_search *search, int from)
{
	struct mover *mover = search->mover;
	int found = NO_DEVICE;
	for (uint32_t i = search->first[from]; i < search->first[from + 1] && found == NO_DEVICE; i++) {
		uint32_t partition = search->held[i], row = 0;
		if (search->unmet_count == 0 || search->looks_left <= 0)
			break;
		if (mover->frozen[partition] || in_chain(search, from, partition))
			continue;
		while (slots_of(mover, partition)[row] != from)
			row++;
		found = meet_takers(search, from, partition, row);
	}
	return found;
}

/* Moves one replica's worth of load from `start` along a chain; false when there is none. */
static bool move_chain(struct chain_search *search, int start)
{
	struct mover *mover = search->mover;
	int found = NO_DEVICE;
	size_t kept = 0;
	for (size_t i = 0; i < mover->leaf_count; i++)
		if (mover->plan->nodes[mover->leaves[i]].device != start &&
			!search->hopeless[mover->plan->nodes[mover->leaves[i]].device])
			search->unmet[kept++] = mover->leaves[i];
	search->unmet_count = kept;
	search->steps[start].from = NO_DEVICE;
	search->queue[0] = start;
	search->queue_length = 1;
	for (size_t i = 0; i < search->queue_length && found == NO_DEVICE; i++)
		found = meet_takers_of_device(search, search->queue[i]);
	for (size_t i = 0; i < search->queue_length && found == NO_DEVICE; i++)
		search->hopeless[search->queue[i]] = true;
	if (found == NO_DEVICE)
		return false;
	for (int device = found; search->steps[device].from != NO_DEVICE; device = search->steps[device].from)
		move_slot(mover, search->steps[device].partition, search->steps[device].row, device);
	return true;
}

/* Lists the movable partitions of each device. Moved ones are frozen, so the lists stay good. */
static void index_held(struct chain_search *search)
{
	const struct mover *mover = search->mover;
	const struct ring_builder *builder = mover->builder;
	size_t devices = builder->device_count;
	_cleanup_free_ uint32_t *next = xcalloc(devices + 1, sizeof(next[0]));
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < builder->partition_count; i++) {
			uint32_t partition = mover->order[i];
			const uint16_t *slots = slots_of(mover, partition);
			for (uint32_t row = 0; row < builder->row_count; row++) {
				if (mover->frozen[partition] || slots[row] == BUILDER_SLOT_NONE)
					continue;
				if (pass == 0)
					search->first[slots[row] + 1]++;
				else
					search->held[next[slots[row]]++] = partition;
			}
		}
		for (size_t id = 0; id < devices && pass == 0; id++) {
			search->first[id + 1] += search->first[id];
			next[id] = search->first[id];
		}
	}
}

static void move_chains(struct mover *mover)
{
	const struct plan *plan = mover->plan;
	size_t devices = mover->builder->device_count;
	if (plan_excess(plan) == 0)
		return;
	_cleanup_free_ struct chain_step *steps = xcalloc(devices, sizeof(steps[0]));
	_cleanup_free_ uint32_t *first = xcalloc(devices + 1, sizeof(first[0]));
	_cleanup_free_ uint32_t *held = xcalloc(builder_replicas_total(mover->builder), sizeof(held[0]));
	_cleanup_free_ bool *hopeless = xcalloc(devices, sizeof(hopeless[0]));
	_cleanup_free_ uint32_t *unmet = xcalloc(mover->leaf_count, sizeof(unmet[0]));
	_cleanup_free_ int *queue = xcalloc(devices, sizeof(queue[0]));
	struct chain_search search = {.mover = mover,
		.steps = steps,
		.first = first,
		.held = held,
		.hopeless = hopeless,
		.unmet = unmet,
		.queue = queue,
		.looks_left = CHAIN_LOOKS_MAX};
	index_held(&search);
	for (uint32_t i = 0; i < plan->node_count; i++) {
		const struct plan_node *node = &plan->nodes[i];
		while (node->device >= 0 && node->load > node->quota && search.looks_left > 0)
			if (!move_chain(&search, node->device))
				break;
	}
}

/* Lists the nodes that steps 1 to 4 look at all the time. */
static void list_nodes(struct mover *mover)
{
	for (uint32_t i = 1; i < mover->plan->node_count; i++) {
		const struct plan_node *node = &mover->plan->nodes[i];
		if (node->device >= 0 && node->quota > 0)
			mover->leaves[mover->leaf_count++] = i;
		if (node->floor > 0)
			mover->musts[mover->must_count++] = i;
	}
}

void plan_improve(struct plan *plan, struct ring_builder *builder, bool *frozen, uint64_t *random)
{
	uint32_t count = builder->partition_count;
	_cleanup_free_ uint32_t *order = xcalloc(count, sizeof(order[0]));
	_cleanup_free_ uint32_t *tally = xcalloc(plan->node_count, sizeof(tally[0]));
	_cleanup_free_ uint32_t *leaves = xcalloc(plan->node_count, sizeof(leaves[0]));
	_cleanup_free_ uint32_t *takers = xcalloc(plan->node_count, sizeof(takers[0]));
	_cleanup_free_ uint32_t *outlets = xcalloc(plan->device_count, sizeof(outlets[0]));
	_cleanup_free_ uint32_t *musts = xcalloc(plan->node_count, sizeof(musts[0]));
	struct mover mover = {.plan = plan,
		.builder = builder,
		.frozen = frozen,
		.order = order,
		.tally = tally,
		.leaves = leaves,
		.takers = takers,
		.outlets = outlets,
		.musts = musts};
	list_nodes(&mover);
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	random_shuffle(random, order, count);

	for (uint32_t i = 0; i < count; i++)
		fill_partition(&mover, order[i]);
	for (uint32_t i = 0; i < count; i++)
		if (!frozen[order[i]])
			spread_partition(&mover, order[i]);
	relieve_all(&mover, true);
	relieve_all(&mover, false);
	move_chains(&mover);
}
