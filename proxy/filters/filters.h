/*
 * The filters of the pipeline, leftmost first as in Swift's reference pipeline. Each constructor
 * returns a struct filter for proxy_add_filter(). The auth filter has a header of its own.
 */
#ifndef PROXY_FILTERS_FILTERS_H
#define PROXY_FILTERS_FILTERS_H

#include "proxy/filter.h"

struct proxy;

/* Internal headers neither in nor out (swift/common/middleware/gatekeeper.py). */
struct filter filter_gatekeeper(struct proxy *proxy);
/* /healthcheck: "OK", or 503 "DISABLED BY FILE". */
struct filter filter_healthcheck(struct proxy *proxy);
/* One line per finished request in Swift's fields (swift/common/middleware/proxy_logging.py). */
struct filter filter_proxy_logging(struct proxy *proxy);
/* The same line for a request whose head could not be parsed, which no filter sees. */
void proxy_logging_refused(struct request *request, struct reply *reply);
/* Chooses the form of listings and hands it on as `format`
 * (swift/common/middleware/listing_formats.py). */
struct filter filter_listing_formats(struct proxy *proxy);
/* COPY and X-Copy-From as GET and PUT (swift/common/middleware/copy.py). */
struct filter filter_copy(struct proxy *proxy);

#endif
