#include "tests/unit/object_server_fixture.h"

#include <stdatomic.h>

#include "lib/backend/backend.h"
#include "object/updater.h"

/* The ring of the tests: `count` devices behind the scripted container server. */
static size_t node_count;

static size_t find_nodes(void *argument, struct slice account, struct slice container,
	struct object_updater_node *ret_nodes, size_t max, uint32_t *ret_partition)
{
	static const char *const devices[] = {"sda", "sdb", "sdc"};
	(void)argument;
	(void)account;
	(void)container;
	assert_true(node_count <= max && node_count <= 3);
	for (size_t i = 0; i < node_count; i++)
		ret_nodes[i] = (struct object_updater_node){"127.0.0.1", FIXTURE_CONTAINER_PORT, devices[i]};
	*ret_partition = 77;
	return node_count;
}

static struct object_updater *start_updater(struct fixture *fixture)
{
	struct object_updater_options options = object_updater_options_default;
	options.device = fixture->entry;
	options.board = object_server_board(fixture->server);
	options.container_nodes = find_nodes;
	options.timeouts = (struct backend_timeouts){100, 100};
	options.interval_ms = 60000;
	options.retry_ms = 20;
	options.rate_per_second = 0;
	struct object_updater *updater = object_updater_new(&options);
	co_start(co_object_updater_run, updater);
	return updater;
}

static void co_stop_updater(struct object_updater *updater)
{
	object_updater_stop(updater);
	while (!object_updater_ended(updater))
		co_sleep_ms(1);
	object_updater_free(updater);
}

/* A server in the header that does not answer: the updates are left. */
static void co_leave_updates(struct fixture *fixture, int count)
{
	struct arena *arena = arena_new();
	for (int i = 0; i < count; i++)
		co_expect(fixture,
			arena_printf(arena,
				"PUT /d1/7/a/c/%d [X-Timestamp: 1700000000.00000] [Content-Type: "
				"t/p] "
				"[X-Container-Host: 127.0.0.1:1] [X-Container-Device: sda] "
				"[X-Container-Partition: 9]",
				i),
			"hello", 201);
	arena_free(arena);
	assert_int_equal(count_promises(fixture), count);
}

static void co_deliver(void *argument)
{
	struct fixture *fixture = argument;
	node_count = 2;
	co_leave_updates(fixture, 10);
	struct object_updater *updater = start_updater(fixture);
	co_wait_for_promises(fixture, 0);
	assert_int_equal(script.count, 20);
	script_expect(0, "X-Size", "5");
	script_expect(0, "X-Timestamp", "1700000000.00000");
	script_expect(0, "X-Backend-Storage-Policy-Index", "0");
	script_expect(0, "X-Backend-Accept-Redirect", "true");
	assert_non_null(strstr(script_header(0, "User-Agent"), "object-updater "));
	assert_true(script.at_once_max > 1 && script.at_once_max <= 16);
	struct object_updater_counts counts;
	object_updater_counts(updater, &counts);
	assert_int_equal(counts.sent, 10);
	/* one that is left while it rests wakes it */
	co_expect(fixture,
		"PUT /d1/7/a/c/late [X-Timestamp: 1700000000] [Content-Type: t/p] "
		"[X-Container-Host: 127.0.0.1:1] [X-Container-Device: sda] [X-Container-Partition: "
		"9]",
		"hello", 201);
	co_wait_for_promises(fixture, 0);
	assert_int_equal(script.count, 22);
	co_stop_updater(updater);
}

static void updater__delivers_what_was_left(void **state)
{
	fixture_run(co_deliver, *state);
}

static void co_retry(void *argument)
{
	struct fixture *fixture = argument;
	struct object_updater_counts counts = {0};
	node_count = 2;
	co_leave_updates(fixture, 1);
	script_reset(404);
	struct object_updater *updater = start_updater(fixture);
	while (counts.walks < 3) {
		co_sleep_ms(5);
		object_updater_counts(updater, &counts);
	}
	assert_int_equal(count_promises(fixture), 1);
	assert_int_equal(counts.sent, 0);
	assert_true(counts.failed >= 3);
	assert_true(script.count >= 6);
	script_reset(201);
	co_wait_for_promises(fixture, 0);
	assert_int_equal(script.count, 2);
	co_stop_updater(updater);
}

static void updater__tries_again_until_all_have_confirmed(void **state)
{
	fixture_run(co_retry, *state);
}

