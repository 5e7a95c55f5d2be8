#include "lib/http/headers.h"

#include <stdarg.h>
#include <sys/types.h>
#include <string.h>
#include <strings.h>

enum { CAPACITY_FIRST = 24 };

void headers_init(struct headers *headers, struct arena *arena)
{
	*headers = (struct headers){.arena = arena};
}

static ssize_t find(const struct headers *headers, const char *name)
{
	for (size_t i = 0; i < headers->count; i++)
		if (header_name_equal(headers->items[i].name, name))
			return (ssize_t)i;
	return -1;
}

const char *headers_get(const struct headers *headers, const char *name)
{
	ssize_t index = find(headers, name);
	return index < 0 ? NULL : headers->items[index].value;
}

size_t headers_occurrences(const struct headers *headers, const char *name)
{
	size_t count = 0;
	for (size_t i = 0; i < headers->count; i++)
		count += header_name_equal(headers->items[i].name, name);
	return count;
}

void headers_add(struct headers *headers, const char *name, const char *value)
{
	if (headers->count == headers->capacity) {
		size_t capacity = headers->capacity ? headers->capacity * 2 : CAPACITY_FIRST;
		struct header *items = arena_alloc(headers->arena, capacity * sizeof(*items));
		if (headers->count)
			memcpy(items, headers->items, headers->count * sizeof(*items));
		headers->items = items;
		headers->capacity = capacity;
	}
	headers->items[headers->count++] = (struct header){name, value};
}

static void remove_from(struct headers *headers, size_t start, const char *name)
{
	size_t kept = start;
	for (size_t i = start; i < headers->count; i++)
		if (!header_name_equal(headers->items[i].name, name))
			headers->items[kept++] = headers->items[i];
	headers->count = kept;
}

void headers_set(struct headers *headers, const char *name, const char *value)
{
	ssize_t index = find(headers, name);
	if (index < 0) {
		headers_add(headers, name, value);
		return;
	}
	headers->items[index].value = value;
	remove_from(headers, (size_t)index + 1, name);
}

void headers_set_format(struct headers *headers, const char *name, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	const char *value = arena_vprintf(headers->arena, format, arguments);
	va_end(arguments);
	headers_set(headers, name, value);
}

bool headers_remove(struct headers *headers, const char *name)
{
	size_t before = headers->count;
	remove_from(headers, 0, name);
	return headers->count != before;
}

void headers_remove_if(struct headers *headers, bool (*match)(const char *name, void *argument), void *argument)
{
	size_t kept = 0;
	for (size_t i = 0; i < headers->count; i++)
		if (!match(headers->items[i].name, argument))
			headers->items[kept++] = headers->items[i];
	headers->count = kept;
}

static bool match_prefix(const char *name, void *prefix)
{
	return header_has_prefix(name, prefix);
}

void headers_remove_prefix(struct headers *headers, const char *prefix)
{
	headers_remove_if(headers, match_prefix, (void *)prefix);
}

static const char *copy_text(char **at, const char *text)
{
	char *copy = *at;
	*at = stpcpy(copy, text) + 1;
	return copy;
}

void headers_copy(struct headers *headers, const struct headers *from)
{
	size_t bytes = 0;
	for (size_t i = 0; i < from->count; i++)
		bytes += strlen(from->items[i].name) + strlen(from->items[i].value) + 2;
	char *at = arena_alloc(headers->arena, bytes);
	for (size_t i = 0; i < from->count; i++) {
		const char *name = copy_text(&at, from->items[i].name);
		headers_add(headers, name, copy_text(&at, from->items[i].value));
	}
}
