#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lib/swift/bounded_json.h"
#include "proxy/inner_request.h"
#include "proxy/listing_document.h"

static const char rows_text[] = "[{\"name\": \"a<b\", \"hash\": \"\", \"bytes\": 3, \"content_type\": \"text/plain\", "
				"\"last_modified\": \"2026\"},"
				" {\"subdir\": \"d\\\"/\"}]";

static struct slice text_of(struct arena *arena, const char *json, enum listing_format format)
{
	json_t *rows = bounded_json_parse(slice_from(json), NULL);
	assert_non_null(rows);
	struct slice text = listing_document_text(arena, rows, format, SLICE_LITERAL("c\""));
	json_decref(rows);
	return text;
}

static void assert_text(struct slice text, const char *wanted)
{
	char copy[1024];
	assert_true(text.length < sizeof(copy));
	memcpy(copy, text.data ? text.data : "", text.length);
	copy[text.length] = '\0';
	assert_string_equal(copy, wanted);
}

static void listing_document__writes_every_form(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	assert_text(text_of(arena, rows_text, LISTING_FORMAT_PLAIN), "a<b\nd\"/\n");
	assert_text(text_of(arena, rows_text, LISTING_FORMAT_XML),
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<container "
		"name=\"c&quot;\"><object><name>a&lt;b</name><hash />"
		"<bytes>3</bytes><content_type>text/plain</content_type><last_modified>2026</last_modified></object>"
		"<subdir name=\"d&quot;/\"><name>d\"/</name></subdir></container>");
	assert_text(text_of(arena, "[]", LISTING_FORMAT_XML),
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<container name=\"c&quot;\" />");
	assert_text(text_of(arena, "[]", LISTING_FORMAT_PLAIN), "");
	assert_text(text_of(arena, "[]", LISTING_FORMAT_JSON), "[]");
	assert_text(text_of(arena, "[{\"name\": \"\\u00e9\"}]", LISTING_FORMAT_JSON), "[{\"name\": \"\\u00E9\"}]");
	arena_free(arena);
}

static void bounded_json__refuses_deep_nesting(void **state)
{
	(void)state;
	char deep[100000];
	memset(deep, '[', sizeof(deep));
	json_error_t error;
	assert_null(bounded_json_parse(slice_of(deep, sizeof(deep)), &error));
	assert_string_equal(error.text, "nested too deeply");
	assert_null(bounded_json_parse(SLICE_NONE, &error));
	json_t *in_string = bounded_json_parse(SLICE_LITERAL("[\"[[[[\\\"[[[[\"]"), NULL);
	assert_non_null(in_string);
	json_decref(in_string);
}

static void inner_request_path__stops_at_the_first_missing_part(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	struct slice a = SLICE_LITERAL("a b"), c = SLICE_LITERAL("c/d"), o = SLICE_LITERAL("o/p?");
	assert_text(inner_request_path(arena, "v1", a, c, o), "/v1/a%20b/c%2Fd/o/p%3F");
	assert_text(inner_request_path(arena, "v1", a, SLICE_NONE, o), "/v1/a%20b");
	assert_text(inner_request_path(arena, "v1", SLICE_NONE, c, o), "/v1");
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listing_document__writes_every_form),
		cmocka_unit_test(bounded_json__refuses_deep_nesting),
		cmocka_unit_test(inner_request_path__stops_at_the_first_missing_part),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
