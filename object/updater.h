/*
 * The updater of one device: sends the container updates that the object server promised and could
 * not deliver, until every server of the container has them (Swift: object-updater). Entries are
 * never dropped, however old.
 *
 * It walks the device's to-do entries when it starts, every interval_ms, and soon after an update
 * was left, then at growing intervals for as long as some fail. Where updates go is asked of the
 * container ring alone. An entry that the object server is sending at the time is not touched
 * (object/update_board.h).
 */
#ifndef OBJECT_UPDATER_H
#define OBJECT_UPDATER_H

#include "lib/backend/backend.h"
#include "lib/store/device_set.h"
#include "object/update_board.h"
#include "object/update_send.h"

/* A container server. */
struct object_updater_node {
	const char *ip; /* without brackets */
	int port;
	const char *device;
};

struct object_updater_options {
	struct device_entry *device;
	struct update_board *board; /* the object server's */
	/*
	 * The primary servers of a container, on the replication network: fills in at most `max`
	 * nodes and the partition, returns how many. The texts must stay valid until the caller
	 * sleeps.
	 */
	size_t (*container_nodes)(void *argument, struct slice account, struct slice container,
		struct object_updater_node *ret_nodes, size_t max, uint32_t *ret_partition);
	void *argument;
	struct backend_timeouts timeouts;
	uint64_t interval_ms;     /* between walks when nothing fails */
	uint64_t retry_ms;        /* from a failure to the next walk; doubles up to interval_ms */
	size_t concurrency;       /* entries at once */
	uint64_t rate_per_second; /* entries; 0: no limit */
};

/* Swift's: every 300 s, 8 at once, 50 a second. */
extern const struct object_updater_options object_updater_options_default;

struct object_updater;

struct object_updater *object_updater_new(const struct object_updater_options *options);

/* Runs until object_updater_stop(): the function of a coroutine, with the updater as its argument.
 */
void co_object_updater_run(void *updater);

/* Asks it to end, which it does within the time-outs of what is under way. On its loop. */
void object_updater_stop(struct object_updater *updater);

/* True once co_object_updater_run() has nothing more to do with the updater; it may be freed then.
 * On its loop. */
bool object_updater_ended(const struct object_updater *updater);

/* After it has ended, or when it never ran. NULL is accepted. */
void object_updater_free(struct object_updater *updater);

struct object_updater_counts {
	uint64_t walks;
	uint64_t sent;     /* entries that all servers have confirmed */
	uint64_t failed;   /* attempts that left something to do */
	uint64_t pending;  /* entries that the last walk left */
	uint64_t walk_ms;  /* how long it took */
	int64_t walked_at; /* when it ended, in seconds since 1970; 0: there was none */
};
/* From any thread. */
void object_updater_counts(const struct object_updater *updater, struct object_updater_counts *ret_counts);

#endif
