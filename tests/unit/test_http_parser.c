#include "lib/http/parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"

/* ---- feeding a head in pieces ---- */

/* Everything that a caller can learn from a head, as one text: splits must not change it. */
static void describe_head(
	struct buf *text, const struct http_parser *parser, const struct headers *headers, int result, size_t used)
{
	buf_clear(text);
	if (result < 0) {
		buf_printf(text, "%d", parser->status);
		return;
	}
	if (result == 0) {
		buf_append_text(text, "incomplete");
		return;
	}
	if (parser->reply)
		buf_printf(text, "reply %d", parser->status);
	else
		buf_printf(text, "%s %.*s", parser->method, SLICE_PRINT(parser->target));
	buf_printf(text, " 1.%d length=%lld has=%d chunked=%d keep=%d used=%zu", !parser->http_1_0,
		(long long)parser->content_length, parser->has_length, parser->chunked, parser->keep_alive, used);
	for (size_t i = 0; i < headers->count; i++)
		buf_printf(text, "|%s=%s", headers->items[i].name, headers->items[i].value);
}

enum kind { REQUEST, REPLY, REPLY_TO_HEAD };

/*
 * Feeds `input` cut at `first` and then in pieces of `step` bytes; bytes that have not "arrived"
 * yet stay unwritten, so that reading them shows under a sanitizer or in the result.
 */
static void feed_head(enum kind kind, struct slice input, size_t first, size_t step, struct buf *text)
{
	struct arena *arena = arena_new();
	struct headers headers;
	struct http_parser parser;
	headers_init(&headers, arena);
	if (kind == REQUEST)
		http_parser_init_request(&parser, &headers, &http_limits_default);
	else
		http_parser_init_reply(&parser, &headers, kind == REPLY_TO_HEAD);
	char *buffer = xmalloc(input.length);
	memset(buffer, 0xee, input.length);
	size_t arrived = 0, parsed = 0;
	int result = 0;
	while (result == 0 && arrived < input.length) {
		size_t piece = arrived == 0 ? first : step;
		if (piece > input.length - arrived)
			piece = input.length - arrived;
		memcpy(buffer + arrived, input.data + arrived, piece);
		arrived += piece;
		size_t used = 0;
		result = http_parser_head(&parser, buffer + parsed, arrived - parsed, &used);
		if (result >= 0)
			parsed += used;
	}
	describe_head(text, &parser, &headers, result, parsed);
	free(buffer);
	arena_free(arena);
}

/* The description of the whole; fails when any split gives another one. */
static void head_verdict(enum kind kind, struct slice input, struct buf *whole)
{
	struct buf other = BUF_INIT;
	feed_head(kind, input, input.length, 1, whole);
	feed_head(kind, input, 1, 1, &other);
	if (strcmp(whole->data, other.data) != 0)
		fail_msg("'%.*s': whole '%s', byte by byte '%s'", SLICE_PRINT(input), whole->data, other.data);
	size_t stride = input.length > 3000 ? 61 : 1;
	for (size_t cut = 1; cut < input.length; cut += stride) {
		feed_head(kind, input, cut, input.length, &other);
		if (strcmp(whole->data, other.data) != 0)
			fail_msg("'%.*s' cut at %zu: whole '%s', in two '%s'", SLICE_PRINT(input), cut, whole->data,
				other.data);
	}
	buf_release(&other);
}

struct row {
	const char *expected; /* a status, or the beginning of the description */
	const char *input;
	size_t length;
};

#define ROW(expected, input)                                                                                           \
	{                                                                                                              \
		expected, input, sizeof(input) - 1                                                                     \
	}
#define HOST "Host: h\r\n"
/* A request with the given lines between Host and the end. */
#define WITH(expected, lines) ROW(expected, "PUT /a HTTP/1.1\r\n" HOST lines "\r\n")

static void check_rows(enum kind kind, const struct row *rows, size_t count)
{
	struct buf text = BUF_INIT;
	size_t wrong = 0;
	for (size_t i = 0; i < count; i++) {
		head_verdict(kind, slice_of(rows[i].input, rows[i].length), &text);
		if (strncmp(text.data, rows[i].expected, strlen(rows[i].expected)) == 0)
			continue;
		print_error("row %zu '%.*s': '%s' instead of '%s'\n", i, (int)rows[i].length, rows[i].input, text.data,
			rows[i].expected);
		wrong++;
	}
	buf_release(&text);
	assert_int_equal(wrong, 0);
}

