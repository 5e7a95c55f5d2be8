#include "lib/base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void arena__memory_is_aligned_and_apart(void **state)
{
	(void)state;
	enum { COUNT = 2000 };
	static unsigned char *pieces[COUNT];
	struct arena *arena = arena_new();
	for (size_t i = 0; i < COUNT; i++) {
		size_t bytes = i * 37 % 300;
		if (i % 500 == 499)
			bytes = 200 * 1000; /* more than any chunk */
		pieces[i] = arena_alloc(arena, bytes);
		assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
		memset(pieces[i], (int)i, bytes);
	}
	for (size_t i = 0; i < COUNT; i++)
		for (size_t byte = 0; byte < i * 37 % 300 && i % 500 != 499; byte++)
			assert_int_equal(pieces[i][byte], i & 0xff);
	arena_free(arena);
	arena_free(NULL);
}

static void arena__zalloc_is_zero(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	for (int i = 0; i < 100; i++) {
		memset(arena_alloc(arena, 500), 0xff, 500);
		const char *zeros = arena_zalloc(arena, 500);
		for (int byte = 0; byte < 500; byte++)
			assert_int_equal(zeros[byte], 0);
	}
	assert_non_null(arena_zalloc(arena, 0));
	arena_free(arena);
}

static void arena__copies_texts(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	assert_null(arena_strdup(arena, NULL));
	assert_string_equal(arena_strdup(arena, ""), "");
	assert_string_equal(arena_strdup(arena, "name"), "name");
	assert_string_equal(arena_strndup(arena, "name", 2), "na");
	assert_string_equal(arena_strndup(arena, NULL, 0), "");
	assert_string_equal(arena_printf(arena, "%s-%05d", "a", 42), "a-00042");
	char large[5000];
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	assert_string_equal(arena_printf(arena, "%s", large), large);
	struct slice copy = arena_slice(arena, SLICE_LITERAL("a\0b"));
	assert_int_equal(copy.length, 3);
	assert_memory_equal(copy.data, "a\0b", 4);
	assert_int_equal(arena_slice(arena, SLICE_NONE).length, 0);
	arena_free(arena);
}

static char order[8];

static void append_letter(void *letter)
{
	size_t length = strlen(order);
	order[length] = *(const char *)letter;
	order[length + 1] = '\0';
}

static void free_inner(void *arena)
{
	append_letter("i");
	arena_free(arena);
}

static void arena__cleanups_run_newest_first(void **state)
{
	(void)state;
	order[0] = '\0';
	struct arena *arena = arena_new();
	struct arena *inner = arena_new();
	arena_defer(arena, append_letter, "a");
	arena_defer(arena, free_inner, inner);
	arena_defer(inner, append_letter, "n");
	/* what a cleanup uses may live in the arena itself */
	arena_defer(arena, append_letter, arena_strdup(arena, "c"));
	assert_string_equal(order, "");
	arena_free(arena);
	assert_string_equal(order, "cina");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena__memory_is_aligned_and_apart),
		cmocka_unit_test(arena__zalloc_is_zero),
		cmocka_unit_test(arena__copies_texts),
		cmocka_unit_test(arena__cleanups_run_newest_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
