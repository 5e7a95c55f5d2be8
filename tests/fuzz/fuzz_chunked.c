/*
 * Chunked bodies from anybody. Feeding in two pieces must give what feeding whole gives: the same
 * payload, the same number of bytes used, or a refusal both times. A body that was taken is written
 * again as one chunk and must come back. The first byte says where to cut.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "lib/http/parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	int error;
	bool done;
	size_t used;
	struct buf payload;
};

static void feed_piece(struct http_parser *parser, struct slice piece, struct outcome *outcome)
{
	/* memory of its own, gone afterwards: nothing may be remembered by address */
	_cleanup_free_ char *copy = xmalloc(piece.length);
	memcpy(copy, piece.data, piece.length);
	size_t payload = 0, used = 0;
	outcome->error = http_parser_chunked(parser, copy, piece.length, &payload, &used);
	if (outcome->error)
		return;
	assert(used <= piece.length && payload <= used);
	assert(used == piece.length || parser->message_done);
	outcome->done = parser->message_done;
	outcome->used += used;
	buf_append(&outcome->payload, copy, payload);
}

static struct outcome feed(struct slice input, size_t first)
{
	struct outcome outcome = {.payload = BUF_INIT};
	struct http_parser parser;
	http_parser_init_request(&parser, NULL, &http_limits_default);
	feed_piece(&parser, slice_of(input.data, first), &outcome);
	if (!outcome.error && !outcome.done && first < input.length)
		feed_piece(&parser, slice_of(input.data + first, input.length - first), &outcome);
	return outcome;
}

static void check_again(const struct outcome *taken)
{
	struct buf written = BUF_INIT;
	if (taken->payload.length) {
		buf_printf(&written, "%zx\r\n", taken->payload.length);
		buf_append_slice(&written, buf_slice(&taken->payload));
		buf_append_text(&written, "\r\n");
	}
	buf_append_text(&written, "0\r\n\r\n");
	struct outcome again = feed(buf_slice(&written), written.length);
	assert(!again.error && again.done && again.used == written.length);
	assert(slice_equal(buf_slice(&again.payload), buf_slice(&taken->payload)));
	buf_release(&again.payload);
	buf_release(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct slice input = slice_of((const char *)data + 1, size - 1);
	size_t cut = 1 + data[0] * input.length / 256;
	if (cut > input.length)
		cut = input.length;
	struct outcome whole = feed(input, input.length);
	struct outcome pieces = feed(input, cut);
	assert((whole.error != 0) == (pieces.error != 0));
	if (!whole.error) {
		assert(whole.done == pieces.done);
		assert(whole.used == pieces.used);
		assert(slice_equal(buf_slice(&whole.payload), buf_slice(&pieces.payload)));
	}
	if (whole.done)
		check_again(&whole);
	buf_release(&whole.payload);
	buf_release(&pieces.payload);
	return 0;
}
