#include "lib/backend/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>

#include "lib/backend/client.h"
#include "lib/backend/leg.h"
#include "tests/unit/http_fixture.h"

enum { LOCAL_PORT = 1 };

static const struct backend_timeouts timeouts = {.connect_ms = 1000, .node_ms = 1000};

/* ---- the server, reached over the network and in this process ---- */

static atomic_int body_error; /* of the last request to /count; 1 before it */
static atomic_int body_reads; /* requests whose body was read */

struct ten_body {
	struct body body;
	int left;
};

static int ten_next(struct body *body, struct chunk *ret_chunk)
{
	struct ten_body *self = (struct ten_body *)body;
	*ret_chunk = self->left ? (struct chunk){NULL, "0123456789", 10} : CHUNK_NONE;
	self->left -= self->left > 0;
	return 0;
}

static void handle_count(struct request *request, struct reply *reply)
{
	struct slice bytes;
	unsigned sum = 0;
	int error = co_body_read_all(request->body, request->arena, 1 << 22, &bytes);
	atomic_fetch_add(&body_reads, 1);
	for (size_t i = 0; !error && i < bytes.length; i++)
		sum = sum * 31 + (unsigned char)bytes.data[i];
	if (error) {
		reply_status(reply, 499);
	} else {
		reply_text(reply, 201, "text/plain", "stored");
		headers_set_format(&reply->headers, "X-Count", "%zu", bytes.length);
		headers_set_format(&reply->headers, "X-Sum", "%u", sum);
		headers_set_format(&reply->headers, "X-Digest", "%s",
			request->digest && request->digest->known ? request->digest->md5 : "none");
	}
	atomic_store(&body_error, error);
}

static void handle(void *context, struct request *request, struct reply *reply)
{
	static const struct body_operations ten = {.co_next = ten_next};
	(void)context;
	const char *path = arena_strndup(request->arena, request->path.data, request->path.length);
	headers_set(&reply->headers, "X-Method", request->method_text);
	headers_set_format(&reply->headers, "X-Path", "%s?%.*s", path, SLICE_PRINT(request->query));
	const char *echo = headers_get(&request->headers, "X-Echo");
	if (echo)
		headers_set_format(&reply->headers, "X-Echo", "%s", echo);
	if (strcmp(path, "/count") == 0) {
		handle_count(request, reply);
	} else if (strcmp(path, "/stream") == 0) {
		struct ten_body *body = arena_alloc(reply->arena, sizeof(*body));
		*body = (struct ten_body){{&ten}, 20000};
		reply->status = 200;
		reply->body = &body->body;
		if (request->query.length)
			reply->content_length = 200000;
	} else if (strcmp(path, "/slow") == 0) {
		co_sleep_ms(300);
		reply_text(reply, 200, "text/plain", "slow");
	} else if (strcmp(path, "/refuse") == 0) {
		reply_text(reply, 507, "text/plain", "full");
	} else if (strcmp(path, "/none") == 0) {
		reply_empty(reply, 204);
	} else if (strcmp(path, "/missing") == 0) {
		reply_status(reply, 404);
	} else {
		reply_text(reply, 200, "text/plain", "hello");
	}
}

static struct server_thread server;

