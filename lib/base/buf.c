#include "lib/base/buf.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/memory.h"

enum { PRINTED_BYTES_USUAL = 64 };

void buf_release(struct buf *buf)
{
	free(buf->data);
	*buf = BUF_INIT;
}

char *buf_reserve(struct buf *buf, size_t bytes)
{
	size_t needed = buf->length + bytes + 1;
	if (needed < bytes)
		memory_exhausted();
	if (needed > buf->capacity) {
		size_t capacity = buf->capacity ? buf->capacity : 64;
		while (capacity < needed)
			capacity += capacity / 2 + 16;
		buf->data = xrealloc(buf->data, capacity);
		buf->capacity = capacity;
	}
	return buf->data + buf->length;
}

void buf_append(struct buf *buf, const void *data, size_t bytes)
{
	char *room = buf_reserve(buf, bytes);
	if (bytes)
		memcpy(room, data, bytes);
	buf->length += bytes;
	buf->data[buf->length] = '\0';
}

void buf_append_slice(struct buf *buf, struct slice bytes)
{
	buf_append(buf, bytes.data, bytes.length);
}

void buf_append_text(struct buf *buf, const char *text)
{
	buf_append(buf, text, strlen(text));
}

void buf_append_byte(struct buf *buf, char byte)
{
	buf_append(buf, &byte, 1);
}

void buf_append_decimal(struct buf *buf, uint64_t number)
{
	char digits[20];
	char *at = digits + sizeof(digits);
	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	buf_append(buf, at, (size_t)(digits + sizeof(digits) - at));
}

void buf_vprintf(struct buf *buf, const char *format, va_list arguments)
{
	va_list again;
	va_copy(again, arguments);
	char *room = buf_reserve(buf, PRINTED_BYTES_USUAL);
	size_t space = buf->capacity - buf->length;
	int length = vsnprintf(room, space, format, arguments);
	if ((size_t)length >= space) {
		room = buf_reserve(buf, (size_t)length);
		(void)vsnprintf(room, (size_t)length + 1, format, again);
	}
	va_end(again);
	buf->length += (size_t)length;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	buf_vprintf(buf, format, arguments);
	va_end(arguments);
}

void buf_append_u16(struct buf *buf, uint16_t value)
{
	value = htobe16(value);
	buf_append(buf, &value, sizeof(value));
}

void buf_append_u32(struct buf *buf, uint32_t value)
{
	value = htobe32(value);
	buf_append(buf, &value, sizeof(value));
}

void buf_append_u64(struct buf *buf, uint64_t value)
{
	value = htobe64(value);
	buf_append(buf, &value, sizeof(value));
}

void buf_append_counted(struct buf *buf, struct slice bytes)
{
	buf_append_u32(buf, (uint32_t)bytes.length);
	buf_append_slice(buf, bytes);
}

struct slice cursor_bytes(struct cursor *cursor, size_t length)
{
	if (cursor->failed || (size_t)(cursor->end - cursor->at) < length) {
		cursor->failed = true;
		return SLICE_NONE;
	}
	struct slice bytes = slice_of(cursor->at, length);
	if (length)
		cursor->at += length;
	return bytes;
}

uint8_t cursor_u8(struct cursor *cursor)
{
	struct slice bytes = cursor_bytes(cursor, 1);
	return bytes.length ? (uint8_t)bytes.data[0] : 0;
}

uint16_t cursor_u16(struct cursor *cursor)
{
	uint16_t value = 0;
	struct slice bytes = cursor_bytes(cursor, sizeof(value));
	if (bytes.length)
		memcpy(&value, bytes.data, sizeof(value));
	return be16toh(value);
}

uint32_t cursor_u32(struct cursor *cursor)
{
	uint32_t value = 0;
	struct slice bytes = cursor_bytes(cursor, sizeof(value));
	if (bytes.length)
		memcpy(&value, bytes.data, sizeof(value));
	return be32toh(value);
}

uint64_t cursor_u64(struct cursor *cursor)
{
	uint64_t value = 0;
	struct slice bytes = cursor_bytes(cursor, sizeof(value));
	if (bytes.length)
		memcpy(&value, bytes.data, sizeof(value));
	return be64toh(value);
}

struct slice cursor_counted(struct cursor *cursor)
{
	uint32_t length = cursor_u32(cursor);
	return cursor_bytes(cursor, length);
}
