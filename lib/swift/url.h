/*
 * Percent-encoding, UTF-8, query strings and paths of requests, as Python's urllib and Swift's swob
 * treat them. Every text is decoded once and only once: what comes out may hold "%", "/" and NUL as
 * plain bytes.
 */
#ifndef LIB_SWIFT_URL_H
#define LIB_SWIFT_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/slice.h"

/*
 * Percent-decodes into `room`, which has at least raw.length bytes and may be the input itself;
 * returns the length.
 * "%" without two hex digits after it stays as it is. "+" becomes a blank only if `plus_is_blank`
 * (query strings).
 */
size_t url_decode_to(struct slice raw, bool plus_is_blank, char *room);

/* The same into the arena. */
struct slice url_decode(struct arena *arena, struct slice raw, bool plus_is_blank);

/*
 * Percent-encodes all bytes but letters, digits, "_.-~" and, if `keep_slash`, "/" (Python's
 * quote(); safe='' without). Hex digits are upper-case.
 */
void url_encode_append(struct buf *buf, struct slice bytes, bool keep_slash);
struct slice url_encode(struct arena *arena, struct slice bytes, bool keep_slash);

/* Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. NUL and the empty text
 * are valid. */
bool utf8_valid(struct slice text);

/* Code points of a valid text (of other texts: bytes that are not continuation bytes). */
size_t utf8_length(struct slice text);

/* A parsed query string. */
enum { QUERY_PARAMETERS_MAX = 4200 /* more than a request line has room for */ };

struct query_parameter {
	struct slice name;  /* decoded */
	struct slice value; /* decoded, empty for "name" and "name=" */
};

struct query {
	struct query_parameter *parameters; /* in order of the text, in the arena */
	size_t count;
};

/*
 * Splits at "&" and the first "=", decodes names and values, skips empty pieces: Python's parse_qsl
 * with blank values kept. `raw` is what follows the "?". -E2BIG when there are more than
 * QUERY_PARAMETERS_MAX parameters.
 */
int query_parse(struct arena *arena, struct slice raw, struct query *ret_query);

/* The last parameter of that name, as Swift's Request.params has it. False when there is none. */
bool query_get(const struct query *query, const char *name, struct slice *ret_value);

/*
 * Splits "/a/c/o" into its segments as Swift's split_path does. `path` is already decoded. At least
 * `minimum` and at most `maximum` segments are wanted; with `rest_with_last` the last may contain
 * "/" (object names), otherwise one trailing "/" is tolerated. All but the last must be non-empty,
 * and so must the first `minimum`; missing optional ones, also an empty last one ("/a/c/"), become
 * SLICE_NONE. `ret_segments` has `maximum` places and views into `path`. -EINVAL when the path does
 * not fit; ret_segments is then untouched.
 */
int path_split_decoded(struct slice path, int minimum, int maximum, bool rest_with_last, struct slice ret_segments[]);

/* The same for a percent-encoded path without query string; the segments are views into a decoded
 * copy in the arena. */
int path_split(struct arena *arena, struct slice raw_path, int minimum, int maximum, bool rest_with_last,
	struct slice ret_segments[]);

#endif
