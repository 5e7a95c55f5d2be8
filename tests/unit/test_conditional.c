#include "lib/swift/conditional.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#define ETAG "d41d8cd98f00b204e9800998ecf8427e"
#define MODIFIED 1795222397
#define BEFORE "Sat, 21 Nov 2026 00:53:16 GMT"
#define SAME "Sat, 21 Nov 2026 00:53:17 GMT"
#define AFTER "Sat, 21 Nov 2026 00:53:18 GMT"

static void conditional__normalizes_one_pair_of_quotes(void **state)
{
	(void)state;
	static const char *const cases[][2] = {{"abc", "abc"}, {"\"abc\"", "abc"}, {"\"\"abc\"\"", "\"abc\""},
		{"\"", "\""}, {"\"\"", ""}, {"", ""}, {"\"abc", "\"abc"}, {"W/\"abc\"", "W/\"abc\""}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice result = normalize_etag(slice_from(cases[i][0]));
		if (!slice_equal(result, slice_from(cases[i][1])))
			fail_msg("%s: %.*s", cases[i][0], SLICE_PRINT(result));
	}
}

static void conditional__lists_match(void **state)
{
	(void)state;
	static const struct {
		const char *list;
		bool matches;
	} cases[] = {
		{ETAG, true},
		{"\"" ETAG "\"", true},
		{"a, b ,\"" ETAG "\" ", true},
		{"*", true},
		{" a , * ", true},
		{"\"*\"", true},
		{"", false},
		{",", false},
		{" , ,", false},
		{"W/\"" ETAG "\"", false},
		{"D41D8CD98F00B204E9800998ECF8427E", false},
		{"\"a, " ETAG "\"", false},
		{ETAG "0", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (etag_list_matches(cases[i].list, ETAG) != cases[i].matches)
			fail_msg("'%s' should give %d", cases[i].list, cases[i].matches);
		if (etag_list_matches(cases[i].list, "\"" ETAG "\"") != cases[i].matches)
			fail_msg("'%s' should give %d for a quoted tag", cases[i].list, cases[i].matches);
	}
	assert_true(etag_list_matches("a,*", NULL));
	assert_false(etag_list_matches("a", NULL));
	assert_false(etag_list_matches(",", ""));
}

static void conditional__thousand_tags(void **state)
{
	(void)state;
	static char list[64 * 1000];
	for (size_t i = 0; i < 1000; i++)
		memcpy(list + i * 36, "\"00000000000000000000000000000000\", ", 36);
	assert_false(etag_list_matches(list, ETAG));
	memcpy(list + 999 * 36, "\"" ETAG "\"", 34);
	assert_true(etag_list_matches(list, ETAG));
}

static void conditional__evaluates_in_order(void **state)
{
	(void)state;
	static const struct {
		const char *if_match, *if_none_match, *if_modified_since, *if_unmodified_since;
		int result;
	} cases[] = {
		{NULL, NULL, NULL, NULL, 0},
		{ETAG, NULL, NULL, NULL, 0},
		{"x", NULL, NULL, NULL, 412},
		{"", NULL, NULL, NULL, 412},
		{"*", NULL, NULL, NULL, 0},
		{NULL, ETAG, NULL, NULL, 304},
		{NULL, "*", NULL, NULL, 304},
		{NULL, "x", NULL, NULL, 0},
		{"x", ETAG, NULL, NULL, 304},
		{ETAG, "x", SAME, NULL, 304},
		{NULL, NULL, BEFORE, NULL, 0},
		{NULL, NULL, SAME, NULL, 304},
		{NULL, NULL, AFTER, NULL, 304},
		{NULL, NULL, "never", NULL, 0},
		{NULL, NULL, NULL, BEFORE, 412},
		{NULL, NULL, NULL, SAME, 0},
		{NULL, NULL, NULL, AFTER, 0},
		{NULL, NULL, NULL, "never", 0},
		{NULL, NULL, AFTER, BEFORE, 304},
		{NULL, NULL, BEFORE, BEFORE, 412},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int result = conditional_evaluate(cases[i].if_match, cases[i].if_none_match, cases[i].if_modified_since,
			cases[i].if_unmodified_since, ETAG, MODIFIED);
		if (result != cases[i].result)
			fail_msg("case %zu: %d instead of %d", i, result, cases[i].result);
	}
}

static void conditional__missing_object(void **state)
{
	(void)state;
	assert_int_equal(conditional_evaluate("*", NULL, NULL, NULL, NULL, -1), 412);
	assert_int_equal(conditional_evaluate(ETAG, NULL, NULL, NULL, NULL, -1), 0);
	assert_int_equal(conditional_evaluate(NULL, "*", AFTER, BEFORE, NULL, -1), 0);
	assert_int_equal(conditional_evaluate(NULL, NULL, AFTER, BEFORE, ETAG, -1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditional__normalizes_one_pair_of_quotes),
		cmocka_unit_test(conditional__lists_match),
		cmocka_unit_test(conditional__thousand_tags),
		cmocka_unit_test(conditional__evaluates_in_order),
		cmocka_unit_test(conditional__missing_object),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
