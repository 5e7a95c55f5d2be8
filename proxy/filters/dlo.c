#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/settings.h"
#include "lib/swift/conditional.h"
#include "lib/swift/http_date.h"
#include "lib/swift/range.h"
#include "lib/swift/url.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/segmented.h"
#include "proxy/inner_request.h"
#include "proxy/proxy_private.h"

/*
 * Dynamic large objects: an object with X-Object-Manifest: container/prefix stands for all objects whose names begin so, in
 * the order of the listing at the time of the GET (swift/common/middleware/dlo.py).
 */

struct dlo {
	struct proxy *proxy;
	const struct settings *settings;
};

struct piece {
	struct slice name;
	int64_t bytes;
	const char *etag;
};

struct page {
	struct arena *arena;
	struct piece *pieces;
	size_t count;
	bool is_last;
};

struct dlo_get {
	struct segment_source source;
	const struct filter *filter;
	struct request *request;
	struct slice container;
	struct slice prefix;
	struct page page;
	size_t next;
	uint64_t first; /* of the bytes still wanted, from the start of piece `next` */
	uint64_t left;  /* UINT64_MAX: all that there are */
};

/* ---- the listing ---- */

static void release_page(void *argument)
{
	struct page *page = argument;
	if (page->arena)
		arena_free(page->arena);
	page->arena = NULL;
}

static void take_rows(struct page *page, json_t *rows)
{
	size_t index;
	json_t *row;
	page->pieces = arena_zalloc(page->arena, (json_array_size(rows) + 1) * sizeof(*page->pieces));
	json_array_foreach(rows, index, row)
	{
		json_t *name = json_object_get(row, "name"), *hash = json_object_get(row, "hash");
		if (!name)
			continue;
		struct piece *piece = &page->pieces[page->count++];
		piece->name = arena_slice(page->arena, slice_of(json_string_value(name), json_string_length(name)));
		piece->bytes = json_integer_value(json_object_get(row, "bytes"));
		piece->etag = arena_strdup(page->arena, hash ? json_string_value(hash) : "");
	}
}

/* The page behind `marker`. False: `ret_reply` says why there is none. */
static bool co_list(struct dlo_get *get, struct slice marker, struct reply *ret_reply)
{
	struct page page = {.arena = arena_new()};
	struct proxy_context *context = proxy_context_of(get->request);
	struct inner_listing listing = {
		.account = context->account,
		.container = get->container,
		.prefix = get->prefix,
		.marker = marker,
		.source = "DLO",
	};
	json_t *rows = co_inner_listing(get->filter, get->request, page.arena, &listing, ret_reply);
	if (!rows) {
		ret_reply->arena = get->request->arena;
		arena_free(page.arena);
		return false;
	}
	const struct dlo *dlo = get->filter->context;
	take_rows(&page, rows);
	page.is_last = (int64_t)json_array_size(rows) < dlo->proxy->options.constraints.container_listing_limit;
	json_decref(rows);
	release_page(&get->page);
	get->page = page;
	get->next = 0;
	return true;
}

/* 1, 0 or -EPROTO as segment_source wants it. */
static int co_next_segment(struct segment_source *source, struct segment *ret_segment)
{
	struct dlo_get *get = (struct dlo_get *)source;
	while (get->left > 0) {
		if (get->next == get->page.count) {
			struct reply reply;
			if (get->page.is_last)
				return 0;
			struct slice marker =
				arena_slice(get->request->arena, get->page.pieces[get->page.count - 1].name);
			if (!co_list(get, marker, &reply))
				return -EPROTO;
			continue;
		}
		const struct piece *piece = &get->page.pieces[get->next++];
		uint64_t size = piece->bytes > 0 ? (uint64_t)piece->bytes : 0;
		if (get->first >= size && size > 0) {
			get->first -= size;
			continue;
		}
		if (size == 0)
			continue;
		uint64_t first = get->first, bytes = size - first;
		bool ends_early = get->left != UINT64_MAX && bytes > get->left;
		if (ends_early)
			bytes = get->left;
		get->first = 0;
		if (get->left != UINT64_MAX)
			get->left -= bytes;
		/* what the listing says of a piece may be late: only its name counts, unless a part of it is wanted */
		*ret_segment = (struct segment){.container = get->container,
			.object = piece->name,
			.bytes = get->left == UINT64_MAX && !first ? -1 : piece->bytes,
			.ranged = first > 0 || ends_early,
			.first = first,
			.last = first + bytes - 1};
		return 1;
	}
	return 0;
}

