#include "object/object_store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/store/device_files.h"
#include "object/object_store_private.h"

#define FOOTER_MAGIC "swbody01"

enum { FOOTER_MAGIC_BYTES = 8 };

struct object_body {
	uint64_t size;
	int fd;                /* of a file, or -1 */
	struct buf bytes;      /* of a small body, checked; of a file the trailer, checked */
	char *bounce;          /* a block that the reader wants only a part of; made when first needed */
	uint64_t bounce_block; /* which one it holds, checked; UINT64_MAX: none */
};

/* ---- layout ---- */

static uint64_t block_count(uint64_t size)
{
	return size / OBJECT_BLOCK_BYTES + (size % OBJECT_BLOCK_BYTES != 0);
}

uint64_t object_trailer_bytes(uint64_t size)
{
	return block_count(size) * OBJECT_CHECKSUM_BYTES + OBJECT_FOOTER_BYTES;
}

uint64_t object_trailer_finish(struct buf *trailer, const struct object_footer *footer)
{
	assert(trailer->length == block_count(footer->size) * OBJECT_CHECKSUM_BYTES);
	buf_append(trailer, FOOTER_MAGIC, FOOTER_MAGIC_BYTES);
	buf_append_u16(trailer, footer->key.policy);
	buf_append(trailer, footer->key.hash, sizeof(footer->key.hash));
	buf_append_u64(trailer, footer->number);
	buf_append_u64(trailer, footer->size);
	uint64_t checksum = XXH3_64bits(trailer->data, trailer->length);
	buf_append_u64(trailer, checksum);
	assert(trailer->length == object_trailer_bytes(footer->size));
	return checksum;
}

int object_read_fully(int fd, void *data, size_t bytes, uint64_t offset)
{
	char *at = data;
	while (bytes > 0) {
		ssize_t count = pread(fd, at, bytes, (off_t)offset);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -EIO;
		if (count == 0)
			return -EBADMSG;
		at += count;
		bytes -= (size_t)count;
		offset += (size_t)count;
	}
	return 0;
}

static int parse_footer(struct slice bytes, struct object_footer *ret_footer)
{
	struct cursor cursor = cursor_of(bytes);
	struct slice magic = cursor_bytes(&cursor, FOOTER_MAGIC_BYTES);
	struct object_footer footer = {.key.policy = cursor_u16(&cursor)};
	struct slice hash = cursor_bytes(&cursor, sizeof(footer.key.hash));
	footer.number = cursor_u64(&cursor);
	footer.size = cursor_u64(&cursor);
	if (cursor.failed || memcmp(magic.data, FOOTER_MAGIC, FOOTER_MAGIC_BYTES) != 0)
		return -EBADMSG;
	memcpy(footer.key.hash, hash.data, hash.length);
	*ret_footer = footer;
	return 0;
}

int object_footer_read(int fd, struct object_footer *ret_footer)
{
	char bytes[OBJECT_FOOTER_BYTES];
	struct stat file;
	if (fstat(fd, &file) < 0)
		return -EIO;
	if (file.st_size < OBJECT_FOOTER_BYTES)
		return -EBADMSG;
	int result = object_read_fully(fd, bytes, sizeof(bytes), (uint64_t)file.st_size - OBJECT_FOOTER_BYTES);
	return result < 0 ? result : parse_footer(slice_of(bytes, sizeof(bytes)), ret_footer);
}

/* 0, -EAGAIN unless all of it is in the page cache, or -EIO. */
static int read_from_page_cache(int fd, char *data, size_t bytes, uint64_t offset)
{
	struct iovec part = {data, bytes};
	ssize_t count = preadv2(fd, &part, 1, (off_t)offset, RWF_NOWAIT);
	if (count == (ssize_t)bytes)
		return 0;
	return count < 0 && errno == EIO ? -EIO : -EAGAIN;
}

static int read_part(struct object_body *body, bool cached, char *data, size_t bytes, uint64_t offset)
{
	if (cached)
		return read_from_page_cache(body->fd, data, bytes, offset);
	return object_read_fully(body->fd, data, bytes, offset);
}

/* ---- opening ---- */

