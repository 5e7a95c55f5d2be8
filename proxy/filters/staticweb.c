#include "proxy/filters/staticweb.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/settings.h"
#include "lib/swift/bounded_json.h"
#include "lib/swift/number.h"
#include "lib/swift/url.h"
#include "proxy/filters/filters.h"
#include "proxy/inner_request.h"

/*
 * Containers as web sites, for who comes without a token, by a temporary URL, or with X-Web-Mode: index pages, error
 * pages and listings as HTML (swift/common/middleware/staticweb.py).
 */

struct staticweb {
	struct proxy *proxy;
	struct slice url_scheme; /* of redirects; empty: the request's */
	struct slice url_host;
};

/* A request on its way through the filter. */
struct visit {
	const struct filter *filter;
	struct request *request;
	struct reply *reply;
	struct site site;
	struct slice path; /* decoded */
};

/* ---- the site ---- */

static struct slice site_value(const struct info *info, const char *name)
{
	const char *value = info_exists(info) ? info_header(info, name) : NULL;
	return value ? number_trim(slice_from(value)) : SLICE_NONE;
}

static const struct info *co_take_site(struct visit *visit)
{
	const struct staticweb *staticweb = visit->filter->context;
	const struct proxy_context *context = proxy_context_of(visit->request);
	const struct info *info =
		co_container_info(staticweb->proxy, visit->request, context->account, context->container);
	visit->site = (struct site){
		.index = site_value(info, "X-Container-Meta-Web-Index"),
		.error = site_value(info, "X-Container-Meta-Web-Error"),
		.listings = site_value(info, "X-Container-Meta-Web-Listings"),
		.listings_css = site_value(info, "X-Container-Meta-Web-Listings-Css"),
		.listings_label = site_value(info, "X-Container-Meta-Web-Listings-Label"),
		.directory_type = site_value(info, "X-Container-Meta-Web-Directory-Type"),
	};
	return info;
}

static bool is_true(struct arena *arena, struct slice value)
{
	return value.length && config_true_value(arena_strndup(arena, value.data, value.length));
}

static bool wants_web_mode(const struct request *request)
{
	return config_true_value(headers_get(&request->headers, "X-Web-Mode"));
}

/* ---- replies ---- */

static void set_html(struct visit *visit, int status, struct buf *html)
{
	struct reply *reply = visit->reply;
	reply_reset(reply);
	reply->status = status;
	reply->text = buf_slice(html);
	headers_set(&reply->headers, "Content-Type", "text/html; charset=UTF-8");
}

static void release_html(void *html)
{
	buf_release(html);
}

/* A page that lives as long as the request. */
static struct buf *new_html(struct visit *visit)
{
	struct buf *html = arena_zalloc(visit->request->arena, sizeof(*html));
	arena_defer(visit->request->arena, release_html, html);
	return html;
}

/* What `from` says takes the place of what the reply said. */
static void take_reply(struct reply *reply, const struct reply *from)
{
	reply_reset(reply);
	reply->status = from->status;
	reply->reason = from->reason;
	reply->headers = from->headers;
	reply->text = from->text;
	reply->body = from->body;
	reply->content_length = from->content_length;
}

static bool is_answer(const struct reply *reply)
{
	return reply->status / 100 == 2 || reply->status / 100 == 3;
}

/* What Swift's make_env() takes over: who asks, and from where (an ACL may name referrers). */
static void take_headers(const struct request *request, struct request *inner)
{
	static const char *const names[] = {"Host", "Referer", "Origin", "User-Agent"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = headers_get(&request->headers, names[i]);
		if (value)
			headers_set(&inner->headers, names[i], value);
	}
}

/* The reply is an error: the site's page for it, if there is one, becomes its body. */
static void co_send_error(struct visit *visit)
{
	struct reply page;
	struct request *request = visit->request;
	struct proxy_context *context = proxy_context_of(request);
	if (visit->site.error.length == 0)
		return;
	const struct inner_request inner = {
		.method = METHOD_GET,
		.account = context->account,
		.container = context->container,
		.object = slice_from(
			arena_printf(request->arena, "%d%.*s", visit->reply->status, SLICE_PRINT(visit->site.error))),
		.source = "SW",
	};
	struct request *get = inner_request_new(request->arena, request, &inner);
	take_headers(request, get);
	reply_init(&page, request->arena);
	co_filter_next(visit->filter, get, &page);
	if (page.status / 100 == 2) {
		page.status = visit->reply->status;
		page.reason = visit->reply->reason;
		take_reply(visit->reply, &page);
	} else {
		reply_finish(get, &page, 0, 0);
	}
}

static void co_send_not_found(struct visit *visit)
{
	reply_reset(visit->reply);
	reply_status(visit->reply, 404);
	co_send_error(visit);
}

