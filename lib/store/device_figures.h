/*
 * What a device shows of itself for metrics and recon: room, committer, database. Reading them may block on a sick disk,
 * so a watch does it in each device's own pool and keeps what came last.
 */
#ifndef LIB_STORE_DEVICE_FIGURES_H
#define LIB_STORE_DEVICE_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/metrics.h"
#include "lib/store/device_set.h"

/* Properties of RocksDB, summed up over the families of a device where each has its own. */
enum device_property {
	DEVICE_PROPERTY_MEMTABLE_BYTES,
	DEVICE_PROPERTY_TABLE_BYTES,
	DEVICE_PROPERTY_BLOB_BYTES,
	DEVICE_PROPERTY_KEYS, /* an estimate */
	DEVICE_PROPERTY_COMPACTION_BYTES,
	DEVICE_PROPERTY_COMPACTIONS,
	DEVICE_PROPERTY_FLUSHES,
	DEVICE_PROPERTY_WRITE_STOPPED,
	DEVICE_PROPERTY_WRITE_RATE,
	DEVICE_PROPERTY_ERRORS,
	DEVICE_PROPERTY_COUNT,
};

struct device_figures {
	uint64_t size_bytes; /* of the file system, as the next two */
	uint64_t available_bytes;
	uint64_t used_bytes;
	uint64_t quarantined; /* entries of quarantined/ */
	uint64_t batches;
	uint64_t changes;
	uint64_t queued;                      /* changes that wait for the committer, or are in its batch */
	struct metric_histogram batch_sizes;  /* changes in a batch */
	struct metric_histogram sync_seconds; /* writing and syncing a batch */
	uint64_t properties[DEVICE_PROPERTY_COUNT];
};

/* Reads them, blocking. 0 or -errno. */
int device_figures_read(struct device *device, struct device_figures *ret_figures);

/* Of all devices that share their cache. */
uint64_t device_cache_used_bytes(struct device *device);

struct device_watch;

/* A watch over a set, which must outlive it. */
struct device_watch *device_watch_new(struct device_set *set);
/* No refresh may be running; after the set's pools have ended or are idle. NULL is accepted. */
void device_watch_free(struct device_watch *watch);

/*
 * Has the figures of all usable devices read and waits for that, for timeout_ms at most: those of a device that takes
 * longer stay as they were. From any loop, also from several at once.
 */
void co_device_watch_refresh(struct device_watch *watch, uint64_t timeout_ms);

/* The last figures of the device at `index` of the set. False when there are none, or the device is not usable now. */
bool device_watch_get(struct device_watch *watch, size_t index, struct device_figures *ret_figures);

/* Memory of the block cache in use, in all devices; 0 when none is usable. */
uint64_t device_watch_cache_bytes(struct device_watch *watch);

#endif
