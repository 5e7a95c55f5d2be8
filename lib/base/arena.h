/*
 * Memory and cleanups that live as long as one unit of work (a request, a parse). Allocate freely, release once.
 * An arena belongs to one coroutine or thread; it is not locked.
 */
#ifndef LIB_BASE_ARENA_H
#define LIB_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "lib/base/slice.h"

struct arena;

typedef void arena_cleanup_fn(void *argument);

/* A new empty arena. Never NULL: running out of memory stops the process. */
struct arena *arena_new(void);

/* Runs the cleanups, newest first, then frees every byte and the arena itself. NULL is accepted. */
void arena_free(struct arena *arena);

/* `bytes` of memory aligned for any type, contents undefined. Never NULL. */
void *arena_alloc(struct arena *arena, size_t bytes);

/* The same, filled with zeros. */
void *arena_zalloc(struct arena *arena, size_t bytes);

/* NUL-terminated copies. arena_strdup(NULL) is NULL. */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *data, size_t length);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list arguments);

/* A copy of the bytes (with a NUL after them for debuggers; the length does not count it). */
struct slice arena_slice(struct arena *arena, struct slice bytes);

/* Registers `cleanup(argument)` to run at arena_free(). */
void arena_defer(struct arena *arena, arena_cleanup_fn *cleanup, void *argument);

#endif
