#include "lib/http/server.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "lib/http/turn_away.h"
#include "lib/http/wire.h"
#include "lib/swift/http_date.h"

enum {
	LISTENERS_MAX = 16,
	ACCEPT_BATCH = 64,         /* accepted per turn of the loop */
	ACCEPT_PAUSE_MS = 100,     /* after EMFILE */
	LINGER_MS = 2000,          /* for a client that still sends while it is told to stop … */
	LINGER_READS_MAX = 1024,   /* … and 64 MiB of it at most */
	HEAD_BYTES_USUAL = 1000,   /* of a reply */
	LINGERING_MAX = 256,       /* clients at a time; others may see a reset */
	DRAIN_WAIT_MS = 250,       /* for the rest of a body that the handler did not want … */
	DRAIN_MS = 1000,           /* … and for all of it */
	TURN_BYTES = 256 * 1024,   /* of a body, sent before others get their turn */
	SEND_QUEUE_BYTES = 131072, /* of a reply in the kernel, besides what the window of the peer lets out */
	PIPELINE_BATCH = 16,       /* requests of one connection before others have their turn */
};

struct listener {
	struct http_server *server;
	const struct http_door *door; /* NULL: none */
	struct event *event;
	int fd;
};

struct http_server {
	struct http_server_options options;
	struct loop *loop;
	struct listener listeners[LISTENERS_MAX];
	size_t listener_count;
	struct event *resume_event; /* ends a pause of accepting */
	struct event *sweep_event;  /* closes connections that idle too long */
	struct entrance *entrance;
	struct connection *connections;
	size_t connection_count;
	size_t request_count; /* whose heads are complete; without those that wait for a slow peer */
	size_t slow_count;    /* those, and heads that come slowly */
	size_t lingering_count;
	struct turn_away turn_away;
	bool paused;
	bool stopping;
};

/*
 *	ENTERING ──passed──► IDLE ──bytes──► BUSY ──reply sent──► IDLE
 *	  │                    └──timeout, end, stop──► closed ◄──┘
 *	  └──timeout, refused──► closed                            BUSY: a coroutine owns the connection
 */
struct connection {
	struct co_socket socket; /* first: on_readable gets a pointer to it */
	struct http_server *server;
	struct connection *next;
	struct connection **previous;
	struct wire_input input;
	struct entrant entrant;
	struct co_pace pace;
	uint64_t idle_since_ms;
	bool busy;
	bool counted;        /* its request has a place: in request_count, or in slow_count as pace.slow says */
	bool tls;            /* for request->tls */
	const char *refusal; /* why its first bytes get 400; NULL: they are read */
	char remote_address[IP_TEXT_BYTES];
};

/* ---- accepting ---- */

static void count_refusal(const struct http_server *server, enum metric_refusal reason)
{
	metric_add(METRIC_REFUSED, 1, server->options.role, reason);
}

static void pause_accepting(struct http_server *server)
{
	server->paused = true;
	for (size_t i = 0; i < server->listener_count; i++)
		event_del(server->listeners[i].event);
}

static void resume_accepting(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	struct http_server *server = argument;
	if (!server->paused || server->stopping)
		return;
	server->paused = false;
	for (size_t i = 0; i < server->listener_count; i++)
		event_add(server->listeners[i].event, NULL);
}

static void connection_close(struct connection *connection)
{
	struct http_server *server = connection->server;
	metric_add(METRIC_CONNECTIONS, -1, server->options.role);
	co_pace_reset(&connection->pace);
	*connection->previous = connection->next;
	if (connection->next)
		connection->next->previous = connection->previous;
	server->connection_count--;
	wire_input_release(&connection->input);
	entrance_drop(server->entrance, &connection->entrant);
	co_socket_close(&connection->socket);
	free(connection);
}

/* ---- slow peers ---- */

static bool buffers_exceed(const struct http_server *server, size_t bytes)
{
	return server->options.buffer_bytes_max && blocks_in_use() * BLOCK_BYTES > bytes;
}

