/*
 * The committer: one thread that takes all changes that wait, applies them to one batch, and syncs
 * once.
 *
 *	queue (lock)  ->  taken  ->  batch of at most BATCH_CHANGES_MAX changes / about
 * BATCH_BYTES_MAX bytes run changes -> [fsync incoming/] -> write and sync the log -> done() for
 * each
 *
 * Company comes by itself: while one batch syncs, the next one queues up.
 */
#include "lib/store/device.h"

#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/store/device_batch.h"
#include "lib/store/device_files.h"
#include "lib/store/device_private.h"

enum {
	BATCH_CHANGES_MAX = 1024,
	BATCH_BYTES_MAX = 4 << 20,      /* looked at before each change, so one change may pass it */
	BATCH_BYTES_KEPT_MAX = 1 << 20, /* memory that an idle committer holds on to */
	LAZY_WAIT_MS = 1000,
	/* Numbers are reserved in such runs; what is left of one is lost with the process, out of
	   2^64. */
	NUMBERS_RESERVED = 1 << 20,
};

#define NUMBER_LIMIT_KEY SLICE_LITERAL("number limit")

struct device_txn {
	struct device *device;
	struct device_batch *batch;
	size_t write_count;    /* by the change that runs */
	bool sync_incoming;    /* before the log */
	bool removes_files;    /* promises were made */
	uint64_t number_limit; /* once the batch is on disk, numbers below are reserved */
};

/* ---- the transaction, as changes see it ---- */

struct device *txn_device(struct device_txn *txn)
{
	return txn->device;
}

int txn_get(struct device_txn *txn, enum device_family family, struct slice key, struct buf *value)
{
	bool deleted;
	struct slice written;
	if (!device_batch_find(txn->batch, (int)family, key, &deleted, &written))
		return device_get(txn->device, family, key, value);
	if (deleted)
		return -ENOENT;
	buf_append_slice(value, written);
	return 0;
}

static void put_in_family(struct device_txn *txn, int family, struct slice key, struct slice value)
{
	device_batch_put(txn->batch, txn->device->database.families[family], family, key, value);
}

void txn_put(struct device_txn *txn, enum device_family family, struct slice key, struct slice value)
{
	txn->write_count++;
	put_in_family(txn, (int)family, key, value);
}

void txn_delete(struct device_txn *txn, enum device_family family, struct slice key)
{
	txn->write_count++;
	device_batch_delete(txn->batch, txn->device->database.families[family], (int)family, key);
}

void txn_sync_incoming(struct device_txn *txn)
{
	txn->sync_incoming = true;
}

void txn_remove_file(struct device_txn *txn, uint64_t number, const unsigned char hash[16])
{
	struct buf key = BUF_INIT;
	struct buf value = BUF_INIT;
	buf_append_byte(&key, 'G');
	buf_append_u64(&key, txn_next_number(txn));
	buf_append_u64(&value, number);
	buf_append(&value, hash, 16);
	txn_put(txn, DEVICE_TODO, buf_slice(&key), buf_slice(&value));
	buf_release(&key);
	buf_release(&value);
	txn->removes_files = true;
}

/* ---- numbers ---- */

static void reserve_numbers(struct device_txn *txn, uint64_t limit)
{
	struct buf value = BUF_INIT;
	buf_append_u64(&value, limit);
	put_in_family(txn, DATABASE_OWN_FAMILY, NUMBER_LIMIT_KEY, buf_slice(&value));
	buf_release(&value);
	txn->number_limit = limit;
}

uint64_t txn_next_number(struct device_txn *txn)
{
	uint64_t number = atomic_fetch_add(&txn->device->next_number, 1);
	if (number >= txn->number_limit)
		reserve_numbers(txn, number + NUMBERS_RESERVED);
	return number;
}

/* Each batch does this when half of the run is used up, so nearly nobody ever waits for it. */
static int reserve_when_low(struct device_txn *txn, void *unused)
{
	(void)unused;
	uint64_t next = atomic_load(&txn->device->next_number);
	if (next + NUMBERS_RESERVED / 2 > txn->number_limit)
		reserve_numbers(txn, next + NUMBERS_RESERVED);
	return 0;
}

uint64_t device_next_number(struct device *device)
{
	uint64_t number = atomic_fetch_add(&device->next_number, 1);
	while (number >= atomic_load(&device->number_limit))
		if (device_commit(device, reserve_when_low, NULL) < 0)
			return 0;
	return number;
}

static int read_number_limit(struct device *device)
{
	struct device_database *database = &device->database;
	struct slice key = NUMBER_LIMIT_KEY;
	char *message = NULL;
	rocksdb_pinnableslice_t *found = rocksdb_get_pinned_cf(
		database->db, database->read, database->families[DATABASE_OWN_FAMILY], key.data, key.length, &message);
	if (message)
		return database_error(message);
	uint64_t limit = 1;
	if (found) {
		size_t length;
		const char *data = rocksdb_pinnableslice_value(found, &length);
		struct cursor cursor = cursor_of(slice_of(data, length));
		limit = cursor_u64(&cursor);
		rocksdb_pinnableslice_destroy(found);
		if (cursor.failed || limit == 0)
			return -EIO;
	}
	atomic_store(&device->next_number, limit);
	atomic_store(&device->number_limit, limit);
	return 0;
}

