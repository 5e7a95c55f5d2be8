#include "lib/swift/hash_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>

#include <jansson.h>

static struct slice member(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value)) : SLICE_NONE;
}

static void hash_path__matches_vectors(void **state)
{
	(void)state;
	json_t *vectors = json_load_file("tests/data/hash-path-vectors.json", JSON_ALLOW_NUL, NULL);
	assert_non_null(vectors);
	size_t i;
	json_t *vector;
	json_array_foreach(vectors, i, vector)
	{
		struct hash_path_config config = {member(vector, "prefix"), member(vector, "suffix")};
		unsigned char hash[HASH_PATH_BYTES];
		char text[HASH_PATH_HEX_BYTES];
		hash_path(&config, member(vector, "account"), member(vector, "container"), member(vector, "object"),
			hash);
		hash_hex(hash, text);
		assert_string_equal(text, json_string_value(json_object_get(vector, "hash")));
	}
	assert_int_equal(i, 33);
	json_decref(vectors);
}

static void *hash_in_thread(void *ret_text)
{
	struct hash_path_config config = {SLICE_NONE, SLICE_LITERAL("changeme")};
	unsigned char hash[HASH_PATH_BYTES];
	for (int i = 0; i < 100; i++)
		hash_path(&config, slice_from("AUTH_test"), slice_from("c"), slice_from("o"), hash);
	hash_hex(hash, ret_text);
	return NULL;
}

static void hash_path__works_in_threads(void **state)
{
	(void)state;
	pthread_t threads[4];
	char texts[4][HASH_PATH_HEX_BYTES];
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hash_in_thread, texts[i]), 0);
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_string_equal(texts[i], "7363996f2cfb95eaa18df19ccc31aece");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_path__matches_vectors),
		cmocka_unit_test(hash_path__works_in_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
