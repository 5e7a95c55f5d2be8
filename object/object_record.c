#include "object/object_record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/xxh3.h"

enum {
	RECORD_VERSION = 1,
	CHECKSUM_BYTES = 8,
	TEXT_PAIR_BYTES_MIN = 8, /* two empty texts */
};

enum record_flag {
	RECORD_IN_FILE = 1, /* body_in_file */
	RECORD_OVERLAY = 2,
	RECORD_TYPE = 4,
	RECORD_FLAGS = 7,
};

/* ---- encoding ---- */

static void append_text(struct buf *bytes, const char *text)
{
	buf_append_counted(bytes, slice_from(text));
}

static void append_time(struct buf *bytes, struct timestamp time)
{
	buf_append_u64(bytes, time.raw);
	buf_append_u64(bytes, time.offset);
}

static void append_headers(struct buf *bytes, const struct object_header *headers, size_t count)
{
	buf_append_u32(bytes, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		append_text(bytes, headers[i].name);
		append_text(bytes, headers[i].value);
	}
}

static void append_data(struct buf *bytes, const struct object_record *record)
{
	buf_append_u64(bytes, record->size);
	append_text(bytes, record->etag);
	append_text(bytes, record->content_type);
	buf_append_u64(bytes, record->body_number);
	buf_append_u64(bytes, record->body_checksum);
	append_headers(bytes, record->headers, record->header_count);
}

static unsigned char record_flags(const struct object_record *record)
{
	unsigned char flags = 0;
	if (record->body_in_file)
		flags |= RECORD_IN_FILE;
	if (!timestamp_is_zero(record->meta_time))
		flags |= RECORD_OVERLAY;
	if (!timestamp_is_zero(record->type_time))
		flags |= RECORD_TYPE;
	return flags;
}

void object_record_encode(const struct object_record *record, struct buf *bytes)
{
	assert(record->kind == OBJECT_DATA || record->kind == OBJECT_TOMBSTONE);
	size_t start = bytes->length;
	unsigned char flags = record->kind == OBJECT_DATA ? record_flags(record) : 0;
	buf_append_byte(bytes, RECORD_VERSION);
	buf_append_byte(bytes, (char)record->kind);
	buf_append_byte(bytes, (char)flags);
	buf_append_counted(bytes, record->name);
	append_time(bytes, record->data_time);
	if (record->kind == OBJECT_DATA)
		append_data(bytes, record);
	if (flags & RECORD_OVERLAY) {
		append_time(bytes, record->meta_time);
		append_headers(bytes, record->meta_headers, record->meta_header_count);
	}
	if (flags & RECORD_TYPE) {
		append_time(bytes, record->type_time);
		append_text(bytes, record->meta_content_type);
	}
	buf_append_u64(bytes, XXH3_64bits(bytes->data + start, bytes->length - start));
}

/* ---- decoding ---- */

static const char *read_text(struct cursor *cursor, struct arena *arena)
{
	struct slice text = cursor_counted(cursor);
	if (text.length && memchr(text.data, '\0', text.length))
		cursor->failed = true;
	return arena_strndup(arena, text.data ? text.data : "", text.length);
}

static struct timestamp read_time(struct cursor *cursor)
{
	struct timestamp time = {.raw = cursor_u64(cursor)};
	time.offset = cursor_u64(cursor);
	return time;
}

/* Of a part that is there, so not zero. */
static struct timestamp read_part_time(struct cursor *cursor)
{
	struct timestamp time = read_time(cursor);
	if (timestamp_is_zero(time))
		cursor->failed = true;
	return time;
}

static void read_etag(struct cursor *cursor, char etag[40])
{
	struct slice text = cursor_counted(cursor);
	if (text.length >= 40 || (text.length && memchr(text.data, '\0', text.length))) {
		cursor->failed = true;
		return;
	}
	if (text.length)
		memcpy(etag, text.data, text.length);
	etag[text.length] = '\0';
}

static const struct object_header *read_headers(struct cursor *cursor, struct arena *arena, size_t *ret_count)
{
	size_t count = cursor_u32(cursor);
	if (cursor->failed || count > (size_t)(cursor->end - cursor->at) / TEXT_PAIR_BYTES_MIN) {
		cursor->failed = true;
		return NULL;
	}
	struct object_header *headers = arena_alloc(arena, count * sizeof(*headers));
	for (size_t i = 0; i < count; i++) {
		headers[i].name = read_text(cursor, arena);
		headers[i].value = read_text(cursor, arena);
	}
	*ret_count = count;
	return headers;
}

