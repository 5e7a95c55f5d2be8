#include "lib/store/device_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"

enum {
	LOG_LEVEL_FATAL_ONLY = 4,
	READ_TIER_CACHE = 1,            /* kBlockCacheTier */
	BOTTOMMOST_FORCE_OPTIMIZED = 3, /* BottommostLevelCompaction::kForceOptimized */
	CACHE_BYTES_DEFAULT = 16 << 20,
	CACHE_SHARD_BITS = 4,
	BUFFER_BYTES_DEFAULT = 16 << 20, /* memtables of all families together */
	BUFFER_ARENA_BYTES = 256 << 10,
	LOG_BYTES_MAX = 64 << 20, /* bounds how long an open replays */
	OPEN_FILES_MAX = 256,
	BACKGROUND_THREADS_MAX = 16,
	BLOOM_BITS = 10,
	/* A table with more deletions than that among so many keys in a row is compacted as soon as possible: a listing
	   would have to step over each of them, once the rows of a range were deleted. */
	DELETED_WINDOW = 2048,
	DELETED_IN_WINDOW_MAX = 1024,
	BLOB_BYTES_MIN = 1024,
	BLOB_FILE_BYTES = 64 << 20,
	BODY_TABLE_BYTES =
		4 << 20, /* of keys alone: some hundred thousand bodies are one step of device_collect_garbage() */
};

static const char *const family_names[DATABASE_FAMILY_COUNT] = {
	[DEVICE_OBJECTS] = "objects",
	[DEVICE_BODIES] = "bodies",
	[DEVICE_CONTAINERS] = "containers",
	[DEVICE_ACCOUNTS] = "accounts",
	[DEVICE_TODO] = "todo",
	[DATABASE_OWN_FAMILY] = "default",
};

/* Of a memtable's size: some 10 bits for each record of 100 bytes. */
static const double MEMTABLE_FILTER_SHARE = 0.015;

/* Devices open in this process: all share RocksDB's default environment and its two thread pools.
 */
static _Atomic int open_count;

/*
 * One thread for each device in either pool, so that one hung disk cannot keep the flushes of the
 * others waiting. RocksDB starts them when there is work and caps the jobs of one database at
 * max_background_jobs.
 */
static void size_thread_pools(int devices)
{
	int threads = devices < BACKGROUND_THREADS_MAX ? devices : BACKGROUND_THREADS_MAX;
	rocksdb_env_t *env = rocksdb_create_default_env();
	rocksdb_env_set_background_threads(env, threads);
	rocksdb_env_set_high_priority_background_threads(env, threads);
	rocksdb_env_destroy(env);
}

struct device_cache {
	rocksdb_cache_t *cache;
};

struct device_cache *device_cache_new(uint64_t bytes)
{
	rocksdb_lru_cache_options_t *options = rocksdb_lru_cache_options_create();
	rocksdb_lru_cache_options_set_capacity(options, bytes);
	rocksdb_lru_cache_options_set_num_shard_bits(options, CACHE_SHARD_BITS);
	struct device_cache *cache = xcalloc(1, sizeof(*cache));
	cache->cache = rocksdb_cache_create_lru_opts(options);
	rocksdb_lru_cache_options_destroy(options);
	return cache;
}

void device_cache_resize(struct device_cache *cache, uint64_t bytes)
{
	rocksdb_cache_set_capacity(cache->cache, bytes);
}

void device_cache_free(struct device_cache *cache)
{
	if (!cache)
		return;
	rocksdb_cache_destroy(cache->cache);
	free(cache);
}

/* Index and filters live in the block cache too, in partitions: memory stays bounded however much
 * the disk holds. */
static void set_table_format(rocksdb_options_t *options, rocksdb_cache_t *cache)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	rocksdb_block_based_options_set_format_version(table, 5);
	rocksdb_block_based_options_set_block_cache(table, cache);
	rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
	rocksdb_block_based_options_set_whole_key_filtering(table, 1);
	rocksdb_block_based_options_set_index_type(table, rocksdb_block_based_table_index_type_two_level_index_search);
	rocksdb_block_based_options_set_partition_filters(table, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
	rocksdb_block_based_options_set_pin_top_level_index_and_filter(table, 1);
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
}

/*
 * Values of DEVICE_BODIES stay where a flush put them; compaction moves keys only. Keys are body numbers and thus arrive
 * in order, so files hardly overlap. Values are copied by device_collect_garbage() alone: RocksDB itself would copy
 * the older ones in each compaction, whether much or nothing is won by that.
 */
