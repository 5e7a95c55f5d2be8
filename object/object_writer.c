#include "object/object_store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/store/device_files.h"
#include "object/object_store_private.h"

/* Dirty pages of one body are bounded to about two of these, so that the last sync has little left
 * to do. */
enum { WRITEBACK_BYTES = 8 << 20 };

int object_writer_new(
	struct device *device, const struct object_key *key, int64_t size, struct object_writer **ret_writer)
{
	assert(size >= -1);
	int result = device_check_room(device, size > 0 ? (uint64_t)size : 0);
	if (result < 0)
		return result == -EROFS ? -EIO : result;
	struct object_writer *writer = xcalloc(1, sizeof(*writer));
	writer->device = device;
	writer->key = *key;
	writer->expected = size;
	writer->fd = -1;
	*ret_writer = writer;
	return 0;
}

static bool needs_file(const struct object_writer *writer, size_t bytes)
{
	return writer->in_file || writer->expected > OBJECT_INLINE_BYTES_MAX ||
	       writer->size + bytes > OBJECT_INLINE_BYTES_MAX;
}

bool object_writer_blocks(const struct object_writer *writer, size_t bytes)
{
	return needs_file(writer, bytes);
}

uint64_t object_writer_size(const struct object_writer *writer)
{
	return writer->size;
}

/* A disk that cannot keep a body file will not keep a record either. */
static int disk_error(struct object_writer *writer, int error, const char *verb)
{
	if (error == ENOSPC || error == EDQUOT || error == EFBIG)
		return -ENOSPC;
	if ((error == EIO || error == EROFS) && device_fail(writer->device))
		log_error("device %s failed: cannot %s a body file: %s", device_name(writer->device), verb,
			strerror(error));
	return -EIO;
}

/* ---- the file ---- */

/* Room is taken at once where the size is known: then a body that has begun cannot run out of
 * space. KEEP_SIZE, so that the file ends where the data does. File systems that cannot do it find
 * out while writing. */
