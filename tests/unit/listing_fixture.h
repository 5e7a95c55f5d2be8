/*
 * One device for a whole test program, and short forms of the listing store's changes: times are
 * seconds after 1700000000, every change asserts that it was committed.
 */
#ifndef TESTS_UNIT_LISTING_FIXTURE_H
#define TESTS_UNIT_LISTING_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/memory.h"
#include "lib/store/listing_private.h"

static struct device *device;
static char directory[] = "/tmp/test_listing.XXXXXX";

static inline int open_device(void **state)
{
	(void)state;
	char *error = NULL;
	if (!mkdtemp(directory))
		return -1;
	struct device_options options = {.path = directory, .name = "sda", .create = true};
	int result = device_open(&options, &device, &error);
	if (result)
		print_error("device_open: %s\n", error);
	free(error);
	return result;
}

static inline int close_device(void **state)
{
	(void)state;
	device_close(device);
	char *command = xasprintf("rm -rf %s", directory);
	int result = system(command);
	free(command);
	return result;
}

/* ---- short forms ---- */

/* Second n after 1700000000, the time base of all tests. */
static inline struct timestamp at(unsigned n)
{
	return (struct timestamp){.raw = (UINT64_C(1700000000) + n) * TIMESTAMP_RAW_PER_SECOND};
}

static inline void check_time(struct timestamp got, struct timestamp expected)
{
	assert_int_equal(got.raw, expected.raw);
	assert_int_equal(got.offset, expected.offset);
}

static inline void check_slice(struct slice got, const char *expected)
{
	if (!slice_equal(got, slice_from(expected)))
		fail_msg("got \"%.*s\", expected \"%s\"", SLICE_PRINT(got), expected);
}

/* Each test works on databases of its own. */
static inline void fresh_hash(unsigned char hash[16])
{
	static unsigned char number;
	memset(hash, 0xff, 16);
	hash[15] = ++number;
}

static inline struct listing_change change_of(
	enum listing_kind kind, const unsigned char hash[16], struct timestamp timestamp)
{
	struct listing_change change = {
		.kind = kind,
		.account = SLICE_LITERAL("AUTH_x"),
		.container = kind == LISTING_CONTAINER ? SLICE_LITERAL("cc") : SLICE_NONE,
		.timestamp = timestamp,
		.policy_requested = -1,
	};
	memcpy(change.hash, hash, sizeof(change.hash));
	return change;
}

static inline struct listing_change put(enum listing_kind kind, const unsigned char hash[16], unsigned second)
{
	struct listing_change change = change_of(kind, hash, at(second));
	assert_int_equal(device_commit(device, listing_put, &change), 0);
	return change;
}

static inline struct listing_change put_policy(
	const unsigned char hash[16], unsigned second, int requested, uint16_t policy_default)
{
	struct listing_change change = change_of(LISTING_CONTAINER, hash, at(second));
	change.policy_requested = requested;
	change.policy_default = policy_default;
	assert_int_equal(device_commit(device, listing_put, &change), 0);
	return change;
}

static inline struct listing_change post(enum listing_kind kind, const unsigned char hash[16], unsigned second)
{
	struct listing_change change = change_of(kind, hash, at(second));
	change.keep_put_timestamp = kind == LISTING_ACCOUNT;
	assert_int_equal(device_commit(device, listing_post, &change), 0);
	return change;
}

static inline struct listing_change delete (enum listing_kind kind, const unsigned char hash[16], unsigned second)
{
	struct listing_change change = change_of(kind, hash, at(second));
	assert_int_equal(device_commit(device, listing_delete, &change), 0);
	return change;
}

static inline enum listing_outcome put_row(
	const unsigned char hash[16], const char *name, unsigned second, uint16_t policy, int64_t size)
{
	struct listing_object_row item = {
		.account = SLICE_LITERAL("AUTH_x"),
		.container = SLICE_LITERAL("cc"),
		.name = slice_from(name),
		.policy = policy,
		.row = {.data = at(second),
			.content_type_time = at(second),
			.meta = at(second),
			.size = size,
			.content_type = SLICE_LITERAL("text/plain"),
			.etag = SLICE_LITERAL("d41d8cd98f00b204e9800998ecf8427e")},
	};
	memcpy(item.hash, hash, sizeof(item.hash));
	assert_int_equal(device_commit(device, listing_put_object_row, &item), 0);
	return item.outcome;
}

