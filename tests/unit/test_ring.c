#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "ring/builder.h"
#include "ring/file_replace.h"
#include "ring/ring.h"
#include "ring/ring_private.h"
#include "ring/ring_store.h"

static const char *const samples[] = {
	"tests/data/ring-v1-small.ring.gz",
	"tests/data/ring-v1-fractional.ring.gz",
	"tests/data/ring-v2-small.ring.gz",
};
enum { SAMPLE_COUNT = sizeof(samples) / sizeof(samples[0]) };

static struct buf read_whole(const char *path)
{
	struct buf contents = BUF_INIT;
	FILE *file = fopen(path, "re");
	size_t count;
	if (!file)
		fail_msg("cannot open %s", path);
	while ((count = fread(buf_reserve(&contents, 4096), 1, 4096, file)) > 0)
		contents.length += count;
	(void)fclose(file);
	return contents;
}

static struct buf read_stream(const char *path)
{
	struct buf file = read_whole(path), stream = BUF_INIT;
	assert_int_equal(ring_gunzip(buf_slice(&file), &stream, NULL), 0);
	buf_release(&file);
	return stream;
}

static struct ring *load(const char *path)
{
	struct ring *ring = NULL;
	char *error = NULL;
	if (ring_load(path, &ring, &error) < 0)
		fail_msg("%s", error);
	assert_null(error);
	return ring;
}

static void assert_device_equal(const struct ring_device *a, const struct ring_device *b)
{
	if (!a || !b) {
		assert_null(a);
		assert_null(b);
		return;
	}
	assert_int_equal(a->id, b->id);
	assert_string_equal(a->device, b->device);
	assert_string_equal(a->ip, b->ip);
	assert_int_equal(a->port, b->port);
	assert_string_equal(a->replication_ip, b->replication_ip);
	assert_int_equal(a->replication_port, b->replication_port);
	assert_int_equal(a->region, b->region);
	assert_int_equal(a->zone, b->zone);
	assert_true(a->weight == b->weight);
	assert_string_equal(a->meta, b->meta);
}

static void assert_ring_equal(const struct ring *a, const struct ring *b)
{
	assert_int_equal(ring_part_power(a), ring_part_power(b));
	assert_true(ring_replica_count(a) == ring_replica_count(b));
	assert_int_equal(ring_version(a), ring_version(b));
	assert_int_equal(ring_device_count(a), ring_device_count(b));
	for (size_t i = 0; i < ring_device_count(a); i++)
		assert_device_equal(ring_device_at(a, i), ring_device_at(b, i));
	for (uint32_t p = 0; p < ring_partition_count(a); p++)
		for (uint32_t row = 0; row < a->row_count; row++)
			assert_int_equal(ring_slot(a, p, row), ring_slot(b, p, row));
}

static int integer_of(json_t *object, const char *key)
{
	return (int)json_integer_value(json_object_get(object, key));
}

