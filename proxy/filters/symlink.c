#include "proxy/filters/symlink.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/settings.h"
#include "lib/swift/conditional.h"
#include "lib/swift/url.h"
#include "proxy/filters/filters.h"
#include "proxy/inner_request.h"
#include "proxy/listing_document.h"
#include "proxy/proxy_private.h"

/*
 * Objects that stand for another one (swift/common/middleware/symlink.py). Only the reply tells that an object is one: GET
 * and HEAD are asked again at its target; POST is sent there by 307.
 */

struct symlink {
	struct proxy *proxy;
	int64_t symloop_max;
};

static const struct {
	const char *client;
	const char *stored;
} header_names[] = {
	{SYMLINK_TARGET, SYMLINK_STORED_TARGET},
	{SYMLINK_TARGET_ACCOUNT, SYMLINK_STORED_ACCOUNT},
	{SYMLINK_TARGET_ETAG, SYMLINK_STORED_ETAG},
	{SYMLINK_TARGET_BYTES, SYMLINK_STORED_BYTES},
};

/* ---- listings ---- */

/* One "key=value" of the ETag's parameters; values may be quoted. */
struct parameter {
	struct slice key;
	struct slice value;
};

static struct slice trim(struct slice text)
{
	while (text.length && isspace((unsigned char)text.data[0])) {
		text.data++;
		text.length--;
	}
	while (text.length && isspace((unsigned char)text.data[text.length - 1]))
		text.length--;
	return text;
}

/* Takes the next parameter off the text; false at its end. */
static bool next_parameter(struct slice *text, struct parameter *ret_parameter)
{
	while (text->length) {
		const char *end = memchr(text->data, ';', text->length);
		struct slice piece = slice_of(text->data, end ? (size_t)(end - text->data) : text->length);
		size_t used = piece.length + (end ? 1 : 0);
		text->data += used;
		text->length -= used;
		const char *equals = memchr(piece.data, '=', piece.length);
		if (!equals)
			continue;
		size_t key_length = (size_t)(equals - piece.data);
		ret_parameter->key = trim(slice_of(piece.data, key_length));
		ret_parameter->value = normalize_etag(trim(slice_of(equals + 1, piece.length - key_length - 1)));
		return true;
	}
	return false;
}

struct listing_place {
	struct arena *arena;
	const char *version;
	struct slice account; /* percent-encoded */
};

static void set_text(json_t *row, const char *key, struct slice text)
{
	json_object_set_new(row, key, json_stringn(text.data, text.length));
}

/* "etag; symlink_target=…; …" becomes values of their own; what belongs to others stays. */
static void show_target(const struct listing_place *place, json_t *row, struct slice hash)
{
	const char *end = memchr(hash.data, ';', hash.length);
	struct slice account = place->account, target = SLICE_NONE;
	struct parameter parameter;
	struct buf rest = BUF_INIT;
	buf_append(&rest, hash.data, end ? (size_t)(end - hash.data) : hash.length);
	struct slice left = end ? slice_of(end + 1, hash.length - rest.length - 1) : SLICE_NONE;
	while (next_parameter(&left, &parameter)) {
		if (slice_equal(parameter.key, SLICE_LITERAL("symlink_target")))
			target = parameter.value;
		else if (slice_equal(parameter.key, SLICE_LITERAL("symlink_target_account")))
			account = parameter.value;
		else if (slice_equal(parameter.key, SLICE_LITERAL("symlink_target_etag")))
			set_text(row, "symlink_etag", parameter.value);
		else if (slice_equal(parameter.key, SLICE_LITERAL("symlink_target_bytes")))
			json_object_set_new(row, "symlink_bytes",
				json_integer(strtoll(
					arena_strndup(place->arena, parameter.value.data, parameter.value.length), NULL,
					10)));
		else
			buf_printf(&rest, "; %.*s=%.*s", SLICE_PRINT(parameter.key), SLICE_PRINT(parameter.value));
	}
	if (target.length)
		json_object_set_new(row, "symlink_path",
			json_string(arena_printf(place->arena, "/%s/%.*s/%.*s", place->version, SLICE_PRINT(account),
				SLICE_PRINT(target))));
	set_text(row, "hash", buf_slice(&rest));
	buf_release(&rest);
}

