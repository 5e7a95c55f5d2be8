/*
 * The grammar of HTTP/1.1 messages: llhttp in strict mode, and what Swift's door needs beyond it. The request line is
 * taken by ourselves, because llhttp does not know Swift's internal verbs and refuses raw UTF-8 in a target, which
 * Swift accepts. Line ends, control bytes, folds and line lengths are judged before llhttp sees a byte, because it
 * takes a bare LF for the end of a head; which body follows is judged when the head is complete; chunked bodies are
 * read by chunked.h. The verdict does not depend on how the bytes were cut into runs.
 *
 * A head is parsed in place: the caller appends bytes to one buffer that does not move and hands in each new run. Names
 * and values are NUL-terminated in that buffer when the head is complete.
 */
#ifndef LIB_HTTP_PARSER_H
#define LIB_HTTP_PARSER_H

#include <llhttp.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/http/chunked.h"
#include "lib/http/headers.h"

/* Swift's limits (swift/common/constraints.py) at the door; a backend listener takes more headers. */
enum {
	HTTP_REQUEST_LINE_MAX = 8192,
	HTTP_HEADER_LINE_MAX = 8192,
	HTTP_HEADER_COUNT_MAX = 126,
};

struct http_parser {
	llhttp_t llhttp;
	bool reply;              /* parsing replies */
	bool head_request;       /* of a reply: it answers a HEAD */
	bool line_done;          /* the request line was taken */
	bool head_done;          /* llhttp saw the end of the head */
	bool message_done;       /* a chunked body ended */
	bool after_cr;           /* the last byte was a CR: LF must follow */
	size_t line_length;      /* bytes of the current line so far */
	size_t header_count_max;
	/* spans of the field being parsed */
	char *name;
	size_t name_length;
	char *value;
	size_t value_length;
	struct headers *headers; /* where fields go */
	struct chunked_decoder decoder;
	/* results of the head */
	char *method;
	struct slice target;
	bool http_1_0;
	int status;            /* of a reply; or of the error to answer: 400, 414, 431, 501, 505 */
	const char *error;     /* what is wrong, for the answer and the log */
	bool keep_alive;
	bool chunked;
	bool has_length;
	int64_t content_length; /* -1 when chunked, or a reply that lasts until the connection closes */
};

void http_parser_init_request(struct http_parser *parser, struct headers *headers, size_t header_count_max);
/* `head_request`: the reply to a HEAD has no body whatever its headers say. */
void http_parser_init_reply(struct http_parser *parser, struct headers *headers, bool head_request);

/*
 * Parses the run [data, data + length), which follows the earlier ones in memory; `data` must start where the last call
 * stopped using bytes. 1: the head is complete, *ret_used tells where the body starts; 0: more is needed (all was used,
 * or *ret_used less where a request line is incomplete: hand those bytes in again); -EPROTO: answer parser->status.
 * Informational replies (1xx) are complete heads of their own: init again for the next one.
 */
int http_parser_head(struct http_parser *parser, char *data, size_t length, size_t *ret_used);

/*
 * Parses a run of a chunked body in place: payload is moved together at the start of `data`. 0 or -EPROTO.
 * *ret_used is less than length only when the message ended (parser->message_done).
 */
int http_parser_chunked(
	struct http_parser *parser, char *data, size_t length, size_t *ret_payload, size_t *ret_used);

#endif
