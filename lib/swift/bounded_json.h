/*
 * JSON that clients and peers send. jansson parses by recursion, so the depth is looked at before it sees a byte: a text
 * of brackets must not use up a coroutine's stack.
 */
#ifndef LIB_SWIFT_BOUNDED_JSON_H
#define LIB_SWIFT_BOUNDED_JSON_H

#include <jansson.h>

#include "lib/base/slice.h"

enum { BOUNDED_JSON_DEPTH_MAX = 64 };

/*
 * The document (a new reference), or NULL when the text is not JSON or nests deeper than BOUNDED_JSON_DEPTH_MAX. Strings
 * may hold NUL. `ret_error` (jansson's words, for the client) may be NULL. Linear in the text.
 */
json_t *bounded_json_parse(struct slice text, json_error_t *ret_error);

#endif
