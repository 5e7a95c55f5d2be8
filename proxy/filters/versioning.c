#include "proxy/filters/versioning.h"

#include "lib/base/settings.h"
#include "proxy/filters/filters.h"

/*
 * Versions of objects in a hidden container (swift/common/middleware/versioned_writes/object_versioning.py): which requests
 * are of interest.
 */

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	const struct constraints *constraints = &context->proxy->options.constraints;
	/* what the application refuses anyway must not get further than it */
	bool known = context->version && context->account.data &&
		     constraints_api_version_valid(constraints, slice_from(context->version)) &&
		     constraints_text_valid(context->account, false) &&
		     (!context->container.data || constraints_text_valid(context->container, false));
	if (!known || (context->container.data && context->allow_reserved_names))
		co_filter_next(filter, request, reply);
	else if (context->object.data)
		co_versioning_object(filter, request, reply);
	else if (context->container.data)
		co_versioning_container(filter, request, reply);
	else if (request->method == METHOD_GET && !context->allow_reserved_names)
		co_versioning_account(filter, request, reply);
	else
		co_filter_next(filter, request, reply);
}

struct filter filter_object_versioning(struct proxy *proxy, const struct settings *settings)
{
	if (settings->versioned_writes.allow_object_versioning)
		proxy_announce(proxy, "object_versioning", json_object());
	return (struct filter){.name = "object_versioning", .co_handle = co_handle, .context = proxy};
}
