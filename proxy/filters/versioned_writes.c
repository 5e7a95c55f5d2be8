#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/settings.h"
#include "lib/swift/http_date.h"
#include "lib/swift/url.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/versions.h"

/*
 * The older way of keeping versions (swift/common/middleware/versioned_writes/legacy.py): before an object is overwritten
 * it is copied to the container that X-Versions-Location (a DELETE brings the last version back) or X-History-Location (a
 * DELETE leaves a marker there) names, as "<length><name>/<time>".
 */

#define STORED_LOCATION "X-Container-Sysmeta-Versions-Location"
#define STORED_MODE "X-Container-Sysmeta-Versions-Mode"

static const char versions_location[] = "X-Versions-Location", history_location[] = "X-History-Location";
static const char source_tag[] = "VW";

/* One object request in a container that keeps versions. */
struct write {
	const struct filter *filter;
	struct request *request;
	const struct info *info;
	struct slice versions; /* where they are kept */
};

/* ---- containers ---- */

static const char *const removals[] = {"X-Remove-Versions-Location", "X-Remove-History-Location"};

static void drop_removals(struct headers *headers)
{
	for (size_t i = 0; i < 2; i++)
		headers_remove(headers, removals[i]);
}

/* Keeps the location under the names that only we set. False: the reply says why not. */
static bool set_location(struct request *request, const char *location, const char *mode, struct reply *reply)
{
	const char *wrong = strchr(location, '/') ? "Container name cannot contain slashes" : NULL;
	if (wrong) {
		reply_text(reply, 412, "text/html; charset=UTF-8", wrong);
		return false;
	}
	headers_set(&request->headers, STORED_LOCATION, location);
	headers_set(&request->headers, STORED_MODE, mode);
	headers_set(&request->headers, versions_location, "");
	drop_removals(&request->headers);
	return true;
}

/* Of both headers the one that says something counts. False: both do, 400 is set. */
static bool choose_location(struct headers *headers, struct reply *reply)
{
	const char *versions = headers_get(headers, versions_location),
		   *history = headers_get(headers, history_location);
	if (!versions || !history)
		return true;
	if (*versions && *history) {
		reply_text(reply, 400, "text/plain",
			"Only one of x-versions-location or x-history-location may be specified");
		return false;
	}
	headers_remove(headers, *history ? versions_location : history_location);
	return true;
}

static bool take_location(struct request *request, struct reply *reply)
{
	struct headers *headers = &request->headers;
	if (!choose_location(headers, reply))
		return false;
	const char *versions = headers_get(headers, versions_location),
		   *history = headers_get(headers, history_location);
	const char *location = versions ? versions : history;
	bool removes = location && !*location;
	if (location && *location && !set_location(request, location, versions ? "stack" : "history", reply))
		return false;
	for (size_t i = 0; i < 2; i++) {
		const char *value = headers_get(headers, removals[i]);
		removes = removes || (value && *value);
	}
	if (removes) {
		headers_set(headers, versions_location, "");
		headers_set(headers, STORED_LOCATION, "");
		headers_set(headers, STORED_MODE, "");
		drop_removals(headers);
	}
	return true;
}

static void co_container(const struct filter *filter, struct request *request, struct reply *reply)
{
	if (!take_location(request, reply))
		return;
	co_filter_next(filter, request, reply);
	const char *location = headers_get(&reply->headers, STORED_LOCATION);
	const char *mode = headers_get(&reply->headers, STORED_MODE);
	if (location && *location)
		headers_set(&reply->headers,
			mode && strcmp(mode, "history") == 0 ? history_location : versions_location, location);
}

/* ---- versions ---- */

/* False: the reply says that the version could not be kept. */
static bool succeeded(const struct reply *inner, struct reply *reply)
{
	if (inner->status / 100 == 2)
		return true;
	reply_status(reply, inner->status / 100 == 4 ? 412 : 503);
	return false;
}

/* "%03x<name>/": the length in bytes keeps names apart that begin alike. */
static struct slice version_prefix(struct arena *arena, struct slice object)
{
	struct buf name = BUF_INIT;
	buf_printf(&name, "%03zx", object.length);
	buf_append_slice(&name, object);
	buf_append_byte(&name, '/');
	struct slice prefix = arena_slice(arena, buf_slice(&name));
	buf_release(&name);
	return prefix;
}

static struct slice version_name(struct arena *arena, struct slice object, const char *time)
{
	struct slice prefix = version_prefix(arena, object);
	size_t length = prefix.length + strlen(time);
	char *name = arena_alloc(arena, length);
	memcpy(name, prefix.data, prefix.length);
	memcpy(name + prefix.length, time, length - prefix.length);
	return slice_of(name, length);
}

static const char *time_text(struct arena *arena, struct timestamp time)
{
	char text[TIMESTAMP_TEXT_BYTES];
	size_t length = timestamp_internal(time, text);
	return arena_strndup(arena, text, length);
}

