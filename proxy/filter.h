/*
 * The proxy is a chain of filters with the application (controllers) at its end, in the order of
 * Swift's pipeline. A filter answers a request itself, or passes it on and may look at the reply on
 * its way back. Filters keep nothing between requests except what their own context holds.
 */
#ifndef PROXY_FILTER_H
#define PROXY_FILTER_H

#include "lib/http/message.h"

struct filter {
	const char *name;
	/* Like a handler; calls co_filter_next() to pass the request on, once at most. */
	void (*co_handle)(const struct filter *filter, struct request *request, struct reply *reply);
	void *context;
	const struct filter *next; /* NULL for the application */
};

static inline void co_filter_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	filter->co_handle(filter, request, reply);
}

static inline void co_filter_next(const struct filter *filter, struct request *request, struct reply *reply)
{
	filter->next->co_handle(filter->next, request, reply);
}

#endif
