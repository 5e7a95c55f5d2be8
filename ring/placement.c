/*
 * The plan of a builder (what every region, zone, host and device should hold) and the assignment
 * of a fresh ring.
 *
 * A fresh ring is made by systematic sampling. Think of a node's share as a line of `quota` seats
 * on which its children lie side by side, each as long as its own quota, and number the partitions
 * 0 … N-1 in some order: partition i sits on the seats i, i + N, i + 2N, … Then every seat is taken
 * by exactly one replica, so quotas are met exactly; a child of length q covers q/N seats of each
 * partition, rounded down or up, so no child holds more of a partition than it must; and a device,
 * at most N long, never covers two. Each child orders its partitions anew at random, keeping first
 * those that have one seat more than the others, and divides its seats among its own children
 * alike. Therefore the rule holds on each level, and which devices share partitions is left to
 * chance, so that when one fails all others help to restore it.
 */
#include "ring/builder_private.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "ring/ring_private.h"

/* Shares are sums of a few thousand doubles below 2^30: this is far above their error and far below
 * one replica. */
#define SHARE_EPSILON 1e-5

static int compare_devices(const void *left, const void *right)
{
	const struct builder_device *a = *(const struct builder_device *const *)left;
	const struct builder_device *b = *(const struct builder_device *const *)right;
	if (a->device.region != b->device.region)
		return a->device.region < b->device.region ? -1 : 1;
	if (a->device.zone != b->device.zone)
		return a->device.zone < b->device.zone ? -1 : 1;
	int order = strcmp(a->device.ip, b->device.ip);
	return order ? order : a->device.id - b->device.id;
}

/* The devices that stay, sorted by region, zone, host and id. The caller frees the array. */
static const struct builder_device **sort_devices(const struct ring_builder *builder, size_t *ret_count)
{
	const struct builder_device **sorted = xcalloc(builder->device_count + 1, sizeof(sorted[0]));
	size_t count = 0;
	for (size_t id = 0; id < builder->device_count; id++)
		if (builder->devices[id] && !builder->devices[id]->removed)
			sorted[count++] = builder->devices[id];
	qsort(sorted, count, sizeof(sorted[0]), compare_devices);
	*ret_count = count;
	return sorted;
}

/* Whether `device` is the first of its region (level 0), zone, host or itself (level 3) after
 * `before`. */
static bool opens_level(const struct ring_device *before, const struct ring_device *device, int level)
{
	if (!before || before->region != device->region || level == 3)
		return true;
	if (level >= 1 && before->zone != device->zone)
		return true;
	return level >= 2 && (before->zone != device->zone || strcmp(before->ip, device->ip) != 0);
}

/* Lays out the tree level by level, so that children of one parent are neighbours. */
static void build_tree(struct plan *plan, const struct builder_device **sorted, size_t count)
{
	plan->nodes = xcalloc(1 + PLAN_LEVELS * count, sizeof(plan->nodes[0]));
	plan->nodes[0] = (struct plan_node){.device = -1};
	plan->node_count = 1;
	for (int level = 0; level < PLAN_LEVELS; level++) {
		for (size_t i = 0; i < count; i++) {
			const struct ring_device *device = &sorted[i]->device;
			const struct ring_device *before = i ? &sorted[i - 1]->device : NULL;
			uint32_t parent = level ? plan->path[device->id][level - 1] : 0;
			if (opens_level(before, device, level)) {
				uint32_t node = plan->node_count++;
				plan->nodes[node] = (struct plan_node){.parent = parent, .device = -1};
				if (plan->nodes[parent].child_count++ == 0)
					plan->nodes[parent].first_child = node;
			}
			plan->path[device->id][level] = plan->node_count - 1;
		}
	}
	for (size_t i = 0; i < count; i++) {
		struct plan_node *leaf = &plan->nodes[plan->path[sorted[i]->device.id][PLAN_LEVELS - 1]];
		leaf->device = sorted[i]->device.id;
		leaf->load = sorted[i]->parts;
	}
}

/* Shares by weight, except that no device gets more than one replica of each partition: the others
 * take the rest. */
