#include "proxy/filters/slo.h"

#include <errno.h>
#include <string.h>

#include "lib/swift/url.h"
#include "proxy/expirer_queue.h"
#include "proxy/filters/bulk_delete.h"
#include "proxy/inner_request.h"

/*
 * DELETE with multipart-manifest=delete: the segments, those of segments that are manifests too, and the manifests after
 * what they name.
 */

/* A name that waits. The list grows by what manifests name; it is bounded. */
struct waiting {
	struct slice name;
	bool is_manifest; /* its segments were not listed yet */
	const char *version_id;
	int error;
	const char *error_message;
	struct waiting *next;
};

struct slo_names {
	struct bulk_names names;
	const struct filter *filter;
	struct request *request;
	struct waiting *first;
	struct waiting **end;
	size_t count;
};

static struct waiting *append(struct slo_names *names, struct waiting waiting)
{
	struct waiting *copy = arena_alloc(names->request->arena, sizeof(*copy));
	*copy = waiting;
	copy->next = NULL;
	*names->end = copy;
	names->end = &copy->next;
	names->count++;
	return copy;
}

/* A status of Swift's own for what a GET of a manifest may answer. */
static int refuse(struct waiting *waiting, int status, const char *message)
{
	waiting->error = status;
	waiting->error_message = message;
	return -EINVAL;
}

static struct request *manifest_request(
	struct arena *arena, const struct slo_names *names, const struct waiting *waiting)
{
	struct request *request = names->request;
	const char *slash = memchr(waiting->name.data, '/', waiting->name.length);
	size_t container = slash ? (size_t)(slash - waiting->name.data) : waiting->name.length;
	struct inner_request inner = {
		.method = METHOD_GET,
		.account = proxy_context_of(request)->account,
		.container = slice_of(waiting->name.data, container),
		.object = slash ? slice_of(slash + 1, waiting->name.length - container - 1) : SLICE_LITERAL(""),
		.query = "multipart-manifest=get",
		.source = "SLO",
	};
	if (waiting->version_id) {
		struct slice id = url_encode(arena, slice_from(waiting->version_id), false);
		inner.query = arena_printf(arena, "multipart-manifest=get&version-id=%.*s", SLICE_PRINT(id));
	}
	struct request *get = inner_request_new(arena, request, &inner);
	/* of other objects no more than a byte */
	headers_set(&get->headers, "Range", "bytes=-1");
	headers_set(&get->headers, "X-Backend-Ignore-Range-If-Metadata-Present", "X-Static-Large-Object");
	return get;
}

static void append_segments(struct slo_names *names, const struct slo_manifest *manifest)
{
	for (size_t i = 0; i < manifest->count; i++) {
		const struct slo_segment *segment = &manifest->segments[i];
		if (!segment->data.data)
			(void)append(names, (struct waiting){.name = slice_from(arena_printf(names->request->arena,
								     "%.*s/%.*s", SLICE_PRINT(segment->container),
								     SLICE_PRINT(segment->object))),
						    .is_manifest = segment->sub_slo});
	}
}

static int co_read_manifest(struct slo_names *names, struct arena *arena, struct waiting *waiting)
{
	struct reply reply;
	struct slice text;
	struct request *get = manifest_request(arena, names, waiting);
	int error = co_inner_request_read(names->filter, get, SLO_MANIFEST_READ_MAX, &reply, &text);
	if (error || reply.status == 503 || reply.status == 507)
		return refuse(waiting, 500, "Unable to load SLO manifest or segment.");
	if (reply.status == 404)
		return refuse(waiting, 404, "SLO manifest not found");
	if (reply.status == 401)
		return refuse(waiting, 401, "401 Unauthorized");
	if (reply.status / 100 != 2 && reply.status != 416)
		return refuse(waiting, 500, "Unable to load SLO manifest or segment.");
	if (!config_true_value(headers_get(&reply.headers, "X-Static-Large-Object")))
		return refuse(waiting, 400, "Not an SLO manifest");
	struct slo_manifest manifest;
	if (slo_manifest_load(arena, text, &manifest))
		return refuse(waiting, 500, "Unable to load SLO manifest");
	append_segments(names, &manifest);
	return 0;
}

/*
 * Its segments join the list. -EINVAL: it is no manifest, or cannot be read. A manifest can name large ones a thousand times:
 * none of them stays in memory.
 */
static int co_list_segments(struct slo_names *names, struct waiting *waiting)
{
	struct arena *arena = arena_new();
	int error = co_read_manifest(names, arena, waiting);
	arena_free(arena);
	return error;
}

static int co_next_name(struct bulk_names *base, struct bulk_name *ret_name)
{
	struct slo_names *names = (struct slo_names *)base;
	const struct slo *slo = names->filter->context;
	while (names->first) {
		if ((int64_t)names->count > slo->settings->slo.max_manifest_segments * 10) {
			base->status = 400;
			base->text = "Too many buffered slo segments to delete.";
			return -EINVAL;
		}
		struct waiting *waiting = names->first;
		names->first = waiting->next;
		names->count--;
		if (!names->first)
			names->end = &names->first;
		if (!waiting->is_manifest) {
			*ret_name = (struct bulk_name){
				waiting->name, waiting->version_id, waiting->error, waiting->error_message};
			return 1;
		}
		(void)co_list_segments(names, waiting);
		waiting->is_manifest = false;
		(void)append(names, *waiting);
	}
	return 0;
}

