#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/memory.h"
#include "ring/builder.h"
#include "ring/builder_private.h"
#include "ring/device_text.h"
#include "ring/file_replace.h"
#include "ring/ring.h"

enum { HOUR = 3600, NOW = 1700000000 };

/* A cluster of equal hosts; weights go 1, 2, … `weights` and again. */
struct layout {
	int part_power;
	double replicas;
	int regions, zones, hosts, devices; /* zones of a region, hosts of a zone, devices of a host */
	int weights;
};

static const struct layout layouts[] = {
	{0, 1, 1, 1, 1, 1, 1}, {0, 3, 1, 1, 3, 1, 1}, {4, 1, 1, 1, 1, 1, 1}, {5, 3, 1, 1, 1, 4, 1}, /* one host */
	{6, 3, 1, 1, 3, 1, 1},                                                    /* as many devices as replicas */
	{8, 3, 1, 3, 1, 2, 1},                                                    /* a zone for each replica */
	{8, 3, 1, 2, 3, 2, 1},                                                    /* fewer zones than replicas */
	{8, 3, 2, 2, 2, 2, 1},                                                    /* two regions */
	{8, 3, 3, 1, 2, 3, 1},                                                    /* a region for each replica */
	{8, 3, 5, 2, 2, 1, 1},                                                    /* more regions than replicas */
	{9, 2, 1, 3, 2, 3, 4},                                                    /* weights */
	{9, 3, 2, 3, 4, 3, 7},                                                    /* weights */
	{8, 2.5, 1, 3, 2, 2, 1},                                                  /* fractional */
	{7, 3.1, 2, 2, 2, 2, 3}, {8, 1.0, 2, 2, 3, 1, 2}, {6, 14, 2, 4, 2, 2, 1}, /* as erasure codes have it */
};
enum { LAYOUT_COUNT = sizeof(layouts) / sizeof(layouts[0]) };

static int add_device(struct ring_builder *builder, int region, int zone, int host, int disk, double weight)
{
	_cleanup_free_ char *ip = xasprintf("10.%d.%d.%d", region, zone, host);
	_cleanup_free_ char *name = xasprintf("d%d", disk);
	_cleanup_free_ char *error = NULL;
	int id = -1;
	struct ring_device device = {.device = name,
		.ip = ip,
		.port = 6200,
		.replication_ip = ip,
		.replication_port = 6300,
		.region = region,
		.zone = zone,
		.weight = weight,
		.meta = "rack \xc3\xa4"};
	if (ring_builder_add_device(builder, &device, &id, &error) < 0)
		fail_msg("%s", error);
	return id;
}

static struct ring_builder *make_builder(const struct layout *layout, int min_part_hours)
{
	struct ring_builder *builder;
	int count = 0;
	assert_int_equal(ring_builder_new(layout->part_power, layout->replicas, min_part_hours, &builder, NULL), 0);
	for (int region = 1; region <= layout->regions; region++)
		for (int zone = 1; zone <= layout->zones; zone++)
			for (int host = 1; host <= layout->hosts; host++)
				for (int disk = 1; disk <= layout->devices; disk++, count++)
					(void)add_device(
						builder, region, zone, host, disk, 100 * (count % layout->weights + 1));
	return builder;
}

static struct ring_rebalance rebalance(struct ring_builder *builder, uint64_t seed, uint32_t now)
{
	struct ring_rebalance result;
	_cleanup_free_ char *error = NULL;
	if (ring_builder_rebalance(builder, seed, now, &result, &error) < 0)
		fail_msg("%s", error);
	assert_int_equal(ring_builder_validate(builder, NULL), 0);
	return result;
}

/* The number of a device's region (level 0), zone, host or of itself (level 3). */
static uint64_t place_of(const struct ring_device *device, int level)
{
	const char *dot = strrchr(device->ip, '.');
	uint64_t host = dot ? strtoull(dot + 1, NULL, 10) : 0;
	const uint64_t parts[] = {(uint64_t)device->region, (uint64_t)device->zone, host, (uint64_t)device->id};
	uint64_t place = 0;
	for (int i = 0; i <= level; i++)
		place = place << 16 | parts[i];
	return place;
}

/* The exact share of a place, in replicas. Only for weights of which no device exceeds a replica
 * per partition. */
