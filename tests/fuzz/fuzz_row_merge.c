/*
 * Rows of a container that arrive in different orders. The input is a list of rows, five bytes each: three times, a
 * content and whether it is a deletion. Merged forwards and backwards the newest times must be the same, each part must
 * belong to its time where no two rows share it, and merging a row again must change nothing.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/swift/row_merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROW_BYTES = 5, ROWS_MAX = 32 };

/* A content type or metadata time is never older than the data's: POSTs follow their PUT. */
static struct container_row make_row(const uint8_t *at)
{
	static const char texts[] = "abcdefghijklmnopqrstuvwxyz";
	struct container_row row = {
		.data = {.raw = 1000 + at[0]},
		.content_type_time = {.raw = 1000 + at[0] + at[1]},
		.meta = {.raw = 1000 + at[0] + at[1] + at[2]},
		.size = at[3],
		.content_type = slice_of(texts + at[3] % 26, 1),
		.etag = slice_of(texts + at[3] % 26, 1),
		.deleted = at[4] & 1,
	};
	return row;
}

static struct container_row merge(const uint8_t *data, size_t count, bool backwards)
{
	struct container_row stored;
	for (size_t i = 0; i < count; i++) {
		struct container_row row = make_row(data + (backwards ? count - 1 - i : i) * ROW_BYTES);
		struct container_row copy = row;
		bool newer = container_row_merge(i ? &stored : NULL, &row);
		assert(i || newer);
		stored = row;
		assert(!container_row_merge(&stored, &copy));
		assert(timestamp_compare(copy.data, stored.data) == 0 && copy.size == stored.size);
	}
	return stored;
}

/* Rows that share a time may disagree, and then the first one to come stays. */
static bool times_are_unique(const uint8_t *data, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct container_row a = make_row(data + i * ROW_BYTES);
		for (size_t j = 0; j < i; j++) {
			struct container_row b = make_row(data + j * ROW_BYTES);
			if (a.data.raw == b.data.raw || a.content_type_time.raw == b.content_type_time.raw ||
				a.meta.raw == b.meta.raw)
				return false;
		}
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t count = size / ROW_BYTES < ROWS_MAX ? size / ROW_BYTES : ROWS_MAX;
	if (!count)
		return 0;
	struct container_row one = merge(data, count, false);
	struct container_row other = merge(data, count, true);
	assert(timestamp_compare(one.data, other.data) == 0);
	assert(timestamp_compare(one.content_type_time, other.content_type_time) == 0);
	assert(timestamp_compare(one.meta, other.meta) == 0);
	if (!times_are_unique(data, count))
		return 0;
	assert(one.size == other.size && one.deleted == other.deleted);
	assert(slice_equal(one.etag, other.etag) && slice_equal(one.content_type, other.content_type));
	return 0;
}
