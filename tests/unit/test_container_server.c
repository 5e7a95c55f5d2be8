#include "tests/unit/server_fixture.h"

#include "lib/backend/backend.h"
#include "lib/base/buf.h"

static void container_server__answers_as_captured(void **state)
{
	(void)state;
	struct server_fixture *fixture = server_fixture_new();
	struct replay replay = {
		.section = "### container server",
		.handler = co_container_server_handle,
		.server = fixture->container,
	};
	fixture_run(co_replay, &replay);
	assert_int_equal(replay.requests, 47);
	server_fixture_free(fixture);
}

/* ---- requests that the capture does not have ---- */

#define ROW "[X-Size: 1] [X-Content-Type: a/b] [X-Etag: e]"

static const struct {
	const char *request;
	int status;
} cases[] = {
	{"GET /d1/3/AUTH_q", 400},
	{"GET /d1//AUTH_q/c", 400},
	{"GET /../3/AUTH_q/c", 400},
	{"GET /d1/../AUTH_q/c", 400},
	{"GET /d1/3/AUTH_q/%ff", 412},
	{"GET /d1/3/AUTH_q/c%00", 400},
	{"PUT /d1/3/AUTH_q/c [X-Timestamp: x]", 400},
	{"PUT /d1/3/AUTH_q/c [X-Timestamp: 1.00000] [X-Backend-Storage-Policy-Index: x]", 400},
	{"PUT /d1/3/AUTH_q/c [X-Timestamp: 1.00000] [X-Backend-Storage-Policy-Default: 9]", 400},
	{"PUT /d1/3/AUTH_q/c [X-Timestamp: 1.00000] [X-Backend-Record-Type: shard]", 501},
	{"PUT /d1/3/AUTH_q/c [X-Timestamp: 1.00000] [X-Backend-Storage-Policy-Default: 1]", 201},
	{"PUT /d1/3/AUTH_q/c [X-Timestamp: 1.00000] [X-Backend-Storage-Policy-Index: 1]", 202},
	{"PUT /d1/3/AUTH_q/c/o [X-Timestamp: 1.00000]", 400},
	{"PUT /d1/3/AUTH_q/c/o [X-Timestamp: 1.00000] [X-Meta-Timestamp: y] " ROW, 400},
	{"PUT /d1/3/AUTH_q/c/o/ [X-Timestamp: 1.00000] " ROW, 201},
	{"DELETE /d1/3/AUTH_q/c [X-Timestamp: 2.00000]", 409},
	{"DELETE /d1/3/AUTH_q/c/o/", 400},
	{"DELETE /d1/3/AUTH_q/none/o [X-Timestamp: 2.00000]", 404},
	{"DELETE /d1/3/AUTH_q/none [X-Timestamp: 2.00000]", 404},
	{"PUT /d1/3/.shards_x/none/o [X-Timestamp: 2.00000] " ROW, 404},
	{"PUT /d1/3/.shards_x/none/o [X-Timestamp: 2.00000] [X-Backend-Auto-Create: true] " ROW, 201},
	{"GET /d1/3/AUTH_q/c?marker=%ff", 400},
	{"GET /d1/3/AUTH_q/c?limit=10001", 412},
	{"GET /d1/3/AUTH_q/c?limit=99999999999999999999999", 412},
	{"GET /d1/3/AUTH_q/c?limit=-1", 204},
	{"GET /d1/3/AUTH_q/c?limit=", 204},
	{"GET /d1/3/AUTH_q/c [Accept: image/png]", 406},
	{"GET /d1/3/AUTH_q/c [X-Backend-Storage-Policy-Index: 9]", 400},
	{"GET /dX/3/AUTH_q/c", 507},
	{"HEAD /dX/3/AUTH_q/c", 507},
	{"UPDATE /d1/3/AUTH_q/c [X-Timestamp: 2.00000] body={", 400},
	{"UPDATE /d1/3/AUTH_q/c [X-Timestamp: 2.00000] body={}", 400},
	{"UPDATE /d1/3/AUTH_q/c [X-Timestamp: 2.00000] body=[1]", 400},
	{"UPDATE /d1/3/AUTH_q/c [X-Timestamp: 2.00000] body=[]", 202},
	{"UPDATE /d1/3/AUTH_q/none [X-Timestamp: 2.00000] body=[{\"name\": \"o\", \"created_at\": "
	 "\"1\"}]",
		404},
	{"REPLICATE /d1/3/AUTH_q/c", 405},
	{"COPY /d1/3/AUTH_q/c", 405},
};

