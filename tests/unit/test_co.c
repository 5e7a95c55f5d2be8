#include "lib/co/co.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/co/pool.h"

/* Below the number of fibers that the thread sanitizer can tell apart. */
#ifdef SWIFTLET_SANITIZER_thread
enum { MANY = 1000 };
#else
enum { MANY = 10000 };
#endif

static uint64_t clock_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- running a test in a coroutine ---- */

static struct {
	struct loop_message message;
	co_function *co_test;
	struct loop *loop;
} run;

static void run_test_body(void *argument)
{
	run.co_test(argument);
	assert_int_equal(loop_coroutines(run.loop), 1);
	loop_stop(run.loop);
}

static void run_start(struct loop_message *message)
{
	(void)message;
	assert_null(co_self());
	assert_ptr_equal(loop_current(), run.loop);
	co_start(run_test_body, NULL);
}

static void run_in_loop(co_function *co_test)
{
	run.message.call = run_start;
	run.co_test = co_test;
	assert_null(loop_current());
	assert_int_equal(loop_new(&run.loop), 0);
	loop_post(run.loop, &run.message);
	loop_run(run.loop);
	assert_null(loop_current());
	assert_int_equal(loop_coroutines(run.loop), 0);
	loop_free(run.loop);
}

/* ---- order ---- */

static char trace[64];

static void note(const char *letter)
{
	size_t length = strlen(trace);
	trace[length] = *letter;
	trace[length + 1] = '\0';
}

static void noter(void *letter)
{
	note(letter);
	co_yield ();
	note(letter);
}

static void co_order(void *argument)
{
	(void)argument;
	trace[0] = '\0';
	co_start(noter, "a");
	co_start(noter, "b");
	note("0");
	co_yield ();
	note("1");
	co_yield ();
	note("2");
	co_yield ();
	assert_string_equal(trace, "0ab1ab2");
}

static void co__runs_in_turns(void **state)
{
	(void)state;
	run_in_loop(co_order);
}

/* ---- waking and sleeping ---- */

static struct co *sleeper;
static int wakes;
static bool sleeper_done;

static void sleep_thrice(void *argument)
{
	(void)argument;
	for (int i = 0; i < 3; i++) {
		co_suspend();
		wakes++;
	}
	sleeper_done = true;
}

static void co_wakes(void *argument)
{
	(void)argument;
	wakes = 0;
	sleeper_done = false;
	sleeper = co_start(sleep_thrice, NULL);
	co_yield ();
	for (int i = 1; i <= 3; i++) {
		/* twice is once */
		co_wake(sleeper);
		co_wake(sleeper);
		assert_int_equal(wakes, i - 1);
		co_yield ();
		assert_int_equal(wakes, i);
	}
	assert_true(sleeper_done);
}

static void co__wake_is_counted_once(void **state)
{
	(void)state;
	run_in_loop(co_wakes);
}

static int finished_order[3];
static int finished;

static void sleep_for(void *duration)
{
	co_sleep_ms((uint64_t)(uintptr_t)duration);
	finished_order[finished++] = (int)(uintptr_t)duration;
}

static void co_sleeps(void *argument)
{
	(void)argument;
	finished = 0;
	uint64_t start_ms = clock_now_ms();
	co_start(sleep_for, (void *)60);
	co_start(sleep_for, (void *)20);
	co_start(sleep_for, (void *)40);
	co_sleep_ms(100);
	assert_in_range(clock_now_ms() - start_ms, 99, 1000);
	assert_int_equal(finished, 3);
	assert_int_equal(finished_order[0], 20);
	assert_int_equal(finished_order[1], 40);
	assert_int_equal(finished_order[2], 60);
	co_sleep_ms(0);
}

static void co__sleeps(void **state)
{
	(void)state;
	run_in_loop(co_sleeps);
}

static void wake_later(void *co)
{
	co_sleep_ms(20);
	co_wake(co);
}

