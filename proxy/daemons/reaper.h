/*
 * The account reaper: empties accounts that were deleted (swift/account/reaper.py): the objects of each container, then
 * the container; the account itself stays as a deleted database. Deleting an account only marks it; until delay_ms has
 * gone by the contents are there for an operator to bring back.
 *
 * There is no single point: it looks at the accounts of the devices of this process. A container belongs to one of the
 * account's primaries, by the hash of its name; another primary does it when it is still there takeover_ms later. To do
 * it twice is harmless.
 */
#ifndef PROXY_DAEMONS_REAPER_H
#define PROXY_DAEMONS_REAPER_H

#include <stdint.h>

#include "lib/store/device_set.h"
#include "lib/swift/timestamp.h"

struct proxy;
struct reaper;

struct reaper_options {
	struct proxy *proxy;
	struct device_set *devices;
	uint64_t interval_ms;
	uint64_t delay_ms;
	uint64_t warn_after_ms;
	uint64_t takeover_ms;
	size_t concurrency; /* objects at once; containers: the square root of it */
};

/* What the options point to must live as long as it does. */
struct reaper *reaper_new(const struct reaper_options *options);
/* It must have ended. NULL is accepted. */
void reaper_free(struct reaper *reaper);

/* A co_function: passes until reaper_stop(); the first one begins within an interval, at random. */
void co_reaper_run(void *reaper);
void reaper_stop(struct reaper *reaper);

struct reaper_counts {
	uint64_t accounts; /* that were worked on */
	uint64_t objects;
	uint64_t containers;
	uint64_t objects_failed; /* they are tried again in the next pass */
	uint64_t containers_failed;
};

/* One pass over the accounts whose time has come at `now`. */
void co_reaper_pass(struct reaper *reaper, struct timestamp now, struct reaper_counts *ret_counts);

#endif
