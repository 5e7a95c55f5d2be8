#include "lib/http/parser.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int refuse(struct http_parser *parser, int status, const char *error)
{
	parser->status = status;
	parser->error = error;
	return -EPROTO;
}

/* ---- llhttp's call-backs; a non-zero return ends the parse ---- */

static int keep_field(struct http_parser *parser)
{
	if (!parser->name)
		return 0;
	size_t length = parser->value_length;
	char *value = parser->value ? parser->value : parser->name + parser->name_length;
	while (length && (value[length - 1] == ' ' || value[length - 1] == '\t'))
		length--;
	if (parser->name_length + length + 2 > HTTP_HEADER_LINE_MAX)
		return refuse(parser, 431, "Line too long");
	/* A fold would hide a line break inside a value. */
	if (memchr(value, '\n', length) || memchr(value, '\r', length))
		return refuse(parser, 400, "Folded header line");
	if (!parser->headers) {
		if (++parser->trailer_count > HTTP_TRAILER_COUNT_MAX)
			return refuse(parser, 431, "Too many trailers");
	} else {
		if (parser->headers->count >= parser->header_count_max)
			return refuse(parser, 431, "Too many headers");
		parser->name[parser->name_length] = '\0';
		/* llhttp places an empty value at the start of the next line, which is not ours to change */
		if (length)
			value[length] = '\0';
		headers_add(parser->headers, parser->name, length ? value : "");
	}
	parser->name = NULL;
	parser->value = NULL;
	parser->value_length = 0;
	return 0;
}

/* A line that is still growing must not be let in beyond its limit. */
static int check_growing(struct http_parser *parser)
{
	if (parser->name_length + parser->value_length > HTTP_HEADER_LINE_MAX)
		return refuse(parser, 431, "Line too long");
	return 0;
}

static int on_field(llhttp_t *llhttp, const char *at, size_t length)
{
	struct http_parser *parser = llhttp->data;
	/* llhttp does not tell of the end of an empty value: the next name does */
	bool continued = parser->name && at == parser->name + parser->name_length;
	if (!continued) {
		if (keep_field(parser))
			return HPE_USER;
		parser->name = (char *)at;
		parser->name_length = 0;
	}
	parser->name_length += length;
	return check_growing(parser);
}

static int on_value(llhttp_t *llhttp, const char *at, size_t length)
{
	struct http_parser *parser = llhttp->data;
	if (!parser->value)
		parser->value = (char *)at;
	parser->value_length = (size_t)(at + length - parser->value);
	return check_growing(parser);
}

static int on_value_complete(llhttp_t *llhttp)
{
	return keep_field(llhttp->data);
}

static int on_headers_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;
	if (keep_field(parser))
		return HPE_USER;
	parser->head_done = true;
	return HPE_PAUSED;
}

static int on_chunk_header(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;
	parser->chunks++;
	return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t length)
{
	struct http_parser *parser = llhttp->data;
	memmove(parser->payload + parser->payload_length, at, length);
	parser->payload_length += length;
	return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
	struct http_parser *parser = llhttp->data;
	parser->message_done = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t *settings(void)
{
	static const llhttp_settings_t table = {
		.on_header_field = on_field,
		.on_header_value = on_value,
		.on_header_value_complete = on_value_complete,
		.on_headers_complete = on_headers_complete,
		.on_chunk_header = on_chunk_header,
		.on_body = on_body,
		.on_message_complete = on_message_complete,
	};
	return &table;
}

static void init(struct http_parser *parser, struct headers *headers, llhttp_type_t type)
{
	memset(parser, 0, sizeof(*parser));
	llhttp_init(&parser->llhttp, type, settings());
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
	if (head_request)
		parser->llhttp.flags |= F_SKIPBODY;
}

/* ---- the request line ---- */

static bool is_token(const char *text, size_t length)
{
	static const char extra[] = "!#$%&'*+-.^_`|~";
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!alphanumeric && (c == '\0' || !strchr(extra, c)))
			return false;
	}
	return length > 0;
}

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

