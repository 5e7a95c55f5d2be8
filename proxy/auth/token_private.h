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
	uint64_t serial; /* no other keys of this process have or had it; never 0 */
	size_t count;    /* at least 1 */
	struct token_key keys[TOKEN_KEYS_MAX];
};

/* Empty, with a serial. */
struct token_keys *token_keys_new(void);

#endif
