/*
 * What a page of a listing and a change of a row cost in a large container, beside a small one: counted in what RocksDB
 * does for them, which no busy machine makes longer.
 */
#include "tests/unit/listing_fixture.h"

#include <rocksdb/c.h>

#include "lib/store/device_private.h"

#ifdef __SANITIZE_ADDRESS__
#define MANY 30000
#elif defined(__SANITIZE_THREAD__)
#define MANY 30000
#else
#define MANY 100000
#endif

enum { FEW = 1000, PAGE = 500, CHANGES_PER_COMMIT = 1000 };

struct rows {
	unsigned char hash[16];
	unsigned first;
	unsigned count;
	unsigned second; /* of their times */
	bool deleted;
	/* what the committer did for them */
	uint64_t comparisons;
	uint64_t blocks;
	uint64_t gets;
};

/* Names in no order, with rows of one database spread all over it. */
static void row_name(unsigned number, char name[24])
{
	(void)snprintf(name, 24, "%08x-%u", number * 0x9e3779b1U, number);
}

static int change_rows(struct device_txn *txn, void *argument)
{
	struct rows *rows = argument;
	rocksdb_perfcontext_t *counts = rocksdb_perfcontext_create();
	rocksdb_set_perf_level(rocksdb_enable_count);
	rocksdb_perfcontext_reset(counts);
	int error = 0;
	for (unsigned i = rows->first; i < rows->first + rows->count && !error; i++) {
		char name[24];
		row_name(i, name);
		struct listing_object_row item = {
			.name = slice_from(name),
			.row = {.data = at(rows->second),
				.content_type_time = at(rows->second),
				.meta = at(rows->second),
				.size = rows->deleted ? 0 : 4096,
				.content_type = SLICE_LITERAL("application/octet-stream"),
				.etag = SLICE_LITERAL("d41d8cd98f00b204e9800998ecf8427e"),
				.deleted = rows->deleted},
		};
		memcpy(item.hash, rows->hash, sizeof(item.hash));
		error = listing_put_object_row(txn, &item);
	}
	rows->comparisons = rocksdb_perfcontext_metric(counts, rocksdb_user_key_comparison_count);
	rows->blocks = rocksdb_perfcontext_metric(counts, rocksdb_block_cache_hit_count) +
		       rocksdb_perfcontext_metric(counts, rocksdb_block_read_count);
	rows->gets = rocksdb_perfcontext_metric(counts, rocksdb_get_from_memtable_count);
	rocksdb_perfcontext_destroy(counts);
	return error;
}

static void change_many(struct rows rows, unsigned end)
{
	for (; rows.first < end; rows.first += rows.count) {
		rows.count = end - rows.first < CHANGES_PER_COMMIT ? end - rows.first : CHANGES_PER_COMMIT;
		assert_int_equal(device_commit(device, change_rows, &rows), 0);
	}
}

static void make_container(unsigned count, struct rows *ret_rows)
{
	*ret_rows = (struct rows){.second = 2};
	fresh_hash(ret_rows->hash);
	(void)put(LISTING_CONTAINER, ret_rows->hash, 1);
	change_many(*ret_rows, count);
}

/* In tables, and in one of them as far as that goes: how far compaction has come is not what is compared. */
static void bring_to_rest(void)
{
	database_flush(&device->database);
	database_collect(&device->database, DEVICE_CONTAINERS, SLICE_LITERAL(""),
		SLICE_LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));
}

struct page_cost {
	uint64_t comparisons;
	uint64_t blocks;
	uint64_t skipped; /* deletions and old versions that were stepped over */
	uint64_t rows;
};

static int count_row(const struct listing_entry *entry, void *argument)
{
	(void)entry;
	((struct page_cost *)argument)->rows++;
	return 0;
}

