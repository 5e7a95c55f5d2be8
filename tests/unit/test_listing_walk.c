/* Listings: which names a query gives, by Swift's own vectors and in difficult places. */
#include "lib/store/listing.h"

#include "tests/unit/listing_fixture.h"

struct listing_case {
	const char *query;
	const char *names; /* subdirs with ">" before them */
};

static void check_listings(const char *const names[], const struct listing_case *cases)
{
	unsigned char hash[16];
	fresh_hash(hash);
	put(LISTING_CONTAINER, hash, 1);
	for (size_t i = 0; names[i]; i++)
		put_row(hash, names[i], 2, 0, 1);
	/* Neighbours that must never show up. */
	put_row(hash, "deleted", 2, 0, 1);
	delete_row(hash, "deleted", 3, 0);
	put_row(hash, "other policy", 2, 1, 1);
	for (; cases->query; cases++)
		check_listing(hash, cases->query, cases->names);
}

static void listing__swift_query_vectors(void **state)
{
	(void)state;
	static const char *const names[] = {"a", "a/x", "a/y", "b", "c\xc3\xa9", "z", NULL};
	static const struct listing_case cases[] = {
		{"", "a a/x a/y b c\xc3\xa9 z"},
		{"reverse", "z c\xc3\xa9 b a/y a/x a"},
		{"marker=a&end_marker=c", "a/x a/y b"},
		{"marker=c&end_marker=a&reverse", "b a/y a/x"},
		{"delimiter=/", "a >a/ b c\xc3\xa9 z"},
		{"delimiter=/&reverse", "z c\xc3\xa9 b >a/ a"},
		{"delimiter=/&limit=2", "a >a/"},
		{"delimiter=/&marker=a", ">a/ b c\xc3\xa9 z"},
		{"delimiter=/&marker=a/", "b c\xc3\xa9 z"},
		{"prefix=a", "a a/x a/y"},
		{"prefix=a&delimiter=/", "a >a/"},
		{"prefix=a/&delimiter=/", "a/x a/y"},
		{"prefix=a/&marker=a/x", "a/y"},
		{"path=", "a b c\xc3\xa9 z"},
		{"path=a", "a/x a/y"},
		{"path=a/", "a/x a/y"},
		{"limit=0", ""},
		{"prefix=zz", ""},
		{"delimiter=/&marker=a/x", ">a/ b c\xc3\xa9 z"},
		{"delimiter=/&end_marker=a/y", "a >a/"},
		{"delimiter=/&end_marker=a/x", "a"},
		{"delimiter=/&reverse&marker=a/y", ">a/ a"},
		{"delimiter=/&reverse&marker=a/x", "a"},
		{"delimiter=/&reverse&end_marker=a/", "z c\xc3\xa9 b"},
		{"delimiter=/&reverse&end_marker=a/x", "z c\xc3\xa9 b >a/"},
		{"delimiter=/&reverse&limit=4", "z c\xc3\xa9 b >a/"},
		{"marker=z", ""},
		{"marker=b&end_marker=b", ""},
		{"marker=z&end_marker=a", ""},
		{NULL, NULL},
	};
	check_listings(names, cases);
}

static void listing__delimiters_in_difficult_places(void **state)
{
	(void)state;
	static const char *const names[] = {"/", "/a", "//", "a", "a-b-c", "a-b-d", "a--", "a--x", "a.", "p/", "p/q/",
		"p/q/1", "p/q/2", "p/q0", "p//x", "p0", NULL};
	static const struct listing_case cases[] = {
		{"", "/ // /a a a-- a--x a-b-c a-b-d a. p/ p//x p/q/ p/q/1 p/q/2 p/q0 p0"},
		{"delimiter=/", ">/ a a-- a--x a-b-c a-b-d a. >p/ p0"},
		{"delimiter=/&reverse", "p0 >p/ a. a-b-d a-b-c a--x a-- a >/"},
		{"delimiter=-", "/ // /a a >a- a. p/ p//x p/q/ p/q/1 p/q/2 p/q0 p0"},
		{"delimiter=--", "/ // /a a >a-- a-b-c a-b-d a. p/ p//x p/q/ p/q/1 p/q/2 p/q0 p0"},
		{"delimiter=--&reverse&prefix=a", "a. a-b-d a-b-c >a-- a"},
		{"delimiter=-b-", "/ // /a a a-- a--x >a-b- a. p/ p//x p/q/ p/q/1 p/q/2 p/q0 p0"},
		{"prefix=a-&delimiter=-", ">a-- >a-b-"},
		{"prefix=p/&delimiter=/", "p/ >p// >p/q/ p/q0"},
		{"prefix=p/&delimiter=/&reverse", "p/q0 >p/q/ >p// p/"},
		{"prefix=p/&delimiter=/&marker=p/q/", "p/q0"},
		{"prefix=p/&delimiter=/&marker=p/q", ">p/q/ p/q0"},
		{"prefix=p/q&delimiter=/", ">p/q/ p/q0"},
		{"prefix=p/q/&delimiter=/", "p/q/ p/q/1 p/q/2"},
		{"prefix=p&delimiter=/&marker=a", ">p/ p0"},
		{"prefix=/&delimiter=/", "/ >// /a"},
		{"path=p", "p/q/ p/q0"},
		{"path=p&reverse", "p/q0 p/q/"},
		{"path=p/q", "p/q/1 p/q/2"},
		{"path=", "/ a a-- a--x a-b-c a-b-d a. p/ p0"},
		{"path=&reverse", "p0 p/ a. a-b-d a-b-c a--x a-- a /"},
		{"path=/", "// /a"},
		{"path=p//", "p/q/ p/q0"},
		{"path=p&prefix=a&delimiter=-", "p/q/ p/q0"},
		{"path=p&limit=1", "p/q/"},
		{"path=p&marker=p/q/", "p/q0"},
		{NULL, NULL},
	};
	check_listings(names, cases);
}

