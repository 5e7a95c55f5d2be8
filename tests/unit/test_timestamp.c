#include "lib/swift/timestamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <jansson.h>

static json_t *vectors;

static int load_vectors(void **state)
{
	(void)state;
	/* One offset is larger than any integer of the JSON library. */
	vectors = json_load_file("tests/data/timestamp-vectors.json", JSON_DECODE_INT_AS_REAL, NULL);
	return vectors ? 0 : -1;
}

static int free_vectors(void **state)
{
	(void)state;
	json_decref(vectors);
	return 0;
}

static const char *member(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static struct timestamp parsed(const char *text)
{
	struct timestamp t = {1, 1};
	if (timestamp_parse(slice_from(text), &t))
		fail_msg("'%s' was not parsed", text);
	return t;
}

static void assert_time(struct timestamp t, const char *internal)
{
	char text[TIMESTAMP_TEXT_BYTES];
	size_t length = timestamp_internal(t, text);
	assert_string_equal(text, internal);
	assert_int_equal(length, strlen(internal));
}

static void timestamp__forms_match_vectors(void **state)
{
	(void)state;
	size_t i;
	json_t *vector;
	json_array_foreach(json_object_get(vectors, "timestamps"), i, vector)
	{
		char text[TIMESTAMP_TEXT_BYTES];
		struct timestamp t = parsed(member(vector, "input"));
		assert_int_equal(t.raw, (int64_t)json_number_value(json_object_get(vector, "raw")));
		assert_time(t, member(vector, "internal"));
		assert_int_equal(timestamp_normal(t, text), strlen(member(vector, "normal")));
		assert_string_equal(text, member(vector, "normal"));
		assert_int_equal(timestamp_short(t, text), strlen(member(vector, "short")));
		assert_string_equal(text, member(vector, "short"));
		assert_int_equal(timestamp_iso(t, text), strlen(member(vector, "isoformat")));
		assert_string_equal(text, member(vector, "isoformat"));
		assert_int_equal(
			timestamp_ceil_seconds(t), (int64_t)json_number_value(json_object_get(vector, "ceil")));
		struct timestamp inverted;
		const char *expected = member(vector, "inverted_internal");
		assert_int_equal(timestamp_invert(t, &inverted), expected ? 0 : -EINVAL);
		if (expected)
			assert_time(inverted, expected);
	}
	assert_int_equal(i, 14);
}

static void timestamp__invalid_match_vectors(void **state)
{
	(void)state;
	size_t i;
	json_t *vector;
	json_array_foreach(json_object_get(vectors, "invalid"), i, vector)
	{
		struct timestamp t;
		const char *accepted = member(vector, "accepted_as");
		const char *input = member(vector, "input");
		int result = timestamp_parse(slice_from(input), &t);
		if (result != (accepted ? 0 : -EINVAL))
			fail_msg("'%s': %d", input, result);
		if (accepted)
			assert_time(t, accepted);
	}
}

static void timestamp__refuses_what_only_c_accepts(void **state)
{
	(void)state;
	static const char *const cases[] = {"0x10", "1_0x1", "1_ 1", "1__1", "1,5", "1e999", ".", "1e", "+",
		"99999999999.0000", "-0.00001", "9999999999.999999", "1_12345678901234567"};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct timestamp t = {7, 7};
		if (timestamp_parse(slice_from(cases[i]), &t) != -EINVAL)
			fail_msg("'%s' was accepted", cases[i]);
		assert_int_equal(t.raw, 7);
	}
}

static void timestamp__order_matches_vectors(void **state)
{
	(void)state;
	json_t *order = json_object_get(vectors, "order");
	for (size_t i = 0; i < json_array_size(order); i++)
		for (size_t j = 0; j < json_array_size(order); j++) {
			struct timestamp a = parsed(json_string_value(json_array_get(order, i)));
			struct timestamp b = parsed(json_string_value(json_array_get(order, j)));
			int compared = timestamp_compare(a, b);
			assert_int_equal((compared > 0) - (compared < 0), (i > j) - (i < j));
		}
}

