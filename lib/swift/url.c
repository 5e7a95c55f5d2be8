#include "lib/swift/url.h"

#include <errno.h>
#include <stdint.h>

static int hex_value(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

size_t url_decode_to(struct slice raw, bool plus_is_blank, char *room)
{
	size_t length = 0;
	for (size_t i = 0; i < raw.length; i++) {
		char byte = raw.data[i];
		if (byte == '+' && plus_is_blank)
			byte = ' ';
		if (byte == '%' && raw.length - i > 2) {
			int high = hex_value(raw.data[i + 1]);
			int low = hex_value(raw.data[i + 2]);
			if (high >= 0 && low >= 0) {
				byte = (char)(high << 4 | low);
				i += 2;
			}
		}
		room[length++] = byte;
	}
	return length;
}

struct slice url_decode(struct arena *arena, struct slice raw, bool plus_is_blank)
{
	char *room = arena_alloc(arena, raw.length + 1);
	size_t length = url_decode_to(raw, plus_is_blank, room);
	room[length] = '\0';
	return slice_of(room, length);
}

static bool is_unreserved(char byte)
{
	static const bool unreserved[256] = {['a' ... 'z'] = true,
		['A' ... 'Z'] = true,
		['0' ... '9'] = true,
		['_'] = true,
		['.'] = true,
		['-'] = true,
		['~'] = true};
	return unreserved[(unsigned char)byte];
}

/* `room` has three times bytes.length bytes. */
static size_t encode_to(struct slice bytes, bool keep_slash, char *room)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t length = 0;
	for (size_t i = 0; i < bytes.length; i++) {
		unsigned char byte = (unsigned char)bytes.data[i];
		if (is_unreserved((char)byte) || (byte == '/' && keep_slash)) {
			room[length++] = (char)byte;
			continue;
		}
		room[length++] = '%';
		room[length++] = digits[byte >> 4];
		room[length++] = digits[byte & 0xf];
	}
	return length;
}

void url_encode_append(struct buf *buf, struct slice bytes, bool keep_slash)
{
	char *room = buf_reserve(buf, 3 * bytes.length);
	buf->length += encode_to(bytes, keep_slash, room);
	buf->data[buf->length] = '\0';
}

struct slice url_encode(struct arena *arena, struct slice bytes, bool keep_slash)
{
	char *room = arena_alloc(arena, 3 * bytes.length + 1);
	size_t length = encode_to(bytes, keep_slash, room);
	room[length] = '\0';
	return slice_of(room, length);
}

/* Bytes of the code point that begins with `lead`, 0 when none does; the range of its second byte
 * (RFC 3629 §4). */
static size_t utf8_sequence(unsigned char lead, unsigned char *ret_low, unsigned char *ret_high)
{
	*ret_low = 0x80;
	*ret_high = 0xbf;
	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	if (lead < 0xe0)
		return 2;
	if (lead < 0xf0) {
		if (lead == 0xe0)
			*ret_low = 0xa0;
		if (lead == 0xed)
			*ret_high = 0x9f;
		return 3;
	}
	if (lead == 0xf0)
		*ret_low = 0x90;
	if (lead == 0xf4)
		*ret_high = 0x8f;
	return 4;
}

bool utf8_valid(struct slice text)
{
	const unsigned char *bytes = (const unsigned char *)text.data;
	size_t at = 0;
	while (at < text.length) {
		unsigned char low, high;
		size_t length = utf8_sequence(bytes[at], &low, &high);
		if (length == 0 || length > text.length - at)
			return false;
		if (length > 1 && (bytes[at + 1] < low || bytes[at + 1] > high))
			return false;
		for (size_t i = 2; i < length; i++)
			if ((bytes[at + i] & 0xc0) != 0x80)
				return false;
		at += length;
	}
	return true;
}

