/*
 * Listings as text: the bodies that Swift's account and container servers (and its listing_formats
 * middleware) send, to the byte.
 *
 *	struct listing_writer writer;
 *	listing_writer_begin(&writer, LISTING_CONTAINER, LISTING_FORMAT_JSON, container, &body);
 *	for each entry: listing_writer_entry(&writer, entry);
 *	listing_writer_end(&writer);
 *
 * Everything is appended to the caller's buffer, which may be sent and cleared between the calls.
 * An empty plain listing has an empty body, which Swift answers with 204.
 */
#ifndef LIB_STORE_LISTING_FORMAT_H
#define LIB_STORE_LISTING_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/slice.h"
#include "lib/store/listing.h"
#include "lib/swift/accept.h"

/* The name of a storage policy, or NULL when the configuration does not know it. */
typedef const char *listing_policy_name_fn(uint16_t policy, void *argument);

struct listing_writer {
	enum listing_kind kind;
	enum listing_format format;
	struct buf *out;
	bool has_entries;
	/* Accounts: set after listing_writer_begin() to have storage_policy in the entries. */
	listing_policy_name_fn *policy_name;
	void *policy_argument;
};

/*
 * `name` is the account's or the container's; it is written at once. `format` must not be negative.
 * Texts are UTF-8; bytes that are not come out as U+FFFD in JSON and as they are elsewhere.
 */
void listing_writer_begin(struct listing_writer *writer, enum listing_kind kind, enum listing_format format,
	struct slice name, struct buf *out);
void listing_writer_entry(struct listing_writer *writer, const struct listing_entry *entry);
void listing_writer_end(struct listing_writer *writer);

#endif
