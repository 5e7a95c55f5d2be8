#include "object/updater.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/co/co.h"
#include "object/object_store.h"

enum {
	BATCH_ENTRIES = 256,
	SENDS_MAX = 2, /* of one entry in one walk: a redirect is followed once */
};

struct object_updater {
	struct object_updater_options options;
	char user_agent[40];
	struct loop *loop;
	struct co_signal wake;
	struct loop_message message; /* asks the loop to raise `wake` */
	atomic_bool posted;          /* `message` is on its way */
	atomic_bool left;            /* something failed since the last walk */
	bool stopping;
	bool ended;
	uint64_t first_number; /* entries below are gone */
	uint64_t next_send_ms; /* the rate's clock */
	atomic_uint_least64_t walks;
	atomic_uint_least64_t sent;
	atomic_uint_least64_t failed;
	atomic_uint_least64_t pending;
	atomic_uint_least64_t walk_ms;
	atomic_int_least64_t walked_at;
};

const struct object_updater_options object_updater_options_default = {
	.timeouts = {.connect_ms = 500, .node_ms = 10000},
	.interval_ms = 300000,
	.retry_ms = 2000,
	.concurrency = 8,
	.rate_per_second = 50,
};

/* ---- waking ---- */

static void raise_wake(struct loop_message *message)
{
	struct object_updater *updater =
		(struct object_updater *)((char *)message - offsetof(struct object_updater, message));
	atomic_store(&updater->posted, false);
	co_signal_raise(&updater->wake);
}

/* The board's watcher: from any thread. */
static void update_left(void *argument)
{
	struct object_updater *updater = argument;
	if (!atomic_exchange(&updater->left, true) && !atomic_exchange(&updater->posted, true))
		loop_post(updater->loop, &updater->message);
}

/* Sleeps until the deadline, a stop, or (if `for_work`) until an update was left. */
static void co_rest(struct object_updater *updater, uint64_t deadline_ms, bool for_work)
{
	while (!updater->stopping && !(for_work && atomic_load(&updater->left)))
		if (co_signal_wait(&updater->wake, deadline_ms))
			break;
}

/* ---- reading entries ---- */

struct find_job {
	struct device *device;
	uint64_t from;
	uint64_t numbers[BATCH_ENTRIES];
	size_t count;
	int error;
};

static int take_number(uint64_t number, struct slice value, void *argument)
{
	(void)value;
	struct find_job *job = argument;
	job->numbers[job->count++] = number;
	return job->count == BATCH_ENTRIES;
}

static void find_entries(void *argument)
{
	struct find_job *job = argument;
	job->error = object_todo_walk(job->device, job->from, take_number, job);
	if (job->error > 0)
		job->error = 0;
}

struct read_job {
	struct device *device;
	struct arena *arena;
	uint64_t number;
	struct slice value;
	bool found;
	int error;
};

static int take_value(uint64_t number, struct slice value, void *argument)
{
	struct read_job *job = argument;
	job->found = number == job->number;
	if (job->found)
		job->value = arena_slice(job->arena, value);
	return 1;
}

static void read_entry(void *argument)
{
	struct read_job *job = argument;
	int result = object_todo_walk(job->device, job->number, take_value, job);
	job->error = result < 0 ? result : 0;
}

/* ---- one entry ---- */

enum outcome {
	OUTCOME_GONE, /* it was done meanwhile */
	OUTCOME_SENT,
	OUTCOME_LEFT,
};

static size_t find_targets(
	struct object_updater *updater, const struct object_update *update, struct update_target targets[])
{
	struct object_updater_node nodes[UPDATE_TARGETS_MAX];
	struct slice account, container;
	uint32_t partition = 0;
	object_update_target(update, &account, &container);
	size_t count = updater->options.container_nodes(
		updater->options.argument, account, container, nodes, UPDATE_TARGETS_MAX, &partition);
	const char *partition_text = arena_printf(update->arena, "%u", partition);
	for (size_t i = 0; i < count; i++)
		targets[i] = (struct update_target){arena_strdup(update->arena, nodes[i].ip), nodes[i].port,
			arena_strdup(update->arena, nodes[i].device), partition_text};
	return count;
}

/* Those that have not confirmed yet, to the front. */
static size_t keep_unconfirmed(const struct object_update *update, struct update_target targets[], size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++)
		if (!object_update_is_confirmed(update, targets[i].ip, targets[i].port, targets[i].device))
			targets[kept++] = targets[i];
	return kept;
}