static int start(void **state)
{
	(void)state;
	struct http_server_options options = server_thread_options(handle, NULL);
	server_thread_start(&server, &options);
	backend_register_local(BACKEND_OBJECT, "127.0.0.1", LOCAL_PORT, handle, NULL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_thread_stop(&server);
	return 0;
}

/* ---- running a test in a coroutine ---- */

struct run {
	struct loop_message message;
	void (*co_test)(void);
	struct loop *loop;
};

static void co_run(void *argument)
{
	struct run *run = argument;
	run->co_test();
	/* what the test left behind must end by itself */
	for (int i = 0; i < 300 && loop_coroutines(run->loop) > 1; i++)
		co_sleep_ms(10);
	assert_int_equal(loop_coroutines(run->loop), 1);
	loop_stop(run->loop);
}

static void run_start(struct loop_message *message)
{
	co_start(co_run, message);
}

static void run_in_loop(void (*co_test)(void))
{
	struct run run = {.message = {.call = run_start}, .co_test = co_test};
	assert_int_equal(loop_new(&run.loop), 0);
	loop_post(run.loop, &run.message);
	loop_run(run.loop);
	backend_pool_release();
	block_pool_release();
	loop_free(run.loop);
}

/* ---- one call ---- */

struct call {
	struct arena *arena;
	struct request request;
	struct reply reply;
	int error;
	struct slice body; /* of the reply */
	int body_error;
};

static void call_init(struct call *call, enum method method, const char *path)
{
	*call = (struct call){.arena = arena_new()};
	request_init(&call->request, call->arena, method);
	reply_init(&call->reply, call->arena);
	const char *mark = strchr(path, '?');
	call->request.path = slice_of(path, mark ? (size_t)(mark - path) : strlen(path));
	call->request.query = slice_from(mark ? mark + 1 : NULL);
	headers_set(&call->request.headers, "X-Echo", "e \xc3\xa9");
}

static void call_body(struct call *call, struct slice bytes, bool chunked)
{
	call->request.body = body_from_slice(call->arena, bytes);
	call->request.chunked = chunked;
	call->request.has_length = !chunked;
	call->request.content_length = chunked ? -1 : (int64_t)bytes.length;
}

static void co_call_run(struct call *call, int port)
{
	call->error = co_backend_call(BACKEND_OBJECT, "127.0.0.1", port, &call->request, &call->reply, &timeouts);
	if (call->error)
		return;
	call->body = call->reply.text;
	if (call->reply.body)
		call->body_error = co_body_read_all(call->reply.body, call->arena, 1 << 22, &call->body);
	reply_finish(&call->request, &call->reply, call->body.length, call->body_error);
}

static void call_release(struct call *call)
{
	arena_free(call->arena);
}

static void check_call(struct call *call, int port, int status, const char *body)
{
	co_call_run(call, port);
	assert_int_equal(call->error, 0);
	assert_int_equal(call->body_error, 0);
	assert_int_equal(call->reply.status, status);
	if (body && !slice_equal(call->body, slice_from(body)))
		fail_msg("'%.*s' instead of '%s'", SLICE_PRINT(call->body), body);
}

static void compare_ways(enum method method, const char *path, struct slice body, int framing)
{
	struct call calls[2];
	const int ports[2] = {LOCAL_PORT, server.port};
	for (int i = 0; i < 2; i++) {
		call_init(&calls[i], method, path);
		if (framing)
			call_body(&calls[i], body, framing == 2);
		co_call_run(&calls[i], ports[i]);
	}
	static const char *const names[] = {
		"X-Method", "X-Path", "X-Echo", "X-Count", "X-Sum", "X-Digest", "Content-Type"};
	bool same = calls[0].error == calls[1].error && calls[0].reply.status == calls[1].reply.status &&
		    calls[0].body_error == calls[1].body_error &&
		    (method == METHOD_HEAD || slice_equal(calls[0].body, calls[1].body));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *one = headers_get(&calls[0].reply.headers, names[i]);
		const char *other = headers_get(&calls[1].reply.headers, names[i]);
		same = same && (one == NULL) == (other == NULL) && (!one || strcmp(one, other) == 0);
	}
	if (!same)
		fail_msg("%s %s: error %d and %d, status %d and %d, %zu and %zu bytes", method_name(method), path,
			calls[0].error, calls[1].error, calls[0].reply.status, calls[1].reply.status,
			calls[0].body.length, calls[1].body.length);
	assert_int_equal(calls[0].error, 0);
	call_release(&calls[0]);
	call_release(&calls[1]);
}

static char megabyte[1 << 20];

