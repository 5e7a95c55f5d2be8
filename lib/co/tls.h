/*
 * TLS for servers by OpenSSL: versions 1.2 and 1.3, HTTP/1.1 by ALPN, a certificate by SNI, no renegotiation, no
 * compression, no session cache (clients resume by tickets, which any thread of the process takes).
 *
 * A struct tls_context is what all connections share; it may be used by any thread, and its certificates can be changed
 * while connections go on with the old ones. A struct tls belongs to one connection: once its handshake is done it goes
 * into struct co_socket, whose functions then encrypt; nobody else calls what is below "records".
 */
#ifndef LIB_CO_TLS_H
#define LIB_CO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* ---- what connections share ---- */

/* Files in PEM. */
struct tls_pair {
	const char *certificate; /* the server's own first, then the chain */
	const char *key;         /* without a passphrase; may be the same file */
};

/*
 * A client gets the first certificate that is good for the name it asks for, or the first of all. The texts must live
 * as long as the context.
 */
struct tls_options {
	const struct tls_pair *pairs; /* copied */
	size_t pair_count;            /* at least 1 */
	bool only_1_3;                /* refuse TLS 1.2 */
	bool kernel;                  /* let the kernel encrypt where it can (TCP_ULP "tls") */
};

struct tls_context;

/* Reads the files. 0, or -EINVAL with a malloc'ed line that names the file. */
int tls_context_new(const struct tls_options *options, struct tls_context **ret_context, char **ret_error);

/* No connection may be left. NULL is accepted. */
void tls_context_free(struct tls_context *context);

/* Whether tls_context_reload() has something to do: files that changed since they were read last, or old ticket keys. */
bool tls_context_is_stale(struct tls_context *context);

/*
 * Reads the files again, for connections from now on. When one is broken, or does not fit its key, everything stays as
 * it was: -EINVAL with a malloc'ed line.
 */
int tls_context_reload(struct tls_context *context, char **ret_error);

/* ---- one connection ---- */

struct tls;

/* For a connected, non-blocking socket, which stays the caller's. NULL when OpenSSL has no memory for it. */
struct tls *tls_new(struct tls_context *context, int fd);

/* Before the socket is closed. NULL is accepted. */
void tls_free(struct tls *tls);

/*
 * Goes on with the handshake as far as the bytes that are there allow; never sleeps. 0: done. -EAGAIN: call again when
 * the socket is readable or writable. -ECONNRESET: failed; the client has been told why.
 */
int tls_handshake(struct tls *tls);

/* ---- records ---- */

/* Bytes read, 0 at the end, -EAGAIN, -ECONNRESET. */
ssize_t tls_read_now(struct tls *tls, void *data, size_t bytes);

/*
 * Bytes of `parts` that went out, at least 1; -EAGAIN: call again with the same parts when the socket is writable;
 * -EPIPE, -ECONNRESET. `parts` must begin with one that is not empty.
 */
ssize_t tls_write_now(struct tls *tls, const struct iovec *parts, int count);

/* Tells the client that nothing follows, if that can be said without waiting. */
void tls_finish(struct tls *tls);

/* Makes every further call fail, and tls_finish() say nothing: the client must not take the end for a good one. */
void tls_spoil(struct tls *tls);

#endif
