/*
 * Swift's limits on what clients may send, and the checks with Swift's own error texts: metadata,
 * names, the reserved (NUL) namespace, delete-at headers; and the two small rules that go with
 * headers, title case and true values.
 *
 * Checks return 0 or a negative errno with the text of the answer in `error`, which is untouched on
 * success. The answer is 400 with text/plain unless said otherwise. Texts are cut at
 * CONSTRAINTS_ERROR_BYTES.
 */
#ifndef LIB_SWIFT_CONSTRAINTS_H
#define LIB_SWIFT_CONSTRAINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/slice.h"
#include "lib/swift/timestamp.h"

enum { CONSTRAINTS_ERROR_BYTES = 512 };

/* Swift's swift.conf section [swift-constraints]; the names are the options'. */
struct constraints {
	int64_t max_file_size;           /* bytes */
	int64_t max_meta_name_length;    /* bytes, without the prefix */
	int64_t max_meta_value_length;   /* bytes */
	int64_t max_meta_count;          /* items in one request, or of one account or container */
	int64_t max_meta_overall_size;   /* bytes of names without prefix and values */
	int64_t max_header_size;         /* bytes of one header value */
	int64_t max_request_line;        /* bytes */
	int64_t max_object_name_length;  /* code points */
	int64_t max_account_name_length; /* code points; twice that for auto-created accounts */
	int64_t max_container_name_length;
	int64_t container_listing_limit; /* names in one page */
	int64_t account_listing_limit;
	int64_t extra_header_count;             /* added to the number of headers allowed */
	const char *valid_api_versions;         /* comma-separated */
	const char *auto_create_account_prefix; /* accounts that being written to creates */
};

/* Swift's defaults. */
extern const struct constraints constraints_default;

/*
 * Sets one option by its name in swift.conf. The text is kept, not copied, for the two options that
 * are texts. -ENOENT for unknown names, -EINVAL for values that are not non-negative integers.
 */
int constraints_set(struct constraints *constraints, const char *name, const char *value);

/* How many headers a request may have. */
int64_t constraints_header_count_max(const struct constraints *constraints);

/* Whether `version` (such as "v1") is one of valid_api_versions. */
bool constraints_api_version_valid(const struct constraints *constraints, struct slice version);

/* Whether the account begins with auto_create_account_prefix. */
bool constraints_account_auto_created(const struct constraints *constraints, struct slice account);

/* One header or metadata item. Names in any case. */
struct header_pair {
	const char *name;
	const char *value; /* never NULL */
};

/*
 * check_metadata of a PUT or POST: the length of every header value, then the lengths, number and
 * total size of those that begin with X-<Target>-Meta-. `target` is "account", "container" or
 * "object"; for the first two names and values must be UTF-8 without NUL. -EINVAL.
 */
int constraints_check_metadata(const struct constraints *constraints, const char *target,
	const struct header_pair *headers, size_t count, char error[CONSTRAINTS_ERROR_BYTES]);

/*
 * validate_metadata: the items that an account or container would hold after merging (all its
 * stored headers, deleted ones with an empty value, which do not count). -EINVAL.
 */
int constraints_check_stored_metadata(const struct constraints *constraints, const struct header_pair *items,
	size_t count, char error[CONSTRAINTS_ERROR_BYTES]);

/*
 * Lengths of names in code points. -ENAMETOOLONG. `account` doubles the limit when it is
 * auto-created (begins with
 * "."); so a caller passes the account of the container, too.
 */
int constraints_check_account_name(
	const struct constraints *constraints, struct slice account, char error[CONSTRAINTS_ERROR_BYTES]);
int constraints_check_container_name(const struct constraints *constraints, struct slice account,
	struct slice container, char error[CONSTRAINTS_ERROR_BYTES]);
int constraints_check_object_name(
	const struct constraints *constraints, struct slice object, char error[CONSTRAINTS_ERROR_BYTES]);

/*
 * check_utf8: not empty, strict UTF-8, and without NUL unless `allow_reserved` (backend servers,
 * internal clients). A path that fails gets 412 "Invalid UTF8 or contains NULL".
 */
bool constraints_text_valid(struct slice text, bool allow_reserved);

/*
 * The reserved namespace (validate_internal_*): NUL only as the first byte of a name, reserved
 * objects only in reserved containers and the reverse; objects of auto-created accounts are exempt.
 * Absent parts are SLICE_NONE. -EINVAL.
 */
int constraints_check_reserved(const struct constraints *constraints, struct slice account, struct slice container,
	struct slice object, char error[CONSTRAINTS_ERROR_BYTES]);

enum { DELETE_AT_TEXT_BYTES = 24 };

/*
 * normalize_delete_at_timestamp: `%010d` of the truncated seconds, clamped to 0 … 9999999999, or
 * with `high_precision`
 * `%016.5f` up to 9999999999.99999. `text` is a number as Python's float() takes it; -EINVAL.
 */
int delete_at_normalize(struct slice text, bool high_precision, char ret_text[DELETE_AT_TEXT_BYTES]);

/* The same from whole seconds. */
void delete_at_format(int64_t seconds, char text[DELETE_AT_TEXT_BYTES]);

/*
 * check_delete_headers: X-Delete-At and X-Delete-After (NULL when absent) of a request at time
 * `now`. X-Delete-After wins and becomes now + n. *ret_seconds is the clamped value for
 * X-Delete-At, or -1 when the request has neither. `is_replication` (X-Backend-Replication) permits
 * an X-Delete-At in the past. -EINVAL.
 */
int delete_at_check(const char *delete_at, const char *delete_after, struct timestamp now, bool is_replication,
	int64_t *ret_seconds, char error[CONSTRAINTS_ERROR_BYTES]);

/*
 * The one form of header names in storage and replies, in place: "_" becomes "-", ASCII letters
 * after a non-letter upper-case ("x-object-meta-bar2b" → "X-Object-Meta-Bar2B"), others lower-case;
 * other bytes stay.
 */
void header_title_case(char *name);

/* true, 1, yes, on, t, y in any case. NULL is false. */
bool config_true_value(const char *text);

#endif
