#include "proxy/filters/signature.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/swift/base64.h"
#include "lib/swift/number.h"

struct digest {
	const char *name;
	size_t bytes;
	const EVP_MD *(*method)(void);
};

static const struct digest digests[] = {{"sha1", 20, EVP_sha1}, {"sha256", 32, EVP_sha256}, {"sha512", 64, EVP_sha512}};

static const struct digest *digest_of_name(struct slice name)
{
	for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++)
		if (slice_equal(name, slice_from(digests[i].name)))
			return &digests[i];
	return NULL;
}

static bool is_allowed(const struct text_list *allowed, const char *name)
{
	for (size_t i = 0; i < allowed->count; i++)
		if (strcasecmp(allowed->items[i], name) == 0)
			return true;
	return false;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Lower-case digits, as Swift compares them. */
static const struct digest *parse_hex(struct slice text, unsigned char *bytes)
{
	const struct digest *digest = NULL;
	for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++)
		if (text.length == 2 * digests[i].bytes)
			digest = &digests[i];
	for (size_t i = 0; digest && i < text.length; i += 2) {
		int high = digit_of(text.data[i]), low = digit_of(text.data[i + 1]);
		if (high < 0 || low < 0)
			return NULL;
		bytes[i / 2] = (unsigned char)(high * 16 + low);
	}
	return digest;
}

/* Either alphabet, padding or none. */
static const struct digest *parse_base64(
	struct arena *arena, struct slice name, struct slice text, unsigned char *bytes)
{
	const struct digest *digest = digest_of_name(name);
	while (text.length && text.data[text.length - 1] == '=')
		text.length--;
	if (!digest || text.length > 2 * SIGNATURE_BYTES_MAX)
		return NULL;
	char *padded = arena_printf(arena, "%.*s%.*s", SLICE_PRINT(text), (int)((4 - text.length % 4) % 4), "===");
	for (char *c = padded; *c; c++)
		*c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
	struct slice decoded;
	if (!base64_decode(arena, slice_from(padded), &decoded) || decoded.length != digest->bytes)
		return NULL;
	memcpy(bytes, decoded.data, decoded.length);
	return digest;
}

int signature_parse(
	struct arena *arena, struct slice text, const struct text_list *allowed, struct signature *ret_signature)
{
	struct signature signature;
	const char *colon = memchr(text.data, ':', text.length);
	size_t front = colon ? (size_t)(colon - text.data) : 0;
	const struct digest *digest = colon ? parse_base64(arena, slice_of(text.data, front),
						      slice_of(colon + 1, text.length - front - 1), signature.bytes)
					    : parse_hex(text, signature.bytes);
	if (!digest || !is_allowed(allowed, digest->name))
		return -EINVAL;
	signature.digest = digest->name;
	signature.length = digest->bytes;
	*ret_signature = signature;
	return 0;
}

size_t co_signature_keys(struct proxy *proxy, struct request *request, struct slice account, struct slice container,
	struct signature_key ret_keys[SIGNATURE_KEYS_MAX])
{
	static const char *const names[] = {"X-Account-Meta-Temp-Url-Key", "X-Account-Meta-Temp-Url-Key-2",
		"X-Container-Meta-Temp-Url-Key", "X-Container-Meta-Temp-Url-Key-2"};
	const struct info *infos[] = {
		co_account_info(proxy, request, account), co_container_info(proxy, request, account, container)};
	size_t count = 0;
	for (size_t i = 0; i < SIGNATURE_KEYS_MAX; i++) {
		const char *key = info_exists(infos[i / 2]) ? info_header(infos[i / 2], names[i]) : NULL;
		if (key && *key)
			ret_keys[count++] = (struct signature_key){key, i < 2};
	}
	return count;
}

bool signature_matches(const struct signature *signature, const char *key, struct slice text)
{
	const struct digest *digest = digest_of_name(slice_from(signature->digest));
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned int length = 0;
	if (!HMAC(digest->method(), key, (int)strlen(key), (const unsigned char *)text.data, text.length, bytes,
		    &length))
		return false;
	return length == signature->length && CRYPTO_memcmp(bytes, signature->bytes, length) == 0;
}

int64_t signature_expires(const char *text)
{
	int64_t seconds = 0;
	struct tm parts = {0};
	if (number_parse_integer(slice_from(text), &seconds)) {
		const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts);
		seconds = end && !*end ? (int64_t)timegm(&parts) : 0;
	}
	return seconds < (int64_t)time(NULL) ? 0 : seconds;
}

void signature_announce(struct json_t *section, const struct text_list *allowed)
{
	json_t *names = json_array(), *deprecated = json_array();
	for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++)
		if (is_allowed(allowed, digests[i].name))
			json_array_append_new(names, json_string(digests[i].name));
	if (is_allowed(allowed, "sha1"))
		json_array_append_new(deprecated, json_string("sha1"));
	json_object_set_new(section, "allowed_digests", names);
	if (json_array_size(deprecated))
		json_object_set(section, "deprecated_digests", deprecated);
	json_decref(deprecated);
}
