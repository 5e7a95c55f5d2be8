/*
 * What the proxy needs to know about an account or a container before it can serve a request:
 * existence, policy, ACLs, metadata. Fetched by HEAD and kept for a while (Swift's
 * recheck_*_existence), only while they exist: a container made through another proxy is seen at
 * once.
 */
#ifndef PROXY_INFO_H
#define PROXY_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/http/message.h"

struct proxy;

/* Immutable once made, reference-counted over threads. Texts are never NULL unless said so. */
struct info {
	_Atomic unsigned references;
	struct slice account;    /* whose it is */
	struct slice container;  /* SLICE_NONE for an account's */
	int status;              /* of the HEAD: 2xx exists, 404, 410, 503 when nobody could say */
	int policy_index;        /* containers */
	int64_t container_count; /* accounts */
	int64_t object_count;
	int64_t bytes;
	struct arena *arena;
	struct headers headers; /* all headers of the HEAD, sysmeta included */
};

static inline bool info_exists(const struct info *info)
{
	return info->status / 100 == 2;
}

void info_unref(struct info *info);

/* A header of the HEAD, e.g. "X-Container-Read", or NULL. */
const char *info_header(const struct info *info, const char *name);

/* Both give a reference that the request's arena drops at its end. Never NULL. A container's info
 * needs the account to exist, unless its name starts with ".". */
const struct info *co_account_info(struct proxy *proxy, struct request *request, struct slice account);
const struct info *co_container_info(
	struct proxy *proxy, struct request *request, struct slice account, struct slice container);

struct info_cache;
struct info_cache *info_cache_new(void);
void info_cache_free(struct info_cache *cache);
/* After a write to the account or container. An empty container means the account. */
void info_forget(struct proxy *proxy, struct slice account, struct slice container);

#endif
