#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "proxy/auth/token.h"

#define KEY_1 "0101010101010101010101010101010101010101010101010101010101010101"
#define KEY_2 "ABCDEF0202020202020202020202020202020202020202020202020202020202"
#define NAME SLICE_LITERAL("test:tester")

static struct token_keys *keys_of(const char *text)
{
	struct token_keys *keys = NULL;
	char *error = NULL;
	if (token_keys_parse(slice_from(text), "keys", &keys, &error))
		fail_msg("refused: %s", error);
	return keys;
}

static void token__verifies_until_it_expires(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	struct token_keys *keys = token_keys_random();
	const char *token = token_make(keys, arena, "AUTH_", NAME, 1000);
	struct slice name = SLICE_NONE;
	assert_int_equal(strncmp(token, "AUTH_tk", 7), 0);
	assert_int_equal(strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789-_"),
		strlen(token));
	assert_int_equal(token_verify(keys, arena, "AUTH_", token, 999, &name), 0);
	assert_true(slice_equal(name, NAME));
	assert_int_equal(token_verify(keys, arena, "AUTH_", token, 1000, &name), -ESTALE);
	assert_int_equal(token_verify(keys, arena, "OTHER_", token, 999, &name), -EINVAL);
	assert_int_equal(token_verify(keys, arena, "", token, 999, &name), -EINVAL);
	token_keys_free(keys);
	arena_free(arena);
}

static void token__every_changed_character_is_refused(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	struct token_keys *keys = token_keys_random();
	/* 14 bytes of name make the whole a multiple of 3, so no bit of the text is left unused */
	const char *token = token_make(keys, arena, "AUTH_", SLICE_LITERAL("test:tester222"), 1000);
	assert_int_equal((strlen(token) - 7) % 4, 0);
	for (size_t i = 0; i < strlen(token); i++) {
		char *changed = arena_strdup(arena, token);
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		struct slice name;
		int error = token_verify(keys, arena, "AUTH_", changed, 1, &name);
		if (error != -EINVAL)
			fail_msg("character %zu: %d", i, error);
	}
	token_keys_free(keys);
	arena_free(arena);
}

/* Bits of the last character that no byte needs are no room for another text of the same token. */
static void token__has_one_text(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	struct token_keys *keys = token_keys_random();
	static const char *const names[] = {"a:u", "a:us", "a:use"};
	for (size_t n = 0; n < 3; n++) {
		char *changed = arena_strdup(arena, token_make(keys, arena, "AUTH_", slice_from(names[n]), 1000));
		char *last = changed + strlen(changed) - 1;
		char original = *last;
		struct slice name;
		size_t accepted = 0;
		for (const char *digit = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"; *digit;
			digit++) {
			*last = *digit;
			accepted += token_verify(keys, arena, "AUTH_", changed, 1, &name) == 0;
		}
		assert_int_equal(accepted, 1);
		*last = original;
		assert_int_equal(token_verify(keys, arena, "AUTH_", changed, 1, &name), 0);
	}
	token_keys_free(keys);
	arena_free(arena);
}

static void token__garbage_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "A", "AUTH_", "AUTH_tk", "AUTH_tkx", "AUTH_tkAAAA",
		"AUTH_tk====", "AUTH_tk\n", "AUTH_tkAQAAAAEAAAAAAAAD6AAAAAA", "AUTH_tk*?%$",
		"AUTH_tkAQAAAAEAAAAAAAAD6P_____AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"AUTH_tk79dd4d1bb5db4bb2a0f1d5cf1c8d2f87"};
	struct arena *arena = arena_new();
	struct token_keys *keys = token_keys_random();
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct slice name;
		assert_int_equal(token_verify(keys, arena, "AUTH_", texts[i], 1, &name), -EINVAL);
	}
	char *huge = arena_alloc(arena, 100000);
	memset(huge, 'A', 99999);
	memcpy(huge, "AUTH_tk", 7);
	huge[99999] = '\0';
	struct slice name;
	assert_int_equal(token_verify(keys, arena, "AUTH_", huge, 1, &name), -EINVAL);
	token_keys_free(keys);
	arena_free(arena);
}

static void token__cut_anywhere_is_refused(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	struct token_keys *keys = token_keys_random();
	const char *token = token_make(keys, arena, "AUTH_", NAME, 1000);
	for (size_t length = 0; length < strlen(token); length++) {
		struct slice name;
		const char *cut = arena_strndup(arena, token, length);
		assert_int_equal(token_verify(keys, arena, "AUTH_", cut, 1, &name), -EINVAL);
	}
	token_keys_free(keys);
	arena_free(arena);
}

