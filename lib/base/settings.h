/*
 * The configuration: everything an operator can set, as plain values. Loaded once from an INI file,
 * immutable afterwards, so any thread reads it without a lock. lib/base/options.def says for each
 * member its option, default and meaning; the sample file and the documentation are printed from
 * the same table.
 *
 * Texts are never NULL: an option that is not set is "". Lists that are not set are empty.
 * Durations are milliseconds. Relative paths in the file are relative to the file's folder; here
 * they are complete.
 */
#ifndef LIB_BASE_SETTINGS_H
#define LIB_BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/swift/constraints.h"

struct text_list {
	char **items;
	size_t count;
};

/* Room to keep free on a device: whichever was given, the other one is 0. */
struct reserve {
	int64_t bytes;
	double percent; /* 0 to 100 */
};

/* Requests a second that depend on a size: from `size` on `rate`, linear to the next step; sizes ascend. */
struct rate_step {
	int64_t size;
	double rate;
};
struct rate_steps {
	struct rate_step *items;
	size_t count;
};

/* Nodes to try: `count`, or `count` times the replicas of the ring. */
struct node_count {
	int64_t count;
	bool per_replica;
};

/* One prefix of accounts, with its "_" ("AUTH_"; "" for the empty prefix). */
struct reseller_settings {
	char *prefix;
	char *require_group; /* "" when none is required */
};

/* user_<account>_<user> = <key> [group …] [storage_url] */
struct user_settings {
	char *account;
	char *name; /* "account:user", unique */
	char *key;
	struct text_list groups; /* as written, ".admin" among them */
	char *storage_url;       /* with "$HOST" as written; "" for the usual one */
};

/* [storage-policy:N] */
struct policy_settings {
	int index;
	char *name;
	struct text_list aliases; /* further names, without `name` */
	bool is_default;
	bool deprecated; /* no new containers */
	char *type;      /* "replication" */
};

