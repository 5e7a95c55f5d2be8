/*
 * A request and its reply, the same structs at the door, between filters, and between the proxy and a server in the
 * same process: a handler cannot tell where its request came from.
 */
#ifndef LIB_HTTP_MESSAGE_H
#define LIB_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/slice.h"
#include "lib/http/body.h"
#include "lib/http/headers.h"

enum method {
	METHOD_GET,
	METHOD_HEAD,
	METHOD_PUT,
	METHOD_POST,
	METHOD_DELETE,
	METHOD_COPY,
	METHOD_OPTIONS,
	METHOD_UPDATE,
	METHOD_REPLICATE,
	METHOD_SSYNC,
	METHOD_OTHER,
};

enum method method_parse(const char *name);
const char *method_name(enum method method);

enum { TRANSACTION_ID_BYTES = 192 };

/* Digest of the whole body, known to whoever feeds it once the stream has ended: spares the receiver its own MD5. */
struct body_digest {
	bool known;
	char md5[33];
};

struct request {
	struct arena *arena; /* everything below lives here */
	enum method method;
	const char *method_text;
	struct slice path;  /* as sent, percent-encoded, without the query */
	struct slice query; /* as sent, without "?"; empty when there is none */
	struct headers headers;
	struct body *body;      /* never NULL; ends at once when the request has none */
	int64_t content_length; /* bytes of the body; -1 when chunked; 0 without a body */
	bool has_length;        /* a Content-Length header was there */
	bool chunked;
	bool http_1_0;
	bool internal;                             /* made inside this process: not counted as a client's */
	char transaction_id[TRANSACTION_ID_BYTES]; /* empty until somebody sets it */
	/* Of the client, without port, IPv4 as such even where it came by an IPv6 socket; the one that a trusted PROXY
	 * header names. "-" for internal requests. */
	const char *remote_address;
	bool tls; /* the client speaks TLS, with us or with the balancer before us: its URLs begin with https */
	struct body_digest *digest; /* NULL when the receiver must compute it */
	/* Headers to send with "100 Continue" (multi-phase PUT); NULL for none. Set before the first read of the body. */
	const struct headers *continue_headers;
	/* Ends the first chunked body and starts a second one (multi-phase PUT). NULL where the transport cannot. */
	void *transport;
	void *context; /* the receiver's own: the proxy keeps its per-request state here */
};

struct reply {
	struct arena *arena;
	int status;
	const char *reason; /* NULL: the usual text of the status */
	struct headers headers;
	struct slice text;      /* a small body, when `body` is NULL */
	struct body *body;      /* a stream; closed by whoever sends or drops the reply */
	int64_t content_length; /* bytes of the stream; -1: not known, sent chunked. Ignored for `text` */
	bool close;             /* the connection must not be used again */
	/* Called once the reply was sent or given up: bytes of the body that went out, and 0 or the error (-ECONNRESET:
	 * the client went away). NULL for none. */
	void (*finished)(struct request *request, struct reply *reply, uint64_t bytes_sent, int error, void *argument);
	void *finished_argument;
};

/* A handler fills in the reply; it always sets a status. May sleep. */
typedef void co_handler_function(void *context, struct request *request, struct reply *reply);

/* An empty request and reply with their headers in the arena. request->body is an empty stream. */
void request_init(struct request *request, struct arena *arena, enum method method);
void reply_init(struct reply *reply, struct arena *arena);

/* Forgets what the reply held (closing its stream) so that another handler can fill it. */
void reply_reset(struct reply *reply);

/* Sets status and a text/html body in Swift's words, e.g. <html><h1>Not Found</h1><p>…</p></html>. */
void reply_status(struct reply *reply, int status);
/* Sets status and a body of the given type. `text` must live as long as the arena. */
void reply_text(struct reply *reply, int status, const char *content_type, const char *text);
/* Sets status with an empty body. */
void reply_empty(struct reply *reply, int status);

/* The usual reason phrase, e.g. 416 "Requested Range Not Satisfiable" as Swift has it. */
const char *status_reason(int status);

/* Calls reply->finished, if any, and forgets it; closes the stream. */
void reply_finish(struct request *request, struct reply *reply, uint64_t bytes_sent, int error);

#endif
