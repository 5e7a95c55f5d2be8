#include "lib/swift/row_merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <jansson.h>

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

static struct slice member(const json_t *object, const char *key)
{
	return slice_from(json_string_value(json_object_get(object, key)));
}

static struct container_row row_of(const json_t *item)
{
	struct container_row row = {
		.size = json_integer_value(json_object_get(item, "size")),
		.etag = member(item, "etag"),
		.deleted = json_integer_value(json_object_get(item, "deleted")) != 0,
	};
	struct slice type_time = member(item, "ctype_timestamp"), meta_time = member(item, "meta_timestamp");
	content_type_split(arena, member(item, "content_type"), &row.content_type, &row.swift_bytes);
	assert_int_equal(timestamp_decode(member(item, "created_at"), &row.data, &row.content_type_time, &row.meta), 0);
	if (type_time.length) {
		assert_int_equal(timestamp_parse(type_time, &row.content_type_time), 0);
		row.meta = row.content_type_time;
	}
	if (meta_time.length)
		assert_int_equal(timestamp_parse(meta_time, &row.meta), 0);
	return row;
}

static void assert_slice(struct slice actual, struct slice expected)
{
	if (!slice_equal(actual, expected))
		fail_msg("'%.*s' instead of '%.*s'", SLICE_PRINT(actual), SLICE_PRINT(expected));
}

static void assert_row(const struct container_row *row, const json_t *expected)
{
	char created_at[TIMESTAMP_ENCODED_BYTES];
	timestamp_encode(&row->data, &row->content_type_time, &row->meta, false, created_at);
	assert_slice(slice_from(created_at), member(expected, "created_at"));
	assert_slice(content_type_join(arena, row->content_type, row->swift_bytes), member(expected, "content_type"));
	assert_slice(row->etag, member(expected, "etag"));
	assert_int_equal(row->size, json_integer_value(json_object_get(expected, "size")));
	assert_int_equal(row->deleted, json_integer_value(json_object_get(expected, "deleted")));
}

static void row_merge__matches_vectors(void **state)
{
	(void)state;
	json_t *vectors = json_load_file("tests/data/row-merge-vectors.json", 0, NULL);
	assert_non_null(vectors);
	size_t i;
	json_t *vector;
	json_array_foreach(vectors, i, vector)
	{
		json_t *old = json_object_get(vector, "existing");
		struct container_row existing = {0}, row = row_of(json_object_get(vector, "new"));
		if (json_is_object(old))
			existing = row_of(old);
		bool write = container_row_merge(json_is_object(old) ? &existing : NULL, &row);
		if (write != json_is_true(json_object_get(vector, "write")))
			fail_msg("'%s': write %d", json_string_value(json_object_get(vector, "title")), write);
		assert_row(&row, write ? json_object_get(vector, "result") : old);
	}
	assert_int_equal(i, 19);
	json_decref(vectors);
}

/* A PUT, two POSTs, a PUT and a DELETE in any order end up the same. */
static void row_merge__order_does_not_matter(void **state)
{
	(void)state;
	const struct timestamp t1 = {100000, 0}, t2 = {200000, 0}, t3 = {300000, 0}, t4 = {400000, 0}, t5 = {500000, 0};
	const struct container_row events[] = {
		{t1, t1, t1, 1, slice_from("a/1"), slice_from("11"), slice_from("e1"), false},
		{t1, t2, t2, 1, slice_from("a/2"), slice_from("11"), slice_from("e1"), false},
		{t1, t2, t4, 1, slice_from("a/2"), slice_from("11"), slice_from("e1"), false},
		{t3, t3, t3, 3, slice_from("a/3"), SLICE_NONE, slice_from("e3"), false},
		{t5, t5, t5, 0, slice_from("application/deleted"), SLICE_NONE, slice_from("noetag"), true},
	};
	enum { EVENTS = 5, ORDERS = 120 };
	for (int events_used = 4; events_used <= EVENTS; events_used++) {
		for (int order = 0; order < ORDERS; order++) {
			bool used[EVENTS] = {false};
			struct container_row stored = {0};
			bool exists = false;
			for (int step = 0, rest = order; step < events_used; step++) {
				int skip = rest % (events_used - step), next = 0;
				rest /= events_used - step;
				while (used[next] || skip-- > 0)
					next++;
				used[next] = true;
				struct container_row row = events[next];
				if (container_row_merge(exists ? &stored : NULL, &row))
					stored = row;
				exists = true;
			}
			const struct container_row *last = &events[events_used == 5 ? 4 : 3];
			assert_int_equal(timestamp_compare(stored.data, last->data), 0);
			assert_slice(stored.content_type, last->content_type);
			assert_slice(stored.etag, last->etag);
			assert_int_equal(stored.deleted, last->deleted);
			assert_int_equal(timestamp_compare(stored.meta, events_used == 5 ? t5 : t4), 0);
		}
	}
}

