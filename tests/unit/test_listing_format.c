/*
 * Bodies of listings. tests/data/listing-samples.txt are replies of a Swift proxy,
 * tests/data/listing-format.json what Python's json and ElementTree make of difficult texts.
 */
#include "lib/store/listing_format.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <jansson.h>

#include "lib/base/arena.h"
#include "lib/base/memory.h"

static struct timestamp time_of(const char *text)
{
	struct timestamp time;
	assert_int_equal(timestamp_parse(slice_from(text), &time), 0);
	return time;
}

static void check_text(const char *what, struct slice got, struct slice expected)
{
	if (slice_equal(got, expected))
		return;
	fail_msg("%s:\n got      %.*s\n expected %.*s", what, SLICE_PRINT(got), SLICE_PRINT(expected));
}

static const char *policy_name(uint16_t policy, void *argument)
{
	const char *const *names = argument;
	return names[policy];
}

static struct buf render(enum listing_kind kind, enum listing_format format, struct slice name,
	const struct listing_entry *entries, size_t count, const char *const policies[])
{
	struct buf out = BUF_INIT;
	struct listing_writer writer;
	listing_writer_begin(&writer, kind, format, name, &out);
	writer.policy_name = policy_name;
	writer.policy_argument = (void *)policies;
	for (size_t i = 0; i < count; i++)
		listing_writer_entry(&writer, &entries[i]);
	listing_writer_end(&writer);
	return out;
}

/* ---- the replies of a Swift proxy ---- */

static char *read_samples(void)
{
	FILE *file = fopen("tests/data/listing-samples.txt", "r");
	assert_non_null(file);
	char *text = xcalloc(1, 1 << 16);
	size_t length = fread(text, 1, (1 << 16) - 1, file);
	assert_in_range(length, 1000, (1 << 16) - 2);
	(void)fclose(file);
	return text;
}

/* The body of the reply to GET <target>, without the line feed that the file adds. */
static struct slice sample(const char *samples, const char *target)
{
	char *heading = xasprintf("## GET %s\n", target);
	const char *at = strstr(samples, heading);
	assert_non_null(at);
	free(heading);
	const char *body = strstr(at, "\n\n");
	assert_non_null(body);
	body += 2;
	const char *end = strstr(body, "\n## GET");
	if (!end)
		end = body + strlen(body) - 1;
	size_t length = (size_t)(end - body);
	assert_true(length > 0 && body[length - 1] == '\n');
	return slice_of(body, length - 1);
}

/* What only the SLO middleware of the proxy adds. */
static struct slice without_slo_etag(struct arena *arena, struct slice text)
{
	static const char extra[] = ", \"slo_etag\": \"\\\"64eb18f6a8f793689ad1eb1136f43ccf\\\"\"";
	char *copy = arena_strndup(arena, text.data, text.length);
	char *found = strstr(copy, extra);
	if (found)
		memmove(found, found + strlen(extra), strlen(found + strlen(extra)) + 1);
	return slice_from(copy);
}

#define DIGEST "9dd4e461268c8034f5c8564e155c67a6"
#define TYPE "text/plain;charset=UTF-8"

static struct listing_entry object_entry(const char *name, const char *time, const char *etag, const char *type)
{
	return (struct listing_entry){
		.name = slice_from(name),
		.object = {.meta = time_of(time),
			.size = 1,
			.etag = slice_from(etag),
			.content_type = slice_from(type)},
	};
}

static struct listing_entry subdir_entry(const char *name)
{
	return (struct listing_entry){.subdir = true, .name = slice_from(name)};
}