static void co_both_ways(void)
{
	for (size_t i = 0; i < sizeof(megabyte); i++)
		megabyte[i] = (char)(i * 13 + i / 255);
	struct slice large = slice_of(megabyte, sizeof(megabyte));
	for (int round = 0; round < 2; round++) {
		compare_ways(METHOD_GET, "/hello", SLICE_NONE, 0);
		compare_ways(METHOD_GET, "/hello?a=b&c", SLICE_NONE, 0);
		compare_ways(METHOD_HEAD, "/hello", SLICE_NONE, 0);
		compare_ways(METHOD_GET, "/missing", SLICE_NONE, 0);
		compare_ways(METHOD_DELETE, "/none", SLICE_NONE, 0);
		compare_ways(METHOD_REPLICATE, "/hello", SLICE_NONE, 0);
		compare_ways(METHOD_GET, "/stream", SLICE_NONE, 0);
		compare_ways(METHOD_GET, "/stream?counted", SLICE_NONE, 0);
		compare_ways(METHOD_PUT, "/count", SLICE_NONE, 1);
		compare_ways(METHOD_PUT, "/count", SLICE_NONE, 2);
		compare_ways(METHOD_PUT, "/count", SLICE_LITERAL("hello"), 1);
		compare_ways(METHOD_PUT, "/count", SLICE_LITERAL("hello"), 2);
		compare_ways(METHOD_PUT, "/count", large, 1);
		compare_ways(METHOD_PUT, "/count", large, 2);
		compare_ways(METHOD_PUT, "/hello", SLICE_LITERAL("not read"), 1);
	}
}

static void backend__local_and_network_agree(void **state)
{
	(void)state;
	run_in_loop(co_both_ways);
	/* one connection served all of it */
	assert_true(server_thread_load(&server).connections <= 1);
}

/* ---- 100 Continue ---- */

static void co_continue(void)
{
	const int ports[2] = {LOCAL_PORT, server.port};
	for (int i = 0; i < 2; i++) {
		struct call call;
		call_init(&call, METHOD_PUT, "/count");
		call_body(&call, SLICE_LITERAL("hello"), i == 0);
		headers_set(&call.request.headers, "Expect", "100-continue");
		check_call(&call, ports[i], 201, "stored");
		assert_string_equal(headers_get(&call.reply.headers, "X-Count"), "5");
		call_release(&call);

		/* refused: the body is not asked for */
		call_init(&call, METHOD_PUT, "/refuse");
		call_body(&call, SLICE_LITERAL("hello"), false);
		headers_set(&call.request.headers, "Expect", "100-continue");
		check_call(&call, ports[i], 507, "full");
		struct chunk chunk;
		assert_int_equal(co_body_next(call.request.body, &chunk), 0);
		assert_int_equal(chunk.length, 5);
		call_release(&call);
	}
}

static void backend__body_waits_for_100(void **state)
{
	(void)state;
	run_in_loop(co_continue);
}

/* ---- bodies that break their promise ---- */

static void co_false_lengths(void)
{
	const int ports[2] = {LOCAL_PORT, server.port};
	for (int i = 0; i < 8; i++) {
		struct call call;
		atomic_store(&body_error, 1);
		call_init(&call, METHOD_PUT, "/count");
		call_body(&call, SLICE_LITERAL("hello"), false);
		call.request.content_length = i & 2 ? 4 : 6;
		if (i & 4)
			headers_set(&call.request.headers, "Expect", "100-continue");
		co_call_run(&call, ports[i & 1]);
		assert_int_equal(call.error, -ECANCELED);
		call_release(&call);
		for (int wait = 0; wait < 200 && atomic_load(&body_error) == 1; wait++)
			co_sleep_ms(5);
		assert_int_equal(atomic_load(&body_error), -ECONNRESET);
	}
}

static void backend__body_of_another_length_is_broken(void **state)
{
	(void)state;
	run_in_loop(co_false_lengths);
}

/* ---- servers that follow a script ---- */

enum { SCRIPT_REPLIES_MAX = 4 };

/* Reads nothing more until the peer has gone. */
static const char stall[] = "stall";

/* Plays one list of replies per connection, each after a whole head; NULL: says nothing and waits
 * for the end. */
struct script {
	const char *connections[4][SCRIPT_REPLIES_MAX];
	int connection_count;
	int fd;
	int port;
	pthread_t thread;
	atomic_int accepted;
};

static bool read_head(int fd)
{
	char head[4096];
	size_t length = 0;
	while (length < sizeof(head)) {
		ssize_t count = recv(fd, head + length, sizeof(head) - length, 0);
		if (count <= 0)
			return false;
		length += (size_t)count;
		if (memmem(head, length, "\r\n\r\n", 4))
			return true;
	}
	return false;
}

