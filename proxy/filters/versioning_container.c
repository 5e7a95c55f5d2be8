#include <stdlib.h>
#include <string.h>

#include "lib/swift/url.h"
#include "proxy/filters/versioning.h"
#include "proxy/listing_document.h"

/*
 * Switching versioning on and off, and what containers and accounts show of it.
 */

static const struct info *co_info(struct request *request)
{
	const struct proxy_context *context = proxy_context_of(request);
	return co_container_info(context->proxy, request, context->account, context->container);
}

/* A request of ours about the hidden container; the small answer is in *ret_reply. */
static void co_ask_hidden(const struct filter *filter, struct request *request, enum method method, struct slice hidden,
	const char *policy, struct reply *ret_reply)
{
	struct inner_request inner = {
		.method = method,
		.account = proxy_context_of(request)->account,
		.container = hidden,
		.source = VERSIONING_SOURCE,
		.authorised = true,
		.reserved_names = true,
	};
	struct request *ask = inner_request_new(request->arena, request, &inner);
	if (policy)
		headers_set(&ask->headers, "X-Storage-Policy", policy);
	co_versions_ask(filter, ask, ret_reply);
}

static bool has_text(const char *value)
{
	return value && *value;
}

static struct slice decoded_name(struct arena *arena, const char *stored)
{
	struct slice name = has_text(stored) ? url_decode(arena, slice_from(stored), false) : SLICE_NONE;
	const char *slash = name.length ? memchr(name.data, '/', name.length) : NULL;
	if (slash)
		name.length = (size_t)(slash - name.data);
	return name;
}

struct slice versioning_hidden_container(struct arena *arena, const struct info *info)
{
	return info_exists(info) ? decoded_name(arena, info_header(info, VERSIONS_STORED_CONTAINER)) : SLICE_NONE;
}

/* ---- switching ---- */

/* Why this container cannot be versioned so, or NULL. */
static const char *obstacle(const struct info *info)
{
	if (has_text(info_header(info, "X-Container-Sysmeta-Versions-Location")) ||
		has_text(info_header(info, "X-Versions-Location")))
		return "Cannot enable object versioning on a container that is already using the legacy versioned "
		       "writes feature.";
	if (has_text(info_header(info, "X-Container-Sync-To")))
		return "Cannot enable object versioning on a container configured as source of container syncing.";
	return NULL;
}

static void show_enabled(struct reply *reply)
{
	const char *stored = headers_get(&reply->headers, VERSIONS_STORED_ENABLED);
	if (stored)
		headers_set(&reply->headers, VERSIONS_ENABLED, stored);
}

/* Makes the hidden container; *ret_made says whether it was not there. False: the reply is the refusal. */
static bool co_make_hidden(const struct filter *filter, struct request *request, const struct info *info,
	struct slice hidden, bool *ret_made, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	const char *policy_name = NULL;
	if (info_exists(info)) {
		const struct proxy_policy *policy = proxy_policy_by_index(context->proxy, info->policy_index);
		if (policy && policy->is_deprecated) {
			reply_text(reply, 400, "text/html; charset=UTF-8",
				"Cannot enable object versioning on a container that uses a deprecated storage "
				"policy.");
			return false;
		}
		policy_name = policy ? policy->name : NULL;
	} else if (request->method == METHOD_PUT) {
		policy_name = headers_get(&request->headers, "X-Storage-Policy");
	}
	struct reply made;
	co_ask_hidden(filter, request, METHOD_PUT, hidden, policy_name, &made);
	*ret_made = made.status == 201;
	if (made.status / 100 == 2 || made.status == 409)
		return true;
	reply_text(reply, 500, "text/html; charset=UTF-8", "Error enabling object versioning");
	return false;
}