static void listing_format__container_samples(void **state)
{
	(void)state;
	_cleanup_free_ char *samples = read_samples();
	struct arena *arena = arena_new();
	struct listing_entry slo = object_entry(
		"slo", "1795222666.96151", "e7abb3d4b2974898a909de44c3d6a575", "application/x-www-form-urlencoded");
	slo.object.size = 150;
	slo.object.swift_bytes = SLICE_LITERAL("1");
	struct listing_entry all[] = {
		object_entry("a/1", "1795222665.80240", DIGEST, TYPE),
		object_entry("a/2", "1795222666.03304", DIGEST, TYPE),
		object_entry("a/b/3", "1795222666.16105", DIGEST, TYPE),
		object_entry("b", "1795222666.36134", DIGEST, TYPE),
		object_entry("c d", "1795222666.56602", DIGEST, TYPE),
		object_entry("d//e", "1795222666.92960", DIGEST, TYPE),
		slo,
		object_entry("\xc3\xbc<&>\"", "1795222666.76244", DIGEST, TYPE),
	};
	struct listing_entry grouped[] = {subdir_entry("a/"), all[3], all[4], subdir_entry("d/"), slo, all[7]};
	struct listing_entry in_a[] = {all[0], all[1], subdir_entry("a/b/")};
	const struct {
		const char *target;
		enum listing_format format;
		const struct listing_entry *entries;
		size_t count;
	} cases[] = {
		{"/v1/AUTH_test/lst", LISTING_FORMAT_PLAIN, all, 8},
		{"/v1/AUTH_test/lst?format=json", LISTING_FORMAT_JSON, all, 8},
		{"/v1/AUTH_test/lst?format=xml", LISTING_FORMAT_XML, all, 8},
		{"/v1/AUTH_test/lst?format=json&delimiter=/", LISTING_FORMAT_JSON, grouped, 6},
		{"/v1/AUTH_test/lst?format=xml&delimiter=/", LISTING_FORMAT_TEXT_XML, grouped, 6},
		{"/v1/AUTH_test/lst?delimiter=/&prefix=a/", LISTING_FORMAT_PLAIN, in_a, 3},
		{"/v1/AUTH_test/lst?path=a&format=json", LISTING_FORMAT_JSON, in_a, 2},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = render(LISTING_CONTAINER, cases[i].format, SLICE_LITERAL("lst"), cases[i].entries,
			cases[i].count, NULL);
		struct slice expected = without_slo_etag(arena, sample(samples, cases[i].target));
		/* The file keeps the line feed that ends a plain body. */
		struct slice got = buf_slice(&out);
		if (cases[i].format == LISTING_FORMAT_PLAIN)
			got.length--;
		check_text(cases[i].target, got, expected);
		buf_release(&out);
	}
	arena_free(arena);
}

static struct listing_entry container_entry(const char *name, const char *time, uint16_t policy)
{
	return (struct listing_entry){
		.name = slice_from(name),
		.container = {.put_timestamp = time_of(time), .policy = policy},
	};
}

