#include "lib/co/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/co/tls.h"

static void on_event(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	struct co_socket *socket = argument;
	if (what & EV_WRITE) {
		co_signal_raise(&socket->writable);
		if (socket->on_writable)
			socket->on_writable(socket);
	}
	if (!(what & EV_READ))
		return;
	if (socket->readable.waiting)
		co_signal_raise(&socket->readable);
	else if (socket->on_readable)
		socket->on_readable(socket);
}

int co_socket_open(struct co_socket *socket, int fd)
{
	*socket = (struct co_socket){.fd = fd};
	struct event_base *base = loop_event_base(loop_current());
	event_assign(&socket->event, base, fd, EV_READ | EV_WRITE | EV_ET | EV_PERSIST, on_event, socket);
	if (event_add(&socket->event, NULL) == 0)
		return 0;
	close(fd);
	socket->fd = -1;
	return -EIO;
}

static int parse_address(const char *ip, int port, struct sockaddr_storage *ret_address, socklen_t *ret_length)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret_address;
	memset(ret_address, 0, sizeof(*ret_address));
	if (port < 0 || port > 65535)
		return -EINVAL;
	if (inet_pton(AF_INET, ip, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)port);
		*ret_length = sizeof(*four);
		return 0;
	}
	if (inet_pton(AF_INET6, ip, &six->sin6_addr) == 1) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)port);
		*ret_length = sizeof(*six);
		return 0;
	}
	return -EINVAL;
}

static int wait_connected(struct co_socket *socket, uint64_t deadline_ms)
{
	for (;;) {
		int error = co_signal_wait(&socket->writable, deadline_ms);
		if (error)
			return error;
		int pending = 0;
		socklen_t length = sizeof(pending);
		if (getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &pending, &length))
			return -errno;
		if (pending)
			return -pending;
		struct sockaddr_storage peer;
		length = sizeof(peer);
		if (getpeername(socket->fd, (struct sockaddr *)&peer, &length) == 0)
			return 0;
	}
}

int co_socket_connect(struct co_socket *socket_, const char *ip, int port, uint64_t deadline_ms)
{
	struct sockaddr_storage address;
	socklen_t length;
	int error = parse_address(ip, port, &address, &length);
	if (error)
		return error;
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int one = 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&address, length) && errno != EINPROGRESS) {
		error = -errno;
		close(fd);
		return error;
	}
	error = co_socket_open(socket_, fd);
	if (error)
		return error;
	error = wait_connected(socket_, deadline_ms);
	if (error)
		co_socket_close(socket_);
	return error;
}

void co_socket_close(struct co_socket *socket)
{
	if (socket->fd < 0)
		return;
	event_del(&socket->event);
	if (socket->tls) {
		tls_finish(socket->tls);
		tls_free(socket->tls);
		socket->tls = NULL;
	}
	close(socket->fd);
	socket->fd = -1;
	co_signal_raise(&socket->readable);
	co_signal_raise(&socket->writable);
}

void socket_finish(struct co_socket *socket)
{
	if (socket->tls)
		tls_finish(socket->tls);
	(void)shutdown(socket->fd, SHUT_WR);
}

void socket_spoil(struct co_socket *socket)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};
	(void)setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	if (socket->tls)
		tls_spoil(socket->tls);
}

/* Waits no longer than the pace wants to be asked again: -EAGAIN then. */
static int wait_a_while(struct co_pace *pace, struct co_signal *signal, uint64_t deadline_ms)
{
	uint64_t check_ms;
	int error = co_pace_judge(pace, &check_ms);
	if (error)
		return error;
	uint64_t begun_ms = loop_now_ms();
	uint64_t check_at = deadline_after_ms(check_ms);
	error = co_signal_wait(signal, check_at < deadline_ms ? check_at : deadline_ms);
	co_pace_count_wait(pace, loop_now_ms() - begun_ms);
	return error && check_at < deadline_ms ? -EAGAIN : error;
}

/* Asked after a pause for judging: an event of the same turn may have been missed, and comes only once. */
static bool is_ready(const struct co_socket *socket, short events)
{
	struct pollfd wait = {socket->fd, events, 0};
	return socket->fd < 0 || poll(&wait, 1, 0) != 0;
}

int co_socket_wait_readable(struct co_socket *socket, uint64_t deadline_ms)
{
	if (!socket->pace)
		return co_signal_wait(&socket->readable, deadline_ms);
	int error;
	do
		error = wait_a_while(socket->pace, &socket->readable, deadline_ms);
	while (error == -EAGAIN && !is_ready(socket, POLLIN));
	return error == -EAGAIN ? 0 : error;
}

/* Bytes that the peer has not acknowledged. */
static int bytes_on_the_way(const struct co_socket *socket)
{
	int count = 0;
	(void)ioctl(socket->fd, SIOCOUTQ, &count);
	return count;
}

/*
 * The kernel may hold megabytes, and asks for more only when much of them has gone: what arrives at the peer meanwhile is
 * progress, too. It is not asked about until the wait is a long one.
 */
