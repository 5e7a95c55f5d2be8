/*
 * Keys and records of the listing store. All integers are big-endian; every record begins with a
 * version byte.
 *
 *	container row  version flags sequence(8) data-time [content-type-time] [meta-time] size(8)
 *	               etag content-type [swift_bytes]
 *	account row    version flags sequence(8) policy(2) put-time delete-time objects(8) bytes(8)
 *	numbers        version newest-sequence(8) hash(16) count(2) and per policy:
 *	               index(2) containers(8) objects(8) bytes(8)
 *	info           version flags policy(2) times, reported numbers, texts, metadata items
 *
 * In rows a time that equals the one before it is left out, an offset is stored only when it is not
 * 0 (and only the data time of an object has one), and an etag of 32 hex digits takes 16 bytes.
 */
#include "lib/store/listing_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { RECORD_VERSION = 1 };

enum object_flags {
	OBJECT_DATA_OFFSET = 1 << 0,
	OBJECT_TYPE_TIME = 1 << 1, /* content-type time differs from data time */
	OBJECT_META_TIME = 1 << 2, /* meta time differs from content-type time */
	OBJECT_BINARY_ETAG = 1 << 3,
	OBJECT_SWIFT_BYTES = 1 << 4,
};

enum container_flags {
	CONTAINER_PUT_OFFSET = 1 << 0,
	CONTAINER_DELETE_OFFSET = 1 << 1,
};

enum info_flags {
	INFO_STATUS_DELETED = 1 << 0,
};

enum device_family listing_family(enum listing_kind kind)
{
	return kind == LISTING_ACCOUNT ? DEVICE_ACCOUNTS : DEVICE_CONTAINERS;
}

void listing_key(struct buf *key, const unsigned char hash[LISTING_HASH_BYTES], enum listing_area area)
{
	buf_append(key, hash, LISTING_HASH_BYTES);
	buf_append_byte(key, (char)area);
}

void listing_key_row(
	struct buf *key, const unsigned char hash[LISTING_HASH_BYTES], bool deleted, uint16_t policy, struct slice name)
{
	listing_key(key, hash, deleted ? LISTING_AREA_DELETED_ROWS : LISTING_AREA_ROWS);
	buf_append_u16(key, policy);
	buf_append_slice(key, name);
}

void listing_key_sequence(struct buf *key, const unsigned char hash[LISTING_HASH_BYTES], uint64_t sequence)
{
	listing_key(key, hash, LISTING_AREA_SEQUENCE);
	buf_append_u64(key, sequence);
}

void listing_encode_sequence(struct buf *value, uint16_t policy, struct slice name)
{
	buf_append_u16(value, policy);
	buf_append_slice(value, name);
}

static bool timestamp_equal(struct timestamp a, struct timestamp b)
{
	return a.raw == b.raw && a.offset == b.offset;
}

static void append_time(struct buf *value, struct timestamp time)
{
	buf_append_u64(value, time.raw);
	if (time.offset)
		buf_append_u64(value, time.offset);
}

static struct timestamp read_time(struct cursor *cursor, bool has_offset)
{
	struct timestamp time = {.raw = cursor_u64(cursor)};
	if (has_offset)
		time.offset = cursor_u64(cursor);
	cursor->failed |= time.raw > TIMESTAMP_RAW_MAX;
	return time;
}

static void append_full_time(struct buf *value, struct timestamp time)
{
	buf_append_u64(value, time.raw);
	buf_append_u64(value, time.offset);
}

static struct timestamp read_full_time(struct cursor *cursor)
{
	return read_time(cursor, true);
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return -1;
}

