#include "lib/swift/acl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static struct arena *arena;

static int new_arena(void **state)
{
	(void)state;
	arena = arena_new();
	return 0;
}

static int free_arena(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static void assert_slice(struct slice actual, const char *expected)
{
	if (!slice_equal(actual, slice_from(expected)))
		fail_msg("'%.*s' instead of '%s'", SLICE_PRINT(actual), expected);
}

static void acl__clean(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"", ""},
		{" , ,", ""},
		{"bob, sue", "bob,sue"},
		{"bob , sue", "bob,sue"},
		{"bob,,,sue", "bob,sue"},
		{".referrer : *", ".r:*"},
		{".ref:*.example.com", ".r:.example.com"},
		{".referer: - *.example.com", ".r:-.example.com"},
		{".r:*, .rlistings", ".r:*,.rlistings"},
		{".r:*,.r:-.thief.com,bobs_account,sues_account:sue",
			".r:*,.r:-.thief.com,bobs_account,sues_account:sue"},
		{"acct : user", "acct : user"},
		{":user", ":user"},
		{".r:-*", ".r:-*"},
		{"*:*", "*:*"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice clean;
		const char *error = NULL;
		if (acl_clean(arena, "X-Container-Read", slice_from(cases[i][0]), &clean, &error))
			fail_msg("'%s': %s", cases[i][0], error);
		assert_slice(clean, cases[i][1]);
	}
}

