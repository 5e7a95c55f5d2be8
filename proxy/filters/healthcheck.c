#include <unistd.h>

#include "proxy/filters/filters.h"
#include "proxy/proxy_private.h"

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct proxy *proxy = filter->context;
	if (!slice_equal(request->path, SLICE_LITERAL("/healthcheck"))) {
		co_filter_next(filter, request, reply);
		return;
	}
	const char *disable_path = proxy->options.disable_path;
	if (disable_path && *disable_path && access(disable_path, F_OK) == 0)
		reply_text(reply, 503, "text/plain", "DISABLED BY FILE");
	else
		reply_text(reply, 200, "text/plain", "OK");
}

struct filter filter_healthcheck(struct proxy *proxy)
{
	return (struct filter){.name = "healthcheck", .co_handle = co_handle, .context = proxy};
}
