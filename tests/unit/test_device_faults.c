/*
 * A disk that answers EIO or ENOSPC: the calls below stand before the C library's, for the store
 * and for RocksDB alike, and fail when they are told to.
 */
#include "tests/unit/object_fixture.h"

#include <stdatomic.h>
#include <sys/syscall.h>

static atomic_bool fdatasync_fails;
static atomic_bool fsync_fails;
static _Thread_local int pwrite_error;

int fdatasync(int fd)
{
	if (fdatasync_fails) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	if (fsync_fails) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
	if (pwrite_error) {
		errno = pwrite_error;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

static void faults__failed_log_sync_is_final(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(put_size(fixture, at(10), 100), 0);
	fdatasync_fails = true;
	assert_int_equal(put_size(fixture, at(20), 100), -EIO);
	fdatasync_fails = false;
	assert_int_equal(device_state(fixture->device), DEVICE_FAILED);
	/* The disk is well again, the device is not before somebody opens it anew. */
	assert_int_equal(put_size(fixture, at(30), 100), -EIO);
	struct object_record record;
	assert_int_equal(object_read(fixture->device, &key, fixture->arena, &record), 0);
	reopen(fixture);
	/* The write that failed may have reached the disk or not. The one before it did. */
	uint64_t raw = read_record(fixture).data_time.raw;
	assert_true(raw == at(10).raw || raw == at(20).raw);
	assert_int_equal(put_size(fixture, at(40), 200), 0);
	assert_body(fixture, 200, 1);
}

static void faults__failed_body_sync_is_final(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(put_size(fixture, at(10), 70000), 0);
	struct object_writer *writer;
	assert_int_equal(object_writer_new(fixture->device, &key, 80000, &writer), 0);
	char *data = xcalloc(1, 80000);
	assert_int_equal(object_writer_append(writer, data, 80000), 0);
	free(data);
	fdatasync_fails = true;
	assert_int_equal(object_writer_finish(writer), -EIO);
	fdatasync_fails = false;
	object_writer_free(writer);
	assert_int_equal(device_state(fixture->device), DEVICE_FAILED);
	assert_body(fixture, 70000, 1);
	reopen(fixture);
	assert_body(fixture, 70000, 1);
	assert_int_equal(count_names(fixture, "incoming"), 0);
}

static void faults__failed_folder_sync_commits_nothing(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(put_size(fixture, at(10), 70000), 0);
	struct object_writer *writer = write_body(fixture->device, 90000, true, 65536, 1);
	struct object_put put = put_of(writer, at(20));
	fsync_fails = true;
	assert_int_equal(device_commit(fixture->device, object_put, &put), -EIO);
	fsync_fails = false;
	object_writer_free(writer);
	assert_int_equal(device_state(fixture->device), DEVICE_FAILED);
	/* Whether the record is there is for the next start to see. */
	assert_int_equal(count_names(fixture, "incoming"), 1);
	reopen(fixture);
	assert_int_equal(count_names(fixture, "incoming"), 0);
	assert_body(fixture, 70000, 1);
}

static void faults__full_disk_refuses_the_body_alone(void **state)
{
	struct fixture *fixture = *state;
	struct object_writer *writer;
	assert_int_equal(object_writer_new(fixture->device, &key, -1, &writer), 0);
	char *data = xcalloc(1, 80000);
	pwrite_error = ENOSPC;
	assert_int_equal(object_writer_append(writer, data, 80000), -ENOSPC);
	pwrite_error = 0;
	assert_int_equal(object_writer_append(writer, data, 1), -ENOSPC);
	assert_int_equal(object_writer_finish(writer), -ENOSPC);
	object_writer_free(writer);
	free(data);
	assert_int_equal(count_names(fixture, "incoming"), 0);
	assert_int_equal(device_state(fixture->device), DEVICE_USABLE);
	assert_int_equal(put_size(fixture, at(10), 70000), 0);
}

static void faults__body_write_error_fails_the_device(void **state)
{
	struct fixture *fixture = *state;
	struct object_writer *writer;
	assert_int_equal(object_writer_new(fixture->device, &key, 80000, &writer), 0);
	char *data = xcalloc(1, 80000);
	pwrite_error = EIO;
	assert_int_equal(object_writer_append(writer, data, 80000), -EIO);
	pwrite_error = 0;
	object_writer_free(writer);
	free(data);
	assert_int_equal(device_state(fixture->device), DEVICE_FAILED);
	assert_false(device_fail(fixture->device));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(faults__failed_log_sync_is_final),
		TEST(faults__failed_body_sync_is_final),
		TEST(faults__failed_folder_sync_commits_nothing),
		TEST(faults__full_disk_refuses_the_body_alone),
		TEST(faults__body_write_error_fails_the_device),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
