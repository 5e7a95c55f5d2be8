/*
 * Bodies are streams that the receiver pulls. What travels are chunks: views into reference-counted 64 KiB blocks, read
 * from a socket or disk once and handed to every sink without a copy. Blocks belong to one loop (their counts are not
 * atomic); pool threads may read their bytes while the coroutine that holds a reference waits for them.
 */
#ifndef LIB_HTTP_BODY_H
#define LIB_HTTP_BODY_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/slice.h"

enum {
	BLOCK_BYTES = 65536,
	BLOCK_POOL_MAX = 128, /* free blocks kept per thread */
};

struct block {
	uint32_t references;
	struct block *next; /* in the pool */
	char *data;         /* BLOCK_BYTES, aligned for direct checksumming */
};

/* A block of the calling thread's pool with one reference. Never NULL. */
struct block *block_new(void);
struct block *block_ref(struct block *block);
/* NULL is accepted. */
void block_unref(struct block *block);
/* To be called every few seconds: frees the blocks of the calling thread's pool that nobody needed since the last call. */
void block_pool_trim(void);
/* Blocks of the calling thread that somebody holds. */
size_t blocks_in_use(void);
/* Frees the calling thread's pool (at the end of a thread). */
void block_pool_release(void);

struct chunk {
	struct block *block; /* the reference that this chunk holds; NULL when the bytes live elsewhere */
	const char *data;
	size_t length; /* 0 only for "no more" */
};

#define CHUNK_NONE ((struct chunk){NULL, NULL, 0})

static inline void chunk_release(struct chunk *chunk)
{
	block_unref(chunk->block);
	*chunk = CHUNK_NONE;
}

struct body;

struct body_operations {
	/*
	 * The next piece. 0 with a chunk (the caller owns its reference), or with length 0 at the end, for good. Errors,
	 * also for good: -ECONNRESET the sender went away; -ETIMEDOUT; -EPROTO framing; -EFBIG; -EBADMSG data damaged;
	 * -EIO.
	 */
	int (*co_next)(struct body *body, struct chunk *ret_chunk);
	/* Ends the stream early or late; called exactly once. May be NULL. */
	void (*close)(struct body *body);
};

struct body {
	const struct body_operations *operations;
};

static inline int co_body_next(struct body *body, struct chunk *ret_chunk)
{
	return body->operations->co_next(body, ret_chunk);
}

/* NULL is accepted. */
static inline void body_close(struct body *body)
{
	if (body && body->operations->close)
		body->operations->close(body);
}

/* A stream over bytes that live as long as the arena. */
struct body *body_from_slice(struct arena *arena, struct slice bytes);

/* Reads all of a small body into the arena: -EFBIG above `bytes_max`. */
int co_body_read_all(struct body *body, struct arena *arena, size_t bytes_max, struct slice *ret_bytes);

/* Reads and drops up to `bytes_max`: 0 at the end, -EFBIG when more is left, or the stream's error. */
int co_body_drain(struct body *body, uint64_t bytes_max);

#endif
