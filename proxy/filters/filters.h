/*
 * The filters of the pipeline, leftmost first as in Swift's reference pipeline. Each constructor
 * returns a struct filter for proxy_add_filter(). The auth filter has a header of its own.
 */
#ifndef PROXY_FILTERS_FILTERS_H
#define PROXY_FILTERS_FILTERS_H

#include "proxy/filter.h"

struct proxy;
struct settings;

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
/* Host names that are aliases of ours (swift/common/middleware/cname_lookup.py). */
struct filter filter_cname_lookup(struct proxy *proxy, const struct settings *settings);
/* Accounts and containers in host names (swift/common/middleware/domain_remap.py). */
struct filter filter_domain_remap(struct proxy *proxy, const struct settings *settings);
/* Slows down writers and listers (swift/common/middleware/ratelimit.py). */
struct filter filter_ratelimit(struct proxy *proxy, const struct settings *settings);
/* Refuses writes to accounts or the whole cluster (swift/common/middleware/read_only.py). */
struct filter filter_read_only(struct proxy *proxy, const struct settings *settings);
/* Refuses names that others cannot hold (swift/common/middleware/name_check.py). */
struct filter filter_name_check(struct proxy *proxy, const struct settings *settings);
/* GET /crossdomain.xml (swift/common/middleware/crossdomain.py). */
struct filter filter_crossdomain(struct proxy *proxy, const struct settings *settings);
/* GET /endpoints/…: where the copies are (swift/common/middleware/list_endpoints.py). */
struct filter filter_list_endpoints(struct proxy *proxy, const struct settings *settings);
/* ETags in quotes where it is wanted (swift/common/middleware/etag_quoter.py). */
struct filter filter_etag_quoter(struct proxy *proxy, const struct settings *settings);
/* 413 for uploads over the account's or the container's quota (Swift's account_quotas and container_quotas). */
struct filter filter_account_quotas(struct proxy *proxy);
struct filter filter_container_quotas(struct proxy *proxy);
/* Archives unpacked on arrival, many deletions by one request (swift/common/middleware/bulk.py). */
struct filter filter_bulk(struct proxy *proxy, const struct settings *settings);
/* Temporary URLs (swift/common/middleware/tempurl.py). */
struct filter filter_tempurl(struct proxy *proxy, const struct settings *settings);
/* Static large objects (swift/common/middleware/slo.py). */
struct filter filter_slo(struct proxy *proxy, const struct settings *settings);
/* Dynamic large objects (swift/common/middleware/dlo.py). */
struct filter filter_dlo(struct proxy *proxy, const struct settings *settings);
/* Uploads by forms of browsers (swift/common/middleware/formpost.py). */
struct filter filter_formpost(struct proxy *proxy, const struct settings *settings);
/* Containers as web sites (swift/common/middleware/staticweb.py). */
struct filter filter_staticweb(struct proxy *proxy, const struct settings *settings);
/* Versions of objects, by X-Versions-Location and X-History-Location
 * (swift/common/middleware/versioned_writes/legacy.py). */
struct filter filter_versioned_writes(struct proxy *proxy, const struct settings *settings);
/* The same by X-Versions-Enabled (swift/common/middleware/versioned_writes/object_versioning.py); needs symlinks. */
struct filter filter_object_versioning(struct proxy *proxy, const struct settings *settings);
/* Objects that stand for another one (swift/common/middleware/symlink.py). */
struct filter filter_symlink(struct proxy *proxy, const struct settings *settings);
/* COPY and X-Copy-From as GET and PUT (swift/common/middleware/copy.py). */
struct filter filter_copy(struct proxy *proxy);

#endif
