/*
 * What is read back from a device: records of objects, updates that are still to be sent, rows and infos of listings.
 * The first byte chooses which. What a decoder accepts, the encoder writes again to the byte (objects, updates) or to
 * something that reads the same. Records of objects get the checksum that they need to be looked at.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "lib/base/buf.h"
#include "lib/store/listing_private.h"
#include "object/object_record.h"
#include "object/update.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_object(struct arena *arena, struct slice input)
{
	struct buf bytes = BUF_INIT, again = BUF_INIT;
	struct object_record record;
	(void)object_record_decode(input, arena, &record);
	buf_append_slice(&bytes, input);
	buf_append_u64(&bytes, XXH3_64bits(input.data, input.length));
	if (object_record_decode(buf_slice(&bytes), arena, &record) == 0) {
		object_record_encode(&record, &again);
		assert(slice_equal(buf_slice(&bytes), buf_slice(&again)));
		(void)object_record_time(&record);
		(void)object_record_type(&record, NULL);
		(void)object_record_delete_at(&record);
	}
	buf_release(&bytes);
	buf_release(&again);
}

static void check_update(struct arena *arena, struct slice input)
{
	struct object_update update;
	struct slice account, container;
	if (object_update_decode(input, arena, &update))
		return;
	struct buf again = BUF_INIT;
	object_update_encode(&update, &again);
	assert(slice_equal(buf_slice(&again), input));
	object_update_target(&update, &account, &container);
	object_update_confirm(&update, "10.0.0.1", 6201, "sda");
	assert(update.confirmed.count <= UPDATE_CONFIRMED_MAX);
	object_update_redirect(&update, container);
	assert(update.redirects.count <= UPDATE_REDIRECTS_MAX);
	buf_release(&again);
}

static void check_row(struct slice input, bool deleted)
{
	struct listing_object_record object, object_again;
	struct listing_container_record container, container_again;
	struct buf bytes = BUF_INIT, again = BUF_INIT;
	if (listing_decode_object(input, deleted, &object) == 0) {
		listing_encode_object(&bytes, object.sequence, &object.row);
		assert(listing_decode_object(buf_slice(&bytes), deleted, &object_again) == 0);
		listing_encode_object(&again, object_again.sequence, &object_again.row);
		assert(slice_equal(buf_slice(&bytes), buf_slice(&again)));
	}
	buf_clear(&bytes);
	buf_clear(&again);
	if (listing_decode_container(input, deleted, &container) == 0) {
		listing_encode_container(&bytes, container.sequence, &container.row);
		assert(listing_decode_container(buf_slice(&bytes), deleted, &container_again) == 0);
		listing_encode_container(&again, container_again.sequence, &container_again.row);
		assert(slice_equal(buf_slice(&bytes), buf_slice(&again)));
	}
	buf_release(&bytes);
	buf_release(&again);
}

static void check_info(struct arena *arena, struct slice input, enum listing_kind kind)
{
	struct listing_info info = {.kind = kind}, info_again = {.kind = kind};
	struct buf bytes = BUF_INIT, again = BUF_INIT;
	if (listing_decode_info(input, kind, arena, &info) == 0) {
		listing_encode_info(&bytes, &info);
		assert(listing_decode_info(buf_slice(&bytes), kind, arena, &info_again) == 0);
		listing_encode_info(&again, &info_again);
		assert(slice_equal(buf_slice(&bytes), buf_slice(&again)));
	}
	buf_clear(&bytes);
	buf_clear(&again);
	if (listing_decode_numbers(input, &info) == 0) {
		assert(info.count_count <= LISTING_POLICIES_MAX);
		listing_encode_numbers(&bytes, &info);
		assert(listing_decode_numbers(buf_slice(&bytes), &info_again) == 0);
		listing_encode_numbers(&again, &info_again);
		assert(slice_equal(buf_slice(&bytes), buf_slice(&again)));
	}
	buf_release(&bytes);
	buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct slice input = slice_of((const char *)data + 1, size - 1);
	struct arena *arena = arena_new();
	switch (data[0] % 6) {
	case 0:
		check_object(arena, input);
		break;
	case 1:
		check_update(arena, input);
		break;
	case 2:
	case 3:
		check_row(input, data[0] % 6 == 3);
		break;
	default:
		check_info(arena, input, data[0] % 6 == 4 ? LISTING_ACCOUNT : LISTING_CONTAINER);
	}
	arena_free(arena);
	return 0;
}
