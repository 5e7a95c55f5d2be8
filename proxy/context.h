/*
 * What the proxy knows about one request, shared by the filters and controllers (Swift's WSGI
 * environment). Reached by request->context; made by catch_errors, lives in the request's arena.
 */
#ifndef PROXY_CONTEXT_H
#define PROXY_CONTEXT_H

#include <stdbool.h>

#include "lib/http/message.h"
#include "lib/swift/timestamp.h"

struct proxy;
struct proxy_context;
struct info;

/*
 * Set by the auth filter, called by the controllers (twice where the ACL is known only later). 0:
 * go on. Otherwise the reply is filled in (401 or 403). May be called in a coroutine only.
 */
typedef int co_authorize_function(struct request *request, struct proxy_context *context, struct reply *reply);

struct proxy_context {
	struct proxy *proxy;
	/* the path, decoded: /version/account/container/object. A part that is missing has .data ==
	 * NULL. */
	const char *version;
	struct slice account;
	struct slice container;
	struct slice object;
	struct timestamp timestamp; /* X-Timestamp of this request */

	/* who asks */
	const char *user;                    /* "account:user" for the log, NULL when anonymous */
	const char *const *groups;           /* NULL-terminated; NULL when anonymous. Swift's list:
						"test:tester", "test", … */
	const char *const *service_groups;   /* of X-Service-Token, or NULL */
	co_authorize_function *co_authorize; /* NULL: everybody may */
	void *authorize_argument;
	bool authorize_override; /* an inner request of a filter that has checked already */
	const char *over_quota;  /* an upload that is refused with 413 and this text, once it is known to be allowed */
	bool content_type_overridden; /* a filter has put swift_bytes behind the content type */
	bool slo_override;            /* a filter further left wants manifests as they are stored */
	bool delay_denial;            /* the controller will call again with the ACL */

	/* what the request is judged by, set by the controllers */
	const char *acl;       /* container read or write ACL, or NULL */
	bool swift_owner;      /* set by authorize: may see and set owner headers */
	bool reseller_request; /* may manage accounts: PUT and DELETE of accounts, quotas */

	bool allow_reserved_names;
	/* what co_account_info() and co_container_info() answered last: several filters ask for the same */
	const struct info *known_account;
	const struct info *known_container;
	uint64_t known_at;       /* info.c's count of writes then */
	bool listing_answered;   /* not by the server, and in a form of its own (static web) */
	const char *source;      /* tag of the filter that made this inner request, for the log; NULL for
			       clients */
	const char *client_path; /* what the client asked for, with query, for the log and Referer */
};

static inline struct proxy_context *proxy_context_of(const struct request *request)
{
	return request->context;
}

#endif