/* absolute-form: the authority is dropped, requests are routed by their path alone. */
static struct slice origin_form(struct slice target)
{
	static const char *const schemes[] = {"http://", "https://"};
	for (size_t i = 0; i < 2; i++) {
		size_t length = strlen(schemes[i]);
		if (target.length < length || strncasecmp(target.data, schemes[i], length) != 0)
			continue;
		const char *slash = memchr(target.data + length, '/', target.length - length);
		if (!slash)
			return SLICE_LITERAL("/");
		return slice_of(slash, target.length - (size_t)(slash - target.data));
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
	if (parser->target.data[0] != '/' && !slice_equal(parser->target, SLICE_LITERAL("*")))
		return refuse(parser, 400, "Bad request target");
	return 0;
}

/* llhttp sees a request line without the parts that it would judge differently. */
static int feed_line(struct http_parser *parser)
{
	static const char line_1_1[] = "POST / HTTP/1.1\r\n";
	static const char line_1_0[] = "POST / HTTP/1.0\r\n";
	llhttp_errno_t error =
		llhttp_execute(&parser->llhttp, parser->http_1_0 ? line_1_0 : line_1_1, sizeof(line_1_1) - 1);
	assert(error == HPE_OK);
	parser->line_done = true;
	return 0;
}

/* 1 when the line was taken, 0 when more is needed. */
static int parse_line(struct http_parser *parser, char *data, size_t length, size_t *ret_used)
{
	char *end = memchr(data, '\n', length);
	if (!end && length > HTTP_REQUEST_LINE_MAX)
		return refuse(parser, 414, "Request line too long");
	if (!end)
		return 0;
	if ((size_t)(end - data) > HTTP_REQUEST_LINE_MAX + 1)
		return refuse(parser, 414, "Request line too long");
	if (end == data || end[-1] != '\r')
		return refuse(parser, 400, "Bad line end");
	int error = take_line(parser, data, (size_t)(end - 1 - data));
	if (error)
		return error;
	*ret_used = (size_t)(end + 1 - data);
	return feed_line(parser) ? -EPROTO : 1;
}

/* ---- the head ---- */

static bool is_digits(const char *text)
{
	size_t length = strlen(text);
	return length && length <= 18 && strspn(text, "0123456789") == length;
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
	if (encoding && strcasecmp(encoding, "chunked") != 0)
		return refuse(parser, strcasestr(encoding, "gzip") || !strcasestr(encoding, "chunked") ? 501 : 400,
			"Unsupported Transfer-Encoding");
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

static void judge_connection(struct http_parser *parser)
{
	const char *connection = headers_get(parser->headers, "Connection");
	parser->keep_alive = !parser->http_1_0;
	if (!connection)
		return;
	if (strcasestr(connection, "close"))
		parser->keep_alive = false;
	else if (strcasestr(connection, "keep-alive"))
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
	return (parser->llhttp.flags & F_SKIPBODY) || status / 100 == 1 || status == 204 || status == 304;
}

static int finish_head(struct http_parser *parser)
{
	int error = check_framing(parser);
	if (!error && !parser->reply)
		error = check_host(parser);
	if (error)
		return error;
	judge_body(parser);
	if (parser->reply) {
		parser->status = parser->llhttp.status_code;
		parser->http_1_0 = parser->llhttp.http_minor == 0;
		if (reply_has_no_body(parser)) {
			parser->content_length = 0;
			parser->chunked = false;
		}
	}
	judge_connection(parser);
	/* fields that follow are trailers, and trailers are dropped */
	parser->headers = NULL;
	return 1;
}

/* llhttp stops with an error of its own where ours would say more exactly what to answer. */
static int refuse_head(struct http_parser *parser, llhttp_errno_t error)
{
	if (parser->error)
		return -EPROTO;
	if (parser->name && parser->value && strncasecmp(parser->name, "Transfer-Encoding", 17) == 0)
		(void)keep_field(parser);
	const char *encoding = headers_get(parser->headers, "Transfer-Encoding");
	if (encoding && error == HPE_INVALID_TRANSFER_ENCODING && check_framing(parser))
		return -EPROTO;
	return refuse(parser, 400, llhttp_errno_name(error));
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
	llhttp_errno_t error = llhttp_execute(&parser->llhttp, data + used, length - used);
	if (error == HPE_PAUSED && parser->head_done) {
		*ret_used = (size_t)(llhttp_get_error_pos(&parser->llhttp) - data);
		llhttp_resume(&parser->llhttp);
		return finish_head(parser);
	}
	if (error != HPE_OK)
		return refuse_head(parser, error);
	*ret_used = length;
	return 0;
}

int http_parser_chunked(
	struct http_parser *parser, char *data, size_t length, size_t *ret_payload, size_t *ret_used)
{
	parser->payload = data;
	parser->payload_length = 0;
	llhttp_errno_t error = llhttp_execute(&parser->llhttp, data, length);
	size_t used = length;
	if (error == HPE_PAUSED && parser->message_done) {
		used = (size_t)(llhttp_get_error_pos(&parser->llhttp) - data);
		llhttp_resume(&parser->llhttp);
	} else if (error != HPE_OK) {
		return refuse(parser, parser->error ? parser->status : 400, "Bad chunked body");
	}
	parser->overhead += used - parser->payload_length;
	if (parser->overhead > HTTP_CHUNK_OVERHEAD_MAX + parser->chunks * 16)
		return refuse(parser, 400, "Too much chunk overhead");
	*ret_payload = parser->payload_length;
	*ret_used = used;
	return 0;
}
