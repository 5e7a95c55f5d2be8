#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include <cmocka.h>
#include <errno.h>

#include "lib/base/buf.h"
#include "lib/store/device.h"
#include "lib/store/device_files.h"
#include "lib/store/device_private.h"
#include "tests/unit/device_fixture.h"

struct fixture {
	char *path;
	struct device *device;
};

static int setup(void **state)
{
	struct fixture *fixture = xcalloc(1, sizeof(*fixture));
	fixture->path = fixture_directory();
	fixture->device = fixture_open(fixture->path);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	device_close(fixture->device);
	fixture_remove(fixture->path);
	free(fixture);
	return 0;
}

static void reopen(struct fixture *fixture)
{
	device_close(fixture->device);
	fixture->device = fixture_open(fixture->path);
}

struct pair {
	const char *key;
	const char *value; /* NULL: delete */
};

static int put_pair(struct device_txn *txn, void *argument)
{
	const struct pair *pair = argument;
	if (pair->value)
		txn_put(txn, DEVICE_CONTAINERS, slice_from(pair->key), slice_from(pair->value));
	else
		txn_delete(txn, DEVICE_CONTAINERS, slice_from(pair->key));
	return 0;
}

static void put(struct device *device, const char *key, const char *value)
{
	struct pair pair = {key, value};
	assert_int_equal(device_commit(device, put_pair, &pair), 0);
}

static void assert_value(struct device *device, const char *key, const char *expected)
{
	struct buf value = BUF_INIT;
	int result = device_get(device, DEVICE_CONTAINERS, slice_from(key), &value);
	if (expected) {
		assert_int_equal(result, 0);
		assert_string_equal(value.data, expected);
	} else {
		assert_int_equal(result, -ENOENT);
		assert_int_equal(value.length, 0);
	}
	buf_release(&value);
}

/* ---- commits ---- */

static void device__reads_what_was_committed(void **state)
{
	struct fixture *fixture = *state;
	put(fixture->device, "a", "1");
	assert_value(fixture->device, "a", "1");
	assert_value(fixture->device, "b", NULL);
	put(fixture->device, "a", "2");
	assert_value(fixture->device, "a", "2");
	put(fixture->device, "a", NULL);
	assert_value(fixture->device, "a", NULL);
}

enum { BATCH_KEYS = 200, BATCH_STEPS = 4000, BATCH_VALUE_MAX = 300 };

/* What a batch should hold; lengths on both sides of those where RocksDB's length fields grow. */
struct batch_model {
	unsigned seed;
	int lengths[BATCH_KEYS]; /* of the value; -1: none */
	unsigned char fill[BATCH_KEYS];
};

static struct slice batch_key(int index, char bytes[200])
{
	int length = snprintf(bytes, 16, "key %d", index);
	if (index % 7 == 0) {
		memset(bytes + length, '.', 140);
		length += 140;
	}
	return slice_of(bytes, (size_t)length);
}

static enum device_family batch_family(int index)
{
	return index % 2 ? DEVICE_OBJECTS : DEVICE_CONTAINERS;
}

static void check_batch_value(const struct batch_model *model, int index, int result, const struct buf *value)
{
	if (model->lengths[index] < 0) {
		assert_int_equal(result, -ENOENT);
		return;
	}
	assert_int_equal(result, 0);
	assert_int_equal(value->length, model->lengths[index]);
	for (size_t i = 0; i < value->length; i++)
		assert_int_equal((unsigned char)value->data[i], model->fill[index]);
}

static int walk_at_random(struct device_txn *txn, void *argument)
{
	struct batch_model *model = argument;
	char key_bytes[200], value[BATCH_VALUE_MAX];
	for (int step = 0; step < BATCH_STEPS; step++) {
		int index = rand_r(&model->seed) % BATCH_KEYS;
		struct slice key = batch_key(index, key_bytes);
		struct buf found = BUF_INIT;
		int result = txn_get(txn, batch_family(index), key, &found);
		check_batch_value(model, index, result, &found);
		buf_release(&found);
		int length = rand_r(&model->seed) % (BATCH_VALUE_MAX + 100) - 100;
		model->lengths[index] = length < 0 ? -1 : length;
		model->fill[index] = (unsigned char)step;
		if (length < 0) {
			txn_delete(txn, batch_family(index), key);
			continue;
		}
		memset(value, step & 0xff, (size_t)length);
		txn_put(txn, batch_family(index), key, slice_of(value, (size_t)length));
	}
	return 0;
}