size_t utf8_length(struct slice text)
{
	size_t length = 0;
	for (size_t i = 0; i < text.length; i++)
		length += ((unsigned char)text.data[i] & 0xc0) != 0x80;
	return length;
}

/* What stands before the next `separator`; *rest moves behind it. */
static struct slice take_until(struct slice *rest, char separator)
{
	const char *end = rest->length ? memchr(rest->data, separator, rest->length) : NULL;
	size_t length = end ? (size_t)(end - rest->data) : rest->length;
	struct slice piece = slice_of(rest->data, length);
	size_t step = end ? length + 1 : length;
	*rest = slice_of(step ? rest->data + step : rest->data, rest->length - step);
	return piece;
}

static size_t count_pieces(struct slice raw)
{
	size_t count = 0;
	while (raw.length)
		count += take_until(&raw, '&').length > 0;
	return count;
}

int query_parse(struct arena *arena, struct slice raw, struct query *ret_query)
{
	size_t count = count_pieces(raw);
	if (count > QUERY_PARAMETERS_MAX)
		return -E2BIG;
	struct query query = {.parameters = arena_alloc(arena, count * sizeof(*query.parameters))};
	while (raw.length) {
		struct slice value = take_until(&raw, '&');
		if (value.length == 0)
			continue;
		struct slice name = take_until(&value, '=');
		query.parameters[query.count++] = (struct query_parameter){
			.name = url_decode(arena, name, true),
			.value = url_decode(arena, value, true),
		};
	}
	*ret_query = query;
	return 0;
}

bool query_get(const struct query *query, const char *name, struct slice *ret_value)
{
	struct slice wanted = slice_from(name);
	for (size_t i = query->count; i > 0; i--) {
		if (slice_equal(query->parameters[i - 1].name, wanted)) {
			*ret_value = query->parameters[i - 1].value;
			return true;
		}
	}
	return false;
}

/*
 * Reads one more segment of `rest`, which begins with "/": up to the next "/", or all of it for a
 * last one that takes the rest. False when there is no further segment.
 */
static bool take_segment(struct slice *rest, bool takes_rest, struct slice *ret_segment)
{
	if (rest->length == 0 || rest->data[0] != '/')
		return false;
	struct slice segment = slice_of(rest->data + 1, rest->length - 1);
	const char *end = !takes_rest && segment.length ? memchr(segment.data, '/', segment.length) : NULL;
	if (end)
		segment.length = (size_t)(end - segment.data);
	*rest = slice_of(segment.data + segment.length, rest->length - 1 - segment.length);
	*ret_segment = segment;
	return true;
}

/* Walks the path; stores the segments only where `segments` is given, so that a bad path stores
 * none. */
static int split_walk(struct slice path, int minimum, int maximum, bool rest_with_last, struct slice *segments)
{
	for (int i = 0; i < maximum; i++) {
		struct slice segment;
		bool found = take_segment(&path, rest_with_last && i == maximum - 1, &segment);
		if (!found || segment.length == 0) {
			/* Fine only for an optional segment with nothing behind it. */
			if (i < minimum || (path.length && i < maximum - 1))
				return -EINVAL;
			segment = SLICE_NONE;
		}
		if (segments)
			segments[i] = segment;
	}
	bool trailing_slash = path.length == 1 && path.data[0] == '/';
	return path.length == 0 || trailing_slash ? 0 : -EINVAL;
}

int path_split_decoded(struct slice path, int minimum, int maximum, bool rest_with_last, struct slice ret_segments[])
{
	int error = split_walk(path, minimum, maximum, rest_with_last, NULL);
	if (error)
		return error;
	return split_walk(path, minimum, maximum, rest_with_last, ret_segments);
}

int path_split(struct arena *arena, struct slice raw_path, int minimum, int maximum, bool rest_with_last,
	struct slice ret_segments[])
{
	struct slice path = url_decode(arena, raw_path, false);
	return path_split_decoded(path, minimum, maximum, rest_with_last, ret_segments);
}
