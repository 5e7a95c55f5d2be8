#include "lib/swift/timestamp.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "lib/swift/calendar.h"
#include "lib/swift/number.h"

enum {
	SECOND_DIGITS = 10,
	FRACTION_DIGITS = 5,
	OFFSET_DIGITS = 16,
	DECIMAL_LENGTH = SECOND_DIGITS + 1 + FRACTION_DIGITS,
	DATE_LENGTH = 10, /* 2026-11-21 */
	SECONDS_PER_DAY = 86400,
};

struct timestamp timestamp_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (struct timestamp){
		.raw = (uint64_t)now.tv_sec * TIMESTAMP_RAW_PER_SECOND + (uint64_t)now.tv_nsec / 10000,
	};
}

/* The fixed form that Swift itself writes: ten digits, point, five digits. */
static bool parse_fixed(struct slice text, uint64_t *ret_raw)
{
	if (text.length != DECIMAL_LENGTH || text.data[SECOND_DIGITS] != '.')
		return false;
	uint64_t raw = 0;
	for (size_t i = 0; i < DECIMAL_LENGTH; i++) {
		if (i == SECOND_DIGITS)
			continue;
		unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';
		if (digit > 9)
			return false;
		raw = raw * 10 + digit;
	}
	*ret_raw = raw;
	return true;
}

static int parse_time(struct slice text, uint64_t *ret_raw)
{
	if (parse_fixed(text, ret_raw))
		return 0;
	double seconds;
	int error = number_parse_decimal(text, &seconds);
	if (error)
		return error;
	/*
	 * A double holds any raw time exactly, so the only rounding is that of more than five
	 * decimals. The division rather than a multiplication rounds ties as Swift does.
	 */
	double raw = rint(seconds / 1e-5);
	if (raw < 0 || raw > (double)TIMESTAMP_RAW_MAX)
		return -EINVAL;
	*ret_raw = (uint64_t)raw;
	return 0;
}

