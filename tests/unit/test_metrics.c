#include "lib/base/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/http/message.h"

static struct buf scrape(void)
{
	struct buf text = BUF_INIT;
	metrics_write(&text);
	return text;
}

static void assert_line(const char *line)
{
	struct buf text = scrape();
	char wanted[300];
	(void)snprintf(wanted, sizeof(wanted), "\n%s\n", line);
	if (!strstr(text.data, wanted))
		fail_msg("no line %s in\n%s", line, text.data);
	buf_release(&text);
}

static void metrics__labels_name_a_series(void **state)
{
	(void)state;
	metric_add(METRIC_REQUESTS, 2, METRIC_ROLE_OBJECT, METHOD_PUT, metric_status(201), metric_policy(0));
	metric_add(METRIC_REQUESTS, 3, METRIC_ROLE_PROXY, METHOD_OTHER, metric_status(299), metric_policy(-1));
	metric_add(METRIC_REQUESTS, 1, METRIC_ROLE_ACCOUNT, METHOD_SSYNC, metric_status(507), metric_policy(77));
	assert_line("swiftlet_requests_total{role=\"object\",method=\"PUT\",status=\"201\",policy=\"0\"} 2");
	assert_line("swiftlet_requests_total{role=\"proxy\",method=\"other\",status=\"other\"} 3");
	assert_line("swiftlet_requests_total{role=\"account\",method=\"SSYNC\",status=\"507\",policy=\"other\"} 1");
	assert_line("# TYPE swiftlet_requests_total counter");
	assert_int_equal(
		metric_value(METRIC_REQUESTS, METRIC_ROLE_OBJECT, METHOD_PUT, metric_status(201), metric_policy(0)), 2);
	for (int status = -1; status < 1000; status++)
		assert_true(metric_status(status) < 100);
}

static void metrics__methods_are_those_of_http(void **state)
{
	(void)state;
	static const enum method methods[] = {METHOD_GET, METHOD_COPY, METHOD_OPTIONS, METHOD_REPLICATE};
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		char line[200];
		metric_add(METRIC_SENT_BYTES, 5, METRIC_ROLE_PROXY, methods[i], metric_policy(-1));
		(void)snprintf(line, sizeof(line), "swiftlet_response_body_bytes_total{role=\"proxy\",method=\"%s\"} 5",
			method_name(methods[i]));
		assert_line(line);
	}
}

static void metrics__histogram_is_cumulative(void **state)
{
	(void)state;
	static const uint64_t values[] = {1, 250000, 250001, 3000000000, 100000000000};
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		metric_observe(METRIC_REQUEST_SECONDS, values[i], METRIC_ROLE_PROXY, METHOD_GET, metric_policy(-1));
	const char *name = "swiftlet_request_duration_seconds";
	char line[200];
	static const char *const ends[] = {
		"_bucket{role=\"proxy\",method=\"GET\",le=\"0.00025\"} 2",
		"_bucket{role=\"proxy\",method=\"GET\",le=\"0.0005\"} 3",
		"_bucket{role=\"proxy\",method=\"GET\",le=\"2.5\"} 3",
		"_bucket{role=\"proxy\",method=\"GET\",le=\"5\"} 4",
		"_bucket{role=\"proxy\",method=\"GET\",le=\"60\"} 4",
		"_bucket{role=\"proxy\",method=\"GET\",le=\"+Inf\"} 5",
		"_sum{role=\"proxy\",method=\"GET\"} 103.000500002",
		"_count{role=\"proxy\",method=\"GET\"} 5",
	};
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		(void)snprintf(line, sizeof(line), "%s%s", name, ends[i]);
		assert_line(line);
	}
}

static void *count_a_thousand(void *argument)
{
	(void)argument;
	for (int i = 0; i < 1000; i++)
		metric_add(METRIC_CONNECTIONS_ACCEPTED, 1, METRIC_ROLE_CONTAINER);
	return NULL;
}