static const char *written_at(struct arena *arena, const struct reply *reply)
{
	struct timestamp time = TIMESTAMP_ZERO;
	const char *text = headers_get(&reply->headers, "X-Timestamp");
	const char *modified = headers_get(&reply->headers, "Last-Modified");
	int64_t seconds = 0;
	if (text && timestamp_parse(slice_from(text), &time) == 0)
		return time_text(arena, time);
	if (modified && http_date_parse(slice_from(modified), &seconds) == 0 && seconds > 0)
		time.raw = (uint64_t)seconds * TIMESTAMP_RAW_PER_SECOND;
	return time_text(arena, time);
}

/* Copies the object to where versions are kept. False: the reply says why it cannot. */
static bool co_keep_current(struct write *write, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(write->request);
	struct arena *arena = write->request->arena;
	if (!co_versions_may_write(write->request, write->info, reply))
		return false;
	struct versions_source source;
	co_versions_open(write->filter, write->request, context->container, context->object, source_tag, &source);
	bool none = source.reply.status == 404;
	if (none || !succeeded(&source.reply, reply)) {
		versions_source_end(&source);
		return none;
	}
	struct slice name = version_name(arena, context->object, written_at(arena, &source.reply));
	struct reply stored;
	co_versions_store(write->filter, write->request, &source, write->versions, name, source_tag, &stored);
	versions_source_end(&source);
	return succeeded(&stored, reply);
}

static void co_put(struct write *write, struct reply *reply)
{
	if (co_keep_current(write, reply))
		co_filter_next(write->filter, write->request, reply);
}

static void co_delete_with_history(struct write *write, struct reply *reply)
{
	struct arena *arena = write->request->arena;
	const struct proxy_context *context = proxy_context_of(write->request);
	struct reply marked;
	if (!co_keep_current(write, reply))
		return;
	co_versions_mark_deleted(write->filter, write->request, write->versions,
		version_name(arena, context->object, time_text(arena, timestamp_now())), false, source_tag, &marked);
	if (succeeded(&marked, reply))
		co_filter_next(write->filter, write->request, reply);
}

/* ---- bringing the last version back ---- */

/* The versions of an object, newest first. */
struct version_walk {
	struct write *write;
	struct slice prefix;
	struct slice marker;
	json_t *page; /* NULL: not asked yet */
	size_t next;
};

static void release_page(void *argument)
{
	struct version_walk *walk = argument;
	json_decref(walk->page);
	walk->page = NULL;
}

/* 1 with a row, 0 at the end, -1: the reply says why the listing cannot be had. */
static int co_next_version(struct version_walk *walk, json_t **ret_row, struct reply *reply)
{
	struct request *request = walk->write->request;
	if (!walk->page || (walk->next == json_array_size(walk->page) && walk->next > 0)) {
		struct inner_listing listing = {
			.account = proxy_context_of(request)->account,
			.container = walk->write->versions,
			.prefix = walk->prefix,
			.marker = walk->marker,
			.reverse = true,
			.source = source_tag,
			.authorised = true,
		};
		struct reply listed;
		release_page(walk);
		walk->next = 0;
		walk->page = co_inner_listing(walk->write->filter, request, request->arena, &listing, &listed);
		if (!walk->page && listed.status != 404) {
			reply_status(reply, listed.status / 100 == 4 ? 412 : 500);
			return -1;
		}
	}
	if (walk->next >= json_array_size(walk->page))
		return 0;
	*ret_row = json_array_get(walk->page, walk->next++);
	json_t *name = json_object_get(*ret_row, "name");
	walk->marker = arena_slice(request->arena, slice_of(json_string_value(name), json_string_length(name)));
	return 1;
}

static bool is_marker(json_t *row)
{
	const char *type = json_string_value(json_object_get(row, "content_type"));
	return type && strcmp(type, DELETE_MARKER_TYPE) == 0;
}

/* 1: the version is the object again. 0: it is gone. -1: the reply says what went wrong. */
static int co_restore(struct write *write, struct slice version, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(write->request);
	struct versions_source source;
	struct reply stored;
	co_versions_open(write->filter, write->request, write->versions, version, source_tag, &source);
	bool gone = source.reply.status == 404;
	if (gone || !succeeded(&source.reply, reply)) {
		versions_source_end(&source);
		return gone ? 0 : -1;
	}
	co_versions_store(
		write->filter, write->request, &source, context->container, context->object, source_tag, &stored);
	versions_source_end(&source);
	return succeeded(&stored, reply) ? 1 : -1;
}

static struct request *version_request(
	struct write *write, enum method method, struct slice container, struct slice name)
{
	struct inner_request inner = {
		.method = method,
		.account = proxy_context_of(write->request)->account,
		.container = container,
		.object = name,
		.source = source_tag,
		.authorised = true,
	};
	return inner_request_new(write->request->arena, write->request, &inner);
}

