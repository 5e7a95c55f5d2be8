/*
 * Merging of object rows in a container listing: each row carries three times (data, content type,
 * metadata), and each part of a row follows its own time, so that PUTs, POSTs and DELETEs may
 * arrive in any order and on any replica and the listing ends up the same (Swift:
 * container/backend.py, update_new_item_from_existing).
 */
#ifndef LIB_SWIFT_ROW_MERGE_H
#define LIB_SWIFT_ROW_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/slice.h"
#include "lib/swift/timestamp.h"

/* All slices are views that the caller keeps alive. */
struct container_row {
	struct timestamp data;              /* PUT or DELETE: size, etag, deleted, swift_bytes */
	struct timestamp content_type_time; /* of content_type; data's unless a POST changed it */
	struct timestamp meta;              /* PUT, DELETE or any POST: last_modified */
	int64_t size;                       /* bytes */
	struct slice content_type;          /* without swift_bytes */
	struct slice swift_bytes;           /* size of a large object; .data NULL: absent */
	struct slice etag;
	bool deleted; /* a tombstone */
};

/*
 * Updates `row`, which has just arrived, to what must be stored where `existing` is (NULL:
 * nothing). Equal times count as old. Returns whether any part was newer; if not, nothing is to be
 * written and `row` equals `existing`. The three times come out as their encoded text would read
 * them back, so that rows compare like Swift's.
 */
bool container_row_merge(const struct container_row *existing, struct container_row *row);

/*
 * Takes the swift_bytes parameter out of a content type as Swift's extract_swift_bytes does: the
 * other parameters are joined again as ";name=value" without blanks, and what is not a parameter is
 * dropped. *ret_swift_bytes is SLICE_NONE when there is none. Both are views into the text or
 * copies in the arena. Linear time.
 */
void content_type_split(
	struct arena *arena, struct slice text, struct slice *ret_content_type, struct slice *ret_swift_bytes);

/* The reverse: "type;swift_bytes=n". An absent or empty value adds nothing. */
struct slice content_type_join(struct arena *arena, struct slice content_type, struct slice swift_bytes);

#endif
