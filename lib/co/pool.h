/*
 * A small pool of threads for blocking work (one per device), and the way for a coroutine to hand it some.
 */
#ifndef LIB_CO_POOL_H
#define LIB_CO_POOL_H

#include <stddef.h>

struct pool;

/* Starts `threads` threads named `name` (15 characters show in ps). Returns 0 or -errno. */
int pool_new(const char *name, size_t threads, struct pool **ret_pool);
/* Waits for the work that was handed in, ends the threads. NULL is accepted. */
void pool_free(struct pool *pool);
/* Jobs that wait or run. */
size_t pool_load(const struct pool *pool);

struct pool_job {
	void (*run)(void *argument); /* in a thread of the pool */
	void *argument;
	void (*done)(struct pool_job *job); /* in the same thread, after run */
	struct pool_job *next;              /* the pool's own */
};
/* Queues a job; the struct must live until done() was called. From any thread. */
void pool_submit(struct pool *pool, struct pool_job *job);

/* Runs function(argument) in the pool; the calling coroutine sleeps until it has returned. */
void co_offload(struct pool *pool, void (*function)(void *argument), void *argument);

#endif
