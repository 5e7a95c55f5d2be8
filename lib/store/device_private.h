/*
 * What the files of the device module share: the struct behind every handle. For
 * lib/store/device*.c alone.
 *
 * Threads of a device: the committer (device_commit.c), the only one that writes to the database,
 * and the remover (device_files.c), which unlinks superseded body files. Everybody else reads, or
 * queues a commit.
 */
#ifndef LIB_STORE_DEVICE_PRIVATE_H
#define LIB_STORE_DEVICE_PRIVATE_H

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "lib/base/metrics.h"
#include "lib/store/device.h"

enum {
	/* RocksDB's family "default" holds what the device keeps for itself: the reserved numbers.
	 */
	DATABASE_OWN_FAMILY = DEVICE_FAMILY_COUNT,
	DATABASE_FAMILY_COUNT = DEVICE_FAMILY_COUNT + 1,
};

struct device_database {
	rocksdb_t *db;
	rocksdb_column_family_handle_t *families[DATABASE_FAMILY_COUNT];
	rocksdb_options_t *options[DATABASE_FAMILY_COUNT]; /* the last one also holds the database's */
	rocksdb_readoptions_t *read;
	rocksdb_readoptions_t *read_cached; /* block cache and memtables alone */
	rocksdb_writeoptions_t *write_synced;
};

/* 0, or -EIO, -EROFS, -EBUSY, -ENOSPC, -EINVAL with *ret_error set. */
int database_open(
	struct device_database *database, const char *path, const struct device_options *options, char **ret_error);
/* Accepts what a failed database_open left, and zeros. */
void database_close(struct device_database *database);
/* Bytes that are in memory and in the log alone. */
uint64_t database_buffered_bytes(const struct device_database *database);
/* Writes them to tables and waits for that. */
void database_flush(struct device_database *database);
/* Bytes of a family's blob files, and how many of them belong to values that are gone. */
void database_blob_bytes(
	const struct device_database *database, enum device_family family, uint64_t *ret_all, uint64_t *ret_garbage);
/* Whether compactions of the family copy its values to new blob files. */
void database_set_collecting(struct device_database *database, enum device_family family, bool collecting);
/* Compacts a range of keys, both ends included; between the two forms of the above. */
void database_collect(struct device_database *database, enum device_family family, struct slice from, struct slice to);
/* Makes the above end soon, and later ones at once. From any thread. */
void database_stop_collecting(struct device_database *database);
/* Takes RocksDB's message (freed here, NULL is accepted): 0; -EAGAIN when only the disk knows; else
 * -EIO. */
int database_error(char *message);

struct device_committer {
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;         /* guards the rest */
	pthread_cond_t wake;          /* monotonic clock */
	struct device_commit *first;  /* oldest waiting */
	struct device_commit **last;  /* where the next one is linked */
	size_t urgent_count;          /* waiting commits that are not lazy */
	int64_t lazy_deadline_ms;     /* when the oldest lazy one has waited long enough */
	bool kick_due;                /* something was queued that the committer was not told of */
	bool hurry;                   /* closing: lazy commits wait for nobody */
	bool stop;                    /* end when the queue is empty */
	_Atomic uint64_t batch_count; /* written and synced */
	_Atomic uint64_t change_count;
	_Atomic uint64_t queued;              /* changes that are not done yet */
	struct metric_histogram batch_sizes;  /* changes in a batch that was written */
	struct metric_histogram sync_seconds; /* writing and syncing it */
};

struct device_remover {
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* guards the flags */
	pthread_cond_t wake;
	bool pending;              /* a commit promised removals since the last walk */
	_Atomic bool stop;         /* ends a walk after the entries at hand */
	pthread_mutex_t walk_lock; /* held during a walk; guards next_entry */
	uint64_t next_entry;       /* promises below it were kept, or failed in this life of the device */
};

struct device {
	char *path;
	char *name;
	uint64_t reserve_bytes;
	double reserve_percent;
	int root_fd; /* of path: everything is reached through it, also when another disk is mounted
	                on top */
	int marker_fd;
	int incoming_fd;
	dev_t marker_device; /* what device_state() wants to find under the marker's name */
	ino_t marker_inode;
	_Atomic bool failed;
	_Atomic int state;             /* as last seen; failed apart */
	_Atomic int64_t next_check_ms; /* monotonic */
	_Atomic bool care_stopped;
	_Atomic uint64_t settled_batches; /* committer.batch_count at the last device_settle() */
	_Atomic uint64_t next_number;
	_Atomic uint64_t number_limit; /* numbers below it are reserved on stable storage */
	struct device_database database;
	struct device_committer committer;
	struct device_remover remover;
};

#define DEVICE_MARKER_NAME "swiftlet.device"

int64_t device_monotonic_ms(void);
/* A condition variable on the monotonic clock, so that a step of the wall clock moves no deadline.
 */
void device_condition_init(pthread_cond_t *condition);
/* What ps and perf show: "commit-sda". */
void device_name_thread(pthread_t thread, const char *role, const char *device_name);

/* Reads the reserved numbers, reserves the next ones, starts the thread. 0 or -EIO. */
int committer_start(struct device *device);
/* Lazy commits no longer wait for company. */
void committer_hurry(struct device *device);
/* Commits what is queued, then ends the thread. */
void committer_stop(struct device *device);
/* device_commit() with a say about laziness. */
int committer_commit(struct device *device, device_change_fn *change, void *argument, bool lazy);

/* 0 or a negative error. */
int remover_start(struct device *device);
/* Ends the thread. The committer may still call remover_wake(), for nothing: the entries stay for the next start. */
void remover_stop(struct device *device);
/* After committer_stop(). */
void remover_release(struct device *device);
/* A batch with promises of txn_remove_file() is on stable storage. */
void remover_wake(struct device *device);

#endif
