#include "lib/http/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/unit/http_fixture.h"

#define HOST "Host: h\r\n"

/* ---- the handler: what it does is in the path ---- */

static atomic_int last_body_error;
static atomic_int last_finish_error;

static void on_finished(struct request *request, struct reply *reply, uint64_t bytes_sent, int error, void *argument)
{
	(void)request;
	(void)reply;
	(void)bytes_sent;
	(void)argument;
	atomic_store(&last_finish_error, error);
}

/* Pieces of ten bytes; fails after `good` of them when `fails`. */
struct ten_body {
	struct body body;
	int good;
	bool fails;
};

static int ten_next(struct body *body, struct chunk *ret_chunk)
{
	struct ten_body *self = (struct ten_body *)body;
	if (self->good == 0 && self->fails)
		return -EIO;
	*ret_chunk = self->good ? (struct chunk){NULL, "0123456789", 10} : CHUNK_NONE;
	self->good -= self->good > 0;
	return 0;
}

static struct body *ten_body(struct arena *arena, int good, bool fails)
{
	static const struct body_operations operations = {.co_next = ten_next};
	struct ten_body *self = arena_alloc(arena, sizeof(*self));
	*self = (struct ten_body){{&operations}, good, fails};
	return &self->body;
}

static void handle_echo(struct request *request, struct reply *reply)
{
	struct slice bytes;
	int error = co_body_read_all(request->body, request->arena, 1 << 20, &bytes);
	atomic_store(&last_body_error, error);
	if (error) {
		reply_status(reply, error == -ETIMEDOUT ? 408 : error == -EPROTO ? 400 : 499);
		return;
	}
	reply_empty(reply, 200);
	reply->text = bytes;
}

static void handle_stream(struct request *request, struct reply *reply)
{
	reply->status = 200;
	reply->body = ten_body(request->arena, 3, slice_equal(request->query, SLICE_LITERAL("broken")));
	if (slice_equal(request->query, SLICE_LITERAL("counted")))
		reply->content_length = 30;
	if (slice_equal(request->query, SLICE_LITERAL("short")))
		reply->content_length = 31;
	if (slice_equal(request->query, SLICE_LITERAL("long")))
		reply->content_length = 29;
}

static void handle(void *context, struct request *request, struct reply *reply)
{
	(void)context;
	reply->finished = on_finished;
	struct slice path = request->path;
	if (slice_equal(path, SLICE_LITERAL("/echo"))) {
		handle_echo(request, reply);
	} else if (slice_equal(path, SLICE_LITERAL("/stream"))) {
		handle_stream(request, reply);
	} else if (slice_equal(path, SLICE_LITERAL("/204"))) {
		reply_empty(reply, 204);
	} else if (slice_equal(path, SLICE_LITERAL("/304"))) {
		reply_empty(reply, 304);
		if (request->query.length)
			headers_set(&reply->headers, "Content-Length", "77");
	} else if (slice_equal(path, SLICE_LITERAL("/refuse"))) {
		reply_text(reply, 413, "text/plain", "no");
	} else if (slice_equal(path, SLICE_LITERAL("/slow"))) {
		co_sleep_ms(300);
		reply_text(reply, 200, "text/plain", "slow");
	} else if (slice_equal(path, SLICE_LITERAL("/close"))) {
		reply_text(reply, 200, "text/plain", "close");
		reply->close = true;
	} else if (slice_equal(path, SLICE_LITERAL("/forged"))) {
		reply_text(reply, 200, "text/plain", "x");
		headers_set(&reply->headers, "X-Bad", "a\r\nX-Forged: b");
		headers_set(&reply->headers, "Content-Length", "99");
		headers_set(&reply->headers, "Transfer-Encoding", "chunked");
	} else if (slice_equal(path, SLICE_LITERAL("/sized"))) {
		reply_empty(reply, 200);
		headers_set(&reply->headers, "Content-Length", "1234");
	} else {
		reply_text(reply, 200, "text/plain", arena_printf(request->arena, "%.*s", SLICE_PRINT(path)));
	}
}

static struct server_thread server;

static int start(void **state)
{
	(void)state;
	struct http_server_options options = server_thread_options(handle, NULL);
	server_thread_start(&server, &options);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_thread_stop(&server);
	return 0;
}

