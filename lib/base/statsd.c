#include "lib/base/statsd.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/base/metrics.h"

/* One datagram that fits an Ethernet frame. */
enum { DATAGRAM_BYTES_MAX = 1400, LINE_BYTES_MAX = 300 };

static struct {
	int fd;
	char *prefix; /* with its dot, or "" */
	double sample_rate;
	char rate_text[32]; /* "|@0.5", or "" */
} client = {.fd = -1};

static __thread char datagram[DATAGRAM_BYTES_MAX];
static __thread size_t datagram_length;
static __thread unsigned datagram_lines;
static __thread uint64_t random_state;

static int connect_to(const char *host, int port)
{
	char service[16];
	(void)snprintf(service, sizeof(service), "%d", port);
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
	struct addrinfo *addresses;
	if (getaddrinfo(host, service, &hints, &addresses))
		return -EADDRNOTAVAIL;
	int result = -EADDRNOTAVAIL;
	for (struct addrinfo *i = addresses; i && result < 0; i = i->ai_next) {
		int fd = socket(i->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, i->ai_addr, i->ai_addrlen) == 0) {
			result = fd;
		} else {
			result = -errno;
			if (fd >= 0)
				close(fd);
		}
	}
	freeaddrinfo(addresses);
	return result;
}

int statsd_init(const struct statsd_options *options)
{
	if (!*options->host)
		return 0;
	int fd = connect_to(options->host, options->port);
	if (fd < 0)
		return fd;
	client.fd = fd;
	client.prefix = xasprintf("%s%s", options->prefix, *options->prefix ? "." : "");
	client.sample_rate = options->sample_rate;
	if (options->sample_rate < 1)
		(void)snprintf(client.rate_text, sizeof(client.rate_text), "|@%g", options->sample_rate);
	return 0;
}

void statsd_release(void)
{
	if (client.fd >= 0)
		close(client.fd);
	free(client.prefix);
	client.fd = -1;
	client.prefix = NULL;
	client.rate_text[0] = '\0';
}

bool statsd_on(void)
{
	return client.fd >= 0;
}

static bool is_sampled(void)
{
	if (client.sample_rate >= 1)
		return true;
	if (!random_state)
		random_state = metric_now() ^ (uint64_t)(uintptr_t)&random_state;
	/* xorshift64* */
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	uint64_t drawn = (random_state * 0x2545F4914F6CDD1DULL) >> 11;
	return (double)drawn / 9007199254740992.0 < client.sample_rate;
}

void statsd_flush(void)
{
	if (!datagram_length)
		return;
	/* ECONNREFUSED is the answer to an earlier datagram: nobody listens, and that is no reason to stop */
	ssize_t sent = send(client.fd, datagram, datagram_length, MSG_DONTWAIT | MSG_NOSIGNAL);
	metric_add(METRIC_STATSD, datagram_lines, sent < 0 ? METRIC_STATSD_DROPPED : METRIC_STATSD_SENT);
	datagram_length = 0;
	datagram_lines = 0;
}

static void add_line(const char *line, int length)
{
	if (length < 0 || length >= LINE_BYTES_MAX) {
		metric_add(METRIC_STATSD, 1, METRIC_STATSD_DROPPED);
		return;
	}
	if (datagram_length + (size_t)length + 1 > DATAGRAM_BYTES_MAX)
		statsd_flush();
	if (datagram_length)
		datagram[datagram_length++] = '\n';
	memcpy(datagram + datagram_length, line, (size_t)length);
	datagram_length += (size_t)length;
	datagram_lines++;
}

void statsd_timing(const char *server, const char *name, double milliseconds)
{
	char line[LINE_BYTES_MAX];
	if (statsd_on() && is_sampled())
		add_line(line, snprintf(line, sizeof(line), "%s%s.%s:%.4f|ms%s", client.prefix, server, name,
				       milliseconds, client.rate_text));
}

void statsd_count(const char *server, const char *name, uint64_t amount)
{
	char line[LINE_BYTES_MAX];
	if (statsd_on() && is_sampled())
		add_line(line, snprintf(line, sizeof(line), "%s%s.%s:%" PRIu64 "|c%s", client.prefix, server, name,
				       amount, client.rate_text));
}
