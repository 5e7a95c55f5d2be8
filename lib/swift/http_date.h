/*
 * Dates in HTTP headers: written as "Sat, 21 Nov 2026 00:53:16 GMT", read in the three forms of RFC
 * 9110 §5.6.7.
 */
#ifndef LIB_SWIFT_HTTP_DATE_H
#define LIB_SWIFT_HTTP_DATE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/slice.h"

enum { HTTP_DATE_BYTES = 30 }; /* the text with NUL */

/* Writes exactly 29 characters and a NUL. Times outside of the years 1 to 9999 are clamped. */
void http_date_format(int64_t seconds, char text[HTTP_DATE_BYTES]);

/*
 * Reads one of, with blanks around it:
 *	Sat, 21 Nov 2026 00:53:16 GMT      (RFC 1123)
 *	Saturday, 21-Nov-26 00:53:16 GMT   (RFC 850; years 69 to 99 are 19xx, others 20xx, as
 * Python's parser has it) Sat Nov 21 00:53:16 2026           (asctime; the day may be padded with a
 * blank) Names of days and months match in any case; the name of the day need not fit the date. The
 * zone must be GMT, UTC, +0000 or -0000 where there is one. -EINVAL for everything else, for days
 * that the month does not have and for the year 0. Takes time linear in the text, which no valid
 * date has more than 64 bytes of.
 */
int http_date_parse(struct slice text, int64_t *ret_seconds);

#endif
