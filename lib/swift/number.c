#include "lib/swift/number.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Longer decimals than this are no numbers of anybody's. */
enum { DECIMAL_LENGTH_MAX = 127 };

static bool is_blank(char byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

struct slice number_trim(struct slice text)
{
	while (text.length && is_blank(text.data[0])) {
		text.data++;
		text.length--;
	}
	while (text.length && is_blank(text.data[text.length - 1]))
		text.length--;
	return text;
}

static size_t skip_digits(struct slice text, size_t at)
{
	while (at < text.length && is_digit(text.data[at]))
		at++;
	return at;
}

static size_t skip_sign(struct slice text, size_t at)
{
	return at < text.length && (text.data[at] == '+' || text.data[at] == '-') ? at + 1 : at;
}

/* [sign] digits with at most one point among them [e [sign] digits] */
static bool is_decimal(struct slice text)
{
	size_t at = skip_sign(text, 0);
	size_t integer_end = skip_digits(text, at);
	size_t digits = integer_end - at;
	at = integer_end;
	if (at < text.length && text.data[at] == '.') {
		size_t fraction_end = skip_digits(text, at + 1);
		digits += fraction_end - at - 1;
		at = fraction_end;
	}
	if (digits == 0)
		return false;
	if (at < text.length && (text.data[at] == 'e' || text.data[at] == 'E')) {
		size_t exponent = skip_sign(text, at + 1);
		at = skip_digits(text, exponent);
		if (at == exponent)
			return false;
	}
	return at == text.length;
}

int number_parse_decimal(struct slice text, double *ret_value)
{
	text = number_trim(text);
	if (text.length > DECIMAL_LENGTH_MAX || !is_decimal(text))
		return -EINVAL;
	char copy[DECIMAL_LENGTH_MAX + 1];
	memcpy(copy, text.data, text.length);
	copy[text.length] = '\0';
	double value = strtod(copy, NULL);
	if (!isfinite(value))
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int number_parse_integer(struct slice text, int64_t *ret_value)
{
	text = number_trim(text);
	size_t at = skip_sign(text, 0);
	if (at == text.length || skip_digits(text, at) != text.length)
		return -EINVAL;
	bool negative = text.data[0] == '-';
	int64_t value = 0;
	for (; at < text.length; at++) {
		int digit = text.data[at] - '0';
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, digit, &value)) {
			*ret_value = negative ? INT64_MIN : INT64_MAX;
			return 0;
		}
	}
	/* Gathered as a negative number, whose range is the larger one. */
	if (!negative && value == INT64_MIN)
		*ret_value = INT64_MAX;
	else
		*ret_value = negative ? value : -value;
	return 0;
}