static void show_targets(json_t *rows, void *argument)
{
	const struct listing_place *place = argument;
	size_t index;
	json_t *row;
	json_array_foreach(rows, index, row)
	{
		json_t *hash = json_object_get(row, "hash");
		const char *text = json_string_value(hash);
		if (text && strchr(text, ';'))
			show_target(place, row, arena_slice(place->arena, slice_of(text, json_string_length(hash))));
	}
}

static void co_list(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	struct listing_place place = {
		.arena = request->arena,
		.version = context->version,
		.account = url_encode(request->arena, context->account, true),
	};
	co_listing_rewrite(filter, request, reply, "; symlink_target", show_targets, &place);
}

/* ---- following ---- */

/* A GET or HEAD on its way from link to link. */
struct walk {
	const struct filter *filter;
	struct request *original; /* whose rights count at every target */
	int64_t links;            /* followed so far, as symloop_max counts them */
	const char *last_target;  /* path that is asked, percent-encoded; NULL: the client's own */
};

static void reply_conflict(const struct walk *walk, const char *text, struct reply *reply)
{
	reply_reset(reply);
	reply_text(reply, 409, "text/plain", text);
	if (walk->last_target)
		headers_set(&reply->headers, "Content-Location", walk->last_target);
}

/* The request for the target that the reply to `current` names. */
static struct request *next_request(
	struct walk *walk, const struct request *current, const struct reply *reply, const char *target)
{
	struct arena *arena = current->arena;
	const struct proxy_context *context = proxy_context_of(current);
	const char *account = headers_get(&reply->headers, SYMLINK_STORED_ACCOUNT);
	bool reserved = headers_get(&reply->headers, SYMLINK_STORED_RESERVED) != NULL;
	struct slice own = url_encode(arena, context->account, true);
	struct slice names = url_decode(arena, slice_from(target), false);
	const char *slash = memchr(names.data, '/', names.length);
	if (!account)
		account = arena_strndup(arena, own.data, own.length);
	if (!slash)
		return NULL;
	walk->last_target = arena_printf(arena, "/%s/%s/%s", context->version, account, target);
	struct inner_request inner = {
		.method = current->method,
		.account = url_decode(arena, slice_from(account), false),
		.container = slice_of(names.data, (size_t)(slash - names.data)),
		.object = slice_of(slash + 1, names.length - (size_t)(slash - names.data) - 1),
		.source = "SYM",
		.with_headers = true,
		.authorised = reserved,
		.reserved_names = reserved,
	};
	struct request *next = inner_request_new(arena, walk->original, &inner);
	headers_remove(&next->headers, "X-Backend-Storage-Policy-Index");
	return next;
}

/*
 * Asks `request`, and the targets of what turns out to be a link, until one is not. `wanted_etag` (NULL: any) is what a
 * static link has promised. Without `follow_soft` the first one is taken as it is if it is a dynamic link. False: the reply
 * is a refusal.
 */
static bool co_follow(
	struct walk *walk, struct request *request, const char *wanted_etag, bool follow_soft, struct reply *reply)
{
	const struct symlink *symlink = walk->filter->context;
	for (;; follow_soft = true) {
		co_filter_next(walk->filter, request, reply);
		const char *target = headers_get(&reply->headers, SYMLINK_STORED_TARGET);
		const char *target_etag = headers_get(&reply->headers, SYMLINK_STORED_ETAG);
		const char *etag = headers_get(&reply->headers, "Etag");
		bool is_link = target && (target_etag || follow_soft);
		const char *found = is_link && target_etag ? target_etag : etag;
		bool differs = wanted_etag && found && strcmp(wanted_etag, found) != 0;
		if (differs) {
			reply_conflict(walk,
				is_link ? "X-Symlink-Target-Etag headers do not match"
					: arena_printf(reply->arena,
						  "Object Etag '%s' does not match X-Symlink-Target-Etag header '%s'",
						  found, wanted_etag),
				reply);
			return false;
		}
		if (!is_link)
			break;
		if (walk->links >= symlink->symloop_max) {
			walk->last_target = NULL;
			reply_conflict(walk,
				arena_printf(reply->arena, "Too many levels of symbolic links, maximum allowed is %lld",
					(long long)symlink->symloop_max),
				reply);
			return false;
		}
		if (!config_true_value(headers_get(&reply->headers, SYMLINK_STORED_EXTEND)))
			walk->links++;
		struct request *next = next_request(walk, request, reply, target);
		reply_reset(reply);
		if (!next) {
			reply_status(reply, 500);
			return false;
		}
		request = next;
		wanted_etag = target_etag;
	}
	if (walk->last_target)
		headers_set(&reply->headers, "Content-Location", walk->last_target);
	return true;
}

