/*
 * What account and container servers have in common: parameters of a listing, reading a database
 * without blocking the loop, the text of a listing, metadata in headers. As in server_request.h,
 * functions that take a reply fill it in when they refuse.
 */
#ifndef LIB_BACKEND_SERVER_LISTING_H
#define LIB_BACKEND_SERVER_LISTING_H

#include <stdint.h>

#include "lib/backend/server_request.h"
#include "lib/store/listing.h"
#include "lib/store/listing_format.h"

/* A storage policy as far as listings know it. */
struct server_policy {
	uint16_t index;
	const char *name;
};

struct server_policies {
	const struct server_policy *items;
	size_t count;
	uint16_t default_index; /* for containers whose creator names none */
};

/* NULL when the index is not configured. The argument is a struct server_policies (a
 * listing_policy_name_fn). */
const char *server_policy_name(uint16_t index, void *policies);

/*
 * The form that the client wants: the format parameter, else Accept. 406 when none fits, 400 for a
 * broken Accept or query. 0 or -EINVAL.
 */
int server_listing_format(struct request *request, struct reply *reply, enum listing_format *ret_format);

/*
 * The query parameters of a listing (container-and-account-servers.md §1.3) and the form. Left to
 * the caller: hash, policy. 412 "Maximum limit is N" above limit_max; 400 for values that are not
 * UTF-8. 0 or -EINVAL.
 */
int server_listing_parse(struct request *request, struct reply *reply, enum listing_kind kind, size_t limit_max,
	struct listing_query *ret_query, enum listing_format *ret_format);

/* listing_read(): on the loop when the answer is in memory, else in the device's pool. */
int co_server_listing_read(struct device_entry *entry, enum listing_kind kind, const unsigned char hash[16],
	struct arena *arena, struct listing_info *ret_info);

/*
 * The text of a listing, made in the device's pool and kept in the arena. `name` is the account's
 * or container's; `policies` is for accounts, whose entries name the policy. At most query->limit
 * rows are in it. 0 or -EIO.
 */
int co_server_listing_render(struct device_entry *entry, const struct listing_query *query, enum listing_format format,
	struct slice name, const struct server_policies *policies, struct arena *arena, struct slice *ret_text);

/*
 * Sets the text as the body of a GET: 200, or 204 with `empty_reason` when there is none, and the
 * Content-Type with its charset.
 */
void server_reply_listing(struct reply *reply, enum listing_format format, struct slice text, const char *empty_reason);
/* The same for HEAD: 204. */
void server_reply_listing_head(struct reply *reply, enum listing_format format);

/* To be called every few seconds on a loop's thread: frees the room for pages that it has not used since the last call. */
void server_listing_trim(void);

/*
 * The request's metadata to store: X-<Target>-Meta-…, X-<Target>-Sysmeta-… and those in `also`
 * (NULL-terminated; NULL for none), by title-cased name, all with time `timestamp`. 400 when one is
 * not UTF-8. 0 or -EINVAL.
 */
int server_request_metas(struct request *request, struct reply *reply, enum listing_kind kind, const char *const *also,
	struct timestamp timestamp, struct listing_change *change);

/* The 400 for a change that was refused with -E2BIG. */
void server_reply_too_much_meta(struct reply *reply, const struct constraints *constraints);

/* Adds what is stored and not deleted to the reply's headers. */
void server_reply_metas(struct reply *reply, const struct listing_info *info);

/* Sets a header to a form of the time. */
void server_reply_time(struct reply *reply, const char *name, struct timestamp time,
	size_t (*format)(struct timestamp time, char text[TIMESTAMP_TEXT_BYTES]));

#endif
