/*
 * GET and HEAD against fake servers: whose answer counts, silent servers, X-Newest, and transfers
 * that go on elsewhere.
 */
#include "tests/unit/proxy_fixture.h"

static void forget_everything(struct proxy_fixture *fixture)
{
	fixture->over = true;
	while (loop_coroutines(loop_current()) > 1)
		co_sleep_ms(1);
	fixture->over = false;
	fixture_start_proxy(fixture);
	forget_requests();
}

/* ---- whose answer counts ---- */

static const struct {
	const char *script; /* three primaries in any order, then handoffs */
	bool newest;
	int status;
	size_t asked;
	const char *timestamp; /* of the answer, or NULL */
} read_cases[] = {
	{"200@5", false, 200, 1, "5"},
	{"404 200@5", false, 200, 2, "5"},
	{"503 507 200@5", false, 200, 3, "5"},
	{"503 503 503 200@5", false, 200, 4, "5"},
	{"404 404 404 404 404 404", false, 404, 6, NULL},
	/* handoffs that know nothing do not count */
	{"503 503 503 404 404 404", false, 503, 6, NULL},
	{"503 503 503 404@3 404@3 404@3", false, 404, 6, NULL},
	/* the first 404 of a primary without a tombstone may be a rebalance under way */
	{"404 503 503 503 503 503", false, 503, 6, NULL},
	{"404 404 503 503 503 503", false, 404, 6, NULL},
	{"404@3 503 503 503 503 503", false, 503, 6, NULL},
	/* a 404 of X-Backend-Timestamp 0 is no tombstone */
	{"404@0 404@0 404@0 200@5", false, 200, 4, "5"},
	/* a tombstone that is newer than what another one has */
	{"404@7 200@5 200@9", false, 200, 3, "9"},
	{"404@7 200@5 200@5 503 503 503", false, 404, 6, NULL},
	{"404@7 200@7", false, 200, 2, "7"},
	{"304 200", false, 304, 1, NULL},
	{"416 200", false, 416, 1, NULL},
	{"412 412 412 503 503 503", false, 412, 6, NULL},
	{"412 503 503 503 503 503", false, 503, 6, NULL},
	/* all are asked, the newest wins */
	{"200@5 200@7 200@6 404 404 404", true, 200, 6, "7"},
	{"200@5 200@5 200@5 200@8 404 404", true, 200, 6, "8"},
	{"200@5 200@5 404@9 404 404 404", true, 404, 6, NULL},
	{"503 503 503 503 503 503", true, 503, 6, NULL},
};

static void check_read(const char *script, const char *line, int status, size_t asked, const char *timestamp)
{
	fixture_script(BACKEND_OBJECT, script);
	struct answer answer;
	co_ask(&answer, line);
	size_t requests = fake_fixture->request_count - count_requests(BACKEND_ACCOUNT, METHOD_HEAD) -
			  count_requests(BACKEND_CONTAINER, METHOD_HEAD);
	if (answer.status != status || requests != asked)
		fail_msg("%s: %s: %d from %zu servers, expected %d from %zu", script, line, answer.status, requests,
			status, asked);
	const char *got = answer_header(&answer, "X-Timestamp");
	if (timestamp && (!got || strcmp(got, timestamp) != 0))
		fail_msg("%s: X-Timestamp %s, expected %s", script, got ? got : "(none)", timestamp);
	if (status == 200 && strncmp(line, "GET", 3) == 0)
		assert_true(slice_equal(answer.body, slice_from(fake_fixture->content)));
	answer_release(&answer);
}

static void co_whose(struct proxy_fixture *fixture)
{
	for (size_t i = 0; i < sizeof(read_cases) / sizeof(read_cases[0]); i++) {
		forget_everything(fixture);
		check_read(read_cases[i].script,
			read_cases[i].newest ? "GET /v1/a/c/o [X-Newest: true]" : "GET /v1/a/c/o", read_cases[i].status,
			read_cases[i].asked, read_cases[i].timestamp);
		assert_int_equal(fixture->bodies_open, 0);
		forget_everything(fixture);
		check_read(read_cases[i].script,
			read_cases[i].newest ? "HEAD /v1/a/c/o [X-Newest: true]" : "HEAD /v1/a/c/o",
			read_cases[i].status, read_cases[i].asked, read_cases[i].timestamp);
	}
}

static void read__whose_answer_counts(void **state)
{
	(void)state;
	with_proxy(co_whose, 3, 3);
}

/* Primaries before handoffs, each server once. */
static void co_read_order(struct proxy_fixture *fixture)
{
	int order[FAKE_DEVICES_MAX];
	ring_order(order);
	forget_everything(fixture);
	fixture_script(BACKEND_OBJECT, "404 404 404 404 404 404");
	co_expect("GET /v1/a/c/o", 404);
	unsigned primaries = 0;
	for (size_t i = 0; i < 3; i++)
		primaries |= 1u << nth_request(BACKEND_OBJECT, METHOD_GET, i)->device;
	assert_int_equal(primaries, 1u << order[0] | 1u << order[1] | 1u << order[2]);
	for (size_t i = 3; i < 6; i++)
		assert_int_equal(nth_request(BACKEND_OBJECT, METHOD_GET, i)->device, order[i]);
}