static void acl__clean_refuses(void **state)
{
	(void)state;
	static const char *const cases[][3] = {
		{"X-Container-Read", "bob, .r:", "No host/domain value after referrer designation in ACL: '.r:'"},
		{"X-Container-Read", ".r:-", "No host/domain value after referrer designation in ACL: '.r:-'"},
		{"X-Container-Read", ".r:*.", "No host/domain value after referrer designation in ACL: '.r:*.'"},
		{"X-Container-Read", ".r : - ", "No host/domain value after referrer designation in ACL: '.r : -'"},
		{"X-Container-Read", ".it's:x", "Unknown designator \".it's\" in ACL: \".it's:x\""},
		{"X-Container-Read", ".:a\tb", "Unknown designator '.' in ACL: '.:a\\x09b'"},
		{"X-Container-Write", ".r:*", "Referrers not allowed in write ACL: '.r:*'"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice clean = {"x", 1};
		const char *error = NULL;
		assert_int_equal(acl_clean(arena, cases[i][0], slice_from(cases[i][1]), &clean, &error), -EINVAL);
		assert_string_equal(error, cases[i][2]);
		assert_slice(clean, "x");
	}
}

static void acl__parse(void **state)
{
	(void)state;
	struct acl acl;
	acl_parse(arena, slice_from(".r:*,.r:-.thief.com,bob,,sue%2Cx:y,.rlistings"), &acl);
	assert_int_equal(acl.referrer_count, 2);
	assert_slice(acl.referrers[0], "*");
	assert_slice(acl.referrers[1], "-.thief.com");
	assert_int_equal(acl.group_count, 3);
	assert_slice(acl.groups[0], "bob");
	assert_slice(acl.groups[1], "sue,x:y");
	assert_true(acl_has_group(&acl, slice_from("bob")));
	assert_false(acl_has_group(&acl, slice_from("")));
	assert_false(acl_has_group(&acl, slice_from("bo")));
	assert_true(acl_allows_listings(&acl));
	acl_parse(arena, SLICE_NONE, &acl);
	assert_int_equal(acl.referrer_count + acl.group_count, 0);
	assert_false(acl_allows_listings(&acl));
}

static void acl__referrers(void **state)
{
	(void)state;
	static const struct {
		const char *referrer, *acl;
		bool allowed;
	} cases[] = {
		{NULL, "", false},
		{NULL, "bob", false},
		{NULL, ".r:*", true},
		{NULL, ".r:*,.r:-unknown", false},
		{NULL, ".r:unknown", true},
		{"http://www.example.com/x", ".r:www.example.com", true},
		{"http://www.example.com/x", ".r:example.com", false},
		{"http://www.example.com/x", ".r:.example.com", true},
		{"http://example.com/x", ".r:.example.com", false},
		{"http://WWW.Example.COM", ".r:.example.com", true},
		{"http://www.example.com/", ".r:.Example.com", false},
		{"http://badexample.com/", ".r:.example.com", false},
		{"http://thief.example.com:8080/?a", ".r:.example.com,.r:-thief.example.com", false},
		{"http://ok.example.com", ".r:.example.com,.r:-thief.example.com", true},
		{"http://thief.example.com", ".r:-thief.example.com,.r:.example.com", true},
		{"https://user:pw@host.com@example.com#x", ".r:example.com", true},
		{"https://example.com@evil.com/", ".r:example.com", false},
		{"//example.com/x", ".r:example.com", true},
		{"http://[::1]:8080/x", ".r:::1", true},
		{"example.com/x", ".r:example.com", false},
		{"example.com/x", ".r:unknown", true},
		{"http:///x", ".r:unknown", true},
		{"http://", ".r:unknown", true},
		{"1http://example.com", ".r:example.com", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct acl acl;
		acl_parse(arena, slice_from(cases[i].acl), &acl);
		if (acl_referrer_allowed(cases[i].referrer, &acl) != cases[i].allowed)
			fail_msg("case %zu, '%s' should give %d", i, cases[i].acl, cases[i].allowed);
	}
}

static void account_acl__parses(void **state)
{
	(void)state;
	struct account_acl acl;
	const char *error = NULL;
	struct slice json = slice_from("{\"read-only\": [\"caf\\u00e9\"], \"admin\": [\"a\", "
				       "\"b:c\"], \"read-write\": []}");
	assert_int_equal(account_acl_parse(arena, json, &acl, &error), 0);
	assert_int_equal(acl.admin_count, 2);
	assert_slice(acl.admin[1], "b:c");
	assert_int_equal(acl.read_write_count, 0);
	assert_int_equal(acl.read_only_count, 1);
	assert_slice(acl.read_only[0], "caf\xc3\xa9");
	assert_slice(account_acl_format(arena, &acl), "{\"admin\":[\"a\",\"b:c\"],\"read-only\":[\"caf\\u00E9\"]}");

	assert_int_equal(account_acl_parse(arena, SLICE_NONE, &acl, &error), 0);
	assert_int_equal(acl.admin_count + acl.read_write_count + acl.read_only_count, 0);
	assert_slice(account_acl_format(arena, &acl), "");
	assert_int_equal(account_acl_parse(arena, slice_from("{}"), &acl, &error), 0);
}

static void account_acl__refuses(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"[]", "Syntax error in input ('[]')"},
		{"{", "Syntax error in input ('{')"},
		{"null", "Syntax error in input ('null')"},
		{"{'admin': []}", "Syntax error in input (\"{'admin': []}\")"},
		{"{\"admin\":[],\"other\\\"\":[]}", "Key \"other\\\"\" not recognized"},
		{"{\"admin\":\"bob\"}", "Value for key \"admin\" must be a list"},
		{"{\"read-only\":[1]}", "Elements of \"read-only\" list must be strings"},
		{"{\"read-write\":[[]]}", "Elements of \"read-write\" list must be strings"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct account_acl acl = {.admin_count = 7};
		const char *error = NULL;
		assert_int_equal(account_acl_parse(arena, slice_from(cases[i][0]), &acl, &error), -EINVAL);
		assert_string_equal(error, cases[i][1]);
		assert_int_equal(acl.admin_count, 7);
	}
}

static void account_acl__nesting_is_bounded(void **state)
{
	(void)state;
	static char deep[8000];
	struct account_acl acl;
	const char *error = NULL;
	memset(deep, '[', sizeof(deep));
	memcpy(deep, "{\"admin\":", 9);
	assert_int_equal(account_acl_parse(arena, slice_of(deep, sizeof(deep)), &acl, &error), -EINVAL);
	struct slice brackets = slice_from("{\"admin\": [\"[[[[[[[[[[[[[[[[[[[[[\\\"[[\"]}");
	assert_int_equal(account_acl_parse(arena, brackets, &acl, &error), 0);
	assert_slice(acl.admin[0], "[[[[[[[[[[[[[[[[[[[[[\"[[");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acl__clean),
		cmocka_unit_test(acl__clean_refuses),
		cmocka_unit_test(acl__parse),
		cmocka_unit_test(acl__referrers),
		cmocka_unit_test(account_acl__parses),
		cmocka_unit_test(account_acl__refuses),
		cmocka_unit_test(account_acl__nesting_is_bounded),
	};
	return cmocka_run_group_tests(tests, new_arena, free_arena);
}
