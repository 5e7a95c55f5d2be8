/*
 * Access control lists: the comma-separated ones of containers (X-Container-Read,
 * X-Container-Write) and the JSON one of accounts (X-Account-Access-Control). Rules of Swift's
 * common/middleware/acl.py and tempauth; who is allowed what by which group is the auth filter's.
 *
 * Results live in the arena or are views into the input.
 */
#ifndef LIB_SWIFT_ACL_H
#define LIB_SWIFT_ACL_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/slice.h"

/*
 * clean_acl: blanks and empty elements removed, ".ref", ".referer", ".referrer" shortened to ".r",
 * "*.example.com" to
 * ".example.com". `header_name` matters because referrers are refused where it contains "write".
 * -EINVAL for bad elements with Swift's text in *ret_error (400).
 */
int acl_clean(struct arena *arena, const char *header_name, struct slice value, struct slice *ret_clean,
	const char **ret_error);

/* A cleaned list, taken apart. */
struct acl {
	struct slice *referrers; /* without ".r:", in order: "*", "host", ".domain", each maybe with
	                            "-" before it */
	size_t referrer_count;
	struct slice *groups; /* percent-decoded groups and users; ".rlistings" is one of them */
	size_t group_count;
};

/* parse_acl; empty elements are skipped. Never fails. */
void acl_parse(struct arena *arena, struct slice text, struct acl *ret_acl);

bool acl_has_group(const struct acl *acl, struct slice group);

/* ".rlistings": referrers may list the container, too. */
bool acl_allows_listings(const struct acl *acl);

/*
 * Whether the host of the Referer header (NULL or without host: "unknown") passes the referrer
 * elements: later elements override earlier ones, and nothing is allowed to begin with.
 */
bool acl_referrer_allowed(const char *referrer, const struct acl *acl);

/* The account ACL: lists of groups. */
struct account_acl {
	struct slice *admin;
	size_t admin_count;
	struct slice *read_write;
	size_t read_write_count;
	struct slice *read_only;
	size_t read_only_count;
};

/*
 * Reads {"admin": […], "read-write": […], "read-only": […]}, every key optional; the empty text is
 * the empty ACL. -EINVAL for other keys or types with tempauth's text in *ret_error (400; the
 * filter adds "X-Account-Access-Control invalid: "). Nesting is limited, so the text may be a
 * client's.
 */
int account_acl_parse(struct arena *arena, struct slice json, struct account_acl *ret_acl, const char **ret_error);

/* Compact JSON with sorted keys, lists that are empty left out, ASCII only; the empty slice for an
 * empty ACL. */
struct slice account_acl_format(struct arena *arena, const struct account_acl *acl);

#endif
