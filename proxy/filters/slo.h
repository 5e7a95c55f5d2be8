/*
 * What the files of the static large object filter share.
 */
#ifndef PROXY_FILTERS_SLO_H
#define PROXY_FILTERS_SLO_H

#include "lib/base/settings.h"
#include "proxy/filters/slo_manifest.h"
#include "proxy/proxy_private.h"

#define SLO_ETAG_HEADER "X-Object-Sysmeta-Slo-Etag"
#define SLO_SIZE_HEADER "X-Object-Sysmeta-Slo-Size"

enum { SLO_MANIFEST_READ_MAX = 64 << 20 }; /* a stored manifest, written with other limits perhaps */

struct slo {
	struct proxy *proxy;
	const struct settings *settings;
};

/* GET and HEAD of an object that may be a manifest. */
void co_slo_get(const struct filter *filter, struct request *request, struct reply *reply);
/* PUT with multipart-manifest=put. */
void co_slo_put(const struct filter *filter, struct request *request, struct reply *reply);
/* DELETE with multipart-manifest=delete. */
void co_slo_delete(const struct filter *filter, struct request *request, struct reply *reply);

/* The filter's own handler: requests that it sends to itself see large objects as such. */
void co_slo_handle(const struct filter *filter, struct request *request, struct reply *reply);

/* The decoded value of a parameter of the request's query, or NULL. */
const char *slo_parameter(struct request *request, const char *name);

#endif
