/*
 * Heap memory that is never NULL. Every use of memory that a client or peer can grow is bounded before it is asked
 * for, so an allocation that fails is a broken machine, and the process stops with one line instead of limping on.
 */
#ifndef LIB_BASE_MEMORY_H
#define LIB_BASE_MEMORY_H

#include <stddef.h>

void *xmalloc(size_t bytes);
void *xcalloc(size_t count, size_t bytes);
void *xrealloc(void *memory, size_t bytes);
char *xstrdup(const char *text);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says "out of memory" on standard error and aborts. */
void memory_exhausted(void) __attribute__((noreturn));

/* Scope cleanup: `_cleanup_free_ char *text = …`. */
void memory_free_pointer(void *pointer_to_pointer);
#define _cleanup_free_ __attribute__((cleanup(memory_free_pointer)))

#endif