static bool has_room_for_slow(const struct http_server *server)
{
	return server->slow_count < server->options.slow_max &&
	       !buffers_exceed(server, server->options.buffer_bytes_max / 4 * 3);
}

/* Slow requests give back their place among those that are worked for. */
static bool on_pace_changed(struct co_pace *pace)
{
	struct connection *connection = (struct connection *)((char *)pace - offsetof(struct connection, pace));
	struct http_server *server = connection->server;
	if (!pace->slow) {
		server->slow_count--;
		metric_add(METRIC_SLOW, -1, server->options.role);
		server->request_count += connection->counted;
		return true;
	}
	if (!has_room_for_slow(server)) {
		count_refusal(server, METRIC_REFUSAL_SLOW_FULL);
		return false;
	}
	server->slow_count++;
	metric_add(METRIC_SLOW, 1, server->options.role);
	server->request_count -= connection->counted;
	return true;
}

static void take_place(struct connection *connection)
{
	co_pace_reset(&connection->pace);
	connection->counted = true;
	connection->server->request_count++;
}

static void leave_place(struct connection *connection)
{
	co_pace_reset(&connection->pace);
	connection->server->request_count -= connection->counted;
	connection->counted = false;
}

/* ---- accepting ---- */

static void co_connection_run(void *argument);

static void connection_start(struct connection *connection)
{
	connection->busy = true;
	co_start(co_connection_run, connection);
}

/*
 * Fetches what has arrived; false when nothing has: the connection goes, or stays, idle. Bytes that arrived with the end
 * of a handshake, or before a record is whole, cause no further event.
 */
static bool more_is_here(struct connection *connection)
{
	if (connection->input.block)
		return true;
	struct block *block = block_new();
	ssize_t count = socket_read_now(&connection->socket, block->data, BLOCK_BYTES);
	if (count > 0) {
		connection->input = (struct wire_input){block, 0, (size_t)count};
		return true;
	}
	block_unref(block);
	/* an end or an error shows again on the next read */
	return count != -EAGAIN;
}

static void on_readable(struct co_socket *socket)
{
	struct connection *connection = (struct connection *)socket;
	if (connection->busy)
		return;
	if (connection->entrant.inside)
		entrance_ready(connection->server->entrance, &connection->entrant);
	else if (!socket->tls || more_is_here(connection))
		connection_start(connection);
}

/* For a handshake that had no room to answer. */
static void on_writable(struct co_socket *socket)
{
	struct connection *connection = (struct connection *)socket;
	if (connection->entrant.inside && socket->tls)
		entrance_ready(connection->server->entrance, &connection->entrant);
}

static void on_entered(struct entrant *entrant, int error)
{
	struct connection *connection = (struct connection *)((char *)entrant - offsetof(struct connection, entrant));
	if (error == -EPROTO && !entrant->door->tls) {
		connection->refusal = "Invalid PROXY header";
		connection_start(connection);
		return;
	}
	if (error) {
		connection_close(connection);
		return;
	}
	connection->tls = entrant->tls;
	connection->socket.on_writable = NULL;
	ip_address_format(&entrant->client, connection->remote_address);
	connection->idle_since_ms = loop_now_ms();
	if (more_is_here(connection))
		connection_start(connection);
}

static void connection_open(const struct listener *listener, int fd, const struct sockaddr_storage *address)
{
	struct http_server *server = listener->server;
	int one = 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	struct connection *connection = xcalloc(1, sizeof(*connection));
	if (co_socket_open(&connection->socket, fd)) {
		free(connection);
		return;
	}
	connection->socket.on_readable = on_readable;
	connection->server = server;
	connection->pace = (struct co_pace){
		.rate_min = server->options.rate_min,
		.window_ms = server->options.rate_window_ms,
		.changed = on_pace_changed,
	};
	connection->socket.pace = &connection->pace;
	connection->idle_since_ms = loop_now_ms();
	connection->next = server->connections;
	connection->previous = &server->connections;
	if (connection->next)
		connection->next->previous = &connection->next;
	server->connections = connection;
	server->connection_count++;
	metric_add(METRIC_CONNECTIONS, 1, server->options.role);
	struct ip_address peer = {{0}};
	if (ip_address_from_socket(address, &peer))
		ip_address_format(&peer, connection->remote_address);
	if (listener->door && http_door_asks(listener->door, &peer)) {
		connection->socket.on_writable = on_writable;
		entrance_enter(server->entrance, &connection->entrant, &connection->socket, listener->door, &peer);
	}
}

