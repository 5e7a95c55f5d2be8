/*
 * Counters, gauges and histograms, and their text for Prometheus (exposition format 0.0.4).
 *
 * lib/base/metrics.def is the table of what is counted. A thread counts in slots of its own, without a lock or a locked
 * instruction; a scrape adds up the slots of all threads, those that have ended among them. Labels come from fixed
 * tables, so the number of series is bounded whatever clients send.
 *
 *	metric_add(METRIC_REQUESTS, 1, METRIC_ROLE_PROXY, METHOD_GET, metric_status(200), metric_policy(0));
 *	metric_observe(METRIC_REQUEST_SECONDS, nanoseconds, METRIC_ROLE_PROXY, METHOD_GET, metric_policy(0));
 *
 * What is known only when asked (free bytes of a device, open descriptors) is written by collectors.
 */
#ifndef LIB_BASE_METRICS_H
#define LIB_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* What a value is measured in where it is counted; METRIC_UNIT_SECONDS is counted in nanoseconds. */
enum metric_unit { METRIC_UNIT_ONE, METRIC_UNIT_BYTES, METRIC_UNIT_SECONDS };

enum metric_label {
	METRIC_LABEL_NONE,
#define LABEL(id, name, ...) METRIC_LABEL_##id,
#include "lib/base/metrics.def"
	METRIC_LABEL_COUNT,
};

enum metric {
#define METRIC(id, kind, unit, name, help, ...) METRIC_##id,
#include "lib/base/metrics.def"
	METRIC_COUNT,
};

enum metric_role {
	METRIC_ROLE_PROXY,
	METRIC_ROLE_OBJECT,
	METRIC_ROLE_CONTAINER,
	METRIC_ROLE_ACCOUNT,
	METRIC_ROLE_METRICS,
};

enum metric_refusal {
	METRIC_REFUSAL_BAD_HEAD,
	METRIC_REFUSAL_HEAD_TIMEOUT,
	METRIC_REFUSAL_TOO_MANY_REQUESTS,
	METRIC_REFUSAL_EXPECTATION,
	METRIC_REFUSAL_CONNECTIONS_FULL,
	METRIC_REFUSAL_NO_DESCRIPTORS,
	METRIC_REFUSAL_BUFFERS_FULL,
	METRIC_REFUSAL_SLOW_FULL,
	METRIC_REFUSAL_BODY_TIMEOUT,
	METRIC_REFUSAL_SEND_TIMEOUT,
};

/* What came of a request to another server: answered within the process or over the network, or not. */
enum metric_call {
	METRIC_CALL_LOCAL,
	METRIC_CALL_ANSWERED,
	METRIC_CALL_REFUSED,
	METRIC_CALL_TIMED_OUT,
	METRIC_CALL_BROKEN,
};

enum metric_statsd { METRIC_STATSD_SENT, METRIC_STATSD_DROPPED };

enum {
	METRIC_LABELS_MAX = 4,
	METRIC_POLICIES_MAX = 8, /* further ones are "other" */
	METRIC_BUCKETS_MAX = 20,
};

/* The label value of an HTTP status. */
unsigned metric_status(int status);
/* The label value of a storage policy's index; any negative one for none. */
unsigned metric_policy(int index);
/* Which policies there are. Before anything is counted. */
void metrics_set_policies(const int *indexes, size_t count);

/* Counts, or (with a negative amount as uint64_t) takes a gauge back. The labels in the order of the metric's row. */
#define metric_add(metric, amount, ...)                                                                                \
	metric_add_at((metric), (const unsigned[METRIC_LABELS_MAX]){__VA_ARGS__}, (uint64_t)(amount))
void metric_add_at(enum metric metric, const unsigned labels[METRIC_LABELS_MAX], uint64_t amount);

/* One value of a histogram, in its unit. */
#define metric_observe(metric, value, ...)                                                                             \
	metric_observe_at((metric), (const unsigned[METRIC_LABELS_MAX]){__VA_ARGS__}, (value))
void metric_observe_at(enum metric metric, const unsigned labels[METRIC_LABELS_MAX], uint64_t value);

/* The sum over all threads of a counter or gauge, as of now. */
#define metric_value(metric, ...) metric_value_at((metric), (const unsigned[METRIC_LABELS_MAX]){__VA_ARGS__})
int64_t metric_value_at(enum metric metric, const unsigned labels[METRIC_LABELS_MAX]);

/* Nanoseconds of the monotonic clock, to measure durations. */
uint64_t metric_now(void);

/* ---- histograms that belong to one thing, such as a device ---- */

/* One thread observes, any thread reads. Zeros are an empty one. */
struct metric_histogram {
	_Atomic uint64_t buckets[METRIC_BUCKETS_MAX]; /* not cumulative; the last one is what is above all bounds */
	_Atomic uint64_t sum;
};

void metric_histogram_observe(struct metric_histogram *histogram, enum metric_unit unit, uint64_t value);

/* ---- the text ---- */

/*
 * Appends the families that it knows with the functions below; a family's samples follow each other. Called in a
 * coroutine or thread of its own; must not wait for a disk.
 */
typedef void metrics_collect_function(void *argument, struct buf *text);
/* Before the first scrape. `argument` must live as long as there are scrapes. */
void metrics_add_collector(metrics_collect_function *function, void *argument);
/* Forgets all collectors: at the end of what they look at. */
void metrics_remove_collectors(void);

/* "# HELP" and "# TYPE". */
void metrics_write_family(struct buf *text, const char *name, enum metric_kind kind, const char *help);
/* A sample with labels as pairs of name and value, NULL-terminated; a pair whose value is "" is left out. */
void metrics_write_sample(struct buf *text, const char *name, const char *const *labels, double value);
void metrics_write_histogram(struct buf *text, const char *name, const char *const *labels,
	const struct metric_histogram *histogram, enum metric_unit unit);

/* Everything: what was counted, then what the collectors and the kernel know. Counters and histograms that are zero are left out. */
void metrics_write(struct buf *text);

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

#endif
