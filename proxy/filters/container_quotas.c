#include <jansson.h>
#include <stdlib.h>

#include "proxy/filters/filters.h"
#include "proxy/filters/quota.h"
#include "proxy/filters/versioning.h"
#include "proxy/proxy_private.h"

/*
 * X-Container-Meta-Quota-Bytes and -Count: an upload that would exceed them is refused once its sender has been found
 * to be allowed to write here, so that nobody else learns of the container.
 */

static bool headers_are_good(const struct request *request, struct reply *reply)
{
	const char *bytes = headers_get(&request->headers, "X-Container-Meta-Quota-Bytes");
	const char *count = headers_get(&request->headers, "X-Container-Meta-Quota-Count");
	bool bad_bytes = bytes && *bytes && quota_parse(bytes) < 0;
	bool bad_count = count && *count && quota_parse(count) < 0;
	if (bad_bytes || bad_count)
		reply_text(reply, 400, "text/html; charset=UTF-8",
			bad_bytes ? "Invalid bytes quota." : "Invalid count quota.");
	return !bad_bytes && !bad_count;
}

/* `older`: what the versions of its objects take. */
static bool is_exceeded(const struct request *request, const struct info *container, int64_t older)
{
	int64_t bytes = quota_parse(info_header(container, "X-Container-Meta-Quota-Bytes"));
	int64_t count = quota_parse(info_header(container, "X-Container-Meta-Quota-Count"));
	int64_t more = request->content_length > 0 ? request->content_length : 0;
	return (bytes >= 0 && more > bytes - container->bytes - older) ||
	       (count >= 0 && container->object_count >= count);
}

/* True when the container has a quota. */
static bool co_check_upload(struct proxy *proxy, struct request *request)
{
	struct proxy_context *context = proxy_context_of(request);
	const struct info *container = co_container_info(proxy, request, context->account, context->container);
	if (!info_exists(container))
		return false;
	if (!info_header(container, "X-Container-Meta-Quota-Bytes") &&
		!info_header(container, "X-Container-Meta-Quota-Count"))
		return false;
	struct slice hidden = versioning_hidden_container(request->arena, container);
	int64_t older = 0;
	if (hidden.data) {
		/* every upload made it grow, those before there was a quota, too */
		info_forget(proxy, context->account, hidden);
		older = co_container_info(proxy, request, context->account, hidden)->bytes;
	}
	if (is_exceeded(request, container, older))
		context->over_quota = "Upload exceeds quota.";
	return true;
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	bool writes_container = context->container.data && !context->object.data &&
				(request->method == METHOD_PUT || request->method == METHOD_POST);
	if (writes_container && !headers_are_good(request, reply))
		return;
	bool limited =
		context->object.data && request->method == METHOD_PUT && co_check_upload(filter->context, request);
	co_filter_next(filter, request, reply);
	/* the next upload must not be judged by what was known before this one */
	if (limited && reply->status / 100 == 2)
		info_forget(filter->context, context->account, context->container);
}

struct filter filter_container_quotas(struct proxy *proxy)
{
	proxy_announce(proxy, "container_quotas", json_object());
	return (struct filter){.name = "container_quotas", .co_handle = co_handle, .context = proxy};
}
