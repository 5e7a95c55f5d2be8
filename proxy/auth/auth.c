#include "proxy/auth/auth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/swift/url.h"
#include "proxy/auth/auth_private.h"
#include "proxy/auth/authorize.h"

/* ---- life ---- */

int auth_new(const struct settings *settings, co_account_acl_function *co_account_acl, struct auth **ret_auth,
	char **ret_error)
{
	struct token_keys *keys = NULL;
	const char *path = settings->auth.token_keys;
	int error = *path ? token_keys_load(path, &keys, ret_error) : 0;
	if (error)
		return error;
	struct auth *auth = xcalloc(1, sizeof(*auth));
	auth->settings = settings;
	auth->users = users_new(settings);
	auth->co_account_acl = co_account_acl;
	atomic_init(&auth->keys, keys ? keys : token_keys_random());
	*ret_auth = auth;
	return 0;
}

void auth_free(struct auth *auth)
{
	if (!auth)
		return;
	while (auth->retired) {
		struct retired_keys *next = auth->retired->next;
		token_keys_free(auth->retired->keys);
		free(auth->retired);
		auth->retired = next;
	}
	token_keys_free(auth->keys);
	users_free(auth->users);
	free(auth);
}

int auth_reload(struct auth *auth, char **ret_error)
{
	struct token_keys *keys;
	const char *path = auth->settings->auth.token_keys;
	if (!*path)
		return 0;
	int error = token_keys_load(path, &keys, ret_error);
	if (error)
		return error;
	if (token_keys_equal(keys, auth->keys)) {
		token_keys_free(keys);
		return 0;
	}
	struct retired_keys *retired = xmalloc(sizeof(*retired));
	retired->keys = atomic_exchange(&auth->keys, keys);
	retired->next = auth->retired;
	auth->retired = retired;
	return 0;
}

/* ---- who asks ---- */

/* The groups of the token's user; NULL when the token is no good or the user is gone. */
static const char *const *groups_of(const struct auth *auth, const struct request *request, const char *token)
{
	struct slice name;
	int error =
		token_verify(auth->keys, request->arena, auth_token_prefix(auth), token, (int64_t)time(NULL), &name);
	if (error)
		return NULL;
	const struct user *user = users_find(auth->users, name);
	return user ? user->groups : NULL;
}

static size_t count_groups(const char *const *groups)
{
	size_t count = 0;
	while (groups[count])
		count++;
	return count;
}

/* One list after the other. */
static const char *const *join_groups(struct arena *arena, const char *const *first, const char *const *second)
{
	size_t first_count = count_groups(first), second_count = count_groups(second);
	const char **groups = arena_zalloc(arena, (first_count + second_count + 1) * sizeof(*groups));
	memcpy(groups, first, first_count * sizeof(*groups));
	memcpy(groups + first_count, second, second_count * sizeof(*groups));
	return groups;
}

static void set_authorize(
	const struct auth *auth, struct proxy_context *context, co_authorize_function *co_authorize_request)
{
	context->co_authorize = co_authorize_request;
	context->authorize_argument = (void *)auth;
}

/* A good token: the context learns who it is. As in tempauth, the groups of the service token are
 * added to the user's, and one without a good user's token counts for nothing. */
static void accept_user(
	const struct auth *auth, struct request *request, struct proxy_context *context, const char *const *groups)
{
	const char *service_token = headers_get(&request->headers, "X-Service-Token");
	context->user = groups[1];
	context->groups = groups;
	if (service_token && *service_token)
		context->service_groups = groups_of(auth, request, service_token);
	if (context->service_groups)
		context->groups = join_groups(request->arena, groups, context->service_groups);
	if (authorize_has_group(context->groups, ".reseller_admin"))
		context->reseller_request = true;
	if (log_wants(LOG_LEVEL_DEBUG))
		log_write(LOG_LEVEL_DEBUG, request->transaction_id, "user %s", context->user);
	set_authorize(auth, context, co_auth_judge);
}

/* A token with our prefix that is no good. True: the reply is the answer. With the empty prefix it
 * may be the token of somebody else, so nobody is denied here. */
static bool refuse_token(const struct auth *auth, struct proxy_context *context, struct reply *reply)
{
	if (*auth_token_prefix(auth)) {
		reply_unauthorized(reply, context->account.length ? context->account : SLICE_LITERAL("unknown"));
		return true;
	}
	if (!context->co_authorize)
		set_authorize(auth, context, co_auth_deny);
	return false;
}

/* Accounts with a prefix of ours are ours to judge; others only when nobody else has said that they
 * are theirs. */