static void *script_main(void *argument)
{
	struct script *script = argument;
	for (int i = 0; i < script->connection_count; i++) {
		int fd = accept(script->fd, NULL, NULL);
		if (fd < 0)
			break;
		atomic_fetch_add(&script->accepted, 1);
		for (int reply = 0; reply < SCRIPT_REPLIES_MAX; reply++) {
			const char *text = script->connections[i][reply];
			struct pollfd gone = {.fd = fd, .events = POLLRDHUP};
			if (text == stall ? poll(&gone, 1, 5000) >= 0 : !read_head(fd))
				break;
			if (!text)
				continue;
			(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
			bool last = reply + 1 == SCRIPT_REPLIES_MAX || !script->connections[i][reply + 1];
			if (last)
				break;
		}
		close(fd);
	}
	return NULL;
}

static void script_start(struct script *script)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	atomic_store(&script->accepted, 0);
	script->fd = socket_listen("127.0.0.1", 0, 16);
	assert_true(script->fd >= 0);
	(void)fcntl(script->fd, F_SETFL, 0);
	assert_int_equal(getsockname(script->fd, (struct sockaddr *)&address, &length), 0);
	script->port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&script->thread, NULL, script_main, script), 0);
}

static void script_stop(struct script *script)
{
	shutdown(script->fd, SHUT_RDWR);
	pthread_join(script->thread, NULL);
	close(script->fd);
}

#define OK_TEXT(text, length) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" text

static struct script script;

static void co_stale(void)
{
	struct call call;
	call_init(&call, METHOD_GET, "/one");
	check_call(&call, script.port, 200, "one");
	call_release(&call);
	/* the server has closed: with and without the loop having noticed */
	call_init(&call, METHOD_GET, "/two");
	check_call(&call, script.port, 200, "two");
	call_release(&call);
	co_sleep_ms(50);
	call_init(&call, METHOD_PUT, "/three");
	call_body(&call, SLICE_LITERAL("hello"), false);
	check_call(&call, script.port, 200, "three");
	call_release(&call);
}

static void backend__stale_connections_are_replaced(void **state)
{
	(void)state;
	script = (struct script){.connections = {{OK_TEXT("one", "3")}, {OK_TEXT("two", "3")}, {OK_TEXT("three", "5")}},
		.connection_count = 3};
	script_start(&script);
	run_in_loop(co_stale);
	assert_int_equal(atomic_load(&script.accepted), 3);
	script_stop(&script);
}

static void co_unasked_reply(void)
{
	/* a final reply although the body was never sent: the next request needs another connection
	 */
	struct call call;
	call_init(&call, METHOD_PUT, "/one");
	call_body(&call, SLICE_LITERAL("hello"), false);
	headers_set(&call.request.headers, "Expect", "100-continue");
	check_call(&call, script.port, 409, "");
	call_release(&call);
	call_init(&call, METHOD_GET, "/two");
	check_call(&call, script.port, 200, "two");
	call_release(&call);
}

static void backend__unsent_body_spoils_the_connection(void **state)
{
	(void)state;
	script = (struct script){.connections = {{"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n",
							 "HTTP/1.1 500 Wrong\r\nContent-Length: 0\r\n\r\n"},
					 {OK_TEXT("two", "3")}},
		.connection_count = 2};
	script_start(&script);
	run_in_loop(co_unasked_reply);
	assert_int_equal(atomic_load(&script.accepted), 2);
	script_stop(&script);
}

static const struct {
	const char *reply;
	int error;
	int body_error;
	const char *body;
} odd_replies[] = {
	{"", -ECONNRESET, 0, NULL},
	{"HTTP/1.1 200 OK\r\nConte", -ECONNRESET, 0, NULL},
	{"banana\r\n\r\n", -EPROTO, 0, NULL},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", -EPROTO, 0, NULL},
	{OK_TEXT("hel", "5"), 0, -ECONNRESET, NULL},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", 0, -ECONNRESET, NULL},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello", 0, -EPROTO, NULL},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0, 0, "hello"},
	{"HTTP/1.1 200 OK\r\n\r\nhello", 0, 0, "hello"},
	{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0, 0, "hello"},
	{"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" OK_TEXT("hello", "5"), 0, 0, "hello"},
	{"HTTP/1.1 100 Continue\r\n\r\n", -ECONNRESET, 0, NULL},
};

static size_t odd_index;