static double share_of_place(const struct ring_builder *builder, uint64_t place, int level)
{
	double weight = 0, total = 0;
	for (size_t id = 0; id < builder->device_count; id++) {
		const struct ring_device *device = ring_builder_device_at(builder, id);
		if (!device)
			continue;
		total += device->weight;
		weight += place_of(device, level) == place ? device->weight : 0;
	}
	return weight / total * (double)builder_replicas_total(builder);
}

static uint32_t replicas_in_place(const struct ring_builder *builder, uint32_t partition, uint64_t place, int level)
{
	uint32_t count = 0;
	for (uint32_t row = 0; row < builder_replicas_of(builder, partition); row++) {
		uint16_t id = builder->slots[partition * builder->row_count + row];
		count += place_of(ring_builder_device_at(builder, id), level) == place;
	}
	return count;
}

/* Checks a builder that had nothing to hold it back: loads and spread of every place are within
 * rounding. */
static void assert_plan_met(const struct ring_builder *builder)
{
	for (size_t id = 0; id < builder->device_count; id++) {
		const struct ring_device *device = ring_builder_device_at(builder, id);
		for (int level = 0; level < 4 && device; level++) {
			uint64_t place = place_of(device, level);
			double share = share_of_place(builder, place, level);
			double mean = share / builder->partition_count;
			uint64_t load = 0;
			for (uint32_t p = 0; p < builder->partition_count; p++) {
				uint32_t count = replicas_in_place(builder, p, place, level);
				if (count > ceil(mean - 1e-9) || count < floor(mean + 1e-9))
					fail_msg("partition %u has %u replicas on level %d of "
						 "device %zu, the mean is %f",
						p, count, level, id, mean);
				load += count;
			}
			if (fabs((double)load - share) > 1 - 1e-9)
				fail_msg("level %d of device %zu holds %llu, its share is %f", level, id,
					(unsigned long long)load, share);
		}
	}
}

/* Rebalances until nothing moves; returns the replicas moved. Each partition moves one replica at a
 * time. */
static size_t settle(struct ring_builder *builder)
{
	size_t moved = 0;
	for (int round = 0; round < 20; round++) {
		struct ring_rebalance result = rebalance(builder, (uint64_t)round, NOW + HOUR);
		assert_int_equal(result.partitions_moved, result.replicas_moved);
		moved += result.replicas_moved;
		if (result.partitions_moved == 0)
			return moved;
	}
	fail_msg("still moving after 20 rounds");
	return moved;
}

static void builder__fresh_ring_meets_the_plan(void **state)
{
	(void)state;
	for (int i = 0; i < LAYOUT_COUNT; i++) {
		struct ring_builder *builder = make_builder(&layouts[i], 1);
		struct ring_quality quality;
		struct ring_rebalance result = rebalance(builder, 7, NOW);
		assert_int_equal(result.partitions_moved, builder->partition_count);
		assert_int_equal(result.replicas_moved, builder_replicas_total(builder));
		assert_int_equal(result.replicas_pending, 0);
		assert_plan_met(builder);
		ring_builder_quality(builder, &quality);
		assert_int_equal(quality.region_count, layouts[i].regions);
		assert_int_equal(quality.zone_count, layouts[i].regions * layouts[i].zones);
		assert_true(quality.dispersion == 0);
		ring_builder_free(builder);
	}
}

static void builder__settled_ring_does_not_move(void **state)
{
	(void)state;
	for (int i = 0; i < LAYOUT_COUNT; i++) {
		struct ring_builder *builder = make_builder(&layouts[i], 0);
		(void)rebalance(builder, 7, NOW);
		assert_int_equal(rebalance(builder, 8, NOW).partitions_moved, 0);
		assert_int_equal(rebalance(builder, 9, NOW + 1).partitions_moved, 0);
		ring_builder_free(builder);
	}
}

/* The least number of replicas that have to move: what devices hold beyond their share. */
static double least_moves(const struct ring_builder *builder)
{
	double least = 0;
	for (size_t id = 0; id < builder->device_count; id++) {
		const struct ring_device *device = ring_builder_device_at(builder, id);
		if (!device)
			continue;
		double above =
			(double)ring_builder_parts(builder, id) - share_of_place(builder, place_of(device, 3), 3);
		least += above > 0 ? above : 0;
	}
	return least;
}