/* To the same path with a slash behind it, so that relative links on the page lead into it. */
static void redirect_with_slash(struct visit *visit)
{
	const struct staticweb *staticweb = visit->filter->context;
	struct slice scheme = staticweb->url_scheme, host = staticweb->url_host;
	struct slice path = url_encode(visit->reply->arena, visit->path, true);
	if (scheme.length == 0)
		scheme = visit->request->tls ? SLICE_LITERAL("https") : SLICE_LITERAL("http");
	if (host.length == 0)
		host = slice_from(headers_get(&visit->request->headers, "Host"));
	bool usual_port =
		slice_equal(scheme, SLICE_LITERAL("https"))
			? slice_ends_with(host, SLICE_LITERAL(":443"))
			: slice_equal(scheme, SLICE_LITERAL("http")) && slice_ends_with(host, SLICE_LITERAL(":80"));
	while (usual_port && host.data[--host.length] != ':')
		;
	reply_reset(visit->reply);
	reply_status(visit->reply, 301);
	if (host.length)
		headers_set_format(&visit->reply->headers, "Location", "%.*s://%.*s%.*s/", SLICE_PRINT(scheme),
			SLICE_PRINT(host), SLICE_PRINT(path));
	else
		headers_set_format(&visit->reply->headers, "Location", "%.*s/", SLICE_PRINT(path));
}

/* ---- listings ---- */

/* The rows of a listing by names up to the next slash. NULL: the reply says why there are none. */
static json_t *co_list(struct visit *visit, struct slice prefix, bool one_row)
{
	struct request *request = visit->request;
	const struct proxy_context *context = proxy_context_of(request);
	struct arena *arena = arena_new();
	struct slice encoded = url_encode(arena, prefix, false);
	const struct inner_request inner = {
		.method = METHOD_GET,
		.account = context->account,
		.container = context->container,
		.query = arena_printf(arena, "%sformat=json&delimiter=/&prefix=%.*s", one_row ? "limit=1&" : "",
			SLICE_PRINT(encoded)),
		.source = "SW",
	};
	struct request *get = inner_request_new(arena, request, &inner);
	struct reply reply;
	struct slice body = SLICE_NONE;
	take_headers(request, get);
	int error = co_inner_request_read(visit->filter, get, INNER_LISTING_BYTES_MAX, &reply, &body);
	json_t *rows = NULL;
	reply_reset(visit->reply);
	if (!error && reply.status / 100 != 2) {
		visit->reply->status = reply.status;
		visit->reply->text = arena_slice(request->arena, body);
		headers_copy(&visit->reply->headers, &reply.headers);
	} else {
		rows = error ? NULL : reply.status == 204 ? json_array() : bounded_json_parse(body, NULL);
		if (!json_is_array(rows)) {
			json_decref(rows);
			rows = NULL;
			reply_status(visit->reply, 502);
		}
	}
	arena_free(arena);
	return rows;
}

/* Links of a page that was reached by a temporary URL with a prefix are such URLs, too. */
static void take_tempurl(struct visit *visit, struct staticweb_page *page)
{
	static const char *const names[] = {"temp_url_prefix", "temp_url_expires", "temp_url_sig", "temp_url_ip_range"};
	struct request *request = visit->request;
	const char *user = proxy_context_of(request)->user;
	struct query query;
	struct slice value;
	if (!user || strcmp(user, ".wsgi.tempurl") != 0 || query_parse(request->arena, request->query, &query) ||
		!query_get(&query, "temp_url_prefix", &page->tempurl_prefix))
		return;
	struct buf text = BUF_INIT;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!query_get(&query, names[i], &value))
			continue;
		buf_printf(&text, "%s%s=", text.length ? "&amp;" : "?", names[i]);
		url_encode_append(&text, value, true);
	}
	if (query_get(&query, "inline", &value))
		buf_append_text(&text, "&amp;inline");
	page->tempurl_query = arena_slice(request->arena, buf_slice(&text));
	buf_release(&text);
}

static void co_send_listing(struct visit *visit, struct slice prefix)
{
	struct staticweb_page page = {.site = &visit->site, .path = visit->path, .prefix = prefix};
	struct buf *html = new_html(visit);
	if (!is_true(visit->request->arena, visit->site.listings)) {
		staticweb_disabled(&page, html);
		set_html(visit, 404, html);
		co_send_error(visit);
		return;
	}
	json_t *rows = co_list(visit, prefix, false);
	if (!rows) {
		co_send_error(visit);
	} else if (prefix.length && json_array_size(rows) == 0) {
		co_send_not_found(visit);
	} else {
		take_tempurl(visit, &page);
		co_staticweb_listing(&page, rows, html);
		set_html(visit, 200, html);
		headers_set(&visit->reply->headers, "X-Backend-Content-Generator", "staticweb");
	}
	json_decref(rows);
}

/* ---- containers and objects ---- */

