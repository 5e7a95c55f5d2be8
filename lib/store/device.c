#include "lib/store/device.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/store/device_files.h"
#include "lib/store/device_private.h"

/*
 * The marker's text. The id is random: it tells two disks of the same name apart.
 *
 *	swiftlet device 1
 *	id 0f8fad5bd9cb469fa16570867728950e
 *	name sda
 */
#define MARKER_HEAD "swiftlet device 1\n"
#define MARKER_NEW_NAME "swiftlet.device.new"

enum {
	MARKER_BYTES_MAX = 1024,
	MARKER_ID_BYTES = 16,
	STATE_CHECK_INTERVAL_MS = 1000,
};

int64_t device_monotonic_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void device_condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}

void device_name_thread(pthread_t thread, const char *role, const char *device_name)
{
	char name[16];
	(void)snprintf(name, sizeof(name), "%.6s-%.8s", role, device_name);
	(void)pthread_setname_np(thread, name);
}

const char *device_name(const struct device *device)
{
	return device->name;
}

const char *device_path(const struct device *device)
{
	return device->path;
}

int device_directory(const struct device *device)
{
	return device->root_fd;
}

/* ---- state ---- */

bool device_fail(struct device *device)
{
	return !atomic_exchange(&device->failed, true);
}

int device_check_room(struct device *device, uint64_t bytes)
{
	struct statvfs info;
	if (fstatvfs(device->root_fd, &info) < 0)
		return errno == EIO ? -EIO : 0;
	if (info.f_flag & ST_RDONLY)
		return -EROFS;
	uint64_t unit = info.f_frsize;
	uint64_t available = info.f_bavail * unit;
	if (available <= bytes || available - bytes < device->reserve_bytes)
		return -ENOSPC;
	double percent_left = 100.0 * (double)(available - bytes) / (double)(info.f_blocks * unit);
	return percent_left < device->reserve_percent ? -ENOSPC : 0;
}

static enum device_state look_at_disk(struct device *device)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", device->path, DEVICE_MARKER_NAME);
	struct stat marker;
	if (stat(path, &marker) < 0)
		return errno == EIO ? DEVICE_FAILED : DEVICE_UNMOUNTED;
	if (marker.st_dev != device->marker_device || marker.st_ino != device->marker_inode)
		return DEVICE_UNMOUNTED;
	switch (device_check_room(device, 0)) {
	case 0:
		return DEVICE_USABLE;
	case -ENOSPC:
		return DEVICE_FULL;
	default:
		return DEVICE_FAILED;
	}
}

/* One caller a second looks; the others, who may come at the same moment, are answered from what
 * was seen last. */
enum device_state device_state(struct device *device)
{
	int64_t now = device_monotonic_ms();
	int64_t due = atomic_load(&device->next_check_ms);
	if (now >= due && atomic_compare_exchange_strong(&device->next_check_ms, &due, now + STATE_CHECK_INTERVAL_MS)) {
		enum device_state seen = look_at_disk(device);
		if (seen == DEVICE_FAILED && device_fail(device))
			log_error("device %s failed: its disk answers EIO or is read-only", device->name);
		atomic_store(&device->state, (int)seen);
	}
	if (atomic_load(&device->failed))
		return DEVICE_FAILED;
	return (enum device_state)atomic_load(&device->state);
}

/* ---- reading ---- */

static int get_with(struct device *device, const rocksdb_readoptions_t *options, enum device_family family,
	struct slice key, struct buf *value)
{
	struct device_database *database = &device->database;
	char *message = NULL;
	rocksdb_pinnableslice_t *found = rocksdb_get_pinned_cf(
		database->db, options, database->families[family], key.data, key.length, &message);
	if (message)
		return database_error(message);
	if (!found)
		return -ENOENT;
	size_t length;
	const char *data = rocksdb_pinnableslice_value(found, &length);
	buf_append(value, data, length);
	rocksdb_pinnableslice_destroy(found);
	return 0;
}

int device_get(struct device *device, enum device_family family, struct slice key, struct buf *value)
{
	return get_with(device, device->database.read, family, key, value);
}

int device_get_cached(struct device *device, enum device_family family, struct slice key, struct buf *value)
{
	size_t before = value->length;
	int result = get_with(device, device->database.read_cached, family, key, value);
	/* For a table whose file is not open RocksDB answers "found, empty" (TableCache::Get marks
	 * that the key may exist), so an empty value is no answer here. */
	if (result == 0 && value->length == before)
		return -EAGAIN;
	return result;
}

/* ---- the marker ---- */

static int fill_and_sync(int fd, const char *text)
{
	size_t length = strlen(text);
	ssize_t written = write(fd, text, length);
	if (written < 0)
		return -errno;
	if ((size_t)written != length)
		return -ENOSPC;
	return fsync(fd) < 0 ? -errno : 0;
}