static struct update_outcome co_send(struct object_updater *updater, struct object_update *update)
{
	struct update_target targets[UPDATE_TARGETS_MAX];
	struct update_answer answers[UPDATE_TARGETS_MAX];
	const struct update_send_options options = {
		.user_agent = updater->user_agent,
		.accept_redirect = true,
		.timeouts = updater->options.timeouts,
	};
	size_t all = find_targets(updater, update, targets);
	size_t count = keep_unconfirmed(update, targets, all);
	co_update_send(update, targets, count, &options, answers);
	struct update_outcome outcome = update_take_answers(update, targets, count, answers);
	/* without a ring nobody was told */
	outcome.confirmed &= all > 0;
	return outcome;
}

/* With the entry claimed; gives the claim up. */
static enum outcome co_deliver(struct object_updater *updater, struct object_update *update, uint64_t number)
{
	struct update_board *board = updater->options.board;
	struct device_entry *device = updater->options.device;
	struct update_outcome outcome = {.redirected = true};
	bool changed = false;
	for (int i = 0; i < SENDS_MAX && outcome.redirected; i++) {
		outcome = co_send(updater, update);
		changed |= outcome.changed;
	}
	if (outcome.confirmed)
		update_board_done(board, device, number);
	else if (changed)
		update_board_replace(board, device, number, update);
	else
		update_board_release(board, device, number);
	return outcome.confirmed ? OUTCOME_SENT : OUTCOME_LEFT;
}

/* Reads the claimed entry as it is now: whoever had it before may have finished it. */
static enum outcome co_read(
	struct object_updater *updater, struct arena *arena, uint64_t number, struct object_update *ret_update)
{
	struct device_entry *device = updater->options.device;
	struct read_job job = {.arena = arena, .number = number};
	if (device_entry_enter(device))
		return OUTCOME_LEFT;
	job.device = device_entry_device(device);
	co_offload(device_entry_pool(device), read_entry, &job);
	device_entry_leave(device);
	if (job.error)
		return OUTCOME_LEFT;
	if (!job.found)
		return OUTCOME_GONE;
	if (object_update_decode(job.value, arena, ret_update) == 0)
		return OUTCOME_SENT;
	log_error("device %s: update %llu cannot be read; it is left as it is", device_entry_name(device),
		(unsigned long long)number);
	return OUTCOME_LEFT;
}

static enum outcome co_update(struct object_updater *updater, uint64_t number)
{
	if (!update_board_claim(updater->options.board, updater->options.device, number))
		return OUTCOME_GONE;
	struct arena *arena = arena_new();
	struct object_update update;
	enum outcome outcome = co_read(updater, arena, number, &update);
	if (outcome == OUTCOME_SENT)
		outcome = co_deliver(updater, &update, number);
	else
		update_board_release(updater->options.board, updater->options.device, number);
	arena_free(arena);
	return outcome;
}

/* ---- a walk ---- */

/* Entries of one batch, worked off by several coroutines. */
struct batch {
	struct object_updater *updater;
	struct find_job find;
	size_t next;
	size_t workers;
	struct co_signal done; /* raised by the last worker */
	uint64_t left;
};

/* Keeps to the rate: each entry takes the next slot of time. */
static void co_pace(struct object_updater *updater)
{
	uint64_t rate = updater->options.rate_per_second;
	if (rate == 0)
		return;
	uint64_t now = loop_now_ms();
	uint64_t slot = updater->next_send_ms > now ? updater->next_send_ms : now;
	updater->next_send_ms = slot + (1000 + rate - 1) / rate;
	if (slot > now)
		co_sleep_ms(slot - now);
}

static void co_work(void *argument)
{
	struct batch *batch = argument;
	struct object_updater *updater = batch->updater;
	while (batch->next < batch->find.count && !updater->stopping) {
		uint64_t number = batch->find.numbers[batch->next++];
		co_pace(updater);
		enum outcome outcome = co_update(updater, number);
		atomic_fetch_add(&updater->sent, outcome == OUTCOME_SENT);
		atomic_fetch_add(&updater->failed, outcome == OUTCOME_LEFT);
		batch->left += outcome == OUTCOME_LEFT;
	}
	if (--batch->workers == 0)
		co_signal_raise(&batch->done);
}