#define CHECK_ROWS(kind, rows) check_rows(kind, rows, sizeof(rows) / sizeof((rows)[0]))

/* ---- heads ---- */

static void parser__framing_is_unambiguous(void **state)
{
	(void)state;
	static const struct row rows[] = {
		WITH("PUT /a 1.1 length=0 has=0 chunked=0 keep=1 used=28|Host=h", ""),
		WITH("PUT /a 1.1 length=5 has=1 chunked=0", "Content-Length: 5\r\n"),
		WITH("PUT /a 1.1 length=0 has=1 chunked=0", "Content-Length: 0\r\n"),
		WITH("PUT /a 1.1 length=5 has=1", "content-length:5 \r\n"),
		WITH("PUT /a 1.1 length=-1 has=0 chunked=1", "Transfer-Encoding: chunked\r\n"),
		WITH("PUT /a 1.1 length=-1 has=0 chunked=1", "transfer-encoding:\tCHUNKED \r\n"),
		WITH("PUT /a 1.1 length=999999999999999999", "Content-Length: 999999999999999999\r\n"),
		/* both, in either order */
		WITH("400", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
		WITH("400", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
		WITH("400", "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"),
		/* lengths */
		WITH("400", "Content-Length: 5\r\nContent-Length: 6\r\n"),
		WITH("400", "Content-Length: 5\r\nContent-Length: 5\r\n"),
		WITH("400", "Content-Length: 5, 5\r\n"),
		WITH("400", "Content-Length: +5\r\n"),
		WITH("400", "Content-Length: -1\r\n"),
		WITH("400", "Content-Length: -0\r\n"),
		WITH("400", "Content-Length: 0x5\r\n"),
		WITH("400", "Content-Length: 1_0\r\n"),
		WITH("400", "Content-Length: 1 0\r\n"),
		WITH("400", "Content-Length: 5a\r\n"),
		WITH("400", "Content-Length: 5.0\r\n"),
		WITH("400", "Content-Length:\r\n"),
		WITH("400", "Content-Length: \r\n"),
		WITH("400", "Content-Length: 9223372036854775808\r\n"),
		WITH("400", "Content-Length: 18446744073709551616\r\n"),
		WITH("400", "Content-Length: 99999999999999999999999999\r\n"),
		WITH("400", "Content-Length: 005\r\n"),
		WITH("400", "Content-Length: 0200\r\n"),
		WITH("400", "Content-Length: 00\r\n"),
		/* encodings */
		WITH("501", "Transfer-Encoding: xchunked\r\n"),
		WITH("501", "Transfer-Encoding: chunkedx\r\n"),
		WITH("501", "Transfer-Encoding: identity\r\n"),
		WITH("501", "Transfer-Encoding: gzip\r\n"),
		WITH("501", "Transfer-Encoding: gzip, chunked\r\n"),
		WITH("501", "Transfer-Encoding: gzip,chunked\r\n"),
		WITH("400", "Transfer-Encoding: chunked, gzip\r\n"),
		WITH("400", "Transfer-Encoding: chunked, identity\r\n"),
		WITH("400", "Transfer-Encoding: chunked, chunked\r\n"),
		WITH("400", "Transfer-Encoding: , chunked\r\n"),
		WITH("400", "Transfer-Encoding: chunked,\r\n"),
		WITH("400", "Transfer-Encoding: chunked;x=1\r\n"),
		WITH("400", "Transfer-Encoding: \"chunked\"\r\n"),
		WITH("400", "Transfer-Encoding: chunked chunked\r\n"),
		WITH("400", "Transfer-Encoding:\r\n"),
		WITH("400", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
		WITH("400", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
		WITH("400", "Transfer-Encoding: \vchunked\r\n"),
		WITH("400", "Transfer-Encoding: chunked\f\r\n"),
		WITH("400", "Transfer-Encoding: chunked\0\r\n"),
		WITH("400", "Transfer-Encoding: \xa0"
			    "chunked\r\n"),
		WITH("400", "Transfer-Encoding: \x85"
			    "chunked\r\n"),
		WITH("400", "Transfer-Encoding: chunked\xff\r\n"),
		WITH("400", "Transfer-Encoding : chunked\r\n"),
		WITH("400", "Transfer-Encoding\r\n : chunked\r\n"),
		WITH("400", "Transfer-Encoding:\r\n chunked\r\n"),
		WITH("400", "Transfer-Encoding: chunked\r\n , gzip\r\n"),
		ROW("400", "PUT /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
		ROW("400", "PUT /a HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"),
		/* names that only look like framing */
		WITH("PUT /a 1.1 length=0 has=0 chunked=0", "Transfer_Encoding: chunked\r\n"),
		WITH("PUT /a 1.1 length=0 has=0 chunked=0", "Content_Length: 5\r\n"),
		WITH("PUT /a 1.1 length=0 has=0 chunked=0", "X-Transfer-Encoding: chunked\r\n"),
		/* what stands behind the head is not looked at */
		ROW("PUT /a 1.1 length=3 has=1 chunked=0 keep=1 used=47",
			"PUT /a HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n\n\0\rGET"),
	};
	CHECK_ROWS(REQUEST, rows);
}

static void parser__header_lines_are_strict(void **state)
{
	(void)state;
	static const struct row rows[] = {
		WITH("PUT /a 1.1 length=0 has=0 chunked=0 keep=1 used=56|Host=h|A=b|C=|D=e "
		     "\xc3\xa9 f|G=",
			"A: b\r\nC:\r\nD:\te \xc3\xa9 f \r\nG:  \r\n"),
		WITH("PUT /a 1.1", "!#$%&'*+-.^_`|~09azAZ: x\r\n"),
		WITH("PUT /a 1.1 length=0 has=0 chunked=0 keep=1 "
		     "used=75|Host=h|Connection=|Upgrade=|Proxy-Connection=|C=",
			"Connection:\r\nUpgrade:\r\nProxy-Connection: \r\nC:\r\n"),
		WITH("400", "A : b\r\n"),
		WITH("400", "A\t: b\r\n"),
		WITH("400", " A: b\r\n"),
		WITH("400", "A: b\r\n c\r\n"),
		WITH("400", "A: b\r\n\tc\r\n"),
		WITH("400", "A: b\r\n \r\n"),
		WITH("400", "A:\r\n b\r\n"),
		WITH("400", "A: b\n"),
		WITH("400", "A: b\nC: d\r\n"),
		WITH("400", "A: b\rC: d\r\n"),
		WITH("400", "A: b\r\rC: d\r\n"),
		WITH("400", "A: b\r\r\n"),
		WITH("400", "A:\rb\r\n"),
		WITH("400", "\rA: b\r\n"),
		WITH("400", "\nA: b\r\n"),
		WITH("400", "A: b\0c\r\n"),
		WITH("400", "A: b\x01"
			    "c\r\n"),
		WITH("400", "A: b\x0b"
			    "c\r\n"),
		WITH("400", "A: b\x1f\r\n"),
		WITH("400", "A: b\x7f\r\n"),
		WITH("400", "A\x80: b\r\n"),
		/* names of metadata may be UTF-8 */
		WITH("PUT /a 1.1 length=0 has=0 chunked=0 keep=1 used=35|Host=h|\xc3\xa9=b", "\xc3\xa9: b\r\n"),
		WITH("400", "A\0: b\r\n"),
		WITH("400", "A(: b\r\n"),
		WITH("400", "A B: c\r\n"),
		WITH("400", "\"A\": b\r\n"),
		WITH("400", ": b\r\n"),
		WITH("400", "A\r\n"),
		WITH("400", "A b\r\n"),
		ROW("400", "GET / HTTP/1.1\r\n A: b\r\nHost: h\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\n\tHost: h\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\nHost: h\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: h\n\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: h\r\n\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: h\r\n\r\r\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: h\r\n\rX"),
		ROW("incomplete", "GET / HTTP/1.1\r\nHost: h\r\n\r"),
		ROW("incomplete", "GET / HTTP/1.1\r\nHost: h\r\n"),
		ROW("incomplete", "GET / HTTP/1.1\r\nHos"),
		ROW("incomplete", "GET / HTT"),
	};
	CHECK_ROWS(REQUEST, rows);
}

static void parser__host_is_needed_once(void **state)
{
	(void)state;
	static const struct row rows[] = {
		ROW("GET / 1.1", "GET / HTTP/1.1\r\nHost: example.org:8080\r\n\r\n"),
		ROW("GET / 1.1", "GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n"),
		ROW("GET / 1.0 length=0 has=0 chunked=0 keep=0", "GET / HTTP/1.0\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
		ROW("400", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: user@h\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: u:p@h\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: h/path\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
		ROW("400", "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"),
	};
	CHECK_ROWS(REQUEST, rows);
}

#define LINE(expected, line) ROW(expected, line "\r\n" HOST "\r\n")

static void parser__request_line_is_strict(void **state)
{
	(void)state;
	static const struct row rows[] = {
		LINE("GET /v1/a?b=c 1.1", "GET /v1/a?b=c HTTP/1.1"),
		LINE("REPLICATE /sda/1 1.1", "REPLICATE /sda/1 HTTP/1.1"),
		LINE("SSYNC /sda/1 1.1", "SSYNC /sda/1 HTTP/1.1"),
		LINE("UPDATE /sda/1 1.1", "UPDATE /sda/1 HTTP/1.1"),
		LINE("COPY /a 1.1", "COPY /a HTTP/1.1"),
		LINE("get / 1.1", "get / HTTP/1.1"),
		LINE("BANANA-9 / 1.1", "BANANA-9 / HTTP/1.1"),
		LINE("CONNECT / 1.1", "CONNECT / HTTP/1.1"),
		LINE("OPTIONS * 1.1", "OPTIONS * HTTP/1.1"),
		LINE("GET /\xc3\xa9\xff\x80 1.1", "GET /\xc3\xa9\xff\x80 HTTP/1.1"),
		LINE("GET /../..//\\%00%zz 1.1", "GET /../..//\\%00%zz HTTP/1.1"),
		/* absolute-form */
		LINE("GET /p?q 1.1", "GET http://other/p?q HTTP/1.1"),
		LINE("GET /p 1.1", "GET HTTPS://u@other:1/p HTTP/1.1"),
		LINE("GET / 1.1", "GET http://other HTTP/1.1"),
		LINE("400", "GET http://other?x=/secret HTTP/1.1"),
		LINE("400", "GET http:///p HTTP/1.1"),
		LINE("400", "GET http:// HTTP/1.1"),
		LINE("400", "GET ftp://other/p HTTP/1.1"),
		LINE("400", "GET other/p HTTP/1.1"),
		LINE("400", "GET ** HTTP/1.1"),
		/* targets */
		LINE("400", "GET /a#b HTTP/1.1"),
		LINE("400", "GET /a b HTTP/1.1"),
		LINE("400", "GET /a\tb HTTP/1.1"),
		LINE("400", "GET /a\x01 HTTP/1.1"),
		LINE("400", "GET /a\x7f HTTP/1.1"),
		LINE("400", "GET /a\0b HTTP/1.1"),
		LINE("400", "GET /a\rb HTTP/1.1"),
		LINE("400", "GET  / HTTP/1.1"),
		LINE("400", "GET /  HTTP/1.1"),
		LINE("400", "GET\t/ HTTP/1.1"),
		LINE("400", "GET /\tHTTP/1.1"),
		LINE("400", "GET  HTTP/1.1"),
		LINE("400", "GET HTTP/1.1"),
		LINE("400", " GET / HTTP/1.1"),
		LINE("400", "G\xc3\xa9T / HTTP/1.1"),
		LINE("400", "GE:T / HTTP/1.1"),
		LINE("400", "GE\0T / HTTP/1.1"),
		LINE("400", ""),
		/* versions */
		LINE("GET / 1.0", "GET / HTTP/1.0"),
		LINE("400", "GET /"),
		LINE("400", "GET / "),
		LINE("400", "GET"),
		LINE("400", "GET / HTTP/1"),
		LINE("400", "GET / HTTP/1."),
		LINE("400", "GET / http/1.1"),
		LINE("400", "GET / HTTP/01.01"),
		LINE("400", "GET / HTTP/1.10"),
		LINE("400", "GET / HTTP/ 1.1"),
		LINE("400", "GET / HTTP/1.1 "),
		LINE("400", "GET / HTTP/1,1"),
		LINE("400", "GET / HTTP/1.1\r"),
		LINE("400", "GET / HTTPS/1.1"),
		LINE("400", "GET / ICY/1.1"),
		LINE("400", "GET / HTTP/0.9"),
		LINE("505", "GET / HTTP/2.0"),
		LINE("505", "GET / HTTP/9.9"),
		LINE("505", "GET / HTTP/1.2"),
		ROW("505", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		ROW("400", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
	};
	CHECK_ROWS(REQUEST, rows);
}

static void parser__connection_tokens(void **state)
{
	(void)state;
	static const struct row rows[] = {
		WITH("PUT /a 1.1 length=0 has=0 chunked=0 keep=0", "Connection: close\r\n"),
		WITH("PUT /a 1.1 length=0 has=0 chunked=0 keep=0", "Connection: TE , Close\r\n"),
		WITH("PUT /a 1.1 length=0 has=0 chunked=0 keep=0", "Connection: keep-alive\r\nConnection: close\r\n"),
		WITH("PUT /a 1.1 length=0 has=0 chunked=0 keep=1", "Connection: keep-alive\r\n"),
		WITH("PUT /a 1.1 length=0 has=0 chunked=0 keep=1", "Connection: closed-x\r\n"),
		WITH("PUT /a 1.1 length=0 has=0 chunked=0 keep=1", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
		WITH("PUT /a 1.1 length=-1 has=0 chunked=1 keep=1",
			"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n"),
		ROW("GET / 1.0 length=0 has=0 chunked=0 keep=1", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
		ROW("GET / 1.0 length=0 has=0 chunked=0 keep=0",
			"GET / HTTP/1.0\r\nConnection: not-keep-alive\r\n\r\n"),
	};
	CHECK_ROWS(REQUEST, rows);
}

static void repeat(struct buf *buf, char byte, size_t count)
{
	char *room = buf_reserve(buf, count);
	memset(room, byte, count);
	buf->length += count;
}

static void check_built(const struct buf *input, const char *expected)
{
	struct buf text = BUF_INIT;
	head_verdict(REQUEST, buf_slice(input), &text);
	if (strncmp(text.data, expected, strlen(expected)) != 0)
		fail_msg("%zu bytes: '%.60s' instead of '%s'", input->length, text.data, expected);
	buf_release(&text);
}

static void parser__request_line_limit(void **state)
{
	(void)state;
	static const struct {
		size_t line; /* bytes without the line's end */
		const char *expected;
	} cases[] = {{8192, "PUT /"}, {8193, "414"}, {8194, "414"}, {70000, "414"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf input = BUF_INIT;
		buf_append_text(&input, "PUT /");
		repeat(&input, 'x', cases[i].line - strlen("PUT / HTTP/1.1"));
		buf_append_text(&input, " HTTP/1.1\r\n" HOST "\r\n");
		check_built(&input, cases[i].expected);
		buf_release(&input);
	}
	struct buf input = BUF_INIT;
	repeat(&input, 'M', 100 * 1024);
	check_built(&input, "414");
	buf_release(&input);
}

static void parser__header_line_limit(void **state)
{
	(void)state;
	static const struct {
		size_t name, value;
		const char *expected;
	} cases[] = {
		{1, 8192 - 3, "PUT /a"},
		{1, 8192 - 2, "400"},
		{8192 - 3, 1, "PUT /a"},
		{8192 - 2, 1, "400"},
		{9000, 1, "400"},
		{1, 20000, "400"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf input = BUF_INIT;
		buf_append_text(&input, "PUT /a HTTP/1.1\r\n" HOST);
		repeat(&input, 'n', cases[i].name);
		buf_append_text(&input, ": ");
		repeat(&input, 'v', cases[i].value);
		buf_append_text(&input, "\r\n\r\n");
		check_built(&input, cases[i].expected);
		buf_release(&input);
	}
	/* blanks count too, and an end that never comes */
	struct buf input = BUF_INIT;
	buf_append_text(&input, "PUT /a HTTP/1.1\r\n" HOST "a:");
	repeat(&input, ' ', 9000);
	buf_append_text(&input, "b\r\n\r\n");
	check_built(&input, "400");
	buf_release(&input);
	buf_append_text(&input, "PUT /a HTTP/1.1\r\n" HOST);
	repeat(&input, 'n', 9000);
	check_built(&input, "400");
	buf_release(&input);
}

static void parser__header_count_limit(void **state)
{
	(void)state;
	static const struct {
		size_t count;
		const char *expected;
	} cases[] = {{126, "PUT /a"}, {127, "400"}, {1000, "400"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf input = BUF_INIT;
		buf_append_text(&input, "PUT /a HTTP/1.1\r\n" HOST);
		for (size_t header = 1; header < cases[i].count; header++)
			buf_printf(&input, "X-%zu: v\r\n", header);
		buf_append_text(&input, "\r\n");
		check_built(&input, cases[i].expected);
		buf_release(&input);
	}
}

static void parser__replies(void **state)
{
	(void)state;
	static const struct row rows[] = {
		ROW("reply 200 1.1 length=2 has=1 chunked=0 keep=1 used=38|Content-Length=2",
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
		ROW("reply 200 1.1 length=-1 has=0 chunked=1 keep=1",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
		/* lasts until the connection ends, which therefore cannot be used again */
		ROW("reply 200 1.1 length=-1 has=0 chunked=0 keep=0", "HTTP/1.1 200 OK\r\n\r\nbytes"),
		ROW("reply 200 1.0 length=2 has=1 chunked=0 keep=0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n"),
		ROW("reply 204 1.1 length=0 has=0 chunked=0 keep=1", "HTTP/1.1 204 No Content\r\n\r\n"),
		ROW("reply 304 1.1 length=0 has=1 chunked=0 keep=1",
			"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
		ROW("reply 100 1.1 length=0 has=0 chunked=0 keep=1 used=25",
			"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n\r\n"),
		ROW("reply 507 1.1 length=0 has=1", "HTTP/1.1 507 \r\nContent-Length: 0\r\n\r\n"),
		ROW("reply 498 1.1 length=0 has=1 chunked=0 keep=0",
			"HTTP/1.1 498 Rate Limited\r\nConnection: close\r\nContent-Length: "
			"0\r\n\r\n"),
		ROW("4", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: "
			 "chunked\r\n\r\n"),
		ROW("4", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n"),
		ROW("4", "HTTP/1.1 200 OK\r\nA: b\n\r\n"),
		ROW("4", "HTTP/1.1 20x OK\r\n\r\n"),
		ROW("4", "HTTP/1.1 2000 OK\r\n\r\n"),
		ROW("505", "HTTP/2.0 200 OK\r\n\r\n"),
		ROW("4", "GET / HTTP/1.1\r\n\r\n"),
		ROW("4", "ICY 200 OK\r\n\r\n"),
		ROW("4", "\r\nHTTP/1.1 200 OK\r\n\r\n"),
	};
	CHECK_ROWS(REPLY, rows);
	static const struct row to_head[] = {
		ROW("reply 200 1.1 length=0 has=1 chunked=0 keep=1 used=38|Content-Length=9",
			"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
		ROW("reply 200 1.1 length=0 has=0 chunked=0 keep=1",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
		ROW("reply 200 1.1 length=0 has=0 chunked=0 keep=1", "HTTP/1.1 200 OK\r\n\r\n"),
	};
	CHECK_ROWS(REPLY_TO_HEAD, to_head);
}

/* ---- chunked bodies ---- */

/*
 * Feeds a chunked body, each piece in memory of its own that is gone afterwards. The text is
 * "400", "incomplete", or "ok <bytes used> <payload>".
 */
static void feed_chunked(struct slice input, size_t first, size_t step, struct buf *text)
{
	static const char head[] = "PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n";
	struct arena *arena = arena_new();
	struct headers headers;
	struct http_parser parser;
	size_t used;
	headers_init(&headers, arena);
	http_parser_init_request(&parser, &headers, &http_limits_default);
	char *line = arena_strdup(arena, head);
	assert_int_equal(http_parser_head(&parser, line, strlen(line), &used), 1);
	assert_int_equal(used, strlen(head));
	size_t count = headers.count;

	struct buf payload = BUF_INIT;
	size_t at = 0;
	int error = 0;
	while (!error && !parser.message_done && at < input.length) {
		size_t piece = at == 0 ? first : step;
		if (piece > input.length - at)
			piece = input.length - at;
		char *copy = xmalloc(piece);
		memcpy(copy, input.data + at, piece);
		size_t payload_length = 0;
		used = 0;
		error = http_parser_chunked(&parser, copy, piece, &payload_length, &used);
		if (!error) {
			assert_true(used <= piece);
			assert_true(used == piece || parser.message_done);
			assert_true(payload_length <= used);
			buf_append(&payload, copy, payload_length);
			at += used;
		}
		free(copy);
	}
	/* trailers never join the request's headers */
	assert_int_equal(headers.count, count);
	buf_clear(text);
	if (error)
		buf_printf(text, "%d", parser.status);
	else if (!parser.message_done)
		buf_append_text(text, "incomplete");
	else
		buf_printf(text, "ok %zu %.*s", at, (int)payload.length, payload.data ? payload.data : "");
	buf_release(&payload);
	arena_free(arena);
}

static void chunked_verdict(struct slice input, struct buf *whole)
{
	struct buf other = BUF_INIT;
	feed_chunked(input, input.length, 1, whole);
	size_t stride = input.length > 3000 ? 61 : 1;
	for (size_t cut = 1; cut < input.length; cut += stride) {
		/* in two pieces, and byte by byte after the cut */
		for (size_t step = 1; step <= input.length; step += input.length) {
			if (step == 1 && cut > 1 && stride > 1)
				continue;
			feed_chunked(input, cut, step == 1 ? 1 : input.length, &other);
			if (strcmp(whole->data, other.data) != 0)
				fail_msg("'%.*s' cut at %zu: whole '%s', in pieces '%s'", SLICE_PRINT(input), cut,
					whole->data, other.data);
		}
	}
	buf_release(&other);
}

static void parser__chunked_bodies(void **state)
{
	(void)state;
	static const struct row rows[] = {
		ROW("ok 5 ", "0\r\n\r\n"),
		ROW("ok 15 hello", "5\r\nhello\r\n0\r\n\r\n"),
		ROW("ok 15 hello", "5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n"),
		ROW("ok 15 hello", "5\r\nhello\r\n0\r\n\r\n\0\r\n\n"),
		ROW("ok 27 hello world!", "5\r\nhello\r\n7\r\n world!\r\n0\r\n\r\n"),
		ROW("ok 20 abcdefghij", "A\r\nabcdefghij\r\n0\r\n\r\nx"),
		ROW("ok 20 abcdefghij", "a\r\nabcdefghij\r\n0\r\n\r\nx"),
		ROW("ok 17 0\r\n\r\n", "5\r\n0\r\n\r\n\r\n000\r\n\r\nxxx"),
		ROW("ok 17 hello", "005\r\nhello\r\n0\r\n\r\n"),
		ROW("ok 30 hello", "0000000000000005\r\nhello\r\n0\r\n\r\n"),
		ROW("ok 19 hello", "5;x\r\nhello\r\n0;y\r\n\r\n"),
		ROW("ok 29 hello", "5;x=y;z=\"q\\\" ;\"\r\nhello\r\n0\r\n\r\n"),
		/* trailers are read over */
		ROW("ok 21 hello", "5\r\nhello\r\n0\r\nA: b\r\n\r\n"),
		ROW("ok 53 hello", "5\r\nhello\r\n0\r\nContent-Length: 7\r\nX-Auth-Token:  t \r\n\r\nrest"),
		/* sizes */
		ROW("400", "0x5\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "+5\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "-5\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5_0\r\nhello\r\n0\r\n\r\n"),
		ROW("400", " 5\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5 \r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5\t\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "\r\nhello\r\n0\r\n\r\n"),
		ROW("400", ";x\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "G\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5G\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5\0\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "00000000000000005\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "8000000000000000\r\nhello\r\n0\r\n\r\n"),
		ROW("incomplete", "7FFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
		/* data longer or shorter than said */
		ROW("400", "5\r\nhello!\r\n0\r\n\r\n"),
		ROW("400", "5\r\nhell\r\n0\r\n\r\n"),
		ROW("400", "5\r\nhello0\r\n\r\n"),
		ROW("400", "5\r\nhelloXX0\r\n\r\n"),
		ROW("400", "5\r\nhello\n0\r\n\r\n"),
		ROW("400", "5\r\nhello\r0\r\n\r\n"),
		ROW("400", "5\r\nhello\rX0\r\n\r\n"),
		ROW("400", "5\r\nhello\r\r\n0\r\n\r\n"),
		ROW("400", "5\r\nhello\r\nXX"),
		/* line ends */
		ROW("400", "5\nhello\r\n0\r\n\r\n"),
		ROW("400", "5\rhello\r\n0\r\n\r\n"),
		ROW("400", "5\r\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5\r\nhello\r\n0\n\r\n"),
		ROW("400", "5\r\nhello\r\n0\r\n\n"),
		ROW("400", "5\r\nhello\r\n0\r\n\rX"),
		ROW("400", "5;x\nhello\r\n0\r\n\r\n"),
		ROW("400", "5;x\rhello\r\n0\r\n\r\n"),
		ROW("400", "5;x=\"a\nb\"\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5\r\nhello\r\n0\r\nA: b\n\r\n"),
		ROW("400", "5\r\nhello\r\n0\r\nA: b\rC: d\r\n\r\n"),
		ROW("400", "5\r\nhello\r\n0\r\nA: b\r\n\n"),
		/* extensions */
		ROW("400", "5;\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5;;x\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5;x=\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5;=y\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5;(\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5;x\0\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5;x=\"y\r\nhello\r\n0\r\n\r\n"),
		ROW("400", "5;x=\"y\"z\r\nhello\r\n0\r\n\r\n"),
		/* trailers */
		ROW("400", "5\r\nhello\r\n0\r\nA : b\r\n\r\n"),
		ROW("400", "5\r\nhello\r\n0\r\n A: b\r\n\r\n"),
		ROW("400", "5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n"),
		ROW("400", "5\r\nhello\r\n0\r\nA\r\n\r\n"),
		ROW("400", "5\r\nhello\r\n0\r\n: b\r\n\r\n"),
		ROW("400", "5\r\nhello\r\n0\r\nA: b\0\r\n\r\n"),
		ROW("400", "5\r\nhello\r\n0\r\nA\xc3: b\r\n\r\n"),
		/* not ended */
		ROW("incomplete", "5\r\nhello\r\n0\r\n\r"),
		ROW("incomplete", "5\r\nhello\r\n0\r\n"),
		ROW("incomplete", "5\r\nhello\r\n"),
		ROW("incomplete", "5\r\nhel"),
		ROW("incomplete", "5"),
	};
	struct buf text = BUF_INIT;
	size_t wrong = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		chunked_verdict(slice_of(rows[i].input, rows[i].length), &text);
		const char *expected = rows[i].expected;
		bool prefix_only = strcmp(expected, "400") == 0;
		if (prefix_only ? strncmp(text.data, expected, 3) == 0 : strcmp(text.data, expected) == 0)
			continue;
		print_error("row %zu '%.*s': '%s' instead of '%s'\n", i, (int)rows[i].length, rows[i].input, text.data,
			expected);
		wrong++;
	}
	buf_release(&text);
	assert_int_equal(wrong, 0);
}

static void check_chunked(const struct buf *input, const char *expected, size_t payload)
{
	struct buf text = BUF_INIT;
	chunked_verdict(buf_slice(input), &text);
	if (strncmp(text.data, expected, strlen(expected)) != 0)
		fail_msg("%zu bytes: '%.60s' instead of '%s'", input->length, text.data, expected);
	if (payload)
		assert_int_equal(strlen(strrchr(text.data, ' ') + 1), payload);
	buf_release(&text);
}

static void parser__chunked_limits(void **state)
{
	(void)state;
	struct buf input = BUF_INIT;

	/* small chunks are slow, not wrong */
	for (int i = 0; i < 20000; i++)
		buf_append_text(&input, "1\r\nx\r\n");
	buf_append_text(&input, "0\r\n\r\n");
	check_chunked(&input, "ok", 20000);

	/* one extension beyond 256 bytes */
	buf_clear(&input);
	buf_append_text(&input, "5;x=");
	repeat(&input, 'e', 300);
	buf_append_text(&input, "\r\nhello\r\n0\r\n\r\n");
	check_chunked(&input, "400", 0);
	buf_clear(&input);
	buf_append_text(&input, "5;x=");
	repeat(&input, 'e', 200);
	buf_append_text(&input, "\r\nhello\r\n0\r\n\r\n");
	check_chunked(&input, "ok", 5);

	/* extensions of all chunks beyond 16 KiB */
	buf_clear(&input);
	for (int i = 0; i < 200; i++) {
		buf_append_text(&input, "1;x=");
		repeat(&input, 'e', 200);
		buf_append_text(&input, "\r\nx\r\n");
	}
	buf_append_text(&input, "0\r\n\r\n");
	check_chunked(&input, "400", 0);

	/* trailers: 64 pass, more do not; nor does one endless line */
	for (int count = 64; count <= 65; count++) {
		buf_clear(&input);
		buf_append_text(&input, "0\r\n");
		for (int i = 0; i < count; i++)
			buf_append_text(&input, "A: b\r\n");
		buf_append_text(&input, "\r\n");
		check_chunked(&input, count == 64 ? "ok" : "400", 0);
	}
	buf_clear(&input);
	buf_append_text(&input, "0\r\nA: ");
	repeat(&input, 'b', 20000);
	check_chunked(&input, "4", 0);
	buf_release(&input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parser__framing_is_unambiguous),
		cmocka_unit_test(parser__header_lines_are_strict),
		cmocka_unit_test(parser__host_is_needed_once),
		cmocka_unit_test(parser__request_line_is_strict),
		cmocka_unit_test(parser__connection_tokens),
		cmocka_unit_test(parser__request_line_limit),
		cmocka_unit_test(parser__header_line_limit),
		cmocka_unit_test(parser__header_count_limit),
		cmocka_unit_test(parser__replies),
		cmocka_unit_test(parser__chunked_bodies),
		cmocka_unit_test(parser__chunked_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