/* Written under another name first: a marker that exists is whole. */
static int create_marker(int root_fd, const char *name)
{
	unsigned char id[MARKER_ID_BYTES];
	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return -EIO;
	struct buf text = BUF_INIT;
	buf_append_text(&text, MARKER_HEAD "id ");
	for (size_t i = 0; i < sizeof(id); i++)
		buf_printf(&text, "%02x", id[i]);
	buf_printf(&text, "\nname %s\n", name);
	int result = -EIO;
	int fd = openat(root_fd, MARKER_NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0) {
		result = fill_and_sync(fd, text.data);
		close(fd);
	} else {
		result = -errno;
	}
	buf_release(&text);
	if (result == 0 && renameat(root_fd, MARKER_NEW_NAME, root_fd, DEVICE_MARKER_NAME) < 0)
		result = -errno;
	if (result == 0 && fsync(root_fd) < 0)
		result = -errno;
	return result;
}

static int check_marker_text(int fd, const char *name, char **ret_error)
{
	char text[MARKER_BYTES_MAX + 1];
	ssize_t length = pread(fd, text, MARKER_BYTES_MAX, 0);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	_cleanup_free_ char *name_line = xasprintf("\nname %s\n", name);
	if (strncmp(text, MARKER_HEAD, strlen(MARKER_HEAD)) == 0 && strstr(text, name_line))
		return 0;
	*ret_error = xasprintf("%s is not the marker of device %s", DEVICE_MARKER_NAME, name);
	return -EINVAL;
}

/* A database without a marker is no fresh disk: somebody should look before a second life begins on
 * it. */
static int make_marker_when_fresh(struct device *device, char **ret_error)
{
	struct stat database;
	if (fstatat(device->root_fd, "db", &database, 0) == 0) {
		*ret_error = xasprintf("%s has a database but no %s", device->path, DEVICE_MARKER_NAME);
		return -EINVAL;
	}
	return create_marker(device->root_fd, device->name);
}

static int open_marker(struct device *device, bool create, char **ret_error)
{
	int fd = openat(device->root_fd, DEVICE_MARKER_NAME, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && create) {
		int result = make_marker_when_fresh(device, ret_error);
		if (result < 0)
			return result;
		fd = openat(device->root_fd, DEVICE_MARKER_NAME, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	device->marker_fd = fd;
	struct stat marker;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (fstat(fd, &marker) < 0)
		return -errno;
	device->marker_device = marker.st_dev;
	device->marker_inode = marker.st_ino;
	return check_marker_text(fd, device->name, ret_error);
}

/* ---- life ---- */

static int make_folders(struct device *device)
{
	static const char *const names[] = {"db", "incoming", "bodies", "quarantined"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (mkdirat(device->root_fd, names[i], 0700) < 0 && errno != EEXIST)
			return -errno;
	if (fsync(device->root_fd) < 0)
		return -errno;
	device->incoming_fd = openat(device->root_fd, "incoming", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return device->incoming_fd < 0 ? -errno : 0;
}

static int open_directory(struct device *device)
{
	device->root_fd = open(device->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (device->root_fd >= 0)
		return 0;
	return errno == ENOENT || errno == ENOTDIR ? -ENODEV : -errno;
}

static int open_parts(struct device *device, const struct device_options *options, char **ret_error)
{
	int result = open_directory(device);
	if (result == 0)
		result = open_marker(device, options->create, ret_error);
	if (result == 0)
		result = make_folders(device);
	if (result < 0)
		return result;
	_cleanup_free_ char *path = xasprintf("%s/db", device->path);
	result = database_open(&device->database, path, options, ret_error);
	if (result == 0)
		result = committer_start(device);
	if (result == 0)
		result = remover_start(device);
	return result;
}

static struct device *device_new(const struct device_options *options)
{
	struct device *device = xcalloc(1, sizeof(*device));
	device->path = xstrdup(options->path);
	device->name = xstrdup(options->name);
	device->reserve_bytes = options->reserve_bytes;
	device->reserve_percent = options->reserve_percent;
	device->root_fd = -1;
	device->marker_fd = -1;
	device->incoming_fd = -1;
	return device;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void device_close(struct device *device)
{
	if (!device)
		return;
	/* The remover first: it commits. */
	committer_hurry(device);
	remover_stop(device);
	committer_stop(device);
	remover_release(device);
	database_close(&device->database);
	close_if_open(device->incoming_fd);
	close_if_open(device->marker_fd);
	close_if_open(device->root_fd);
	free(device->path);
	free(device->name);
	free(device);
}

int device_open(const struct device_options *options, struct device **ret_device, char **ret_error)
{
	assert(options->path && options->name);
	struct device *device = device_new(options);
	char *error = NULL;
	int result = open_parts(device, options, &error);
	if (result == 0) {
		*ret_device = device;
		return 0;
	}
	*ret_error =
		error ? error
		      : xasprintf("cannot open device %s at %s: %s", options->name, options->path, strerror(-result));
	device_close(device);
	return result;
}
