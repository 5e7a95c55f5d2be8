#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <jansson.h>
#include <pthread.h>
#include <resolv.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "lib/base/log.h"
#include "lib/co/co.h"
#include "lib/co/pool.h"
#include "lib/co/socket.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/host_rewrite.h"
#include "proxy/proxy_private.h"

/*
 * A Host that is not below our domains is looked up: when it is an alias (CNAME) of a name that is, that name takes its
 * place (swift/common/middleware/cname_lookup.py). The system's resolver asks, in threads of its own; answers are kept
 * for the time that the name server says, in a table of fixed size.
 */
enum { PLACES = 1024, NAME_BYTES = 256, THREADS = 4, QUEUED_MAX = 256, KEEP_NOTHING_MS = 60000, KEEP_MAX_MS = 3600000 };

struct alias {
	char name[NAME_BYTES];   /* lower case; "": free */
	char target[NAME_BYTES]; /* "": there is none */
	uint64_t until_ms;
};

struct cname_lookup {
	const struct settings *settings;
	struct pool *pool;
	pthread_mutex_t lock;
	struct alias aliases[PLACES];
};

/* ---- asking ---- */

struct question {
	const struct cname_lookup *lookup;
	char name[NAME_BYTES];
	char target[NAME_BYTES]; /* "" for none */
	uint64_t keep_ms;        /* 0: nobody could say */
};

/* Uses the configured name servers instead of the system's. */
static void set_servers(res_state state, const struct text_list *servers)
{
	int count = 0;
	for (size_t i = 0; i < servers->count && count < MAXNS; i++) {
		char ip[46];
		int port;
		struct sockaddr_in address = {.sin_family = AF_INET};
		if (socket_address_parse(servers->items[i], ip, &port) ||
			inet_pton(AF_INET, ip, &address.sin_addr) != 1)
			continue;
		address.sin_port = htons((uint16_t)port);
		state->nsaddr_list[count++] = address;
	}
	if (count)
		state->nscount = count;
}

static void read_answer(struct question *question, const unsigned char *answer, int length)
{
	ns_msg message;
	ns_rr record;
	if (ns_initparse(answer, length, &message))
		return;
	question->keep_ms = KEEP_NOTHING_MS;
	for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
		if (ns_parserr(&message, ns_s_an, i, &record) || ns_rr_type(record) != ns_t_cname)
			continue;
		if (dn_expand(answer, answer + length, ns_rr_rdata(record), question->target, NAME_BYTES) < 0) {
			question->target[0] = '\0';
			return;
		}
		question->keep_ms = (uint64_t)ns_rr_ttl(record) * 1000;
		return;
	}
}

/* In a thread of the pool. */
static void ask(void *argument)
{
	struct question *question = argument;
	struct __res_state state;
	memset(&state, 0, sizeof(state));
	if (res_ninit(&state))
		return;
	state.retrans = 2;
	state.retry = 2;
	set_servers(&state, &question->lookup->settings->cname_lookup.nameservers);
	unsigned char answer[NS_PACKETSZ * 2];
	int length = res_nquery(&state, question->name, ns_c_in, ns_t_cname, answer, sizeof(answer));
	if (length > 0)
		read_answer(question, answer, length < (int)sizeof(answer) ? length : (int)sizeof(answer));
	else if (state.res_h_errno == HOST_NOT_FOUND || state.res_h_errno == NO_DATA)
		question->keep_ms = KEEP_NOTHING_MS;
	res_nclose(&state);
}

/* ---- what is known ---- */

static struct alias *place_of(struct cname_lookup *lookup, const char *name)
{
	return &lookup->aliases[XXH3_64bits(name, strlen(name)) % PLACES];
}

static bool is_known(struct cname_lookup *lookup, const char *name, char ret_target[NAME_BYTES])
{
	pthread_mutex_lock(&lookup->lock);
	const struct alias *alias = place_of(lookup, name);
	bool known = strcmp(alias->name, name) == 0 && alias->until_ms > loop_now_ms();
	if (known)
		memcpy(ret_target, alias->target, NAME_BYTES);
	pthread_mutex_unlock(&lookup->lock);
	return known;
}

