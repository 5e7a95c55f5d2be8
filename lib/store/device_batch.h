/*
 * The batch that a committer fills: RocksDB's own, with an index beside it, so that a change reads what those before
 * it wrote. RocksDB has such a thing (WriteBatchWithIndex), but it keeps a sorted list for walks that no change makes,
 * and a read of it costs more than one of the database.
 */
#ifndef LIB_STORE_DEVICE_BATCH_H
#define LIB_STORE_DEVICE_BATCH_H

#include <rocksdb/c.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/slice.h"

struct device_batch;

struct device_batch *device_batch_new(void);
/* NULL is accepted. */
void device_batch_free(struct device_batch *batch);
/* Empties it; more than `kept_bytes` of memory are given back. */
void device_batch_clear(struct device_batch *batch, size_t kept_bytes);

/* `family` is the number of the handle among the caller's, below 256. */
void device_batch_put(struct device_batch *batch, rocksdb_column_family_handle_t *handle, int family, struct slice key,
	struct slice value);
void device_batch_delete(
	struct device_batch *batch, rocksdb_column_family_handle_t *handle, int family, struct slice key);

/* The last that was done to the key. False: nothing. *ret_deleted says which; *ret_value is a view until the next
 * change of the batch. */
bool device_batch_find(
	const struct device_batch *batch, int family, struct slice key, bool *ret_deleted, struct slice *ret_value);

size_t device_batch_bytes(const struct device_batch *batch);
size_t device_batch_count(const struct device_batch *batch);
/* For rocksdb_write(). */
rocksdb_writebatch_t *device_batch_handle(struct device_batch *batch);

#endif