static void co_send_cases(void *argument)
{
	struct server_fixture *fixture = argument;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		co_fixture_expect(co_container_server_handle, fixture->container, cases[i].request, cases[i].status);
}

static void container_server__refuses(void **state)
{
	(void)state;
	struct server_fixture *fixture = server_fixture_new();
	fixture_run(co_send_cases, fixture);
	server_fixture_free(fixture);
}

/* ---- listings: the table of container-and-account-servers.md §1.3 ---- */

static const struct {
	const char *query;
	const char *names; /* as the plain listing */
} listings[] = {
	{"", "a\na/x\na/y\nb\nc\xc3\xa9\nz\n"},
	{"reverse=true", "z\nc\xc3\xa9\nb\na/y\na/x\na\n"},
	{"marker=a&end_marker=c", "a/x\na/y\nb\n"},
	{"marker=c&end_marker=a&reverse=on", "b\na/y\na/x\n"},
	{"delimiter=/", "a\na/\nb\nc\xc3\xa9\nz\n"},
	{"delimiter=/&reverse=1", "z\nc\xc3\xa9\nb\na/\na\n"},
	{"delimiter=/&limit=2", "a\na/\n"},
	{"delimiter=/&marker=a", "a/\nb\nc\xc3\xa9\nz\n"},
	{"delimiter=/&marker=a/", "b\nc\xc3\xa9\nz\n"},
	{"prefix=a", "a\na/x\na/y\n"},
	{"prefix=a&delimiter=/", "a\na/\n"},
	{"prefix=a/&delimiter=/", "a/x\na/y\n"},
	{"prefix=a/&marker=a/x", "a/y\n"},
	{"path=", "a\nb\nc\xc3\xa9\nz\n"},
	{"path=a", "a/x\na/y\n"},
	{"path=a/", "a/x\na/y\n"},
	{"prefix=c%C3%A9&format=json", "[{\"bytes\": 1, \"hash\": \"e\", \"name\": \"c\\u00e9\", "
				       "\"content_type\": \"a/b\", "
				       "\"last_modified\": \"1970-01-01T00:00:02.000000\"}]"},
};

static void co_list(void *argument)
{
	static const char *const names[] = {"a", "a/x", "a/y", "b", "c%C3%A9", "z", "%00hidden"};
	struct server_fixture *fixture = argument;
	co_fixture_expect(co_container_server_handle, fixture->container,
		"PUT /d1/3/.a/c [X-Timestamp: 1.00000] [X-Backend-Storage-Policy-Index: 0]", 201);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		_cleanup_free_ char *line = xasprintf("PUT /d1/3/.a/c/%s [X-Timestamp: 2.00000] " ROW, names[i]);
		co_fixture_expect(co_container_server_handle, fixture->container, line, 201);
	}
	for (size_t i = 0; i < sizeof(listings) / sizeof(listings[0]); i++) {
		struct exchange exchange;
		_cleanup_free_ char *line = xasprintf("GET /d1/3/.a/c?%s", listings[i].query);
		co_fixture_send(&exchange, co_container_server_handle, fixture->container, line, 200);
		if (!slice_equal(exchange.reply.text, slice_from(listings[i].names)))
			fail_msg("%s: %.*s, expected %s", line, SLICE_PRINT(exchange.reply.text), listings[i].names);
		exchange_release(&exchange);
	}
	struct exchange exchange;
	co_fixture_send(&exchange, co_container_server_handle, fixture->container,
		"GET /d1/3/.a/c?limit=1 [X-Backend-Allow-Reserved-Names: true]", 200);
	assert_memory_equal(exchange.reply.text.data, "\0hidden\n", 8);
	exchange_release(&exchange);
}

