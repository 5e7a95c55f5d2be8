#include "proxy/auth/token.h"

#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "proxy/auth/token_private.h"

enum {
	TOKEN_VERSION = 1,
	MAC_BYTES = 32,
	TOKEN_TEXT_MAX = 8192, /* longer ones do not fit into a header */
};

static EVP_MAC *hmac;
static pthread_once_t hmac_once = PTHREAD_ONCE_INIT;

static void fetch_hmac(void)
{
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

static void sign(const struct token_key *key, struct slice payload, unsigned char mac[MAC_BYTES])
{
	char digest_name[] = "SHA256";
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0),
		OSSL_PARAM_construct_end(),
	};
	(void)pthread_once(&hmac_once, fetch_hmac);
	EVP_MAC_CTX *context = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	size_t length = 0;
	if (!context || !EVP_MAC_init(context, key->bytes, key->length, parameters) ||
		!EVP_MAC_update(context, (const unsigned char *)payload.data, payload.length) ||
		!EVP_MAC_final(context, mac, &length, MAC_BYTES))
		abort(); /* memory, or an OpenSSL without SHA-256: no token may be made or believed
			  */
	assert(length == MAC_BYTES);
	EVP_MAC_CTX_free(context);
}

/* ---- base64url without "=" (RFC 4648, section 5) ---- */

static char *encode_base64url(struct arena *arena, struct slice bytes, size_t *ret_length)
{
	char *text = arena_alloc(arena, (bytes.length + 2) / 3 * 4 + 1);
	int length = EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.data, (int)bytes.length);
	while (length && text[length - 1] == '=')
		length--;
	for (int i = 0; i < length; i++)
		text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
	*ret_length = (size_t)length;
	return text;
}

static int decode_base64url(struct arena *arena, struct slice text, struct slice *ret_bytes)
{
	static const bool alphabet[256] = {
		['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['0' ... '9'] = true, ['-'] = true, ['_'] = true};
	if (text.length > TOKEN_TEXT_MAX || text.length % 4 == 1)
		return -EINVAL;
	char *padded = arena_alloc(arena, text.length + 4);
	size_t length = 0;
	for (; length < text.length; length++) {
		char digit = text.data[length];
		if (!alphabet[(unsigned char)digit])
			return -EINVAL;
		padded[length] = digit == '-' ? '+' : digit == '_' ? '/' : digit;
	}
	while (length % 4)
		padded[length++] = '=';
	unsigned char *bytes = arena_alloc(arena, length / 4 * 3 + 1);
	int decoded = EVP_DecodeBlock(bytes, (const unsigned char *)padded, (int)length);
	if (decoded < 0)
		return -EINVAL;
	/* the padding shows bits that no byte needs: with one set it would be a second text of the same bytes */
	size_t used = (size_t)decoded - (length - text.length);
	for (size_t i = used; i < (size_t)decoded; i++)
		if (bytes[i])
			return -EINVAL;
	*ret_bytes = slice_of((char *)bytes, used);
	return 0;
}

/* ---- tokens ---- */

const char *token_make(
	const struct token_keys *keys, struct arena *arena, const char *prefix, struct slice user_name, int64_t expires)
{
	const struct token_key *key = &keys->keys[0];
	struct buf payload = BUF_INIT;
	buf_append_byte(&payload, TOKEN_VERSION);
	buf_append_u32(&payload, key->id);
	buf_append_u64(&payload, (uint64_t)expires);
	buf_append_counted(&payload, user_name);
	unsigned char mac[MAC_BYTES];
	sign(key, buf_slice(&payload), mac);
	buf_append(&payload, mac, sizeof(mac));
	size_t length;
	const char *text = encode_base64url(arena, buf_slice(&payload), &length);
	buf_release(&payload);
	return arena_printf(arena, "%stk%.*s", prefix, (int)length, text);
}

static const struct token_key *find_key(const struct token_keys *keys, uint32_t id)
{
	for (size_t i = 0; i < keys->count; i++) {
		if (keys->keys[i].id == id)
			return &keys->keys[i];
	}
	return NULL;
}

/* The text after "<prefix>tk". */
static int take_prefix(const char *prefix, const char *token, struct slice *ret_rest)
{
	size_t length = strlen(prefix);
	if (strncmp(token, prefix, length) != 0 || strncmp(token + length, "tk", 2) != 0)
		return -EINVAL;
	*ret_rest = slice_from(token + length + 2);
	return 0;
}

/* ---- signatures that were checked ---- */

/*
 * A token comes with each request, and checking its signature costs more than many a request: each thread remembers the
 * last good ones, with the keys that were in use. Everything else about a token is judged each time.
 */
enum { REMEMBERED_TOKENS = 64, REMEMBERED_BYTES_MAX = 240 };

struct remembered {
	uint64_t keys_serial; /* 0: free */
	size_t length;
	char bytes[REMEMBERED_BYTES_MAX]; /* payload and signature */
};

static __thread struct remembered remembered_tokens[REMEMBERED_TOKENS];

/* Where the token has its place; NULL: it is too long for one. */
static struct remembered *place_of(struct slice bytes)
{
	if (bytes.length > REMEMBERED_BYTES_MAX)
		return NULL;
	return &remembered_tokens[XXH3_64bits(bytes.data, bytes.length) % REMEMBERED_TOKENS];
}

static bool is_signed(const struct token_keys *keys, const struct token_key *key, struct slice bytes)
{
	struct remembered *place = place_of(bytes);
	if (place && place->keys_serial == keys->serial && place->length == bytes.length &&
		CRYPTO_memcmp(place->bytes, bytes.data, bytes.length) == 0)
		return true;
	struct slice payload = slice_of(bytes.data, bytes.length - MAC_BYTES);
	unsigned char mac[MAC_BYTES];
	sign(key, payload, mac);
	if (CRYPTO_memcmp(mac, payload.data + payload.length, MAC_BYTES) != 0)
		return false;
	if (place) {
		place->keys_serial = keys->serial;
		place->length = bytes.length;
		memcpy(place->bytes, bytes.data, bytes.length);
	}
	return true;
}

int token_verify(const struct token_keys *keys, struct arena *arena, const char *prefix, const char *token, int64_t now,
	struct slice *ret_user_name)
{
	struct slice text, bytes;
	if (take_prefix(prefix, token, &text) || decode_base64url(arena, text, &bytes) || bytes.length < MAC_BYTES)
		return -EINVAL;
	struct slice payload = slice_of(bytes.data, bytes.length - MAC_BYTES);
	struct cursor cursor = cursor_of(payload);
	uint8_t version = cursor_u8(&cursor);
	const struct token_key *key = find_key(keys, cursor_u32(&cursor));
	int64_t expires = (int64_t)cursor_u64(&cursor);
	struct slice user_name = cursor_counted(&cursor);
	if (cursor.failed || cursor.at != cursor.end || version != TOKEN_VERSION || !key)
		return -EINVAL;
	if (!is_signed(keys, key, bytes))
		return -EINVAL;
	if (expires <= now)
		return -ESTALE;
	*ret_user_name = user_name;
	return 0;
}
