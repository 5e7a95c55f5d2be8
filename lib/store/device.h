/*
 * A device: one directory (one disk) with one RocksDB in it, a tree of body files, a marker file and one committer.
 * Everything here is plain blocking C, free of events, safe from any thread. Coroutines reach it through
 * lib/store/co_device.h. The body files are reached through lib/store/device_files.h.
 *
 *	<path>/swiftlet.device     marker: the device's id; no marker, no writes (an unmounted disk shows the empty
 *	                           directory below its mount point)
 *	<path>/db/                 RocksDB, one column family per enum device_family
 *	<path>/incoming/           body files whose record is not committed yet, or was a moment ago
 *	<path>/bodies/hh/hh/       body files by the first two bytes of the object's hash
 *	<path>/quarantined/        what failed its checks
 *
 * Writes are changes: functions that read and write through a transaction. The committer thread takes every change
 * that waits, applies them one after the other to one batch (so that each sees what the ones before it wrote), syncs
 * the log once, and wakes all: group commit. A change needs no locks, because only the committer writes.
 *
 * A failed sync is final: the device goes to DEVICE_FAILED, every waiting and later change answers -EIO, reads go on
 * as long as they can, and only device_open() on a new struct brings it back.
 */
#ifndef LIB_STORE_DEVICE_H
#define LIB_STORE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/slice.h"

/* Column families. Stored by name ("objects"), so the order here is free to change. */
enum device_family {
	DEVICE_OBJECTS,    /* object records: see object/object_store.h */
	DEVICE_BODIES,     /* small bodies, in blob files so that compaction does not rewrite them */
	DEVICE_CONTAINERS, /* container databases: see lib/store/listing.h */
	DEVICE_ACCOUNTS,   /* account databases */
	DEVICE_TODO,       /* work that was promised with a commit: updates to send, files to remove */
	DEVICE_FAMILY_COUNT,
};

enum device_state {
	DEVICE_USABLE,
	DEVICE_UNMOUNTED, /* no marker, or a marker of another device */
	DEVICE_FAILED,    /* EIO, read-only, or a failed sync */
	DEVICE_FULL,      /* free space below the reserve: new bytes are refused, removals still work */
};

struct device_options {
	const char *path;           /* the directory; it must exist */
	const char *name;           /* the ring's device name, e.g. "sda" */
	uint64_t reserve_bytes;     /* keep at least this much of the file system free; 0 = none */
	double reserve_percent;     /* and at least this share of it (Swift's fallocate_reserve 1 %) */
	bool create;                /* make marker and database when the directory has none of ours */
	struct device_cache *cache; /* shared with other devices; NULL: a small one of its own */
	uint64_t buffer_bytes;      /* memory for what is committed and not in tables yet; 0 = a small default */
};

struct device;

/*
 * What devices keep in memory of what they read: blocks of tables, their indexes and filters, small bodies. Shared by
 * the devices of a process, so that the bound holds for all and a busy device may use what an idle one does not need.
 * The devices hold on to it by themselves: it may be freed once the last of them is open.
 */
struct device_cache;
struct device_cache *device_cache_new(uint64_t bytes);
/* From now on it holds that much; what is too much goes at once. */
void device_cache_resize(struct device_cache *cache, uint64_t bytes);
/* NULL is accepted. */
void device_cache_free(struct device_cache *cache);

/*
 * Opens the device. Returns 0, or -ENODEV (directory or marker missing), -EIO, -EROFS, -EBUSY (open in another
 * process), -EINVAL (not ours); *ret_error then holds a malloc'ed sentence for the operator.
 */
int device_open(const struct device_options *options, struct device **ret_device, char **ret_error);

/* Waits for all changes that were handed in, then closes. NULL is accepted. Nobody may use the device any more. */
void device_close(struct device *device);

const char *device_name(const struct device *device);
const char *device_path(const struct device *device);

/*
 * Looks at the marker (inode and file system) and at the free space; cheap enough for each write request (results are
 * kept for a second).
 */
enum device_state device_state(struct device *device);

/*
 * Whether `bytes` more would leave the reserve alone, looked up now. 0; -ENOSPC; -EROFS; -EIO. Sleeps on no disk.
 */
int device_check_room(struct device *device, uint64_t bytes);

/* Marks the device failed, e.g. after EIO on a body file. Logged once by the caller that gets true. */
bool device_fail(struct device *device);

