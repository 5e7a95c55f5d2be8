/*
 * Conditional requests: If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since as
 * Swift's swob evaluates them on GET and HEAD. Time is linear in the headers.
 */
#ifndef LIB_SWIFT_CONDITIONAL_H
#define LIB_SWIFT_CONDITIONAL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/slice.h"

/* One pair of enclosing double quotes removed. "W/" is not understood: weak tags match nothing. */
struct slice normalize_etag(struct slice etag);

/*
 * Whether a comma-separated list of tags contains `etag` or "*". Tags on both sides may be quoted.
 * With etag NULL only
 * "*" matches.
 */
bool etag_list_matches(const char *list, const char *etag);

/*
 * Returns 304, 412, or 0 when the request goes on. Headers are NULL when absent; dates that cannot
 * be read count as absent. `etag` is the object's, quoted or not; NULL means that there is no
 * object (404), where only "If-Match: *" has an effect: 412. `last_modified_seconds` is the value
 * of Last-Modified (rounded up); negative: not known.
 */
int conditional_evaluate(const char *if_match, const char *if_none_match, const char *if_modified_since,
	const char *if_unmodified_since, const char *etag, int64_t last_modified_seconds);

#endif
