/*
 * The built-in auth (v1), Swift's tempauth with signed tokens: answers GET <auth_prefix>v1.0 with a
 * token, says of every other request who sends it (context->user, groups), and leaves
 * context->co_authorize to judge it when the controllers know the ACL.
 *
 * One struct auth serves all loops. Differences from tempauth, on purpose: tokens are stateless, so
 * each login gives a new one; realms are quoted.
 * Container sync keys are not looked at here.
 */
#ifndef PROXY_AUTH_AUTH_H
#define PROXY_AUTH_AUTH_H

#include "proxy/context.h"
#include "proxy/filter.h"

struct auth;
struct settings;

/*
 * Gives the account ACL of context->account: the value of its X-Account-Sysmeta-Core-Access-Control
 * in *ret_json, in the request's arena, or NULL when it has none. 0, or -errno when the account
 * could not be asked.
 */
typedef int co_account_acl_function(struct request *request, struct proxy_context *context, char **ret_json);

/*
 * The settings must live as long as the auth. `co_account_acl` may be NULL: no account has an ACL
 * then. 0; or a negative errno with a malloc'ed line in *ret_error when the token keys cannot be
 * read.
 */
int auth_new(const struct settings *settings, co_account_acl_function *co_account_acl, struct auth **ret_auth,
	char **ret_error);

/* Nobody may use the auth or its filters any more. NULL is accepted. */
void auth_free(struct auth *auth);

/*
 * Reads the token keys again (SIGHUP). When that fails, the old ones stay in use: negative errno,
 * with a malloc'ed line in *ret_error. One thread at a time; requests go on meanwhile.
 */
int auth_reload(struct auth *auth, char **ret_error);

/* The filter, for proxy_add_filter(). */
struct filter filter_auth(struct auth *auth);

#endif
