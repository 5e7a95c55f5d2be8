/*
 * A run of bytes that somebody else owns: names of accounts, containers and objects (which may hold NUL when they are
 * reserved names), keys and values of the store. Never NUL-terminated by contract.
 */
#ifndef LIB_BASE_SLICE_H
#define LIB_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
	const char *data; /* may be NULL when length is 0 */
	size_t length;    /* bytes */
};

#define SLICE_NONE ((struct slice){NULL, 0})
#define SLICE_LITERAL(text) ((struct slice){(text), sizeof(text) - 1})

/* Printf helper: printf("%.*s", SLICE_PRINT(s)). */
#define SLICE_PRINT(s) (int)(s).length, (s).data

static inline struct slice slice_of(const char *data, size_t length)
{
	return (struct slice){data, length};
}

/* View of a C string; NULL gives the empty slice. */
static inline struct slice slice_from(const char *text)
{
	return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* Byte order, shorter first when one is a prefix of the other: the order of names in Swift's listings. */
static inline int slice_compare(struct slice a, struct slice b)
{
	size_t common = a.length < b.length ? a.length : b.length;
	int order = common ? memcmp(a.data, b.data, common) : 0;
	if (order)
		return order;
	return (a.length > b.length) - (a.length < b.length);
}

static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
	return s.length >= prefix.length && (prefix.length == 0 || memcmp(s.data, prefix.data, prefix.length) == 0);
}

static inline bool slice_ends_with(struct slice s, struct slice suffix)
{
	return s.length >= suffix.length &&
	       (suffix.length == 0 || memcmp(s.data + s.length - suffix.length, suffix.data, suffix.length) == 0);
}

#endif
