/*
 * Chunks on their way from a coroutine to a thread. The coroutine goes on pulling while the thread works, and a change
 * of threads, which costs as much as the work on a chunk, is made for several at once.
 */
#ifndef LIB_HTTP_CHUNK_PIPE_H
#define LIB_HTTP_CHUNK_PIPE_H

#include "lib/co/pool.h"
#include "lib/http/body.h"

enum { CHUNK_PIPE_MAX = 4 }; /* chunks that gather, and as many again that are being worked on */

struct chunk_pipe;

/* In a thread of the pool, one call at a time, chunks in order, when CHUNK_PIPE_MAX have gathered and at
 * the end. 0, or a negative error that ends it: what comes later
 * is dropped. */
typedef int chunk_pipe_function(void *argument, const struct chunk *chunks, size_t count);

struct chunk_pipe *chunk_pipe_new(struct pool *pool, chunk_pipe_function *function, void *argument);

/* Hands the chunk over, and its reference with it. Sleeps while a thread works and enough have gathered. 0, or the function's error as soon as it
 * is known. */
int co_chunk_pipe_push(struct chunk_pipe *pipe, const struct chunk *chunk);

/* Sleeps until everything was worked on. 0 or the function's error. */
int co_chunk_pipe_drain(struct chunk_pipe *pipe);

/* Drains and frees. NULL is accepted. */
void co_chunk_pipe_free(struct chunk_pipe *pipe);

#endif
