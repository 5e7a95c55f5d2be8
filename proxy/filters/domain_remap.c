#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "lib/swift/url.h"
#include "proxy/filters/catch_errors.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/host_rewrite.h"
#include "proxy/proxy_private.h"

/*
 * container.AUTH-account.example.com/object means /v1/AUTH_account/container/object
 * (swift/common/middleware/domain_remap.py).
 */

/* The account's name with its prefix in the right case, or NULL when it is none of ours. */
static const char *account_of(const struct settings *settings, struct arena *arena, struct slice label)
{
	char *account = arena_strndup(arena, label.data, label.length);
	const struct text_list *prefixes = &settings->domain_remap.reseller_prefixes;
	if (prefixes->count == 0)
		return account;
	char *dash = strchr(account, '-');
	if (dash && !strchr(account, '_'))
		*dash = '_';
	size_t length = strcspn(account, "_");
	for (size_t i = 0; i < prefixes->count; i++) {
		const char *prefix = prefixes->items[i];
		if (strlen(prefix) == length && strncasecmp(account, prefix, length) == 0)
			return arena_printf(arena, "%s%s", prefix, account + length);
	}
	const char *fallback = settings->domain_remap.default_reseller_prefix;
	return *fallback ? arena_printf(arena, "%s_%s", fallback, account) : NULL;
}

/* "container.account" or "account". False: more labels than that. */
static bool split_labels(struct slice front, struct slice *ret_container, struct slice *ret_account)
{
	const char *dot = memchr(front.data, '.', front.length);
	*ret_container = SLICE_NONE;
	*ret_account = front;
	if (!dot)
		return true;
	size_t first = (size_t)(dot - front.data);
	*ret_container = slice_of(front.data, first);
	*ret_account = slice_of(dot + 1, front.length - first - 1);
	return memchr(ret_account->data, '.', ret_account->length) == NULL;
}

static struct slice new_path(
	const struct settings *settings, struct request *request, const char *account, struct slice container)
{
	const char *root = settings->domain_remap.path_root;
	root += strspn(root, "/");
	int root_length = (int)strcspn(root, "/");
	struct slice path = slice_of(request->path.data + 1, request->path.length - 1);
	bool has_root = path.length >= (size_t)root_length && memcmp(path.data, root, (size_t)root_length) == 0 &&
			(path.length == (size_t)root_length || path.data[root_length] == '/');
	if (settings->domain_remap.mangle_client_paths && has_root) {
		size_t skipped = path.length == (size_t)root_length ? path.length : (size_t)root_length + 1;
		path = slice_of(path.data + skipped, path.length - skipped);
	}
	struct slice quoted = url_encode(request->arena, slice_from(account), false);
	return slice_from(arena_printf(request->arena, "/%.*s/%.*s%s%.*s/%.*s", root_length, root, SLICE_PRINT(quoted),
		container.length ? "/" : "", SLICE_PRINT(container), SLICE_PRINT(path)));
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct settings *settings = filter->context;
	struct slice host, port, front, container, label;
	if (!host_split(request, &host, &port) ||
		!host_is_below(host, &settings->domain_remap.storage_domain, &front) || front.length == 0 ||
		request->path.length == 0) {
		co_filter_next(filter, request, reply);
		return;
	}
	if (!split_labels(front, &container, &label)) {
		reply_text(reply, 400, "text/plain", "Bad domain in host header");
		return;
	}
	const char *account = account_of(settings, request->arena, label);
	if (!account) {
		co_filter_next(filter, request, reply);
		return;
	}
	struct slice old = request->path;
	request->path = new_path(settings, request, account, container);
	context_take_path(request);
	co_filter_next(filter, request, reply);
	host_rewrite_locations(reply, request->path, old, true);
}

struct filter filter_domain_remap(struct proxy *proxy, const struct settings *settings)
{
	const char *prefix = settings->domain_remap.default_reseller_prefix;
	if (settings->domain_remap.storage_domain.count)
		proxy_announce(
			proxy, "domain_remap", json_pack("{s:s?}", "default_reseller_prefix", *prefix ? prefix : NULL));
	return (struct filter){.name = "domain_remap", .co_handle = co_handle, .context = (void *)settings};
}
