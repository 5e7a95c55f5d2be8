#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/settings.h"
#include "lib/swift/url.h"
#include "proxy/filters/filters.h"
#include "proxy/inner_request.h"
#include "proxy/proxy_private.h"

/*
 * GET /endpoints/[v1|v2/]account[/container[/object]]: where the copies are, for computing beside the data
 * (swift/common/middleware/list_endpoints.py). Asks nobody who may: switch it on where the door is not the world's.
 */

struct list_endpoints {
	struct proxy *proxy;
	const char *path; /* begins and ends with "/" */
};

struct endpoint_name {
	int version;
	struct slice account, container, object;
};

/* 0: none of ours. -1: looks like a version, but is none that we know. */
static int version_of(struct slice text)
{
	static const char *const ones[] = {"v1", "v1.0", "1", "1.0"};
	static const char *const twos[] = {"v2", "v2.0", "2", "2.0"};
	for (size_t i = 0; i < 4; i++) {
		if (slice_equal(text, slice_from(ones[i])))
			return 1;
		if (slice_equal(text, slice_from(twos[i])))
			return 2;
	}
	return text.length && text.data[0] == 'v' && !memchr(text.data, '_', text.length) ? -1 : 0;
}

/* NULL, or what is wrong with the path behind the prefix. */
static const char *take_name(struct arena *arena, struct slice rest, struct endpoint_name *ret_name)
{
	struct slice parts[2];
	struct slice path = slice_from(arena_printf(arena, "/%.*s", SLICE_PRINT(rest)));
	if (path_split(arena, path, 1, 2, true, parts))
		return "No account specified";
	int version = version_of(parts[0]);
	if (version < 0)
		return arena_printf(arena, "Unsupported version '%.*s'", SLICE_PRINT(parts[0]));
	if (version) {
		const char *slash = memchr(rest.data, '/', rest.length);
		size_t skipped = slash ? (size_t)(slash - rest.data) : rest.length;
		path = slice_from(arena_printf(arena, "/%.*s", (int)(rest.length - skipped - (slash ? 1 : 0)),
			rest.data + skipped + (slash ? 1 : 0)));
	}
	struct slice names[3];
	if (path_split(arena, path, 1, 3, true, names))
		return "No account specified";
	*ret_name = (struct endpoint_name){version ? version : 1, names[0], names[1], names[2]};
	return NULL;
}

static struct ring *co_ring_of(
	struct proxy *proxy, struct request *request, const struct endpoint_name *name, int *ret_policy)
{
	*ret_policy = -1;
	if (!name->container.data)
		return ring_store_get(proxy->options.rings, RING_ACCOUNT, 0);
	if (!name->object.data)
		return ring_store_get(proxy->options.rings, RING_CONTAINER, 0);
	*ret_policy = co_container_info(proxy, request, name->account, name->container)->policy_index;
	return ring_store_get(proxy->options.rings, RING_OBJECT, *ret_policy);
}

static json_t *endpoints_of(
	struct proxy *proxy, struct ring *ring, const struct endpoint_name *name, struct arena *arena)
{
	unsigned char hash[16];
	hash_path(&proxy->options.hash, name->account, name->container, name->object, hash);
	uint32_t partition = ring_partition(ring, hash);
	const struct ring_device *devices[RING_REPLICAS_MAX];
	size_t count = ring_primaries(ring, partition, devices);
	struct slice tail = inner_request_path(arena, "", name->account, name->container, name->object);
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++) {
		bool six = strchr(devices[i]->ip, ':');
		json_array_append_new(list,
			json_sprintf("http://%s%s%s:%d/%s/%u%.*s", six ? "[" : "", devices[i]->ip, six ? "]" : "",
				devices[i]->port, devices[i]->device, partition, (int)tail.length - 1, tail.data + 1));
	}
	return list;
}

static void co_answer(const struct list_endpoints *list, struct request *request, const struct endpoint_name *name,
	struct reply *reply)
{
	int policy;
	struct ring *ring = co_ring_of(list->proxy, request, name, &policy);
	if (!ring) {
		reply_status(reply, 503);
		return;
	}
	json_t *answer = endpoints_of(list->proxy, ring, name, request->arena);
	ring_unref(ring);
	if (name->version == 2) {
		json_t *headers = json_object();
		if (policy >= 0)
			json_object_set_new(headers, "X-Backend-Storage-Policy-Index", json_sprintf("%d", policy));
		answer = json_pack("{s:o, s:o}", "endpoints", answer, "headers", headers);
	}
	char *text = json_dumps(answer, JSON_ENSURE_ASCII);
	reply_text(reply, 200, "application/json", arena_strdup(reply->arena, text));
	free(text);
	json_decref(answer);
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct list_endpoints *list = filter->context;
	size_t length = strlen(list->path);
	if (request->path.length < length || memcmp(request->path.data, list->path, length) != 0) {
		co_filter_next(filter, request, reply);
		return;
	}
	if (request->method != METHOD_GET) {
		reply_not_allowed(reply, "GET");
		return;
	}
	struct endpoint_name name = {0};
	struct slice rest = slice_of(request->path.data + length, request->path.length - length);
	const char *wrong = take_name(request->arena, rest, &name);
	if (wrong)
		reply_text(reply, 400, "text/html; charset=UTF-8", wrong);
	else
		co_answer(list, request, &name, reply);
}

struct filter filter_list_endpoints(struct proxy *proxy, const struct settings *settings)
{
	struct list_endpoints *list = arena_zalloc(proxy->arena, sizeof(*list));
	*list = (struct list_endpoints){proxy, settings->list_endpoints.list_endpoints_path};
	return (struct filter){.name = "list_endpoints", .co_handle = co_handle, .context = list};
}
