/*
 * An object server over a device "d1" in a temporary directory, requests to it from a coroutine,
 * and a container server that answers as a test wants and remembers what it was sent.
 */
#ifndef TESTS_UNIT_OBJECT_SERVER_FIXTURE_H
#define TESTS_UNIT_OBJECT_SERVER_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/arena.h"
#include "lib/base/memory.h"
#include "lib/co/co.h"
#include "object/object_server.h"
#include "object/object_store.h"
#include "object/update.h"
#include "tests/unit/device_fixture.h"

enum {
	FIXTURE_CONTAINER_PORT = 6201,
	SCRIPT_REQUESTS_MAX = 64,
};

/* ---- the container server ---- */

struct script {
	int status; /* what it answers; 0: not before `release` */
	bool release;
	const char *location; /* with 301 */
	struct arena *arena;
	struct request *requests[SCRIPT_REQUESTS_MAX]; /* copies */
	size_t count;
	size_t at_once;
	size_t at_once_max;
};

static struct script script;

static inline void script_reset(int status)
{
	arena_free(script.arena);
	script = (struct script){.status = status, .arena = arena_new()};
}

static inline void script_remember(const struct request *request)
{
	assert_true(script.count < SCRIPT_REQUESTS_MAX);
	struct request *copy = arena_alloc(script.arena, sizeof(*copy));
	request_init(copy, script.arena, request->method);
	copy->path = arena_slice(script.arena, request->path);
	headers_copy(&copy->headers, &request->headers);
	script.requests[script.count++] = copy;
}

static inline void co_script_handle(void *context, struct request *request, struct reply *reply)
{
	(void)context;
	script_remember(request);
	script.at_once++;
	if (script.at_once > script.at_once_max)
		script.at_once_max = script.at_once;
	co_yield ();
	while (script.status == 0 && !script.release)
		co_sleep_ms(5);
	script.at_once--;
	reply_empty(reply, script.status ? script.status : 201);
	if (script.location) {
		headers_set(&reply->headers, "Location", script.location);
		headers_set(&reply->headers, "X-Backend-Redirect-Timestamp", "1700000000.00000");
	}
}

static inline const char *script_header(size_t index, const char *name)
{
	assert_true(index < script.count);
	return headers_get(&script.requests[index]->headers, name);
}

static inline void script_expect(size_t index, const char *name, const char *expected)
{
	const char *value = script_header(index, name);
	if (!value || strcmp(value, expected) != 0)
		fail_msg("update %zu: %s is %s, expected %s", index, name, value ? value : "missing", expected);
}

static inline void script_expect_path(size_t index, enum method method, const char *expected)
{
	assert_true(index < script.count);
	const struct request *request = script.requests[index];
	if (request->method != method || !slice_equal(request->path, slice_from(expected)))
		fail_msg("update %zu: %s %.*s, expected %s %s", index, method_name(request->method),
			SLICE_PRINT(request->path), method_name(method), expected);
}

/* ---- the server ---- */

struct fixture {
	char *root;
	struct device_set *devices;
	struct device_entry *entry;
	struct hash_path_config hash_path;
	struct object_server_options options;
	struct object_server *server;
};

static inline int fixture_recover(struct device *device, void *unused)
{
	(void)unused;
	return object_store_recover(device);
}

static inline void fixture_start(struct fixture *fixture)
{
	static const char *const names[] = {"d1", NULL};
	const struct device_set_options devices = {
		.root = fixture->root, .names = names, .create = true, .threads = 2, .opened = fixture_recover};
	assert_int_equal(device_set_open(&devices, &fixture->devices), 0);
	fixture->entry = device_set_find(fixture->devices, "d1");
	fixture->options.devices = fixture->devices;
	fixture->server = object_server_new(&fixture->options);
}

static inline void fixture_end(struct fixture *fixture)
{
	assert_int_equal(object_server_updates(fixture->server), 0);
	device_set_close(fixture->devices);
	object_server_free(fixture->server);
}