static void co_get(const struct filter *filter, struct request *request, struct reply *reply)
{
	static const char ignore[] = "X-Backend-Ignore-Range-If-Metadata-Present";
	const char *others = headers_get(&request->headers, ignore);
	headers_set_format(
		&request->headers, ignore, "%s%s%s", others ? others : "", others ? "," : "", SYMLINK_STORED_TARGET);
	struct walk walk = {.filter = filter, .original = request};
	(void)co_follow(&walk, request, NULL, true, reply);
}

/* symlink=get: the link itself, with its target. */
static void co_get_link(const struct filter *filter, struct request *request, struct reply *reply)
{
	co_filter_next(filter, request, reply);
	for (size_t i = 0; i < sizeof(header_names) / sizeof(header_names[0]); i++) {
		const char *value = headers_get(&reply->headers, header_names[i].stored);
		if (!value)
			continue;
		headers_set(&reply->headers, header_names[i].client, value);
		headers_remove(&reply->headers, header_names[i].stored);
	}
}

/* ---- making one ---- */

struct target {
	struct slice account;
	struct slice container;
	struct slice object;
	const char *etag; /* of a static link, bare; NULL */
};

static bool refuse(struct reply *reply, int status, const char *text)
{
	reply_text(reply, status, "text/plain", text);
	return false;
}

static bool take_names(struct request *request, struct target *target, struct reply *reply)
{
	static const char wrong[] = "X-Symlink-Target header must be of the form <container name>/<object name>";
	struct slice names =
		url_decode(request->arena, slice_from(headers_get(&request->headers, SYMLINK_TARGET)), false);
	const char *slash = names.length ? memchr(names.data, '/', names.length) : NULL;
	if (!slash || slash == names.data)
		return refuse(reply, 412, wrong);
	target->container = slice_of(names.data, (size_t)(slash - names.data));
	target->object = slice_of(slash + 1, names.length - target->container.length - 1);
	if (target->object.length == 0)
		return refuse(reply, 412, wrong);
	headers_set_format(
		&request->headers, SYMLINK_TARGET, "%.*s", SLICE_PRINT(url_encode(request->arena, names, true)));
	return true;
}

static bool take_account(struct request *request, struct target *target, struct reply *reply)
{
	const char *account = headers_get(&request->headers, SYMLINK_TARGET_ACCOUNT);
	target->account = proxy_context_of(request)->account;
	if (!account)
		return true;
	struct slice name = url_decode(request->arena, slice_from(account), false);
	const char *wrong = NULL;
	if (name.length == 0)
		wrong = "Account name cannot be empty";
	else if (memchr(name.data, '/', name.length))
		wrong = "Account name cannot contain slashes";
	if (wrong) {
		reply_text(reply, 412, "text/html; charset=UTF-8", wrong);
		return false;
	}
	target->account = name;
	headers_set_format(
		&request->headers, SYMLINK_TARGET_ACCOUNT, "%.*s", SLICE_PRINT(url_encode(request->arena, name, true)));
	return true;
}

static bool take_etag(struct request *request, struct target *target, struct reply *reply)
{
	const char *header = headers_get(&request->headers, SYMLINK_TARGET_ETAG);
	struct slice etag = header ? normalize_etag(slice_from(header)) : SLICE_NONE;
	if (etag.length == 0)
		return true;
	target->etag = arena_strndup(request->arena, etag.data, etag.length);
	if (strpbrk(target->etag, ";\"\\"))
		return refuse(reply, 400, "Bad X-Symlink-Target-Etag format");
	return true;
}

