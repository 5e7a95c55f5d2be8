/*
 * What other controllers need of the account controller.
 */
#ifndef PROXY_ACCOUNT_H
#define PROXY_ACCOUNT_H

#include <stdbool.h>

#include "proxy/proxy.h"

/* Creates the request's account on its servers, if autocreate is on. True when it exists now. */
bool co_account_autocreate(struct proxy *proxy, struct request *request);

#endif
