/*
 * How a coroutine uses a device: commits without blocking its loop, and the device's own pool for blocking reads.
 */
#ifndef LIB_STORE_CO_DEVICE_H
#define LIB_STORE_CO_DEVICE_H

#include "lib/store/device.h"

/* Hands the change to the committer and sleeps until it is on stable storage. Returns the change's result or -EIO. */
int co_device_commit(struct device *device, device_change_fn *change, void *argument);

/*
 * The same for work that nobody waits for and that may ride on somebody else's commit. `argument` is freed with free()
 * afterwards. Does not sleep; from any thread.
 */
void device_commit_lazily(struct device *device, device_change_fn *change, void *argument);

#endif
