/*
 * The application at the end of the chain: checks the path, picks the controller, and what
 * controllers share.
 */
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/swift/url.h"
#include "proxy/proxy_private.h"

void reply_plain(struct reply *reply, int status, const char *text)
{
	reply_text(reply, status, "text/plain", text);
}

void reply_not_allowed(struct reply *reply, const char *allow)
{
	reply_status(reply, 405);
	headers_set(&reply->headers, "Allow", allow);
}

void log_unavailable(const struct request *request, enum backend_service service, const int *statuses, size_t count)
{
	struct buf list = BUF_INIT;
	for (size_t i = 0; i < count; i++)
		buf_printf(&list, i ? ", %d" : "%d", statuses[i]);
	log_write(LOG_LEVEL_ERROR, request->transaction_id, "%s %s answers 503 for (%.*s)",
		backend_service_name(service), request->method_text, SLICE_PRINT(buf_slice(&list)));
	buf_release(&list);
}

int co_authorize(struct request *request, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	int error = context->co_authorize ? context->co_authorize(request, context, reply) : 0;
	if (!error && context->over_quota) {
		reply_text(reply, 413, "text/html; charset=UTF-8", context->over_quota);
		return -EDQUOT;
	}
	return error;
}

bool check_metadata(struct proxy *proxy, struct request *request, const char *target, struct reply *reply)
{
	char error[CONSTRAINTS_ERROR_BYTES];
	size_t count = request->headers.count;
	struct header_pair *pairs = arena_alloc(request->arena, count * sizeof(*pairs));
	for (size_t i = 0; i < count; i++)
		pairs[i] = (struct header_pair){request->headers.items[i].name, request->headers.items[i].value};
	if (constraints_check_metadata(&proxy->options.constraints, target, pairs, count, error) == 0)
		return true;
	reply_plain(reply, 400, arena_strdup(reply->arena, error));
	return false;
}

/* ---- backend headers ---- */

void backend_headers(struct request *request, struct headers *headers, bool with_timestamp)
{
	struct proxy_context *context = proxy_context_of(request);
	char timestamp[TIMESTAMP_TEXT_BYTES];
	(void)timestamp_internal(context->timestamp, timestamp);
	if (with_timestamp)
		headers_set(headers, "X-Timestamp", arena_strdup(headers->arena, timestamp));
	headers_set(headers, "X-Trans-Id", request->transaction_id);
	headers_set(headers, "User-Agent", context->proxy->user_agent);
	headers_set_format(
		headers, "Referer", "%s %s", request->method_text, context->client_path ? context->client_path : "/");
}

static bool starts_with_one_of(const char *name, const char *const *prefixes)
{
	for (; *prefixes; prefixes++)
		if (header_has_prefix(name, *prefixes))
			return true;
	return false;
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcasecmp(name, *names) == 0)
			return true;
	return false;
}

static bool passes(const char *name, const char *target)
{
	static const char *const container_names[] = {"X-Container-Read", "X-Container-Write", "X-Container-Sync-Key",
		"X-Container-Sync-To", "X-Versions-Location", NULL};
	static const char *const account_prefixes[] = {"X-Account-Meta-", "X-Account-Sysmeta-", NULL};
	static const char *const container_prefixes[] = {"X-Container-Meta-", "X-Container-Sysmeta-", NULL};
	if (strcmp(target, "account") == 0)
		return starts_with_one_of(name, account_prefixes);
	return starts_with_one_of(name, container_prefixes) || is_one_of(name, container_names);
}

/*
 * X-Remove-Container-Meta-K means X-Container-Meta-K with an empty value. What filters keep for themselves is not removed so:
 * the gatekeeper knows those names without "Remove-" alone.
 */
static const char *removed_name(struct arena *arena, const char *name, const char *target)
{
	if (!header_has_prefix(name, "X-Remove-"))
		return NULL;
	const char *removed = arena_printf(arena, "X-%s", name + strlen("X-Remove-"));
	bool is_sysmeta =
		header_has_prefix(removed, "X-Account-Sysmeta-") || header_has_prefix(removed, "X-Container-Sysmeta-");
	return passes(removed, target) && !is_sysmeta ? removed : NULL;
}

void transfer_headers(struct request *request, const char *target, struct headers *headers)
{
	for (size_t i = 0; i < request->headers.count; i++) {
		const struct header *header = &request->headers.items[i];
		const char *removed = removed_name(request->arena, header->name, target);
		if (removed)
			headers_set(headers, removed, "");
	}
	for (size_t i = 0; i < request->headers.count; i++) {
		const struct header *header = &request->headers.items[i];
		if (passes(header->name, target) || header_has_prefix(header->name, "X-Backend-"))
			headers_set(headers, header->name, header->value);
	}
}

/* ---- routing ---- */

static bool path_is_text(struct request *request, const struct proxy_context *context)
{
	struct slice decoded = url_decode(request->arena, request->path, false);
	return constraints_text_valid(decoded, context->allow_reserved_names);
}

static void co_route(struct proxy *proxy, struct request *request, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	if (!path_is_text(request, context)) {
		reply_text(reply, 412, "text/html; charset=UTF-8", "Invalid UTF8 or contains NULL");
		return;
	}
	if (slice_equal(request->path, SLICE_LITERAL("/info"))) {
		co_info_handle(proxy, request, reply);
		return;
	}
	if (!context->version) {
		reply_status(reply, 404);
		return;
	}
	if (context->account.data &&
		!constraints_api_version_valid(&proxy->options.constraints, slice_from(context->version))) {
		reply_status(reply, 400);
		return;
	}
	if (!context->account.data)
		reply_text(reply, 412, "text/html; charset=UTF-8", "Bad URL");
	else if (!context->container.data)
		co_account_handle(proxy, request, reply);
	else if (!context->object.data)
		co_container_handle(proxy, request, reply);
	else
		co_object_handle(proxy, request, reply);
}

void co_application_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct proxy *proxy = filter->context;
	co_route(proxy, request, reply);
	co_cors_reply(proxy, request, reply);
}
