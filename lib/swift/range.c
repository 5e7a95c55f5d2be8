#include "lib/swift/range.h"

#include <ctype.h>
#include <stdbool.h>

/* One element of the header before the size of the object is known. */
struct range_spec {
	bool has_first;
	bool has_last;
	uint64_t first;
	uint64_t last; /* without has_first: the length of a suffix */
};

/* The header with its blanks skipped, which may stand anywhere, inside numbers too. */
static const char *skip_blanks(const char *at)
{
	while (*at == ' ')
		at++;
	return at;
}

/* Reads digits into a number that stops at UINT64_MAX. False when there is none. */
static bool read_number(const char **at, uint64_t *ret_value)
{
	uint64_t value = 0;
	bool found = false;
	for (*at = skip_blanks(*at); **at >= '0' && **at <= '9'; *at = skip_blanks(*at + 1)) {
		uint64_t digit = (uint64_t)(**at - '0');
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value))
			value = UINT64_MAX;
		found = true;
	}
	*ret_value = value;
	return found;
}

/* Python's int(), which reads the first number alone, lets tabs stand around it. */
static bool skip_tabs(const char **at)
{
	const char *start = *at = skip_blanks(*at);
	while (**at == ' ' || **at == '\t')
		(*at)++;
	return *at != start;
}

/* [[+]number] "-" [number], at least one of them, the first not above the last. */
static bool read_spec(const char **at, struct range_spec *ret_spec)
{
	bool needs_first = skip_tabs(at);
	if (**at == '+') {
		needs_first = true;
		(*at)++;
	}
	struct range_spec spec = {0};
	spec.has_first = read_number(at, &spec.first);
	needs_first |= skip_tabs(at);
	if ((needs_first && !spec.has_first) || **at != '-')
		return false;
	(*at)++;
	spec.has_last = read_number(at, &spec.last);
	if (!spec.has_first && !spec.has_last)
		return false;
	if (spec.has_first && spec.has_last && spec.last < spec.first)
		return false;
	*ret_spec = spec;
	return true;
}

static bool read_unit(const char **at)
{
	static const char unit[] = "bytes=";
	for (size_t i = 0; unit[i]; i++) {
		*at = skip_blanks(*at);
		if (tolower((unsigned char)**at) != unit[i])
			return false;
		(*at)++;
	}
	return true;
}

/* The part of an object of `size` bytes that a spec means. False when it lies outside. */
static bool resolve(const struct range_spec *spec, uint64_t size, struct byte_range *ret_range)
{
	if (!spec->has_first) {
		if (spec->last == 0)
			return false;
		uint64_t length = spec->last < size ? spec->last : size;
		*ret_range = (struct byte_range){size - length, size - 1};
		return true;
	}
	if (spec->first >= size)
		return false;
	bool to_end = !spec->has_last || spec->last >= size;
	*ret_range = (struct byte_range){spec->first, to_end ? size - 1 : spec->last};
	return true;
}

static bool overlap(struct byte_range a, struct byte_range b)
{
	bool equal = a.first == b.first && a.last == b.last;
	return !equal && a.first <= b.last && b.first <= a.last;
}

/* Sets that would make the server work for nothing (RFC 9110 §14.2, with Swift's numbers). */
static bool is_egregious(const struct byte_range *ranges, size_t count)
{
	size_t overlaps = 0;
	bool ascending = true;
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && ranges[i - 1].first > ranges[i].first)
			ascending = false;
		for (size_t j = i + 1; j < count; j++)
			overlaps += overlap(ranges[i], ranges[j]);
	}
	return overlaps > RANGE_OVERLAPS_MAX || (!ascending && count >= RANGE_UNORDERED_COUNT);
}

/*
 * Reads all elements, storing the satisfiable ones as far as there is room; *ret_count counts all
 * of them. False for a header that is void.
 */
static bool read_ranges(const char *at, uint64_t size, struct byte_range ranges[RANGE_COUNT_MAX], size_t *ret_count)
{
	size_t count = 0;
	if (!read_unit(&at))
		return false;
	for (;;) {
		struct range_spec spec;
		struct byte_range range;
		if (!read_spec(&at, &spec))
			return false;
		if (resolve(&spec, size, &range)) {
			if (count < RANGE_COUNT_MAX)
				ranges[count] = range;
			count++;
		}
		if (*at == '\0')
			break;
		if (*at++ != ',')
			return false;
	}
	*ret_count = count;
	return true;
}

enum range_result range_evaluate(
	const char *header, uint64_t size, struct byte_range ret_ranges[RANGE_COUNT_MAX], size_t *ret_count)
{
	size_t count;
	*ret_count = 0;
	if (!header || !read_ranges(header, size, ret_ranges, &count))
		return RANGE_NONE;
	if (count == 0 || count > RANGE_COUNT_MAX)
		return RANGE_UNSATISFIABLE;
	if (size > 0 && is_egregious(ret_ranges, count))
		return RANGE_UNSATISFIABLE;
	*ret_count = count;
	return size > 0 ? RANGE_OK : RANGE_NONE;
}
