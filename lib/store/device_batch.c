#include "lib/store/device_batch.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "lib/base/memory.h"

enum { SLOTS_FIRST = 256 };

/*
 * Where a key and its value lie in the batch's bytes. Those are the format of RocksDB's log, which ends an entry with
 * key, length of value and value, or with the key where it deletes.
 */
struct slot {
	uint64_t hash; /* 0: free */
	size_t key_at;
	size_t value_at;
	uint32_t key_bytes;
	uint32_t value_bytes;
	uint8_t family;
	bool deleted;
};

struct device_batch {
	rocksdb_writebatch_t *batch;
	struct slot *slots; /* open addressing, at most half full */
	size_t slot_count;  /* a power of two */
	size_t used;
};

struct device_batch *device_batch_new(void)
{
	struct device_batch *batch = xcalloc(1, sizeof(*batch));
	batch->batch = rocksdb_writebatch_create();
	batch->slots = xcalloc(SLOTS_FIRST, sizeof(struct slot));
	batch->slot_count = SLOTS_FIRST;
	return batch;
}

void device_batch_free(struct device_batch *batch)
{
	if (!batch)
		return;
	rocksdb_writebatch_destroy(batch->batch);
	free(batch->slots);
	free(batch);
}

void device_batch_clear(struct device_batch *batch, size_t kept_bytes)
{
	size_t slot_bytes = batch->slot_count * sizeof(struct slot);
	/* a cleared batch keeps its memory */
	if (device_batch_bytes(batch) + slot_bytes > kept_bytes) {
		rocksdb_writebatch_destroy(batch->batch);
		free(batch->slots);
		batch->batch = rocksdb_writebatch_create();
		batch->slots = xcalloc(SLOTS_FIRST, sizeof(struct slot));
		batch->slot_count = SLOTS_FIRST;
	} else {
		rocksdb_writebatch_clear(batch->batch);
		if (batch->used > 0)
			memset(batch->slots, 0, slot_bytes);
	}
	batch->used = 0;
}

static const char *bytes_of(const struct device_batch *batch, size_t *ret_length)
{
	return rocksdb_writebatch_data(batch->batch, ret_length);
}

size_t device_batch_bytes(const struct device_batch *batch)
{
	size_t length;
	(void)bytes_of(batch, &length);
	return length;
}

size_t device_batch_count(const struct device_batch *batch)
{
	return (size_t)rocksdb_writebatch_count(batch->batch);
}

rocksdb_writebatch_t *device_batch_handle(struct device_batch *batch)
{
	return batch->batch;
}

/* ---- the index ---- */

static uint64_t hash_of(int family, struct slice key)
{
	uint64_t hash = XXH3_64bits_withSeed(key.data, key.length, (uint64_t)family);
	return hash ? hash : 1;
}

/* The key's slot, or the free one where it belongs. */
static struct slot *find_slot(const struct device_batch *batch, uint64_t hash, int family, struct slice key)
{
	size_t length;
	const char *bytes = bytes_of(batch, &length);
	for (size_t at = hash;; at++) {
		struct slot *slot = &batch->slots[at & (batch->slot_count - 1)];
		if (!slot->hash)
			return slot;
		if (slot->hash == hash && slot->family == family && slot->key_bytes == key.length &&
			memcmp(bytes + slot->key_at, key.data, key.length) == 0)
			return slot;
	}
}

static void grow(struct device_batch *batch)
{
	struct slot *old = batch->slots;
	size_t old_count = batch->slot_count;
	batch->slot_count *= 2;
	batch->slots = xcalloc(batch->slot_count, sizeof(struct slot));
	for (size_t i = 0; i < old_count; i++) {
		size_t at = old[i].hash;
		if (!old[i].hash)
			continue;
		while (batch->slots[at & (batch->slot_count - 1)].hash)
			at++;
		batch->slots[at & (batch->slot_count - 1)] = old[i];
	}
	free(old);
}

static size_t varint_bytes(size_t number)
{
	size_t bytes = 1;
	for (; number >= 0x80; number >>= 7)
		bytes++;
	return bytes;
}

/* Notes the entry that the batch ends with. */
static void index_last(struct device_batch *batch, int family, struct slice key, bool deleted, size_t value_bytes)
{
	if (batch->used * 2 >= batch->slot_count)
		grow(batch);
	uint64_t hash = hash_of(family, key);
	struct slot *slot = find_slot(batch, hash, family, key);
	batch->used += !slot->hash;
	size_t end;
	const char *bytes = bytes_of(batch, &end);
	size_t tail = deleted ? 0 : varint_bytes(value_bytes) + value_bytes;
	*slot = (struct slot){
		.hash = hash,
		.key_at = end - tail - key.length,
		.value_at = end - value_bytes,
		.key_bytes = (uint32_t)key.length,
		.value_bytes = (uint32_t)value_bytes,
		.family = (uint8_t)family,
		.deleted = deleted,
	};
	assert(memcmp(bytes + slot->key_at, key.data, key.length) == 0);
}

/* ---- writing and reading ---- */

void device_batch_put(struct device_batch *batch, rocksdb_column_family_handle_t *handle, int family, struct slice key,
	struct slice value)
{
	assert(key.length < UINT32_MAX && value.length < UINT32_MAX);
	rocksdb_writebatch_put_cf(
		batch->batch, handle, key.data, key.length, value.data ? value.data : "", value.length);
	index_last(batch, family, key, false, value.length);
}

void device_batch_delete(
	struct device_batch *batch, rocksdb_column_family_handle_t *handle, int family, struct slice key)
{
	rocksdb_writebatch_delete_cf(batch->batch, handle, key.data, key.length);
	index_last(batch, family, key, true, 0);
}

bool device_batch_find(
	const struct device_batch *batch, int family, struct slice key, bool *ret_deleted, struct slice *ret_value)
{
	if (batch->used == 0)
		return false;
	const struct slot *slot = find_slot(batch, hash_of(family, key), family, key);
	if (!slot->hash)
		return false;
	size_t length;
	const char *bytes = bytes_of(batch, &length);
	*ret_deleted = slot->deleted;
	*ret_value = slice_of(bytes + slot->value_at, slot->value_bytes);
	return true;
}
