/*
 * The devices of this process by name, shared by its account, container and object servers: one
 * entry per folder of the devices' root, each with its struct device and its pool of threads.
 * Entries are made at start and never go away; the device of an entry may: one that could not be
 * opened, or that failed, is unusable (507) and is tried again by device_set_retry().
 *
 * Users hold a device from device_entry_enter() to device_entry_leave(). Nobody enters while too much waits for the disk:
 * a sick disk stops itself alone. Everything but open and close is safe
 * from any thread and never blocks.
 *
 *	struct device_entry *entry = device_set_find(set, name);
 *	int result = device_entry_enter(entry);
 *	if (result)
 *		… -ENODEV: 507, -EBUSY: 503
 *	… device_entry_device(entry), device_entry_pool(entry) …
 *	device_entry_leave(entry);
 */
#ifndef LIB_STORE_DEVICE_SET_H
#define LIB_STORE_DEVICE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/co/pool.h"
#include "lib/store/device.h"

struct device_set;
struct device_entry;

enum {
	DEVICE_SET_THREADS_DEFAULT = 4,         /* threads of one device's pool */
	DEVICE_SET_REQUESTS_MAX_DEFAULT = 1024, /* jobs, or commits, that wait for one device */
};

struct device_set_options {
	const char *root;         /* Swift's "devices": the folder that holds one folder per device */
	const char *const *names; /* NULL-terminated; NULL: every folder in root, hidden ones left out */
	bool create;              /* make folder, marker and database where there are none of ours */
	uint64_t reserve_bytes;   /* as in struct device_options */
	double reserve_percent;
	uint64_t cache_bytes;  /* of all devices together; 0: a small cache for each */
	uint64_t buffer_bytes; /* of all devices together, see struct device_options; 0: a small default for each */
	size_t threads;        /* of each device; 0: the default */
	size_t requests_max;   /* jobs, or commits, waiting for each device; 0: the default */
	/*
	 * Called in a pool thread (or device_set_open's) once per successful opening, before
	 * anybody else sees the device: recovery after a crash. A negative result leaves the device
	 * unusable. NULL for none.
	 */
	int (*opened)(struct device *device, void *argument);
	void *opened_argument;
};

/*
 * Opens all devices, blocking. Devices that cannot be opened are logged, one line each, and stay
 * unusable. The options and their texts are not needed afterwards. Returns 0, or -errno when the
 * root cannot be read or threads not be started.
 */
int device_set_open(const struct device_set_options *options, struct device_set **ret_set);

/* Closes all devices, blocking; nobody may be using one. NULL is accepted. */
void device_set_close(struct device_set *set);

/* The entry of that name, usable or not; NULL when the process has no such device. */
struct device_entry *device_set_find(struct device_set *set, const char *name);

size_t device_set_count(const struct device_set *set);
struct device_entry *device_set_at(struct device_set *set, size_t index);

/*
 * To be called every few seconds: starts, in their own pools, attempts to open the devices that are
 * unusable, after closing what is left of those that failed. Does not wait for them.
 */
void device_set_retry(struct device_set *set);

/*
 * To be called every few seconds by one thread, with whether the process is idle. Collects garbage where there is much
 * (device_collect_garbage()). When the process is idle, the devices settle (device_settle()) and the cache is cut to a
 * quarter; with the first call that says otherwise it has its size again. Does not wait: devices work in their pools.
 */
void device_set_care(struct device_set *set, bool idle);

/* DEVICE_UNMOUNTED for one that could not be opened, and for NULL. */
enum device_state device_entry_state(struct device_entry *entry);
/* Opened, its marker in place and not failed. A NULL entry is not usable. */
bool device_entry_usable(struct device_entry *entry);
/* Usable, and with free space above the reserve: new bytes are welcome. */
bool device_entry_writable(struct device_entry *entry);

/*
 * Begins using the device: 0; -ENODEV when it is not usable (also for NULL); -EBUSY when too much waits for the disk
 * already. Users that wait for somebody else, a client that sends slowly, do not count.
 */
int device_entry_enter(struct device_entry *entry);
void device_entry_leave(struct device_entry *entry);

const char *device_entry_name(const struct device_entry *entry);
/* Between enter and leave only. */
struct device *device_entry_device(struct device_entry *entry);
/* Lives as long as the set, whether the device is usable or not. */
struct pool *device_entry_pool(struct device_entry *entry);
/* Users between enter and leave. */
size_t device_entry_requests(const struct device_entry *entry);

#endif