/* 1: there is an object. 0: a DELETE before has left nothing. -1: the reply says what went wrong. */
static int co_object_is_there(struct write *write, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(write->request);
	struct request *head = version_request(write, METHOD_HEAD, context->container, context->object);
	struct reply answer;
	headers_set(&head->headers, "X-Newest", "True");
	co_versions_ask(write->filter, head, &answer);
	if (answer.status == 404)
		return 0;
	return succeeded(&answer, reply) ? 1 : -1;
}

/* Behind a marker that is the current state: brings back what was before it. False: the reply says what went wrong. */
static bool co_restore_behind_marker(struct version_walk *walk, struct reply *reply)
{
	struct write *write = walk->write;
	json_t *row;
	int more;
	while ((more = co_next_version(walk, &row, reply)) > 0 && !is_marker(row)) {
		struct slice name = walk->marker;
		int restored = co_restore(write, name, reply);
		if (restored < 0)
			return false;
		if (restored == 0)
			continue;
		struct reply gone;
		co_versions_ask(write->filter, version_request(write, METHOD_DELETE, write->versions, name), &gone);
		return gone.status == 404 || succeeded(&gone, reply);
	}
	return more >= 0;
}

/*
 * Looks for what the DELETE has to remove in the end: *ret_name is a version (the one that was brought back, or a marker),
 * or stays NULL for the object itself. False: the reply is set.
 */
static bool co_pop(struct version_walk *walk, struct slice *ret_name, struct reply *reply)
{
	json_t *row;
	int more;
	bool asked = false;
	while ((more = co_next_version(walk, &row, reply)) > 0) {
		struct slice name = walk->marker;
		if (!asked && !co_versions_may_write(walk->write->request, walk->write->info, reply))
			return false;
		asked = true;
		if (is_marker(row)) {
			int there = co_object_is_there(walk->write, reply);
			if (there < 0 || (there == 0 && !co_restore_behind_marker(walk, reply)))
				return false;
			if (there == 0)
				*ret_name = name;
			return true;
		}
		int restored = co_restore(walk->write, name, reply);
		if (restored < 0)
			return false;
		if (restored) {
			*ret_name = name;
			return true;
		}
	}
	return more == 0;
}

static void co_delete_from_stack(struct write *write, struct reply *reply)
{
	struct request *request = write->request;
	struct version_walk *walk = arena_zalloc(request->arena, sizeof(*walk));
	struct slice version = SLICE_NONE;
	walk->write = write;
	walk->prefix = version_prefix(request->arena, proxy_context_of(request)->object);
	arena_defer(request->arena, release_page, walk);
	if (!co_pop(walk, &version, reply))
		return;
	if (version.data)
		co_filter_next(write->filter, version_request(write, METHOD_DELETE, write->versions, version), reply);
	else
		co_filter_next(write->filter, request, reply);
}

/* ---- all ---- */

static bool has_text(const char *value)
{
	return value && *value;
}

static void co_object(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	const struct info *info = co_container_info(context->proxy, request, context->account, context->container);
	const char *location = info_header(info, STORED_LOCATION), *mode = info_header(info, STORED_MODE);
	if (!has_text(location))
		location = info_header(info, versions_location);
	if (!info_exists(info) || !has_text(location)) {
		co_filter_next(filter, request, reply);
		return;
	}
	struct write write = {
		.filter = filter,
		.request = request,
		.info = info,
		.versions = url_decode(request->arena, slice_from(location), false),
	};
	const char *slash = memchr(write.versions.data, '/', write.versions.length);
	if (slash)
		write.versions.length = (size_t)(slash - write.versions.data);
	if (request->method == METHOD_PUT)
		co_put(&write, reply);
	else if (mode && strcmp(mode, "history") == 0)
		co_delete_with_history(&write, reply);
	else
		co_delete_from_stack(&write, reply);
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	bool known = context->version && context->container.data && !context->allow_reserved_names &&
		     constraints_text_valid(context->account, false) &&
		     constraints_text_valid(context->container, false);
	bool writes = request->method == METHOD_PUT || request->method == METHOD_DELETE;
	if (known && !context->object.data)
		co_container(filter, request, reply);
	else if (known && writes)
		co_object(filter, request, reply);
	else
		co_filter_next(filter, request, reply);
}

struct filter filter_versioned_writes(struct proxy *proxy, const struct settings *settings)
{
	if (settings->versioned_writes.allow_versioned_writes)
		proxy_announce(proxy, "versioned_writes",
			json_pack("{s:[s, s]}", "allowed_flags", "x-versions-location", "x-history-location"));
	return (struct filter){.name = "versioned_writes", .co_handle = co_handle, .context = proxy};
}
