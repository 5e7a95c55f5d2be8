/*
 * JSON of peers: listings that filters change and write again, in every form. What nests too deep is refused before the
 * stack is used; what is accepted comes out as JSON that reads the same.
 */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "lib/swift/bounded_json.h"
#include "proxy/listing_document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool are_rows(const json_t *json)
{
	if (!json_is_array(json))
		return false;
	for (size_t i = 0; i < json_array_size(json); i++)
		if (!json_is_object(json_array_get(json, i)))
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum listing_format formats[] = {
		LISTING_FORMAT_PLAIN, LISTING_FORMAT_XML, LISTING_FORMAT_TEXT_XML, LISTING_FORMAT_JSON};
	struct slice input = slice_of((const char *)data, size);
	json_error_t where;
	json_t *json = bounded_json_parse(input, &where);
	if (!json)
		return 0;
	if (are_rows(json)) {
		struct arena *arena = arena_new();
		struct slice text = SLICE_NONE;
		for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
			text = listing_document_text(arena, json, formats[i], SLICE_LITERAL("c"));
		json_t *again = bounded_json_parse(text, &where);
		assert(again && json_equal(again, json));
		json_decref(again);
		arena_free(arena);
	}
	json_decref(json);
	return 0;
}
