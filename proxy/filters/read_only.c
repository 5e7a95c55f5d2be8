#include <jansson.h>

#include "lib/base/settings.h"
#include "lib/swift/url.h"
#include "proxy/filters/filters.h"
#include "proxy/proxy_private.h"

/*
 * A cluster, or single accounts (X-Account-Sysmeta-Read-Only, set behind the gatekeeper), take no writes
 * (swift/common/middleware/read_only.py).
 */

struct read_only {
	struct proxy *proxy;
	const struct settings *settings;
};

static bool is_write(const struct settings *settings, enum method method)
{
	return method == METHOD_COPY || method == METHOD_POST || method == METHOD_PUT ||
	       (method == METHOD_DELETE && !settings->read_only.allow_deletes);
}

static bool co_account_is_read_only(const struct read_only *read_only, struct request *request, struct slice account)
{
	const struct info *info = co_account_info(read_only->proxy, request, account);
	const char *own = info_header(info, "X-Account-Sysmeta-Read-Only");
	return own && *own ? config_true_value(own) : read_only->settings->read_only.read_only;
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct read_only *read_only = filter->context;
	struct proxy_context *context = proxy_context_of(request);
	if (context->account.data && is_write(read_only->settings, request->method)) {
		struct slice account = context->account;
		const char *other = headers_get(&request->headers, "Destination-Account");
		if (request->method == METHOD_COPY && other && *other)
			account = url_decode(request->arena, slice_from(other), false);
		if (co_account_is_read_only(read_only, request, account)) {
			reply_text(reply, 405, "text/html; charset=UTF-8", "Writes are disabled for this account.");
			return;
		}
	}
	co_filter_next(filter, request, reply);
}

struct filter filter_read_only(struct proxy *proxy, const struct settings *settings)
{
	struct read_only *read_only = arena_zalloc(proxy->arena, sizeof(*read_only));
	*read_only = (struct read_only){proxy, settings};
	if (settings->read_only.read_only)
		proxy_announce(proxy, "read_only", json_object());
	return (struct filter){.name = "read_only", .co_handle = co_handle, .context = read_only};
}
