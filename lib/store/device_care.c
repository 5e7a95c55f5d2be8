/*
 * What a device does by itself now and then: writing out what it holds in memory, and giving back the room of small
 * bodies that were removed.
 *
 * Small bodies lie in RocksDB's blob files, which compaction does not rewrite, so a file stays as long as one body in it
 * does. When more than half of all blob bytes belong to bodies that are gone, the rest is copied into new files: at most
 * one byte is copied for each that is won, and blob files take at most twice the room of what is in them, and a little.
 * It goes through the bodies slice by slice, so that the room of one is won before the next one needs any.
 */
#include <stdlib.h>

#include "lib/base/buf.h"
#include "lib/store/device_private.h"

enum {
	SETTLED_BYTES_MAX = 1 << 20,  /* may stay in memory of an idle device */
	GARBAGE_BYTES_MIN = 64 << 20, /* less is not worth the work */
	SLICES = 16,
};

void device_settle(struct device *device)
{
	uint64_t batches = atomic_load(&device->committer.batch_count);
	bool idle = atomic_exchange(&device->settled_batches, batches) == batches;
	if (idle && !atomic_load(&device->failed) && database_buffered_bytes(&device->database) > SETTLED_BYTES_MAX)
		database_flush(&device->database);
}

static uint64_t key_number(const struct device_iterator *iterator)
{
	struct cursor cursor = cursor_of(device_iterator_key(iterator));
	return cursor_u64(&cursor);
}

/* The lowest and the highest number of a small body. */
static bool find_bodies(struct device *device, uint64_t *ret_first, uint64_t *ret_last)
{
	static const char highest[8] = "\xff\xff\xff\xff\xff\xff\xff\xff";
	struct device_iterator *iterator = device_iterator_new(device, DEVICE_BODIES, SLICE_NONE, SLICE_NONE);
	bool found = device_iterator_seek(iterator, SLICE_NONE);
	if (found)
		*ret_first = key_number(iterator);
	found = found && device_iterator_seek_back(iterator, slice_of(highest, sizeof(highest)));
	if (found)
		*ret_last = key_number(iterator);
	device_iterator_free(iterator);
	return found;
}

static void collect_slices(struct device *device, uint64_t first, uint64_t last)
{
	uint64_t step = (last - first) / SLICES + 1;
	for (uint64_t start = first; start <= last && start >= first; start += step) {
		struct buf from = BUF_INIT;
		struct buf to = BUF_INIT;
		buf_append_u64(&from, start);
		buf_append_u64(&to, start + (step - 1));
		if (!atomic_load(&device->care_stopped) && !atomic_load(&device->failed))
			database_collect(&device->database, DEVICE_BODIES, buf_slice(&from), buf_slice(&to));
		buf_release(&from);
		buf_release(&to);
	}
}

void device_collect_garbage(struct device *device)
{
	uint64_t all, garbage, first, last;
	database_blob_bytes(&device->database, DEVICE_BODIES, &all, &garbage);
	if (garbage < GARBAGE_BYTES_MIN || garbage < all / 2 || !find_bodies(device, &first, &last))
		return;
	database_set_collecting(&device->database, DEVICE_BODIES, true);
	collect_slices(device, first, last);
	database_set_collecting(&device->database, DEVICE_BODIES, false);
}

void device_stop_care(struct device *device)
{
	atomic_store(&device->care_stopped, true);
	database_stop_collecting(&device->database);
}
