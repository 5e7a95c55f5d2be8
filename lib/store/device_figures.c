#include "lib/store/device_figures.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/co/co.h"
#include "lib/store/device_private.h"

enum { POLL_MS = 2 };

/* ---- one device ---- */

static const struct {
	const char *name;
	bool of_family; /* each family has its own */
} properties[DEVICE_PROPERTY_COUNT] = {
	[DEVICE_PROPERTY_MEMTABLE_BYTES] = {"rocksdb.cur-size-all-mem-tables", true},
	[DEVICE_PROPERTY_TABLE_BYTES] = {"rocksdb.live-sst-files-size", true},
	[DEVICE_PROPERTY_BLOB_BYTES] = {"rocksdb.live-blob-file-size", true},
	[DEVICE_PROPERTY_KEYS] = {"rocksdb.estimate-num-keys", true},
	[DEVICE_PROPERTY_COMPACTION_BYTES] = {"rocksdb.estimate-pending-compaction-bytes", true},
	[DEVICE_PROPERTY_COMPACTIONS] = {"rocksdb.num-running-compactions", false},
	[DEVICE_PROPERTY_FLUSHES] = {"rocksdb.num-running-flushes", false},
	[DEVICE_PROPERTY_WRITE_STOPPED] = {"rocksdb.is-write-stopped", false},
	[DEVICE_PROPERTY_WRITE_RATE] = {"rocksdb.actual-delayed-write-rate", false},
	[DEVICE_PROPERTY_ERRORS] = {"rocksdb.background-errors", false},
};

static uint64_t read_property(const struct device_database *database, enum device_property property)
{
	uint64_t sum = 0;
	int families = properties[property].of_family ? DATABASE_FAMILY_COUNT : 1;
	for (int i = 0; i < families; i++) {
		uint64_t value = 0;
		if (rocksdb_property_int_cf(database->db, database->families[i], properties[property].name, &value) ==
			0)
			sum += value;
	}
	return sum;
}

static uint64_t count_quarantined(const struct device *device)
{
	int fd = openat(device->root_fd, "quarantined", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	uint64_t count = 0;
	for (struct dirent *item; (item = readdir(folder));)
		count += item->d_name[0] != '.';
	(void)closedir(folder);
	return count;
}

static void copy_histogram(struct metric_histogram *to, const struct metric_histogram *from)
{
	for (size_t i = 0; i < METRIC_BUCKETS_MAX; i++)
		atomic_store_explicit(&to->buckets[i], atomic_load_explicit(&from->buckets[i], memory_order_relaxed),
			memory_order_relaxed);
	atomic_store_explicit(&to->sum, atomic_load_explicit(&from->sum, memory_order_relaxed), memory_order_relaxed);
}

int device_figures_read(struct device *device, struct device_figures *ret_figures)
{
	struct statvfs info;
	if (fstatvfs(device->root_fd, &info) < 0)
		return -errno;
	uint64_t unit = info.f_frsize;
	ret_figures->size_bytes = info.f_blocks * unit;
	ret_figures->available_bytes = info.f_bavail * unit;
	/* as Swift's recon: what is kept for root counts as used */
	ret_figures->used_bytes = (info.f_blocks - info.f_bavail) * unit;
	ret_figures->quarantined = count_quarantined(device);
	device_commit_counts(device, &ret_figures->batches, &ret_figures->changes);
	ret_figures->queued = atomic_load(&device->committer.queued);
	copy_histogram(&ret_figures->batch_sizes, &device->committer.batch_sizes);
	copy_histogram(&ret_figures->sync_seconds, &device->committer.sync_seconds);
	for (int i = 0; i < DEVICE_PROPERTY_COUNT; i++)
		ret_figures->properties[i] = read_property(&device->database, (enum device_property)i);
	return 0;
}

uint64_t device_cache_used_bytes(struct device *device)
{
	uint64_t value = 0;
	const struct device_database *database = &device->database;
	(void)rocksdb_property_int_cf(
		database->db, database->families[DEVICE_OBJECTS], "rocksdb.block-cache-usage", &value);
	return value;
}

/* ---- the watch ---- */

struct watched {
	struct device_watch *watch;
	struct device_entry *entry;
	struct pool_job job;
	atomic_bool busy; /* `job` is under way, and has entered the device */
	struct device_figures figures;
	bool known;
};

struct device_watch {
	struct device_set *set;
	pthread_mutex_t lock; /* guards figures and known of all, and cache_bytes */
	uint64_t cache_bytes;
	size_t count;
	struct watched devices[];
};

struct device_watch *device_watch_new(struct device_set *set)
{
	size_t count = device_set_count(set);
	struct device_watch *watch = xcalloc(1, sizeof(*watch) + count * sizeof(watch->devices[0]));
	watch->set = set;
	watch->count = count;
	pthread_mutex_init(&watch->lock, NULL);
	for (size_t i = 0; i < count; i++) {
		watch->devices[i].watch = watch;
		watch->devices[i].entry = device_set_at(set, i);
	}
	return watch;
}

void device_watch_free(struct device_watch *watch)
{
	if (!watch)
		return;
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

static void watch_read(void *argument)
{
	struct watched *watched = argument;
	struct device *device = device_entry_device(watched->entry);
	struct device_figures *figures = xcalloc(1, sizeof(*figures));
	int error = device_figures_read(device, figures);
	uint64_t cache_bytes = device_cache_used_bytes(device);
	pthread_mutex_lock(&watched->watch->lock);
	if (!error)
		watched->figures = *figures;
	watched->known = !error;
	watched->watch->cache_bytes = cache_bytes;
	pthread_mutex_unlock(&watched->watch->lock);
	free(figures);
}

static void watch_done(struct pool_job *job)
{
	struct watched *watched = job->argument;
	device_entry_leave(watched->entry);
	atomic_store(&watched->busy, false);
}

/* A device that is busy with an earlier look is not asked again: jobs must not pile up on a sick disk. */
static void watch_start(struct watched *watched)
{
	if (atomic_exchange(&watched->busy, true))
		return;
	if (device_entry_enter(watched->entry)) {
		pthread_mutex_lock(&watched->watch->lock);
		watched->known = false;
		pthread_mutex_unlock(&watched->watch->lock);
		atomic_store(&watched->busy, false);
		return;
	}
	watched->job = (struct pool_job){.run = watch_read, .argument = watched, .done = watch_done};
	pool_submit(device_entry_pool(watched->entry), &watched->job);
}

static bool is_busy(const struct device_watch *watch)
{
	for (size_t i = 0; i < watch->count; i++)
		if (atomic_load(&watch->devices[i].busy))
			return true;
	return false;
}

void co_device_watch_refresh(struct device_watch *watch, uint64_t timeout_ms)
{
	uint64_t deadline = deadline_after_ms(timeout_ms);
	for (size_t i = 0; i < watch->count; i++)
		watch_start(&watch->devices[i]);
	while (is_busy(watch) && loop_now_ms() < deadline)
		co_sleep_ms(POLL_MS);
}

bool device_watch_get(struct device_watch *watch, size_t index, struct device_figures *ret_figures)
{
	struct watched *watched = &watch->devices[index];
	bool usable = device_entry_usable(watched->entry);
	pthread_mutex_lock(&watch->lock);
	bool known = watched->known && usable;
	if (known)
		*ret_figures = watched->figures;
	pthread_mutex_unlock(&watch->lock);
	return known;
}

uint64_t device_watch_cache_bytes(struct device_watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	uint64_t bytes = watch->cache_bytes;
	pthread_mutex_unlock(&watch->lock);
	return bytes;
}
