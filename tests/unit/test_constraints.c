#include "lib/swift/constraints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <jansson.h>

#define S(text) ((struct slice){(text), sizeof(text) - 1})
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct constraints *const defaults = &constraints_default;

/* A text of `length` times `byte`, valid until the next call with the same slot. */
static const char *repeated(int slot, char byte, size_t length)
{
	static char texts[2][10000];
	assert_true(length < sizeof(texts[0]));
	memset(texts[slot], byte, length);
	texts[slot][length] = '\0';
	return texts[slot];
}

static const char *metadata_error(const char *target, const struct header_pair *headers, size_t count)
{
	static char error[CONSTRAINTS_ERROR_BYTES];
	int result = constraints_check_metadata(defaults, target, headers, count, error);
	assert_true(result == 0 || result == -EINVAL);
	return result ? error : NULL;
}

static void constraints__metadata_within_limits(void **state)
{
	(void)state;
	const struct header_pair headers[] = {
		{"x-object-meta-color", "blue"},
		{"X-Object-Meta-Empty", ""},
		{"X-Object-Meta-Bytes", "\xff"},
		{"X-Container-Meta-", "not ours"},
		{"Content-Type", repeated(0, 'a', 8192)},
	};
	assert_null(metadata_error("object", headers, COUNT(headers)));
	const struct header_pair longest = {"X-Object-Meta-A", repeated(0, 'v', 256)};
	assert_null(metadata_error("object", &longest, 1));
}

static void constraints__metadata_errors(void **state)
{
	(void)state;
	struct header_pair header = {"X-Object-Meta-", "v"};
	assert_string_equal(metadata_error("object", &header, 1), "Metadata name cannot be empty");
	header = (struct header_pair){"x-object-meta-foo_bar", repeated(0, 'v', 257)};
	assert_string_equal(
		metadata_error("object", &header, 1), "Metadata value longer than 256: x-object-meta-Foo-Bar");
	header = (struct header_pair){"x-custom", repeated(0, 'v', 8193)};
	assert_string_equal(metadata_error("object", &header, 1), "Header value too long: X-Custom");
	header = (struct header_pair){"X-Container-Meta-A", "\xff"};
	assert_string_equal(metadata_error("container", &header, 1), "Metadata must be valid UTF-8");
	header = (struct header_pair){"X-Account-Meta-\xc3", "v"};
	assert_string_equal(metadata_error("account", &header, 1), "Metadata must be valid UTF-8");

	char name[200] = "X-Account-Meta-";
	memset(name + 15, 'a', 129);
	name[15 + 128] = '\0';
	header = (struct header_pair){name, "v"};
	assert_null(metadata_error("account", &header, 1));
	name[15 + 128] = 'a';
	const char *error = metadata_error("account", &header, 1);
	assert_memory_equal(error, "Metadata name too long: x-account-meta-Aaaa", 43);
	assert_int_equal(strlen(error), 24 + 15 + 129);
}

static void constraints__metadata_sums(void **state)
{
	(void)state;
	static char names[91][32];
	struct header_pair headers[91];
	for (size_t i = 0; i < 91; i++) {
		memcpy(names[i], "X-Object-Meta-00", 17);
		names[i][14] = (char)('a' + i / 26);
		names[i][15] = (char)('a' + i % 26);
		headers[i] = (struct header_pair){names[i], ""};
	}
	assert_null(metadata_error("object", headers, 90));
	assert_string_equal(metadata_error("object", headers, 91), "Too many metadata items; max 90");
	for (size_t i = 0; i < 16; i++)
		headers[i].value = repeated(0, 'v', 254);
	assert_null(metadata_error("object", headers, 16));
	headers[16].value = "v";
	assert_string_equal(metadata_error("object", headers, 17), "Total metadata too large; max 4096");
}

static void constraints__stored_metadata(void **state)
{
	(void)state;
	char error[CONSTRAINTS_ERROR_BYTES];
	struct header_pair items[91];
	for (size_t i = 0; i < 91; i++)
		items[i] = (struct header_pair){"X-Container-Meta-A", ""};
	assert_int_equal(constraints_check_stored_metadata(defaults, items, 91, error), 0);
	for (size_t i = 0; i < 91; i++)
		items[i].value = "v";
	assert_int_equal(constraints_check_stored_metadata(defaults, items, 91, error), -EINVAL);
	assert_string_equal(error, "Too many metadata items; max 90");
	for (size_t i = 0; i < 91; i++)
		items[i] = (struct header_pair){"X-Container-Sysmeta-A", repeated(0, 'v', 300)};
	assert_int_equal(constraints_check_stored_metadata(defaults, items, 91, error), 0);
	items[3] = (struct header_pair){"X-Account-Meta-A", repeated(1, 'v', 4096)};
	assert_int_equal(constraints_check_stored_metadata(defaults, items, 91, error), -EINVAL);
	assert_string_equal(error, "Total metadata too large; max 4096");
	items[3].value = "\xed\xa0\x80";
	assert_int_equal(constraints_check_stored_metadata(defaults, items, 91, error), -EINVAL);
	assert_string_equal(error, "Metadata must be valid UTF-8");
}

