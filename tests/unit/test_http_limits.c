/* Slow clients, floods and full tables, each with a server of its own. */
#include "lib/http/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/unit/http_fixture.h"

#define HOST "Host: h\r\n"

/* ---- the handler ---- */

/* A reply without an end. */
static int endless_next(struct body *body, struct chunk *ret_chunk)
{
	(void)body;
	static const char zeros[BLOCK_BYTES];
	*ret_chunk = (struct chunk){NULL, zeros, sizeof(zeros)};
	return 0;
}

static void handle(void *context, struct request *request, struct reply *reply)
{
	(void)context;
	static const struct body_operations operations = {.co_next = endless_next};
	static struct body endless = {&operations};
	if (slice_equal(request->path, SLICE_LITERAL("/endless"))) {
		reply->status = 200;
		reply->body = &endless;
		return;
	}
	if (slice_equal(request->path, SLICE_LITERAL("/ignore"))) {
		reply_text(reply, 200, "text/plain", "ignored");
		return;
	}
	if (slice_equal(request->path, SLICE_LITERAL("/hold"))) {
		struct block *blocks[32];
		for (size_t i = 0; i < 32; i++)
			blocks[i] = block_new();
		co_sleep_ms(500);
		for (size_t i = 0; i < 32; i++)
			block_unref(blocks[i]);
	}
	int error = co_body_drain(request->body, UINT64_MAX);
	if (error)
		reply_status(reply, error == -ETIMEDOUT ? 408 : error == -EPROTO ? 400 : 499);
	else
		reply_text(reply, 200, "text/plain", "fine");
}

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void expect_status(struct raw_client *client, int status)
{
	struct raw_reply reply;
	raw_read(client, false, &reply);
	assert_status(reply, status);
	raw_reply_release(&reply);
}

