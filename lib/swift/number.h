/*
 * Numbers in headers and parameters, in the decimal forms that Python's float() and int() take and
 * nothing beyond: no hexadecimal, no underscores, no "inf" or "nan", no locale.
 */
#ifndef LIB_SWIFT_NUMBER_H
#define LIB_SWIFT_NUMBER_H

#include <stdint.h>

#include "lib/base/slice.h"

/* Without the blanks and line ends at both sides. */
struct slice number_trim(struct slice text);

/* "12", "-0.5", ".5", "1e3", with blanks around. -EINVAL, also for numbers beyond double. */
int number_parse_decimal(struct slice text, double *ret_value);

/* Sign and digits, with blanks around. Numbers beyond 64 bits become INT64_MIN or INT64_MAX.
 * -EINVAL. */
int number_parse_integer(struct slice text, int64_t *ret_value);

#endif
