/*
 * One object on one device, for the tests of the object store: writing, reading and counting what
 * is on the disk.
 */
#ifndef TESTS_UNIT_OBJECT_FIXTURE_H
#define TESTS_UNIT_OBJECT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>

#include "lib/base/buf.h"
#include "lib/store/device.h"
#include "lib/store/device_files.h"
#include "object/object_record.h"
#include "object/object_store.h"
#include "tests/unit/device_fixture.h"

#define NAME SLICE_LITERAL("/a/c/o")
static const struct object_key key = {3, {0xab, 0xcd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}};

struct fixture {
	char *path;
	struct device *device;
	struct arena *arena;
};

static inline int setup(void **state)
{
	struct fixture *fixture = xcalloc(1, sizeof(*fixture));
	fixture->path = fixture_directory();
	fixture->device = fixture_open(fixture->path);
	fixture->arena = arena_new();
	*state = fixture;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *fixture = *state;
	device_close(fixture->device);
	fixture_remove(fixture->path);
	arena_free(fixture->arena);
	free(fixture);
	return 0;
}

static inline void reopen(struct fixture *fixture)
{
	device_close(fixture->device);
	fixture->device = fixture_open(fixture->path);
	assert_int_equal(object_store_recover(fixture->device), 0);
}

static inline struct timestamp at(uint64_t seconds)
{
	return (struct timestamp){seconds * TIMESTAMP_RAW_PER_SECOND, 0};
}

static inline unsigned char byte_at(uint64_t position, unsigned seed)
{
	return (unsigned char)((position * 2654435761u >> 7) + seed);
}

static inline void fill(char *data, uint64_t offset, size_t bytes, unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		data[i] = (char)byte_at(offset + i, seed);
}

/* A finished body of that many bytes, appended in pieces of `piece`. */
static inline struct object_writer *write_body(
	struct device *device, uint64_t size, bool announced, size_t piece, unsigned seed)
{
	struct object_writer *writer;
	assert_int_equal(object_writer_new(device, &key, announced ? (int64_t)size : -1, &writer), 0);
	char *data = xmalloc(piece);
	for (uint64_t done = 0; done < size; done += piece) {
		size_t part = size - done < piece ? (size_t)(size - done) : piece;
		fill(data, done, part, seed);
		assert_int_equal(object_writer_append(writer, data, part), 0);
	}
	free(data);
	assert_int_equal(object_writer_finish(writer), 0);
	assert_true(object_writer_size(writer) == size);
	return writer;
}

static inline struct object_put put_of(struct object_writer *writer, struct timestamp time)
{
	static const struct object_header headers[] = {
		{"X-Object-Meta-Color", "blue"},
		{"X-Object-Sysmeta-Kind", "data"},
		{"X-Static-Large-Object", "True"},
	};
	return (struct object_put){
		.key = key,
		.name = NAME,
		.timestamp = time,
		.writer = writer,
		.etag = "d41d8cd98f00b204e9800998ecf8427e",
		.content_type = "text/plain",
		.headers = headers,
		.header_count = 3,
	};
}

static inline int put_size(struct fixture *fixture, struct timestamp time, uint64_t size)
{
	struct object_writer *writer = write_body(fixture->device, size, true, 65536, 1);
	struct object_put put = put_of(writer, time);
	int result = device_commit(fixture->device, object_put, &put);
	object_writer_free(writer);
	return result;
}

static inline struct object_record read_record(struct fixture *fixture)
{
	struct object_record record;
	assert_int_equal(object_read(fixture->device, &key, fixture->arena, &record), 0);
	return record;
}

static inline void assert_bytes(struct object_body *body, uint64_t offset, size_t bytes, uint64_t size, unsigned seed)
{
	char *data = xmalloc(bytes);
	ssize_t expected = offset >= size ? 0 : size - offset < bytes ? (ssize_t)(size - offset) : (ssize_t)bytes;
	assert_int_equal(object_body_read(body, offset, data, bytes), expected);
	for (ssize_t i = 0; i < expected; i++)
		if ((unsigned char)data[i] != byte_at(offset + (uint64_t)i, seed))
			fail_msg("byte %llu is wrong", (unsigned long long)(offset + (uint64_t)i));
	free(data);
}

static inline void assert_body(struct fixture *fixture, uint64_t size, unsigned seed)
{
	struct object_record record = read_record(fixture);
	assert_int_equal(record.kind, OBJECT_DATA);
	assert_true(record.size == size);
	struct object_body *body;
	assert_int_equal(object_body_open(fixture->device, &key, &record, &body), 0);
	assert_bytes(body, 0, size + 10, size, seed);
	assert_bytes(body, 0, 65536, size, seed);
	assert_bytes(body, 65536, 65536, size, seed);
	assert_bytes(body, size / 2, 70001, size, seed);
	assert_bytes(body, size > 0 ? size - 1 : 0, 5, size, seed);
	assert_bytes(body, 65535, 2, size, seed);
	assert_bytes(body, 65535, 65538, size, seed);
	assert_bytes(body, size, 1, size, seed);
	assert_bytes(body, UINT64_MAX, 1, size, seed);
	object_body_free(body);
}

static inline int count_names(struct fixture *fixture, const char *folder)
{
	char *path = xasprintf("%s/%s", fixture->path, folder);
	DIR *directory = opendir(path);
	free(path);
	if (!directory)
		return 0;
	int count = 0;
	for (struct dirent *entry; (entry = readdir(directory));)
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

static inline int count_values(struct fixture *fixture, enum device_family family)
{
	struct device_iterator *iterator = device_iterator_new(fixture->device, family, SLICE_NONE, SLICE_NONE);
	int count = 0;
	for (bool found = device_iterator_seek(iterator, SLICE_NONE); found; found = device_iterator_next(iterator))
		count++;
	device_iterator_free(iterator);
	return count;
}

#endif
