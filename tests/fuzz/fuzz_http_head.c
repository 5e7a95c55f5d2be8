/*
 * Request and reply heads from anybody. Three things must hold: feeding in two pieces gives what
 * feeding whole gives; no verdict depends on bytes behind the head; and a head that was taken reads
 * the same when it is cut at its line ends by the simplest of readers. The first byte chooses
 * request or reply and where to cut.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "lib/http/parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	int result; /* of http_parser_head() */
	size_t used;
	struct buf text; /* the rest of what a caller sees */
};

static void describe(const struct http_parser *parser, const struct headers *headers, struct outcome *outcome)
{
	buf_printf(&outcome->text, "%d ", parser->status);
	if (outcome->result <= 0)
		return;
	buf_printf(&outcome->text, "%lld %d %d %d %d", (long long)parser->content_length, parser->has_length,
		parser->chunked, parser->keep_alive, parser->http_1_0);
	if (!parser->reply) {
		buf_printf(&outcome->text, " %s ", parser->method);
		buf_append_slice(&outcome->text, parser->target);
	}
	for (size_t i = 0; i < headers->count; i++)
		buf_printf(&outcome->text, "\n%s=%s", headers->items[i].name, headers->items[i].value);
}

/* The reader that the parser is held against: lines end in CR LF, a name ends at the first colon.
 */
static void check_against_lines(struct slice head, const struct headers *headers)
{
	const char *line = (const char *)memmem(head.data, head.length, "\r\n", 2) + 2;
	const char *end = head.data + head.length - 2;
	for (size_t i = 0; i < headers->count; i++) {
		const char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
		assert(stop);
		const char *colon = memchr(line, ':', (size_t)(stop - line));
		assert(colon);
		assert(slice_equal(slice_of(line, (size_t)(colon - line)), slice_from(headers->items[i].name)));
		const char *value = colon + 1;
		const char *value_end = stop;
		while (value < value_end && (*value == ' ' || *value == '\t'))
			value++;
		while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t'))
			value_end--;
		assert(slice_equal(slice_of(value, (size_t)(value_end - value)), slice_from(headers->items[i].value)));
		line = stop + 2;
	}
	assert(line == end);
}

static void check_taken(const struct http_parser *parser, struct slice head, const struct headers *headers)
{
	assert(headers->count <= http_limits_default.header_count_max || parser->reply);
	assert(headers_occurrences(headers, "Content-Length") <= 1);
	assert(headers_occurrences(headers, "Transfer-Encoding") <= 1);
	assert(!headers_get(headers, "Content-Length") || !headers_get(headers, "Transfer-Encoding"));
	assert(!parser->chunked || parser->content_length == -1);
	assert(parser->reply || parser->content_length >= 0 || parser->chunked);
	assert(parser->reply || parser->http_1_0 || headers_occurrences(headers, "Host") == 1);
	assert(head.length >= 4 && memcmp(head.data + head.length - 4, "\r\n\r\n", 4) == 0);
	check_against_lines(head, headers);
}

static struct outcome feed(bool reply, struct slice input, size_t first)
{
	struct outcome outcome = {.text = BUF_INIT};
	struct arena *arena = arena_new();
	struct headers headers;
	struct http_parser parser;
	headers_init(&headers, arena);
	if (reply)
		http_parser_init_reply(&parser, &headers, false);
	else
		http_parser_init_request(&parser, &headers, &http_limits_default);
	_cleanup_free_ char *buffer = xmalloc(input.length);
	size_t arrived = 0;
	while (outcome.result == 0 && arrived < input.length) {
		size_t piece = arrived == 0 ? first : input.length - arrived;
		memcpy(buffer + arrived, input.data + arrived, piece);
		arrived += piece;
		size_t used = 0;
		outcome.result = http_parser_head(&parser, buffer + outcome.used, arrived - outcome.used, &used);
		if (outcome.result >= 0)
			outcome.used += used;
		assert(outcome.used <= arrived);
	}
	assert(outcome.result == 0 || outcome.result == 1 || parser.status >= 100);
	if (outcome.result == 1)
		check_taken(&parser, slice_of(input.data, outcome.used), &headers);
	describe(&parser, &headers, &outcome);
	arena_free(arena);
	return outcome;
}

static void check_same(struct outcome *one, struct outcome *other)
{
	assert(one->result == other->result);
	assert(one->result <= 0 || one->used == other->used);
	assert(slice_equal(buf_slice(&one->text), buf_slice(&other->text)));
	buf_release(&other->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	bool reply = data[0] & 1;
	struct slice input = slice_of((const char *)data + 1, size - 1);
	size_t cut = 1 + (data[0] >> 1) * input.length / 128;
	if (cut > input.length)
		cut = input.length;
	struct outcome whole = feed(reply, input, input.length);
	struct outcome pieces = feed(reply, input, cut);
	check_same(&whole, &pieces);
	if (whole.result == 1) {
		struct outcome alone = feed(reply, slice_of(input.data, whole.used), whole.used);
		check_same(&whole, &alone);
	}
	buf_release(&whole.text);
	return 0;
}
