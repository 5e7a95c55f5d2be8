/*
 * A form of a browser: the Content-Type names the boundary, the parts name what they hold. The first byte is the size of
 * the pieces in which the body arrives, the first line the header, the rest the body. However it arrives, the same names
 * and as many bytes come out; what is read of a header lies in it.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "lib/http/mime_parts.h"
#include "lib/swift/content_disposition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Gives out copies of the input, each in memory of its own that ends with the next one. */
struct source {
	struct body body;
	struct slice rest;
	size_t piece_bytes;
	char *piece;
};

static int source_next(struct body *body, struct chunk *ret_chunk)
{
	struct source *source = (struct source *)body;
	size_t length = source->rest.length < source->piece_bytes ? source->rest.length : source->piece_bytes;
	free(source->piece);
	source->piece = xmalloc(length);
	if (length)
		memcpy(source->piece, source->rest.data, length);
	*ret_chunk = (struct chunk){NULL, source->piece, length};
	source->rest = slice_of(source->rest.data + length, source->rest.length - length);
	return 0;
}

static const struct body_operations source_operations = {source_next, NULL};

static void check_view(struct slice header, struct slice view)
{
	assert(view.length <= header.length);
	assert(view.length == 0 ||
		(view.data >= header.data && view.data + view.length <= header.data + header.length));
}

static bool attribute(struct slice header, const char *name, struct slice *ret_value)
{
	bool found = content_disposition_attribute(header, name, ret_value);
	check_view(header, content_disposition_word(header));
	if (!found)
		return false;
	check_view(header, *ret_value);
	assert(ret_value->length == 0 || (ret_value->data[0] != '"' && ret_value->data[ret_value->length - 1] != '"'));
	return true;
}

static void append_attribute(struct buf *seen, struct slice header, const char *name)
{
	struct slice value;
	if (attribute(header, name, &value))
		buf_printf(seen, "%s=%.*s;", name, SLICE_PRINT(value));
}

/* All that a reader sees, as one text; bodies by their length. */
static void read_form(struct slice input, const char *boundary, size_t piece_bytes, struct buf *seen)
{
	struct arena *arena = arena_new();
	struct source source = {{&source_operations}, input, piece_bytes, NULL};
	struct mime_parts *parts = mime_parts_new(arena, &source.body, boundary);
	int error = 0;
	while (!error) {
		struct arena *of_part = arena_new();
		struct headers headers;
		struct chunk chunk;
		size_t bytes = 0;
		error = co_mime_parts_next(parts, of_part, &headers);
		if (!error) {
			struct slice header = slice_from(headers_get(&headers, "Content-Disposition"));
			append_attribute(seen, header, "name");
			append_attribute(seen, header, "filename");
		}
		while (!error && (error = co_body_next(mime_parts_body(parts), &chunk)) == 0 && chunk.length) {
			bytes += chunk.length;
			chunk_release(&chunk);
		}
		buf_printf(seen, "%zu %d;", bytes, error);
		assert(bytes <= input.length);
		arena_free(of_part);
	}
	free(source.piece);
	arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	const char *end = size > 1 ? memchr(text, '\n', size - 1) : NULL;
	struct slice boundary;
	/* the head of a request lets neither through */
	if (!end || memchr(text, '\r', (size_t)(end - text)) || memchr(text, '\0', (size_t)(end - text)) ||
		!attribute(slice_of(text, (size_t)(end - text)), "boundary", &boundary))
		return 0;
	struct arena *arena = arena_new();
	struct slice input = slice_of(end + 1, size - 2 - (size_t)(end - text));
	struct buf whole = BUF_INIT, pieces = BUF_INIT;
	char *copy = arena_strndup(arena, boundary.data, boundary.length);
	read_form(input, copy, size, &whole);
	read_form(input, copy, 1 + data[0] % 16, &pieces);
	assert(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
	buf_release(&whole);
	buf_release(&pieces);
	arena_free(arena);
	return 0;
}
