#include "lib/co/co.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/co/co_switch.h"

struct co {
	struct co_context *context;
	struct loop *loop;
	co_function *function; /* NULL while in the pool */
	void *argument;
	struct co *next; /* in the ready queue or in the pool */
	bool ready;      /* is in the ready queue */
	bool timed_out;
	struct event timer;
	bool timer_made;
	char transaction[CO_TRANSACTION_BYTES]; /* for the log */
};

struct loop {
	struct event_base *base;
	struct co_context *own; /* the thread's stack */
	struct co *running;
	struct co *ready_first;
	struct co **ready_last;
	struct co *pool;
	size_t pool_count;
	size_t pool_count_min; /* since the last loop_trim() */
	size_t coroutines;
	uint64_t now_ms; /* 0: not read yet in this turn */
	atomic_bool stopping;
	/* messages of other threads */
	pthread_mutex_t lock;
	struct loop_message *messages_first;
	struct loop_message **messages_last;
	int wake_fd;
	struct event *wake_event;
	/* of this thread, for the end of the turn */
	struct loop_message *deferred_first;
	struct loop_message **deferred_last;
};

static __thread struct loop *current_loop;

static uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_wake(evutil_socket_t fd, short what, void *argument)
{
	(void)what;
	struct loop *loop = argument;
	uint64_t count;
	(void)!read(fd, &count, sizeof(count));
	pthread_mutex_lock(&loop->lock);
	struct loop_message *message = loop->messages_first;
	loop->messages_first = NULL;
	loop->messages_last = &loop->messages_first;
	pthread_mutex_unlock(&loop->lock);
	while (message) {
		struct loop_message *next = message->next;
		message->call(message);
		message = next;
	}
}

int loop_new(struct loop **ret_loop)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));
	pthread_mutex_init(&loop->lock, NULL);
	loop->ready_last = &loop->ready_first;
	loop->messages_last = &loop->messages_first;
	loop->deferred_last = &loop->deferred_first;
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct event_config *config = event_config_new();
	(void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	(void)event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	if (loop->wake_fd < 0 || !loop->base) {
		int error = errno ? -errno : -ENOMEM;
		loop_free(loop);
		return error;
	}
	loop->wake_event = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
	event_add(loop->wake_event, NULL);
	*ret_loop = loop;
	return 0;
}