static void timestamp__encode_matches_vectors(void **state)
{
	(void)state;
	size_t i;
	json_t *vector;
	json_array_foreach(json_object_get(vectors, "encode"), i, vector)
	{
		json_t *arguments = json_object_get(vector, "args");
		struct timestamp times[3];
		const struct timestamp *given[3] = {NULL, NULL, NULL};
		for (size_t j = 0; j < json_array_size(arguments); j++) {
			const char *text = json_string_value(json_array_get(arguments, j));
			if (!text)
				continue;
			times[j] = parsed(text);
			given[j] = &times[j];
		}
		char text[TIMESTAMP_ENCODED_BYTES];
		size_t length = timestamp_encode(
			given[0], given[1], given[2], json_is_true(json_object_get(vector, "explicit")), text);
		assert_string_equal(text, member(vector, "encoded"));
		assert_int_equal(length, strlen(text));
	}
}

static void timestamp__decode_matches_vectors(void **state)
{
	(void)state;
	size_t i;
	json_t *vector;
	json_array_foreach(json_object_get(vectors, "decode"), i, vector)
	{
		json_t *expected = json_object_get(vector, "decoded");
		struct timestamp t[3];
		struct slice text = slice_from(member(vector, "encoded"));
		assert_int_equal(timestamp_decode(text, &t[0], &t[1], &t[2]), 0);
		for (size_t j = 0; j < 3; j++)
			assert_time(t[j], json_string_value(json_array_get(expected, j)));
	}
}

static void timestamp__decode_refuses_bad_texts(void **state)
{
	(void)state;
	static const char *const cases[] = {"", "+1", "1+", "1+g", "1++1", "1-186a1", "1+0+0+0", "9999999999.99999+1",
		"1+fffffffffffffffff", "1+0x1"};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct timestamp t1, t2, t3;
		if (timestamp_decode(slice_from(cases[i]), &t1, &t2, &t3) != -EINVAL)
			fail_msg("'%s' was accepted", cases[i]);
	}
}

static void timestamp__encoding_bounds_hold(void **state)
{
	(void)state;
	struct timestamp low = {0, UINT64_MAX}, high = {TIMESTAMP_RAW_MAX, UINT64_MAX};
	char text[TIMESTAMP_ENCODED_BYTES];
	timestamp_encode(&low, &high, &low, true, text);
	assert_string_equal(text, "0000000000.00000_ffffffffffffffff+38d7ea4c67fff-38d7ea4c67fff");
	timestamp_internal(high, text);
	assert_string_equal(text, "9999999999.99999_ffffffffffffffff");
}

static void timestamp__canonical_triple_is_encode_then_decode(void **state)
{
	(void)state;
	static const struct timestamp values[] = {{100, 0}, {100, 2}, {100, 3}, {200, 0}, {200, 4}};
	enum { COUNT = sizeof(values) / sizeof(values[0]) };
	for (size_t i = 0; i < COUNT * COUNT * COUNT; i++) {
		struct timestamp a = values[i % COUNT], b = values[i / COUNT % COUNT], c = values[i / COUNT / COUNT];
		struct timestamp decoded[3];
		char text[TIMESTAMP_ENCODED_BYTES];
		size_t length = timestamp_encode(&a, &b, &c, false, text);
		assert_int_equal(timestamp_decode(slice_of(text, length), &decoded[0], &decoded[1], &decoded[2]), 0);
		timestamp_canonical_triple(&a, &b, &c);
		assert_int_equal(timestamp_compare(a, decoded[0]), 0);
		assert_int_equal(timestamp_compare(b, decoded[1]), 0);
		assert_int_equal(timestamp_compare(c, decoded[2]), 0);
	}
}

static void timestamp__now_is_this_century(void **state)
{
	(void)state;
	struct timestamp first = timestamp_now(), second = timestamp_now();
	assert_true(timestamp_compare(first, second) <= 0);
	assert_true(first.raw > 1700000000 * TIMESTAMP_RAW_PER_SECOND);
	assert_int_equal(first.offset, 0);
	assert_true(timestamp_is_zero(TIMESTAMP_ZERO));
	assert_false(timestamp_is_zero((struct timestamp){0, 1}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timestamp__forms_match_vectors),
		cmocka_unit_test(timestamp__invalid_match_vectors),
		cmocka_unit_test(timestamp__refuses_what_only_c_accepts),
		cmocka_unit_test(timestamp__order_matches_vectors),
		cmocka_unit_test(timestamp__encode_matches_vectors),
		cmocka_unit_test(timestamp__decode_matches_vectors),
		cmocka_unit_test(timestamp__decode_refuses_bad_texts),
		cmocka_unit_test(timestamp__encoding_bounds_hold),
		cmocka_unit_test(timestamp__canonical_triple_is_encode_then_decode),
		cmocka_unit_test(timestamp__now_is_this_century),
	};
	return cmocka_run_group_tests(tests, load_vectors, free_vectors);
}