static int hex_value(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Up to 16 hex digits; none is 0. */
static int parse_hex(struct slice text, uint64_t *ret_value)
{
	if (text.length > OFFSET_DIGITS)
		return -EINVAL;
	uint64_t value = 0;
	for (size_t i = 0; i < text.length; i++) {
		int digit = hex_value(text.data[i]);
		if (digit < 0)
			return -EINVAL;
		value = value << 4 | (uint64_t)digit;
	}
	*ret_value = value;
	return 0;
}

int timestamp_parse(struct slice text, struct timestamp *ret)
{
	struct slice decimal = text, hex = SLICE_NONE;
	const char *underscore = text.length ? memchr(text.data, '_', text.length) : NULL;
	if (underscore) {
		decimal.length = (size_t)(underscore - text.data);
		hex = slice_of(underscore + 1, text.length - decimal.length - 1);
	}
	struct timestamp parsed;
	int error = parse_time(decimal, &parsed.raw);
	if (!error)
		error = parse_hex(hex, &parsed.offset);
	if (error)
		return error;
	*ret = parsed;
	return 0;
}

int timestamp_compare(struct timestamp a, struct timestamp b)
{
	if (a.raw != b.raw)
		return a.raw < b.raw ? -1 : 1;
	return (a.offset > b.offset) - (a.offset < b.offset);
}

bool timestamp_is_zero(struct timestamp t)
{
	return t.raw == 0 && t.offset == 0;
}

/* `value` in exactly `digits` decimal digits, zeros in front. */
static char *put_decimal(char *to, uint32_t value, size_t digits)
{
	for (char *at = to + digits; at > to; value /= 10)
		*--at = (char)('0' + value % 10);
	return to + digits;
}

static char *put_hex(char *to, uint64_t value, size_t digits)
{
	for (char *at = to + digits; at > to; value >>= 4)
		*--at = "0123456789abcdef"[value & 0xf];
	return to + digits;
}

static size_t hex_digits(uint64_t value)
{
	size_t digits = 1;
	while (value >>= 4)
		digits++;
	return digits;
}

static char *put_normal(char *to, uint64_t raw)
{
	assert(raw <= TIMESTAMP_RAW_MAX);
	/* Groups that fit 32 bits divide faster than one number of 64 does. */
	uint32_t seconds_high = (uint32_t)(raw / UINT64_C(10000000000));
	uint64_t rest = raw % UINT64_C(10000000000);
	uint32_t seconds_low = (uint32_t)(rest / TIMESTAMP_RAW_PER_SECOND);
	to = put_decimal(to, seconds_high, FRACTION_DIGITS);
	to = put_decimal(to, seconds_low, FRACTION_DIGITS);
	*to++ = '.';
	return put_decimal(to, (uint32_t)(rest % TIMESTAMP_RAW_PER_SECOND), FRACTION_DIGITS);
}

static size_t finish(char *text, char *end)
{
	*end = '\0';
	return (size_t)(end - text);
}

size_t timestamp_normal(struct timestamp t, char text[TIMESTAMP_TEXT_BYTES])
{
	return finish(text, put_normal(text, t.raw));
}

size_t timestamp_internal(struct timestamp t, char text[TIMESTAMP_TEXT_BYTES])
{
	char *end = put_normal(text, t.raw);
	if (t.offset) {
		*end++ = '_';
		end = put_hex(end, t.offset, OFFSET_DIGITS);
	}
	return finish(text, end);
}

static char *put_short(char *to, struct timestamp t)
{
	char *end = put_normal(to, t.raw);
	if (t.offset) {
		*end++ = '_';
		end = put_hex(end, t.offset, hex_digits(t.offset));
	}
	return end;
}

size_t timestamp_short(struct timestamp t, char text[TIMESTAMP_TEXT_BYTES])
{
	return finish(text, put_short(text, t));
}

/* "2026-11-21". The rows of a listing are often of few days, and the calendar is the dear part: the last day is kept. */
static const char *date_of_day(uint32_t day)
{
	static __thread uint32_t kept_day = UINT32_MAX;
	static __thread char date[DATE_LENGTH];
	if (day == kept_day)
		return date;
	struct calendar_time time = calendar_from_seconds((int64_t)day * SECONDS_PER_DAY);
	char *at = put_decimal(date, (uint32_t)time.year, 4);
	*at++ = '-';
	at = put_decimal(at, (uint32_t)time.month, 2);
	*at++ = '-';
	(void)put_decimal(at, (uint32_t)time.day, 2);
	kept_day = day;
	return date;
}

size_t timestamp_iso(struct timestamp t, char text[TIMESTAMP_TEXT_BYTES])
{
	assert(t.raw <= TIMESTAMP_RAW_MAX);
	uint64_t seconds = t.raw / TIMESTAMP_RAW_PER_SECOND;
	uint32_t second_of_day = (uint32_t)(seconds % SECONDS_PER_DAY);
	memcpy(text, date_of_day((uint32_t)(seconds / SECONDS_PER_DAY)), DATE_LENGTH);
	char *at = text + DATE_LENGTH;
	*at++ = 'T';
	at = put_decimal(at, second_of_day / 3600, 2);
	*at++ = ':';
	at = put_decimal(at, second_of_day / 60 % 60, 2);
	*at++ = ':';
	at = put_decimal(at, second_of_day % 60, 2);
	*at++ = '.';
	at = put_decimal(at, (uint32_t)(t.raw % TIMESTAMP_RAW_PER_SECOND), FRACTION_DIGITS);
	*at++ = '0';
	return finish(text, at);
}

int64_t timestamp_ceil_seconds(struct timestamp t)
{
	return (int64_t)((t.raw + TIMESTAMP_RAW_PER_SECOND - 1) / TIMESTAMP_RAW_PER_SECOND);
}

int timestamp_invert(struct timestamp t, struct timestamp *ret)
{
	if (t.offset || t.raw > TIMESTAMP_RAW_MAX)
		return -EINVAL;
	*ret = (struct timestamp){.raw = TIMESTAMP_RAW_MAX - t.raw};
	return 0;
}

static char *put_delta(char *to, uint64_t from_raw, uint64_t to_raw)
{
	bool negative = to_raw < from_raw;
	uint64_t distance = negative ? from_raw - to_raw : to_raw - from_raw;
	*to++ = negative ? '-' : '+';
	return put_hex(to, distance, hex_digits(distance));
}

size_t timestamp_encode(const struct timestamp *t1, const struct timestamp *t2, const struct timestamp *t3,
	bool explicit_deltas, char text[TIMESTAMP_ENCODED_BYTES])
{
	char *end = put_short(text, *t1);
	if (!t2)
		return finish(text, end);
	bool differ = t2->raw != t1->raw || (t3 && t3->raw != t2->raw);
	if (explicit_deltas || differ) {
		end = put_delta(end, t1->raw, t2->raw);
		if (t3)
			end = put_delta(end, t2->raw, t3->raw);
	}
	return finish(text, end);
}

static size_t find_sign(struct slice text, size_t at)
{
	while (at < text.length && text.data[at] != '+' && text.data[at] != '-')
		at++;
	return at;
}

/* Applies the distance whose sign is at *at, if there is one, and moves *at behind it. */
static int decode_delta(struct slice text, size_t *at, struct timestamp previous, struct timestamp *ret)
{
	if (*at == text.length) {
		*ret = previous;
		return 0;
	}
	bool negative = text.data[*at] == '-';
	size_t start = *at + 1;
	size_t end = find_sign(text, start);
	uint64_t distance;
	if (end == start || parse_hex(slice_of(text.data + start, end - start), &distance))
		return -EINVAL;
	if (distance > (negative ? previous.raw : TIMESTAMP_RAW_MAX - previous.raw))
		return -EINVAL;
	*at = end;
	*ret = previous;
	if (distance) {
		ret->raw = negative ? previous.raw - distance : previous.raw + distance;
		ret->offset = 0;
	}
	return 0;
}

int timestamp_decode(struct slice text, struct timestamp *ret_1, struct timestamp *ret_2, struct timestamp *ret_3)
{
	struct timestamp t1, t2, t3;
	size_t at = find_sign(text, 0);
	if (timestamp_parse(slice_of(text.data, at), &t1))
		return -EINVAL;
	if (decode_delta(text, &at, t1, &t2) || decode_delta(text, &at, t2, &t3) || at != text.length)
		return -EINVAL;
	*ret_1 = t1;
	*ret_2 = t2;
	*ret_3 = t3;
	return 0;
}

static void canonical(const struct timestamp *previous, struct timestamp *t)
{
	if (t->raw == previous->raw)
		*t = *previous;
	else
		t->offset = 0;
}

void timestamp_canonical_triple(const struct timestamp *t1, struct timestamp *t2, struct timestamp *t3)
{
	canonical(t1, t2);
	canonical(t2, t3);
}