static void container_server__lists(void **state)
{
	(void)state;
	struct server_fixture *fixture = server_fixture_new();
	fixture_run(co_list, fixture);
	server_fixture_free(fixture);
}

/* ---- account updates ---- */

static struct server_fixture *current; /* whose account server answers at FIXTURE_ACCOUNT_PORT */

static void co_local_account(void *context, struct request *request, struct reply *reply)
{
	(void)context;
	co_account_server_handle(current->account, request, reply);
}

static void co_expect_account(struct server_fixture *fixture, const char *text)
{
	struct exchange exchange;
	co_fixture_send(&exchange, co_account_server_handle, fixture->account, "GET /d1/3/AUTH_u?format=json", 200);
	if (!slice_equal(exchange.reply.text, slice_from(text)))
		fail_msg("account: %.*s, expected %s", SLICE_PRINT(exchange.reply.text), text);
	exchange_release(&exchange);
}

static void co_expect_pass(struct server_fixture *fixture, size_t expected_reported, size_t expected_remaining)
{
	size_t reported;
	size_t remaining;
	co_container_updater_pass(fixture->container, &reported, &remaining);
	if (reported != expected_reported || remaining != expected_remaining)
		fail_msg("updater: %zu reported, %zu remaining, expected %zu and %zu", reported, remaining,
			expected_reported, expected_remaining);
}

#define HOSTS "[X-Account-Host: 127.0.0.1:6202] [X-Account-Device: d1] [X-Account-Partition: 3]"

static void co_update_at_once(void *argument)
{
	struct server_fixture *fixture = argument;
	void *container = fixture->container;
	/* Every account server says that there is no such account. */
	co_fixture_expect(
		co_container_server_handle, container, "PUT /d1/3/AUTH_u/c [X-Timestamp: 1.00000] " HOSTS, 404);
	co_fixture_expect(co_account_server_handle, fixture->account, "PUT /d1/3/AUTH_u [X-Timestamp: 1.00000]", 201);
	co_fixture_expect(
		co_container_server_handle, container, "PUT /d1/3/AUTH_u/c [X-Timestamp: 2.00000] " HOSTS, 202);
	co_expect_account(fixture, "[{\"name\": \"c\", \"count\": 0, \"bytes\": 0, "
				   "\"last_modified\": \"1970-01-01T00:00:02.000000\", "
				   "\"storage_policy\": \"gold\"}]");
	/* An address outside of the cluster is left out; so is one that makes no sense. */
	co_fixture_expect(co_container_server_handle, container,
		"PUT /d1/3/AUTH_u/other [X-Timestamp: 2.00000] [X-Account-Host: 127.0.0.1:22] "
		"[X-Account-Device: d1] [X-Account-Partition: 3]",
		201);
	co_fixture_expect(co_container_server_handle, container,
		"PUT /d1/3/AUTH_u/other [X-Timestamp: 2.00000] [X-Account-Host: x, :] "
		"[X-Account-Device: d1, d2] [X-Account-Partition: 3]",
		202);
	co_fixture_expect(co_container_server_handle, container,
		"PUT /d1/3/AUTH_u/other [X-Timestamp: 2.00000] [X-Account-Host: a:1,b:1] "
		"[X-Account-Device: d1]",
		400);
	co_fixture_expect(
		co_container_server_handle, container, "DELETE /d1/3/AUTH_u/c [X-Timestamp: 3.00000] " HOSTS, 204);
	co_expect_account(fixture, "[]");
}

static void container_server__updates_the_account(void **state)
{
	(void)state;
	current = server_fixture_new();
	fixture_run(co_update_at_once, current);
	server_fixture_free(current);
}

#define COUNTED                                                                                                        \
	"[{\"name\": \"c\", \"count\": 2, \"bytes\": 2, \"last_modified\": "                                           \
	"\"1970-01-01T00:00:02.000000\", "                                                                             \
	"\"storage_policy\": \"gold\"}]"

