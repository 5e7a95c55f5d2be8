/* The expirer over fake servers: what it asks of them, and what it makes of their answers. */
#include "proxy/daemons/expirer.h"

#include "proxy/expirer_queue.h"
#include "tests/unit/proxy_fixture.h"

enum { NOW_SECONDS = 100000 };

/* Task containers for the account's listing, tasks for that of a container; each skips the other's. */
#define QUEUE_HEAD "[{\"name\":\"0000086300\"},"
#define QUEUE_TAIL "{\"name\":\"9999999998-a/c/later\"},{\"name\":\"9999999999\"}]"
#define PLAIN_TASK "{\"name\":\"0000086401-a/c/o/p\",\"content_type\":\"text/plain\"},"
#define ASYNC_TASK "{\"name\":\"0000090000.12345-a/c/big\",\"content_type\":\"application/async-deleted\"},"

static void expirer__parses_tasks(void **state)
{
	static const struct {
		const char *name;
		int result;
		uint64_t raw;
		const char *account, *container, *object;
	} cases[] = {
		{"0000086401-a/c/o", 0, 8640100000, "a", "c", "o"},
		{"0000086401-a/c/o/p-q", 0, 8640100000, "a", "c", "o/p-q"},
		{"1795222396.77869-AUTH_x/c c/o", 0, 179522239677869, "AUTH_x", "c c", "o"},
		{"0000086401-a/c/", -EINVAL, 0, "", "", ""},
		{"0000086401-a/c", -EINVAL, 0, "", "", ""},
		{"0000086401-a//o", -EINVAL, 0, "", "", ""},
		{"0000086401-/c/o", -EINVAL, 0, "", "", ""},
		{"0000086401", -EINVAL, 0, "", "", ""},
		{"-a/c/o", -EINVAL, 0, "", "", ""},
		{"abc-a/c/o", -EINVAL, 0, "", "", ""},
		{"", -EINVAL, 0, "", "", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct expirer_task task;
		assert_int_equal(expirer_task_parse(slice_from(cases[i].name), &task), cases[i].result);
		if (cases[i].result)
			continue;
		assert_int_equal(task.due.raw, cases[i].raw);
		assert_true(slice_equal(task.account, slice_from(cases[i].account)));
		assert_true(slice_equal(task.container, slice_from(cases[i].container)));
		assert_true(slice_equal(task.object, slice_from(cases[i].object)));
	}
}

static struct expirer *expirer_of(struct proxy_fixture *fixture, uint64_t reclaim_age_ms, const char *delay)
{
	static char *items[1];
	static struct text_list delays = {items, 0};
	struct expirer_options options = {
		.proxy = fixture->proxy,
		.interval_ms = 1000,
		.reclaim_age_ms = reclaim_age_ms,
		.takeover_ms = 1000,
		.tasks_per_second = 1000,
		.concurrency = 2,
		.delay_reaping = &delays,
	};
	struct expirer *expirer = NULL;
	char *error = NULL;
	items[0] = (char *)delay;
	delays.count = delay != NULL;
	if (expirer_new(&options, &expirer, &error)) {
		assert_non_null(strstr(error, "delay_reaping"));
		free(error);
	}
	return expirer;
}

static struct expirer_counts co_pass(struct proxy_fixture *fixture, uint64_t reclaim_age_ms, const char *delay)
{
	struct timestamp now = {NOW_SECONDS * TIMESTAMP_RAW_PER_SECOND, 0};
	struct expirer *expirer = expirer_of(fixture, reclaim_age_ms, delay);
	struct expirer_counts counts;
	fixture->request_count = 0;
	co_expirer_pass(expirer, now, &counts);
	expirer_free(expirer);
	return counts;
}

static size_t count_deletes(const struct proxy_fixture *fixture, enum backend_service service, const char *path_end,
	const struct headers **ret)
{
	size_t count = 0;
	for (size_t i = 0; i < fixture->request_count; i++) {
		const struct fake_request *request = &fixture->requests[i];
		if (request->service != service || request->method != METHOD_DELETE ||
			!slice_ends_with(slice_from(request->path), slice_from(path_end)))
			continue;
		*ret = &request->headers;
		count++;
	}
	return count;
}

static void co_test_requests(struct proxy_fixture *fixture)
{
	const struct headers *headers;
	fixture->listing = QUEUE_HEAD PLAIN_TASK ASYNC_TASK QUEUE_TAIL;
	struct expirer_counts counts = co_pass(fixture, 0, NULL);
	assert_int_equal(counts.deleted, 2);
	assert_int_equal(counts.kept + counts.failed + counts.dropped, 0);

	assert_int_equal(count_deletes(fixture, BACKEND_OBJECT, "/a/c/o/p", &headers), 3);
	assert_string_equal(headers_get(headers, "X-Timestamp"), "0000086401.00000");
	assert_string_equal(headers_get(headers, "X-If-Delete-At"), "0000086401.00000");
	assert_string_equal(headers_get(headers, "X-Backend-Clean-Expiring-Object-Queue"), "no");
	assert_string_equal(headers_get(headers, "X-Backend-Storage-Policy-Index"), "0");

	assert_int_equal(count_deletes(fixture, BACKEND_OBJECT, "/a/c/big", &headers), 3);
	assert_string_equal(headers_get(headers, "X-Timestamp"), "0000090000.12345");
	assert_null(headers_get(headers, "X-If-Delete-At"));

	assert_int_equal(
		count_deletes(fixture, BACKEND_CONTAINER, "/.expiring_objects/0000086300/0000086401-a/c/o/p", &headers),
		3);
	assert_int_equal(count_deletes(fixture, BACKEND_CONTAINER, "/0000090000.12345-a/c/big", &headers), 3);
	assert_int_equal(count_deletes(fixture, BACKEND_OBJECT, "later", &headers), 0);
	assert_int_equal(count_deletes(fixture, BACKEND_CONTAINER, "later", &headers), 0);
}

static void co_test_answers(struct proxy_fixture *fixture)
{
	enum { AGE_SECONDS = NOW_SECONDS - 86401 };
	static const struct {
		const char *task;
		int status;
		uint64_t reclaim_age_ms;
		struct expirer_counts counts;
	} cases[] = {
		{PLAIN_TASK, 204, 1000000000, {.deleted = 1}},
		{PLAIN_TASK, 409, 1000000000, {.deleted = 1}},
		{PLAIN_TASK, 404, 1000000000, {.kept = 1}},
		{PLAIN_TASK, 412, 1000000000, {.kept = 1}},
		{PLAIN_TASK, 412, (AGE_SECONDS + 1) * 1000, {.kept = 1}},
		{PLAIN_TASK, 412, AGE_SECONDS * 1000, {.dropped = 1}},
		{PLAIN_TASK, 404, 0, {.dropped = 1}},
		{PLAIN_TASK, 503, 0, {.failed = 1}},
		{PLAIN_TASK, 400, 0, {.failed = 1}},
		{ASYNC_TASK, 404, 1000000000, {.deleted = 1}},
		{ASYNC_TASK, 409, 1000000000, {.deleted = 1}},
		{ASYNC_TASK, 412, 1000000000, {.kept = 1}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct headers *headers;
		fixture->listing = arena_printf(fixture->arena, QUEUE_HEAD "%s" QUEUE_TAIL, cases[i].task);
		fixture->usual_status[BACKEND_OBJECT] = cases[i].status;
		struct expirer_counts counts = co_pass(fixture, cases[i].reclaim_age_ms, NULL);
		assert_memory_equal(&counts, &cases[i].counts, sizeof(counts));
		size_t popped = count_deletes(fixture, BACKEND_CONTAINER, "", &headers);
		assert_int_equal(popped, counts.deleted + counts.dropped ? 3 : 0);
	}
}

static void co_test_delays(struct proxy_fixture *fixture)
{
	static const struct {
		const char *delay;
		size_t deleted;
	} cases[] = {
		{"a=13598", 2}, {"a=13600", 1}, {"a/c=13600", 1}, {"a/d=13600", 2}, {"b=13600", 2}, {"a/c = 0", 2}};
	fixture->listing = QUEUE_HEAD PLAIN_TASK ASYNC_TASK QUEUE_TAIL;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(co_pass(fixture, 0, cases[i].delay).deleted, cases[i].deleted);
	static const char *const wrong[] = {"a", "a=", "a=x", "a=-1", "=1", "a/b/c=1", "/a=1", "a/=1"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_null(expirer_of(fixture, 0, wrong[i]));
}

/* Those of days that are over, and no others. */
static void co_test_empty_containers(struct proxy_fixture *fixture)
{
	static const struct {
		const char *listing, *answers;
		size_t deletes;
	} cases[] = {
		{"[{\"name\":\"0000013500\"},{\"name\":\"9999999999\"}]", "204 204", 3},
		{"[{\"name\":\"0000013500\"},{\"name\":\"9999999999\"}]", "204 503 503 503 503 503 503", 0},
		{"[{\"name\":\"0000013500\"},{\"name\":\"9999999999\"}]", "200 200", 0},
		{"[{\"name\":\"0000013501\"},{\"name\":\"9999999999\"}]", "204 204", 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct headers *headers;
		fixture->listing = cases[i].listing;
		fixture_script(BACKEND_CONTAINER, cases[i].answers);
		(void)co_pass(fixture, 0, NULL);
		assert_int_equal(count_deletes(fixture, BACKEND_CONTAINER, "/.expiring_objects/0000013500", &headers),
			cases[i].deletes);
		assert_int_equal(count_deletes(fixture, BACKEND_CONTAINER, "", &headers), cases[i].deletes);
	}
}

/* Pages that the servers would refuse are not asked for. */
static void co_test_limits(struct proxy_fixture *fixture)
{
	fixture->options.constraints.account_listing_limit = 7;
	fixture->options.constraints.container_listing_limit = 5;
	fixture_start_proxy(fixture);
	fixture->listing = QUEUE_HEAD PLAIN_TASK QUEUE_TAIL;
	assert_int_equal(co_pass(fixture, 0, NULL).deleted, 1);
	assert_non_null(strstr(fixture->requests[0].query, "limit=7"));
	assert_non_null(strstr(fixture->requests[1].query, "limit=5"));
}

/* A server that answers every page alike holds nobody up. */
static void co_test_odd_queues(struct proxy_fixture *fixture)
{
	static const char *const listings[] = {"[]", "{}", "x", "[1, {}, {\"name\": 1}]", "[{\"name\":\"0000086300\"}]",
		"[{\"name\":\"0000086300\"},{\"name\":\"abc\"}]"};
	for (size_t i = 0; i < sizeof(listings) / sizeof(listings[0]); i++) {
		fixture->listing = listings[i];
		struct expirer_counts counts = co_pass(fixture, 0, NULL);
		assert_int_equal(counts.deleted + counts.dropped + counts.kept + counts.failed, 0);
	}
}

static void expirer__asks_servers(void **state)
{
	(void)state;
	with_proxy(co_test_requests, 3, 3);
}

static void expirer__judges_answers(void **state)
{
	(void)state;
	with_proxy(co_test_answers, 3, 3);
}

static void expirer__keeps_delays(void **state)
{
	(void)state;
	with_proxy(co_test_delays, 3, 3);
}

static void expirer__heeds_limits(void **state)
{
	(void)state;
	with_proxy(co_test_limits, 3, 3);
}

static void expirer__removes_empty_containers(void **state)
{
	(void)state;
	with_proxy(co_test_empty_containers, 3, 3);
}

static void expirer__odd_queues(void **state)
{
	(void)state;
	with_proxy(co_test_odd_queues, 3, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expirer__parses_tasks),
		cmocka_unit_test(expirer__asks_servers),
		cmocka_unit_test(expirer__judges_answers),
		cmocka_unit_test(expirer__keeps_delays),
		cmocka_unit_test(expirer__heeds_limits),
		cmocka_unit_test(expirer__removes_empty_containers),
		cmocka_unit_test(expirer__odd_queues),
	};
	fake_servers_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
