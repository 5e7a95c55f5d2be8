#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/base/metrics.h"
#include "tools/status_private.h"
#include "tools/version.h"

/* The figures of one device, or what is known without them. */
struct seen {
	const char *name;
	enum device_state state;
	bool known;
	struct device_figures figures;
	size_t requests;
	size_t jobs;
	bool has_updater;
	struct status_updater updater;
};

static uint64_t size_of(const struct seen *seen)
{
	return seen->figures.size_bytes;
}

static uint64_t available_of(const struct seen *seen)
{
	return seen->figures.available_bytes;
}

static uint64_t quarantined_of(const struct seen *seen)
{
	return seen->figures.quarantined;
}

static uint64_t changes_of(const struct seen *seen)
{
	return seen->figures.changes;
}

static uint64_t queued_of(const struct seen *seen)
{
	return seen->figures.queued;
}

static const struct {
	const char *name;
	enum metric_kind kind;
	const char *help;
	uint64_t (*get)(const struct seen *seen);
} simple[] = {
	{"swiftlet_device_size_bytes", METRIC_GAUGE, "Size of the device's file system.", size_of},
	{"swiftlet_device_available_bytes", METRIC_GAUGE, "Bytes that are free on it.", available_of},
	{"swiftlet_device_quarantined_objects", METRIC_GAUGE, "Objects that were set aside as damaged.",
		quarantined_of},
	{"swiftlet_device_changes_total", METRIC_COUNTER, "Changes that were committed since the device was opened.",
		changes_of},
	{"swiftlet_device_commit_queue_changes", METRIC_GAUGE, "Changes that wait for the committer.", queued_of},
};

static const struct {
	enum device_property property;
	const char *name;
	enum metric_kind kind;
	const char *help;
} properties[] = {
	{DEVICE_PROPERTY_MEMTABLE_BYTES, "swiftlet_rocksdb_memtable_bytes", METRIC_GAUGE,
		"Memory of what is committed and not in tables yet."},
	{DEVICE_PROPERTY_TABLE_BYTES, "swiftlet_rocksdb_table_bytes", METRIC_GAUGE, "Bytes of live tables."},
	{DEVICE_PROPERTY_BLOB_BYTES, "swiftlet_rocksdb_blob_bytes", METRIC_GAUGE,
		"Bytes of live blob files (small bodies)."},
	{DEVICE_PROPERTY_KEYS, "swiftlet_rocksdb_keys", METRIC_GAUGE, "Keys, as the database estimates."},
	{DEVICE_PROPERTY_COMPACTION_BYTES, "swiftlet_rocksdb_pending_compaction_bytes", METRIC_GAUGE,
		"Bytes that compaction has yet to rewrite, as the database estimates."},
	{DEVICE_PROPERTY_COMPACTIONS, "swiftlet_rocksdb_running_compactions", METRIC_GAUGE,
		"Compactions that are under way."},
	{DEVICE_PROPERTY_FLUSHES, "swiftlet_rocksdb_running_flushes", METRIC_GAUGE,
		"Memtables that are being written to tables."},
	{DEVICE_PROPERTY_WRITE_STOPPED, "swiftlet_rocksdb_write_stopped", METRIC_GAUGE,
		"1 while writes stand still because compaction is behind."},
	{DEVICE_PROPERTY_WRITE_RATE, "swiftlet_rocksdb_delayed_write_bytes_per_second", METRIC_GAUGE,
		"What writes are slowed down to because compaction is behind; 0: they are not."},
	{DEVICE_PROPERTY_ERRORS, "swiftlet_rocksdb_background_errors", METRIC_GAUGE,
		"Errors of flushes and compactions since the device was opened."},
};

/* ---- reading ---- */

static struct seen *look(const struct status *status, size_t count)
{
	struct seen *seen = xcalloc(count, sizeof(*seen));
	for (size_t i = 0; i < count; i++) {
		struct device_entry *entry = device_set_at(status->options.devices, i);
		seen[i].name = device_entry_name(entry);
		seen[i].state = device_entry_state(entry);
		seen[i].known = device_watch_get(status->watch, i, &seen[i].figures);
		seen[i].requests = device_entry_requests(entry);
		seen[i].jobs = pool_load(device_entry_pool(entry));
		seen[i].has_updater = status_updater_at(status, i, &seen[i].updater);
	}
	return seen;
}

/* ---- writing ---- */

static void write_states(struct buf *text, const struct seen *seen, size_t count)
{
	static const char name[] = "swiftlet_device_state";
	metrics_write_family(text, name, METRIC_GAUGE,
		"1 for the state that the device is in: usable, full (no new bytes), unmounted, failed.");
	for (size_t i = 0; i < count; i++)
		for (int state = DEVICE_USABLE; state <= DEVICE_FULL; state++) {
			const char *labels[] = {
				"device", seen[i].name, "state", status_state_name((enum device_state)state), NULL};
			metrics_write_sample(text, name, labels, seen[i].state == (enum device_state)state);
		}
}

