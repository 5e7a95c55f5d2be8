/*
 * MIME documents in parts, separated by "--boundary" lines: the form of a browser, and a PUT between our own servers that
 * sends the object, then its metadata, which are known only after the body.
 *
 *	parts = mime_parts_new(arena, request->body, boundary);
 *	while (co_mime_parts_next(parts, arena, &headers) == 0)
 *		… pull mime_parts_body(parts) to its end …
 *
 * Nothing is buffered: pieces of a part are views of the pieces of the source, cut where the delimiter is.
 */
#ifndef LIB_HTTP_MIME_PARTS_H
#define LIB_HTTP_MIME_PARTS_H

#include "lib/http/body.h"
#include "lib/http/headers.h"

enum {
	MIME_LINE_BYTES_MAX = 8192,
	MIME_HEADERS_MAX = 32, /* of one part */
};

struct mime_parts;

/* `boundary` has no CR in it; it may be empty. */
struct mime_parts *mime_parts_new(struct arena *arena, struct body *source, const char *boundary);

/*
 * Goes to the next part and reads its headers, which are initialised here and live in `arena` (one for each part where
 * there may be many). The part before must have been read to its end. 0; -ENOENT: that was the last one; -EPROTO: not a
 * document with that boundary; or the source's error.
 */
int co_mime_parts_next(struct mime_parts *parts, struct arena *arena, struct headers *ret_headers);

/* The part at hand. A document that ends without a delimiter ends the part. The body is never
 * closed. */
struct body *mime_parts_body(struct mime_parts *parts);

#endif