static void listing_format__account_samples(void **state)
{
	(void)state;
	static const char *const policies[] = {"gold", "ec42"};
	_cleanup_free_ char *samples = read_samples();
	struct listing_entry entries[] = {
		container_entry("c1", "1795222254.87368", 0),
		container_entry("cec", "1795222254.94825", 1),
		container_entry("lst", "1795222665.53145", 0),
	};
	const struct {
		const char *target;
		enum listing_format format;
		size_t count;
	} cases[] = {
		{"/v1/AUTH_test?format=json", LISTING_FORMAT_JSON, 3},
		{"/v1/AUTH_test?format=xml", LISTING_FORMAT_XML, 3},
		{"/v1/AUTH_test", LISTING_FORMAT_PLAIN, 3},
		{"/v1/AUTH_test?prefix=zzz&format=json", LISTING_FORMAT_JSON, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = render(LISTING_ACCOUNT, cases[i].format, SLICE_LITERAL("AUTH_test"), entries,
			cases[i].count, policies);
		struct slice got = buf_slice(&out);
		if (cases[i].format == LISTING_FORMAT_PLAIN)
			got.length--;
		check_text(cases[i].target, got, sample(samples, cases[i].target));
		buf_release(&out);
	}
}

/* ---- what Python makes of difficult texts ---- */

static struct slice text_of(const json_t *object, const char *key)
{
	const json_t *text = json_object_get(object, key);
	return text ? slice_of(json_string_value(text), json_string_length(text)) : SLICE_NONE;
}

static int64_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static struct listing_entry entry_of(const json_t *item)
{
	struct timestamp time = {.raw = (uint64_t)number_of(item, "raw")};
	struct listing_entry entry = {.name = text_of(item, "name")};
	if (json_object_get(item, "subdir"))
		return (struct listing_entry){.subdir = true, .name = text_of(item, "subdir")};
	entry.object.meta = time;
	entry.object.size = number_of(item, "bytes");
	entry.object.etag = text_of(item, "hash");
	entry.object.content_type = text_of(item, "content_type");
	entry.object.swift_bytes = text_of(item, "swift_bytes");
	entry.container.put_timestamp = time;
	entry.container.object_count = number_of(item, "count");
	entry.container.bytes_used = number_of(item, "bytes");
	entry.container.policy = (uint16_t)number_of(item, "policy");
	return entry;
}

static void listing_format__python_vectors(void **state)
{
	(void)state;
	static const char *const policies[] = {"gold", "e<c>&\xc3\xa9", NULL};
	static const struct {
		const char *key;
		enum listing_format format;
	} formats[] = {{"plain", LISTING_FORMAT_PLAIN}, {"json", LISTING_FORMAT_JSON}, {"xml", LISTING_FORMAT_XML}};
	json_error_t error;
	json_t *cases = json_load_file("tests/data/listing-format.json", JSON_ALLOW_NUL, &error);
	if (!cases)
		fail_msg("listing-format.json:%d: %s", error.line, error.text);
	for (size_t i = 0; i < json_array_size(cases); i++) {
		const json_t *test = json_array_get(cases, i);
		const json_t *items = json_object_get(test, "entries");
		bool account = slice_equal(text_of(test, "kind"), SLICE_LITERAL("account"));
		struct listing_entry entries[64];
		size_t count = json_array_size(items);
		assert_in_range(count, 0, 64);
		for (size_t j = 0; j < count; j++)
			entries[j] = entry_of(json_array_get(items, j));
		for (size_t j = 0; j < 3; j++) {
			struct buf out = render(account ? LISTING_ACCOUNT : LISTING_CONTAINER, formats[j].format,
				text_of(test, "name"), entries, count, policies);
			check_text(text_of(test, "title").data, buf_slice(&out), text_of(test, formats[j].key));
			buf_release(&out);
		}
	}
	json_decref(cases);
}

static void listing_format__bad_utf8_is_replaced(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		const char *expected;
	} cases[] = {
		{"\x80", "\\ufffd"},
		{"a\xff"
		 "b",
			"a\\ufffdb"},
		{"\xc3", "\\ufffd"},
		{"\xc3(", "\\ufffd("},
		{"\xc0\x80", "\\ufffd\\ufffd"},
		{"\xe2\x82", "\\ufffd\\ufffd"},
		{"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},
		{"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
		{"\xf8\x88\x80\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct listing_entry entry = subdir_entry(cases[i].name);
		struct buf out = render(LISTING_CONTAINER, LISTING_FORMAT_JSON, SLICE_LITERAL("c"), &entry, 1, NULL);
		char *expected = xasprintf("[{\"subdir\": \"%s\"}]", cases[i].expected);
		check_text(cases[i].name, buf_slice(&out), slice_from(expected));
		free(expected);
		buf_release(&out);
	}
}

/* Also a measurement: prints rows per second. */
static void listing_format__many_rows(void **state)
{
	(void)state;
	enum { ROWS = 200000 };
	struct listing_entry entry =
		object_entry("photos/2026/11/21/IMG_20261121_005316.jpg", "1795222665.80240", DIGEST, "image/jpeg");
	struct buf out = BUF_INIT;
	struct listing_writer writer;
	struct timespec begin;
	struct timespec end;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	listing_writer_begin(&writer, LISTING_CONTAINER, LISTING_FORMAT_JSON, SLICE_LITERAL("c"), &out);
	for (int i = 0; i < ROWS; i++) {
		entry.object.size = i;
		listing_writer_entry(&writer, &entry);
		if (out.length > 1 << 20)
			buf_clear(&out);
	}
	listing_writer_end(&writer);
	clock_gettime(CLOCK_MONOTONIC, &end);
	double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
	print_message("%.0f rows/s\n", ROWS / seconds);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listing_format__container_samples),
		cmocka_unit_test(listing_format__account_samples),
		cmocka_unit_test(listing_format__python_vectors),
		cmocka_unit_test(listing_format__bad_utf8_is_replaced),
		cmocka_unit_test(listing_format__many_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
