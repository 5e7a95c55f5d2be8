#include "lib/store/listing_format.h"

#include <assert.h>
#include <string.h>

/*
 * A page has ten thousand entries, so an entry reserves the room for its worst case once and is
 * then written by plain stores. No byte of a text takes more than BYTES_PER_BYTE_MAX: an invalid
 * byte in JSON is "\ufffd", a quote in an attribute "&quot;".
 */
enum {
	BYTES_PER_BYTE_MAX = 6,
	ENTRY_FIXED_BYTES = 512, /* keys, punctuation, numbers, a date */
};

/* ---- pieces: each writes at `at` and returns where the next one goes ---- */

static char *put_bytes(char *at, struct slice bytes)
{
	if (bytes.length)
		memcpy(at, bytes.data, bytes.length);
	return at + bytes.length;
}

#define PUT_LITERAL(at, text) put_bytes((at), SLICE_LITERAL(text))

static char *put_number(char *at, int64_t number)
{
	char digits[20];
	size_t count = 0;
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	if (number < 0)
		*at++ = '-';
	do {
		digits[count++] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	while (count)
		*at++ = digits[--count];
	return at;
}

static char *put_iso(char *at, struct timestamp time)
{
	char text[TIMESTAMP_TEXT_BYTES];
	size_t length = timestamp_iso(time, text);
	return put_bytes(at, slice_of(text, length));
}

static char *put_unicode_escape(char *at, uint32_t unit)
{
	static const char digits[] = "0123456789abcdef";
	*at++ = '\\';
	*at++ = 'u';
	for (int shift = 12; shift >= 0; shift -= 4)
		*at++ = digits[unit >> shift & 15];
	return at;
}

/* Takes one code point off the front of a non-empty text; U+FFFD and one byte where it is not
 * UTF-8. */
static uint32_t take_code_point(struct slice *text)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *bytes = (const unsigned char *)text->data;
	size_t length = bytes[0] < 0xc0 ? 0 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : bytes[0] < 0xf8 ? 4 : 0;
	uint32_t point = length ? bytes[0] & (0xffu >> (length + 1)) : 0;
	size_t taken = 1;
	if (length > text->length)
		length = 0;
	for (; taken < length && (bytes[taken] & 0xc0) == 0x80; taken++)
		point = point << 6 | (bytes[taken] & 0x3f);
	bool valid = length && taken == length && point >= smallest[length] && point <= 0x10ffff &&
		     (point < 0xd800 || point > 0xdfff);
	if (!valid) {
		taken = 1;
		point = 0xfffd;
	}
	text->data += taken;
	text->length -= taken;
	return point;
}

static const bool json_is_plain[256] = {
	[0x20 ... '"' - 1] = true, ['"' + 1 ... '\\' - 1] = true, ['\\' + 1 ... 0x7e] = true};

static char *put_json_special(char *at, struct slice *text)
{
	static const char escapes[128] = {
		['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
	unsigned char byte = (unsigned char)text->data[0];
	if (byte < 128 && escapes[byte]) {
		*at++ = '\\';
		*at++ = escapes[byte];
		text->data++;
		text->length--;
		return at;
	}
	uint32_t point = byte;
	if (byte < 128) {
		text->data++;
		text->length--;
	} else {
		point = take_code_point(text);
	}
	if (point < 0x10000)
		return put_unicode_escape(at, point);
	at = put_unicode_escape(at, 0xd800 + ((point - 0x10000) >> 10));
	return put_unicode_escape(at, 0xdc00 + ((point - 0x10000) & 0x3ff));
}

/* A string as Python's json.dumps writes it: ASCII only. */
static char *put_json(char *at, struct slice text)
{
	*at++ = '"';
	for (;;) {
		const char *byte = text.data, *end = text.data + text.length;
		for (; byte < end && json_is_plain[(unsigned char)*byte]; byte++)
			*at++ = *byte;
		text = slice_of(byte, (size_t)(end - byte));
		if (byte == end)
			break;
		at = put_json_special(at, &text);
	}
	*at++ = '"';
	return at;
}

static char *put_xml_text(char *at, struct slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		char byte = text.data[i];
		if (byte == '&')
			at = PUT_LITERAL(at, "&amp;");
		else if (byte == '<')
			at = PUT_LITERAL(at, "&lt;");
		else if (byte == '>')
			at = PUT_LITERAL(at, "&gt;");
		else
			*at++ = byte;
	}
	return at;
}

/* The value of an attribute between its quotes, as Python's ElementTree writes it. */
static char *put_xml_attribute(char *at, struct slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		char byte = text.data[i];
		if (byte == '"')
			at = PUT_LITERAL(at, "&quot;");
		else if (byte == '\t')
			at = PUT_LITERAL(at, "&#09;");
		else if (byte == '\n')
			at = PUT_LITERAL(at, "&#10;");
		else if (byte == '\r')
			at = PUT_LITERAL(at, "&#13;");
		else
			at = put_xml_text(at, slice_of(&byte, 1));
	}
	return at;
}

