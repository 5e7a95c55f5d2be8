#include <jansson.h>
#include <string.h>

#include "lib/base/settings.h"
#include "proxy/filters/filters.h"
#include "proxy/proxy_private.h"

/*
 * ETags of objects in quotes, as RFC 9110 wants them, where an account, a container or the configuration says so
 * (swift/common/middleware/etag_quoter.py): X-Container-Rfc-Compliant-Etags and X-Account-Rfc-Compliant-Etags, kept as
 * sysmeta.
 */

struct etag_quoter {
	struct proxy *proxy;
	bool enable_by_default;
};

struct flag_names {
	const char *client;
	const char *remove;
	const char *stored;
};

static const struct flag_names account_names = {"X-Account-Rfc-Compliant-Etags", "X-Remove-Account-Rfc-Compliant-Etags",
	"X-Account-Sysmeta-Rfc-Compliant-Etags"};
static const struct flag_names container_names = {"X-Container-Rfc-Compliant-Etags",
	"X-Remove-Container-Rfc-Compliant-Etags", "X-Container-Sysmeta-Rfc-Compliant-Etags"};

static void co_account_or_container(
	const struct filter *filter, struct request *request, const struct flag_names *names, struct reply *reply)
{
	const char *value = headers_get(&request->headers, names->client);
	const char *removed = headers_get(&request->headers, names->remove);
	if (removed && *removed)
		headers_set(&request->headers, names->stored, "");
	else if (value)
		headers_set(&request->headers, names->stored,
			!*value                    ? ""
			: config_true_value(value) ? "True"
						   : "False");
	co_filter_next(filter, request, reply);
	const char *stored = headers_get(&reply->headers, names->stored);
	if (stored)
		headers_set(&reply->headers, names->client, stored);
}

static bool co_wants_quotes(const struct etag_quoter *quoter, struct request *request)
{
	struct proxy_context *context = proxy_context_of(request);
	const struct info *container = co_container_info(quoter->proxy, request, context->account, context->container);
	if (!info_exists(container))
		return false;
	const char *flag = info_header(container, container_names.stored);
	if (!flag)
		flag = info_header(co_account_info(quoter->proxy, request, context->account), account_names.stored);
	return flag ? config_true_value(flag) : quoter->enable_by_default;
}

static bool is_quoted(const char *etag)
{
	size_t length = strlen(etag);
	return (etag[0] == '"' || strncmp(etag, "W/\"", 3) == 0) && length > 1 && etag[length - 1] == '"';
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	if (context->account.data && !context->object.data) {
		co_account_or_container(
			filter, request, context->container.data ? &container_names : &account_names, reply);
		return;
	}
	co_filter_next(filter, request, reply);
	const char *etag = context->object.data ? headers_get(&reply->headers, "Etag") : NULL;
	if (etag && !is_quoted(etag) && co_wants_quotes(filter->context, request))
		headers_set_format(&reply->headers, "Etag", "\"%s\"", etag);
}

struct filter filter_etag_quoter(struct proxy *proxy, const struct settings *settings)
{
	struct etag_quoter *quoter = arena_zalloc(proxy->arena, sizeof(*quoter));
	*quoter = (struct etag_quoter){proxy, settings->etag_quoter.enable_by_default};
	proxy_announce(proxy, "etag_quoter", json_pack("{s:b}", "enable_by_default", quoter->enable_by_default));
	return (struct filter){.name = "etag_quoter", .co_handle = co_handle, .context = quoter};
}
