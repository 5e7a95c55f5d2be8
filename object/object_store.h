/*
 * The object store: objects of one device as records in its RocksDB, small bodies beside them, large bodies in files.
 * Plain blocking C; every byte that is read was checked against its block's XXH3 first.
 *
 * One record per policy and name hash holds what Swift keeps in a hash directory of a replicated policy: the newest of
 * .data and .ts, and the .meta (and its content-type time) that overlays it. Key: policy(2) hash(16) 'o'; the letter
 * leaves room for fragments. Being one record, replacing a version is one write, and no two versions of a replicated
 * object ever need to be told apart on disk.
 *
 * A small body is a value in DEVICE_BODIES under its body number. A large one is a file: written in incoming/ under its
 * number, which nothing names yet, with a table of block checksums behind the data, fdatasync()ed; the commit syncs
 * the directory and writes the record; then the file moves to bodies/hh/hh/<number>. A reader looks in bodies/ first,
 * then in incoming/, then in bodies/ once more. The start-up sweep looks at incoming/ alone: a file with a
 * record moves on, a file without one is removed. A body that a commit supersedes gets a to-do entry in the same
 * commit, which is removed with the file.
 */
#ifndef OBJECT_OBJECT_STORE_H
#define OBJECT_OBJECT_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/arena.h"
#include "lib/base/slice.h"
#include "lib/store/device.h"
#include "lib/swift/timestamp.h"

enum {
	OBJECT_BLOCK_BYTES = 65536,      /* one checksum per block */
	OBJECT_INLINE_BYTES_MAX = 65536, /* larger bodies are files */
};

struct object_key {
	uint16_t policy;
	unsigned char hash[16];
};

struct object_header {
	const char *name;  /* title-cased */
	const char *value; /* bytes as the client sent them */
};

enum object_kind { OBJECT_ABSENT, OBJECT_DATA, OBJECT_TOMBSTONE };

struct object_record {
	enum object_kind kind;
	struct slice name;          /* "/account/container/object" */
	struct timestamp data_time; /* of the .data, or of the tombstone */
	/* data only: */
	uint64_t size;                       /* bytes of the body */
	char etag[40];                       /* hex */
	const char *content_type;            /* as PUT */
	const struct object_header *headers; /* as PUT, without Content-Type, Content-Length, ETag, X-Timestamp */
	size_t header_count;
	uint64_t body_number;
	bool body_in_file;
	uint64_t body_checksum; /* XXH3 of a small body; of the checksum table of a file */
	/* overlay by POST: */
	struct timestamp meta_time; /* zero: none */
	const struct object_header *meta_headers;
	size_t meta_header_count;
	struct timestamp type_time; /* zero: none newer than the data */
	const char *meta_content_type;
};

/* Reads the record; ret->kind is OBJECT_ABSENT when nothing is known. 0; -EBADMSG (the record is damaged); -EIO.
 * The _cached form answers -EAGAIN rather than touch the disk. Texts live in the arena. */
int object_read(
	struct device *device, const struct object_key *key, struct arena *arena, struct object_record *ret_record);
int object_read_cached(
	struct device *device, const struct object_key *key, struct arena *arena, struct object_record *ret_record);

/* What a reader sees (object-disk-layout.md section 4): headers merged from .data and overlay, the effective content
 * type, and X-Timestamp = newest of data and meta. The list has no Content-Type, Content-Length, ETag, X-Timestamp. */
struct object_view {
	struct timestamp timestamp;
	const char *content_type;
	struct timestamp content_type_time; /* data_time when not set by POST */
	const struct object_header *headers;
	size_t header_count;
};
void object_view(const struct object_record *record, struct arena *arena, struct object_view *ret_view);

/* Value of a header in a list, by case-insensitive name, or NULL. */
const char *object_header_get(const struct object_header *headers, size_t count, const char *name);

/* ---- writing ---- */

/* A body on its way in. */
struct object_writer;

/* size: what is expected, or -1 when unknown (chunked). Does not block. 0; -ENOSPC (reserve reached); -EIO. */
int object_writer_new(
	struct device *device, const struct object_key *key, int64_t size, struct object_writer **ret_writer);
/* True when the next append of `bytes` touches the disk (then call it from a pool thread). */
bool object_writer_blocks(const struct object_writer *writer, size_t bytes);
/* 0; -ENOSPC; -EIO. An error sticks. */
int object_writer_append(struct object_writer *writer, const void *data, size_t bytes);
/* Closes the body: writes the checksum table, syncs the file. Blocks only for files. 0 or -ENOSPC, -EIO. */
int object_writer_finish(struct object_writer *writer);
uint64_t object_writer_size(const struct object_writer *writer);
/* Frees the writer, after the commit was done if there was one. A file that was not committed by object_put is removed,
 * one that was moves from incoming/ to its place: both block (object_writer_blocks(writer, 0) tells). NULL is accepted. */
void object_writer_free(struct object_writer *writer);

enum { OBJECT_TODOS_MAX = 4 };