/* <tag>text</tag>, or <tag /> when there is no text. */
static char *put_xml_element(char *at, struct slice tag, struct slice text)
{
	*at++ = '<';
	at = put_bytes(at, tag);
	if (text.length == 0)
		return PUT_LITERAL(at, " />");
	*at++ = '>';
	at = put_xml_text(at, text);
	at = PUT_LITERAL(at, "</");
	at = put_bytes(at, tag);
	*at++ = '>';
	return at;
}

#define PUT_XML_ELEMENT(at, tag, text) put_xml_element((at), SLICE_LITERAL(tag), (text))

/*
 * The size of an object: swift_bytes of its content type (the size of a large object, where the
 * row's own size is the manifest's) if that is a number.
 */
static char *put_object_bytes(char *at, const struct container_row *row)
{
	struct slice digits = row->swift_bytes;
	for (size_t i = 0; i < digits.length; i++) {
		if (digits.data[i] < '0' || digits.data[i] > '9')
			return put_number(at, row->size);
	}
	if (digits.length == 0)
		return put_number(at, row->size);
	while (digits.length > 1 && digits.data[0] == '0') {
		digits.data++;
		digits.length--;
	}
	return put_bytes(at, digits);
}

/* ---- entries ---- */

static char *put_json_object(char *at, struct slice name, const struct container_row *row)
{
	at = PUT_LITERAL(at, "{\"bytes\": ");
	at = put_object_bytes(at, row);
	at = PUT_LITERAL(at, ", \"hash\": ");
	at = put_json(at, row->etag);
	at = PUT_LITERAL(at, ", \"name\": ");
	at = put_json(at, name);
	at = PUT_LITERAL(at, ", \"content_type\": ");
	at = put_json(at, row->content_type);
	at = PUT_LITERAL(at, ", \"last_modified\": \"");
	at = put_iso(at, row->meta);
	return PUT_LITERAL(at, "\"}");
}

static char *put_xml_object(char *at, struct slice name, const struct container_row *row)
{
	at = PUT_LITERAL(at, "<object>");
	at = PUT_XML_ELEMENT(at, "name", name);
	at = PUT_XML_ELEMENT(at, "hash", row->etag);
	at = PUT_LITERAL(at, "<bytes>");
	at = put_object_bytes(at, row);
	at = PUT_LITERAL(at, "</bytes>");
	at = PUT_XML_ELEMENT(at, "content_type", row->content_type);
	at = PUT_LITERAL(at, "<last_modified>");
	at = put_iso(at, row->meta);
	return PUT_LITERAL(at, "</last_modified></object>");
}

static char *put_json_container(
	char *at, struct slice name, const struct listing_container_row *row, struct slice policy)
{
	at = PUT_LITERAL(at, "{\"name\": ");
	at = put_json(at, name);
	at = PUT_LITERAL(at, ", \"count\": ");
	at = put_number(at, row->object_count);
	at = PUT_LITERAL(at, ", \"bytes\": ");
	at = put_number(at, row->bytes_used);
	at = PUT_LITERAL(at, ", \"last_modified\": \"");
	at = put_iso(at, row->put_timestamp);
	*at++ = '"';
	if (policy.length) {
		at = PUT_LITERAL(at, ", \"storage_policy\": ");
		at = put_json(at, policy);
	}
	*at++ = '}';
	return at;
}

static char *put_xml_container(
	char *at, struct slice name, const struct listing_container_row *row, struct slice policy)
{
	at = PUT_LITERAL(at, "<container>");
	at = PUT_XML_ELEMENT(at, "name", name);
	at = PUT_LITERAL(at, "<count>");
	at = put_number(at, row->object_count);
	at = PUT_LITERAL(at, "</count><bytes>");
	at = put_number(at, row->bytes_used);
	at = PUT_LITERAL(at, "</bytes><last_modified>");
	at = put_iso(at, row->put_timestamp);
	at = PUT_LITERAL(at, "</last_modified>");
	if (policy.length)
		at = PUT_XML_ELEMENT(at, "storage_policy", policy);
	return PUT_LITERAL(at, "</container>\n");
}

