/*
 * One side of a connection in HTTP/1.1, shared by the server and the client: the bytes that were read but not used yet,
 * and bodies in both directions.
 */
#ifndef LIB_HTTP_WIRE_H
#define LIB_HTTP_WIRE_H

#include "lib/co/socket.h"
#include "lib/http/body.h"
#include "lib/http/message.h"
#include "lib/http/parser.h"

/* Bytes that arrived: [start, end) of the block. No block while nothing is left over. */
struct wire_input {
	struct block *block;
	size_t start;
	size_t end;
};

void wire_input_release(struct wire_input *input);

/*
 * Reads one head into the parser; what follows stays in `input`. The head's texts live in a block that is kept until
 * the arena ends. 1: complete. 0: the peer closed before its first byte. -ETIMEDOUT, -ECONNRESET, -EPROTO (see
 * parser->status).
 */
int co_wire_read_head(struct co_socket *socket, struct wire_input *input, struct http_parser *parser,
	struct arena *arena, uint64_t deadline_ms);

/* A body as it comes off a socket. */
struct wire_body {
	struct body body;
	struct co_socket *socket;
	struct wire_input *input;
	struct http_parser *parser; /* of the head; goes on with a chunked body */
	uint64_t left;              /* bytes still to come; UINT64_MAX: until the peer closes */
	uint64_t timeout_ms;        /* for each wait */
	uint64_t deadline_ms;       /* for all of them */
	uint64_t received;          /* bytes of payload handed out */
	unsigned int runs;          /* blocks since the last wait */
	int error;                  /* why it ended early */
	bool ended;                 /* all of it was read: the connection stands at the next message */
	/* Sent before the first byte is awaited ("100 Continue"); NULL for none. 0 or -errno. */
	int (*co_before_read)(struct wire_body *body);
	void *owner;
};

void wire_body_init(struct wire_body *body, struct co_socket *socket, struct wire_input *input,
	struct http_parser *parser, uint64_t timeout_ms);

/* The next piece: what body.operations->co_next does. */
int co_wire_body_next(struct wire_body *body, struct chunk *ret_chunk);

/* Sends the chunk as the body's framing wants it. 0 or -errno. */
int co_wire_send(
	struct co_socket *socket, struct slice head, const struct chunk *chunk, bool chunked, uint64_t timeout_ms);
/* The last chunk. */
int co_wire_send_end(struct co_socket *socket, uint64_t timeout_ms);

#endif
