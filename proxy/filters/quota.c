#include "proxy/filters/quota.h"

#include <stddef.h>

int64_t quota_parse(const char *text)
{
	if (!text || !*text)
		return -1;
	int64_t value = 0;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		int digit = *text - '0';
		value = value > (INT64_MAX - digit) / 10 ? INT64_MAX : value * 10 + digit;
	}
	return value;
}
