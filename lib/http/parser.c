#include "lib/http/parser.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/http/token.h"

static int refuse(struct http_parser *parser, int status, const char *error)
{
	parser->status = status;
	parser->error = error;
	return -EPROTO;
}

/* ---- llhttp's call-backs; a non-zero return ends the parse ---- */

static int on_field(llhttp_t *llhttp, const char *at, size_t length)
{
	struct http_parser *parser = llhttp->data;
	if (!parser->name) {
		parser->name = (char *)at;
		parser->name_length = 0;
	}
	parser->name_length += length;
	return 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t length)
{
	struct http_parser *parser = llhttp->data;
	if (!parser->value)
		parser->value = (char *)at;
	parser->value_length = (size_t)(at + length - parser->value);
	return 0;
}

static int on_value_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;
	if (parser->headers->count >= parser->header_count_max)
		return refuse(parser, 431, "Too many headers");
	size_t length = parser->value_length;
	char *value = parser->value;
	while (length && (value[length - 1] == ' ' || value[length - 1] == '\t'))
		length--;
	parser->name[parser->name_length] = '\0';
	if (length)
		value[length] = '\0';
	headers_add(parser->headers, parser->name, length ? value : "");
	parser->name = NULL;
	parser->value = NULL;
	parser->value_length = 0;
	return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;
	parser->head_done = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t *settings(void)
{
	static const llhttp_settings_t table = {
		.on_header_field = on_field,
		.on_header_value = on_value,
		.on_header_value_complete = on_value_complete,
		.on_headers_complete = on_headers_complete,
	};
	return &table;
}

static void init(struct http_parser *parser, struct headers *headers, llhttp_type_t type)
{
	memset(parser, 0, sizeof(*parser));
	llhttp_init(&parser->llhttp, type, settings());
	/* check_framing() judges the complete fields; llhttp would stop in the middle of one */
	llhttp_set_lenient_chunked_length(&parser->llhttp, 1);
	llhttp_set_lenient_transfer_encoding(&parser->llhttp, 1);
	parser->llhttp.data = parser;
	parser->headers = headers;
	parser->content_length = -1;
}

void http_parser_init_request(struct http_parser *parser, struct headers *headers, size_t header_count_max)
{
	init(parser, headers, HTTP_REQUEST);
	parser->header_count_max = header_count_max;
}

void http_parser_init_reply(struct http_parser *parser, struct headers *headers, bool head_request)
{
	init(parser, headers, HTTP_RESPONSE);
	parser->reply = true;
	parser->line_done = true;
	parser->header_count_max = 512;
	parser->head_request = head_request;
}

/* ---- the request line ---- */

/* No blanks and no control bytes (the line was cut at its blanks), and no fragment. Bytes above 0x7f pass: whether
 * they are UTF-8 is judged with the decoded path. */
static bool is_target(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c <= ' ' || c == 0x7f || c == '#')
			return false;
	}
	return length > 0;
}

/* absolute-form: the authority is dropped, requests are routed by their path alone. Empty without an authority. */
static struct slice origin_form(struct slice target)
{
	static const char *const schemes[] = {"http://", "https://"};
	for (size_t i = 0; i < 2; i++) {
		size_t length = strlen(schemes[i]);
		if (target.length < length || strncasecmp(target.data, schemes[i], length) != 0)
			continue;
		size_t authority = 0;
		while (length + authority < target.length && !strchr("/?", target.data[length + authority]))
			authority++;
		if (authority == 0)
			return SLICE_NONE;
		size_t start = length + authority;
		if (start == target.length)
			return SLICE_LITERAL("/");
		return slice_of(target.data + start, target.length - start);
	}
	return target;
}

static int take_version(struct http_parser *parser, const char *text, size_t length)
{
	if (length != 8 || memcmp(text, "HTTP/", 5) != 0 || text[6] != '.' || text[5] < '0' || text[5] > '9' ||
		text[7] < '0' || text[7] > '9')
		return refuse(parser, 400, "Bad request line");
	if (text[5] != '1')
		return refuse(parser, text[5] == '0' ? 400 : 505, "Unsupported HTTP version");
	if (text[7] > '1')
		return refuse(parser, 505, "Unsupported HTTP version");
	parser->http_1_0 = text[7] == '0';
	return 0;
}

