/*
 * The MIME document of a PUT in parts. However the body arrives, in one piece or in small ones, the same headers and
 * bytes come out, and never more bytes than went in. The first byte is the size of the small pieces.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "lib/http/mime_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARTS_MAX = 1000 };

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

/* All that a reader sees, as one text. */
static void read_document(struct slice input, size_t piece_bytes, struct buf *seen)
{
	struct arena *arena = arena_new();
	struct source source = {{&source_operations}, input, piece_bytes, NULL};
	struct mime_parts *parts = mime_parts_new(arena, &source.body, "b");
	struct headers headers;
	size_t bytes = 0;
	int error = 0;
	for (int i = 0; i < PARTS_MAX && !error && (error = co_mime_parts_next(parts, arena, &headers)) == 0; i++) {
		assert(headers.count <= MIME_HEADERS_MAX);
		for (size_t j = 0; j < headers.count; j++)
			buf_printf(seen, "%s=%s;", headers.items[j].name, headers.items[j].value);
		buf_append_byte(seen, '[');
		struct chunk chunk;
		while ((error = co_body_next(mime_parts_body(parts), &chunk)) == 0 && chunk.length) {
			bytes += chunk.length;
			buf_append(seen, chunk.data, chunk.length);
			chunk_release(&chunk);
		}
		buf_append_byte(seen, ']');
	}
	buf_printf(seen, " %d", error);
	assert(bytes <= input.length);
	free(source.piece);
	arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct slice input = slice_of((const char *)data + 1, size - 1);
	struct buf whole = BUF_INIT, pieces = BUF_INIT;
	read_document(input, size, &whole);
	read_document(input, 1 + data[0] % 16, &pieces);
	assert(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
	buf_release(&whole);
	buf_release(&pieces);
	return 0;
}
