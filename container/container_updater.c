/*
 * The container-updater: keeps the promises of container_changes.c. A pass walks the promises of
 * every device and reports containers to the servers of their accounts, several at once; what fails
 * is tried again in a later pass.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "container/container_private.h"
#include "lib/base/log.h"
#include "lib/base/recon.h"
#include "lib/store/co_device.h"

enum {
	BATCH_MAX = 64,      /* promises read at once */
	CONCURRENCY_MAX = 8, /* containers being reported at once */
};

enum outcome {
	OUTCOME_REPORTED, /* the account knows, the promise is recorded as kept */
	OUTCOME_NOTHING,  /* there was nothing to say */
	OUTCOME_LATER,
};

/* One batch of promises, worked off by several coroutines. */
struct batch {
	struct container_server *server;
	struct device_entry *entry;
	struct container_promise promises[BATCH_MAX];
	size_t count;
	size_t next;
	size_t workers;
	struct co_signal done; /* raised by the last worker */
	size_t reported;
	size_t later;
};

/* ---- accounts that are left alone for a while ---- */

static struct suppressed_account *suppression_slot(
	struct container_server *server, const unsigned char hash[HASH_PATH_BYTES])
{
	return &server->suppressed[hash[0] % SUPPRESSED_ACCOUNTS_MAX];
}

static bool is_suppressed(struct container_server *server, const unsigned char hash[HASH_PATH_BYTES])
{
	const struct suppressed_account *slot = suppression_slot(server, hash);
	return memcmp(slot->hash, hash, HASH_PATH_BYTES) == 0 && loop_now_ms() < slot->until_ms;
}

static void suppress(struct container_server *server, const unsigned char hash[HASH_PATH_BYTES])
{
	struct suppressed_account *slot = suppression_slot(server, hash);
	memcpy(slot->hash, hash, HASH_PATH_BYTES);
	slot->until_ms = deadline_after_ms(server->options.account_suppression_ms);
}

/* ---- one container ---- */

static bool needs_report(const struct listing_info *info)
{
	struct listing_policy_count count = listing_count_of(info, info->policy);
	/* Made by an early object row: the account hears of it with its PUT. */
	if (timestamp_is_zero(info->put_timestamp))
		return false;
	return timestamp_compare(info->put_timestamp, info->reported_put_timestamp) != 0 ||
	       timestamp_compare(info->delete_timestamp, info->reported_delete_timestamp) != 0 ||
	       count.objects != info->reported_object_count || count.bytes != info->reported_bytes_used;
}

static enum outcome co_send(
	struct container_server *server, const struct listing_info *info, const unsigned char account_hash[])
{
	const struct container_server_options *options = &server->options;
	struct account_node nodes[ACCOUNT_NODES_MAX];
	uint32_t partition = 0;
	char partition_text[16];
	size_t count = options->account_nodes(options->argument, info->account, nodes, ACCOUNT_NODES_MAX, &partition);
	snprintf(partition_text, sizeof(partition_text), "%u", partition);
	struct account_update update = {
		.info = info,
		.partition = partition_text,
		.user_agent = server->updater_user_agent,
		.override_deleted = true,
		.timeouts = options->account_timeouts,
	};
	struct account_update_result result = co_account_update(&update, nodes, count);
	if (count && result.successes >= count / 2 + 1)
		return OUTCOME_REPORTED;
	if (count && result.missing == count && listing_is_deleted(info))
		return OUTCOME_NOTHING;
	log_warning("the servers of account %.*s could not be told about container %.*s; trying "
		    "again in %llu s",
		SLICE_PRINT(info->account), SLICE_PRINT(info->container),
		(unsigned long long)options->account_suppression_ms / 1000);
	suppress(server, account_hash);
	return OUTCOME_LATER;
}

static enum outcome co_report_info(struct container_server *server, const struct listing_info *info)
{
	unsigned char account_hash[HASH_PATH_BYTES];
	if (!needs_report(info))
		return OUTCOME_NOTHING;
	hash_path(server->options.hash_path, info->account, SLICE_NONE, SLICE_NONE, account_hash);
	if (is_suppressed(server, account_hash))
		return OUTCOME_LATER;
	return co_send(server, info, account_hash);
}

