/*
 * Which form a listing takes: the `format` parameter, else the Accept header with its q values, as
 * Swift's get_listing_content_type and swob.Accept decide. Linear in the header, quoted strings
 * full of backslashes included.
 */
#ifndef LIB_SWIFT_ACCEPT_H
#define LIB_SWIFT_ACCEPT_H

#include "lib/base/slice.h"

enum listing_format {
	LISTING_FORMAT_BAD_HEADER = -2,     /* 400 "Invalid Accept header" */
	LISTING_FORMAT_NOT_ACCEPTABLE = -1, /* 406 */
	LISTING_FORMAT_PLAIN = 0,           /* text/plain */
	LISTING_FORMAT_JSON,                /* application/json */
	LISTING_FORMAT_XML,                 /* application/xml */
	LISTING_FORMAT_TEXT_XML,            /* the same body as text/xml */
};

/*
 * `format` is the decoded query parameter (empty or SLICE_NONE: look at Accept; unknown: plain).
 * `accept` is the header or NULL; without one the answer is plain. As in Swift q=0 is only the
 * lowest rank, not a refusal.
 */
enum listing_format listing_format_choose(struct slice format, const char *accept);

/* The content type without charset; `format` must not be negative. */
const char *listing_format_content_type(enum listing_format format);

#endif