static const char *text_of(json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void check_devices(const struct ring *ring, json_t *expected)
{
	assert_int_equal(ring_device_count(ring), json_array_size(expected));
	for (size_t i = 0; i < json_array_size(expected); i++) {
		json_t *json = json_array_get(expected, i);
		struct ring_device device = {
			.id = integer_of(json, "id"),
			.device = (char *)(uintptr_t)text_of(json, "device"),
			.ip = (char *)(uintptr_t)text_of(json, "ip"),
			.port = integer_of(json, "port"),
			.replication_ip = (char *)(uintptr_t)text_of(json, "replication_ip"),
			.replication_port = integer_of(json, "replication_port"),
			.region = integer_of(json, "region"),
			.zone = integer_of(json, "zone"),
			.weight = json_number_value(json_object_get(json, "weight")),
			.meta = (char *)(uintptr_t)text_of(json, "meta"),
		};
		assert_device_equal(ring_device_at(ring, i), json_is_null(json) ? NULL : &device);
	}
}

static void check_rows(const struct ring *ring, json_t *rows)
{
	assert_int_equal(ring->row_count, json_array_size(rows));
	for (uint32_t row = 0; row < ring->row_count; row++) {
		json_t *ids = json_array_get(rows, row);
		for (uint32_t p = 0; p < ring_partition_count(ring); p++) {
			uint32_t expected = p < json_array_size(ids)
						    ? (uint32_t)json_integer_value(json_array_get(ids, p))
						    : RING_SLOT_NONE;
			assert_int_equal(ring_slot(ring, p, row), expected);
		}
	}
}

static void check_primaries(const struct ring *ring, uint32_t partition, json_t *expected)
{
	const struct ring_device *primaries[RING_REPLICAS_MAX];
	size_t count = ring_primaries(ring, partition, primaries);
	assert_int_equal(count, json_array_size(expected));
	for (size_t i = 0; i < count; i++)
		assert_int_equal(primaries[i]->id, json_integer_value(json_array_get(expected, i)));
}

static void check_handoffs(const struct ring *ring, uint32_t partition, json_t *expected)
{
	struct ring_handoffs handoffs;
	ring_handoffs_init(&handoffs, ring, partition);
	for (size_t i = 0; i < json_array_size(expected); i++) {
		const struct ring_device *device = ring_handoffs_next(&handoffs);
		if (!device)
			fail_msg("partition %u ends at handoff %zu", partition, i);
		assert_int_equal(device->id, json_integer_value(json_array_get(expected, i)));
	}
	assert_null(ring_handoffs_next(&handoffs));
	assert_null(ring_handoffs_next(&handoffs));
	ring_handoffs_release(&handoffs);
}

static void ring__swift_files_give_swifts_nodes(void **state)
{
	(void)state;
	json_error_t where;
	json_t *vectors = json_load_file("tests/data/ring-vectors.json", 0, &where);
	json_t *rings = json_object_get(vectors, "rings");
	assert_int_equal(json_array_size(rings), SAMPLE_COUNT);
	for (size_t i = 0; i < json_array_size(rings); i++) {
		json_t *expected = json_array_get(rings, i);
		_cleanup_free_ char *path = xasprintf("tests/data/%s", text_of(expected, "file"));
		struct ring *ring = load(path);
		assert_int_equal(ring_part_power(ring), integer_of(expected, "part_power"));
		assert_int_equal(ring_partition_count(ring), integer_of(expected, "partition_count"));
		assert_int_equal(ring_version(ring), integer_of(expected, "version"));
		assert_int_equal(ring_next_part_power(ring), -1);
		assert_true(ring_replica_count(ring) == json_number_value(json_object_get(expected, "replica_count")));
		check_devices(ring, json_object_get(expected, "devs"));
		check_rows(ring, json_object_get(expected, "replica2part2dev_id"));
		json_t *primaries = json_object_get(expected, "primary_ids_by_part");
		json_t *handoffs = json_object_get(expected, "handoff_ids_by_part");
		for (uint32_t p = 0; p < ring_partition_count(ring); p++) {
			check_primaries(ring, p, json_array_get(primaries, p));
			check_handoffs(ring, p, json_array_get(handoffs, p));
		}
		ring_unref(ring);
	}
	json_decref(vectors);
}

static void ring__partition_is_the_top_of_the_hash(void **state)
{
	(void)state;
	/* MD5 of "/AUTH_test" with suffix "changeme". */
	static const unsigned char hash[16] = {0x9d, 0x00, 0xc9, 0xd0, 0x91, 0xfe, 0xa9, 0xea, 0x85, 0x5f};
	static const struct {
		int part_power;
		uint32_t partition;
	} cases[] = {{0, 0}, {4, 9}, {8, 157}, {10, 628}, {18, 160771}, {32, 2634074576u}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(ring_partition_of_hash(hash, cases[i].part_power), cases[i].partition);
	struct ring *ring = load(samples[0]);
	assert_int_equal(ring_partition(ring, hash), 9);
	ring_unref(ring);
}

static void ring__v1_is_written_as_swift_writes_it(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct ring *ring = load(samples[i]);
		struct buf swifts = read_stream(samples[i]), ours = BUF_INIT;
		assert_int_equal(ring_encode_v1(ring, &ours), 0);
		assert_int_equal(ours.length, swifts.length);
		assert_memory_equal(ours.data, swifts.data, swifts.length);
		buf_release(&swifts);
		buf_release(&ours);
		ring_unref(ring);
	}
}

/* A directory of its own for a test; gone by drop_directory(). */
static char *make_directory(void)
{
	char *path = xstrdup("/tmp/test_ring.XXXXXX");
	assert_non_null(mkdtemp(path));
	return path;
}

static void drop_directory(char *path)
{
	static const char *const names[] = {"account.ring.gz", "container.ring.gz", "object.ring.gz",
		"object-1.ring.gz", "object-12.ring.gz", "object-007.ring.gz", "object-999.ring.gz"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		_cleanup_free_ char *file = xasprintf("%s/%s", path, names[i]);
		(void)unlink(file);
	}
	assert_int_equal(rmdir(path), 0);
	free(path);
}

static void ring__saved_file_is_read_back_equal(void **state)
{
	(void)state;
	char *directory = make_directory();
	_cleanup_free_ char *path = xasprintf("%s/object.ring.gz", directory);
	for (int i = 0; i < SAMPLE_COUNT; i++) {
		struct ring *ring = load(samples[i]);
		assert_int_equal(ring_save_v1(ring, path), 0);
		struct ring *again = load(path);
		assert_ring_equal(ring, again);
		ring_unref(again);
		ring_unref(ring);
	}
	drop_directory(directory);
}

static void ring__save_says_what_fails(void **state)
{
	(void)state;
	struct ring *ring = load(samples[0]);
	assert_int_equal(ring_save_v1(ring, "/tmp/no-such-directory/object.ring.gz"), -ENOENT);
	ring_unref(ring);
	assert_int_equal(ring_load("/tmp/no-such-directory/object.ring.gz", &ring, NULL), -ENOENT);
	assert_int_equal(ring_load("/tmp", &ring, NULL), -EISDIR);
}

/* Decodes what is damaged on purpose: it gives an error with a text, or a whole ring. */
static void decode_damaged(struct slice stream)
{
	struct ring *ring = NULL;
	char *error = NULL;
	int result = ring_decode(stream, &ring, &error);
	if (result < 0) {
		assert_int_equal(result, -EINVAL);
		assert_non_null(error);
		assert_null(ring);
		free(error);
		return;
	}
	const struct ring_device *primaries[RING_REPLICAS_MAX];
	struct ring_handoffs handoffs;
	for (uint32_t p = 0; p < ring_partition_count(ring); p++) {
		size_t count = ring_primaries(ring, p, primaries);
		assert_in_range(count, 1, RING_REPLICAS_MAX);
		ring_handoffs_init(&handoffs, ring, p);
		while (ring_handoffs_next(&handoffs))
			count++;
		assert_in_range(count, 1, ring_device_count(ring));
		ring_handoffs_release(&handoffs);
	}
	ring_unref(ring);
}

static void ring__flipped_bits_are_refused_or_harmless(void **state)
{
	(void)state;
	for (int i = 0; i < SAMPLE_COUNT; i++) {
		struct buf file = read_whole(samples[i]);
		struct buf good = read_stream(samples[i]);
		for (size_t bit = 0; bit < file.length * 8; bit++) {
			struct buf stream = BUF_INIT;
			char *error = NULL;
			file.data[bit / 8] ^= (char)(1 << bit % 8);
			int result = ring_gunzip(buf_slice(&file), &stream, &error);
			file.data[bit / 8] ^= (char)(1 << bit % 8);
			if (result < 0)
				assert_non_null(error);
			else /* a time stamp or name of gzip's header */
				assert_true(slice_equal(buf_slice(&stream), buf_slice(&good)));
			free(error);
			buf_release(&stream);
		}
		buf_release(&file);
		buf_release(&good);
	}
}

static void ring__truncated_files_are_refused(void **state)
{
	(void)state;
	for (int i = 0; i < SAMPLE_COUNT; i++) {
		struct buf file = read_whole(samples[i]);
		for (size_t length = 0; length < file.length; length++) {
			struct buf stream = BUF_INIT;
			assert_int_equal(ring_gunzip(slice_of(file.data, length), &stream, NULL), -EINVAL);
			buf_release(&stream);
		}
		buf_append_byte(&file, 'x');
		struct buf stream = BUF_INIT;
		assert_int_equal(ring_gunzip(buf_slice(&file), &stream, NULL), -EINVAL);
		buf_release(&stream);
		buf_release(&file);
	}
}

static void ring__damaged_contents_never_crash(void **state)
{
	(void)state;
	for (int i = 0; i < SAMPLE_COUNT; i++) {
		struct buf stream = read_stream(samples[i]);
		for (size_t bit = 0; bit < stream.length * 8; bit++) {
			stream.data[bit / 8] ^= (char)(1 << bit % 8);
			decode_damaged(buf_slice(&stream));
			stream.data[bit / 8] ^= (char)(1 << bit % 8);
		}
		for (size_t length = 0; length < stream.length; length++) {
			/* A copy of its own, so that reading past the end is seen. */
			_cleanup_free_ char *copy = xmalloc(length + 1);
			memcpy(copy, stream.data, length);
			decode_damaged(slice_of(copy, length));
		}
		buf_release(&stream);
	}
}

static struct buf make_v1(const char *json, const void *rows, size_t rows_length)
{
	struct buf stream = BUF_INIT;
	buf_append_text(&stream, "R1NG");
	buf_append_u16(&stream, 1);
	buf_append_counted(&stream, slice_from(json));
	buf_append(&stream, rows, rows_length);
	return stream;
}

#define DEVICE "{\"id\": 0, \"device\": \"a\", \"ip\": \"h\", \"port\": 1, \"zone\": 1}"
#define HEAD "{\"byteorder\": \"little\", \"devs\": [" DEVICE "], "

static void ring__bad_headers_say_what_is_wrong(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		size_t rows_length;
		const char *error; /* a part of the text */
	} cases[] = {
		{"[]", 2, "part_shift is missing"},
		{"{", 2, "not JSON"},
		{HEAD "\"replica_count\": 1}", 2, "part_shift is missing"},
		{HEAD "\"replica_count\": 1, \"part_shift\": 33}", 2, "part_shift is not an integer"},
		{HEAD "\"replica_count\": 1, \"part_shift\": -1}", 2, "part_shift is not an integer"},
		{HEAD "\"replica_count\": 1, \"part_shift\": \"x\"}", 2, "part_shift is not an integer"},
		{HEAD "\"replica_count\": 1, \"part_shift\": 0}", 2, "4294967296 partitions"},
		{HEAD "\"replica_count\": 1, \"part_shift\": 31}", 2, "2 partitions"},
		{HEAD "\"replica_count\": 2, \"part_shift\": 32}", 2, "2 rows"},
		{HEAD "\"replica_count\": 1, \"part_shift\": 32}", 0, "0 device ids"},
		{HEAD "\"replica_count\": 1, \"part_shift\": 32}", 1, "within a device id"},
		{HEAD "\"replica_count\": 1, \"part_shift\": 32}", 4, "2 device ids"},
		{HEAD "\"replica_count\": 0, \"part_shift\": 32}", 2, "not from 1 to"},
		{HEAD "\"replica_count\": 1e300, \"part_shift\": 32}", 2, "not from 1 to"},
		{HEAD "\"replica_count\": 33, \"part_shift\": 32}", 66, "not from 1 to"},
		{HEAD "\"replica_count\": null, \"part_shift\": 32}", 2, "replica_count is not a number"},
		{"{\"devs\": [], \"replica_count\": 1, \"part_shift\": 32}", 2, "device 0, which does not exist"},
		{"{\"devs\": [null], \"replica_count\": 1, \"part_shift\": 32}", 2, "device 0, which does not"},
		{"{\"devs\": 7, \"replica_count\": 1, \"part_shift\": 32}", 2, "list of devices"},
		{"{\"devs\": [7], \"replica_count\": 1, \"part_shift\": 32}", 2, "device 0: neither"},
		{"{\"devs\": [{}], \"replica_count\": 1, \"part_shift\": 32}", 2, "device 0: port is missing"},
		{"{\"devs\": [{\"port\": 70000}], \"replica_count\": 1, \"part_shift\": 32}", 2, "device 0: port"},
		{"{\"devs\": [{\"id\": 1}], \"replica_count\": 1, \"part_shift\": 32}", 2, "device 0: id"},
		{"{\"devs\": [{\"port\": 1, \"zone\": 1}], \"replica_count\": 1, \"part_shift\": "
		 "32}",
			2, "device 0: device is missing"},
		{"{\"byteorder\": \"middle\", \"devs\": [], \"replica_count\": 1, \"part_shift\": "
		 "32}",
			2, "byteorder"},
	};
	static const char zeros[66];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf stream = make_v1(cases[i].json, zeros, cases[i].rows_length);
		struct ring *ring = NULL;
		char *error = NULL;
		assert_int_equal(ring_decode(buf_slice(&stream), &ring, &error), -EINVAL);
		if (!strstr(error, cases[i].error))
			fail_msg("%s\ngives \"%s\"\ninstead of \"%s\"", cases[i].json, error, cases[i].error);
		free(error);
		buf_release(&stream);
	}
	char *error = NULL;
	struct ring *ring;
	assert_int_equal(ring_decode(SLICE_LITERAL("R1NG\0\3xxxx"), &ring, &error), -EINVAL);
	assert_string_equal(error, "ring format 3 is not known");
	free(error);
}

