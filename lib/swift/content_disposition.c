#include "lib/swift/content_disposition.h"

#include <ctype.h>
#include <string.h>

#include "lib/swift/number.h"

static struct slice behind(struct slice text, size_t bytes)
{
	return slice_of(text.data + bytes, text.length - bytes);
}

struct slice content_disposition_word(struct slice header)
{
	const char *end = header.length ? memchr(header.data, ';', header.length) : NULL;
	return end ? number_trim(slice_of(header.data, (size_t)(end - header.data))) : header;
}

/* Letters beyond ASCII belong to words, too. */
static bool is_word_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Length of the value at the front, quotes included; 0: there is none. It ends before ";" or at the end of the text. */
static size_t value_length(struct slice text)
{
	size_t at = 0;
	if (text.length && text.data[0] == '"') {
		/* up to the first closing quote that stands at the end of the attribute */
		for (at = 1; at < text.length; at++)
			if (text.data[at] == '"' && (at + 1 == text.length || text.data[at + 1] == ';'))
				return at + 1;
		return 0;
	}
	while (at < text.length && text.data[at] != '"' && text.data[at] != ';')
		at++;
	return at < text.length && text.data[at] == '"' ? 0 : at;
}

static struct slice without_quotes(struct slice value)
{
	while (value.length && value.data[0] == '"')
		value = behind(value, 1);
	while (value.length && value.data[value.length - 1] == '"')
		value.length--;
	return value;
}

/* Takes the attribute at the front off the text. */
static bool next_attribute(struct slice *text, struct slice *ret_name, struct slice *ret_value)
{
	size_t at = 0;
	while (at < text->length && is_word_byte(text->data[at]))
		at++;
	if (at == 0 || at == text->length || text->data[at] != '=')
		return false;
	*ret_name = slice_of(text->data, at);
	*text = behind(*text, at + 1);
	size_t length = value_length(*text);
	if (length == 0)
		return false;
	*ret_value = without_quotes(slice_of(text->data, length));
	*text = behind(*text, length);
	if (text->length)
		*text = behind(*text, text->length > 1 && text->data[1] == ' ' ? 2 : 1);
	return true;
}

bool content_disposition_attribute(struct slice header, const char *name, struct slice *ret_value)
{
	const char *semicolon = header.length ? memchr(header.data, ';', header.length) : NULL;
	if (!semicolon)
		return false;
	struct slice rest = number_trim(behind(header, (size_t)(semicolon - header.data) + 1));
	struct slice other, value;
	bool found = false;
	while (next_attribute(&rest, &other, &value)) {
		if (!slice_equal(other, slice_from(name)))
			continue;
		*ret_value = value;
		found = true;
	}
	return found;
}
