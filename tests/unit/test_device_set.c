#include "lib/store/device_set.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <semaphore.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/device_fixture.h"

static struct device_set *open_set(const char *root, const char *const *names, bool create, size_t requests_max)
{
	struct device_set *set;
	struct device_set_options options = {
		.root = root,
		.names = names,
		.create = create,
		.threads = 1,
		.requests_max = requests_max,
	};
	assert_int_equal(device_set_open(&options, &set), 0);
	return set;
}

/* Waits until retrying has made the entry usable, or not. */
static bool becomes_usable(struct device_set *set, struct device_entry *entry)
{
	for (int tries = 0; tries < 100; tries++) {
		device_set_retry(set);
		usleep(10000);
		if (device_entry_usable(entry))
			return true;
	}
	return false;
}

static void device_set__finds_by_name(void **state)
{
	(void)state;
	static const char *const names[] = {"sdb", "sda", "sdc", NULL};
	char *root = fixture_directory();
	struct device_set *set = open_set(root, names, true, 0);
	assert_int_equal(device_set_count(set), 3);
	assert_string_equal(device_entry_name(device_set_at(set, 0)), "sda");
	for (size_t i = 0; names[i]; i++) {
		struct device_entry *entry = device_set_find(set, names[i]);
		assert_non_null(entry);
		assert_string_equal(device_entry_name(entry), names[i]);
		assert_true(device_entry_usable(entry));
		assert_true(device_entry_writable(entry));
		assert_int_equal(device_entry_enter(entry), 0);
		assert_string_equal(device_name(device_entry_device(entry)), names[i]);
		assert_non_null(device_entry_pool(entry));
		device_entry_leave(entry);
	}
	assert_null(device_set_find(set, "sdd"));
	assert_null(device_set_find(set, ""));
	assert_int_equal(device_entry_enter(NULL), -ENODEV);
	assert_false(device_entry_usable(NULL));
	device_set_close(set);

	/* Now that they exist they are found without names, and nothing else is. */
	_cleanup_free_ char *hidden = xasprintf("%s/.hidden", root);
	assert_int_equal(mkdir(hidden, 0700), 0);
	set = open_set(root, NULL, false, 0);
	assert_int_equal(device_set_count(set), 3);
	assert_true(device_entry_usable(device_set_find(set, "sdc")));
	device_set_close(set);
	fixture_remove(root);
}

static void wait_for_post(void *semaphore)
{
	while (sem_wait(semaphore) < 0)
		assert_int_equal(errno, EINTR);
}

static void nothing(struct pool_job *job)
{
	(void)job;
}

/* Users alone are no load; what waits for the disk is. */
static void device_set__limits_what_waits(void **state)
{
	(void)state;
	static const char *const names[] = {"sda", NULL};
	char *root = fixture_directory();
	struct device_set *set = open_set(root, names, true, 2);
	struct device_entry *entry = device_set_find(set, "sda");
	for (int i = 0; i < 10; i++)
		assert_int_equal(device_entry_enter(entry), 0);
	assert_int_equal(device_entry_requests(entry), 10);
	sem_t semaphore;
	sem_init(&semaphore, 0, 0);
	struct pool_job jobs[3];
	for (int i = 0; i < 3; i++) {
		jobs[i] = (struct pool_job){.run = wait_for_post, .argument = &semaphore, .done = nothing};
		pool_submit(device_entry_pool(entry), &jobs[i]);
	}
	assert_int_equal(device_entry_enter(entry), -EBUSY);
	assert_int_equal(device_entry_requests(entry), 10);
	for (int i = 0; i < 3; i++)
		sem_post(&semaphore);
	for (int i = 0; i < 1000 && pool_load(device_entry_pool(entry)) > 0; i++)
		usleep(1000);
	assert_int_equal(device_entry_enter(entry), 0);
	for (int i = 0; i < 11; i++)
		device_entry_leave(entry);
	assert_int_equal(device_entry_requests(entry), 0);
	sem_destroy(&semaphore);
	device_set_close(set);
	fixture_remove(root);
}

