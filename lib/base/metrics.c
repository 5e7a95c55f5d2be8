#include "lib/base/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/memory.h"
#include "lib/base/metrics_process.h"

enum { COLLECTORS_MAX = 16, STATUS_MAX = 600 };

/* ---- the tables ---- */

struct label {
	const char *name;
	const char **values;
	unsigned count;
};

#define LABEL(id, text, ...) static const char *values_of_##id[] = {__VA_ARGS__};
#include "lib/base/metrics.def"

static const struct label label_table[METRIC_LABEL_COUNT] = {
	[METRIC_LABEL_NONE] = {NULL, NULL, 1},
#define LABEL(id, text, ...)                                                                                           \
	[METRIC_LABEL_##id] = {text, values_of_##id, sizeof(values_of_##id) / sizeof(values_of_##id[0])},
#include "lib/base/metrics.def"
};

struct family {
	const char *name;
	const char *help;
	enum metric_kind kind;
	enum metric_unit unit;
	enum metric_label labels[METRIC_LABELS_MAX];
};

static const struct family families[METRIC_COUNT] = {
#define METRIC(id, type, measure, text, words, ...)                                                                    \
	[METRIC_##id] = {text, words, METRIC_##type, METRIC_UNIT_##measure, {__VA_ARGS__}},
#include "lib/base/metrics.def"
};

/* Upper bounds of the buckets, about two or three in each power of ten. */
static const uint64_t bounds_one[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
static const uint64_t bounds_bytes[] = {
	1024, 4096, 16384, 65536, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28, 1 << 30, (uint64_t)1 << 32};
static const uint64_t bounds_seconds[] = {250000, 500000, 1000000, 2500000, 5000000, 10000000, 25000000, 50000000,
	100000000, 250000000, 500000000, 1000000000, 2500000000, 5000000000, 10000000000, 30000000000, 60000000000};

static const struct bounds {
	const uint64_t *items;
	size_t count;
	double scale; /* from what is counted to what is shown */
} bounds_table[] = {
	[METRIC_UNIT_ONE] = {bounds_one, sizeof(bounds_one) / sizeof(bounds_one[0]), 1},
	[METRIC_UNIT_BYTES] = {bounds_bytes, sizeof(bounds_bytes) / sizeof(bounds_bytes[0]), 1},
	[METRIC_UNIT_SECONDS] = {bounds_seconds, sizeof(bounds_seconds) / sizeof(bounds_seconds[0]), 1e-9},
};

static size_t bucket_of(const struct bounds *bounds, uint64_t value)
{
	size_t bucket = 0;
	while (bucket < bounds->count && value > bounds->items[bucket])
		bucket++;
	return bucket;
}

/* Slots of one series: one, or the buckets and the sum of a histogram. */
static size_t slots_per_series(const struct family *family)
{
	return family->kind == METRIC_HISTOGRAM ? bounds_table[family->unit].count + 2 : 1;
}

static size_t series_count(const struct family *family)
{
	size_t count = 1;
	for (int i = 0; i < METRIC_LABELS_MAX; i++)
		count *= label_table[family->labels[i]].count;
	return count;
}

/* ---- slots ---- */

/*
 * The slots of a thread. Written by it alone, so a plain load and store do; atomic ones, because a scrape reads them at
 * the same time. The memory comes zeroed from the kernel: what is never counted costs none.
 */
struct shard {
	struct shard *next;      /* of all */
	struct shard *next_free; /* of those whose thread has ended: the next thread goes on counting there */
	_Atomic uint64_t slots[];
};

static pthread_mutex_t shards_lock = PTHREAD_MUTEX_INITIALIZER;
static struct shard *shards;
static struct shard *shards_free;
static size_t first_slots[METRIC_COUNT];
static size_t slot_count;
static pthread_key_t thread_end;
static unsigned char status_labels[STATUS_MAX];
static __thread struct shard *own_shard;

static void give_shard_back(void *argument)
{
	struct shard *shard = argument;
	pthread_mutex_lock(&shards_lock);
	shard->next_free = shards_free;
	shards_free = shard;
	pthread_mutex_unlock(&shards_lock);
}

/* With the lock held. */
static void make_tables(void)
{
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		first_slots[i] = slot_count;
		slot_count += series_count(&families[i]) * slots_per_series(&families[i]);
	}
	(void)pthread_key_create(&thread_end, give_shard_back);
}

static struct shard *take_shard(void)
{
	pthread_mutex_lock(&shards_lock);
	if (!slot_count)
		make_tables();
	struct shard *shard = shards_free;
	if (shard) {
		shards_free = shard->next_free;
	} else {
		shard = xcalloc(1, sizeof(*shard) + slot_count * sizeof(shard->slots[0]));
		shard->next = shards;
		shards = shard;
	}
	pthread_mutex_unlock(&shards_lock);
	(void)pthread_setspecific(thread_end, shard);
	own_shard = shard;
	return shard;
}

static void slot_add(_Atomic uint64_t *slot, uint64_t amount)
{
	uint64_t value = atomic_load_explicit(slot, memory_order_relaxed);
	atomic_store_explicit(slot, value + amount, memory_order_relaxed);
}

static size_t slot_of(enum metric metric, const unsigned labels[METRIC_LABELS_MAX])
{
	const struct family *family = &families[metric];
	size_t series = 0;
	for (int i = 0; i < METRIC_LABELS_MAX && family->labels[i]; i++) {
		unsigned count = label_table[family->labels[i]].count;
		assert(labels[i] < count);
		series = series * count + labels[i];
	}
	return first_slots[metric] + series * slots_per_series(family);
}

void metric_add_at(enum metric metric, const unsigned labels[METRIC_LABELS_MAX], uint64_t amount)
{
	struct shard *shard = own_shard ? own_shard : take_shard();
	slot_add(&shard->slots[slot_of(metric, labels)], amount);
}

void metric_observe_at(enum metric metric, const unsigned labels[METRIC_LABELS_MAX], uint64_t value)
{
	struct shard *shard = own_shard ? own_shard : take_shard();
	const struct bounds *bounds = &bounds_table[families[metric].unit];
	_Atomic uint64_t *slots = &shard->slots[slot_of(metric, labels)];
	slot_add(&slots[bucket_of(bounds, value)], 1);
	slot_add(&slots[bounds->count + 1], value);
}

static uint64_t slot_sum(size_t slot)
{
	uint64_t sum = 0;
	for (const struct shard *shard = shards; shard; shard = shard->next)
		sum += atomic_load_explicit(&shard->slots[slot], memory_order_relaxed);
	return sum;
}

int64_t metric_value_at(enum metric metric, const unsigned labels[METRIC_LABELS_MAX])
{
	pthread_mutex_lock(&shards_lock);
	int64_t value = slot_count ? (int64_t)slot_sum(slot_of(metric, labels)) : 0;
	pthread_mutex_unlock(&shards_lock);
	return value;
}

void metric_histogram_observe(struct metric_histogram *histogram, enum metric_unit unit, uint64_t value)
{
	slot_add(&histogram->buckets[bucket_of(&bounds_table[unit], value)], 1);
	slot_add(&histogram->sum, value);
}

uint64_t metric_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- labels that are not numbered from 0 ---- */

static void make_status_labels(void)
{
	const struct label *label = &label_table[METRIC_LABEL_STATUS];
	for (unsigned i = 1; i < label->count; i++)
		status_labels[strtol(label->values[i], NULL, 10)] = (unsigned char)i;
}

unsigned metric_status(int status)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, make_status_labels);
	return status >= 0 && status < STATUS_MAX ? status_labels[status] : 0;
}

