#include "lib/co/socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

/* ---- running a test in a coroutine ---- */

static struct {
	struct loop_message message;
	co_function *co_test;
	struct loop *loop;
} run;

static void run_test_body(void *argument)
{
	run.co_test(argument);
	loop_stop(run.loop);
}

static void run_start(struct loop_message *message)
{
	(void)message;
	co_start(run_test_body, NULL);
}

static void run_in_loop(co_function *co_test)
{
	run.message.call = run_start;
	run.co_test = co_test;
	assert_int_equal(loop_new(&run.loop), 0);
	loop_post(run.loop, &run.message);
	loop_run(run.loop);
	assert_int_equal(loop_coroutines(run.loop), 0);
	loop_free(run.loop);
}

/* Two ends of one connection, both on the loop. */
static void open_pair(struct co_socket *one, struct co_socket *other)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(co_socket_open(one, fds[0]), 0);
	assert_int_equal(co_socket_open(other, fds[1]), 0);
}

static struct co_socket left, right;

/* ---- reading ---- */

static void co_read(void *argument)
{
	char text[16];
	(void)argument;
	open_pair(&left, &right);
	uint64_t start_ms = loop_now_ms();
	assert_int_equal(socket_read_now(&left, text, sizeof(text)), -EAGAIN);
	assert_int_equal(co_socket_read(&left, text, sizeof(text), start_ms + 30), -ETIMEDOUT);
	co_yield ();
	assert_in_range(loop_now_ms() - start_ms, 29, 500);
	struct iovec parts[4] = {{(char *)"", 0}, {(char *)"ab", 2}, {(char *)"", 0}, {(char *)"cde", 3}};
	assert_int_equal(co_socket_write(&right, parts, 4, 100), 0);
	assert_int_equal(co_socket_read(&left, text, 2, CO_FOREVER), 2);
	assert_memory_equal(text, "ab", 2);
	assert_int_equal(co_socket_read(&left, text, sizeof(text), 0), 3);
	assert_memory_equal(text, "cde", 3);
	struct iovec nothing = {(char *)"", 0};
	assert_int_equal(co_socket_write(&right, &nothing, 1, 100), 0);
	co_socket_close(&right);
	assert_int_equal(co_socket_read(&left, text, sizeof(text), CO_FOREVER), 0);
	assert_int_equal(co_socket_read(&left, text, sizeof(text), CO_FOREVER), 0);
	struct iovec late = {(char *)"x", 1};
	assert_int_equal(co_socket_write(&left, &late, 1, 100), -EPIPE);
	co_socket_close(&left);
	co_socket_close(&left);
	assert_int_equal(co_socket_read(&left, text, sizeof(text), CO_FOREVER), -ECONNRESET);
	assert_int_equal(co_socket_write(&left, &late, 1, 100), -ECONNRESET);
}

static void socket__reads(void **state)
{
	(void)state;
	run_in_loop(co_read);
}

/* ---- one reads while another writes, more than any buffer holds ---- */

enum { STREAM_BYTES = 3 * 1000 * 1000 };

static bool writer_done;

static void write_stream(void *argument)
{
	char *bytes = malloc(STREAM_BYTES);
	for (size_t i = 0; i < STREAM_BYTES; i++)
		bytes[i] = (char)(i % 251);
	struct iovec parts[3] = {{bytes, 1}, {bytes + 1, 999999}, {bytes + 1000000, STREAM_BYTES - 1000000}};
	assert_int_equal(co_socket_write(argument, parts, 3, 2000), 0);
	free(bytes);
	writer_done = true;
}

static void read_stream(struct co_socket *socket)
{
	static char text[40000];
	size_t received = 0;
	while (received < STREAM_BYTES) {
		ssize_t count = co_socket_read(socket, text, sizeof(text), deadline_after_ms(2000));
		assert_true(count > 0);
		for (ssize_t i = 0; i < count; i++)
			if ((unsigned char)text[i] != (received + (size_t)i) % 251)
				fail_msg("byte %zu is wrong", received + (size_t)i);
		received += (size_t)count;
	}
}

static void co_stream(void *argument)
{
	(void)argument;
	open_pair(&left, &right);
	for (int round = 0; round < 2; round++) {
		writer_done = false;
		co_start(write_stream, round ? &left : &right);
		read_stream(round ? &right : &left);
		while (!writer_done)
			co_yield ();
	}
	co_socket_close(&left);
	co_socket_close(&right);
	co_yield ();
}

static void socket__streams(void **state)
{
	(void)state;
	run_in_loop(co_stream);
}

static void co_stuck(void *argument)
{
	(void)argument;
	open_pair(&left, &right);
	char *bytes = calloc(1, STREAM_BYTES);
	struct iovec part = {bytes, STREAM_BYTES};
	uint64_t start_ms = loop_now_ms();
	assert_int_equal(co_socket_write(&left, &part, 1, 50), -ETIMEDOUT);
	co_yield ();
	assert_in_range(loop_now_ms() - start_ms, 49, 1000);
	assert_true(part.iov_len > 0 && part.iov_len < STREAM_BYTES);
	co_socket_close(&left);
	co_socket_close(&right);
	free(bytes);
}

static void socket__stuck_writes_time_out(void **state)
{
	(void)state;
	run_in_loop(co_stuck);
}

