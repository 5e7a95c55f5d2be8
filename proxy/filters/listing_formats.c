#include <strings.h>

#include "lib/swift/accept.h"
#include "lib/swift/url.h"
#include "proxy/filters/filters.h"
#include "proxy/proxy_private.h"

/*
 * Swift asks its servers for JSON and converts; our servers write every form themselves, so the
 * choice is made here and handed on as `format`, which wins over what the client wrote because the
 * last parameter of a name counts.
 */

static bool is_listing(const struct proxy *proxy, const struct request *request)
{
	const struct proxy_context *context = proxy_context_of(request);
	if (!context->version ||
		!constraints_api_version_valid(&proxy->options.constraints, slice_from(context->version)))
		return false;
	return (request->method == METHOD_GET || request->method == METHOD_HEAD) && context->account.data &&
	       !context->object.data;
}

static const char *const format_names[] = {
	[LISTING_FORMAT_PLAIN] = "plain",
	[LISTING_FORMAT_JSON] = "json",
	[LISTING_FORMAT_XML] = "xml",
	[LISTING_FORMAT_TEXT_XML] = "xml",
};

static void vary_by_accept(struct reply *reply)
{
	const char *vary = headers_get(&reply->headers, "Vary");
	if (!vary)
		headers_set(&reply->headers, "Vary", "Accept");
	else if (!strcasestr(vary, "accept"))
		headers_set_format(&reply->headers, "Vary", "%s, Accept", vary);
}

/* The values that must be text; the answer names the first that is not. */
static const char *first_bad_value(const struct query *query)
{
	static const char *const names[] = {"path", "prefix", "marker", "end_marker", "delimiter", "limit", "format"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct slice value;
		if (query_get(query, names[i], &value) && !utf8_valid(value))
			return names[i];
	}
	return NULL;
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	if (!is_listing(filter->context, request)) {
		co_filter_next(filter, request, reply);
		return;
	}
	struct query query;
	if (query_parse(request->arena, request->query, &query)) {
		reply_status(reply, 400);
		return;
	}
	const char *bad = first_bad_value(&query);
	if (bad) {
		reply_text(reply, 400, "text/html; charset=UTF-8",
			arena_printf(reply->arena, "\"%s\" parameter not valid UTF-8", bad));
		return;
	}
	struct slice format = SLICE_NONE;
	bool named = query_get(&query, "format", &format) && format.length;
	enum listing_format chosen = listing_format_choose(format, headers_get(&request->headers, "Accept"));
	if (chosen < 0) {
		if (chosen == LISTING_FORMAT_BAD_HEADER)
			reply_text(reply, 400, "text/plain", "Invalid Accept header");
		else
			reply_status(reply, 406);
		return;
	}
	request->query = slice_from(arena_printf(request->arena, "%.*s%sformat=%s", SLICE_PRINT(request->query),
		request->query.length ? "&" : "", format_names[chosen]));
	/* for who answers in one form alone */
	if (named)
		headers_set(&request->headers, "Accept", listing_format_content_type(chosen));
	co_filter_next(filter, request, reply);
	if (reply->status != 200 && reply->status != 204)
		return;
	if (!proxy_context_of(request)->listing_answered)
		headers_set_format(
			&reply->headers, "Content-Type", "%s; charset=utf-8", listing_format_content_type(chosen));
	if (!named)
		vary_by_accept(reply);
}

struct filter filter_listing_formats(struct proxy *proxy)
{
	return (struct filter){.name = "listing_formats", .co_handle = co_handle, .context = proxy};
}