static void check_settling(struct ring_builder *builder, const char *what, int layout)
{
	double least = least_moves(builder);
	size_t moved = settle(builder);
	assert_plan_met(builder);
	/* Rounding takes up to one replica a device; spreading anew takes a little more. */
	if ((double)moved > 1.35 * least + (double)builder->device_count)
		fail_msg("layout %d, %s: %zu replicas moved where %.1f would do", layout, what, moved, least);
}

static void builder__new_devices_fill_up(void **state)
{
	(void)state;
	for (int i = 0; i < LAYOUT_COUNT; i++) {
		const struct layout *layout = &layouts[i];
		struct ring_builder *builder = make_builder(layout, 0);
		(void)rebalance(builder, 7, NOW);
		(void)add_device(builder, 1, 1, 1, 99, 100);
		check_settling(builder, "device added", i);
		for (int host = 101; host <= 100 + layout->hosts; host++)
			for (int disk = 1; disk <= layout->devices; disk++)
				(void)add_device(builder, layout->regions, layout->zones + 1, host, disk, 100);
		check_settling(builder, "zone added", i);
		for (int zone = 1; zone <= layout->zones; zone++)
			for (int host = 1; host <= layout->hosts; host++)
				(void)add_device(builder, 9, zone, host, 1, 100);
		check_settling(builder, "region added", i);
		ring_builder_free(builder);
	}
}

static void builder__weights_are_followed(void **state)
{
	(void)state;
	for (int i = 0; i < LAYOUT_COUNT; i++) {
		struct ring_builder *builder = make_builder(&layouts[i], 0);
		if (builder->device_count < 2 * builder->row_count) {
			ring_builder_free(builder);
			continue;
		}
		(void)rebalance(builder, 7, NOW);
		assert_int_equal(ring_builder_set_weight(builder, 0, 150, NULL), 0);
		assert_int_equal(ring_builder_set_weight(builder, 1, 55.5, NULL), 0);
		check_settling(builder, "weights changed", i);
		assert_int_equal(ring_builder_set_weight(builder, 0, 0, NULL), 0);
		check_settling(builder, "device drained", i);
		assert_int_equal(ring_builder_parts(builder, 0), 0);
		ring_builder_free(builder);
	}
}

static void builder__removed_devices_are_emptied_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < LAYOUT_COUNT; i++) {
		struct ring_builder *builder = make_builder(&layouts[i], 24);
		if (builder->device_count < 2 * builder->row_count) {
			ring_builder_free(builder);
			continue;
		}
		(void)rebalance(builder, 7, NOW);
		size_t held = ring_builder_parts(builder, 2);
		assert_int_equal(ring_builder_remove_device(builder, 2, NULL), 0);
		assert_true(ring_builder_is_removed(builder, 2));
		assert_int_equal(ring_builder_set_weight(builder, 2, 5, NULL), -EINVAL);
		struct ring_rebalance result = rebalance(builder, 7, NOW + HOUR);
		assert_int_equal(result.devices_removed, 1);
		assert_int_equal(result.replicas_moved, held);
		assert_null(ring_builder_device_at(builder, 2));

		/* A day later the rest may follow; then the id is given again. */
		builder->min_part_hours = 0;
		(void)settle(builder);
		assert_plan_met(builder);
		assert_int_equal(add_device(builder, 1, 1, 1, 50, 100), 2);
		(void)settle(builder);
		assert_plan_met(builder);
		ring_builder_free(builder);
	}
}

static void builder__heavy_device_holds_one_replica_of_each_partition(void **state)
{
	(void)state;
	static const struct layout layout = {8, 3, 1, 2, 2, 2, 1};
	struct ring_builder *builder = make_builder(&layout, 0);
	int heavy = add_device(builder, 1, 1, 1, 9, 100000);
	struct ring_rebalance result = rebalance(builder, 7, NOW);
	assert_int_equal(result.replicas_pending, 0);
	assert_int_equal(ring_builder_parts(builder, (size_t)heavy), 256);
	for (size_t id = 0; id < 8; id++)
		assert_int_equal(ring_builder_parts(builder, id), 2 * 256 / 8);
	ring_builder_free(builder);
}

