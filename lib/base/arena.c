#include "lib/base/arena.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/memory.h"

/*
 * The first chunk holds the arena itself; later chunks double up to CHUNK_BYTES_MAX. An allocation larger than a
 * chunk gets a chunk of its own.
 */
enum {
	CHUNK_BYTES_FIRST = 4096 - 32,
	CHUNK_BYTES_MAX = 64 * 1024,
	ALIGNMENT = 16,
	POOLED_SIZES = 3,  /* the first chunk's and the next two */
	POOLED_CHUNKS = 64 /* free ones kept per thread, of each size */
};

struct chunk {
	struct chunk *next;
	size_t used; /* bytes of data[] handed out */
	size_t size; /* bytes of data[] */
	char data[] __attribute__((aligned(ALIGNMENT)));
};

struct cleanup {
	struct cleanup *next;
	arena_cleanup_fn *run;
	void *argument;
};

struct arena {
	struct chunk *chunks;     /* newest first */
	struct cleanup *cleanups; /* newest first */
};

/*
 * Requests come and go by the ten thousand a second, and malloc() would give their memory back to the system and fetch
 * it again all the time: each thread keeps some. Sanitizers want to see every use after free, so nothing is kept there.
 */
struct pool {
	struct chunk *first;
	size_t count;
};

#if defined(SWIFTLET_SANITIZER_address) || defined(SWIFTLET_SANITIZER_thread)

static struct pool *pool_for(size_t size)
{
	(void)size;
	return NULL;
}

#else

static __thread struct pool pools[POOLED_SIZES];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end;

static void free_pools(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < POOLED_SIZES; i++) {
		while (pools[i].first) {
			struct chunk *chunk = pools[i].first;
			pools[i].first = chunk->next;
			free(chunk);
		}
		pools[i].count = 0;
	}
}

static void make_key(void)
{
	(void)pthread_key_create(&thread_end, free_pools);
}

/* NULL: chunks of this size are not kept. */
static struct pool *pool_for(size_t size)
{
	static __thread bool known;
	if (!known) {
		(void)pthread_once(&once, make_key);
		(void)pthread_setspecific(thread_end, pools);
		known = true;
	}
	for (size_t i = 0; i < POOLED_SIZES; i++)
		if (size == (size_t)CHUNK_BYTES_FIRST << i)
			return &pools[i];
	return NULL;
}

#endif

static struct chunk *chunk_new(size_t size)
{
	struct pool *pool = pool_for(size);
	struct chunk *chunk = pool ? pool->first : NULL;
	if (chunk) {
		pool->first = chunk->next;
		pool->count--;
	} else {
		chunk = xmalloc(sizeof(*chunk) + size);
	}
	chunk->next = NULL;
	chunk->used = 0;
	chunk->size = size;
	return chunk;
}

static void chunk_free(struct chunk *chunk)
{
	struct pool *pool = pool_for(chunk->size);
	if (!pool || pool->count == POOLED_CHUNKS) {
		free(chunk);
		return;
	}
	chunk->next = pool->first;
	pool->first = chunk;
	pool->count++;
}

static void *chunk_take(struct chunk *chunk, size_t bytes)
{
	void *memory = chunk->data + chunk->used;
	chunk->used += bytes;
	return memory;
}

struct arena *arena_new(void)
{
	struct chunk *chunk = chunk_new(CHUNK_BYTES_FIRST);
	struct arena *arena = chunk_take(chunk, sizeof(struct arena));
	arena->chunks = chunk;
	arena->cleanups = NULL;
	return arena;
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	for (struct cleanup *cleanup = arena->cleanups; cleanup; cleanup = cleanup->next)
		cleanup->run(cleanup->argument);
	struct chunk *chunk = arena->chunks;
	while (chunk) {
		struct chunk *next = chunk->next;
		chunk_free(chunk);
		chunk = next;
	}
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
	size_t rounded = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (rounded < bytes)
		memory_exhausted();
	struct chunk *newest = arena->chunks;
	if (newest->size - newest->used >= rounded)
		return chunk_take(newest, rounded);
	size_t size = newest->size * 2 > CHUNK_BYTES_MAX ? CHUNK_BYTES_MAX : newest->size * 2;
	struct chunk *chunk = chunk_new(rounded > size ? rounded : size);
	chunk->next = newest;
	arena->chunks = chunk;
	return chunk_take(chunk, rounded);
}

void *arena_zalloc(struct arena *arena, size_t bytes)
{
	return memset(arena_alloc(arena, bytes), 0, bytes);
}

char *arena_strndup(struct arena *arena, const char *data, size_t length)
{
	char *copy = arena_alloc(arena, length + 1);
	if (length)
		memcpy(copy, data, length);
	copy[length] = '\0';
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

/* The rest of the newest chunk is tried first, so most texts are formatted once. */
char *arena_vprintf(struct arena *arena, const char *format, va_list arguments)
{
	va_list again;
	va_copy(again, arguments);
	struct chunk *chunk = arena->chunks;
	char *text = chunk->data + chunk->used;
	size_t space = chunk->size - chunk->used;
	size_t length = (size_t)vsnprintf(space ? text : NULL, space, format, arguments);
	char *kept = arena_alloc(arena, length + 1);
	if (kept != text)
		(void)vsnprintf(kept, length + 1, format, again);
	va_end(again);
	return kept;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	char *text = arena_vprintf(arena, format, arguments);
	va_end(arguments);
	return text;
}

struct slice arena_slice(struct arena *arena, struct slice bytes)
{
	return slice_of(arena_strndup(arena, bytes.data, bytes.length), bytes.length);
}

void arena_defer(struct arena *arena, arena_cleanup_fn *run, void *argument)
{
	struct cleanup *cleanup = arena_alloc(arena, sizeof(*cleanup));
	cleanup->run = run;
	cleanup->argument = argument;
	cleanup->next = arena->cleanups;
	arena->cleanups = cleanup;
}