static void co_deadlines(void *argument)
{
	(void)argument;
	uint64_t start_ms = clock_now_ms();
	while (co_suspend_until(start_ms + 30) == 0)
		continue;
	assert_in_range(clock_now_ms() - start_ms, 29, 500);
	/* in the past: at once */
	assert_int_equal(co_suspend_until(clock_now_ms()), -ETIMEDOUT);
	assert_int_equal(co_suspend_until(0), -ETIMEDOUT);
	/* woken first: the timer must not fire into a later sleep */
	start_ms = clock_now_ms();
	co_start(wake_later, co_self());
	assert_int_equal(co_suspend_until(start_ms + 60), 0);
	assert_in_range(clock_now_ms() - start_ms, 15, 58);
	co_sleep_ms(100);
	assert_in_range(clock_now_ms() - start_ms, 115, 1000);
	co_start(wake_later, co_self());
	assert_int_equal(co_suspend_until(CO_FOREVER), 0);
	assert_true(deadline_after_ms(CO_FOREVER) == CO_FOREVER);
	assert_true(deadline_after_ms(CO_FOREVER - 5) == CO_FOREVER);
	assert_true(deadline_after_ms(10) == loop_now_ms() + 10);
}

static void co__deadlines(void **state)
{
	(void)state;
	run_in_loop(co_deadlines);
}

/* ---- signals ---- */

static struct co_signal signal_;
static bool condition;

static void raise_later(void *argument)
{
	(void)argument;
	co_sleep_ms(10);
	co_signal_raise(&signal_); /* without its cause */
	co_sleep_ms(10);
	condition = true;
	co_signal_raise(&signal_);
	co_signal_raise(&signal_);
}

static void co_signals(void *argument)
{
	(void)argument;
	condition = false;
	co_signal_raise(&signal_); /* nobody waits */
	co_start(raise_later, NULL);
	int rounds = 0;
	while (!condition) {
		assert_int_equal(co_signal_wait(&signal_, deadline_after_ms(1000)), 0);
		rounds++;
	}
	assert_int_equal(rounds, 2);
	assert_int_equal(co_signal_wait(&signal_, deadline_after_ms(20)), -ETIMEDOUT);
	assert_null(signal_.waiting);
}

static void co__signals(void **state)
{
	(void)state;
	run_in_loop(co_signals);
}

/* ---- the loop's clock ---- */

static uint64_t lag_ms;
static bool timer_fired;

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	(void)argument;
	lag_ms = clock_now_ms() - loop_now_ms();
	timer_fired = true;
}

static void co_clock(void *argument)
{
	(void)argument;
	struct event *timer = evtimer_new(loop_event_base(loop_current()), on_timer, NULL);
	struct timeval duration = {0, 100 * 1000};
	timer_fired = false;
	evtimer_add(timer, &duration);
	co_sleep_ms(150);
	assert_true(timer_fired);
	assert_in_range(lag_ms, 0, 50);
	event_free(timer);
}

static void co__clock_is_fresh_in_events(void **state)
{
	(void)state;
	run_in_loop(co_clock);
}

/* ---- many ---- */

static int alive;

static void live_a_little(void *argument)
{
	volatile char frame[512];
	memset((void *)frame, (int)(uintptr_t)argument, sizeof(frame));
	alive++;
	co_sleep_ms((uintptr_t)argument % 20);
	co_yield ();
	assert_int_equal((unsigned char)frame[sizeof(frame) - 1], (uintptr_t)argument & 0xff);
	alive--;
}

static void co_many(void *argument)
{
	(void)argument;
	/* the second time with coroutines and stacks that were used before, the third time without */
	for (int round = 0; round < 3; round++) {
		for (uintptr_t i = 0; i < MANY; i++)
			co_start(live_a_little, (void *)i);
		assert_int_equal(loop_coroutines(loop_current()), MANY + 1);
		co_yield ();
		assert_int_equal(alive, MANY);
		while (loop_coroutines(loop_current()) > 1)
			co_sleep_ms(5);
		assert_int_equal(alive, 0);
		if (round == 0)
			continue;
		loop_trim(loop_current());
		loop_trim(loop_current());
	}
}

static void co__ten_thousand(void **state)
{
	(void)state;
	run_in_loop(co_many);
}

/* ---- other threads ---- */

static struct pool *pool;

struct job {
	int number;
	int result;
	pthread_t thread;
};