/* Whoever waits for a handshake cannot read an answer. */
static bool speaks_plain(const struct listener *listener)
{
	return !listener->door || !listener->door->tls;
}

/* The process has no descriptor left: as many as one turn takes are told so, then there is a pause. */
static void deny_and_pause(const struct listener *listener)
{
	struct http_server *server = listener->server;
	struct turn_away *turn_away = &server->turn_away;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		if (!turn_away_without_descriptor(turn_away, listener->fd, speaks_plain(listener)))
			break;
		count_refusal(server, METRIC_REFUSAL_NO_DESCRIPTORS);
	}
	pause_accepting(server);
	struct timeval pause = {0, ACCEPT_PAUSE_MS * 1000};
	evtimer_add(server->resume_event, &pause);
}

static void on_accept(evutil_socket_t listener_fd, short what, void *argument)
{
	(void)what;
	struct listener *listener = argument;
	struct http_server *server = listener->server;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage address;
		socklen_t length = sizeof(address);
		int fd = accept4(listener_fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				deny_and_pause(listener);
			return;
		}
		metric_add(METRIC_CONNECTIONS_ACCEPTED, 1, server->options.role);
		if (server->connection_count < server->options.connections_max) {
			connection_open(listener, fd, &address);
			continue;
		}
		count_refusal(server, METRIC_REFUSAL_CONNECTIONS_FULL);
		turn_away_connection(&server->turn_away, fd, speaks_plain(listener));
	}
}

/* ---- sending ---- */

/* Formatted once a second. */
static const char *http_date_now(void)
{
	static __thread char text[HTTP_DATE_BYTES];
	static __thread time_t second;
	time_t now = time(NULL);
	if (now != second) {
		http_date_format(now, text);
		second = now;
	}
	return text;
}

struct exchange {
	struct connection *connection;
	struct http_parser parser;
	struct wire_body body;
	struct request request;
	struct reply reply;
	bool expects_continue;
	bool keep_alive;
};

static bool is_framing_header(const char *name)
{
	return header_name_equal(name, "Content-Length") || header_name_equal(name, "Transfer-Encoding") ||
	       header_name_equal(name, "Connection") || header_name_equal(name, "Date") ||
	       header_name_equal(name, "Keep-Alive");
}

/* A value that would break the line is not sent: nothing that a client stored may forge a header. */
static bool is_sendable(const char *value, size_t length)
{
	return !memchr(value, '\r', length) && !memchr(value, '\n', length);
}

struct framing {
	bool chunked; /* of the reply's body */
	bool without_body;
	bool has_length;
	uint64_t length;
	const char *own_length; /* the handler's Content-Length, where the reply has no body to count; NULL: none */
};

static struct framing judge_framing(const struct exchange *exchange)
{
	const struct reply *reply = &exchange->reply;
	struct framing framing = {0};
	bool head = exchange->request.method == METHOD_HEAD;
	framing.without_body = head || reply->status == 204 || reply->status == 304 || reply->status / 100 == 1;
	if (reply->status / 100 == 1)
		return framing;
	/* RFC 9110, 8.6 would have none here; Swift's clients look for its "0" */
	if (reply->status == 204) {
		framing.has_length = true;
		return framing;
	}
	/* in a 304, and in the reply to a HEAD, the length that a GET would have */
	if ((head || reply->status == 304) && !reply->body && reply->text.length == 0) {
		framing.own_length = headers_get(&reply->headers, "Content-Length");
		framing.has_length = head && !framing.own_length;
	} else if (!reply->body) {
		framing.has_length = true;
		framing.length = reply->text.length;
	} else if (reply->content_length >= 0) {
		framing.has_length = true;
		framing.length = (uint64_t)reply->content_length;
	} else {
		framing.chunked = !exchange->request.http_1_0;
	}
	return framing;
}