/* ---- with async=on: the expirer deletes the segments (slo.py, handle_async_delete()) ---- */

static void complain(struct reply *reply, int status, const char *text)
{
	reply_text(reply, status, "text/html; charset=UTF-8", text);
}

/* Whether the request may write to the container. False: the reply is filled in. */
static bool co_may_write(struct request *request, struct slice container, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	struct inner_request inner = {.method = METHOD_DELETE,
		.account = context->account,
		.container = container,
		.object = context->object,
		.source = "SLO",
		.with_headers = true};
	struct request *asked = inner_request_new(request->arena, request, &inner);
	struct proxy_context *asking = proxy_context_of(asked);
	if (!asking->co_authorize)
		return true;
	const struct info *info = co_container_info(context->proxy, request, context->account, container);
	if (info->status / 100 == 5) {
		reply_status(reply, 503);
		return false;
	}
	asking->acl = info_header(info, "X-Container-Write");
	return asking->co_authorize(asked, asking, reply) == 0;
}

/* The objects of the manifest, which must be of one container. -EINVAL: the reply is filled in. */
static int take_segments(const struct slo_names *names, struct slice *objects, size_t *ret_count,
	struct slice *ret_container, struct reply *reply)
{
	size_t count = 0;
	for (const struct waiting *waiting = names->first; waiting; waiting = waiting->next) {
		const char *slash = memchr(waiting->name.data, '/', waiting->name.length);
		size_t length = slash ? (size_t)(slash - waiting->name.data) : waiting->name.length;
		struct slice container = slice_of(waiting->name.data, length);
		if (waiting->is_manifest) {
			complain(reply, 400, "No segments may be large objects.");
			return -EINVAL;
		}
		if (count && !slice_equal(container, *ret_container)) {
			struct slice one = url_encode(reply->arena, *ret_container, true);
			struct slice other = url_encode(reply->arena, container, true);
			complain(reply, 400,
				arena_printf(reply->arena,
					"All segments must be in one container. Found segments in \"%.*s\", \"%.*s\"",
					SLICE_PRINT(one), SLICE_PRINT(other)));
			return -EINVAL;
		}
		*ret_container = container;
		objects[count++] = slash ? slice_of(slash + 1, waiting->name.length - length - 1) : SLICE_NONE;
	}
	*ret_count = count;
	return 0;
}

/* The segments go into the expirer's queue, then the manifest is deleted as any object is. */
static void co_delete_later(
	const struct filter *filter, struct slo_names *names, struct request *request, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	struct waiting *manifest = names->first;
	names->first = NULL;
	names->end = &names->first;
	names->count = 0;
	if (co_list_segments(names, manifest)) {
		complain(reply, manifest->error, manifest->error_message);
		return;
	}
	size_t count = 0;
	struct slice container = SLICE_NONE;
	struct slice *objects = arena_alloc(request->arena, (names->count + 1) * sizeof(*objects));
	if (take_segments(names, objects, &count, &container, reply))
		return;
	if (count) {
		bool elsewhere = !slice_equal(container, context->container);
		if (!co_may_write(request, context->container, reply) ||
			(elsewhere && !co_may_write(request, container, reply)))
			return;
		if (co_expirer_queue_deletes(request, container, objects, count)) {
			reply_status(reply, 503);
			return;
		}
	}
	co_filter_next(filter, request, reply);
}

void co_slo_delete(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct slo *slo = filter->context;
	const struct proxy_context *context = proxy_context_of(request);
	struct slo_names *names = arena_zalloc(request->arena, sizeof(*names));
	names->names.co_next = co_next_name;
	names->filter = filter;
	names->request = request;
	names->end = &names->first;
	(void)append(names, (struct waiting){.name = slice_from(arena_printf(request->arena, "%.*s/%.*s",
						     SLICE_PRINT(context->container), SLICE_PRINT(context->object))),
				    .is_manifest = true,
				    .version_id = slo_parameter(request, "version-id")});
	if (slo->settings->slo.allow_async_delete && config_true_value(slo_parameter(request, "async"))) {
		co_delete_later(filter, names, request, reply);
		return;
	}
	struct bulk_delete_options options = {
		.source = "SLO",
		.concurrency = (size_t)slo->settings->slo.delete_concurrency,
		/* manifests that name each other would fail for ever where nobody may delete them */
		.failures_max = (size_t)slo->settings->slo.max_manifest_segments * 10,
		.yield_frequency_ms = (uint64_t)slo->settings->slo.yield_frequency_ms,
		.any_content_type = true,
	};
	bulk_delete_begin(filter, request, &names->names, &options, reply);
}