static void share_by_weight(
	struct plan *plan, const struct ring_builder *builder, const struct builder_device **sorted, size_t count)
{
	double rest = (double)builder_replicas_total(builder);
	double cap = builder->partition_count, weights = 0;
	for (size_t i = 0; i < count; i++)
		weights += sorted[i]->device.weight;
	bool capped_one = true;
	while (capped_one) {
		capped_one = false;
		double rest_before = rest, weights_before = weights;
		for (size_t i = 0; i < count; i++) {
			struct plan_node *leaf = &plan->nodes[plan->path[sorted[i]->device.id][PLAN_LEVELS - 1]];
			double weight = sorted[i]->device.weight;
			if (leaf->share >= cap || weight <= 0)
				continue;
			leaf->share = rest_before * (weight / weights_before);
			if (leaf->share < cap - SHARE_EPSILON)
				continue;
			leaf->share = cap;
			rest -= cap;
			weights -= weight;
			capped_one = true;
		}
	}
}

/* A few times over every seat: enough to forget where it was. */
enum { MIX_TRIES_PER_SEAT = 4 };

struct candidate {
	uint32_t node;
	bool holds_more;  /* than the share rounded down: rounding up saves a move */
	double remainder; /* of the share after rounding down */
};

static int compare_candidates(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	if (a->holds_more != b->holds_more)
		return a->holds_more ? -1 : 1;
	if (fabs(a->remainder - b->remainder) > SHARE_EPSILON)
		return a->remainder > b->remainder ? -1 : 1;
	return a->node < b->node ? -1 : a->node > b->node;
}

/* Divides a node's quota among its children: shares rounded down, then the rest in the order of
 * compare_candidates. */
static void divide_quota(struct plan *plan, const struct plan_node *parent, struct candidate *candidates)
{
	int64_t rest = parent->quota;
	for (uint32_t i = 0; i < parent->child_count; i++) {
		struct plan_node *child = &plan->nodes[parent->first_child + i];
		child->quota = (int64_t)floor(child->share + SHARE_EPSILON);
		rest -= child->quota;
		double remainder = child->share - (double)child->quota;
		candidates[i] = (struct candidate){
			.node = parent->first_child + i,
			.holds_more = remainder > SHARE_EPSILON && child->load > child->quota,
			.remainder = remainder,
		};
	}
	qsort(candidates, parent->child_count, sizeof(candidates[0]), compare_candidates);
	assert(rest <= (int64_t)parent->child_count && -rest <= (int64_t)parent->child_count);
	for (int64_t i = 0; i < rest; i++)
		plan->nodes[candidates[i].node].quota++;
	/* Below zero when children were rounded up by the epsilon and their parent was not: the
	 * last ones give back. */
	for (int64_t i = 0; i > rest; i--)
		plan->nodes[candidates[parent->child_count - 1 + i].node].quota--;
}

static int check_device_count(const struct ring_builder *builder, char **ret_error)
{
	uint32_t weighted = 0;
	for (size_t id = 0; id < builder->device_count; id++) {
		const struct builder_device *device = builder->devices[id];
		weighted += device && !device->removed && device->device.weight > 0;
	}
	if (weighted < builder->row_count)
		return ring_fail(ret_error, EINVAL, "%g replicas need at least %u devices with weight, there are %u",
			builder->replicas, builder->row_count, weighted);
	return 0;
}

