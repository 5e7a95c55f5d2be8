#include "lib/base/arena.h"

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

static struct chunk *chunk_new(size_t size)
{
	struct chunk *chunk = xmalloc(sizeof(*chunk) + size);
	chunk->next = NULL;
	chunk->used = 0;
	chunk->size = size;
	return chunk;
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
		free(chunk);
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

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list arguments, again;
	va_start(arguments, format);
	va_copy(again, arguments);
	int length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	char *text = arena_alloc(arena, (size_t)length + 1);
	(void)vsnprintf(text, (size_t)length + 1, format, again);
	va_end(again);
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
