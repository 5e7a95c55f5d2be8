/*
 * The client side of HTTP/1.1 for backend requests: pooled connections per thread, "100 Continue" awaited where the
 * request asks for it, the reply's body as a stream.
 */
#ifndef LIB_BACKEND_CLIENT_H
#define LIB_BACKEND_CLIENT_H

#include "lib/backend/backend.h"

/* As co_backend_call(), always over the network. */
int co_client_call(const char *ip, int port, struct request *request, struct reply *reply,
	const struct backend_timeouts *timeouts);

/* As backend_set_gate(). */
void client_set_gate(bool (*may_connect)(void *context, const char *ip, int port), void *context);

/* Closes the calling thread's idle connections. */
void client_pool_release(void);

#endif
