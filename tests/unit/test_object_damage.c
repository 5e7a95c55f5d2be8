/*
 * Flipped bits, lying lengths, files that are cut: nothing wrong is ever given out. And what a
 * crash leaves behind.
 */
#include "tests/unit/object_fixture.h"

#include <fcntl.h>
#include <xxhash.h>

/* Sanitizers make each round some times slower: they look at a part of the positions. */
#if defined(SWIFTLET_SANITIZER_address) || defined(SWIFTLET_SANITIZER_thread)
enum { FLIP_STRIDE = 29 };
#else
enum { FLIP_STRIDE = 1 };
#endif

/* ---- damage ---- */

struct raw {
	enum device_family family;
	struct slice key;
	struct slice value;
};

static int put_raw(struct device_txn *txn, void *argument)
{
	const struct raw *raw = argument;
	txn_put(txn, raw->family, raw->key, raw->value);
	return 0;
}

/* The only entry of a family: its key and its value, in buffers of the caller. */
static void get_raw(struct fixture *fixture, enum device_family family, struct buf *raw_key, struct buf *value)
{
	struct device_iterator *iterator = device_iterator_new(fixture->device, family, SLICE_NONE, SLICE_NONE);
	assert_true(device_iterator_seek(iterator, SLICE_NONE));
	buf_append_slice(raw_key, device_iterator_key(iterator));
	buf_append_slice(value, device_iterator_value(iterator));
	assert_false(device_iterator_next(iterator));
	device_iterator_free(iterator);
}

static struct buf sample_record(struct fixture *fixture)
{
	assert_int_equal(put_size(fixture, at(10), 5), 0);
	const struct object_header header = {"X-Object-Meta-P", "posted"};
	struct object_post post = {
		.key = key,
		.timestamp = at(20),
		.type_time = at(20),
		.content_type = "text/html",
		.headers = &header,
		.header_count = 1,
		.arena = fixture->arena,
	};
	assert_int_equal(device_commit(fixture->device, object_post, &post), 0);
	struct buf raw_key = BUF_INIT;
	struct buf value = BUF_INIT;
	get_raw(fixture, DEVICE_OBJECTS, &raw_key, &value);
	buf_release(&raw_key);
	return value;
}

static void object__record_with_a_flipped_bit_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct buf bytes = sample_record(fixture);
	struct object_record record;
	assert_int_equal(object_record_decode(buf_slice(&bytes), fixture->arena, &record), 0);
	for (size_t i = 0; i < bytes.length * 8; i++) {
		bytes.data[i / 8] ^= (char)(1 << i % 8);
		assert_int_equal(object_record_decode(buf_slice(&bytes), fixture->arena, &record), -EBADMSG);
		bytes.data[i / 8] ^= (char)(1 << i % 8);
	}
	for (size_t length = 0; length < bytes.length; length++)
		assert_int_equal(object_record_decode(slice_of(bytes.data, length), fixture->arena, &record), -EBADMSG);
	buf_release(&bytes);
}

static void seal(struct buf *bytes)
{
	bytes->length -= 8;
	buf_append_u64(bytes, XXH3_64bits(bytes->data, bytes->length));
}

/* The checksum matches, the lengths lie: a refusal must come of it, or a record that is written as it was read. */
static void object__record_lengths_are_not_trusted(void **state)
{
	struct fixture *fixture = *state;
	struct buf bytes = sample_record(fixture);
	unsigned refused = 0;
	for (size_t i = 0; i < bytes.length - 8; i++) {
		for (unsigned change = 1; change < 256; change += 13) {
			struct arena *arena = arena_new();
			char *copy = xmalloc(bytes.length);
			bytes.data[i] ^= (char)change;
			seal(&bytes);
			/* In memory of its exact size, so that a step past the end is seen. */
			memcpy(copy, bytes.data, bytes.length);
			struct object_record record;
			int result = object_record_decode(slice_of(copy, bytes.length), arena, &record);
			assert_true(result == 0 || result == -EBADMSG);
			refused += result < 0;
			if (result == 0) {
				struct buf again = BUF_INIT;
				object_record_encode(&record, &again);
				if (!slice_equal(buf_slice(&again), buf_slice(&bytes)))
					fail_msg("byte %zu changed by %#x is not written again", i, change);
				buf_release(&again);
			}
			bytes.data[i] ^= (char)change;
			seal(&bytes);
			free(copy);
			arena_free(arena);
		}
	}
	assert_true(refused > 1000);
	buf_release(&bytes);
}

