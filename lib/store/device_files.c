#include "lib/store/device_files.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/store/device_private.h"

enum {
	PATH_BYTES = 64,    /* "bodies/ab/cd/" and a name */
	PROMISES_MAX = 256, /* kept with one commit */
};

static void incoming_path(char path[PATH_BYTES], uint64_t number)
{
	snprintf(path, PATH_BYTES, "incoming/%016" PRIx64, number);
}

static void settled_path(char path[PATH_BYTES], uint64_t number, const unsigned char hash[16])
{
	snprintf(path, PATH_BYTES, "bodies/%02x/%02x/%016" PRIx64, hash[0], hash[1], number);
}

int device_file_create(struct device *device, uint64_t number)
{
	char path[PATH_BYTES];
	incoming_path(path, number);
	int fd = openat(device->root_fd, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static int open_at(struct device *device, const char *path)
{
	int fd = openat(device->root_fd, path, O_RDONLY | O_CLOEXEC | O_NOATIME);
	/* O_NOATIME is for the owner of the file alone. */
	if (fd < 0 && errno == EPERM)
		fd = openat(device->root_fd, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* What is done to a file by name; 0 or a descriptor, or a negative error. */
typedef int file_verb_fn(struct device *device, const char *path, const void *argument);

/* Files move one way only, so who looks in bodies/ again after incoming/ has missed none. */
static int at_either_place(
	struct device *device, uint64_t number, const unsigned char hash[16], file_verb_fn *verb, const void *argument)
{
	char settled[PATH_BYTES];
	char incoming[PATH_BYTES];
	settled_path(settled, number, hash);
	incoming_path(incoming, number);
	int result = verb(device, settled, argument);
	if (result == -ENOENT)
		result = verb(device, incoming, argument);
	if (result == -ENOENT)
		result = verb(device, settled, argument);
	return result;
}

static int open_verb(struct device *device, const char *path, const void *unused)
{
	(void)unused;
	return open_at(device, path);
}

int device_file_open(struct device *device, uint64_t number, const unsigned char hash[16])
{
	return at_either_place(device, number, hash, open_verb, NULL);
}

/* Whatever stands in the way is found out by who may wait for the disk. */
int device_file_open_cached(struct device *device, uint64_t number, const unsigned char hash[16])
{
	char path[PATH_BYTES];
	settled_path(path, number, hash);
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NOATIME, .resolve = RESOLVE_CACHED};
	long fd = syscall(SYS_openat2, device->root_fd, path, &how, sizeof(how));
	return fd < 0 ? -EAGAIN : (int)fd;
}

static int unlink_verb(struct device *device, const char *path, const void *unused)
{
	(void)unused;
	return unlinkat(device->root_fd, path, 0) < 0 ? -errno : 0;
}

int device_file_remove(struct device *device, uint64_t number, const unsigned char hash[16])
{
	int result = at_either_place(device, number, hash, unlink_verb, NULL);
	return result == -ENOENT ? 0 : result;
}

static int link_verb(struct device *device, const char *path, const void *to)
{
	return linkat(device->root_fd, path, device->root_fd, to, 0) < 0 ? -errno : 0;
}

int device_file_link(struct device *device, uint64_t number, const unsigned char hash[16], const char *path)
{
	return at_either_place(device, number, hash, link_verb, path);
}

static int make_fan_out(struct device *device, const unsigned char hash[16])
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "bodies/%02x", hash[0]);
	if (mkdirat(device->root_fd, path, 0700) < 0 && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "bodies/%02x/%02x", hash[0], hash[1]);
	if (mkdirat(device->root_fd, path, 0700) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

static int rename_to(struct device *device, const char *from, const char *to)
{
	return renameat(device->root_fd, from, device->root_fd, to) < 0 ? -errno : 0;
}

/* Nothing is synced: after a crash the file is under one name or the other, and both are looked at.
 */
int device_file_settle(struct device *device, uint64_t number, const unsigned char hash[16])
{
	char from[PATH_BYTES];
	char to[PATH_BYTES];
	incoming_path(from, number);
	settled_path(to, number, hash);
	int result = rename_to(device, from, to);
	if (result != -ENOENT)
		return result;
	/* The folder is missing, or the file is. */
	result = make_fan_out(device, hash);
	return result < 0 ? result : rename_to(device, from, to);
}

/* ---- incoming/ ---- */

static bool parse_number(const char *name, uint64_t *ret_number)
{
	if (strlen(name) != DEVICE_FILE_NAME_BYTES - 1 ||
		strspn(name, "0123456789abcdef") != DEVICE_FILE_NAME_BYTES - 1)
		return false;
	*ret_number = strtoull(name, NULL, 16);
	return true;
}

int device_files_walk_incoming(
	struct device *device, int (*visit)(struct device *device, uint64_t number, void *argument), void *argument)
{
	int fd = openat(device->root_fd, "incoming", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	DIR *directory = fdopendir(fd);
	if (!directory) {
		int error = errno;
		close(fd);
		return -error;
	}
	int result = 0;
	while (result == 0) {
		errno = 0;
		const struct dirent *entry = readdir(directory);
		if (!entry) {
			result = -errno;
			break;
		}
		uint64_t number;
		if (parse_number(entry->d_name, &number))
			result = visit(device, number, argument);
	}
	closedir(directory);
	return result;
}

/* ---- promised removals ---- */

struct promises {
	uint64_t entries[PROMISES_MAX];        /* those whose file is gone */
	unsigned char places[PROMISES_MAX][2]; /* the heads of their hashes: where it was */
	size_t count;
	uint64_t next_entry; /* behind the last one seen */
	bool more;           /* the walk ended because the array was full */
};

static void promise_key(struct buf *key, uint64_t entry)
{
	buf_clear(key);
	buf_append_byte(key, 'G');
	buf_append_u64(key, entry);
}

static int forget_promises(struct device_txn *txn, void *argument)
{
	const struct promises *promises = argument;
	struct buf key = BUF_INIT;
	for (size_t i = 0; i < promises->count; i++) {
		promise_key(&key, promises->entries[i]);
		txn_delete(txn, DEVICE_TODO, buf_slice(&key));
	}
	buf_release(&key);
	return 0;
}

/* A file that cannot be removed keeps its entry, to be tried again when the device is opened next.
 */
static void keep_promise(struct device *device, struct device_iterator *iterator, struct promises *promises)
{
	struct cursor key = cursor_of(device_iterator_key(iterator));
	(void)cursor_u8(&key);
	uint64_t entry = cursor_u64(&key);
	struct cursor value = cursor_of(device_iterator_value(iterator));
	uint64_t number = cursor_u64(&value);
	struct slice hash = cursor_bytes(&value, 16);
	promises->next_entry = entry + 1;
	if (key.failed || value.failed)
		return;
	if (device_file_remove(device, number, (const unsigned char *)hash.data) == 0) {
		memcpy(promises->places[promises->count], hash.data, 2);
		promises->entries[promises->count++] = entry;
	}
}

static int sync_folder(struct device *device, const char *path)
{
	int fd = openat(device->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	int result = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return result;
}

/* An entry may be forgotten when its file cannot come back. The first sync writes the file system's
 * journal, those after it find little to do. */
static int sync_removals(struct device *device, const struct promises *promises)
{
	int result = sync_folder(device, "incoming");
	for (size_t i = 0; i < promises->count && result == 0; i++) {
		char path[PATH_BYTES];
		const unsigned char *place = promises->places[i];
		snprintf(path, sizeof(path), "bodies/%02x/%02x", place[0], place[1]);
		result = sync_folder(device, path);
	}
	return result;
}

static int keep_some_promises(struct device *device, struct promises *promises)
{
	struct buf lower = BUF_INIT;
	promise_key(&lower, promises->next_entry);
	struct device_iterator *iterator =
		device_iterator_new(device, DEVICE_TODO, buf_slice(&lower), SLICE_LITERAL("H"));
	bool found = device_iterator_seek(iterator, buf_slice(&lower));
	while (found && promises->count < PROMISES_MAX) {
		keep_promise(device, iterator, promises);
		found = device_iterator_next(iterator);
	}
	promises->more = found;
	int result = found ? 0 : device_iterator_error(iterator);
	device_iterator_free(iterator);
	buf_release(&lower);
	return result;
}

/* Entries are numbered by the committer, so they appear in order, and a walk can go on where the
 * last one ended instead of stepping over everything that was deleted since. */
static int keep_promises(struct device *device, bool lazy)
{
	struct device_remover *remover = &device->remover;
	struct promises *promises = xcalloc(1, sizeof(*promises));
	int result;
	pthread_mutex_lock(&remover->walk_lock);
	promises->next_entry = remover->next_entry;
	do {
		promises->count = 0;
		result = keep_some_promises(device, promises);
		if (promises->count > 0 && result == 0)
			result = sync_removals(device, promises);
		if (promises->count > 0 && result == 0)
			result = committer_commit(device, forget_promises, promises, lazy);
		remover->next_entry = promises->next_entry;
	} while (result == 0 && promises->more && !atomic_load(&remover->stop));
	pthread_mutex_unlock(&remover->walk_lock);
	free(promises);
	return result;
}

int device_files_remove_promised(struct device *device)
{
	return keep_promises(device, false);
}

static void *remover_main(void *argument)
{
	struct device *device = argument;
	struct device_remover *remover = &device->remover;
	pthread_mutex_lock(&remover->lock);
	while (!atomic_load(&remover->stop)) {
		if (!remover->pending) {
			pthread_cond_wait(&remover->wake, &remover->lock);
			continue;
		}
		remover->pending = false;
		pthread_mutex_unlock(&remover->lock);
		/* An error leaves entries behind, and recovery finds them. */
		(void)keep_promises(device, true);
		pthread_mutex_lock(&remover->lock);
	}
	pthread_mutex_unlock(&remover->lock);
	return NULL;
}

void remover_wake(struct device *device)
{
	struct device_remover *remover = &device->remover;
	pthread_mutex_lock(&remover->lock);
	remover->pending = true;
	pthread_cond_signal(&remover->wake);
	pthread_mutex_unlock(&remover->lock);
}

int remover_start(struct device *device)
{
	struct device_remover *remover = &device->remover;
	pthread_mutex_init(&remover->lock, NULL);
	pthread_mutex_init(&remover->walk_lock, NULL);
	device_condition_init(&remover->wake);
	int result = pthread_create(&remover->thread, NULL, remover_main, device);
	remover->started = result == 0;
	if (remover->started)
		device_name_thread(remover->thread, "remove", device->name);
	return -result;
}

void remover_stop(struct device *device)
{
	struct device_remover *remover = &device->remover;
	if (!remover->started)
		return;
	pthread_mutex_lock(&remover->lock);
	atomic_store(&remover->stop, true);
	pthread_cond_signal(&remover->wake);
	pthread_mutex_unlock(&remover->lock);
	pthread_join(remover->thread, NULL);
}

void remover_release(struct device *device)
{
	struct device_remover *remover = &device->remover;
	if (!remover->started)
		return;
	pthread_cond_destroy(&remover->wake);
	pthread_mutex_destroy(&remover->walk_lock);
	pthread_mutex_destroy(&remover->lock);
}
