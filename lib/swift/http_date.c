#include "lib/swift/http_date.h"

#include <errno.h>
#include <strings.h>

#include "lib/swift/calendar.h"
#include "lib/swift/number.h"

enum {
	DATE_LENGTH_MAX = 64, /* the longest valid date has 33 characters; blanks may be doubled */
	TOKENS_MAX = 8,
};

static const char weekdays[7][10] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static char *put_digits(char *to, int value, size_t digits)
{
	for (char *at = to + digits; at > to; value /= 10)
		*--at = (char)('0' + value % 10);
	return to + digits;
}

static char *put_text(char *to, const char *text, size_t length)
{
	memcpy(to, text, length);
	return to + length;
}

void http_date_format(int64_t seconds, char text[HTTP_DATE_BYTES])
{
	struct calendar_time time = calendar_from_seconds(seconds);
	char *at = put_text(text, weekdays[time.weekday], 3);
	at = put_text(at, ", ", 2);
	at = put_digits(at, time.day, 2);
	*at++ = ' ';
	at = put_text(at, months[time.month - 1], 3);
	*at++ = ' ';
	at = put_digits(at, time.year, 4);
	*at++ = ' ';
	at = put_digits(at, time.hour, 2);
	*at++ = ':';
	at = put_digits(at, time.minute, 2);
	*at++ = ':';
	at = put_digits(at, time.second, 2);
	put_text(at, " GMT", 5);
}

/* Pieces between blanks and commas; none at all when there are too many. */
static size_t split_tokens(struct slice text, struct slice tokens[TOKENS_MAX])
{
	size_t count = 0, at = 0;
	while (at < text.length) {
		if (strchr(" ,", text.data[at])) {
			at++;
			continue;
		}
		size_t start = at;
		while (at < text.length && !strchr(" ,", text.data[at]))
			at++;
		if (count == TOKENS_MAX)
			return 0;
		tokens[count++] = slice_of(text.data + start, at - start);
	}
	return count;
}

static bool equals_ignoring_case(struct slice token, const char *text)
{
	return token.length == strlen(text) && strncasecmp(token.data, text, token.length) == 0;
}

static bool is_weekday(struct slice token)
{
	for (size_t i = 0; i < 7; i++) {
		if (equals_ignoring_case(token, weekdays[i]))
			return true;
		if (token.length == 3 && strncasecmp(token.data, weekdays[i], 3) == 0)
			return true;
	}
	return false;
}

/* 1 to 12, or 0 when the token is no month. */
static int parse_month(struct slice token)
{
	for (int i = 0; i < 12; i++)
		if (equals_ignoring_case(token, months[i]))
			return i + 1;
	return 0;
}

/* A number of `minimum` to `maximum` digits and nothing else, or -1. */
static int parse_digits(struct slice token, size_t minimum, size_t maximum)
{
	if (token.length < minimum || token.length > maximum)
		return -1;
	int value = 0;
	for (size_t i = 0; i < token.length; i++) {
		if (token.data[i] < '0' || token.data[i] > '9')
			return -1;
		value = value * 10 + (token.data[i] - '0');
	}
	return value;
}

/* hh:mm:ss */
static void parse_clock(struct slice token, struct calendar_time *time)
{
	time->hour = -1;
	if (token.length != 8 || token.data[2] != ':' || token.data[5] != ':')
		return;
	time->minute = parse_digits(slice_of(token.data + 3, 2), 2, 2);
	time->second = parse_digits(slice_of(token.data + 6, 2), 2, 2);
	time->hour = parse_digits(slice_of(token.data, 2), 2, 2);
}

static bool is_utc(struct slice token)
{
	return equals_ignoring_case(token, "GMT") || equals_ignoring_case(token, "UTC") ||
	       equals_ignoring_case(token, "+0000") || equals_ignoring_case(token, "-0000");
}

/* 21-Nov-26, or with a year of four digits. */
static void parse_hyphenated(struct slice token, struct calendar_time *time)
{
	const char *first = memchr(token.data, '-', token.length);
	if (!first)
		return;
	struct slice rest = slice_of(first + 1, token.length - (size_t)(first + 1 - token.data));
	const char *second = rest.length ? memchr(rest.data, '-', rest.length) : NULL;
	if (!second)
		return;
	struct slice year = slice_of(second + 1, rest.length - (size_t)(second + 1 - rest.data));
	time->day = parse_digits(slice_of(token.data, (size_t)(first - token.data)), 1, 2);
	time->month = parse_month(slice_of(rest.data, (size_t)(second - rest.data)));
	time->year = parse_digits(year, year.length == 2 ? 2 : 4, 4);
	if (year.length == 2 && time->year >= 0)
		time->year += time->year > 68 ? 1900 : 2000;
}

int http_date_parse(struct slice text, int64_t *ret_seconds)
{
	text = number_trim(text);
	if (text.length > DATE_LENGTH_MAX || (text.length && memchr(text.data, '\0', text.length)))
		return -EINVAL;
	struct slice tokens[TOKENS_MAX];
	size_t count = split_tokens(text, tokens);
	if (count < 4 || !is_weekday(tokens[0]))
		return -EINVAL;
	struct calendar_time time = {0};
	size_t zone;
	if (parse_month(tokens[1]) && count >= 5) {
		time.month = parse_month(tokens[1]);
		time.day = parse_digits(tokens[2], 1, 2);
		parse_clock(tokens[3], &time);
		time.year = parse_digits(tokens[4], 4, 4);
		zone = 5;
	} else if (memchr(tokens[1].data, '-', tokens[1].length)) {
		parse_hyphenated(tokens[1], &time);
		parse_clock(tokens[2], &time);
		zone = 3;
	} else if (count >= 5) {
		time.day = parse_digits(tokens[1], 1, 2);
		time.month = parse_month(tokens[2]);
		time.year = parse_digits(tokens[3], 4, 4);
		parse_clock(tokens[4], &time);
		zone = 5;
	} else {
		return -EINVAL;
	}
	bool zone_fits = count == zone || (count == zone + 1 && is_utc(tokens[zone]));
	return zone_fits ? calendar_to_seconds(&time, ret_seconds) : -EINVAL;
}
