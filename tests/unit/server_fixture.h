/*
 * Runs the container and account servers' handlers in a loop over a device "d1" in a temporary
 * directory, and replays captured sessions (tests/data/container-account-responses.txt) through
 * them.
 */
#ifndef TESTS_UNIT_SERVER_FIXTURE_H
#define TESTS_UNIT_SERVER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "account/account_server.h"
#include "container/container_server.h"
#include "lib/base/arena.h"
#include "lib/base/memory.h"
#include "lib/co/co.h"
#include "lib/http/message.h"
#include "tests/unit/device_fixture.h"

enum { FIXTURE_ACCOUNT_PORT = 6202 };

struct server_fixture {
	char *root;
	struct device_set *devices;
	struct hash_path_config hash_path;
	struct server_policies policies;
	struct container_server_options container_options;
	struct account_server_options account_options;
	struct container_server *container;
	struct account_server *account;
};

static const struct server_policy fixture_policies[] = {{0, "gold"}, {1, "ec42"}};

/* The ring of the tests: every account is on d1 of this process. */
static inline size_t fixture_account_nodes(
	void *argument, struct slice account, struct account_node *ret_nodes, size_t max, uint32_t *ret_partition)
{
	(void)argument;
	(void)account;
	assert_true(max > 0);
	ret_nodes[0] = (struct account_node){"127.0.0.1", FIXTURE_ACCOUNT_PORT, "d1"};
	*ret_partition = 3;
	return 1;
}

static inline bool fixture_peer_allowed(void *argument, const char *ip, int port)
{
	(void)argument;
	return strcmp(ip, "127.0.0.1") == 0 && port == FIXTURE_ACCOUNT_PORT;
}

static inline void fixture_open_devices(struct server_fixture *fixture)
{
	static const char *const names[] = {"d1", NULL};
	struct device_set_options devices = {.root = fixture->root, .names = names, .create = true, .threads = 2};
	assert_int_equal(device_set_open(&devices, &fixture->devices), 0);
	fixture->container_options.devices = fixture->devices;
	fixture->account_options.devices = fixture->devices;
	fixture->container = container_server_new(&fixture->container_options);
	fixture->account = account_server_new(&fixture->account_options);
}

static inline void fixture_close_devices(struct server_fixture *fixture)
{
	container_server_free(fixture->container);
	account_server_free(fixture->account);
	device_set_close(fixture->devices);
}

static inline struct server_fixture *server_fixture_new(void)
{
	struct server_fixture *fixture = xcalloc(1, sizeof(*fixture));
	fixture->root = fixture_directory();
	fixture->hash_path.suffix = SLICE_LITERAL("changeme");
	fixture->policies = (struct server_policies){fixture_policies, 2, 0};
	fixture->container_options = (struct container_server_options){
		.hash_path = &fixture->hash_path,
		.constraints = &constraints_default,
		.policies = &fixture->policies,
		.account_timeouts = {.connect_ms = 500, .node_ms = 3000},
		.account_nodes = fixture_account_nodes,
		.peer_allowed = fixture_peer_allowed,
	};
	fixture->account_options = (struct account_server_options){
		.hash_path = &fixture->hash_path,
		.constraints = &constraints_default,
		.policies = &fixture->policies,
	};
	fixture_open_devices(fixture);
	return fixture;
}

static inline void server_fixture_free(struct server_fixture *fixture)
{
	fixture_close_devices(fixture);
	fixture_remove(fixture->root);
	free(fixture);
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
	loop_stop(loop_current());
}

static inline void fixture_run_start(struct loop_message *message)
{
	co_start(fixture_run_body, (struct fixture_run *)message);
}

/* Runs the function as a coroutine of a new loop until it returns. */
static inline void fixture_run(co_function *function, void *argument)
{
	struct loop *loop;
	struct fixture_run run = {{.call = fixture_run_start}, function, argument};
	assert_int_equal(loop_new(&loop), 0);
	loop_post(loop, &run.message);
	loop_run(loop);
	assert_int_equal(loop_coroutines(loop), 0);
	loop_free(loop);
	block_pool_release();
}

/* ---- requests ---- */

struct exchange {
	struct arena *arena;
	struct request request;
	struct reply reply;
};

/* "METHOD /path?query [Name: value] … body=…"; the texts are changed in place. */
static inline void exchange_init(struct exchange *exchange, char *line)
{
	exchange->arena = arena_new();
	char *copy = arena_strdup(exchange->arena, line);
	char *body = strstr(copy, " body=");
	if (body) {
		*body = '\0';
		body += strlen(" body=");
	}
	char *method = strsep(&copy, " ");
	char *target = strsep(&copy, " ");
	request_init(&exchange->request, exchange->arena, method_parse(method));
	reply_init(&exchange->reply, exchange->arena);
	exchange->request.method_text = method;
	exchange->request.path = slice_from(strsep(&target, "?"));
	exchange->request.query = slice_from(target);
	while (copy && (copy = strchr(copy, '['))) {
		char *end = strchr(copy, ']');
		assert_non_null(end);
		*end = '\0';
		char *value = strstr(copy, ": ");
		assert_non_null(value);
		*value = '\0';
		headers_add(&exchange->request.headers, copy + 1, value + 2);
		copy = end + 1;
	}
	if (body)
		exchange->request.body = body_from_slice(exchange->arena, slice_from(body));
}

static inline void exchange_release(struct exchange *exchange)
{
	reply_finish(&exchange->request, &exchange->reply, 0, 0);
	arena_free(exchange->arena);
}