/* PUT or POST with X-Versions-Enabled. Swift asks later who may, when the hidden container is made already. */
static void co_switch(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct info *info = co_info(request);
	const char *wrong = obstacle(info);
	bool enable = config_true_value(headers_get(&request->headers, VERSIONS_ENABLED)), made = false;
	if (co_authorize(request, reply))
		return;
	if (wrong) {
		reply_text(reply, 400, "text/html; charset=UTF-8", wrong);
		return;
	}
	struct slice hidden = versions_container_name(request->arena, proxy_context_of(request)->container);
	headers_set(&request->headers, VERSIONS_STORED_ENABLED, enable ? "True" : "False");
	if (enable) {
		if (!co_make_hidden(filter, request, info, hidden, &made, reply))
			return;
		headers_set_format(&request->headers, VERSIONS_STORED_CONTAINER, "%.*s",
			SLICE_PRINT(url_encode(request->arena, hidden, true)));
	}
	co_filter_next(filter, request, reply);
	if (reply->status / 100 != 2 && made) {
		struct reply undone;
		co_ask_hidden(filter, request, METHOD_DELETE, hidden, NULL, &undone);
	}
	show_enabled(reply);
}

static int64_t number_of(const struct reply *reply, const char *name)
{
	const char *text = headers_get(&reply->headers, name);
	return text ? strtoll(text, NULL, 10) : 0;
}

/* The versions must be gone before the container goes, and the hidden one with it. False: the reply is the refusal. */
static bool co_delete_hidden(
	const struct filter *filter, struct request *request, struct slice hidden, struct reply *reply)
{
	struct reply head, gone;
	co_ask_hidden(filter, request, METHOD_HEAD, hidden, NULL, &head);
	if (head.status / 100 == 2 && number_of(&head, "X-Container-Object-Count") > 0) {
		reply_text(reply, 409, "text/html; charset=UTF-8", "Delete all versions before deleting container.");
		return false;
	}
	if (head.status == 404)
		return true;
	if (head.status / 100 == 2) {
		co_ask_hidden(filter, request, METHOD_DELETE, hidden, NULL, &gone);
		if (gone.status / 100 == 2 || gone.status == 404)
			return true;
	}
	reply_text(reply, 500, "text/html; charset=UTF-8", "Error deleting versioned container");
	return false;
}

static void co_delete(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct info *info = co_info(request);
	struct slice hidden = versioning_hidden_container(request->arena, info);
	if (hidden.data && (co_authorize(request, reply) || !co_delete_hidden(filter, request, hidden, reply)))
		return;
	co_filter_next(filter, request, reply);
}

/* ---- listings ---- */

struct link_rows {
	struct request *request;
	struct slice hidden;
	bool keep_paths; /* symlink_path stays that of the hidden container */
};

/* A link to a version looks like the version: its size, ETag and id. */
static void show_version(const struct link_rows *links, json_t *row)
{
	struct arena *arena = links->request->arena;
	const struct proxy_context *context = proxy_context_of(links->request);
	const char *path = json_string_value(json_object_get(row, "symlink_path"));
	const char *etag = json_string_value(json_object_get(row, "symlink_etag"));
	json_t *bytes = json_object_get(row, "symlink_bytes");
	const char *hash = json_string_value(json_object_get(row, "hash"));
	struct slice parts[4], object;
	const char *id;
	if (!path || !etag || !bytes || !hash || path_split(arena, slice_from(path), 4, 4, true, parts) ||
		!slice_equal(parts[2], links->hidden))
		return;
	const char *rest = strchr(hash, ';');
	json_object_set(row, "bytes", bytes);
	json_object_set_new(row, "version_symlink", json_true());
	json_object_set_new(row, "hash", json_string(arena_printf(arena, "%s%s", etag, rest ? rest : "")));
	json_object_del(row, "symlink_bytes");
	json_object_del(row, "symlink_etag");
	if (links->keep_paths || !versions_object_parse(arena, parts[3], &object, &id))
		return;
	json_object_set_new(row, "symlink_path",
		json_string(arena_printf(arena, "/v1/%.*s/%.*s/%.*s?version-id=%s",
			SLICE_PRINT(url_encode(arena, parts[1], true)),
			SLICE_PRINT(url_encode(arena, context->container, true)),
			SLICE_PRINT(url_encode(arena, object, true)), id)));
}

