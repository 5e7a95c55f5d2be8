/*
 * Synced 4 KiB object PUTs a second with 1, 16 and 64 threads, beside plain synced puts of the same
 * size into RocksDB from as many threads. Below SWIFTLET_TEST_TMP, TMPDIR or /tmp: put the disk in
 * question there.
 *
 *	make build/plain/tests/bench/bench_device
 *	build/plain/tests/bench/bench_device [seconds per figure, default 3]
 */
#include <inttypes.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/store/device.h"
#include "object/object_store.h"
#include "tests/unit/device_fixture.h"

enum { BODY_BYTES = 4096, THREADS_MAX = 64 };

struct bench {
	struct device *device; /* one of the two */
	rocksdb_t *db;
	rocksdb_writeoptions_t *synced;
	atomic_uint_fast64_t next;
	atomic_uint_fast64_t done;
	atomic_bool stop;
};

static const char body[BODY_BYTES] = "the same for all";

static void fail(const char *what, int result)
{
	fprintf(stderr, "bench_device: %s: %s\n", what, strerror(-result));
	exit(1);
}

static void put_object(struct bench *bench, uint64_t number)
{
	struct object_key key = {0};
	/* Spread over the key space, as hashes are. */
	uint64_t spread = number * 0x9e3779b97f4a7c15;
	memcpy(key.hash, &spread, sizeof(spread));
	struct object_writer *writer;
	int result = object_writer_new(bench->device, &key, BODY_BYTES, &writer);
	if (result == 0)
		result = object_writer_append(writer, body, BODY_BYTES);
	if (result == 0)
		result = object_writer_finish(writer);
	if (result < 0)
		fail("object_writer", result);
	char name[48];
	int length = snprintf(name, sizeof(name), "/AUTH_test/bench/%" PRIu64, number);
	struct object_put put = {
		.key = key,
		.name = slice_of(name, (size_t)length),
		.timestamp = {number + 1, 0},
		.writer = writer,
		.etag = "d41d8cd98f00b204e9800998ecf8427e",
		.content_type = "application/octet-stream",
	};
	result = device_commit(bench->device, object_put, &put);
	if (result < 0)
		fail("object_put", result);
	object_writer_free(writer);
}

static void put_plain(struct bench *bench, uint64_t number)
{
	char *error = NULL;
	uint64_t spread = number * 0x9e3779b97f4a7c15;
	rocksdb_put(bench->db, bench->synced, (const char *)&spread, sizeof(spread), body, BODY_BYTES, &error);
	if (error) {
		fprintf(stderr, "bench_device: rocksdb_put: %s\n", error);
		exit(1);
	}
}

static void *run(void *argument)
{
	struct bench *bench = argument;
	while (!bench->stop) {
		uint64_t number = atomic_fetch_add(&bench->next, 1);
		if (bench->device)
			put_object(bench, number);
		else
			put_plain(bench, number);
		atomic_fetch_add(&bench->done, 1);
	}
	return NULL;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double measure(struct bench *bench, int thread_count, double seconds)
{
	pthread_t threads[THREADS_MAX];
	bench->stop = false;
	bench->done = 0;
	double start = now();
	for (int i = 0; i < thread_count; i++)
		pthread_create(&threads[i], NULL, run, bench);
	usleep((useconds_t)(seconds * 1e6));
	bench->stop = true;
	for (int i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	return (double)bench->done / (now() - start);
}

static double bench_objects(int thread_count, double seconds, double *ret_group)
{
	char *path = fixture_directory();
	struct bench bench = {.device = fixture_open(path)};
	double rate = measure(&bench, thread_count, seconds);
	uint64_t batches, changes;
	device_commit_counts(bench.device, &batches, &changes);
	*ret_group = (double)changes / (double)batches;
	device_close(bench.device);
	fixture_remove(path);
	return rate;
}

static double bench_plain(int thread_count, double seconds)
{
	char *path = fixture_directory();
	char *error = NULL;
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(options, 1);
	struct bench bench = {.db = rocksdb_open(options, path, &error), .synced = rocksdb_writeoptions_create()};
	if (error) {
		fprintf(stderr, "bench_device: %s\n", error);
		exit(1);
	}
	rocksdb_writeoptions_set_sync(bench.synced, 1);
	double rate = measure(&bench, thread_count, seconds);
	rocksdb_close(bench.db);
	rocksdb_writeoptions_destroy(bench.synced);
	rocksdb_options_destroy(options);
	fixture_remove(path);
	return rate;
}

int main(int argc, char **argv)
{
	static const int thread_counts[] = {1, 16, 64};
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;
	printf("threads  object_put/s  changes/sync  rocksdb put/s\n");
	for (size_t i = 0; i < sizeof(thread_counts) / sizeof(thread_counts[0]); i++) {
		double group;
		double objects = bench_objects(thread_counts[i], seconds, &group);
		double plain = bench_plain(thread_counts[i], seconds);
		printf("%7d  %12.0f  %12.1f  %13.0f\n", thread_counts[i], objects, group, plain);
	}
	return 0;
}
