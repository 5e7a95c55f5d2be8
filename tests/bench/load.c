/*
 * Drives an HTTP/1.1 server over keep-alive connections and prints one line of JSON. One thread, epoll. It knows every
 * verb of Swift (wrk waits for the body of a reply to HEAD), gives each request a name of its own and checks each
 * reply: status, framing, number of bytes. Bodies of replies are thrown away in the kernel (MSG_TRUNC) and those of
 * requests come from one block of memory, so that it costs the machine as little as it can.
 *
 *	load [options] VERB PATH
 *
 *	PATH            %n stands for the number of the request, %6n for the same in six digits
 *	-p PORT         of 127.0.0.1 (8080)
 *	-c N            connections (1)
 *	-t SECONDS      start no request after that; those in flight are waited for, and not part of the rate
 *	-w SECONDS      before that, with the same requests: what they take is not counted (0)
 *	-n COUNT        requests; the first of both bounds ends the run
 *	-f N            first number (0)
 *	-r N            numbers are used again after N of them (0: never)
 *	-b BYTES        body of each request; K, M, G may follow
 *	-H HEADER       "Name: value", any number of them
 *	-s STATUS       what each reply must have (any from 200 to 299)
 *	-l BYTES        what the body of each reply must have
 *	-i              idle: each connection makes one request and stays open until standard input ends
 *
 * In the line: requests, errors, seconds; rate (replies inside the time a second), p50_us, p99_us, max_us, bytes_in
 * (bodies of replies), bytes_out, cpu_us (of the load generator for each request), next (the number after the last),
 * error (what went wrong first).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	BLOCK_BYTES = 1 << 20,       /* bodies are this block again and again */
	BUFFER_BYTES = 16 << 10,     /* holds the head of a reply */
	DISCARD_BYTES = 1 << 20,     /* most that one recv throws away */
	REQUEST_BYTES_MAX = 8 << 10, /* line and headers of a request */
	CONNECTIONS_MAX = 100000,
	IDLE_BUSY = 32, /* requests in flight while idle connections are made */
	EVENTS = 256,
	STALL_MS = 60000, /* nothing from any connection: the run is given up */
	STEPS = 64,       /* of the histogram for each power of two: 1.6 % */
};

enum framing { HEAD, LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, UNTIL_CLOSE, COMPLETE };

struct connection {
	int fd;
	bool busy;            /* a reply is due */
	bool writing;         /* epoll tells when there is room */
	bool closing;         /* the server said Connection: close */
	enum framing framing; /* what comes next of the reply */
	uint64_t started_ns;
	size_t head_bytes, head_sent;
	uint64_t body_left; /* of the request */
	int status;
	uint64_t left;     /* of the reply's body or chunk */
	uint64_t received; /* of the reply's body */
	size_t buffered;   /* in buffer */
	char head[REQUEST_BYTES_MAX];
	char buffer[BUFFER_BYTES];
};

struct load {
	int port;
	const char *verb, *path;
	size_t connection_count;
	uint64_t duration_ns, warmup_ns, count, first, repeat, body_bytes;
	char headers[REQUEST_BYTES_MAX / 2];
	int status;
	int64_t reply_bytes; /* -1: any */
	bool idle;
	size_t busy_max; /* requests in flight */

	int epoll;
	struct connection *connections;
	uint64_t started_ns, counted_ns, deadline_ns, ended_ns; /* counted: end of the warm-up */
	uint64_t begun, done, in_time, errors, busy;
	uint64_t bytes_in, bytes_out, max_ns;
	uint64_t histogram[64 * STEPS];
	char error[200];
	char *block;
};

static uint64_t now_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("load: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	exit(2);
}

__attribute__((format(printf, 2, 3))) static void count_error(struct load *load, const char *format, ...)
{
	load->errors++;
	if (load->error[0])
		return;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(load->error, sizeof(load->error), format, arguments);
	va_end(arguments);
	for (char *c = load->error; *c; c++)
		if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
			*c = ' ';
}

/* ---- latency ---- */

static void histogram_add(struct load *load, uint64_t ns)
{
	uint64_t us = ns / 1000;
	size_t index = us;
	if (us >= STEPS) {
		unsigned shift = 63 - (unsigned)__builtin_clzll(us) - 6;
		index = (shift + 1) * STEPS + ((us >> shift) - STEPS);
	}
	load->histogram[index]++;
	if (ns > load->max_ns)
		load->max_ns = ns;
}