static void ring__a_bomb_is_refused(void **state)
{
	(void)state;
	/* The header claims more than there is: no claim is believed before the data is seen. */
	struct buf zeros = BUF_INIT, file = BUF_INIT, stream = BUF_INIT;
	memset(buf_reserve(&zeros, 20 << 20), 0, 20 << 20);
	zeros.length = 20 << 20;
	memcpy(zeros.data, "R1NG\0\1\xff\xff\xff\xff", 10);
	ring_gzip(buf_slice(&zeros), "bomb", &file);
	assert_int_equal(ring_gunzip(buf_slice(&file), &stream, NULL), 0);
	decode_damaged(buf_slice(&stream));
	buf_release(&zeros);
	buf_release(&file);
	buf_release(&stream);
}

static void ring__missing_keys_have_defaults(void **state)
{
	(void)state;
	static const char rows[] = {0, 1, 0, 0};
	struct buf stream = make_v1("{\"byteorder\": \"big\", \"part_shift\": 31, \"replica_count\": 1, \"more\": [], "
				    "\"next_part_power\": 2, \"devs\": [null, {\"device\": \"a\", \"ip\": \"h\", "
				    "\"port\": 1, \"zone\": 3, \"parts\": 9}, null]}",
		rows, 2);
	struct ring *ring = NULL;
	assert_int_equal(ring_decode(buf_slice(&stream), &ring, NULL), -EINVAL);
	buf_append(&stream, rows, 2);
	assert_int_equal(ring_decode(buf_slice(&stream), &ring, NULL), 0);
	struct ring_device device = {.id = 1,
		.device = "a",
		.ip = "h",
		.port = 1,
		.replication_ip = "h",
		.replication_port = 1,
		.region = 1,
		.zone = 3,
		.meta = ""};
	assert_device_equal(ring_device_at(ring, 1), &device);
	assert_null(ring_device_at(ring, 0));
	assert_null(ring_device_at(ring, 2));
	assert_int_equal(ring_version(ring), -1);
	assert_int_equal(ring_next_part_power(ring), 2);
	assert_int_equal(ring_slot(ring, 0, 0), 1);
	ring_unref(ring);
	buf_release(&stream);
}

