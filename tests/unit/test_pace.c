#include "lib/co/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/co/co.h"

static int changes;
static bool room;

static bool on_changed(struct co_pace *pace)
{
	(void)pace;
	changes++;
	return room;
}

enum outcome { FAST, SLOW, OVER };

/* Waits of one length in which so many bytes came; the outcome of the last judgement, and how often `changed` was told. */
static void pace__judges(void **state)
{
	(void)state;
	static const struct {
		uint64_t rate_min;
		uint64_t window_ms;
		int waits;
		uint64_t wait_ms;
		uint64_t bytes;
		enum outcome outcome;
		int changes;
	} cases[] = {
		{500, 60000, 0, 0, 0, FAST, 0},
		{500, 60000, 1, 999, 0, FAST, 0},           /* within the grace */
		{500, 60000, 1, 1000, 0, SLOW, 1},          /* silent */
		{500, 60000, 1, 1000, 499, SLOW, 1},        /* just below */
		{500, 60000, 1, 1000, 500, FAST, 0},        /* just at it */
		{500, 60000, 100, 100, 50, FAST, 0},        /* at it in small steps */
		{500, 60000, 100, 100, 49, SLOW, 1},        /* below it in small steps */
		{500, 60000, 59, 1000, 1, SLOW, 1},         /* for long */
		{500, 60000, 60, 1000, 1, OVER, 1},         /* too long */
		{500, 60000, 60, 1000, 499, OVER, 1},       /* nearly fast enough */
		{500, CO_FOREVER, 10000, 1000, 1, SLOW, 1}, /* never given up */
		{0, 60000, 1000, 1000, 0, FAST, 0},         /* no rate */
		{500, 0, 1, 1000, 0, OVER, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct co_pace pace = {
			.rate_min = cases[i].rate_min, .window_ms = cases[i].window_ms, .changed = on_changed};
		uint64_t check_ms = 0;
		changes = 0;
		room = true;
		int error = co_pace_judge(&pace, &check_ms);
		for (int wait = 0; !error && wait < cases[i].waits; wait++) {
			co_pace_count_wait(&pace, cases[i].wait_ms);
			co_pace_count_bytes(&pace, cases[i].bytes);
			error = co_pace_judge(&pace, &check_ms);
			assert_in_range(check_ms, CO_PACE_GRACE_MS, CO_PACE_CHECK_MAX_MS);
		}
		enum outcome outcome = error ? OVER : pace.slow ? SLOW : FAST;
		if (outcome != cases[i].outcome || changes != cases[i].changes)
			fail_msg("case %zu: outcome %d after %d changes", i, outcome, changes);
	}
}

/* Bytes that came fast once are no credit; a slow peer that catches up is fast again. */
static void pace__forgets(void **state)
{
	(void)state;
	struct co_pace pace = {.rate_min = 500, .window_ms = 60000, .changed = on_changed};
	uint64_t check_ms;
	changes = 0;
	room = true;
	co_pace_count_bytes(&pace, 1000000000);
	assert_int_equal(co_pace_judge(&pace, &check_ms), 0);
	co_pace_count_wait(&pace, 1000);
	assert_int_equal(co_pace_judge(&pace, &check_ms), 0);
	assert_true(pace.slow);
	assert_int_equal(changes, 1);
	co_pace_count_bytes(&pace, 65536);
	assert_int_equal(co_pace_judge(&pace, &check_ms), 0);
	assert_false(pace.slow);
	assert_int_equal(changes, 2);
	co_pace_count_wait(&pace, 2000);
	assert_int_equal(co_pace_judge(&pace, &check_ms), 0);
	assert_true(pace.slow);
	co_pace_reset(&pace);
	assert_false(pace.slow);
	assert_int_equal(changes, 4);
	co_pace_reset(&pace);
	assert_int_equal(changes, 4);
}

static void pace__gives_up_without_room(void **state)
{
	(void)state;
	struct co_pace pace = {.rate_min = 500, .window_ms = 60000, .changed = on_changed};
	uint64_t check_ms;
	changes = 0;
	room = false;
	co_pace_count_wait(&pace, 1000);
	assert_int_equal(co_pace_judge(&pace, &check_ms), -ETIMEDOUT);
	assert_false(pace.slow);
	co_pace_reset(&pace);
	assert_int_equal(changes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pace__judges),
		cmocka_unit_test(pace__forgets),
		cmocka_unit_test(pace__gives_up_without_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
