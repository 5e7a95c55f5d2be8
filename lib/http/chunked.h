/*
 * The chunked transfer coding (RFC 9112, section 7.1), read strictly: sizes are 1 to 16 hexadecimal digits and nothing
 * else, every line ends in CR LF, extensions and trailers follow the grammar, are bounded and dropped.
 *
 *	5;name=value CR LF | hello CR LF | 0 CR LF | Trailer: value CR LF | CR LF
 */
#ifndef LIB_HTTP_CHUNKED_H
#define LIB_HTTP_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

enum {
	CHUNKED_EXTENSION_BYTES_MAX = 256,    /* of one chunk */
	CHUNKED_EXTENSIONS_BYTES_MAX = 16384, /* of all chunks of a body */
	CHUNKED_TRAILERS_BYTES_MAX = 16384,
	CHUNKED_TRAILER_COUNT_MAX = 64,
};

enum chunked_state {
	CHUNKED_SIZE_FIRST,
	CHUNKED_SIZE,
	CHUNKED_EXTENSION_FIRST,
	CHUNKED_EXTENSION_NAME,
	CHUNKED_EXTENSION_VALUE_FIRST,
	CHUNKED_EXTENSION_VALUE,
	CHUNKED_EXTENSION_QUOTED,
	CHUNKED_EXTENSION_ESCAPED,
	CHUNKED_EXTENSION_QUOTED_END,
	CHUNKED_SIZE_LF,
	CHUNKED_DATA,
	CHUNKED_DATA_CR,
	CHUNKED_DATA_LF,
	CHUNKED_TRAILER_FIRST,
	CHUNKED_TRAILER_NAME,
	CHUNKED_TRAILER_VALUE,
	CHUNKED_TRAILER_LF,
	CHUNKED_END_LF,
	CHUNKED_DONE,
};

/* All zero is the state before the first byte. */
struct chunked_decoder {
	enum chunked_state state;
	uint64_t left;          /* bytes of the chunk that are still to come, or its size as read so far */
	size_t digits;          /* of the size line */
	size_t extension_bytes; /* of this chunk */
	size_t extensions_bytes;
	size_t trailers_bytes;
	size_t trailer_count;
};

/*
 * Decodes a run in place: payload is moved together at the start of `data`. 0, -EPROTO (not the
 * grammar, or an extension too long), -EMSGSIZE (too many trailers). *ret_used is less than length
 * only in CHUNKED_DONE.
 */
int chunked_decode(struct chunked_decoder *decoder, char *data, size_t length, size_t *ret_payload, size_t *ret_used);

#endif