/* A page from the middle of the container. */
static struct page_cost list_page(const unsigned char hash[16])
{
	struct listing_query query = {.kind = LISTING_CONTAINER, .limit = PAGE, .marker = SLICE_LITERAL("4")};
	struct page_cost cost = {0};
	memcpy(query.hash, hash, sizeof(query.hash));
	rocksdb_perfcontext_t *counts = rocksdb_perfcontext_create();
	rocksdb_set_perf_level(rocksdb_enable_count);
	rocksdb_perfcontext_reset(counts);
	assert_int_equal(listing_walk(device, &query, count_row, &cost), 0);
	cost.comparisons = rocksdb_perfcontext_metric(counts, rocksdb_user_key_comparison_count);
	cost.blocks = rocksdb_perfcontext_metric(counts, rocksdb_block_cache_hit_count) +
		      rocksdb_perfcontext_metric(counts, rocksdb_block_read_count);
	cost.skipped = rocksdb_perfcontext_metric(counts, rocksdb_internal_delete_skipped_count) +
		       rocksdb_perfcontext_metric(counts, rocksdb_internal_key_skipped_count);
	rocksdb_perfcontext_destroy(counts);
	return cost;
}

static void assert_flat(const char *what, uint64_t few, uint64_t many, double factor_max)
{
	if ((double)many > (double)few * factor_max)
		fail_msg("%s: %llu with %d rows, %llu with %d", what, (unsigned long long)few, FEW,
			(unsigned long long)many, MANY);
}

static void scale__page_and_change_cost_the_same(void **state)
{
	(void)state;
	struct rows few, many;
	make_container(FEW, &few);
	make_container(MANY, &many);
	bring_to_rest();

	struct page_cost page_few = list_page(few.hash);
	struct page_cost page_many = list_page(many.hash);
	assert_int_equal(page_few.rows, PAGE);
	assert_int_equal(page_many.rows, PAGE);
	assert_flat("comparisons of a page", page_few.comparisons, page_many.comparisons, 1.2);
	assert_flat("blocks of a page", page_few.blocks, page_many.blocks, 1.2);

	/* the first round puts something into the memtable, which is not asked while it is empty */
	few.count = many.count = 100;
	for (unsigned round = 0; round < 2; round++) {
		few.first = many.first = MANY + round * 100;
		assert_int_equal(device_commit(device, change_rows, &few), 0);
		assert_int_equal(device_commit(device, change_rows, &many), 0);
	}
	print_message(
		"a page: %llu and %llu comparisons, %llu and %llu blocks; 100 new rows: %llu and %llu, %llu and %llu\n",
		(unsigned long long)page_few.comparisons, (unsigned long long)page_many.comparisons,
		(unsigned long long)page_few.blocks, (unsigned long long)page_many.blocks,
		(unsigned long long)few.comparisons, (unsigned long long)many.comparisons,
		(unsigned long long)few.blocks, (unsigned long long)many.blocks);
	assert_int_equal(many.gets, few.gets);
	assert_flat("blocks looked at for 100 new rows", few.blocks, many.blocks, 1.2);
	/* a search in a hundred times as much is some steps longer */
	assert_flat("comparisons for 100 new rows", few.comparisons, many.comparisons, 2);
}

static void scale__deleted_rows_are_not_stepped_over(void **state)
{
	(void)state;
	struct rows rows;
	make_container(MANY, &rows);
	database_flush(&device->database);
	rows.deleted = true;
	rows.second = 3;
	change_many(rows, MANY - 10);
	database_flush(&device->database);
	struct page_cost cost = {.skipped = MANY};
	/* the compaction comes by itself */
	for (int tries = 0; tries < 100 && cost.skipped > MANY / 20; tries++) {
		usleep(100000);
		cost = list_page(rows.hash);
	}
	assert_in_range(cost.skipped, 0, MANY / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scale__page_and_change_cost_the_same),
		cmocka_unit_test(scale__deleted_rows_are_not_stepped_over),
	};
	return cmocka_run_group_tests(tests, open_device, close_device);
}