/* ---- reading ---- */

/*
 * Appends the value of `key` to *value. 0; -ENOENT; -EIO.
 * The _cached form never touches the disk: -EAGAIN says that the answer is not in memory.
 */
int device_get(struct device *device, enum device_family family, struct slice key, struct buf *value);
int device_get_cached(struct device *device, enum device_family family, struct slice key, struct buf *value);

/* A sorted walk over [lower, upper) on a snapshot taken at creation. An empty bound is open. Seek first. */
struct device_iterator;
struct device_iterator *device_iterator_new(
	struct device *device, enum device_family family, struct slice lower, struct slice upper);
void device_iterator_free(struct device_iterator *iterator);
/* Position at the first key >= `key` (seek) or the last key <= `key` (seek_back). True when there is one. */
bool device_iterator_seek(struct device_iterator *iterator, struct slice key);
bool device_iterator_seek_back(struct device_iterator *iterator, struct slice key);
bool device_iterator_next(struct device_iterator *iterator);
bool device_iterator_previous(struct device_iterator *iterator);
/* Views, valid until the iterator moves. */
struct slice device_iterator_key(const struct device_iterator *iterator);
struct slice device_iterator_value(const struct device_iterator *iterator);
/* After a move answered false: 0 at the end of the range, -EIO when reading failed. */
int device_iterator_error(const struct device_iterator *iterator);

/* ---- writing ---- */

struct device_txn;

/*
 * A change. Reads and writes through the transaction only. Returns 0 to commit what it wrote, or a negative error to
 * refuse; a change that refuses must not have written anything. Runs in the committer's thread: no waiting, no logs.
 */
typedef int device_change_fn(struct device_txn *txn, void *argument);

int txn_get(struct device_txn *txn, enum device_family family, struct slice key, struct buf *value);
void txn_put(struct device_txn *txn, enum device_family family, struct slice key, struct slice value);
void txn_delete(struct device_txn *txn, enum device_family family, struct slice key);
/* The names in incoming/ must be on stable storage before this commit: the directory is synced once per batch. */
void txn_sync_incoming(struct device_txn *txn);
struct device *txn_device(struct device_txn *txn);
/* Next number of this device, never used before, also across restarts (identifies body files and to-do entries). Not 0.
 * The second form is for any other thread than the committer's; it sleeps once in half a million calls at most, and
 * answers 0 when the device failed then. */
uint64_t txn_next_number(struct device_txn *txn);
uint64_t device_next_number(struct device *device);

struct device_commit {
	device_change_fn *change;
	void *argument;
	/* Called in the committer's thread once the change is on stable storage (result 0) or refused (< 0). */
	void (*done)(struct device_commit *commit);
	void *done_argument;
	int result;
	const char *transaction;    /* for the log; NULL: none. Must live until done() */
	bool lazy;                  /* may wait for somebody else's commit, up to a second: saves a sync */
	struct device_commit *next; /* the queue's own */
};

/* Queues the change; commit->done() will be called exactly once. The struct must live until then. */
void device_commit_start(struct device *device, struct device_commit *commit);
/* The same in two steps, for whoever queues several at once: the committer need not know of the change until
 * device_commit_kick(). */
void device_commit_queue(struct device *device, struct device_commit *commit);
void device_commit_kick(struct device *device);

/* The same, waiting; never from inside a change. Returns the change's result, or -EIO when the device failed or is not
 * mounted. */
int device_commit(struct device *device, device_change_fn *change, void *argument);

/*
 * To be called every few seconds while the process is idle, from a thread that may block. When nothing was committed since
 * the call before, and more than a little is in memory only, writes it to tables: the device then holds little memory,
 * and opening it after a crash replays little.
 */
void device_settle(struct device *device);

/*
 * To be called every few seconds, by one thread at a time that may block for minutes: gives back the room of removed
 * small bodies when it is more than that of those that are left. Cheap when there is nothing to do.
 */
void device_collect_garbage(struct device *device);
/* Makes that end soon, and for good: before device_close(). From any thread. */
void device_stop_care(struct device *device);

/* Changes that are queued or in a batch under way. */
size_t device_commits_waiting(const struct device *device);

/* Numbers of batches and changes since open: the group-commit ratio in the metrics. */
void device_commit_counts(const struct device *device, uint64_t *ret_batches, uint64_t *ret_changes);

#endif