static inline enum listing_outcome delete_row(
	const unsigned char hash[16], const char *name, unsigned second, uint16_t policy)
{
	struct listing_object_row item = {
		.name = slice_from(name),
		.policy = policy,
		.row = {.data = at(second),
			.content_type_time = at(second),
			.meta = at(second),
			.content_type = SLICE_LITERAL("application/deleted"),
			.etag = SLICE_LITERAL("noetag"),
			.deleted = true},
	};
	memcpy(item.hash, hash, sizeof(item.hash));
	assert_int_equal(device_commit(device, listing_put_object_row, &item), 0);
	return item.outcome;
}

static inline enum listing_outcome put_container_row(const unsigned char hash[16], const char *name,
	unsigned put_second, unsigned delete_second, int64_t objects, int64_t bytes, uint16_t policy)
{
	struct listing_container_row item = {
		.name = slice_from(name),
		.put_timestamp = at(put_second),
		.delete_timestamp = delete_second ? at(delete_second) : TIMESTAMP_ZERO,
		.object_count = objects,
		.bytes_used = bytes,
		.policy = policy,
	};
	memcpy(item.hash, hash, sizeof(item.hash));
	assert_int_equal(device_commit(device, listing_put_container_row, &item), 0);
	return item.outcome;
}

/* The arena of the last call; freed by the next one. */
static inline struct listing_info read_info(enum listing_kind kind, const unsigned char hash[16])
{
	static struct arena *arena;
	struct listing_info info = {.kind = kind};
	arena_free(arena);
	arena = NULL;
	if (!hash)
		return info;
	arena = arena_new();
	assert_int_equal(listing_read(device, kind, hash, arena, &info), 0);
	return info;
}

static inline size_t count_area(enum listing_kind kind, const unsigned char hash[16], enum listing_area area)
{
	struct buf lower = BUF_INIT;
	struct buf upper = BUF_INIT;
	listing_key(&lower, hash, area);
	listing_key(&upper, hash, (enum listing_area)(area + 1));
	struct device_iterator *iterator =
		device_iterator_new(device, listing_family(kind), buf_slice(&lower), buf_slice(&upper));
	size_t count = 0;
	for (bool valid = device_iterator_seek(iterator, buf_slice(&lower)); valid;
		valid = device_iterator_next(iterator))
		count++;
	device_iterator_free(iterator);
	buf_release(&lower);
	buf_release(&upper);
	return count;
}

static inline int append_name(const struct listing_entry *entry, void *argument)
{
	struct buf *names = argument;
	if (names->length)
		buf_append_byte(names, ' ');
	if (entry->subdir)
		buf_append_byte(names, '>');
	for (size_t i = 0; i < entry->name.length; i++)
		if (entry->name.data[i] == '\0')
			buf_append_text(names, "NUL");
		else
			buf_append_byte(names, entry->name.data[i]);
	return 0;
}

/* A query as in a URL, without escapes: "prefix=a/&delimiter=/&reverse". */
static inline struct listing_query parse_query(const char *text)
{
	struct listing_query query = {.kind = LISTING_CONTAINER, .limit = 10000};
	while (*text) {
		size_t length = strcspn(text, "&");
		size_t name_length = strcspn(text, "=&");
		struct slice name = {text, name_length};
		struct slice value = {text + name_length + 1, length > name_length ? length - name_length - 1 : 0};
		if (slice_equal(name, SLICE_LITERAL("marker")))
			query.marker = value;
		else if (slice_equal(name, SLICE_LITERAL("end_marker")))
			query.end_marker = value;
		else if (slice_equal(name, SLICE_LITERAL("prefix")))
			query.prefix = value;
		else if (slice_equal(name, SLICE_LITERAL("delimiter")))
			query.delimiter = value;
		else if (slice_equal(name, SLICE_LITERAL("path")))
			query.path = value;
		else if (slice_equal(name, SLICE_LITERAL("reverse")))
			query.reverse = true;
		else if (slice_equal(name, SLICE_LITERAL("reserved")))
			query.allow_reserved = true;
		else if (slice_equal(name, SLICE_LITERAL("account")))
			query.kind = LISTING_ACCOUNT;
		else if (slice_equal(name, SLICE_LITERAL("limit")))
			query.limit = strtoul(value.data, NULL, 10);
		else
			fail_msg("query %s", text);
		text += length + (text[length] == '&');
	}
	return query;
}

static inline void check_listing(const unsigned char hash[16], const char *text, const char *expected)
{
	struct listing_query query = parse_query(text);
	memcpy(query.hash, hash, sizeof(query.hash));
	struct buf names = BUF_INIT;
	assert_int_equal(listing_walk(device, &query, append_name, &names), 0);
	if (!slice_equal(buf_slice(&names), slice_from(expected)))
		fail_msg("%s: got \"%.*s\", expected \"%s\"", text, SLICE_PRINT(buf_slice(&names)), expected);
	buf_release(&names);
}

#endif