static void constraints__names_count_code_points(void **state)
{
	(void)state;
	char error[CONSTRAINTS_ERROR_BYTES] = "untouched";
	char accents[2 * 1025];
	for (size_t i = 0; i < sizeof(accents); i += 2)
		memcpy(accents + i, "\xc3\xa9", 2);
	assert_int_equal(constraints_check_object_name(defaults, slice_of(accents, 2048), error), 0);
	assert_string_equal(error, "untouched");
	assert_int_equal(constraints_check_object_name(defaults, slice_of(accents, 2050), error), -ENAMETOOLONG);
	assert_string_equal(error, "Object name length of 1025 longer than 1024");

	struct slice name = slice_from(repeated(0, 'c', 257));
	assert_int_equal(constraints_check_container_name(defaults, S("a"), name, error), -ENAMETOOLONG);
	assert_string_equal(error, "Container name length of 257 longer than 256");
	assert_int_equal(constraints_check_container_name(defaults, S(".a"), name, error), 0);
	assert_int_equal(constraints_check_account_name(defaults, name, error), -ENAMETOOLONG);
	assert_string_equal(error, "Account name length of 257 longer than 256");
	repeated(0, '.', 513);
	assert_int_equal(constraints_check_account_name(defaults, name, error), 0);
	name.length = 513;
	assert_int_equal(constraints_check_account_name(defaults, name, error), -ENAMETOOLONG);
	assert_string_equal(error, "Account name length of 513 longer than 512");
}

static void constraints__texts(void **state)
{
	(void)state;
	assert_false(constraints_text_valid(S(""), true));
	assert_true(constraints_text_valid(S("a"), false));
	assert_false(constraints_text_valid(S("a\0"), false));
	assert_true(constraints_text_valid(S("a\0"), true));
	assert_false(constraints_text_valid(S("\xff"), true));
}

static void constraints__reserved_names(void **state)
{
	(void)state;
	static const struct {
		struct slice account, container, object;
		const char *error;
	} cases[] = {
		{S("a"), S("c"), S("o"), NULL},
		{S("a"), S("\0versions\0c"), S("\0versions\0o\0t"), NULL},
		{S("\0a"), SLICE_NONE, SLICE_NONE, NULL},
		{S("a"), S("\0c"), SLICE_NONE, NULL},
		{S("a\0"), SLICE_NONE, SLICE_NONE, "Invalid reserved-namespace account"},
		{S("a"), S("c\0"), SLICE_NONE, "Invalid reserved-namespace container"},
		{S("a"), S("c"), S("o\0"), "Invalid reserved-namespace object"},
		{S("a"), S("\0c"), S("o"), "Invalid user-namespace object in reserved-namespace container"},
		{S("a"), S("c"), S("\0o"), "Invalid reserved-namespace object in user-namespace container"},
		{S(".shards_a"), S("\0c"), S("o"), NULL},
		{S(".a"), S("c"), S("o\0"), NULL},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char error[CONSTRAINTS_ERROR_BYTES] = "";
		int result = constraints_check_reserved(
			defaults, cases[i].account, cases[i].container, cases[i].object, error);
		assert_int_equal(result, cases[i].error ? -EINVAL : 0);
		assert_string_equal(error, cases[i].error ? cases[i].error : "");
	}
}

static void constraints__options(void **state)
{
	(void)state;
	struct constraints constraints = constraints_default;
	assert_int_equal(constraints_set(&constraints, "max_meta_count", "100"), 0);
	assert_int_equal(constraints_set(&constraints, "extra_header_count", " 4 "), 0);
	assert_int_equal(constraints_header_count_max(&constraints), 140);
	assert_int_equal(constraints_header_count_max(defaults), 126);
	assert_int_equal(constraints_set(&constraints, "max_file_size", "-1"), -EINVAL);
	assert_int_equal(constraints_set(&constraints, "max_file_size", "5G"), -EINVAL);
	assert_int_equal(constraints.max_file_size, 5368709122);
	assert_int_equal(constraints_set(&constraints, "max_nothing", "1"), -ENOENT);
	assert_true(constraints_api_version_valid(defaults, S("v1")));
	assert_true(constraints_api_version_valid(defaults, S("v1.0")));
	assert_false(constraints_api_version_valid(defaults, S("v")));
	assert_false(constraints_api_version_valid(defaults, S("")));
	assert_int_equal(constraints_set(&constraints, "valid_api_versions", "v2, v3,"), 0);
	assert_true(constraints_api_version_valid(&constraints, S("v3")));
	assert_false(constraints_api_version_valid(&constraints, S("v1")));
	assert_false(constraints_api_version_valid(&constraints, S("")));
}

