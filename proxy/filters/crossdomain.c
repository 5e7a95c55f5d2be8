#include <jansson.h>

#include "lib/base/settings.h"
#include "proxy/filters/filters.h"
#include "proxy/proxy_private.h"

/* GET /crossdomain.xml (swift/common/middleware/crossdomain.py). */

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct settings *settings = filter->context;
	if (request->method != METHOD_GET || !slice_equal(request->path, SLICE_LITERAL("/crossdomain.xml"))) {
		co_filter_next(filter, request, reply);
		return;
	}
	const char *text = arena_printf(reply->arena,
		"<?xml version=\"1.0\"?>\n"
		"<!DOCTYPE cross-domain-policy SYSTEM \"http://www.adobe.com/xml/dtds/cross-domain-policy.dtd\" >\n"
		"<cross-domain-policy>\n%s\n</cross-domain-policy>",
		settings->crossdomain.cross_domain_policy);
	reply_text(reply, 200, "application/xml", text);
}

struct filter filter_crossdomain(struct proxy *proxy, const struct settings *settings)
{
	if (settings->crossdomain.enabled)
		proxy_announce(proxy, "crossdomain", json_object());
	return (struct filter){.name = "crossdomain", .co_handle = co_handle, .context = (void *)settings};
}
