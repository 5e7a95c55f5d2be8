/*
 * PUT of an object against fake servers: who is asked, who is replaced, what the client gets and
 * how long it waits.
 */
#include "tests/unit/proxy_fixture.h"

static const char put_line[] = "PUT /v1/a/c/o [Content-Type: text/plain] body=some bytes of an object";

static void forget_everything(struct proxy_fixture *fixture)
{
	fixture->over = true;
	while (loop_coroutines(loop_current()) > 1)
		co_sleep_ms(1);
	fixture->over = false;
	fixture_start_proxy(fixture);
	forget_requests();
}

/* ---- what servers answer, what the client gets ---- */

static const struct {
	const char *script;
	int status;
	size_t asked; /* servers */
} put_cases[] = {
	{"201 201 201", 201, 3},
	/* replaced by handoffs before the body */
	{"^503 201 201 201", 201, 4},
	{"^507 201 201 201", 201, 4},
	{"^507 ^503 ^500 201 201 201", 201, 6},
	{"^503 ^503 ^503 ^503 ^503 201", 503, 6},
	{"^503 ^503 ^503 ^503 ^503 ^503", 503, 6},
	/* a device that turns out to be unusable does not count towards the six that may be tried
	 */
	{"^507 ^507 ^507 ^507 ^507 ^507 201 201 201", 201, 9},
	/* somebody has a newer version */
	{"^409 201 201", 202, 3},
	{"^409 ^409 ^409", 202, 3},
	{"409 201 201", 201, 3},
	{"409 409 201", 202, 3},
	{"409 409 503", 202, 3},
	{"409 503 503", 503, 3},
	/* other refusals */
	{"^412 201 201", 201, 3},
	{"^400 ^400 201", 503, 3},
	{"^404 201 201", 201, 3},
	/* after the body */
	{"422 422 422", 422, 3},
	{"422 422 201", 422, 3},
	{"422 201 201", 201, 3},
	{"503 201 201", 201, 3},
	{"507 507 201", 503, 3},
	{"503 503 503", 503, 3},
	{"201 422 503", 503, 3},
	/* broken in the body */
	{"500!4 201 201", 201, 3},
	{"500!4 507!4 201", 503, 3},
};

static void co_statuses(struct proxy_fixture *fixture)
{
	for (size_t i = 0; i < sizeof(put_cases) / sizeof(put_cases[0]); i++) {
		forget_everything(fixture);
		fixture_script(BACKEND_OBJECT, put_cases[i].script);
		struct answer answer;
		co_ask(&answer, put_line);
		size_t asked = count_requests(BACKEND_OBJECT, METHOD_PUT);
		if (answer.status != put_cases[i].status || asked != put_cases[i].asked)
			fail_msg("%s: %d from %zu servers, expected %d from %zu", put_cases[i].script, answer.status,
				asked, put_cases[i].status, put_cases[i].asked);
		answer_release(&answer);
	}
}

static void put__statuses(void **state)
{
	(void)state;
	with_proxy(co_statuses, 3, 3);
}

/* Primaries first, in the ring's order, then its handoffs; everybody gets the whole body. */
static void co_order(struct proxy_fixture *fixture)
{
	int order[FAKE_DEVICES_MAX];
	assert_int_equal(ring_order(order), 3);
	forget_everything(fixture);
	fixture_script(BACKEND_OBJECT, "201 ^503 201 201");
	struct answer answer;
	co_ask(&answer, put_line);
	assert_int_equal(answer.status, 201);
	assert_string_equal(answer_header(&answer, "Etag"), "4c84c066718d4b073f981e2f44cb4cec");
	assert_non_null(answer_header(&answer, "Last-Modified"));
	answer_release(&answer);
	for (size_t i = 0; i < 4; i++) {
		const struct fake_request *request = nth_request(BACKEND_OBJECT, METHOD_PUT, i);
		assert_int_equal(request->device, order[i]);
		assert_int_equal(request->error, 0);
		assert_int_equal(request->received, i == 1 ? 0 : strlen("some bytes of an object"));
	}
}

static void put__order_of_servers(void **state)
{
	(void)state;
	with_proxy(co_order, 3, 3);
}

