/*
 * The grammar of HTTP/1.1 messages, strict (RFC 9112 without its "MAY be lenient"): heads are parsed here, line by line;
 * chunked bodies by chunked.h. The verdict does not depend on how the bytes were cut into runs.
 *
 * llhttp was tried first. It does not know Swift's internal verbs, refuses raw UTF-8 in targets and in names of metadata,
 * which Swift's clients send, and blanks behind a length; and it lets through bare line feeds and what chunked.h tells.
 * What was left for it to do is split_field().
 *
 * A head is parsed in place: the caller appends bytes to one buffer that does not move and hands in each new run. Names
 * and values are NUL-terminated in that buffer.
 */
#ifndef LIB_HTTP_PARSER_H
#define LIB_HTTP_PARSER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/http/chunked.h"
#include "lib/http/headers.h"

/* What a head may have; beyond it 414 for the request line, and as in Swift 400 for the rest. A whole head fits a block (64 KiB). */
struct http_limits {
	size_t request_line_max; /* bytes, without the line end */
	size_t header_line_max;  /* bytes of one header line */
	size_t header_count_max;
};

/* Swift's defaults (swift/common/constraints.py). */
extern const struct http_limits http_limits_default;

struct http_parser {
	bool reply;        /* parsing replies */
	bool head_request; /* of a reply: it answers a HEAD */
	bool line_done;    /* the request or status line was taken */
	bool message_done; /* a chunked body ended */
	struct http_limits limits;
	struct headers *headers; /* where fields go */
	struct chunked_decoder decoder;
	/* results of the head */
	char *method;
	struct slice target;
	bool http_1_0;
	int status;        /* of a reply; or of the error to answer: 400, 414, 501, 505 */
	const char *error; /* what is wrong, for the answer and the log */
	bool keep_alive;
	bool keep_alive_asked; /* "Connection: keep-alive" was said, and wants to be said again */
	bool chunked;
	bool has_length;
	int64_t content_length; /* -1 when chunked, or a reply that lasts until the connection closes */
};

void http_parser_init_request(struct http_parser *parser, struct headers *headers, const struct http_limits *limits);
/* `head_request`: the reply to a HEAD has no body whatever its headers say. */
void http_parser_init_reply(struct http_parser *parser, struct headers *headers, bool head_request);

/*
 * Parses the run [data, data + length), which follows the earlier ones in memory; `data` must start where the last call
 * stopped using bytes. 1: the head is complete, *ret_used tells where the body starts; 0: more is needed (whole lines
 * were used: hand the rest in again, with more behind it); -EPROTO: answer parser->status.
 * Informational replies (1xx) are complete heads of their own: init again for the next one.
 */
int http_parser_head(struct http_parser *parser, char *data, size_t length, size_t *ret_used);

/*
 * Parses a run of a chunked body in place: payload is moved together at the start of `data`. 0 or -EPROTO.
 * *ret_used is less than length only when the message ended (parser->message_done).
 */
int http_parser_chunked(struct http_parser *parser, char *data, size_t length, size_t *ret_payload, size_t *ret_used);

#endif
