/*
 * An ordered list of header fields. Names compare without case; values are the bytes as received, without surrounding
 * blanks and never with NUL, CR or LF in them. Texts are not copied by the _add/_set functions unless they say so: they
 * must live as long as the list's arena.
 */
#ifndef LIB_HTTP_HEADERS_H
#define LIB_HTTP_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "lib/base/arena.h"

struct header {
	const char *name;
	const char *value;
};

struct headers {
	struct arena *arena;
	struct header *items;
	size_t count;
	size_t capacity;
};

void headers_init(struct headers *headers, struct arena *arena);

/* First value of the name, or NULL. */
const char *headers_get(const struct headers *headers, const char *name);
/* Number of fields with the name. */
size_t headers_occurrences(const struct headers *headers, const char *name);

/* Appends a field. */
void headers_add(struct headers *headers, const char *name, const char *value);
/* Replaces the first field of that name, removes further ones, appends when there was none. */
void headers_set(struct headers *headers, const char *name, const char *value);
/* The same with a formatted value, kept in the arena. */
void headers_set_format(struct headers *headers, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Removes every field of the name; true when there was one. */
bool headers_remove(struct headers *headers, const char *name);
/* Removes every field for which `match` says yes. */
void headers_remove_if(struct headers *headers, bool (*match)(const char *name, void *argument), void *argument);
/* Removes every field whose name starts with the prefix (without case). */
void headers_remove_prefix(struct headers *headers, const char *prefix);
/* Deep copies every field of `from` into the arena of `headers`. */
void headers_copy(struct headers *headers, const struct headers *from);

/* Names compare without case. Most differ in their first letter, or in the one behind "X-", and cost no call then. */
static inline bool header_name_equal(const char *a, const char *b)
{
	if ((a[0] ^ b[0]) & ~0x20)
		return false;
	if (a[0] && a[1] && b[0] && b[1] && ((a[2] ^ b[2]) & ~0x20))
		return false;
	return strcasecmp(a, b) == 0;
}

/* True when the name starts with the prefix, without case. */
static inline bool header_has_prefix(const char *name, const char *prefix)
{
	if (prefix[0] && prefix[1] && prefix[2] && name[0] && name[1] && ((name[2] ^ prefix[2]) & ~0x20))
		return false;
	return strncasecmp(name, prefix, strlen(prefix)) == 0;
}

#endif
