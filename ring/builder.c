#include "ring/builder.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/swift/url.h"
#include "ring/builder_private.h"
#include "ring/ring_private.h"

enum { MIN_PART_HOURS_MAX = 255 }; /* as far as swift-ring-builder counts */

/* What get_balance of swift-ring-builder reports for a device that holds replicas without having
 * weight. */
#define BALANCE_WITHOUT_WEIGHT 999.99

int builder_make(int part_power, uint32_t row_count, uint32_t last_row_length, int min_part_hours,
	struct ring_builder **ret_builder, char **ret_error)
{
	if (part_power < 0 || part_power > RING_BUILDER_PART_POWER_MAX)
		return ring_fail(ret_error, EINVAL, "part power %d is not from 0 to %d", part_power,
			RING_BUILDER_PART_POWER_MAX);
	if (min_part_hours < 0 || min_part_hours > MIN_PART_HOURS_MAX)
		return ring_fail(
			ret_error, EINVAL, "min_part_hours %d is not from 0 to %d", min_part_hours, MIN_PART_HOURS_MAX);
	struct ring_builder *builder = xcalloc(1, sizeof(*builder));
	builder->part_power = part_power;
	builder->min_part_hours = min_part_hours;
	builder->partition_count = (uint32_t)1 << part_power;
	builder->row_count = row_count;
	builder->last_row_length = last_row_length;
	builder->replicas = row_count - 1 + (double)last_row_length / builder->partition_count;
	assert(row_count >= 1 && row_count <= RING_REPLICAS_MAX);
	assert(last_row_length >= 1 && last_row_length <= builder->partition_count);
	size_t slots = (size_t)builder->partition_count * row_count;
	builder->slots = xmalloc(slots * sizeof(builder->slots[0]));
	memset(builder->slots, 0xff, slots * sizeof(builder->slots[0]));
	builder->moved_at = xcalloc(builder->partition_count, sizeof(builder->moved_at[0]));
	*ret_builder = builder;
	return 0;
}

int ring_builder_new(
	int part_power, double replicas, int min_part_hours, struct ring_builder **ret_builder, char **ret_error)
{
	if (!(replicas >= 1 && replicas <= RING_REPLICAS_MAX))
		return ring_fail(ret_error, EINVAL, "%g replicas are not from 1 to %d", replicas, RING_REPLICAS_MAX);
	if (part_power < 0 || part_power > RING_BUILDER_PART_POWER_MAX)
		return builder_make(part_power, 1, 1, min_part_hours, ret_builder, ret_error);
	/* As Swift: the last row has that fraction of the partitions, rounded down. */
	uint32_t partitions = (uint32_t)1 << part_power;
	uint32_t rows = (uint32_t)replicas;
	uint32_t last = (uint32_t)((replicas - rows) * partitions);
	if (last == 0)
		last = partitions;
	else
		rows++;
	return builder_make(part_power, rows, last, min_part_hours, ret_builder, ret_error);
}

int ring_builder_from_ring(
	const struct ring *ring, int min_part_hours, struct ring_builder **ret_builder, char **ret_error)
{
	struct ring_builder *builder;
	if (ring->device_count > RING_BUILDER_DEVICES_MAX)
		return ring_fail(ret_error, EINVAL, "%zu devices are more than %d", ring->device_count,
			RING_BUILDER_DEVICES_MAX);
	int error = builder_make(
		ring->part_power, ring->row_count, ring->last_row_length, min_part_hours, &builder, ret_error);
	if (error < 0)
		return error;
	for (size_t id = 0; id < ring->device_count; id++) {
		struct ring_device device = {.id = (int)id, .device = "", .ip = "", .replication_ip = "", .meta = ""};
		(void)builder_put_device(builder, ring->devices[id] ? ring->devices[id] : &device);
		if (!ring->devices[id])
			builder_drop_device(builder, id);
	}
	for (uint32_t partition = 0; partition < ring->partition_count; partition++)
		for (uint32_t row = 0; row < builder_replicas_of(builder, partition); row++)
			builder->slots[(size_t)partition * ring->row_count + row] =
				(uint16_t)ring_slot(ring, partition, row);
	builder->assigned = true;
	builder->version = ring->version > 0 ? ring->version : 0;
	builder_count_parts(builder);
	*ret_builder = builder;
	return 0;
}