/* Work promised with a commit: opaque to the store, kept in DEVICE_TODO under 'U' number(8) until object_todo_done. */
struct object_todos {
	struct slice values[OBJECT_TODOS_MAX];
	size_t count;
	uint64_t ret_numbers[OBJECT_TODOS_MAX]; /* set by the commit */
};

struct object_put {
	struct object_key key;
	struct slice name;
	struct timestamp timestamp;
	struct object_writer *writer; /* finished */
	const char *etag;             /* hex */
	const char *content_type;
	const struct object_header *headers;
	size_t header_count;
	struct object_todos todos;
	/* results */
	struct timestamp existing;  /* with -EEXIST: time of the data or tombstone in the way */
	uint64_t ret_old_delete_at; /* X-Delete-At of the version that this one replaced, 0 = none */
};
/* device_change_fn's. object_put: -EEXIST when data or tombstone time >= timestamp (Swift's 409);
 * -EBADMSG when another name is stored under the hash (Swift's 403). A damaged record counts as none. */
int object_put(struct device_txn *txn, void *put);

struct object_post {
	struct object_key key;
	struct timestamp timestamp;
	struct timestamp type_time; /* zero when the request names no content type */
	const char *content_type;
	const struct object_header *headers;
	size_t header_count;
	/* Builds the to-do values from the record as it will be: called before the commit, in the committer's thread. */
	void (*make_todos)(const struct object_record *record, struct object_todos *todos, void *argument);
	void *argument;
	struct arena *arena; /* for results; nobody else uses it meanwhile */
	struct object_todos todos;
	bool open_expired; /* an expired object is as good as others */
	/* results */
	struct object_record record; /* as stored */
	struct timestamp existing;   /* with -EEXIST */
	uint64_t ret_old_delete_at;
};
/* -ENOENT: absent, deleted (existing = tombstone time) or expired at `timestamp`; -EEXIST: neither newer; -EBADMSG: the
 * record is damaged. */
int object_post(struct device_txn *txn, void *post);

struct object_delete {
	struct object_key key;
	struct slice name;
	struct timestamp timestamp;
	bool check_delete_at;      /* X-If-Delete-At given */
	int64_t if_delete_at;      /* seconds */
	struct object_todos todos; /* committed whenever a tombstone is written */
	struct arena *arena;
	/* results */
	struct object_record previous; /* what was there */
	bool tombstone_written;
};
/* Writes a tombstone when the data time (0 if none) < timestamp. 0 (look at `previous` for 204 or 404); -EEXIST
 * (409); with check_delete_at -ENOENT (404) and -ESTALE (412), as Swift's object server does for X-If-Delete-At. -EBADMSG
 * when another name is stored under the hash. A damaged record counts as none. */
int object_delete(struct device_txn *txn, void *delete);

/* ---- to-do entries ---- */

/* A change that removes entry 'U' number (argument: uint64_t *). */
int object_todo_done(struct device_txn *txn, void *number);
/* Replaces the value of an entry (a part of the work is done); -ENOENT when it is gone. */
struct object_todo_update {
	uint64_t number;
	struct slice value;
};
int object_todo_replace(struct device_txn *txn, void *update);
/* Calls `visit` for entries with number >= from in order, until it returns non-zero (which is returned). */
int object_todo_walk(struct device *device, uint64_t from,
	int (*visit)(uint64_t number, struct slice value, void *argument), void *argument);

/* ---- reading bodies ---- */

struct object_body;
/* 0; -ENOENT (the file is gone); -EBADMSG (checksum table or size wrong); -EIO. The _cached form answers -EAGAIN
 * rather than touch the disk. */
int object_body_open(struct device *device, const struct object_key *key, const struct object_record *record,
	struct object_body **ret_body);
int object_body_open_cached(struct device *device, const struct object_key *key, const struct object_record *record,
	struct object_body **ret_body);
/* The bytes of a small body, checked when it was opened; they live as long as it. Empty for a file. */
struct slice object_body_memory(const struct object_body *body);
/*
 * Up to `bytes` from `offset`, checked. Returns the number of bytes (0 at the end), -EBADMSG when a block fails its
 * checksum (nothing of that block is given out), -EIO. object_body_read_cached uses preadv2(RWF_NOWAIT) and answers
 * -EAGAIN when the page cache does not hold it. `data` should have room for OBJECT_BLOCK_BYTES and `offset` be a
 * multiple of it where speed matters: then blocks are checked in place without a copy.
 */
ssize_t object_body_read(struct object_body *body, uint64_t offset, void *data, size_t bytes);
ssize_t object_body_read_cached(struct object_body *body, uint64_t offset, void *data, size_t bytes);
void object_body_free(struct object_body *body);

/* Sets a damaged object aside: the body (and the record, as a file beside it) goes to quarantined/<hash>, the record is
 * removed if it still is the one given. `record` NULL: object_read answered -EBADMSG, the record itself is the damage.
 * Blocking. Returns 0 or a negative error. */
int object_quarantine(struct device *device, const struct object_key *key, const struct object_record *record);

/* Finishes what a crash interrupted: incoming/ and the removals that were promised. Call once after device_open, before
 * the first writer. 0 or a negative error. */
int object_store_recover(struct device *device);

#endif
