/* The databases of containers and accounts case by case: Swift's statuses, metadata, merging of
 * rows, counters. */
#include "lib/store/listing.h"

#include "tests/unit/listing_fixture.h"

/* ---- containers ---- */

static void listing__container_life(void **state)
{
	(void)state;
	unsigned char hash[16];
	struct arena *arena = arena_new();
	struct listing_info info;
	fresh_hash(hash);
	assert_int_equal(listing_read(device, LISTING_CONTAINER, hash, arena, &info), -ENOENT);
	assert_int_equal(post(LISTING_CONTAINER, hash, 1).outcome, LISTING_MISSING);
	assert_int_equal(delete (LISTING_CONTAINER, hash, 1).outcome, LISTING_MISSING);
	assert_int_equal(put_row(hash, "o", 1, 0, 1), LISTING_MISSING);
	assert_int_equal(put_policy(hash, 1, 0, 0).outcome, LISTING_CREATED);
	assert_int_equal(put_policy(hash, 2, 0, 0).outcome, LISTING_UPDATED);
	info = read_info(LISTING_CONTAINER, hash);
	check_slice(info.account, "AUTH_x");
	check_slice(info.container, "cc");
	check_time(info.put_timestamp, at(2));
	check_time(info.delete_timestamp, TIMESTAMP_ZERO);
	check_time(info.status_changed_at, at(1));
	assert_int_equal(strlen(info.id), 36 + 1 + 3);
	assert_string_equal(info.id + 36, "-sda");

	/* An older PUT is accepted and changes nothing. */
	assert_int_equal(put_policy(hash, 1, -1, 5).outcome, LISTING_UPDATED);
	check_time(read_info(LISTING_CONTAINER, hash).put_timestamp, at(2));

	struct listing_change conflict = put_policy(hash, 3, 1, 0);
	assert_int_equal(conflict.outcome, LISTING_CONFLICT);
	assert_int_equal(conflict.policy, 0);
	check_time(read_info(LISTING_CONTAINER, hash).put_timestamp, at(2));

	/* Rows of any policy keep it; DELETE not newer than the PUT is a conflict, too. */
	put_row(hash, "o3", 3, 1, 10);
	assert_int_equal(delete (LISTING_CONTAINER, hash, 10).outcome, LISTING_CONFLICT);
	delete_row(hash, "o3", 11, 1);
	assert_int_equal(delete (LISTING_CONTAINER, hash, 1).outcome, LISTING_CONFLICT);
	assert_int_equal(delete (LISTING_CONTAINER, hash, 2).outcome, LISTING_CONFLICT);
	struct listing_change deleted = delete (LISTING_CONTAINER, hash, 12);
	assert_int_equal(deleted.outcome, LISTING_UPDATED);
	assert_true(deleted.was_there);
	info = read_info(LISTING_CONTAINER, hash);
	assert_true(listing_is_deleted(&info));
	check_time(info.delete_timestamp, at(12));
	check_time(info.status_changed_at, at(12));

	deleted = delete (LISTING_CONTAINER, hash, 13);
	assert_int_equal(deleted.outcome, LISTING_UPDATED);
	assert_false(deleted.was_there);
	struct listing_change missing = post(LISTING_CONTAINER, hash, 14);
	assert_int_equal(missing.outcome, LISTING_MISSING);
	assert_true(missing.is_deleted);
	arena_free(arena);
}

static void listing__row_revives_deleted_container(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	put(LISTING_CONTAINER, hash, 1);
	delete (LISTING_CONTAINER, hash, 13);
	assert_int_equal(put_row(hash, "o4", 13, 0, 1), LISTING_UPDATED);
	struct listing_info info = read_info(LISTING_CONTAINER, hash);
	assert_false(listing_is_deleted(&info));
	check_time(info.delete_timestamp, at(13));
	check_time(info.status_changed_at, at(13));
	assert_int_equal(put(LISTING_CONTAINER, hash, 11).outcome, LISTING_UPDATED);
	assert_int_equal(put_policy(hash, 14, -1, 1).outcome, LISTING_UPDATED);
	assert_int_equal(read_info(LISTING_CONTAINER, hash).policy, 0);

	/* A row of another policy does not count for being deleted, but for being empty. */
	unsigned char other[16];
	fresh_hash(other);
	put(LISTING_CONTAINER, other, 1);
	delete (LISTING_CONTAINER, other, 2);
	put_row(other, "misplaced", 3, 1, 1);
	info = read_info(LISTING_CONTAINER, other);
	assert_true(listing_is_deleted(&info));
	assert_int_equal(delete (LISTING_CONTAINER, other, 4).outcome, LISTING_CONFLICT);
}

