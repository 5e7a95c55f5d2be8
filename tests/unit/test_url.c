#include "lib/swift/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

/* Text that may hold NUL. */
#define S(text) ((struct slice){(text), sizeof(text) - 1})

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

static void assert_slice(struct slice actual, struct slice expected)
{
	if (!slice_equal(actual, expected))
		fail_msg("'%.*s' instead of '%.*s'", SLICE_PRINT(actual), SLICE_PRINT(expected));
}

static void url__decodes_once(void **state)
{
	(void)state;
	static const struct {
		struct slice raw, decoded, form_decoded;
	} cases[] = {
		{S(""), S(""), S("")},
		{S("abc"), S("abc"), S("abc")},
		{S("a%20b+c"), S("a b+c"), S("a b c")},
		{S("%zz"), S("%zz"), S("%zz")},
		{S("%"), S("%"), S("%")},
		{S("%4"), S("%4"), S("%4")},
		{S("%41"), S("A"), S("A")},
		{S("%2541"), S("%41"), S("%41")},
		{S("%%41"), S("%A"), S("%A")},
		{S("%2F%2f%c3%A9"), S("//\xc3\xa9"), S("//\xc3\xa9")},
		{S("%00a"), S("\0a"), S("\0a")},
		{S("%2B+"), S("++"), S("+ ")},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_slice(url_decode(arena, cases[i].raw, false), cases[i].decoded);
		assert_slice(url_decode(arena, cases[i].raw, true), cases[i].form_decoded);
	}
	char in_place[] = "a%2Fb";
	size_t length = url_decode_to(slice_from(in_place), false, in_place);
	assert_slice(slice_of(in_place, length), S("a/b"));
}

static void url__encodes_like_quote(void **state)
{
	(void)state;
	struct slice text = S("aZ09_.-~ /\0\xc3\xa9%?&=+");
	assert_slice(url_encode(arena, text, true), S("aZ09_.-~%20/%00%C3%A9%25%3F%26%3D%2B"));
	assert_slice(url_encode(arena, text, false), S("aZ09_.-~%20%2F%00%C3%A9%25%3F%26%3D%2B"));
	struct buf buf = BUF_INIT;
	buf_append_text(&buf, "/v1/");
	url_encode_append(&buf, S("a b"), true);
	assert_string_equal(buf.data, "/v1/a%20b");
	assert_int_equal(buf.length, 9);
	buf_release(&buf);
}

static void url__every_byte_survives_a_round_trip(void **state)
{
	(void)state;
	char all[256];
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)i;
	struct slice bytes = slice_of(all, sizeof(all));
	assert_slice(url_decode(arena, url_encode(arena, bytes, true), false), bytes);
	assert_slice(url_decode(arena, url_encode(arena, bytes, false), true), bytes);
}

