/*
 * What the proxy remembers about accounts and containers, and for how long; the order of nodes;
 * legs whose owner left.
 */
#include <xxhash.h>

#include "tests/unit/proxy_fixture.h"

static size_t container_heads(void)
{
	return count_requests(BACKEND_CONTAINER, METHOD_HEAD);
}

/* ---- the cache ---- */

static void co_kept(struct proxy_fixture *fixture)
{
	co_expect("HEAD /v1/a/c/o", 200);
	co_expect("HEAD /v1/a/c/p", 200);
	assert_int_equal(container_heads(), 1);
	assert_int_equal(count_requests(BACKEND_ACCOUNT, METHOD_HEAD), 1);
	co_expect("HEAD /v1/a/d/o", 200);
	assert_int_equal(container_heads(), 2);
	assert_int_equal(count_requests(BACKEND_ACCOUNT, METHOD_HEAD), 1);
	fixture->options.recheck_container_ms = 20;
	fixture_start_proxy(fixture);
	forget_requests();
	co_expect("HEAD /v1/a/c/o", 200);
	co_sleep_ms(30);
	co_expect("HEAD /v1/a/c/o", 200);
	assert_int_equal(container_heads(), 2);
	fixture->options.recheck_container_ms = 0;
	fixture_start_proxy(fixture);
	forget_requests();
	co_expect("HEAD /v1/a/c/o", 200);
	co_expect("HEAD /v1/a/c/o", 200);
	assert_int_equal(container_heads(), 2);
}

static void info__is_kept_for_a_while(void **state)
{
	(void)state;
	with_proxy(co_kept, 3, 3);
}

static void co_forgotten(struct proxy_fixture *fixture)
{
	static const char *const writes[] = {"POST /v1/a/c [X-Container-Read: .r:*]", "PUT /v1/a/c", "DELETE /v1/a/c"};
	(void)fixture;
	for (size_t i = 0; i < 3; i++) {
		co_expect("HEAD /v1/a/c/o", 200);
		forget_requests();
		co_expect("HEAD /v1/a/c/o", 200);
		assert_int_equal(container_heads(), 0);
		co_expect(writes[i], i == 1 ? 201 : 204);
		co_expect("HEAD /v1/a/c/o", 200);
		assert_int_equal(container_heads(), 1);
	}
	co_expect("POST /v1/a [X-Account-Meta-A: b]", 204);
	forget_requests();
	co_expect("HEAD /v1/a/c/o", 200);
	assert_int_equal(count_requests(BACKEND_ACCOUNT, METHOD_HEAD), 1);
}

static void info__is_forgotten_on_writes(void **state)
{
	(void)state;
	with_proxy(co_forgotten, 3, 3);
}

static void co_negative(struct proxy_fixture *fixture)
{
	fixture->no_container = true;
	co_expect("HEAD /v1/a/c/o", 404);
	fixture->no_container = false;
	co_expect("HEAD /v1/a/c/o", 200);
	fixture->no_account = true;
	fixture_start_proxy(fixture);
	co_expect("HEAD /v1/a/c/o", 404);
	fixture->no_account = false;
	co_expect("HEAD /v1/a/c/o", 200);
	fixture->usual_status[BACKEND_CONTAINER] = 503;
	fixture_start_proxy(fixture);
	co_expect("HEAD /v1/a/c/o", 503);
	fixture->usual_status[BACKEND_CONTAINER] = 0;
	co_expect("HEAD /v1/a/c/o", 200);
}

static void info__absence_is_not_kept(void **state)
{
	(void)state;
	with_proxy(co_negative, 3, 3);
}

/* What was fetched before a write must not be kept after it. */
static void co_read_while_written(void *argument)
{
	(void)argument;
	co_expect("HEAD /v1/a/c/o", 200);
}

static void co_race(struct proxy_fixture *fixture)
{
	(void)fixture;
	fixture_script(BACKEND_CONTAINER, "slow204 204 204 204");
	co_start(co_read_while_written, NULL);
	while (!container_heads())
		co_yield ();
	co_expect("POST /v1/a/c [X-Container-Read: .r:*]", 204);
	while (loop_coroutines(loop_current()) > 1)
		co_sleep_ms(1);
	forget_requests();
	co_expect("HEAD /v1/a/c/o", 200);
	assert_int_equal(container_heads(), 1);
}