static void builder__min_part_hours_hold_partitions(void **state)
{
	(void)state;
	static const struct layout layout = {8, 3, 1, 3, 2, 2, 1};
	struct ring_builder *builder = make_builder(&layout, 2);
	(void)rebalance(builder, 7, NOW);
	(void)add_device(builder, 1, 1, 9, 1, 400);
	struct ring_rebalance early = rebalance(builder, 7, NOW + 2 * HOUR - 1);
	assert_int_equal(early.partitions_moved, 0);
	assert_true(early.replicas_pending > 0);
	struct ring_rebalance late = rebalance(builder, 7, NOW + 2 * HOUR);
	assert_true(late.partitions_moved > 0);
	assert_int_equal(late.replicas_pending, 0);

	/* Those that moved are held again, the others are not. */
	uint32_t held = 0;
	for (uint32_t p = 0; p < builder->partition_count; p++) {
		assert_true(builder->moved_at[p] == NOW || builder->moved_at[p] == NOW + 2 * HOUR);
		held += builder->moved_at[p] != NOW;
	}
	assert_int_equal(held, late.partitions_moved);
	ring_builder_free(builder);
}

static void builder__same_seed_gives_the_same_ring(void **state)
{
	(void)state;
	static const struct layout layout = {9, 3, 2, 3, 2, 2, 3};
	struct ring_builder *builders[3];
	for (int i = 0; i < 3; i++) {
		builders[i] = make_builder(&layout, 0);
		(void)rebalance(builders[i], i < 2 ? 1 : 2, NOW);
		(void)add_device(builders[i], 2, 1, 1, 9, 300);
		(void)rebalance(builders[i], i < 2 ? 3 : 4, NOW);
	}
	size_t bytes = (size_t)builders[0]->partition_count * builders[0]->row_count * 2;
	assert_memory_equal(builders[0]->slots, builders[1]->slots, bytes);
	assert_memory_not_equal(builders[0]->slots, builders[2]->slots, bytes);
	for (int i = 0; i < 3; i++)
		ring_builder_free(builders[i]);
}

/* When a device fails, its partitions' other replicas should be on many devices, so that all help
 * to restore it. */
static void builder__devices_share_partitions_with_all_others(void **state)
{
	(void)state;
	static const struct layout layout = {12, 3, 1, 4, 4, 2, 1};
	struct ring_builder *builder = make_builder(&layout, 0);
	(void)rebalance(builder, 7, NOW);
	bool partner[32] = {false};
	size_t partners = 0, first_rows = 0;
	for (uint32_t p = 0; p < builder->partition_count; p++) {
		const uint16_t *slots = &builder->slots[p * 3];
		first_rows += slots[0] == 0;
		if (slots[0] == 0 || slots[1] == 0 || slots[2] == 0)
			partner[slots[0]] = partner[slots[1]] = partner[slots[2]] = true;
	}
	for (int i = 0; i < 32; i++)
		partners += partner[i];
	assert_int_equal(partners, 32 - 7);   /* all but those of its own zone; itself counts */
	assert_in_range(first_rows, 90, 170); /* 128 is the mean */
	ring_builder_free(builder);
}

static void builder__bad_input_is_refused(void **state)
{
	(void)state;
	static const struct {
		int part_power;
		double replicas;
		int hours;
	} cases[] = {{-1, 3, 1}, {25, 3, 1}, {33, 3, 1}, {8, 0.5, 1}, {8, 33, 1}, {8, NAN, 1}, {8, 3, -1}, {8, 3, 256}};
	struct ring_builder *builder;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *error = NULL;
		assert_int_equal(
			ring_builder_new(cases[i].part_power, cases[i].replicas, cases[i].hours, &builder, &error),
			-EINVAL);
		assert_non_null(error);
		free(error);
	}
	static const struct layout layout = {4, 3, 1, 1, 1, 2, 1};
	struct ring_rebalance result;
	char *error = NULL;
	builder = make_builder(&layout, 1);
	assert_int_equal(ring_builder_rebalance(builder, 0, NOW, &result, &error), -EINVAL);
	assert_string_equal(error, "3 replicas need at least 3 devices with weight, there are 2");
	free(error);
	assert_int_equal(ring_builder_validate(builder, &error), -EINVAL);
	free(error);
	assert_null(ring_builder_ring(builder));
	assert_int_equal(ring_builder_set_weight(builder, 2, 1, NULL), -ENOENT);
	assert_int_equal(ring_builder_set_weight(builder, -1, 1, NULL), -ENOENT);
	assert_int_equal(ring_builder_set_weight(builder, 0, -1, NULL), -EINVAL);
	assert_int_equal(ring_builder_set_weight(builder, 0, NAN, NULL), -EINVAL);
	assert_int_equal(ring_builder_remove_device(builder, 9, NULL), -ENOENT);
	struct ring_device twin = *ring_builder_device_at(builder, 0);
	int id;
	assert_int_equal(ring_builder_add_device(builder, &twin, &id, &error), -EEXIST);
	assert_string_equal(error, "device 0 already uses 10.1.1.1:6200/d1");
	free(error);
	twin.meta = (char[]){"\xff"};
	assert_int_equal(ring_builder_add_device(builder, &twin, &id, NULL), -EINVAL);
	ring_builder_free(builder);
}

