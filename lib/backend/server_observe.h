/*
 * What an account, container or object server shows of its requests: metrics, statsd, a line in the access log. Stands
 * around the server's handler, whether the request came over the network or from this process. Lines that are logged
 * meanwhile carry the transaction id of the request's X-Trans-Id.
 */
#ifndef LIB_BACKEND_SERVER_OBSERVE_H
#define LIB_BACKEND_SERVER_OBSERVE_H

#include "lib/base/metrics.h"
#include "lib/http/message.h"

struct server_observed {
	enum metric_role role;
	const char *name; /* "object-server"; the texts must live as long as the server */
	const char *
		product; /* "object-server/1.2": the Server header of OPTIONS, from which swift-recon learns the type */
	bool log_network; /* requests that came over the network, and failures, have a line in the access log */
	bool log_inside;  /* those from this process have one, too */
	co_handler_function *handler;
	void *context;
};

/* A co_handler_function; `observed` is a struct server_observed. */
void co_server_observe(void *observed, struct request *request, struct reply *reply);

#endif