static void listing__recreation_sets_policy(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	assert_int_equal(put_policy(hash, 1, -1, 3).policy, 3);
	delete (LISTING_CONTAINER, hash, 5);

	/* Deleted at a later time: a conflict, but put time and policy are kept as in Swift. */
	struct listing_change change = put_policy(hash, 4, 1, 0);
	assert_int_equal(change.outcome, LISTING_CONFLICT);
	struct listing_info info = read_info(LISTING_CONTAINER, hash);
	check_time(info.put_timestamp, at(4));
	check_time(info.status_changed_at, at(5));
	assert_true(listing_is_deleted(&info));

	change = put_policy(hash, 6, -1, 2);
	assert_int_equal(change.outcome, LISTING_CREATED);
	assert_int_equal(change.policy, 2);
	info = read_info(LISTING_CONTAINER, hash);
	check_time(info.put_timestamp, at(6));
	check_time(info.status_changed_at, at(6));
	assert_int_equal(info.policy, 2);
	assert_false(listing_is_deleted(&info));
}

static void listing__post_can_keep_put_timestamp(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	put(LISTING_CONTAINER, hash, 1);
	struct listing_change change = change_of(LISTING_CONTAINER, hash, at(5));
	change.keep_put_timestamp = true;
	assert_int_equal(device_commit(device, listing_post, &change), 0);
	check_time(read_info(LISTING_CONTAINER, hash).put_timestamp, at(1));
	assert_int_equal(post(LISTING_CONTAINER, hash, 7).outcome, LISTING_UPDATED);
	check_time(read_info(LISTING_CONTAINER, hash).put_timestamp, at(7));
}

static void listing__auto_create(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	struct listing_object_row item = {
		.account = SLICE_LITERAL(".auto"),
		.container = SLICE_LITERAL("none"),
		.name = SLICE_LITERAL("o"),
		.policy = 2,
		.row = {.data = {.raw = at(5).raw, .offset = 3},
			.content_type_time = {.raw = at(5).raw, .offset = 3},
			.meta = {.raw = at(5).raw, .offset = 3},
			.size = 10,
			.etag = SLICE_LITERAL("e1")},
		.create_missing = true,
	};
	memcpy(item.hash, hash, sizeof(item.hash));
	assert_int_equal(device_commit(device, listing_put_object_row, &item), 0);
	assert_int_equal(item.outcome, LISTING_CREATED);
	struct listing_info info = read_info(LISTING_CONTAINER, hash);
	check_time(info.put_timestamp, at(5));
	check_time(info.status_changed_at, at(5));
	check_slice(info.account, ".auto");
	check_slice(info.container, "none");
	assert_int_equal(info.policy, 2);
	assert_int_equal(listing_count_of(&info, 2).objects, 1);
	assert_int_equal(listing_count_of(&info, 2).bytes, 10);
}

/* ---- metadata ---- */

static struct listing_meta meta_of(const char *name, const char *value, unsigned second)
{
	return (struct listing_meta){slice_from(name), slice_from(value), at(second)};
}

static int change_metas(device_change_fn *function, const unsigned char hash[16], unsigned second,
	const struct listing_meta *metas, size_t count)
{
	struct listing_change change = change_of(LISTING_CONTAINER, hash, at(second));
	change.metas = metas;
	change.meta_count = count;
	change.meta_count_max = 3;
	change.meta_bytes_max = 20;
	int result = device_commit(device, function, &change);
	assert_int_equal(change.too_much_meta, result == -E2BIG);
	return result;
}

static void check_metas(const unsigned char hash[16], const char *expected)
{
	struct listing_info info = read_info(LISTING_CONTAINER, hash);
	struct buf text = BUF_INIT;
	buf_append_text(&text, "");
	for (size_t i = 0; i < info.meta_count; i++)
		buf_printf(&text, "%.*s=%.*s@%u;", SLICE_PRINT(info.metas[i].name), SLICE_PRINT(info.metas[i].value),
			(unsigned)(info.metas[i].time.raw / TIMESTAMP_RAW_PER_SECOND - 1700000000));
	assert_string_equal(text.data, expected);
	buf_release(&text);
}

