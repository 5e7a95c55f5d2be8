/*
 * Who may do what: the decision of tempauth's authorize(), free of I/O. The order of its rules:
 *
 *	an account with none of our prefixes           nobody
 *	.reseller_admin                                everything, as owner
 *	.reseller_reader                               GET and HEAD
 *	admin of the account (with its require_group)  everything but PUT and DELETE of the account,
 * as owner OPTIONS                                        everybody referrers of the container's ACL
 * objects; listings with .rlistings groups of the container's ACL                  what the ACL is
 * for the account's ACL: admin                       everything, as owner read-write all but writing
 * to the account read-only                   GET and HEAD
 *
 * Reseller admins and readers have no rights on accounts that begin with "." behind the prefix.
 */
#ifndef PROXY_AUTH_AUTHORIZE_H
#define PROXY_AUTH_AUTHORIZE_H

#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/slice.h"
#include "lib/http/message.h"
#include "lib/swift/acl.h"

struct settings;
struct reseller_settings;

struct authorize_question {
	enum method method;
	struct slice account; /* .data == NULL when the path has none */
	struct slice container;
	struct slice object;
	const char *const *groups; /* of who asks, NULL-terminated; NULL: anonymous */
	const char *referrer;      /* the Referer header, or NULL */
	const char *container_acl; /* or NULL */
};

enum authorize_answer {
	AUTHORIZE_DENIED,
	AUTHORIZE_ALLOWED,
	AUTHORIZE_OWNER, /* allowed, and sees and sets what is the owner's only */
};

/* The prefix that the account has, the empty one last; NULL when there is none. */
const struct reseller_settings *authorize_reseller_of(const struct settings *settings, struct slice account);

/* All rules but the account's ACL. The arena is for what is needed on the way. */
enum authorize_answer authorize_by_groups(
	const struct settings *settings, struct arena *arena, const struct authorize_question *question);

/* The account's ACL, to be asked when the other rules have denied. */
enum authorize_answer authorize_by_account_acl(
	const struct account_acl *acl, const struct authorize_question *question);

/* Whether the list has the group. NULL has none. */
bool authorize_has_group(const char *const *groups, const char *group);

#endif
