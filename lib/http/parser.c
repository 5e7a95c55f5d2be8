#include "lib/http/parser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/http/token.h"
#include "lib/swift/url.h"

static int refuse(struct http_parser *parser, int status, const char *error)
{
	parser->status = status;
	parser->error = error;
	return -EPROTO;
}

const struct http_limits http_limits_default = {
	.request_line_max = 8192,
	.header_line_max = 8192,
	.header_count_max = 126,
};

/* Replies come from our own servers, which may say more than a client. */
static const struct http_limits reply_limits = {
	.request_line_max = 8192,
	.header_line_max = 65536,
	.header_count_max = 512,
};

static void init(struct http_parser *parser, struct headers *headers, const struct http_limits *limits)
{
	memset(parser, 0, sizeof(*parser));
	parser->headers = headers;
	parser->limits = *limits;
	parser->content_length = -1;
}

void http_parser_init_request(struct http_parser *parser, struct headers *headers, const struct http_limits *limits)
{
	init(parser, headers, limits);
}

void http_parser_init_reply(struct http_parser *parser, struct headers *headers, bool head_request)
{
	init(parser, headers, &reply_limits);
	parser->reply = true;
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

static int take_request_line(struct http_parser *parser, char *line, size_t length)
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
	if (!slice_starts_with(parser->target, SLICE_LITERAL("/")) && !slice_equal(parser->target, SLICE_LITERAL("*")))
		return refuse(parser, 400, "Bad request target");
	return 0;
}

/* "HTTP/1.1 204 No Content"; the reason may be missing. */
static int take_status_line(struct http_parser *parser, const char *line, size_t length)
{
	if (length < 12 || line[8] != ' ')
		return refuse(parser, 400, "Bad status line");
	int error = take_version(parser, line, 8);
	if (error)
		return error;
	int status = 0;
	for (size_t i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return refuse(parser, 400, "Bad status line");
		status = status * 10 + (line[i] - '0');
	}
	if (status < 100 || (length > 12 && line[12] != ' '))
		return refuse(parser, 400, "Bad status line");
	parser->status = status;
	return 0;
}

/* ---- the head ---- */

/* Digits alone, at most INT64_MAX, and no leading zero that could be taken for octal. */
static bool is_length(const char *text)
{
	size_t length = strlen(text);
	if (length == 0 || length > 19 || strspn(text, "0123456789") != length)
		return false;
	return (text[0] != '0' || length == 1) && strtoull(text, NULL, 10) <= INT64_MAX;
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
	if (length && !is_length(length))
		return refuse(parser, 400, "Invalid Content-Length");
	return 0;
}

/* A name or address, an IPv6 one in brackets, and maybe a port in digits; no user, no path. */
static bool is_host(const char *host)
{
	size_t length = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	if (length == 0 || length > strlen(host) || strpbrk(host, "@/,\\ \t?#"))
		return false;
	const char *port = host + length;
	return !*port || (*port == ':' && strspn(port + 1, "0123456789") == strlen(port + 1));
}

static int check_host(struct http_parser *parser)
{
	size_t hosts = headers_occurrences(parser->headers, "Host");
	if (hosts > 1 || (hosts == 0 && !parser->http_1_0))
		return refuse(parser, 400, "Exactly one Host header is needed");
	const char *host = headers_get(parser->headers, "Host");
	if (host && !is_host(host))
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
	parser->keep_alive_asked = connection_says(parser->headers, "keep-alive");
	if (connection_says(parser->headers, "close"))
		parser->keep_alive = false;
	else if (parser->keep_alive_asked)
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
	int error = check_framing(parser);
	if (!error && !parser->reply)
		error = check_host(parser);
	if (error)
		return error;
	judge_body(parser);
	judge_connection(parser);
	if (parser->reply)
		judge_reply(parser);
	return 1;
}

/* ---- fields ---- */

/* A token, in which Swift's clients also use UTF-8: names of metadata. */
static bool is_field_name(const char *name, size_t length)
{
	bool ascii = true;
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)name[i] >= 0x80)
			ascii = false;
		else if (!is_token_byte(name[i]))
			return false;
	}
	return length > 0 && (ascii || utf8_valid(slice_of(name, length)));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* "name: value", terminated in place. `line` is followed by its CR LF. */
static int split_field(struct http_parser *parser, char *line, size_t length)
{
	if (parser->headers->count >= parser->limits.header_count_max)
		return refuse(parser, 400, "Too many headers");
	for (size_t i = 0; i < length; i++)
		if (!is_text_byte(line[i]))
			return refuse(parser, 400, "Bad header line");
	char *colon = memchr(line, ':', length);
	if (!colon || !is_field_name(line, (size_t)(colon - line)))
		return refuse(parser, 400, "Bad header line");
	char *value = colon + 1;
	char *end = line + length;
	while (value < end && is_blank(*value))
		value++;
	while (end > value && is_blank(end[-1]))
		end--;
	*colon = '\0';
	*end = '\0';
	headers_add(parser->headers, line, value);
	return 0;
}

/*
 * A line without its CR LF, or the beginning of one that is not complete: no CR in it, and not too long. What comes first
 * in the line decides, so that it does not matter how much of it is here.
 */
static int check_line(struct http_parser *parser, const char *line, size_t length)
{
	bool request_line = !parser->line_done && !parser->reply;
	size_t limit = request_line ? parser->limits.request_line_max : parser->limits.header_line_max;
	size_t looked_at = length <= limit ? length : limit + 1;
	if (memchr(line, '\r', looked_at))
		return refuse(parser, 400, "Bad line end");
	if (length <= limit)
		return 0;
	return request_line ? refuse(parser, 414, "Request line too long") : refuse(parser, 400, "Line too long");
}

static int take_line(struct http_parser *parser, char *line, size_t length)
{
	if (parser->line_done)
		return split_field(parser, line, length);
	parser->line_done = true;
	return parser->reply ? take_status_line(parser, line, length) : take_request_line(parser, line, length);
}

int http_parser_head(struct http_parser *parser, char *data, size_t length, size_t *ret_used)
{
	size_t used = 0;
	char *end;
	while ((end = memchr(data + used, '\n', length - used))) {
		char *line = data + used;
		if (end == line || end[-1] != '\r')
			return refuse(parser, 400, "Bad line end");
		size_t line_length = (size_t)(end - 1 - line);
		used += line_length + 2;
		if (line_length == 0 && parser->line_done) {
			*ret_used = used;
			return finish_head(parser);
		}
		int error = check_line(parser, line, line_length);
		if (!error)
			error = take_line(parser, line, line_length);
		if (error)
			return error;
	}
	*ret_used = used;
	/* a CR at the very end may be the line's own */
	size_t rest = length - used;
	return check_line(parser, data + used, rest && data[length - 1] == '\r' ? rest - 1 : rest);
}

int http_parser_chunked(struct http_parser *parser, char *data, size_t length, size_t *ret_payload, size_t *ret_used)
{
	int error = chunked_decode(&parser->decoder, data, length, ret_payload, ret_used);
	if (error)
		return refuse(parser, 400, error == -EMSGSIZE ? "Too many trailers" : "Bad chunked body");
	parser->message_done = parser->decoder.state == CHUNKED_DONE;
	return 0;
}
