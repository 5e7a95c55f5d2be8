#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/base/ip_address.h"
#include "lib/swift/http_date.h"
#include "lib/swift/url.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/signature.h"

/*
 * Temporary URLs: whoever has one may do what its signature allows, until it expires
 * (swift/common/middleware/tempurl.py). The path that was signed is the decoded one.
 */

struct tempurl {
	struct proxy *proxy;
	const struct settings *settings;
};

/* The parameters of a temporary URL, the first of each name; NULL: not there. */
struct ticket {
	const char *signature;
	const char *expires;
	const char *prefix;
	const char *filename;
	const char *ip_range;
	bool is_inline;
	int64_t expires_seconds; /* 0: over */
	bool of_account;         /* the scope of the key that fits */
};

static const char *first_value(struct arena *arena, const struct query *query, const char *name)
{
	for (size_t i = 0; i < query->count; i++) {
		struct slice value = query->parameters[i].value;
		if (slice_equal(query->parameters[i].name, slice_from(name)))
			return arena_strndup(arena, value.data ? value.data : "", value.length);
	}
	return NULL;
}

static bool take_ticket(struct request *request, struct ticket *ret_ticket)
{
	struct query query;
	struct arena *arena = request->arena;
	if (request->method == METHOD_OPTIONS || request->query.length == 0 ||
		!memmem(request->query.data, request->query.length, "temp", 4) ||
		query_parse(arena, request->query, &query))
		return false;
	*ret_ticket = (struct ticket){
		.signature = first_value(arena, &query, "temp_url_sig"),
		.expires = first_value(arena, &query, "temp_url_expires"),
		.prefix = first_value(arena, &query, "temp_url_prefix"),
		.filename = first_value(arena, &query, "filename"),
		.ip_range = first_value(arena, &query, "temp_url_ip_range"),
		.is_inline = first_value(arena, &query, "inline") != NULL,
	};
	return ret_ticket->signature || ret_ticket->expires;
}

/* ---- the signature ---- */

static bool has_method(const struct text_list *methods, const char *name)
{
	for (size_t i = 0; i < methods->count; i++)
		if (strcmp(methods->items[i], name) == 0)
			return true;
	return false;
}

static bool path_is_good(const struct tempurl *tempurl, const struct request *request, const struct ticket *ticket)
{
	const struct proxy_context *context = proxy_context_of(request);
	bool root_allowed =
		(request->method == METHOD_GET || request->method == METHOD_HEAD) && ticket->prefix && !*ticket->prefix;
	if (!has_method(&tempurl->settings->tempurl.methods, request->method_text) || !context->version ||
		strcmp(context->version, "v1") != 0 || !context->container.data ||
		memchr(context->container.data, '\0', context->container.length))
		return false;
	if (!context->object.data)
		return root_allowed;
	if (memchr(context->object.data, '\0', context->object.length))
		return false;
	for (size_t i = 0; i < context->object.length; i++)
		if (context->object.data[i] != '/')
			return true;
	return root_allowed;
}

static bool address_is_good(const struct request *request, const struct ticket *ticket)
{
	struct ip_network network;
	struct ip_address address;
	if (!ticket->ip_range || !*ticket->ip_range)
		return true;
	return ip_network_parse(ticket->ip_range, &network) == 0 &&
	       ip_address_parse(request->remote_address, &address) == 0 && ip_network_contains(&network, &address);
}

/* What was signed, but for the method. False: the name does not begin with the prefix. */
static bool signed_path(const struct request *request, const struct ticket *ticket, const char **ret_path)
{
	const struct proxy_context *context = proxy_context_of(request);
	struct slice object = context->object.data ? context->object : SLICE_LITERAL("");
	if (!ticket->prefix) {
		*ret_path = arena_printf(request->arena, "/v1/%.*s/%.*s/%.*s", SLICE_PRINT(context->account),
			SLICE_PRINT(context->container), SLICE_PRINT(object));
		return true;
	}
	size_t length = strlen(ticket->prefix);
	*ret_path = arena_printf(request->arena, "prefix:/v1/%.*s/%.*s/%s", SLICE_PRINT(context->account),
		SLICE_PRINT(context->container), ticket->prefix);
	return object.length >= length && memcmp(object.data, ticket->prefix, length) == 0;
}

static bool signed_for(const struct request *request, const struct ticket *ticket, const struct signature *signature,
	const char *method, const char *path, const char *key)
{
	const char *range =
		ticket->ip_range && *ticket->ip_range ? arena_printf(request->arena, "ip=%s\n", ticket->ip_range) : "";
	const char *text =
		arena_printf(request->arena, "%s%s\n%lld\n%s", range, method, (long long)ticket->expires_seconds, path);
	return signature_matches(signature, key, slice_from(text));
}

