#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <xxhash.h>

#include "lib/base/log.h"
#include "lib/base/settings.h"
#include "lib/co/co.h"
#include "lib/swift/number.h"
#include "proxy/filters/filters.h"
#include "proxy/proxy_private.h"

/*
 * Slows down writers and listers (swift/common/middleware/ratelimit.py). Swift counts in memcached for all proxies
 * together; here each proxy counts for itself, so behind N proxies that share the load a rate is up to N times as high.
 *
 * For each key there is a moment up to which its requests have used up their time. A table of fixed size holds them; two
 * keys that meet in one place share it, which can only make them slower.
 */
enum { PLACES = 16384, BLACKLIST_SLEEP_MS = 1000 };

struct ratelimit {
	struct proxy *proxy;
	const struct settings *settings;
	pthread_mutex_t lock;
	int64_t used_until_ms[PLACES]; /* in clock_ms() terms */
};

/* A limit that holds for a request. */
struct limit {
	const char *kind; /* keys of different kinds do not meet */
	bool of_container;
	double rate;
};

enum { LIMITS_MAX = 2 };

static int64_t clock_ms(void)
{
	return (int64_t)loop_now_ms();
}

static size_t place_of(const struct limit *limit, const struct proxy_context *context)
{
	uint64_t key = XXH3_64bits(limit->kind, strlen(limit->kind));
	key = XXH3_64bits_withSeed(context->account.data, context->account.length, key);
	if (limit->of_container)
		key = XXH3_64bits_withSeed(context->container.data, context->container.length, key);
	return key % PLACES;
}

/* How long the request has to wait, or -1 when that would be too long. */
static int64_t sleep_ms(struct ratelimit *ratelimit, const struct limit *limit, const struct proxy_context *context)
{
	int64_t each = (int64_t)llround(1000 / limit->rate);
	int64_t now = clock_ms(), wait = 0;
	pthread_mutex_lock(&ratelimit->lock);
	int64_t *until = &ratelimit->used_until_ms[place_of(limit, context)];
	if (now - (*until + each) > ratelimit->settings->ratelimit.rate_buffer_ms)
		*until = now;
	else
		wait = *until - now > 0 ? *until - now : 0;
	bool too_long = ratelimit->settings->ratelimit.max_sleep_time_ms - wait <= 10;
	if (!too_long)
		*until += each;
	pthread_mutex_unlock(&ratelimit->lock);
	return too_long ? -1 : wait;
}

/* The rate of a container with that many objects; 0: no limit. */
static double rate_of(const struct rate_steps *steps, int64_t size)
{
	double rate = 0;
	for (size_t i = 0; i < steps->count && size > 0 && steps->items[i].size <= size; i++) {
		const struct rate_step *step = &steps->items[i];
		rate = step->rate;
		if (i + 1 < steps->count) {
			const struct rate_step *next = step + 1;
			rate += (double)(size - step->size) * (next->rate - step->rate) /
				(double)(next->size - step->size);
		}
	}
	return rate;
}

static bool is_write(enum method method)
{
	return method == METHOD_PUT || method == METHOD_DELETE || method == METHOD_POST || method == METHOD_COPY;
}

static double co_container_rate(
	const struct ratelimit *ratelimit, struct request *request, const struct rate_steps *steps)
{
	struct proxy_context *context = proxy_context_of(request);
	if (steps->count == 0)
		return 0;
	return rate_of(steps,
		co_container_info(ratelimit->proxy, request, context->account, context->container)->object_count);
}

static size_t co_limits_of(const struct ratelimit *ratelimit, struct request *request, const char *of_account,
	struct limit ret_limits[LIMITS_MAX])
{
	const struct settings *settings = ratelimit->settings;
	struct proxy_context *context = proxy_context_of(request);
	size_t count = 0;
	struct limit limit = {.rate = 0};
	bool is_container = context->container.data && !context->object.data;
	if (is_container && (request->method == METHOD_PUT || request->method == METHOD_DELETE))
		limit = (struct limit){"account", false, settings->ratelimit.account_ratelimit};
	else if (is_container && request->method == METHOD_GET)
		limit = (struct limit){"listing", true,
			co_container_rate(ratelimit, request, &settings->ratelimit.container_listing_ratelimits)};
	else if (context->object.data && is_write(request->method))
		limit = (struct limit){"container", true,
			co_container_rate(ratelimit, request, &settings->ratelimit.container_ratelimits)};
	if (limit.rate > 0)
		ret_limits[count++] = limit;
	double rate;
	if (of_account && is_write(request->method) && number_parse_decimal(slice_from(of_account), &rate) == 0 &&
		rate > 0)
		ret_limits[count++] = (struct limit){"global-write", false, rate};
	return count;
}