static void co_work_off(struct batch *batch)
{
	size_t workers = batch->updater->options.concurrency;
	if (workers > batch->find.count)
		workers = batch->find.count;
	batch->next = 0;
	batch->workers = workers ? workers : 1;
	for (size_t i = 0, count = batch->workers; i < count; i++)
		co_start(co_work, batch);
	while (batch->workers)
		(void)co_signal_wait(&batch->done, CO_FOREVER);
}

static int co_find(struct batch *batch, uint64_t from)
{
	struct device_entry *device = batch->updater->options.device;
	if (device_entry_enter(device))
		return -ENODEV;
	batch->find.device = device_entry_device(device);
	batch->find.from = from;
	batch->find.count = 0;
	co_offload(device_entry_pool(device), find_entries, &batch->find);
	device_entry_leave(device);
	return batch->find.error;
}

/*
 * Starts at the first entry that the last walk saw, not at 0: what the database keeps of removed
 * entries would have to be passed again and again. Numbers only grow.
 */
static uint64_t co_walk(struct object_updater *updater)
{
	struct batch *batch = xcalloc(1, sizeof(*batch));
	batch->updater = updater;
	bool first = true;
	uint64_t start_ms = loop_now_ms();
	uint64_t from = updater->first_number;
	int error;
	while (!(error = co_find(batch, from)) && batch->find.count && !updater->stopping) {
		if (first)
			updater->first_number = batch->find.numbers[0];
		first = false;
		from = batch->find.numbers[batch->find.count - 1] + 1;
		co_work_off(batch);
		if (batch->find.count < BATCH_ENTRIES)
			break;
	}
	/* a device that is out of service may hold promises */
	uint64_t left = batch->left + (error != 0);
	free(batch);
	atomic_store(&updater->pending, left);
	atomic_store(&updater->walk_ms, loop_now_ms() - start_ms);
	atomic_store(&updater->walked_at, (int64_t)time(NULL));
	atomic_fetch_add(&updater->walks, 1);
	return left;
}

/* ---- the coroutine ---- */

void co_object_updater_run(void *argument)
{
	struct object_updater *updater = argument;
	const struct object_updater_options *options = &updater->options;
	uint64_t retry_ms = options->retry_ms;
	updater->loop = loop_current();
	update_board_watch(options->board, options->device, update_left, updater);
	while (!updater->stopping) {
		/* cleared before the walk, so that what is left during it is seen by the next one
		 */
		atomic_store(&updater->left, false);
		uint64_t left = co_walk(updater);
		if (left) {
			co_rest(updater, deadline_after_ms(retry_ms), false);
			retry_ms = retry_ms * 2 < options->interval_ms ? retry_ms * 2 : options->interval_ms;
			continue;
		}
		retry_ms = options->retry_ms;
		co_rest(updater, deadline_after_ms(options->interval_ms), true);
		if (atomic_load(&updater->left))
			co_rest(updater, deadline_after_ms(retry_ms), false);
	}
	update_board_unwatch(options->board, options->device);
	/* a message that is on its way still points here */
	while (atomic_load(&updater->posted))
		co_yield ();
	updater->ended = true;
}

struct object_updater *object_updater_new(const struct object_updater_options *options)
{
	struct object_updater *updater = xcalloc(1, sizeof(*updater));
	updater->options = *options;
	updater->message.call = raise_wake;
	(void)snprintf(updater->user_agent, sizeof(updater->user_agent), "object-updater %ld", (long)getpid());
	return updater;
}

void object_updater_stop(struct object_updater *updater)
{
	updater->stopping = true;
	co_signal_raise(&updater->wake);
}

bool object_updater_ended(const struct object_updater *updater)
{
	return updater->ended;
}

void object_updater_free(struct object_updater *updater)
{
	free(updater);
}

void object_updater_counts(const struct object_updater *updater, struct object_updater_counts *ret_counts)
{
	*ret_counts = (struct object_updater_counts){
		.walks = atomic_load(&updater->walks),
		.sent = atomic_load(&updater->sent),
		.failed = atomic_load(&updater->failed),
		.pending = atomic_load(&updater->pending),
		.walk_ms = atomic_load(&updater->walk_ms),
		.walked_at = atomic_load(&updater->walked_at),
	};
}