int plan_make(const struct ring_builder *builder, struct plan *ret_plan, char **ret_error)
{
	int error = check_device_count(builder, ret_error);
	if (error < 0)
		return error;
	size_t count;
	struct plan plan = {.device_count = builder->device_count};
	plan.path = xcalloc(builder->device_count + 1, sizeof(plan.path[0]));
	const struct builder_device **sorted = sort_devices(builder, &count);
	build_tree(&plan, sorted, count);
	share_by_weight(&plan, builder, sorted, count);
	free(sorted);

	/* Parents stand before their children. */
	for (uint32_t i = plan.node_count - 1; i > 0; i--) {
		plan.nodes[plan.nodes[i].parent].share += plan.nodes[i].share;
		plan.nodes[plan.nodes[i].parent].load += plan.nodes[i].load;
	}
	_cleanup_free_ struct candidate *candidates = xcalloc(plan.node_count, sizeof(candidates[0]));
	plan.nodes[0].quota = (int64_t)builder_replicas_total(builder);
	for (uint32_t i = 0; i < plan.node_count; i++) {
		struct plan_node *node = &plan.nodes[i];
		if (node->child_count)
			divide_quota(&plan, node, candidates);
		node->floor = (uint32_t)(node->quota / builder->partition_count);
		node->ceiling = node->floor + (node->quota % builder->partition_count != 0);
		if (node->device >= 0)
			assert(node->ceiling <= 1);
	}
	*ret_plan = plan;
	return 0;
}

void plan_release(struct plan *plan)
{
	free(plan->nodes);
	free(plan->path);
	*plan = (struct plan){0};
}

size_t plan_excess(const struct plan *plan)
{
	size_t excess = 0;
	for (uint32_t i = 0; i < plan->node_count; i++) {
		const struct plan_node *node = &plan->nodes[i];
		if (node->device >= 0 && node->load > node->quota)
			excess += (size_t)(node->load - node->quota);
	}
	return excess;
}

struct seating {
	const struct plan *plan;
	struct ring_builder *builder;
	uint64_t *random;
	uint8_t *filled; /* [partition] rows in use */
};

static void seat_device(struct seating *seating, const struct plan_node *leaf, const uint32_t *order)
{
	struct ring_builder *builder = seating->builder;
	for (int64_t i = 0; i < leaf->quota; i++) {
		size_t row = seating->filled[order[i]]++;
		assert(row < builder->row_count);
		builder->slots[(size_t)order[i] * builder->row_count + row] = (uint16_t)leaf->device;
	}
}

/* How many of a partition's seats on a node are a child's. Its seats are i, i + N, i + 2N, … below
 * the quota. */
static uint32_t seats_of_child(
	const uint32_t *children, uint64_t quota, uint64_t partitions, uint64_t i, uint32_t child)
{
	uint32_t count = 0;
	for (uint64_t seat = i; seat < quota; seat += partitions)
		count += children[seat] == child;
	return count;
}

/*
 * Sampling leaves its mark where partitions have several seats: children next to each other never
 * meet in one. So pairs of seats change their children at random, where both children stay between
 * floor and ceiling in both partitions.
 */
static void mix_seats(struct seating *seating, const struct plan_node *node, uint32_t *children)
{
	const struct plan_node *nodes = &seating->plan->nodes[node->first_child];
	const uint64_t partitions = seating->builder->partition_count, quota = (uint64_t)node->quota;
	for (uint64_t tries = MIX_TRIES_PER_SEAT * quota; tries > 0; tries--) {
		uint64_t seat = random_below(seating->random, (uint32_t)quota);
		uint64_t other = random_below(seating->random, (uint32_t)quota);
		uint64_t i = seat % partitions, k = other % partitions;
		uint32_t a = children[seat], b = children[other];
		if (a == b || i == k || seats_of_child(children, quota, partitions, i, b) >= nodes[b].ceiling ||
			seats_of_child(children, quota, partitions, k, a) >= nodes[a].ceiling ||
			seats_of_child(children, quota, partitions, i, a) <= nodes[a].floor ||
			seats_of_child(children, quota, partitions, k, b) <= nodes[b].floor)
			continue;
		children[seat] = b;
		children[other] = a;
	}
}

/* The partitions seated on one child: first those with a seat more than `floor`. */
struct child_order {
	uint32_t *partitions;
	uint64_t extra_count; /* so far */
	uint64_t other_count; /* so far; they stand behind all extra ones, and only when they have a
				 seat */
};