static void read__order_of_servers(void **state)
{
	(void)state;
	with_proxy(co_read_order, 3, 3);
}

/* ---- silent servers ---- */

static const struct {
	const char *script;
	const char *line;
	int status;
	uint64_t least_ms, most_ms;
} silent_cases[] = {
	{"hang 200", "GET /v1/a/c/o", 200, CONNECT_MS, CONNECT_MS + 50},
	{"hang hang 200", "HEAD /v1/a/c/o", 200, CONNECT_MS * 2, CONNECT_MS * 2 + 50},
	/* slow, but before the other one */
	{"slow200 200", "GET /v1/a/c/o", 200, SLOW_MS, CONNECT_MS},
	{"hang 404 404 404 404 404", "GET /v1/a/c/o", 404, CONNECT_MS + NODE_MS, CONNECT_MS + NODE_MS + 50},
	{"hang hang hang hang hang hang", "GET /v1/a/c/o", 503, CONNECT_MS * 6 + NODE_MS,
		CONNECT_MS * 6 + NODE_MS + 80},
	{"200@5 hang 200@7 200@6 404 404", "GET /v1/a/c/o [X-Newest: true]", 200, CONNECT_MS + NODE_MS,
		CONNECT_MS + NODE_MS + 50},
};

static void co_silent(struct proxy_fixture *fixture)
{
	(void)fixture;
	co_expect("HEAD /v1/a/c/o", 200);
	for (size_t i = 0; i < sizeof(silent_cases) / sizeof(silent_cases[0]); i++) {
		forget_requests();
		fixture_script(BACKEND_OBJECT, silent_cases[i].script);
		struct answer answer;
		co_ask(&answer, silent_cases[i].line);
		if (answer.status != silent_cases[i].status)
			fail_msg("%s: %d, expected %d", silent_cases[i].script, answer.status, silent_cases[i].status);
		if (answer.duration_ms + 5 < silent_cases[i].least_ms ||
			answer.duration_ms > silent_cases[i].most_ms + 100)
			fail_msg("%s: took %d ms", silent_cases[i].script, (int)answer.duration_ms);
		answer_release(&answer);
	}
}

static void read__silent_servers(void **state)
{
	(void)state;
	with_proxy(co_silent, 3, 3);
}

/* Whoever comes second is let go at once: its body is closed while the winner's still flows. */
static void co_loser(struct proxy_fixture *fixture)
{
	co_expect("HEAD /v1/a/c/o", 200);
	fixture_script(BACKEND_OBJECT, "hang 200");
	co_expect("GET /v1/a/c/o", 200);
	forget_everything(fixture);
	assert_int_equal(fixture->bodies_open, 0);
}

static void read__loser_is_let_go(void **state)
{
	(void)state;
	with_proxy(co_loser, 3, 3);
}

/* ---- going on elsewhere ---- */

static const struct {
	const char *script;
	const char *range;
	const char *second; /* the Range that the second server is asked for, of a text of 78 bytes */
	bool whole;         /* the client gets all of it */
} resume_cases[] = {
	{"200!30 200", NULL, "bytes=30-77", true},
	{"200!0 200", NULL, "bytes=0-77", true},
	{"200!77 200", NULL, "bytes=77-77", true},
	{"200!30 200!10 200", NULL, "bytes=30-77", true},
	{"200!30 404 503 200", NULL, "bytes=30-77", true},
	{"200!30 hang 200", NULL, "bytes=30-77", true},
	{"200!30 404 404 404 404 404", NULL, "bytes=30-77", false},
	{"200!5 200", "bytes=10-49", "bytes=15-49", true},
	{"200!5 200!7 200", "bytes=10-49", "bytes=15-49", true},
	{"200!5 404 404 404 404 404", "bytes=10-49", "bytes=15-49", false},
};

static void co_resume_cases(struct proxy_fixture *fixture)
{
	assert_int_equal(strlen(fixture->content), 78);
	for (size_t i = 0; i < sizeof(resume_cases) / sizeof(resume_cases[0]); i++) {
		forget_everything(fixture);
		fixture_script(BACKEND_OBJECT, resume_cases[i].script);
		char line[100];
		snprintf(line, sizeof(line), resume_cases[i].range ? "GET /v1/a/c/o [Range: %s]" : "GET /v1/a/c/o%s",
			resume_cases[i].range ? resume_cases[i].range : "");
		struct answer answer;
		co_ask(&answer, line);
		struct slice wanted = slice_from(fixture->content);
		if (resume_cases[i].range)
			wanted = slice_of(fixture->content + 10, 40);
		assert_int_equal(answer.status, resume_cases[i].range ? 206 : 200);
		if (resume_cases[i].whole != (answer.body_error == 0))
			fail_msg("%s: the body ends with %d", resume_cases[i].script, answer.body_error);
		if (!answer.body_error && !slice_equal(answer.body, wanted))
			fail_msg("%s: got \"%.*s\"", resume_cases[i].script, SLICE_PRINT(answer.body));
		const char *range = request_header(nth_request(BACKEND_OBJECT, METHOD_GET, 1), "Range");
		assert_string_equal(range, resume_cases[i].second);
		answer_release(&answer);
		assert_int_equal(fixture->bodies_open, 0);
	}
}