static void co_odd_reply(void)
{
	struct call call;
	call_init(&call, METHOD_GET, "/");
	co_call_run(&call, script.port);
	if (call.error != odd_replies[odd_index].error || call.body_error != odd_replies[odd_index].body_error)
		fail_msg("'%s': error %d, body's error %d", odd_replies[odd_index].reply, call.error, call.body_error);
	if (odd_replies[odd_index].body)
		assert_true(slice_equal(call.body, slice_from(odd_replies[odd_index].body)));
	call_release(&call);
}

static void backend__odd_replies(void **state)
{
	(void)state;
	for (odd_index = 0; odd_index < sizeof(odd_replies) / sizeof(odd_replies[0]); odd_index++) {
		script = (struct script){.connections = {{odd_replies[odd_index].reply}}, .connection_count = 1};
		script_start(&script);
		run_in_loop(co_odd_reply);
		script_stop(&script);
	}
}

static bool shut_gate(void *context, const char *ip, int port)
{
	assert_string_equal(ip, "127.0.0.1");
	assert_int_equal(port, LOCAL_PORT);
	++*(int *)context;
	return false;
}

static void co_times_out(void)
{
	static const struct backend_timeouts short_ones = {.connect_ms = 500, .node_ms = 150};
	struct call call;
	uint64_t start_ms = loop_now_ms();
	/* nothing at all */
	call_init(&call, METHOD_GET, "/one");
	call.error = co_client_call("127.0.0.1", script.port, &call.request, &call.reply, &short_ones);
	assert_int_equal(call.error, -ETIMEDOUT);
	call_release(&call);
	/* silence inside of the body */
	call_init(&call, METHOD_GET, "/two");
	call.error = co_client_call("127.0.0.1", script.port, &call.request, &call.reply, &short_ones);
	assert_int_equal(call.error, 0);
	assert_int_equal(co_body_read_all(call.reply.body, call.arena, 100, &call.body), -ETIMEDOUT);
	reply_finish(&call.request, &call.reply, 0, -ETIMEDOUT);
	call_release(&call);
	assert_in_range(loop_now_ms() - start_ms, 250, 1500);
	/* nobody there */
	call_init(&call, METHOD_GET, "/three");
	call.error = co_client_call("127.0.0.1", LOCAL_PORT, &call.request, &call.reply, &short_ones);
	assert_int_equal(call.error, -ECONNREFUSED);
	call_release(&call);
	/* nobody that we may ask */
	int asked = 0;
	backend_set_gate(shut_gate, &asked);
	call_init(&call, METHOD_GET, "/four");
	call.error = co_client_call("127.0.0.1", LOCAL_PORT, &call.request, &call.reply, &short_ones);
	backend_set_gate(NULL, NULL);
	assert_int_equal(call.error, -EACCES);
	assert_int_equal(asked, 1);
	call.error = co_client_call("not an address", 80, &call.request, &call.reply, &short_ones);
	assert_int_equal(call.error, -EINVAL);
	call_release(&call);
}

static void backend__times_out(void **state)
{
	(void)state;
	script = (struct script){.connections = {{NULL}, {OK_TEXT("hel", "5"), "never"}}, .connection_count = 2};
	script_start(&script);
	run_in_loop(co_times_out);
	script_stop(&script);
}

/* ---- legs ---- */

static struct leg *add_leg(struct legs *legs, int port, enum method method, const char *path)
{
	struct leg_target target = {BACKEND_OBJECT, "127.0.0.1", port, "sda"};
	struct leg *leg = leg_new(legs, &target, method, NULL);
	leg_request(leg)->path = slice_from(path);
	return leg;
}

