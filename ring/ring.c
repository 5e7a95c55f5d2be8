#include "ring/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "ring/ring_private.h"

uint32_t ring_partition(const struct ring *ring, const unsigned char hash[16])
{
	return ring_partition_of_hash(hash, ring->part_power);
}

size_t ring_primaries(
	const struct ring *ring, uint32_t partition, const struct ring_device *ret_devices[RING_REPLICAS_MAX])
{
	assert(partition < ring->partition_count);
	size_t count = 0;
	for (uint32_t row = 0; row < ring->row_count; row++) {
		uint32_t id = ring_slot(ring, partition, row);
		if (id == RING_SLOT_NONE)
			continue;
		const struct ring_device *device = ring->devices[id];
		size_t seen = 0;
		while (seen < count && ret_devices[seen] != device)
			seen++;
		if (seen == count)
			ret_devices[count++] = device;
	}
	return count;
}

struct ring *ring_ref(struct ring *ring)
{
	unsigned before = atomic_fetch_add_explicit(&ring->references, 1, memory_order_relaxed);
	assert(before > 0);
	return ring;
}

void ring_unref(struct ring *ring)
{
	if (!ring)
		return;
	unsigned before = atomic_fetch_sub_explicit(&ring->references, 1, memory_order_acq_rel);
	assert(before > 0);
	if (before > 1)
		return;
	arena_free(ring->arena);
	free(ring->narrow);
	free(ring->wide);
	free(ring);
}

uint32_t ring_partition_count(const struct ring *ring)
{
	return ring->partition_count;
}

int ring_part_power(const struct ring *ring)
{
	return ring->part_power;
}

int ring_next_part_power(const struct ring *ring)
{
	return ring->next_part_power;
}

double ring_replica_count(const struct ring *ring)
{
	return ring->row_count - 1 + (double)ring->last_row_length / ring->partition_count;
}

int64_t ring_version(const struct ring *ring)
{
	return ring->version;
}

size_t ring_device_count(const struct ring *ring)
{
	return ring->device_count;
}

const struct ring_device *ring_device_at(const struct ring *ring, size_t index)
{
	assert(index < ring->device_count);
	return ring->devices[index];
}

struct ring *ring_new(
	int part_power, uint32_t row_count, uint32_t last_row_length, size_t device_count, unsigned device_bytes)
{
	assert(part_power >= 0 && part_power < RING_PART_POWER_MAX);
	assert(row_count >= 1 && row_count <= RING_REPLICAS_MAX);
	assert(device_count <= RING_DEVICES_MAX);
	struct ring *ring = xcalloc(1, sizeof(*ring));
	atomic_init(&ring->references, 1);
	ring->part_power = part_power;
	ring->next_part_power = -1;
	ring->version = -1;
	ring->partition_count = (uint32_t)1 << part_power;
	ring->row_count = row_count;
	ring->last_row_length = last_row_length;
	assert(last_row_length >= 1 && last_row_length <= ring->partition_count);
	ring->device_count = device_count;
	ring->arena = arena_new();
	ring->devices = arena_zalloc(ring->arena, (device_count + 1) * sizeof(ring->devices[0]));
	ring->tiers = arena_zalloc(ring->arena, (device_count + 1) * sizeof(ring->tiers[0]));
	size_t slots = (size_t)ring->partition_count * row_count;
	if (device_bytes == 4) {
		ring->wide = xmalloc(slots * sizeof(ring->wide[0]));
		memset(ring->wide, 0xff, slots * sizeof(ring->wide[0]));
	} else {
		assert(device_bytes == 2);
		ring->narrow = xmalloc(slots * sizeof(ring->narrow[0]));
		memset(ring->narrow, 0xff, slots * sizeof(ring->narrow[0]));
	}
	return ring;
}