/* The client's request for another object of the container. */
static void co_get(struct visit *visit, struct slice object)
{
	struct request *request = visit->request;
	struct reply reply;
	const struct inner_request inner = {
		.method = request->method,
		.account = proxy_context_of(request)->account,
		.container = proxy_context_of(request)->container,
		.object = object,
		.source = "SW",
		.with_headers = true,
	};
	reply_init(&reply, request->arena);
	co_filter_next(visit->filter, inner_request_new(request->arena, request, &inner), &reply);
	take_reply(visit->reply, &reply);
}

static void co_answer_index(struct visit *visit)
{
	proxy_context_of(visit->request)->listing_answered = true;
	if (visit->site.index.length) {
		co_get(visit, visit->site.index);
		if (visit->reply->status != 404) {
			if (!is_answer(visit->reply))
				co_send_error(visit);
			return;
		}
	}
	co_send_listing(visit, SLICE_NONE);
}

static bool ends_with_slash(struct slice path)
{
	return slice_ends_with(path, SLICE_LITERAL("/"));
}

static void co_handle_container(struct visit *visit)
{
	struct request *request = visit->request;
	struct proxy_context *context = proxy_context_of(request);
	context->acl = info_header(co_take_site(visit), "X-Container-Read");
	if (context->co_authorize(request, context, visit->reply))
		co_send_error(visit);
	else if (visit->site.listings.length || visit->site.index.length)
		ends_with_slash(visit->path) ? co_answer_index(visit) : redirect_with_slash(visit);
	else if (wants_web_mode(request))
		reply_status(visit->reply, 404);
	else
		co_filter_next(visit->filter, request, visit->reply);
}

/* An empty object that stands for a folder. */
static bool is_directory(const struct visit *visit)
{
	const struct reply *reply = visit->reply;
	struct slice wanted = visit->site.directory_type;
	if (wanted.length == 0)
		wanted = SLICE_LITERAL("application/directory");
	if (!slice_equal(slice_from(headers_get(&reply->headers, "Content-Type")), wanted))
		return false;
	const char *header = headers_get(&reply->headers, "Content-Length");
	int64_t length = reply->body ? reply->content_length : (int64_t)reply->text.length;
	if (!reply->body && reply->text.length == 0 && header)
		length = strtoll(header, NULL, 10);
	return length >= 0 && length <= 1;
}

/* There is no such object: perhaps it is a folder. */
static void co_handle_folder(struct visit *visit)
{
	struct slice object = proxy_context_of(visit->request)->object;
	struct slice folder = object;
	if (!ends_with_slash(object))
		folder = slice_from(arena_printf(visit->request->arena, "%.*s/", SLICE_PRINT(object)));
	if (visit->site.index.length) {
		co_get(visit, slice_from(arena_printf(visit->request->arena, "%.*s%.*s", SLICE_PRINT(folder),
				      SLICE_PRINT(visit->site.index))));
		if (is_answer(visit->reply) && !ends_with_slash(object))
			redirect_with_slash(visit);
		if (visit->reply->status != 404)
			return;
	}
	if (ends_with_slash(object)) {
		co_send_listing(visit, object);
		return;
	}
	json_t *rows = co_list(visit, folder, true);
	if (json_array_size(rows))
		redirect_with_slash(visit);
	else
		co_send_not_found(visit);
	json_decref(rows);
}

static void co_handle_object(struct visit *visit)
{
	co_filter_next(visit->filter, visit->request, visit->reply);
	bool is_found = is_answer(visit->reply);
	if (!is_found && visit->reply->status != 404)
		return;
	(void)co_take_site(visit);
	if (is_found && !is_directory(visit))
		return;
	if (visit->site.listings.length || visit->site.index.length)
		co_handle_folder(visit);
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	bool reads = request->method == METHOD_GET || request->method == METHOD_HEAD;
	bool is_site = !context->user || strcmp(context->user, ".wsgi.tempurl") == 0 || wants_web_mode(request);
	if (!reads || !context->container.data || !context->co_authorize || !is_site) {
		co_filter_next(filter, request, reply);
		return;
	}
	struct visit visit = {
		.filter = filter,
		.request = request,
		.reply = reply,
		.path = url_decode(request->arena, request->path, false),
	};
	if (context->object.data)
		co_handle_object(&visit);
	else
		co_handle_container(&visit);
}

/* Scheme and host of a URL. */
static void take_url_base(struct staticweb *staticweb, const char *url)
{
	const char *host = strstr(url, "://");
	if (!host)
		return;
	staticweb->url_scheme = slice_of(url, (size_t)(host - url));
	host += strlen("://");
	staticweb->url_host = slice_of(host, strcspn(host, "/?#"));
}

struct filter filter_staticweb(struct proxy *proxy, const struct settings *settings)
{
	struct staticweb *staticweb = arena_zalloc(proxy->arena, sizeof(*staticweb));
	staticweb->proxy = proxy;
	take_url_base(staticweb, settings->staticweb.url_base);
	proxy_announce(proxy, "staticweb", json_object());
	return (struct filter){.name = "staticweb", .co_handle = co_handle, .context = staticweb};
}