static void set_blob_files(rocksdb_options_t *options, rocksdb_cache_t *cache)
{
	rocksdb_options_set_enable_blob_files(options, 1);
	rocksdb_options_set_min_blob_size(options, BLOB_BYTES_MIN);
	rocksdb_options_set_blob_file_size(options, BLOB_FILE_BYTES);
	rocksdb_options_set_blob_compression_type(options, rocksdb_no_compression);
	rocksdb_options_set_enable_blob_gc(options, 1);
	rocksdb_options_set_blob_gc_age_cutoff(options, 0);
	rocksdb_options_set_target_file_size_base(options, BODY_TABLE_BYTES);
	rocksdb_options_set_blob_cache(options, cache);
	rocksdb_options_set_compression(options, rocksdb_no_compression);
}

/* Whether a key is new is what each change of an object or row asks first: most memtables say no without a search. */
static void set_memtable_filter(rocksdb_options_t *options)
{
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, MEMTABLE_FILTER_SHARE);
	rocksdb_options_set_memtable_whole_key_filtering(options, 1);
}

static rocksdb_options_t *family_options(int family, rocksdb_cache_t *cache, uint64_t buffer_bytes)
{
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_options_set_write_buffer_size(options, buffer_bytes);
	rocksdb_options_set_arena_block_size(options, BUFFER_ARENA_BYTES);
	rocksdb_options_set_max_write_buffer_number(options, 3);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
	rocksdb_options_set_compression(options, rocksdb_lz4_compression);
	set_table_format(options, cache);
	if (family == DEVICE_BODIES)
		set_blob_files(options, cache);
	if (family == DEVICE_OBJECTS || family == DEVICE_CONTAINERS)
		set_memtable_filter(options);
	rocksdb_options_add_compact_on_deletion_collector_factory(options, DELETED_WINDOW, DELETED_IN_WINDOW_MAX);
	return options;
}

/*
 * Recovery is point-in-time: a power cut tears the unsynced tail of the log in any order of pages,
 * which looks like rot in the middle, so refusing to open on that (tolerate_corrupted_tail) would
 * leave a whole rack of disks waiting for an operator after each outage. What is behind the tear
 * was never acknowledged, because each batch is synced first. Recycled logs would break that
 * reasoning and are off.
 */
static void set_log_and_safety(rocksdb_options_t *options)
{
	rocksdb_options_set_paranoid_checks(options, 1);
	rocksdb_options_set_wal_recovery_mode(options, rocksdb_point_in_time_recovery);
	rocksdb_options_set_recycle_log_file_num(options, 0);
	rocksdb_options_set_max_total_wal_size(options, LOG_BYTES_MAX);
	/* Debian's RocksDB has its asserts on and aborts when its own log meets EIO: let it write
	 * nothing there. */
	rocksdb_options_set_info_log_level(options, LOG_LEVEL_FATAL_ONLY);
	rocksdb_options_set_max_log_file_size(options, 1 << 20);
	rocksdb_options_set_keep_log_file_num(options, 2);
	rocksdb_options_set_stats_dump_period_sec(options, 0);
	rocksdb_options_set_stats_persist_period_sec(options, 0);
}

static void set_database_options(rocksdb_options_t *options, bool create, uint64_t buffer_bytes)
{
	rocksdb_options_set_create_if_missing(options, create);
	rocksdb_options_set_create_missing_column_families(options, 1);
	rocksdb_options_set_db_write_buffer_size(options, buffer_bytes);
	rocksdb_options_set_max_background_jobs(options, 2);
	rocksdb_options_set_max_open_files(options, OPEN_FILES_MAX);
	rocksdb_options_set_max_file_opening_threads(options, 2);
	rocksdb_options_set_bytes_per_sync(options, 1 << 20);
	set_log_and_safety(options);
}

int database_error(char *message)
{
	if (!message)
		return 0;
	bool incomplete = strncmp(message, "Result incomplete", strlen("Result incomplete")) == 0;
	rocksdb_free(message);
	return incomplete ? -EAGAIN : -EIO;
}

/* RocksDB's C API has no codes, only texts that end in strerror()'s words. */
static int open_error(const char *message)
{
	static const struct {
		const char *words;
		int error;
	} known[] = {
		{"While lock file", -EBUSY},
		{"lock hold by current process", -EBUSY},
		{"Read-only file system", -EROFS},
		{"No space left", -ENOSPC},
		{"does not exist (create_if_missing", -EINVAL},
		{"Column families not opened", -EINVAL},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strstr(message, known[i].words))
			return known[i].error;
	return -EIO;
}