static void free_device(struct builder_device *device)
{
	if (!device)
		return;
	free(device->device.device);
	free(device->device.ip);
	free(device->device.replication_ip);
	free(device->device.meta);
	free(device);
}

void ring_builder_free(struct ring_builder *builder)
{
	if (!builder)
		return;
	for (size_t id = 0; id < builder->device_count; id++)
		free_device(builder->devices[id]);
	free(builder->devices);
	free(builder->slots);
	free(builder->moved_at);
	free(builder);
}

struct builder_device *builder_put_device(struct ring_builder *builder, const struct ring_device *device)
{
	size_t id = (size_t)device->id;
	assert(id <= builder->device_count && id < RING_BUILDER_DEVICES_MAX);
	if (id == builder->device_count) {
		builder->device_count++;
		builder->devices = xrealloc(builder->devices, builder->device_count * sizeof(builder->devices[0]));
		builder->devices[id] = NULL;
	}
	assert(!builder->devices[id]);
	struct builder_device *copy = xcalloc(1, sizeof(*copy));
	copy->device = *device;
	copy->device.device = xstrdup(device->device);
	copy->device.ip = xstrdup(device->ip);
	copy->device.replication_ip = xstrdup(device->replication_ip);
	copy->device.meta = xstrdup(device->meta);
	builder->devices[id] = copy;
	return copy;
}

void builder_drop_device(struct ring_builder *builder, size_t id)
{
	free_device(builder->devices[id]);
	builder->devices[id] = NULL;
}

static int check_device(const struct ring_builder *builder, const struct ring_device *device, char **ret_error)
{
	if (!isfinite(device->weight) || device->weight < 0)
		return ring_fail(ret_error, EINVAL, "weight %g is not a number of at least 0", device->weight);
	if (device->port < 1 || device->port > 65535 || device->replication_port < 1 ||
		device->replication_port > 65535)
		return ring_fail(ret_error, EINVAL, "a port is not from 1 to 65535");
	if (device->region < 0 || device->zone < 0)
		return ring_fail(ret_error, EINVAL, "region and zone are numbers of at least 0");
	if (!device->ip[0] || !device->replication_ip[0])
		return ring_fail(ret_error, EINVAL, "the ip is missing");
	if (!device->device[0] || strchr(device->device, '/') || device->device[0] == '.')
		return ring_fail(ret_error, EINVAL, "\"%s\" is no device name", device->device);
	if (!utf8_valid(slice_from(device->device)) || !utf8_valid(slice_from(device->meta)))
		return ring_fail(ret_error, EINVAL, "the name or the remark is not UTF-8");
	for (size_t id = 0; id < builder->device_count; id++) {
		const struct builder_device *other = builder->devices[id];
		if (other && !other->removed && other->device.port == device->port &&
			strcmp(other->device.ip, device->ip) == 0 && strcmp(other->device.device, device->device) == 0)
			return ring_fail(ret_error, EEXIST, "device %zu already uses %s:%d/%s", id, device->ip,
				device->port, device->device);
	}
	return 0;
}

int ring_builder_add_device(
	struct ring_builder *builder, const struct ring_device *device, int *ret_id, char **ret_error)
{
	int error = check_device(builder, device, ret_error);
	if (error < 0)
		return error;
	struct ring_device copy = *device;
	size_t id = 0;
	while (id < builder->device_count && builder->devices[id])
		id++;
	if (id == RING_BUILDER_DEVICES_MAX)
		return ring_fail(ret_error, E2BIG, "there are %d devices already", RING_BUILDER_DEVICES_MAX);
	copy.id = (int)id;
	(void)builder_put_device(builder, &copy);
	builder->version++;
	*ret_id = copy.id;
	return 0;
}

