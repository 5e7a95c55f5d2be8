#include <stdlib.h>
#include <string.h>

#include "lib/swift/number.h"
#include "lib/swift/url.h"
#include "proxy/filters/versioning.h"
#include "proxy/listing_document.h"

/*
 * ?versions: the rows of a container and those of its hidden container as one listing. Every version has version_id and
 * is_latest; what was stored without versioning has the id "null".
 */

/* ---- sorting ---- */

struct sort_row {
	json_t *row;
	struct slice name;
	size_t index;
};

static int compare_forward(const void *a, const void *b)
{
	const struct sort_row *x = a, *y = b;
	int order = slice_compare(x->name, y->name);
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int compare_reverse(const void *a, const void *b)
{
	const struct sort_row *x = a, *y = b;
	int order = slice_compare(y->name, x->name);
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static struct slice text_of(json_t *row, const char *key)
{
	json_t *value = json_object_get(row, key);
	return json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value)) : SLICE_NONE;
}

void versioning_sort(json_t *rows, bool reverse, size_t limit)
{
	size_t count = json_array_size(rows), index;
	struct arena *arena = arena_new();
	struct sort_row *sorted = arena_alloc(arena, (count + 1) * sizeof(*sorted));
	json_t *row;
	json_array_foreach(rows, index, row)
	{
		struct slice name = text_of(row, "name");
		sorted[index] = (struct sort_row){json_incref(row), name.data ? name : text_of(row, "subdir"), index};
	}
	qsort(sorted, count, sizeof(*sorted), reverse ? compare_reverse : compare_forward);
	json_array_clear(rows);
	for (size_t i = 0; i < count; i++) {
		if (i < limit)
			json_array_append(rows, sorted[i].row);
		json_decref(sorted[i].row);
	}
	arena_free(arena);
}

size_t versioning_limit(struct request *request, int64_t most)
{
	struct slice text;
	int64_t limit = most;
	if (versions_parameter(request, "limit", &text) && text.length && number_parse_integer(text, &limit))
		limit = most;
	return (size_t)(limit < 0 || limit > most ? most : limit);
}

/* ---- merging ---- */

struct merge {
	const struct filter *filter;
	struct request *request;
	struct arena *arena;
	struct slice hidden;
	bool reverse;
	size_t limit;
	json_t *result;
	json_t *subdirs; /* sets and maps have percent-encoded keys, since names may hold NUL */
	json_t *latest;  /* names of which the current version is known */
	json_t *links;   /* rows of links, by the name of the version */
};

static const char *key_of(struct merge *merge, struct slice name)
{
	struct slice key = url_encode(merge->arena, name, false);
	return arena_strndup(merge->arena, key.data, key.length);
}

static void set_add(json_t *set, const char *key)
{
	json_object_set_new(set, key, json_true());
}

static void add_subdir(struct merge *merge, struct slice name)
{
	const char *key = key_of(merge, name);
	if (json_object_get(merge->subdirs, key))
		return;
	set_add(merge->subdirs, key);
	json_t *row = json_object();
	json_object_set_new(row, "subdir", json_stringn(name.data, name.length));
	json_array_append_new(merge->result, row);
}

/* The rows of the container itself. */
static void take_own(struct merge *merge, json_t *rows)
{
	size_t index;
	json_t *row;
	json_array_foreach(rows, index, row)
	{
		struct slice name = text_of(row, "name"), parts[4];
		struct slice path = text_of(row, "symlink_path");
		if (!name.data) {
			add_subdir(merge, text_of(row, "subdir"));
		} else if (json_is_true(json_object_get(row, "version_symlink")) &&
			   path_split(merge->arena, path, 4, 4, true, parts) == 0) {
			json_object_set(merge->links, key_of(merge, parts[3]), row);
		} else {
			json_object_set_new(row, "version_id", json_string("null"));
			json_object_set_new(row, "is_latest", json_true());
			json_array_append(merge->result, row);
			set_add(merge->latest, key_of(merge, name));
		}
	}
}

/* The version is the current one if the link names it, or if it is the newest and says that the object was deleted. */
static bool is_latest(struct merge *merge, json_t *row, struct slice version_name, struct slice object)
{
	const char *key = key_of(merge, version_name), *name = key_of(merge, object);
	struct slice type = text_of(row, "content_type");
	bool latest = false;
	if (json_object_get(merge->links, key)) {
		json_object_del(merge->links, key);
		latest = true;
	} else if (slice_equal(type, SLICE_LITERAL(DELETE_MARKER_TYPE)) && !json_object_get(merge->latest, name)) {
		latest = true;
	}
	if (latest)
		set_add(merge->latest, name);
	return latest;
}

/* The subdir of the hidden container without the reserved bytes around it. */
static struct slice bare_subdir(struct slice subdir)
{
	if (subdir.length && subdir.data[0] == '\0') {
		subdir.data++;
		subdir.length--;
	}
	const char *end = subdir.length ? memchr(subdir.data, '\0', subdir.length) : NULL;
	if (end)
		subdir.length = (size_t)(end - subdir.data);
	return subdir;
}

static void take_versions(struct merge *merge, json_t *rows)
{
	size_t index;
	json_t *row;
	json_array_foreach(rows, index, row)
	{
		struct slice name = text_of(row, "name"), object;
		const char *id;
		if (!name.data) {
			add_subdir(merge, arena_slice(merge->arena, bare_subdir(text_of(row, "subdir"))));
			continue;
		}
		name = arena_slice(merge->arena, name);
		if (!versions_object_parse(merge->arena, name, &object, &id))
			continue;
		bool latest = is_latest(merge, row, name, object);
		json_object_set_new(row, "is_latest", json_boolean(latest));
		json_object_set_new(row, "name", json_stringn(object.data, object.length));
		json_object_set_new(row, "version_id", json_string(id));
		json_array_append(merge->result, row);
	}
}