/* One reply to `text` on a new connection. */
static void ask(const char *text, bool bodiless, struct raw_reply *reply, bool *ret_open)
{
	struct raw_client client;
	raw_connect(&client, server.port);
	raw_send(&client, text);
	raw_read(&client, bodiless, reply);
	if (ret_open) {
		struct raw_reply again;
		raw_send(&client, "GET /again HTTP/1.1\r\n" HOST "\r\n");
		raw_read(&client, false, &again);
		*ret_open = again.status == 200 && again.body.length == 6;
		raw_reply_release(&again);
	}
	raw_close(&client);
}

/* ---- connections ---- */

static void server__keeps_connections(void **state)
{
	(void)state;
	struct raw_client client;
	struct raw_reply reply;
	raw_connect(&client, server.port);
	for (int i = 0; i < 20; i++) {
		raw_send(&client, i % 2 ? "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
					: "GET /a HTTP/1.1\r\n" HOST "\r\n");
		raw_read(&client, false, &reply);
		assert_status(reply, 200);
		assert_body(reply, i % 2 ? "hello" : "/a");
		assert_non_null(raw_header(&reply, "Date"));
		assert_null(raw_header(&reply, "Connection"));
		raw_reply_release(&reply);
	}
	raw_send(&client, "GET /a HTTP/1.1\r\n" HOST "Connection: keep-alive\r\n\r\n");
	raw_read(&client, false, &reply);
	assert_int_equal(strncmp(raw_header(&reply, "Connection"), "keep-alive", 10), 0);
	raw_reply_release(&reply);
	raw_send(&client, "GET /a HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	raw_read(&client, false, &reply);
	assert_status(reply, 200);
	assert_non_null(raw_header(&reply, "Connection"));
	assert_true(raw_ends(&client));
	raw_reply_release(&reply);
	raw_close(&client);
}

static void server__answers_pipelined_requests_in_order(void **state)
{
	(void)state;
	struct raw_client client;
	struct buf requests = BUF_INIT;
	for (int i = 0; i < 100; i++) {
		if (i % 3 == 0)
			buf_printf(&requests, "GET /%d HTTP/1.1\r\n" HOST "\r\n", i);
		else if (i % 3 == 1)
			buf_printf(&requests, "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n%03d", i);
		else
			buf_printf(&requests,
				"PUT /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: "
				"chunked\r\n\r\n1\r\n%d\r\n2\r\n%02d\r\n0\r\n\r\n",
				i / 100, i % 100);
	}
	raw_connect(&client, server.port);
	raw_write(&client, requests.data, requests.length);
	for (int i = 0; i < 100; i++) {
		char expected[16];
		struct raw_reply reply;
		(void)snprintf(expected, sizeof(expected), i % 3 ? "%03d" : "/%d", i);
		raw_read(&client, false, &reply);
		assert_status(reply, 200);
		assert_body(reply, expected);
		raw_reply_release(&reply);
	}
	assert_int_equal(client.input.length, 0);
	raw_close(&client);
	buf_release(&requests);
}

/* Pipelined heads that straddle the ends of blocks, and large ones behind small ones. */
static void server__takes_large_pipelined_heads(void **state)
{
	(void)state;
	struct raw_client client;
	struct buf requests = BUF_INIT;
	for (int i = 0; i < 40; i++) {
		buf_printf(&requests, "GET /%d HTTP/1.1\r\n" HOST, i);
		for (int header = 0; header < (i * 7) % 60; header++)
			buf_printf(&requests, "X-%d: %0*d\r\n", header, 1000, i);
		buf_append_text(&requests, "\r\n");
	}
	raw_connect(&client, server.port);
	raw_write(&client, requests.data, requests.length);
	for (int i = 0; i < 40; i++) {
		char expected[16];
		struct raw_reply reply;
		(void)snprintf(expected, sizeof(expected), "/%d", i);
		raw_read(&client, false, &reply);
		assert_status(reply, 200);
		assert_body(reply, expected);
		raw_reply_release(&reply);
	}
	raw_close(&client);
	buf_release(&requests);
}

static void server__takes_requests_byte_by_byte(void **state)
{
	(void)state;
	static const char text[] =
		"PUT /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
		"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: t\r\n\r\nGET /next HTTP/1.1\r\n" HOST "\r\n";
	struct raw_client client;
	struct raw_reply reply;
	raw_connect(&client, server.port);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		raw_write(&client, &text[i], 1);
		usleep(200);
	}
	raw_read(&client, false, &reply);
	assert_status(reply, 200);
	assert_body(reply, "hello!");
	raw_reply_release(&reply);
	raw_read(&client, false, &reply);
	assert_status(reply, 200);
	assert_body(reply, "/next");
	raw_reply_release(&reply);
	raw_close(&client);
}

