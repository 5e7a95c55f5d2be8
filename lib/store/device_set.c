#include "lib/store/device_set.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"

/*
 * Who may close a device: the job of device_set_retry(), after it has cleared `open` and then found
 * `requests` at 0. Users raise `requests` first and look at `open` afterwards, so one of the two
 * always sees the other.
 */
struct device_entry {
	struct device_set *set;
	char *name;
	char *path;
	struct pool *pool;
	_Atomic(struct device *) device; /* NULL while there is none */
	atomic_bool open;                /* users may enter */
	atomic_size_t requests;          /* users that have entered */
	atomic_bool working;             /* `job` is under way */
	struct pool_job job;
	char *last_error; /* what was logged last, so that each complaint is logged once */
};

struct device_set {
	struct device_options options; /* for all; path and name are set per entry */
	uint64_t cache_bytes;
	atomic_bool idle; /* as told last */
	size_t requests_max;
	size_t threads;
	int (*opened)(struct device *device, void *argument);
	void *opened_argument;
	struct device_entry **entries; /* sorted by name */
	size_t count;
};

enum {
	BUFFER_BYTES_MIN = 4 << 20, /* of a device; less makes many small tables */
	BUFFER_BYTES_MAX = 64 << 20,
	CACHE_SHARE_IDLE = 4,
};

/* Keeps the device from being closed. NULL when there is none. */
static struct device *entry_hold(struct device_entry *entry)
{
	atomic_fetch_add(&entry->requests, 1);
	return atomic_load(&entry->open) ? atomic_load(&entry->device) : NULL;
}

/* ---- opening ---- */

/* Once per complaint, as a device may stay away for days. Takes over `error`. */
static void entry_complain(struct device_entry *entry, char *error)
{
	if (!entry->last_error || strcmp(entry->last_error, error) != 0)
		log_error("device %s is out of service: %s", entry->name, error);
	free(entry->last_error);
	entry->last_error = error;
}

static void entry_open(struct device_entry *entry, bool create)
{
	const struct device_set *set = entry->set;
	struct device_options options = set->options;
	struct device *device = NULL;
	char *error = NULL;
	options.path = entry->path;
	options.name = entry->name;
	options.create = create;
	if (create && mkdir(entry->path, 0700) < 0 && errno != EEXIST)
		log_warning("cannot create %s: %s", entry->path, strerror(errno));
	int result = device_open(&options, &device, &error);
	if (result < 0) {
		entry_complain(entry, error);
		return;
	}
	if (set->opened)
		result = set->opened(device, set->opened_argument);
	if (result < 0) {
		device_close(device);
		entry_complain(entry, xasprintf("recovery failed: %s", strerror(-result)));
		return;
	}
	if (entry->last_error)
		log_info("device %s is back in service", entry->name);
	free(entry->last_error);
	entry->last_error = NULL;
	atomic_store(&entry->device, device);
	atomic_store(&entry->open, true);
}

/*
 * In the entry's pool. A disk that was mounted once is never created anew: an empty folder then
 * means that the mount is missing.
 */
static void entry_reopen(void *argument)
{
	struct device_entry *entry = argument;
	struct device *device = atomic_load(&entry->device);
	if (device) {
		if (atomic_exchange(&entry->open, false))
			entry_complain(entry, xstrdup("it failed or was unmounted"));
		if (atomic_load(&entry->requests) > 0)
			return;
		atomic_store(&entry->device, NULL);
		device_close(device);
	}
	entry_open(entry, false);
}

static void entry_job_done(struct pool_job *job)
{
	struct device_entry *entry = job->argument;
	atomic_store(&entry->working, false);
}

/* One job of an entry at a time. */
static void entry_submit(struct device_entry *entry, void (*run)(void *argument))
{
	if (atomic_exchange(&entry->working, true))
		return;
	entry->job = (struct pool_job){.run = run, .argument = entry, .done = entry_job_done};
	pool_submit(entry->pool, &entry->job);
}

void device_set_retry(struct device_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		struct device_entry *entry = set->entries[i];
		if (!device_entry_usable(entry))
			entry_submit(entry, entry_reopen);
	}
}

static void entry_care(void *argument)
{
	struct device_entry *entry = argument;
	struct device *device = entry_hold(entry);
	if (device && atomic_load(&entry->set->idle))
		device_settle(device);
	if (device)
		device_collect_garbage(device);
	device_entry_leave(entry);
}

void device_set_care(struct device_set *set, bool idle)
{
	if (idle != set->idle && set->options.cache)
		device_cache_resize(set->options.cache, idle ? set->cache_bytes / CACHE_SHARE_IDLE : set->cache_bytes);
	atomic_store(&set->idle, idle);
	for (size_t i = 0; i < set->count; i++)
		if (device_entry_usable(set->entries[i]))
			entry_submit(set->entries[i], entry_care);
}

/* ---- the set ---- */

static int entry_add(struct device_set *set, const char *root, const char *name)
{
	struct pool *pool;
	_cleanup_free_ char *pool_name = xasprintf("disk-%.10s", name);
	int error = pool_new(pool_name, set->threads, &pool);
	if (error)
		return error;
	struct device_entry *entry = xcalloc(1, sizeof(*entry));
	entry->set = set;
	entry->name = xstrdup(name);
	entry->path = xasprintf("%s/%s", root, name);
	entry->pool = pool;
	set->entries = xrealloc(set->entries, (set->count + 1) * sizeof(struct device_entry *));
	set->entries[set->count++] = entry;
	return 0;
}