static void append_header(struct buf *head, const char *name, const char *value)
{
	size_t length = strlen(value);
	if (!is_sendable(value, length))
		return;
	buf_append_text(head, name);
	buf_append(head, ": ", 2);
	buf_append(head, value, length);
	buf_append(head, "\r\n", 2);
}

/* Framing comes first: Python's clients lose what stands behind a name that is not ASCII, as names of metadata may be. */
static void format_framing(const struct exchange *exchange, const struct framing *framing, struct buf *head)
{
	if (framing->own_length) {
		append_header(head, "Content-Length", framing->own_length);
	} else if (framing->has_length) {
		buf_append_text(head, "Content-Length: ");
		buf_append_decimal(head, framing->length);
		buf_append(head, "\r\n", 2);
	} else if (framing->chunked) {
		buf_append_text(head, "Transfer-Encoding: chunked\r\n");
	}
	if (!exchange->keep_alive)
		buf_append_text(head, "Connection: close\r\n");
	else if (exchange->parser.keep_alive_asked)
		buf_append_text(head, "Connection: keep-alive\r\n");
}

static void format_head(struct exchange *exchange, const struct framing *framing, struct buf *head)
{
	const struct reply *reply = &exchange->reply;
	(void)buf_reserve(head, HEAD_BYTES_USUAL);
	buf_append_text(head, "HTTP/1.1 ");
	buf_append_decimal(head, (uint64_t)reply->status);
	buf_append_byte(head, ' ');
	buf_append_text(head, reply->reason ? reply->reason : status_reason(reply->status));
	buf_append(head, "\r\n", 2);
	format_framing(exchange, framing, head);
	for (size_t i = 0; i < reply->headers.count; i++) {
		const struct header *header = &reply->headers.items[i];
		if (!is_framing_header(header->name))
			append_header(head, header->name, header->value);
	}
	append_header(head, "Date", http_date_now());
	buf_append(head, "\r\n", 2);
}

/* Streams the body; the head rides with its first piece. 0 or why it broke off. */
static int send_stream(struct exchange *exchange, const struct framing *framing, struct slice head, uint64_t *ret_sent)
{
	struct co_socket *socket = &exchange->connection->socket;
	uint64_t timeout_ms = exchange->connection->server->options.client_timeout_ms;
	uint64_t sent = 0;
	uint64_t turns = 0;
	int error = 0;
	for (;;) {
		struct chunk chunk;
		error = co_body_next(exchange->reply.body, &chunk);
		if (error)
			break;
		bool last = chunk.length == 0;
		if (framing->has_length && sent + chunk.length > framing->length)
			error = -EIO;
		if (!error)
			error = co_wire_send(socket, head, &chunk, framing->chunked, timeout_ms);
		head = SLICE_NONE;
		sent += error ? 0 : chunk.length;
		*ret_sent = sent;
		chunk_release(&chunk);
		if (error || last)
			break;
		/* a client that takes all at once must not keep the others waiting for as long as its object is */
		if (sent / TURN_BYTES != turns) {
			turns = sent / TURN_BYTES;
			co_yield ();
		}
	}
	if (!error && framing->has_length && sent < framing->length)
		error = -EIO;
	if (!error && framing->chunked)
		error = co_wire_send_end(socket, timeout_ms);
	return error;
}

static int send_reply(struct exchange *exchange, uint64_t *ret_sent)
{
	struct framing framing = judge_framing(exchange);
	struct reply *reply = &exchange->reply;
	if (!framing.has_length && !framing.chunked && !framing.without_body)
		exchange->keep_alive = false;
	struct buf head = BUF_INIT;
	format_head(exchange, &framing, &head);
	int error;
	if (reply->body && !framing.without_body) {
		error = send_stream(exchange, &framing, buf_slice(&head), ret_sent);
		if (error && !framing.has_length && !framing.chunked)
			/* only the end of the connection ends such a reply */
			socket_spoil(&exchange->connection->socket);
	} else {
		struct chunk text = CHUNK_NONE;
		if (!framing.without_body)
			text = (struct chunk){NULL, reply->text.data, reply->text.length};
		error = co_wire_send(&exchange->connection->socket, buf_slice(&head), &text, false,
			exchange->connection->server->options.client_timeout_ms);
		*ret_sent = error ? 0 : text.length;
	}
	buf_release(&head);
	return error;
}