static inline struct fixture *fixture_new(void)
{
	struct fixture *fixture = xcalloc(1, sizeof(*fixture));
	fixture->root = fixture_directory();
	fixture->hash_path.suffix = SLICE_LITERAL("changeme");
	fixture->options = object_server_options_default;
	fixture->options.hash_path = &fixture->hash_path;
	fixture_start(fixture);
	script_reset(201);
	return fixture;
}

static inline void fixture_free(struct fixture *fixture)
{
	fixture_end(fixture);
	fixture_remove(fixture->root);
	free(fixture);
	arena_free(script.arena);
	script = (struct script){0};
}

static inline int fixture_setup(void **state)
{
	*state = fixture_new();
	return 0;
}

static inline int fixture_teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

/* ---- a loop for one coroutine ---- */

struct fixture_run {
	struct loop_message message;
	co_function *function;
	void *argument;
};

static inline void fixture_run_body(void *argument)
{
	struct fixture_run *run = argument;
	run->function(run->argument);
	while (loop_coroutines(loop_current()) > 1)
		co_sleep_ms(1);
	loop_stop(loop_current());
}

static inline void fixture_run_start(struct loop_message *message)
{
	co_start(fixture_run_body, (struct fixture_run *)message);
}

/* Runs the function as a coroutine of a new loop until it and all that it started have returned. */
static inline void fixture_run(co_function *function, void *argument)
{
	struct loop *loop;
	struct fixture_run run = {{.call = fixture_run_start}, function, argument};
	assert_int_equal(loop_new(&loop), 0);
	loop_post(loop, &run.message);
	loop_run(loop);
	loop_free(loop);
	block_pool_release();
}

/* ---- requests ---- */

/* A body in pieces of `piece` bytes that ends with an error, or properly; counts how often it was
 * pulled. */
struct test_body {
	struct body body;
	struct slice left;
	size_t piece;
	int error;
	size_t pulls;
	struct device *failing; /* marked as failed by the first pull, when not NULL */
};

static inline int test_body_next(struct body *body, struct chunk *ret_chunk)
{
	struct test_body *self = (struct test_body *)body;
	self->pulls++;
	if (self->failing)
		(void)device_fail(self->failing);
	size_t length = self->left.length < self->piece ? self->left.length : self->piece;
	if (length == 0 && self->error)
		return self->error;
	/* from the heap, so that the sanitizer sees who looks at a piece after its release */
	struct block *block = length ? block_new() : NULL;
	if (length)
		memcpy(block->data, self->left.data, length);
	*ret_chunk = (struct chunk){block, block ? block->data : NULL, length};
	self->left = slice_of(self->left.data + length, self->left.length - length);
	return 0;
}

struct exchange {
	struct arena *arena;
	struct request request;
	struct reply reply;
	struct test_body body;
	struct slice received; /* the reply's body */
	int error;             /* how its stream ended */
};

/* "METHOD /path [Name: value] …" */
static inline void exchange_init(struct exchange *exchange, const char *line)
{
	static const struct body_operations operations = {.co_next = test_body_next};
	*exchange = (struct exchange){.arena = arena_new()};
	char *text = arena_strdup(exchange->arena, line);
	char *method = strsep(&text, " ");
	char *path = strsep(&text, " ");
	request_init(&exchange->request, exchange->arena, method_parse(method));
	reply_init(&exchange->reply, exchange->arena);
	exchange->request.method_text = method;
	exchange->request.path = slice_from(path);
	exchange->body = (struct test_body){.body.operations = &operations, .piece = 65536};
	exchange->request.body = &exchange->body.body;
	while (text && (text = strchr(text, '['))) {
		char *end = strchr(text, ']');
		assert_non_null(end);
		*end = '\0';
		char *value = strstr(text, ": ");
		assert_non_null(value);
		*value = '\0';
		headers_add(&exchange->request.headers, text + 1, value + 2);
		text = end + 1;
	}
	const char *length = headers_get(&exchange->request.headers, "Content-Length");
	exchange->request.has_length = length != NULL;
	exchange->request.content_length = length ? strtoll(length, NULL, 10) : 0;
	exchange->request.chunked = headers_get(&exchange->request.headers, "Transfer-Encoding") != NULL;
}

