/*
 * The bytes of an object record, as they stand in DEVICE_OBJECTS, and what a reader makes of it.
 *
 *	version(1) = 1, kind(1), flags(1), name, data_time(16)
 *	data: size(8) etag content-type body-number(8) body-checksum(8) headers
 *	flag OVERLAY:  meta_time(16) headers
 *	flag TYPE:     type_time(16) content-type
 *	XXH3-64 of all the above (8)
 *
 * Texts are a length(4) and bytes, lists a count(4) and pairs of texts, times raw(8) and offset(8),
 * integers big-endian.
 */
#ifndef OBJECT_OBJECT_RECORD_H
#define OBJECT_OBJECT_RECORD_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "object/object_store.h"

/* Appends the record; its kind must not be OBJECT_ABSENT. */
void object_record_encode(const struct object_record *record, struct buf *bytes);

/* Texts are copied to the arena. 0, or -EBADMSG for anything that object_record_encode() does not
 * write. */
int object_record_decode(struct slice bytes, struct arena *arena, struct object_record *ret_record);

/* Newest of data and overlay: the X-Timestamp that readers see. */
struct timestamp object_record_time(const struct object_record *record);

/* The overlay's content type when it is newer than the data, else the data's; *ret_time may be
 * NULL. */
const char *object_record_type(const struct object_record *record, struct timestamp *ret_time);

/* X-Delete-At in seconds, from the overlay when there is one, else from the data; 0 = none or not
 * data. */
uint64_t object_record_delete_at(const struct object_record *record);

/* Whether the object counts as gone at that time. */
bool object_record_expired(const struct object_record *record, struct timestamp now);

#endif