static int co_send_continue(struct wire_body *body)
{
	struct exchange *exchange = body->owner;
	exchange->expects_continue = false;
	struct buf head = BUF_INIT;
	buf_append_text(&head, "HTTP/1.1 100 Continue\r\n");
	const struct headers *extra = exchange->request.continue_headers;
	for (size_t i = 0; extra && i < extra->count; i++)
		append_header(&head, extra->items[i].name, extra->items[i].value);
	buf_append(&head, "\r\n", 2);
	int error = co_wire_send(body->socket, buf_slice(&head), NULL, false, body->timeout_ms);
	buf_release(&head);
	return error;
}

/* ---- one request ---- */

static void take_head(struct exchange *exchange)
{
	struct http_parser *parser = &exchange->parser;
	struct request *request = &exchange->request;
	struct connection *connection = exchange->connection;
	request->method = method_parse(parser->method);
	request->method_text = parser->method;
	request->path = parser->target;
	const char *mark = memchr(parser->target.data, '?', parser->target.length);
	if (mark) {
		size_t length = (size_t)(mark - parser->target.data);
		request->path.length = length;
		request->query = slice_of(mark + 1, parser->target.length - length - 1);
	}
	request->http_1_0 = parser->http_1_0;
	request->chunked = parser->chunked;
	request->has_length = parser->has_length;
	request->content_length = parser->content_length;
	request->remote_address = connection->remote_address;
	request->tls = connection->tls;
	wire_body_init(&exchange->body, &connection->socket, &connection->input, parser,
		connection->server->options.client_timeout_ms);
	exchange->body.owner = exchange;
	request->body = &exchange->body.body;
	exchange->keep_alive = parser->keep_alive && !connection->server->stopping;
}

/* False: the expectation cannot be met. */
static bool take_expectation(struct exchange *exchange)
{
	const char *expect = headers_get(&exchange->request.headers, "Expect");
	if (!expect || exchange->request.http_1_0)
		return true;
	if (strcasecmp(expect, "100-continue") != 0)
		return false;
	if (!exchange->body.ended) {
		exchange->expects_continue = true;
		exchange->body.co_before_read = co_send_continue;
	}
	return true;
}

/*
 * A body that the handler did not want: a little of it is read over, so that the connection can be used again and bad
 * framing is still answered as such. What is longer, or late, ends the connection after the reply.
 */
static void co_take_rest(struct exchange *exchange)
{
	struct wire_body *body = &exchange->body;
	if (body->ended || body->error || exchange->expects_continue || exchange->reply.close)
		return;
	bool too_long = !exchange->parser.chunked && body->left > HTTP_DRAIN_BYTES_MAX;
	body->timeout_ms = DRAIN_WAIT_MS;
	body->deadline_ms = deadline_after_ms(DRAIN_MS);
	int error = too_long ? -EFBIG : co_body_drain(&body->body, HTTP_DRAIN_BYTES_MAX);
	if (error)
		exchange->keep_alive = false;
	if (error == -EPROTO) {
		reply_reset(&exchange->reply);
		reply_status(&exchange->reply, 400);
	}
}

static bool is_overloaded(struct http_server *server)
{
	bool many = server->request_count > server->options.requests_max;
	bool large = buffers_exceed(server, server->options.buffer_bytes_max);
	if (many || large)
		count_refusal(server, many ? METRIC_REFUSAL_TOO_MANY_REQUESTS : METRIC_REFUSAL_BUFFERS_FULL);
	return many || large;
}

