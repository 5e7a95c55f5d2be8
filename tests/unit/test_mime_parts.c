#include "tests/unit/object_server_fixture.h"

#include <malloc.h>

#include "lib/http/mime_parts.h"

/* One document, cut into pieces of every size: the parts must come out the same. */
struct document {
	const char *text;
	const char *bodies[4]; /* of the parts, NULL-terminated */
	int end;               /* what follows the last part */
};

static const struct document documents[] = {
	{"--B\r\nX-Document: a\r\n\r\nhello\r\n--B\r\nX-Document: b\r\n\r\nworld\r\n--B--", {"hello", "world"},
		-ENOENT},
	{"\r\n\r\n--B\r\nX-Document: a\r\n\r\n\r\n--B--\r\n", {""}, -ENOENT},
	/* what looks like the delimiter for a while */
	{"--B\r\nX-Document: a\r\n\r\n\r\r\n\r\n-\r\n--\r\n--C\r\r\n--B--", {"\r\r\n\r\n-\r\n--\r\n--C\r"}, -ENOENT},
	{"--B\r\nX-Document: a\r\n\r\nx\r\n--\r\n--B--", {"x\r\n--"}, -ENOENT},
	/* broken off: the part ends, and nothing follows */
	{"--B\r\nX-Document: a\r\n\r\nhello\r\n-", {"hello\r\n-"}, -ENOENT},
	{"--B\r\nX-Document: a\r\n\r\nhello\r\n--B", {"hello"}, -ENOENT},
	{"--B\r\nX-Document: a\r\n\r\nhello\r\n--B\r\nX-Docu", {"hello"}, -ENOENT},
	{"--X\r\nX-Document: a\r\n\r\nhello\r\n--B--", {NULL}, -EPROTO},
	{"", {NULL}, -EPROTO},
	{"--B\r\nno colon\r\n\r\nhello\r\n--B--", {NULL}, -EPROTO},
};

static void co_read_document(const struct document *document, size_t piece)
{
	static const struct body_operations operations = {.co_next = test_body_next};
	struct arena *arena = arena_new();
	struct test_body source = {.body.operations = &operations, .left = slice_from(document->text), .piece = piece};
	struct mime_parts *parts = mime_parts_new(arena, &source.body, "B");
	struct headers headers;
	size_t count = 0;
	int error;
	while (!(error = co_mime_parts_next(parts, arena, &headers))) {
		struct slice bytes;
		const char *expected = document->bodies[count];
		assert_non_null(expected);
		assert_string_equal(headers_get(&headers, "x-document"), count ? "b" : "a");
		assert_int_equal(co_body_read_all(mime_parts_body(parts), arena, 1000, &bytes), 0);
		if (!slice_equal(bytes, slice_from(expected)))
			fail_msg("%s in pieces of %zu: part %zu is \"%.*s\", expected \"%s\"", document->text, piece,
				count, SLICE_PRINT(bytes), expected);
		count++;
	}
	if (error != document->end)
		fail_msg("%s: ends with %d, expected %d", document->text, error, document->end);
	assert_null(document->bodies[count]);
	arena_free(arena);
}

static void co_read_documents(void *argument)
{
	(void)argument;
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++)
		for (size_t piece = 1; piece <= strlen(documents[i].text) + 1; piece++)
			co_read_document(&documents[i], piece);
}

static void mime__finds_parts_however_they_are_cut(void **state)
{
	(void)state;
	fixture_run(co_read_documents, NULL);
}

/* Empty lines before a document, as many as a client likes to send, take no memory. */
static void co_read_empty_lines(void *argument)
{
	(void)argument;
	enum { LINES = 2000000, GROWTH_MAX = 1 << 20 };
	static const struct body_operations operations = {.co_next = test_body_next};
	struct arena *arena = arena_new();
	char *text = malloc(LINES);
	assert_non_null(text);
	memset(text, '\n', LINES);
	struct test_body source = {.body.operations = &operations, .left = slice_of(text, LINES), .piece = 65536};
	struct mime_parts *parts = mime_parts_new(arena, &source.body, "B");
	struct headers headers;
	size_t before = mallinfo2().uordblks;
	assert_int_equal(co_mime_parts_next(parts, arena, &headers), -EPROTO);
	assert_true(mallinfo2().uordblks < before + GROWTH_MAX);
	free(text);
	arena_free(arena);
}

static void mime__empty_lines_take_no_memory(void **state)
{
	(void)state;
	fixture_run(co_read_empty_lines, NULL);
}

static void co_break_off(void *argument)
{
	(void)argument;
	static const struct body_operations operations = {.co_next = test_body_next};
	const char *text = documents[0].text;
	for (size_t length = 0; length < strlen(text); length++) {
		struct arena *arena = arena_new();
		struct test_body source = {.body.operations = &operations,
			.left = slice_of(text, length),
			.piece = 5,
			.error = -ECONNRESET};
		struct mime_parts *parts = mime_parts_new(arena, &source.body, "B");
		struct headers headers;
		struct slice bytes;
		int error;
		while (!(error = co_mime_parts_next(parts, arena, &headers)))
			if ((error = co_body_read_all(mime_parts_body(parts), arena, 1000, &bytes)))
				break;
		assert_int_equal(error, -ECONNRESET);
		arena_free(arena);
	}
}

static void mime__passes_on_errors_of_the_source(void **state)
{
	(void)state;
	fixture_run(co_break_off, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mime__finds_parts_however_they_are_cut),
		cmocka_unit_test(mime__empty_lines_take_no_memory),
		cmocka_unit_test(mime__passes_on_errors_of_the_source),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