static void server__carries_large_bodies(void **state)
{
	(void)state;
	enum { SIZE = 700 * 1000 };
	char *bytes = malloc(SIZE);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	struct raw_client client;
	struct raw_reply reply;
	raw_connect(&client, server.port);
	raw_send(&client, "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 700000\r\n\r\n");
	raw_write(&client, bytes, SIZE);
	raw_read(&client, false, &reply);
	assert_status(reply, 200);
	assert_int_equal(reply.body.length, SIZE);
	assert_memory_equal(reply.body.data, bytes, SIZE);
	raw_reply_release(&reply);

	raw_send(&client, "PUT /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
	for (size_t at = 0, piece = 1; at < SIZE; at += piece, piece = piece * 3 % 99991 + 1) {
		char line[32];
		if (piece > SIZE - at)
			piece = SIZE - at;
		(void)snprintf(line, sizeof(line), "%zx\r\n", piece);
		raw_send(&client, line);
		raw_write(&client, bytes + at, piece);
		raw_send(&client, "\r\n");
	}
	raw_send(&client, "0\r\n\r\n");
	raw_read(&client, false, &reply);
	assert_status(reply, 200);
	assert_int_equal(reply.body.length, SIZE);
	assert_memory_equal(reply.body.data, bytes, SIZE);
	raw_reply_release(&reply);
	raw_close(&client);
	free(bytes);
}

/* ---- framing of replies ---- */

static void server__frames_replies(void **state)
{
	(void)state;
	static const struct {
		const char *request;
		bool head;
		int status;
		const char *body;
		const char *length; /* NULL: no Content-Length */
		bool chunked;
		bool open; /* the connection takes another request */
	} cases[] = {
		{"GET /a HTTP/1.1\r\n" HOST "\r\n", false, 200, "/a", "2", false, true},
		{"HEAD /a HTTP/1.1\r\n" HOST "\r\n", true, 200, "", "2", false, true},
		{"HEAD /sized HTTP/1.1\r\n" HOST "\r\n", true, 200, "", "1234", false, true},
		{"GET /204 HTTP/1.1\r\n" HOST "\r\n", false, 204, "", "0", false, true},
		{"HEAD /204 HTTP/1.1\r\n" HOST "\r\n", true, 204, "", "0", false, true},
		{"GET /304 HTTP/1.1\r\n" HOST "\r\n", false, 304, "", NULL, false, true},
		{"GET /304?77 HTTP/1.1\r\n" HOST "\r\n", false, 304, "", "77", false, true},
		{"GET /stream HTTP/1.1\r\n" HOST "\r\n", false, 200, "012345678901234567890123456789", NULL, true,
			true},
		{"HEAD /stream HTTP/1.1\r\n" HOST "\r\n", true, 200, "", NULL, true, true},
		{"GET /stream?counted HTTP/1.1\r\n" HOST "\r\n", false, 200, "012345678901234567890123456789", "30",
			false, true},
		{"HEAD /stream?counted HTTP/1.1\r\n" HOST "\r\n", true, 200, "", "30", false, true},
		{"GET /stream HTTP/1.0\r\n\r\n", false, 200, "012345678901234567890123456789", NULL, false, false},
		{"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, 200, "012345678901234567890123456789",
			NULL, false, false},
		{"GET /a HTTP/1.0\r\n\r\n", false, 200, "/a", "2", false, false},
		{"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, 200, "/a", "2", false, true},
		{"GET /close HTTP/1.1\r\n" HOST "\r\n", false, 200, "close", "5", false, false},
		{"GET /forged HTTP/1.1\r\n" HOST "\r\n", false, 200, "x", "1", false, true},
		{"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", false, 200, "*", "1", false, true},
		{"GET /a HTTP/1.1\r\n\r\n", false, 400, NULL, NULL, false, false},
		{"GET /a HTTP/2.0\r\n\r\n", false, 505, NULL, NULL, false, false},
		{"nonsense\r\n\r\n", false, 400, NULL, NULL, false, false},
		{"PUT /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nX\r\n", false, 400, NULL, NULL, false,
			false},
		{"GET /a HTTP/1.1\r\n" HOST "Expect: banana\r\n\r\n", false, 417, NULL, NULL, false, false},
		/* a body that looks like a request */
		{"PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 24\r\n\r\nGET /smuggled HTTP/1.1\r\n", false, 200,
			"GET /smuggled HTTP/1.1\r\n", "24", false, true},
		{"PUT /a HTTP/1.1\r\n" HOST "Content-Length: 24\r\n\r\nGET /smuggled HTTP/1.1\r\n", false, 200, "/a",
			"2", false, true},
		{"GET /a HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", false, 200, "/a", "2",
			false, true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct raw_reply reply;
		bool open;
		ask(cases[i].request, cases[i].head, &reply, &open);
		const char *length = raw_header(&reply, "Content-Length");
		const char *connection = raw_header(&reply, "Connection");
		bool closes = connection && strncmp(connection, "close", 5) == 0;
		bool good = reply.status == cases[i].status && !reply.broken &&
			    (raw_header(&reply, "Transfer-Encoding") != NULL) == cases[i].chunked &&
			    open == cases[i].open && closes == !cases[i].open && !raw_header(&reply, "X-Forged");
		if (cases[i].body)
			good = good && (length != NULL) == (cases[i].length != NULL) &&
			       (!length || strtol(length, NULL, 10) == strtol(cases[i].length, NULL, 10)) &&
			       slice_equal(buf_slice(&reply.body), slice_from(cases[i].body));
		if (!good)
			fail_msg("case %zu '%s': %s, open %d, got %.*s\n%.*s", i, cases[i].request,
				reply.broken ? "broken" : "whole", open, (int)reply.head.length, reply.head.data,
				(int)reply.body.length, reply.body.data ? reply.body.data : "");
		raw_reply_release(&reply);
	}
}

static void server__breaks_connections_of_broken_streams(void **state)
{
	(void)state;
	static const char *const requests[] = {
		"GET /stream?broken HTTP/1.1\r\n" HOST "\r\n", /* chunked */
		"GET /stream?short HTTP/1.1\r\n" HOST "\r\n", "GET /stream?long HTTP/1.1\r\n" HOST "\r\n",
		"GET /stream?broken HTTP/1.0\r\n\r\n", /* ends with the connection */
	};
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct raw_reply reply;
		usleep(20000); /* for the end of the request before */
		atomic_store(&last_finish_error, 1);
		ask(requests[i], false, &reply, NULL);
		/* a reset may overtake the head */
		if (!reply.broken && reply.status)
			fail_msg("'%s' ended cleanly with %zu bytes", requests[i], reply.body.length);
		assert_true(reply.body.length <= 30);
		for (int wait = 0; wait < 200 && atomic_load(&last_finish_error) == 1; wait++)
			usleep(5000);
		assert_int_equal(atomic_load(&last_finish_error), -EIO);
		raw_reply_release(&reply);
	}
}

/* ---- bodies of requests ---- */

static void server__sends_100_when_the_body_is_read(void **state)
{
	(void)state;
	struct raw_client client;
	struct raw_reply reply;
	raw_connect(&client, server.port);
	for (int i = 0; i < 2; i++) {
		raw_send(&client, "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n");
		raw_read(&client, false, &reply);
		assert_status(reply, 100);
		raw_reply_release(&reply);
		raw_send(&client, "hello");
		raw_read(&client, false, &reply);
		assert_status(reply, 200);
		assert_body(reply, "hello");
		raw_reply_release(&reply);
	}
	/* no body: nothing to wait for */
	raw_send(&client, "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n");
	raw_read(&client, false, &reply);
	assert_status(reply, 200);
	raw_reply_release(&reply);
	raw_close(&client);

	/* refused before it was read: no 100, and the connection ends */
	raw_connect(&client, server.port);
	raw_send(&client, "PUT /refuse HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	raw_read(&client, false, &reply);
	assert_status(reply, 413);
	assert_non_null(raw_header(&reply, "Connection"));
	assert_true(raw_ends(&client));
	raw_reply_release(&reply);
	raw_close(&client);

	/* HTTP/1.0 knows no 100 */
	raw_connect(&client, server.port);
	raw_send(&client, "PUT /echo HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello");
	raw_read(&client, false, &reply);
	assert_status(reply, 200);
	assert_body(reply, "hello");
	raw_reply_release(&reply);
	raw_close(&client);
}

static void server__tells_the_handler_of_a_broken_body(void **state)
{
	(void)state;
	static const char *const requests[] = {
		"PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 50\r\n\r\nhello",
		"PUT /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"PUT /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
	};
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct raw_client client;
		atomic_store(&last_body_error, 1);
		raw_connect(&client, server.port);
		raw_send(&client, requests[i]);
		usleep(20000);
		raw_close(&client);
		for (int wait = 0; wait < 200 && atomic_load(&last_body_error) == 1; wait++)
			usleep(5000);
		assert_int_equal(atomic_load(&last_body_error), -ECONNRESET);
	}
}

static void server__answers_after_a_half_close(void **state)
{
	(void)state;
	struct raw_client client;
	struct raw_reply reply;
	raw_connect(&client, server.port);
	raw_send(&client, "GET /slow HTTP/1.1\r\n" HOST "\r\n");
	shutdown(client.fd, SHUT_WR);
	raw_read(&client, false, &reply);
	assert_status(reply, 200);
	assert_body(reply, "slow");
	assert_true(raw_ends(&client));
	raw_reply_release(&reply);
	raw_close(&client);
}

static void server__drains_or_closes_after_unread_bodies(void **state)
{
	(void)state;
	struct raw_client client;
	struct raw_reply reply;
	static char rest[200 * 1000];
	memset(rest, 'r', sizeof(rest));

	/* a little is read over */
	raw_connect(&client, server.port);
	raw_send(&client, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n");
	raw_write(&client, rest, 60000);
	raw_read(&client, false, &reply);
	assert_status(reply, 200);
	raw_reply_release(&reply);
	raw_send(&client, "GET /b HTTP/1.1\r\n" HOST "\r\n");
	raw_read(&client, false, &reply);
	assert_status(reply, 200);
	assert_body(reply, "/b");
	raw_reply_release(&reply);
	raw_close(&client);

	/* more is not, and the reply arrives although the client still sends */
	static const char *const heads[] = {
		"PUT /a HTTP/1.1\r\n" HOST "Content-Length: 200000\r\n\r\n",
		"PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n30d40\r\n",
	};
	for (size_t i = 0; i < 2; i++) {
		raw_connect(&client, server.port);
		raw_send(&client, heads[i]);
		raw_write(&client, rest, sizeof(rest));
		raw_read(&client, false, &reply);
		assert_status(reply, 200);
		assert_body(reply, "/a");
		shutdown(client.fd, SHUT_WR);
		assert_true(raw_ends(&client));
		raw_reply_release(&reply);
		raw_close(&client);
	}
}

/* ---- limits and time-outs, each with a server of its own ---- */

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void server__times_out_slow_heads(void **state)
{
	(void)state;
	struct http_server_options options = server_thread_options(handle, NULL);
	options.head_timeout_ms = 200;
	options.client_timeout_ms = 200;
	struct server_thread slow;
	server_thread_start(&slow, &options);
	struct raw_client client;
	struct raw_reply reply;

	raw_connect(&client, slow.port);
	raw_send(&client, "GET /a HTT");
	uint64_t start_ms = now_ms();
	raw_read(&client, false, &reply);
	assert_status(reply, 408);
	assert_in_range(now_ms() - start_ms, 150, 1500);
	raw_reply_release(&reply);
	shutdown(client.fd, SHUT_WR);
	assert_true(raw_ends(&client));
	raw_close(&client);

	/* the clock of a head does not start again with each byte */
	raw_connect(&client, slow.port);
	start_ms = now_ms();
	for (int i = 0; i < 8; i++) {
		raw_send(&client, "A");
		usleep(50000);
	}
	raw_read(&client, false, &reply);
	assert_status(reply, 408);
	raw_reply_release(&reply);
	raw_close(&client);

	/* a silent body */
	raw_connect(&client, slow.port);
	raw_send(&client, "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhel");
	raw_read(&client, false, &reply);
	assert_status(reply, 408);
	assert_non_null(raw_header(&reply, "Connection"));
	assert_int_equal(atomic_load(&last_body_error), -ETIMEDOUT);
	raw_reply_release(&reply);
	raw_close(&client);
	server_thread_stop(&slow);
}

static void server__closes_idle_connections(void **state)
{
	(void)state;
	struct http_server_options options = server_thread_options(handle, NULL);
	options.keepalive_timeout_ms = 500;
	struct server_thread idle;
	server_thread_start(&idle, &options);
	struct raw_client fresh, used;
	struct raw_reply reply;
	usleep(1200000); /* the loop's clock must not lag behind while nothing happens */
	uint64_t start_ms = now_ms();
	raw_connect(&fresh, idle.port);
	raw_connect(&used, idle.port);
	raw_send(&used, "GET /a HTTP/1.1\r\n" HOST "\r\n");
	raw_read(&used, false, &reply);
	assert_status(reply, 200);
	raw_reply_release(&reply);
	assert_true(raw_ends(&fresh));
	assert_in_range(now_ms() - start_ms, 400, 2500);
	assert_true(raw_ends(&used));
	raw_close(&fresh);
	raw_close(&used);
	assert_int_equal(server_thread_load(&idle).connections, 0);
	server_thread_stop(&idle);
}

static void server__limits_requests_in_flight(void **state)
{
	(void)state;
	struct http_server_options options = server_thread_options(handle, NULL);
	options.requests_max = 2;
	struct server_thread busy;
	server_thread_start(&busy, &options);
	struct raw_client clients[3], halves[5];
	struct raw_reply reply;
	/* heads that are not complete take nobody's place */
	for (int i = 0; i < 5; i++) {
		raw_connect(&halves[i], busy.port);
		raw_send(&halves[i], "GET /a HTTP/1.1\r\n");
	}
	usleep(50000);
	for (int i = 0; i < 3; i++) {
		raw_connect(&clients[i], busy.port);
		if (i == 2)
			usleep(50000);
		raw_send(&clients[i], "GET /slow HTTP/1.1\r\n" HOST "\r\n");
	}
	raw_read(&clients[2], false, &reply);
	assert_status(reply, 503);
	assert_non_null(raw_header(&reply, "Retry-After"));
	raw_reply_release(&reply);
	for (int i = 0; i < 2; i++) {
		raw_read(&clients[i], false, &reply);
		assert_status(reply, 200);
		raw_reply_release(&reply);
	}
	/* the one that was turned away may ask again */
	raw_send(&clients[2], "GET /slow HTTP/1.1\r\n" HOST "\r\n");
	raw_read(&clients[2], false, &reply);
	assert_status(reply, 200);
	raw_reply_release(&reply);
	for (int i = 0; i < 3; i++)
		raw_close(&clients[i]);
	for (int i = 0; i < 5; i++)
		raw_close(&halves[i]);
	server_thread_stop(&busy);
}

static void server__limits_connections(void **state)
{
	(void)state;
	struct http_server_options options = server_thread_options(handle, NULL);
	options.connections_max = 2;
	struct server_thread small;
	server_thread_start(&small, &options);
	struct raw_client clients[3];
	struct raw_reply reply;
	for (int i = 0; i < 2; i++) {
		raw_connect(&clients[i], small.port);
		raw_send(&clients[i], "GET /a HTTP/1.1\r\n" HOST "\r\n");
		raw_read(&clients[i], false, &reply);
		assert_status(reply, 200);
		raw_reply_release(&reply);
	}
	/* one more is told at once, whether it asks or not */
	for (int i = 0; i < 200; i++) {
		raw_connect(&clients[2], small.port);
		if (i % 2)
			raw_send(&clients[2], "GET /a HTTP/1.1\r\n" HOST "\r\n");
		raw_read(&clients[2], false, &reply);
		assert_status(reply, 503);
		assert_non_null(raw_header(&reply, "Retry-After"));
		assert_true(raw_ends(&clients[2]));
		raw_reply_release(&reply);
		raw_close(&clients[2]);
	}
	assert_int_equal(server_thread_load(&small).connections, 2);
	assert_int_equal(refusals(METRIC_REFUSAL_CONNECTIONS_FULL), 200);
	raw_close(&clients[0]);
	while (server_thread_load(&small).connections == 2)
		usleep(1000);
	raw_connect(&clients[2], small.port);
	raw_send(&clients[2], "GET /a HTTP/1.1\r\n" HOST "\r\n");
	raw_read(&clients[2], false, &reply);
	assert_status(reply, 200);
	raw_reply_release(&reply);
	raw_close(&clients[1]);
	raw_close(&clients[2]);
	server_thread_stop(&small);
}

static void server__stops_gracefully(void **state)
{
	(void)state;
	struct http_server_options options = server_thread_options(handle, NULL);
	struct server_thread ending;
	server_thread_start(&ending, &options);
	struct raw_client idle, busy;
	struct raw_reply reply;
	raw_connect(&idle, ending.port);
	raw_send(&idle, "GET /a HTTP/1.1\r\n" HOST "\r\n");
	raw_read(&idle, false, &reply);
	raw_reply_release(&reply);
	raw_connect(&busy, ending.port);
	raw_send(&busy, "GET /slow HTTP/1.1\r\n" HOST "\r\n");
	usleep(100000);
	server_thread_call(&ending, server_thread_close, NULL);
	assert_true(raw_ends(&idle));
	raw_read(&busy, false, &reply);
	assert_status(reply, 200);
	assert_body(reply, "slow");
	assert_true(raw_ends(&busy));
	raw_reply_release(&reply);
	struct raw_client late = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)ending.port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	assert_int_equal(connect(late.fd, (struct sockaddr *)&address, sizeof(address)), -1);
	raw_close(&late);
	raw_close(&idle);
	raw_close(&busy);
	server_thread_stop(&ending);
}

static void server__idle_connections_are_cheap(void **state)
{
	(void)state;
	enum { COUNT = 1000 };
	static struct raw_client clients[COUNT];
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	setrlimit(RLIMIT_NOFILE, &limit);
	struct http_server_options options = server_thread_options(handle, NULL);
	struct server_thread many;
	server_thread_start(&many, &options);
	size_t before = 0;
	for (int i = 0; i < COUNT; i++) {
		struct raw_reply reply;
		/* the first hundred fill the pools that all share */
		if (i == 100)
			before = mallinfo2().uordblks + mallinfo2().hblkhd;
		raw_connect(&clients[i], many.port);
		raw_send(&clients[i], "GET /a HTTP/1.1\r\n" HOST "\r\n");
		raw_read(&clients[i], false, &reply);
		assert_status(reply, 200);
		raw_reply_release(&reply);
		buf_release(&clients[i].input);
	}
	assert_int_equal(server_thread_load(&many).connections, COUNT);
	assert_int_equal(server_thread_load(&many).coroutines, 0);
	size_t each = (mallinfo2().uordblks + mallinfo2().hblkhd - before) / (COUNT - 100);
	if (!FIXTURE_SANITIZED) {
		print_message("%zu bytes per idle connection\n", each);
		assert_in_range(each, 1, 8191);
	}
	for (int i = 0; i < COUNT; i++)
		raw_close(&clients[i]);
	server_thread_stop(&many);
}

int main(void)
{
	/* one arena for all threads, so that mallinfo2() sees the server's memory */
	mallopt(M_ARENA_MAX, 1);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(server__keeps_connections),
		cmocka_unit_test(server__answers_pipelined_requests_in_order),
		cmocka_unit_test(server__takes_large_pipelined_heads),
		cmocka_unit_test(server__takes_requests_byte_by_byte),
		cmocka_unit_test(server__carries_large_bodies),
		cmocka_unit_test(server__frames_replies),
		cmocka_unit_test(server__breaks_connections_of_broken_streams),
		cmocka_unit_test(server__sends_100_when_the_body_is_read),
		cmocka_unit_test(server__tells_the_handler_of_a_broken_body),
		cmocka_unit_test(server__answers_after_a_half_close),
		cmocka_unit_test(server__drains_or_closes_after_unread_bodies),
		cmocka_unit_test(server__times_out_slow_heads),
		cmocka_unit_test(server__closes_idle_connections),
		cmocka_unit_test(server__limits_requests_in_flight),
		cmocka_unit_test(server__limits_connections),
		cmocka_unit_test(server__stops_gracefully),
		cmocka_unit_test(server__idle_connections_are_cheap),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
