#include "lib/http/chunked.h"

#include <errno.h>
#include <string.h>

#include "lib/http/token.h"

static int go(struct chunked_decoder *decoder, enum chunked_state state)
{
	decoder->state = state;
	return 0;
}

/* Goes on when the byte is the one that must stand here. */
static int expect(struct chunked_decoder *decoder, char c, char wanted, enum chunked_state state)
{
	return c == wanted ? go(decoder, state) : -EPROTO;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int step_size(struct chunked_decoder *decoder, char c)
{
	int digit = digit_value(c);
	if (digit >= 0) {
		if (++decoder->digits > 16 || decoder->left > (uint64_t)INT64_MAX >> 4)
			return -EPROTO;
		decoder->left = decoder->left << 4 | (uint64_t)digit;
		return go(decoder, CHUNKED_SIZE);
	}
	if (decoder->state == CHUNKED_SIZE_FIRST)
		return -EPROTO;
	if (c == ';')
		return go(decoder, CHUNKED_EXTENSION_FIRST);
	return expect(decoder, c, '\r', CHUNKED_SIZE_LF);
}

/* Behind a complete name or value. */
static int end_extension(struct chunked_decoder *decoder, char c)
{
	if (c == ';')
		return go(decoder, CHUNKED_EXTENSION_FIRST);
	return expect(decoder, c, '\r', CHUNKED_SIZE_LF);
}

static int step_extension(struct chunked_decoder *decoder, char c)
{
	if (++decoder->extension_bytes > CHUNKED_EXTENSION_BYTES_MAX ||
		++decoder->extensions_bytes > CHUNKED_EXTENSIONS_BYTES_MAX)
		return -EPROTO;
	switch (decoder->state) {
	case CHUNKED_EXTENSION_FIRST:
		return is_token_byte(c) ? go(decoder, CHUNKED_EXTENSION_NAME) : -EPROTO;
	case CHUNKED_EXTENSION_NAME:
		if (c == '=')
			return go(decoder, CHUNKED_EXTENSION_VALUE_FIRST);
		return is_token_byte(c) ? 0 : end_extension(decoder, c);
	case CHUNKED_EXTENSION_VALUE_FIRST:
		if (c == '"')
			return go(decoder, CHUNKED_EXTENSION_QUOTED);
		return is_token_byte(c) ? go(decoder, CHUNKED_EXTENSION_VALUE) : -EPROTO;
	case CHUNKED_EXTENSION_VALUE:
		return is_token_byte(c) ? 0 : end_extension(decoder, c);
	case CHUNKED_EXTENSION_QUOTED:
		if (c == '"')
			return go(decoder, CHUNKED_EXTENSION_QUOTED_END);
		if (c == '\\')
			return go(decoder, CHUNKED_EXTENSION_ESCAPED);
		return is_text_byte(c) ? 0 : -EPROTO;
	case CHUNKED_EXTENSION_ESCAPED:
		return is_text_byte(c) ? go(decoder, CHUNKED_EXTENSION_QUOTED) : -EPROTO;
	default:
		return end_extension(decoder, c);
	}
}

static int step_trailer(struct chunked_decoder *decoder, char c)
{
	if (++decoder->trailers_bytes > CHUNKED_TRAILERS_BYTES_MAX)
		return -EMSGSIZE;
	switch (decoder->state) {
	case CHUNKED_TRAILER_FIRST:
		if (c == '\r')
			return go(decoder, CHUNKED_END_LF);
		if (++decoder->trailer_count > CHUNKED_TRAILER_COUNT_MAX)
			return -EMSGSIZE;
		return is_token_byte(c) ? go(decoder, CHUNKED_TRAILER_NAME) : -EPROTO;
	case CHUNKED_TRAILER_NAME:
		if (c == ':')
			return go(decoder, CHUNKED_TRAILER_VALUE);
		return is_token_byte(c) ? 0 : -EPROTO;
	case CHUNKED_TRAILER_VALUE:
		if (c == '\r')
			return go(decoder, CHUNKED_TRAILER_LF);
		return is_text_byte(c) ? 0 : -EPROTO;
	case CHUNKED_TRAILER_LF:
		return expect(decoder, c, '\n', CHUNKED_TRAILER_FIRST);
	default:
		return expect(decoder, c, '\n', CHUNKED_DONE);
	}
}

/* One byte of framing. */
static int step(struct chunked_decoder *decoder, char c)
{
	switch (decoder->state) {
	case CHUNKED_SIZE_FIRST:
	case CHUNKED_SIZE:
		return step_size(decoder, c);
	case CHUNKED_SIZE_LF:
		return expect(decoder, c, '\n', decoder->left ? CHUNKED_DATA : CHUNKED_TRAILER_FIRST);
	case CHUNKED_DATA_CR:
		return expect(decoder, c, '\r', CHUNKED_DATA_LF);
	case CHUNKED_DATA_LF:
		decoder->digits = 0;
		decoder->extension_bytes = 0;
		return expect(decoder, c, '\n', CHUNKED_SIZE_FIRST);
	default:
		return decoder->state < CHUNKED_SIZE_LF ? step_extension(decoder, c) : step_trailer(decoder, c);
	}
}

int chunked_decode(struct chunked_decoder *decoder, char *data, size_t length, size_t *ret_payload, size_t *ret_used)
{
	size_t payload = 0;
	size_t used = 0;
	while (used < length && decoder->state != CHUNKED_DONE) {
		if (decoder->state != CHUNKED_DATA) {
			int error = step(decoder, data[used]);
			if (error)
				return error;
			used++;
			continue;
		}
		size_t piece = length - used;
		if (piece > decoder->left)
			piece = (size_t)decoder->left;
		memmove(data + payload, data + used, piece);
		payload += piece;
		used += piece;
		decoder->left -= piece;
		if (decoder->left == 0)
			decoder->state = CHUNKED_DATA_CR;
	}
	*ret_payload = payload;
	*ret_used = used;
	return 0;
}
