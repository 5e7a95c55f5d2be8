#include "lib/swift/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <jansson.h>

static enum range_result evaluated(const char *header, uint64_t size, size_t *ret_count)
{
	static struct byte_range ranges[RANGE_COUNT_MAX];
	return range_evaluate(header, size, ranges, ret_count);
}

static void check_vector(const char *header, uint64_t size, const json_t *expected)
{
	struct byte_range ranges[RANGE_COUNT_MAX];
	size_t count = 99;
	enum range_result result = range_evaluate(header, size, ranges, &count);
	size_t expected_count = json_array_size(expected);
	enum range_result expected_result = RANGE_OK;
	if (json_is_string(expected) || (size == 0 && expected_count))
		expected_result = RANGE_NONE;
	else if (expected_count == 0)
		expected_result = RANGE_UNSATISFIABLE;
	if (result != expected_result || count != expected_count)
		fail_msg("'%s' of %lu: result %d instead of %d, %zu ranges instead of %zu", header, (unsigned long)size,
			result, expected_result, count, expected_count);
	for (size_t i = 0; i < count; i++) {
		const json_t *range = json_array_get(expected, i);
		/* An empty range ends at -1, which is UINT64_MAX here. */
		assert_int_equal(ranges[i].first, json_integer_value(json_array_get(range, 0)));
		assert_int_equal(ranges[i].last, (uint64_t)json_integer_value(json_array_get(range, 1)));
	}
}

static void range__matches_vectors(void **state)
{
	(void)state;
	json_t *vectors = json_load_file("tests/data/range-vectors.json", 0, NULL);
	assert_non_null(vectors);
	size_t i;
	json_t *vector;
	json_array_foreach(vectors, i, vector)
	{
		check_vector(json_string_value(json_object_get(vector, "header")),
			(uint64_t)json_integer_value(json_object_get(vector, "size")),
			json_object_get(vector, "ranges"));
	}
	assert_int_equal(i, 56);
	json_decref(vectors);
}

static void range__no_header_is_the_whole_object(void **state)
{
	(void)state;
	size_t count = 9;
	assert_int_equal(evaluated(NULL, 10, &count), RANGE_NONE);
	assert_int_equal(count, 0);
	assert_int_equal(evaluated("", 10, &count), RANGE_NONE);
}

static void range__void_headers(void **state)
{
	(void)state;
	static const char *const cases[] = {"byte=0-1", "bytes 0-1", "bytes=0-1,", "bytes=,0-1", "bytes=0-1-2",
		"bytes=0--1", "bytes=+-5", "bytes=0x1-2", "bytes=1_0-20", "bytes=0-1\t", "bytes=0-1, ,2-3", "bytes"};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t count = 9;
		enum range_result result = evaluated(cases[i], 10, &count);
		if (result != RANGE_NONE || count != 0)
			fail_msg("'%s': result %d, %zu ranges", cases[i], result, count);
	}
}

/* "bytes=0-0,2-2,…" with `count` ranges. */
static char *many_ranges(char *text, size_t bytes, int count)
{
	int length = snprintf(text, bytes, "bytes=");
	for (int i = 0; i < count; i++)
		length += snprintf(text + length, bytes - (size_t)length, "%s%d-%d", i ? "," : "", 2 * i, 2 * i);
	return text;
}

static void range__fifty_are_served(void **state)
{
	(void)state;
	char text[4096];
	size_t count;
	assert_int_equal(evaluated(many_ranges(text, sizeof(text), 50), 1000, &count), RANGE_OK);
	assert_int_equal(count, 50);
	assert_int_equal(evaluated(many_ranges(text, sizeof(text), 51), 1000, &count), RANGE_UNSATISFIABLE);
	assert_int_equal(count, 0);
	/* Only those inside of the object count. */
	assert_int_equal(evaluated(many_ranges(text, sizeof(text), 200), 99, &count), RANGE_OK);
	assert_int_equal(count, 50);
}

static void range__overlaps_are_counted_by_pairs(void **state)
{
	(void)state;
	size_t count;
	assert_int_equal(evaluated("bytes=0-5,5-9,9-12", 100, &count), RANGE_OK);
	assert_int_equal(evaluated("bytes=0-5,5-9,9-12,12-13", 100, &count), RANGE_UNSATISFIABLE);
	assert_int_equal(evaluated("bytes=0-5,6-9,10-12,13-13", 100, &count), RANGE_OK);
}

static void range__huge_numbers_saturate(void **state)
{
	(void)state;
	struct byte_range ranges[RANGE_COUNT_MAX];
	size_t count;
	const char *header = "bytes=5-99999999999999999999999999";
	assert_int_equal(range_evaluate(header, UINT64_MAX, ranges, &count), RANGE_OK);
	assert_int_equal(ranges[0].first, 5);
	assert_int_equal(ranges[0].last, UINT64_MAX - 1);
	assert_int_equal(evaluated("bytes=99999999999999999999999999-", 10, &count), RANGE_UNSATISFIABLE);
	assert_int_equal(range_evaluate("bytes=-99999999999999999999999", 10, ranges, &count), RANGE_OK);
	assert_int_equal(ranges[0].first, 0);
	assert_int_equal(ranges[0].last, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(range__matches_vectors),
		cmocka_unit_test(range__no_header_is_the_whole_object),
		cmocka_unit_test(range__void_headers),
		cmocka_unit_test(range__fifty_are_served),
		cmocka_unit_test(range__overlaps_are_counted_by_pairs),
		cmocka_unit_test(range__huge_numbers_saturate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