static void device__changes_read_what_the_batch_holds(void **state)
{
	struct fixture *fixture = *state;
	struct batch_model model = {.seed = 1};
	for (int i = 0; i < BATCH_KEYS; i++)
		model.lengths[i] = -1;
	/* the second one meets what the first one left in the database */
	for (int round = 0; round < 2; round++)
		assert_int_equal(device_commit(fixture->device, walk_at_random, &model), 0);
	for (int i = 0; i < BATCH_KEYS; i++) {
		char key[200];
		struct buf found = BUF_INIT;
		int result = device_get(fixture->device, batch_family(i), batch_key(i, key), &found);
		check_batch_value(&model, i, result, &found);
		buf_release(&found);
	}
}

static void device__keeps_commits_over_a_reopen(void **state)
{
	struct fixture *fixture = *state;
	put(fixture->device, "a", "1");
	put(fixture->device, "b", "2");
	reopen(fixture);
	assert_value(fixture->device, "a", "1");
	put(fixture->device, "a", NULL);
	reopen(fixture);
	assert_value(fixture->device, "a", NULL);
	assert_value(fixture->device, "b", "2");
}

static void device__cached_get_knows_what_is_in_memory(void **state)
{
	struct fixture *fixture = *state;
	put(fixture->device, "a", "1");
	struct buf value = BUF_INIT;
	assert_int_equal(device_get_cached(fixture->device, DEVICE_CONTAINERS, SLICE_LITERAL("a"), &value), 0);
	assert_string_equal(value.data, "1");
	/* After a reopen the value is in a table that nobody has opened. */
	reopen(fixture);
	buf_clear(&value);
	int result = device_get_cached(fixture->device, DEVICE_CONTAINERS, SLICE_LITERAL("a"), &value);
	assert_true(result == -EAGAIN || (result == 0 && value.length == 1));
	assert_value(fixture->device, "a", "1");
	buf_clear(&value);
	assert_int_equal(device_get_cached(fixture->device, DEVICE_CONTAINERS, SLICE_LITERAL("a"), &value), 0);
	assert_string_equal(value.data, "1");
	buf_release(&value);
}

static int refuse_after_reading(struct device_txn *txn, void *argument)
{
	struct buf value = BUF_INIT;
	int result = txn_get(txn, DEVICE_CONTAINERS, SLICE_LITERAL("a"), &value);
	buf_release(&value);
	*(int *)argument = result;
	return -EEXIST;
}

static void device__refused_change_writes_nothing(void **state)
{
	struct fixture *fixture = *state;
	uint64_t batches, changes, batches_after, changes_after;
	put(fixture->device, "a", "1");
	device_commit_counts(fixture->device, &batches, &changes);
	int seen = -1;
	assert_int_equal(device_commit(fixture->device, refuse_after_reading, &seen), -EEXIST);
	assert_int_equal(seen, 0);
	device_commit_counts(fixture->device, &batches_after, &changes_after);
	assert_int_equal(batches_after, batches);
	assert_int_equal(changes_after, changes);
	assert_value(fixture->device, "a", "1");
}

/* Adds one to the number under "count": each change has to see what the one before it wrote, in its
 * batch or earlier. */
static int count_up(struct device_txn *txn, void *argument)
{
	(void)argument;
	struct buf value = BUF_INIT;
	int result = txn_get(txn, DEVICE_ACCOUNTS, SLICE_LITERAL("count"), &value);
	if (result < 0 && result != -ENOENT)
		return result;
	struct cursor cursor = cursor_of(buf_slice(&value));
	uint64_t count = value.length ? cursor_u64(&cursor) : 0;
	buf_clear(&value);
	buf_append_u64(&value, count + 1);
	txn_put(txn, DEVICE_ACCOUNTS, SLICE_LITERAL("count"), buf_slice(&value));
	buf_release(&value);
	return 0;
}

static uint64_t read_count(struct device *device)
{
	struct buf value = BUF_INIT;
	assert_int_equal(device_get(device, DEVICE_ACCOUNTS, SLICE_LITERAL("count"), &value), 0);
	struct cursor cursor = cursor_of(buf_slice(&value));
	uint64_t count = cursor_u64(&cursor);
	buf_release(&value);
	return count;
}