static void read_data(struct cursor *cursor, struct arena *arena, unsigned char flags, struct object_record *record)
{
	record->size = cursor_u64(cursor);
	read_etag(cursor, record->etag);
	record->content_type = read_text(cursor, arena);
	record->body_number = cursor_u64(cursor);
	record->body_checksum = cursor_u64(cursor);
	record->body_in_file = flags & RECORD_IN_FILE;
	record->headers = read_headers(cursor, arena, &record->header_count);
	if (flags & RECORD_OVERLAY) {
		record->meta_time = read_part_time(cursor);
		record->meta_headers = read_headers(cursor, arena, &record->meta_header_count);
	}
	if (flags & RECORD_TYPE) {
		record->type_time = read_part_time(cursor);
		record->meta_content_type = read_text(cursor, arena);
	}
}

/* The checksum is looked at first; lengths are checked all the same, for records that were made to
 * deceive. */
static bool checksum_matches(struct slice bytes)
{
	if (bytes.length < CHECKSUM_BYTES)
		return false;
	size_t length = bytes.length - CHECKSUM_BYTES;
	struct cursor cursor = cursor_of(slice_of(bytes.data + length, CHECKSUM_BYTES));
	return cursor_u64(&cursor) == XXH3_64bits(bytes.data, length);
}

int object_record_decode(struct slice bytes, struct arena *arena, struct object_record *ret_record)
{
	if (!checksum_matches(bytes))
		return -EBADMSG;
	struct cursor cursor = cursor_of(slice_of(bytes.data, bytes.length - CHECKSUM_BYTES));
	struct object_record record = {0};
	uint8_t version = cursor_u8(&cursor);
	uint8_t kind = cursor_u8(&cursor);
	uint8_t flags = cursor_u8(&cursor);
	if (version != RECORD_VERSION || (kind != OBJECT_DATA && kind != OBJECT_TOMBSTONE) || (flags & ~RECORD_FLAGS) ||
		(kind == OBJECT_TOMBSTONE && flags))
		return -EBADMSG;
	record.kind = (enum object_kind)kind;
	record.name = cursor_counted(&cursor);
	record.data_time = read_time(&cursor);
	if (kind == OBJECT_DATA)
		read_data(&cursor, arena, flags, &record);
	if (cursor.failed || cursor.at != cursor.end)
		return -EBADMSG;
	record.name = arena_slice(arena, record.name);
	*ret_record = record;
	return 0;
}

/* ---- what a reader sees ---- */

const char *object_header_get(const struct object_header *headers, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(headers[i].name, name) == 0)
			return headers[i].value;
	return NULL;
}

static bool has_overlay(const struct object_record *record)
{
	return !timestamp_is_zero(record->meta_time);
}

struct timestamp object_record_time(const struct object_record *record)
{
	return timestamp_compare(record->meta_time, record->data_time) > 0 ? record->meta_time : record->data_time;
}

const char *object_record_type(const struct object_record *record, struct timestamp *ret_time)
{
	bool posted = timestamp_compare(record->type_time, record->data_time) > 0;
	if (ret_time)
		*ret_time = posted ? record->type_time : record->data_time;
	return posted ? record->meta_content_type : record->content_type;
}

uint64_t object_record_delete_at(const struct object_record *record)
{
	if (record->kind != OBJECT_DATA)
		return 0;
	const char *text = has_overlay(record)
				   ? object_header_get(record->meta_headers, record->meta_header_count, "X-Delete-At")
				   : object_header_get(record->headers, record->header_count, "X-Delete-At");
	return text ? strtoull(text, NULL, 10) : 0;
}

bool object_record_expired(const struct object_record *record, struct timestamp now)
{
	uint64_t delete_at = object_record_delete_at(record);
	return delete_at > 0 && delete_at <= now.raw / TIMESTAMP_RAW_PER_SECOND;
}

/* Headers that stay the data's own when a POST replaced the rest: swift/obj/diskfile.py,
 * DATAFILE_SYSTEM_META. */
static bool belongs_to_data(const char *name)
{
	static const char sysmeta[] = "X-Object-Sysmeta-";
	return strncasecmp(name, sysmeta, sizeof(sysmeta) - 1) == 0 || strcasecmp(name, "X-Static-Large-Object") == 0;
}

static void merge_headers(const struct object_record *record, struct arena *arena, struct object_view *view)
{
	struct object_header *merged =
		arena_alloc(arena, (record->header_count + record->meta_header_count) * sizeof(*merged));
	size_t count = 0;
	for (size_t i = 0; i < record->meta_header_count; i++)
		if (!belongs_to_data(record->meta_headers[i].name))
			merged[count++] = record->meta_headers[i];
	for (size_t i = 0; i < record->header_count; i++)
		if (belongs_to_data(record->headers[i].name))
			merged[count++] = record->headers[i];
	view->headers = merged;
	view->header_count = count;
}

void object_view(const struct object_record *record, struct arena *arena, struct object_view *ret_view)
{
	struct object_view view = {
		.timestamp = object_record_time(record),
		.headers = record->headers,
		.header_count = record->header_count,
	};
	view.content_type = object_record_type(record, &view.content_type_time);
	if (has_overlay(record))
		merge_headers(record, arena, &view);
	*ret_view = view;
}