static void device_set__tries_again(void **state)
{
	(void)state;
	static const char *const names[] = {"sda", NULL};
	char *root = fixture_directory();
	struct device_set *set = open_set(root, names, false, 0);
	struct device_entry *entry = device_set_find(set, "sda");
	assert_false(device_entry_usable(entry));
	assert_int_equal(device_entry_enter(entry), -ENODEV);

	/* An empty folder is a missing mount, not a new disk. */
	_cleanup_free_ char *path = xasprintf("%s/sda", root);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_false(becomes_usable(set, entry));
	device_close(fixture_open(path));
	assert_true(becomes_usable(set, entry));

	/* A failed device is closed and opened anew, once its last user has left. */
	assert_int_equal(device_entry_enter(entry), 0);
	struct device *device = device_entry_device(entry);
	assert_true(device_fail(device));
	assert_false(device_entry_usable(entry));
	device_set_retry(set);
	usleep(50000);
	assert_ptr_equal(device_entry_device(entry), device);
	assert_int_equal(device_entry_enter(entry), -ENODEV);
	device_entry_leave(entry);
	assert_true(becomes_usable(set, entry));
	device_set_close(set);
	fixture_remove(root);
}

static int refuse_recovery(struct device *device, void *count)
{
	(void)device;
	(*(int *)count)++;
	return -EIO;
}

static void device_set__stays_out_without_recovery(void **state)
{
	(void)state;
	static const char *const names[] = {"sda", NULL};
	char *root = fixture_directory();
	int count = 0;
	struct device_set *set;
	struct device_set_options options = {
		.root = root,
		.names = names,
		.create = true,
		.threads = 1,
		.opened = refuse_recovery,
		.opened_argument = &count,
	};
	assert_int_equal(device_set_open(&options, &set), 0);
	assert_int_equal(count, 1);
	assert_false(device_entry_usable(device_set_find(set, "sda")));
	device_set_close(set);
	fixture_remove(root);
}

static int put_some(struct device_txn *txn, void *unused)
{
	(void)unused;
	static const char value[60000] = "some";
	txn_put(txn, DEVICE_BODIES, SLICE_LITERAL("key"), slice_of(value, sizeof(value)));
	return 0;
}

/* Devices share one cache, which shrinks and grows, and outlives the closing of either. */
static void device_set__shares_memory(void **state)
{
	(void)state;
	static const char *const names[] = {"sda", "sdb", NULL};
	char *root = fixture_directory();
	struct device_set_options options = {
		.root = root,
		.names = names,
		.create = true,
		.threads = 1,
		.cache_bytes = 4 << 20,
		.buffer_bytes = 8 << 20,
	};
	struct device_set *set;
	assert_int_equal(device_set_open(&options, &set), 0);
	for (int round = 0; round < 6; round++) {
		for (size_t i = 0; names[i]; i++) {
			struct device_entry *entry = device_set_find(set, names[i]);
			struct buf value = BUF_INIT;
			assert_int_equal(device_entry_enter(entry), 0);
			assert_int_equal(device_commit(device_entry_device(entry), put_some, NULL), 0);
			assert_int_equal(
				device_get(device_entry_device(entry), DEVICE_BODIES, SLICE_LITERAL("key"), &value), 0);
			assert_int_equal(value.length, 60000);
			buf_release(&value);
			device_entry_leave(entry);
		}
		device_set_care(set, round % 3 != 0);
	}
	device_set_close(set);
	fixture_remove(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_set__finds_by_name),
		cmocka_unit_test(device_set__limits_what_waits),
		cmocka_unit_test(device_set__tries_again),
		cmocka_unit_test(device_set__stays_out_without_recovery),
		cmocka_unit_test(device_set__shares_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
