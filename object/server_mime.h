/*
 * A PUT whose body is a MIME document in parts: the object, then its metadata (and later a commit),
 * separated by
 * "--boundary" lines. The sender uses it where it knows the metadata, such as an ETag, only after
 * the body.
 *
 *	parts = mime_parts_new(arena, request->body, boundary);
 *	while (co_mime_parts_next(parts, &headers) == 0)
 *		… pull mime_parts_body(parts) to its end …
 *
 * Nothing is buffered: pieces of a part are views of the pieces of the source, cut where the
 * delimiter is.
 */
#ifndef OBJECT_SERVER_MIME_H
#define OBJECT_SERVER_MIME_H

#include "lib/http/body.h"
#include "lib/http/headers.h"

enum {
	MIME_LINE_BYTES_MAX = 8192,
	MIME_HEADERS_MAX = 32, /* of one part */
};

struct mime_parts;

struct mime_parts *mime_parts_new(struct arena *arena, struct body *source, const char *boundary);

/*
 * Goes to the next part and reads its headers, which are initialised here. The part before must
 * have been read to its end. 0; -ENOENT: that was the last one; -EPROTO: not a document with that
 * boundary; or the source's error.
 */
int co_mime_parts_next(struct mime_parts *parts, struct headers *ret_headers);

/* The part at hand. A document that ends without a delimiter ends the part. The body is never
 * closed. */
struct body *mime_parts_body(struct mime_parts *parts);

#endif