/* A HEAD may be done with what was signed for reading or writing. */
static bool key_fits(const struct request *request, const struct ticket *ticket, const struct signature *signature,
	const char *path, const char *key)
{
	static const char *const head_methods[] = {"HEAD", "GET", "POST", "PUT"};
	if (request->method != METHOD_HEAD)
		return signed_for(request, ticket, signature, request->method_text, path, key);
	for (size_t i = 0; i < 4; i++)
		if (signed_for(request, ticket, signature, head_methods[i], path, key))
			return true;
	return false;
}

static bool co_is_valid(const struct tempurl *tempurl, struct request *request, struct ticket *ticket)
{
	const struct proxy_context *context = proxy_context_of(request);
	struct signature signature;
	struct signature_key keys[SIGNATURE_KEYS_MAX];
	const char *path;
	ticket->expires_seconds = ticket->expires ? signature_expires(ticket->expires) : 0;
	if (!ticket->signature || !ticket->expires_seconds ||
		signature_parse(request->arena, slice_from(ticket->signature),
			&tempurl->settings->tempurl.allowed_digests, &signature) ||
		!path_is_good(tempurl, request, ticket) || !address_is_good(request, ticket))
		return false;
	size_t count = co_signature_keys(tempurl->proxy, request, context->account, context->container, keys);
	if (!signed_path(request, ticket, &path))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (key_fits(request, ticket, &signature, path, keys[i].key)) {
			ticket->of_account = keys[i].of_account;
			return true;
		}
	}
	return false;
}

static void refuse(struct reply *reply)
{
	reply_text(reply, 401, "text/html; charset=UTF-8", "401 Unauthorized: Temp URL invalid\n");
	headers_set(&reply->headers, "Www-Authenticate", "Swift realm=\"unknown\"");
}

/* ---- what the key allows ---- */

/* The account and container that the signature is for; an inner request may lead elsewhere (a link, a segment). */
struct scope {
	struct slice account;
	struct slice container; /* .data == NULL: all of the account's */
};

static int co_authorize_scope(struct request *request, struct proxy_context *context, struct reply *reply)
{
	const struct scope *scope = context->authorize_argument;
	bool same = slice_equal(context->account, scope->account) &&
		    (!scope->container.data || slice_equal(context->container, scope->container));
	if (same)
		return 0;
	reply_status(reply, 401);
	(void)request;
	return -1;
}

static void authorize(struct request *request, const struct ticket *ticket)
{
	struct proxy_context *context = proxy_context_of(request);
	struct scope *scope = arena_zalloc(request->arena, sizeof(*scope));
	scope->account = context->account;
	if (!ticket->of_account)
		scope->container = context->container;
	context->co_authorize = co_authorize_scope;
	context->authorize_argument = scope;
	context->authorize_override = true;
	context->user = ".wsgi.tempurl";
}

/* ---- headers ---- */

/* Names, one of them perhaps with a star at its end. */
static bool is_listed(const struct text_list *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++) {
		const char *item = names->items[i];
		size_t length = strlen(item);
		bool starred = length && item[length - 1] == '*';
		if (starred ? strncasecmp(name, item, length - 1) == 0 : strcasecmp(name, item) == 0)
			return true;
	}
	return false;
}

static bool is_incoming_removed(const char *name, void *argument)
{
	const struct settings *settings = argument;
	return is_listed(&settings->tempurl.incoming_remove_headers, name) &&
	       !is_listed(&settings->tempurl.incoming_allow_headers, name);
}

static bool is_outgoing_removed(const char *name, void *argument)
{
	const struct settings *settings = argument;
	return is_listed(&settings->tempurl.outgoing_remove_headers, name) &&
	       !is_listed(&settings->tempurl.outgoing_allow_headers, name);
}

/* A writer must not point at data that he could not read (CVE-2015-5223). */
static bool writes_pointer(const struct request *request, struct reply *reply)
{
	static const char *const names[] = {"X-Object-Manifest", "X-Symlink-Target"};
	for (size_t i = 0; i < 2; i++) {
		if (!headers_get(&request->headers, names[i]))
			continue;
		reply_text(reply, 400, "text/html; charset=UTF-8",
			arena_printf(reply->arena, "The header '%s' is not allowed in this tempurl", names[i]));
		return true;
	}
	return false;
}

