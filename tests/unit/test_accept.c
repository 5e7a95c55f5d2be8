#include "lib/swift/accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

enum { BAD = LISTING_FORMAT_BAD_HEADER, NONE = LISTING_FORMAT_NOT_ACCEPTABLE };
enum {
	PLAIN = LISTING_FORMAT_PLAIN,
	JSON = LISTING_FORMAT_JSON,
	XML = LISTING_FORMAT_XML,
	TEXT_XML = LISTING_FORMAT_TEXT_XML,
};

static void accept__headers(void **state)
{
	(void)state;
	static const struct {
		const char *accept;
		int format;
	} cases[] = {
		{NULL, PLAIN},
		{"", PLAIN},
		{"*/*", PLAIN},
		{"text/plain", PLAIN},
		{"application/json", JSON},
		{"application/xml", XML},
		{"text/xml", TEXT_XML},
		{"application/*", JSON},
		{"text/*", PLAIN},
		{"*/json", JSON},
		{"*/xml", XML},
		{" application/json ", JSON},
		{"application/json;q=0.5, text/xml", TEXT_XML},
		{"application/json;q=0.5, text/xml;q=0.4", JSON},
		{"application/json ; q = 0.5 , */* ; q=0.6", PLAIN},
		{"*/*;q=0.5,application/json;q=0.5", JSON},
		{"application/*,text/xml", TEXT_XML},
		{"text/xml,application/json", TEXT_XML},
		{"image/png, application/xml;q=0.1", XML},
		{"text/plain;q=0", PLAIN},
		{"text/plain;q=0,application/json;q=1e-9", JSON},
		{"text/plain;q=-1,application/json;q=0", JSON},
		{"text/xml;level=1;q=0.3;ext=\"a b\\\"c\"", TEXT_XML},
		{"text/xml;ext=\"a=b\"", BAD},
		{"text/xml;ext=\"a;b\"", BAD},
		{"text/xml;ext=\"a;c=d\"", TEXT_XML},
		{"text/xml;ext=\"a,b\"", BAD},
		{"image/png", NONE},
		{"te*t/plain", NONE},
		{"TEXT/PLAIN", NONE},
		{"text/plain;q=0.5;q=0.6", BAD},
		{"text/plain;q=high", BAD},
		{"text/plain;q=\"0.5\"", BAD},
		{"text/plain;", BAD},
		{"text/plain;q", BAD},
		{"text/plain;q=", BAD},
		{"text/plain;=1", BAD},
		{"text/plain;a=\"b", BAD},
		{"text/plain;a=\"b\\\"", BAD},
		{"text/plain, ", BAD},
		{",", BAD},
		{"text", BAD},
		{"text/", BAD},
		{"/plain", BAD},
		{"text /plain", BAD},
		{"text/plain x", BAD},
		{"text/plain,image", BAD},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int format = listing_format_choose(SLICE_NONE, cases[i].accept);
		if (format != cases[i].format)
			fail_msg("'%s': %d instead of %d", cases[i].accept ? cases[i].accept : "(none)", format,
				cases[i].format);
	}
}

static void accept__format_parameter_wins(void **state)
{
	(void)state;
	assert_int_equal(listing_format_choose(slice_from("json"), "text/xml"), JSON);
	assert_int_equal(listing_format_choose(slice_from("XML"), "text/plain"), XML);
	assert_int_equal(listing_format_choose(slice_from("plain"), "text/xml"), PLAIN);
	assert_int_equal(listing_format_choose(slice_from("yaml"), "image/png"), PLAIN);
	assert_int_equal(listing_format_choose(slice_from("json"), "/broken"), JSON);
	assert_int_equal(listing_format_choose(slice_from(""), "text/xml"), TEXT_XML);
}

static void accept__content_types(void **state)
{
	(void)state;
	assert_string_equal(listing_format_content_type(LISTING_FORMAT_PLAIN), "text/plain");
	assert_string_equal(listing_format_content_type(LISTING_FORMAT_JSON), "application/json");
	assert_string_equal(listing_format_content_type(LISTING_FORMAT_XML), "application/xml");
	assert_string_equal(listing_format_content_type(LISTING_FORMAT_TEXT_XML), "text/xml");
}

static double seconds_for(const char *start, const char *unit, const char *end)
{
	enum { BYTES = 1 << 20 };
	static char text[BYTES + 64];
	size_t at = strlen(start), unit_length = strlen(unit);
	memcpy(text, start, at);
	for (size_t i = 0; at < BYTES; at++, i++)
		text[at] = unit[i % unit_length];
	memcpy(text + at, end, strlen(end) + 1);
	clock_t before = clock();
	(void)listing_format_choose(SLICE_NONE, text);
	return (double)(clock() - before) / CLOCKS_PER_SEC;
}

/* A megabyte takes milliseconds where it is linear, hours where it is quadratic (CVE-2026-71190).
 */
static void accept__hostile_headers_are_linear(void **state)
{
	(void)state;
	assert_true(seconds_for("text/plain;a=\"", "\\", "") < 1);
	assert_true(seconds_for("text/plain;a=\"", "\\\\", "\",") < 1);
	assert_true(seconds_for("text/plain", ";a=\"\\\"", "") < 1);
	assert_true(seconds_for("text/plain", ";a=\"\"", "x") < 1);
	assert_true(seconds_for("text/plain", " ", "x") < 1);
	assert_true(seconds_for("text/plain", " ; ", "") < 1);
	assert_true(seconds_for("text/plain", ",a/b", "") < 1);
	assert_true(seconds_for("", "a", "") < 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accept__headers),
		cmocka_unit_test(accept__format_parameter_wins),
		cmocka_unit_test(accept__content_types),
		cmocka_unit_test(accept__hostile_headers_are_linear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