static void co_fan_out(void)
{
	struct legs *legs = legs_new();
	struct leg *quick = add_leg(legs, server.port, METHOD_GET, "/hello");
	struct leg *slow = add_leg(legs, server.port, METHOD_GET, "/slow");
	struct leg *dead = add_leg(legs, 9, METHOD_GET, "/hello");
	struct leg *local = add_leg(legs, LOCAL_PORT, METHOD_GET, "/missing");
	for (size_t i = 0; i < legs_count(legs); i++)
		leg_start(legs_at(legs, i), &timeouts);
	uint64_t start_ms = loop_now_ms();
	while (leg_state(quick) < LEG_REPLIED || leg_state(dead) < LEG_REPLIED || leg_state(local) < LEG_REPLIED)
		assert_int_equal(co_legs_wait(legs, deadline_after_ms(250)), 0);
	assert_int_equal(leg_state(slow), LEG_CONNECTING);
	assert_int_equal(leg_state(quick), LEG_REPLIED);
	assert_int_equal(leg_reply(quick)->status, 200);
	assert_int_equal(leg_state(dead), LEG_FAILED);
	assert_int_equal(leg_error(dead), -ECONNREFUSED);
	assert_int_equal(leg_reply(local)->status, 404);
	assert_int_equal(co_legs_wait(legs, deadline_after_ms(20)), -ETIMEDOUT);
	assert_int_equal(co_legs_wait(legs, deadline_after_ms(1000)), 0);
	assert_int_equal(leg_state(slow), LEG_REPLIED);
	assert_in_range(loop_now_ms() - start_ms, 200, 1500);
	struct slice body;
	assert_int_equal(co_body_read_all(leg_reply(slow)->body, leg_arena(slow), 100, &body), 0);
	assert_true(slice_equal(body, SLICE_LITERAL("slow")));
	legs_free(legs);
}

static void legs__fan_out(void **state)
{
	(void)state;
	run_in_loop(co_fan_out);
}

static void co_leave_early(void)
{
	struct legs *legs = legs_new();
	leg_start(add_leg(legs, server.port, METHOD_GET, "/slow"), &timeouts);
	leg_start(add_leg(legs, LOCAL_PORT, METHOD_GET, "/slow"), &timeouts);
	leg_start(add_leg(legs, server.port, METHOD_GET, "/stream"), &timeouts);
	(void)add_leg(legs, server.port, METHOD_GET, "/never-started");
	assert_int_equal(co_legs_wait(legs, deadline_after_ms(1000)), 0);
	legs_free(legs);
	legs = legs_new();
	leg_start(add_leg(legs, server.port, METHOD_GET, "/hello"), &timeouts);
	legs_free(legs);
	legs_free(NULL);
}

static void legs__owner_may_leave_early(void **state)
{
	(void)state;
	run_in_loop(co_leave_early);
}

enum { FED = 3 };

/* Three legs that wait for their bodies: two over the network, one of this process. */
static struct legs *co_ready_legs(int64_t length)
{
	const int ports[FED] = {server.port, LOCAL_PORT, server.port};
	struct legs *legs = legs_new();
	for (int i = 0; i < FED; i++) {
		struct leg *leg = add_leg(legs, ports[i], METHOD_PUT, "/count");
		leg_expect_body(leg, length);
		leg_start(leg, &timeouts);
	}
	for (int i = 0; i < FED; i++)
		while (leg_state(legs_at(legs, (size_t)i)) < LEG_READY)
			assert_int_equal(co_legs_wait(legs, deadline_after_ms(2000)), 0);
	return legs;
}

static void co_feed_all(struct legs *legs, size_t pieces)
{
	for (size_t piece = 0; piece < pieces; piece++) {
		struct block *block = block_new();
		memset(block->data, 'a' + (int)piece % 26, BLOCK_BYTES);
		struct chunk chunk = {block, block->data, 1000 + piece};
		for (size_t i = 0; i < FED; i++)
			assert_int_equal(co_leg_feed(legs_at(legs, i), &chunk, deadline_after_ms(2000)), 0);
		chunk_release(&chunk);
	}
}

static void co_feed(void)
{
	enum { PIECES = 50 };
	int64_t total = PIECES * 1000 + PIECES * (PIECES - 1) / 2;
	for (int chunked = 0; chunked < 2; chunked++) {
		struct legs *legs = co_ready_legs(chunked ? -1 : total);
		co_feed_all(legs, PIECES);
		struct body_digest digest = {true, "0123456789abcdef0123456789abcdef"};
		for (size_t i = 0; i < FED; i++)
			leg_feed_end(legs_at(legs, i), &digest);
		for (size_t i = 0; i < FED; i++) {
			struct leg *leg = legs_at(legs, i);
			while (leg_state(leg) < LEG_REPLIED)
				assert_int_equal(co_legs_wait(legs, deadline_after_ms(2000)), 0);
			assert_int_equal(leg_state(leg), LEG_REPLIED);
			assert_int_equal(leg_reply(leg)->status, 201);
			const struct headers *headers = &leg_reply(leg)->headers;
			assert_int_equal(strtol(headers_get(headers, "X-Count"), NULL, 10), total);
			assert_string_equal(headers_get(headers, "X-Digest"), i == 1 ? digest.md5 : "none");
			struct chunk late = {NULL, "late", 4};
			assert_int_equal(co_leg_feed(leg, &late, deadline_after_ms(100)), -ECANCELED);
		}
		legs_free(legs);
	}
}

