/*
 * GET /info: what this store can do (proxy.md section 12).
 */
#include <jansson.h>
#include <stdlib.h>

#include "lib/swift/url.h"
#include "proxy/proxy_private.h"

static json_t *policies_json(const struct proxy *proxy)
{
	json_t *list = json_array();
	for (size_t i = 0; i < proxy->options.policy_count; i++) {
		const struct proxy_policy *policy = &proxy->options.policies[i];
		if (policy->is_deprecated)
			continue;
		const char *aliases = policy->aliases && *policy->aliases ? policy->aliases : NULL;
		json_t *item = json_pack("{s:s, s:o}", "name", policy->name, "aliases",
			aliases ? json_sprintf("%s, %s", policy->name, aliases) : json_string(policy->name));
		if (policy->is_default)
			json_object_set_new(item, "default", json_true());
		json_array_append_new(list, item);
	}
	return list;
}

static json_t *swift_json(const struct proxy *proxy)
{
	const struct proxy_options *options = &proxy->options;
	const struct constraints *limits = &options->constraints;
	json_t *swift = json_object();
	json_object_set_new(swift, "version", json_string(options->version));
	json_object_set_new(swift, "strict_cors_mode", json_boolean(options->strict_cors_mode));
	json_object_set_new(swift, "policies", policies_json(proxy));
	json_object_set_new(swift, "allow_account_management", json_boolean(options->allow_account_management));
	json_object_set_new(swift, "account_autocreate", json_boolean(options->account_autocreate));
	json_object_set_new(swift, "allow_open_expired", json_boolean(options->allow_open_expired));
	const struct {
		const char *name;
		int64_t value;
	} numbers[] = {
		{"max_file_size", limits->max_file_size},
		{"max_meta_name_length", limits->max_meta_name_length},
		{"max_meta_value_length", limits->max_meta_value_length},
		{"max_meta_count", limits->max_meta_count},
		{"max_meta_overall_size", limits->max_meta_overall_size},
		{"max_header_size", limits->max_header_size},
		{"max_request_line", limits->max_request_line},
		{"max_object_name_length", limits->max_object_name_length},
		{"container_listing_limit", limits->container_listing_limit},
		{"account_listing_limit", limits->account_listing_limit},
		{"max_account_name_length", limits->max_account_name_length},
		{"max_container_name_length", limits->max_container_name_length},
		{"extra_header_count", limits->extra_header_count},
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(swift, numbers[i].name, json_integer(numbers[i].value));
	return swift;
}

void co_info_handle(struct proxy *proxy, struct request *request, struct reply *reply)
{
	if (request->method == METHOD_OPTIONS) {
		co_cors_options(proxy, request, reply, "GET, HEAD, OPTIONS");
		return;
	}
	if (request->method != METHOD_GET && request->method != METHOD_HEAD) {
		reply_not_allowed(reply, "GET, HEAD, OPTIONS");
		return;
	}
	if (!proxy->options.expose_info) {
		reply_status(reply, 403);
		return;
	}
	struct query query;
	struct slice signature;
	/* the admin section: there is no admin key, so no signature can be right */
	if (query_parse(request->arena, request->query, &query) || query_get(&query, "swiftinfo_sig", &signature) ||
		query_get(&query, "swiftinfo_expires", &signature)) {
		reply_status(reply, 403);
		return;
	}
	/* a deep copy: reference counts of what all threads share must not be touched */
	json_t *info = json_deep_copy(proxy->announced);
	json_object_set_new(info, "swift", swift_json(proxy));
	char *text = json_dumps(info, JSON_ENSURE_ASCII);
	reply_text(reply, 200, "application/json; charset=UTF-8", arena_strdup(reply->arena, text));
	free(text);
	json_decref(info);
}