/* ---- the reply ---- */

static uint64_t page_bytes(const struct page *page)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < page->count; i++)
		bytes += page->pieces[i].bytes > 0 ? (uint64_t)page->pieces[i].bytes : 0;
	return bytes;
}

static void set_etag(const struct page *page, struct reply *reply)
{
	EVP_MD_CTX *md5 = EVP_MD_CTX_new();
	unsigned char digest[16];
	char hex[33];
	(void)EVP_DigestInit_ex(md5, EVP_md5(), NULL);
	for (size_t i = 0; i < page->count; i++) {
		struct slice etag = normalize_etag(slice_from(page->pieces[i].etag));
		(void)EVP_DigestUpdate(md5, etag.data, etag.length);
	}
	(void)EVP_DigestFinal_ex(md5, digest, NULL);
	EVP_MD_CTX_free(md5);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	headers_set_format(&reply->headers, "Etag", "\"%s\"", hex);
}

/* 304, 412 or 0, by the ETag in the reply (none: "*" alone matches). */
static int condition(const struct request *request, const struct reply *reply)
{
	const struct headers *headers = &request->headers;
	const char *modified = headers_get(&reply->headers, "Last-Modified");
	int64_t seconds = -1;
	if (modified && http_date_parse(slice_from(modified), &seconds))
		seconds = -1;
	return conditional_evaluate(headers_get(headers, "If-Match"), headers_get(headers, "If-None-Match"),
		headers_get(headers, "If-Modified-Since"), headers_get(headers, "If-Unmodified-Since"),
		headers_get(&reply->headers, "Etag"), seconds);
}

/*
 * One range that the first page of the listing can judge; others are answered with the whole object, as Swift does. False:
 * 416 is set.
 */
static bool choose_range(struct dlo_get *get, struct reply *reply, int64_t *ret_length)
{
	struct byte_range ranges[RANGE_COUNT_MAX];
	size_t count;
	const char *header = headers_get(&get->request->headers, "Range");
	uint64_t bytes = page_bytes(&get->page);
	bool suffix = header && strstr(header, "=-") != NULL;
	get->left = get->page.is_last ? bytes : UINT64_MAX;
	*ret_length = get->page.is_last ? (int64_t)bytes : -1;
	if (!header || strchr(header, ',') || (suffix && !get->page.is_last))
		return true;
	enum range_result result = range_evaluate(header, get->page.is_last ? bytes : INT64_MAX, ranges, &count);
	if (result == RANGE_UNSATISFIABLE) {
		reply_reset(reply);
		reply_status(reply, 416);
		headers_set(&reply->headers, "Accept-Ranges", "bytes");
		headers_set_format(&reply->headers, "Content-Range", "bytes */%llu", (unsigned long long)bytes);
		return false;
	}
	if (result != RANGE_OK || ranges[0].last >= bytes)
		return true;
	get->first = ranges[0].first;
	get->left = ranges[0].last - ranges[0].first + 1;
	*ret_length = (int64_t)get->left;
	reply->status = 206;
	headers_set_format(&reply->headers, "Content-Range", "bytes %llu-%llu/%llu",
		(unsigned long long)ranges[0].first, (unsigned long long)ranges[0].last, (unsigned long long)bytes);
	return true;
}

static void co_stream(struct dlo_get *get, struct reply *reply)
{
	const struct settings *settings = ((const struct dlo *)get->filter->context)->settings;
	struct segmented_options options = {
		.source = "DLO",
		.max_get_time_ms = (uint64_t)settings->dlo.max_get_time_ms,
		.small_bytes = (uint64_t)settings->dlo.rate_limit_under_size,
		.limit_after = (size_t)settings->dlo.rate_limit_after_segment,
		.small_per_second = settings->dlo.rate_limit_segments_per_sec,
	};
	int64_t length;
	if (!choose_range(get, reply, &length))
		return;
	struct body *body;
	int error = co_segmented_new(get->filter, get->request, &get->source, &options, &body);
	if (error) {
		reply_reset(reply);
		reply_status(reply, error == -EPROTO ? 409 : 503);
		return;
	}
	reply->body = body;
	reply->content_length = length;
}

