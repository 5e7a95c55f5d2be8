/*
 * A ring: the table that says on which devices the replicas of each partition live, read from
 * Swift's `.ring.gz` files (formats 1 and 2) and written in format 1.
 *
 * A ring never changes after it was loaded. It is reference counted with atomics and may be read
 * from every thread; it goes away when its last owner (the store of rings, and each request that
 * looked it up) calls ring_unref().
 *
 *	struct ring *ring;
 *	char *error;
 *	if (ring_load("/etc/swift/object.ring.gz", &ring, &error) < 0)
 *		…
 *	const struct ring_device *primaries[RING_REPLICAS_MAX];
 *	size_t count = ring_primaries(ring, ring_partition(ring, hash), primaries);
 *
 *	struct ring_handoffs handoffs;
 *	ring_handoffs_init(&handoffs, ring, partition);
 *	while ((device = ring_handoffs_next(&handoffs)))
 *		…
 *	ring_handoffs_release(&handoffs);
 */
#ifndef RING_RING_H
#define RING_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RING_REPLICAS_MAX = 32,         /* rows of a ring */
	RING_DEVICES_MAX = 1 << 20,     /* devices of a ring, holes counted */
	RING_HANDOFF_MARKS_INLINE = 64, /* 64-bit words of marks inside an iterator */
};

/* One device as the ring file describes it. The texts belong to the ring and are never NULL. */
struct ring_device {
	int id;               /* its index in the ring's list of devices */
	char *device;         /* name of the directory below the server's `devices`, e.g. "sda" */
	char *ip;             /* IPv4 or IPv6 literal without brackets, or a host name */
	int port;             /* where the server answers requests */
	char *replication_ip; /* for traffic among servers; equals `ip` where the file has none */
	int replication_port;
	int region;
	int zone;
	double weight; /* relative; 0 drains the device, which still serves what it has */
	char *meta;    /* the operator's remark, often "" */
};

struct ring;

/*
 * Reads the file at `path`. On success *ret_ring holds one reference, which the caller drops with
 * ring_unref(). On failure returns a negative errno and, when ret_error is not NULL, sets
 * *ret_error to a text for the operator that names the file and says what is wrong; the caller
 * frees it. -EINVAL: the file is not a good ring. Other values come from opening and reading the
 * file.
 */
int ring_load(const char *path, struct ring **ret_ring, char **ret_error);

/*
 * Writes the ring in format 1 under a temporary name beside `path`, syncs it and renames it into
 * place: readers see the old file or the new one. Returns 0, -E2BIG when a device id does not fit
 * the format's 16 bits, or a negative errno from the file system (the temporary file is gone then).
 */
int ring_save_v1(const struct ring *ring, const char *path);

/* One more owner; returns its argument. Safe from any thread. */
struct ring *ring_ref(struct ring *ring);
/* One owner less; the last one frees the ring and its devices. NULL is accepted. */
void ring_unref(struct ring *ring);

/* 2^part_power. (Part power 32 would need 8 GiB; such a file is refused by ring_load().) */
uint32_t ring_partition_count(const struct ring *ring);
int ring_part_power(const struct ring *ring);
/* The part power that an increase in progress leads to, or -1 when there is none. */
int ring_next_part_power(const struct ring *ring);
/* May be fractional: 2.5 says that the first half of the partitions has three replicas, the rest
 * two. */
double ring_replica_count(const struct ring *ring);
/* The builder's version when it wrote the file, or -1 where the file has none. */
int64_t ring_version(const struct ring *ring);

/* The partition of a name whose MD5 is `hash`, for part powers 0 to 32. */
static inline uint32_t ring_partition_of_hash(const unsigned char hash[16], int part_power)
{
	uint64_t top = (uint64_t)hash[0] << 24 | (uint64_t)hash[1] << 16 | (uint64_t)hash[2] << 8 | hash[3];
	return (uint32_t)(top >> (32 - part_power));
}

/* The same for the part power of this ring. */
uint32_t ring_partition(const struct ring *ring, const unsigned char hash[16]);

/*
 * The devices that should hold `partition`, duplicates removed, in the order of their index (for
 * erasure coding: index i wishes for fragment i). Returns how many; at least 1. `partition` must be
 * below ring_partition_count(). The devices live as long as the ring. Cheap: no allocation, usually
 * one cache line of the table.
 */
size_t ring_primaries(
	const struct ring *ring, uint32_t partition, const struct ring_device *ret_devices[RING_REPLICAS_MAX]);

/*
 * The devices that hold a partition's data when its primaries cannot, in exactly Swift's order:
 * first those of regions without a primary, then of other zones, then of other hosts, then the
 * rest; only devices that have partitions at all. Every node must agree on this order, because
 * those who search look where those who wrote have put it.
 *
 * Setting up costs nothing until the first ring_handoffs_next(). The ring must outlive the
 * iterator.
 */
struct ring_handoffs {
	const struct ring *ring;
	uint32_t partition;
	bool started; /* the marks are set and the walk has its start */
	bool wrapped; /* the walk has passed the last partition and goes on at the low end */
	int pass;     /* 0 regions, 1 zones, 2 hosts, 3 devices, 4 the end */
	uint32_t start;
	uint32_t increment;
	uint32_t at;         /* the partition whose rows are looked at */
	uint32_t row;        /* the next row of it */
	uint32_t missing[4]; /* regions, zones, hosts, devices not seen yet */
	uint64_t *marks;     /* one bit for each region, zone, host and device seen; points inside or to
			    the heap */
	uint64_t inline_marks[RING_HANDOFF_MARKS_INLINE];
};

void ring_handoffs_init(struct ring_handoffs *handoffs, const struct ring *ring, uint32_t partition);
/* The next device, or NULL at the end (and on every call after it). */
const struct ring_device *ring_handoffs_next(struct ring_handoffs *handoffs);
/* Frees what a ring of thousands of devices needs beyond inline_marks. The iterator must not be
 * copied in between. */
void ring_handoffs_release(struct ring_handoffs *handoffs);

/* Length of the list of devices, holes of removed devices counted. */
size_t ring_device_count(const struct ring *ring);
/* The device with id `index`, or NULL for a hole. `index` must be below ring_device_count(). */
const struct ring_device *ring_device_at(const struct ring *ring, size_t index);

#endif