static bool is_listed(const struct text_list *list, struct slice account)
{
	for (size_t i = 0; i < list->count; i++)
		if (slice_equal(account, slice_from(list->items[i])))
			return true;
	return false;
}

/* A status that Swift made up, with its reason and a text. */
static void refuse(struct reply *reply, int status, const char *reason, const char *text)
{
	reply_text(reply, status, "text/html; charset=UTF-8", text);
	reply->reason = reason;
}

/* Waits for each limit's turn. False: the reply is set. */
static bool co_wait(struct ratelimit *ratelimit, struct request *request, const char *of_account, struct reply *reply)
{
	struct proxy_context *context = proxy_context_of(request);
	struct limit limits[LIMITS_MAX];
	size_t count = co_limits_of(ratelimit, request, of_account, limits);
	for (size_t i = 0; i < count; i++) {
		int64_t wait = sleep_ms(ratelimit, &limits[i], context);
		if (wait < 0) {
			log_write(LOG_LEVEL_ERROR, request->transaction_id,
				"Returning 498 for %s to %.*s. Ratelimit (Max Sleep)", request->method_text,
				SLICE_PRINT(request->path));
			refuse(reply, 498, "Rate Limited", "Slow down");
			return false;
		}
		int64_t log_from = ratelimit->settings->ratelimit.log_sleep_time_ms;
		if (log_from && wait > log_from)
			log_write(LOG_LEVEL_WARNING, request->transaction_id, "Ratelimit sleep log: %lld ms for %.*s",
				(long long)wait, SLICE_PRINT(request->path));
		if (wait)
			co_sleep_ms((uint64_t)wait);
	}
	return true;
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct ratelimit *ratelimit = filter->context;
	struct proxy_context *context = proxy_context_of(request);
	if (!context->account.data) {
		co_filter_next(filter, request, reply);
		return;
	}
	const struct settings *settings = ratelimit->settings;
	const char *own = info_header(co_account_info(ratelimit->proxy, request, context->account),
		"X-Account-Sysmeta-Global-Write-Ratelimit");
	bool exempt = is_listed(&settings->ratelimit.account_whitelist, context->account) ||
		      (own && strcmp(own, "WHITELIST") == 0);
	bool banned = is_listed(&settings->ratelimit.account_blacklist, context->account) ||
		      (own && strcmp(own, "BLACKLIST") == 0);
	if (!exempt && banned) {
		log_write(LOG_LEVEL_ERROR, request->transaction_id, "Returning 497 because of blacklisting: %.*s",
			SLICE_PRINT(context->account));
		co_sleep_ms(BLACKLIST_SLEEP_MS);
		refuse(reply, 497, "Blacklisted", "Your account has been blacklisted");
		return;
	}
	if (exempt || co_wait(ratelimit, request, own, reply))
		co_filter_next(filter, request, reply);
}

static json_t *steps_json(const struct rate_steps *steps)
{
	json_t *list = json_array();
	for (size_t i = 0; i < steps->count; i++)
		json_array_append_new(
			list, json_pack("[I, f]", (json_int_t)steps->items[i].size, steps->items[i].rate));
	return list;
}

struct filter filter_ratelimit(struct proxy *proxy, const struct settings *settings)
{
	struct ratelimit *ratelimit = arena_zalloc(proxy->arena, sizeof(*ratelimit));
	ratelimit->proxy = proxy;
	ratelimit->settings = settings;
	pthread_mutex_init(&ratelimit->lock, NULL);
	if (settings->ratelimit.enabled)
		proxy_announce(proxy, "ratelimit",
			json_pack("{s:f, s:f, s:o, s:o}", "account_ratelimit", settings->ratelimit.account_ratelimit,
				"max_sleep_time_seconds", (double)settings->ratelimit.max_sleep_time_ms / 1000,
				"container_ratelimits", steps_json(&settings->ratelimit.container_ratelimits),
				"container_listing_ratelimits",
				steps_json(&settings->ratelimit.container_listing_ratelimits)));
	return (struct filter){.name = "ratelimit", .co_handle = co_handle, .context = ratelimit};
}
