/*
 * Deleting many names by one request (swift/common/middleware/bulk.py). The answer is always 200; its body tells what
 * came of it, and blanks go out while it lasts, so that the connection stays alive.
 */
#ifndef PROXY_FILTERS_BULK_DELETE_H
#define PROXY_FILTERS_BULK_DELETE_H

#include "proxy/filter.h"

struct bulk_name {
	struct slice name;         /* decoded "container/object" or "container"; slashes before it do not count */
	const char *version_id;    /* NULL: none */
	int error;                 /* a status: it cannot be deleted; 0: it can */
	const char *error_message; /* what is said about it */
};

/* Where the names come from, objects before the containers that they are in. */
struct bulk_names {
	/* 1 with the next one, whose texts live as long as the request; 0: the end; -EINVAL: `status` and `text` say why. */
	int (*co_next)(struct bulk_names *names, struct bulk_name *ret_name);
	int status;
	const char *text;
};

struct bulk_delete_options {
	const char *source; /* tag in the log: "BD", "SLO" */
	size_t concurrency;
	size_t failures_max; /* then it stops */
	uint64_t yield_frequency_ms;
	bool any_content_type; /* the client's says nothing about the names */
};

/* Fills in the reply, whose stream does the work. `names` lives as long as the request. */
void bulk_delete_begin(const struct filter *filter, struct request *request, struct bulk_names *names,
	const struct bulk_delete_options *options, struct reply *reply);

#endif
