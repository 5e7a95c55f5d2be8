#include "lib/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void buf__grows_and_stays_a_text(void **state)
{
	(void)state;
	struct buf buf = BUF_INIT;
	for (int i = 0; i < 5000; i++) {
		buf_append_byte(&buf, (char)('a' + i % 26));
		assert_int_equal(buf.data[buf.length], '\0');
	}
	assert_int_equal(buf.length, 5000);
	assert_int_equal(strlen(buf.data), 5000);
	buf_clear(&buf);
	assert_int_equal(buf.length, 0);
	assert_string_equal(buf.data, "");
	buf_append_text(&buf, "one");
	buf_printf(&buf, " %d %s", 2, "three");
	buf_append_slice(&buf, SLICE_LITERAL("!"));
	buf_append_slice(&buf, SLICE_NONE);
	assert_string_equal(buf.data, "one 2 three!");
	size_t length = buf.length;
	memset(buf_reserve(&buf, 1000), 'x', 1000);
	assert_int_equal(buf.length, length);
	buf_release(&buf);
	assert_null(buf.data);
	buf_clear(&buf);
	buf_append(&buf, NULL, 0);
	assert_string_equal(buf.data, "");
	buf_release(&buf);
}

static void buf__long_formats(void **state)
{
	(void)state;
	struct buf buf = BUF_INIT;
	for (int width = 0; width < 300; width++) {
		buf_clear(&buf);
		buf_printf(&buf, "%*s", width, "");
		assert_int_equal(buf.length, width);
		assert_int_equal(strlen(buf.data), width);
	}
	buf_release(&buf);
}

static void buf__cursor_reads_back(void **state)
{
	(void)state;
	struct buf buf = BUF_INIT;
	buf_append_byte(&buf, 7);
	buf_append_u16(&buf, 0x0102);
	buf_append_u32(&buf, 0xfffefdfc);
	buf_append_u64(&buf, UINT64_MAX - 1);
	buf_append_counted(&buf, SLICE_LITERAL("a\0b"));
	buf_append_counted(&buf, SLICE_NONE);
	assert_memory_equal(buf.data + 1, "\x01\x02\xff\xfe\xfd\xfc", 6);

	struct cursor cursor = cursor_of(buf_slice(&buf));
	assert_int_equal(cursor_u8(&cursor), 7);
	assert_int_equal(cursor_u16(&cursor), 0x0102);
	assert_int_equal(cursor_u32(&cursor), 0xfffefdfc);
	assert_true(cursor_u64(&cursor) == UINT64_MAX - 1);
	assert_true(slice_equal(cursor_counted(&cursor), SLICE_LITERAL("a\0b")));
	assert_int_equal(cursor_counted(&cursor).length, 0);
	assert_false(cursor.failed);
	assert_ptr_equal(cursor.at, cursor.end);

	/* every cut fails once, and for good */
	for (size_t length = 0; length < buf.length; length++) {
		cursor = cursor_of(slice_of(buf.data, length));
		(void)cursor_u8(&cursor);
		(void)cursor_u16(&cursor);
		(void)cursor_u32(&cursor);
		(void)cursor_u64(&cursor);
		(void)cursor_counted(&cursor);
		(void)cursor_counted(&cursor);
		assert_true(cursor.failed);
		assert_int_equal(cursor_u8(&cursor), 0);
		assert_int_equal(cursor_bytes(&cursor, 0).length, 0);
	}
	buf_release(&buf);
}

static void buf__cursor_takes_no_false_length(void **state)
{
	(void)state;
	static const char record[] = "\xff\xff\xff\xff"
				     "abc";
	struct cursor cursor = cursor_of(slice_of(record, sizeof(record) - 1));
	assert_int_equal(cursor_counted(&cursor).length, 0);
	assert_true(cursor.failed);
	cursor = cursor_of(SLICE_NONE);
	assert_int_equal(cursor_bytes(&cursor, 0).length, 0);
	assert_false(cursor.failed);
	assert_int_equal(cursor_u64(&cursor), 0);
	assert_true(cursor.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buf__grows_and_stays_a_text),
		cmocka_unit_test(buf__long_formats),
		cmocka_unit_test(buf__cursor_reads_back),
		cmocka_unit_test(buf__cursor_takes_no_false_length),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