enum { THREADS = 32, CHANGES_PER_THREAD = 50 };

static void *count_many(void *argument)
{
	for (int i = 0; i < CHANGES_PER_THREAD; i++)
		if (device_commit(argument, count_up, NULL) != 0)
			return argument;
	return NULL;
}

static void device__commits_of_many_threads_share_batches(void **state)
{
	struct fixture *fixture = *state;
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, fixture->device), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(read_count(fixture->device), THREADS * CHANGES_PER_THREAD);
	uint64_t batches, changes;
	device_commit_counts(fixture->device, &batches, &changes);
	assert_true(changes >= THREADS * CHANGES_PER_THREAD);
	assert_true(batches < changes);
	reopen(fixture);
	assert_int_equal(read_count(fixture->device), THREADS * CHANGES_PER_THREAD);
}

/* Commits that were started one after the other are done in that order, with results of their own.
 */
struct ordered {
	struct device_commit commit;
	int number;
	int *next; /* number of the one whose turn it is */
	bool in_turn;
};

static int ordered_change(struct device_txn *txn, void *argument)
{
	struct ordered *ordered = argument;
	ordered->in_turn = *ordered->next == ordered->number;
	++*ordered->next;
	return ordered->number % 3 == 0 ? -ESTALE : count_up(txn, NULL);
}

static void post_nothing(struct device_commit *commit)
{
	(void)commit;
}