static void write_loads(struct buf *text, const struct seen *seen, size_t count)
{
	metrics_write_family(text, "swiftlet_device_requests", METRIC_GAUGE,
		"Requests, and background work, that use the device now.");
	for (size_t i = 0; i < count; i++)
		metrics_write_sample(text, "swiftlet_device_requests",
			(const char *const[]){"device", seen[i].name, NULL}, (double)seen[i].requests);
	metrics_write_family(text, "swiftlet_device_queue_jobs", METRIC_GAUGE,
		"Reads and writes that wait for, or are in, the device's threads.");
	for (size_t i = 0; i < count; i++)
		metrics_write_sample(text, "swiftlet_device_queue_jobs",
			(const char *const[]){"device", seen[i].name, NULL}, (double)seen[i].jobs);
}

static void write_simple(struct buf *text, const struct seen *seen, size_t count)
{
	for (size_t metric = 0; metric < sizeof(simple) / sizeof(simple[0]); metric++) {
		metrics_write_family(text, simple[metric].name, simple[metric].kind, simple[metric].help);
		for (size_t i = 0; i < count; i++)
			if (seen[i].known)
				metrics_write_sample(text, simple[metric].name,
					(const char *const[]){"device", seen[i].name, NULL},
					(double)simple[metric].get(&seen[i]));
	}
}

static void write_commits(struct buf *text, const struct seen *seen, size_t count)
{
	static const char sizes[] = "swiftlet_device_commit_batch_changes";
	static const char seconds[] = "swiftlet_device_commit_seconds";
	metrics_write_family(text, sizes, METRIC_HISTOGRAM, "Changes that shared one commit (group commit).");
	for (size_t i = 0; i < count; i++)
		if (seen[i].known)
			metrics_write_histogram(text, sizes, (const char *const[]){"device", seen[i].name, NULL},
				&seen[i].figures.batch_sizes, METRIC_UNIT_ONE);
	metrics_write_family(text, seconds, METRIC_HISTOGRAM, "Writing and syncing a commit.");
	for (size_t i = 0; i < count; i++)
		if (seen[i].known)
			metrics_write_histogram(text, seconds, (const char *const[]){"device", seen[i].name, NULL},
				&seen[i].figures.sync_seconds, METRIC_UNIT_SECONDS);
}

static void write_properties(struct buf *text, const struct seen *seen, size_t count)
{
	for (size_t metric = 0; metric < sizeof(properties) / sizeof(properties[0]); metric++) {
		const char *name = properties[metric].name;
		metrics_write_family(text, name, properties[metric].kind, properties[metric].help);
		for (size_t i = 0; i < count; i++)
			if (seen[i].known)
				metrics_write_sample(text, name, (const char *const[]){"device", seen[i].name, NULL},
					(double)seen[i].figures.properties[properties[metric].property]);
	}
}

static void write_updaters(struct buf *text, const struct seen *seen, size_t count)
{
	static const char pending[] = "swiftlet_updater_pending_updates";
	static const char updates[] = "swiftlet_updater_updates_total";
	metrics_write_family(text, pending, METRIC_GAUGE,
		"Listing updates that the last walk of the device's updater could not deliver.");
	for (size_t i = 0; i < count; i++)
		if (seen[i].has_updater)
			metrics_write_sample(text, pending, (const char *const[]){"device", seen[i].name, NULL},
				(double)seen[i].updater.pending);
	metrics_write_family(text, updates, METRIC_COUNTER, "Listing updates that the updater tried to deliver.");
	for (size_t i = 0; i < count; i++) {
		if (!seen[i].has_updater)
			continue;
		metrics_write_sample(text, updates,
			(const char *const[]){"device", seen[i].name, "result", "sent", NULL},
			(double)seen[i].updater.sent);
		metrics_write_sample(text, updates,
			(const char *const[]){"device", seen[i].name, "result", "failed", NULL},
			(double)seen[i].updater.failed);
	}
}

static void write_build(struct buf *text)
{
	static const char name[] = "swiftlet_build_info";
	metrics_write_family(text, name, METRIC_GAUGE, "Always 1; its label has the version.");
	metrics_write_sample(text, name, (const char *const[]){"version", SWIFTLET_VERSION, NULL}, 1);
}

void status_collect_devices(void *argument, struct buf *text)
{
	const struct status *status = argument;
	write_build(text);
	size_t count = status_device_count(status);
	if (!count)
		return;
	struct seen *seen = look(status, count);
	write_states(text, seen, count);
	write_loads(text, seen, count);
	write_simple(text, seen, count);
	write_commits(text, seen, count);
	write_properties(text, seen, count);
	write_updaters(text, seen, count);
	free(seen);
	static const char cache[] = "swiftlet_rocksdb_block_cache_bytes";
	metrics_write_family(text, cache, METRIC_GAUGE, "Memory of the block cache in use, all devices together.");
	metrics_write_sample(text, cache, NULL, (double)device_watch_cache_bytes(status->watch));
}
