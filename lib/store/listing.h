/*
 * The listing store: the databases of containers (rows are objects) and of accounts (rows are
 * containers), as keys of one column family per kind in the RocksDB of a device. Row merging,
 * counters, statuses and listings are Swift's (swift/container/backend.py,
 * swift/account/backend.py).
 *
 * Keys; H is the 16-byte name hash of the database, so a partition of any power is a key range:
 *
 *	H 'I'                  info: names, times, metadata, policy, id
 *	H 'N'                  numbers: newest sequence, counters per policy, hash of all rows
 *	H 'R' policy(2) name   a live row
 *	H 'T' policy(2) name   a deleted row (apart, so that listings never walk over them)
 *	H 'S' sequence(8)      which row changed then: policy(2) name
 *	H 'Y'/'Z' remote id    incoming / outgoing sync points
 *
 * Account rows use policy 0 in the key (their key is the name alone) and hold their policy in the
 * value.
 *
 * Functions with a `txn` run inside a change of lib/store/device.h; the others read.
 */
#ifndef LIB_STORE_LISTING_H
#define LIB_STORE_LISTING_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/slice.h"
#include "lib/store/device.h"
#include "lib/swift/row_merge.h"
#include "lib/swift/timestamp.h"

enum listing_kind { LISTING_ACCOUNT, LISTING_CONTAINER };

enum { LISTING_POLICIES_MAX = 32 };

struct listing_policy_count {
	uint16_t policy;
	int64_t containers; /* accounts only */
	int64_t objects;
	int64_t bytes;
};

/* One metadata item of a database: Swift's [value, timestamp]. An empty value means "deleted at
 * that time". */
struct listing_meta {
	struct slice name; /* title-cased header name */
	struct slice value;
	struct timestamp time;
};

struct listing_info {
	enum listing_kind kind;
	struct slice account;
	struct slice container; /* empty for accounts */
	struct timestamp created_at;
	struct timestamp put_timestamp;
	struct timestamp delete_timestamp;
	struct timestamp status_changed_at;
	bool account_status_deleted; /* accounts: status column is DELETED */
	uint16_t policy;             /* containers: storage policy index */
	char id[64];                 /* "<uuid4>-<device name>" */
	struct listing_meta *metas;
	size_t meta_count;
	/* what was last confirmed by the account servers (containers) */
	struct timestamp reported_put_timestamp;
	struct timestamp reported_delete_timestamp;
	int64_t reported_object_count;
	int64_t reported_bytes_used;
	/* numbers */
	uint64_t max_row;       /* newest sequence number, 0 when none */
	unsigned char hash[16]; /* Swift's chexor of all rows */
	struct listing_policy_count counts[LISTING_POLICIES_MAX];
	size_t count_count;
};

/* Sums over policies, and the entry of one policy (zeros when there is none). */
struct listing_policy_count listing_total(const struct listing_info *info);
struct listing_policy_count listing_count_of(const struct listing_info *info, uint16_t policy);

/* Swift's is_deleted: containers: delete > put and no objects of their own policy; accounts: status
 * DELETED or delete > put with no containers. */
bool listing_is_deleted(const struct listing_info *info);

/* Reads a database's info. 0; -ENOENT when there is no such database; -EIO. Texts live in the
 * arena. The _cached form answers -EAGAIN instead of touching the disk. */
int listing_read(struct device *device, enum listing_kind kind, const unsigned char hash[16], struct arena *arena,
	struct listing_info *ret_info);
int listing_read_cached(struct device *device, enum listing_kind kind, const unsigned char hash[16],
	struct arena *arena, struct listing_info *ret_info);

/* ---- changes of a database (arguments of device_commit) ---- */

enum listing_outcome {
	LISTING_CREATED,          /* no database or a deleted one before: 201 */
	LISTING_UPDATED,          /* 202, 204; DELETE: was_there decides between 204 and 404 */
	LISTING_MISSING,          /* 404 */
	LISTING_CONFLICT,         /* 409 */
	LISTING_RECENTLY_DELETED, /* accounts: 403 */
};

