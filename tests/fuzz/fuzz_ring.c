/*
 * Ring files: an input that begins like gzip is unpacked first, any other is taken as a
 * decompressed file, so that the fuzzer gets past the checksum. A ring that is accepted must answer
 * for its first partitions and survive being written and read back.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/base/buf.h"
#include "ring/ring.h"
#include "ring/ring_private.h"

enum { PARTITIONS_ASKED_MAX = 64 };

static void ask(const struct ring *ring)
{
	const struct ring_device *primaries[RING_REPLICAS_MAX];
	uint32_t partitions = ring_partition_count(ring);
	for (uint32_t p = 0; p < partitions && p < PARTITIONS_ASKED_MAX; p++) {
		struct ring_handoffs handoffs;
		size_t count = ring_primaries(ring, p, primaries);
		assert(count >= 1);
		ring_handoffs_init(&handoffs, ring, p);
		while (ring_handoffs_next(&handoffs))
			count++;
		assert(count <= ring_device_count(ring));
		ring_handoffs_release(&handoffs);
	}
}

static void write_and_read(const struct ring *ring)
{
	struct buf stream = BUF_INIT, again = BUF_INIT;
	struct ring *copy;
	if (ring_encode_v1(ring, &stream) == 0) {
		int error = ring_decode(buf_slice(&stream), &copy, NULL);
		assert(error == 0);
		error = ring_encode_v1(copy, &again);
		assert(error == 0);
		assert(slice_equal(buf_slice(&stream), buf_slice(&again)));
		ring_unref(copy);
	}
	buf_release(&stream);
	buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_of((const char *)data, size);
	struct buf stream = BUF_INIT;
	struct ring *ring = NULL;
	char *error = NULL;
	int result = 0;
	if (slice_starts_with(input, SLICE_LITERAL("\x1f\x8b"))) {
		result = ring_gunzip(input, &stream, &error);
		input = buf_slice(&stream);
	}
	if (result == 0)
		result = ring_decode(input, &ring, &error);
	if (result == 0) {
		ask(ring);
		write_and_read(ring);
		ring_unref(ring);
	}
	assert((result < 0) == (error != NULL));
	free(error);
	buf_release(&stream);
	return 0;
}
