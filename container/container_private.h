/*
 * What the files of the container server share.
 */
#ifndef CONTAINER_CONTAINER_PRIVATE_H
#define CONTAINER_CONTAINER_PRIVATE_H

#include <stdatomic.h>

#include "container/container_server.h"
#include "lib/co/co.h"

enum { SUPPRESSED_ACCOUNTS_MAX = 256 };

/* An account whose servers could not be told; a slot is found by the account's hash and may be
 * taken over by another account, which costs an attempt too many and no more. */
struct suppressed_account {
	unsigned char hash[HASH_PATH_BYTES];
	uint64_t until_ms; /* loop_now_ms(); 0: the slot is free */
};

struct container_server {
	struct container_server_options options;
	char user_agent[40];         /* of account updates after a request */
	char updater_user_agent[40]; /* of the updater's */
	atomic_bool refused_logged;  /* an address in X-Account-Host was refused before */
	atomic_bool changed;         /* there may be entries that the updater has not seen */

	/* the updater's own */
	struct suppressed_account suppressed[SUPPRESSED_ACCOUNTS_MAX];
	struct co_signal wake;
	bool stopping;
};

/* A request on its way through the handlers. */
struct container_call {
	struct container_server *server;
	struct request *request;
	struct reply *reply;
	struct server_path path;
	struct timestamp timestamp;          /* writes: X-Timestamp */
	struct device_entry *entry;          /* entered */
	unsigned char hash[HASH_PATH_BYTES]; /* of the container */
};

/* Each fills in the reply. Reads are called before the device is entered, as their parameters are
 * judged first. */
void co_container_get(struct container_call *call);
void co_container_head(struct container_call *call);
/* container_rows.c; called with the device entered. */
void co_container_row_put(struct container_call *call);
void co_container_row_delete(struct container_call *call);
void co_container_rows_update(struct container_call *call);

/* Enters the call's device and computes its hash; the caller leaves it. 0, or the reply is filled
 * in. */
int container_call_enter(struct container_call *call, bool needs_space);
/* 404 with the times of the database, or zeros when `info` is NULL. */
void container_reply_missing(struct container_call *call, const struct listing_info *info);
/* X-Backend-Storage-Policy-Index: -1 when missing; 400 when unknown (then -EINVAL). */
int container_call_policy(struct container_call *call, int *ret_policy);
/* Commits a change and tells the updater. 0, -E2BIG, or the reply is filled in (other errors). */
int co_container_commit(struct container_call *call, device_change_fn *change, void *argument, const char *doing);

/* ---- changes that promise an account update: container_changes.c ---- */

/* device_change_fn's; the argument is a struct listing_change. */
int container_change_put(struct device_txn *txn, void *change);
int container_change_post(struct device_txn *txn, void *change);
int container_change_delete(struct device_txn *txn, void *change);

struct container_rows {
	struct listing_object_row *rows; /* all of one container */
	size_t count;
	bool missing; /* result: there is no such container, nothing was written */
	int error;    /* result: of the row that was refused; those before it are committed, as no row
	              needs another */
};
int container_change_rows(struct device_txn *txn, void *rows);

/* A promise that was kept: recorded, and forgotten unless the container has changed since. */
struct container_report {
	struct listing_reported reported; /* with the container's hash */
	uint64_t number;                  /* the promise's, as container_promises() gave it */
	bool sent;                        /* false: nothing was sent as nothing needs to be; forget the promise alone */
};
int container_change_reported(struct device_txn *txn, void *report);

struct container_promise {
	unsigned char hash[HASH_PATH_BYTES];
	uint64_t number; /* of the newest change */
};

/*
 * The promises of a device in order of hash, up to `max`, beginning after the hash `after` (NULL:
 * at the first). Blocking. 0 or -EIO.
 */
int container_promises(struct device *device, const unsigned char *after, struct container_promise *ret_promises,
	size_t max, size_t *ret_count);

#endif