static void object__damaged_record_is_told_and_put_over(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(put_size(fixture, at(10), 5), 0);
	struct buf raw_key = BUF_INIT;
	struct buf value = BUF_INIT;
	get_raw(fixture, DEVICE_OBJECTS, &raw_key, &value);
	value.data[9] ^= 4;
	struct raw raw = {DEVICE_OBJECTS, buf_slice(&raw_key), buf_slice(&value)};
	assert_int_equal(device_commit(fixture->device, put_raw, &raw), 0);
	struct object_record record;
	assert_int_equal(object_read(fixture->device, &key, fixture->arena, &record), -EBADMSG);
	assert_int_equal(object_read_cached(fixture->device, &key, fixture->arena, &record), -EBADMSG);
	struct object_post post = {.key = key, .timestamp = at(20), .arena = fixture->arena};
	assert_int_equal(device_commit(fixture->device, object_post, &post), -EBADMSG);

	assert_int_equal(object_quarantine(fixture->device, &key, NULL), 0);
	assert_int_equal(read_record(fixture).kind, OBJECT_ABSENT);
	assert_int_equal(count_names(fixture, "quarantined"), 1);
	assert_int_equal(device_commit(fixture->device, put_raw, &raw), 0);
	assert_int_equal(put_size(fixture, at(5), 7), 0);
	assert_body(fixture, 7, 1);
	buf_release(&raw_key);
	buf_release(&value);
}

static void object__small_body_with_a_flipped_bit_is_refused(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(put_size(fixture, at(10), 500), 0);
	struct object_record record = read_record(fixture);
	struct buf raw_key = BUF_INIT;
	struct buf value = BUF_INIT;
	get_raw(fixture, DEVICE_BODIES, &raw_key, &value);
	struct object_body *body;
	for (size_t i = 0; i < value.length; i += 25) {
		value.data[i] ^= (char)(1 << i % 8);
		struct raw raw = {DEVICE_BODIES, buf_slice(&raw_key), buf_slice(&value)};
		assert_int_equal(device_commit(fixture->device, put_raw, &raw), 0);
		assert_int_equal(object_body_open(fixture->device, &key, &record, &body), -EBADMSG);
		assert_int_equal(object_body_open_cached(fixture->device, &key, &record, &body), -EBADMSG);
		value.data[i] ^= (char)(1 << i % 8);
	}
	struct raw shorter = {DEVICE_BODIES, buf_slice(&raw_key), slice_of(value.data, 499)};
	assert_int_equal(device_commit(fixture->device, put_raw, &shorter), 0);
	assert_int_equal(object_body_open(fixture->device, &key, &record, &body), -EBADMSG);
	buf_release(&raw_key);
	buf_release(&value);
}

enum { FILE_BYTES = 66000 }; /* a whole block and a short one */

/* Opens the body file for writing. */
static int open_body_file(struct fixture *fixture)
{
	struct object_record record = read_record(fixture);
	char *path = xasprintf("%s/bodies/ab/cd/%016" PRIx64, fixture->path, record.body_number);
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	free(path);
	return fd;
}

/* Reads all; what is given out must be right. Returns the bytes, or the error. */
static ssize_t read_whole(struct fixture *fixture, const struct object_record *record, char *data)
{
	struct object_body *body;
	int result = object_body_open(fixture->device, &key, record, &body);
	if (result < 0)
		return result;
	uint64_t offset = 0;
	ssize_t count;
	while ((count = object_body_read(body, offset, data, FILE_BYTES)) > 0) {
		for (ssize_t i = 0; i < count; i++)
			if ((unsigned char)data[i] != byte_at(offset + (uint64_t)i, 1))
				fail_msg("wrong byte given out");
		offset += (uint64_t)count;
	}
	object_body_free(body);
	return count < 0 ? count : (ssize_t)offset;
}

static void flip(int fd, off_t offset)
{
	char byte;
	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= (char)(1 << offset % 8);
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
}

static void object__file_with_a_flipped_bit_gives_no_wrong_byte(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(put_size(fixture, at(10), FILE_BYTES), 0);
	struct object_record record = read_record(fixture);
	char *data = xmalloc(FILE_BYTES);
	int fd = open_body_file(fixture);
	struct stat file;
	assert_int_equal(fstat(fd, &file), 0);
	assert_int_equal(file.st_size, FILE_BYTES + 2 * 8 + 50);
	assert_int_equal(read_whole(fixture, &record, data), FILE_BYTES);
	for (off_t i = 0; i < file.st_size; i += i < FILE_BYTES ? FLIP_STRIDE : 1) {
		flip(fd, i);
		assert_int_equal(read_whole(fixture, &record, data), -EBADMSG);
		flip(fd, i);
	}
	assert_int_equal(read_whole(fixture, &record, data), FILE_BYTES);

	/* The good block is still given out, a part of the bad one is not. */
	flip(fd, 65536 + 100);
	struct object_body *body;
	assert_int_equal(object_body_open(fixture->device, &key, &record, &body), 0);
	assert_int_equal(object_body_read(body, 0, data, FILE_BYTES), 65536);
	assert_int_equal(object_body_read(body, 65536, data, 5), -EBADMSG);
	assert_int_equal(object_body_read(body, 65530, data, 20), 6);
	object_body_free(body);
	flip(fd, 65536 + 100);

	assert_int_equal(ftruncate(fd, file.st_size - 1), 0);
	assert_int_equal(read_whole(fixture, &record, data), -EBADMSG);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(read_whole(fixture, &record, data), -EBADMSG);
	close(fd);
	free(data);
}