static void work(void *argument)
{
	struct job *job = argument;
	usleep(1000);
	job->result = job->number * 2;
	job->thread = pthread_self();
}

static int offloaded;

static void offload_some(void *argument)
{
	struct job job = {.number = (int)(uintptr_t)argument};
	for (int i = 0; i < 5; i++) {
		job.result = -1;
		co_offload(pool, work, &job);
		assert_int_equal(job.result, job.number * 2);
		assert_false(pthread_equal(job.thread, pthread_self()));
		job.number++;
	}
	offloaded++;
}

static void co_offloads(void *argument)
{
	(void)argument;
	offloaded = 0;
	assert_int_equal(pool_new("test", 3, &pool), 0);
	for (uintptr_t i = 0; i < 50; i++)
		co_start(offload_some, (void *)i);
	co_yield ();
	assert_in_range(pool_load(pool), 1, 50);
	while (offloaded < 50)
		co_sleep_ms(5);
	assert_int_equal(pool_load(pool), 0);
	pool_free(pool);
	pool_free(NULL);
}

static void pool__offload_from_several_coroutines(void **state)
{
	(void)state;
	run_in_loop(co_offloads);
}

static void count_up(void *argument)
{
	usleep(2000);
	atomic_fetch_add((atomic_int *)argument, 1);
}

static void count_done(struct pool_job *job)
{
	free(job);
}

static void pool__free_waits_for_the_work(void **state)
{
	(void)state;
	atomic_int count = 0;
	assert_int_equal(pool_new("test", 2, &pool), 0);
	for (int i = 0; i < 20; i++) {
		struct pool_job *job = calloc(1, sizeof(*job));
		*job = (struct pool_job){.run = count_up, .argument = &count, .done = count_done};
		pool_submit(pool, job);
	}
	pool_free(pool);
	assert_int_equal(atomic_load(&count), 20);
}

enum { POSTERS = 4, POSTS = 2000 };

static int received[POSTERS];
static int received_total;

struct numbered {
	struct loop_message message;
	int poster;
	int number;
};

static void on_message(struct loop_message *message)
{
	struct numbered *numbered = (struct numbered *)message;
	/* each thread's messages keep their order */
	assert_int_equal(received[numbered->poster], numbered->number);
	received[numbered->poster]++;
	received_total++;
	free(numbered);
}

static void *post_many(void *argument)
{
	for (int i = 0; i < POSTS; i++) {
		struct numbered *numbered = calloc(1, sizeof(*numbered));
		*numbered = (struct numbered){{.call = on_message}, (int)(uintptr_t)argument, i};
		loop_post(run.loop, &numbered->message);
		if (i % 100 == 0)
			usleep(100);
	}
	return NULL;
}

static void co_messages(void *argument)
{
	(void)argument;
	pthread_t threads[POSTERS];
	memset(received, 0, sizeof(received));
	received_total = 0;
	for (uintptr_t i = 0; i < POSTERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, post_many, (void *)i), 0);
	for (int i = 0; i < 1000 && received_total < POSTERS * POSTS; i++)
		co_sleep_ms(5);
	assert_int_equal(received_total, POSTERS * POSTS);
	for (int i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
}

static void loop__messages_of_other_threads(void **state)
{
	(void)state;
	run_in_loop(co_messages);
}

static void note_message(struct loop_message *message)
{
	(void)message;
	note("m");
}

static void defer_and_note(void *message)
{
	note("a");
	loop_defer(message);
	note("b");
}

static void co_deferred(void *argument)
{
	(void)argument;
	struct loop_message messages[2] = {{.call = note_message}, {.call = note_message}};
	trace[0] = '\0';
	co_start(defer_and_note, &messages[0]);
	co_start(defer_and_note, &messages[1]);
	co_yield ();
	co_yield ();
	assert_string_equal(trace, "ababmm");
}

static void loop__deferred_calls_end_the_turn(void **state)
{
	(void)state;
	run_in_loop(co_deferred);
}

static void *stop_later(void *loop)
{
	usleep(50000);
	loop_stop(loop);
	return NULL;
}