static int take_room(struct object_writer *writer)
{
	if (writer->expected < 0)
		return 0;
	uint64_t bytes = (uint64_t)writer->expected + object_trailer_bytes((uint64_t)writer->expected);
	int result = device_check_room(writer->device, bytes);
	if (result < 0)
		return result == -EROFS ? -EIO : result;
	if (fallocate(writer->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0 || errno == EOPNOTSUPP || errno == EINTR)
		return 0;
	return disk_error(writer, errno, "allocate");
}

static int write_fully(struct object_writer *writer, const void *data, size_t bytes, uint64_t offset)
{
	const char *at = data;
	while (bytes > 0) {
		ssize_t written = pwrite(writer->fd, at, bytes, (off_t)offset);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return disk_error(writer, errno, "write");
		at += written;
		bytes -= (size_t)written;
		offset += (size_t)written;
	}
	return 0;
}

static void end_block(struct object_writer *writer)
{
	buf_append_u64(&writer->bytes, XXH3_64bits_digest(writer->block));
	XXH3_64bits_reset(writer->block);
}

/* `offset` is where the data goes: blocks end at multiples of their size. */
static void sum_blocks(struct object_writer *writer, const char *data, size_t bytes, uint64_t offset)
{
	while (bytes > 0) {
		size_t part = OBJECT_BLOCK_BYTES - offset % OBJECT_BLOCK_BYTES;
		if (part > bytes)
			part = bytes;
		XXH3_64bits_update(writer->block, data, part);
		data += part;
		bytes -= part;
		offset += part;
		if (offset % OBJECT_BLOCK_BYTES == 0)
			end_block(writer);
	}
}

static int start_writeback(struct object_writer *writer)
{
	uint64_t start = writer->started_bytes;
	if (writer->size - start < WRITEBACK_BYTES)
		return 0;
	uint64_t length = writer->size - start;
	if (sync_file_range(writer->fd, (off_t)start, (off_t)length, SYNC_FILE_RANGE_WRITE) < 0)
		return disk_error(writer, errno, "sync");
	if (start > 0 && sync_file_range(writer->fd, 0, (off_t)start,
				 SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) < 0)
		return disk_error(writer, errno, "sync");
	writer->started_bytes = writer->size;
	/* A body of unknown size meets the reserve here. */
	return writer->expected < 0 ? device_check_room(writer->device, WRITEBACK_BYTES) : 0;
}

static int append_to_file(struct object_writer *writer, const void *data, size_t bytes)
{
	int result = write_fully(writer, data, bytes, writer->size);
	if (result < 0)
		return result;
	sum_blocks(writer, data, bytes, writer->size);
	writer->size += bytes;
	return start_writeback(writer);
}

/* Turns to a file; what was kept in memory so far goes to its start. */
static int open_file(struct object_writer *writer)
{
	writer->number = device_next_number(writer->device);
	if (writer->number == 0)
		return -EIO;
	int fd = device_file_create(writer->device, writer->number);
	if (fd < 0)
		return disk_error(writer, -fd, "create");
	writer->fd = fd;
	writer->in_file = true;
	writer->block = XXH3_createState();
	if (!writer->block)
		memory_exhausted();
	XXH3_64bits_reset(writer->block);
	int result = take_room(writer);
	if (result < 0)
		return result;
	struct buf start = writer->bytes;
	writer->bytes = BUF_INIT;
	writer->size = 0;
	result = append_to_file(writer, start.data, start.length);
	buf_release(&start);
	return result;
}

/* ---- both kinds ---- */

static int append(struct object_writer *writer, const void *data, size_t bytes)
{
	if (!needs_file(writer, bytes)) {
		buf_append(&writer->bytes, data, bytes);
		writer->size += bytes;
		return 0;
	}
	int result = writer->in_file ? 0 : open_file(writer);
	return result < 0 ? result : append_to_file(writer, data, bytes);
}

int object_writer_append(struct object_writer *writer, const void *data, size_t bytes)
{
	assert(!writer->finished);
	if (writer->error == 0 && bytes > 0)
		writer->error = append(writer, data, bytes);
	return writer->error;
}

static int finish_file(struct object_writer *writer)
{
	if (writer->size % OBJECT_BLOCK_BYTES != 0)
		end_block(writer);
	struct object_footer footer = {writer->key, writer->number, writer->size};
	writer->checksum = object_trailer_finish(&writer->bytes, &footer);
	int result = write_fully(writer, writer->bytes.data, writer->bytes.length, writer->size);
	if (result < 0)
		return result;
	buf_release(&writer->bytes);
	/* A failed sync is final: the device is failed, and nobody tries again on this file. */
	return fdatasync(writer->fd) < 0 ? disk_error(writer, errno, "sync") : 0;
}

int object_writer_finish(struct object_writer *writer)
{
	assert(!writer->finished);
	if (writer->error == 0 && writer->in_file)
		writer->error = finish_file(writer);
	else if (writer->error == 0)
		writer->checksum = XXH3_64bits(writer->bytes.data, writer->bytes.length);
	writer->finished = writer->error == 0;
	return writer->error;
}

/* When the device failed, nobody knows whether the record is on the disk: the file waits in
 * incoming/ for the sweep of the next start. The same when moving fails. */
static void leave_file(struct object_writer *writer)
{
	close(writer->fd);
	if (!writer->applied)
		(void)device_file_remove(writer->device, writer->number, writer->key.hash);
	else if (device_state(writer->device) != DEVICE_FAILED)
		(void)device_file_settle(writer->device, writer->number, writer->key.hash);
}

void object_writer_free(struct object_writer *writer)
{
	if (!writer)
		return;
	if (writer->fd >= 0)
		leave_file(writer);
	XXH3_freeState(writer->block);
	buf_release(&writer->bytes);
	free(writer);
}