static void row_merge__nothing_newer_leaves_the_old_row(void **state)
{
	(void)state;
	const struct timestamp old = {5, 0}, new = {5, 0};
	struct container_row existing = {old, old, old, 7, slice_from("a/b"), slice_from("1"), slice_from("e"), true};
	struct container_row row = {new, new, new, 8, slice_from("c/d"), SLICE_NONE, slice_from("f"), false};
	assert_false(container_row_merge(&existing, &row));
	assert_int_equal(row.size, 7);
	assert_true(row.deleted);
	assert_slice(row.swift_bytes, slice_from("1"));
	assert_slice(row.content_type, slice_from("a/b"));
}

static void content_type__splits_like_swift(void **state)
{
	(void)state;
	static const struct {
		const char *text, *content_type, *swift_bytes;
	} cases[] = {
		{"", "", NULL},
		{"text/plain", "text/plain", NULL},
		{"text/plain; charset=UTF-8", "text/plain;charset=UTF-8", NULL},
		{"a/b;swift_bytes=500", "a/b", "500"},
		{"a/b; swift_bytes=5 ; x = y", "a/b;x=y", "5"},
		{"a/b;swift_bytes=1;swift_bytes=2", "a/b", "2"},
		{"a/b;swift_bytes", "a/b", ""},
		{"a/b;swift_bytes=", "a/b", ""},
		{"a/b;flag", "a/b;flag=", NULL},
		{"a/b;;;x=1;", "a/b;x=1", NULL},
		{"a/b;x=c/d;y=2", "a/b;x=c;y=2", NULL},
		{"a/b;x=\"1;2\\\"\";y=2", "a/b;x=\"1;2\\\"\";y=2", NULL},
		{"a/b;x=\"1;swift_bytes=9", "a/b;x=", "9"},
		{"a/b;x=\"1\\\";swift_bytes=9", "a/b;x=", "9"},
		{"a/b;x=\\\";swift_bytes=9", "a/b;x=\\", "9"},
		{" a/b ;x=1", " a/b ;x=1", NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice content_type, swift_bytes;
		content_type_split(arena, slice_from(cases[i].text), &content_type, &swift_bytes);
		assert_slice(content_type, slice_from(cases[i].content_type));
		assert_slice(swift_bytes, slice_from(cases[i].swift_bytes));
		assert_int_equal(swift_bytes.data != NULL, cases[i].swift_bytes != NULL);
	}
}

static void content_type__long_texts_are_linear(void **state)
{
	(void)state;
	static const char *const units[] = {";a=\"\\\"", "; ", ";a=\"", "\\", " ", "\"\\"};
	enum { BYTES = 1 << 20 };
	char *text = arena_alloc(arena, BYTES);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		struct slice content_type, swift_bytes;
		size_t unit = strlen(units[i]);
		memcpy(text, "a/b;a=\"", 7);
		for (size_t at = 7; at < BYTES; at++)
			text[at] = units[i][(at - 7) % unit];
		content_type_split(arena, slice_of(text, BYTES), &content_type, &swift_bytes);
		assert_true(content_type.length <= 2 * BYTES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row_merge__matches_vectors),
		cmocka_unit_test(row_merge__order_does_not_matter),
		cmocka_unit_test(row_merge__nothing_newer_leaves_the_old_row),
		cmocka_unit_test(content_type__splits_like_swift),
		cmocka_unit_test(content_type__long_texts_are_linear),
	};
	return cmocka_run_group_tests(tests, new_arena, free_arena);
}
