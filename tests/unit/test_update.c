#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/memory.h"
#include "object/update.h"
#include "object/update_board.h"

static void fill(struct object_update *update, struct arena *arena)
{
	object_update_init(update, arena);
	update->operation = UPDATE_DELETE;
	update->policy = 3;
	update->account = SLICE_LITERAL("AUTH_test");
	update->container = SLICE_LITERAL("c");
	update->object = slice_of("\0versions\0o", 11);
	update->shard = SLICE_LITERAL(".shards_AUTH_test/c-1");
	headers_set(&update->headers, "X-Timestamp", "1700000000.00000");
	headers_set(&update->headers, "X-Content-Type", "caf\xc3\xa9");
	headers_set(&update->headers, "X-Etag", "");
	object_update_confirm(update, "10.0.0.1", 6201, "sda");
	object_update_confirm(update, "fd00::1", 6201, "sdb");
}

static void update__survives_its_value(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	struct object_update update, read;
	struct buf value = BUF_INIT;
	fill(&update, arena);
	object_update_encode(&update, &value);
	assert_int_equal(object_update_decode(buf_slice(&value), arena, &read), 0);
	assert_int_equal(read.operation, UPDATE_DELETE);
	assert_int_equal(read.policy, 3);
	assert_true(slice_equal(read.account, update.account));
	assert_true(slice_equal(read.container, update.container));
	assert_true(slice_equal(read.object, update.object));
	assert_true(slice_equal(read.shard, update.shard));
	assert_int_equal(read.headers.count, 3);
	assert_string_equal(headers_get(&read.headers, "x-content-type"), "caf\xc3\xa9");
	assert_string_equal(headers_get(&read.headers, "X-Etag"), "");
	assert_true(object_update_is_confirmed(&read, "fd00::1", 6201, "sdb"));
	assert_true(object_update_is_confirmed(&read, "10.0.0.1", 6201, "sda"));
	assert_false(object_update_is_confirmed(&read, "10.0.0.1", 6201, "sdb"));
	/* confirming twice changes nothing */
	object_update_confirm(&read, "10.0.0.1", 6201, "sda");
	struct buf again = BUF_INIT;
	object_update_encode(&read, &again);
	assert_true(slice_equal(buf_slice(&again), buf_slice(&value)));
	buf_release(&again);
	buf_release(&value);
	arena_free(arena);
}

static void update__refuses_damaged_values(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	struct object_update update, read;
	struct buf value = BUF_INIT;
	fill(&update, arena);
	object_update_encode(&update, &value);
	for (size_t length = 0; length < value.length; length++) {
		/* exactly as large as it says, so that the sanitizer sees reads behind the end */
		char *cut = xmalloc(length + 1);
		memcpy(cut, value.data, length);
		char *exact = xrealloc(cut, length ? length : 1);
		if (object_update_decode(slice_of(exact, length), arena, &read) != -EBADMSG)
			fail_msg("%zu of %zu bytes were accepted", length, value.length);
		free(exact);
	}
	buf_append_byte(&value, 'x');
	assert_int_equal(object_update_decode(buf_slice(&value), arena, &read), -EBADMSG);
	value.length--;
	value.data[0] = 2;
	assert_int_equal(object_update_decode(buf_slice(&value), arena, &read), -EBADMSG);
	value.data[0] = 1;
	value.data[1] = 'X';
	assert_int_equal(object_update_decode(buf_slice(&value), arena, &read), -EBADMSG);
	buf_release(&value);
	arena_free(arena);
}

/* Any byte of a value may be anything: the answer is an error or an update, never a crash. */
static void update__survives_any_byte(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	struct object_update update, read;
	struct buf value = BUF_INIT;
	fill(&update, arena);
	object_update_encode(&update, &value);
	for (size_t i = 0; i < value.length; i++)
		for (int bit = 0; bit < 8; bit++) {
			value.data[i] ^= (char)(1 << bit);
			(void)object_update_decode(buf_slice(&value), arena, &read);
			value.data[i] ^= (char)(1 << bit);
		}
	buf_release(&value);
	arena_free(arena);
}

static void expect_target(const struct object_update *update, const char *account, const char *container)
{
	struct slice actual_account, actual_container;
	object_update_target(update, &actual_account, &actual_container);
	assert_int_equal(actual_account.length, strlen(account));
	assert_memory_equal(actual_account.data, account, strlen(account));
	assert_int_equal(actual_container.length, strlen(container));
	assert_memory_equal(actual_container.data, container, strlen(container));
}

static void update__follows_redirects_until_they_repeat(void **state)
{
	(void)state;
	struct arena *arena = arena_new();
	struct object_update update;
	object_update_init(&update, arena);
	update.account = SLICE_LITERAL("a");
	update.container = SLICE_LITERAL("c");
	expect_target(&update, "a", "c");
	object_update_confirm(&update, "10.0.0.1", 6201, "sda");
	object_update_redirect(&update, SLICE_LITERAL(".shards_a/c-1"));
	expect_target(&update, ".shards_a", "c-1");
	/* those who confirmed held the root, not the shard */
	assert_int_equal(update.confirmed.count, 0);
	object_update_redirect(&update, SLICE_LITERAL(".shards_a/c-2"));
	expect_target(&update, ".shards_a", "c-2");
	object_update_redirect(&update, SLICE_LITERAL(".shards_a/c-1"));
	expect_target(&update, "a", "c");
	assert_int_equal(update.redirects.count, 0);
	for (int i = 0; i <= UPDATE_REDIRECTS_MAX; i++)
		object_update_redirect(&update, slice_from(arena_printf(arena, ".shards_a/d-%d", i)));
	expect_target(&update, "a", "c");
	arena_free(arena);
}

static void count_call(void *argument)
{
	++*(int *)argument;
}

static void update_board__gives_an_entry_to_one_at_a_time(void **state)
{
	(void)state;
	struct update_board *board = update_board_new();
	struct device_entry *a = (struct device_entry *)"a";
	struct device_entry *b = (struct device_entry *)"b";
	assert_true(update_board_claim(board, a, 7));
	assert_false(update_board_claim(board, a, 7));
	assert_true(update_board_claim(board, b, 7));
	assert_true(update_board_claim(board, a, 7 + 1024));
	update_board_release(board, a, 7);
	update_board_release(board, a, 8);
	assert_true(update_board_claim(board, a, 7));
	assert_int_equal(update_board_claims(board), 3);
	update_board_release(board, a, 7);
	update_board_release(board, b, 7);
	update_board_release(board, a, 7 + 1024);
	int calls = 0;
	update_board_watch(board, a, count_call, &calls);
	update_board_left(board, a);
	update_board_left(board, b);
	assert_int_equal(calls, 1);
	update_board_unwatch(board, a);
	update_board_left(board, a);
	assert_int_equal(calls, 1);
	update_board_free(board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(update__survives_its_value),
		cmocka_unit_test(update__refuses_damaged_values),
		cmocka_unit_test(update__survives_any_byte),
		cmocka_unit_test(update__follows_redirects_until_they_repeat),
		cmocka_unit_test(update_board__gives_an_entry_to_one_at_a_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
