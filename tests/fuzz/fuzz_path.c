/*
 * Paths, query strings, timestamps and access lists from anybody: the input is taken as each of
 * them.
 */
#include <assert.h>
#include <stdint.h>

#include "lib/swift/acl.h"
#include "lib/swift/mime_guess.h"
#include "lib/swift/timestamp.h"
#include "lib/swift/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Encoding what was decoded and decoding it again gives the same bytes. */
static void check_encoding(struct arena *arena, struct slice text)
{
	struct slice decoded = url_decode(arena, text, false);
	assert(decoded.length <= text.length);
	for (int keep_slash = 0; keep_slash < 2; keep_slash++) {
		struct slice encoded = url_encode(arena, decoded, keep_slash);
		assert(slice_equal(url_decode(arena, encoded, false), decoded));
		assert(slice_equal(url_decode(arena, encoded, true), decoded));
	}
	if (utf8_valid(decoded))
		assert(utf8_length(decoded) <= decoded.length);
}

static void check_path(struct arena *arena, struct slice text)
{
	for (int maximum = 1; maximum <= 5; maximum++) {
		for (int minimum = 1; minimum <= maximum; minimum++) {
			for (int rest = 0; rest < 2; rest++) {
				struct slice segments[5];
				if (path_split(arena, text, minimum, maximum, rest, segments))
					continue;
				for (int i = 0; i < maximum; i++) {
					assert(i >= minimum || segments[i].length > 0);
					bool takes_rest = rest && i == maximum - 1;
					if (segments[i].length && !takes_rest)
						assert(!memchr(segments[i].data, '/', segments[i].length));
				}
			}
		}
	}
}

static void check_query(struct arena *arena, struct slice text)
{
	struct query query;
	struct slice value;
	if (query_parse(arena, text, &query))
		return;
	assert(query.count <= QUERY_PARAMETERS_MAX);
	(void)query_get(&query, "format", &value);
	(void)query_get(&query, "", &value);
}

static void check_timestamp(struct slice text)
{
	struct timestamp t[3], again[3];
	char encoded[TIMESTAMP_ENCODED_BYTES];
	if (timestamp_decode(text, &t[0], &t[1], &t[2]))
		return;
	size_t length = timestamp_encode(&t[0], &t[1], &t[2], true, encoded);
	assert(timestamp_decode(slice_of(encoded, length), &again[0], &again[1], &again[2]) == 0);
	for (size_t i = 0; i < 3; i++) {
		assert(t[i].raw <= TIMESTAMP_RAW_MAX);
		assert(timestamp_compare(t[i], again[i]) == 0);
		length = timestamp_internal(t[i], encoded);
		assert(timestamp_parse(slice_of(encoded, length), &again[i]) == 0);
		assert(timestamp_compare(t[i], again[i]) == 0);
		(void)timestamp_iso(t[i], encoded);
	}
}

static void check_acl(struct arena *arena, struct slice text)
{
	struct slice clean, again;
	const char *error;
	struct acl acl;
	struct account_acl account_acl;
	const char *referrer = arena_strndup(arena, text.data, text.length);
	if (acl_clean(arena, "X-Container-Read", text, &clean, &error) == 0) {
		/* Not always the same again: Swift takes off one "*" each time. */
		(void)acl_clean(arena, "X-Container-Read", clean, &again, &error);
		acl_parse(arena, clean, &acl);
		(void)acl_referrer_allowed(referrer, &acl);
	}
	acl_parse(arena, text, &acl);
	(void)acl_referrer_allowed(referrer, &acl);
	if (account_acl_parse(arena, text, &account_acl, &error) == 0) {
		struct slice json = account_acl_format(arena, &account_acl);
		assert(account_acl_parse(arena, json, &account_acl, &error) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct slice text = slice_of((const char *)data, size);
	check_encoding(arena, text);
	check_path(arena, text);
	check_query(arena, text);
	check_timestamp(text);
	check_acl(arena, text);
	(void)mime_guess(text);
	arena_free(arena);
	return 0;
}
