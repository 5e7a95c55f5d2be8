/*
 * What the files of the static web filter share: how a container wants to be shown, and pages made of listings.
 */
#ifndef PROXY_FILTERS_STATICWEB_H
#define PROXY_FILTERS_STATICWEB_H

#include <jansson.h>

#include "lib/base/buf.h"
#include "proxy/proxy_private.h"

/* X-Container-Meta-Web-*, without blanks around; all empty when the container is not there. */
struct site {
	struct slice index;
	struct slice error;
	struct slice listings;
	struct slice listings_css;
	struct slice listings_label;
	struct slice directory_type;
};

/* A page of the names behind a prefix. */
struct staticweb_page {
	const struct site *site;
	struct slice path;   /* of the request, decoded */
	struct slice prefix; /* of the names; may be empty */
	/* of a temporary URL with a prefix: that prefix, and the query to put behind each link; empty without one */
	struct slice tempurl_prefix;
	struct slice tempurl_query;
};

/* The listing as HTML, as swift/common/middleware/staticweb.py writes it; `rows` are Swift's JSON. Above 32 MiB further rows
 * are left out, as a listing ends anyway at as many names as the server gives at once. */
void co_staticweb_listing(const struct staticweb_page *page, json_t *rows, struct buf *html);

/* The page that stands for a listing where there is to be none. */
void staticweb_disabled(const struct staticweb_page *page, struct buf *html);

#endif
