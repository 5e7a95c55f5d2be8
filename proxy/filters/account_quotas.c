#include <jansson.h>
#include <stdlib.h>

#include "proxy/filters/filters.h"
#include "proxy/filters/quota.h"
#include "proxy/proxy_private.h"

/*
 * Quotas of accounts: bytes and objects, in all and for each storage policy. Reseller admins set them by
 * X-Account-Quota-Bytes, -Quota-Count and the same with -Policy-<name>; they are stored as sysmeta, with the policy's
 * index. Everybody who may see the account sees them; reseller admins' own uploads are not held to them.
 */

static const char *const quota_names[] = {"Quota-Bytes", "Quota-Count"};

/* ---- setting ---- */

/* What the request wants of one quota: NULL nothing, "" its removal. */
static const char *wanted(struct request *request, const char *tail)
{
	struct arena *arena = request->arena;
	const char *removed = headers_get(&request->headers, arena_printf(arena, "X-Remove-Account-%s", tail));
	if (removed && *removed)
		return "";
	return headers_get(&request->headers, arena_printf(arena, "X-Account-%s", tail));
}

/* One quota of the request becomes sysmeta. False: the reply is set. */
static bool take_quota(struct request *request, const char *tail, const char *stored_tail, struct reply *reply)
{
	const char *value = wanted(request, tail);
	if (!value)
		return true;
	if (!proxy_context_of(request)->reseller_request) {
		reply_status(reply, 403);
		return false;
	}
	if (*value && quota_parse(value) < 0) {
		reply_status(reply, 400);
		return false;
	}
	headers_set(&request->headers, arena_printf(request->arena, "X-Account-Sysmeta-%s", stored_tail), value);
	return true;
}

/* X-Account-Meta-Quota-Bytes is how it was said before. */
static void take_old_names(struct request *request)
{
	static const char *const names[][2] = {{"X-Account-Meta-Quota-Bytes", "X-Account-Quota-Bytes"},
		{"X-Remove-Account-Meta-Quota-Bytes", "X-Remove-Account-Quota-Bytes"}};
	for (size_t i = 0; i < 2; i++) {
		const char *value = headers_get(&request->headers, names[i][0]);
		const char *newer = headers_get(&request->headers, names[i][1]);
		/* that it is there removes the old one, whatever it says */
		if (value && !(newer && *newer))
			headers_set(&request->headers, names[i][1], i == 1 && !*value ? "x" : value);
	}
}

static bool take_quotas(const struct proxy *proxy, struct request *request, struct reply *reply)
{
	take_old_names(request);
	for (size_t i = 0; i < 2; i++) {
		if (!take_quota(request, quota_names[i], quota_names[i], reply))
			return false;
		for (size_t j = 0; j < proxy->options.policy_count; j++) {
			const struct proxy_policy *policy = &proxy->options.policies[j];
			const char *tail = arena_printf(request->arena, "%s-Policy-%s", quota_names[i], policy->name);
			const char *stored =
				arena_printf(request->arena, "%s-Policy-%d", quota_names[i], policy->index);
			if (!take_quota(request, tail, stored, reply))
				return false;
		}
	}
	return true;
}

static void show(struct reply *reply, const char *tail, const char *stored_tail)
{
	const char *value =
		headers_get(&reply->headers, arena_printf(reply->arena, "X-Account-Sysmeta-%s", stored_tail));
	if (value && *value)
		headers_set(&reply->headers, arena_printf(reply->arena, "X-Account-%s", tail), value);
}

static void show_quotas(const struct proxy *proxy, struct reply *reply)
{
	for (size_t i = 0; i < 2; i++) {
		show(reply, quota_names[i], quota_names[i]);
		for (size_t j = 0; j < proxy->options.policy_count; j++) {
			const struct proxy_policy *policy = &proxy->options.policies[j];
			show(reply, arena_printf(reply->arena, "%s-Policy-%s", quota_names[i], policy->name),
				arena_printf(reply->arena, "%s-Policy-%d", quota_names[i], policy->index));
		}
	}
}

/* ---- keeping ---- */

static bool exceeds(int64_t quota, int64_t used, int64_t more)
{
	return quota >= 0 && (used > quota || more > quota - used);
}

static int64_t number_of(const struct info *info, const char *name)
{
	const char *text = info_header(info, name);
	return text ? strtoll(text, NULL, 10) : 0;
}

static bool account_is_full(const struct info *account, int64_t more)
{
	const char *bytes = info_header(account, "X-Account-Sysmeta-Quota-Bytes");
	if (!bytes)
		bytes = info_header(account, "X-Account-Meta-Quota-Bytes");
	const char *count = info_header(account, "X-Account-Sysmeta-Quota-Count");
	return exceeds(quota_parse(bytes), account->bytes, more) ||
	       exceeds(quota_parse(count), account->object_count, 1);
}

static bool policy_is_full(
	struct request *request, const struct info *account, const struct proxy_policy *policy, int64_t more)
{
	struct arena *arena = request->arena;
	int64_t bytes = quota_parse(
		info_header(account, arena_printf(arena, "X-Account-Sysmeta-Quota-Bytes-Policy-%d", policy->index)));
	int64_t count = quota_parse(
		info_header(account, arena_printf(arena, "X-Account-Sysmeta-Quota-Count-Policy-%d", policy->index)));
	if (bytes < 0 && count < 0)
		return false;
	const char *prefix = arena_printf(arena, "X-Account-Storage-Policy-%s", policy->name);
	int64_t bytes_used = number_of(account, arena_printf(arena, "%s-Bytes-Used", prefix));
	int64_t objects = number_of(account, arena_printf(arena, "%s-Object-Count", prefix));
	return exceeds(bytes, bytes_used, more) || exceeds(count, objects, 1);
}

static void co_check_upload(struct proxy *proxy, struct request *request)
{
	struct proxy_context *context = proxy_context_of(request);
	const struct info *account = co_account_info(proxy, request, context->account);
	if (!info_exists(account))
		return;
	int64_t more = request->content_length > 0 ? request->content_length : 0;
	if (account_is_full(account, more)) {
		context->over_quota = "Upload exceeds quota.";
		return;
	}
	const struct info *container = co_container_info(proxy, request, context->account, context->container);
	const struct proxy_policy *policy = proxy_policy_by_index(proxy, container->policy_index);
	if (info_exists(container) && policy && policy_is_full(request, account, policy, more))
		context->over_quota = "Upload exceeds policy quota.";
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct proxy *proxy = filter->context;
	struct proxy_context *context = proxy_context_of(request);
	bool is_account = context->account.data && !context->container.data;
	bool writes = request->method == METHOD_POST || request->method == METHOD_PUT;
	if (is_account && writes && !take_quotas(proxy, request, reply))
		return;
	if (context->object.data && request->method == METHOD_PUT && !context->reseller_request)
		co_check_upload(proxy, request);
	co_filter_next(filter, request, reply);
	if (is_account)
		show_quotas(proxy, reply);
}

struct filter filter_account_quotas(struct proxy *proxy)
{
	proxy_announce(proxy, "account_quotas", json_object());
	return (struct filter){.name = "account_quotas", .co_handle = co_handle, .context = proxy};
}