static void keep(struct cname_lookup *lookup, const struct question *question)
{
	uint64_t keep_ms = question->keep_ms < KEEP_MAX_MS ? question->keep_ms : KEEP_MAX_MS;
	pthread_mutex_lock(&lookup->lock);
	struct alias *alias = place_of(lookup, question->name);
	memcpy(alias->name, question->name, NAME_BYTES);
	memcpy(alias->target, question->target, NAME_BYTES);
	alias->until_ms = loop_now_ms() + keep_ms;
	pthread_mutex_unlock(&lookup->lock);
}

/* What the name is an alias of; "" for nothing, or when nobody could say. */
static void co_target_of(struct cname_lookup *lookup, const char *name, char ret_target[NAME_BYTES])
{
	ret_target[0] = '\0';
	if (is_known(lookup, name, ret_target) || !lookup->pool || pool_load(lookup->pool) > QUEUED_MAX)
		return;
	struct question question = {.lookup = lookup};
	(void)snprintf(question.name, sizeof(question.name), "%s", name);
	co_offload(lookup->pool, ask, &question);
	if (question.keep_ms)
		keep(lookup, &question);
	memcpy(ret_target, question.target, NAME_BYTES);
}

/* ---- the filter ---- */

static bool is_address(struct slice host)
{
	char text[NAME_BYTES];
	struct in_addr address;
	(void)snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(host));
	return text[0] == '[' || inet_pton(AF_INET, text, &address) == 1;
}

/* NULL: found, in `ret_name`; otherwise what the client is told. */
static const char *co_follow(
	struct cname_lookup *lookup, struct arena *arena, struct slice host, char ret_name[NAME_BYTES])
{
	int64_t depth = lookup->settings->cname_lookup.lookup_depth;
	char name[NAME_BYTES];
	(void)snprintf(name, sizeof(name), "%.*s", SLICE_PRINT(host));
	for (char *c = name; *c; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	for (int64_t i = 0; i < depth; i++) {
		struct slice front;
		co_target_of(lookup, name, ret_name);
		if (!ret_name[0] || strcmp(ret_name, name) == 0)
			return "CNAME lookup failed to resolve to a valid domain";
		if (host_is_below(slice_from(ret_name), &lookup->settings->cname_lookup.storage_domain, &front))
			return NULL;
		memcpy(name, ret_name, NAME_BYTES);
	}
	return arena_printf(arena, "CNAME lookup failed after %lld tries", (long long)depth);
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct cname_lookup *lookup = filter->context;
	struct slice host, port, front;
	if (!host_split(request, &host, &port) || is_address(host) || host.length >= NAME_BYTES ||
		host_is_below(host, &lookup->settings->cname_lookup.storage_domain, &front)) {
		co_filter_next(filter, request, reply);
		return;
	}
	char name[NAME_BYTES];
	const char *wrong = co_follow(lookup, request->arena, host, name);
	if (wrong) {
		reply_text(reply, 400, "text/plain", wrong);
		return;
	}
	struct slice old = slice_from(headers_get(&request->headers, "Host"));
	headers_set_format(&request->headers, "Host", "%s%.*s", name, SLICE_PRINT(port));
	co_filter_next(filter, request, reply);
	host_rewrite_locations(reply, slice_from(headers_get(&request->headers, "Host")), old, false);
}

static void release(void *argument)
{
	struct cname_lookup *lookup = argument;
	pool_free(lookup->pool);
	pthread_mutex_destroy(&lookup->lock);
}

struct filter filter_cname_lookup(struct proxy *proxy, const struct settings *settings)
{
	struct filter filter = {.name = "cname_lookup", .co_handle = co_handle};
	if (settings->cname_lookup.storage_domain.count == 0)
		return filter;
	struct cname_lookup *lookup = arena_zalloc(proxy->arena, sizeof(*lookup));
	lookup->settings = settings;
	pthread_mutex_init(&lookup->lock, NULL);
	if (pool_new("cname", THREADS, &lookup->pool))
		log_error("[cname_lookup]: no threads for it");
	arena_defer(proxy->arena, release, lookup);
	proxy_announce(proxy, "cname_lookup",
		json_pack("{s:I}", "lookup_depth", (json_int_t)settings->cname_lookup.lookup_depth));
	filter.context = lookup;
	return filter;
}