static void co_without_ring(void *argument)
{
	struct fixture *fixture = argument;
	node_count = 0;
	co_leave_updates(fixture, 2);
	struct object_updater *updater = start_updater(fixture);
	co_sleep_ms(100);
	assert_int_equal(count_promises(fixture), 2);
	co_stop_updater(updater);
}

static void updater__keeps_everything_without_a_ring(void **state)
{
	fixture_run(co_without_ring, *state);
}

static void co_leave_three(void *argument)
{
	co_leave_updates(argument, 3);
}

static void co_deliver_three(void *argument)
{
	struct fixture *fixture = argument;
	node_count = 3;
	struct object_updater *updater = start_updater(fixture);
	co_wait_for_promises(fixture, 0);
	assert_int_equal(script.count, 9);
	co_stop_updater(updater);
}

static void updater__goes_on_after_a_restart(void **state)
{
	struct fixture *fixture = *state;
	fixture_run(co_leave_three, fixture);
	fixture_end(fixture);
	fixture_start(fixture);
	fixture_run(co_deliver_three, fixture);
}

static void co_redirect(void *argument)
{
	struct fixture *fixture = argument;
	node_count = 1;
	co_leave_updates(fixture, 1);
	script_reset(301);
	script.location = "/.shards_a/c-1/0";
	struct object_updater *updater = start_updater(fixture);
	while (script.count < 2)
		co_sleep_ms(1);
	script_expect_path(0, METHOD_PUT, "/sda/77/a/c/0");
	script_expect_path(1, METHOD_PUT, "/sda/77/.shards_a/c-1/0");
	script.location = NULL;
	script.status = 201;
	co_wait_for_promises(fixture, 0);
	co_stop_updater(updater);
}

static void updater__follows_redirects(void **state)
{
	fixture_run(co_redirect, *state);
}

static void co_claimed(void *argument)
{
	struct fixture *fixture = argument;
	node_count = 1;
	script_reset(0);
	co_expect(fixture,
		"PUT /d1/7/a/c/slow [X-Timestamp: 1700000000] [Content-Type: t/p] "
		"[X-Container-Host: 127.0.0.1:6201] [X-Container-Device: sda] "
		"[X-Container-Partition: 9]",
		"hello", 201);
	/* the server is still sending it */
	assert_int_equal(update_board_claims(object_server_board(fixture->server)), 1);
	struct object_updater *updater = start_updater(fixture);
	co_sleep_ms(100);
	assert_int_equal(script.count, 1);
	script.release = true;
	co_wait_for_promises(fixture, 0);
	assert_int_equal(script.count, 1);
	assert_int_equal(update_board_claims(object_server_board(fixture->server)), 0);
	co_stop_updater(updater);
}

static void updater__leaves_alone_what_is_being_sent(void **state)
{
	fixture_run(co_claimed, *state);
}

static void co_confirmed_before(void *argument)
{
	struct fixture *fixture = argument;
	node_count = 2;
	co_expect(fixture,
		"PUT /d1/7/a/c/half [X-Timestamp: 1700000000] [Content-Type: t/p] "
		"[X-Container-Partition: 9] "
		"[X-Container-Host: 127.0.0.1:6201,127.0.0.1:1] [X-Container-Device: sda,sdb]",
		"hello", 201);
	assert_int_equal(script.count, 1);
	while (update_board_claims(object_server_board(fixture->server)))
		co_sleep_ms(5);
	struct object_updater *updater = start_updater(fixture);
	co_wait_for_promises(fixture, 0);
	/* sda had confirmed */
	assert_int_equal(script.count, 2);
	script_expect_path(1, METHOD_PUT, "/sdb/77/a/c/half");
	co_stop_updater(updater);
}

static void updater__asks_nobody_twice(void **state)
{
	fixture_run(co_confirmed_before, *state);
}

int main(void)
{
	backend_register_local(BACKEND_CONTAINER, "127.0.0.1", FIXTURE_CONTAINER_PORT, co_script_handle, NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(updater__delivers_what_was_left),
		TEST(updater__tries_again_until_all_have_confirmed),
		TEST(updater__keeps_everything_without_a_ring),
		TEST(updater__goes_on_after_a_restart),
		TEST(updater__follows_redirects),
		TEST(updater__leaves_alone_what_is_being_sent),
		TEST(updater__asks_nobody_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