/* Microseconds that `share` of all replies took at most. */
static uint64_t histogram_quantile(const struct load *load, double share)
{
	uint64_t total = 0, sum = 0;
	for (size_t i = 0; i < sizeof(load->histogram) / sizeof(load->histogram[0]); i++)
		total += load->histogram[i];
	for (size_t i = 0; i < sizeof(load->histogram) / sizeof(load->histogram[0]); i++) {
		sum += load->histogram[i];
		if (sum && (double)sum >= share * (double)total)
			return i < STEPS ? i : (uint64_t)(i % STEPS + STEPS) << (i / STEPS - 1);
	}
	return 0;
}

/* ---- one connection ---- */

static void connection_watch(struct load *load, struct connection *connection, bool writing)
{
	if (connection->writing == writing)
		return;
	connection->writing = writing;
	struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = connection};
	epoll_ctl(load->epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

static void connection_open(struct load *load, struct connection *connection)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)load->port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0)
		fail("socket: %s", strerror(errno));
	if (connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("cannot connect to 127.0.0.1:%d: %s", load->port, strerror(errno));
	int on = 1;
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	connection->writing = false;
	connection->closing = false;
	connection->buffered = 0;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
		fail("epoll_ctl: %s", strerror(errno));
}

/* Writes the path with the number in the place of %n or %6n; how many bytes it has, 0 when there is no room. */
static size_t path_with_number(const char *path, uint64_t number, char *room, size_t room_bytes)
{
	const char *mark = strchr(path, '%');
	while (mark && mark[1] != 'n' && !(mark[1] >= '1' && mark[1] <= '9' && mark[2] == 'n'))
		mark = strchr(mark + 1, '%');
	int length;
	if (!mark)
		length = snprintf(room, room_bytes, "%s", path);
	else if (mark[1] == 'n')
		length = snprintf(room, room_bytes, "%.*s%" PRIu64 "%s", (int)(mark - path), path, number, mark + 2);
	else
		length = snprintf(room, room_bytes, "%.*s%0*" PRIu64 "%s", (int)(mark - path), path, mark[1] - '0',
			number, mark + 3);
	return length < 0 || (size_t)length >= room_bytes ? 0 : (size_t)length;
}

static void write_head(struct load *load, struct connection *connection, uint64_t number)
{
	char path[1024];
	if (!path_with_number(load->path, number, path, sizeof(path)))
		fail("the path is too long");
	int length = snprintf(connection->head, sizeof(connection->head), "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s",
		load->verb, path, load->port, load->headers);
	size_t used = (size_t)length;
	bool has_body = load->body_bytes || strcmp(load->verb, "PUT") == 0 || strcmp(load->verb, "POST") == 0;
	if (has_body && used < sizeof(connection->head))
		used += (size_t)snprintf(connection->head + used, sizeof(connection->head) - used,
			"Content-Length: %" PRIu64 "\r\n\r\n", load->body_bytes);
	else if (used < sizeof(connection->head))
		used += (size_t)snprintf(connection->head + used, sizeof(connection->head) - used, "\r\n");
	if (used >= sizeof(connection->head))
		fail("path and headers are too long");
	connection->head_bytes = used;
}

/* Sends what is left of the request as far as there is room; 0 or -errno. */
static int connection_send(struct load *load, struct connection *connection)
{
	while (connection->head_sent < connection->head_bytes || connection->body_left) {
		uint64_t offset = (load->body_bytes - connection->body_left) % BLOCK_BYTES;
		uint64_t piece = BLOCK_BYTES - offset;
		if (piece > connection->body_left)
			piece = connection->body_left;
		struct iovec parts[2] = {
			{connection->head + connection->head_sent, connection->head_bytes - connection->head_sent},
			{load->block + offset, piece},
		};
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
		ssize_t sent = sendmsg(connection->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN) {
			connection_watch(load, connection, true);
			return 0;
		}
		if (sent < 0)
			return -errno;
		size_t of_head = (size_t)sent < parts[0].iov_len ? (size_t)sent : parts[0].iov_len;
		connection->head_sent += of_head;
		connection->body_left -= (size_t)sent - of_head;
	}
	connection_watch(load, connection, false);
	return 0;
}

static bool may_start(const struct load *load)
{
	if (load->count && load->begun >= load->count)
		return false;
	return !load->deadline_ns || now_ns() < load->deadline_ns;
}

static void connection_failed(struct load *load, struct connection *connection, const char *what);

static void connection_begin(struct load *load, struct connection *connection)
{
	uint64_t index = load->begun++;
	write_head(load, connection, load->first + (load->repeat ? index % load->repeat : index));
	connection->head_sent = 0;
	connection->body_left = load->body_bytes;
	connection->framing = HEAD;
	connection->received = 0;
	connection->busy = true;
	load->busy++;
	connection->started_ns = now_ns();
	int result = connection_send(load, connection);
	if (result < 0)
		connection_failed(load, connection, strerror(-result));
}

