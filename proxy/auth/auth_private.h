/* What the files of the auth filter share. */
#ifndef PROXY_AUTH_AUTH_PRIVATE_H
#define PROXY_AUTH_AUTH_PRIVATE_H

#include <stdatomic.h>

#include "lib/base/settings.h"
#include "proxy/auth/auth.h"
#include "proxy/auth/token.h"
#include "proxy/auth/users.h"

/* Keys that were replaced: a request of another thread may still be looking at them, so they stay
 * until the end. A reload that finds the same keys adds none. */
struct retired_keys {
	struct token_keys *keys;
	struct retired_keys *next;
};

struct auth {
	const struct settings *settings;
	struct users *users;
	_Atomic(struct token_keys *) keys; /* in use; never NULL */
	struct retired_keys *retired;
	co_account_acl_function *co_account_acl;
};

/* The first prefix: that of tokens. */
static inline const char *auth_token_prefix(const struct auth *auth)
{
	return auth->settings->auth.resellers[0].prefix;
}

/* Whether the decoded path is one of those where tokens are given. */
bool login_wants(const struct auth *auth, struct slice path);

/* Answers such a request; `path` is decoded. */
void login_handle(const struct auth *auth, const struct request *request, struct slice path, struct reply *reply);

/* 401 with WWW-Authenticate for the realm, which is quoted. */
void reply_unauthorized(struct reply *reply, struct slice realm);

/* The co_authorize_function of requests that we judge, and of those that nobody here may judge. The
 * context's authorize_argument is the struct auth. */
int co_auth_judge(struct request *request, struct proxy_context *context, struct reply *reply);
int co_auth_deny(struct request *request, struct proxy_context *context, struct reply *reply);

#endif