static void object__file_of_another_object_is_refused(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(put_size(fixture, at(10), 70000), 0);
	struct object_record record = read_record(fixture);
	struct object_key other = key;
	other.hash[15] ^= 1;
	struct object_body *body;
	assert_int_equal(object_body_open(fixture->device, &other, &record, &body), -EBADMSG);
	struct object_record wrong = record;
	wrong.size = UINT64_MAX - 3;
	assert_int_equal(object_body_open(fixture->device, &key, &wrong, &body), -EBADMSG);
	wrong = record;
	wrong.body_checksum++;
	assert_int_equal(object_body_open(fixture->device, &key, &wrong, &body), -EBADMSG);
}

static void object__quarantine_keeps_the_evidence(void **state)
{
	struct fixture *fixture = *state;
	static const uint64_t sizes[] = {500, 70000};
	char *folder = xasprintf("quarantined/abcd0102030405060708090a0b0c0d0e");
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(put_size(fixture, at(10 + i), sizes[i]), 0);
		struct object_record record = read_record(fixture);
		struct object_record older = record;
		older.data_time = at(5);
		assert_int_equal(object_quarantine(fixture->device, &key, &older), 0);
		assert_int_equal(count_names(fixture, "quarantined"), i);
		assert_int_equal(read_record(fixture).kind, OBJECT_DATA);
		assert_int_equal(object_quarantine(fixture->device, &key, &record), 0);
		assert_int_equal(read_record(fixture).kind, OBJECT_ABSENT);
		assert_int_equal(count_names(fixture, "quarantined"), i + 1);
		assert_int_equal(count_names(fixture, folder), 2);
		assert_int_equal(count_values(fixture, DEVICE_BODIES), 0);
		assert_int_equal(object_quarantine(fixture->device, &key, &record), 0);
	}
	reopen(fixture);
	assert_int_equal(count_names(fixture, "bodies/ab/cd"), 0);
	free(folder);
}

/* ---- recovery ---- */

static void object__recover_moves_and_removes(void **state)
{
	struct fixture *fixture = *state;
	/* Committed, and the process ended before the file moved. */
	struct object_writer *moved = write_body(fixture->device, 70000, true, 4096, 1);
	struct object_put put = put_of(moved, at(10));
	assert_int_equal(device_commit(fixture->device, object_put, &put), 0);
	/* Finished, never committed; begun, never finished; something else. */
	struct object_writer *finished = write_body(fixture->device, 80000, true, 4096, 1);
	struct object_writer *begun;
	assert_int_equal(object_writer_new(fixture->device, &key, -1, &begun), 0);
	char *data = xcalloc(1, 90000);
	assert_true(object_writer_blocks(begun, 90000));
	assert_false(object_writer_blocks(begun, 100));
	assert_int_equal(object_writer_append(begun, data, 90000), 0);
	free(data);
	assert_int_equal(count_names(fixture, "incoming"), 3);

	/* The writers stay as they are, as in a process that was killed, until the next life has
	 * looked. */
	char *copies = xasprintf("cp -a %s/incoming %s/saved", fixture->path, fixture->path);
	assert_int_equal(system(copies), 0);
	free(copies);
	object_writer_free(moved);
	object_writer_free(finished);
	object_writer_free(begun);
	char *restore = xasprintf("rm -r %s/bodies/ab && mv %s/saved/* %s/incoming/ && touch %s/incoming/note",
		fixture->path, fixture->path, fixture->path, fixture->path);
	assert_int_equal(system(restore), 0);
	free(restore);
	assert_body(fixture, 70000, 1);
	reopen(fixture);
	assert_body(fixture, 70000, 1);
	assert_int_equal(count_names(fixture, "incoming"), 1);
	assert_int_equal(count_names(fixture, "bodies/ab/cd"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(object__record_with_a_flipped_bit_is_refused),
		TEST(object__record_lengths_are_not_trusted),
		TEST(object__damaged_record_is_told_and_put_over),
		TEST(object__small_body_with_a_flipped_bit_is_refused),
		TEST(object__file_with_a_flipped_bit_gives_no_wrong_byte),
		TEST(object__file_of_another_object_is_refused),
		TEST(object__quarantine_keeps_the_evidence),
		TEST(object__recover_moves_and_removes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
