/*
 * Requests without a client: those of the background work (proxy/daemons). They run the application alone, without the
 * filters before it: nobody is asked who may, hidden names are allowed, no line goes to the access log. Each unit of
 * work has a request of its own to begin with, whose transaction id all that it causes carries; from it the functions of
 * proxy/inner_request.h make the requests that are sent, with the client's `filter`:
 *
 *	struct request *base = internal_client_begin(client, arena);
 *	struct request *request = inner_request_new(arena, base, &(struct inner_request){.method = METHOD_DELETE, …});
 *	int status = co_internal_client_status(client, request);
 */
#ifndef PROXY_INTERNAL_CLIENT_H
#define PROXY_INTERNAL_CLIENT_H

#include "proxy/inner_request.h"

struct internal_client {
	struct proxy *proxy;
	const char *source;   /* tag of who asks, as Swift's swift.source, e.g. "EXP" */
	struct filter filter; /* its next one is the application */
};

/* After the last filter of the proxy was added. The texts must live as long as the client. */
void internal_client_init(struct internal_client *client, struct proxy *proxy, const char *source);

/* The request that a unit of work begins with, at the time of now. The running coroutine logs with its transaction id. */
struct request *internal_client_begin(struct internal_client *client, struct arena *arena);

/* Sends it and drops the answer's body. The status; 503 when the answer broke off. */
int co_internal_client_status(struct internal_client *client, struct request *request);

#endif