static void read__goes_on_elsewhere(void **state)
{
	(void)state;
	with_proxy(co_resume_cases, 3, 3);
}

/* Another version of the object must not be glued to the first one. */
static void co_other_version(struct proxy_fixture *fixture)
{
	co_expect("HEAD /v1/a/c/o", 200);
	fixture_script(BACKEND_OBJECT, "200!30");
	struct exchange exchange;
	char line[] = "GET /v1/a/c/o";
	exchange_init(&exchange, line);
	co_proxy_handle(fixture->proxy, &exchange.request, &exchange.reply);
	assert_int_equal(exchange.reply.status, 200);
	fixture->object_headers[0] = "Etag";
	fixture->object_headers[1] = "\"ffffffffffffffffffffffffffffffff\"";
	struct slice body;
	assert_int_equal(co_body_read_all(exchange.reply.body, exchange.arena, 1 << 20, &body), -EIO);
	exchange_release(&exchange);
	assert_int_equal(fixture->bodies_open, 0);
}

static void read__never_mixes_versions(void **state)
{
	(void)state;
	with_proxy(co_other_version, 3, 3);
}

/* The client leaves in the middle: what is open is closed, with the request. */
static void co_client_leaves(struct proxy_fixture *fixture)
{
	struct exchange exchange;
	char line[] = "GET /v1/a/c/o";
	exchange_init(&exchange, line);
	co_proxy_handle(fixture->proxy, &exchange.request, &exchange.reply);
	struct chunk chunk;
	assert_int_equal(co_body_next(exchange.reply.body, &chunk), 0);
	chunk_release(&chunk);
	assert_int_equal(fixture->bodies_open, 1);
	reply_finish(&exchange.request, &exchange.reply, 16, -ECONNRESET);
	assert_int_equal(fixture->bodies_open, 0);
	arena_free(exchange.arena);
}

static void read__client_leaves(void **state)
{
	(void)state;
	with_proxy(co_client_leaves, 3, 3);
}

/* ---- containers and accounts ---- */

static const struct {
	const char *script;
	int status;
} listing_cases[] = {
	{"200", 200},
	{"404 200", 200},
	/* made by replication, not filled yet */
	{"200@0 200@5", 200},
	{"200@0 200@0 200@0 404 404 404", 404},
	{"404 404 404 404 404 404", 404},
	{"503 503 503 503 503 503", 503},
};

static void co_listings(struct proxy_fixture *fixture)
{
	for (size_t i = 0; i < sizeof(listing_cases) / sizeof(listing_cases[0]); i++) {
		forget_everything(fixture);
		co_expect("HEAD /v1/a/c/o", 200);
		fixture_script(BACKEND_CONTAINER, listing_cases[i].script);
		co_expect("GET /v1/a/c", listing_cases[i].status);
		forget_everything(fixture);
		fixture_script(BACKEND_ACCOUNT, listing_cases[i].script);
		co_expect("GET /v1/a", listing_cases[i].status);
	}
}

static void read__containers_and_accounts(void **state)
{
	(void)state;
	with_proxy(co_listings, 3, 3);
}

/* A server that never answers is left out in the end although others answer in its place. */
static void co_late_failure(struct proxy_fixture *fixture)
{
	int order[FAKE_DEVICES_MAX];
	ring_order(order);
	struct leg_target first = {BACKEND_OBJECT, arena_printf(fixture->arena, "10.0.0.%d", order[0]),
		FAKE_PORT + BACKEND_OBJECT, arena_printf(fixture->arena, "d%d", order[0])};
	for (unsigned i = 0; i <= fixture->options.error_suppression_limit; i++)
		node_failed_late(fixture->proxy, &first, "tx", -ETIMEDOUT);
	int without[FAKE_DEVICES_MAX];
	ring_order(without);
	assert_int_equal(without[0], order[1]);
}

static void read__late_failures_count(void **state)
{
	(void)state;
	with_proxy(co_late_failure, 3, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read__whose_answer_counts),
		cmocka_unit_test(read__order_of_servers),
		cmocka_unit_test(read__silent_servers),
		cmocka_unit_test(read__loser_is_let_go),
		cmocka_unit_test(read__goes_on_elsewhere),
		cmocka_unit_test(read__never_mixes_versions),
		cmocka_unit_test(read__client_leaves),
		cmocka_unit_test(read__containers_and_accounts),
		cmocka_unit_test(read__late_failures_count),
	};
	fake_servers_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