static void utf8__valid(void **state)
{
	(void)state;
	static const struct {
		struct slice text;
		bool valid;
	} cases[] = {
		{S(""), true},
		{S("a\0b"), true},
		{S("\x7f"), true},
		{S("\xc2\x80 \xdf\xbf"), true},
		{S("\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf"), true},
		{S("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"), true},
		{S("\x80"), false},
		{S("\xbf"), false},
		{S("\xc0\x80"), false},
		{S("\xc1\xbf"), false},
		{S("\xc2"), false},
		{S("\xc2 "), false},
		{S("\xe0\x9f\xbf"), false},
		{S("\xe2\x82"), false},
		{S("\xe2\x82 "), false},
		{S("\xed\xa0\x80"), false},
		{S("\xed\xbf\xbf"), false},
		{S("\xf0\x8f\xbf\xbf"), false},
		{S("\xf0\x90\x80"), false},
		{S("\xf4\x90\x80\x80"), false},
		{S("\xf5\x80\x80\x80"), false},
		{S("\xff"), false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (utf8_valid(cases[i].text) != cases[i].valid)
			fail_msg("case %zu should be %d", i, cases[i].valid);
	assert_int_equal(utf8_length(S("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")), 4);
	assert_int_equal(utf8_length(SLICE_NONE), 0);
}

static void query__parses_like_parse_qsl(void **state)
{
	(void)state;
	struct query query;
	struct slice value;
	assert_int_equal(query_parse(arena, S("&limit=5&&prefix=a%2Fb+c&blank=&flag&=x&a=b=c&limit=7&"), &query), 0);
	assert_int_equal(query.count, 7);
	assert_true(query_get(&query, "limit", &value));
	assert_slice(value, S("7"));
	assert_true(query_get(&query, "prefix", &value));
	assert_slice(value, S("a/b c"));
	assert_true(query_get(&query, "blank", &value));
	assert_slice(value, S(""));
	assert_true(query_get(&query, "flag", &value));
	assert_slice(value, S(""));
	assert_true(query_get(&query, "", &value));
	assert_slice(value, S("x"));
	assert_true(query_get(&query, "a", &value));
	assert_slice(value, S("b=c"));
	assert_false(query_get(&query, "format", &value));
	assert_int_equal(query_parse(arena, SLICE_NONE, &query), 0);
	assert_int_equal(query.count, 0);
}

static void query__is_bounded(void **state)
{
	(void)state;
	static char text[2 * (QUERY_PARAMETERS_MAX + 1)];
	struct query query = {.count = 42};
	for (size_t i = 0; i < sizeof(text); i += 2)
		memcpy(text + i, "a&", 2);
	assert_int_equal(query_parse(arena, slice_of(text, 2 * QUERY_PARAMETERS_MAX), &query), 0);
	assert_int_equal(query.count, QUERY_PARAMETERS_MAX);
	query.count = 42;
	assert_int_equal(query_parse(arena, slice_of(text, sizeof(text)), &query), -E2BIG);
	assert_int_equal(query.count, 42);
}

/* Results as one text: segments between "|", "-" for missing ones, or "error". */
static const char *split(const char *path, int minimum, int maximum, bool rest)
{
	static char text[256];
	struct slice segments[4];
	memset(segments, 0x55, sizeof(segments));
	if (path_split(arena, slice_from(path), minimum, maximum, rest, segments))
		return "error";
	size_t length = 0;
	for (int i = 0; i < maximum; i++) {
		const char *bar = i ? "|" : "";
		if (segments[i].data)
			length += (size_t)snprintf(
				text + length, sizeof(text) - length, "%s%.*s", bar, SLICE_PRINT(segments[i]));
		else
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s-", bar);
	}
	return text;
}

static void path__splits_like_swift(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		int minimum, maximum;
		bool rest;
		const char *expected;
	} cases[] = {
		{"/a", 1, 1, false, "a"},
		{"/a/", 1, 1, false, "a"},
		{"/a", 1, 2, false, "a|-"},
		{"/a/c", 1, 2, false, "a|c"},
		{"/a/c/", 1, 2, false, "a|c"},
		{"/a//", 1, 2, false, "a|-"},
		{"/a/c/o/r", 1, 3, true, "a|c|o/r"},
		{"/a/c/o//r/", 1, 3, true, "a|c|o//r/"},
		{"/a/c//", 1, 3, true, "a|c|/"},
		{"/a/c/", 1, 3, true, "a|c|-"},
		{"/a/", 1, 3, true, "a|-|-"},
		{"/a/c/%2f", 3, 3, true, "a|c|/"},
		{"/a%2Fc/o", 3, 3, true, "a|c|o"},
		{"/d/p/a/c", 2, 4, false, "d|p|a|c"},
		{"", 1, 1, false, "error"},
		{"/", 1, 1, false, "error"},
		{"//", 1, 1, false, "error"},
		{"a", 1, 1, false, "error"},
		{"a/b", 1, 2, false, "error"},
		{"//a", 1, 2, false, "error"},
		{"/a//o", 1, 3, true, "error"},
		{"/a//", 1, 3, true, "error"},
		{"/a//", 2, 3, true, "error"},
		{"/a/c", 3, 3, true, "error"},
		{"/a/c/", 3, 3, true, "error"},
		{"/a/c/o", 1, 2, false, "error"},
		{"/a/c//", 1, 2, false, "error"},
		{"/a//c", 1, 3, false, "error"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *result = split(cases[i].path, cases[i].minimum, cases[i].maximum, cases[i].rest);
		if (strcmp(result, cases[i].expected) != 0)
			fail_msg("case %zu, '%s': '%s' instead of '%s'", i, cases[i].path, result, cases[i].expected);
	}
}

static void path__failure_touches_nothing(void **state)
{
	(void)state;
	struct slice segments[2] = {S("x"), S("y")};
	assert_int_equal(path_split_decoded(S("/a/b/c"), 1, 2, false, segments), -EINVAL);
	assert_slice(segments[0], S("x"));
	assert_slice(segments[1], S("y"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(url__decodes_once),
		cmocka_unit_test(url__encodes_like_quote),
		cmocka_unit_test(url__every_byte_survives_a_round_trip),
		cmocka_unit_test(utf8__valid),
		cmocka_unit_test(query__parses_like_parse_qsl),
		cmocka_unit_test(query__is_bounded),
		cmocka_unit_test(path__splits_like_swift),
		cmocka_unit_test(path__failure_touches_nothing),
	};
	return cmocka_run_group_tests(tests, new_arena, free_arena);
}