static void show_versions(json_t *rows, void *argument)
{
	size_t index;
	json_t *row;
	json_array_foreach(rows, index, row) show_version(argument, row);
}

/* What the versions take counts as the container's. */
static void co_add_bytes(const struct filter *filter, struct request *request, struct slice hidden, struct reply *reply)
{
	static const char used[] = "X-Container-Bytes-Used";
	struct reply head;
	if (!headers_get(&reply->headers, used))
		return;
	co_ask_hidden(filter, request, METHOD_HEAD, hidden, NULL, &head);
	if (head.status / 100 == 2)
		headers_set_format(
			&reply->headers, used, "%lld", (long long)(number_of(reply, used) + number_of(&head, used)));
}

static bool accepts_json(struct request *request)
{
	const char *accept = headers_get(&request->headers, "Accept");
	if (!accept || !*accept)
		return true;
	return strcasestr(accept, "application/json") || strstr(accept, "*/*") || strcasestr(accept, "application/*");
}

static void co_show(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct slice versions;
	bool lists_versions = request->method == METHOD_GET && versions_parameter(request, "versions", &versions);
	struct link_rows links = {.request = request, .keep_paths = lists_versions};
	struct proxy_context *context = proxy_context_of(request);
	/* which links are meant is known by the name alone, whatever the reply's metadata says */
	links.hidden = versions_container_name(request->arena, context->container);
	json_t *rows = NULL;
	if (lists_versions) {
		listing_document_set_format(request, "json");
		co_filter_next(filter, request, reply);
		rows = co_listing_take_rows(reply);
	} else {
		co_listing_rewrite(filter, request, reply, "\"symlink_bytes\"", show_versions, &links);
	}
	struct slice hidden = decoded_name(request->arena, headers_get(&reply->headers, VERSIONS_STORED_CONTAINER));
	show_enabled(reply);
	if (hidden.data)
		co_add_bytes(filter, request, hidden, reply);
	if (!rows)
		return;
	if (accepts_json(request)) {
		show_versions(rows, &links);
		co_versioning_list(filter, request, links.hidden, rows, reply);
	} else {
		reply_reset(reply);
		reply_status(reply, 406);
	}
	json_decref(rows);
}

void co_versioning_container(const struct filter *filter, struct request *request, struct reply *reply)
{
	bool writes = request->method == METHOD_PUT || request->method == METHOD_POST;
	if (writes && headers_get(&request->headers, VERSIONS_ENABLED))
		co_switch(filter, request, reply);
	else if (request->method == METHOD_DELETE)
		co_delete(filter, request, reply);
	else
		co_show(filter, request, reply);
}

/* ---- accounts ---- */

/* A parameter that names a container, as it must be to name the hidden one. */
static struct slice hidden_parameter(struct request *request, const char *name)
{
	struct slice value;
	if (!versions_parameter(request, name, &value) || memchr(value.length ? value.data : "", '\0', value.length))
		return SLICE_NONE;
	return versions_container_name(request->arena, value);
}

/* The rows of the hidden containers that belong to this page, or NULL. */
static json_t *co_list_hidden(const struct filter *filter, struct request *request, bool reverse, size_t limit)
{
	struct slice delimiter = SLICE_NONE;
	struct inner_listing listing = {
		.account = proxy_context_of(request)->account,
		.prefix = hidden_parameter(request, "prefix"),
		.marker = hidden_parameter(request, "marker"),
		.end_marker = hidden_parameter(request, "end_marker"),
		.limit = limit,
		.reverse = reverse,
		.source = VERSIONING_SOURCE,
		.authorised = true,
		.reserved_names = true,
	};
	if (!listing.prefix.data)
		listing.prefix = versions_container_name(request->arena, SLICE_LITERAL(""));
	if (versions_parameter(request, "delimiter", &delimiter))
		listing.delimiter = delimiter;
	struct reply reply;
	return co_inner_listing(filter, request, request->arena, &listing, &reply);
}

