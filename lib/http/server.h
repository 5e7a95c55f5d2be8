/*
 * The server side of HTTP/1.1. A connection is an event and a small struct while idle; a request in flight is one
 * coroutine, which reads the head, calls the handler and sends the reply. One server per loop and listener set; a
 * connection stays on its loop.
 *
 * A request holds one of requests_max places only while we work for it. As soon as it waits for a peer that is slow
 * (lib/co/pace.h) it holds one of slow_max, so that slow clients, however many, shut nobody else out.
 *
 * Framing errors are answered once with "Connection: close". A handler that does not read its request's body to the end
 * has the rest dropped up to HTTP_DRAIN_BYTES_MAX, then the connection is closed.
 */
#ifndef LIB_HTTP_SERVER_H
#define LIB_HTTP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/metrics.h"
#include "lib/http/entrance.h"
#include "lib/http/message.h"
#include "lib/http/parser.h"

enum { HTTP_DRAIN_BYTES_MAX = 65536 };

struct http_server;

struct http_server_options {
	co_handler_function *handler;
	void *context;
	enum metric_role role;         /* under which connections and refusals are counted */
	struct http_limits limits;     /* of a request's head */
	size_t requests_max;           /* in flight on this loop, slow ones apart; above: 503 with Retry-After */
	size_t slow_max;               /* heads, bodies and replies that wait for a slow peer; above: 408 */
	size_t connections_max;        /* open on this loop; above: 503 and closed */
	size_t buffer_bytes_max;       /* in blocks of this thread; above: 503, and slow ones 408. 0: no limit */
	uint64_t head_timeout_ms;      /* from the first byte of a head to its end */
	uint64_t client_timeout_ms;    /* for each wait in a body, either direction */
	uint64_t keepalive_timeout_ms; /* an idle connection is closed after that */
	uint64_t handshake_timeout_ms; /* from accepting to the end of what its listener's door asks */
	uint64_t rate_min;             /* bytes a second below which a peer that is waited for is slow; 0: none is */
	uint64_t rate_window_ms;       /* after so much waiting, a slow one is given up; CO_FOREVER: never */
	/* Called for a head that could not be parsed, so that it is logged and gets its transaction id. May be NULL. */
	void (*refused)(void *context, struct request *request, struct reply *reply);
};

/* A server on the current loop. The options are copied. */
struct http_server *http_server_new(const struct http_server_options *options);

/*
 * Takes over a listening descriptor (closed by http_server_stop). `door` says what a connection must pass before its
 * first request, NULL: nothing; it must live as long as the server. 0 or -errno.
 */
int http_server_listen(struct http_server *server, int fd, const struct http_door *door);

/* Stops listening and closes idle connections; those in flight end after their reply. */
void http_server_stop(struct http_server *server);

/* Open connections. */
size_t http_server_connections(const struct http_server *server);

/* Frees the server; all connections must have ended. NULL is accepted. */
void http_server_free(struct http_server *server);

#endif