/* Sorts the partitions of one node into the orders of its children. */
static void order_children(struct seating *seating, const struct plan_node *node, const uint32_t *order,
	const uint32_t *children, struct child_order *orders)
{
	const uint64_t partitions = seating->builder->partition_count, quota = (uint64_t)node->quota;
	const struct plan_node *nodes = &seating->plan->nodes[node->first_child];
	for (uint64_t i = 0; i < partitions && i < quota; i++) {
		for (uint64_t seat = i; seat < quota; seat += partitions) {
			uint32_t child = children[seat];
			uint64_t before = seat;
			while (before >= partitions && children[before - partitions] != child)
				before -= partitions;
			if (before >= partitions)
				continue; /* this partition was given to the child at an earlier
					     seat */
			uint64_t all_extra = (uint64_t)nodes[child].quota % partitions;
			if (seats_of_child(children, quota, partitions, i, child) > nodes[child].floor)
				orders[child].partitions[orders[child].extra_count++] = order[i];
			else
				orders[child].partitions[all_extra + orders[child].other_count++] = order[i];
		}
	}
}

/*
 * Seats the partitions of `order` on the node. First in it stand the quota % N partitions that have
 * one seat more; the others follow only when they have a seat at all. Recursion goes down
 * PLAN_LEVELS levels.
 */
static void seat_node(struct seating *seating, const struct plan_node *node, const uint32_t *order)
{
	const uint64_t partitions = seating->builder->partition_count;
	if (node->device >= 0) {
		seat_device(seating, node, order);
		return;
	}
	uint32_t *children = xcalloc((size_t)node->quota + 1, sizeof(children[0]));
	struct child_order *orders = xcalloc(node->child_count, sizeof(orders[0]));
	uint64_t seat = 0;
	for (uint32_t i = 0; i < node->child_count; i++) {
		const struct plan_node *child = &seating->plan->nodes[node->first_child + i];
		for (int64_t k = 0; k < child->quota; k++)
			children[seat++] = i;
		uint64_t length = child->floor ? partitions : (uint64_t)child->quota;
		orders[i].partitions = xcalloc(length + 1, sizeof(orders[i].partitions[0]));
	}
	if (node->ceiling > 1)
		mix_seats(seating, node, children);
	order_children(seating, node, order, children, orders);
	free(children);
	for (uint32_t i = 0; i < node->child_count; i++) {
		const struct plan_node *child = &seating->plan->nodes[node->first_child + i];
		assert(orders[i].extra_count == (uint64_t)child->quota % partitions);
		random_shuffle(seating->random, orders[i].partitions, orders[i].extra_count);
		random_shuffle(seating->random, orders[i].partitions + orders[i].extra_count, orders[i].other_count);
		seat_node(seating, child, orders[i].partitions);
		free(orders[i].partitions);
	}
	free(orders);
}

/* The tree's order put the first region into the first row; primaries should be anywhere. */
static void shuffle_rows(struct ring_builder *builder, uint64_t *random)
{
	for (uint32_t partition = 0; partition < builder->partition_count; partition++) {
		uint16_t *slots = &builder->slots[(size_t)partition * builder->row_count];
		for (uint32_t i = builder_replicas_of(builder, partition); i > 1; i--) {
			uint32_t other = random_below(random, i);
			uint16_t device = slots[i - 1];
			slots[i - 1] = slots[other];
			slots[other] = device;
		}
	}
}

void plan_assign_all(const struct plan *plan, struct ring_builder *builder, uint64_t *random)
{
	uint32_t count = builder->partition_count;
	_cleanup_free_ uint32_t *order = xcalloc(count, sizeof(order[0]));
	_cleanup_free_ uint8_t *filled = xcalloc(count, sizeof(filled[0]));
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	/* A short last row: the partitions below its length have one replica more, so they come
	 * first. */
	random_shuffle(random, order, builder->last_row_length);
	random_shuffle(random, order + builder->last_row_length, count - builder->last_row_length);
	struct seating seating = {.plan = plan, .builder = builder, .random = random, .filled = filled};
	seat_node(&seating, &plan->nodes[0], order);
	shuffle_rows(builder, random);
	for (uint32_t partition = 0; partition < count; partition++)
		assert(filled[partition] == builder_replicas_of(builder, partition));
}