static void co_if_none_match(struct proxy_fixture *fixture)
{
	fixture_script(BACKEND_OBJECT, "^412 201 201");
	co_expect("PUT /v1/a/c/o [If-None-Match: *] body=x", 412);
	forget_everything(fixture);
	co_expect("PUT /v1/a/c/o [If-None-Match: abc] body=x", 400);
	assert_int_equal(count_requests(BACKEND_OBJECT, METHOD_PUT), 0);
}

static void put__if_none_match(void **state)
{
	(void)state;
	with_proxy(co_if_none_match, 3, 3);
}

/* The client's own ETag: nothing is stored where it does not fit. */
static void co_etag(struct proxy_fixture *fixture)
{
	co_expect("PUT /v1/a/c/o [ETag: \"4c84c066718d4b073f981e2f44cb4cec\"] body=some bytes of "
		  "an object",
		201);
	forget_everything(fixture);
	co_expect("PUT /v1/a/c/o [ETag: 00000000000000000000000000000000] body=some bytes of an "
		  "object",
		422);
	for (size_t i = 0; i < 3; i++) {
		const struct fake_request *request = nth_request(BACKEND_OBJECT, METHOD_PUT, i);
		assert_int_equal(request->error, -ECONNRESET);
		assert_false(request->complete);
	}
}

static void put__client_etag(void **state)
{
	(void)state;
	with_proxy(co_etag, 3, 3);
}

/* ---- servers that are silent ---- */

static const struct {
	const char *script;
	int status;
	size_t asked;
	uint64_t least_ms, most_ms;
} silent_cases[] = {
	/* a quorum is willing: one moment for the third, one more for the handoff in its place */
	{"201 201 hang 201", 201, 4, MOMENT_MS, MOMENT_MS * 2},
	{"201 201 hang hang 201", 201, 4, MOMENT_MS * 2, MOMENT_MS * 3},
	{"hang hang 201 201 201", 201, 5, CONNECT_MS + NODE_MS, CONNECT_MS + NODE_MS + MOMENT_MS},
	/* one of three replicas is enough of two copies, never of three */
	{"201 hang hang hang hang hang", 503, 6, CONNECT_MS + NODE_MS, 4 * (CONNECT_MS + NODE_MS)},
	/* silent while the body goes out: dropped after node_timeout */
	{"201 201 201~4", 201, 3, 0, NODE_MS + MOMENT_MS * 2},
};

static void co_silent(struct proxy_fixture *fixture)
{
	for (size_t i = 0; i < sizeof(silent_cases) / sizeof(silent_cases[0]); i++) {
		forget_everything(fixture);
		fixture_script(BACKEND_OBJECT, silent_cases[i].script);
		struct answer answer;
		co_ask(&answer, put_line);
		size_t asked = count_requests(BACKEND_OBJECT, METHOD_PUT);
		if (answer.status != silent_cases[i].status || asked != silent_cases[i].asked)
			fail_msg("%s: %d from %zu servers, expected %d from %zu", silent_cases[i].script, answer.status,
				asked, silent_cases[i].status, silent_cases[i].asked);
		if (answer.duration_ms + 5 < silent_cases[i].least_ms ||
			answer.duration_ms > silent_cases[i].most_ms + 100)
			fail_msg("%s: took %d ms", silent_cases[i].script, (int)answer.duration_ms);
		answer_release(&answer);
	}
}

static void put__silent_servers(void **state)
{
	(void)state;
	with_proxy(co_silent, 3, 3);
}

/* A slow server joins in time and gets the whole body; one that was given up stores nothing. */
static void co_slow(struct proxy_fixture *fixture)
{
	fixture_script(BACKEND_OBJECT, "201 201 slow201");
	co_expect(put_line, 201);
	const struct fake_request *slow = nth_request(BACKEND_OBJECT, METHOD_PUT, 2);
	assert_int_equal(count_requests(BACKEND_OBJECT, METHOD_PUT), 3);
	assert_true(slow->complete);
	forget_everything(fixture);
	fixture_script(BACKEND_OBJECT, "201 201 hang hang");
	co_expect(put_line, 201);
	forget_everything(fixture);
}

static void put__slow_server_joins(void **state)
{
	(void)state;
	with_proxy(co_slow, 3, 3);
}

/* ---- the error limiter ---- */