static void info__write_overtakes_a_fetch(void **state)
{
	(void)state;
	with_proxy(co_race, 3, 3);
}

/*
 * Two names with one key of the cache's hash, as anybody can make them: of a name of 32 bytes whose
 * first eight are chosen to make a factor zero, the next eight do not matter to XXH3.
 */
static bool make_twins(char account[32], char first[33], char second[33])
{
	static const unsigned char start_of_secret[8] = {0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe};
	uint64_t secret;
	memcpy(&secret, start_of_secret, sizeof(secret));
	for (unsigned i = 0; i < 1000000; i++) {
		snprintf(account, 32, "AUTH_%u", i);
		uint64_t magic = secret + XXH3_64bits_withSeed(account, strlen(account), 1);
		unsigned char bytes[8];
		memcpy(bytes, &magic, sizeof(bytes));
		bool usable = true;
		for (size_t j = 0; j < sizeof(bytes); j++)
			usable &= (bytes[j] >= 'a' && bytes[j] <= 'z') || (bytes[j] >= '0' && bytes[j] <= '~');
		if (!usable || memchr(bytes, '?', 8) || memchr(bytes, '[', 8) || memchr(bytes, ']', 8))
			continue;
		snprintf(first, 33, "%.8s%s", (const char *)bytes, "publicXX_of_the_attacker");
		snprintf(second, 33, "%.8s%s", (const char *)bytes, "private1_of_the_attacker");
		return true;
	}
	return false;
}

static void co_twins(struct proxy_fixture *fixture)
{
	char account[32], first[33], second[33], line[128];
	assert_true(make_twins(account, first, second));
	uint64_t seed = XXH3_64bits_withSeed(account, strlen(account), 1);
	assert_true(XXH3_64bits_withSeed(first, 32, seed) == XXH3_64bits_withSeed(second, 32, seed));
	fixture->container_headers[0] = "X-Container-Read";
	fixture->container_headers[1] = ".r:*";
	snprintf(line, sizeof(line), "HEAD /v1/%s/%s/o", account, first);
	co_expect(line, 200);
	fixture->container_headers[0] = NULL;
	snprintf(line, sizeof(line), "HEAD /v1/%s/%s/o", account, second);
	forget_requests();
	co_expect(line, 200);
	assert_int_equal(container_heads(), 1);
}

static void info__equal_keys_are_told_apart(void **state)
{
	(void)state;
	with_proxy(co_twins, 3, 3);
}

/* ---- legs whose owner has left ---- */

static struct {
	size_t calls;
	int error;
	int port;
} late;

static void on_late_failure(void *argument, const struct leg_target *target, const char *transaction, int error)
{
	assert_ptr_equal(argument, &late);
	assert_string_equal(transaction, "tx1");
	late.calls++;
	late.error = error;
	late.port = target->port;
}

static struct leg *start_leg(struct legs *legs, const char *ip, int port)
{
	struct leg_target target = {BACKEND_OBJECT, ip, port, "d1"};
	struct backend_timeouts timeouts = {100, 100};
	struct leg *leg = leg_new(legs, &target, METHOD_GET, NULL);
	leg_request(leg)->path = SLICE_LITERAL("/d1/0/a/c/o");
	snprintf(leg_request(leg)->transaction_id, TRANSACTION_ID_BYTES, "tx1");
	leg_start(leg, &timeouts);
	return leg;
}

/* A port where connections are taken and never answered. */
static int silent_listener(int *ret_port)
{
	int fd = -1;
	for (int port = 23210; port < 23300 && fd < 0; port++) {
		*ret_port = port;
		if (socket_probe("127.0.0.1", port) == 0)
			fd = socket_listen("127.0.0.1", port, 8);
	}
	assert_true(fd >= 0);
	return fd;
}