/* The reply is over, well or badly; the next request may go out. */
static void connection_done(struct load *load, struct connection *connection)
{
	uint64_t now = now_ns();
	connection->busy = false;
	load->busy--;
	load->done++;
	load->ended_ns = now;
	if (now >= load->counted_ns) {
		histogram_add(load, now - connection->started_ns);
		load->in_time += !load->deadline_ns || now <= load->deadline_ns;
	}
	load->bytes_in += connection->received;
	load->bytes_out += load->body_bytes - connection->body_left;
	if (connection->closing) {
		close(connection->fd);
		connection_open(load, connection);
	}
	if (may_start(load))
		connection_begin(load, load->idle ? &load->connections[load->begun] : connection);
}

static void connection_failed(struct load *load, struct connection *connection, const char *what)
{
	count_error(load, "%s %s: %s", load->verb, load->path, what);
	connection->closing = true;
	connection_done(load, connection);
}

/* ---- replies ---- */

static bool header_is(const char *line, const char *name, const char **ret_value)
{
	size_t length = strlen(name);
	if (strncasecmp(line, name, length) != 0 || line[length] != ':')
		return false;
	line += length + 1;
	*ret_value = line + strspn(line, " \t");
	return true;
}

/* The lines of a head, which ends with a NUL in the place of its last line end. */
static void read_headers(struct connection *connection, char *lines)
{
	bool has_length = false;
	connection->framing = UNTIL_CLOSE;
	connection->left = 0;
	char *line, *rest = lines;
	while ((line = strsep(&rest, "\n"))) {
		const char *value;
		if (header_is(line, "Content-Length", &value)) {
			has_length = true;
			connection->left = strtoull(value, NULL, 10);
		} else if (header_is(line, "Transfer-Encoding", &value) && strncasecmp(value, "chunked", 7) == 0) {
			connection->framing = CHUNK_SIZE;
		} else if (header_is(line, "Connection", &value) && strncasecmp(value, "close", 5) == 0) {
			connection->closing = true;
		}
	}
	if (connection->framing != CHUNK_SIZE && has_length)
		connection->framing = connection->left ? LENGTH : COMPLETE;
}

/* A head from the start of the buffer, if it is there whole: how many bytes it took, 0 if not yet, -1 if it is none. */
static ssize_t read_head(struct load *load, struct connection *connection)
{
	char *end = memmem(connection->buffer, connection->buffered, "\r\n\r\n", 4);
	if (!end)
		return connection->buffered < BUFFER_BYTES ? 0 : -1;
	*end = '\0';
	if (strncmp(connection->buffer, "HTTP/1.", 7) != 0 || end - connection->buffer < 12)
		return -1;
	connection->status = (int)strtol(connection->buffer + 9, NULL, 10);
	if (connection->status >= 200) {
		read_headers(connection, connection->buffer);
		bool bodiless = connection->status == 204 || connection->status == 304;
		if (bodiless || strcmp(load->verb, "HEAD") == 0)
			connection->framing = COMPLETE;
	}
	return end + 4 - connection->buffer;
}

/* A line of the chunked coding from the start of `bytes`: how many bytes it has, 0 if it is not there whole. */
static size_t read_chunk_line(struct connection *connection, const char *bytes, size_t count)
{
	const char *end = memchr(bytes, '\n', count);
	if (!end)
		return 0;
	if (connection->framing == CHUNK_SIZE) {
		connection->left = strtoull(bytes, NULL, 16);
		connection->framing = connection->left ? CHUNK_DATA : TRAILER;
	} else if (connection->framing == CHUNK_END) {
		connection->framing = CHUNK_SIZE;
	} else if (end - bytes <= 1) {
		connection->framing = COMPLETE;
	}
	return (size_t)(end + 1 - bytes);
}

static void body_arrived(struct connection *connection, uint64_t count)
{
	connection->received += count;
	if (connection->framing == UNTIL_CLOSE)
		return;
	connection->left -= count;
	if (connection->left == 0)
		connection->framing = connection->framing == CHUNK_DATA ? CHUNK_END : COMPLETE;
}

/* Takes as much as it can from the start of the buffer: how many bytes, 0 if more are needed first, -1 for nonsense. */
static ssize_t read_some(struct load *load, struct connection *connection, size_t at)
{
	size_t count = connection->buffered - at;
	switch (connection->framing) {
	case HEAD:
		return read_head(load, connection);
	case LENGTH:
	case CHUNK_DATA:
		if (count > connection->left)
			count = connection->left;
		body_arrived(connection, count);
		return (ssize_t)count;
	case UNTIL_CLOSE:
		body_arrived(connection, count);
		return (ssize_t)count;
	case CHUNK_SIZE:
	case CHUNK_END:
	case TRAILER:
		return (ssize_t)read_chunk_line(connection, connection->buffer + at, count);
	case COMPLETE:
		break;
	}
	return -1;
}