static int take_line(struct http_parser *parser, char *line, size_t length)
{
	char *space = memchr(line, ' ', length);
	if (!space || !is_token(line, (size_t)(space - line)))
		return refuse(parser, 400, "Bad request line");
	char *target = space + 1;
	char *second = memchr(target, ' ', length - (size_t)(target - line));
	if (!second)
		return refuse(parser, 400, "Bad request line");
	int error = take_version(parser, second + 1, length - (size_t)(second + 1 - line));
	if (error)
		return error;
	if (!is_target(target, (size_t)(second - target)))
		return refuse(parser, 400, "Bad request target");
	*space = '\0';
	parser->method = line;
	parser->target = origin_form(slice_of(target, (size_t)(second - target)));
	if (!slice_starts_with(parser->target, SLICE_LITERAL("/")) &&
		!slice_equal(parser->target, SLICE_LITERAL("*")))
		return refuse(parser, 400, "Bad request target");
	return 0;
}

/* llhttp sees a request line without the parts that it would judge differently. */
static void feed_line(struct http_parser *parser)
{
	static const char line_1_1[] = "POST / HTTP/1.1\r\n";
	static const char line_1_0[] = "POST / HTTP/1.0\r\n";
	llhttp_errno_t error =
		llhttp_execute(&parser->llhttp, parser->http_1_0 ? line_1_0 : line_1_1, sizeof(line_1_1) - 1);
	assert(error == HPE_OK);
	parser->line_done = true;
}

/* 1 when the line was taken, 0 when more is needed. */
static int parse_line(struct http_parser *parser, char *data, size_t length, size_t *ret_used)
{
	char *end = memchr(data, '\n', length);
	size_t seen = end ? (size_t)(end - data) : length;
	if (seen > HTTP_REQUEST_LINE_MAX + 1)
		return refuse(parser, 414, "Request line too long");
	if (!end)
		return 0;
	if (end == data || end[-1] != '\r')
		return refuse(parser, 400, "Bad line end");
	int error = take_line(parser, data, (size_t)(end - 1 - data));
	if (error)
		return error;
	*ret_used = (size_t)(end + 1 - data);
	feed_line(parser);
	return 1;
}

/* ---- the head ---- */

static bool is_digits(const char *text)
{
	size_t length = strlen(text);
	return length && length <= 18 && strspn(text, "0123456789") == length;
}

/* The next element of a comma-separated list, without surrounding blanks. False at the end. */
static bool next_element(const char **list, struct slice *ret_element)
{
	if (!*list)
		return false;
	const char *text = *list + strspn(*list, " \t");
	size_t length = strcspn(text, ",");
	*list = text[length] ? text + length + 1 : NULL;
	while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
		length--;
	*ret_element = slice_of(text, length);
	return true;
}

static bool is_word(struct slice element, const char *word)
{
	return element.length == strlen(word) && strncasecmp(element.data, word, element.length) == 0;
}

/* Only "chunked" is spoken. Other codings are 501; what nobody could read, or "chunked" before the end, is 400. */
static int check_encoding(struct http_parser *parser, const char *encoding)
{
	bool chunked = false, other = false;
	struct slice element;
	while (next_element(&encoding, &element)) {
		if (chunked || !is_token(element.data, element.length))
			return refuse(parser, 400, "Invalid Transfer-Encoding");
		if (is_word(element, "chunked"))
			chunked = true;
		else
			other = true;
	}
	return other ? refuse(parser, 501, "Unsupported Transfer-Encoding") : 0;
}

static int check_framing(struct http_parser *parser)
{
	struct headers *headers = parser->headers;
	const char *encoding = headers_get(headers, "Transfer-Encoding");
	const char *length = headers_get(headers, "Content-Length");
	if (headers_occurrences(headers, "Transfer-Encoding") > 1 || (encoding && length))
		return refuse(parser, 400, "Ambiguous framing");
	if (encoding && parser->http_1_0)
		return refuse(parser, 400, "Transfer-Encoding in HTTP/1.0");
	if (encoding && check_encoding(parser, encoding))
		return -EPROTO;
	if (headers_occurrences(headers, "Content-Length") > 1)
		return refuse(parser, 400, "More than one Content-Length");
	if (length && (!is_digits(length) || (length[0] == '0' && length[1])))
		return refuse(parser, 400, "Invalid Content-Length");
	return 0;
}

static int check_host(struct http_parser *parser)
{
	size_t hosts = headers_occurrences(parser->headers, "Host");
	if (hosts > 1 || (hosts == 0 && !parser->http_1_0))
		return refuse(parser, 400, "Exactly one Host header is needed");
	const char *host = headers_get(parser->headers, "Host");
	if (host && (!*host || strpbrk(host, "@/,\\ \t?#")))
		return refuse(parser, 400, "Invalid Host header");
	return 0;
}

