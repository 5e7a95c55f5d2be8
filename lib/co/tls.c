#include "lib/co/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"

#define CIPHERS_1_2 "ECDHE+AESGCM+AES128:ECDHE+AESGCM+AES256:ECDHE+CHACHA20"
/* the fastest first; a client that prefers ChaCha20, as those without AES in hardware do, gets it */
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

enum {
	RECORD_BYTES = SSL3_RT_MAX_PLAIN_LENGTH,
	READ_BUFFER_BYTES = 2 * SSL3_RT_MAX_PACKET_SIZE, /* what one system call reads at most */
	TICKET_KEYS_BYTES = 80,
	TICKET_KEYS_LIFE_S = 12 * 3600, /* a stolen key opens older TLS 1.2 sessions of that time */
	TICKET_LIFE_S = 2 * 3600,
};

/* ---- certificates: a set of them, never changed, kept by those who use it ---- */

struct certificates {
	unsigned references; /* under the context's lock */
	size_t count;
	SSL_CTX *items[]; /* the first one serves names that none is for */
};

struct file_stamp {
	struct timespec modified;
	ino_t inode;
	off_t bytes;
};

struct tls_context {
	struct tls_pair *pairs;
	size_t pair_count;
	bool only_1_3;
	bool kernel;
	pthread_mutex_t lock; /* for `certificates` and its references */
	struct certificates *certificates;
	struct file_stamp *stamps; /* two for each pair */
	unsigned char ticket_keys[TICKET_KEYS_BYTES];
	time_t ticket_keys_made; /* by the monotonic clock */
};