/* ---- one batch ---- */

static bool batch_has_room(struct device_txn *txn, size_t change_count)
{
	return change_count < BATCH_CHANGES_MAX && device_batch_bytes(txn->batch) < BATCH_BYTES_MAX;
}

static bool accepts_writes(struct device *device)
{
	enum device_state state = device_state(device);
	return state == DEVICE_USABLE || state == DEVICE_FULL;
}

/* Runs changes from *next on until the batch is full; *next is then the first one that has to wait.
 */
static void run_changes(struct device_txn *txn, struct device_commit **next)
{
	bool writable = accepts_writes(txn->device);
	size_t count = 0;
	struct device_commit *commit = *next;
	for (; commit && batch_has_room(txn, count); commit = commit->next, count++) {
		txn->write_count = 0;
		commit->result = writable ? commit->change(txn, commit->argument) : -EIO;
		assert(commit->result <= 0);
		if (commit->result < 0)
			assert(txn->write_count == 0);
	}
	*next = commit;
	if (writable)
		(void)reserve_when_low(txn, NULL);
}

static int write_batch(struct device_txn *txn)
{
	struct device *device = txn->device;
	if (txn->sync_incoming && fsync(device->incoming_fd) < 0) {
		if (device_fail(device))
			log_error("device %s failed: cannot sync incoming/: %s", device->name, strerror(errno));
		return -EIO;
	}
	char *message = NULL;
	rocksdb_write(device->database.db, device->database.write_synced, device_batch_handle(txn->batch), &message);
	if (!message)
		return 0;
	/* Nobody else ever sees RocksDB's words, so they are logged here. */
	if (device_fail(device))
		log_error("device %s failed: %s", device->name, message);
	rocksdb_free(message);
	return -EIO;
}

/* After done() the commit may be gone. */
static void finish_commits(struct device *device, struct device_commit *first, struct device_commit *end, int result)
{
	uint64_t changes = 0;
	uint64_t all = 0;
	for (struct device_commit *commit = first; commit != end; commit = commit->next, all++)
		changes += commit->result == 0 && result == 0;
	atomic_fetch_add(&device->committer.change_count, changes);
	atomic_fetch_sub(&device->committer.queued, all);
	for (struct device_commit *commit = first, *next; commit != end; commit = next) {
		next = commit->next;
		if (commit->result == 0)
			commit->result = result;
		commit->done(commit);
	}
}

static void observe_batch(struct device_committer *committer, const struct device_commit *first,
	const struct device_commit *end, uint64_t duration_ns)
{
	uint64_t changes = 0;
	for (const struct device_commit *commit = first; commit != end; commit = commit->next)
		changes++;
	metric_histogram_observe(&committer->batch_sizes, METRIC_UNIT_ONE, changes);
	metric_histogram_observe(&committer->sync_seconds, METRIC_UNIT_SECONDS, duration_ns);
}

static struct device_commit *commit_batch(
	struct device *device, struct device_batch *batch, struct device_commit *first)
{
	struct device_txn txn = {
		.device = device,
		.batch = batch,
		.number_limit = atomic_load(&device->number_limit),
	};
	struct device_commit *end = first;
	run_changes(&txn, &end);
	int result = 0;
	if (device_batch_count(batch) > 0) {
		uint64_t start = metric_now();
		/* what goes wrong now concerns all of them: the first one stands for the batch */
		log_set_transaction(first->transaction);
		result = write_batch(&txn);
		log_set_transaction(NULL);
		atomic_fetch_add(&device->committer.batch_count, 1);
		observe_batch(&device->committer, first, end, metric_now() - start);
	}
	if (result == 0) {
		atomic_store(&device->number_limit, txn.number_limit);
		if (txn.removes_files)
			remover_wake(device);
	}
	finish_commits(device, first, end, result);
	return end;
}

/* ---- the thread and its queue ---- */

static void wait_until_ms(struct device_committer *committer, int64_t deadline_ms)
{
	struct timespec deadline = {
		.tv_sec = deadline_ms / 1000,
		.tv_nsec = deadline_ms % 1000 * 1000000,
	};
	(void)pthread_cond_timedwait(&committer->wake, &committer->lock, &deadline);
}

/* Sleeps until there is reason for a commit and takes all that waits. NULL: the end. */
static struct device_commit *take_commits(struct device_committer *committer)
{
	pthread_mutex_lock(&committer->lock);
	while (committer->urgent_count == 0) {
		if (!committer->first) {
			if (committer->stop)
				break;
			pthread_cond_wait(&committer->wake, &committer->lock);
		} else if (committer->hurry || device_monotonic_ms() >= committer->lazy_deadline_ms) {
			break;
		} else {
			wait_until_ms(committer, committer->lazy_deadline_ms);
		}
	}
	struct device_commit *taken = committer->first;
	committer->first = NULL;
	committer->last = &committer->first;
	committer->urgent_count = 0;
	committer->kick_due = false;
	pthread_mutex_unlock(&committer->lock);
	return taken;
}