static void assert_builders_equal(const struct ring_builder *a, const struct ring_builder *b)
{
	assert_int_equal(a->part_power, b->part_power);
	assert_true(a->replicas == b->replicas);
	assert_int_equal(a->row_count, b->row_count);
	assert_int_equal(a->last_row_length, b->last_row_length);
	assert_int_equal(a->device_count, b->device_count);
	assert_int_equal(a->assigned, b->assigned);
	size_t slots = (size_t)a->partition_count * a->row_count;
	assert_memory_equal(a->slots, b->slots, slots * sizeof(a->slots[0]));
	for (size_t id = 0; id < a->device_count; id++) {
		if (!a->devices[id]) {
			assert_null(b->devices[id]);
			continue;
		}
		_cleanup_free_ char *text_a = device_text_format(&a->devices[id]->device);
		_cleanup_free_ char *text_b = device_text_format(&b->devices[id]->device);
		assert_string_equal(text_a, text_b);
		assert_true(a->devices[id]->device.weight == b->devices[id]->device.weight);
		assert_int_equal(a->devices[id]->removed, b->devices[id]->removed);
		assert_int_equal(a->devices[id]->parts, b->devices[id]->parts);
	}
}

static struct ring_builder *save_and_load(const struct ring_builder *builder, const char *path)
{
	struct ring_builder *again = NULL;
	char *error = NULL;
	assert_int_equal(ring_builder_save(builder, path), 0);
	if (ring_builder_load(path, &again, &error) < 0)
		fail_msg("%s", error);
	assert_builders_equal(builder, again);
	assert_int_equal(builder->min_part_hours, again->min_part_hours);
	assert_int_equal(builder->version, again->version);
	assert_memory_equal(builder->moved_at, again->moved_at, builder->partition_count * sizeof(uint32_t));
	return again;
}

static void builder__file_is_read_back_equal(void **state)
{
	(void)state;
	_cleanup_free_ char *path = xasprintf("/tmp/test_builder.%d.builder", (int)getpid());
	for (int i = 0; i < LAYOUT_COUNT; i++) {
		struct ring_builder *builder = make_builder(&layouts[i], 3);
		struct ring_builder *empty = save_and_load(builder, path);
		(void)rebalance(builder, 7, NOW);
		(void)add_device(builder, 1, 1, 200, 1, 1.0 / 3);
		(void)ring_builder_remove_device(builder, 0, NULL);
		struct ring_builder *marked = save_and_load(builder, path);
		ring_builder_free(builder);
		ring_builder_free(empty);
		if (marked->device_count > marked->row_count) {
			(void)rebalance(marked, 7, NOW + 4 * HOUR);
			ring_builder_free(save_and_load(marked, path)); /* with a hole */
		}
		ring_builder_free(marked);
	}
	assert_int_equal(unlink(path), 0);
}

static void builder__ring_file_is_read_back_equal(void **state)
{
	(void)state;
	_cleanup_free_ char *path = xasprintf("/tmp/test_builder.%d.ring.gz", (int)getpid());
	for (int i = 0; i < LAYOUT_COUNT; i++) {
		struct ring_builder *builder = make_builder(&layouts[i], 3), *taken_over;
		(void)rebalance(builder, 7, NOW);
		struct ring *ring = ring_builder_ring(builder), *again;
		assert_true(ring_replica_count(ring) == ring_builder_replicas(builder));
		assert_int_equal(ring_version(ring), ring_builder_version(builder));
		assert_int_equal(ring_save_v1(ring, path), 0);
		assert_int_equal(ring_load(path, &again, NULL), 0);
		assert_int_equal(ring_builder_from_ring(again, 0, &taken_over, NULL), 0);
		assert_builders_equal(builder, taken_over);
		assert_int_equal(rebalance(taken_over, 1, NOW).partitions_moved, 0);
		ring_builder_free(taken_over);
		ring_builder_free(builder);
		ring_unref(ring);
		ring_unref(again);
	}
	assert_int_equal(unlink(path), 0);
}

