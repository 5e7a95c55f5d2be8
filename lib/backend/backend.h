/*
 * Requests to account, container and object servers. A server of this very process is called
 * directly: same handler, same headers, no socket. Any other is spoken to in HTTP/1.1 over pooled
 * connections. Callers and handlers cannot tell which.
 *
 * Where requests may go is decided by the caller from its rings alone, never from a request's
 * headers.
 */
#ifndef LIB_BACKEND_BACKEND_H
#define LIB_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/http/message.h"

enum backend_service { BACKEND_ACCOUNT, BACKEND_CONTAINER, BACKEND_OBJECT, BACKEND_SERVICE_COUNT };

/* Registers this process's own server for (ip, port); before the loops run. The texts must live for
 * good. */
void backend_register_local(
	enum backend_service service, const char *ip, int port, co_handler_function *handler, void *context);

struct backend_timeouts {
	uint64_t connect_ms; /* Swift's conn_timeout */
	uint64_t node_ms;    /* Swift's node_timeout: for each wait on the peer */
};

/*
 * Sends `request` to the server and fills in the reply (reply->body streams from it and must be
 * closed by reply_finish or body_close). request->body is pulled when the server is ready for it:
 * after its "100 Continue" when the request carries Expect, at its first read in this process; so
 * the first pull tells the caller that the server is willing. request->path is
 * "/device/partition/account/…", percent-encoded.
 *
 * Returns 0, or the server could not be had: -ECONNREFUSED and other connect errors, -ETIMEDOUT,
 * -ECONNRESET, -EPROTO. An error of request->body itself ends the exchange: the peer sees a broken
 * request, the caller -ECANCELED.
 */
int co_backend_call(enum backend_service service, const char *ip, int port, struct request *request,
	struct reply *reply, const struct backend_timeouts *timeouts);

/* True when (ip, port) is a server of this process. */
bool backend_is_local(enum backend_service service, const char *ip, int port);

/*
 * Asked before each new connection to another process: whether anything is to be found at (ip, port) at all. One that
 * is refused answers -EACCES. Set before the loops run; without one all are welcome. From any thread.
 */
void backend_set_gate(bool (*may_connect)(void *context, const char *ip, int port), void *context);

/* Closes the calling thread's idle connections (at the end of a thread). */
void backend_pool_release(void);

#endif
