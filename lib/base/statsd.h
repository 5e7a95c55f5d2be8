/*
 * Lines for a statsd server, by UDP, in the names of Swift's servers (swift/common/utils.py, StatsdClient;
 * swift/common/middleware/proxy_logging.py). Off until statsd_init().
 *
 *	statsd_timing("proxy-server", "object.GET.200.timing", 12.5);	proxy-server.object.GET.200.timing:12.5|ms
 *	statsd_count("proxy-server", "object.GET.200.xfer", 4096);	proxy-server.object.GET.200.xfer:4096|c
 *	statsd_flush();
 *
 * Lines gather in a buffer of the calling thread and go out as one datagram at statsd_flush(), which everybody calls at
 * the end of a request. Nothing here waits: what the socket does not take at once is dropped and counted.
 */
#ifndef LIB_BASE_STATSD_H
#define LIB_BASE_STATSD_H

#include <stdbool.h>
#include <stdint.h>

struct statsd_options {
	const char *host; /* name or address; "" leaves it off */
	int port;
	const char *prefix; /* before each name, without a dot; "" for none */
	double sample_rate; /* share of the events that are sent, 0 to 1 */
};

/* Looks the host up, which may take a while: before the loops run. 0, or a negative errno. The texts are copied. */
int statsd_init(const struct statsd_options *options);
/* Switches it off again. No thread may be sending. */
void statsd_release(void);
bool statsd_on(void);

void statsd_timing(const char *server, const char *name, double milliseconds);
void statsd_count(const char *server, const char *name, uint64_t amount);
void statsd_flush(void);

#endif
