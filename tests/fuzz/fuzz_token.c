/*
 * Tokens and key files from anybody. A text is no token of ours; a token for a user that the input names is valid until
 * it expires, and not with any byte of it changed. A key file that is accepted holds usable keys.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "proxy/auth/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1000, USER_BYTES_MAX = 512 };

static struct token_keys *our_keys(void)
{
	static const char text[] = "7 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
	struct token_keys *keys = NULL;
	char *error = NULL;
	int result = token_keys_parse(slice_from(text), "keys", &keys, &error);
	assert(result == 0);
	return keys;
}

static void check_made(struct token_keys *keys, struct arena *arena, struct slice user, uint8_t place, uint8_t change)
{
	struct slice name;
	const char *token = token_make(keys, arena, "AUTH_", user, NOW + 1);
	assert(token_verify(keys, arena, "AUTH_", token, NOW, &name) == 0 && slice_equal(name, user));
	assert(token_verify(keys, arena, "AUTH_", token, NOW + 2, &name) == -ESTALE);
	char *changed = arena_strndup(arena, token, strlen(token));
	size_t at = place * strlen(changed) / 256;
	if (!change)
		return;
	changed[at] ^= (char)change;
	assert(token_verify(keys, arena, "AUTH_", changed, NOW, &name) < 0);
}

static void check_key_file(struct arena *arena, struct slice text)
{
	struct token_keys *keys = NULL;
	struct slice name;
	char *error = NULL;
	int result = token_keys_parse(text, "keys", &keys, &error);
	assert((result < 0) == (error != NULL));
	if (result == 0) {
		const char *token = token_make(keys, arena, "AUTH_", SLICE_LITERAL("a:u"), NOW + 1);
		assert(token_verify(keys, arena, "AUTH_", token, NOW, &name) == 0);
		assert(token_keys_equal(keys, keys));
		token_keys_free(keys);
	}
	free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	static struct token_keys *keys;
	if (!keys)
		keys = our_keys();
	struct arena *arena = arena_new();
	struct slice input = slice_of((const char *)data + 2, size - 2), name;
	const char *text = arena_strndup(arena, input.data, input.length);
	assert(token_verify(keys, arena, "AUTH_", text, NOW, &name) < 0);
	if (input.length <= USER_BYTES_MAX)
		check_made(keys, arena, input, data[0], data[1]);
	check_key_file(arena, input);
	arena_free(arena);
	return 0;
}