static void listing__metadata_merges_by_time(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	struct listing_meta first[] = {meta_of("X-Container-Meta-A", "1", 5), meta_of("X-Container-Read", ".r:*", 5)};
	assert_int_equal(change_metas(listing_put, hash, 5, first, 2), 0);
	check_metas(hash, "X-Container-Meta-A=1@5;X-Container-Read=.r:*@5;");
	struct listing_meta older = meta_of("X-Container-Meta-A", "old", 4);
	assert_int_equal(change_metas(listing_post, hash, 6, &older, 1), 0);
	struct listing_meta equal = meta_of("X-Container-Meta-A", "equal", 5);
	assert_int_equal(change_metas(listing_post, hash, 6, &equal, 1), 0);
	check_metas(hash, "X-Container-Meta-A=1@5;X-Container-Read=.r:*@5;");
	struct listing_meta removed = meta_of("X-Container-Meta-A", "", 7);
	assert_int_equal(change_metas(listing_post, hash, 7, &removed, 1), 0);
	check_metas(hash, "X-Container-Meta-A=@7;X-Container-Read=.r:*@5;");

	struct listing_meta shard = meta_of("X-Container-Sysmeta-Shard-Quoted-Root", "a/c", 8);
	assert_int_equal(change_metas(listing_put, hash, 8, &shard, 1), 0);
	assert_int_equal(delete (LISTING_CONTAINER, hash, 9).outcome, LISTING_UPDATED);
	check_metas(hash, "X-Container-Meta-A=@9;X-Container-Read=@9;X-Container-Sysmeta-Shard-"
			  "Quoted-Root=a/c@8;");
}

static void listing__metadata_has_limits(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	struct listing_meta metas[] = {
		meta_of("X-Container-Meta-A", "1", 1),
		meta_of("X-Container-Meta-B", "1", 1),
		meta_of("x-container-meta-C", "1", 1),
		meta_of("X-Container-Meta-D", "1", 1),
	};
	struct arena *arena = arena_new();
	struct listing_info info;
	assert_int_equal(change_metas(listing_put, hash, 1, metas, 4), -E2BIG);
	assert_int_equal(listing_read(device, LISTING_CONTAINER, hash, arena, &info), -ENOENT);
	arena_free(arena);
	assert_int_equal(change_metas(listing_put, hash, 1, metas, 3), 0);
	assert_int_equal(change_metas(listing_post, hash, 2, metas + 3, 1), -E2BIG);
	check_time(read_info(LISTING_CONTAINER, hash).put_timestamp, at(1));

	/* Deleted items and sysmeta do not count; names count without their prefix. */
	struct listing_meta removed = meta_of("X-Container-Meta-A", "", 2);
	struct listing_meta sysmeta = meta_of("X-Container-Sysmeta-Long", "123456789012345678901234567890", 2);
	assert_int_equal(change_metas(listing_post, hash, 2, &removed, 1), 0);
	assert_int_equal(change_metas(listing_post, hash, 2, &sysmeta, 1), 0);
	struct listing_meta fits = meta_of("X-Container-Meta-D", "123456789012345", 3);
	struct listing_meta too_long = meta_of("X-Container-Meta-D", "1234567890123456", 4);
	assert_int_equal(change_metas(listing_post, hash, 3, &fits, 1), 0);
	assert_int_equal(change_metas(listing_post, hash, 4, &too_long, 1), -E2BIG);
	/* Nothing newer in it: not looked at. */
	too_long.time = at(3);
	assert_int_equal(change_metas(listing_post, hash, 4, &too_long, 1), 0);
}

/* ---- rows and numbers ---- */

