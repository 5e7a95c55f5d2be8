#include "lib/co/co_switch.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/memory.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif

#ifdef SWIFTLET_SANITIZER_address
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef SWIFTLET_SANITIZER_thread
#include <sanitizer/tsan_interface.h>
#endif

#ifdef SWIFTLET_UCONTEXT
#include <ucontext.h>
#else
/* Boost.Context 1.74, libs/context/src/asm: both routines have C linkage. */
struct transfer {
	void *context;
	void *data;
};
struct transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *stack_top, size_t bytes, void (*function)(struct transfer));
#endif

struct co_context {
	void *stack; /* lowest address with the guard page; NULL for a thread's own */
	size_t stack_bytes;
	void (*entry)(void *argument);
	void *argument;
	unsigned valgrind_id;
#ifdef SWIFTLET_UCONTEXT
	ucontext_t saved;
#else
	void *saved;
#endif
	const void *usable_bottom; /* as the address sanitizer wants it */
	size_t usable_bytes;
	void *fake_stack;
	void *fiber;
	struct co_context *came_from;
};

static void finish_switch(struct co_context *self)
{
#ifdef SWIFTLET_SANITIZER_address
	const void *bottom;
	size_t bytes;
	__sanitizer_finish_switch_fiber(self->fake_stack, &bottom, &bytes);
	struct co_context *previous = self->came_from;
	if (!previous->stack) {
		previous->usable_bottom = bottom;
		previous->usable_bytes = bytes;
	}
#else
	(void)self;
#endif
}

#ifdef SWIFTLET_UCONTEXT
static void trampoline(unsigned high, unsigned low)
{
	struct co_context *self = (struct co_context *)(((uintptr_t)high << 32) | low);
	finish_switch(self);
	self->entry(self->argument);
	abort();
}
#else
static void trampoline(struct transfer transfer)
{
	struct co_context *self = transfer.data;
	self->came_from->saved = transfer.context;
	finish_switch(self);
	self->entry(self->argument);
	abort();
}
#endif

struct co_context *co_context_new_thread(void)
{
	struct co_context *context = xcalloc(1, sizeof(*context));
#ifdef SWIFTLET_SANITIZER_thread
	context->fiber = __tsan_get_current_fiber();
#endif
	return context;
}

struct co_context *co_context_new(size_t stack_bytes, void (*entry)(void *), void *argument)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *stack = mmap(NULL, stack_bytes + page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (stack == MAP_FAILED)
		return NULL;
	if (mprotect(stack, page, PROT_NONE)) {
		(void)munmap(stack, stack_bytes + page);
		return NULL;
	}
	struct co_context *context = xcalloc(1, sizeof(*context));
	context->stack = stack;
	context->stack_bytes = stack_bytes + page;
	context->entry = entry;
	context->argument = argument;
	context->usable_bottom = stack + page;
	context->usable_bytes = stack_bytes;
	context->valgrind_id = VALGRIND_STACK_REGISTER(stack + page, stack + page + stack_bytes);
#ifdef SWIFTLET_SANITIZER_thread
	context->fiber = __tsan_create_fiber(0);
#endif
#ifdef SWIFTLET_UCONTEXT
	getcontext(&context->saved);
	context->saved.uc_stack.ss_sp = stack + page;
	context->saved.uc_stack.ss_size = stack_bytes;
	uintptr_t self = (uintptr_t)context;
	makecontext(&context->saved, (void (*)(void))trampoline, 2, (unsigned)(self >> 32), (unsigned)self);
#else
	context->saved = make_fcontext(stack + page + stack_bytes, stack_bytes, trampoline);
#endif
	return context;
}

void co_context_free(struct co_context *context)
{
	if (!context)
		return;
	if (context->stack) {
		VALGRIND_STACK_DEREGISTER(context->valgrind_id);
#ifdef SWIFTLET_SANITIZER_thread
		__tsan_destroy_fiber(context->fiber);
#endif
		(void)munmap(context->stack, context->stack_bytes);
	}
	free(context);
}

void co_context_switch(struct co_context *from, struct co_context *to)
{
	to->came_from = from;
#ifdef SWIFTLET_SANITIZER_address
	__sanitizer_start_switch_fiber(&from->fake_stack, to->usable_bottom, to->usable_bytes);
#endif
#ifdef SWIFTLET_SANITIZER_thread
	__tsan_switch_to_fiber(to->fiber, 0);
#endif
#ifdef SWIFTLET_UCONTEXT
	swapcontext(&from->saved, &to->saved);
#else
	struct transfer transfer = jump_fcontext(to->saved, to);
	from->came_from->saved = transfer.context;
#endif
	finish_switch(from);
}
