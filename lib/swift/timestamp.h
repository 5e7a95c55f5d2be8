/*
 * Swift's timestamps: the order of all writes in a cluster. A time is an integer count of 10 µs
 * since 1970 and an offset, by which a system process supersedes a write without changing the time
 * that clients see. Seconds are never held as floating point, so every form prints exactly what was
 * read.
 *
 *	normal    1795222396.77869                    what clients see
 *	internal  1795222396.77869_0000000000000001   requests, metadata, databases; equals normal
 * when the offset is 0 short     1795222396.77869_1                  head of encoded triples; equals
 * normal when the offset is 0 iso       2026-11-21T00:53:16.778690          listings
 *
 * Formatting is hand-written because a listing page prints ten thousand of them. Everything here is
 * pure and safe from any thread.
 */
#ifndef LIB_SWIFT_TIMESTAMP_H
#define LIB_SWIFT_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/slice.h"

struct timestamp {
	uint64_t raw;    /* 10 µs units since 1970, 0 to TIMESTAMP_RAW_MAX */
	uint64_t offset; /* 0 for everything that clients cause */
};

/* 9999999999.99999: the largest time that keeps the fixed width of the texts. */
#define TIMESTAMP_RAW_MAX UINT64_C(999999999999999)
/* Units of raw in one second. */
#define TIMESTAMP_RAW_PER_SECOND UINT64_C(100000)
#define TIMESTAMP_ZERO ((struct timestamp){0, 0})

enum { TIMESTAMP_TEXT_BYTES = 40 };    /* room for every form below, with NUL */
enum { TIMESTAMP_ENCODED_BYTES = 96 }; /* room for an encoded triple, with NUL */

/* The time of the realtime clock, offset 0. */
struct timestamp timestamp_now(void);

/*
 * Reads any form but iso: a decimal number of seconds as Python's float() takes it ("0", "1e3",
 * "1795222396.77869", blanks around it), then optionally "_" and up to 16 hex digits of offset
 * (none means 0). More than five decimals are rounded. Returns -EINVAL for anything else, for
 * negative times and for times above TIMESTAMP_RAW_MAX.
 */
int timestamp_parse(struct slice text, struct timestamp *ret);

/* Negative, 0 or positive: by time, then by offset, which is the order of the internal texts. */
int timestamp_compare(struct timestamp a, struct timestamp b);

/* True when time and offset are both 0: "never". */
bool timestamp_is_zero(struct timestamp t);

/* Write the form and a NUL, return the length without the NUL. `t.raw` must not exceed
 * TIMESTAMP_RAW_MAX. */
size_t timestamp_normal(struct timestamp t, char text[TIMESTAMP_TEXT_BYTES]);
size_t timestamp_internal(struct timestamp t, char text[TIMESTAMP_TEXT_BYTES]);
size_t timestamp_short(struct timestamp t, char text[TIMESTAMP_TEXT_BYTES]);
size_t timestamp_iso(struct timestamp t, char text[TIMESTAMP_TEXT_BYTES]);

/* Whole seconds, rounded up: the value of Last-Modified. */
int64_t timestamp_ceil_seconds(struct timestamp t);

/*
 * TIMESTAMP_RAW_MAX - raw: names of object versions, which list newest first. -EINVAL when `t` has
 * an offset, for which Swift has no inverted form.
 */
int timestamp_invert(struct timestamp t, struct timestamp *ret);

/*
 * Three times in one text, "<short>[±hex[±hex]]": each later time as its distance in 10 µs from the
 * one before. Used for created_at of object rows (data, content type, metadata) and names of .meta
 * files. `t2` and `t3` may be NULL; t3 is ignored without t2. When all distances are 0 they are
 * left out, unless `explicit_deltas`. Offsets of t2 and t3 are lost. Returns the length without the
 * NUL.
 */
size_t timestamp_encode(const struct timestamp *t1, const struct timestamp *t2, const struct timestamp *t3,
	bool explicit_deltas, char text[TIMESTAMP_ENCODED_BYTES]);

/*
 * The reverse. A missing or zero distance gives the previous value, with its offset; another
 * distance gives a time with offset 0. -EINVAL for bad texts and for results outside of the range.
 */
int timestamp_decode(struct slice text, struct timestamp *ret_1, struct timestamp *ret_2, struct timestamp *ret_3);

/*
 * What timestamp_decode(timestamp_encode()) would make of a triple: `t2` and `t3` take over the
 * previous value when their time equals it, and lose their offset otherwise. For stores that keep
 * the three times apart and must still compare like Swift.
 */
void timestamp_canonical_triple(const struct timestamp *t1, struct timestamp *t2, struct timestamp *t3);

#endif
