#include "lib/swift/quorum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <jansson.h>

enum { STATUSES_MAX = 16 };

static json_t *vectors;

static int load_vectors(void **state)
{
	(void)state;
	vectors = json_load_file("tests/data/proxy-quorum-vectors.json", 0, NULL);
	return vectors ? 0 : -1;
}

static int free_vectors(void **state)
{
	(void)state;
	json_decref(vectors);
	return 0;
}

static size_t number(const json_t *object, const char *key)
{
	return (size_t)json_integer_value(json_object_get(object, key));
}

static void quorum__best_response_matches_vectors(void **state)
{
	(void)state;
	size_t i;
	json_t *vector;
	json_array_foreach(json_object_get(vectors, "best_response"), i, vector)
	{
		int statuses[STATUSES_MAX];
		json_t *list = json_object_get(vector, "statuses");
		size_t count = json_array_size(list), index = 99;
		for (size_t j = 0; j < count; j++)
			statuses[j] = (int)json_integer_value(json_array_get(list, j));
		static const struct quorum_override override = {404, 204};
		json_t *overrides = json_object_get(vector, "overrides");
		json_t *quorum = json_object_get(vector, "quorum_size");
		int result = quorum_best_response(statuses, count,
			json_is_integer(quorum) ? (size_t)json_integer_value(quorum) : quorum_size(count),
			json_is_object(overrides) ? &override : NULL, json_is_object(overrides) ? 1 : 0, &index);
		int expected = (int)number(vector, "result");
		if (result != expected)
			fail_msg("vector %zu: %d instead of %d", i, result, expected);
		if (index < count)
			assert_int_equal(statuses[index], expected);
		else
			assert_int_equal(expected, 503);
	}
	assert_int_equal(i, 37);
}

static void quorum__first_of_equals_wins(void **state)
{
	(void)state;
	static const int statuses[] = {503, 201, 202, 202};
	size_t index;
	assert_int_equal(quorum_best_response(statuses, 4, 2, NULL, 0, &index), 202);
	assert_int_equal(index, 2);
	assert_int_equal(quorum_best_response(NULL, 0, 1, NULL, 0, &index), 503);
	assert_int_equal(index, 0);
}

static void quorum__sizes_match_vectors(void **state)
{
	(void)state;
	json_t *sizes = json_object_get(vectors, "quorum_size");
	const char *key;
	json_t *value;
	json_object_foreach(sizes, key, value)
	{
		if (json_is_integer(value))
			assert_int_equal(quorum_size(strtoul(key, NULL, 10)), json_integer_value(value));
	}
}

static void quorum__container_updates_match_vectors(void **state)
{
	(void)state;
	size_t i;
	json_t *vector;
	json_array_foreach(json_object_get(vectors, "num_container_updates"), i, vector)
	{
		size_t updates =
			num_container_updates(number(vector, "container_replicas"), number(vector, "container_quorum"),
				number(vector, "object_requests"), number(vector, "object_quorum"));
		assert_int_equal(updates, number(vector, "updates"));
	}
	assert_int_equal(i, 9);
}

static void quorum__reached_by_one_class(void **state)
{
	(void)state;
	assert_true(quorum_reached((int[]){201, 202, 503}, 3, 2));
	assert_true(quorum_reached((int[]){100, 100}, 2, 2));
	assert_true(quorum_reached((int[]){404, 503, 409}, 3, 2));
	assert_true(quorum_reached((int[]){301, 302}, 2, 2));
	assert_false(quorum_reached((int[]){201, 404}, 2, 2));
	assert_false(quorum_reached((int[]){503, 507, 500}, 3, 2));
	assert_false(quorum_reached(NULL, 0, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quorum__best_response_matches_vectors),
		cmocka_unit_test(quorum__first_of_equals_wins),
		cmocka_unit_test(quorum__sizes_match_vectors),
		cmocka_unit_test(quorum__container_updates_match_vectors),
		cmocka_unit_test(quorum__reached_by_one_class),
	};
	return cmocka_run_group_tests(tests, load_vectors, free_vectors);
}
