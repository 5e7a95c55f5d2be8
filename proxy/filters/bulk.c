#include "proxy/filters/bulk.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/swift/number.h"
#include "lib/swift/url.h"
#include "proxy/filters/bulk_delete.h"
#include "proxy/filters/filters.h"

/*
 * Archives unpacked on arrival (extract-archive) and lists of names to delete (bulk-delete), as
 * swift/common/middleware/bulk.py.
 */

/* ---- lists of names ---- */

/* The names of a request's body, one a line, percent-encoded. Objects come first, containers after them. */
struct name_list {
	struct bulk_names names;
	struct request *request;
	const struct bulk *bulk;
	struct slice *items;
	size_t count;
	size_t next;
	bool in_containers;
	int error; /* of reading it */
};

static bool is_container(struct slice name)
{
	while (name.length && name.data[0] == '/')
		name = slice_of(name.data + 1, name.length - 1);
	while (name.length && name.data[name.length - 1] == '/')
		name.length--;
	return memchr(name.data, '/', name.length) == NULL;
}

static int refuse(struct name_list *list, int status, const char *text)
{
	list->names.status = status;
	list->names.text = text;
	return -EINVAL;
}

static int take_lines(struct name_list *list, struct slice text, size_t name_max)
{
	struct arena *arena = list->request->arena;
	int64_t count_max = list->bulk->settings->bulk.max_deletes_per_request;
	list->items = arena_alloc(arena, ((size_t)count_max + 1) * sizeof(*list->items));
	while (text.length) {
		const char *end = memchr(text.data, '\n', text.length);
		size_t length = end ? (size_t)(end - text.data) : text.length;
		struct slice line = number_trim(slice_of(text.data, length));
		text = slice_of(text.data + length + (end ? 1 : 0), text.length - length - (end ? 1 : 0));
		if (length > 2 * name_max)
			return refuse(list, 400, "Invalid File Name");
		/* an empty line counts, but for one at the very end */
		if (line.length == 0 && !end)
			continue;
		if ((int64_t)list->count >= count_max)
			return refuse(list, 413,
				arena_printf(arena, "Maximum Bulk Deletes: %lld per request", (long long)count_max));
		list->items[list->count++] = url_decode(arena, line, false);
	}
	return 0;
}

static int co_read_list(struct name_list *list)
{
	struct request *request = list->request;
	const struct constraints *limits = &list->bulk->proxy->options.constraints;
	size_t name_max = (size_t)(limits->max_object_name_length + limits->max_container_name_length + 2);
	size_t bytes_max = (size_t)list->bulk->settings->bulk.max_deletes_per_request * (2 * name_max + 1);
	struct slice text;
	if (!request->has_length && !request->chunked)
		return refuse(list, 411, "Missing Content-Length header.");
	int error = co_body_read_all(request->body, request->arena, bytes_max, &text);
	if (error == -EFBIG)
		return refuse(list, 413, "Maximum Bulk Deletes: too long a list");
	if (error)
		return refuse(list, error == -ETIMEDOUT ? 408 : 400, "");
	return take_lines(list, text, name_max);
}

static int co_next_name(struct bulk_names *names, struct bulk_name *ret_name)
{
	struct name_list *list = (struct name_list *)names;
	if (list->error)
		return list->error;
	for (;;) {
		if (list->next == list->count) {
			if (list->in_containers)
				return 0;
			list->in_containers = true;
			list->next = 0;
			continue;
		}
		struct slice name = list->items[list->next++];
		if (is_container(name) != list->in_containers)
			continue;
		*ret_name = (struct bulk_name){.name = name};
		return 1;
	}
}

static void co_begin_delete(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct bulk *bulk = filter->context;
	struct name_list *list = arena_zalloc(request->arena, sizeof(*list));
	list->names.co_next = co_next_name;
	list->request = request;
	list->bulk = bulk;
	list->error = co_read_list(list); /* now: once the reply is under way the request's body is gone */
	struct bulk_delete_options options = {
		.source = "BD",
		.concurrency = (size_t)bulk->settings->bulk.delete_concurrency,
		.failures_max = (size_t)bulk->settings->bulk.max_failed_deletes,
		.yield_frequency_ms = (uint64_t)bulk->settings->bulk.yield_frequency_ms,
	};
	bulk_delete_begin(filter, request, &list->names, &options, reply);
}

/* ---- the filter ---- */

/* "tar", "tar.gz" and "tar.bz2" in any case, dots around them allowed; NULL for others. */
static const char *archive_format(struct slice value)
{
	static const char *const formats[] = {"tar", "tar.gz", "tar.bz2"};
	while (value.length && value.data[0] == '.')
		value = slice_of(value.data + 1, value.length - 1);
	while (value.length && value.data[value.length - 1] == '.')
		value.length--;
	for (size_t i = 0; i < 3; i++)
		if (value.length == strlen(formats[i]) && strncasecmp(value.data, formats[i], value.length) == 0)
			return formats[i];
	return NULL;
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct query query;
	struct slice value;
	bool may = request->method == METHOD_PUT || request->method == METHOD_POST || request->method == METHOD_DELETE;
	if (!may || request->query.length == 0 || query_parse(request->arena, request->query, &query)) {
		co_filter_next(filter, request, reply);
		return;
	}
	if (request->method == METHOD_PUT && query_get(&query, "extract-archive", &value)) {
		const char *format = archive_format(value);
		if (format)
			co_bulk_upload(filter, request, format, reply);
		else
			reply_text(reply, 400, "text/html; charset=UTF-8", "Unsupported archive format");
	} else if (request->method != METHOD_PUT && query_get(&query, "bulk-delete", &value)) {
		if (proxy_context_of(request)->account.data)
			co_begin_delete(filter, request, reply);
		else
			reply_status(reply, 404);
	} else {
		co_filter_next(filter, request, reply);
	}
}

struct filter filter_bulk(struct proxy *proxy, const struct settings *settings)
{
	struct bulk *bulk = arena_zalloc(proxy->arena, sizeof(*bulk));
	*bulk = (struct bulk){proxy, settings};
	proxy_announce(proxy, "bulk_upload",
		json_pack("{s:I, s:I}", "max_containers_per_extraction",
			(json_int_t)settings->bulk.max_containers_per_extraction, "max_failed_extractions",
			(json_int_t)settings->bulk.max_failed_extractions));
	proxy_announce(proxy, "bulk_delete",
		json_pack("{s:I, s:I}", "max_deletes_per_request", (json_int_t)settings->bulk.max_deletes_per_request,
			"max_failed_deletes", (json_int_t)settings->bulk.max_failed_deletes));
	return (struct filter){.name = "bulk", .co_handle = co_handle, .context = bulk};
}
