/*
 * A byte buffer that grows: for building replies, keys and records. The bytes are always followed by a NUL that the
 * length does not count, so `data` of a text buffer is a C string.
 *
 *	struct buf buf = BUF_INIT;
 *	buf_printf(&buf, "%d", 7);
 *	…
 *	buf_release(&buf);
 */
#ifndef LIB_BASE_BUF_H
#define LIB_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/slice.h"

struct buf {
	char *data;      /* NULL until something was added */
	size_t length;   /* bytes in use */
	size_t capacity; /* bytes allocated */
};

#define BUF_INIT ((struct buf){NULL, 0, 0})

/* Frees the memory; the buffer is empty and usable again. */
void buf_release(struct buf *buf);

/* Forgets the contents, keeps the memory. */
static inline void buf_clear(struct buf *buf)
{
	buf->length = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

/* Makes room for `bytes` more and returns where they go; buf->length is unchanged. */
char *buf_reserve(struct buf *buf, size_t bytes);

void buf_append(struct buf *buf, const void *data, size_t bytes);
void buf_append_slice(struct buf *buf, struct slice bytes);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_byte(struct buf *buf, char byte);
/* In decimal digits. */
void buf_append_decimal(struct buf *buf, uint64_t number);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list arguments);

/* Integers in big-endian order, so that keys sort as numbers do. */
void buf_append_u16(struct buf *buf, uint16_t value);
void buf_append_u32(struct buf *buf, uint32_t value);
void buf_append_u64(struct buf *buf, uint64_t value);

/* Length (u32) and bytes: the form in which records hold texts. */
void buf_append_counted(struct buf *buf, struct slice bytes);

static inline struct slice buf_slice(const struct buf *buf)
{
	return slice_of(buf->data, buf->length);
}

/*
 * Reading back what the functions above wrote. A cursor that runs past the end sets `failed` and yields zeros and
 * empty slices from then on, so a decoder checks once at its end.
 */
struct cursor {
	const char *at;
	const char *end;
	bool failed;
};

static inline struct cursor cursor_of(struct slice bytes)
{
	/* arithmetic on NULL is undefined, even by zero */
	return (struct cursor){bytes.data, bytes.length ? bytes.data + bytes.length : bytes.data, false};
}

uint8_t cursor_u8(struct cursor *cursor);
uint16_t cursor_u16(struct cursor *cursor);
uint32_t cursor_u32(struct cursor *cursor);
uint64_t cursor_u64(struct cursor *cursor);
/* The next `length` bytes, a view into the input. */
struct slice cursor_bytes(struct cursor *cursor, size_t length);
struct slice cursor_counted(struct cursor *cursor);

#endif