static void *committer_main(void *argument)
{
	struct device *device = argument;
	struct device_batch *batch = device_batch_new();
	struct device_commit *taken;
	while ((taken = take_commits(&device->committer))) {
		while (taken) {
			taken = commit_batch(device, batch, taken);
			device_batch_clear(batch, BATCH_BYTES_KEPT_MAX);
		}
	}
	device_batch_free(batch);
	return NULL;
}

/* True: the committer sleeps, or may, and does not know of it. */
static bool queue_commit(struct device *device, struct device_commit *commit)
{
	struct device_committer *committer = &device->committer;
	assert(commit->change && commit->done);
	atomic_fetch_add(&committer->queued, 1);
	assert(!committer->stop);
	commit->next = NULL;
	bool was_empty = !committer->first;
	if (was_empty)
		committer->lazy_deadline_ms = device_monotonic_ms() + LAZY_WAIT_MS;
	bool first_urgent = !commit->lazy && committer->urgent_count++ == 0;
	*committer->last = commit;
	committer->last = &commit->next;
	/* Otherwise the committer is awake, or its sleep has the right end already. */
	return was_empty || first_urgent;
}

void device_commit_start(struct device *device, struct device_commit *commit)
{
	struct device_committer *committer = &device->committer;
	pthread_mutex_lock(&committer->lock);
	if (queue_commit(device, commit))
		committer->kick_due = true;
	bool kick = committer->kick_due;
	committer->kick_due = false;
	if (kick)
		pthread_cond_signal(&committer->wake);
	pthread_mutex_unlock(&committer->lock);
}

void device_commit_queue(struct device *device, struct device_commit *commit)
{
	struct device_committer *committer = &device->committer;
	pthread_mutex_lock(&committer->lock);
	if (queue_commit(device, commit))
		committer->kick_due = true;
	pthread_mutex_unlock(&committer->lock);
}

void device_commit_kick(struct device *device)
{
	struct device_committer *committer = &device->committer;
	pthread_mutex_lock(&committer->lock);
	if (committer->kick_due)
		pthread_cond_signal(&committer->wake);
	committer->kick_due = false;
	pthread_mutex_unlock(&committer->lock);
}

static void post_done(struct device_commit *commit)
{
	sem_post(commit->done_argument);
}

int committer_commit(struct device *device, device_change_fn *change, void *argument, bool lazy)
{
	/* The committer cannot wait for itself. */
	assert(!pthread_equal(pthread_self(), device->committer.thread));
	sem_t done;
	sem_init(&done, 0, 0);
	struct device_commit commit = {
		.change = change,
		.argument = argument,
		.done = post_done,
		.done_argument = &done,
		.lazy = lazy,
	};
	device_commit_start(device, &commit);
	while (sem_wait(&done) < 0)
		assert(errno == EINTR);
	sem_destroy(&done);
	return commit.result;
}

int device_commit(struct device *device, device_change_fn *change, void *argument)
{
	return committer_commit(device, change, argument, false);
}

size_t device_commits_waiting(const struct device *device)
{
	return (size_t)atomic_load(&device->committer.queued);
}

void device_commit_counts(const struct device *device, uint64_t *ret_batches, uint64_t *ret_changes)
{
	*ret_batches = atomic_load(&device->committer.batch_count);
	*ret_changes = atomic_load(&device->committer.change_count);
}

int committer_start(struct device *device)
{
	struct device_committer *committer = &device->committer;
	int result = read_number_limit(device);
	if (result < 0)
		return result;
	pthread_mutex_init(&committer->lock, NULL);
	device_condition_init(&committer->wake);
	committer->last = &committer->first;
	result = pthread_create(&committer->thread, NULL, committer_main, device);
	if (result != 0)
		return -result;
	device_name_thread(committer->thread, "commit", device->name);
	committer->started = true;
	return device_commit(device, reserve_when_low, NULL);
}

void committer_hurry(struct device *device)
{
	struct device_committer *committer = &device->committer;
	if (!committer->started)
		return;
	pthread_mutex_lock(&committer->lock);
	committer->hurry = true;
	pthread_cond_signal(&committer->wake);
	pthread_mutex_unlock(&committer->lock);
}

void committer_stop(struct device *device)
{
	struct device_committer *committer = &device->committer;
	if (!committer->started)
		return;
	pthread_mutex_lock(&committer->lock);
	committer->stop = true;
	pthread_cond_signal(&committer->wake);
	pthread_mutex_unlock(&committer->lock);
	pthread_join(committer->thread, NULL);
	pthread_cond_destroy(&committer->wake);
	pthread_mutex_destroy(&committer->lock);
}