/* Without a hidden container the links lead nowhere; what they say of the versions is shown. */
static void take_broken_links(struct merge *merge)
{
	static const char *const kept[] = {"content_type", "bytes", "hash", "last_modified"};
	const char *key;
	json_t *link;
	json_object_foreach(merge->links, key, link)
	{
		struct slice name = url_decode(merge->arena, slice_from(key), false), object;
		const char *id;
		if (!versions_object_parse(merge->arena, name, &object, &id))
			continue;
		const char *object_key = key_of(merge, object);
		json_t *row = json_object();
		json_object_set_new(row, "name", json_stringn(object.data, object.length));
		json_object_set_new(row, "is_latest", json_boolean(!json_object_get(merge->latest, object_key)));
		json_object_set_new(row, "version_id", json_string(id));
		for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
			json_object_set(row, kept[i], json_object_get(link, kept[i]));
		set_add(merge->latest, object_key);
		json_array_append_new(merge->result, row);
	}
}

/* ---- parameters ---- */

static bool refuse(struct reply *reply, const char *text)
{
	reply_reset(reply);
	reply_text(reply, 400, "text/html; charset=UTF-8", text);
	return false;
}

/* marker and version_marker as one name of the hidden container. False: 400 is set. */
static bool take_marker(struct merge *merge, struct inner_listing *listing, struct reply *reply)
{
	struct slice marker, version;
	bool has_version = versions_parameter(merge->request, "version_marker", &version);
	if (!versions_parameter(merge->request, "marker", &marker))
		return !has_version || refuse(reply, "version_marker param requires marker");
	struct slice prefix = versions_object_prefix(merge->arena, marker);
	struct timestamp time;
	if (!has_version) {
		/* behind all times */
		char *name = arena_alloc(merge->arena, prefix.length + 1);
		memcpy(name, prefix.data, prefix.length);
		name[prefix.length] = ':';
		listing->marker = slice_of(name, prefix.length + 1);
	} else if (slice_equal(version, SLICE_LITERAL("null"))) {
		listing->marker = prefix;
	} else if (timestamp_parse(version, &time) || time.offset) {
		return refuse(reply, "invalid version_marker param");
	} else {
		listing->marker = versions_object_name(merge->arena, marker, time);
	}
	return true;
}

static bool take_parameters(struct merge *merge, struct inner_listing *listing, struct reply *reply)
{
	struct slice word = SLICE_NONE, prefix;
	if (!take_marker(merge, listing, reply))
		return false;
	if (versions_parameter(merge->request, "delimiter", &listing->delimiter))
		for (size_t i = 0; i < listing->delimiter.length; i++)
			/* bytes of ids and of the reserved names themselves */
			if (memchr("0123456789.", listing->delimiter.data[i], sizeof("0123456789.")))
				return refuse(reply, "invalid delimiter param");
	if (versions_parameter(merge->request, "prefix", &prefix)) {
		struct slice name = versions_object_prefix(merge->arena, prefix);
		listing->prefix = slice_of(name.data, name.length - 1);
	}
	if (versions_parameter(merge->request, "reverse", &word))
		merge->reverse =
			config_true_value(arena_strndup(merge->arena, word.data ? word.data : "", word.length));
	const struct constraints *constraints = &proxy_context_of(merge->request)->proxy->options.constraints;
	merge->limit = versioning_limit(merge->request, constraints->container_listing_limit);
	listing->limit = merge->limit;
	listing->reverse = merge->reverse;
	return true;
}

/* ---- all ---- */

static void answer(struct merge *merge, struct reply *reply)
{
	versioning_sort(merge->result, merge->reverse, merge->limit);
	proxy_context_of(merge->request)->listing_answered = true;
	listing_document_reply(merge->request, merge->result, LISTING_FORMAT_JSON, reply);
}

static void co_merge(struct merge *merge, struct inner_listing *listing, json_t *rows, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(merge->request);
	const struct info *info = co_container_info(context->proxy, merge->request, context->account, merge->hidden);
	struct reply hidden_reply;
	reply_init(&hidden_reply, merge->arena);
	hidden_reply.status = 404;
	json_t *versions = NULL;
	take_own(merge, rows);
	if (info->status != 404 && merge->limit > 0)
		versions = co_inner_listing(merge->filter, merge->request, merge->arena, listing, &hidden_reply);
	if (versions)
		take_versions(merge, versions);
	else if (hidden_reply.status == 404)
		take_broken_links(merge);
	if (versions || hidden_reply.status == 404) {
		answer(merge, reply);
	} else {
		reply_reset(reply);
		reply_status(reply, hidden_reply.status);
	}
	json_decref(versions);
}

void co_versioning_list(
	const struct filter *filter, struct request *request, struct slice hidden, json_t *rows, struct reply *reply)
{
	struct merge merge = {
		.filter = filter,
		.request = request,
		.arena = request->arena,
		.hidden = hidden,
		.result = json_array(),
		.subdirs = json_object(),
		.latest = json_object(),
		.links = json_object(),
	};
	struct inner_listing listing = {
		.account = proxy_context_of(request)->account,
		.container = hidden,
		.source = VERSIONING_SOURCE,
		.authorised = true,
		.reserved_names = true,
	};
	if (take_parameters(&merge, &listing, reply))
		co_merge(&merge, &listing, rows, reply);
	json_decref(merge.result);
	json_decref(merge.subdirs);
	json_decref(merge.latest);
	json_decref(merge.links);
}