static void check_reply(struct load *load, struct connection *connection)
{
	bool expected = load->status ? connection->status == load->status
				     : connection->status >= 200 && connection->status < 300;
	if (!expected)
		count_error(load, "%s %s: status %d", load->verb, load->path, connection->status);
	else if (load->reply_bytes >= 0 && connection->received != (uint64_t)load->reply_bytes)
		count_error(load, "%s %s: %" PRIu64 " bytes", load->verb, load->path, connection->received);
	if (connection->body_left || connection->head_sent < connection->head_bytes)
		connection->closing = true; /* an early reply; the rest of the body would be taken for a request */
	connection_done(load, connection);
}

static void connection_parse(struct load *load, struct connection *connection)
{
	size_t at = 0;
	while (at < connection->buffered && connection->framing != COMPLETE) {
		/* A head is looked for from the start of the buffer. */
		if (connection->framing == HEAD && at > 0) {
			memmove(connection->buffer, connection->buffer + at, connection->buffered - at);
			connection->buffered -= at;
			at = 0;
		}
		ssize_t taken = read_some(load, connection, at);
		if (taken < 0) {
			connection_failed(load, connection, "not an HTTP reply");
			return;
		}
		if (taken == 0)
			break;
		at += (size_t)taken;
	}
	memmove(connection->buffer, connection->buffer + at, connection->buffered - at);
	connection->buffered -= at;
	if (connection->framing == COMPLETE && connection->buffered)
		connection_failed(load, connection, "bytes after the reply");
	else if (connection->framing == COMPLETE)
		check_reply(load, connection);
}

static ssize_t connection_receive(struct connection *connection)
{
	bool in_body = connection->framing == LENGTH || connection->framing == CHUNK_DATA;
	if (connection->busy && in_body && connection->buffered == 0) {
		size_t most = connection->left < DISCARD_BYTES ? connection->left : DISCARD_BYTES;
		ssize_t count = recv(connection->fd, NULL, most, MSG_TRUNC | MSG_DONTWAIT);
		if (count > 0)
			body_arrived(connection, (uint64_t)count);
		return count;
	}
	ssize_t count = recv(connection->fd, connection->buffer + connection->buffered,
		BUFFER_BYTES - connection->buffered, MSG_DONTWAIT);
	if (count > 0)
		connection->buffered += (size_t)count;
	return count;
}

static void connection_readable(struct load *load, struct connection *connection)
{
	ssize_t count = connection_receive(connection);
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count > 0 && connection->busy && connection->framing == COMPLETE) {
		check_reply(load, connection);
	} else if (count > 0 && connection->busy) {
		connection_parse(load, connection);
	} else if (connection->busy && count == 0 && connection->framing == UNTIL_CLOSE) {
		connection->closing = true;
		check_reply(load, connection);
	} else if (connection->busy) {
		connection_failed(load, connection, count ? strerror(errno) : "closed before the end of the reply");
	} else {
		if (load->idle)
			count_error(load, "an idle connection was closed");
		close(connection->fd);
		connection->fd = -1;
	}
}

/* ---- a run ---- */

static void serve_events(struct load *load, int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int count = epoll_wait(load->epoll, events, EVENTS, timeout_ms);
	if (count == 0)
		fail("no reply for %d s, %" PRIu64 " requests in flight", STALL_MS / 1000, load->busy);
	for (int i = 0; i < count; i++) {
		struct connection *connection = events[i].data.ptr;
		if (events[i].events & EPOLLOUT && connection->busy) {
			int result = connection_send(load, connection);
			if (result < 0 && !(events[i].events & EPOLLIN))
				connection_failed(load, connection, strerror(-result));
		}
		if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			connection_readable(load, connection);
	}
}

static void run(struct load *load)
{
	for (size_t i = 0; i < load->connection_count; i++)
		connection_open(load, &load->connections[i]);
	load->started_ns = now_ns();
	load->counted_ns = load->started_ns + load->warmup_ns;
	load->ended_ns = load->counted_ns;
	if (load->duration_ns)
		load->deadline_ns = load->counted_ns + load->duration_ns;
	for (size_t i = 0; i < load->connection_count && i < load->busy_max && may_start(load); i++)
		connection_begin(load, &load->connections[i]);
	while (load->busy)
		serve_events(load, STALL_MS);
}