void ring_put_device(struct ring *ring, const struct ring_device *device)
{
	assert(device->id >= 0 && (size_t)device->id < ring->device_count);
	assert(!ring->devices[device->id]);
	struct ring_device *copy = arena_alloc(ring->arena, sizeof(*copy));
	*copy = *device;
	copy->device = arena_strdup(ring->arena, device->device);
	copy->ip = arena_strdup(ring->arena, device->ip);
	copy->replication_ip = arena_strdup(ring->arena, device->replication_ip);
	copy->meta = arena_strdup(ring->arena, device->meta);
	ring->devices[device->id] = copy;
}

static int compare_tiers(const void *left, const void *right)
{
	const struct ring_device *a = *(const struct ring_device *const *)left;
	const struct ring_device *b = *(const struct ring_device *const *)right;
	if (a->region != b->region)
		return a->region < b->region ? -1 : 1;
	if (a->zone != b->zone)
		return a->zone < b->zone ? -1 : 1;
	return strcmp(a->ip, b->ip);
}

/* Numbers the regions, zones and hosts in sorted order and counts those that have a partition. */
static void number_tiers(struct ring *ring, const bool *assigned)
{
	const struct ring_device **sorted = xcalloc(ring->device_count + 1, sizeof(sorted[0]));
	size_t count = 0;
	for (size_t id = 0; id < ring->device_count; id++)
		if (ring->devices[id])
			sorted[count++] = ring->devices[id];
	qsort(sorted, count, sizeof(sorted[0]), compare_tiers);

	struct ring_tiers next = {0, 0, 0};
	bool tier_assigned[3] = {false, false, false};
	for (size_t i = 0; i < count; i++) {
		const struct ring_device *device = sorted[i], *before = i ? sorted[i - 1] : NULL;
		bool new_region = !before || before->region != device->region;
		bool new_zone = new_region || before->zone != device->zone;
		bool new_host = new_zone || strcmp(before->ip, device->ip) != 0;
		next.region += new_region;
		next.zone += new_zone;
		next.host += new_host;
		const bool opened[3] = {new_region, new_zone, new_host};
		for (int tier = 0; tier < 3; tier++) {
			tier_assigned[tier] = tier_assigned[tier] && !opened[tier];
			if (assigned[device->id] && !tier_assigned[tier]) {
				tier_assigned[tier] = true;
				ring->assigned_totals[tier]++;
			}
		}
		ring->assigned_totals[3] += assigned[device->id];
		ring->tiers[device->id] = (struct ring_tiers){next.region - 1, next.zone - 1, next.host - 1};
	}
	ring->tier_totals[0] = next.region;
	ring->tier_totals[1] = next.zone;
	ring->tier_totals[2] = next.host;
	free(sorted);
}

int ring_finish(struct ring *ring, char **ret_error)
{
	_cleanup_free_ bool *assigned = xcalloc(ring->device_count + 1, sizeof(assigned[0]));
	for (uint32_t partition = 0; partition < ring->partition_count; partition++) {
		for (uint32_t row = 0; row < ring->row_count; row++) {
			uint32_t id = ring_slot(ring, partition, row);
			bool wanted = row + 1 < ring->row_count || partition < ring->last_row_length;
			if (!wanted && id == RING_SLOT_NONE)
				continue;
			if (id >= ring->device_count || !ring->devices[id])
				return ring_fail(ret_error, EINVAL,
					"partition %u, replica %u is on device %u, which does not "
					"exist",
					partition, row, id & (ring->wide ? UINT32_MAX : RING_NARROW_DEVICES_MAX));
			assigned[id] = true;
		}
	}
	number_tiers(ring, assigned);
	return 0;
}

int ring_fail(char **ret_error, int error, const char *format, ...)
{
	if (ret_error) {
		struct buf text = BUF_INIT;
		va_list arguments;
		va_start(arguments, format);
		buf_vprintf(&text, format, arguments);
		va_end(arguments);
		*ret_error = text.data;
	}
	return -error;
}
