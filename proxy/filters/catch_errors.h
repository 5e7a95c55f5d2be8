/*
 * What stands around every request (Swift's catch_errors): its context and transaction id, and the
 * id in the reply.
 */
#ifndef PROXY_FILTERS_CATCH_ERRORS_H
#define PROXY_FILTERS_CATCH_ERRORS_H

#include "proxy/proxy.h"

/* Makes request->context and request->transaction_id, and takes the path apart. */
void catch_errors_begin(struct proxy *proxy, struct request *request);
/* Takes the path apart again, after a filter has changed it. */
void context_take_path(struct request *request);
/* X-Trans-Id and X-Openstack-Request-Id. */
void catch_errors_end(struct request *request, struct reply *reply);

#endif
