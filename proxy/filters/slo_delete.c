#include "proxy/filters/slo.h"

#include <errno.h>
#include <string.h>

#include "lib/swift/url.h"
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

static struct request *manifest_request(struct slo_names *names, const struct waiting *waiting)
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
		struct slice id = url_encode(request->arena, slice_from(waiting->version_id), false);
		inner.query = arena_printf(request->arena, "multipart-manifest=get&version-id=%.*s", SLICE_PRINT(id));
	}
	struct request *get = inner_request_new(request->arena, request, &inner);
	/* of other objects no more than a byte */
	headers_set(&get->headers, "Range", "bytes=-1");
	headers_set(&get->headers, "X-Backend-Ignore-Range-If-Metadata-Present", "X-Static-Large-Object");
	return get;
}

/* Its segments join the list. -EINVAL: it is no manifest, or cannot be read. */
static int co_list_segments(struct slo_names *names, struct waiting *waiting)
{
	struct reply reply;
	struct slice text;
	struct request *get = manifest_request(names, waiting);
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
	if (slo_manifest_load(names->request->arena, text, &manifest))
		return refuse(waiting, 500, "Unable to load SLO manifest");
	for (size_t i = 0; i < manifest.count; i++) {
		const struct slo_segment *segment = &manifest.segments[i];
		if (!segment->data.data)
			(void)append(names, (struct waiting){.name = slice_from(arena_printf(names->request->arena,
								     "%.*s/%.*s", SLICE_PRINT(segment->container),
								     SLICE_PRINT(segment->object))),
						    .is_manifest = segment->sub_slo});
	}
	return 0;
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
	struct bulk_delete_options options = {
		.source = "SLO",
		.concurrency = (size_t)slo->settings->slo.delete_concurrency,
		.failures_max = SIZE_MAX,
		.yield_frequency_ms = (uint64_t)slo->settings->slo.yield_frequency_ms,
		.any_content_type = true,
	};
	bulk_delete_begin(filter, request, &names->names, &options, reply);
}