static void ring__odd_texts_are_written_as_python_does(void **state)
{
	(void)state;
	static const struct {
		double weight;
		const char *text;
	} weights[] = {{0, "0.0"}, {100, "100.0"}, {33.3, "33.3"}, {0.1, "0.1"}, {1.0 / 3, "0.3333333333333333"},
		{1e-5, "1e-05"}, {0.0001, "0.0001"}, {1e16, "1e+16"}, {123456789012345680.0, "1.2345678901234568e+17"},
		{9007199254740993.0, "9007199254740992.0"}};
	for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
		struct ring *ring = ring_new(0, 1, 1, 1, 2);
		struct ring_device device = {.device = "d\"\\\n\x01\x7f",
			.ip = "h",
			.replication_ip = "h",
			.weight = weights[i].weight,
			.meta = "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"};
		ring_put_device(ring, &device);
		ring_put_slot(ring, 0, 0, 0);
		assert_int_equal(ring_finish(ring, NULL), 0);
		struct buf stream = BUF_INIT;
		assert_int_equal(ring_encode_v1(ring, &stream), 0);
		_cleanup_free_ char *expected =
			xasprintf("{\"byteorder\": \"little\", \"devs\": [{\"device\": "
				  "\"d\\\"\\\\\\n\\u0001\x7f\", \"id\": 0, "
				  "\"ip\": \"h\", \"meta\": \"\\u00e9\\u20ac\\ud83d\\ude00\", "
				  "\"port\": 0, \"region\": 0, "
				  "\"replication_ip\": \"h\", \"replication_port\": 0, \"weight\": "
				  "%s, \"zone\": 0}], "
				  "\"part_shift\": 32, \"replica_count\": 1}",
				weights[i].text);
		stream.data[stream.length - 2] = '\0';
		assert_string_equal(stream.data + 10, expected);
		buf_release(&stream);
		ring_unref(ring);
	}
}

