/*
 * What the quotas of accounts and of containers share.
 */
#ifndef PROXY_FILTERS_QUOTA_H
#define PROXY_FILTERS_QUOTA_H

#include <stdint.h>

/* The number of a quota: digits alone; too many of them are INT64_MAX. -1 for everything else, NULL and "" among it. */
int64_t quota_parse(const char *text);

#endif