static void device__runs_changes_in_order(void **state)
{
	struct fixture *fixture = *state;
	enum { COUNT = 3000 };
	struct ordered *all = xcalloc(COUNT, sizeof(*all));
	int next = 0;
	for (int i = 0; i < COUNT; i++) {
		all[i] = (struct ordered){.number = i, .next = &next};
		all[i].commit = (struct device_commit){
			.change = ordered_change, .argument = &all[i], .done = post_nothing, .lazy = i % 2 == 0};
		device_commit_start(fixture->device, &all[i].commit);
	}
	/* The queue is first in, first out: when this one is done, all are. */
	assert_int_equal(device_commit(fixture->device, count_up, NULL), 0);
	for (int i = 0; i < COUNT; i++) {
		assert_true(all[i].in_turn);
		assert_int_equal(all[i].commit.result, i % 3 == 0 ? -ESTALE : 0);
	}
	assert_int_equal(read_count(fixture->device), COUNT - COUNT / 3 + 1);
	free(all);
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void set_flag(struct device_commit *commit)
{
	atomic_bool *flag = commit->done_argument;
	*flag = true;
}

static void wait_for(atomic_bool *flag, int64_t limit_ms)
{
	int64_t start = now_ms();
	while (!*flag && now_ms() - start < limit_ms)
		usleep(5000);
	assert_true(*flag);
}

static void device__lazy_commit_waits_but_not_for_ever(void **state)
{
	struct fixture *fixture = *state;
	atomic_bool done = false;
	struct pair pair = {"lazy", "1"};
	struct device_commit commit = {
		.change = put_pair, .argument = &pair, .done = set_flag, .done_argument = &done, .lazy = true};
	int64_t start = now_ms();
	device_commit_start(fixture->device, &commit);
	wait_for(&done, 5000);
	assert_in_range(now_ms() - start, 900, 4000);
	assert_value(fixture->device, "lazy", "1");

	/* With company it goes at once. */
	done = false;
	pair.value = "2";
	start = now_ms();
	device_commit_start(fixture->device, &commit);
	put(fixture->device, "company", "1");
	wait_for(&done, 5000);
	assert_in_range(now_ms() - start, 0, 800);
	assert_value(fixture->device, "lazy", "2");
}

static void device__close_commits_what_is_lazy(void **state)
{
	struct fixture *fixture = *state;
	atomic_bool done = false;
	struct pair pair = {"lazy", "1"};
	struct device_commit commit = {
		.change = put_pair, .argument = &pair, .done = set_flag, .done_argument = &done, .lazy = true};
	device_commit_start(fixture->device, &commit);
	reopen(fixture);
	assert_true(done);
	assert_int_equal(commit.result, 0);
	assert_value(fixture->device, "lazy", "1");
}

static int take_number(struct device_txn *txn, void *argument)
{
	*(uint64_t *)argument = txn_next_number(txn);
	return 0;
}

static void device__numbers_never_repeat(void **state)
{
	struct fixture *fixture = *state;
	uint64_t last = 0;
	for (int life = 0; life < 3; life++) {
		for (int i = 0; i < 1000; i++) {
			uint64_t number = device_next_number(fixture->device);
			assert_true(number > last);
			last = number;
		}
		uint64_t number = 0;
		assert_int_equal(device_commit(fixture->device, take_number, &number), 0);
		assert_true(number > last);
		last = number;
		reopen(fixture);
	}
	/* More than one run of reserved numbers. */
	for (int i = 0; i < 3 << 20; i++) {
		uint64_t number = device_next_number(fixture->device);
		assert_true(number > last);
		last = number;
	}
	reopen(fixture);
	assert_true(device_next_number(fixture->device) > last);
}

/* ---- iterators ---- */

static const char *const letters[] = {"b", "bb", "d", "f", "h"};

static void assert_at(struct device_iterator *iterator, bool found, const char *key)
{
	assert_int_equal(found, key != NULL);
	if (key) {
		struct slice at = device_iterator_key(iterator);
		assert_int_equal(at.length, strlen(key));
		assert_memory_equal(at.data, key, at.length);
		assert_true(slice_equal(device_iterator_value(iterator), at));
	} else {
		assert_int_equal(device_iterator_error(iterator), 0);
	}
}

static void device__iterator_keeps_to_its_bounds(void **state)
{
	static const struct {
		const char *lower, *upper; /* "" = open */
		const char *key;
		const char *at;       /* seek */
		const char *back;     /* seek_back */
		const char *next;     /* after seek */
		const char *previous; /* after seek_back */
	} cases[] = {
		{"", "", "", "b", NULL, "bb", NULL},
		{"", "", "b", "b", "b", "bb", NULL},
		{"", "", "c", "d", "bb", "f", "b"},
		{"", "", "z", NULL, "h", NULL, "f"},
		{"bb", "f", "a", "bb", NULL, "d", NULL},
		{"bb", "f", "b", "bb", NULL, "d", NULL},
		{"bb", "f", "bb", "bb", "bb", "d", NULL},
		{"bb", "f", "d", "d", "d", NULL, "bb"},
		{"bb", "f", "e", NULL, "d", NULL, "bb"},
		{"bb", "f", "f", NULL, "d", NULL, "bb"},
		{"bb", "f", "z", NULL, "d", NULL, "bb"},
		{"i", "k", "i", NULL, NULL, NULL, NULL},
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		put(fixture->device, letters[i], letters[i]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct device_iterator *iterator = device_iterator_new(
			fixture->device, DEVICE_CONTAINERS, slice_from(cases[i].lower), slice_from(cases[i].upper));
		struct slice key = slice_from(cases[i].key);
		assert_at(iterator, device_iterator_seek(iterator, key), cases[i].at);
		assert_at(iterator, device_iterator_next(iterator), cases[i].next);
		assert_at(iterator, device_iterator_seek_back(iterator, key), cases[i].back);
		assert_at(iterator, device_iterator_previous(iterator), cases[i].previous);
		device_iterator_free(iterator);
	}
}

static void device__iterator_sees_a_snapshot(void **state)
{
	struct fixture *fixture = *state;
	put(fixture->device, "a", "a");
	struct device_iterator *iterator =
		device_iterator_new(fixture->device, DEVICE_CONTAINERS, SLICE_NONE, SLICE_NONE);
	put(fixture->device, "b", "b");
	put(fixture->device, "a", "later");
	assert_at(iterator, device_iterator_seek(iterator, SLICE_NONE), "a");
	assert_at(iterator, device_iterator_next(iterator), NULL);
	device_iterator_free(iterator);
}

/* ---- opening and states ---- */

static void assert_open_fails(const struct device_options *options, int expected)
{
	struct device *device = NULL;
	char *error = NULL;
	assert_int_equal(device_open(options, &device, &error), expected);
	assert_null(device);
	assert_non_null(error);
	free(error);
}

static void device__open_refuses_what_is_not_ours(void **state)
{
	struct fixture *fixture = *state;
	struct device_options options = {.path = fixture->path, .name = "sda"};
	assert_open_fails(&options, -EBUSY);
	device_close(fixture->device);
	fixture->device = NULL;
	options.name = "sdb";
	assert_open_fails(&options, -EINVAL);

	char *empty = fixture_directory();
	assert_open_fails(&(struct device_options){.path = empty, .name = "sda"}, -ENODEV);
	char *missing = xasprintf("%s/missing", empty);
	assert_open_fails(&(struct device_options){.path = missing, .name = "sda", .create = true}, -ENODEV);
	free(missing);
	/* A database without its marker. */
	char *database = xasprintf("%s/db", empty);
	assert_int_equal(mkdir(database, 0700), 0);
	free(database);
	assert_open_fails(&(struct device_options){.path = empty, .name = "sda", .create = true}, -EINVAL);
	fixture_remove(empty);

	options.name = "sda";
	char *error = NULL;
	assert_int_equal(device_open(&options, &fixture->device, &error), 0);
}

static void device__without_marker_takes_no_writes(void **state)
{
	struct fixture *fixture = *state;
	struct pair pair = {"a", "1"};
	assert_int_equal(device_state(fixture->device), DEVICE_USABLE);
	char *marker = xasprintf("%s/swiftlet.device", fixture->path);
	char *away = xasprintf("%s/away", fixture->path);
	assert_int_equal(rename(marker, away), 0);
	usleep(1100000);
	assert_int_equal(device_state(fixture->device), DEVICE_UNMOUNTED);
	assert_int_equal(device_commit(fixture->device, put_pair, &pair), -EIO);
	/* Another file in its place is another device. */
	int fd = open(marker, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	usleep(1100000);
	assert_int_equal(device_state(fixture->device), DEVICE_UNMOUNTED);
	assert_int_equal(rename(away, marker), 0);
	usleep(1100000);
	assert_int_equal(device_state(fixture->device), DEVICE_USABLE);
	put(fixture->device, "a", "1");
	free(marker);
	free(away);
}

static void device__failure_is_final_for_writes(void **state)
{
	struct fixture *fixture = *state;
	struct pair pair = {"a", "2"};
	put(fixture->device, "a", "1");
	assert_true(device_fail(fixture->device));
	assert_false(device_fail(fixture->device));
	assert_int_equal(device_state(fixture->device), DEVICE_FAILED);
	assert_int_equal(device_commit(fixture->device, put_pair, &pair), -EIO);
	assert_value(fixture->device, "a", "1");
	reopen(fixture);
	assert_int_equal(device_state(fixture->device), DEVICE_USABLE);
	put(fixture->device, "a", "2");
}

static void device__reserve_makes_it_full(void **state)
{
	struct fixture *fixture = *state;
	struct statvfs info;
	assert_int_equal(statvfs(fixture->path, &info), 0);
	uint64_t available = info.f_bavail * info.f_frsize;
	device_close(fixture->device);
	struct device_options options = {.path = fixture->path, .name = "sda", .reserve_bytes = available * 2};
	char *error = NULL;
	assert_int_equal(device_open(&options, &fixture->device, &error), 0);
	assert_int_equal(device_state(fixture->device), DEVICE_FULL);
	assert_int_equal(device_check_room(fixture->device, 0), -ENOSPC);
	put(fixture->device, "a", "removals still work");
	device_close(fixture->device);

	options.reserve_bytes = 0;
	options.reserve_percent = 100;
	assert_int_equal(device_open(&options, &fixture->device, &error), 0);
	assert_int_equal(device_state(fixture->device), DEVICE_FULL);
	device_close(fixture->device);

	options.reserve_percent = 0.001;
	assert_int_equal(device_open(&options, &fixture->device, &error), 0);
	assert_int_equal(device_state(fixture->device), DEVICE_USABLE);
	assert_int_equal(device_check_room(fixture->device, 1000), 0);
	assert_int_equal(device_check_room(fixture->device, available * 2), -ENOSPC);
	assert_int_equal(device_check_room(fixture->device, UINT64_MAX), -ENOSPC);
}

/* ---- body files ---- */

static const unsigned char hash[16] = {0xab, 0xcd, 1, 2, 3};

struct removal {
	uint64_t number;
};

static int promise_removal(struct device_txn *txn, void *argument)
{
	const struct removal *removal = argument;
	txn_remove_file(txn, removal->number, hash);
	return 0;
}

static uint64_t make_file(struct device *device)
{
	uint64_t number = device_next_number(device);
	int fd = device_file_create(device, number);
	assert_true(fd >= 0);
	close(fd);
	return number;
}

static bool is_there(struct device *device, uint64_t number)
{
	int fd = device_file_open(device, number, hash);
	if (fd >= 0)
		close(fd);
	else
		assert_int_equal(fd, -ENOENT);
	return fd >= 0;
}

static int count_promises(struct device *device)
{
	struct device_iterator *iterator =
		device_iterator_new(device, DEVICE_TODO, SLICE_LITERAL("G"), SLICE_LITERAL("H"));
	int count = 0;
	for (bool found = device_iterator_seek(iterator, SLICE_LITERAL("G")); found;
		found = device_iterator_next(iterator))
		count++;
	device_iterator_free(iterator);
	return count;
}

static int add_one(struct device *device, uint64_t number, void *argument)
{
	(void)device;
	(void)number;
	++*(int *)argument;
	return 0;
}

static void device__files_are_found_at_either_place(void **state)
{
	struct fixture *fixture = *state;
	struct device *device = fixture->device;
	uint64_t number = make_file(device);
	int count = 0;
	assert_true(is_there(device, number));
	assert_int_equal(device_files_walk_incoming(device, add_one, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(device_file_settle(device, number, hash), 0);
	assert_true(is_there(device, number));
	assert_int_equal(device_file_settle(device, number, hash), -ENOENT);
	count = 0;
	assert_int_equal(device_files_walk_incoming(device, add_one, &count), 0);
	assert_int_equal(count, 0);
	char *path = xasprintf("%s/bodies/ab/cd/%016llx", fixture->path, (unsigned long long)number);
	assert_int_equal(access(path, F_OK), 0);
	free(path);
	assert_int_equal(device_file_remove(device, number, hash), 0);
	assert_false(is_there(device, number));
	assert_int_equal(device_file_remove(device, number, hash), 0);
}

static void device__promised_removals_are_kept(void **state)
{
	struct fixture *fixture = *state;
	enum { COUNT = 600 }; /* more than one walk's array holds */
	struct removal removals[COUNT];
	for (int i = 0; i < COUNT; i++)
		removals[i].number = make_file(fixture->device);
	for (int i = 0; i < COUNT; i += 2)
		assert_int_equal(device_file_settle(fixture->device, removals[i].number, hash), 0);
	/* Promised in a life of the device that ended at once: the next one keeps it. */
	struct device_commit *commits = xcalloc(COUNT, sizeof(*commits));
	for (int i = 0; i < COUNT; i++) {
		commits[i] = (struct device_commit){
			.change = promise_removal, .argument = &removals[i], .done = post_nothing, .lazy = true};
		device_commit_start(fixture->device, &commits[i]);
	}
	reopen(fixture);
	assert_int_equal(device_files_remove_promised(fixture->device), 0);
	assert_int_equal(count_promises(fixture->device), 0);
	for (int i = 0; i < COUNT; i++)
		assert_false(is_there(fixture->device, removals[i].number));
	free(commits);

	/* Promised in this life: the remover keeps it without being asked. */
	struct removal removal = {make_file(fixture->device)};
	assert_int_equal(device_commit(fixture->device, promise_removal, &removal), 0);
	int64_t start = now_ms();
	while (count_promises(fixture->device) > 0 && now_ms() - start < 5000)
		usleep(10000);
	assert_int_equal(count_promises(fixture->device), 0);
	assert_false(is_there(fixture->device, removal.number));
}

/* ---- memory ---- */

static int put_much(struct device_txn *txn, void *argument)
{
	static const char value[60000] = "much";
	const char *key = argument;
	for (int i = 0; i < 50; i++) {
		char name[32];
		int length = snprintf(name, sizeof(name), "%s %d", key, i);
		txn_put(txn, DEVICE_BODIES, slice_of(name, (size_t)length), slice_of(value, sizeof(value)));
	}
	return 0;
}

static void device__settles_when_idle(void **state)
{
	struct fixture *fixture = *state;
	struct device *device = fixture->device;
	assert_int_equal(device_commit(device, put_much, "first"), 0);
	uint64_t much = database_buffered_bytes(&device->database);
	assert_true(much > 50 * 60000);
	device_settle(device);
	assert_true(database_buffered_bytes(&device->database) >= much); /* there were commits since the opening */
	device_settle(device);
	assert_true(database_buffered_bytes(&device->database) < 1 << 20);

	struct buf value = BUF_INIT;
	assert_int_equal(device_get(device, DEVICE_BODIES, SLICE_LITERAL("first 49"), &value), 0);
	assert_int_equal(value.length, 60000);
	buf_release(&value);
}

enum { BODIES = 2000, BODY_BYTES = 50000, BODIES_KEPT_EACH = 10 };

/* Bodies from the given number on: a tenth of all. */
static int put_bodies(struct device_txn *txn, void *argument)
{
	static const char value[BODY_BYTES] = "body";
	uint64_t first = *(uint64_t *)argument;
	for (uint64_t i = first; i < first + BODIES / 10; i++) {
		struct buf key = BUF_INIT;
		buf_append_u64(&key, i);
		txn_put(txn, DEVICE_BODIES, buf_slice(&key), slice_of(value, sizeof(value)));
		buf_release(&key);
	}
	return 0;
}

static int delete_most_bodies(struct device_txn *txn, void *unused)
{
	(void)unused;
	for (uint64_t i = 0; i < BODIES; i++) {
		struct buf key = BUF_INIT;
		buf_append_u64(&key, i);
		if (i % BODIES_KEPT_EACH)
			txn_delete(txn, DEVICE_BODIES, buf_slice(&key));
		buf_release(&key);
	}
	return 0;
}

static uint64_t blob_bytes(struct device *device)
{
	uint64_t all, garbage;
	database_blob_bytes(&device->database, DEVICE_BODIES, &all, &garbage);
	return all;
}

static void device__gives_back_the_room_of_bodies(void **state)
{
	struct fixture *fixture = *state;
	struct device *device = fixture->device;
	for (uint64_t first = 0; first < BODIES; first += BODIES / 10)
		assert_int_equal(device_commit(device, put_bodies, &first), 0);
	database_flush(&device->database);
	device_collect_garbage(device);
	assert_true(blob_bytes(device) >= BODIES * BODY_BYTES);

	assert_int_equal(device_commit(device, delete_most_bodies, NULL), 0);
	database_flush(&device->database);
	/* deletions reach the bodies by a compaction in the background, which is started by their number */
	for (int tries = 0; tries < 200 && blob_bytes(device) > BODIES / BODIES_KEPT_EACH * 2 * BODY_BYTES; tries++) {
		usleep(50000);
		device_collect_garbage(device);
	}
	assert_in_range(
		blob_bytes(device), BODIES / BODIES_KEPT_EACH * BODY_BYTES, BODIES / BODIES_KEPT_EACH * 2 * BODY_BYTES);
	for (uint64_t i = 0; i < BODIES; i++) {
		struct buf key = BUF_INIT;
		struct buf value = BUF_INIT;
		buf_append_u64(&key, i);
		int expected = i % BODIES_KEPT_EACH ? -ENOENT : 0;
		assert_int_equal(device_get(device, DEVICE_BODIES, buf_slice(&key), &value), expected);
		assert_int_equal(value.length, expected ? 0 : BODY_BYTES);
		buf_release(&key);
		buf_release(&value);
	}
	device_stop_care(device);
	device_collect_garbage(device);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(device__reads_what_was_committed),
		TEST(device__changes_read_what_the_batch_holds),
		TEST(device__keeps_commits_over_a_reopen),
		TEST(device__cached_get_knows_what_is_in_memory),
		TEST(device__refused_change_writes_nothing),
		TEST(device__commits_of_many_threads_share_batches),
		TEST(device__runs_changes_in_order),
		TEST(device__lazy_commit_waits_but_not_for_ever),
		TEST(device__close_commits_what_is_lazy),
		TEST(device__numbers_never_repeat),
		TEST(device__iterator_keeps_to_its_bounds),
		TEST(device__iterator_sees_a_snapshot),
		TEST(device__open_refuses_what_is_not_ours),
		TEST(device__without_marker_takes_no_writes),
		TEST(device__failure_is_final_for_writes),
		TEST(device__reserve_makes_it_full),
		TEST(device__files_are_found_at_either_place),
		TEST(device__promised_removals_are_kept),
		cmocka_unit_test_setup_teardown(device__settles_when_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(device__gives_back_the_room_of_bodies, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
