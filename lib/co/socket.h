/*
 * Stream sockets for coroutines: calls look blocking, take a deadline, try first and sleep only when the kernel has
 * nothing. A socket belongs to the loop it was opened on. One coroutine may read while another one writes.
 */
#ifndef LIB_CO_SOCKET_H
#define LIB_CO_SOCKET_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "lib/co/co.h"
#include "lib/co/pace.h"

struct co_socket {
	int fd;             /* -1 when closed */
	struct event event; /* edge-triggered, registered once: waiting costs no system call */
	struct co_signal readable;
	struct co_signal writable;
	/* Called on the loop when bytes (or the end) arrive and no coroutine is reading; NULL for none. Must not close it. */
	void (*on_readable)(struct co_socket *socket);
	/* The same for room to write, whoever waits for it. */
	void (*on_writable)(struct co_socket *socket);
	/* Encrypts what is read and written; NULL: nothing does. Set by the owner once the handshake is done, or while it
	 * is under way and nobody reads or writes; freed by co_socket_close(). */
	struct tls *tls;
	/* Judges the peer while a coroutine waits for it: one below its rate ends the wait with -ETIMEDOUT. NULL for none. */
	struct co_pace *pace;
};

/* Takes a connected, non-blocking descriptor. Returns 0 or -errno (the descriptor is closed then). */
int co_socket_open(struct co_socket *socket, int fd);

/* A TCP connection to a numeric address. 0, -EINVAL (not an address), -ETIMEDOUT, -ECONNREFUSED, … */
int co_socket_connect(struct co_socket *socket, const char *ip, int port, uint64_t deadline_ms);

/* Closes it; both waiting coroutines, if any, are woken with an error. Safe on a closed socket. */
void co_socket_close(struct co_socket *socket);

/* Half-closes it: the peer reads the end of the stream, we can still read. */
void socket_finish(struct co_socket *socket);

/* Has co_socket_close() reset the connection: a stream that broke off must not look as if it had ended. */
void socket_spoil(struct co_socket *socket);

/* Bytes read, 0 at the end of the stream, -ETIMEDOUT, or -errno. */
ssize_t co_socket_read(struct co_socket *socket, void *data, size_t bytes, uint64_t deadline_ms);

/* The same without sleeping: -EAGAIN when nothing is there. */
ssize_t socket_read_now(struct co_socket *socket, void *data, size_t bytes);

/* Waits until bytes (or the end) may be there: 0 or -ETIMEDOUT; may return 0 without a cause. */
int co_socket_wait_readable(struct co_socket *socket, uint64_t deadline_ms);

/*
 * Writes everything: 0, -ETIMEDOUT (nothing could be written for `timeout_ms`; with a pace: nothing arrived at the peer),
 * or -errno. Changes `parts`.
 */
int co_socket_write(struct co_socket *socket, struct iovec *parts, int count, uint64_t timeout_ms);

/*
 * A listening socket with SO_REUSEPORT, so that each loop can have its own. Returns the descriptor or -errno.
 */
int socket_listen(const char *ip, int port, int backlog);

/* 0 when nobody listens there, else -EADDRINUSE or why the address cannot be had. Ask before the first
 * socket_listen(): SO_REUSEPORT would let two servers share a port without a word. */
int socket_probe(const char *ip, int port);

/* Splits "127.0.0.1:8080" or "[::1]:8080"; the address goes to `ip` (at most 46 bytes). 0 or -EINVAL. */
int socket_address_parse(const char *text, char ip[46], int *ret_port);

#endif