static void accept_anonymous(const struct auth *auth, struct proxy_context *context)
{
	const struct reseller_settings *reseller = authorize_reseller_of(auth->settings, context->account);
	co_authorize_function *otherwise = *auth_token_prefix(auth) ? co_auth_deny : co_auth_judge;
	if (reseller && *reseller->prefix)
		set_authorize(auth, context, co_auth_judge);
	else if (!context->co_authorize)
		set_authorize(auth, context, otherwise);
}

static void co_filter_auth_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const struct auth *auth = filter->context;
	struct proxy_context *context = proxy_context_of(request);
	if (auth->settings->auth.allow_overrides && context->authorize_override) {
		co_filter_next(filter, request, reply);
		return;
	}
	struct slice path = url_decode(request->arena, request->path, false);
	if (login_wants(auth, path)) {
		login_handle(auth, request, path, reply);
		return;
	}
	const char *token = headers_get(&request->headers, "X-Auth-Token");
	if (!token)
		token = headers_get(&request->headers, "X-Storage-Token");
	const char *prefix = auth_token_prefix(auth);
	if (token && *token && strncmp(token, prefix, strlen(prefix)) == 0) {
		const char *const *groups = groups_of(auth, request, token);
		if (groups)
			accept_user(auth, request, context, groups);
		else if (refuse_token(auth, context, reply))
			return;
	} else {
		accept_anonymous(auth, context);
	}
	co_filter_next(filter, request, reply);
}

struct filter filter_auth(struct auth *auth)
{
	return (struct filter){.name = "auth", .co_handle = co_filter_auth_handle, .context = auth};
}

/* ---- may they ---- */

/* tempauth's extract_acl_and_report_errors(): a good X-Account-Access-Control takes its internal
 * name. */
static int take_account_acl(struct request *request, struct reply *reply)
{
	const char *text = headers_get(&request->headers, "X-Account-Access-Control");
	if (!text)
		return 0;
	struct account_acl acl;
	const char *error;
	if (account_acl_parse(request->arena, slice_from(text), &acl, &error)) {
		const char *message =
			arena_printf(reply->arena, "X-Account-Access-Control invalid: %s\n\nInput: %s\n", error, text);
		reply_text(reply, 400, "text/plain; charset=UTF-8", message);
		return -EINVAL;
	}
	headers_set(&request->headers, "X-Account-Sysmeta-Core-Access-Control", text);
	(void)headers_remove(&request->headers, "X-Account-Access-Control");
	return 0;
}

static enum authorize_answer co_ask_account_acl(const struct auth *auth, struct request *request,
	struct proxy_context *context, const struct authorize_question *question)
{
	char *json = NULL;
	if (!auth->co_account_acl || auth->co_account_acl(request, context, &json) || !json)
		return AUTHORIZE_DENIED;
	struct account_acl acl;
	const char *error;
	if (account_acl_parse(request->arena, slice_from(json), &acl, &error)) {
		log_write(LOG_LEVEL_WARNING, request->transaction_id, "the ACL stored with account %.*s is invalid: %s",
			SLICE_PRINT(context->account), error);
		return AUTHORIZE_DENIED;
	}
	return authorize_by_account_acl(&acl, question);
}

int co_auth_deny(struct request *request, struct proxy_context *context, struct reply *reply)
{
	(void)request;
	if (context->groups)
		reply_status(reply, 403);
	else
		reply_unauthorized(reply, context->account.length ? context->account : SLICE_LITERAL("unknown"));
	return -EACCES;
}

int co_auth_judge(struct request *request, struct proxy_context *context, struct reply *reply)
{
	const struct auth *auth = context->authorize_argument;
	if (!authorize_reseller_of(auth->settings, context->account))
		return co_auth_deny(request, context, reply);
	if (take_account_acl(request, reply))
		return -EINVAL;
	struct authorize_question question = {
		.method = request->method,
		.account = context->account,
		.container = context->container,
		.object = context->object,
		.groups = context->groups,
		.referrer = headers_get(&request->headers, "Referer"),
		.container_acl = context->acl,
	};
	enum authorize_answer answer = authorize_by_groups(auth->settings, request->arena, &question);
	if (answer == AUTHORIZE_DENIED && context->groups)
		answer = co_ask_account_acl(auth, request, context, &question);
	if (answer == AUTHORIZE_DENIED)
		return co_auth_deny(request, context, reply);
	if (answer == AUTHORIZE_OWNER)
		context->swift_owner = true;
	return 0;
}