static void delete_at__matches_vectors(void **state)
{
	(void)state;
	json_t *vectors = json_load_file("tests/data/timestamp-vectors.json", JSON_DECODE_INT_AS_REAL, NULL);
	assert_non_null(vectors);
	size_t i;
	json_t *vector;
	json_array_foreach(json_object_get(vectors, "delete_at"), i, vector)
	{
		char text[DELETE_AT_TEXT_BYTES];
		struct slice input = slice_from(json_string_value(json_object_get(vector, "input")));
		assert_int_equal(delete_at_normalize(input, false, text), 0);
		assert_string_equal(text, json_string_value(json_object_get(vector, "normal")));
		assert_int_equal(delete_at_normalize(input, true, text), 0);
		assert_string_equal(text, json_string_value(json_object_get(vector, "high_precision")));
	}
	assert_int_equal(i, 6);
	json_decref(vectors);
}

static void delete_at__headers(void **state)
{
	(void)state;
	static const struct {
		const char *at, *after;
		bool is_replication;
		int64_t seconds;
		const char *error;
	} cases[] = {
		{NULL, NULL, false, -1, NULL},
		{"1001", NULL, false, 1001, NULL},
		{" +1001 ", NULL, false, 1001, NULL},
		{"1000", NULL, false, 0, "X-Delete-At in past"},
		{"1000", NULL, true, 1000, NULL},
		{"-5", NULL, true, 0, NULL},
		{"1001.5", NULL, false, 0, "Non-integer X-Delete-At"},
		{"", NULL, false, 0, "Non-integer X-Delete-At"},
		{"soon", NULL, true, 0, "Non-integer X-Delete-At"},
		{"99999999999999999999999999", NULL, false, 9999999999, NULL},
		{NULL, "1", false, 1001, NULL},
		{NULL, "60", false, 1060, NULL},
		{"5", "60", false, 1060, NULL},
		{"bad", "60", false, 1060, NULL},
		{NULL, "0", false, 0, "X-Delete-After in past"},
		{NULL, "-60", true, 0, "X-Delete-After in past"},
		{NULL, "x", false, 0, "Non-integer X-Delete-After"},
		{NULL, "99999999999999999999999999", false, 9999999999, NULL},
		{NULL, "-99999999999999999999999999", false, 0, "X-Delete-After in past"},
	};
	const struct timestamp now = {.raw = 100050000}; /* 1000.5 */
	for (size_t i = 0; i < COUNT(cases); i++) {
		char error[CONSTRAINTS_ERROR_BYTES] = "";
		int64_t seconds = 0;
		int result =
			delete_at_check(cases[i].at, cases[i].after, now, cases[i].is_replication, &seconds, error);
		if (result != (cases[i].error ? -EINVAL : 0) || seconds != cases[i].seconds)
			fail_msg("case %zu: %d, %ld seconds", i, result, (long)seconds);
		assert_string_equal(error, cases[i].error ? cases[i].error : "");
	}
}

static void header__title_case(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"x-object-meta-FOO-bar2b", "X-Object-Meta-Foo-Bar2B"},
		{"X-Object-Meta-Under_score", "X-Object-Meta-Under-Score"},
		{"etag", "Etag"},
		{"", ""},
		{"a\xc3\xa9z", "A\xc3\xa9Z"},
		{"@a[b`c{d", "@A[B`C{D"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char name[64];
		memcpy(name, cases[i][0], strlen(cases[i][0]) + 1);
		header_title_case(name);
		assert_string_equal(name, cases[i][1]);
	}
}

static void config__true_values(void **state)
{
	(void)state;
	static const char *const yes[] = {"true", "1", "YES", "On", "t", "Y"};
	static const char *const no[] = {"", "false", "0", "2", " true", "tr", "enabled"};
	for (size_t i = 0; i < COUNT(yes); i++)
		assert_true(config_true_value(yes[i]));
	for (size_t i = 0; i < COUNT(no); i++)
		assert_false(config_true_value(no[i]));
	assert_false(config_true_value(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constraints__metadata_within_limits),
		cmocka_unit_test(constraints__metadata_errors),
		cmocka_unit_test(constraints__metadata_sums),
		cmocka_unit_test(constraints__stored_metadata),
		cmocka_unit_test(constraints__names_count_code_points),
		cmocka_unit_test(constraints__texts),
		cmocka_unit_test(constraints__reserved_names),
		cmocka_unit_test(constraints__options),
		cmocka_unit_test(delete_at__matches_vectors),
		cmocka_unit_test(delete_at__headers),
		cmocka_unit_test(header__title_case),
		cmocka_unit_test(config__true_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
