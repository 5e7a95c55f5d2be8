/*
 * The proxy: the public door. A chain of filters (proxy/filter.h) ends at the application, which
 * routes a request to the account, container, object or info controller; controllers reach the
 * storage servers through the rings and lib/backend alone. One struct proxy serves all loops of the
 * process; what changes in it is either atomic or behind a short lock of its own.
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/backend/backend.h"
#include "lib/http/message.h"
#include "lib/swift/constraints.h"
#include "lib/swift/hash_path.h"
#include "proxy/filter.h"
#include "ring/ring_store.h"

struct proxy_policy {
	int index;
	const char *name;
	const char *aliases; /* comma-separated, without the name; may be empty */
	bool is_default;
	bool is_deprecated;
};

struct proxy_options {
	struct ring_store *rings;
	struct hash_path_config hash;
	struct constraints constraints;
	struct backend_timeouts timeouts;
	uint64_t post_quorum_ms;
	size_t request_nodes;           /* how many nodes one request may try */
	bool request_nodes_per_replica; /* that many for each replica */
	uint64_t error_suppression_interval_ms;
	unsigned error_suppression_limit;
	uint64_t recheck_account_ms; /* how long account info is kept; 0: not at all */
	uint64_t recheck_container_ms;
	bool account_autocreate;
	bool allow_account_management;
	bool allow_open_expired;
	int64_t max_containers_per_account;          /* 0: no limit */
	const char *const *max_containers_whitelist; /* NULL-terminated accounts */
	const char *const *cors_allow_origin;        /* NULL-terminated */
	const char *const *cors_expose_headers;      /* NULL-terminated */
	bool strict_cors_mode;
	const char *trans_id_suffix;
	const char *disable_path; /* healthcheck answers 503 when this file exists; NULL: none */
	bool expose_info;
	const char *admin_key;                  /* of the admin section of /info; NULL or "": there is none */
	const char *const *disallowed_sections; /* NULL-terminated; not shown in /info */
	const struct proxy_policy *policies;
	size_t policy_count;
	const char *version; /* for /info */
};

struct proxy;

/* The options are copied, what they point to must live as long as the proxy. */
struct proxy *proxy_new(const struct proxy_options *options);
void proxy_free(struct proxy *proxy);
const struct proxy_options *proxy_options_of(const struct proxy *proxy);

/* Puts a filter before the application, after the ones that were added before; before the first
 * request. */
void proxy_add_filter(struct proxy *proxy, const struct filter *filter);

/*
 * Announces a capability in /info under the section's name, e.g. "slo" with {"max_manifest_segments": 1000}; takes over the
 * object. Before the first request.
 */
struct json_t;
void proxy_announce(struct proxy *proxy, const char *section, struct json_t *description);

/* A co_handler_function for the HTTP server; context is the proxy. */
void co_proxy_handle(void *proxy, struct request *request, struct reply *reply);
/* For heads that could not be parsed: transaction id and log line. */
void proxy_refused(void *proxy, struct request *request, struct reply *reply);

/*
 * The account's ACL as stored (X-Account-Sysmeta-Core-Access-Control), in the request's arena, or
 * NULL when it has none: what the auth filter asks (a co_account_acl_function). 0, or -EIO when no
 * account server could say.
 */
struct proxy_context;
int co_proxy_account_acl(struct request *request, struct proxy_context *context, char **ret_json);

/* The policy of an index, or NULL. */
const struct proxy_policy *proxy_policy_by_index(const struct proxy *proxy, int index);
/* The policy of a name or alias (without case), or NULL. */
const struct proxy_policy *proxy_policy_by_name(const struct proxy *proxy, const char *name);
const struct proxy_policy *proxy_policy_default(const struct proxy *proxy);

#endif
