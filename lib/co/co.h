/*
 * Coroutines and the event loop that runs them. One loop per thread; a coroutine stays on the loop that started it,
 * so what belongs to one loop needs no lock. Functions that may suspend the calling coroutine start with co_; no lock
 * may be held across one, and shared state must be read again after one.
 *
 * Life of a coroutine: co_start() takes one from the loop's pool and queues it; it runs until its function returns,
 * giving way only inside co_ functions; then it goes back to the pool. Stacks are CO_STACK_BYTES of reserved address
 * space with a guard page below; only touched pages cost memory.
 */
#ifndef LIB_CO_CO_H
#define LIB_CO_CO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct co;
struct loop;
struct event_base;

enum {
	CO_STACK_BYTES = 256 * 1024,
	/* idle coroutines kept per loop, and a PUT takes about seven; loop_trim() frees what is not in use for a while */
	CO_POOL_MAX = 1024,
	CO_TRANSACTION_BYTES = 192,
};

#define CO_FOREVER UINT64_MAX

/* ---- loops ---- */

/* A loop for the calling thread. Returns 0 or -errno. */
int loop_new(struct loop **ret_loop);
/* Frees it; no coroutine may be left on it. NULL is accepted. */
void loop_free(struct loop *loop);
/* Makes `loop` the calling thread's loop and runs it until loop_stop(). */
void loop_run(struct loop *loop);
/* Ends loop_run(). From any thread. */
void loop_stop(struct loop *loop);
/* The loop that the calling thread runs, or NULL. */
struct loop *loop_current(void);
struct event_base *loop_event_base(struct loop *loop);
/* Coroutines that have not returned yet. */
size_t loop_coroutines(const struct loop *loop);
/* To be called every few seconds on the loop's thread: frees the idle coroutines that nobody needed since the last call. */
void loop_trim(struct loop *loop);
/* Milliseconds of the monotonic clock, read once per turn of the current loop (or now, outside of one). */
uint64_t loop_now_ms(void);

/* A call that another thread wants made on a loop. The struct must live until `call` runs. */
struct loop_message {
	void (*call)(struct loop_message *message);
	struct loop_message *next; /* the loop's own */
};
/* From any thread. */
void loop_post(struct loop *loop, struct loop_message *message);
/* Makes the call on the current loop once those who are ready now have run, before it waits for events: for what is
 * better done once for many. */
void loop_defer(struct loop_message *message);

/* ---- coroutines ---- */

typedef void co_function(void *argument);

/*
 * The transaction id of the request that the running coroutine works for, for the log: copied (and cut after
 * CO_TRANSACTION_BYTES); "" for none. Coroutines that it starts, and work that it offloads, have the same one. No effect
 * outside of a coroutine.
 */
void co_set_transaction(const char *transaction);
/* That of the running coroutine; "" when it has none. Valid as long as the coroutine runs. */
const char *co_transaction(void);

/* Queues a new coroutine on the calling thread's loop; it starts when the caller gives way. */
struct co *co_start(co_function *function, void *argument);
/* The running coroutine, or NULL on the loop's own stack. */
struct co *co_self(void);
/* Sleeps until co_wake(); may also return without one: callers loop around their condition. */
void co_suspend(void);
/* The same with a deadline in loop_now_ms() terms. 0, or -ETIMEDOUT. */
int co_suspend_until(uint64_t deadline_ms);
/* Makes a coroutine of the same loop ready to run. No effect when it already is. */
void co_wake(struct co *co);
void co_sleep_ms(uint64_t duration_ms);
/* Lets everybody else who is ready run once. */
void co_yield (void);

/* Now + duration, saturating: duration CO_FOREVER gives CO_FOREVER. */
uint64_t deadline_after_ms(uint64_t duration_ms);

/* A list of coroutines that wait for one thing. */
struct co_signal {
	struct co *waiting; /* one waiter; more are a mistake and stop the process */
};
/* Wakes the waiter, if any. */
void co_signal_raise(struct co_signal *signal);
/* Sleeps until raised or the deadline: 0 or -ETIMEDOUT; may return 0 without a cause: loop around the condition. */
int co_signal_wait(struct co_signal *signal, uint64_t deadline_ms);

#endif
