#include "proxy/filters/slo.h"

#include <string.h>

#include "lib/swift/url.h"
#include "proxy/filters/filters.h"
#include "proxy/listing_document.h"

/*
 * Static large objects: a manifest names segments, a GET of it streams them (swift/common/middleware/slo.py).
 */

const char *slo_parameter(struct request *request, const char *name)
{
	struct query query;
	struct slice value;
	if (request->query.length == 0 || query_parse(request->arena, request->query, &query) ||
		!query_get(&query, name, &value))
		return NULL;
	return arena_strndup(request->arena, value.data ? value.data : "", value.length);
}

/* Rows of manifests: "etag; slo_etag=…" becomes two values. */
static void show_slo_etags(json_t *rows, void *argument)
{
	static const char mark[] = "; slo_etag=";
	size_t index;
	json_t *row;
	(void)argument;
	json_array_foreach(rows, index, row)
	{
		const char *hash = json_string_value(json_object_get(row, "hash"));
		const char *at = hash ? strstr(hash, mark) : NULL;
		if (!at)
			continue;
		const char *value = at + strlen(mark);
		size_t length = strcspn(value, ";");
		json_t *etag = json_sprintf("\"%.*s\"", (int)length, value);
		json_t *rest = json_sprintf("%.*s%s", (int)(at - hash), hash, value + length);
		json_object_set_new(row, "hash", rest);
		json_object_set_new(row, "slo_etag", etag);
	}
}

void co_slo_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	const char *mode = NULL;
	if (context->container.data && !context->object.data) {
		if (request->method == METHOD_GET)
			co_listing_rewrite(filter, request, reply, "; slo_etag=", show_slo_etags, NULL);
		else
			co_filter_next(filter, request, reply);
		return;
	}
	if (!context->object.data || context->slo_override) {
		co_filter_next(filter, request, reply);
		return;
	}
	if (request->method == METHOD_GET || request->method == METHOD_HEAD) {
		co_slo_get(filter, request, reply);
		return;
	}
	mode = slo_parameter(request, "multipart-manifest");
	if (mode && request->method == METHOD_PUT && strcmp(mode, "put") == 0)
		co_slo_put(filter, request, reply);
	else if (mode && request->method == METHOD_DELETE && strcmp(mode, "delete") == 0)
		co_slo_delete(filter, request, reply);
	else if (headers_get(&request->headers, "X-Static-Large-Object"))
		reply_text(reply, 400, "text/html; charset=UTF-8",
			"X-Static-Large-Object is a reserved header. To create a static large object add query param "
			"multipart-manifest=put.");
	else
		co_filter_next(filter, request, reply);
}

struct filter filter_slo(struct proxy *proxy, const struct settings *settings)
{
	struct slo *slo = arena_zalloc(proxy->arena, sizeof(*slo));
	*slo = (struct slo){proxy, settings};
	proxy_announce(proxy, "slo",
		json_pack("{s:I, s:I, s:I, s:i, s:b}", "max_manifest_segments",
			(json_int_t)settings->slo.max_manifest_segments, "max_manifest_size",
			(json_int_t)settings->slo.max_manifest_size, "yield_frequency",
			(json_int_t)(settings->slo.yield_frequency_ms / 1000), "min_segment_size", 1,
			"allow_async_delete", settings->slo.allow_async_delete));
	return (struct filter){.name = "slo", .co_handle = co_slo_handle, .context = slo};
}
