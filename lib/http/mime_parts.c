#include "lib/http/mime_parts.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/swift/number.h"

struct mime_parts {
	struct body body; /* of the part at hand */
	struct body *source;
	const char *delimiter; /* "\r\n--boundary"; CR stands only at its front */
	size_t delimiter_length;
	struct chunk piece; /* of the source, what is left of it */
	size_t matched;     /* bytes of the delimiter at the end of what was read, held back */
	bool source_ended;
	bool part_ended;
	bool first;
};

/* ---- bytes of the source ---- */

/* Makes sure that the piece is not empty unless the source has ended. */
static int co_fill(struct mime_parts *parts)
{
	if (parts->piece.length || parts->source_ended)
		return 0;
	chunk_release(&parts->piece);
	int error = co_body_next(parts->source, &parts->piece);
	if (error) {
		parts->piece = CHUNK_NONE;
		return error;
	}
	parts->source_ended = parts->piece.length == 0;
	return 0;
}

static void consume(struct mime_parts *parts, size_t bytes)
{
	parts->piece.data += bytes;
	parts->piece.length -= bytes;
}

/* The next byte: 0; -ENOENT at the end. */
static int co_byte(struct mime_parts *parts, char *ret_byte)
{
	int error = co_fill(parts);
	if (error)
		return error;
	if (parts->source_ended)
		return -ENOENT;
	*ret_byte = parts->piece.data[0];
	consume(parts, 1);
	return 0;
}

/* A line without its CRLF, in the arena. Empty ones, of which there may be any number before the first part, take no room. */
static int co_line(struct mime_parts *parts, struct arena *arena, char **ret_line)
{
	static char nothing[1];
	struct buf line = BUF_INIT;
	char byte = 0;
	int error;
	while (!(error = co_byte(parts, &byte)) && byte != '\n') {
		if (line.length == MIME_LINE_BYTES_MAX || byte == '\0') {
			error = -EPROTO;
			break;
		}
		buf_append_byte(&line, byte);
	}
	if (line.length && line.data[line.length - 1] == '\r')
		line.length--;
	if (!error)
		*ret_line = line.length ? arena_strndup(arena, line.data, line.length) : nothing;
	buf_release(&line);
	return error;
}

/* ---- the part's bytes ---- */

/* Hands out the next `bytes` of the piece. */
static void take_piece(struct mime_parts *parts, size_t bytes, struct chunk *ret_chunk)
{
	*ret_chunk = (struct chunk){parts->piece.block, parts->piece.data, bytes};
	if (ret_chunk->block)
		(void)block_ref(ret_chunk->block);
	consume(parts, bytes);
}

/* Goes on comparing with the delimiter. True: the bytes that were held back are not part of it. */
static bool match_breaks(struct mime_parts *parts)
{
	while (parts->piece.length && parts->matched < parts->delimiter_length) {
		if (parts->piece.data[0] != parts->delimiter[parts->matched])
			return true;
		parts->matched++;
		consume(parts, 1);
	}
	parts->part_ended = parts->matched == parts->delimiter_length;
	return false;
}

/* Bytes before the first place in the piece where the delimiter may begin. */
static size_t plain_bytes(const struct mime_parts *parts)
{
	const char *at = parts->piece.data;
	const char *end = at + parts->piece.length;
	while ((at = memchr(at, '\r', (size_t)(end - at)))) {
		size_t left = (size_t)(end - at);
		size_t compared = left < parts->delimiter_length ? left : parts->delimiter_length;
		if (memcmp(at, parts->delimiter, compared) == 0)
			return (size_t)(at - parts->piece.data);
		at++;
	}
	return parts->piece.length;
}

static int co_part_next(struct body *body, struct chunk *ret_chunk)
{
	struct mime_parts *parts = (struct mime_parts *)body;
	while (!parts->part_ended) {
		int error = co_fill(parts);
		if (error)
			return error;
		if (parts->matched && (parts->source_ended || match_breaks(parts))) {
			*ret_chunk = (struct chunk){NULL, parts->delimiter, parts->matched};
			parts->matched = 0;
			return 0;
		}
		if (parts->source_ended)
			parts->part_ended = true;
		if (parts->part_ended || parts->matched || !parts->piece.length)
			continue;
		size_t plain = plain_bytes(parts);
		if (plain) {
			take_piece(parts, plain, ret_chunk);
			return 0;
		}
		(void)match_breaks(parts);
	}
	*ret_chunk = CHUNK_NONE;
	return 0;
}

/* ---- parts ---- */

static void release_piece(void *argument)
{
	struct mime_parts *parts = argument;
	chunk_release(&parts->piece);
}

struct mime_parts *mime_parts_new(struct arena *arena, struct body *source, const char *boundary)
{
	static const struct body_operations operations = {.co_next = co_part_next};
	struct mime_parts *parts = arena_zalloc(arena, sizeof(*parts));
	parts->body.operations = &operations;
	parts->source = source;
	parts->delimiter = arena_printf(arena, "\r\n--%s", boundary);
	parts->delimiter_length = strlen(parts->delimiter);
	parts->first = true;
	arena_defer(arena, release_piece, parts);
	return parts;
}

struct body *mime_parts_body(struct mime_parts *parts)
{
	return &parts->body;
}

/* "--boundary" after any number of empty lines. */
static int co_opening(struct mime_parts *parts, struct arena *arena)
{
	char *line;
	int error;
	do {
		error = co_line(parts, arena, &line);
	} while (!error && !*line);
	if (error)
		return error == -ENOENT ? -EPROTO : error;
	struct slice wanted = slice_of(parts->delimiter + 2, parts->delimiter_length - 2);
	return slice_equal(number_trim(slice_from(line)), wanted) ? 0 : -EPROTO;
}

/* What follows a delimiter: the rest of its line, or "--" at the end of the document. */
static int co_after_delimiter(struct mime_parts *parts)
{
	char bytes[2];
	for (size_t i = 0; i < 2; i++) {
		int error = co_byte(parts, &bytes[i]);
		if (error)
			return error;
	}
	return bytes[0] == '-' && bytes[1] == '-' ? -ENOENT : 0;
}

static int co_part_headers(struct mime_parts *parts, struct headers *headers)
{
	for (size_t i = 0; i <= MIME_HEADERS_MAX; i++) {
		char *line;
		int error = co_line(parts, headers->arena, &line);
		if (error || !*line)
			return error;
		char *colon = strchr(line, ':');
		if (!colon)
			return -EPROTO;
		*colon = '\0';
		struct slice value = number_trim(slice_from(colon + 1));
		headers_add(headers, line, arena_strndup(headers->arena, value.data, value.length));
	}
	return -EPROTO;
}

int co_mime_parts_next(struct mime_parts *parts, struct arena *arena, struct headers *ret_headers)
{
	assert(parts->first || parts->part_ended);
	int error = parts->first ? co_opening(parts, arena) : co_after_delimiter(parts);
	parts->first = false;
	headers_init(ret_headers, arena);
	if (!error)
		error = co_part_headers(parts, ret_headers);
	if (error)
		return error;
	parts->part_ended = false;
	parts->matched = 0;
	return 0;
}
