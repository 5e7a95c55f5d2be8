/*
 * The builder's own parts: its state, the plan of shares (placement.c) and the moves
 * towards it (moves.c).
 */
#ifndef RING_BUILDER_PRIVATE_H
#define RING_BUILDER_PRIVATE_H

#include "ring/builder.h"
#include "ring/ring.h"

enum { BUILDER_SLOT_NONE = 0xffff };

struct builder_device {
	struct ring_device device; /* the texts are malloc'ed */
	bool removed;              /* marked: loses everything at the next rebalance, then becomes a hole */
	uint32_t parts;            /* replicas it holds */
};

struct ring_builder {
	int part_power;
	double replicas;
	int min_part_hours;
	int64_t version;
	uint32_t partition_count;
	uint32_t row_count;       /* replicas, rounded up */
	uint32_t last_row_length; /* partitions that have a replica in the last row */
	size_t device_count;
	struct builder_device **devices; /* by id; NULL for holes */
	bool assigned;                   /* false before the first rebalance: all slots are NONE */
	uint16_t *slots;                 /* [partition * row_count + row] device id or BUILDER_SLOT_NONE */
	uint32_t *moved_at;              /* [partition] seconds since 1970; 0: never */
};

/* Replicas of one partition: row_count, or one less beyond the end of a short last row. */
static inline uint32_t builder_replicas_of(const struct ring_builder *builder, uint32_t partition)
{
	return builder->row_count - (partition >= builder->last_row_length);
}

/* Replicas of all partitions. */
static inline uint64_t builder_replicas_total(const struct ring_builder *builder)
{
	return (uint64_t)(builder->row_count - 1) * builder->partition_count + builder->last_row_length;
}

/* Counts `parts` of every device anew from the slots. */
void builder_count_parts(struct ring_builder *builder);

/* A builder with all numbers set and empty tables; shared by the ways to make one. Returns 0 or
 * -EINVAL with a text. */
int builder_make(int part_power, uint32_t row_count, uint32_t last_row_length, int min_part_hours,
	struct ring_builder **ret_builder, char **ret_error);

/* Puts a copy of `device` at device->id, which must be a hole or the end of the list. */
struct builder_device *builder_put_device(struct ring_builder *builder, const struct ring_device *device);

/* Frees the device and leaves a hole. Nothing may be assigned to it. */
void builder_drop_device(struct ring_builder *builder, size_t id);

/*
 * The sequence that a seed gives (SplitMix64, public domain, by Sebastiano Vigna): small, and the
 * same on every machine.
 */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* A number below `limit`, which is far below 2^32: the bias is of no account. */
static inline uint32_t random_below(uint64_t *state, uint32_t limit)
{
	return (uint32_t)((random_next(state) >> 32) * limit >> 32);
}

static inline void random_shuffle(uint64_t *state, uint32_t *items, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		uint32_t other = random_below(state, (uint32_t)i);
		uint32_t item = items[i - 1];
		items[i - 1] = items[other];
		items[other] = item;
	}
}

/*
 * The plan: the tree of regions, zones, hosts and devices with what each should hold. A node's
 * children are neighbours in `nodes`; node 0 is the whole cluster. The leaves are the devices that
 * are not removed; those without weight have the quota 0.
 */
enum { PLAN_LEVELS = 4 }; /* region, zone, host, device */

struct plan_node {
	uint32_t parent;
	uint32_t first_child;
	uint32_t child_count; /* 0: a device */
	int device;           /* its id; -1 above the leaves */
	double share;         /* replicas it should hold, exactly by weight */
	int64_t quota;        /* the share rounded; those of the children sum up to it */
	int64_t load;         /* replicas it holds now */
	uint32_t floor;       /* replicas of one partition: quota / partition_count, rounded down … */
	uint32_t ceiling;     /* … and up */
};

struct plan {
	struct plan_node *nodes;
	uint32_t node_count;
	uint32_t (*path)[PLAN_LEVELS]; /* [device id] region, zone, host, leaf; 0: removed */
	size_t device_count;
};

/* Makes the plan for the builder's devices. Returns 0, or -EINVAL with a text when there are too
 * few. */
int plan_make(const struct ring_builder *builder, struct plan *ret_plan, char **ret_error);
void plan_release(struct plan *plan);

/* Replicas that devices hold above their quota. */
size_t plan_excess(const struct plan *plan);

/* Assigns every slot of an empty builder, meeting the plan exactly. */
void plan_assign_all(const struct plan *plan, struct ring_builder *builder, uint64_t *random);

/*
 * Fills the empty slots and moves what may move to meet the plan. Partitions whose `frozen` is set
 * keep their replicas; those that moved are frozen on return.
 */
void plan_improve(struct plan *plan, struct ring_builder *builder, bool *frozen, uint64_t *random);

#endif
