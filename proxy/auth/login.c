/*
 * Where tokens come from: tempauth's handle_get_token().
 *
 *	GET <auth_prefix>v1.0, <auth_prefix>auth      X-Auth-User: account:user    X-Auth-Key: key
 *	    (or X-Storage-User, X-Storage-Pass)
 *	GET <auth_prefix>v1/<account>/auth            X-Storage-User: user         X-Storage-Pass:
 * key (or X-Auth-User: account:user, X-Auth-Key)
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "lib/base/buf.h"
#include "lib/swift/url.h"
#include "proxy/auth/auth_private.h"

bool login_wants(const struct auth *auth, struct slice path)
{
	return slice_starts_with(path, slice_from(auth->settings->auth.auth_prefix));
}

void reply_unauthorized(struct reply *reply, struct slice realm)
{
	struct slice quoted = url_encode(reply->arena, realm, true);
	reply_status(reply, 401);
	headers_set_format(&reply->headers, "Www-Authenticate", "Swift realm=\"%.*s\"", SLICE_PRINT(quoted));
}

/* The first of the two headers that is there and not empty, or NULL. */
static const char *either(const struct request *request, const char *first, const char *second)
{
	const char *value = headers_get(&request->headers, first);
	if (!value || !*value)
		value = headers_get(&request->headers, second);
	return value && *value ? value : NULL;
}

/* Who says they want a token. Parts that are missing are empty. */
struct credentials {
	struct slice account;
	struct slice user;
	const char *key;
};

/* "account:user" at its first colon. */
static bool split_name(const char *name, struct slice *ret_account, struct slice *ret_user)
{
	const char *colon = name ? strchr(name, ':') : NULL;
	if (!colon)
		return false;
	*ret_account = slice_of(name, (size_t)(colon - name));
	*ret_user = slice_from(colon + 1);
	return true;
}

/* The form with the account in the path. */
static void take_v1(const struct request *request, struct slice account, struct credentials *credentials)
{
	const char *user = headers_get(&request->headers, "X-Storage-User");
	credentials->account = account;
	if (user && *user) {
		credentials->user = slice_from(user);
	} else {
		struct slice named, name;
		user = headers_get(&request->headers, "X-Auth-User");
		if (split_name(user, &named, &name) && slice_equal(named, account))
			credentials->user = name;
	}
	credentials->key = either(request, "X-Storage-Pass", "X-Auth-Key");
}

static void take_plain(const struct request *request, struct credentials *credentials)
{
	const char *name = either(request, "X-Auth-User", "X-Storage-User");
	(void)split_name(name, &credentials->account, &credentials->user);
	credentials->key = either(request, "X-Auth-Key", "X-Storage-Pass");
}

/* "http://host:port", or with https, as the client reached us. */
static const char *host_url(const struct auth *auth, const struct request *request)
{
	const char *host = headers_get(&request->headers, "Host");
	if (!host || !*host)
		host = auth->settings->proxy.bind.items[0];
	const char *scheme = request->tls ? "https" : "http";
	struct slice usual_port = request->tls ? SLICE_LITERAL(":443") : SLICE_LITERAL(":80");
	struct slice text = slice_from(host);
	if (slice_ends_with(text, usual_port))
		text.length -= usual_port.length;
	return arena_printf(request->arena, "%s://%.*s", scheme, SLICE_PRINT(text));
}

/* The scheme is changed as tempauth does it, whatever the URL is made of. */
static const char *storage_url(const struct auth *auth, const struct request *request, const struct user *user)
{
	static const char mark[] = "$HOST";
	struct buf url = BUF_INIT;
	const char *rest = user->storage_url;
	for (const char *found; (found = strstr(rest, mark)); rest = found + strlen(mark)) {
		buf_append(&url, rest, (size_t)(found - rest));
		buf_append_text(&url, host_url(auth, request));
	}
	buf_append_text(&url, rest);
	const char *scheme = auth->settings->auth.storage_url_scheme;
	const char *colon = strchr(url.data, ':');
	bool changed = strcmp(scheme, "default") != 0 && colon;
	const char *result = arena_printf(request->arena, "%s%s", changed ? scheme : "", changed ? colon : url.data);
	buf_release(&url);
	return result;
}

static void grant(const struct auth *auth, const struct request *request, const struct user *user, struct reply *reply)
{
	int64_t life = auth->settings->auth.token_life_ms / 1000;
	const char *token = token_make(
		auth->keys, reply->arena, auth_token_prefix(auth), slice_from(user->name), (int64_t)time(NULL) + life);
	reply_text(reply, 200, "text/html; charset=UTF-8", "");
	headers_set(&reply->headers, "X-Auth-Token", token);
	headers_set(&reply->headers, "X-Storage-Token", token);
	headers_set_format(&reply->headers, "X-Auth-Token-Expires", "%" PRId64, life);
	headers_set(&reply->headers, "X-Storage-Url", storage_url(auth, request, user));
}

/* tempauth's realms: the account, but "unknown" when the user is there and the key is wrong. */
static void refuse(
	const struct auth *auth, const struct credentials *credentials, struct slice name, struct reply *reply)
{
	bool wrong_key = credentials->key && users_find(auth->users, name);
	bool unknown = wrong_key || !credentials->account.length;
	reply_unauthorized(reply, unknown ? SLICE_LITERAL("unknown") : credentials->account);
}

static void give_token(const struct auth *auth, const struct request *request, const struct credentials *credentials,
	struct reply *reply)
{
	const struct user *user = NULL;
	struct slice name = SLICE_NONE;
	bool whole = credentials->account.length && credentials->user.length && credentials->key;
	/* a path can bring a NUL, which would cut the name short */
	if (whole && !memchr(credentials->account.data, 0, credentials->account.length)) {
		name = slice_from(arena_printf(request->arena, "%.*s:%.*s", SLICE_PRINT(credentials->account),
			SLICE_PRINT(credentials->user)));
		user = users_check_key(auth->users, name, credentials->key);
	}
	if (user)
		grant(auth, request, user, reply);
	else
		refuse(auth, credentials, name, reply);
}

static bool equals(struct slice text, const char *literal)
{
	return text.data && slice_equal(text, slice_from(literal));
}

void login_handle(const struct auth *auth, const struct request *request, struct slice path, struct reply *reply)
{
	size_t prefix = strlen(auth->settings->auth.auth_prefix) - 1; /* its last "/" stays */
	struct slice rest = slice_of(path.data + prefix, path.length - prefix);
	struct slice segments[4], parts[3];
	if (request->method != METHOD_GET) {
		reply_status(reply, 405);
		headers_set(&reply->headers, "Allow", "GET");
		return;
	}
	if (path_split_decoded(rest, 1, 4, true, segments) || path_split_decoded(rest, 1, 3, true, parts)) {
		reply_status(reply, 404);
		return;
	}
	struct credentials credentials = {.key = NULL};
	if (equals(parts[0], "v1") && equals(parts[2], "auth")) {
		take_v1(request, parts[1], &credentials);
	} else if (equals(parts[0], "auth") || equals(parts[0], "v1.0")) {
		take_plain(request, &credentials);
	} else {
		reply_status(reply, 400);
		return;
	}
	give_token(auth, request, &credentials, reply);
}
