/*
 * For tests that need a server and a raw client: an http_server on a loop in a thread of its own,
 * and a client that writes what it likes and reads replies one by one. Included by one test program
 * each.
 */
#ifndef TESTS_UNIT_HTTP_FIXTURE_H
#define TESTS_UNIT_HTTP_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/co/co.h"
#include "lib/co/socket.h"
#include "lib/http/body.h"
#include "lib/http/chunked.h"
#include "lib/http/server.h"

#if defined(SWIFTLET_SANITIZER_thread) || defined(SWIFTLET_SANITIZER_address)
#define FIXTURE_SANITIZED 1
#else
#define FIXTURE_SANITIZED 0
#endif

/* ---- the server ---- */

struct server_thread {
	struct http_server_options options;
	const struct http_door *door; /* NULL for none */
	struct loop *loop;
	struct http_server *server;
	int fd;
	int port;
	pthread_t thread;
	/* a call that the loop makes for another thread */
	struct loop_message message;
	void (*call)(struct server_thread *thread, void *argument);
	void *argument;
	sem_t done;
};

static inline struct http_server_options server_thread_options(co_handler_function *handler, void *context)
{
	return (struct http_server_options){
		.handler = handler,
		.context = context,
		.limits = http_limits_default,
		.requests_max = 1000,
		.slow_max = 1000,
		.connections_max = 10000,
		.head_timeout_ms = 5000,
		.client_timeout_ms = 5000,
		.keepalive_timeout_ms = 30000,
		.handshake_timeout_ms = FIXTURE_SANITIZED ? 4000 : 1000,
		.rate_min = 500,
		.rate_window_ms = 5000,
	};
}

static inline void server_thread_on_message(struct loop_message *message)
{
	struct server_thread *thread =
		(struct server_thread *)((char *)message - offsetof(struct server_thread, message));
	thread->call(thread, thread->argument);
	sem_post(&thread->done);
}

/* Makes a call on the server's loop and waits for it. */
static inline void server_thread_call(
	struct server_thread *thread, void (*call)(struct server_thread *, void *), void *argument)
{
	thread->message.call = server_thread_on_message;
	thread->call = call;
	thread->argument = argument;
	loop_post(thread->loop, &thread->message);
	while (sem_wait(&thread->done))
		continue;
}

static inline void *server_thread_main(void *argument)
{
	struct server_thread *thread = argument;
	loop_run(thread->loop);
	http_server_free(thread->server);
	block_pool_release();
	loop_free(thread->loop);
	return NULL;
}

static inline void server_thread_open(struct server_thread *thread, void *argument)
{
	(void)argument;
	thread->server = http_server_new(&thread->options);
	assert_int_equal(http_server_listen(thread->server, thread->fd, thread->door), 0);
}

static inline void server_thread_start_behind(
	struct server_thread *thread, const struct http_server_options *options, const struct http_door *door)
{
	*thread = (struct server_thread){.options = *options, .door = door};
	sem_init(&thread->done, 0, 0);
	thread->fd = socket_listen("127.0.0.1", 0, 1024);
	assert_true(thread->fd >= 0);
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	assert_int_equal(getsockname(thread->fd, (struct sockaddr *)&address, &length), 0);
	thread->port = ntohs(address.sin_port);
	assert_int_equal(loop_new(&thread->loop), 0);
	assert_int_equal(pthread_create(&thread->thread, NULL, server_thread_main, thread), 0);
	server_thread_call(thread, server_thread_open, NULL);
}

static inline void server_thread_start(struct server_thread *thread, const struct http_server_options *options)
{
	server_thread_start_behind(thread, options, NULL);
}

struct server_load {
	size_t connections;
	size_t coroutines;
};

static inline void server_thread_measure(struct server_thread *thread, void *argument)
{
	struct server_load *load = argument;
	load->connections = http_server_connections(thread->server);
	load->coroutines = loop_coroutines(thread->loop);
}

static inline struct server_load server_thread_load(struct server_thread *thread)
{
	struct server_load load;
	server_thread_call(thread, server_thread_measure, &load);
	return load;
}

/* Requests that wait for slow peers, in all servers of the program. */
static inline size_t slow_requests(void)
{
	return (size_t)metric_value(METRIC_SLOW, METRIC_ROLE_PROXY);
}

/* How often that happened, in all servers of the program. */
static inline size_t refusals(enum metric_refusal reason)
{
	return (size_t)metric_value(METRIC_REFUSED, METRIC_ROLE_PROXY, reason);
}

static inline void server_thread_close(struct server_thread *thread, void *argument)
{
	(void)argument;
	http_server_stop(thread->server);
}

/* Stops gracefully; fails when connections or coroutines are left after five seconds. */
static inline void server_thread_stop(struct server_thread *thread)
{
	server_thread_call(thread, server_thread_close, NULL);
	struct server_load load = {.connections = 1};
	for (int i = 0; i < 500 && load.connections + load.coroutines; i++) {
		load = server_thread_load(thread);
		usleep(load.connections + load.coroutines ? 10000 : 0);
	}
	assert_int_equal(load.connections, 0);
	assert_int_equal(load.coroutines, 0);
	loop_stop(thread->loop);
	pthread_join(thread->thread, NULL);
	sem_destroy(&thread->done);
}

