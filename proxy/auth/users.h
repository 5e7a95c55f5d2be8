/*
 * The users of the configuration, ready for use: found by name, with the groups that tempauth gives
 * them. Immutable; any thread.
 */
#ifndef PROXY_AUTH_USERS_H
#define PROXY_AUTH_USERS_H

#include <stdbool.h>

#include "lib/base/slice.h"

struct settings;
struct users;

struct user {
	const char *name;    /* "account:user" */
	const char *account; /* "account" */
	/* NULL-terminated: account, account:user, the groups as configured; ".admin" has become the
	 * account's ids
	 * ("AUTH_account", …). */
	const char *const *groups;
	const char *storage_url; /* maybe with "$HOST" in it */
};

/* The settings must live as long as the table. */
struct users *users_new(const struct settings *settings);
/* NULL is accepted. */
void users_free(struct users *users);

/* NULL when there is no such user. */
const struct user *users_find(const struct users *users, struct slice name);

/*
 * The user, when the key is theirs, otherwise NULL. The time it takes does not tell whether the
 * user is there or how much of the key was right.
 */
const struct user *users_check_key(const struct users *users, struct slice name, const char *key);

#endif