static void listing__names_of_any_bytes(void **state)
{
	(void)state;
	static const char *const names[] = {"\x01", "~", "\xc3\xa9", "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbfx", "\xff",
		"\xff\xff", "\xff\xff\x61", NULL};
	static const struct listing_case cases[] = {
		{"", "\x01 ~ \xc3\xa9 \xf4\x8f\xbf\xbf \xf4\x8f\xbf\xbfx \xff \xff\xff "
		     "\xff\xff\x61"},
		{"reverse&limit=2", "\xff\xff\x61 \xff\xff"},
		{"prefix=\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf \xf4\x8f\xbf\xbfx"},
		{"prefix=\xff", "\xff \xff\xff \xff\xff\x61"},
		{"prefix=\xff\xff", "\xff\xff \xff\xff\x61"},
		{"prefix=\xff&reverse", "\xff\xff\x61 \xff\xff \xff"},
		{"delimiter=\xff", "\x01 ~ \xc3\xa9 \xf4\x8f\xbf\xbf \xf4\x8f\xbf\xbfx >\xff"},
		{"delimiter=\xff&prefix=\xff", "\xff >\xff\xff"},
		{"delimiter=\xff&prefix=\xff&reverse", ">\xff\xff \xff"},
		{"delimiter=\xbf&prefix=\xf4", ">\xf4\x8f\xbf"},
		{NULL, NULL},
	};
	check_listings(names, cases);
}

static void listing__reserved_names_are_hidden(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	put(LISTING_CONTAINER, hash, 1);
	put_row(hash, "a", 2, 0, 1);
	struct listing_object_row item = {
		.name = {"\0v\0a", 4},
		.row = {.data = at(2), .content_type_time = at(2), .meta = at(2), .etag = SLICE_LITERAL("e")},
	};
	memcpy(item.hash, hash, sizeof(item.hash));
	assert_int_equal(device_commit(device, listing_put_object_row, &item), 0);
	check_listing(hash, "", "a");
	check_listing(hash, "reverse", "a");
	check_listing(hash, "reserved", "NULvNULa a");
	check_listing(hash, "reserved&reverse", "a NULvNULa");
	check_listing(hash, "reserved&delimiter=v", ">NULv a");
}

static int stop_at_second(const struct listing_entry *entry, void *argument)
{
	(void)entry;
	int *calls = argument;
	return ++*calls == 2 ? -ECANCELED : 0;
}

static void listing__emit_can_end_the_walk(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	put(LISTING_CONTAINER, hash, 1);
	put_row(hash, "a", 2, 0, 1);
	put_row(hash, "b", 2, 0, 1);
	put_row(hash, "c", 2, 0, 1);
	struct listing_query query = {.kind = LISTING_CONTAINER, .limit = 10};
	memcpy(query.hash, hash, sizeof(query.hash));
	int calls = 0;
	assert_int_equal(listing_walk(device, &query, stop_at_second, &calls), -ECANCELED);
	assert_int_equal(calls, 2);
}

static int keep_entry(const struct listing_entry *entry, void *argument)
{
	struct buf *text = argument;
	const struct container_row *row = &entry->object;
	buf_printf(text, "%.*s %.*s %.*s %.*s %lld %llu %llu %llu.%llu", SLICE_PRINT(entry->name),
		SLICE_PRINT(row->etag), SLICE_PRINT(row->content_type), SLICE_PRINT(row->swift_bytes),
		(long long)row->size, (unsigned long long)(row->content_type_time.raw - row->data.raw),
		(unsigned long long)(row->meta.raw - row->data.raw), (unsigned long long)row->data.raw,
		(unsigned long long)row->data.offset);
	return 0;
}

static void listing__rows_come_back_whole(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	put(LISTING_CONTAINER, hash, 1);
	struct listing_object_row item = {
		.name = SLICE_LITERAL("o"),
		.row = {.data = {.raw = 170000000000000, .offset = 3},
			.content_type_time = {.raw = 170000000000005},
			.meta = {.raw = 170000000000009},
			.size = 77,
			.content_type = SLICE_LITERAL("a/b;c=d"),
			.swift_bytes = SLICE_LITERAL("500"),
			.etag = SLICE_LITERAL("D41D8CD98F00B204E9800998ECF8427E")},
	};
	memcpy(item.hash, hash, sizeof(item.hash));
	assert_int_equal(device_commit(device, listing_put_object_row, &item), 0);
	struct listing_query query = {.kind = LISTING_CONTAINER, .limit = 10};
	memcpy(query.hash, hash, sizeof(query.hash));
	struct buf text = BUF_INIT;
	assert_int_equal(listing_walk(device, &query, keep_entry, &text), 0);
	assert_string_equal(text.data, "o D41D8CD98F00B204E9800998ECF8427E a/b;c=d 500 77 5 9 170000000000000.3");
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listing__swift_query_vectors),
		cmocka_unit_test(listing__delimiters_in_difficult_places),
		cmocka_unit_test(listing__names_of_any_bytes),
		cmocka_unit_test(listing__reserved_names_are_hidden),
		cmocka_unit_test(listing__emit_can_end_the_walk),
		cmocka_unit_test(listing__rows_come_back_whole),
	};
	return cmocka_run_group_tests(tests, open_device, close_device);
}
