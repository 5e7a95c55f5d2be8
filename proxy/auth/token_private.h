/* The keys as the files of proxy/auth/token.h see them. */
#ifndef PROXY_AUTH_TOKEN_PRIVATE_H
#define PROXY_AUTH_TOKEN_PRIVATE_H

#include <stddef.h>

#include "proxy/auth/token.h"

struct token_key {
	uint32_t id; /* not 0, unique in its file */
	size_t length;
	unsigned char bytes[TOKEN_KEY_BYTES_MAX];
};

struct token_keys {
	size_t count; /* at least 1 */
	struct token_key keys[TOKEN_KEYS_MAX];
};

#endif