/* Swift's get_more_nodes, slow and simple. Returns how many ids it wrote. */
static size_t naive_handoffs(const struct ring *ring, uint32_t partition, int *ret_ids)
{
	size_t devices = ring_device_count(ring), count = 0;
	_cleanup_free_ bool *used = xcalloc(devices, sizeof(used[0]));
	uint32_t n = ring_partition_count(ring), increment = n / 65536 ? n / 65536 : 1;
	char text[16];
	unsigned char digest[EVP_MAX_MD_SIZE];
	(void)snprintf(text, sizeof(text), "%u", partition);
	assert_int_equal(EVP_Digest(text, strlen(text), digest, NULL, EVP_md5(), NULL), 1);
	uint32_t start = ring_partition(ring, digest);
	for (uint32_t row = 0; row < ring->row_count; row++)
		if (ring_slot(ring, partition, row) != RING_SLOT_NONE)
			used[ring_slot(ring, partition, row)] = true;
	for (int pass = 0; pass < 4; pass++) {
		for (uint64_t k = 0, at = start; k < 2; k++, at = increment - (n - start) % increment) {
			for (; at < (k ? start : n); at += increment) {
				for (uint32_t row = 0; row < ring->row_count; row++) {
					uint32_t id = ring_slot(ring, (uint32_t)at, row);
					if (id == RING_SLOT_NONE || used[id])
						continue;
					const struct ring_device *d = ring_device_at(ring, id);
					bool seen = false;
					for (size_t i = 0; i < devices && pass < 3 && !seen; i++) {
						const struct ring_device *u = ring_device_at(ring, i);
						seen = used[i] && u->region == d->region &&
						       (pass < 1 || u->zone == d->zone) &&
						       (pass < 2 || strcmp(u->ip, d->ip) == 0);
					}
					if (seen)
						continue;
					used[id] = true;
					ret_ids[count++] = (int)id;
				}
			}
		}
	}
	return count;
}

