/*
 * Swift's walk over the handoffs of a partition (Ring.get_more_nodes in swift/common/ring/ring.py),
 * one device a call.
 *
 * The walk has four passes: devices of a region that was not seen yet, of a zone, of a host, and
 * any device. Each pass visits the partitions start, start + increment, … up to the end and then a,
 * a + increment, … below the start, where a = increment - (N - start) mod increment, and looks at
 * the rows of each. A pass ends when nothing of its kind is missing. With increment 1 this leaves
 * out partition 0 unless it is the start: a quirk that all nodes share.
 */
#include "ring/ring.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "lib/base/memory.h"
#include "ring/ring_private.h"

enum { PASS_REGIONS, PASS_ZONES, PASS_HOSTS, PASS_DEVICES, PASS_END };

void ring_handoffs_init(struct ring_handoffs *handoffs, const struct ring *ring, uint32_t partition)
{
	assert(partition < ring->partition_count);
	handoffs->ring = ring;
	handoffs->partition = partition;
	handoffs->started = false;
	handoffs->marks = NULL;
}

void ring_handoffs_release(struct ring_handoffs *handoffs)
{
	if (handoffs->marks != handoffs->inline_marks)
		free(handoffs->marks);
	handoffs->marks = NULL;
}

/* Sets the mark and says whether it was new. */
static bool mark(struct ring_handoffs *handoffs, size_t at)
{
	uint64_t bit = (uint64_t)1 << (at % 64);
	bool fresh = !(handoffs->marks[at / 64] & bit);
	handoffs->marks[at / 64] |= bit;
	return fresh;
}

static bool marked(const struct ring_handoffs *handoffs, size_t at)
{
	return handoffs->marks[at / 64] >> (at % 64) & 1;
}

/* Where the mark of a device's region (pass 0), zone, host or of the device itself (pass 3) is
 * kept. */
static size_t mark_of(const struct ring *ring, uint32_t id, int pass)
{
	const struct ring_tiers *tiers = &ring->tiers[id];
	size_t zones = ring->tier_totals[0];
	size_t hosts = zones + ring->tier_totals[1];
	size_t devices = hosts + ring->tier_totals[2];
	switch (pass) {
	case PASS_REGIONS:
		return tiers->region;
	case PASS_ZONES:
		return zones + tiers->zone;
	case PASS_HOSTS:
		return hosts + tiers->host;
	default:
		return devices + id;
	}
}

static void mark_device(struct ring_handoffs *handoffs, uint32_t id)
{
	for (int pass = PASS_REGIONS; pass < PASS_END; pass++)
		if (mark(handoffs, mark_of(handoffs->ring, id, pass)))
			handoffs->missing[pass]--;
}

static void restart_walk(struct ring_handoffs *handoffs)
{
	handoffs->at = handoffs->start;
	handoffs->row = 0;
	handoffs->wrapped = false;
}

static uint32_t walk_start(const struct ring *ring, uint32_t partition)
{
	char text[16];
	unsigned char digest[EVP_MAX_MD_SIZE];
	int length = snprintf(text, sizeof(text), "%u", partition);
	int done = EVP_Digest(text, (size_t)length, digest, NULL, EVP_md5(), NULL);
	assert(done == 1);
	return ring_partition(ring, digest);
}

static void start_walk(struct ring_handoffs *handoffs)
{
	const struct ring *ring = handoffs->ring;
	size_t bits = (size_t)ring->tier_totals[0] + ring->tier_totals[1] + ring->tier_totals[2] + ring->device_count;
	size_t words = bits / 64 + 1;
	if (words > RING_HANDOFF_MARKS_INLINE) {
		handoffs->marks = xcalloc(words, sizeof(handoffs->marks[0]));
	} else {
		handoffs->marks = handoffs->inline_marks;
		memset(handoffs->marks, 0, words * sizeof(handoffs->marks[0]));
	}
	memcpy(handoffs->missing, ring->assigned_totals, sizeof(handoffs->missing));
	for (uint32_t row = 0; row < ring->row_count; row++) {
		uint32_t id = ring_slot(ring, handoffs->partition, row);
		if (id != RING_SLOT_NONE)
			mark_device(handoffs, id);
	}
	handoffs->start = walk_start(ring, handoffs->partition);
	handoffs->increment = ring->partition_count / 65536 ? ring->partition_count / 65536 : 1;
	handoffs->pass = PASS_REGIONS;
	handoffs->started = true;
	restart_walk(handoffs);
}

/* Goes to the next partition of the order; false at its end. */
static bool walk_on(struct ring_handoffs *handoffs)
{
	uint32_t count = handoffs->ring->partition_count, increment = handoffs->increment;
	handoffs->row = 0;
	uint64_t next = (uint64_t)handoffs->at + increment;
	if (!handoffs->wrapped && next >= count) {
		handoffs->wrapped = true;
		next = increment - (count - handoffs->start) % increment;
	}
	handoffs->at = (uint32_t)next;
	return !handoffs->wrapped || next < handoffs->start;
}

/* The next device of the current pass that was not used and is in a place not seen, or
 * RING_SLOT_NONE. */
static uint32_t next_of_pass(struct ring_handoffs *handoffs)
{
	const struct ring *ring = handoffs->ring;
	do {
		while (handoffs->row < ring->row_count) {
			uint32_t id = ring_slot(ring, handoffs->at, handoffs->row++);
			if (id != RING_SLOT_NONE && !marked(handoffs, mark_of(ring, id, handoffs->pass)))
				return id;
		}
	} while (walk_on(handoffs));
	return RING_SLOT_NONE;
}

const struct ring_device *ring_handoffs_next(struct ring_handoffs *handoffs)
{
	if (!handoffs->started)
		start_walk(handoffs);
	for (; handoffs->pass < PASS_END; handoffs->pass++, restart_walk(handoffs)) {
		if (handoffs->missing[handoffs->pass] == 0)
			continue;
		uint32_t id = next_of_pass(handoffs);
		if (id != RING_SLOT_NONE) {
			mark_device(handoffs, id);
			return handoffs->ring->devices[id];
		}
	}
	return NULL;
}