static void token__old_keys_verify_first_key_signs(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	struct token_keys *old = keys_of("1 " KEY_1 "\n");
	struct token_keys *both = keys_of("# new first\n\n2 " KEY_2 "\n1 " KEY_1 "\n");
	struct token_keys *swapped_id = keys_of("1 " KEY_2);
	const char *old_token = token_make(old, arena, "", NAME, 1000);
	const char *new_token = token_make(both, arena, "", NAME, 1000);
	struct slice name;
	assert_int_equal(token_verify(both, arena, "", old_token, 1, &name), 0);
	assert_int_equal(token_verify(both, arena, "", new_token, 1, &name), 0);
	assert_int_equal(token_verify(old, arena, "", new_token, 1, &name), -EINVAL);
	assert_int_equal(token_verify(swapped_id, arena, "", old_token, 1, &name), -EINVAL);
	assert_false(token_keys_equal(old, swapped_id));
	assert_false(token_keys_equal(old, both));
	assert_true(token_keys_equal(old, old));
	token_keys_free(old);
	token_keys_free(both);
	token_keys_free(swapped_id);
	arena_free(arena);
}

static void token__bad_key_files_are_told(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *error;
	} cases[] = {
		{"", "keys: holds no key (swiftlet auth rotate-key makes one)"},
		{"# nothing\n", "keys: holds no key (swiftlet auth rotate-key makes one)"},
		{"1\n", "keys:1: is not \"<id> <64 to 128 hex digits>\""},
		{"1 abcd\n", "keys:1: is not \"<id> <64 to 128 hex digits>\""},
		{KEY_1 "\n", "keys:1: is not \"<id> <64 to 128 hex digits>\""},
		{"0 " KEY_1, "keys:1: is not \"<id> <64 to 128 hex digits>\""},
		{"4294967296 " KEY_1, "keys:1: is not \"<id> <64 to 128 hex digits>\""},
		{"1 " KEY_1 "g0", "keys:1: is not \"<id> <64 to 128 hex digits>\""},
		{"1 " KEY_1 "0", "keys:1: is not \"<id> <64 to 128 hex digits>\""},
		{"1 " KEY_1 KEY_1 "00", "keys:1: is not \"<id> <64 to 128 hex digits>\""},
		{"1 " KEY_1 "\n\n1 " KEY_2 "\n", "keys:3: has the id of another key"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct token_keys *keys = NULL;
		char *error = NULL;
		struct slice text = slice_from(cases[i].text);
		assert_int_equal(token_keys_parse(text, "keys", &keys, &error), -EINVAL);
		assert_string_equal(error, cases[i].error);
		free(error);
	}
}

static void token__rotation_keeps_the_newest(void **state)
{
	(void)state;
	char directory[] = "/tmp/swiftlet-test-token-XXXXXX";
	assert_non_null(mkdtemp(directory));
	_cleanup_free_ char *path = xasprintf("%s/keys", directory);
	struct arena *arena = arena_new();
	const char *first_token = NULL;
	for (uint32_t round = 1; round <= 4; round++) {
		uint32_t id = 0;
		char *error = NULL;
		struct token_keys *keys = NULL;
		struct slice name;
		assert_int_equal(token_keys_rotate(path, 2, &id, &error), 0);
		assert_int_equal(id, round);
		assert_int_equal(token_keys_load(path, &keys, &error), 0);
		if (!first_token)
			first_token = token_make(keys, arena, "", NAME, 1000);
		/* the key of round 1 is the third one in round 3, and gone in round 4 */
		assert_int_equal(token_verify(keys, arena, "", first_token, 1, &name), round <= 3 ? 0 : -EINVAL);
		token_keys_free(keys);
	}
	struct stat status;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	unlink(path);
	assert_int_equal(rmdir(directory), 0); /* no temporary file is left */
	arena_free(arena);
}

static void token__rotation_leaves_a_bad_file_alone(void **state)
{
	(void)state;
	char path[] = "/tmp/swiftlet-test-token-XXXXXX";
	int fd = mkstemp(path);
	assert_true(write(fd, "nonsense\n", 9) == 9);
	close(fd);
	uint32_t id = 0;
	char *error = NULL;
	assert_int_equal(token_keys_rotate(path, 2, &id, &error), -EINVAL);
	assert_non_null(strstr(error, ":1: is not"));
	free(error);
	struct stat status;
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, 9);
	unlink(path);
	assert_int_equal(token_keys_rotate("/nonexistent/keys", 2, &id, &error), -ENOENT);
	assert_string_equal(error, "/nonexistent/keys: No such file or directory");
	free(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(token__verifies_until_it_expires),
		cmocka_unit_test(token__every_changed_character_is_refused),
		cmocka_unit_test(token__has_one_text),
		cmocka_unit_test(token__garbage_is_refused),
		cmocka_unit_test(token__cut_anywhere_is_refused),
		cmocka_unit_test(token__old_keys_verify_first_key_signs),
		cmocka_unit_test(token__bad_key_files_are_told),
		cmocka_unit_test(token__rotation_keeps_the_newest),
		cmocka_unit_test(token__rotation_leaves_a_bad_file_alone),
	};
	return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