/* ---- closing under somebody who waits; the call-back ---- */

static ssize_t waiting_result;

static void wait_for_bytes(void *argument)
{
	char byte;
	(void)argument;
	waiting_result = co_socket_read(&left, &byte, 1, CO_FOREVER);
}

static int readable_calls;

static void on_readable(struct co_socket *socket)
{
	char text[16];
	readable_calls++;
	while (socket_read_now(socket, text, sizeof(text)) > 0)
		continue;
}

static void co_wakes(void *argument)
{
	(void)argument;
	open_pair(&left, &right);
	waiting_result = 1;
	co_start(wait_for_bytes, NULL);
	co_sleep_ms(10);
	co_socket_close(&left);
	co_yield ();
	assert_int_equal(waiting_result, -ECONNRESET);
	co_socket_close(&right);

	open_pair(&left, &right);
	readable_calls = 0;
	left.on_readable = on_readable;
	co_sleep_ms(10);
	assert_int_equal(readable_calls, 0);
	for (int i = 1; i <= 3; i++) {
		struct iovec part = {(char *)"abc", 3};
		assert_int_equal(co_socket_write(&right, &part, 1, 100), 0);
		co_sleep_ms(10);
		assert_int_equal(readable_calls, i);
	}
	co_socket_close(&right);
	co_sleep_ms(10);
	assert_int_equal(readable_calls, 4);
	co_socket_close(&left);
}

static void socket__closing_and_call_backs(void **state)
{
	(void)state;
	run_in_loop(co_wakes);
}

/* ---- connecting and listening ---- */

static int port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	return ntohs(address.sin_port);
}

static void co_connect(void *argument)
{
	(void)argument;
	int listener = socket_listen("127.0.0.1", 0, 8);
	assert_true(listener >= 0);
	int port = port_of(listener);
	assert_int_equal(socket_probe("127.0.0.1", port), -EADDRINUSE);
	/* another loop's listener on the same port */
	int second = socket_listen("127.0.0.1", port, 8);
	assert_true(second >= 0);
	close(second);
	assert_int_equal(co_socket_connect(&left, "127.0.0.1", port, deadline_after_ms(1000)), 0);
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(co_socket_open(&right, fd), 0);
	struct iovec part = {(char *)"hi", 2};
	assert_int_equal(co_socket_write(&left, &part, 1, 100), 0);
	char text[4];
	assert_int_equal(co_socket_read(&right, text, sizeof(text), deadline_after_ms(1000)), 2);
	co_socket_close(&left);
	co_socket_close(&right);
	close(listener);
	assert_int_equal(co_socket_connect(&left, "127.0.0.1", port, deadline_after_ms(1000)), -ECONNREFUSED);
	assert_int_equal(co_socket_connect(&left, "localhost", port, deadline_after_ms(1000)), -EINVAL);
	assert_int_equal(co_socket_connect(&left, "127.0.0.1", 70000, deadline_after_ms(1000)), -EINVAL);
	assert_int_equal(socket_listen("nowhere", 80, 1), -EINVAL);
	assert_int_equal(socket_probe("127.0.0.1", port), 0);
}

static void socket__connects(void **state)
{
	(void)state;
	run_in_loop(co_connect);
}

static void socket__addresses(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *ip; /* NULL: refused */
		int port;
	} cases[] = {
		{"127.0.0.1:8080", "127.0.0.1", 8080},
		{"0.0.0.0:1", "0.0.0.0", 1},
		{"[::1]:65535", "::1", 65535},
		{"[2001:db8::1:2]:80", "2001:db8::1:2", 80},
		{"127.0.0.1", NULL, 0},
		{"127.0.0.1:", NULL, 0},
		{"127.0.0.1:0", NULL, 0},
		{"127.0.0.1:65536", NULL, 0},
		{"127.0.0.1:+80", NULL, 0},
		{"127.0.0.1: 80", NULL, 0},
		{"127.0.0.1:80 ", NULL, 0},
		{"127.0.0.1:-1", NULL, 0},
		{"127.0.0.1:99999999999999999999", NULL, 0},
		{"127.0.0.256:80", NULL, 0},
		{"localhost:80", NULL, 0},
		{":80", NULL, 0},
		{"", NULL, 0},
		{"[]:80", NULL, 0},
		{"[:80", NULL, 0},
		{"[::1:80", NULL, 0},
		{"::1:80", NULL, 0}, /* which part is the port? */
		{"[0000000000000000000000000000000000000000000000000000]:80", NULL, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char ip[46] = "untouched";
		int port = -7;
		int error = socket_address_parse(cases[i].text, ip, &port);
		const char *expected = cases[i].ip ? cases[i].ip : "untouched";
		if (error != (cases[i].ip ? 0 : -EINVAL) || strcmp(ip, expected) != 0 ||
			port != (cases[i].ip ? cases[i].port : -7))
			fail_msg("'%s': %d, '%s', %d", cases[i].text, error, ip, port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(socket__reads),
		cmocka_unit_test(socket__streams),
		cmocka_unit_test(socket__stuck_writes_time_out),
		cmocka_unit_test(socket__closing_and_call_backs),
		cmocka_unit_test(socket__connects),
		cmocka_unit_test(socket__addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