/* False when the text is not 32 lower-case hex digits. */
static bool etag_pack(struct slice etag, char ret_bytes[LISTING_ETAG_BYTES / 2])
{
	if (etag.length != LISTING_ETAG_BYTES)
		return false;
	for (size_t i = 0; i < LISTING_ETAG_BYTES / 2; i++) {
		int high = hex_digit(etag.data[2 * i]);
		int low = hex_digit(etag.data[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		ret_bytes[i] = (char)(high << 4 | low);
	}
	return true;
}

static void etag_unpack(struct slice bytes, char ret_etag[LISTING_ETAG_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < bytes.length; i++) {
		unsigned char byte = (unsigned char)bytes.data[i];
		ret_etag[2 * i] = digits[byte >> 4];
		ret_etag[2 * i + 1] = digits[byte & 15];
	}
}

/* Merging leaves no other offsets than that of the data time (timestamp_canonical_triple). */
static unsigned object_time_flags(const struct container_row *row)
{
	unsigned flags = 0;
	if (row->data.offset)
		flags |= OBJECT_DATA_OFFSET;
	if (!timestamp_equal(row->content_type_time, row->data)) {
		assert(row->content_type_time.offset == 0);
		flags |= OBJECT_TYPE_TIME;
	}
	if (!timestamp_equal(row->meta, row->content_type_time)) {
		assert(row->meta.offset == 0);
		flags |= OBJECT_META_TIME;
	}
	return flags;
}

void listing_encode_object(struct buf *value, uint64_t sequence, const struct container_row *row)
{
	char packed[LISTING_ETAG_BYTES / 2];
	unsigned flags = object_time_flags(row);
	if (etag_pack(row->etag, packed))
		flags |= OBJECT_BINARY_ETAG;
	if (row->swift_bytes.data)
		flags |= OBJECT_SWIFT_BYTES;

	buf_append_byte(value, RECORD_VERSION);
	buf_append_byte(value, (char)flags);
	buf_append_u64(value, sequence);
	append_time(value, row->data);
	if (flags & OBJECT_TYPE_TIME)
		append_time(value, row->content_type_time);
	if (flags & OBJECT_META_TIME)
		append_time(value, row->meta);
	buf_append_u64(value, (uint64_t)row->size);
	if (flags & OBJECT_BINARY_ETAG)
		buf_append(value, packed, sizeof(packed));
	else
		buf_append_counted(value, row->etag);
	buf_append_counted(value, row->content_type);
	if (flags & OBJECT_SWIFT_BYTES)
		buf_append_counted(value, row->swift_bytes);
}

int listing_decode_object(struct slice value, bool deleted, struct listing_object_record *ret_record)
{
	struct cursor cursor = cursor_of(value);
	if (cursor_u8(&cursor) != RECORD_VERSION)
		return -EIO;
	unsigned flags = cursor_u8(&cursor);
	ret_record->sequence = cursor_u64(&cursor);
	struct container_row *row = &ret_record->row;
	row->deleted = deleted;
	row->data = read_time(&cursor, flags & OBJECT_DATA_OFFSET);
	row->content_type_time = row->data;
	if (flags & OBJECT_TYPE_TIME)
		row->content_type_time = read_time(&cursor, false);
	row->meta = row->content_type_time;
	if (flags & OBJECT_META_TIME)
		row->meta = read_time(&cursor, false);
	row->size = (int64_t)cursor_u64(&cursor);
	if (flags & OBJECT_BINARY_ETAG) {
		etag_unpack(cursor_bytes(&cursor, LISTING_ETAG_BYTES / 2), ret_record->etag);
		row->etag = slice_of(ret_record->etag, LISTING_ETAG_BYTES);
	} else {
		row->etag = cursor_counted(&cursor);
	}
	row->content_type = cursor_counted(&cursor);
	row->swift_bytes = flags & OBJECT_SWIFT_BYTES ? cursor_counted(&cursor) : SLICE_NONE;
	return cursor.failed || cursor.at != cursor.end ? -EIO : 0;
}

void listing_encode_container(struct buf *value, uint64_t sequence, const struct listing_container_row *row)
{
	unsigned flags = 0;
	if (row->put_timestamp.offset)
		flags |= CONTAINER_PUT_OFFSET;
	if (row->delete_timestamp.offset)
		flags |= CONTAINER_DELETE_OFFSET;
	buf_append_byte(value, RECORD_VERSION);
	buf_append_byte(value, (char)flags);
	buf_append_u64(value, sequence);
	buf_append_u16(value, row->policy);
	append_time(value, row->put_timestamp);
	append_time(value, row->delete_timestamp);
	buf_append_u64(value, (uint64_t)row->object_count);
	buf_append_u64(value, (uint64_t)row->bytes_used);
}

int listing_decode_container(struct slice value, bool deleted, struct listing_container_record *ret_record)
{
	struct cursor cursor = cursor_of(value);
	if (cursor_u8(&cursor) != RECORD_VERSION)
		return -EIO;
	unsigned flags = cursor_u8(&cursor);
	ret_record->sequence = cursor_u64(&cursor);
	ret_record->deleted = deleted;
	struct listing_container_row *row = &ret_record->row;
	*row = (struct listing_container_row){.policy = cursor_u16(&cursor)};
	row->put_timestamp = read_time(&cursor, flags & CONTAINER_PUT_OFFSET);
	row->delete_timestamp = read_time(&cursor, flags & CONTAINER_DELETE_OFFSET);
	row->object_count = (int64_t)cursor_u64(&cursor);
	row->bytes_used = (int64_t)cursor_u64(&cursor);
	return cursor.failed || cursor.at != cursor.end ? -EIO : 0;
}

void listing_encode_numbers(struct buf *value, const struct listing_info *info)
{
	buf_append_byte(value, RECORD_VERSION);
	buf_append_u64(value, info->max_row);
	buf_append(value, info->hash, sizeof(info->hash));
	buf_append_u16(value, (uint16_t)info->count_count);
	for (size_t i = 0; i < info->count_count; i++) {
		const struct listing_policy_count *count = &info->counts[i];
		buf_append_u16(value, count->policy);
		buf_append_u64(value, (uint64_t)count->containers);
		buf_append_u64(value, (uint64_t)count->objects);
		buf_append_u64(value, (uint64_t)count->bytes);
	}
}

int listing_decode_numbers(struct slice value, struct listing_info *info)
{
	struct cursor cursor = cursor_of(value);
	if (cursor_u8(&cursor) != RECORD_VERSION)
		return -EIO;
	info->max_row = cursor_u64(&cursor);
	struct slice hash = cursor_bytes(&cursor, sizeof(info->hash));
	size_t count_count = cursor_u16(&cursor);
	if (cursor.failed || count_count > LISTING_POLICIES_MAX)
		return -EIO;
	memcpy(info->hash, hash.data, sizeof(info->hash));
	for (size_t i = 0; i < count_count; i++) {
		struct listing_policy_count *count = &info->counts[i];
		count->policy = cursor_u16(&cursor);
		count->containers = (int64_t)cursor_u64(&cursor);
		count->objects = (int64_t)cursor_u64(&cursor);
		count->bytes = (int64_t)cursor_u64(&cursor);
	}
	info->count_count = count_count;
	return cursor.failed || cursor.at != cursor.end ? -EIO : 0;
}

void listing_encode_info(struct buf *value, const struct listing_info *info)
{
	buf_append_byte(value, RECORD_VERSION);
	buf_append_byte(value, info->account_status_deleted ? INFO_STATUS_DELETED : 0);
	buf_append_u16(value, info->policy);
	append_full_time(value, info->created_at);
	append_full_time(value, info->put_timestamp);
	append_full_time(value, info->delete_timestamp);
	append_full_time(value, info->status_changed_at);
	append_full_time(value, info->reported_put_timestamp);
	append_full_time(value, info->reported_delete_timestamp);
	buf_append_u64(value, (uint64_t)info->reported_object_count);
	buf_append_u64(value, (uint64_t)info->reported_bytes_used);
	buf_append_counted(value, info->account);
	buf_append_counted(value, info->container);
	buf_append_counted(value, slice_from(info->id));
	buf_append_u32(value, (uint32_t)info->meta_count);
	for (size_t i = 0; i < info->meta_count; i++) {
		buf_append_counted(value, info->metas[i].name);
		buf_append_counted(value, info->metas[i].value);
		append_full_time(value, info->metas[i].time);
	}
}

static int decode_metas(struct cursor *cursor, struct arena *arena, struct listing_info *info)
{
	enum { META_BYTES_MIN = 4 + 4 + 16 };
	size_t meta_count = cursor_u32(cursor);
	if (meta_count > (size_t)(cursor->end - cursor->at) / META_BYTES_MIN)
		return -EIO;
	struct listing_meta *metas = arena_alloc(arena, (meta_count + 1) * sizeof(*metas));
	for (size_t i = 0; i < meta_count; i++) {
		metas[i].name = cursor_counted(cursor);
		metas[i].value = cursor_counted(cursor);
		metas[i].time = read_full_time(cursor);
	}
	info->metas = metas;
	info->meta_count = meta_count;
	return cursor->failed || cursor->at != cursor->end ? -EIO : 0;
}

int listing_decode_info(struct slice value, enum listing_kind kind, struct arena *arena, struct listing_info *info)
{
	struct cursor cursor = cursor_of(value);
	if (cursor_u8(&cursor) != RECORD_VERSION)
		return -EIO;
	unsigned flags = cursor_u8(&cursor);
	info->kind = kind;
	info->account_status_deleted = flags & INFO_STATUS_DELETED;
	info->policy = cursor_u16(&cursor);
	info->created_at = read_full_time(&cursor);
	info->put_timestamp = read_full_time(&cursor);
	info->delete_timestamp = read_full_time(&cursor);
	info->status_changed_at = read_full_time(&cursor);
	info->reported_put_timestamp = read_full_time(&cursor);
	info->reported_delete_timestamp = read_full_time(&cursor);
	info->reported_object_count = (int64_t)cursor_u64(&cursor);
	info->reported_bytes_used = (int64_t)cursor_u64(&cursor);
	info->account = cursor_counted(&cursor);
	info->container = cursor_counted(&cursor);
	struct slice id = cursor_counted(&cursor);
	if (cursor.failed || id.length >= sizeof(info->id))
		return -EIO;
	(void)snprintf(info->id, sizeof(info->id), "%.*s", SLICE_PRINT(id));
	return decode_metas(&cursor, arena, info);
}
