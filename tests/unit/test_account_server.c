#include "tests/unit/server_fixture.h"

#include "lib/base/buf.h"

static void account_server__answers_as_captured(void **state)
{
	(void)state;
	struct server_fixture *fixture = server_fixture_new();
	struct replay replay = {
		.section = "### account server",
		.handler = co_account_server_handle,
		.server = fixture->account,
	};
	fixture_run(co_replay, &replay);
	assert_int_equal(replay.requests, 25);
	server_fixture_free(fixture);
}

/* ---- requests that the capture does not have ---- */

static const struct {
	const char *request;
	int status;
} cases[] = {
	{"GET /d1/3", 400},
	{"PUT /d1/3/AUTH_q [X-Timestamp: 1.00000]", 201},
	{"PUT /d1/3/AUTH_q", 400},
	{"PUT /d1/3/AUTH_q [X-Timestamp: nonsense]", 400},
	{"POST /d1/3/AUTH_q", 400},
	{"DELETE /d1/3/AUTH_q", 400},
	{"PUT /d1/3/AUTH_q/c/o [X-Timestamp: 1.00000]", 400},
	{"PUT /d1/3/AUTH_q/c [X-Put-Timestamp: 1]", 400},
	{"GET /d1/3/AUTH_q/c", 400},
	{"GET /../3/AUTH_q", 400},
	{"GET /dX/3/AUTH_q", 507},
	{"GET /d1/3/%ff", 412},
	{"GET /d1/3/AUTH%00q", 400},
	{"GET /d1/3/AUTH_q?prefix=%ff", 400},
	{"GET /d1/3/AUTH_q [Accept: image/png]", 406},
	{"HEAD /d1/3/AUTH_q [Accept: image/png]", 406},
	{"POST /d1/3/AUTH_q [X-Timestamp: 2.00000] [X-Account-Meta-B: \xff]", 400},
	{"REPLICATE /d1/3/AUTH_q", 405},
	{"OPTIONS /d1/3/AUTH_q", 200},
	{"PUT /d1/3/.system/c [X-Put-Timestamp: 1] [X-Delete-Timestamp: 0] [X-Object-Count: 0] "
	 "[X-Bytes-Used: 0]",
		201},
	{"HEAD /d1/3/.system", 204},
};

static void co_send_cases(void *argument)
{
	struct server_fixture *fixture = argument;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		co_fixture_expect(co_account_server_handle, fixture->account, cases[i].request, cases[i].status);
}

static void account_server__refuses(void **state)
{
	(void)state;
	struct server_fixture *fixture = server_fixture_new();
	fixture_run(co_send_cases, fixture);
	server_fixture_free(fixture);
}

/* ---- metadata ---- */

static void co_post_metadata(void *argument)
{
	struct server_fixture *fixture = argument;
	struct exchange exchange;
	co_fixture_expect(co_account_server_handle, fixture->account,
		"PUT /d1/3/A [X-Timestamp: 1.00000] [x-account-meta-foo_bar2b: 1] "
		"[X-Account-Meta-Gone: 1]",
		201);
	co_fixture_expect(co_account_server_handle, fixture->account,
		"POST /d1/3/A [X-Timestamp: 2.00000] [X-Account-Meta-Gone: ] [X-Account-Sysmeta-S: "
		"s] [X-Other: x]",
		204);
	co_fixture_send(&exchange, co_account_server_handle, fixture->account, "HEAD /d1/3/A", 204);
	const struct headers *headers = &exchange.reply.headers;
	assert_string_equal(headers_get(headers, "X-Account-Meta-Foo-Bar2B"), "1");
	assert_string_equal(headers_get(headers, "X-Account-Sysmeta-S"), "s");
	assert_null(headers_get(headers, "X-Account-Meta-Gone"));
	assert_null(headers_get(headers, "X-Other"));
	assert_string_equal(headers_get(headers, "X-Put-Timestamp"), "0000000001.00000");
	exchange_release(&exchange);

	struct buf many = BUF_INIT;
	buf_append_text(&many, "POST /d1/3/A [X-Timestamp: 3.00000]");
	for (int i = 0; i < 91; i++)
		buf_printf(&many, " [X-Account-Meta-M%d: v]", i);
	co_fixture_expect(co_account_server_handle, fixture->account, many.data, 400);
	buf_release(&many);
}

static void account_server__merges_metadata(void **state)
{
	(void)state;
	struct server_fixture *fixture = server_fixture_new();
	fixture_run(co_post_metadata, fixture);
	server_fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(account_server__answers_as_captured),
		cmocka_unit_test(account_server__refuses),
		cmocka_unit_test(account_server__merges_metadata),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
