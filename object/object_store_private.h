/*
 * What the files of the object store share: keys, the writer's fields, and the layout of a body
 * file.
 *
 * A body file is the body, then its trailer:
 *
 *	checksum(8) ...        XXH3-64 of each 64 KiB block of the body, the last one may be short
 *	"swbody01" policy(2) hash(16) number(8) size(8)
 *	checksum(8)            XXH3-64 of the trailer up to here; the record holds it too
 *
 * The names in it let the start-up sweep find the record that a file belongs to.
 */
#ifndef OBJECT_OBJECT_STORE_PRIVATE_H
#define OBJECT_OBJECT_STORE_PRIVATE_H

#include "lib/base/buf.h"
#include "lib/base/xxh3.h"
#include "object/object_record.h"
#include "object/object_store.h"

enum {
	OBJECT_KEY_BYTES = 19,
	OBJECT_NUMBER_KEY_BYTES = 8,
	OBJECT_CHECKSUM_BYTES = 8,
	OBJECT_FOOTER_BYTES = 50, /* the trailer without the blocks' checksums */
};

/* Keys in the device's families, into an array of the caller. */
struct slice object_record_key(const struct object_key *key, char bytes[OBJECT_KEY_BYTES]);
struct slice object_body_key(uint64_t number, char bytes[OBJECT_NUMBER_KEY_BYTES]);

struct object_writer {
	struct device *device;
	struct object_key key;
	int64_t expected; /* bytes announced, or -1 */
	uint64_t size;    /* bytes appended */
	struct buf bytes; /* the body while it is small; of a file the trailer */
	bool in_file;
	int fd;                 /* of the file in incoming/, or -1 */
	uint64_t number;        /* of the file */
	XXH3_state_t *block;    /* checksum of the block at hand; files only */
	uint64_t started_bytes; /* of the file, so many were handed to writeback */
	uint64_t checksum;      /* the record's body_checksum, after finish */
	int error;              /* the first error, which sticks */
	bool finished;
	bool applied; /* object_put wrote a record that refers to the body */
};

struct object_footer {
	struct object_key key;
	uint64_t number;
	uint64_t size;
};

/* Appends the footer behind the checksums in `trailer`, and the trailer's own, which is returned.
 */
uint64_t object_trailer_finish(struct buf *trailer, const struct object_footer *footer);
/* Bytes of the trailer of a body. */
uint64_t object_trailer_bytes(uint64_t size);
/* Reads the footer of a body file; the checksum is not looked at. 0; -EBADMSG; -EIO. */
int object_footer_read(int fd, struct object_footer *ret_footer);

/* pread until all is there. 0; -EBADMSG when the file is too short; -EIO. */
int object_read_fully(int fd, void *data, size_t bytes, uint64_t offset);

#endif