static void expect_service(const struct server_thread *server)
{
	struct raw_client client;
	raw_connect(&client, server->port);
	raw_send(&client, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
	expect_status(&client, 200);
	raw_close(&client);
}

/* Sends a byte every 50 ms until the server has something to say. */
static void trickle(struct raw_client *client)
{
	struct pollfd wait = {client->fd, POLLIN, 0};
	uint64_t until = now_ms() + 8000;
	while (poll(&wait, 1, 50) == 0 && now_ms() < until)
		raw_send(client, "x");
}

/* ---- slow clients ---- */

static void limits__give_up_bodies_below_the_rate(void **state)
{
	(void)state;
	static const char *const heads[] = {
		"PUT /a HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n",
		"PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nffff\r\n",
	};
	struct http_server_options options = server_thread_options(handle, NULL);
	options.rate_window_ms = 1500;
	struct server_thread server;
	server_thread_start(&server, &options);
	for (size_t i = 0; i < 2; i++) {
		struct raw_client client;
		raw_connect(&client, server.port);
		raw_send(&client, heads[i]);
		uint64_t start_ms = now_ms();
		trickle(&client);
		assert_in_range(now_ms() - start_ms, 1400, 4000);
		expect_status(&client, 408);
		raw_close(&client);
	}
	/* fast enough: ten times the rate, for longer than the window */
	struct raw_client client;
	char bytes[500] = {0};
	raw_connect(&client, server.port);
	raw_send(&client, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 10000\r\n\r\n");
	for (int i = 0; i < 20; i++) {
		usleep(100000);
		raw_write(&client, bytes, sizeof(bytes));
	}
	expect_service(&server);
	assert_int_equal(slow_requests(), 0);
	raw_close(&client);
	assert_int_equal(refusals(METRIC_REFUSAL_BODY_TIMEOUT), 2);
	server_thread_stop(&server);
}

/* Bytes that the kernel holds for the client of a reply. */
static size_t drain_replies(struct raw_client *client)
{
	static char bytes[65536];
	size_t total = 0;
	ssize_t count;
	while ((count = recv(client->fd, bytes, sizeof(bytes), 0)) > 0)
		total += (size_t)count;
	return total;
}

static void limits__drop_slow_readers(void **state)
{
	(void)state;
	struct http_server_options options = server_thread_options(handle, NULL);
	options.rate_window_ms = 1500;
	options.client_timeout_ms = 1500;
	struct server_thread server;
	server_thread_start(&server, &options);
	struct raw_client client;
	raw_connect(&client, server.port);
	int bytes = 4096;
	setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	raw_send(&client, "GET /endless HTTP/1.1\r\n" HOST "\r\n");
	char one;
	assert_int_equal(recv(client.fd, &one, 1, 0), 1);
	for (int i = 0; i < 200 && server_thread_load(&server).connections; i++) {
		(void)!recv(client.fd, &one, 1, MSG_DONTWAIT);
		usleep(50000);
	}
	assert_int_equal(server_thread_load(&server).connections, 0);
	assert_int_equal(slow_requests(), 0);
	assert_int_equal(refusals(METRIC_REFUSAL_SEND_TIMEOUT), 1);
	assert_in_range(drain_replies(&client), 0, 1 << 20);
	raw_close(&client);
	/* one that reads on, only slowly, is served */
	raw_connect(&client, server.port);
	raw_send(&client, "GET /endless HTTP/1.1\r\n" HOST "\r\n");
	for (int i = 0; i < 50; i++) {
		static char some[100000];
		assert_true(recv(client.fd, some, sizeof(some), 0) > 0);
		usleep(50000);
	}
	assert_int_equal(server_thread_load(&server).connections, 1);
	raw_close(&client);
	server_thread_stop(&server);
}

/* Slow clients hold no place that others need; there is an end to their own places, too. */
static void limits__keep_slow_clients_apart(void **state)
{
	(void)state;
	enum { SLOW = 12, ROOM = 8 };
	static const char *const requests[] = {
		"PUT /a HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nhel",
		"GET /a HTTP/1.1\r\n",
		"PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
	};
	struct http_server_options options = server_thread_options(handle, NULL);
	options.requests_max = 6;
	options.slow_max = ROOM;
	options.rate_window_ms = 60000;
	options.client_timeout_ms = 60000;
	options.head_timeout_ms = 60000;
	struct server_thread server;
	server_thread_start(&server, &options);
	struct raw_client clients[SLOW];
	for (int i = 0; i < SLOW; i++) {
		raw_connect(&clients[i], server.port);
		raw_send(&clients[i], requests[i % 3]);
		if (i % 6 == 5)
			usleep(CO_PACE_GRACE_MS * 1000 + 200000);
	}
	assert_int_equal(slow_requests(), ROOM);
	assert_int_equal(refusals(METRIC_REFUSAL_SLOW_FULL), SLOW - ROOM);
	for (int i = 0; i < 3; i++)
		expect_service(&server);
	int refused = 0;
	for (int i = 0; i < SLOW; i++) {
		struct pollfd wait = {clients[i].fd, POLLIN, 0};
		if (poll(&wait, 1, 0) == 0)
			continue;
		expect_status(&clients[i], 408);
		refused++;
	}
	assert_int_equal(refused, SLOW - ROOM);
	/* whoever hurries up is served */
	raw_send(&clients[0], "loworld");
	expect_status(&clients[0], 200);
	raw_send(&clients[1], HOST "\r\n");
	expect_status(&clients[1], 200);
	raw_send(&clients[2], "lo\r\n0\r\n\r\n");
	expect_status(&clients[2], 200);
	assert_int_equal(slow_requests(), ROOM - 3);
	for (int i = 0; i < SLOW; i++)
		raw_close(&clients[i]);
	server_thread_stop(&server);
}

/* A body that nobody wants is not waited for byte by byte, and telling a client to stop takes nobody's place. */
static void limits__hold_for_rests(void **state)
{
	(void)state;
	struct http_server_options options = server_thread_options(handle, NULL);
	options.requests_max = 2;
	struct server_thread server;
	server_thread_start(&server, &options);
	struct raw_client client, bad[5];
	raw_connect(&client, server.port);
	raw_send(&client, "PUT /ignore HTTP/1.1\r\n" HOST "Content-Length: 5000\r\n\r\n");
	uint64_t start_ms = now_ms();
	trickle(&client);
	assert_in_range(now_ms() - start_ms, 500, 2500);
	expect_status(&client, 200);
	raw_close(&client);
	for (int i = 0; i < 5; i++) {
		raw_connect(&bad[i], server.port);
		raw_send(&bad[i], "nonsense\r\n\r\n");
		expect_status(&bad[i], 400);
	}
	expect_service(&server);
	for (int i = 0; i < 5; i++)
		raw_close(&bad[i]);
	assert_int_equal(refusals(METRIC_REFUSAL_BAD_HEAD), 5);
	server_thread_stop(&server);
}

/* ---- memory and descriptors ---- */

static void limits__hold_for_buffers(void **state)
{
	(void)state;
	struct http_server_options options = server_thread_options(handle, NULL);
	options.buffer_bytes_max = 20 * BLOCK_BYTES;
	struct server_thread server;
	server_thread_start(&server, &options);
	struct raw_client client, other;
	raw_connect(&client, server.port);
	raw_connect(&other, server.port);
	raw_send(&client, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
	usleep(100000);
	raw_send(&other, "GET /a HTTP/1.1\r\n" HOST "\r\n");
	expect_status(&other, 503);
	expect_status(&client, 200);
	raw_send(&other, "GET /a HTTP/1.1\r\n" HOST "\r\n");
	expect_status(&other, 200);
	assert_int_equal(refusals(METRIC_REFUSAL_BUFFERS_FULL), 1);
	raw_close(&client);
	raw_close(&other);
	server_thread_stop(&server);
}

static double cpu_seconds(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Without descriptors: those that are open are served, others are told, nothing spins, and it ends. */
static void limits__hold_for_descriptors(void **state)
{
	(void)state;
	enum { LATE = 20, FILL = 4000 };
	static int filler[FILL];
	struct http_server_options options = server_thread_options(handle, NULL);
	struct server_thread server;
	server_thread_start(&server, &options);
	struct raw_client open, late[LATE];
	raw_connect(&open, server.port);
	raw_send(&open, "GET /a HTTP/1.1\r\n" HOST "\r\n");
	expect_status(&open, 200);
	struct rlimit limit, before;
	getrlimit(RLIMIT_NOFILE, &before);
	limit = before;
	limit.rlim_cur = 512;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	/* the sockets of the late ones are made before the table is full */
	for (int i = 0; i < LATE; i++) {
		struct timeval timeout = {10, 0};
		late[i] = (struct raw_client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
		setsockopt(late[i].fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	}
	size_t filled = 0;
	while (filled < FILL && (filler[filled] = dup(0)) >= 0)
		filled++;
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)server.port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	for (int i = 0; i < LATE; i++)
		assert_int_equal(connect(late[i].fd, (struct sockaddr *)&address, sizeof(address)), 0);
	for (int i = 0; i < LATE; i++)
		expect_status(&late[i], 503);
	double cpu = cpu_seconds();
	raw_send(&open, "GET /a HTTP/1.1\r\n" HOST "\r\n");
	expect_status(&open, 200);
	usleep(500000);
	if (!FIXTURE_SANITIZED)
		assert_true(cpu_seconds() - cpu < 0.1);
	for (int i = 0; i < LATE; i++)
		raw_close(&late[i]);
	for (size_t i = 0; i < filled; i++)
		close(filler[i]);
	setrlimit(RLIMIT_NOFILE, &before);
	expect_service(&server);
	assert_in_range(refusals(METRIC_REFUSAL_NO_DESCRIPTORS), LATE, LATE + 64);
	raw_close(&open);
	server_thread_stop(&server);
}

/* ---- floods ---- */

struct flood {
	struct raw_client client;
	struct buf bytes;
	pthread_t thread;
	pthread_t reader;
};

static void *flood_write(void *argument)
{
	struct flood *flood = argument;
	raw_write(&flood->client, flood->bytes.data, flood->bytes.length);
	return NULL;
}

static void *flood_read(void *argument)
{
	struct flood *flood = argument;
	char bytes[65536];
	while (recv(flood->client.fd, bytes, sizeof(bytes), 0) > 0)
		continue;
	return NULL;
}

/* Others get their answers while one connection has endless work. */
static void expect_fairness(struct buf bytes)
{
	struct http_server_options options = server_thread_options(handle, NULL);
	struct server_thread server;
	server_thread_start(&server, &options);
	struct flood flood = {.bytes = bytes};
	raw_connect(&flood.client, server.port);
	pthread_create(&flood.thread, NULL, flood_write, &flood);
	pthread_create(&flood.reader, NULL, flood_read, &flood);
	usleep(20000);
	struct raw_client client;
	raw_connect(&client, server.port);
	uint64_t longest = 0;
	for (int i = 0; i < 50; i++) {
		uint64_t start = now_ms();
		raw_send(&client, "GET /a HTTP/1.1\r\n" HOST "\r\n");
		expect_status(&client, 200);
		if (now_ms() - start > longest)
			longest = now_ms() - start;
	}
	raw_close(&client);
	shutdown(flood.client.fd, SHUT_RDWR);
	pthread_join(flood.thread, NULL);
	pthread_join(flood.reader, NULL);
	raw_close(&flood.client);
	server_thread_stop(&server);
	buf_release(&flood.bytes);
	if (!FIXTURE_SANITIZED)
		assert_in_range(longest, 0, 200);
}

static void limits__share_the_loop_with_pipelines(void **state)
{
	(void)state;
	struct buf bytes = BUF_INIT;
	for (int i = 0; i < 200000; i++)
		buf_append_text(&bytes, "GET /a HTTP/1.1\r\n" HOST "\r\n");
	expect_fairness(bytes);
}

static void limits__share_the_loop_with_tiny_chunks(void **state)
{
	(void)state;
	struct buf bytes = BUF_INIT;
	buf_append_text(&bytes, "PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 3000000; i++)
		buf_append_text(&bytes, "1\r\nx\r\n");
	expect_fairness(bytes);
}

/* Chunks of one byte cost in proportion to what they take on the wire. */
static void limits__bound_the_cost_of_tiny_chunks(void **state)
{
	(void)state;
	enum { CHUNKS = 1000000 };
	static char block[BLOCK_BYTES];
	struct chunked_decoder decoder = {0};
	size_t decoded = 0, filled = 0;
	double cpu = cpu_seconds();
	for (int i = 0; i < CHUNKS; i++) {
		memcpy(block + filled, "1\r\nx\r\n", 6);
		filled += 6;
		if (filled + 6 <= sizeof(block) && i + 1 < CHUNKS)
			continue;
		size_t payload, used;
		assert_int_equal(chunked_decode(&decoder, block, filled, &payload, &used), 0);
		decoded += payload;
		filled = 0;
	}
	cpu = cpu_seconds() - cpu;
	assert_int_equal(decoded, CHUNKS);
	print_message("%.1f ns for each chunk of one byte\n", cpu / CHUNKS * 1e9);
	if (!FIXTURE_SANITIZED)
		assert_true(cpu < 0.2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits__give_up_bodies_below_the_rate),
		cmocka_unit_test(limits__drop_slow_readers),
		cmocka_unit_test(limits__keep_slow_clients_apart),
		cmocka_unit_test(limits__hold_for_rests),
		cmocka_unit_test(limits__hold_for_buffers),
		cmocka_unit_test(limits__hold_for_descriptors),
		cmocka_unit_test(limits__share_the_loop_with_pipelines),
		cmocka_unit_test(limits__share_the_loop_with_tiny_chunks),
		cmocka_unit_test(limits__bound_the_cost_of_tiny_chunks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
