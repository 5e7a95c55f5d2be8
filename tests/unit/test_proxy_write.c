/*
 * POST and DELETE of objects, writes to containers and accounts: quorums, handoffs, and the updates
 * that are handed out with them. Vectors of Swift's best_response and num_container_updates:
 * tests/data/proxy-quorum-vectors.json.
 */
#include <jansson.h>

#include "tests/unit/proxy_fixture.h"

/* ---- quorums ---- */

struct vector {
	char script[128];
	size_t statuses;
	bool deleting;
	int result;
};

static void co_one_vector(struct proxy_fixture *fixture, const struct vector *vector)
{
	fixture_script(BACKEND_OBJECT, vector->script);
	fixture->usual_status[BACKEND_OBJECT] = 503;
	struct answer answer;
	co_ask(&answer, vector->deleting ? "DELETE /v1/a/c/o" : "POST /v1/a/c/o [X-Object-Meta-A: b]");
	if (answer.status != vector->result)
		fail_msg("%s %s: %d, expected %d", vector->deleting ? "DELETE" : "POST", vector->script, answer.status,
			vector->result);
	answer_release(&answer);
}

static const struct vector *vector_now;

static void co_vector(struct proxy_fixture *fixture)
{
	co_one_vector(fixture, vector_now);
}

static void run_vector(json_t *row)
{
	struct vector vector = {0};
	size_t index;
	json_t *status;
	json_array_foreach(json_object_get(row, "statuses"), index, status)
	{
		size_t length = strlen(vector.script);
		snprintf(
			vector.script + length, sizeof(vector.script) - length, "%d ", (int)json_integer_value(status));
		vector.statuses++;
	}
	vector.deleting = !json_is_null(json_object_get(row, "overrides"));
	vector.result = (int)json_integer_value(json_object_get(row, "result"));
	/* the quorum of an EC policy */
	if (!json_is_null(json_object_get(row, "quorum_size")))
		return;
	vector_now = &vector;
	with_proxy(co_vector, 3, (double)vector.statuses);
}

static void write__quorum_vectors(void **state)
{
	(void)state;
	json_t *vectors = json_load_file("tests/data/proxy-quorum-vectors.json", 0, NULL);
	assert_non_null(vectors);
	size_t index;
	json_t *row;
	json_array_foreach(json_object_get(vectors, "best_response"), index, row) run_vector(row);
	assert_true(index > 20);
	json_decref(vectors);
}

/* Who is asked when not all is well. */
static const struct {
	const char *line;
	const char *script;
	int status;
	size_t asked;
} write_cases[] = {
	{"DELETE /v1/a/c/o", "204 204 204", 204, 3},
	{"DELETE /v1/a/c/o", "404 404 404", 404, 3},
	{"DELETE /v1/a/c/o", "503 204 204 204", 204, 4},
	/* a handoff that knows nothing counts as no answer, and nobody else is asked in its place
	 */
	{"DELETE /v1/a/c/o", "503 204 204 404", 204, 4},
	{"DELETE /v1/a/c/o", "503 503 204 404 404", 503, 5},
	{"DELETE /v1/a/c/o", "503 404 404 404@7", 404, 4},
	{"DELETE /v1/a/c/o", "409 409 204", 409, 3},
	{"DELETE /v1/a/c/o", "507 507 204 204 204", 204, 5},
	{"POST /v1/a/c/o", "202 202 202", 202, 3},
	{"POST /v1/a/c/o", "404 404 404", 404, 3},
	{"POST /v1/a/c/o", "202 202 404", 202, 3},
	/* for each primary that lacks the object a handoff may have it */
	{"POST /v1/a/c/o", "202 404 404 202 404", 202, 5},
	{"POST /v1/a/c/o", "404 202 404 404 202", 202, 5},
	/* somebody took it, so "not found" would be wrong */
	{"POST /v1/a/c/o", "202 404 404 404 404", 503, 5},
	{"POST /v1/a/c/o", "202 404 503 404 404", 503, 5},
};

static void forget_everything(struct proxy_fixture *fixture)
{
	fixture->over = true;
	while (loop_coroutines(loop_current()) > 1)
		co_sleep_ms(1);
	fixture->over = false;
	fixture_start_proxy(fixture);
	forget_requests();
}