struct settings {
	struct {
		struct text_list roles;
		const char *hash_path_prefix;
		const char *hash_path_suffix;
		const char *rings;
		const char *devices;
		bool mount_check;
		struct reserve fallocate_reserve;
		int64_t workers; /* 0: one for each core */
		int64_t threads_per_device;
		int64_t cache_bytes;
		int64_t write_buffer_bytes;
		int64_t requests_max;
		int64_t slow_max;
		int64_t connections_max;
		int64_t buffer_max;
		int64_t backlog;
		int64_t stop_timeout_ms;
		const char *user;    /* "" to stay who we are */
		const char *sandbox; /* a word that sandbox_mode_parse() takes */
		bool core_dumps;
		const char *log_level;         /* a word that log_level_parse() takes */
		const char *log_requests;      /* "network", "true" or "false" */
		const char *access_log_format; /* "text" or "json" */
		int64_t reveal_sensitive_prefix;
		struct text_list metrics_bind; /* may be empty */
	} swiftlet;
	struct {
		const char *host; /* "" for none */
		int64_t port;
		const char *metric_prefix;
		double default_sample_rate; /* 0 to 1, as the next one */
		double sample_rate_factor;
	} statsd;
	struct {
		int64_t head_timeout_ms;
		int64_t client_timeout_ms;
		int64_t rate_min;
		int64_t keepalive_timeout_ms;
	} http;
	struct {
		struct text_list bind; /* addresses that socket_address_parse() takes, as all `bind` */
		struct text_list tls_bind;
		struct text_list tls_certificate; /* at least one where there is a tls_bind */
		struct text_list tls_key;         /* none, or one for each certificate */
		const char *tls_min_version;      /* "1.2" or "1.3" */
		bool tls_kernel;
		int64_t handshake_timeout_ms;
		struct text_list proxy_protocol; /* what ip_network_parse() takes */
		int64_t node_timeout_ms;
		int64_t conn_timeout_ms;
		int64_t post_quorum_timeout_ms;
		struct node_count request_node_count;
		int64_t error_suppression_interval_ms;
		int64_t error_suppression_limit;
		int64_t recheck_account_existence_ms;
		int64_t recheck_container_existence_ms;
		bool account_autocreate;
		bool allow_account_management;
		int64_t max_containers_per_account; /* 0: no limit */
		struct text_list max_containers_whitelist;
		struct text_list cors_allow_origin;
		struct text_list cors_expose_headers;
		bool strict_cors_mode;
		bool allow_open_expired;
		bool expose_info;
		const char *admin_key;
		struct text_list disallowed_sections;
		const char *trans_id_suffix;
		const char *disable_path; /* "" for none */
	} proxy;
	struct {
		struct text_list bind;
		int64_t conn_timeout_ms;
		int64_t node_timeout_ms;
		int64_t container_update_timeout_ms;
		int64_t update_interval_ms;
		int64_t max_upload_time_ms;
		struct text_list allowed_headers;
	} object;
	struct {
		struct text_list bind;
		int64_t conn_timeout_ms;
		int64_t node_timeout_ms;
	} container;
	struct {
		struct text_list bind;
	} account;
	struct {
		bool enabled;
		int64_t interval_ms;
		int64_t concurrency;
		double tasks_per_second; /* 0: no limit */
		int64_t reclaim_age_ms;
		int64_t takeover_delay_ms;
		struct text_list delay_reaping; /* what expirer_new() takes */
	} expirer;
	struct {
		bool enabled;
		int64_t interval_ms;
		int64_t concurrency;
		int64_t delay_reaping_ms;
		int64_t reap_warn_after_ms;
		int64_t takeover_delay_ms;
	} reaper;
	struct {
		int64_t token_life_ms;
		const char *token_keys;           /* "" for keys in memory only */
		struct text_list reseller_prefix; /* as written; see `resellers` */
		const char *require_group;
		const char *auth_prefix; /* begins and ends with "/" */
		const char *storage_url_scheme;
		bool allow_overrides;
		struct reseller_settings *resellers; /* at least one; the first is that of tokens */
		size_t reseller_count;
		struct user_settings *users;
		size_t user_count;
	} auth;
	struct {
		bool read_only;
		bool allow_deletes;
	} read_only;
	struct {
		bool enabled;
		const char *forbidden_chars;
		int64_t maximum_length;
		const char *forbidden_regexp; /* POSIX extended; "" for none */
	} name_check;
	struct {
		bool enabled;
		const char *cross_domain_policy;
	} crossdomain;
	struct {
		bool enabled;
		const char *list_endpoints_path; /* begins and ends with "/" */
	} list_endpoints;
	struct {
		bool enable_by_default;
	} etag_quoter;
	struct {
		struct text_list allowed_digests;
	} formpost;
	struct {
		const char *url_base; /* "" for none */
	} staticweb;
	struct {
		int64_t max_manifest_segments;
		int64_t max_manifest_size;
		int64_t max_get_time_ms;
		int64_t rate_limit_after_segment;
		double rate_limit_segments_per_sec; /* 0: no limit */
		int64_t rate_limit_under_size;
		int64_t yield_frequency_ms;
		int64_t concurrency;
		int64_t delete_concurrency;
		bool allow_async_delete;
	} slo;
	struct {
		int64_t max_get_time_ms;
		int64_t rate_limit_after_segment;
		double rate_limit_segments_per_sec; /* 0: no limit */
		int64_t rate_limit_under_size;
	} dlo;
	struct {
		struct text_list methods;
		struct text_list allowed_digests;
		struct text_list incoming_remove_headers; /* names, or beginnings with "*"; as the next three */
		struct text_list incoming_allow_headers;
		struct text_list outgoing_remove_headers;
		struct text_list outgoing_allow_headers;
	} tempurl;
	struct {
		bool allow_versioned_writes;
		bool allow_object_versioning;
	} versioned_writes;
	struct {
		int64_t symloop_max;
	} symlink;
	struct {
		int64_t max_containers_per_extraction;
		int64_t max_failed_extractions;
		int64_t max_deletes_per_request;
		int64_t max_failed_deletes;
		int64_t yield_frequency_ms;
		int64_t delete_concurrency;
	} bulk;
	struct {
		bool enabled;
		double account_ratelimit; /* requests a second; 0: no limit */
		struct rate_steps container_ratelimits;
		struct rate_steps container_listing_ratelimits;
		int64_t max_sleep_time_ms;
		int64_t log_sleep_time_ms; /* 0: not logged */
		int64_t rate_buffer_ms;
		struct text_list account_whitelist;
		struct text_list account_blacklist;
	} ratelimit;
	struct {
		struct text_list storage_domain; /* empty: off */
		const char *path_root;
		struct text_list reseller_prefixes;
		const char *default_reseller_prefix; /* "" for none */
		bool mangle_client_paths;
	} domain_remap;
	struct {
		struct text_list storage_domain; /* empty: off */
		int64_t lookup_depth;
		struct text_list nameservers; /* empty: the system's */
	} cname_lookup;
	struct constraints constraints;
	struct policy_settings *policies; /* at least one, by ascending index; exactly one is the default */
	size_t policy_count;
};

/*
 * Reads and checks the file. 0 with settings that the caller frees; or a negative errno with one
 * malloc'ed line in *ret_error, such as
 *
 *	swiftlet.conf:12: [proxy] node_timeout: "abc" is not a duration (e.g. 10, 500ms)
 *
 * No line shows a user's key. One thread at a time.
 */
int settings_load(const char *path, struct settings **ret_settings, char **ret_error);

/* NULL is accepted. */
void settings_free(struct settings *settings);

/* Whether this process runs "proxy", "account", "container" or "object". */
bool settings_has_role(const struct settings *settings, const char *role);

/* The commented sample with every option (etc/swiftlet.conf). */
void settings_print_sample(FILE *output);

/* The options as tables for docs/configuration.md. */
void settings_print_markdown(FILE *output);

#endif