/* False: the reply says what is wrong with the headers. */
static bool take_target(struct request *request, struct target *target, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	if (!take_names(request, target, reply) || !take_account(request, target, reply))
		return false;
	if (slice_equal(target->account, context->account) && slice_equal(target->container, context->container) &&
		slice_equal(target->object, context->object))
		return refuse(reply, 400, "Symlink cannot target itself");
	if (!take_etag(request, target, reply))
		return false;
	const char *type = headers_get(&request->headers, "Content-Type");
	if (!target->etag && (!type || !*type))
		headers_set(&request->headers, "Content-Type", "application/symlink");
	return true;
}

/* What a listing says of the target, if it is a large object, the link's listing says, too. */
static void carry_listing_etag(struct request *request, const struct reply *target)
{
	if (headers_get(&request->headers, LISTING_ETAG_HEADER))
		return;
	const char *listed = headers_get(&target->headers, LISTING_ETAG_HEADER);
	const char *slo_etag = headers_get(&target->headers, "X-Object-Sysmeta-Slo-Etag");
	if (listed)
		headers_set_format(&request->headers, LISTING_ETAG_HEADER, "%s%s", MD5_OF_NOTHING,
			strchr(listed, ';') ? strchr(listed, ';') : "");
	else if (slo_etag)
		headers_set_format(&request->headers, LISTING_ETAG_HEADER, "%s; slo_etag=%s", MD5_OF_NOTHING, slo_etag);
}

/* A static link: the target must be there and have the ETag. False: the reply is the refusal. */
static bool co_check_target(
	const struct filter *filter, struct request *request, const struct target *target, struct reply *reply)
{
	struct inner_request inner = {
		.method = METHOD_HEAD,
		.account = target->account,
		.container = target->container,
		.object = target->object,
		.source = "SYM",
	};
	struct request *head = inner_request_new(request->arena, request, &inner);
	const char *referrer = headers_get(&request->headers, "Referer");
	if (referrer)
		headers_set(&head->headers, "Referer", referrer);
	struct walk walk = {
		.filter = filter,
		.original = head,
		.last_target = arena_strndup(request->arena, head->path.data, head->path.length),
	};
	if (!co_follow(&walk, head, target->etag, false, reply))
		return false;
	if (reply->status == 404) {
		reply_conflict(&walk, "X-Symlink-Target does not exist", reply);
		return false;
	}
	if (reply->status / 100 != 2) {
		int status = reply->status;
		reply_reset(reply);
		reply_status(reply, status);
		return false;
	}
	carry_listing_etag(request, reply);
	const char *bytes = headers_get(&reply->headers, "X-Object-Sysmeta-Slo-Size");
	const char *type = headers_get(&request->headers, "Content-Type");
	if (!bytes)
		bytes = headers_get(&reply->headers, "Content-Length");
	headers_set(&request->headers, SYMLINK_STORED_BYTES, bytes ? bytes : "0");
	headers_set(&request->headers, SYMLINK_STORED_ETAG, target->etag);
	if (!type || !*type)
		headers_set(&request->headers, "Content-Type", headers_get(&reply->headers, "Content-Type"));
	reply_reset(reply);
	return true;
}

static bool co_has_body(struct request *request)
{
	struct chunk chunk;
	if (!request->chunked)
		return request->content_length > 0;
	if (co_body_next(request->body, &chunk) || chunk.length == 0)
		return false;
	chunk_release(&chunk);
	return true;
}

static void set_listing_etag(struct request *request)
{
	static const struct {
		const char *stored, *name;
	} parameters[] = {
		{SYMLINK_STORED_TARGET, "symlink_target"},
		{SYMLINK_STORED_ACCOUNT, "symlink_target_account"},
		{SYMLINK_STORED_ETAG, "symlink_target_etag"},
		{SYMLINK_STORED_BYTES, "symlink_target_bytes"},
	};
	const char *own = headers_get(&request->headers, LISTING_ETAG_HEADER);
	struct buf etag = BUF_INIT;
	buf_append_text(&etag, own ? own : MD5_OF_NOTHING);
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		const char *value = headers_get(&request->headers, parameters[i].stored);
		if (value)
			buf_printf(&etag, "; %s=%s", parameters[i].name, value);
	}
	headers_set_format(&request->headers, LISTING_ETAG_HEADER, "%s", etag.data);
	buf_release(&etag);
}