static void handle(struct exchange *exchange)
{
	struct http_server *server = exchange->connection->server;
	if (!take_expectation(exchange)) {
		reply_status(&exchange->reply, 417);
		exchange->keep_alive = false;
		count_refusal(server, METRIC_REFUSAL_EXPECTATION);
	} else if (is_overloaded(server)) {
		reply_status(&exchange->reply, 503);
		headers_set(&exchange->reply.headers, "Retry-After", "1");
	} else {
		server->options.handler(server->options.context, &exchange->request, &exchange->reply);
		if (exchange->body.error == -ETIMEDOUT)
			count_refusal(server, METRIC_REFUSAL_BODY_TIMEOUT);
	}
	co_take_rest(exchange);
	if (exchange->reply.close || exchange->body.error)
		exchange->keep_alive = false;
	/* the client still waits for its 100: whether it sends the body now is its choice, so nothing can follow */
	if (exchange->expects_continue)
		exchange->keep_alive = false;
}

static void refuse(struct exchange *exchange, int status)
{
	struct http_server *server = exchange->connection->server;
	exchange->keep_alive = false;
	exchange->request.http_1_0 = exchange->parser.http_1_0;
	if (exchange->parser.method) {
		exchange->request.method = method_parse(exchange->parser.method);
		exchange->request.method_text = exchange->parser.method;
	}
	exchange->request.remote_address = exchange->connection->remote_address;
	exchange->request.tls = exchange->connection->tls;
	const char *text = exchange->parser.error;
	if (text)
		reply_text(&exchange->reply, status, "text/plain", text);
	else
		reply_status(&exchange->reply, status);
	if (server->options.refused)
		server->options.refused(server->options.context, &exchange->request, &exchange->reply);
}

/* Half-closes and reads on for a moment: a reset would take the reply away from a client that still sends. */
static void co_linger(struct connection *connection)
{
	struct http_server *server = connection->server;
	socket_finish(&connection->socket);
	if (server->lingering_count >= LINGERING_MAX)
		return;
	server->lingering_count++;
	connection->socket.pace = NULL;
	struct block *block = block_new();
	uint64_t deadline = deadline_after_ms(LINGER_MS);
	for (int i = 0; i < LINGER_READS_MAX; i++)
		if (co_socket_read(&connection->socket, block->data, BLOCK_BYTES, deadline) <= 0)
			break;
	block_unref(block);
	server->lingering_count--;
}

/* The bytes of a connection that did not get in are not read. */
static int refuse_entrance(struct exchange *exchange)
{
	exchange->parser.status = 400;
	exchange->parser.error = exchange->connection->refusal;
	return -EPROTO;
}

/* Reads a head and has it answered, or refuses it. False when the connection is gone. */
static bool co_exchange_fill(struct exchange *exchange, struct arena *arena, bool *ret_linger)
{
	struct connection *connection = exchange->connection;
	struct http_server *server = connection->server;
	int result = connection->refusal ? refuse_entrance(exchange)
					 : co_wire_read_head(&connection->socket, &connection->input, &exchange->parser,
						   arena, deadline_after_ms(server->options.head_timeout_ms));
	if (result == 0 || result == -ECONNRESET)
		return false;
	take_place(connection);
	if (result < 0) {
		bool late = result != -EPROTO;
		count_refusal(server, late ? METRIC_REFUSAL_HEAD_TIMEOUT : METRIC_REFUSAL_BAD_HEAD);
		refuse(exchange, late ? 408 : exchange->parser.status);
		*ret_linger = true;
		return true;
	}
	take_head(exchange);
	handle(exchange);
	*ret_linger = !exchange->body.ended && exchange->body.error != -ECONNRESET;
	return true;
}