/* ---- the client ---- */

struct raw_client {
	int fd;
	struct buf input; /* read but not used yet */
	bool ended;       /* the server closed */
	bool reset;       /* it did so by a reset */
};

struct raw_reply {
	int status;      /* 0: the connection ended before a whole head */
	struct buf head; /* as received */
	struct buf body;
	bool broken; /* the connection ended inside the body */
};

static inline void raw_reply_release(struct raw_reply *reply)
{
	buf_release(&reply->head);
	buf_release(&reply->body);
}

static inline void raw_connect(struct raw_client *client, int port)
{
	*client = (struct raw_client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = {htonl(INADDR_LOOPBACK)},
	};
	assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	struct timeval timeout = {10, 0};
	setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

static inline void raw_close(struct raw_client *client)
{
	close(client->fd);
	buf_release(&client->input);
}

static inline void raw_write(struct raw_client *client, const void *data, size_t length)
{
	const char *at = data;
	while (length) {
		ssize_t count = send(client->fd, at, length, MSG_NOSIGNAL);
		if (count < 0)
			return;
		at += count;
		length -= (size_t)count;
	}
}

static inline void raw_send(struct raw_client *client, const char *text)
{
	raw_write(client, text, strlen(text));
}

/* True when bytes came; false at the end. Silence for ten seconds fails the test. */
static inline bool raw_more(struct raw_client *client)
{
	char *room = buf_reserve(&client->input, 65536);
	ssize_t count = recv(client->fd, room, 65536, 0);
	if (count < 0 && errno != ECONNRESET)
		fail_msg("recv: %s", strerror(errno));
	client->reset = count < 0;
	client->ended = count <= 0;
	if (count <= 0)
		return false;
	client->input.length += (size_t)count;
	client->input.data[client->input.length] = '\0';
	return true;
}

static inline void raw_take(struct raw_client *client, struct buf *into, size_t length)
{
	buf_append(into, client->input.data, length);
	memmove(client->input.data, client->input.data + length, client->input.length - length);
	client->input.length -= length;
}

static inline void raw_read_chunked(struct raw_client *client, struct raw_reply *reply)
{
	struct chunked_decoder decoder = {0};
	for (;;) {
		size_t payload = 0, used = 0;
		if (client->input.length) {
			assert_int_equal(
				chunked_decode(&decoder, client->input.data, client->input.length, &payload, &used), 0);
			buf_append(&reply->body, client->input.data, payload);
			memmove(client->input.data, client->input.data + used, client->input.length - used);
			client->input.length -= used;
		}
		if (decoder.state == CHUNKED_DONE)
			return;
		if (!raw_more(client)) {
			reply->broken = true;
			return;
		}
	}
}

/* The value of a header, up to its CR; NULL when there is none. */
static inline const char *raw_header(const struct raw_reply *reply, const char *name)
{
	for (const char *line = strstr(reply->head.data, "\r\n"); line; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, strlen(name)) == 0 && line[2 + strlen(name)] == ':')
			return line + 4 + strlen(name);
	return NULL;
}

/* Reads one reply. `bodiless`: of a HEAD. */
static inline void raw_read(struct raw_client *client, bool bodiless, struct raw_reply *reply)
{
	*reply = (struct raw_reply){0};
	buf_append_text(&reply->head, "");
	const char *end = NULL;
	while (!client->input.length || !(end = memmem(client->input.data, client->input.length, "\r\n\r\n", 4)))
		if (!raw_more(client))
			return;
	raw_take(client, &reply->head, (size_t)(end + 4 - client->input.data));
	assert_int_equal(memcmp(reply->head.data, "HTTP/1.1 ", 9), 0);
	reply->status = (int)strtol(reply->head.data + 9, NULL, 10);
	if (bodiless || reply->status / 100 == 1 || reply->status == 204 || reply->status == 304)
		return;
	const char *length = raw_header(reply, "Content-Length");
	if (raw_header(reply, "Transfer-Encoding")) {
		raw_read_chunked(client, reply);
		return;
	}
	size_t wanted = length ? strtoul(length, NULL, 10) : SIZE_MAX;
	while (client->input.length < wanted && raw_more(client))
		continue;
	reply->broken = length ? client->input.length < wanted : client->reset;
	if (client->input.length)
		raw_take(client, &reply->body, client->input.length < wanted ? client->input.length : wanted);
}

/* True when the server ends the connection without another byte. */
static inline bool raw_ends(struct raw_client *client)
{
	return client->input.length == 0 && (client->ended || !raw_more(client));
}

#define assert_status(reply, expected)                                                                                 \
	do {                                                                                                           \
		if ((reply).status != (expected))                                                                      \
			fail_msg("status %d instead of %d", (reply).status, (expected));                               \
	} while (0)

#define assert_body(reply, expected)                                                                                   \
	do {                                                                                                           \
		if ((reply).body.length != strlen(expected) ||                                                         \
			((reply).body.length && memcmp((reply).body.data, expected, (reply).body.length)))             \
			fail_msg("body '%.*s' instead of '%s'", (int)(reply).body.length,                              \
				(reply).body.length ? (reply).body.data : "", expected);                               \
	} while (0)

#endif
