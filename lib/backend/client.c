#include "lib/backend/client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/http/wire.h"

enum {
	IDLE_CONNECTIONS_MAX = 256, /* kept per thread */
	IDLE_MS_MAX = 30 * 1000,    /* below the idle time-outs of the servers we know */
	CONTINUES_MAX = 8,          /* informational replies before the real one */
};

struct client_connection {
	struct co_socket socket;        /* first: on_readable gets a pointer to it */
	struct client_connection *next; /* in the pool, newest first */
	struct wire_input input;
	uint64_t idle_since_ms;
	int port;
	bool reused;
	char ip[46];
};

/* Idle connections of this thread. */
static __thread struct client_connection *idle_first;
static __thread size_t idle_count;

/* ---- where to connect ---- */

static bool (*gate)(void *context, const char *ip, int port);
static void *gate_context;
static _Atomic uint64_t next_complaint_ms;

void client_set_gate(bool (*may_connect)(void *context, const char *ip, int port), void *context)
{
	gate = may_connect;
	gate_context = context;
}

/* Logged once a second at most. */
static bool may_connect_to(const char *ip, int port)
{
	if (!gate || gate(gate_context, ip, port))
		return true;
	uint64_t now = loop_now_ms();
	if (now >= next_complaint_ms) {
		next_complaint_ms = now + 1000;
		log_warning("refused to connect to %s port %d: no ring names it", ip, port);
	}
	return false;
}

/* ---- connections ---- */

static void connection_free(struct client_connection *connection)
{
	wire_input_release(&connection->input);
	co_socket_close(&connection->socket);
	free(connection);
}

static void pool_remove(struct client_connection *connection)
{
	struct client_connection **link = &idle_first;
	while (*link != connection)
		link = &(*link)->next;
	*link = connection->next;
	idle_count--;
}

/* The peer closed an idle connection (or spoke out of turn). */
static void on_idle_readable(struct co_socket *socket)
{
	struct client_connection *connection = (struct client_connection *)socket;
	pool_remove(connection);
	connection_free(connection);
}

static void pool_put(struct client_connection *connection)
{
	if (idle_count >= IDLE_CONNECTIONS_MAX || connection->input.block) {
		connection_free(connection);
		return;
	}
	connection->idle_since_ms = loop_now_ms();
	connection->socket.on_readable = on_idle_readable;
	connection->next = idle_first;
	idle_first = connection;
	idle_count++;
}

/*
 * Whether the peer closed it or spoke out of turn. Asked of the kernel: the event of an end that came together with
 * the last reply is spent before on_idle_readable() is set.
 */