static int policy_indexes[METRIC_POLICIES_MAX];
static size_t policy_count;

void metrics_set_policies(const int *indexes, size_t count)
{
	policy_count = count < METRIC_POLICIES_MAX ? count : METRIC_POLICIES_MAX;
	for (size_t i = 0; i < policy_count; i++) {
		policy_indexes[i] = indexes[i];
		values_of_POLICY[i + 1] = xasprintf("%d", indexes[i]);
	}
}

unsigned metric_policy(int index)
{
	if (index < 0)
		return 0;
	for (size_t i = 0; i < policy_count; i++)
		if (policy_indexes[i] == index)
			return (unsigned)i + 1;
	return METRIC_POLICIES_MAX + 1;
}

/* ---- the text ---- */

static struct {
	metrics_collect_function *function;
	void *argument;
} collectors[COLLECTORS_MAX];
static size_t collector_count;

void metrics_add_collector(metrics_collect_function *function, void *argument)
{
	assert(collector_count < COLLECTORS_MAX);
	collectors[collector_count].function = function;
	collectors[collector_count++].argument = argument;
}

void metrics_remove_collectors(void)
{
	collector_count = 0;
}

/* Backslash, line feed and, in a label's value, the quote (exposition format 0.0.4). */
static void append_escaped(struct buf *text, const char *value, bool quoted)
{
	for (; *value; value++) {
		if (*value == '\\' || (quoted && *value == '"'))
			buf_append_byte(text, '\\');
		if (*value == '\n')
			buf_append_text(text, "\\n");
		else
			buf_append_byte(text, *value);
	}
}

void metrics_write_family(struct buf *text, const char *name, enum metric_kind kind, const char *help)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};
	buf_printf(text, "# HELP %s ", name);
	append_escaped(text, help, false);
	buf_printf(text, "\n# TYPE %s %s\n", name, kinds[kind]);
}