static inline void exchange_body(struct exchange *exchange, struct slice bytes)
{
	exchange->body.left = bytes;
	if (exchange->request.has_length || exchange->request.chunked)
		return;
	exchange->request.has_length = true;
	exchange->request.content_length = (int64_t)bytes.length;
}

static inline void co_receive_reply(struct exchange *exchange)
{
	struct buf bytes = BUF_INIT;
	struct chunk chunk;
	if (!exchange->reply.body) {
		exchange->received = exchange->reply.text;
		return;
	}
	while (!(exchange->error = co_body_next(exchange->reply.body, &chunk)) && chunk.length) {
		buf_append(&bytes, chunk.data, chunk.length);
		chunk_release(&chunk);
	}
	exchange->received = arena_slice(exchange->arena, buf_slice(&bytes));
	buf_release(&bytes);
}

static inline void co_exchange(struct fixture *fixture, struct exchange *exchange)
{
	co_object_server_handle(fixture->server, &exchange->request, &exchange->reply);
	co_receive_reply(exchange);
}

static inline void exchange_release(struct exchange *exchange)
{
	reply_finish(&exchange->request, &exchange->reply, 0, 0);
	arena_free(exchange->arena);
}

static inline void expect_status(const struct exchange *exchange, const char *line, int expected)
{
	if (exchange->reply.status != expected)
		fail_msg("%s: status %d (%.*s), expected %d", line, exchange->reply.status,
			SLICE_PRINT(exchange->reply.text), expected);
}

/* Sends a request with a body; the exchange must be released. */
static inline void co_send(
	struct fixture *fixture, struct exchange *exchange, const char *line, struct slice bytes, int expected)
{
	exchange_init(exchange, line);
	if (exchange->request.method == METHOD_PUT)
		exchange_body(exchange, bytes);
	co_exchange(fixture, exchange);
	expect_status(exchange, line, expected);
}

/* The same where nothing but the status matters. */
static inline void co_expect(struct fixture *fixture, const char *line, const char *body, int expected)
{
	struct exchange exchange;
	co_send(fixture, &exchange, line, slice_from(body), expected);
	exchange_release(&exchange);
}

static inline void expect_header(const struct exchange *exchange, const char *name, const char *expected)
{
	const char *value = headers_get(&exchange->reply.headers, name);
	if (expected ? !value || strcmp(value, expected) != 0 : value != NULL)
		fail_msg("%s is %s, expected %s", name, value ? value : "missing", expected ? expected : "missing");
}

/* ---- promises ---- */

struct promises_seen {
	struct arena *arena;
	struct object_update updates[16];
	size_t count;
};

static inline int see_promise(uint64_t number, struct slice value, void *argument)
{
	(void)number;
	struct promises_seen *seen = argument;
	assert_true(seen->count < 16);
	assert_int_equal(object_update_decode(value, seen->arena, &seen->updates[seen->count++]), 0);
	return 0;
}

/* What the device has promised; free seen->arena. */
static inline void see_promises(struct fixture *fixture, struct promises_seen *ret_seen)
{
	*ret_seen = (struct promises_seen){.arena = arena_new()};
	struct device *device = device_entry_device(fixture->entry);
	assert_int_equal(object_todo_walk(device, 0, see_promise, ret_seen), 0);
}

static inline size_t count_promises(struct fixture *fixture)
{
	struct promises_seen seen;
	see_promises(fixture, &seen);
	arena_free(seen.arena);
	return seen.count;
}

/* Removals ride on other commits: they may take a second. */
static inline void co_wait_for_promises(struct fixture *fixture, size_t expected)
{
	for (int i = 0; i < 600 && count_promises(fixture) != expected; i++)
		co_sleep_ms(5);
	assert_int_equal(count_promises(fixture), expected);
}

#endif
