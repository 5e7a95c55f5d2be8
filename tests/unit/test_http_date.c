#include "lib/swift/http_date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <time.h>

#include <jansson.h>

#include "lib/swift/calendar.h"
#include "lib/swift/timestamp.h"

static void http_date__last_modified_matches_vectors(void **state)
{
	(void)state;
	json_t *vectors = json_load_file("tests/data/timestamp-vectors.json", JSON_DECODE_INT_AS_REAL, NULL);
	assert_non_null(vectors);
	size_t i;
	json_t *vector;
	json_array_foreach(json_object_get(vectors, "last_modified"), i, vector)
	{
		struct timestamp t;
		char text[HTTP_DATE_BYTES];
		int64_t seconds;
		struct slice input = slice_from(json_string_value(json_object_get(vector, "timestamp")));
		assert_int_equal(timestamp_parse(input, &t), 0);
		http_date_format(timestamp_ceil_seconds(t), text);
		assert_string_equal(text, json_string_value(json_object_get(vector, "header")));
		assert_int_equal(http_date_parse(slice_from(text), &seconds), 0);
		assert_int_equal(seconds, timestamp_ceil_seconds(t));
	}
	assert_int_equal(i, 3);
	json_decref(vectors);
}

static void http_date__reads_all_forms(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t seconds;
	} cases[] = {
		{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
		{"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
		{"Sun Nov  6 08:49:37 1994", 784111777},
		{" sun, 6 nov 1994 08:49:37 gmt ", 784111777},
		{"Mon, 06 Nov 1994 08:49:37 GMT", 784111777},
		{"Sun, 06 Nov 1994 08:49:37", 784111777},
		{"Sun, 06 Nov 1994 08:49:37 +0000", 784111777},
		{"Sun, 06-Nov-1994 08:49:37 GMT", 784111777},
		{"Thu, 01 Jan 1970 00:00:00 GMT", 0},
		{"Thursday, 01-Jan-70 00:00:00 GMT", 0},
		{"Thu, 29 Feb 2024 00:00:00 GMT", 1709164800},
		{"Mon, 01 Jan 0001 00:00:00 GMT", CALENDAR_SECONDS_MIN},
		{"Fri, 31 Dec 9999 23:59:59 GMT", CALENDAR_SECONDS_MAX},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t seconds = -1;
		int result = http_date_parse(slice_from(cases[i].text), &seconds);
		if (result || seconds != cases[i].seconds)
			fail_msg("'%s': %d, %ld instead of %ld", cases[i].text, result, (long)seconds,
				(long)cases[i].seconds);
	}
}

static void http_date__refuses_others(void **state)
{
	(void)state;
	static const char *const cases[] = {"", "0", "yesterday", "Sun", "Sun, 06 Nov 1994",
		"Sun, 06 Nov 1994 08:49:37 PST", "Sun, 06 Nov 1994 08:49:37 GMT GMT", "Sun, 29 Feb 2023 00:00:00 GMT",
		"Sun, 31 Apr 2023 00:00:00 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 0000 08:49:37 GMT",
		"Sun, 06 Nov 10000 08:49:37 GMT", "Sun, 06 Nov 199 08:49:37 GMT", "Sun, 06 Nov -994 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 1994 08:49:60 GMT",
		"Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Now 1994 08:49:37 GMT", "Sun, 06-Nov 08:49:37 GMT",
		"Sun, 06-Nov- 08:49:37 GMT", "Sun, - - - -", "Nov Nov Nov Nov Nov", "Sun, 06 Nov 1994 08:49:37.5 GMT",
		"1994-11-06T08:49:37"};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t seconds = 7;
		if (http_date_parse(slice_from(cases[i]), &seconds) != -EINVAL || seconds != 7)
			fail_msg("'%s' was accepted as %ld", cases[i], (long)seconds);
	}
}

static void http_date__clamps_what_it_writes(void **state)
{
	(void)state;
	char text[HTTP_DATE_BYTES];
	http_date_format(INT64_MAX, text);
	assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
	http_date_format(INT64_MIN, text);
	assert_string_equal(text, "Mon, 01 Jan 0001 00:00:00 GMT");
	http_date_format(-1, text);
	assert_string_equal(text, "Wed, 31 Dec 1969 23:59:59 GMT");
}

static void calendar__agrees_with_libc(void **state)
{
	(void)state;
	for (int64_t seconds = CALENDAR_SECONDS_MIN; seconds < CALENDAR_SECONDS_MAX; seconds += 86400 * 97 + 12345) {
		struct calendar_time time = calendar_from_seconds(seconds);
		struct tm tm;
		time_t libc_seconds = seconds;
		int64_t back;
		assert_non_null(gmtime_r(&libc_seconds, &tm));
		assert_int_equal(time.year, tm.tm_year + 1900);
		assert_int_equal(time.month, tm.tm_mon + 1);
		assert_int_equal(time.day, tm.tm_mday);
		assert_int_equal(time.hour * 3600 + time.minute * 60 + time.second,
			tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec);
		assert_int_equal(time.weekday, tm.tm_wday);
		assert_int_equal(calendar_to_seconds(&time, &back), 0);
		assert_int_equal(back, seconds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http_date__last_modified_matches_vectors),
		cmocka_unit_test(http_date__reads_all_forms),
		cmocka_unit_test(http_date__refuses_others),
		cmocka_unit_test(http_date__clamps_what_it_writes),
		cmocka_unit_test(calendar__agrees_with_libc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
