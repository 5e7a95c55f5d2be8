/*
 * Cross-origin requests (swift/proxy/controllers/base.py: cors_validation and OPTIONS).
 */
#include <strings.h>

#include "lib/base/buf.h"
#include "proxy/proxy_private.h"

static bool list_has(const char *const *list, const char *text)
{
	for (; list && *list; list++)
		if (strcmp(*list, text) == 0 || strcmp(*list, "*") == 0)
			return true;
	return false;
}

/* Whether the container's blank-separated origins have this one, or "*". */
static bool text_has(const char *origins, const char *origin)
{
	size_t length = strlen(origin);
	while (origins && *origins) {
		origins += strspn(origins, " ");
		size_t word = strcspn(origins, " ");
		if ((word == length && memcmp(origins, origin, word) == 0) || (word == 1 && *origins == '*'))
			return true;
		origins += word;
	}
	return false;
}

/* Whether the comma-separated list has the word. */
static bool csv_has(const char *list, const char *word)
{
	size_t length = strlen(word);
	while (*list) {
		size_t item = strcspn(list, ",");
		if (item == length && memcmp(list, word, length) == 0)
			return true;
		list += item;
		list += strspn(list, ", ");
	}
	return false;
}

static const struct info *co_container_of(struct proxy *proxy, struct request *request)
{
	struct proxy_context *context = proxy_context_of(request);
	/* accounts and /info take no part in this (Swift's cors_validation) */
	if (!context->container.data)
		return NULL;
	return co_container_info(proxy, request, context->account, context->container);
}

static bool is_allowed(struct proxy *proxy, const struct info *container, const char *origin)
{
	const char *own = info_header(container, "X-Container-Meta-Access-Control-Allow-Origin");
	return text_has(own, origin) || list_has(proxy->options.cors_allow_origin, origin);
}

static void vary_by_origin(struct reply *reply)
{
	const char *vary = headers_get(&reply->headers, "Vary");
	if (!vary)
		headers_set(&reply->headers, "Vary", "Origin");
	else if (!strcasestr(vary, "origin"))
		headers_set_format(&reply->headers, "Vary", "%s, Origin", vary);
}

void co_cors_options(struct proxy *proxy, struct request *request, struct reply *reply, const char *allow)
{
	const char *origin = headers_get(&request->headers, "Origin");
	reply_empty(reply, 200);
	headers_set(&reply->headers, "Allow", allow);
	const struct info *container = origin ? co_container_of(proxy, request) : NULL;
	if (!container)
		return;
	const char *method = headers_get(&request->headers, "Access-Control-Request-Method");
	if (!is_allowed(proxy, container, origin) || !method || !csv_has(allow, method)) {
		reply_status(reply, 401);
		headers_set(&reply->headers, "Allow", allow);
		return;
	}
	const char *own = info_header(container, "X-Container-Meta-Access-Control-Allow-Origin");
	headers_set(&reply->headers, "Access-Control-Allow-Origin", text_has(own, "*") ? "*" : origin);
	headers_set(&reply->headers, "Access-Control-Allow-Methods", allow);
	const char *age = info_header(container, "X-Container-Meta-Access-Control-Max-Age");
	if (age)
		headers_set(&reply->headers, "Access-Control-Max-Age", age);
	const char *wanted = headers_get(&request->headers, "Access-Control-Request-Headers");
	if (wanted) {
		headers_set(&reply->headers, "Access-Control-Allow-Headers", wanted);
		headers_set(&reply->headers, "Vary", "Origin, Access-Control-Request-Headers");
	} else {
		headers_set(&reply->headers, "Vary", "Origin");
	}
}

static void expose(struct proxy *proxy, const struct info *container, struct reply *reply)
{
	struct buf names = BUF_INIT;
	buf_append_text(&names, "cache-control, content-language, content-type, expires, "
				"last-modified, pragma, etag, "
				"x-timestamp, x-trans-id, x-openstack-request-id");
	for (const char *const *name = proxy->options.cors_expose_headers; name && *name; name++)
		buf_printf(&names, ", %s", *name);
	for (size_t i = 0; i < reply->headers.count; i++) {
		const char *name = reply->headers.items[i].name;
		if (!header_has_prefix(name, "X-Container-Meta-") && !header_has_prefix(name, "X-Object-Meta-"))
			continue;
		buf_append(&names, ", ", 2);
		for (const char *c = name; *c; c++)
			buf_append_byte(&names, (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c));
	}
	const char *own = info_header(container, "X-Container-Meta-Access-Control-Expose-Headers");
	for (const char *word = own; word && *word;) {
		word += strspn(word, " ");
		size_t length = strcspn(word, " ");
		if (length)
			buf_printf(&names, ", %.*s", (int)length, word);
		word += length;
	}
	headers_set_format(&reply->headers, "Access-Control-Expose-Headers", "%s", names.data);
	buf_release(&names);
}

void co_cors_reply(struct proxy *proxy, struct request *request, struct reply *reply)
{
	const char *origin = headers_get(&request->headers, "Origin");
	if (!origin || request->method == METHOD_OPTIONS)
		return;
	const struct info *container = co_container_of(proxy, request);
	if (!container)
		return;
	bool allowed = is_allowed(proxy, container, origin);
	if (proxy->options.strict_cors_mode && !allowed)
		return;
	if (!headers_get(&reply->headers, "Access-Control-Expose-Headers"))
		expose(proxy, container, reply);
	if (headers_get(&reply->headers, "Access-Control-Allow-Origin"))
		return;
	const char *own = info_header(container, "X-Container-Meta-Access-Control-Allow-Origin");
	bool everybody = proxy->options.strict_cors_mode ? text_has(own, "*") : true;
	headers_set(&reply->headers, "Access-Control-Allow-Origin", everybody ? "*" : origin);
	if (!everybody)
		vary_by_origin(reply);
}