static void print_result(const struct load *load)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	double cpu_us = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	bool timed = load->deadline_ns && load->ended_ns > load->deadline_ns;
	double seconds = (double)((timed ? load->deadline_ns : load->ended_ns) - load->counted_ns) / 1e9;
	printf("{\"requests\": %" PRIu64 ", \"errors\": %" PRIu64 ", \"seconds\": %.6f, \"rate\": %.2f, ", load->done,
		load->errors, seconds, seconds > 0 ? (double)load->in_time / seconds : 0);
	printf("\"p50_us\": %" PRIu64 ", \"p99_us\": %" PRIu64 ", \"max_us\": %" PRIu64 ", ",
		histogram_quantile(load, 0.5), histogram_quantile(load, 0.99), load->max_ns / 1000);
	printf("\"bytes_in\": %" PRIu64 ", \"bytes_out\": %" PRIu64 ", \"cpu_us\": %.2f, \"next\": %" PRIu64
	       ", \"error\": \"%s\"}\n",
		load->bytes_in, load->bytes_out, load->done ? cpu_us / (double)load->done : 0,
		load->first + load->begun, load->error);
	fflush(stdout);
}

/* Random bytes, so that nothing gains by compression. */
static void make_block(struct load *load)
{
	load->block = malloc(BLOCK_BYTES);
	if (!load->block)
		fail("no memory");
	uint64_t state = 0x9e3779b97f4a7c15;
	for (size_t i = 0; i < BLOCK_BYTES; i += sizeof(state)) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(load->block + i, &state, sizeof(state));
	}
}

static void allow_many_files(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* ---- the command line ---- */

static uint64_t read_number(const char *text)
{
	char *end;
	errno = 0;
	uint64_t number = strtoull(text, &end, 10);
	static const char units[] = "KMG";
	const char *unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		number <<= 10 * (unit - units + 1);
		end++;
	}
	if (errno || end == text || *end)
		fail("%s is not a number", text);
	return number;
}

static void add_header(struct load *load, const char *header)
{
	size_t used = strlen(load->headers);
	size_t room = sizeof(load->headers) - used;
	if ((size_t)snprintf(load->headers + used, room, "%s\r\n", header) >= room)
		fail("too many headers");
}

static void take_option(struct load *load, int option, const char *value)
{
	switch (option) {
	case 'p':
		load->port = (int)read_number(value);
		break;
	case 'c':
		load->connection_count = read_number(value);
		break;
	case 't':
		load->duration_ns = (uint64_t)(strtod(value, NULL) * 1e9);
		break;
	case 'w':
		load->warmup_ns = (uint64_t)(strtod(value, NULL) * 1e9);
		break;
	case 'n':
		load->count = read_number(value);
		break;
	case 'f':
		load->first = read_number(value);
		break;
	case 'r':
		load->repeat = read_number(value);
		break;
	case 'b':
		load->body_bytes = read_number(value);
		break;
	case 'H':
		add_header(load, value);
		break;
	case 's':
		load->status = (int)read_number(value);
		break;
	case 'l':
		load->reply_bytes = (int64_t)read_number(value);
		break;
	case 'i':
		load->idle = true;
		break;
	default:
		fail("see the head of tests/bench/load.c for the options");
	}
}

static void read_command_line(struct load *load, int argc, char **argv)
{
	int option;
	while ((option = getopt(argc, argv, "p:c:t:w:n:f:r:b:H:s:l:i")) != -1)
		take_option(load, option, optarg);
	if (argc - optind != 2)
		fail("VERB and PATH are needed");
	load->verb = argv[optind];
	load->path = argv[optind + 1];
	if (load->connection_count < 1 || load->connection_count > CONNECTIONS_MAX)
		fail("from 1 to %d connections", CONNECTIONS_MAX);
	load->busy_max = load->idle ? IDLE_BUSY : load->connection_count;
	if (load->idle)
		load->count = load->connection_count;
	if (!load->count && !load->duration_ns)
		fail("-t or -n is needed");
	if (load->warmup_ns && !load->duration_ns)
		fail("-w needs -t");
}

int main(int argc, char **argv)
{
	static struct load load = {.port = 8080, .connection_count = 1, .reply_bytes = -1};
	read_command_line(&load, argc, argv);
	allow_many_files();
	make_block(&load);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load.connections = calloc(load.connection_count, sizeof(*load.connections));
	if (load.epoll < 0 || !load.connections)
		fail("no memory");
	run(&load);
	print_result(&load);
	if (load.idle)
		while (getchar() != EOF)
			;
	return load.errors ? 1 : 0;
}
