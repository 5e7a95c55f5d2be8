#include "proxy/info.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <xxhash.h>

#include "lib/base/memory.h"
#include "lib/co/co.h"
#include "proxy/proxy_private.h"

/*
 * The cache: a table where each name has one place and a newer one takes it over, in shards with a
 * short lock each. A place counts the writes to its names, so that an answer fetched before a write
 * is not kept after it.
 */
enum { SHARDS = 64, PLACES = 128 };

struct place {
	uint64_t expires_ms; /* of info, in loop_now_ms() terms */
	uint64_t writes;     /* to all names that have this place */
	struct info *info;   /* NULL: empty */
};

struct shard {
	pthread_mutex_t lock;
	struct place places[PLACES];
};

struct info_cache {
	struct shard shards[SHARDS];
};

struct info_cache *info_cache_new(void)
{
	struct info_cache *cache = xcalloc(1, sizeof(*cache));
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&cache->shards[i].lock, NULL);
	return cache;
}

void info_cache_free(struct info_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		for (size_t j = 0; j < PLACES; j++)
			if (cache->shards[i].places[j].info)
				info_unref(cache->shards[i].places[j].info);
		pthread_mutex_destroy(&cache->shards[i].lock);
	}
	free(cache);
}

void info_unref(struct info *info)
{
	if (atomic_fetch_sub(&info->references, 1) == 1)
		arena_free(info->arena);
}

static void unref_call(void *info)
{
	info_unref(info);
}

/* Where a name has its place. Anybody can make names with equal keys, so the names themselves are
 * compared, too. */
static uint64_t key_of(struct slice account, struct slice container)
{
	uint64_t key = XXH3_64bits_withSeed(account.data, account.length, container.data != NULL);
	return container.data ? XXH3_64bits_withSeed(container.data, container.length, key) : key;
}

static struct shard *shard_of(struct info_cache *cache, uint64_t key)
{
	return &cache->shards[key % SHARDS];
}

static struct place *place_of(struct shard *shard, uint64_t key)
{
	return &shard->places[(key / SHARDS) % PLACES];
}

static bool is_of(const struct info *info, struct slice account, struct slice container)
{
	return slice_equal(info->account, account) && slice_equal(info->container, container) &&
	       !info->container.data == !container.data;
}

/* The kept info with a reference of the caller's, or NULL; *ret_writes for cache_put(). */
static struct info *cache_get(
	struct info_cache *cache, struct slice account, struct slice container, uint64_t *ret_writes)
{
	uint64_t key = key_of(account, container);
	struct shard *shard = shard_of(cache, key);
	struct info *info = NULL;
	pthread_mutex_lock(&shard->lock);
	struct place *place = place_of(shard, key);
	*ret_writes = place->writes;
	if (place->info && place->expires_ms > loop_now_ms() && is_of(place->info, account, container)) {
		info = place->info;
		atomic_fetch_add(&info->references, 1);
	}
	pthread_mutex_unlock(&shard->lock);
	return info;
}

static void cache_put(struct info_cache *cache, uint64_t writes, struct info *info, uint64_t keep_ms)
{
	uint64_t key = key_of(info->account, info->container);
	struct shard *shard = shard_of(cache, key);
	struct info *old = NULL;
	pthread_mutex_lock(&shard->lock);
	struct place *place = place_of(shard, key);
	if (place->writes == writes) {
		old = place->info;
		place->info = info;
		place->expires_ms = loop_now_ms() + keep_ms;
		atomic_fetch_add(&info->references, 1);
	}
	pthread_mutex_unlock(&shard->lock);
	if (old)
		info_unref(old);
}

/* Counts info_forget(): what a request remembers by itself is older than a write of its own, or of its loop, then. */
static __thread uint64_t writes_of_thread;