static bool is_silent(const struct client_connection *connection)
{
	char byte;
	return recv(connection->socket.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static struct client_connection *pool_take(const char *ip, int port)
{
	uint64_t now = loop_now_ms();
	struct client_connection **link = &idle_first;
	while (*link) {
		struct client_connection *connection = *link;
		bool stale = now - connection->idle_since_ms > IDLE_MS_MAX;
		bool fits = connection->port == port && strcmp(connection->ip, ip) == 0;
		if (!stale && !fits) {
			link = &connection->next;
			continue;
		}
		*link = connection->next;
		idle_count--;
		if (stale || !is_silent(connection)) {
			connection_free(connection);
			continue;
		}
		connection->socket.on_readable = NULL;
		connection->reused = true;
		return connection;
	}
	return NULL;
}

void client_pool_release(void)
{
	while (idle_first) {
		struct client_connection *connection = idle_first;
		pool_remove(connection);
		connection_free(connection);
	}
}

static int connection_get(
	const char *ip, int port, const struct backend_timeouts *timeouts, struct client_connection **ret)
{
	struct client_connection *connection = pool_take(ip, port);
	if (connection) {
		*ret = connection;
		return 0;
	}
	if (!may_connect_to(ip, port))
		return -EACCES;
	connection = xcalloc(1, sizeof(*connection));
	(void)snprintf(connection->ip, sizeof(connection->ip), "%s", ip);
	connection->port = port;
	int error = co_socket_connect(&connection->socket, ip, port, deadline_after_ms(timeouts->connect_ms));
	if (error) {
		free(connection);
		return error;
	}
	*ret = connection;
	return 0;
}

/* ---- one exchange ---- */

struct client_exchange {
	struct wire_body body; /* first: the reply's stream */
	struct http_parser parser;
	struct client_connection *connection;
	struct request *request;
	const struct backend_timeouts *timeouts;
	bool sent_any_body;
	bool body_due; /* not all of the request's body was sent: the connection cannot be used again */
};

static bool has_body(const struct request *request)
{
	return request->chunked || request->content_length > 0;
}

static int send_head(struct client_exchange *exchange)
{
	const struct request *request = exchange->request;
	struct client_connection *connection = exchange->connection;
	struct buf head = BUF_INIT;
	buf_printf(&head, "%s ", request->method_text);
	buf_append_slice(&head, request->path);
	if (request->query.length) {
		buf_append_byte(&head, '?');
		buf_append_slice(&head, request->query);
	}
	buf_append_text(&head, " HTTP/1.1\r\n");
	if (!headers_get(&request->headers, "Host"))
		buf_printf(&head, strchr(connection->ip, ':') ? "Host: [%s]:%d\r\n" : "Host: %s:%d\r\n", connection->ip,
			connection->port);
	for (size_t i = 0; i < request->headers.count; i++) {
		const struct header *header = &request->headers.items[i];
		if (strcasecmp(header->name, "Content-Length") == 0 ||
			strcasecmp(header->name, "Transfer-Encoding") == 0 ||
			strcasecmp(header->name, "Connection") == 0 || strpbrk(header->value, "\r\n"))
			continue;
		buf_printf(&head, "%s: %s\r\n", header->name, header->value);
	}
	if (request->chunked)
		buf_append_text(&head, "Transfer-Encoding: chunked\r\n");
	else if (request->content_length > 0 || request->method == METHOD_PUT || request->method == METHOD_POST)
		buf_printf(&head, "Content-Length: %lld\r\n", (long long)request->content_length);
	buf_append(&head, "\r\n", 2);
	int error = co_wire_send(&connection->socket, buf_slice(&head), NULL, false, exchange->timeouts->node_ms);
	buf_release(&head);
	return error;
}

static int read_head(struct client_exchange *exchange, struct reply *reply)
{
	headers_init(&reply->headers, reply->arena);
	http_parser_init_reply(&exchange->parser, &reply->headers, exchange->request->method == METHOD_HEAD);
	int result = co_wire_read_head(&exchange->connection->socket, &exchange->connection->input, &exchange->parser,
		reply->arena, deadline_after_ms(exchange->timeouts->node_ms));
	if (result == 0)
		return -ECONNRESET;
	if (result < 0)
		return result;
	reply->status = exchange->parser.status;
	return 0;
}

/* -ECANCELED when the stream fails, or does not have the length that the head promised. */
static int next_piece(struct client_exchange *exchange, uint64_t sent, struct chunk *ret_chunk)
{
	const struct request *request = exchange->request;
	if (co_body_next(request->body, ret_chunk))
		return -ECANCELED;
	uint64_t promised = (uint64_t)request->content_length;
	uint64_t end = sent + ret_chunk->length;
	if (request->chunked || (ret_chunk->length ? end <= promised : end == promised))
		return 0;
	chunk_release(ret_chunk);
	return -ECANCELED;
}

static int send_body(struct client_exchange *exchange)
{
	const struct request *request = exchange->request;
	struct co_socket *socket = &exchange->connection->socket;
	uint64_t sent = 0;
	for (;;) {
		struct chunk chunk;
		int error = next_piece(exchange, sent, &chunk);
		if (error)
			return error;
		if (chunk.length == 0)
			break;
		exchange->sent_any_body = true;
		error = co_wire_send(socket, SLICE_NONE, &chunk, request->chunked, exchange->timeouts->node_ms);
		sent += chunk.length;
		chunk_release(&chunk);
		if (error)
			return error;
	}
	int error = request->chunked ? co_wire_send_end(socket, exchange->timeouts->node_ms) : 0;
	exchange->body_due = error != 0;
	return error;
}

/*
 * Sends the request and reads the head of the final reply. When the body cannot be sent to its end, the peer may still
 * have said why before it closed.
 */
static int run_exchange(struct client_exchange *exchange, struct reply *reply)
{
	struct request *request = exchange->request;
	int send_error = send_head(exchange);
	if (send_error)
		return send_error;
	exchange->body_due = has_body(request);
	bool wait = exchange->body_due && headers_get(&request->headers, "Expect");
	if (exchange->body_due && !wait)
		send_error = send_body(exchange);
	for (int i = 0; i < CONTINUES_MAX && send_error != -ECANCELED; i++) {
		int error = read_head(exchange, reply);
		if (error)
			return send_error ? send_error : error;
		if (reply->status / 100 != 1)
			return 0;
		if (reply->status == 100 && wait) {
			wait = false;
			send_error = send_body(exchange);
		}
	}
	return send_error ? send_error : -EPROTO;
}

static void exchange_close(struct body *body)
{
	struct client_exchange *exchange = (struct client_exchange *)body;
	struct client_connection *connection = exchange->connection;
	if (!connection)
		return;
	exchange->connection = NULL;
	bool usable = exchange->body.ended && !exchange->body.error && !exchange->body_due;
	if (usable && exchange->parser.keep_alive)
		pool_put(connection);
	else
		connection_free(connection);
}

/* The reply's stream: a wire body that gives its connection back when it is closed. */
static int exchange_next(struct body *body, struct chunk *ret_chunk)
{
	return co_wire_body_next((struct wire_body *)body, ret_chunk);
}

static void attach_body(struct client_exchange *exchange, struct reply *reply)
{
	static const struct body_operations operations = {exchange_next, exchange_close};
	struct http_parser *parser = &exchange->parser;
	reply->content_length = parser->chunked ? -1 : parser->content_length;
	wire_body_init(&exchange->body, &exchange->connection->socket, &exchange->connection->input, parser,
		exchange->timeouts->node_ms);
	if (exchange->body.ended) {
		exchange_close(&exchange->body.body);
		return;
	}
	exchange->body.body.operations = &operations;
	reply->body = &exchange->body.body;
}

int co_client_call(
	const char *ip, int port, struct request *request, struct reply *reply, const struct backend_timeouts *timeouts)
{
	struct client_exchange *exchange = arena_zalloc(reply->arena, sizeof(*exchange));
	struct backend_timeouts *kept = arena_alloc(reply->arena, sizeof(*kept));
	*kept = *timeouts;
	exchange->request = request;
	exchange->timeouts = kept;
	for (;;) {
		int error = connection_get(ip, port, timeouts, &exchange->connection);
		if (error)
			return error;
		bool reused = exchange->connection->reused;
		error = run_exchange(exchange, reply);
		if (!error) {
			attach_body(exchange, reply);
			return 0;
		}
		connection_free(exchange->connection);
		exchange->connection = NULL;
		/* an idle connection that the peer closed meanwhile says nothing about the peer */
		bool stale = reused && (error == -ECONNRESET || error == -EPIPE);
		if (!stale || exchange->sent_any_body)
			return error;
	}
}
