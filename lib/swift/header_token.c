#include "lib/swift/header_token.h"

size_t header_skip_blanks(struct slice text, size_t at)
{
	while (at < text.length && (text.data[at] == ' ' || (text.data[at] >= '\t' && text.data[at] <= '\r')))
		at++;
	return at;
}

static bool is_token(char byte)
{
	unsigned char code = (unsigned char)byte;
	return code > 0x20 && code != 0x7f && !strchr("()<>@,;:\"/[]?={}", byte);
}

size_t header_skip_token(struct slice text, size_t at)
{
	while (at < text.length && is_token(text.data[at]))
		at++;
	return at;
}

size_t header_skip_quoted(struct slice text, size_t at)
{
	if (at == text.length || text.data[at] != '"')
		return at;
	for (size_t i = at + 1; i < text.length; i++) {
		if (text.data[i] == '\\')
			i++;
		else if (text.data[i] == '"')
			return i + 1;
	}
	return at;
}