static void drop_body(struct reply *reply)
{
	body_close(reply->body);
	reply->body = NULL;
	reply->text = SLICE_NONE;
	reply->content_length = 0;
	headers_remove(&reply->headers, "Content-Length");
	headers_remove(&reply->headers, "Content-Range");
}

/* The reply is the manifest's; what it names takes its place. */
static void co_answer(struct dlo_get *get, struct reply *reply)
{
	struct reply refusal;
	drop_body(reply);
	if (!co_list(get, SLICE_NONE, &refusal)) {
		reply_reset(reply);
		reply_status(reply, refusal.status);
		return;
	}
	if (get->page.is_last)
		set_etag(&get->page, reply);
	int status = condition(get->request, reply);
	reply->status = status ? status : 200;
	if (status)
		return;
	if (get->request->method == METHOD_GET)
		co_stream(get, reply);
	else if (get->page.is_last)
		headers_set_format(
			&reply->headers, "Content-Length", "%llu", (unsigned long long)page_bytes(&get->page));
}

static bool take_manifest(struct dlo_get *get, const char *header)
{
	struct slice value = url_decode(get->request->arena, slice_from(header), false);
	const char *slash = memchr(value.data, '/', value.length);
	if (!slash || slash == value.data)
		return false;
	get->container = slice_of(value.data, (size_t)(slash - value.data));
	get->prefix = slice_of(slash + 1, value.length - get->container.length - 1);
	return true;
}

static void co_get(const struct filter *filter, struct request *request, struct reply *reply)
{
	const char *ignored = headers_get(&request->headers, "X-Backend-Ignore-Range-If-Metadata-Present");
	if (ignored)
		headers_set_format(&request->headers, "X-Backend-Ignore-Range-If-Metadata-Present",
			"%s,X-Object-Manifest", ignored);
	else
		headers_set(&request->headers, "X-Backend-Ignore-Range-If-Metadata-Present", "X-Object-Manifest");
	co_filter_next(filter, request, reply);
	const char *manifest = headers_get(&reply->headers, "X-Object-Manifest");
	if (!manifest)
		return;
	struct dlo_get *get = arena_zalloc(request->arena, sizeof(*get));
	get->source.co_next = co_next_segment;
	get->filter = filter;
	get->request = request;
	arena_defer(request->arena, release_page, &get->page);
	if (take_manifest(get, manifest))
		co_answer(get, reply);
}

static bool header_is_good(const struct request *request)
{
	const char *value = headers_get(&request->headers, "X-Object-Manifest");
	const char *slash = value ? strchr(value, '/') : NULL;
	return !value || (slash && slash != value && slash[1] && slash[1] != '/' && !strpbrk(value, "?&"));
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct query query;
	struct slice mode = SLICE_NONE;
	bool reads = request->method == METHOD_GET || request->method == METHOD_HEAD;
	if (!proxy_context_of(request)->object.data) {
		co_filter_next(filter, request, reply);
		return;
	}
	if (reads && request->query.length && query_parse(request->arena, request->query, &query) == 0)
		(void)query_get(&query, "multipart-manifest", &mode);
	if (reads && !slice_equal(mode, SLICE_LITERAL("get")))
		co_get(filter, request, reply);
	else if (request->method == METHOD_PUT && !header_is_good(request))
		reply_text(reply, 400, "text/html; charset=UTF-8",
			"X-Object-Manifest must be in the format container/prefix");
	else
		co_filter_next(filter, request, reply);
}

struct filter filter_dlo(struct proxy *proxy, const struct settings *settings)
{
	struct dlo *dlo = arena_zalloc(proxy->arena, sizeof(*dlo));
	*dlo = (struct dlo){proxy, settings};
	return (struct filter){.name = "dlo", .co_handle = co_handle, .context = dlo};
}
