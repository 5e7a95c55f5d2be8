/*
 * The Range header as Swift's swob.Range and ranges_for_length treat it. A syntax error anywhere
 * makes the whole header void; ranges that lie outside of the object are dropped; sets that cost
 * more than they are worth are refused.
 */
#ifndef LIB_SWIFT_RANGE_H
#define LIB_SWIFT_RANGE_H

#include <stddef.h>
#include <stdint.h>

enum {
	RANGE_COUNT_MAX = 50,      /* more satisfiable ranges are refused */
	RANGE_OVERLAPS_MAX = 2,    /* more overlapping pairs are refused; equal ranges don't count */
	RANGE_UNORDERED_COUNT = 8, /* from this many on, they must ascend by their first byte */
};

enum range_result {
	RANGE_NONE,          /* answer 200 with the whole object */
	RANGE_OK,            /* answer 206: one range plainly, several as multipart/byteranges */
	RANGE_UNSATISFIABLE, /* answer 416, Content-Range: bytes, a star, slash and the size */
};

struct byte_range {
	uint64_t first;
	uint64_t last; /* inclusive */
};

/*
 * Evaluates `header` (the value of Range, or NULL) for an object of `size` bytes. RANGE_OK fills in
 * 1 to RANGE_COUNT_MAX ranges in the order of the header, each with first <= last < size; otherwise
 * the count is 0.
 *
 * One exception: a suffix ("bytes=-5") of an empty object is satisfied by no bytes, for which no
 * Content-Range can be written. Swift answers 200, so the result is RANGE_NONE, but with a count of
 * 1 or more empty ranges {0, UINT64_MAX} (last - first + 1 == 0) for those who must tell it from a
 * header that was void.
 *
 * Numbers too large for 64 bits count as UINT64_MAX. Time is linear in the header.
 */
enum range_result range_evaluate(
	const char *header, uint64_t size, struct byte_range ret_ranges[RANGE_COUNT_MAX], size_t *ret_count);

#endif
