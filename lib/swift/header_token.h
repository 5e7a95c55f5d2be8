/*
 * The lexical ground of header values with parameters: tokens and quoted strings of RFC 2616 §2.2
 * as Swift's regular expressions read them. Each function takes a position in `text` and returns
 * the one behind what it passed over, or the same position when there was nothing. All are linear.
 */
#ifndef LIB_SWIFT_HEADER_TOKEN_H
#define LIB_SWIFT_HEADER_TOKEN_H

#include <stddef.h>

#include "lib/base/slice.h"

/* Blanks, tabs and line ends. */
size_t header_skip_blanks(struct slice text, size_t at);

/* Bytes other than separators, blanks and control characters; a backslash belongs to a token. */
size_t header_skip_token(struct slice text, size_t at);

/* A string in double quotes, in which a backslash protects the byte after it. None without its
 * closing quote. */
size_t header_skip_quoted(struct slice text, size_t at);

#endif