static struct ring *make_ring(int part_power, double replicas, int devices, int per_host, int hosts_per_zone)
{
	struct ring_builder *builder;
	struct ring_rebalance result;
	assert_int_equal(ring_builder_new(part_power, replicas, 0, &builder, NULL), 0);
	for (int i = 0; i < devices; i++) {
		int host = i / per_host, id;
		_cleanup_free_ char *ip = xasprintf("10.0.%d.%d", host / 256, host % 256);
		_cleanup_free_ char *name = xasprintf("d%d", i);
		struct ring_device device = {.device = name,
			.ip = ip,
			.port = 6200,
			.replication_ip = ip,
			.replication_port = 6200,
			.region = host / hosts_per_zone / 2,
			.zone = host / hosts_per_zone % 2,
			.weight = 100 + i % 7,
			.meta = ""};
		assert_int_equal(ring_builder_add_device(builder, &device, &id, NULL), 0);
	}
	assert_int_equal(ring_builder_rebalance(builder, 42, 1000000, &result, NULL), 0);
	struct ring *ring = ring_builder_ring(builder);
	ring_builder_free(builder);
	return ring;
}

static void ring__handoffs_of_large_rings_are_swifts(void **state)
{
	(void)state;
	static const struct {
		int part_power;
		double replicas;
		int devices, per_host, hosts_per_zone;
		uint32_t step;
	} cases[] = {
		{0, 1, 3, 1, 1, 1}, {6, 3, 3, 1, 1, 1}, {7, 2.3, 24, 2, 3, 1}, {8, 3, 40, 4, 2, 7},
		{12, 3, 2600, 10, 130, 1999}, /* more marks than the iterator has room for */
		{17, 3, 12, 2, 2, 60000},     /* increment 2 */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ring *ring = make_ring(cases[i].part_power, cases[i].replicas, cases[i].devices,
			cases[i].per_host, cases[i].hosts_per_zone);
		_cleanup_free_ int *expected = xcalloc((size_t)cases[i].devices, sizeof(expected[0]));
		for (uint32_t p = 0; p < ring_partition_count(ring); p += cases[i].step) {
			size_t count = naive_handoffs(ring, p, expected);
			struct ring_handoffs handoffs;
			ring_handoffs_init(&handoffs, ring, p);
			for (size_t k = 0; k < count; k++)
				assert_int_equal(ring_handoffs_next(&handoffs)->id, expected[k]);
			assert_null(ring_handoffs_next(&handoffs));
			ring_handoffs_release(&handoffs);
		}
		ring_unref(ring);
	}
}