static bool connection_says(const struct headers *headers, const char *word)
{
	for (size_t i = 0; i < headers->count; i++) {
		if (strcasecmp(headers->items[i].name, "Connection") != 0)
			continue;
		const char *list = headers->items[i].value;
		struct slice element;
		while (next_element(&list, &element))
			if (is_word(element, word))
				return true;
	}
	return false;
}

static void judge_connection(struct http_parser *parser)
{
	parser->keep_alive = !parser->http_1_0;
	if (connection_says(parser->headers, "close"))
		parser->keep_alive = false;
	else if (connection_says(parser->headers, "keep-alive"))
		parser->keep_alive = true;
}

static void judge_body(struct http_parser *parser)
{
	const char *length = headers_get(parser->headers, "Content-Length");
	parser->chunked = headers_get(parser->headers, "Transfer-Encoding") != NULL;
	parser->has_length = length != NULL;
	if (length)
		parser->content_length = (int64_t)strtoull(length, NULL, 10);
	else if (!parser->chunked && !parser->reply)
		parser->content_length = 0;
}

static bool reply_has_no_body(const struct http_parser *parser)
{
	int status = parser->status;
	return parser->head_request || status / 100 == 1 || status == 204 || status == 304;
}

static void judge_reply(struct http_parser *parser)
{
	if (reply_has_no_body(parser)) {
		parser->content_length = 0;
		parser->chunked = false;
	}
	/* a body that lasts until the connection ends */
	if (parser->content_length < 0 && !parser->chunked)
		parser->keep_alive = false;
}

static int finish_head(struct http_parser *parser)
{
	if (parser->reply && parser->llhttp.http_major != 1)
		return refuse(parser, 505, "Unsupported HTTP version");
	if (parser->reply)
		parser->http_1_0 = parser->llhttp.http_minor == 0;
	int error = check_framing(parser);
	if (!error && !parser->reply)
		error = check_host(parser);
	if (error)
		return error;
	judge_body(parser);
	judge_connection(parser);
	if (parser->reply) {
		parser->status = parser->llhttp.status_code;
		judge_reply(parser);
	}
	return 1;
}

/*
 * How many bytes of the run llhttp may see: up to the end of the head, or to the first byte that must not stand there.
 * *ret_status says what to answer unless llhttp sees the end of the head there, too (it skips empty lines).
 */
static size_t scan_lines(struct http_parser *parser, const char *data, size_t length, int *ret_status)
{
	for (size_t i = 0; i < length; i++) {
		char c = data[i];
		bool first = parser->line_length == 0;
		if (parser->after_cr && c == '\n') {
			if (first) {
				*ret_status = 400;
				return i + 1;
			}
			parser->after_cr = false;
			parser->line_length = 0;
			continue;
		}
		bool fold = first && (c == ' ' || c == '\t' || c == ':');
		if (parser->after_cr || fold || (c != '\r' && !is_text_byte(c))) {
			*ret_status = 400;
			return i;
		}
		if (c == '\r') {
			parser->after_cr = true;
		} else if (++parser->line_length > HTTP_HEADER_LINE_MAX) {
			*ret_status = 431;
			return i;
		}
	}
	return length;
}

int http_parser_head(struct http_parser *parser, char *data, size_t length, size_t *ret_used)
{
	size_t used = 0;
	if (!parser->line_done) {
		int result = parse_line(parser, data, length, &used);
		*ret_used = used;
		if (result <= 0)
			return result;
	}
	int status = 0;
	size_t good = scan_lines(parser, data + used, length - used, &status);
	llhttp_errno_t error = llhttp_execute(&parser->llhttp, data + used, good);
	if (error == HPE_PAUSED && parser->head_done) {
		*ret_used = used + good;
		return finish_head(parser);
	}
	if (error != HPE_OK)
		return parser->error ? -EPROTO : refuse(parser, 400, llhttp_errno_name(error));
	if (status)
		return refuse(parser, status, status == 431 ? "Line too long" : "Bad header line");
	*ret_used = length;
	return 0;
}

int http_parser_chunked(
	struct http_parser *parser, char *data, size_t length, size_t *ret_payload, size_t *ret_used)
{
	int error = chunked_decode(&parser->decoder, data, length, ret_payload, ret_used);
	if (error)
		return refuse(parser, error == -EMSGSIZE ? 431 : 400,
			error == -EMSGSIZE ? "Too many trailers" : "Bad chunked body");
	parser->message_done = parser->decoder.state == CHUNKED_DONE;
	return 0;
}