static void co_late(struct proxy_fixture *fixture)
{
	(void)fixture;
	int port;
	int fd = silent_listener(&port);
	struct legs *legs = legs_new();
	legs_on_late_failure(legs, on_late_failure, &late);
	(void)start_leg(legs, "127.0.0.1", port);
	struct leg *kept = start_leg(legs, "10.0.0.1", FAKE_PORT + BACKEND_OBJECT);
	while (leg_state(kept) < LEG_REPLIED)
		assert_int_equal(co_legs_wait(legs, deadline_after_ms(1000)), 0);
	legs_keep_only(legs, kept);
	assert_int_equal(legs_count(legs), 1);
	assert_ptr_equal(legs_at(legs, 0), kept);
	assert_int_equal(leg_reply(kept)->status, 200);
	assert_int_equal(late.calls, 0);
	co_sleep_ms(200);
	assert_int_equal(late.calls, 1);
	assert_int_equal(late.error, -ETIMEDOUT);
	assert_int_equal(late.port, port);
	legs_free(legs);
	close(fd);
}

static void legs__late_failures_are_told(void **state)
{
	(void)state;
	with_proxy(co_late, 3, 3);
}

/* Bytes without a block belong to the owner, who may be gone when the server reads them. */
static void co_borrowed(struct proxy_fixture *fixture)
{
	(void)fixture;
	fixture_script(BACKEND_OBJECT, "201");
	struct legs *legs = legs_new();
	struct leg_target target = {BACKEND_OBJECT, "10.0.0.1", FAKE_PORT + BACKEND_OBJECT, "d1"};
	struct backend_timeouts timeouts = {100, 100};
	struct leg *leg = leg_new(legs, &target, METHOD_PUT, NULL);
	leg_request(leg)->path = SLICE_LITERAL("/d1/0/a/c/o");
	leg_expect_body(leg, -1);
	leg_start(leg, &timeouts);
	while (leg_state(leg) < LEG_READY)
		assert_int_equal(co_legs_wait(legs, deadline_after_ms(1000)), 0);
	char *bytes = xstrdup("borrowed");
	struct chunk chunk = {NULL, bytes, strlen(bytes)};
	assert_int_equal(co_leg_feed(leg, &chunk, deadline_after_ms(1000)), 0);
	free(bytes);
	leg_feed_end(leg, NULL);
	legs_free(legs);
	while (loop_coroutines(loop_current()) > 1)
		co_sleep_ms(1);
	assert_int_equal(nth_request(BACKEND_OBJECT, METHOD_PUT, 0)->received, 8);
}

static void legs__borrowed_bytes_are_copied(void **state)
{
	(void)state;
	with_proxy(co_borrowed, 3, 3);
}

/* The loop's clock stands still within a turn; whoever waits for a moment in it must not wait for
 * ever. */
static void co_clock(struct proxy_fixture *fixture)
{
	(void)fixture;
	struct legs *legs = legs_new();
	uint64_t deadline = deadline_after_ms(5);
	usleep(20000);
	assert_int_equal(co_legs_wait(legs, deadline), -ETIMEDOUT);
	assert_true(loop_now_ms() >= deadline);
	legs_free(legs);
}

static void legs__clock_reaches_the_deadline(void **state)
{
	(void)state;
	with_proxy(co_clock, 3, 3);
}

/* More servers than any ring has replicas. */
static void co_many_legs(struct proxy_fixture *fixture)
{
	(void)fixture;
	struct legs *legs = legs_new();
	for (int i = 0; i < 200; i++) {
		struct leg_target target = {BACKEND_OBJECT, "10.0.0.1", FAKE_PORT + BACKEND_OBJECT, "d1"};
		(void)leg_new(legs, &target, METHOD_GET, NULL);
	}
	assert_int_equal(legs_count(legs), 200);
	legs_free(legs);
}

static void legs__have_no_fixed_number(void **state)
{
	(void)state;
	with_proxy(co_many_legs, 3, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(info__is_kept_for_a_while),
		cmocka_unit_test(info__is_forgotten_on_writes),
		cmocka_unit_test(info__absence_is_not_kept),
		cmocka_unit_test(info__write_overtakes_a_fetch),
		cmocka_unit_test(info__equal_keys_are_told_apart),
		cmocka_unit_test(legs__late_failures_are_told),
		cmocka_unit_test(legs__borrowed_bytes_are_copied),
		cmocka_unit_test(legs__clock_reaches_the_deadline),
		cmocka_unit_test(legs__have_no_fixed_number),
	};
	fake_servers_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
