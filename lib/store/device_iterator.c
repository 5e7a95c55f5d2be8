#include "lib/store/device.h"

#include <stdlib.h>

#include "lib/base/memory.h"
#include "lib/store/device_private.h"

struct device_iterator {
	rocksdb_iterator_t *iterator;
	rocksdb_readoptions_t *options;
	char *bounds; /* both keys, which RocksDB does not copy */
};

static char *copy_bounds(struct slice lower, struct slice upper)
{
	char *bounds = xmalloc(lower.length + upper.length);
	if (lower.length)
		memcpy(bounds, lower.data, lower.length);
	if (upper.length)
		memcpy(bounds + lower.length, upper.data, upper.length);
	return bounds;
}

struct device_iterator *device_iterator_new(
	struct device *device, enum device_family family, struct slice lower, struct slice upper)
{
	struct device_iterator *iterator = xcalloc(1, sizeof(*iterator));
	iterator->bounds = copy_bounds(lower, upper);
	iterator->options = rocksdb_readoptions_create();
	if (lower.length)
		rocksdb_readoptions_set_iterate_lower_bound(iterator->options, iterator->bounds, lower.length);
	if (upper.length)
		rocksdb_readoptions_set_iterate_upper_bound(
			iterator->options, iterator->bounds + lower.length, upper.length);
	struct device_database *database = &device->database;
	iterator->iterator = rocksdb_create_iterator_cf(database->db, iterator->options, database->families[family]);
	return iterator;
}

void device_iterator_free(struct device_iterator *iterator)
{
	if (!iterator)
		return;
	rocksdb_iter_destroy(iterator->iterator);
	rocksdb_readoptions_destroy(iterator->options);
	free(iterator->bounds);
	free(iterator);
}

bool device_iterator_seek(struct device_iterator *iterator, struct slice key)
{
	rocksdb_iter_seek(iterator->iterator, key.data ? key.data : "", key.length);
	return rocksdb_iter_valid(iterator->iterator);
}

bool device_iterator_seek_back(struct device_iterator *iterator, struct slice key)
{
	rocksdb_iter_seek_for_prev(iterator->iterator, key.data ? key.data : "", key.length);
	return rocksdb_iter_valid(iterator->iterator);
}

bool device_iterator_next(struct device_iterator *iterator)
{
	if (!rocksdb_iter_valid(iterator->iterator))
		return false;
	rocksdb_iter_next(iterator->iterator);
	return rocksdb_iter_valid(iterator->iterator);
}

bool device_iterator_previous(struct device_iterator *iterator)
{
	if (!rocksdb_iter_valid(iterator->iterator))
		return false;
	rocksdb_iter_prev(iterator->iterator);
	return rocksdb_iter_valid(iterator->iterator);
}

struct slice device_iterator_key(const struct device_iterator *iterator)
{
	size_t length;
	const char *data = rocksdb_iter_key(iterator->iterator, &length);
	return slice_of(data, length);
}

struct slice device_iterator_value(const struct device_iterator *iterator)
{
	size_t length;
	const char *data = rocksdb_iter_value(iterator->iterator, &length);
	return slice_of(data, length);
}

int device_iterator_error(const struct device_iterator *iterator)
{
	char *message = NULL;
	rocksdb_iter_get_error(iterator->iterator, &message);
	return database_error(message);
}