void info_forget(struct proxy *proxy, struct slice account, struct slice container)
{
	writes_of_thread++;
	uint64_t key = key_of(account, container);
	struct shard *shard = shard_of(proxy->infos, key);
	pthread_mutex_lock(&shard->lock);
	struct place *place = place_of(shard, key);
	struct info *old = place->info;
	place->info = NULL;
	place->writes++;
	pthread_mutex_unlock(&shard->lock);
	if (old)
		info_unref(old);
}

/* ---- fetching ---- */

const char *info_header(const struct info *info, const char *name)
{
	return headers_get(&info->headers, name);
}

static int64_t number_of(const struct info *info, const char *name)
{
	const char *text = info_header(info, name);
	return text ? strtoll(text, NULL, 10) : 0;
}

static struct info *info_new(struct slice account, struct slice container, int status)
{
	struct arena *arena = arena_new();
	struct info *info = arena_zalloc(arena, sizeof(*info));
	info->references = 1;
	info->arena = arena;
	info->account = arena_slice(arena, account);
	info->container = container.data ? arena_slice(arena, container) : SLICE_NONE;
	info->status = status;
	headers_init(&info->headers, arena);
	return info;
}

static struct info *co_fetch(struct proxy *proxy, struct request *request, struct slice account, struct slice container)
{
	struct nodes nodes;
	enum backend_service service = container.data ? BACKEND_CONTAINER : BACKEND_ACCOUNT;
	if (nodes_init(&nodes, proxy, service, 0, account, container, SLICE_NONE, true))
		return info_new(account, container, 503);
	struct headers headers;
	headers_init(&headers, request->arena);
	backend_headers(request, &headers, false);
	struct read_plan plan = {
		.nodes = &nodes,
		.method = METHOD_HEAD,
		.account = account,
		.container = container,
		.headers = &headers,
	};
	struct reply reply;
	reply_init(&reply, request->arena);
	co_read(request, &plan, &reply);
	nodes_release(&nodes);
	struct info *info = info_new(account, container, reply.status);
	headers_copy(&info->headers, &reply.headers);
	reply_finish(request, &reply, 0, 0);
	info->container_count = number_of(info, "X-Account-Container-Count");
	info->object_count = number_of(info, container.data ? "X-Container-Object-Count" : "X-Account-Object-Count");
	info->bytes = number_of(info, container.data ? "X-Container-Bytes-Used" : "X-Account-Bytes-Used");
	info->policy_index = (int)number_of(info, "X-Backend-Storage-Policy-Index");
	return info;
}

/* The one that this request was told last, if nothing was written since. */
static const struct info **known_place(struct request *request, struct slice container)
{
	struct proxy_context *context = proxy_context_of(request);
	if (context->known_at != writes_of_thread) {
		context->known_account = context->known_container = NULL;
		context->known_at = writes_of_thread;
	}
	return container.data ? &context->known_container : &context->known_account;
}

static const struct info *co_get(
	struct proxy *proxy, struct request *request, struct slice account, struct slice container, uint64_t keep_ms)
{
	const struct info *known = *known_place(request, container);
	if (known && is_of(known, account, container))
		return known;
	uint64_t writes;
	struct info *info = cache_get(proxy->infos, account, container, &writes);
	if (!info) {
		info = co_fetch(proxy, request, account, container);
		if (info_exists(info) && keep_ms)
			cache_put(proxy->infos, writes, info, keep_ms);
	}
	arena_defer(request->arena, unref_call, info);
	if (info_exists(info) && keep_ms)
		*known_place(request, container) = info;
	return info;
}

const struct info *co_account_info(struct proxy *proxy, struct request *request, struct slice account)
{
	return co_get(proxy, request, account, SLICE_NONE, proxy->options.recheck_account_ms);
}

const struct info *co_container_info(
	struct proxy *proxy, struct request *request, struct slice account, struct slice container)
{
	if (!constraints_account_auto_created(&proxy->options.constraints, account)) {
		const struct info *info = co_account_info(proxy, request, account);
		if (!info_exists(info))
			return info;
	}
	return co_get(proxy, request, account, container, proxy->options.recheck_container_ms);
}