/* The device with that id, or NULL with a text. */
static struct builder_device *find_device(const struct ring_builder *builder, int id, char **ret_error)
{
	if (id >= 0 && (size_t)id < builder->device_count && builder->devices[id])
		return builder->devices[id];
	(void)ring_fail(ret_error, ENOENT, "there is no device %d", id);
	return NULL;
}

int ring_builder_set_weight(struct ring_builder *builder, int id, double weight, char **ret_error)
{
	struct builder_device *device = find_device(builder, id, ret_error);
	if (!device)
		return -ENOENT;
	if (device->removed)
		return ring_fail(ret_error, EINVAL, "device %d is marked for removal", id);
	if (!isfinite(weight) || weight < 0)
		return ring_fail(ret_error, EINVAL, "weight %g is not a number of at least 0", weight);
	device->device.weight = weight;
	builder->version++;
	return 0;
}

int ring_builder_remove_device(struct ring_builder *builder, int id, char **ret_error)
{
	struct builder_device *device = find_device(builder, id, ret_error);
	if (!device)
		return -ENOENT;
	device->removed = true;
	device->device.weight = 0;
	builder->version++;
	return 0;
}

int ring_builder_validate(const struct ring_builder *builder, char **ret_error)
{
	if (!builder->assigned)
		return ring_fail(ret_error, EINVAL, "nothing is assigned yet: rebalance first");
	for (uint32_t partition = 0; partition < builder->partition_count; partition++) {
		const uint16_t *slots = &builder->slots[(size_t)partition * builder->row_count];
		for (uint32_t row = 0; row < builder_replicas_of(builder, partition); row++) {
			if (slots[row] >= builder->device_count || !builder->devices[slots[row]])
				return ring_fail(
					ret_error, EINVAL, "partition %u, replica %u has no device", partition, row);
			for (uint32_t other = 0; other < row; other++)
				if (slots[other] == slots[row])
					return ring_fail(ret_error, EINVAL,
						"partition %u has two replicas on device %u", partition, slots[row]);
		}
	}
	return 0;
}

struct ring *ring_builder_ring(const struct ring_builder *builder)
{
	if (!builder->assigned)
		return NULL;
	struct ring *ring =
		ring_new(builder->part_power, builder->row_count, builder->last_row_length, builder->device_count, 2);
	ring->version = builder->version;
	for (size_t id = 0; id < builder->device_count; id++)
		if (builder->devices[id])
			ring_put_device(ring, &builder->devices[id]->device);
	for (uint32_t partition = 0; partition < builder->partition_count; partition++)
		for (uint32_t row = 0; row < builder_replicas_of(builder, partition); row++)
			ring_put_slot(
				ring, partition, row, builder->slots[(size_t)partition * builder->row_count + row]);
	int error = ring_finish(ring, NULL);
	assert(error == 0);
	return ring;
}

void builder_count_parts(struct ring_builder *builder)
{
	size_t slots = (size_t)builder->partition_count * builder->row_count;
	for (size_t id = 0; id < builder->device_count; id++)
		if (builder->devices[id])
			builder->devices[id]->parts = 0;
	for (size_t i = 0; i < slots; i++)
		if (builder->slots[i] != BUILDER_SLOT_NONE)
			builder->devices[builder->slots[i]]->parts++;
}

int ring_builder_part_power(const struct ring_builder *builder)
{
	return builder->part_power;
}

double ring_builder_replicas(const struct ring_builder *builder)
{
	return builder->replicas;
}

int ring_builder_min_part_hours(const struct ring_builder *builder)
{
	return builder->min_part_hours;
}

int64_t ring_builder_version(const struct ring_builder *builder)
{
	return builder->version;
}

size_t ring_builder_device_count(const struct ring_builder *builder)
{
	return builder->device_count;
}