/* Runs one request. True when the connection can take another one. */
static bool co_exchange_run(struct exchange *exchange, struct arena *arena)
{
	struct connection *connection = exchange->connection;
	request_init(&exchange->request, arena, METHOD_OTHER);
	reply_init(&exchange->reply, arena);
	http_parser_init_request(&exchange->parser, &exchange->request.headers, &connection->server->options.limits);
	bool linger = false;
	if (!co_exchange_fill(exchange, arena, &linger)) {
		leave_place(connection);
		return false;
	}
	uint64_t sent = 0;
	co_pace_reset(&connection->pace);
	int error = exchange->body.error == -ECONNRESET ? -ECONNRESET : send_reply(exchange, &sent);
	reply_finish(&exchange->request, &exchange->reply, sent, error);
	leave_place(connection);
	if (error == -ETIMEDOUT) {
		/* what the kernel still holds for it goes at once */
		count_refusal(connection->server, METRIC_REFUSAL_SEND_TIMEOUT);
		socket_spoil(&connection->socket);
	}
	if (error)
		return false;
	if (!exchange->keep_alive && linger)
		co_linger(connection);
	return exchange->keep_alive;
}

static void co_connection_run(void *argument)
{
	struct connection *connection = argument;
	struct http_server *server = connection->server;
	bool open = true;
	for (size_t served = 0; open; served++) {
		if (served && served % PIPELINE_BATCH == 0)
			co_yield ();
		struct arena *arena = arena_new();
		struct exchange *exchange = arena_zalloc(arena, sizeof(*exchange));
		exchange->connection = connection;
		open = co_exchange_run(exchange, arena);
		co_set_transaction("");
		arena_free(arena);
		if (open && !more_is_here(connection))
			break;
	}
	if (!open || server->stopping) {
		connection_close(connection);
		return;
	}
	connection->idle_since_ms = loop_now_ms();
	connection->busy = false;
}

/* ---- the server ---- */

static void close_idle(struct http_server *server, uint64_t before_ms)
{
	struct connection *connection = server->connections;
	while (connection) {
		struct connection *next = connection->next;
		if (!connection->busy && connection->idle_since_ms <= before_ms)
			connection_close(connection);
		connection = next;
	}
}

static void on_sweep(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	struct http_server *server = argument;
	uint64_t now = loop_now_ms();
	turn_away_sweep(&server->turn_away, now);
	if (now > server->options.keepalive_timeout_ms)
		close_idle(server, now - server->options.keepalive_timeout_ms);
}

struct http_server *http_server_new(const struct http_server_options *options)
{
	struct http_server *server = xcalloc(1, sizeof(*server));
	server->options = *options;
	server->loop = loop_current();
	turn_away_init(&server->turn_away);
	struct event_base *base = loop_event_base(server->loop);
	server->resume_event = evtimer_new(base, resume_accepting, server);
	server->entrance = entrance_new(options->handshake_timeout_ms, on_entered);
	server->sweep_event = event_new(base, -1, EV_PERSIST, on_sweep, server);
	struct timeval interval = {1, 0};
	event_add(server->sweep_event, &interval);
	return server;
}

int http_server_listen(struct http_server *server, int fd, const struct http_door *door)
{
	if (server->listener_count == LISTENERS_MAX)
		return -ENOSPC;
	/* accepted sockets inherit it: a slow reader must not have megabytes wait in the kernel */
	int bytes = SEND_QUEUE_BYTES;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes));
	struct listener *listener = &server->listeners[server->listener_count];
	listener->server = server;
	listener->fd = fd;
	listener->door = door;
	listener->event = event_new(loop_event_base(server->loop), fd, EV_READ | EV_PERSIST, on_accept, listener);
	if (event_add(listener->event, NULL)) {
		event_free(listener->event);
		return -EIO;
	}
	server->listener_count++;
	return 0;
}

void http_server_stop(struct http_server *server)
{
	if (server->stopping)
		return;
	server->stopping = true;
	for (size_t i = 0; i < server->listener_count; i++) {
		event_free(server->listeners[i].event);
		close(server->listeners[i].fd);
	}
	server->listener_count = 0;
	close_idle(server, UINT64_MAX);
}

size_t http_server_connections(const struct http_server *server)
{
	return server->connection_count;
}

void http_server_free(struct http_server *server)
{
	if (!server)
		return;
	assert(server->connection_count == 0);
	http_server_stop(server);
	entrance_free(server->entrance);
	event_free(server->resume_event);
	event_free(server->sweep_event);
	turn_away_release(&server->turn_away);
	free(server);
}