static void check_hash(const unsigned char got[16], const char *expected)
{
	char text[33];
	for (size_t i = 0; i < 16; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", got[i]);
	assert_string_equal(text, expected);
}

/* The rows and the hash of a database that Swift wrote. */
static void listing__numbers_of_a_container(void **state)
{
	(void)state;
	unsigned char hash[16];
	enum { BASE = 95222000 };
	fresh_hash(hash);
	put(LISTING_CONTAINER, hash, BASE);
	put_row(hash, "o1", BASE + 1, 0, 5);
	put_row(hash, "o2", BASE + 2, 0, 10);
	put_row(hash, "o3", BASE + 3, 0, 3);
	struct listing_info info = read_info(LISTING_CONTAINER, hash);
	assert_int_equal(listing_total(&info).objects, 3);
	assert_int_equal(listing_total(&info).bytes, 18);
	assert_int_equal(info.max_row, 3);
	delete_row(hash, "o1", BASE + 9, 0);
	info = read_info(LISTING_CONTAINER, hash);
	check_hash(info.hash, "8f2f8187690e329641669745ac0fdb54");
	assert_int_equal(listing_count_of(&info, 0).objects, 2);
	assert_int_equal(listing_count_of(&info, 0).bytes, 13);
	assert_int_equal(info.max_row, 4);

	/* Nothing newer: no new number. */
	delete_row(hash, "o1", BASE + 9, 0);
	put_row(hash, "o1", BASE + 8, 0, 7);
	assert_int_equal(read_info(LISTING_CONTAINER, hash).max_row, 4);
	assert_int_equal(count_area(LISTING_CONTAINER, hash, LISTING_AREA_ROWS), 2);
	assert_int_equal(count_area(LISTING_CONTAINER, hash, LISTING_AREA_DELETED_ROWS), 1);
	assert_int_equal(count_area(LISTING_CONTAINER, hash, LISTING_AREA_SEQUENCE), 3);

	put_row(hash, "o1", BASE + 10, 0, 7);
	info = read_info(LISTING_CONTAINER, hash);
	assert_int_equal(info.max_row, 5);
	assert_int_equal(listing_total(&info).objects, 3);
	assert_int_equal(listing_total(&info).bytes, 20);
	assert_int_equal(count_area(LISTING_CONTAINER, hash, LISTING_AREA_DELETED_ROWS), 0);
	assert_int_equal(count_area(LISTING_CONTAINER, hash, LISTING_AREA_SEQUENCE), 3);
}

static void listing__policies_are_apart(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	put(LISTING_CONTAINER, hash, 1);
	put_row(hash, "o", 2, 0, 5);
	put_row(hash, "o", 3, 1, 7);
	delete_row(hash, "o", 4, 0);
	struct listing_info info = read_info(LISTING_CONTAINER, hash);
	assert_int_equal(info.count_count, 2);
	assert_int_equal(listing_count_of(&info, 0).objects, 0);
	assert_int_equal(listing_count_of(&info, 0).bytes, 0);
	assert_int_equal(listing_count_of(&info, 1).objects, 1);
	assert_int_equal(listing_count_of(&info, 1).bytes, 7);
	assert_int_equal(listing_count_of(&info, 9).objects, 0);
	check_listing(hash, "", "");
}

/* Swift's triggers add and subtract the size of whatever row they see. */
static void listing__tombstone_of_a_peer_counts_its_size(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	put(LISTING_CONTAINER, hash, 1);
	struct listing_object_row item = {
		.name = SLICE_LITERAL("o"),
		.row = {.data = at(2), .content_type_time = at(2), .meta = at(2), .size = 5, .deleted = true},
	};
	memcpy(item.hash, hash, sizeof(item.hash));
	assert_int_equal(device_commit(device, listing_put_object_row, &item), 0);
	struct listing_info info = read_info(LISTING_CONTAINER, hash);
	assert_int_equal(listing_total(&info).objects, 0);
	assert_int_equal(listing_total(&info).bytes, 5);
	put_row(hash, "o", 3, 0, 7);
	info = read_info(LISTING_CONTAINER, hash);
	assert_int_equal(listing_total(&info).objects, 1);
	assert_int_equal(listing_total(&info).bytes, 7);
}

static void listing__too_many_policies_are_refused(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	put(LISTING_CONTAINER, hash, 1);
	for (uint16_t policy = 0; policy < LISTING_POLICIES_MAX; policy++)
		put_row(hash, "o", 2, policy, 1);
	struct listing_object_row item = {.name = SLICE_LITERAL("o"), .policy = LISTING_POLICIES_MAX};
	memcpy(item.hash, hash, sizeof(item.hash));
	assert_int_equal(device_commit(device, listing_put_object_row, &item), -E2BIG);
	struct listing_info info = read_info(LISTING_CONTAINER, hash);
	assert_int_equal(listing_total(&info).objects, LISTING_POLICIES_MAX);
}

static void listing__reported_numbers(void **state)
{
	(void)state;
	struct listing_reported reported = {
		.put_timestamp = at(1), .delete_timestamp = at(2), .object_count = 3, .bytes_used = 4};
	fresh_hash(reported.hash);
	assert_int_equal(device_commit(device, listing_set_reported, &reported), -ENOENT);
	put(LISTING_CONTAINER, reported.hash, 1);
	assert_int_equal(device_commit(device, listing_set_reported, &reported), 0);
	struct listing_info info = read_info(LISTING_CONTAINER, reported.hash);
	check_time(info.reported_put_timestamp, at(1));
	check_time(info.reported_delete_timestamp, at(2));
	assert_int_equal(info.reported_object_count, 3);
	assert_int_equal(info.reported_bytes_used, 4);
}

static void listing__read_cached(void **state)
{
	(void)state;
	unsigned char hash[16];
	struct arena *arena = arena_new();
	struct listing_info info;
	fresh_hash(hash);
	put(LISTING_CONTAINER, hash, 1);
	assert_int_equal(listing_read_cached(device, LISTING_CONTAINER, hash, arena, &info), 0);
	check_time(info.put_timestamp, at(1));
	arena_free(arena);
}

/* ---- accounts ---- */

/* The requests of a recorded session with Swift's account server, and the hash of the database it
 * left behind. */
static void listing__account_life(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	assert_int_equal(post(LISTING_ACCOUNT, hash, 1).outcome, LISTING_MISSING);
	assert_false(delete (LISTING_ACCOUNT, hash, 1).is_deleted);
	assert_int_equal(put_container_row(hash, "c", 1, 0, 0, 0, 0), LISTING_MISSING);
	assert_int_equal(put(LISTING_ACCOUNT, hash, 1).outcome, LISTING_CREATED);
	assert_int_equal(put(LISTING_ACCOUNT, hash, 2).outcome, LISTING_UPDATED);
	assert_int_equal(post(LISTING_ACCOUNT, hash, 99).outcome, LISTING_UPDATED);
	check_time(read_info(LISTING_ACCOUNT, hash).put_timestamp, at(2));
	assert_int_equal(put_container_row(hash, "c", 3, 0, 2, 30, 1), LISTING_UPDATED);
	struct listing_info info = read_info(LISTING_ACCOUNT, hash);
	assert_int_equal(info.count_count, 1);
	assert_int_equal(listing_count_of(&info, 1).containers, 1);
	assert_int_equal(listing_count_of(&info, 1).objects, 2);
	assert_int_equal(listing_count_of(&info, 1).bytes, 30);

	assert_int_equal(put_container_row(hash, "c", 3, 6, 0, 0, 1), LISTING_UPDATED);
	assert_int_equal(put_container_row(hash, "c2", 7, 0, 0, 0, 0), LISTING_UPDATED);
	info = read_info(LISTING_ACCOUNT, hash);
	assert_int_equal(info.count_count, 2);
	assert_int_equal(listing_count_of(&info, 1).containers, 0);
	assert_int_equal(listing_total(&info).containers, 1);
	check_listing(hash, "account", "c2");

	assert_int_equal(delete (LISTING_ACCOUNT, hash, 8).outcome, LISTING_UPDATED);
	info = read_info(LISTING_ACCOUNT, hash);
	assert_true(info.account_status_deleted);
	check_time(info.status_changed_at, at(8));
	assert_int_equal(put(LISTING_ACCOUNT, hash, 9).outcome, LISTING_RECENTLY_DELETED);
	struct listing_change missing = post(LISTING_ACCOUNT, hash, 9);
	assert_int_equal(missing.outcome, LISTING_MISSING);
	assert_true(missing.is_deleted);
	assert_int_equal(put_container_row(hash, "c3", 9, 0, 0, 0, 0), LISTING_MISSING);
	struct listing_container_row item = {
		.name = SLICE_LITERAL("c3"), .put_timestamp = at(9), .override_deleted = true};
	memcpy(item.hash, hash, sizeof(item.hash));
	assert_int_equal(device_commit(device, listing_put_container_row, &item), 0);
	assert_int_equal(item.outcome, LISTING_UPDATED);
	missing = delete (LISTING_ACCOUNT, hash, 10);
	assert_int_equal(missing.outcome, LISTING_MISSING);
	assert_true(missing.is_deleted);
	info = read_info(LISTING_ACCOUNT, hash);
	check_hash(info.hash, "3bccf2ee52769044decdb4a1127bdd1e");
	assert_int_equal(info.max_row, 4);
}

static void listing__account_rows_merge(void **state)
{
	(void)state;
	unsigned char hash[16];
	fresh_hash(hash);
	put(LISTING_ACCOUNT, hash, 1);
	put_container_row(hash, "c", 5, 3, 2, 20, 0);
	/* Older times, but counts and policy are taken as they come. */
	put_container_row(hash, "c", 4, 2, 3, 30, 1);
	struct listing_info info = read_info(LISTING_ACCOUNT, hash);
	assert_int_equal(listing_count_of(&info, 0).containers, 0);
	assert_int_equal(listing_count_of(&info, 0).bytes, 0);
	assert_int_equal(listing_count_of(&info, 1).containers, 1);
	assert_int_equal(listing_count_of(&info, 1).objects, 3);
	assert_int_equal(info.max_row, 2);
	/* The same again is no change. */
	put_container_row(hash, "c", 4, 2, 3, 30, 1);
	assert_int_equal(read_info(LISTING_ACCOUNT, hash).max_row, 2);
	/* Deleted later than put, but full: still there. */
	put_container_row(hash, "c", 4, 9, 3, 30, 1);
	check_listing(hash, "account", "c");
	put_container_row(hash, "c", 4, 2, 0, 7, 1);
	check_listing(hash, "account", "");
	info = read_info(LISTING_ACCOUNT, hash);
	assert_int_equal(listing_count_of(&info, 1).containers, 0);
	assert_int_equal(listing_count_of(&info, 1).bytes, 7);
	put_container_row(hash, "c", 10, 0, 0, 0, 1);
	check_listing(hash, "account", "c");
	assert_int_equal(count_area(LISTING_ACCOUNT, hash, LISTING_AREA_SEQUENCE), 1);
}

static void listing__account_auto_create(void **state)
{
	(void)state;
	struct listing_container_row item = {
		.account = SLICE_LITERAL(".expiring_objects"),
		.name = SLICE_LITERAL("c"),
		.put_timestamp = at(4),
		.create_missing = true,
		.timestamp = at(5),
	};
	fresh_hash(item.hash);
	assert_int_equal(device_commit(device, listing_put_container_row, &item), 0);
	assert_int_equal(item.outcome, LISTING_CREATED);
	struct listing_info info = read_info(LISTING_ACCOUNT, item.hash);
	check_time(info.put_timestamp, at(5));
	check_slice(info.account, ".expiring_objects");
	assert_int_equal(listing_total(&info).containers, 1);
	fresh_hash(item.hash);
	item.timestamp = TIMESTAMP_ZERO;
	assert_int_equal(device_commit(device, listing_put_container_row, &item), 0);
	assert_true(timestamp_compare(read_info(LISTING_ACCOUNT, item.hash).put_timestamp, at(1000)) > 0);
	read_info(LISTING_ACCOUNT, NULL);
}

/* ---- records ---- */

static void listing__bad_records_are_refused(void **state)
{
	(void)state;
	struct container_row row = {.data = at(1),
		.content_type_time = at(2),
		.meta = at(3),
		.content_type = SLICE_LITERAL("a/b"),
		.swift_bytes = SLICE_LITERAL("1"),
		.etag = SLICE_LITERAL("d41d8cd98f00b204e9800998ecf8427e")};
	struct listing_info info = {.count_count = 2};
	struct listing_meta meta = meta_of("X-Container-Meta-A", "1", 5);
	struct listing_object_record object;
	struct listing_container_record container;
	struct listing_container_row container_row = {.put_timestamp = {.raw = 5, .offset = 5}};
	struct arena *arena = arena_new();
	struct buf values[4] = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
	info.metas = &meta;
	info.meta_count = 1;
	listing_encode_object(&values[0], 7, &row);
	listing_encode_container(&values[1], 7, &container_row);
	listing_encode_numbers(&values[2], &info);
	listing_encode_info(&values[3], &info);
	for (int kind = 0; kind < 4; kind++) {
		/* Cut at every length, the last one whole; then with a byte too many. */
		buf_append_byte(&values[kind], 0);
		for (size_t length = 0; length <= values[kind].length; length++) {
			char *copy = xmalloc(length + 1);
			memcpy(copy, values[kind].data, length);
			struct slice value = slice_of(copy, length);
			int result = kind == 0   ? listing_decode_object(value, false, &object)
				     : kind == 1 ? listing_decode_container(value, false, &container)
				     : kind == 2 ? listing_decode_numbers(value, &info)
						 : listing_decode_info(value, LISTING_CONTAINER, arena, &info);
			assert_int_equal(result, length == values[kind].length - 1 ? 0 : -EIO);
			free(copy);
		}
		buf_release(&values[kind]);
	}
	arena_free(arena);
}

/* ---- which databases there are ---- */

struct found {
	unsigned char hashes[8][16];
	size_t count;
	size_t max; /* of this walk */
};

static int take_database(
	const unsigned char hash[16], const struct listing_info *info, struct arena *arena, void *argument)
{
	struct found *found = argument;
	assert_non_null(arena);
	/* other tests have theirs between the first and the last */
	if (!slice_equal(info->account, SLICE_LITERAL("AUTH_walk")))
		return 0;
	memcpy(found->hashes[found->count++], hash, 16);
	return found->count == found->max;
}

static void listing__databases_are_walked(void **state)
{
	(void)state;
	unsigned char hashes[5][16];
	memset(hashes, 0, sizeof(hashes));
	hashes[1][15] = 1;
	memset(hashes[2], 0x7f, 16);
	memset(hashes[3], 0x7f, 15);
	hashes[3][15] = 0xff;
	memset(hashes[4], 0xff, 16);
	for (size_t i = 0; i < 5; i++) {
		struct listing_change change = change_of(LISTING_ACCOUNT, hashes[i], at(1));
		change.account = SLICE_LITERAL("AUTH_walk");
		assert_int_equal(device_commit(device, listing_put, &change), 0);
		for (unsigned row = 0; row < 20; row++)
			put_container_row(hashes[i], (char[]){(char)('a' + row), 0}, 2, row % 2 ? 3 : 0, 1, 1, 0);
	}
	struct found found = {.max = 9};
	assert_int_equal(listing_databases(device, LISTING_ACCOUNT, NULL, take_database, &found), 0);
	assert_int_equal(found.count, 5);
	assert_memory_equal(found.hashes, hashes, sizeof(hashes));
	for (size_t i = 0; i < 5; i++) {
		found = (struct found){.max = 9};
		assert_int_equal(listing_databases(device, LISTING_ACCOUNT, hashes[i], take_database, &found), 0);
		assert_int_equal(found.count, 4 - i);
		found = (struct found){.max = 1};
		assert_int_equal(listing_databases(device, LISTING_ACCOUNT, hashes[i], take_database, &found), i < 4);
	}
	found = (struct found){.max = 9};
	assert_int_equal(listing_databases(device, LISTING_CONTAINER, NULL, take_database, &found), 0);
	assert_int_equal(found.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listing__container_life),
		cmocka_unit_test(listing__row_revives_deleted_container),
		cmocka_unit_test(listing__recreation_sets_policy),
		cmocka_unit_test(listing__post_can_keep_put_timestamp),
		cmocka_unit_test(listing__auto_create),
		cmocka_unit_test(listing__metadata_merges_by_time),
		cmocka_unit_test(listing__metadata_has_limits),
		cmocka_unit_test(listing__numbers_of_a_container),
		cmocka_unit_test(listing__policies_are_apart),
		cmocka_unit_test(listing__tombstone_of_a_peer_counts_its_size),
		cmocka_unit_test(listing__too_many_policies_are_refused),
		cmocka_unit_test(listing__reported_numbers),
		cmocka_unit_test(listing__read_cached),
		cmocka_unit_test(listing__account_life),
		cmocka_unit_test(listing__account_rows_merge),
		cmocka_unit_test(listing__account_auto_create),
		cmocka_unit_test(listing__bad_records_are_refused),
		cmocka_unit_test(listing__databases_are_walked),
	};
	return cmocka_run_group_tests(tests, open_device, close_device);
}
