/*
 * What the files of the bulk filter share.
 */
#ifndef PROXY_FILTERS_BULK_H
#define PROXY_FILTERS_BULK_H

#include "lib/base/settings.h"
#include "proxy/proxy_private.h"

struct bulk {
	struct proxy *proxy;
	const struct settings *settings;
};

/* PUT with extract-archive: "tar", "tar.gz" or "tar.bz2". */
void co_bulk_upload(const struct filter *filter, struct request *request, const char *format, struct reply *reply);

#endif