static void co_limiter(struct proxy_fixture *fixture)
{
	int order[FAKE_DEVICES_MAX];
	ring_order(order);
	/* 507: left out at once */
	fixture_script(BACKEND_OBJECT, "^507");
	co_expect(put_line, 201);
	forget_requests();
	co_expect(put_line, 201);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(nth_request(BACKEND_OBJECT, METHOD_PUT, i)->device, order[i + 1]);
	/* other failures: after more than error_suppression_limit */
	forget_everything(fixture);
	for (unsigned i = 0; i <= fixture->options.error_suppression_limit; i++) {
		forget_requests();
		fixture_script(BACKEND_OBJECT, "^503");
		co_expect(put_line, 201);
		assert_int_equal(nth_request(BACKEND_OBJECT, METHOD_PUT, 0)->device, order[0]);
	}
	forget_requests();
	co_expect(put_line, 201);
	assert_int_equal(nth_request(BACKEND_OBJECT, METHOD_PUT, 0)->device, order[1]);
}

static void put__error_limiter(void **state)
{
	(void)state;
	with_proxy(co_limiter, 3, 3);
}

static void co_limiter_forgets(struct proxy_fixture *fixture)
{
	fixture->options.error_suppression_interval_ms = 30;
	forget_everything(fixture);
	int order[FAKE_DEVICES_MAX];
	ring_order(order);
	fixture_script(BACKEND_OBJECT, "^507");
	co_expect(put_line, 201);
	co_sleep_ms(40);
	forget_requests();
	co_expect(put_line, 201);
	assert_int_equal(nth_request(BACKEND_OBJECT, METHOD_PUT, 0)->device, order[0]);
}

static void put__error_limiter_forgets(void **state)
{
	(void)state;
	with_proxy(co_limiter_forgets, 3, 3);
}

/* ---- the client goes away ---- */

struct broken_body {
	struct body body;
	int error;
	size_t pieces;
};

static int co_broken_next(struct body *body, struct chunk *ret_chunk)
{
	struct broken_body *self = (struct broken_body *)body;
	if (!self->pieces--)
		return self->error;
	*ret_chunk = (struct chunk){NULL, "piece", 5};
	co_yield ();
	return 0;
}

static const struct {
	int error;
	int status;
} broken_cases[] = {
	{-ECONNRESET, 499},
	{-ETIMEDOUT, 408},
	{-EPROTO, 400},
	{-EFBIG, 413},
	{-EIO, 500},
};

static void co_broken_client(struct proxy_fixture *fixture)
{
	static const struct body_operations operations = {.co_next = co_broken_next};
	for (size_t i = 0; i < sizeof(broken_cases) / sizeof(broken_cases[0]); i++) {
		forget_everything(fixture);
		struct broken_body body = {{&operations}, broken_cases[i].error, 2};
		struct arena *arena = arena_new();
		struct request request;
		struct reply reply;
		request_init(&request, arena, METHOD_PUT);
		reply_init(&reply, arena);
		request.path = SLICE_LITERAL("/v1/a/c/o");
		request.body = &body.body;
		request.chunked = true;
		request.content_length = -1;
		co_proxy_handle(fixture->proxy, &request, &reply);
		if (reply.status != broken_cases[i].status)
			fail_msg("%s: %d, expected %d", strerror(-broken_cases[i].error), reply.status,
				broken_cases[i].status);
		reply_finish(&request, &reply, 0, 0);
		arena_free(arena);
		forget_everything(fixture);
	}
	assert_int_equal(fixture->request_count, 0);
}

static void put__broken_client_body(void **state)
{
	(void)state;
	with_proxy(co_broken_client, 3, 3);
}

static void co_broken_is_not_stored(struct proxy_fixture *fixture)
{
	static const struct body_operations operations = {.co_next = co_broken_next};
	struct broken_body body = {{&operations}, -ECONNRESET, 3};
	struct arena *arena = arena_new();
	struct request request;
	struct reply reply;
	request_init(&request, arena, METHOD_PUT);
	reply_init(&reply, arena);
	request.path = SLICE_LITERAL("/v1/a/c/o");
	request.body = &body.body;
	request.chunked = true;
	request.content_length = -1;
	co_proxy_handle(fixture->proxy, &request, &reply);
	reply_finish(&request, &reply, 0, -ECONNRESET);
	arena_free(arena);
	while (loop_coroutines(loop_current()) > 1)
		co_sleep_ms(1);
	for (size_t i = 0; i < 3; i++) {
		const struct fake_request *seen = nth_request(BACKEND_OBJECT, METHOD_PUT, i);
		assert_false(seen->complete);
		assert_int_equal(seen->error, -ECONNRESET);
	}
}