static void make_options(struct device_database *database, const struct device_options *wanted)
{
	uint64_t buffer_bytes = wanted->buffer_bytes ? wanted->buffer_bytes : BUFFER_BYTES_DEFAULT;
	struct device_cache *own = wanted->cache ? NULL : device_cache_new(CACHE_BYTES_DEFAULT);
	rocksdb_cache_t *cache = own ? own->cache : wanted->cache->cache;
	for (int i = 0; i < DATABASE_FAMILY_COUNT; i++)
		database->options[i] = family_options(i, cache, buffer_bytes);
	device_cache_free(own);
	set_database_options(database->options[DATABASE_OWN_FAMILY], wanted->create, buffer_bytes);
}

int database_open(
	struct device_database *database, const char *path, const struct device_options *wanted, char **ret_error)
{
	size_thread_pools(atomic_fetch_add(&open_count, 1) + 1);
	make_options(database, wanted);
	rocksdb_options_t *options = database->options[DATABASE_OWN_FAMILY];
	database->read = rocksdb_readoptions_create();
	database->read_cached = rocksdb_readoptions_create();
	rocksdb_readoptions_set_read_tier(database->read_cached, READ_TIER_CACHE);
	database->write_synced = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(database->write_synced, 1);

	char *message = NULL;
	database->db = rocksdb_open_column_families(options, path, DATABASE_FAMILY_COUNT, family_names,
		(const rocksdb_options_t *const *)database->options, database->families, &message);
	if (!message)
		return 0;
	database->db = NULL;
	int error = open_error(message);
	*ret_error = xasprintf("%s: %s", path, message);
	rocksdb_free(message);
	return error;
}

uint64_t database_buffered_bytes(const struct device_database *database)
{
	uint64_t all = 0;
	for (int i = 0; i < DATABASE_FAMILY_COUNT; i++) {
		uint64_t bytes;
		if (rocksdb_property_int_cf(
			    database->db, database->families[i], "rocksdb.cur-size-all-mem-tables", &bytes) == 0)
			all += bytes;
	}
	return all;
}

/* A failure stops RocksDB's writing, so the next commit meets it and fails the device. */
void database_flush(struct device_database *database)
{
	rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
	rocksdb_flushoptions_set_wait(options, 1);
	for (int i = 0; i < DATABASE_FAMILY_COUNT; i++) {
		char *message = NULL;
		rocksdb_flush_cf(database->db, options, database->families[i], &message);
		(void)database_error(message);
	}
	rocksdb_flushoptions_destroy(options);
}

static uint64_t family_property(const struct device_database *database, enum device_family family, const char *property)
{
	uint64_t value = 0;
	(void)rocksdb_property_int_cf(database->db, database->families[family], property, &value);
	return value;
}

void database_blob_bytes(
	const struct device_database *database, enum device_family family, uint64_t *ret_all, uint64_t *ret_garbage)
{
	*ret_all = family_property(database, family, "rocksdb.live-blob-file-size");
	*ret_garbage = family_property(database, family, "rocksdb.live-blob-file-garbage-size");
}

void database_set_collecting(struct device_database *database, enum device_family family, bool collecting)
{
	const char *names[] = {"blob_garbage_collection_age_cutoff"};
	const char *values[] = {collecting ? "1.0" : "0.0"};
	char *message = NULL;
	rocksdb_set_options_cf(database->db, database->families[family], 1, names, values, &message);
	(void)database_error(message);
}

void database_collect(struct device_database *database, enum device_family family, struct slice from, struct slice to)
{
	rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();
	rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
	rocksdb_compactoptions_set_bottommost_level_compaction(options, BOTTOMMOST_FORCE_OPTIMIZED);
	rocksdb_compact_range_cf_opt(
		database->db, database->families[family], options, from.data, from.length, to.data, to.length);
	rocksdb_compactoptions_destroy(options);
}

void database_stop_collecting(struct device_database *database)
{
	rocksdb_disable_manual_compaction(database->db);
}

void database_close(struct device_database *database)
{
	if (!database->options[DATABASE_OWN_FAMILY])
		return;
	if (database->db) {
		rocksdb_cancel_all_background_work(database->db, 1);
		for (int i = 0; i < DATABASE_FAMILY_COUNT; i++)
			rocksdb_column_family_handle_destroy(database->families[i]);
		rocksdb_close(database->db);
	}
	for (int i = 0; i < DATABASE_FAMILY_COUNT; i++)
		rocksdb_options_destroy(database->options[i]);
	rocksdb_readoptions_destroy(database->read);
	rocksdb_readoptions_destroy(database->read_cached);
	rocksdb_writeoptions_destroy(database->write_synced);
	*database = (struct device_database){0};
	atomic_fetch_sub(&open_count, 1);
}