static void loop__stops_from_another_thread(void **state)
{
	(void)state;
	struct loop *loop;
	pthread_t thread;
	assert_int_equal(loop_new(&loop), 0);
	for (int i = 0; i < 3; i++) {
		uint64_t start_ms = clock_now_ms();
		assert_int_equal(pthread_create(&thread, NULL, stop_later, loop), 0);
		loop_run(loop);
		assert_in_range(clock_now_ms() - start_ms, 45, 1000);
		pthread_join(thread, NULL);
	}
	/* before it runs: at once */
	loop_stop(loop);
	loop_run(loop);
	loop_free(loop);
	loop_free(NULL);
}

/* ---- the transaction that lines of the log belong to ---- */

struct heir {
	char text[CO_TRANSACTION_BYTES];
	struct co_signal done;
	bool ended;
};

static void inherit(void *argument)
{
	struct heir *heir = argument;
	(void)snprintf(heir->text, sizeof(heir->text), "%s", co_transaction());
	/* its own from now on */
	co_set_transaction("tx-other");
	co_yield ();
	heir->ended = true;
	co_signal_raise(&heir->done);
}

/* In a thread of the pool: what would be logged there. */
static void log_a_line(void *argument)
{
	(void)argument;
	log_error("in the pool");
}

/* Runs co_step() with standard error in a file, and hands out what was written. */
static void co_captured(void (*co_step)(void *argument), void *argument, char *text, size_t size)
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	assert_non_null(file);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	co_step(argument);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	rewind(file);
	text[fread(text, 1, size - 1, file)] = '\0';
	(void)fclose(file);
}

static void co_log_here(void *argument)
{
	(void)argument;
	log_error("in the coroutine");
}

static void co_log_in_pool(void *threads)
{
	co_offload(threads, log_a_line, NULL);
}

static void co_transactions(void *argument)
{
	(void)argument;
	struct heir heir = {.ended = false};
	char text[1000];
	struct pool *threads;
	assert_string_equal(co_transaction(), "");
	co_set_transaction("tx-mine");
	co_start(inherit, &heir);
	while (!heir.ended)
		(void)co_signal_wait(&heir.done, CO_FOREVER);
	assert_string_equal(heir.text, "tx-mine");
	assert_string_equal(co_transaction(), "tx-mine");
	co_captured(co_log_here, NULL, text, sizeof(text));
	assert_non_null(strstr(text, "error: in the coroutine (txn: tx-mine)\n"));
	assert_int_equal(pool_new("test", 1, &threads), 0);
	co_captured(co_log_in_pool, threads, text, sizeof(text));
	assert_non_null(strstr(text, "error: in the pool (txn: tx-mine)\n"));
	char longer[2 * CO_TRANSACTION_BYTES];
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	co_set_transaction(longer);
	assert_int_equal(strlen(co_transaction()), CO_TRANSACTION_BYTES - 1);
	/* a coroutine of the pool has nothing from an earlier life */
	co_set_transaction("");
	heir = (struct heir){.ended = false};
	co_start(inherit, &heir);
	while (!heir.ended)
		(void)co_signal_wait(&heir.done, CO_FOREVER);
	assert_string_equal(heir.text, "");
	co_captured(co_log_in_pool, threads, text, sizeof(text));
	assert_null(strstr(text, "txn"));
	pool_free(threads);
}

static void co__transactions_are_inherited(void **state)
{
	(void)state;
	run_in_loop(co_transactions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(co__runs_in_turns),
		cmocka_unit_test(co__wake_is_counted_once),
		cmocka_unit_test(co__sleeps),
		cmocka_unit_test(co__deadlines),
		cmocka_unit_test(co__signals),
		cmocka_unit_test(co__clock_is_fresh_in_events),
		cmocka_unit_test(co__ten_thousand),
		cmocka_unit_test(co__transactions_are_inherited),
		cmocka_unit_test(pool__offload_from_several_coroutines),
		cmocka_unit_test(pool__free_waits_for_the_work),
		cmocka_unit_test(loop__messages_of_other_threads),
		cmocka_unit_test(loop__deferred_calls_end_the_turn),
		cmocka_unit_test(loop__stops_from_another_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