const struct ring_device *ring_builder_device_at(const struct ring_builder *builder, size_t id)
{
	assert(id < builder->device_count);
	return builder->devices[id] ? &builder->devices[id]->device : NULL;
}

bool ring_builder_is_removed(const struct ring_builder *builder, size_t id)
{
	return builder->devices[id] && builder->devices[id]->removed;
}

size_t ring_builder_parts(const struct ring_builder *builder, size_t id)
{
	return builder->devices[id] ? builder->devices[id]->parts : 0;
}

static double total_weight(const struct ring_builder *builder)
{
	double total = 0;
	for (size_t id = 0; id < builder->device_count; id++)
		total += builder->devices[id] ? builder->devices[id]->device.weight : 0;
	return total;
}

static double balance_of(const struct ring_builder *builder, const struct builder_device *device, double weights)
{
	if (device->device.weight <= 0)
		return device->parts ? BALANCE_WITHOUT_WEIGHT : 0;
	double fair = device->device.weight / weights * (double)builder_replicas_total(builder);
	return 100 * device->parts / fair - 100;
}

double ring_builder_balance(const struct ring_builder *builder, size_t id)
{
	return builder->devices[id] ? balance_of(builder, builder->devices[id], total_weight(builder)) : 0;
}

/* Replicas of the partition beyond what its region, zone, host or device should have, on the level
 * where it is worst. */
static uint32_t replicas_at_risk(
	const struct ring_builder *builder, const struct plan *plan, uint32_t partition, uint32_t *tally)
{
	const uint16_t *slots = &builder->slots[(size_t)partition * builder->row_count];
	uint32_t replicas = builder_replicas_of(builder, partition), worst = 0;
	for (int level = 0; level < PLAN_LEVELS; level++) {
		uint32_t beyond = 0;
		for (uint32_t row = 0; row < replicas; row++) {
			uint32_t node = slots[row] == BUILDER_SLOT_NONE ? 0 : plan->path[slots[row]][level];
			if (node && ++tally[node] > plan->nodes[node].ceiling)
				beyond++;
		}
		for (uint32_t row = 0; row < replicas; row++)
			if (slots[row] != BUILDER_SLOT_NONE)
				tally[plan->path[slots[row]][level]] = 0;
		worst = beyond > worst ? beyond : worst;
	}
	return worst;
}

static double dispersion_of(const struct ring_builder *builder)
{
	struct plan plan;
	uint64_t at_risk = 0;
	if (!builder->assigned || plan_make(builder, &plan, NULL) < 0)
		return 0;
	_cleanup_free_ uint32_t *tally = xcalloc(plan.node_count, sizeof(tally[0]));
	for (uint32_t partition = 0; partition < builder->partition_count; partition++)
		at_risk += replicas_at_risk(builder, &plan, partition, tally);
	plan_release(&plan);
	return 100.0 * (double)at_risk / (double)builder_replicas_total(builder);
}

void ring_builder_quality(const struct ring_builder *builder, struct ring_quality *ret_quality)
{
	struct ring_quality quality = {.dispersion = dispersion_of(builder)};
	double weights = total_weight(builder);
	for (size_t id = 0; id < builder->device_count; id++) {
		const struct builder_device *device = builder->devices[id];
		if (!device || device->removed)
			continue;
		bool new_region = true, new_zone = true;
		for (size_t other = 0; other < id; other++) {
			const struct builder_device *before = builder->devices[other];
			if (!before || before->removed || before->device.region != device->device.region)
				continue;
			new_region = false;
			new_zone = new_zone && before->device.zone != device->device.zone;
		}
		quality.region_count += new_region;
		quality.zone_count += new_zone;
		quality.device_count++;
		double balance = builder->assigned ? fabs(balance_of(builder, device, weights)) : 0;
		quality.balance = balance > quality.balance ? balance : quality.balance;
	}
	*ret_quality = quality;
}