static void append_labels(struct buf *text, const char *const *labels, const char *bound)
{
	const char *separator = "{";
	for (; labels && labels[0]; labels += 2) {
		if (!*labels[1])
			continue;
		buf_printf(text, "%s%s=\"", separator, labels[0]);
		append_escaped(text, labels[1], true);
		buf_append_byte(text, '"');
		separator = ",";
	}
	if (bound)
		buf_printf(text, "%sle=\"%s\"}", separator, bound);
	else if (*separator == ',')
		buf_append_byte(text, '}');
}

/* Counts in full, everything else in as many digits as a double has. */
static void append_value(struct buf *text, double value)
{
	if (value == (double)(int64_t)value && value > -9e15 && value < 9e15)
		buf_printf(text, " %" PRId64 "\n", (int64_t)value);
	else
		buf_printf(text, " %.15g\n", value);
}

void metrics_write_sample(struct buf *text, const char *name, const char *const *labels, double value)
{
	buf_append_text(text, name);
	append_labels(text, labels, NULL);
	append_value(text, value);
}

static void write_buckets(struct buf *text, const char *name, const char *const *labels, const struct bounds *bounds,
	const uint64_t *buckets, uint64_t sum)
{
	uint64_t count = 0;
	for (size_t i = 0; i <= bounds->count; i++) {
		char bound[32] = "+Inf";
		count += buckets[i];
		if (i < bounds->count)
			(void)snprintf(bound, sizeof(bound), "%g", (double)bounds->items[i] * bounds->scale);
		buf_printf(text, "%s_bucket", name);
		append_labels(text, labels, bound);
		buf_printf(text, " %" PRIu64 "\n", count);
	}
	buf_printf(text, "%s_sum", name);
	append_labels(text, labels, NULL);
	append_value(text, (double)sum * bounds->scale);
	buf_printf(text, "%s_count", name);
	append_labels(text, labels, NULL);
	buf_printf(text, " %" PRIu64 "\n", count);
}

void metrics_write_histogram(struct buf *text, const char *name, const char *const *labels,
	const struct metric_histogram *histogram, enum metric_unit unit)
{
	uint64_t buckets[METRIC_BUCKETS_MAX];
	for (size_t i = 0; i < METRIC_BUCKETS_MAX; i++)
		buckets[i] = atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
	uint64_t sum = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
	write_buckets(text, name, labels, &bounds_table[unit], buckets, sum);
}

/* The label pairs of a family's series. */
static void name_labels(const struct family *family, size_t series, const char *labels[2 * METRIC_LABELS_MAX + 1])
{
	int count = 0;
	while (count < METRIC_LABELS_MAX && family->labels[count])
		count++;
	labels[2 * count] = NULL;
	for (int i = count; i-- > 0;) {
		const struct label *label = &label_table[family->labels[i]];
		const char *value = label->values[series % label->count];
		labels[2 * i] = label->name;
		labels[2 * i + 1] = value ? value : "";
		series /= label->count;
	}
}

static void write_series(struct buf *text, const struct family *family, size_t slot, size_t series)
{
	const struct bounds *bounds = &bounds_table[family->unit];
	const char *labels[2 * METRIC_LABELS_MAX + 1];
	if (family->kind != METRIC_HISTOGRAM) {
		uint64_t value = slot_sum(slot);
		if (!value && family->kind == METRIC_COUNTER)
			return;
		name_labels(family, series, labels);
		metrics_write_sample(text, family->name, labels, (double)(int64_t)value * bounds->scale);
		return;
	}
	uint64_t buckets[METRIC_BUCKETS_MAX];
	uint64_t count = 0;
	for (size_t i = 0; i <= bounds->count; i++)
		count += buckets[i] = slot_sum(slot + i);
	if (!count)
		return;
	name_labels(family, series, labels);
	write_buckets(text, family->name, labels, bounds, buckets, slot_sum(slot + bounds->count + 1));
}

/* A family without a sample is no error, but tells nothing. */
static void write_counted(struct buf *text, enum metric metric)
{
	const struct family *family = &families[metric];
	size_t before = text->length;
	metrics_write_family(text, family->name, family->kind, family->help);
	size_t head = text->length;
	size_t step = slots_per_series(family);
	for (size_t i = 0; i < series_count(family); i++)
		write_series(text, family, first_slots[metric] + i * step, i);
	if (text->length != head)
		return;
	text->length = before;
	text->data[before] = '\0';
}

void metrics_write(struct buf *text)
{
	pthread_mutex_lock(&shards_lock);
	for (size_t i = 0; slot_count && i < METRIC_COUNT; i++)
		write_counted(text, (enum metric)i);
	pthread_mutex_unlock(&shards_lock);
	for (size_t i = 0; i < collector_count; i++)
		collectors[i].function(collectors[i].argument, text);
	metrics_write_process(text);
}