/* Sends one request and compares the status; the exchange must be released. */
static inline void co_fixture_send(
	struct exchange *exchange, co_handler_function *handler, void *server, const char *line, int expected_status)
{
	char *copy = xstrdup(line);
	exchange_init(exchange, copy);
	free(copy);
	handler(server, &exchange->request, &exchange->reply);
	if (exchange->reply.status != expected_status)
		fail_msg("%s: status %d (%.*s), expected %d", line, exchange->reply.status,
			SLICE_PRINT(exchange->reply.text), expected_status);
}

/* The same where nothing but the status matters. */
static inline void co_fixture_expect(co_handler_function *handler, void *server, const char *line, int expected_status)
{
	struct exchange exchange;
	co_fixture_send(&exchange, handler, server, line, expected_status);
	exchange_release(&exchange);
}

/* ---- replaying a capture ---- */

/* b'…' as Python prints bytes, in place. */
static inline char *unquote_python(char *text)
{
	size_t length = strlen(text);
	assert_true(length >= 3 && text[0] == 'b');
	char quote = text[1];
	assert_int_equal(text[length - 1], quote);
	char *to = text;
	for (char *from = text + 2; from < text + length - 1; from++) {
		if (*from == '\\') {
			from++;
			*to++ = *from == 'n' ? '\n' : *from;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
	return text;
}

/* Times at which the captured databases were made by the local clock. */
static inline bool is_time_of_creation(const char *name)
{
	return strcasecmp(name, "X-Timestamp") == 0 || strcasecmp(name, "X-Backend-Timestamp") == 0;
}

static inline void compare_header(
	const char *request, const struct exchange *exchange, const char *name, const char *expected)
{
	const char *value = headers_get(&exchange->reply.headers, name);
	char length[24];
	if (strcasecmp(name, "Content-Length") == 0) {
		snprintf(length, sizeof(length), "%zu", exchange->reply.text.length);
		value = length;
	}
	if (!value)
		fail_msg("%s: no header %s, expected %s", request, name, expected);
	bool is_creation = is_time_of_creation(name) && strcmp(expected, "0000000000.00000") != 0;
	if (is_creation ? strlen(value) != strlen(expected) : strcmp(value, expected) != 0)
		fail_msg("%s: header %s is %s, expected %s", request, name, value, expected);
}

/* "HTTP/1.1 404 Not Found [Name: value] …" and the body's text, or NULL. */
static inline void compare_reply(const char *request, const struct exchange *exchange, char *head, const char *body)
{
	const struct reply *reply = &exchange->reply;
	char *headers = strchr(head, '[');
	char status[80];
	snprintf(status, sizeof(status), "HTTP/1.1 %d %s ", reply->status,
		reply->reason ? reply->reason : status_reason(reply->status));
	if (strncmp(head, status, strlen(status)) != 0)
		fail_msg("%s: %s(%.*s), expected %s", request, status, SLICE_PRINT(reply->text), head);
	size_t expected_count = 0;
	bool has_length = false;
	while (headers && (headers = strchr(headers, '['))) {
		char *end = strchr(headers, ']');
		char *value = strstr(headers, ": ");
		*end = '\0';
		*value = '\0';
		compare_header(request, exchange, headers + 1, value + 2);
		has_length |= strcmp(headers + 1, "Content-Length") == 0;
		expected_count++;
		headers = end + 1;
	}
	size_t count = reply->headers.count + has_length - headers_occurrences(&reply->headers, "Allow");
	if (count != expected_count)
		fail_msg("%s: %zu headers, expected %zu", request, count, expected_count);
	if (!slice_equal(reply->text, slice_from(body)))
		fail_msg("%s: body %.*s, expected %s", request, SLICE_PRINT(reply->text), body);
}

struct replay {
	const char *section; /* "### container server" */
	co_handler_function *handler;
	void *server;
	size_t requests; /* result */
};

static inline void replay_one(struct replay *replay, char *request, char *head, char *body)
{
	struct exchange exchange;
	char *quoted = strstr(request, " body=b'");
	if (quoted)
		unquote_python(quoted + strlen(" body="));
	exchange_init(&exchange, request);
	replay->handler(replay->server, &exchange.request, &exchange.reply);
	compare_reply(request, &exchange, head, body ? unquote_python(body) : NULL);
	exchange_release(&exchange);
	replay->requests++;
}

static inline char *read_line(FILE *file)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t length = getline(&line, &room, file);
	if (length < 0) {
		free(line);
		return NULL;
	}
	if (length && line[length - 1] == '\n')
		line[length - 1] = '\0';
	return line;
}

/* A coroutine: sends every request of the section and compares every answer. */
static inline void co_replay(void *argument)
{
	struct replay *replay = argument;
	FILE *file = fopen("tests/data/container-account-responses.txt", "r");
	assert_non_null(file);
	char *line = read_line(file);
	while (line && strcmp(line, replay->section) != 0) {
		free(line);
		line = read_line(file);
	}
	assert_non_null(line);
	free(line);
	line = read_line(file);
	while (line && line[0] == '>') {
		char *head = read_line(file);
		char *next = read_line(file);
		char *body = next && next[0] == ' ' ? next : NULL;
		replay_one(replay, line + 2, head + 2, body ? body + 2 : NULL);
		free(line);
		free(head);
		if (body) {
			free(body);
			next = read_line(file);
		}
		line = next;
	}
	free(line);
	fclose(file);
}

#endif