static void co_cases(struct proxy_fixture *fixture)
{
	for (size_t i = 0; i < sizeof(write_cases) / sizeof(write_cases[0]); i++) {
		forget_everything(fixture);
		fixture_script(BACKEND_OBJECT, write_cases[i].script);
		struct answer answer;
		co_ask(&answer, write_cases[i].line);
		size_t asked =
			count_requests(BACKEND_OBJECT, METHOD_POST) + count_requests(BACKEND_OBJECT, METHOD_DELETE);
		if (answer.status != write_cases[i].status || asked != write_cases[i].asked)
			fail_msg("%s: %s: %d from %zu, expected %d from %zu", write_cases[i].line,
				write_cases[i].script, answer.status, asked, write_cases[i].status,
				write_cases[i].asked);
		answer_release(&answer);
	}
}

static void write__handoffs(void **state)
{
	(void)state;
	with_proxy(co_cases, 3, 3);
}

static const struct {
	const char *line;
	const char *script;
	int status;
	uint64_t least_ms, most_ms;
} silent_cases[] = {
	{"DELETE /v1/a/c/o", "204 204 hang", 204, MOMENT_MS, MOMENT_MS + 50},
	{"DELETE /v1/a/c/o", "204 204 slow204", 204, SLOW_MS, MOMENT_MS},
	{"DELETE /v1/a/c/o", "204 404 hang 204", 204, CONNECT_MS + NODE_MS, CONNECT_MS + NODE_MS + 50},
	{"POST /v1/a/c/o", "202 hang 202", 202, MOMENT_MS, MOMENT_MS + 50},
	{"POST /v1/a/c/o", "404 404 hang", 404, MOMENT_MS, MOMENT_MS + 50},
};

