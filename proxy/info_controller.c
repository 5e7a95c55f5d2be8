/*
 * GET /info: what this store can do (proxy.md section 12).
 */
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/swift/number.h"
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

/* ---- what only administrators see, and what nobody does ---- */

/* "section" or "section.key.key" */
static void withhold(json_t *info, const char *const *sections)
{
	for (; sections && *sections; sections++) {
		json_t *at = info;
		const char *key = *sections;
		for (const char *dot = strchr(key, '.'); dot && at; dot = strchr(key, '.')) {
			char name[128];
			(void)snprintf(name, sizeof(name), "%.*s", (int)(dot - key), key);
			at = json_object_get(at, name);
			key = dot + 1;
		}
		json_object_del(at, key);
	}
}

static json_t *admin_json(const struct proxy *proxy)
{
	json_t *list = json_array();
	for (const char *const *section = proxy->options.disallowed_sections; section && *section; section++)
		json_array_append_new(list, json_string(*section));
	return json_pack("{s:o}", "disallowed_sections", list);
}

/* Swift's get_hmac(): SHA-1 over method, end of validity and path. */
static bool signature_is(const char *key, const char *method, int64_t expires, struct slice signature)
{
	char text[64], digits[41];
	int length = snprintf(text, sizeof(text), "%s\n%lld\n/info", method, (long long)expires);
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int digest_bytes = 0;
	if (!HMAC(EVP_sha1(), key, (int)strlen(key), (const unsigned char *)text, (size_t)length, digest,
		    &digest_bytes))
		return false;
	for (unsigned int i = 0; i < digest_bytes; i++)
		(void)snprintf(digits + 2 * i, 3, "%02x", digest[i]);
	return signature.length == 40 && CRYPTO_memcmp(digits, signature.data, 40) == 0;
}

/* 0: an administrator asks. */
static int admin_status(
	const struct proxy *proxy, const struct request *request, struct slice signature, struct slice expires)
{
	const char *key = proxy->options.admin_key;
	int64_t until;
	if (!key || !*key)
		return 403;
	if (number_parse_integer(expires, &until) || until < (int64_t)time(NULL))
		return 401;
	bool valid = signature_is(key, "GET", until, signature);
	if (request->method == METHOD_HEAD)
		valid |= signature_is(key, "HEAD", until, signature);
	return valid ? 0 : 401;
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
	struct slice signature = SLICE_NONE, expires = SLICE_NONE;
	if (query_parse(request->arena, request->query, &query)) {
		reply_status(reply, 400);
		return;
	}
	bool has_signature = query_get(&query, "swiftinfo_sig", &signature) && signature.length;
	bool has_expires = query_get(&query, "swiftinfo_expires", &expires) && expires.length;
	bool admin = has_signature || has_expires;
	int refused = admin ? admin_status(proxy, request, signature, expires) : 0;
	if (refused) {
		reply_status(reply, refused);
		return;
	}
	/* a deep copy: reference counts of what all threads share must not be touched */
	json_t *info = json_deep_copy(proxy->announced);
	json_object_set_new(info, "swift", swift_json(proxy));
	withhold(info, proxy->options.disallowed_sections);
	if (admin)
		json_object_set_new(info, "admin", admin_json(proxy));
	char *text = json_dumps(info, JSON_ENSURE_ASCII);
	reply_text(reply, 200, "application/json; charset=UTF-8", arena_strdup(reply->arena, text));
	free(text);
	json_decref(info);
}
