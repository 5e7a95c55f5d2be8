#include "lib/swift/accept.h"

#include <errno.h>
#include <stdbool.h>
#include <strings.h>

#include "lib/swift/header_token.h"
#include "lib/swift/number.h"

static const char *const content_types[] = {
	[LISTING_FORMAT_PLAIN] = "text/plain",
	[LISTING_FORMAT_JSON] = "application/json",
	[LISTING_FORMAT_XML] = "application/xml",
	[LISTING_FORMAT_TEXT_XML] = "text/xml",
};

enum { FORMAT_COUNT = sizeof(content_types) / sizeof(content_types[0]) };

/* One element of the header. */
struct media_range {
	struct slice type;
	struct slice subtype;
	struct slice parameters; /* all that follows, syntactically valid */
};

/* Moves *at over one ";name=value"; false when there is none or a bad one. */
static bool skip_parameter(struct slice text, size_t *at)
{
	size_t i = header_skip_blanks(text, *at);
	if (i == text.length || text.data[i] != ';')
		return false;
	size_t name = header_skip_blanks(text, i + 1);
	i = header_skip_token(text, name);
	if (i == name)
		return false;
	i = header_skip_blanks(text, i);
	if (i == text.length || text.data[i] != '=')
		return false;
	size_t value = header_skip_blanks(text, i + 1);
	i = header_skip_token(text, value);
	if (i == value)
		i = header_skip_quoted(text, value);
	if (i == value)
		return false;
	*at = i;
	return true;
}

static int parse_media_range(struct slice text, struct media_range *ret_range)
{
	size_t type = header_skip_blanks(text, 0);
	size_t slash = header_skip_token(text, type);
	if (slash == type || slash == text.length || text.data[slash] != '/')
		return -EINVAL;
	size_t subtype = slash + 1;
	size_t end = header_skip_token(text, subtype);
	if (end == subtype)
		return -EINVAL;
	size_t at = end;
	while (skip_parameter(text, &at))
		;
	if (header_skip_blanks(text, at) != text.length)
		return -EINVAL;
	*ret_range = (struct media_range){
		.type = slice_of(text.data + type, slash - type),
		.subtype = slice_of(text.data + subtype, end - subtype),
		.parameters = slice_of(text.data + end, text.length - end),
	};
	return 0;
}

/* Splits off what stands before the next `separator`. */
static struct slice take_until(struct slice *rest, char separator)
{
	const char *end = rest->length ? memchr(rest->data, separator, rest->length) : NULL;
	struct slice piece = slice_of(rest->data, end ? (size_t)(end - rest->data) : rest->length);
	size_t step = end ? piece.length + 1 : piece.length;
	*rest = slice_of(rest->data + step, rest->length - step);
	return piece;
}

/*
 * The q value, 1 when there is none. Swift cuts the parameters at ";" and "=" without regard for
 * quotes, and so do we: a quoted value that holds one of them makes the header invalid.
 */
static int parse_quality(struct slice parameters, double *ret_quality)
{
	static const struct slice q = SLICE_LITERAL("q");
	double quality = 1;
	bool seen = false;
	while (parameters.length) {
		struct slice value = number_trim(take_until(&parameters, ';'));
		if (value.length == 0)
			continue;
		if (!memchr(value.data, '=', value.length))
			return -EINVAL;
		struct slice name = number_trim(take_until(&value, '='));
		if (value.length && memchr(value.data, '=', value.length))
			return -EINVAL;
		if (!slice_equal(name, q))
			continue;
		if (seen || number_parse_decimal(value, &quality))
			return -EINVAL;
		seen = true;
	}
	*ret_quality = quality;
	return 0;
}

static bool is_any(struct slice token)
{
	return token.length == 1 && token.data[0] == '*';
}

static bool part_matches(struct slice pattern, struct slice part)
{
	return is_any(pattern) || slice_equal(pattern, part);
}

/* The first of our types that the media range covers, or LISTING_FORMAT_NOT_ACCEPTABLE. */
static enum listing_format match(const struct media_range *range)
{
	for (int format = 0; format < FORMAT_COUNT; format++) {
		struct slice subtype = slice_from(content_types[format]);
		struct slice type = take_until(&subtype, '/');
		if (part_matches(range->type, type) && part_matches(range->subtype, subtype))
			return (enum listing_format)format;
	}
	return LISTING_FORMAT_NOT_ACCEPTABLE;
}

static enum listing_format choose_by_accept(struct slice accept)
{
	enum listing_format best = LISTING_FORMAT_NOT_ACCEPTABLE;
	double best_quality = 0;
	bool best_exact = false, more = true;
	while (more) {
		struct media_range range;
		double quality;
		more = memchr(accept.data, ',', accept.length) != NULL;
		struct slice element = take_until(&accept, ',');
		if (parse_media_range(element, &range) || parse_quality(range.parameters, &quality))
			return LISTING_FORMAT_BAD_HEADER;
		enum listing_format format = match(&range);
		if (format == LISTING_FORMAT_NOT_ACCEPTABLE)
			continue;
		bool exact = !is_any(range.type) && !is_any(range.subtype);
		bool better = quality > best_quality || (quality == best_quality && exact && !best_exact);
		if (best == LISTING_FORMAT_NOT_ACCEPTABLE || better) {
			best = format;
			best_quality = quality;
			best_exact = exact;
		}
	}
	return best;
}

static bool equals_ignoring_case(struct slice a, const char *b)
{
	return a.length == strlen(b) && strncasecmp(a.data, b, a.length) == 0;
}

enum listing_format listing_format_choose(struct slice format, const char *accept)
{
	if (equals_ignoring_case(format, "json"))
		return LISTING_FORMAT_JSON;
	if (equals_ignoring_case(format, "xml"))
		return LISTING_FORMAT_XML;
	if (format.length || !accept || !*accept)
		return LISTING_FORMAT_PLAIN;
	return choose_by_accept(slice_from(accept));
}

const char *listing_format_content_type(enum listing_format format)
{
	return content_types[format];
}
