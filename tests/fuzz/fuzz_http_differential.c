/*
 * Requests from anybody, read by our parser and by llhttp (Debian: node-llhttp), which somebody else wrote. What ours
 * takes, the other one must take, with the same method, target, fields, body and end of the message. In the other
 * direction nothing is asked: ours is the stricter one. Where llhttp refuses what Swift's clients send, a rule below says
 * so; there is no other exception.
 */
#include <assert.h>
#include <llhttp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "lib/http/parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a reader saw of one message. */
struct reading {
	bool head;     /* the head is complete */
	bool complete; /* the message is */
	size_t end;    /* where the next one starts, when complete */
	struct buf target;
	struct buf fields; /* "name=value" lines */
	struct buf body;
};

static void reading_release(struct reading *reading)
{
	buf_release(&reading->target);
	buf_release(&reading->fields);
	buf_release(&reading->body);
}

/* ---- ours ---- */

struct own {
	struct arena *arena;
	struct headers headers;
	struct http_parser parser;
};

static void read_own_body(struct own *own, char *bytes, size_t length, size_t used, struct reading *reading)
{
	size_t left = length - used;
	if (!own->parser.chunked) {
		size_t wanted = (size_t)own->parser.content_length;
		reading->complete = left >= wanted;
		buf_append(&reading->body, bytes + used, reading->complete ? wanted : left);
		reading->end = used + wanted;
		return;
	}
	size_t payload, taken;
	if (http_parser_chunked(&own->parser, bytes + used, left, &payload, &taken)) {
		reading->head = false; /* refused: nothing to compare */
		return;
	}
	buf_append(&reading->body, bytes + used, payload);
	reading->complete = own->parser.message_done;
	reading->end = used + taken;
}

static void read_own(struct own *own, struct slice input, struct reading *reading)
{
	own->arena = arena_new();
	headers_init(&own->headers, own->arena);
	http_parser_init_request(&own->parser, &own->headers, &http_limits_default);
	char *bytes = arena_alloc(own->arena, input.length + 1);
	memcpy(bytes, input.data, input.length);
	size_t used;
	reading->head = http_parser_head(&own->parser, bytes, input.length, &used) == 1;
	if (!reading->head)
		return;
	buf_append_slice(&reading->target, own->parser.target);
	for (size_t i = 0; i < own->headers.count; i++)
		buf_printf(&reading->fields, "%s=%s\n", own->headers.items[i].name, own->headers.items[i].value);
	read_own_body(own, bytes, input.length, used, reading);
}

/* ---- the other one ---- */

static int on_url(llhttp_t *parser, const char *at, size_t length)
{
	buf_append(&((struct reading *)parser->data)->target, at, length);
	return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t length)
{
	buf_append(&((struct reading *)parser->data)->fields, at, length);
	return 0;
}

static int on_field_complete(llhttp_t *parser)
{
	buf_append(&((struct reading *)parser->data)->fields, "=", 1);
	return 0;
}

/* Blanks behind a value are a part of it to llhttp. */
static int on_value_complete(llhttp_t *parser)
{
	struct buf *fields = &((struct reading *)parser->data)->fields;
	while (fields->data[fields->length - 1] == ' ' || fields->data[fields->length - 1] == '\t')
		fields->length--;
	buf_append(fields, "\n", 1);
	return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
	buf_append(&((struct reading *)parser->data)->body, at, length);
	return 0;
}

/* From here on fields are trailers, which ours drops. */
static int on_head(llhttp_t *parser)
{
	struct reading *reading = parser->data;
	reading->head = true;
	llhttp_settings_t *settings = (llhttp_settings_t *)parser->settings;
	settings->on_header_field = NULL;
	settings->on_header_field_complete = NULL;
	settings->on_header_value = NULL;
	settings->on_header_value_complete = NULL;
	return 0;
}

static int on_complete(llhttp_t *parser)
{
	((struct reading *)parser->data)->complete = true;
	return HPE_PAUSED;
}

static llhttp_errno_t read_other(struct slice input, llhttp_t *parser, struct reading *reading)
{
	llhttp_settings_t settings;
	llhttp_settings_init(&settings);
	settings.on_url = on_url;
	settings.on_header_field = on_field;
	settings.on_header_field_complete = on_field_complete;
	settings.on_header_value = on_field;
	settings.on_header_value_complete = on_value_complete;
	settings.on_headers_complete = on_head;
	settings.on_body = on_body;
	settings.on_message_complete = on_complete;
	llhttp_init(parser, HTTP_REQUEST, &settings);
	parser->data = reading;
	llhttp_errno_t error = llhttp_execute(parser, input.data, input.length);
	if (error == HPE_PAUSED)
		reading->end = (size_t)(llhttp_get_error_pos(parser) - input.data);
	parser->settings = NULL;
	return error;
}

