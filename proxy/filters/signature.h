/*
 * Signatures with the keys of accounts and containers, as temporary URLs and forms have them (swift/common/digest.py).
 */
#ifndef PROXY_FILTERS_SIGNATURE_H
#define PROXY_FILTERS_SIGNATURE_H

#include "lib/base/settings.h"
#include "proxy/proxy_private.h"

enum { SIGNATURE_BYTES_MAX = 64, SIGNATURE_KEYS_MAX = 4 };

/* What a client sent: hexadecimal digits, whose number tells the digest, or "sha256:" and base64. */
struct signature {
	const char *digest; /* "sha1", "sha256" or "sha512" */
	unsigned char bytes[SIGNATURE_BYTES_MAX];
	size_t length;
};

/* 0, or -EINVAL when it is neither, or of a digest that is not in `allowed`. */
int signature_parse(
	struct arena *arena, struct slice text, const struct text_list *allowed, struct signature *ret_signature);

/* A key and whose it is. */
struct signature_key {
	const char *key;
	bool of_account;
};

/* The keys in the metadata of the account and of the container: at most SIGNATURE_KEYS_MAX. */
size_t co_signature_keys(struct proxy *proxy, struct request *request, struct slice account, struct slice container,
	struct signature_key ret_keys[SIGNATURE_KEYS_MAX]);

/* Whether the signature is that of the text with the key. Compared in constant time. */
bool signature_matches(const struct signature *signature, const char *key, struct slice text);

/* The end of validity, in seconds: a number or 2026-01-31T23:59:59Z. 0: unreadable or over. */
int64_t signature_expires(const char *text);

/* {"allowed_digests": […], "deprecated_digests": ["sha1"]} for /info, added to an object. */
struct json_t;
void signature_announce(struct json_t *section, const struct text_list *allowed);

#endif