static const char *disposition(struct arena *arena, const char *kind, struct slice filename)
{
	struct buf plain = BUF_INIT;
	for (size_t i = 0; i < filename.length; i++) {
		if (filename.data[i] == ' ')
			buf_append_byte(&plain, ' ');
		else
			url_encode_append(&plain, slice_of(filename.data + i, 1), true);
	}
	struct slice encoded = url_encode(arena, filename, true);
	const char *text = arena_printf(arena, "%s; filename=\"%.*s\"; filename*=UTF-8''%.*s", kind, (int)plain.length,
		plain.data ? plain.data : "", SLICE_PRINT(encoded));
	buf_release(&plain);
	return text;
}

/* The last part of the name. */
static struct slice base_name(struct slice name)
{
	while (name.length && name.data[name.length - 1] == '/')
		name.length--;
	for (size_t i = name.length; i > 0; i--)
		if (name.data[i - 1] == '/')
			return slice_of(name.data + i, name.length - i);
	return name;
}

static void set_disposition(
	const struct request *request, const struct ticket *ticket, bool is_inline, struct reply *reply)
{
	const char *stored = headers_get(&reply->headers, "Content-Disposition");
	struct slice filename = ticket->filename ? slice_from(ticket->filename) : SLICE_NONE;
	const char *value;
	if (is_inline)
		value = filename.length ? disposition(reply->arena, "inline", filename) : "inline";
	else if (filename.length)
		value = disposition(reply->arena, "attachment", filename);
	else if (stored)
		value = stored;
	else
		value = disposition(reply->arena, "attachment", base_name(proxy_context_of(request)->object));
	headers_set(&reply->headers, "Content-Disposition", value);
	char date[HTTP_DATE_BYTES];
	http_date_format(ticket->expires_seconds, date);
	headers_set_format(&reply->headers, "Expires", "%s", date);
}

/* What stays of the query: nothing else that a client sends counts for more than the signature says. */
static struct slice clean_query(const struct request *request, const struct ticket *ticket)
{
	struct buf query = BUF_INIT;
	const struct {
		const char *name, *value;
	} kept[] = {{"temp_url_sig", ticket->signature}, {"temp_url_expires", ticket->expires},
		{"temp_url_prefix", ticket->prefix}, {"filename", ticket->filename},
		{"inline", ticket->is_inline ? "" : NULL}};
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (!kept[i].value)
			continue;
		buf_printf(&query, "%s%s=", query.length ? "&" : "", kept[i].name);
		url_encode_append(&query, slice_from(kept[i].value), false);
	}
	struct slice text = arena_slice(request->arena, buf_slice(&query));
	buf_release(&query);
	return text;
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct tempurl *tempurl = filter->context;
	struct ticket ticket;
	bool reads = request->method == METHOD_GET || request->method == METHOD_HEAD;
	if (!take_ticket(request, &ticket)) {
		co_filter_next(filter, request, reply);
		return;
	}
	if (!co_is_valid(tempurl, request, &ticket)) {
		refuse(reply);
		return;
	}
	if (!reads && writes_pointer(request, reply))
		return;
	headers_remove_if(&request->headers, is_incoming_removed, (void *)tempurl->settings);
	authorize(request, &ticket);
	request->query = clean_query(request, &ticket);
	co_filter_next(filter, request, reply);
	headers_remove_if(&reply->headers, is_outgoing_removed, (void *)tempurl->settings);
	if (!reads || reply->status / 100 != 2)
		return;
	bool by_staticweb = headers_get(&reply->headers, "X-Backend-Content-Generator") != NULL;
	bool is_root = proxy_context_of(request)->object.length == 0;
	if (is_root && !by_staticweb) {
		reply_reset(reply);
		refuse(reply);
		return;
	}
	set_disposition(request, &ticket, ticket.is_inline || by_staticweb, reply);
}

static json_t *list_json(const struct text_list *list)
{
	json_t *names = json_array();
	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(names, json_string(list->items[i]));
	return names;
}

struct filter filter_tempurl(struct proxy *proxy, const struct settings *settings)
{
	struct tempurl *tempurl = arena_zalloc(proxy->arena, sizeof(*tempurl));
	*tempurl = (struct tempurl){proxy, settings};
	json_t *section = json_object();
	json_object_set_new(section, "methods", list_json(&settings->tempurl.methods));
	json_object_set_new(section, "incoming_remove_headers", list_json(&settings->tempurl.incoming_remove_headers));
	json_object_set_new(section, "incoming_allow_headers", list_json(&settings->tempurl.incoming_allow_headers));
	json_object_set_new(section, "outgoing_remove_headers", list_json(&settings->tempurl.outgoing_remove_headers));
	json_object_set_new(section, "outgoing_allow_headers", list_json(&settings->tempurl.outgoing_allow_headers));
	signature_announce(section, &settings->tempurl.allowed_digests);
	proxy_announce(proxy, "tempurl", section);
	return (struct filter){.name = "tempurl", .co_handle = co_handle, .context = tempurl};
}