/* ---- where they may differ ---- */

static bool has_high_bytes(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] >= 0x80)
			return true;
	return false;
}

/* Rule 1: llhttp has a list of methods; the proxy answers 405 to others, and the servers have REPLICATE, SSYNC, UPDATE. */
static bool has_own_method(const struct own *own)
{
	static const char *const common[] = {
		"GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "OPTIONS", "TRACE", "PATCH"};
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		if (strcmp(own->parser.method, common[i]) == 0)
			return false;
	return true;
}

/* Rule 2: llhttp refuses raw UTF-8 in targets. */
static bool has_raw_target(const struct own *own)
{
	return has_high_bytes(own->parser.target.data, own->parser.target.length);
}

/* Rule 3: llhttp refuses UTF-8 in names, as clients send with metadata. */
static bool has_raw_name(const struct own *own)
{
	for (size_t i = 0; i < own->headers.count; i++)
		if (has_high_bytes(own->headers.items[i].name, strlen(own->headers.items[i].name)))
			return true;
	return false;
}

/* Rule 4: llhttp refuses blanks behind a length. */
static bool has_blank_behind_length(const struct own *own)
{
	const char *length = headers_get(&own->headers, "Content-Length");
	if (!length)
		return false;
	/* the terminator of the value replaced the first blank, or the CR */
	return length[strlen(length) + 1] != '\n';
}

/* Rule 5: "Upgrade" ends the message for llhttp, to ours it means nothing. */
static bool has_upgrade(const struct own *own)
{
	return headers_get(&own->headers, "Upgrade") != NULL;
}

/* Rule 6: of an absolute-form target ours keeps path and query; of the forms of an authority llhttp is the pickier one. */
static bool is_absolute(struct slice input)
{
	const char *target = memchr(input.data, ' ', input.length);
	return target && target[1] != '/' && target[1] != '*';
}

/* Rule 7: llhttp 8.1 takes what follows "a=b;" for the size, and knows no quoted pair. Any line that looks like it counts. */
static bool has_odd_extension(const struct own *own, struct slice input)
{
	const char *end = input.data + input.length;
	for (const char *line = input.data; own->parser.chunked && line < end;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t length = (size_t)((stop ? stop : end) - line);
		const char *sign = memchr(line, '=', length);
		if (sign && (memchr(sign, ';', length - (size_t)(sign - line)) || memchr(line, '\\', length)))
			return true;
		line += length + 1;
	}
	return false;
}

/* Rule 8: llhttp obeys framing in trailers, or refuses it; ours reads over them (a test sees that they add nothing). */
static bool has_framing_trailer(const struct own *own, struct slice input)
{
	static const char *const names[] = {
		"Content-Length", "Transfer-Encoding", "Upgrade", "Connection", "Proxy-Connection"};
	const char *body = (const char *)memmem(input.data, input.length, "\r\n\r\n", 4) + 2;
	const char *end = input.data + input.length;
	for (const char *at = body; own->parser.chunked && at < end; at++)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			size_t length = strlen(names[i]);
			if ((size_t)(end - at) >= length && strncasecmp(at, names[i], length) == 0)
				return true;
		}
	return false;
}

static bool may_differ(const struct own *own, struct slice input)
{
	return has_own_method(own) || has_raw_target(own) || has_raw_name(own) || has_blank_behind_length(own) ||
	       has_upgrade(own) || is_absolute(input) || has_odd_extension(own, input) ||
	       has_framing_trailer(own, input);
}

static void compare(struct slice input, const struct own *own, const struct reading *first)
{
	struct reading second = {.target = BUF_INIT, .fields = BUF_INIT, .body = BUF_INIT};
	llhttp_t parser;
	llhttp_errno_t error = read_other(input, &parser, &second);
	assert(error == HPE_OK || error == HPE_PAUSED);
	assert(second.head);
	assert(strcmp(llhttp_method_name(parser.method), own->parser.method) == 0);
	assert(slice_equal(buf_slice(&first->target), buf_slice(&second.target)));
	assert(slice_equal(buf_slice(&first->fields), buf_slice(&second.fields)));
	assert(first->complete == second.complete);
	assert(slice_equal(buf_slice(&first->body), buf_slice(&second.body)));
	assert(!first->complete || first->end == second.end);
	reading_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_of((const char *)data, size);
	struct own own;
	struct reading first = {.target = BUF_INIT, .fields = BUF_INIT, .body = BUF_INIT};
	read_own(&own, input, &first);
	if (first.head && !may_differ(&own, input))
		compare(input, &own, &first);
	reading_release(&first);
	arena_free(own.arena);
	return 0;
}