static enum outcome co_report(struct batch *batch, const struct container_promise *promise)
{
	struct arena *arena = arena_new();
	struct listing_info info;
	enum outcome outcome = OUTCOME_NOTHING;
	int error = co_server_listing_read(batch->entry, LISTING_CONTAINER, promise->hash, arena, &info);
	if (!error)
		outcome = co_report_info(batch->server, &info);
	else if (error != -ENOENT)
		outcome = OUTCOME_LATER;
	struct container_report report = {.number = promise->number, .sent = outcome == OUTCOME_REPORTED};
	memcpy(report.reported.hash, promise->hash, sizeof(report.reported.hash));
	if (report.sent) {
		struct listing_policy_count count = listing_count_of(&info, info.policy);
		report.reported.put_timestamp = info.put_timestamp;
		report.reported.delete_timestamp = info.delete_timestamp;
		report.reported.object_count = count.objects;
		report.reported.bytes_used = count.bytes;
	}
	arena_free(arena);
	if (outcome != OUTCOME_LATER &&
		co_device_commit(device_entry_device(batch->entry), container_change_reported, &report) < 0)
		outcome = OUTCOME_LATER;
	return outcome;
}

/* ---- a device ---- */

static void co_work(void *argument)
{
	struct batch *batch = argument;
	while (batch->next < batch->count && !batch->server->stopping) {
		const struct container_promise *promise = &batch->promises[batch->next++];
		enum outcome outcome = co_report(batch, promise);
		batch->reported += outcome == OUTCOME_REPORTED;
		batch->later += outcome == OUTCOME_LATER;
	}
	if (--batch->workers == 0)
		co_signal_raise(&batch->done);
}

static void co_work_off(struct batch *batch)
{
	size_t workers = batch->count < CONCURRENCY_MAX ? batch->count : CONCURRENCY_MAX;
	batch->next = 0;
	batch->workers = workers;
	for (size_t i = 0; i < workers; i++)
		co_start(co_work, batch);
	while (batch->workers)
		(void)co_signal_wait(&batch->done, CO_FOREVER);
}

struct find_job {
	struct batch *batch;
	const unsigned char *after;
	int error;
};

static void run_find(void *argument)
{
	struct find_job *job = argument;
	struct batch *batch = job->batch;
	job->error = container_promises(
		device_entry_device(batch->entry), job->after, batch->promises, BATCH_MAX, &batch->count);
}

static int co_find(struct batch *batch, const unsigned char *after)
{
	struct find_job job = {.batch = batch, .after = after};
	co_offload(device_entry_pool(batch->entry), run_find, &job);
	return job.error;
}

/* With the device entered. */
static int co_pass_device(struct batch *batch)
{
	unsigned char after[HASH_PATH_BYTES];
	int error = co_find(batch, NULL);
	while (!error && batch->count && !batch->server->stopping) {
		memcpy(after, batch->promises[batch->count - 1].hash, sizeof(after));
		bool more = batch->count == BATCH_MAX;
		co_work_off(batch);
		batch->count = 0;
		if (more)
			error = co_find(batch, after);
	}
	return error;
}

void co_container_updater_pass(struct container_server *server, size_t *ret_reported, size_t *ret_remaining)
{
	struct device_set *devices = server->options.devices;
	size_t reported = 0;
	size_t remaining = 0;
	for (size_t i = 0; i < device_set_count(devices) && !server->stopping; i++) {
		struct batch batch = {.server = server, .entry = device_set_at(devices, i)};
		/* A device that is out of service may hold promises: it counts as one. */
		bool failed = device_entry_enter(batch.entry) < 0;
		if (!failed) {
			failed = co_pass_device(&batch) < 0;
			device_entry_leave(batch.entry);
		}
		reported += batch.reported;
		remaining += batch.later + failed;
	}
	*ret_reported = reported;
	*ret_remaining = remaining;
}

/* ---- the coroutine ---- */

static void co_timed_pass(struct container_server *server, size_t *ret_remaining)
{
	size_t reported;
	uint64_t start_ms = loop_now_ms();
	co_container_updater_pass(server, &reported, ret_remaining);
	recon_put_number("container", "container_updater_sweep", (double)(loop_now_ms() - start_ms) / 1000);
}

void co_container_updater_run(struct container_server *server)
{
	size_t remaining = 0;
	while (!server->stopping) {
		/* Cleared before the walk, so that what comes during it is seen by the next one. */
		bool changed = atomic_exchange(&server->changed, false);
		if (server->options.account_nodes && (changed || remaining))
			co_timed_pass(server, &remaining);
		uint64_t deadline_ms = deadline_after_ms(server->options.update_interval_ms);
		while (!server->stopping && co_signal_wait(&server->wake, deadline_ms) == 0)
			;
	}
}

void container_updater_stop(struct container_server *server)
{
	server->stopping = true;
	co_signal_raise(&server->wake);
}
