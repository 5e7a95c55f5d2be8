/*
 * What the files of the proxy share.
 */
#ifndef PROXY_PROXY_PRIVATE_H
#define PROXY_PROXY_PRIVATE_H

#include "proxy/context.h"
#include "proxy/info.h"
#include "proxy/nodes.h"
#include "proxy/proxy.h"

enum { PROXY_FILTERS_MAX = 40 };

struct proxy {
	struct proxy_options options;
	struct filter filters[PROXY_FILTERS_MAX + 1]; /* the last one is the application */
	size_t filter_count;
	struct arena *arena;      /* what filters keep */
	struct json_t *announced; /* sections of /info by name */
	struct error_limiter *limiter;
	struct info_cache *infos;
	struct pool *digest_pool; /* takes MD5s, the one thing that keeps a core busy */
	char user_agent[40];      /* of requests to servers */
};

/* A fast random number of this thread; not for secrets. */
uint64_t proxy_random(void);

/* "object server" and so on, for log lines. */
const char *backend_service_name(enum backend_service service);

/* Says which answers made a 503 for the client; those that never came count as 503, too. */
void log_unavailable(const struct request *request, enum backend_service service, const int *statuses, size_t count);

/* Asks context->co_authorize, if there is one. 0, or the reply is filled in. */
int co_authorize(struct request *request, struct reply *reply);

/* The application: the end of the chain. */
void co_application_handle(const struct filter *filter, struct request *request, struct reply *reply);

/* Controllers; the path has been parsed and checked. */
void co_account_handle(struct proxy *proxy, struct request *request, struct reply *reply);
void co_container_handle(struct proxy *proxy, struct request *request, struct reply *reply);
void co_object_handle(struct proxy *proxy, struct request *request, struct reply *reply);
void co_info_handle(struct proxy *proxy, struct request *request, struct reply *reply);

/* Swift's limits on the metadata headers of a PUT or POST of "account", "container" or "object".
 * False: 400 is set. */
bool check_metadata(struct proxy *proxy, struct request *request, const char *target, struct reply *reply);

/* 405 with Allow. */
void reply_not_allowed(struct reply *reply, const char *allow);
/* A text/plain reply with a text of the arena or a literal. */
void reply_plain(struct reply *reply, int status, const char *text);

/* CORS (proxy/cors.c): the answer to OPTIONS, and the headers that every reply to an Origin gets.
 */
void co_cors_options(struct proxy *proxy, struct request *request, struct reply *reply, const char *allow);
void co_cors_reply(struct proxy *proxy, struct request *request, struct reply *reply);

/* ---- requests to the storage servers ---- */

/* Headers that every backend request carries: transaction id, user agent, referer, X-Timestamp. */
void backend_headers(struct request *request, struct headers *headers, bool with_timestamp);

/* Copies client headers of account and container requests that may pass (proxy.md 1.1); removals
 * become empty. */
void transfer_headers(struct request *request, const char *target, struct headers *headers);

/* A write to all primaries with handoffs for those that fail. */
struct quorum_override;
struct fan_out {
	struct nodes *nodes;
	enum method method;
	struct slice account, container, object;
	struct slice query;
	const struct headers *headers; /* common to all */
	struct slice body;             /* the same for all; copied. Empty: none */
	/* Headers of their own for request `index` of `count`; may be NULL. */
	void (*more_headers)(void *argument, size_t index, size_t count, struct headers *headers);
	void *argument;
	const struct quorum_override *overrides;
	size_t override_count;
	bool is_post; /* of an object: a handoff is asked for each primary that has not got it */
};
/* Fills in the reply with the best response (status, headers and a small body); 503 when there is
 * none. */
void co_fan_out(struct request *request, const struct fan_out *fan_out, struct reply *reply);

/* A read from the first good server. */
struct read_plan {
	struct nodes *nodes;
	enum method method;
	struct slice account, container, object;
	struct slice query;
	const struct headers *headers;
	bool newest;    /* ask all, take the newest */
	bool is_object; /* 416 is an answer; timestamps of 404s count */
};
/* Fills in the reply; its stream goes on at another server when one breaks off. */
void co_read(struct request *request, const struct read_plan *plan, struct reply *reply);

#endif
