/*
 * Switching stacks: the one file that knows how. Boost.Context's assembler by default; swapcontext when built with
 * -DSWIFTLET_UCONTEXT. Tells the sanitizers and valgrind about every stack.
 */
#ifndef LIB_CO_CO_SWITCH_H
#define LIB_CO_CO_SWITCH_H

#include <stddef.h>

struct co_context; /* one side of a switch: a stack with an execution suspended on it */

/* The context of the calling thread's own stack. */
struct co_context *co_context_new_thread(void);
/* A context on a new stack that will run entry(argument); entry must never return. NULL when there is no memory. */
struct co_context *co_context_new(size_t stack_bytes, void (*entry)(void *argument), void *argument);
void co_context_free(struct co_context *context);
/* Suspends the caller in `from` and goes on in `to`. */
void co_context_switch(struct co_context *from, struct co_context *to);

#endif
