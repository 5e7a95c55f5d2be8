/*
 * Which databases a device holds: a walk that jumps from one hash to the next, over all rows.
 */
#include <errno.h>
#include <string.h>

#include "lib/store/listing_private.h"

/* The smallest hash above. False when there is none. */
static bool next_hash(unsigned char hash[LISTING_HASH_BYTES])
{
	for (size_t i = LISTING_HASH_BYTES; i > 0; i--)
		if (++hash[i - 1])
			return true;
	return false;
}

static int emit_one(struct device *device, enum listing_kind kind, const unsigned char hash[LISTING_HASH_BYTES],
	listing_database_fn *emit, void *argument)
{
	struct arena *arena = arena_new();
	struct listing_info info;
	int result = listing_read(device, kind, hash, arena, &info);
	if (!result)
		result = emit(hash, &info, arena, argument);
	else if (result == -ENOENT)
		result = 0; /* went since the walk began */
	arena_free(arena);
	return result;
}

int listing_databases(struct device *device, enum listing_kind kind, const unsigned char *after,
	listing_database_fn *emit, void *argument)
{
	unsigned char hash[LISTING_HASH_BYTES] = {0};
	struct device_iterator *iterator = device_iterator_new(device, listing_family(kind), SLICE_NONE, SLICE_NONE);
	bool more = true;
	int result = 0;
	if (after) {
		memcpy(hash, after, sizeof(hash));
		more = next_hash(hash);
	}
	while (more && !result) {
		if (!device_iterator_seek(iterator, slice_of((const char *)hash, sizeof(hash)))) {
			result = device_iterator_error(iterator);
			break;
		}
		struct slice key = device_iterator_key(iterator);
		if (key.length < LISTING_HASH_BYTES) {
			result = -EIO;
			break;
		}
		memcpy(hash, key.data, sizeof(hash));
		result = emit_one(device, kind, hash, emit, argument);
		more = next_hash(hash);
	}
	device_iterator_free(iterator);
	return result;
}
