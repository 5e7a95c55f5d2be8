#include "proxy/proxy.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/co/pool.h"
#include "proxy/filters/catch_errors.h"
#include "proxy/filters/filters.h"
#include "proxy/proxy_private.h"

enum { DIGEST_THREADS_MAX = 16 };

static size_t digest_threads(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores < 1 ? 1 : cores > DIGEST_THREADS_MAX ? DIGEST_THREADS_MAX : (size_t)cores;
}

struct proxy *proxy_new(const struct proxy_options *options)
{
	struct proxy *proxy = xcalloc(1, sizeof(*proxy));
	proxy->options = *options;
	proxy->limiter = error_limiter_new(options->error_suppression_limit, options->error_suppression_interval_ms);
	proxy->infos = info_cache_new();
	if (pool_new("digest", digest_threads(), &proxy->digest_pool))
		memory_exhausted();
	proxy->arena = arena_new();
	proxy->announced = json_object();
	(void)snprintf(proxy->user_agent, sizeof(proxy->user_agent), "proxy-server %d", (int)getpid());
	proxy->filters[0] =
		(struct filter){.name = "proxy-server", .co_handle = co_application_handle, .context = proxy};
	return proxy;
}

void proxy_free(struct proxy *proxy)
{
	if (!proxy)
		return;
	error_limiter_free(proxy->limiter);
	info_cache_free(proxy->infos);
	pool_free(proxy->digest_pool);
	json_decref(proxy->announced);
	arena_free(proxy->arena);
	free(proxy);
}

const struct proxy_options *proxy_options_of(const struct proxy *proxy)
{
	return &proxy->options;
}

void proxy_add_filter(struct proxy *proxy, const struct filter *filter)
{
	assert(proxy->filter_count < PROXY_FILTERS_MAX);
	struct filter *application = &proxy->filters[proxy->filter_count];
	application[1] = application[0];
	application[0] = *filter;
	proxy->filter_count++;
	for (size_t i = 0; i < proxy->filter_count; i++)
		proxy->filters[i].next = &proxy->filters[i + 1];
}

void proxy_announce(struct proxy *proxy, const char *section, struct json_t *description)
{
	json_object_set_new(proxy->announced, section, description);
}

void co_proxy_handle(void *context, struct request *request, struct reply *reply)
{
	struct proxy *proxy = context;
	catch_errors_begin(proxy, request);
	co_filter_handle(&proxy->filters[0], request, reply);
	catch_errors_end(request, reply);
}

void proxy_refused(void *context, struct request *request, struct reply *reply)
{
	catch_errors_begin(context, request);
	proxy_logging_refused(request, reply);
	catch_errors_end(request, reply);
}

const struct proxy_policy *proxy_policy_by_index(const struct proxy *proxy, int index)
{
	for (size_t i = 0; i < proxy->options.policy_count; i++)
		if (proxy->options.policies[i].index == index)
			return &proxy->options.policies[i];
	return NULL;
}

int co_proxy_account_acl(struct request *request, struct proxy_context *context, char **ret_json)
{
	const struct info *account = co_account_info(context->proxy, request, context->account);
	if (account->status / 100 == 5)
		return -EIO;
	*ret_json = arena_strdup(request->arena, info_header(account, "X-Account-Sysmeta-Core-Access-Control"));
	return 0;
}

static bool has_alias(const char *aliases, const char *name)
{
	size_t length = strlen(name);
	while (aliases && *aliases) {
		aliases += strspn(aliases, ", ");
		size_t alias = strcspn(aliases, ",");
		while (alias && aliases[alias - 1] == ' ')
			alias--;
		if (alias == length && strncasecmp(aliases, name, length) == 0)
			return true;
		aliases += strcspn(aliases, ",");
	}
	return false;
}

const struct proxy_policy *proxy_policy_by_name(const struct proxy *proxy, const char *name)
{
	for (size_t i = 0; i < proxy->options.policy_count; i++) {
		const struct proxy_policy *policy = &proxy->options.policies[i];
		if (strcasecmp(policy->name, name) == 0 || has_alias(policy->aliases, name))
			return policy;
	}
	return NULL;
}

const struct proxy_policy *proxy_policy_default(const struct proxy *proxy)
{
	for (size_t i = 0; i < proxy->options.policy_count; i++)
		if (proxy->options.policies[i].is_default)
			return &proxy->options.policies[i];
	return &proxy->options.policies[0];
}

uint64_t proxy_random(void)
{
	static __thread uint64_t state;
	while (!state)
		(void)!getrandom(&state, sizeof(state), 0);
	/* xorshift64* */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545F4914F6CDD1DULL;
}

const char *backend_service_name(enum backend_service service)
{
	static const char *const names[] = {
		[BACKEND_ACCOUNT] = "account server",
		[BACKEND_CONTAINER] = "container server",
		[BACKEND_OBJECT] = "object server",
	};
	return names[service];
}
