/*
 * What the files of ring/ know about a ring, and how one is put together: ring_new(), then devices
 * and slots in any order, then ring_finish(), after which it never changes.
 *
 * The table is held partition by partition (Swift's files hold it row by row), because a request
 * wants all rows of one partition: they are neighbours in memory. A slot is 16 bits wide where the
 * ids allow it, else 32; the slots of the last row that a fractional replica count leaves out hold
 * RING_SLOT_NONE.
 */
#ifndef RING_RING_PRIVATE_H
#define RING_RING_PRIVATE_H

#include <stdatomic.h>

#include "lib/base/buf.h"
#include "lib/base/slice.h"
#include "ring/ring.h"

struct arena;

enum {
	RING_PART_POWER_MAX = 32,
	RING_NARROW_DEVICES_MAX = 0xffff, /* ids below this fit 16 bits; 0xffff itself is Swift's "no device" */
};

#define RING_SLOT_NONE UINT32_MAX

/* A decompressed ring file. 2^27 partitions with three replicas fit; no ring in the world is that
 * large. */
#define RING_STREAM_BYTES_MAX ((size_t)1 << 30)

/* Where a device stands, as dense numbers: equal numbers are the same region, zone or host. */
struct ring_tiers {
	uint32_t region;
	uint32_t zone; /* of (region, zone) */
	uint32_t host; /* of (region, zone, ip) */
};

struct ring {
	atomic_uint references;
	int part_power;
	int next_part_power;      /* -1: none */
	int64_t version;          /* -1: none */
	uint32_t partition_count; /* 2^part_power */
	uint32_t row_count;
	uint32_t last_row_length; /* 1 … partition_count */
	size_t device_count;
	struct arena *arena;          /* holds the devices, their texts and tiers */
	struct ring_device **devices; /* by id; NULL for holes */
	struct ring_tiers *tiers;     /* by id */
	uint32_t tier_totals[3];      /* how many regions, zones, hosts there are: the range of
					 ring_tiers */
	uint32_t assigned_totals[4];  /* regions, zones, hosts, devices that have a partition */
	uint16_t *narrow;             /* [partition * row_count + row]; NULL when `wide` is used */
	uint32_t *wide;
};

/*
 * A ring without devices whose slots are all empty. `device_bytes` is 2 or 4. The caller has
 * checked part_power (at most 31), row_count (1 … RING_REPLICAS_MAX) and device_count (0 …
 * RING_DEVICES_MAX).
 */
struct ring *ring_new(
	int part_power, uint32_t row_count, uint32_t last_row_length, size_t device_count, unsigned device_bytes);

/* Copies `device` to the place that device->id names, which must exist and be empty. */
void ring_put_device(struct ring *ring, const struct ring_device *device);

static inline uint32_t ring_slot(const struct ring *ring, uint32_t partition, uint32_t row)
{
	size_t at = (size_t)partition * ring->row_count + row;
	if (ring->wide)
		return ring->wide[at];
	return ring->narrow[at] == RING_NARROW_DEVICES_MAX ? RING_SLOT_NONE : ring->narrow[at];
}

static inline void ring_put_slot(struct ring *ring, uint32_t partition, uint32_t row, uint32_t device_id)
{
	size_t at = (size_t)partition * ring->row_count + row;
	if (ring->wide)
		ring->wide[at] = device_id;
	else
		ring->narrow[at] = (uint16_t)device_id;
}

/* Checks that every slot names a device that exists and counts the tiers. Returns 0 or -EINVAL with
 * a text. */
int ring_finish(struct ring *ring, char **ret_error);

/* Sets *ret_error to the formatted text, unless ret_error is NULL, and returns -error: `return
 * ring_fail(…)`. */
int ring_fail(char **ret_error, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Decompresses one gzip member that is the whole of `file` into *stream. Returns 0 or -EINVAL with
 * a text. */
int ring_gunzip(struct slice file, struct buf *stream, char **ret_error);

/* Compresses the stream as Swift does; `name` goes into the gzip header. */
void ring_gzip(struct slice stream, const char *name, struct buf *file);

/* Reads a decompressed ring file of format 1 or 2. Returns 0 or -EINVAL with a text. */
int ring_decode(struct slice stream, struct ring **ret_ring, char **ret_error);

/* Appends format 1, decompressed. Returns 0, or -E2BIG when ids need more than 16 bits. */
int ring_encode_v1(const struct ring *ring, struct buf *stream);

#endif
