#include "ring/ring_store.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "ring/ring.h"
#include "ring/ring_private.h"

enum { SLOT_ACCOUNT, SLOT_CONTAINER, SLOT_OBJECT, SLOT_COUNT = SLOT_OBJECT + RING_POLICY_INDEX_MAX + 1 };

/* One ring file. Readers use `ring` alone; the rest belongs to who holds reload_lock. */
struct slot {
	struct ring *ring;     /* in use, one reference; NULL: none. Under ring_lock */
	struct timespec mtime; /* of the file that was loaded, or found broken, last */
	char *complaint;       /* what was logged last about this file; NULL when all is well */
	bool present;          /* seen in the directory by the running scan */
};

struct ring_store {
	char *directory;
	pthread_rwlock_t ring_lock; /* held for writing only while a pointer is swapped */
	pthread_mutex_t reload_lock;
	bool number_reported; /* a file with too high a policy index was logged */
	struct slot slots[SLOT_COUNT];
};

/* Which slot a file of the directory belongs to; -1: none, -2: an object ring with too high an
 * index. */
static int slot_of_name(const char *name)
{
	unsigned policy;
	char canonical[64];
	if (strcmp(name, "account.ring.gz") == 0)
		return SLOT_ACCOUNT;
	if (strcmp(name, "container.ring.gz") == 0)
		return SLOT_CONTAINER;
	if (strcmp(name, "object.ring.gz") == 0)
		return SLOT_OBJECT;
	if (sscanf(name, "object-%9u", &policy) != 1 || policy == 0)
		return -1;
	(void)snprintf(canonical, sizeof(canonical), "object-%u.ring.gz", policy);
	if (strcmp(name, canonical) != 0)
		return -1;
	return policy > RING_POLICY_INDEX_MAX ? -2 : SLOT_OBJECT + (int)policy;
}

static char *path_of_slot(const struct ring_store *store, int slot)
{
	switch (slot) {
	case SLOT_ACCOUNT:
		return xasprintf("%s/account.ring.gz", store->directory);
	case SLOT_CONTAINER:
		return xasprintf("%s/container.ring.gz", store->directory);
	case SLOT_OBJECT:
		return xasprintf("%s/object.ring.gz", store->directory);
	default:
		return xasprintf("%s/object-%d.ring.gz", store->directory, slot - SLOT_OBJECT);
	}
}

/* Marks the slots whose files exist. */
static int scan_directory(struct ring_store *store)
{
	DIR *directory = opendir(store->directory);
	if (!directory)
		return -errno;
	for (int i = 0; i < SLOT_COUNT; i++)
		store->slots[i].present = false;
	const struct dirent *entry;
	while ((entry = readdir(directory))) {
		int slot = slot_of_name(entry->d_name);
		if (slot >= 0) {
			store->slots[slot].present = true;
		} else if (slot == -2 && !store->number_reported) {
			store->number_reported = true;
			log_warning("%s/%s: policy indexes above %d are not served", store->directory, entry->d_name,
				RING_POLICY_INDEX_MAX);
		}
	}
	(void)closedir(directory);
	return 0;
}

static void swap_ring(struct ring_store *store, struct slot *slot, struct ring *fresh)
{
	pthread_rwlock_wrlock(&store->ring_lock);
	struct ring *old = slot->ring;
	slot->ring = fresh;
	pthread_rwlock_unlock(&store->ring_lock);
	ring_unref(old);
}

/*
 * Loads the slot's file if its time differs. Returns 1 when loaded, 0 when there was nothing to do,
 * or a negative errno with a text. The time is taken before the file is opened, so a file that is
 * replaced in between is loaded again. A file that is broken for good is not read again before it
 * changes; other failures are tried again.
 */
static int load_slot(struct ring_store *store, int index, char **ret_error)
{
	struct slot *slot = &store->slots[index];
	_cleanup_free_ char *path = path_of_slot(store, index);
	struct stat status;
	struct ring *fresh;
	if (!slot->present) {
		if (!slot->ring)
			return 0;
		return ring_fail(ret_error, ENOENT, "%s: the file is gone", path);
	}
	if (stat(path, &status) < 0) {
		int error = errno;
		return ring_fail(ret_error, error, "%s: %s", path, strerror(error));
	}
	if (status.st_mtim.tv_sec == slot->mtime.tv_sec && status.st_mtim.tv_nsec == slot->mtime.tv_nsec)
		return 0;
	int error = ring_load(path, &fresh, ret_error);
	if (error == 0 || error == -EINVAL)
		slot->mtime = status.st_mtim;
	if (error < 0)
		return error;
	swap_ring(store, slot, fresh);
	return 1;
}

/* Logs a failure unless the same was logged before. Takes ownership of the text. */
static void complain(struct slot *slot, char *text)
{
	if (!slot->complaint || strcmp(slot->complaint, text) != 0)
		log_error("%s; %s", text, slot->ring ? "the ring loaded before stays in use" : "no ring in use");
	free(slot->complaint);
	slot->complaint = text;
}

static void forgive(struct slot *slot)
{
	free(slot->complaint);
	slot->complaint = NULL;
}

int ring_store_reload(struct ring_store *store)
{
	int loaded = 0;
	pthread_mutex_lock(&store->reload_lock);
	int error = scan_directory(store);
	for (int i = 0; i < SLOT_COUNT && error == 0; i++) {
		char *why = NULL;
		int result = load_slot(store, i, &why);
		if (result < 0) {
			complain(&store->slots[i], why);
		} else if (result > 0) {
			forgive(&store->slots[i]);
			loaded++;
		}
	}
	pthread_mutex_unlock(&store->reload_lock);
	return error < 0 ? error : loaded;
}

/* Readers never hold the lock twice, so a waiting swap may go first: requests cannot starve it. */
static void init_ring_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;
	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}

int ring_store_open(const char *directory, struct ring_store **ret_store, char **ret_error)
{
	struct ring_store *store = xcalloc(1, sizeof(*store));
	store->directory = xstrdup(directory);
	init_ring_lock(&store->ring_lock);
	pthread_mutex_init(&store->reload_lock, NULL);
	int error = scan_directory(store);
	if (error < 0)
		(void)ring_fail(ret_error, -error, "%s: %s", directory, strerror(-error));
	for (int i = 0; i < SLOT_COUNT && error == 0; i++) {
		int result = load_slot(store, i, ret_error);
		error = result < 0 ? result : 0;
	}
	if (error < 0) {
		ring_store_free(store);
		return error;
	}
	*ret_store = store;
	return 0;
}

void ring_store_free(struct ring_store *store)
{
	if (!store)
		return;
	for (int i = 0; i < SLOT_COUNT; i++) {
		ring_unref(store->slots[i].ring);
		free(store->slots[i].complaint);
	}
	pthread_rwlock_destroy(&store->ring_lock);
	pthread_mutex_destroy(&store->reload_lock);
	free(store->directory);
	free(store);
}

struct ring *ring_store_get(struct ring_store *store, enum ring_kind kind, int policy_index)
{
	int index = kind == RING_ACCOUNT ? SLOT_ACCOUNT : kind == RING_CONTAINER ? SLOT_CONTAINER : SLOT_OBJECT;
	if (kind == RING_OBJECT) {
		if (policy_index < 0 || policy_index > RING_POLICY_INDEX_MAX)
			return NULL;
		index += policy_index;
	}
	pthread_rwlock_rdlock(&store->ring_lock);
	struct ring *ring = store->slots[index].ring;
	if (ring)
		(void)ring_ref(ring);
	pthread_rwlock_unlock(&store->ring_lock);
	return ring;
}