static bool is_folder(const char *root, const char *name)
{
	struct stat info;
	_cleanup_free_ char *path = xasprintf("%s/%s", root, name);
	return name[0] != '.' && stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static int add_every_folder(struct device_set *set, const char *root)
{
	DIR *folder = opendir(root);
	if (!folder)
		return -errno;
	int error = 0;
	for (struct dirent *item; !error && (item = readdir(folder));)
		if (is_folder(root, item->d_name))
			error = entry_add(set, root, item->d_name);
	closedir(folder);
	return error;
}

static int compare_entries(const void *a, const void *b)
{
	const struct device_entry *const *left = a;
	const struct device_entry *const *right = b;
	return strcmp((*left)->name, (*right)->name);
}

static void share_memory(struct device_set *set, const struct device_set_options *options)
{
	set->cache_bytes = options->cache_bytes;
	if (options->cache_bytes)
		set->options.cache = device_cache_new(options->cache_bytes);
	if (!options->buffer_bytes || !set->count)
		return;
	uint64_t share = options->buffer_bytes / set->count;
	set->options.buffer_bytes = share < BUFFER_BYTES_MIN   ? BUFFER_BYTES_MIN
				    : share > BUFFER_BYTES_MAX ? BUFFER_BYTES_MAX
							       : share;
}

int device_set_open(const struct device_set_options *options, struct device_set **ret_set)
{
	struct device_set *set = xcalloc(1, sizeof(*set));
	set->options.reserve_bytes = options->reserve_bytes;
	set->options.reserve_percent = options->reserve_percent;
	set->threads = options->threads ? options->threads : DEVICE_SET_THREADS_DEFAULT;
	set->requests_max = options->requests_max ? options->requests_max : DEVICE_SET_REQUESTS_MAX_DEFAULT;
	set->opened = options->opened;
	set->opened_argument = options->opened_argument;
	int error = 0;
	if (options->names)
		for (const char *const *name = options->names; *name && !error; name++)
			error = entry_add(set, options->root, *name);
	else
		error = add_every_folder(set, options->root);
	if (error) {
		device_set_close(set);
		return error;
	}
	if (set->count)
		qsort(set->entries, set->count, sizeof(struct device_entry *), compare_entries);
	share_memory(set, options);
	for (size_t i = 0; i < set->count; i++)
		entry_open(set->entries[i], options->create);
	*ret_set = set;
	return 0;
}

void device_set_close(struct device_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->count; i++) {
		struct device_entry *entry = set->entries[i];
		struct device *device = entry_hold(entry);
		if (device)
			device_stop_care(device);
		device_entry_leave(entry);
		/* First: a job of device_set_retry() may still be opening. */
		pool_free(entry->pool);
		device_close(atomic_load(&entry->device));
		free(entry->last_error);
		free(entry->name);
		free(entry->path);
		free(entry);
	}
	device_cache_free(set->options.cache);
	free(set->entries);
	free(set);
}

static int compare_name(const void *key, const void *element)
{
	const struct device_entry *const *entry = element;
	return strcmp(key, (*entry)->name);
}

struct device_entry *device_set_find(struct device_set *set, const char *name)
{
	if (!set->count)
		return NULL;
	struct device_entry **found =
		bsearch(name, set->entries, set->count, sizeof(struct device_entry *), compare_name);
	return found ? *found : NULL;
}

size_t device_set_count(const struct device_set *set)
{
	return set->count;
}

struct device_entry *device_set_at(struct device_set *set, size_t index)
{
	return set->entries[index];
}

/* ---- users ---- */

enum device_state device_entry_state(struct device_entry *entry)
{
	if (!entry)
		return DEVICE_UNMOUNTED;
	struct device *device = entry_hold(entry);
	enum device_state state = device ? device_state(device) : DEVICE_UNMOUNTED;
	device_entry_leave(entry);
	return state;
}

bool device_entry_usable(struct device_entry *entry)
{
	enum device_state state = device_entry_state(entry);
	return state == DEVICE_USABLE || state == DEVICE_FULL;
}

bool device_entry_writable(struct device_entry *entry)
{
	return device_entry_state(entry) == DEVICE_USABLE;
}

int device_entry_enter(struct device_entry *entry)
{
	if (!entry)
		return -ENODEV;
	struct device *device = entry_hold(entry);
	enum device_state state = device ? device_state(device) : DEVICE_UNMOUNTED;
	int result = 0;
	if (state != DEVICE_USABLE && state != DEVICE_FULL)
		result = -ENODEV;
	else if (pool_load(entry->pool) > entry->set->requests_max ||
		 device_commits_waiting(device) > entry->set->requests_max)
		result = -EBUSY;
	if (result)
		device_entry_leave(entry);
	return result;
}

void device_entry_leave(struct device_entry *entry)
{
	atomic_fetch_sub(&entry->requests, 1);
}

const char *device_entry_name(const struct device_entry *entry)
{
	return entry->name;
}

struct device *device_entry_device(struct device_entry *entry)
{
	return atomic_load(&entry->device);
}

struct pool *device_entry_pool(struct device_entry *entry)
{
	return entry->pool;
}

size_t device_entry_requests(const struct device_entry *entry)
{
	return atomic_load(&entry->requests);
}
