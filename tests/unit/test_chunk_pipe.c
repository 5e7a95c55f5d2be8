#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

#include "lib/co/co.h"
#include "lib/http/chunk_pipe.h"

enum { CHUNKS = 1000 };

struct sink {
	uint32_t next;  /* what the next chunk should hold */
	uint32_t end;   /* an error from there on */
	uint32_t calls; /* of the function */
	bool wrong;
	bool slow;
};

static int take(void *argument, const struct chunk *chunks, size_t count)
{
	struct sink *sink = argument;
	sink->calls++;
	if (sink->slow)
		usleep(1000);
	for (size_t i = 0; i < count; i++) {
		uint32_t number;
		memcpy(&number, chunks[i].data, sizeof(number));
		sink->wrong |= number != sink->next++ || chunks[i].length != sizeof(number);
		if (number >= sink->end)
			return -EIO;
	}
	return 0;
}

static int co_push_number(struct chunk_pipe *pipe, uint32_t number, bool in_block)
{
	struct chunk chunk = {.length = sizeof(number)};
	if (in_block) {
		chunk.block = block_new();
		memcpy(chunk.block->data, &number, sizeof(number));
		chunk.data = chunk.block->data;
	} else {
		chunk.data = (const char *)&number;
	}
	return co_chunk_pipe_push(pipe, &chunk);
}

struct run {
	struct loop_message message;
	struct loop *loop;
	struct pool *pool;
	void (*co_test)(struct pool *pool);
};

static void run_coroutine(void *argument)
{
	struct run *run = argument;
	run->co_test(run->pool);
	loop_stop(run->loop);
}

static void on_start(struct loop_message *message)
{
	co_start(run_coroutine, (struct run *)message);
}

static void run_in_loop(void (*co_test)(struct pool *pool))
{
	struct run run = {.message.call = on_start, .co_test = co_test};
	assert_int_equal(pool_new("pipe", 2, &run.pool), 0);
	assert_int_equal(loop_new(&run.loop), 0);
	loop_post(run.loop, &run.message);
	loop_run(run.loop);
	loop_free(run.loop);
	pool_free(run.pool);
	block_pool_release();
}

static void co_keeps_order(struct pool *pool)
{
	for (int slow = 0; slow < 2; slow++) {
		struct sink sink = {.end = UINT32_MAX, .slow = slow};
		struct chunk_pipe *pipe = chunk_pipe_new(pool, take, &sink);
		for (uint32_t i = 0; i < CHUNKS; i++)
			assert_int_equal(co_push_number(pipe, i, true), 0);
		assert_int_equal(co_chunk_pipe_drain(pipe), 0);
		assert_false(sink.wrong);
		assert_int_equal(sink.next, CHUNKS);
		assert_int_equal(sink.calls, CHUNKS / CHUNK_PIPE_MAX);
		co_chunk_pipe_free(pipe);
	}
}

static void chunk_pipe__keeps_the_order(void **state)
{
	(void)state;
	run_in_loop(co_keeps_order);
}

static void co_borrowed(struct pool *pool)
{
	struct sink sink = {.end = UINT32_MAX};
	struct chunk_pipe *pipe = chunk_pipe_new(pool, take, &sink);
	for (uint32_t i = 0; i < 20; i++) {
		assert_int_equal(co_push_number(pipe, i, i % 3), 0);
		if (i % 3 == 0)
			assert_int_equal(sink.next, i + 1);
	}
	co_chunk_pipe_free(pipe);
	assert_int_equal(sink.next, 20);
	assert_false(sink.wrong);
}

static void chunk_pipe__is_done_with_bytes_that_may_not_stay(void **state)
{
	(void)state;
	run_in_loop(co_borrowed);
}

static void co_error(struct pool *pool)
{
	struct sink sink = {.end = 10, .slow = true};
	struct chunk_pipe *pipe = chunk_pipe_new(pool, take, &sink);
	int error = 0;
	uint32_t pushed = 0;
	while (!error && pushed < CHUNKS)
		error = co_push_number(pipe, pushed++, true);
	assert_int_equal(error, -EIO);
	assert_true(pushed < 10 + 3 * CHUNK_PIPE_MAX);
	assert_int_equal(co_push_number(pipe, pushed, true), -EIO);
	assert_int_equal(co_chunk_pipe_drain(pipe), -EIO);
	assert_int_equal(sink.next, 11);
	co_chunk_pipe_free(pipe);
	co_chunk_pipe_free(NULL);
}

static void chunk_pipe__ends_with_an_error(void **state)
{
	(void)state;
	run_in_loop(co_error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunk_pipe__keeps_the_order),
		cmocka_unit_test(chunk_pipe__is_done_with_bytes_that_may_not_stay),
		cmocka_unit_test(chunk_pipe__ends_with_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
