#include "lib/swift/row_merge.h"

#include "lib/swift/header_token.h"

bool container_row_merge(const struct container_row *existing, struct container_row *row)
{
	bool newer = true;
	if (existing) {
		bool data_newer = timestamp_compare(row->data, existing->data) > 0;
		bool type_newer = timestamp_compare(row->content_type_time, existing->content_type_time) > 0;
		bool meta_newer = timestamp_compare(row->meta, existing->meta) > 0;
		if (!data_newer) {
			row->data = existing->data;
			row->size = existing->size;
			row->etag = existing->etag;
			row->deleted = existing->deleted;
			row->swift_bytes = existing->swift_bytes;
		}
		if (!type_newer) {
			row->content_type_time = existing->content_type_time;
			row->content_type = existing->content_type;
		}
		if (!meta_newer)
			row->meta = existing->meta;
		newer = data_newer || type_newer || meta_newer;
	}
	timestamp_canonical_triple(&row->data, &row->content_type_time, &row->meta);
	return newer;
}

/* Walks over the parameters of a content type. */
struct parameters {
	struct slice text;
	size_t at;
};

/* [blanks] "=" [blanks] (token or quoted string) behind the name; the empty slice when there is no
 * such thing. */
static struct slice take_value(struct parameters *parameters)
{
	struct slice text = parameters->text;
	size_t equals = header_skip_blanks(text, parameters->at);
	if (equals == text.length || text.data[equals] != '=')
		return SLICE_NONE;
	size_t start = header_skip_blanks(text, equals + 1);
	size_t end = header_skip_token(text, start);
	/* At most one string stays open, since a later one's quote would have closed it: linear. */
	if (end == start)
		end = header_skip_quoted(text, start);
	if (end == start)
		return SLICE_NONE;
	parameters->at = end;
	return slice_of(text.data + start, end - start);
}

/* The next ";name" or ";name=value"; anything else between them is passed over. */
static bool take_parameter(struct parameters *parameters, struct slice *ret_name, struct slice *ret_value)
{
	struct slice text = parameters->text;
	while (parameters->at < text.length) {
		if (text.data[parameters->at++] != ';')
			continue;
		size_t start = header_skip_blanks(text, parameters->at);
		size_t end = header_skip_token(text, start);
		if (end == start)
			continue;
		*ret_name = slice_of(text.data + start, end - start);
		parameters->at = end;
		*ret_value = take_value(parameters);
		return true;
	}
	return false;
}

void content_type_split(
	struct arena *arena, struct slice text, struct slice *ret_content_type, struct slice *ret_swift_bytes)
{
	static const struct slice wanted = SLICE_LITERAL("swift_bytes");
	const char *semicolon = text.length ? memchr(text.data, ';', text.length) : NULL;
	struct slice swift_bytes = SLICE_NONE, name, value;
	if (!semicolon) {
		*ret_content_type = text;
		*ret_swift_bytes = swift_bytes;
		return;
	}
	size_t type_length = (size_t)(semicolon - text.data);
	struct parameters parameters = {.text = text, .at = type_length};
	/* Each parameter shrinks or keeps its length, but for the "=" that one without a value
	 * gets. */
	char *joined = arena_alloc(arena, 2 * text.length + 1);
	memcpy(joined, text.data, type_length);
	size_t length = type_length;
	while (take_parameter(&parameters, &name, &value)) {
		if (slice_equal(name, wanted)) {
			swift_bytes = value.data ? value : slice_of("", 0);
			continue;
		}
		joined[length++] = ';';
		memcpy(joined + length, name.data, name.length);
		length += name.length;
		joined[length++] = '=';
		if (value.length)
			memcpy(joined + length, value.data, value.length);
		length += value.length;
	}
	joined[length] = '\0';
	*ret_content_type = slice_of(joined, length);
	*ret_swift_bytes = swift_bytes;
}

struct slice content_type_join(struct arena *arena, struct slice content_type, struct slice swift_bytes)
{
	static const struct slice infix = SLICE_LITERAL(";swift_bytes=");
	if (swift_bytes.length == 0)
		return content_type;
	size_t length = content_type.length + infix.length + swift_bytes.length;
	char *joined = arena_alloc(arena, length + 1);
	if (content_type.length)
		memcpy(joined, content_type.data, content_type.length);
	memcpy(joined + content_type.length, infix.data, infix.length);
	memcpy(joined + content_type.length + infix.length, swift_bytes.data, swift_bytes.length);
	joined[length] = '\0';
	return slice_of(joined, length);
}
