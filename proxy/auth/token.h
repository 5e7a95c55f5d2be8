/*
 * Tokens that need no storage: who it is for and until when, signed with a key that all proxies
 * share.
 *
 *	<prefix>tk base64url( version 1 | key id u32 | expires u64 | length u32, "account:user" |
 * HMAC-SHA256 )
 *
 * The groups are not in it: they are looked up when a token is shown, so a user who was removed is
 * refused at once.
 *
 * The key file has a line for each key, "<id> <hex digits>": the first signs, all verify. Blank
 * lines and lines that begin with "#" do not count. Keys are immutable once loaded and may be used
 * from any thread.
 */
#ifndef PROXY_AUTH_TOKEN_H
#define PROXY_AUTH_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/slice.h"

enum {
	TOKEN_KEY_BYTES = 32,     /* of keys that we make */
	TOKEN_KEY_BYTES_MIN = 32, /* of keys that we read */
	TOKEN_KEY_BYTES_MAX = 64,
	TOKEN_KEYS_MAX = 64, /* in one file */
	TOKEN_KEYS_KEPT = 2, /* old keys that stay after a rotation, unless asked otherwise */
};

struct token_keys;

/* One random key that lives in memory only. */
struct token_keys *token_keys_random(void);

/* Reads a key file. 0; or a negative errno with a malloc'ed line in *ret_error, which never shows a
 * key. */
int token_keys_load(const char *path, struct token_keys **ret_keys, char **ret_error);

/* The same from a text; `path` is for the error. */
int token_keys_parse(struct slice text, const char *path, struct token_keys **ret_keys, char **ret_error);

/* Overwrites the keys before it frees them. NULL is accepted. */
void token_keys_free(struct token_keys *keys);

/* Whether both hold the same keys in the same order. */
bool token_keys_equal(const struct token_keys *a, const struct token_keys *b);

/*
 * Puts a new key before the ones that the file has, of which the first `kept` stay, and replaces
 * the file as a whole with mode 0600; makes it when there is none. 0 with the id of the new key; or
 * as token_keys_load().
 */
int token_keys_rotate(const char *path, unsigned kept, uint32_t *ret_id, char **ret_error);

/* A token in the arena. `prefix` is the first reseller prefix, e.g. "AUTH_"; `expires` in seconds
 * since 1970. */
const char *token_make(const struct token_keys *keys, struct arena *arena, const char *prefix, struct slice user_name,
	int64_t expires);

/*
 * 0 with the user's name ("account:user", in the arena); -EINVAL: not a token of ours, or changed
 * on the way; -ESTALE: it has expired. `now` in seconds since 1970.
 */
int token_verify(const struct token_keys *keys, struct arena *arena, const char *prefix, const char *token, int64_t now,
	struct slice *ret_user_name);

#endif