/* A ring by swift-ring-builder is taken over and brought into the plan. */
static void builder__goes_on_from_swifts_ring(void **state)
{
	(void)state;
	static const char *const paths[] = {"tests/data/ring-v1-small.ring.gz", "tests/data/ring-v1-fractional.ring.gz",
		"tests/data/ring-v2-small.ring.gz"};
	for (size_t i = 0; i < 3; i++) {
		struct ring *ring;
		struct ring_builder *builder;
		assert_int_equal(ring_load(paths[i], &ring, NULL), 0);
		assert_int_equal(ring_builder_from_ring(ring, 0, &builder, NULL), 0);
		assert_int_equal(ring_builder_validate(builder, NULL), 0);
		(void)settle(builder);
		for (size_t id = 0; id < ring_device_count(ring); id++) {
			double share = share_of_place(builder, place_of(ring_device_at(ring, id), 3), 3);
			assert_true(fabs((double)ring_builder_parts(builder, id) - share) < 1);
		}
		ring_builder_free(builder);
		ring_unref(ring);
	}
}

static void builder__broken_files_are_refused(void **state)
{
	(void)state;
	_cleanup_free_ char *path = xasprintf("/tmp/test_builder.%d.broken", (int)getpid());
	static const struct {
		const char *contents;
		const char *error;
	} cases[] = {
		{"", "not a builder file"},
		{"[]", "not a builder file"},
		{"{\"format\": \"x\", \"format_version\": 1}", "not a builder file"},
		{"{\"format\": \"swiftlet ring builder\", \"format_version\": 2}", "format 2 is not known"},
		{"{\"format\": \"swiftlet ring builder\", \"format_version\": 1}", "part_power"},
		{"{\"format\": \"swiftlet ring builder\", \"format_version\": 1, \"part_power\": "
		 "40, \"replicas\": 3, "
		 "\"min_part_hours\": 1, \"version\": 1, \"devices\": [], \"assignment\": null, "
		 "\"moved_at\": \"\"}",
			"part power 40"},
		{"{\"format\": \"swiftlet ring builder\", \"format_version\": 1, \"part_power\": "
		 "4, \"replicas\": 3, "
		 "\"min_part_hours\": 1, \"version\": 1, \"devices\": [7], \"assignment\": null, "
		 "\"moved_at\": \"\"}",
			"device 0"},
		{"{\"format\": \"swiftlet ring builder\", \"format_version\": 1, \"part_power\": "
		 "4, \"replicas\": 3, "
		 "\"min_part_hours\": 1, \"version\": 1, \"devices\": [], \"assignment\": "
		 "\"AAAA\", \"moved_at\": \"\"}",
			"assignment is damaged"},
		{"{\"format\": \"swiftlet ring builder\", \"format_version\": 1, \"part_power\": "
		 "4, \"replicas\": 3, "
		 "\"min_part_hours\": 1, \"version\": 1, \"devices\": [], \"assignment\": null, "
		 "\"moved_at\": \"!\"}",
			"moved_at is not base64"},
		{"\x80\x02}q\x01", "swift-ring-builder"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ring_builder *builder;
		_cleanup_free_ char *error = NULL;
		assert_int_equal(ring_file_replace(path, slice_from(cases[i].contents)), 0);
		assert_int_equal(ring_builder_load(path, &builder, &error), -EINVAL);
		if (!strstr(error, cases[i].error))
			fail_msg("\"%s\" instead of \"%s\"", error, cases[i].error);
	}
	assert_int_equal(unlink(path), 0);
	struct ring_builder *builder;
	assert_int_equal(ring_builder_load(path, &builder, NULL), -ENOENT);
}

static void device_text__reads_swifts_grammar(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *expected; /* of device_text_format(), id -1; NULL: refused */
	} cases[] = {
		{"r1z2-10.0.0.1:6200/sda", "d-1r1z2-10.0.0.1:6200R10.0.0.1:6200/sda"},
		{"z2-10.0.0.1:6200/sda", "d-1r1z2-10.0.0.1:6200R10.0.0.1:6200/sda"},
		{"r3z2-10.0.0.1:6200R10.1.0.1:6300/sda_in rack_7/R",
			"d-1r3z2-10.0.0.1:6200R10.1.0.1:6300/sda_in rack_7/R"},
		{"r1z1-[2001:DB8:0:0::4]:6200R[::1]:1/sda", "d-1r1z1-[2001:db8::4]:6200R[::1]:1/sda"},
		{"r1z1-Node-1.example.org:6200/d-1", "d-1r1z1-node-1.example.org:6200Rnode-1.example.org:6200/d-1"},
		{"", NULL},
		{"r1z1", NULL},
		{"r1-10.0.0.1:6200/sda", NULL},
		{"d3r1z1-10.0.0.1:6200/sda", NULL},
		{"r1z1-10.0.0.1/sda", NULL},
		{"r1z1-10.0.0.1:/sda", NULL},
		{"r1z1-10.0.0.1:66666/sda", NULL},
		{"r1z1-:6200/sda", NULL},
		{"r1z1-10.0.0.1:6200", NULL},
		{"r1z1-10.0.0.1:6200/", NULL},
		{"r1z1-10.0.0.1:6200R10.0.0.2/sda", NULL},
		{"r1z1-[::1:6200/sda", NULL},
		{"r1z1-[zz::1]:6200/sda", NULL},
		{"rz1-10.0.0.1:6200/sda", NULL},
		{"r99999999999z1-10.0.0.1:6200/sda", NULL},
		{"r1z1-10.0.0 1:6200/sda", NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct device_text parsed;
		struct ring_device device;
		_cleanup_free_ char *error = NULL;
		int result = device_text_parse_whole(cases[i].text, &parsed, &device, &error);
		if ((result == 0) != (cases[i].expected != NULL))
			fail_msg("%s: %s", cases[i].text, error ? error : "accepted");
		if (result < 0) {
			assert_non_null(strstr(error, cases[i].text));
			continue;
		}
		_cleanup_free_ char *text = device_text_format(&device);
		assert_string_equal(text, cases[i].expected);
	}
}

static void device_text__patterns_match(void **state)
{
	(void)state;
	static const struct {
		const char *pattern;
		bool matches;
	} cases[] = {{"d3", true}, {"d4", false}, {"r1", true}, {"z2", true}, {"z1", false}, {"d3r1z2", true},
		{"-10.0.0.1", true}, {"-10.0.0.1:6200", true}, {"-10.0.0.1:6201", false}, {"-10.0.0.11", false},
		{"R10.1.0.1", true}, {"R10.1.0.1:6300", true}, {"/sda", true}, {"/sdb", false}, {"_rack", true},
		{"_cage", false}, {"d3r1z2-10.0.0.1:6200R10.1.0.1:6300/sda_in rack 7", true}};
	struct ring_device device = {.id = 3,
		.device = "sda",
		.ip = "10.0.0.1",
		.port = 6200,
		.replication_ip = "10.1.0.1",
		.replication_port = 6300,
		.region = 1,
		.zone = 2,
		.meta = "in rack 7"};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct device_text pattern;
		assert_int_equal(device_text_parse(cases[i].pattern, &pattern, NULL), 0);
		if (device_text_matches(&pattern, &device) != cases[i].matches)
			fail_msg("%s", cases[i].pattern);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builder__fresh_ring_meets_the_plan),
		cmocka_unit_test(builder__settled_ring_does_not_move),
		cmocka_unit_test(builder__new_devices_fill_up),
		cmocka_unit_test(builder__weights_are_followed),
		cmocka_unit_test(builder__removed_devices_are_emptied_at_once),
		cmocka_unit_test(builder__heavy_device_holds_one_replica_of_each_partition),
		cmocka_unit_test(builder__min_part_hours_hold_partitions),
		cmocka_unit_test(builder__same_seed_gives_the_same_ring),
		cmocka_unit_test(builder__devices_share_partitions_with_all_others),
		cmocka_unit_test(builder__bad_input_is_refused),
		cmocka_unit_test(builder__file_is_read_back_equal),
		cmocka_unit_test(builder__ring_file_is_read_back_equal),
		cmocka_unit_test(builder__goes_on_from_swifts_ring),
		cmocka_unit_test(builder__broken_files_are_refused),
		cmocka_unit_test(device_text__reads_swifts_grammar),
		cmocka_unit_test(device_text__patterns_match),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