static bool same_key(const struct object_key *a, const struct object_key *b)
{
	return a->policy == b->policy && memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

/* The checksum covers everything; the record's copy of it says that this trailer is the one that
 * was committed. */
static int check_trailer(struct slice trailer, const struct object_key *key, const struct object_record *record)
{
	size_t covered = trailer.length - OBJECT_CHECKSUM_BYTES;
	struct cursor end = cursor_of(slice_of(trailer.data + covered, OBJECT_CHECKSUM_BYTES));
	uint64_t checksum = XXH3_64bits(trailer.data, covered);
	if (checksum != cursor_u64(&end) || checksum != record->body_checksum)
		return -EBADMSG;
	struct object_footer footer;
	const char *at = trailer.data + trailer.length - OBJECT_FOOTER_BYTES;
	if (parse_footer(slice_of(at, OBJECT_FOOTER_BYTES), &footer) < 0)
		return -EBADMSG;
	if (footer.size != record->size || footer.number != record->body_number || !same_key(&footer.key, key))
		return -EBADMSG;
	return 0;
}

static int load_file(
	struct object_body *body, bool cached, const struct object_key *key, const struct object_record *record)
{
	struct stat file;
	if (fstat(body->fd, &file) < 0)
		return -EIO;
	/* Said this way round nothing overflows, whatever a record claims; and what is allocated
	 * has the file's size. */
	uint64_t file_bytes = (uint64_t)file.st_size;
	if (record->size > file_bytes || file_bytes - record->size != object_trailer_bytes(record->size))
		return -EBADMSG;
	size_t bytes = (size_t)(file_bytes - record->size);
	char *room = buf_reserve(&body->bytes, bytes);
	int result = read_part(body, cached, room, bytes, record->size);
	if (result < 0)
		return result;
	body->bytes.length = bytes;
	return check_trailer(buf_slice(&body->bytes), key, record);
}

static int open_file(struct device *device, const struct object_key *key, const struct object_record *record,
	struct object_body *body)
{
	int fd = device_file_open(device, record->body_number, key->hash);
	if (fd < 0)
		return fd == -ENOENT ? -ENOENT : -EIO;
	body->fd = fd;
	return load_file(body, false, key, record);
}

static int open_file_cached(struct device *device, const struct object_key *key, const struct object_record *record,
	struct object_body *body)
{
	int fd = device_file_open_cached(device, record->body_number, key->hash);
	if (fd < 0)
		return fd;
	body->fd = fd;
	return load_file(body, true, key, record);
}

typedef int get_fn(struct device *device, enum device_family family, struct slice key, struct buf *value);

static int load_small(struct device *device, const struct object_record *record, get_fn *get, struct object_body *body)
{
	char key[OBJECT_NUMBER_KEY_BYTES];
	int result = record->size == 0
			     ? 0
			     : get(device, DEVICE_BODIES, object_body_key(record->body_number, key), &body->bytes);
	if (result < 0)
		return result;
	if (body->bytes.length != record->size ||
		XXH3_64bits(body->bytes.data, body->bytes.length) != record->body_checksum)
		return -EBADMSG;
	return 0;
}

static struct object_body *body_new(const struct object_record *record)
{
	assert(record->kind == OBJECT_DATA);
	struct object_body *body = xcalloc(1, sizeof(*body));
	body->size = record->size;
	body->fd = -1;
	body->bounce_block = UINT64_MAX;
	return body;
}

/* Hands the body out, or frees it. */
static int body_done(struct object_body *body, int result, struct object_body **ret_body)
{
	if (result == 0)
		*ret_body = body;
	else
		object_body_free(body);
	return result;
}

int object_body_open(struct device *device, const struct object_key *key, const struct object_record *record,
	struct object_body **ret_body)
{
	struct object_body *body = body_new(record);
	int result = record->body_in_file ? open_file(device, key, record, body)
					  : load_small(device, record, device_get, body);
	return body_done(body, result, ret_body);
}

int object_body_open_cached(struct device *device, const struct object_key *key, const struct object_record *record,
	struct object_body **ret_body)
{
	struct object_body *body = body_new(record);
	int result = record->body_in_file ? open_file_cached(device, key, record, body)
					  : load_small(device, record, device_get_cached, body);
	return body_done(body, result, ret_body);
}

void object_body_free(struct object_body *body)
{
	if (!body)
		return;
	if (body->fd >= 0)
		close(body->fd);
	buf_release(&body->bytes);
	free(body->bounce);
	free(body);
}

/* ---- reading ---- */

static size_t block_bytes(const struct object_body *body, uint64_t block)
{
	uint64_t left = body->size - block * OBJECT_BLOCK_BYTES;
	return left < OBJECT_BLOCK_BYTES ? (size_t)left : OBJECT_BLOCK_BYTES;
}

static bool block_matches(const struct object_body *body, uint64_t block, const char *data)
{
	const char *at = body->bytes.data + block * OBJECT_CHECKSUM_BYTES;
	struct cursor cursor = cursor_of(slice_of(at, OBJECT_CHECKSUM_BYTES));
	return cursor_u64(&cursor) == XXH3_64bits(data, block_bytes(body, block));
}

/* Whole blocks straight to the reader. Returns bytes that are good, or an error when the first
 * block is not. */
static ssize_t read_blocks(struct object_body *body, bool cached, uint64_t block, char *data, size_t bytes)
{
	int result = read_part(body, cached, data, bytes, block * OBJECT_BLOCK_BYTES);
	if (result < 0)
		return result;
	size_t good = 0;
	while (good < bytes) {
		if (!block_matches(body, block, data + good)) {
			memset(data + good, 0, bytes - good);
			return good > 0 ? (ssize_t)good : -EBADMSG;
		}
		good += block_bytes(body, block);
		block++;
	}
	return (ssize_t)good;
}

/* Part of a block, by way of the bounce buffer. */
static ssize_t read_in_block(struct object_body *body, bool cached, uint64_t offset, char *data, size_t bytes)
{
	uint64_t block = offset / OBJECT_BLOCK_BYTES;
	size_t skip = offset % OBJECT_BLOCK_BYTES;
	size_t length = block_bytes(body, block);
	if (!body->bounce)
		body->bounce = xmalloc(OBJECT_BLOCK_BYTES);
	if (body->bounce_block != block) {
		body->bounce_block = UINT64_MAX;
		ssize_t result = read_blocks(body, cached, block, body->bounce, length);
		if (result < 0)
			return result;
		body->bounce_block = block;
	}
	size_t part = length - skip < bytes ? length - skip : bytes;
	memcpy(data, body->bounce + skip, part);
	return (ssize_t)part;
}

/* Bytes of whole blocks that begin at `offset` and fit; the body's short last block counts as
 * whole. */
static size_t whole_blocks(const struct object_body *body, uint64_t offset, size_t bytes)
{
	if (offset % OBJECT_BLOCK_BYTES != 0)
		return 0;
	return offset + bytes == body->size ? bytes : bytes - bytes % OBJECT_BLOCK_BYTES;
}

static ssize_t read_from_file(struct object_body *body, bool cached, uint64_t offset, char *data, size_t bytes)
{
	size_t done = 0;
	while (done < bytes) {
		size_t whole = whole_blocks(body, offset + done, bytes - done);
		ssize_t count =
			whole > 0 ? read_blocks(body, cached, (offset + done) / OBJECT_BLOCK_BYTES, data + done, whole)
				  : read_in_block(body, cached, offset + done, data + done, bytes - done);
		/* What is good goes out; the error meets the next call, which begins with it. */
		if (count < 0)
			return done > 0 ? (ssize_t)done : count;
		done += (size_t)count;
	}
	return (ssize_t)done;
}

static ssize_t read_body(struct object_body *body, bool cached, uint64_t offset, void *data, size_t bytes)
{
	if (offset >= body->size)
		return 0;
	if (bytes > body->size - offset)
		bytes = (size_t)(body->size - offset);
	if (body->fd >= 0)
		return read_from_file(body, cached, offset, data, bytes);
	memcpy(data, body->bytes.data + offset, bytes);
	return (ssize_t)bytes;
}

struct slice object_body_memory(const struct object_body *body)
{
	return body->fd >= 0 ? SLICE_NONE : buf_slice(&body->bytes);
}

ssize_t object_body_read(struct object_body *body, uint64_t offset, void *data, size_t bytes)
{
	return read_body(body, false, offset, data, bytes);
}

ssize_t object_body_read_cached(struct object_body *body, uint64_t offset, void *data, size_t bytes)
{
	return read_body(body, true, offset, data, bytes);
}