struct listing_change {
	enum listing_kind kind;
	unsigned char hash[16];
	struct slice account;
	struct slice container;
	struct timestamp timestamp;
	const struct listing_meta *metas; /* to merge: newer wins per name */
	size_t meta_count;
	/* limits of X-Container-Meta-… or X-Account-Meta-… items with a value; 0: none */
	size_t meta_count_max;
	size_t meta_bytes_max; /* names without prefix, and values */
	/* PUT of a container */
	int policy_requested; /* -1: not named by the client */
	uint16_t policy_default;
	bool keep_put_timestamp; /* POST with X-Backend-No-Timestamp-Update; account POST */
	/* results */
	enum listing_outcome outcome;
	uint16_t policy;    /* the database's policy afterwards, or the one in conflict */
	bool was_there;     /* DELETE: existed and was not deleted before (204 rather than 404) */
	bool is_deleted;    /* MISSING: it is there, but deleted (X-Account-Status: Deleted) */
	bool too_much_meta; /* merged metadata exceeds the limits: refused with -E2BIG */
};

/* device_change_fn's; the argument is a struct listing_change. They return 0 (look at outcome) or
 * -EIO, -E2BIG. */
int listing_put(struct device_txn *txn, void *change);
int listing_post(struct device_txn *txn, void *change);
int listing_delete(struct device_txn *txn, void *change);

/* ---- rows ---- */

/* Container row PUT/DELETE: Swift's put_object / delete_object / merge_items of one row. */
struct listing_object_row {
	unsigned char hash[16];
	struct slice account;
	struct slice container;
	struct slice name;
	uint16_t policy;
	struct container_row row;     /* row.deleted for DELETE */
	bool create_missing;          /* auto-create with the time of row.data (accounts in ".") */
	enum listing_outcome outcome; /* MISSING, CREATED (the database was), or UPDATED */
};
/* 0; -EIO; -E2BIG: rows of more than LISTING_POLICIES_MAX policies. */
int listing_put_object_row(struct device_txn *txn, void *row);

/* Account row: Swift's put_container. */
struct listing_container_row {
	unsigned char hash[16];
	struct slice account;
	struct slice name;
	struct timestamp put_timestamp;
	struct timestamp delete_timestamp;
	int64_t object_count;
	int64_t bytes_used;
	uint16_t policy;
	bool override_deleted; /* X-Account-Override-Deleted */
	bool create_missing;
	struct timestamp timestamp;   /* X-Timestamp: put time of a created account; zero: now */
	enum listing_outcome outcome; /* MISSING: also deleted; CREATED (the account was), UPDATED */
};
int listing_put_container_row(struct device_txn *txn, void *row);

/* The account servers confirmed these numbers of a container. -ENOENT when it is gone. */
struct listing_reported {
	unsigned char hash[16];
	struct timestamp put_timestamp;
	struct timestamp delete_timestamp;
	int64_t object_count;
	int64_t bytes_used;
};
int listing_set_reported(struct device_txn *txn, void *reported);

/* ---- listings ---- */

struct listing_query {
	enum listing_kind kind;
	unsigned char hash[16];
	uint16_t policy; /* containers: whose rows; accounts: 0 */
	size_t limit;
	struct slice marker;
	struct slice end_marker;
	struct slice prefix; /* .data NULL when not given */
	struct slice delimiter;
	struct slice path; /* .data NULL when not given; overrides prefix and delimiter */
	bool reverse;
	bool allow_reserved; /* show names that begin with NUL */
};

/* One entry: a subdir has only its name; `container` has its name and the fields of a row. Views,
 * valid during the call-back alone. */
struct listing_entry {
	bool subdir;
	struct slice name;
	struct container_row object;            /* containers */
	struct listing_container_row container; /* accounts */
};

/*
 * Calls `emit` for each entry in order. emit returns 0 to go on, or a value that ends the walk and
 * is returned. 0 at the end; -EIO. Cost is proportional to the entries, not to the rows that a
 * delimiter hides.
 */
typedef int listing_emit_fn(const struct listing_entry *entry, void *argument);
int listing_walk(struct device *device, const struct listing_query *query, listing_emit_fn *emit, void *argument);

/*
 * Calls `emit` for each database of the kind, in the order of hashes: those behind `after`, or all (NULL). The info's texts
 * live in `arena` (which the call-back may use, too); arena and info are of use during the call-back alone. emit returns 0
 * to go on, or a value that ends the walk and is returned. 0 at the end; -EIO. Costs a seek for each database, however
 * many rows it has.
 */
typedef int listing_database_fn(
	const unsigned char hash[16], const struct listing_info *info, struct arena *arena, void *argument);
int listing_databases(struct device *device, enum listing_kind kind, const unsigned char *after,
	listing_database_fn *emit, void *argument);

#endif