static time_t monotonic_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static int on_server_name(SSL *ssl, int *alert, void *argument)
{
	(void)alert;
	const struct certificates *certificates = argument;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	if (!name)
		return SSL_TLSEXT_ERR_NOACK;
	for (size_t i = 0; i < certificates->count; i++) {
		X509 *certificate = SSL_CTX_get0_certificate(certificates->items[i]);
		if (X509_check_host(certificate, name, 0, 0, NULL) != 1)
			continue;
		if (i && !SSL_set_SSL_CTX(ssl, certificates->items[i]))
			return SSL_TLSEXT_ERR_ALERT_FATAL;
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

static int on_protocols(SSL *ssl, const unsigned char **ret_protocol, unsigned char *ret_length,
	const unsigned char *offered, unsigned offered_length, void *argument)
{
	(void)ssl;
	(void)argument;
	static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
	unsigned char *chosen;
	if (SSL_select_next_proto(&chosen, ret_length, ours, sizeof(ours) - 1, offered, offered_length) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret_protocol = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* A key with a passphrase must not make the server ask its terminal. */
static int refuse_passphrase(char *text, int bytes, int writing, void *argument)
{
	(void)text;
	(void)bytes;
	(void)writing;
	(void)argument;
	return -1;
}

static char *file_error(const char *path, const char *what)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	if (code && ERR_SYSTEM_ERROR(code))
		reason = strerror(ERR_GET_REASON(code));
	char *line = xasprintf("%s: %s: %s", path, what, reason ? reason : "unknown error");
	ERR_clear_error();
	return line;
}

static void warn_of_age(const struct tls_pair *pair, const SSL_CTX *item)
{
	const X509 *certificate = SSL_CTX_get0_certificate(item);
	if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
		log_warning("%s: the certificate has expired", pair->certificate);
	else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		log_warning("%s: the certificate is not valid yet", pair->certificate);
}

static int load_pair(SSL_CTX *item, const struct tls_pair *pair, char **ret_error)
{
	ERR_clear_error();
	SSL_CTX_set_default_passwd_cb(item, refuse_passphrase);
	if (SSL_CTX_use_certificate_chain_file(item, pair->certificate) != 1)
		*ret_error = file_error(pair->certificate, "no certificate could be read");
	else if (SSL_CTX_use_PrivateKey_file(item, pair->key, SSL_FILETYPE_PEM) != 1)
		*ret_error = file_error(pair->key, "no key of that certificate could be read");
	else
		warn_of_age(pair, item);
	return *ret_error ? -EINVAL : 0;
}

static bool set_options(const struct tls_context *context, SSL_CTX *item)
{
	uint64_t options = SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
			   SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF;
	if (context->kernel)
		options |= SSL_OP_ENABLE_KTLS;
	(void)SSL_CTX_set_options(item, options);
	SSL_CTX_set_mode(
		item, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(item, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(item, TICKET_LIFE_S);
	SSL_CTX_set_read_ahead(item, 1);
	SSL_CTX_set_default_read_buffer_len(item, READ_BUFFER_BYTES);
	SSL_CTX_set_alpn_select_cb(item, on_protocols, NULL);
	return SSL_CTX_set_min_proto_version(item, context->only_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(item, CIPHERS_1_2) == 1 && SSL_CTX_set_ciphersuites(item, CIPHERS_1_3) == 1 &&
	       SSL_CTX_set_tlsext_ticket_keys(item, (void *)context->ticket_keys, TICKET_KEYS_BYTES) == 1;
}

static void certificates_free(struct certificates *certificates)
{
	for (size_t i = 0; i < certificates->count; i++)
		SSL_CTX_free(certificates->items[i]);
	free(certificates);
}

static int load_certificates(
	const struct tls_context *context, struct certificates **ret_certificates, char **ret_error)
{
	struct certificates *certificates =
		xcalloc(1, sizeof(*certificates) + context->pair_count * sizeof(certificates->items[0]));
	certificates->references = 1;
	int error = 0;
	for (size_t i = 0; i < context->pair_count && !error; i++) {
		SSL_CTX *item = SSL_CTX_new(TLS_server_method());
		if (!item) {
			*ret_error = xstrdup("OpenSSL cannot be used");
			error = -EINVAL;
			break;
		}
		certificates->items[certificates->count++] = item;
		if (!set_options(context, item))
			*ret_error = file_error("OpenSSL", "does not take our options");
		error = *ret_error ? -EINVAL : load_pair(item, &context->pairs[i], ret_error);
	}
	if (error) {
		certificates_free(certificates);
		return error;
	}
	SSL_CTX_set_tlsext_servername_callback(certificates->items[0], on_server_name);
	SSL_CTX_set_tlsext_servername_arg(certificates->items[0], certificates);
	*ret_certificates = certificates;
	return 0;
}

static struct certificates *certificates_ref(struct tls_context *context)
{
	pthread_mutex_lock(&context->lock);
	struct certificates *certificates = context->certificates;
	certificates->references++;
	pthread_mutex_unlock(&context->lock);
	return certificates;
}

static void certificates_unref(struct tls_context *context, struct certificates *certificates)
{
	pthread_mutex_lock(&context->lock);
	bool last = --certificates->references == 0;
	pthread_mutex_unlock(&context->lock);
	if (last)
		certificates_free(certificates);
}

/* ---- the context ---- */

static struct file_stamp stamp_of(const char *path)
{
	struct stat status;
	if (stat(path, &status))
		return (struct file_stamp){0};
	return (struct file_stamp){status.st_mtim, status.st_ino, status.st_size};
}

static void take_stamps(const struct tls_context *context, struct file_stamp *stamps)
{
	for (size_t i = 0; i < context->pair_count; i++) {
		stamps[2 * i] = stamp_of(context->pairs[i].certificate);
		stamps[2 * i + 1] = stamp_of(context->pairs[i].key);
	}
}

/* Asking is cheap once; OpenSSL would ask for every connection, and the kernel look for its module each time. */
static bool kernel_has_tls(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bool has = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == 0 || errno == ENOTCONN;
	close(fd);
	return has;
}

static int make_ticket_keys(struct tls_context *context)
{
	context->ticket_keys_made = monotonic_seconds();
	return RAND_bytes(context->ticket_keys, TICKET_KEYS_BYTES) == 1 ? 0 : -EIO;
}

int tls_context_new(const struct tls_options *options, struct tls_context **ret_context, char **ret_error)
{
	struct tls_context *context = xcalloc(1, sizeof(*context));
	context->pairs = xcalloc(options->pair_count, sizeof(*context->pairs));
	memcpy(context->pairs, options->pairs, options->pair_count * sizeof(*context->pairs));
	context->pair_count = options->pair_count;
	context->only_1_3 = options->only_1_3;
	context->kernel = options->kernel && kernel_has_tls();
	if (options->kernel && !context->kernel)
		log_warning("this kernel has no TLS (modprobe tls): OpenSSL encrypts");
	context->stamps = xcalloc(options->pair_count * 2, sizeof(*context->stamps));
	take_stamps(context, context->stamps);
	pthread_mutex_init(&context->lock, NULL);
	*ret_error = NULL;
	int error = make_ticket_keys(context);
	if (error)
		*ret_error = xstrdup("OpenSSL has no random bytes");
	else
		error = load_certificates(context, &context->certificates, ret_error);
	if (error) {
		tls_context_free(context);
		return -EINVAL;
	}
	*ret_context = context;
	return 0;
}

void tls_context_free(struct tls_context *context)
{
	if (!context)
		return;
	if (context->certificates)
		certificates_unref(context, context->certificates);
	pthread_mutex_destroy(&context->lock);
	OPENSSL_cleanse(context->ticket_keys, TICKET_KEYS_BYTES);
	free(context->stamps);
	free(context->pairs);
	free(context);
}

static bool same_file(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec &&
	       a->inode == b->inode && a->bytes == b->bytes;
}

bool tls_context_is_stale(struct tls_context *context)
{
	if (monotonic_seconds() - context->ticket_keys_made >= TICKET_KEYS_LIFE_S)
		return true;
	_cleanup_free_ struct file_stamp *stamps = xcalloc(context->pair_count * 2, sizeof(*stamps));
	take_stamps(context, stamps);
	for (size_t i = 0; i < context->pair_count * 2; i++)
		if (!same_file(&stamps[i], &context->stamps[i]))
			return true;
	return false;
}

int tls_context_reload(struct tls_context *context, char **ret_error)
{
	take_stamps(context, context->stamps);
	*ret_error = NULL;
	if (monotonic_seconds() - context->ticket_keys_made >= TICKET_KEYS_LIFE_S && make_ticket_keys(context))
		log_warning("OpenSSL has no random bytes: the old ticket keys stay");
	struct certificates *fresh;
	int error = load_certificates(context, &fresh, ret_error);
	if (error)
		return error;
	pthread_mutex_lock(&context->lock);
	struct certificates *old = context->certificates;
	context->certificates = fresh;
	pthread_mutex_unlock(&context->lock);
	certificates_unref(context, old);
	return 0;
}

/* ---- one connection ---- */

struct tls {
	struct tls_context *context;
	struct certificates *certificates;
	SSL *ssl;
	/* A record of more than one part, while it is under way: OpenSSL wants the same bytes again. */
	char *gathered;
	size_t gathered_length;
	size_t pending_length; /* of the record under way, gathered or not; 0: none */
	bool broken;           /* OpenSSL allows no further call but the last */
	bool corked;
};

struct tls *tls_new(struct tls_context *context, int fd)
{
	struct tls *tls = xcalloc(1, sizeof(*tls));
	tls->context = context;
	tls->certificates = certificates_ref(context);
	tls->ssl = SSL_new(tls->certificates->items[0]);
	if (!tls->ssl || SSL_set_fd(tls->ssl, fd) != 1) {
		ERR_clear_error();
		tls_free(tls);
		return NULL;
	}
	SSL_set_accept_state(tls->ssl);
	return tls;
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	SSL_free(tls->ssl);
	certificates_unref(tls->context, tls->certificates);
	free(tls->gathered);
	free(tls);
}

/* What a call of OpenSSL came to. A broken stream, whatever broke it, is a connection lost. */
static int result_of(struct tls *tls, int result)
{
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		tls->broken = true;
		ERR_clear_error();
		return -ECONNRESET;
	}
}

int tls_handshake(struct tls *tls)
{
	ERR_clear_error();
	int result = SSL_do_handshake(tls->ssl);
	if (result == 1)
		return 0;
	int error = result_of(tls, result);
	return error ? error : -ECONNRESET;
}

/* Several records, while they are there: each holds 16 KiB at most. */
ssize_t tls_read_now(struct tls *tls, void *data, size_t bytes)
{
	size_t received = 0;
	if (tls->broken)
		return -ECONNRESET;
	ERR_clear_error();
	while (received < bytes) {
		size_t count;
		int result = SSL_read_ex(tls->ssl, (char *)data + received, bytes - received, &count);
		if (result != 1)
			return received ? (ssize_t)received : result_of(tls, result);
		received += count;
		if (!SSL_has_pending(tls->ssl))
			break;
	}
	return (ssize_t)received;
}

/* Makes one record of what begins with a small part, such as a head. */
static void gather(struct tls *tls, const struct iovec *parts, int count)
{
	tls->gathered = xmalloc(RECORD_BYTES);
	tls->gathered_length = 0;
	for (int i = 0; i < count && tls->gathered_length < RECORD_BYTES; i++) {
		size_t room = RECORD_BYTES - tls->gathered_length;
		size_t length = parts[i].iov_len < room ? parts[i].iov_len : room;
		memcpy(tls->gathered + tls->gathered_length, parts[i].iov_base, length);
		tls->gathered_length += length;
	}
}

/* OpenSSL writes each record by itself: records of one call to leave in full segments, it is said that more follows. */
static void cork(struct tls *tls, bool on)
{
	int value = on;
	if (tls->corked == on)
		return;
	tls->corked = on;
	(void)setsockopt(SSL_get_fd(tls->ssl), IPPROTO_TCP, TCP_CORK, &value, sizeof(value));
}

static size_t total_of(const struct iovec *parts, int count)
{
	size_t total = 0;
	for (int i = 0; i < count; i++)
		total += parts[i].iov_len;
	return total;
}

ssize_t tls_write_now(struct tls *tls, const struct iovec *parts, int count)
{
	if (tls->broken)
		return -ECONNRESET;
	if (!tls->pending_length) {
		if (count > 1 && parts->iov_len < RECORD_BYTES)
			gather(tls, parts, count);
		tls->pending_length = tls->gathered ? tls->gathered_length : parts->iov_len;
	}
	size_t total = total_of(parts, count);
	if (total > RECORD_BYTES)
		cork(tls, true);
	ERR_clear_error();
	size_t written;
	const char *data = tls->gathered ? tls->gathered : parts->iov_base;
	int result = SSL_write_ex(tls->ssl, data, tls->pending_length, &written);
	if (result != 1) {
		int error = result_of(tls, result);
		return error ? error : -EPIPE;
	}
	free(tls->gathered);
	tls->gathered = NULL;
	tls->pending_length = 0;
	if (written == total)
		cork(tls, false);
	return (ssize_t)written;
}

void tls_finish(struct tls *tls)
{
	if (tls->broken || tls->pending_length || !SSL_is_init_finished(tls->ssl))
		return;
	ERR_clear_error();
	(void)SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

void tls_spoil(struct tls *tls)
{
	tls->broken = true;
}
