#include <string.h>
#include <strings.h>

#include "object/object_server_private.h"

static bool names_member(const char *name, const char *prefix)
{
	return header_has_prefix(name, prefix) && name[strlen(prefix)];
}

bool object_header_is_sysmeta(const char *name)
{
	return names_member(name, "X-Object-Sysmeta-");
}

static bool is_meta(const char *name)
{
	return names_member(name, "X-Object-Meta-") || names_member(name, "X-Object-Transient-Sysmeta-");
}

static bool is_allowed(const struct object_server *server, const char *name)
{
	for (const char *const *allowed = server->options.allowed_headers; *allowed; allowed++)
		if (strcasecmp(*allowed, name) == 0)
			return true;
	return false;
}

bool object_header_is_shown(const struct object_server *server, const char *name)
{
	return is_meta(name) || object_header_is_sysmeta(name) || is_allowed(server, name);
}

/* Whether a list of words, separated by blanks, has the name. */
static bool words_contain(const char *words, const char *name)
{
	size_t length = strlen(name);
	while (words && *words) {
		size_t word = strcspn(words, " \t");
		if (word == length && strncasecmp(words, name, length) == 0)
			return true;
		words += word;
		words += strspn(words, " \t");
	}
	return false;
}

static struct object_header *list_find(struct object_header_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].name, name) == 0)
			return &list->items[i];
	return NULL;
}

static void list_append(struct object_header_list *list, const char *name, const char *value)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : 16;
		struct object_header *items = arena_alloc(list->arena, capacity * sizeof(*items));
		if (list->count)
			memcpy(items, list->items, list->count * sizeof(*items));
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = (struct object_header){name, value};
}

void object_headers_put(struct object_header_list *list, const char *name, const char *value)
{
	char *title = arena_strdup(list->arena, name);
	header_title_case(title);
	struct object_header *present = list_find(list, title);
	if (present)
		present->value = value;
	else
		list_append(list, title, value);
}

/* Fields of one name count as one, joined by commas, as WSGI has them. */
static const char *joined_value(const struct headers *headers, const struct header *header, struct arena *arena)
{
	const char *value = NULL;
	if (headers_occurrences(headers, header->name) == 1)
		return header->value;
	for (size_t i = 0; i < headers->count; i++) {
		const char *piece = headers->items[i].value;
		if (strcasecmp(headers->items[i].name, header->name) != 0)
			continue;
		value = value ? arena_printf(arena, "%s,%s", value, piece) : piece;
	}
	return value;
}

void object_headers_collect(
	const struct object_request *r, const struct headers *from, unsigned kinds, struct object_header_list *list)
{
	const char *replicated = NULL;
	if (kinds & OBJECT_REPLICATED)
		replicated = object_request_header(r, "X-Backend-Replication-Headers");
	for (size_t i = 0; i < from->count; i++) {
		const char *name = from->items[i].name;
		if (((kinds & OBJECT_META) && is_meta(name)) ||
			((kinds & OBJECT_SYSMETA) && object_header_is_sysmeta(name)) ||
			((kinds & OBJECT_ALLOWED) && is_allowed(r->server, name)) || words_contain(replicated, name))
			object_headers_put(list, name, joined_value(from, &from->items[i], list->arena));
	}
}

int object_request_check_metadata(struct object_request *r)
{
	const struct headers *headers = &r->request->headers;
	struct header_pair *pairs = arena_alloc(r->request->arena, headers->count * sizeof(*pairs));
	for (size_t i = 0; i < headers->count; i++)
		pairs[i] = (struct header_pair){headers->items[i].name, headers->items[i].value};
	char error[CONSTRAINTS_ERROR_BYTES];
	if (!constraints_check_metadata(r->server->options.constraints, "object", pairs, headers->count, error))
		return 0;
	reply_text(r->reply, 400, "text/plain", arena_strdup(r->reply->arena, error));
	return -1;
}