static char *put_xml_subdir(char *at, enum listing_kind kind, struct slice name)
{
	at = PUT_LITERAL(at, "<subdir name=\"");
	at = put_xml_attribute(at, name);
	if (kind == LISTING_ACCOUNT)
		return PUT_LITERAL(at, "\" />\n");
	at = PUT_LITERAL(at, "\">");
	at = PUT_XML_ELEMENT(at, "name", name);
	return PUT_LITERAL(at, "</subdir>");
}

static struct slice policy_of(const struct listing_writer *writer, const struct listing_entry *entry)
{
	if (writer->kind != LISTING_ACCOUNT || entry->subdir || !writer->policy_name)
		return SLICE_NONE;
	return slice_from(writer->policy_name(entry->container.policy, writer->policy_argument));
}

static char *put_json_entry(
	char *at, const struct listing_writer *writer, const struct listing_entry *entry, struct slice policy)
{
	if (writer->has_entries)
		at = PUT_LITERAL(at, ", ");
	if (entry->subdir) {
		at = PUT_LITERAL(at, "{\"subdir\": ");
		at = put_json(at, entry->name);
		*at++ = '}';
		return at;
	}
	if (writer->kind == LISTING_ACCOUNT)
		return put_json_container(at, entry->name, &entry->container, policy);
	return put_json_object(at, entry->name, &entry->object);
}

static char *put_xml_entry(
	char *at, const struct listing_writer *writer, const struct listing_entry *entry, struct slice policy)
{
	if (!writer->has_entries && writer->kind == LISTING_CONTAINER)
		*at++ = '>';
	if (entry->subdir)
		return put_xml_subdir(at, writer->kind, entry->name);
	if (writer->kind == LISTING_ACCOUNT)
		return put_xml_container(at, entry->name, &entry->container, policy);
	return put_xml_object(at, entry->name, &entry->object);
}

void listing_writer_entry(struct listing_writer *writer, const struct listing_entry *entry)
{
	struct slice policy = policy_of(writer, entry);
	size_t text_bytes = 2 * entry->name.length + policy.length;
	if (writer->kind == LISTING_CONTAINER && !entry->subdir)
		text_bytes += entry->object.etag.length + entry->object.content_type.length +
			      entry->object.swift_bytes.length;
	char *start = buf_reserve(writer->out, ENTRY_FIXED_BYTES + BYTES_PER_BYTE_MAX * text_bytes);
	char *at;
	if (writer->format == LISTING_FORMAT_PLAIN) {
		at = put_bytes(start, entry->name);
		*at++ = '\n';
	} else if (writer->format == LISTING_FORMAT_JSON) {
		at = put_json_entry(start, writer, entry, policy);
	} else {
		at = put_xml_entry(start, writer, entry, policy);
	}
	*at = '\0';
	writer->out->length += (size_t)(at - start);
	writer->has_entries = true;
}

/* The opening tag of a container is left open: without entries it ends as <container name="…" />.
 */
static void begin_xml(struct listing_writer *writer, struct slice name)
{
	bool is_account = writer->kind == LISTING_ACCOUNT;
	char *start = buf_reserve(writer->out, ENTRY_FIXED_BYTES + BYTES_PER_BYTE_MAX * name.length);
	char *at = PUT_LITERAL(start, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	at = is_account ? PUT_LITERAL(at, "<account name=\"") : PUT_LITERAL(at, "<container name=\"");
	at = put_xml_attribute(at, name);
	*at++ = '"';
	if (is_account)
		at = PUT_LITERAL(at, ">\n");
	*at = '\0';
	writer->out->length += (size_t)(at - start);
}

void listing_writer_begin(struct listing_writer *writer, enum listing_kind kind, enum listing_format format,
	struct slice name, struct buf *out)
{
	assert(format >= LISTING_FORMAT_PLAIN);
	*writer = (struct listing_writer){.kind = kind, .format = format, .out = out};
	if (format == LISTING_FORMAT_JSON)
		buf_append_byte(out, '[');
	else if (format != LISTING_FORMAT_PLAIN)
		begin_xml(writer, name);
}

void listing_writer_end(struct listing_writer *writer)
{
	if (writer->format == LISTING_FORMAT_JSON)
		buf_append_byte(writer->out, ']');
	else if (writer->format == LISTING_FORMAT_PLAIN)
		return;
	else if (writer->kind == LISTING_ACCOUNT)
		buf_append_text(writer->out, "</account>");
	else
		buf_append_text(writer->out, writer->has_entries ? "</container>" : " />");
}