static void metrics__threads_add_up_and_outlive_themselves(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		pthread_t threads[4];
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, count_a_thousand, NULL), 0);
		struct buf text = scrape();
		buf_release(&text);
		for (size_t i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
	}
	assert_int_equal(metric_value(METRIC_CONNECTIONS_ACCEPTED, METRIC_ROLE_CONTAINER), 12000);
}

static void *close_one(void *argument)
{
	(void)argument;
	metric_add(METRIC_CONNECTIONS, -1, METRIC_ROLE_ACCOUNT);
	return NULL;
}

static void metrics__gauge_goes_down_in_another_thread(void **state)
{
	(void)state;
	pthread_t thread;
	metric_add(METRIC_CONNECTIONS, 3, METRIC_ROLE_ACCOUNT);
	assert_int_equal(pthread_create(&thread, NULL, close_one, NULL), 0);
	pthread_join(thread, NULL);
	assert_line("swiftlet_http_connections{role=\"account\"} 2");
}

static void collect(void *argument, struct buf *text)
{
	metrics_write_family(text, "swiftlet_test", METRIC_GAUGE, "back\\slash\nand \"quotes\"");
	metrics_write_sample(text, "swiftlet_test", (const char *const[]){"device", argument, "empty", "", NULL}, 0.25);
}

static void metrics__collectors_write_escaped(void **state)
{
	(void)state;
	metrics_add_collector(collect, "a\"b\\c\nd");
	assert_line("# HELP swiftlet_test back\\\\slash\\nand \"quotes\"");
	assert_line("swiftlet_test{device=\"a\\\"b\\\\c\\nd\"} 0.25");
	metrics_remove_collectors();
	struct buf text = scrape();
	assert_null(strstr(text.data, "swiftlet_test"));
	buf_release(&text);
}

static void metrics__process_has_the_standard_names(void **state)
{
	(void)state;
	static const char *const names[] = {"process_cpu_seconds_total", "process_resident_memory_bytes",
		"process_virtual_memory_bytes", "process_open_fds", "process_max_fds", "process_start_time_seconds"};
	struct buf text = scrape();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char start[100];
		(void)snprintf(start, sizeof(start), "\n%s ", names[i]);
		const char *line = strstr(text.data, start);
		assert_non_null(line);
		assert_true(strtod(line + strlen(start), NULL) > 0 || i == 0);
	}
	buf_release(&text);
}

/* What a request costs: two counters, a histogram and a gauge up and down. Printed, not judged: machines differ. */
static void metrics__cost(void **state)
{
	(void)state;
	enum { ROUNDS = 1000000 };
	uint64_t start = metric_now();
	for (int i = 0; i < ROUNDS; i++) {
		metric_add(METRIC_REQUESTS_IN_FLIGHT, 1, METRIC_ROLE_PROXY);
		metric_add(METRIC_REQUESTS, 1, METRIC_ROLE_PROXY, METHOD_HEAD, metric_status(200), metric_policy(0));
		metric_observe(METRIC_REQUEST_SECONDS, 1500000, METRIC_ROLE_PROXY, METHOD_HEAD, metric_policy(0));
		metric_add(METRIC_SENT_BYTES, 4096, METRIC_ROLE_PROXY, METHOD_HEAD, metric_policy(0));
		metric_add(METRIC_REQUESTS_IN_FLIGHT, -1, METRIC_ROLE_PROXY);
	}
	print_message("%.1f ns a request\n", (double)(metric_now() - start) / ROUNDS);
}

int main(void)
{
	metrics_set_policies((const int[]){0, 3}, 2);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics__labels_name_a_series),
		cmocka_unit_test(metrics__methods_are_those_of_http),
		cmocka_unit_test(metrics__histogram_is_cumulative),
		cmocka_unit_test(metrics__threads_add_up_and_outlive_themselves),
		cmocka_unit_test(metrics__gauge_goes_down_in_another_thread),
		cmocka_unit_test(metrics__collectors_write_escaped),
		cmocka_unit_test(metrics__process_has_the_standard_names),
		cmocka_unit_test(metrics__cost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
