/*
 * The alphabet of names in HTTP (RFC 9110, section 5.6.2), shared by the parsers of heads and of
 * chunked bodies.
 */
#ifndef LIB_HTTP_TOKEN_H
#define LIB_HTTP_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool is_token_byte(char c)
{
	bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
	return alphanumeric || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

/* At least one byte, all of them from the alphabet. */
static inline bool is_token(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!is_token_byte(text[i]))
			return false;
	return length > 0;
}

/* What may stand in a header's value or a quoted string: no control bytes but TAB. */
static inline bool is_text_byte(char c)
{
	unsigned char byte = (unsigned char)c;
	return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

#endif