static int wait_writable(struct co_socket *socket, uint64_t timeout_ms)
{
	struct co_pace *pace = socket->pace;
	uint64_t deadline_ms = deadline_after_ms(timeout_ms);
	if (!pace)
		return co_signal_wait(&socket->writable, deadline_ms);
	int error;
	int before = -1;
	while ((error = wait_a_while(pace, &socket->writable, deadline_ms)) == -EAGAIN) {
		if (is_ready(socket, POLLOUT))
			return 0;
		int left = bytes_on_the_way(socket);
		if (before < 0)
			co_pace_forget_wait(pace);
		else if (left < before)
			co_pace_count_bytes(pace, (uint64_t)(before - left));
		if (left < before)
			deadline_ms = deadline_after_ms(timeout_ms);
		before = left;
	}
	return error;
}

static ssize_t receive(int fd, void *data, size_t bytes)
{
	ssize_t count;
	do
		count = recv(fd, data, bytes, 0);
	while (count < 0 && errno == EINTR);
	return count < 0 ? -errno : count;
}

ssize_t socket_read_now(struct co_socket *socket, void *data, size_t bytes)
{
	if (socket->fd < 0)
		return -ECONNRESET;
	ssize_t count = socket->tls ? tls_read_now(socket->tls, data, bytes) : receive(socket->fd, data, bytes);
	if (count > 0 && socket->pace)
		co_pace_count_bytes(socket->pace, (uint64_t)count);
	return count;
}

ssize_t co_socket_read(struct co_socket *socket, void *data, size_t bytes, uint64_t deadline_ms)
{
	for (;;) {
		ssize_t count = socket_read_now(socket, data, bytes);
		if (count != -EAGAIN)
			return count;
		int error = co_socket_wait_readable(socket, deadline_ms);
		if (error)
			return error;
	}
}

static void advance(struct iovec **parts, int *count, size_t written)
{
	while (*count && written >= (*parts)->iov_len) {
		written -= (*parts)->iov_len;
		(*parts)++;
		(*count)--;
	}
	if (*count) {
		(*parts)->iov_base = (char *)(*parts)->iov_base + written;
		(*parts)->iov_len -= written;
	}
}

static ssize_t write_now(struct co_socket *socket, struct iovec *parts, int count)
{
	if (socket->tls)
		return tls_write_now(socket->tls, parts, count);
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
	ssize_t written = sendmsg(socket->fd, &message, MSG_NOSIGNAL);
	return written < 0 ? -errno : written;
}

int co_socket_write(struct co_socket *socket, struct iovec *parts, int count, uint64_t timeout_ms)
{
	advance(&parts, &count, 0);
	while (count) {
		if (socket->fd < 0)
			return -ECONNRESET;
		ssize_t written = write_now(socket, parts, count);
		if (written >= 0) {
			advance(&parts, &count, (size_t)written);
			if (socket->pace)
				co_pace_count_bytes(socket->pace, (uint64_t)written);
			continue;
		}
		if (written == -EINTR)
			continue;
		if (written != -EAGAIN)
			return (int)written;
		int error = wait_writable(socket, timeout_ms);
		if (error) {
			/* half a record is out: nothing else can follow it */
			if (socket->tls)
				tls_spoil(socket->tls);
			return error;
		}
	}
	return 0;
}

/* With SO_REUSEPORT alone a second server could silently share the port: a plain bind tells first. */
static int probe_address(const struct sockaddr_storage *address, socklen_t length)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int one = 1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	int error = bind(fd, (const struct sockaddr *)address, length) ? -errno : 0;
	close(fd);
	return error;
}

static int listen_on(const struct sockaddr_storage *address, socklen_t length, int backlog)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int one = 1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)address, length) || listen(fd, backlog)) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

int socket_listen(const char *ip, int port, int backlog)
{
	struct sockaddr_storage address;
	socklen_t length;
	int error = parse_address(ip, port, &address, &length);
	return error ? error : listen_on(&address, length, backlog);
}

int socket_probe(const char *ip, int port)
{
	struct sockaddr_storage address;
	socklen_t length;
	int error = parse_address(ip, port, &address, &length);
	return error ? error : probe_address(&address, length);
}

int socket_address_parse(const char *text, char ip[46], int *ret_port)
{
	const char *colon = strrchr(text, ':');
	if (!colon || colon == text)
		return -EINVAL;
	size_t length = (size_t)(colon - text);
	if (text[0] == '[') {
		if (colon[-1] != ']')
			return -EINVAL;
		text++;
		length -= 2;
	} else if (memchr(text, ':', length)) {
		return -EINVAL;
	}
	size_t digits = strlen(colon + 1);
	if (length == 0 || length >= 46 || digits > 5 || strspn(colon + 1, "0123456789") != digits)
		return -EINVAL;
	long port = strtol(colon + 1, NULL, 10);
	if (port < 1 || port > 65535)
		return -EINVAL;
	char address[46];
	memcpy(address, text, length);
	address[length] = '\0';
	struct sockaddr_storage parsed;
	socklen_t parsed_length;
	if (parse_address(address, (int)port, &parsed, &parsed_length))
		return -EINVAL;
	memcpy(ip, address, length + 1);
	*ret_port = (int)port;
	return 0;
}