static void co_update_later(void *argument)
{
	struct server_fixture *fixture = argument;
	void *container = fixture->container;
	co_fixture_expect(co_account_server_handle, fixture->account, "PUT /d1/3/AUTH_u [X-Timestamp: 1.00000]", 201);
	co_expect_pass(fixture, 0, 0);
	co_fixture_expect(co_container_server_handle, container, "PUT /d1/3/AUTH_u/c [X-Timestamp: 2.00000]", 201);
	co_expect_pass(fixture, 1, 0);
	co_expect_pass(fixture, 0, 0);
	co_fixture_expect(
		co_container_server_handle, container, "PUT /d1/3/AUTH_u/c/o1 [X-Timestamp: 3.00000] " ROW, 201);
	co_fixture_expect(
		co_container_server_handle, container, "PUT /d1/3/AUTH_u/c/o2 [X-Timestamp: 3.00000] " ROW, 201);
	co_expect_pass(fixture, 1, 0);
	co_expect_account(fixture, COUNTED);
	/* Nothing new: the promise is forgotten without a request. */
	co_fixture_expect(
		co_container_server_handle, container, "PUT /d1/3/AUTH_u/c/o2 [X-Timestamp: 3.00000] " ROW, 201);
	co_expect_pass(fixture, 0, 0);
	/* A container whose account nobody has stays to be told about. */
	co_fixture_expect(co_container_server_handle, container, "PUT /d1/3/AUTH_none/c [X-Timestamp: 2.00000]", 201);
	co_expect_pass(fixture, 0, 1);
	co_fixture_expect(
		co_account_server_handle, fixture->account, "PUT /d1/3/AUTH_none [X-Timestamp: 3.00000]", 201);
	co_expect_pass(fixture, 0, 1);
}

/* After a restart, when nothing is suppressed any more. */
static void co_update_after_restart(void *argument)
{
	co_expect_pass(argument, 1, 0);
	co_expect_account(argument, COUNTED);
}

static void container_updater__keeps_its_promises(void **state)
{
	(void)state;
	current = server_fixture_new();
	fixture_run(co_update_later, current);
	fixture_close_devices(current);
	fixture_open_devices(current);
	fixture_run(co_update_after_restart, current);
	server_fixture_free(current);
}

/* More containers than a batch has, reported by the coroutine itself. */
static void co_run_updater(void *argument)
{
	struct server_fixture *fixture = argument;
	co_container_updater_run(fixture->container);
}

static void co_update_many(void *argument)
{
	struct server_fixture *fixture = argument;
	co_fixture_expect(co_account_server_handle, fixture->account, "PUT /d1/3/AUTH_u [X-Timestamp: 1.00000]", 201);
	for (int i = 0; i < 150; i++) {
		_cleanup_free_ char *line = xasprintf("PUT /d1/3/AUTH_u/c%d [X-Timestamp: 2.00000]", i);
		co_fixture_expect(co_container_server_handle, fixture->container, line, 201);
	}
	co_start(co_run_updater, fixture);
	const char *count = "0";
	struct exchange exchange;
	for (int tries = 0; tries < 200 && strcmp(count, "150") != 0; tries++) {
		co_sleep_ms(20);
		if (tries)
			exchange_release(&exchange);
		co_fixture_send(&exchange, co_account_server_handle, fixture->account, "HEAD /d1/3/AUTH_u", 204);
		count = headers_get(&exchange.reply.headers, "X-Account-Container-Count");
	}
	assert_string_equal(count, "150");
	exchange_release(&exchange);
	container_updater_stop(fixture->container);
	while (loop_coroutines(loop_current()) > 1)
		co_sleep_ms(5);
}

static void container_updater__runs(void **state)
{
	(void)state;
	current = server_fixture_new();
	fixture_run(co_update_many, current);
	server_fixture_free(current);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(container_server__answers_as_captured),
		cmocka_unit_test(container_server__refuses),
		cmocka_unit_test(container_server__lists),
		cmocka_unit_test(container_server__updates_the_account),
		cmocka_unit_test(container_updater__keeps_its_promises),
		cmocka_unit_test(container_updater__runs),
	};
	backend_register_local(BACKEND_ACCOUNT, "127.0.0.1", FIXTURE_ACCOUNT_PORT, co_local_account, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