static void legs__are_fed(void **state)
{
	(void)state;
	run_in_loop(co_feed);
}

static void wait_for_broken_bodies(int reads)
{
	for (int i = 0; i < 400 && atomic_load(&body_reads) < reads; i++)
		co_sleep_ms(5);
	assert_int_equal(atomic_load(&body_reads), reads);
	assert_int_equal(atomic_load(&body_error), -ECONNRESET);
}

static void co_abort(void)
{
	int reads = atomic_load(&body_reads);
	struct legs *legs = co_ready_legs(5000);
	co_feed_all(legs, 2);
	for (size_t i = 0; i < FED; i++)
		leg_feed_abort(legs_at(legs, i));
	for (size_t i = 0; i < FED; i++) {
		struct leg *leg = legs_at(legs, i);
		while (leg_state(leg) < LEG_REPLIED)
			assert_int_equal(co_legs_wait(legs, deadline_after_ms(2000)), 0);
		assert_int_equal(leg_state(leg), LEG_FAILED);
		assert_int_equal(leg_error(leg), -ECANCELED);
	}
	legs_free(legs);
	wait_for_broken_bodies(reads + FED);

	/* an owner that leaves without an end does the same; chunked, where only the last chunk
	 * tells */
	legs = co_ready_legs(-1);
	co_feed_all(legs, 2);
	legs_free(legs);
	wait_for_broken_bodies(reads + 2 * FED);
	legs = co_ready_legs(-1);
	legs_free(legs);
	wait_for_broken_bodies(reads + 3 * FED);
}

static void legs__aborted_bodies_are_broken(void **state)
{
	(void)state;
	run_in_loop(co_abort);
}

static void co_slow_receiver(void)
{
	/* a server that asks for the body and then reads none of it */
	struct legs *legs = legs_new();
	struct leg *leg = add_leg(legs, script.port, METHOD_PUT, "/");
	leg_expect_body(leg, -1);
	leg_start(leg, &timeouts);
	assert_int_equal(co_legs_wait(legs, deadline_after_ms(1000)), 0);
	assert_int_equal(leg_state(leg), LEG_READY);
	struct block *block = block_new();
	memset(block->data, 'x', BLOCK_BYTES);
	struct chunk chunk = {block, block->data, BLOCK_BYTES};
	int error = 0;
	int pieces = 0;
	while (!error && pieces++ < 1000)
		error = co_leg_feed(leg, &chunk, deadline_after_ms(300));
	assert_int_equal(error, -ETIMEDOUT);
	/* back-pressure, not memory: the slot and the blocks under way hold the only references */
	assert_true(block->references <= 3);
	chunk_release(&chunk);
	while (leg_state(leg) < LEG_REPLIED)
		assert_int_equal(co_legs_wait(legs, deadline_after_ms(3000)), 0);
	assert_int_equal(leg_state(leg), LEG_FAILED);
	legs_free(legs);
}

static void legs__slow_receiver_times_out(void **state)
{
	(void)state;
	script = (struct script){.connections = {{"HTTP/1.1 100 Continue\r\n\r\n", stall}}, .connection_count = 1};
	script_start(&script);
	run_in_loop(co_slow_receiver);
	script_stop(&script);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backend__local_and_network_agree),
		cmocka_unit_test(backend__body_waits_for_100),
		cmocka_unit_test(backend__body_of_another_length_is_broken),
		cmocka_unit_test(backend__stale_connections_are_replaced),
		cmocka_unit_test(backend__unsent_body_spoils_the_connection),
		cmocka_unit_test(backend__odd_replies),
		cmocka_unit_test(backend__times_out),
		cmocka_unit_test(legs__fan_out),
		cmocka_unit_test(legs__owner_may_leave_early),
		cmocka_unit_test(legs__are_fed),
		cmocka_unit_test(legs__aborted_bodies_are_broken),
		cmocka_unit_test(legs__slow_receiver_times_out),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