static void co_silent(struct proxy_fixture *fixture)
{
	co_expect("HEAD /v1/a/c/o", 200);
	for (size_t i = 0; i < sizeof(silent_cases) / sizeof(silent_cases[0]); i++) {
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
	fixture->over = true;
}

static void write__silent_servers(void **state)
{
	(void)state;
	with_proxy(co_silent, 3, 3);
}

/* ---- updates ---- */

static size_t count_items(const char *csv)
{
	size_t count = csv ? 1 : 0;
	for (; csv && *csv; csv++)
		count += *csv == ',';
	return count;
}

/* Update j goes to request j mod n with container j mod Rc; the expirer's to the requests in
 * reverse. */
static void check_update(const struct fake_request *request, size_t index, size_t count, size_t updates)
{
	size_t wanted = 0, wanted_reversed = 0;
	for (size_t j = 0; j < updates; j++) {
		wanted += j % count == index;
		wanted_reversed += count - 1 - j % count == index;
	}
	const char *hosts = request_header(request, "X-Container-Host");
	assert_int_equal(count_items(hosts), wanted);
	assert_int_equal(count_items(request_header(request, "X-Container-Device")), wanted);
	assert_int_equal(count_items(request_header(request, "X-Delete-At-Host")), wanted_reversed);
	assert_int_equal(count_items(request_header(request, "X-Delete-At-Device")), wanted_reversed);
	assert_int_equal(request_header(request, "X-Container-Partition") != NULL, wanted > 0);
	assert_string_equal(request_header(request, "X-Backend-Clean-Expiring-Object-Queue"), index < 2 ? "t" : "f");
	assert_string_equal(request_header(request, "X-Delete-At"), "9000000000");
	assert_non_null(request_header(request, "X-Delete-At-Container"));
}

static struct {
	size_t containers, objects, updates;
} shares;

static void co_shares(struct proxy_fixture *fixture)
{
	(void)fixture;
	co_expect("PUT /v1/a/c/o [X-Delete-At: 9000000000] body=x", 201);
	size_t hosts = 0;
	for (size_t i = 0; i < shares.objects; i++) {
		const struct fake_request *request = nth_request(BACKEND_OBJECT, METHOD_PUT, i);
		hosts += count_items(request_header(request, "X-Container-Host"));
		check_update(request, i, shares.objects, shares.updates);
	}
	if (hosts != shares.updates)
		fail_msg("%zu containers, %zu objects: %zu updates, expected %zu", shares.containers, shares.objects,
			hosts, shares.updates);
}

static void write__update_shares(void **state)
{
	(void)state;
	json_t *vectors = json_load_file("tests/data/proxy-quorum-vectors.json", 0, NULL);
	size_t index, checked = 0;
	json_t *row;
	json_array_foreach(json_object_get(vectors, "num_container_updates"), index, row)
	{
		shares.containers = (size_t)json_integer_value(json_object_get(row, "container_replicas"));
		shares.objects = (size_t)json_integer_value(json_object_get(row, "object_requests"));
		shares.updates = (size_t)json_integer_value(json_object_get(row, "updates"));
		size_t quorum = (size_t)json_integer_value(json_object_get(row, "object_quorum"));
		/* the quorum of an EC policy */
		if (quorum != quorum_size(shares.objects) || shares.objects > FAKE_DEVICES_MAX)
			continue;
		with_proxy(co_shares, (double)shares.containers, (double)shares.objects);
		checked++;
	}
	assert_true(checked >= 5);
	json_decref(vectors);
}

/* A handoff does the update of the primary that it stands for. */
static void co_handoff_update(struct proxy_fixture *fixture)
{
	(void)fixture;
	fixture_script(BACKEND_OBJECT, "204 503 204 204");
	co_expect("DELETE /v1/a/c/o", 204);
	const char *failed = request_header(nth_request(BACKEND_OBJECT, METHOD_DELETE, 1), "X-Container-Host");
	const char *handoff = request_header(nth_request(BACKEND_OBJECT, METHOD_DELETE, 3), "X-Container-Host");
	assert_non_null(failed);
	assert_string_equal(failed, handoff);
}

static void write__handoff_does_the_update(void **state)
{
	(void)state;
	with_proxy(co_handoff_update, 3, 3);
}

/* ---- containers and accounts ---- */

static void co_containers(struct proxy_fixture *fixture)
{
	co_expect("PUT /v1/a/c [X-Storage-Policy: Yellow] [X-Container-Meta-A: b] "
		  "[X-Remove-Container-Meta-C: x] [X-Remove-Container-Sysmeta-D: x] "
		  "[X-Other: no]",
		201);
	assert_int_equal(count_requests(BACKEND_CONTAINER, METHOD_PUT), 3);
	for (size_t i = 0; i < 3; i++) {
		const struct fake_request *request = nth_request(BACKEND_CONTAINER, METHOD_PUT, i);
		assert_int_equal(count_items(request_header(request, "X-Account-Host")), 1);
		assert_string_equal(request_header(request, "X-Backend-Storage-Policy-Index"), "0");
		assert_string_equal(request_header(request, "X-Container-Meta-A"), "b");
		assert_string_equal(request_header(request, "X-Container-Meta-C"), "");
		assert_null(request_header(request, "X-Container-Sysmeta-D"));
		assert_null(request_header(request, "X-Other"));
	}
	forget_everything(fixture);
	co_expect("PUT /v1/a/c", 201);
	assert_string_equal(
		request_header(nth_request(BACKEND_CONTAINER, METHOD_PUT, 0), "X-Backend-Storage-Policy-Default"), "0");
	co_expect("PUT /v1/a/c [X-Storage-Policy: unheard-of]", 400);
	co_expect("PUT /v1/a/c [X-Storage-Policy: old]", 400);
	co_expect("POST /v1/a/c [X-Container-Meta-A: b]", 204);
	co_expect("DELETE /v1/a/c", 204);
	fixture_script(BACKEND_CONTAINER, "202 202 202");
	co_expect("DELETE /v1/a/c", 404);
	fixture_script(BACKEND_CONTAINER, "409 409 409");
	co_expect("PUT /v1/a/c", 409);
	fixture->options.max_containers_per_account = 2; /* as many as there are */
	fixture_start_proxy(fixture);
	co_expect("PUT /v1/a/c", 201); /* it exists */
	fixture->no_container = true;
	co_expect("PUT /v1/a/c", 403);
}

static void write__containers(void **state)
{
	(void)state;
	with_proxy(co_containers, 3, 3);
}

/* Three account hosts over five container requests: the last two carry none. */
static void co_account_shares(struct proxy_fixture *fixture)
{
	(void)fixture;
	co_expect("PUT /v1/a/c", 201);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(
			count_items(request_header(nth_request(BACKEND_CONTAINER, METHOD_PUT, i), "X-Account-Host")),
			i < 3 ? 1 : 0);
}

static void co_account_shares_of_two(struct proxy_fixture *fixture)
{
	(void)fixture;
	co_expect("PUT /v1/a/c", 201);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(
			count_items(request_header(nth_request(BACKEND_CONTAINER, METHOD_PUT, i), "X-Account-Host")),
			2 - i);
}

static void write__account_updates(void **state)
{
	(void)state;
	with_proxy(co_account_shares, 5, 3);
	with_proxy(co_account_shares_of_two, 2, 3);
}

static void co_accounts(struct proxy_fixture *fixture)
{
	co_expect("PUT /v1/a", 201);
	co_expect("POST /v1/a [X-Account-Meta-A: b]", 204);
	assert_string_equal(request_header(nth_request(BACKEND_ACCOUNT, METHOD_POST, 0), "X-Account-Meta-A"), "b");
	co_expect("DELETE /v1/a?all", 400);
	co_expect("DELETE /v1/a", 204);
	fixture->options.allow_account_management = false;
	fixture_start_proxy(fixture);
	co_expect("PUT /v1/a", 405);
	co_expect("DELETE /v1/a", 405);
}

static void write__accounts(void **state)
{
	(void)state;
	with_proxy(co_accounts, 3, 3);
}

static void co_autocreate(struct proxy_fixture *fixture)
{
	fixture->no_account = true;
	fixture_start_proxy(fixture);
	co_expect("PUT /v1/a/c", 404);
	co_expect("GET /v1/a/c", 404);
	co_expect("POST /v1/a/c", 404);
	co_expect("DELETE /v1/a/c", 404);
	co_expect("GET /v1/a/c/o", 404);
	co_expect("GET /v1/a", 404);
	assert_int_equal(count_requests(BACKEND_ACCOUNT, METHOD_PUT), 0);
	fixture->options.account_autocreate = true;
	fixture_start_proxy(fixture);
	co_expect("GET /v1/a", 204);
	co_expect("HEAD /v1/a", 200);
	co_expect("GET /v1/a?format=json", 200);
	assert_int_equal(count_requests(BACKEND_ACCOUNT, METHOD_PUT), 0);
	forget_requests();
	co_expect("PUT /v1/a/c", 201);
	assert_int_equal(count_requests(BACKEND_ACCOUNT, METHOD_PUT), 3);
	assert_int_equal(count_requests(BACKEND_CONTAINER, METHOD_PUT), 3);
	/* POST of an account that is not there */
	forget_requests();
	fixture_script(BACKEND_ACCOUNT, "404 404 404");
	co_expect("POST /v1/a [X-Account-Meta-A: b]", 204);
	assert_int_equal(count_requests(BACKEND_ACCOUNT, METHOD_PUT), 3);
	assert_int_equal(count_requests(BACKEND_ACCOUNT, METHOD_POST), 6);
	/* hidden accounts need not exist */
	fixture->options.account_autocreate = false;
	fixture->no_account = true;
	fixture_start_proxy(fixture);
	co_expect("PUT /v1/.a/c", 201);
}

static void write__account_autocreate(void **state)
{
	(void)state;
	with_proxy(co_autocreate, 3, 3);
}

/* Nobody could say whether the account exists: that is not "not found". */
static void co_no_account_servers(struct proxy_fixture *fixture)
{
	fixture->usual_status[BACKEND_ACCOUNT] = 503;
	static const char *const lines[] = {"GET /v1/a/c", "HEAD /v1/a/c", "POST /v1/a/c", "DELETE /v1/a/c",
		"PUT /v1/a/c", "GET /v1/a/c/o", "DELETE /v1/a/c/o"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		fixture_start_proxy(fixture);
		co_expect(lines[i], 503);
	}
}

static void write__account_servers_down(void **state)
{
	(void)state;
	with_proxy(co_no_account_servers, 3, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write__quorum_vectors),
		cmocka_unit_test(write__handoffs),
		cmocka_unit_test(write__silent_servers),
		cmocka_unit_test(write__update_shares),
		cmocka_unit_test(write__handoff_does_the_update),
		cmocka_unit_test(write__containers),
		cmocka_unit_test(write__account_updates),
		cmocka_unit_test(write__accounts),
		cmocka_unit_test(write__account_autocreate),
		cmocka_unit_test(write__account_servers_down),
	};
	fake_servers_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
