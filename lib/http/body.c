#include "lib/http/body.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"

static __thread struct block *pool;
static __thread size_t pool_count;
static __thread size_t pool_count_min; /* since the last block_pool_trim() */
static __thread size_t in_use;

struct block *block_new(void)
{
	struct block *block = pool;
	if (block) {
		pool = block->next;
		if (--pool_count < pool_count_min)
			pool_count_min = pool_count;
	} else {
		block = xmalloc(sizeof(*block));
		block->data = aligned_alloc(64, BLOCK_BYTES);
		if (!block->data)
			memory_exhausted();
	}
	in_use++;
	block->next = NULL;
	block->references = 1;
	return block;
}

struct block *block_ref(struct block *block)
{
	assert(block->references > 0);
	block->references++;
	return block;
}

void block_unref(struct block *block)
{
	if (!block)
		return;
	assert(block->references > 0);
	if (--block->references)
		return;
	in_use--;
	if (pool_count >= BLOCK_POOL_MAX) {
		free(block->data);
		free(block);
		return;
	}
	block->next = pool;
	pool = block;
	pool_count++;
}

static void pool_free_first(void)
{
	struct block *block = pool;
	pool = block->next;
	pool_count--;
	free(block->data);
	free(block);
}

void block_pool_trim(void)
{
	for (; pool_count_min; pool_count_min--)
		pool_free_first();
	pool_count_min = pool_count;
}

size_t blocks_in_use(void)
{
	return in_use;
}

void block_pool_release(void)
{
	while (pool)
		pool_free_first();
	pool_count_min = 0;
}

/* ---- a body in memory ---- */

struct slice_body {
	struct body body;
	struct slice left;
};

static int slice_body_next(struct body *body, struct chunk *ret_chunk)
{
	struct slice_body *self = (struct slice_body *)body;
	*ret_chunk = (struct chunk){NULL, self->left.data, self->left.length};
	self->left = SLICE_NONE;
	return 0;
}

struct body *body_from_slice(struct arena *arena, struct slice bytes)
{
	static const struct body_operations operations = {.co_next = slice_body_next};
	struct slice_body *self = arena_alloc(arena, sizeof(*self));
	self->body.operations = &operations;
	self->left = bytes;
	return &self->body;
}

int co_body_read_all(struct body *body, struct arena *arena, size_t bytes_max, struct slice *ret_bytes)
{
	struct buf collected = BUF_INIT;
	int error = 0;
	for (;;) {
		struct chunk chunk;
		error = co_body_next(body, &chunk);
		if (error || chunk.length == 0)
			break;
		bool fits = collected.length + chunk.length <= bytes_max;
		if (fits)
			buf_append(&collected, chunk.data, chunk.length);
		chunk_release(&chunk);
		if (!fits) {
			error = -EFBIG;
			break;
		}
	}
	if (!error)
		*ret_bytes = arena_slice(arena, buf_slice(&collected));
	buf_release(&collected);
	return error;
}

int co_body_drain(struct body *body, uint64_t bytes_max)
{
	uint64_t dropped = 0;
	for (;;) {
		struct chunk chunk;
		int error = co_body_next(body, &chunk);
		if (error || chunk.length == 0)
			return error;
		dropped += chunk.length;
		chunk_release(&chunk);
		if (dropped > bytes_max)
			return -EFBIG;
	}
}