/* Rows by the name of the container that the versions are of. */
static json_t *by_parent(struct arena *arena, json_t *hidden)
{
	json_t *map = json_object();
	size_t index;
	json_t *row;
	json_array_foreach(hidden, index, row)
	{
		json_t *name = json_object_get(row, "name");
		if (!name)
			continue;
		struct slice parent =
			versions_container_parent(slice_of(json_string_value(name), json_string_length(name)));
		struct slice key = url_encode(arena, parent, false);
		json_object_set_new(row, "name", json_stringn(parent.data, parent.length));
		json_object_set(map, arena_strndup(arena, key.data, key.length), row);
	}
	return map;
}

static void add_bytes(struct arena *arena, json_t *rows, json_t *versions)
{
	size_t index;
	json_t *row;
	json_array_foreach(rows, index, row)
	{
		json_t *name = json_object_get(row, "name");
		if (!name)
			continue;
		struct slice text = slice_of(json_string_value(name), json_string_length(name));
		struct slice encoded = url_encode(arena, text, false);
		const char *key = arena_strndup(arena, encoded.data, encoded.length);
		json_t *version = json_object_get(versions, key);
		if (!version)
			continue;
		json_int_t bytes = json_integer_value(json_object_get(row, "bytes")) +
				   json_integer_value(json_object_get(version, "bytes"));
		json_object_set_new(row, "bytes", json_integer(bytes));
		json_object_del(versions, key);
	}
}

/* Versions whose container is gone are shown, so that somebody can clean up. */
static void add_orphans(json_t *rows, json_t *versions)
{
	const char *key;
	json_t *row;
	json_object_foreach(versions, key, row)
	{
		json_object_set_new(row, "count", json_integer(0));
		json_array_append(rows, row);
	}
}

/*
 * The versions' bytes are added to their containers'. Most accounts have none: what the servers have written goes out as it
 * is then, and a listing with versions is asked for again as rows.
 */
void co_versioning_account(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	struct slice word = SLICE_NONE;
	(void)versions_parameter(request, "reverse", &word);
	bool reverse = config_true_value(arena_strndup(request->arena, word.data ? word.data : "", word.length));
	struct slice query = request->query;
	co_filter_next(filter, request, reply);
	if (reply->status / 100 != 2)
		return;
	size_t limit = versioning_limit(request, context->proxy->options.constraints.account_listing_limit);
	json_t *hidden = limit ? co_list_hidden(filter, request, reverse, limit) : NULL;
	if (json_array_size(hidden) == 0) {
		json_decref(hidden);
		return;
	}
	struct inner_request inner = {
		.method = METHOD_GET,
		.account = context->account,
		.query = arena_printf(request->arena, "%.*s&format=json", SLICE_PRINT(query)),
		.source = VERSIONING_SOURCE,
		.authorised = true,
	};
	struct reply again;
	reply_init(&again, request->arena);
	struct request *get = inner_request_new(request->arena, request, &inner);
	co_filter_next(filter, get, &again);
	json_t *rows = co_listing_take_rows(&again);
	if (rows) {
		json_t *versions = by_parent(request->arena, hidden);
		add_bytes(request->arena, rows, versions);
		add_orphans(rows, versions);
		json_decref(versions);
		versioning_sort(rows, reverse, limit);
		body_close(reply->body);
		reply->body = NULL;
		listing_document_reply(request, rows, listing_document_format(request), reply);
	}
	json_decref(rows);
	json_decref(hidden);
	reply_finish(get, &again, 0, 0);
}