static void co_put(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct target target = {.etag = NULL};
	if (!proxy_context_of(request)->allow_reserved_names)
		headers_remove_if(&request->headers, symlink_header_is_grant, NULL);
	if (co_has_body(request)) {
		(void)refuse(reply, 400, "Symlink requests require a zero byte body");
		return;
	}
	if (!take_target(request, &target, reply))
		return;
	if (target.etag && !co_check_target(filter, request, &target, reply))
		return;
	for (size_t i = 0; i < 2; i++) {
		const char *value = headers_get(&request->headers, header_names[i].client);
		if (!value)
			continue;
		headers_set(&request->headers, header_names[i].stored, value);
		headers_remove(&request->headers, header_names[i].client);
	}
	set_listing_etag(request);
	co_filter_next(filter, request, reply);
}

/* ---- POST ---- */

static bool is_no_sysmeta(const char *name, void *argument)
{
	(void)argument;
	return !header_has_prefix(name, "X-Object-Sysmeta-");
}

/* What the servers answer tells whether it was a link; it has taken the metadata then, and the client is told. */
static void co_post(const struct filter *filter, struct request *request, struct reply *reply)
{
	if (headers_get(&request->headers, SYMLINK_TARGET)) {
		(void)refuse(reply, 400, "A PUT request is required to set a symlink target");
		return;
	}
	co_filter_next(filter, request, reply);
	const char *target = headers_get(&reply->headers, SYMLINK_STORED_TARGET);
	if (reply->status / 100 != 2 || !target)
		return;
	const struct proxy_context *context = proxy_context_of(request);
	const char *account = headers_get(&reply->headers, SYMLINK_STORED_ACCOUNT);
	const char *etag = headers_get(&reply->headers, SYMLINK_STORED_ETAG);
	struct slice own = url_encode(request->arena, context->account, true);
	headers_remove_if(&reply->headers, is_no_sysmeta, NULL);
	reply_text(reply, 307, "text/html; charset=UTF-8",
		"The requested POST was applied to a symlink. POST directly to the target to apply requested "
		"metadata.");
	if (account)
		own = slice_from(account);
	headers_set_format(&reply->headers, "Location", "/%s/%.*s/%s", context->version, SLICE_PRINT(own), target);
	if (etag)
		headers_set(&reply->headers, SYMLINK_TARGET_ETAG, etag);
}

/* ---- the filter ---- */

static bool wants_link(struct request *request)
{
	struct query query;
	struct slice mode;
	return request->query.length && query_parse(request->arena, request->query, &query) == 0 &&
	       query_get(&query, "symlink", &mode) && slice_equal(mode, SLICE_LITERAL("get"));
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	bool reads = request->method == METHOD_GET || request->method == METHOD_HEAD;
	if (!context->version || !context->container.data) {
		co_filter_next(filter, request, reply);
		return;
	}
	if (!context->object.data) {
		if (request->method == METHOD_GET)
			co_list(filter, request, reply);
		else
			co_filter_next(filter, request, reply);
		return;
	}
	if (reads && wants_link(request))
		co_get_link(filter, request, reply);
	else if (reads)
		co_get(filter, request, reply);
	else if (request->method == METHOD_PUT && headers_get(&request->headers, SYMLINK_TARGET))
		co_put(filter, request, reply);
	else if (request->method == METHOD_POST)
		co_post(filter, request, reply);
	else
		co_filter_next(filter, request, reply);
}

struct filter filter_symlink(struct proxy *proxy, const struct settings *settings)
{
	struct symlink *symlink = arena_zalloc(proxy->arena, sizeof(*symlink));
	*symlink = (struct symlink){proxy, settings->symlink.symloop_max};
	proxy_announce(proxy, "symlink",
		json_pack("{s:I, s:b}", "symloop_max", (json_int_t)symlink->symloop_max, "static_links", true));
	return (struct filter){.name = "symlink", .co_handle = co_handle, .context = symlink};
}