static void put__broken_body_is_not_stored(void **state)
{
	(void)state;
	with_proxy(co_broken_is_not_stored, 3, 3);
}

/* A late server works on with bytes of a request that is gone: it must have its own. */
static void co_late_reader(struct proxy_fixture *fixture)
{
	fixture_script(BACKEND_OBJECT, "201 201 201~0");
	co_expect(put_line, 201);
	fixture->over = true;
	while (loop_coroutines(loop_current()) > 1)
		co_sleep_ms(1);
}

static void put__late_server_has_its_own_bytes(void **state)
{
	(void)state;
	with_proxy(co_late_reader, 3, 3);
}

/* ---- what is refused before any server is asked ---- */

static void co_refused(struct proxy_fixture *fixture)
{
	co_expect("PUT /v1/a/c/o", 411);
	co_expect("PUT /v1/a/c/o [X-Delete-At: yesterday] body=x", 400);
	co_expect("PUT /v1/a/c/o [X-Delete-After: x] body=x", 400);
	co_expect("PUT /v1/a/c/o [Content-Type: \xff] body=x", 400);
	fixture->options.constraints.max_file_size = 3;
	fixture_start_proxy(fixture);
	co_expect("PUT /v1/a/c/o body=four", 413);
	assert_int_equal(count_requests(BACKEND_OBJECT, METHOD_PUT), 0);
	fixture->no_container = true;
	fixture_start_proxy(fixture);
	co_expect("PUT /v1/a/c/o body=x", 404);
	fixture->no_container = false;
	fixture->usual_status[BACKEND_CONTAINER] = 503;
	fixture_start_proxy(fixture);
	co_expect("PUT /v1/a/c/o body=x", 503);
	assert_int_equal(count_requests(BACKEND_OBJECT, METHOD_PUT), 0);
}

static void put__refused_at_the_door(void **state)
{
	(void)state;
	with_proxy(co_refused, 3, 3);
}

/* ---- headers ---- */

static void co_headers(struct proxy_fixture *fixture)
{
	(void)fixture;
	co_expect("PUT /v1/a/c/o.tar.gz [X-Object-Meta-Color: blue] [X-Auth-Token: secret] "
		  "[X-Auth-Key: secret] "
		  "[Cookie: secret] [Authorization: secret] [X-Timestamp: 1] [Content-Encoding: "
		  "gzip] body=x",
		201);
	const struct fake_request *request = nth_request(BACKEND_OBJECT, METHOD_PUT, 0);
	for (size_t i = 0; i < request->headers.count; i++)
		if (strcmp(request->headers.items[i].value, "secret") == 0)
			fail_msg("%s went to a server", request->headers.items[i].name);
	assert_string_equal(request_header(request, "X-Object-Meta-Color"), "blue");
	assert_string_equal(request_header(request, "Content-Encoding"), "gzip");
	assert_string_equal(request_header(request, "Content-Type"), "application/x-tar");
	assert_string_equal(request_header(request, "X-Backend-Storage-Policy-Index"), "0");
	assert_string_equal(request_header(request, "Referer"), "PUT /v1/a/c/o.tar.gz");
	assert_string_not_equal(request_header(request, "X-Timestamp"), "1");
	assert_int_equal(strncmp(request_header(request, "User-Agent"), "proxy-server ", 13), 0);
	assert_non_null(request_header(request, "X-Trans-Id"));
}

static void put__headers(void **state)
{
	(void)state;
	with_proxy(co_headers, 3, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put__statuses),
		cmocka_unit_test(put__order_of_servers),
		cmocka_unit_test(put__if_none_match),
		cmocka_unit_test(put__client_etag),
		cmocka_unit_test(put__silent_servers),
		cmocka_unit_test(put__slow_server_joins),
		cmocka_unit_test(put__error_limiter),
		cmocka_unit_test(put__error_limiter_forgets),
		cmocka_unit_test(put__broken_client_body),
		cmocka_unit_test(put__broken_body_is_not_stored),
		cmocka_unit_test(put__late_server_has_its_own_bytes),
		cmocka_unit_test(put__refused_at_the_door),
		cmocka_unit_test(put__headers),
	};
	fake_servers_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
