/*
 * The ring builder: decides which devices hold which partitions, and changes that as devices come
 * and go.
 *
 *	ring_builder_new(10, 3, 1, &builder, &error);
 *	ring_builder_add_device(builder, &device, &id, &error);      … for each device
 *	ring_builder_rebalance(builder, seed, time(NULL), &result, &error);
 *	struct ring *ring = ring_builder_ring(builder);
 *	ring_save_v1(ring, "object.ring.gz");
 *	ring_builder_save(builder, "object.builder");
 *
 * What a rebalance keeps to, strictest first:
 *
 *	1. A partition never has two replicas on one device.
 *	2. Replicas on removed devices always move. Otherwise a partition moves at most one
 *	   replica in a rebalance, and only when it last moved at least min_part_hours ago.
 *	3. Each region, zone, host (ip) and device has a share of all replicas by weight, whole
 *	   numbers that differ from the exact share by less than one. No device's share exceeds
 *	   one replica of each partition; what a heavier one cannot take goes to the others.
 *	4. Of one partition, each region, zone and host holds its share divided by the number of
 *	   partitions, rounded down or up: as unique as the weights allow.
 *	5. As few replicas move as that takes.
 *	6. The same builder, seed and time give the same ring.
 *
 * A fresh ring meets all of this exactly. Later rebalances meet it as far as rule 2 lets them;
 * repeating them after min_part_hours gets there.
 *
 * The builder file is JSON, of our own (swift-ring-builder's is a Python pickle, which we do not
 * read; take its ring.gz over by ring_builder_from_ring()):
 *
 *	{"format": "swiftlet ring builder", "format_version": 1, "part_power": 10,
 *	 "replicas": 3.0, "min_part_hours": 1, "version": 5,
 *	 "devices": [{"device": "sda", "id": 0, …as in ring files…, "removed": false}, null, …],
 *	 "assignment": base64 of zlib of the device ids, 16 bits big-endian, all rows of
 *	               partition 0, then of 1 …; 65535 where a partition has no replica in a
 *	               row; null before the first rebalance,
 *	 "moved_at":   base64 of zlib of the time each partition last moved, seconds since
 *	               1970, 32 bits big-endian; 0: never}
 *
 * Not thread-safe. Texts in *ret_error are malloc'ed and belong to the caller; ret_error may be
 * NULL.
 */
#ifndef RING_BUILDER_H
#define RING_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring;
struct ring_device;
struct ring_builder;

enum {
	RING_BUILDER_PART_POWER_MAX = 24, /* 16 million partitions: enough for 10^5 disks */
	RING_BUILDER_DEVICES_MAX = 0xffff /* so that ids fit format 1 of the ring file */
};

/* What a rebalance did. */
struct ring_rebalance {
	size_t partitions_moved; /* partitions that have a replica in another place than before;
				    all, the first time */
	size_t replicas_moved;
	size_t replicas_pending; /* replicas that devices hold above their share and could not give
				    away this time */
	size_t devices_removed;  /* devices marked for removal that are gone now */
};

/* How good the assignment is. */
struct ring_quality {
	size_t region_count; /* of devices that are not marked for removal */
	size_t zone_count;
	size_t device_count;
	double balance;    /* the largest ring_builder_balance() of a device, sign dropped */
	double dispersion; /* percentage of replicas in excess of what their region, zone or host
			      should have */
};

/*
 * A builder without devices. `replicas` may be fractional, 1 to RING_REPLICAS_MAX. Returns 0, or
 * -EINVAL with a text.
 */
int ring_builder_new(
	int part_power, double replicas, int min_part_hours, struct ring_builder **ret_builder, char **ret_error);

/*
 * A builder that goes on from an existing ring: devices and assignment are its own, no partition
 * counts as moved lately. Returns 0, or -EINVAL with a text when the ring is beyond the limits
 * above.
 */
int ring_builder_from_ring(
	const struct ring *ring, int min_part_hours, struct ring_builder **ret_builder, char **ret_error);

/* Frees it with its devices. NULL is accepted. */
void ring_builder_free(struct ring_builder *builder);

/* Reads a builder file. Returns 0, -EINVAL when it is no good builder file, or a negative errno;
 * with a text. */
int ring_builder_load(const char *path, struct ring_builder **ret_builder, char **ret_error);

/* Writes the builder file: temporary name, sync, rename. Returns 0 or a negative errno. */
int ring_builder_save(const struct ring_builder *builder, const char *path);

/*
 * Adds a copy of `device`, whose id counts for nothing: the first free one is given. Refuses a
 * second device with the same ip, port and name. Returns 0, -EEXIST, -EINVAL or -E2BIG with a text.
 * Takes effect at the next rebalance, as do the two calls below.
 */
int ring_builder_add_device(
	struct ring_builder *builder, const struct ring_device *device, int *ret_id, char **ret_error);

/* Sets a weight of at least 0. Returns 0, -ENOENT (no such device) or -EINVAL (bad weight, marked
 * for removal). */
int ring_builder_set_weight(struct ring_builder *builder, int id, double weight, char **ret_error);

/* Marks a device for removal: the next rebalance empties it whatever min_part_hours says. Returns 0
 * or -ENOENT. */
int ring_builder_remove_device(struct ring_builder *builder, int id, char **ret_error);

/*
 * Assigns partitions as the list above says. `now_seconds` is the time since 1970. Returns 0, or
 * -EINVAL with a text when there are fewer devices with weight than replicas; the builder is
 * unchanged then.
 */
int ring_builder_rebalance(struct ring_builder *builder, uint64_t seed, uint32_t now_seconds,
	struct ring_rebalance *ret_result, char **ret_error);

/* Checks that every replica has a device and no partition has two on one. Returns 0 or -EINVAL with
 * a text. */
int ring_builder_validate(const struct ring_builder *builder, char **ret_error);

/* The ring as it stands, one reference for the caller. NULL before the first rebalance. */
struct ring *ring_builder_ring(const struct ring_builder *builder);

int ring_builder_part_power(const struct ring_builder *builder);
double ring_builder_replicas(const struct ring_builder *builder);
int ring_builder_min_part_hours(const struct ring_builder *builder);
/* Counts the changes: one for each device added, changed or removed, and for each rebalance. */
int64_t ring_builder_version(const struct ring_builder *builder);

/* Devices by id; NULL for holes. Valid until the builder changes. */
size_t ring_builder_device_count(const struct ring_builder *builder);
const struct ring_device *ring_builder_device_at(const struct ring_builder *builder, size_t id);
bool ring_builder_is_removed(const struct ring_builder *builder, size_t id);

/* How many replicas the device holds. */
size_t ring_builder_parts(const struct ring_builder *builder, size_t id);

/*
 * By how many percent the device holds more than its weight asks for; negative: less. 999.99 for
 * one without weight that holds anything. (Swift's RingBuilder.get_balance.)
 */
double ring_builder_balance(const struct ring_builder *builder, size_t id);

/* Looks at the whole assignment. */
void ring_builder_quality(const struct ring_builder *builder, struct ring_quality *ret_quality);

#endif