static void copy_file(const char *from, const char *directory, const char *name, time_t mtime)
{
	struct buf contents = read_whole(from);
	_cleanup_free_ char *path = xasprintf("%s/%s", directory, name);
	assert_int_equal(ring_file_replace(path, buf_slice(&contents)), 0);
	buf_release(&contents);
	struct timespec times[2] = {{.tv_sec = mtime}, {.tv_sec = mtime}};
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void ring_store__finds_the_rings_of_a_directory(void **state)
{
	(void)state;
	char *directory = make_directory();
	struct ring_store *store;
	copy_file(samples[0], directory, "account.ring.gz", 100);
	copy_file(samples[1], directory, "object.ring.gz", 100);
	copy_file(samples[2], directory, "object-12.ring.gz", 100);
	copy_file(samples[2], directory, "object-007.ring.gz", 100);
	copy_file(samples[2], directory, "object-999.ring.gz", 100);
	assert_int_equal(ring_store_open(directory, &store, NULL), 0);

	struct ring *account = ring_store_get(store, RING_ACCOUNT, 0);
	struct ring *zero = ring_store_get(store, RING_OBJECT, 0);
	struct ring *twelve = ring_store_get(store, RING_OBJECT, 12);
	assert_non_null(account);
	assert_true(ring_replica_count(zero) == 2.5);
	assert_non_null(twelve);
	assert_null(ring_store_get(store, RING_CONTAINER, 0));
	assert_null(ring_store_get(store, RING_OBJECT, 7));
	assert_null(ring_store_get(store, RING_OBJECT, 999));
	assert_null(ring_store_get(store, RING_OBJECT, -1));
	ring_store_free(store);
	assert_int_equal(ring_partition_count(account), 16);
	ring_unref(account);
	ring_unref(zero);
	ring_unref(twelve);
	drop_directory(directory);
}

static void ring_store__refuses_a_broken_ring_at_start(void **state)
{
	(void)state;
	char *directory = make_directory();
	struct ring_store *store;
	char *error = NULL;
	copy_file("tests/data/ring-vectors.json", directory, "object-1.ring.gz", 100);
	assert_int_equal(ring_store_open(directory, &store, &error), -EINVAL);
	assert_non_null(strstr(error, "object-1.ring.gz: gzip data is damaged"));
	free(error);
	assert_int_equal(ring_store_open("/tmp/no-such-directory", &store, NULL), -ENOENT);
	drop_directory(directory);
}

static double replicas_in_use(struct ring_store *store)
{
	struct ring *ring = ring_store_get(store, RING_OBJECT, 0);
	double replicas = ring_replica_count(ring);
	ring_unref(ring);
	return replicas;
}

/* Runs a reload with standard error in a file, and counts the lines logged. */
static int reload_counting_lines(struct ring_store *store, int *ret_lines)
{
	FILE *log = tmpfile();
	int saved = dup(STDERR_FILENO), character;
	assert_true(dup2(fileno(log), STDERR_FILENO) >= 0);
	int result = ring_store_reload(store);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	rewind(log);
	*ret_lines = 0;
	while ((character = getc(log)) != EOF)
		*ret_lines += character == '\n';
	(void)fclose(log);
	return result;
}

static void ring_store__reload_follows_the_modification_time(void **state)
{
	(void)state;
	char *directory = make_directory();
	struct ring_store *store;
	int lines;
	copy_file(samples[0], directory, "object.ring.gz", 1000);
	assert_int_equal(ring_store_open(directory, &store, NULL), 0);
	struct ring *first = ring_store_get(store, RING_OBJECT, 0);
	assert_true(replicas_in_use(store) == 3);

	copy_file(samples[1], directory, "object.ring.gz", 1000); /* same time: not looked at */
	assert_int_equal(ring_store_reload(store), 0);
	assert_true(replicas_in_use(store) == 3);

	copy_file(samples[1], directory, "object.ring.gz", 900); /* older, but different */
	assert_int_equal(ring_store_reload(store), 1);
	assert_int_equal(ring_store_reload(store), 0);
	assert_true(replicas_in_use(store) == 2.5);

	copy_file("tests/data/ring-vectors.json", directory, "object.ring.gz", 2000); /* broken */
	assert_int_equal(reload_counting_lines(store, &lines), 0);
	assert_int_equal(lines, 1);
	assert_int_equal(reload_counting_lines(store, &lines), 0);
	assert_int_equal(lines, 0);
	assert_true(replicas_in_use(store) == 2.5);

	_cleanup_free_ char *path = xasprintf("%s/object.ring.gz", directory);
	assert_int_equal(unlink(path), 0); /* gone */
	assert_int_equal(reload_counting_lines(store, &lines), 0);
	assert_int_equal(lines, 1);
	assert_int_equal(reload_counting_lines(store, &lines), 0);
	assert_int_equal(lines, 0);
	assert_true(replicas_in_use(store) == 2.5);

	copy_file(samples[0], directory, "object.ring.gz", 2001);
	copy_file(samples[0], directory, "container.ring.gz", 1); /* new */
	assert_int_equal(ring_store_reload(store), 2);
	assert_true(replicas_in_use(store) == 3);

	ring_store_free(store);
	assert_int_equal(ring_partition_count(first), 16); /* who holds a reference keeps the old one */
	ring_unref(first);
	drop_directory(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring__swift_files_give_swifts_nodes),
		cmocka_unit_test(ring__partition_is_the_top_of_the_hash),
		cmocka_unit_test(ring__v1_is_written_as_swift_writes_it),
		cmocka_unit_test(ring__saved_file_is_read_back_equal),
		cmocka_unit_test(ring__save_says_what_fails),
		cmocka_unit_test(ring__flipped_bits_are_refused_or_harmless),
		cmocka_unit_test(ring__truncated_files_are_refused),
		cmocka_unit_test(ring__damaged_contents_never_crash),
		cmocka_unit_test(ring__bad_headers_say_what_is_wrong),
		cmocka_unit_test(ring__a_bomb_is_refused),
		cmocka_unit_test(ring__missing_keys_have_defaults),
		cmocka_unit_test(ring__odd_texts_are_written_as_python_does),
		cmocka_unit_test(ring__handoffs_of_large_rings_are_swifts),
		cmocka_unit_test(ring_store__finds_the_rings_of_a_directory),
		cmocka_unit_test(ring_store__refuses_a_broken_ring_at_start),
		cmocka_unit_test(ring_store__reload_follows_the_modification_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