static void co_destroy(struct co *co)
{
	co_context_free(co->context);
	free(co);
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	while (loop->pool) {
		struct co *co = loop->pool;
		loop->pool = co->next;
		co_destroy(co);
	}
	if (loop->wake_event)
		event_free(loop->wake_event);
	if (loop->base)
		event_base_free(loop->base);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	co_context_free(loop->own);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

struct loop *loop_current(void)
{
	return current_loop;
}

struct event_base *loop_event_base(struct loop *loop)
{
	return loop->base;
}

size_t loop_coroutines(const struct loop *loop)
{
	return loop->coroutines;
}

uint64_t loop_now_ms(void)
{
	if (!current_loop)
		return clock_ms();
	if (!current_loop->now_ms)
		current_loop->now_ms = clock_ms();
	return current_loop->now_ms;
}

uint64_t deadline_after_ms(uint64_t duration_ms)
{
	uint64_t now = loop_now_ms();
	return duration_ms > CO_FOREVER - now ? CO_FOREVER : now + duration_ms;
}

/* ---- running ---- */

static struct co *ready_pop(struct loop *loop)
{
	struct co *co = loop->ready_first;
	loop->ready_first = co->next;
	if (!loop->ready_first)
		loop->ready_last = &loop->ready_first;
	co->next = NULL;
	co->ready = false;
	return co;
}

static void ready_push(struct loop *loop, struct co *co)
{
	co->ready = true;
	co->next = NULL;
	*loop->ready_last = co;
	loop->ready_last = &co->next;
}

static void pool_put(struct loop *loop, struct co *co)
{
	co->function = NULL;
	loop->coroutines--;
	if (loop->pool_count >= CO_POOL_MAX) {
		co_destroy(co);
		return;
	}
	co->next = loop->pool;
	loop->pool = co;
	loop->pool_count++;
}

void loop_trim(struct loop *loop)
{
	for (; loop->pool_count_min; loop->pool_count_min--, loop->pool_count--) {
		struct co *co = loop->pool;
		loop->pool = co->next;
		co_destroy(co);
	}
	loop->pool_count_min = loop->pool_count;
}

static void resume(struct loop *loop, struct co *co)
{
	loop->running = co;
	log_set_transaction(co->transaction);
	co_context_switch(loop->own, co->context);
	log_set_transaction(NULL);
	loop->running = NULL;
	if (!co->function)
		pool_put(loop, co);
}

/* Runs what was ready at the start of the turn; what becomes ready meanwhile waits for the next, after the events. */
static void run_ready(struct loop *loop)
{
	struct co **end = loop->ready_last;
	while (loop->ready_first) {
		bool last = &loop->ready_first->next == end;
		resume(loop, ready_pop(loop));
		if (last)
			break;
	}
}

static void run_deferred(struct loop *loop)
{
	struct loop_message *message = loop->deferred_first;
	loop->deferred_first = NULL;
	loop->deferred_last = &loop->deferred_first;
	while (message) {
		struct loop_message *next = message->next;
		message->call(message);
		message = next;
	}
}

void loop_run(struct loop *loop)
{
	assert(!current_loop);
	current_loop = loop;
	log_gather();
	if (!loop->own)
		loop->own = co_context_new_thread();
	while (!atomic_load_explicit(&loop->stopping, memory_order_relaxed)) {
		run_ready(loop);
		run_deferred(loop);
		log_flush();
		/* a turn begins with its events: how long the wait for them took must not be missing from the clock */
		loop->now_ms = 0;
		int flags = EVLOOP_ONCE | (loop->ready_first ? EVLOOP_NONBLOCK : 0);
		(void)event_base_loop(loop->base, flags);
	}
	log_gather_end();
	/* whoever asked is done with the loop then: the caller may free it */
	pthread_mutex_lock(&loop->lock);
	atomic_store(&loop->stopping, false);
	pthread_mutex_unlock(&loop->lock);
	current_loop = NULL;
}

/* Under the lock: once it is released, the loop may be gone. */
static void interrupt_wait(struct loop *loop)
{
	uint64_t one = 1;
	(void)!write(loop->wake_fd, &one, sizeof(one));
}

void loop_stop(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	atomic_store(&loop->stopping, true);
	interrupt_wait(loop);
	pthread_mutex_unlock(&loop->lock);
}

void loop_post(struct loop *loop, struct loop_message *message)
{
	message->next = NULL;
	pthread_mutex_lock(&loop->lock);
	bool first = !loop->messages_first;
	*loop->messages_last = message;
	loop->messages_last = &message->next;
	if (first)
		interrupt_wait(loop);
	pthread_mutex_unlock(&loop->lock);
}

void loop_defer(struct loop_message *message)
{
	struct loop *loop = current_loop;
	message->next = NULL;
	*loop->deferred_last = message;
	loop->deferred_last = &message->next;
}

/* ---- coroutines ---- */

static void co_main(void *argument)
{
	struct co *co = argument;
	for (;;) {
		co->function(co->argument);
		co->function = NULL;
		co_context_switch(co->context, co->loop->own);
	}
}

static struct co *co_create(struct loop *loop)
{
	struct co *co = xcalloc(1, sizeof(*co));
	co->loop = loop;
	co->context = co_context_new(CO_STACK_BYTES, co_main, co);
	if (!co->context)
		memory_exhausted();
	return co;
}

static void copy_transaction(struct co *co, const char *transaction)
{
	size_t length = strnlen(transaction, sizeof(co->transaction) - 1);
	memmove(co->transaction, transaction, length);
	co->transaction[length] = '\0';
}

void co_set_transaction(const char *transaction)
{
	struct co *self = co_self();
	if (self)
		copy_transaction(self, transaction);
}

const char *co_transaction(void)
{
	struct co *self = co_self();
	return self ? self->transaction : "";
}

struct co *co_start(co_function *function, void *argument)
{
	struct loop *loop = current_loop;
	assert(loop);
	struct co *co = loop->pool;
	if (co) {
		loop->pool = co->next;
		if (--loop->pool_count < loop->pool_count_min)
			loop->pool_count_min = loop->pool_count;
	} else {
		co = co_create(loop);
	}
	co->function = function;
	co->argument = argument;
	copy_transaction(co, co_transaction());
	loop->coroutines++;
	ready_push(loop, co);
	return co;
}

struct co *co_self(void)
{
	return current_loop ? current_loop->running : NULL;
}

void co_suspend(void)
{
	struct co *self = co_self();
	assert(self);
	co_context_switch(self->context, self->loop->own);
}

void co_wake(struct co *co)
{
	assert(co->loop == current_loop);
	assert(co->function);
	if (!co->ready)
		ready_push(co->loop, co);
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	struct co *co = argument;
	co->timed_out = true;
	co_wake(co);
}

int co_suspend_until(uint64_t deadline_ms)
{
	struct co *self = co_self();
	assert(self);
	if (deadline_ms == CO_FOREVER) {
		co_suspend();
		return 0;
	}
	uint64_t now = clock_ms();
	if (deadline_ms <= now)
		return -ETIMEDOUT;
	if (!self->timer_made) {
		evtimer_assign(&self->timer, self->loop->base, on_timer, self);
		self->timer_made = true;
	}
	uint64_t left = deadline_ms - now;
	struct timeval duration = {(time_t)(left / 1000), (suseconds_t)(left % 1000) * 1000};
	self->timed_out = false;
	evtimer_add(&self->timer, &duration);
	co_suspend();
	if (self->timed_out)
		return -ETIMEDOUT;
	evtimer_del(&self->timer);
	return 0;
}

void co_sleep_ms(uint64_t duration_ms)
{
	uint64_t deadline = clock_ms() + duration_ms;
	while (co_suspend_until(deadline) == 0)
		continue;
}

void co_yield (void)
{
	co_wake(co_self());
	co_suspend();
}

void co_signal_raise(struct co_signal *signal)
{
	if (signal->waiting)
		co_wake(signal->waiting);
}

int co_signal_wait(struct co_signal *signal, uint64_t deadline_ms)
{
	assert(!signal->waiting);
	signal->waiting = co_self();
	int result = co_suspend_until(deadline_ms);
	signal->waiting = NULL;
	return result;
}
