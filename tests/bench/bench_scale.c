/*
 * What grows when the data grow, and what must not: costs and memory at 10^3, 10^4 … N.
 *
 *	bench_scale rows DIR N           one container: changes of rows a second and the time of a page of its listing
 *	bench_scale deleted DIR N        a container of N rows, deleted again all but the last few: a page, then and later
 *	bench_scale objects DIR N BYTES  N objects on six devices: memory for each, GETs cold and warm, opening
 *	bench_scale emptied DIR N BYTES  the same, then 90 % of them deleted: what is left on the disk
 *
 * DIR is made, must not exist before, and is removed at the end. N may be written as 1e7. Rates are by processor time of
 * the whole process (compaction and all) as well as by the clock, because a busy machine spoils only the latter.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <malloc.h>
#include <openssl/evp.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/store/device.h"
#include "lib/store/device_private.h"
#include "lib/store/device_set.h"
#include "lib/store/listing.h"
#include "object/object_store.h"

enum {
	DEVICES = 6,
	FLIGHT_MAX = 512, /* changes that wait for one device's committer */
	PAGE_ROWS = 10000,
	PAGES = 9,
	CACHE_BYTES = 96 << 20,
	BUFFER_BYTES = 96 << 20,
	BODY_BYTES_MAX = OBJECT_INLINE_BYTES_MAX,
	GETS = 20000,
};

static const char *const device_names[] = {"d1", "d2", "d3", "d4", "d5", "d6", NULL};
static struct device_set *set;
static const char *root;
static const unsigned char container_hash[16] = "container's hash";

static void fail(const char *what, int result)
{
	fprintf(stderr, "bench_scale: %s: %s\n", what, strerror(-result));
	exit(1);
}

static void check(const char *what, int result)
{
	if (result < 0)
		fail(what, result);
}

static double wall(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double cpu(void)
{
	struct timespec time;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double own_cpu(void)
{
	struct timespec time;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double resident_mib(void)
{
	unsigned long all = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	if (!file || fscanf(file, "%lu %lu", &all, &resident) != 2)
		exit(1);
	fclose(file);
	return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static uint64_t disk_bytes;

static int add_size(const char *path, const struct stat *info, int type, struct FTW *position)
{
	(void)path;
	(void)position;
	if (type == FTW_F)
		disk_bytes += (uint64_t)info->st_blocks * 512;
	return 0;
}

static double disk_mib(void)
{
	disk_bytes = 0;
	(void)nftw(root, add_size, 32, FTW_PHYS);
	return (double)disk_bytes / 1048576;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *position)
{
	(void)info;
	(void)type;
	(void)position;
	return remove(path);
}

/* ---- devices ---- */

static int recover(struct device *device, void *argument)
{
	(void)argument;
	return object_store_recover(device);
}

static void open_devices(void)
{
	struct device_set_options options = {
		.root = root,
		.names = device_names,
		.create = true,
		.cache_bytes = CACHE_BYTES,
		.buffer_bytes = BUFFER_BYTES,
		.opened = recover,
	};
	check("device_set_open", device_set_open(&options, &set));
	for (size_t i = 0; i < DEVICES; i++)
		check("device_entry_enter", device_entry_enter(device_set_at(set, i)));
}

static struct device *device_at(size_t index)
{
	return device_entry_device(device_set_at(set, index));
}

static void close_devices(void)
{
	for (size_t i = 0; i < DEVICES; i++)
		device_entry_leave(device_set_at(set, i));
	device_set_close(set);
}

/* As a process does that has become idle. */
static void settle(void)
{
	device_set_care(set, true);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < DEVICES; i++)
			device_settle(device_at(i));
	(void)malloc_trim(0);
}

/* ---- many changes in flight ---- */

struct flight {
	struct device_commit commit;
	struct lane *lane;
	struct flight *next;
	int expected; /* a refusal that is none */
	char name[32];
	struct listing_object_row row;
	struct object_put put;
	struct object_delete delete;
	struct arena *arena;
};

/* What is under way to one device. */
struct lane {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct flight *free;
	size_t free_count;
	struct flight flights[FLIGHT_MAX];
};

static struct lane lanes[DEVICES];

static void lanes_init(void)
{
	for (size_t i = 0; i < DEVICES; i++) {
		struct lane *lane = &lanes[i];
		pthread_mutex_init(&lane->lock, NULL);
		pthread_cond_init(&lane->freed, NULL);
		for (size_t j = 0; j < FLIGHT_MAX; j++) {
			lane->flights[j].lane = lane;
			lane->flights[j].next = lane->free;
			lane->free = &lane->flights[j];
		}
		lane->free_count = FLIGHT_MAX;
	}
}

static struct flight *lane_take(struct lane *lane)
{
	pthread_mutex_lock(&lane->lock);
	while (!lane->free)
		pthread_cond_wait(&lane->freed, &lane->lock);
	struct flight *flight = lane->free;
	lane->free = flight->next;
	lane->free_count--;
	pthread_mutex_unlock(&lane->lock);
	return flight;
}

static void flight_done(struct device_commit *commit)
{
	struct flight *flight = commit->done_argument;
	struct lane *lane = flight->lane;
	check("commit", commit->result);
	object_writer_free(flight->put.writer);
	flight->put.writer = NULL;
	arena_free(flight->arena);
	flight->arena = NULL;
	pthread_mutex_lock(&lane->lock);
	flight->next = lane->free;
	lane->free = flight;
	lane->free_count++;
	pthread_cond_signal(&lane->freed);
	pthread_mutex_unlock(&lane->lock);
}

static void flight_start(struct flight *flight, struct device *device, device_change_fn *change, void *argument)
{
	flight->commit = (struct device_commit){
		.change = change,
		.argument = argument,
		.done = flight_done,
		.done_argument = flight,
	};
	device_commit_start(device, &flight->commit);
}

static void lanes_drain(void)
{
	for (size_t i = 0; i < DEVICES; i++) {
		pthread_mutex_lock(&lanes[i].lock);
		while (lanes[i].free_count < FLIGHT_MAX)
			pthread_cond_wait(&lanes[i].freed, &lanes[i].lock);
		pthread_mutex_unlock(&lanes[i].lock);
	}
}

/* Names come in no order, as clients' do. */
static uint64_t spread(uint64_t number)
{
	return number * 0x9e3779b97f4a7c15;
}

/* ---- rows ---- */

static struct timestamp tick(void)
{
	static uint64_t raw = UINT64_C(170000000000000);
	return (struct timestamp){.raw = raw++};
}

static void make_container(void)
{
	struct listing_change change = {
		.kind = LISTING_CONTAINER,
		.account = SLICE_LITERAL("AUTH_test"),
		.container = SLICE_LITERAL("bench"),
		.timestamp = tick(),
		.policy_requested = -1,
	};
	memcpy(change.hash, container_hash, sizeof(change.hash));
	check("listing_put", device_commit(device_at(0), listing_put, &change));
}

static void change_row(uint64_t number, bool deleted)
{
	struct flight *flight = lane_take(&lanes[0]);
	int length = snprintf(flight->name, sizeof(flight->name), "%016" PRIx64, spread(number));
	struct timestamp now = tick();
	flight->row = (struct listing_object_row){
		.account = SLICE_LITERAL("AUTH_test"),
		.container = SLICE_LITERAL("bench"),
		.name = slice_of(flight->name, (size_t)length),
		.row =
			{
				.data = now,
				.content_type_time = now,
				.meta = now,
				.size = deleted ? 0 : 4096,
				.content_type = deleted ? SLICE_NONE : SLICE_LITERAL("application/octet-stream"),
				.etag = deleted ? SLICE_NONE : SLICE_LITERAL("d41d8cd98f00b204e9800998ecf8427e"),
				.deleted = deleted,
			},
	};
	memcpy(flight->row.hash, container_hash, sizeof(flight->row.hash));
	flight_start(flight, device_at(0), listing_put_object_row, &flight->row);
}

static int count_entry(const struct listing_entry *entry, void *argument)
{
	(void)entry;
	(*(uint64_t *)argument)++;
	return 0;
}

static int compare_doubles(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return left < right ? -1 : left > right;
}

/* Median of several pages all over the container, in microseconds of processor time. */
static double page_us(uint64_t *ret_rows)
{
	double times[PAGES];
	for (unsigned i = 0; i < PAGES; i++) {
		char marker[8];
		int length = snprintf(marker, sizeof(marker), "%02x", i * 0xe0 / PAGES);
		struct listing_query query = {
			.kind = LISTING_CONTAINER, .limit = PAGE_ROWS, .marker = slice_of(marker, (size_t)length)};
		memcpy(query.hash, container_hash, sizeof(query.hash));
		if (i == 0)
			query.marker = SLICE_NONE;
		*ret_rows = 0;
		double start = own_cpu();
		check("listing_walk", listing_walk(device_at(0), &query, count_entry, ret_rows));
		times[i] = (own_cpu() - start) * 1e6 / (double)(*ret_rows ? *ret_rows : 1);
	}
	qsort(times, PAGES, sizeof(times[0]), compare_doubles);
	return times[PAGES / 2];
}

static void bench_rows(uint64_t count)
{
	make_container();
	printf("      rows   PUTs/s  PUTs/cpu-s  page us/row     RSS MiB  disk B/row\n");
	uint64_t done = 0;
	for (uint64_t step = 1000; step <= count; step *= 10) {
		double timed = (double)(step - done);
		double start = wall(), start_cpu = cpu();
		for (; done < step; done++)
			change_row(done, false);
		lanes_drain();
		double seconds = wall() - start, seconds_cpu = cpu() - start_cpu;
		double resident = resident_mib();
		uint64_t rows;
		double page = page_us(&rows);
		printf("%10" PRIu64 "  %7.0f  %10.0f  %11.3f  %10.1f  %10.1f\n", step, timed / seconds,
			timed / seconds_cpu, page, resident, disk_mib() * 1048576 / (double)step);
		(void)fflush(stdout);
	}
	settle();
	printf("idle: %.1f MiB\n", resident_mib());
}

static void print_first_page(const char *when)
{
	uint64_t rows = 0;
	struct listing_query query = {.kind = LISTING_CONTAINER, .limit = PAGE_ROWS};
	memcpy(query.hash, container_hash, sizeof(query.hash));
	double start = wall();
	check("listing_walk", listing_walk(device_at(0), &query, count_entry, &rows));
	printf("%-28s %5" PRIu64 " rows, %9.3f ms\n", when, rows, (wall() - start) * 1e3);
	(void)fflush(stdout);
}

static void bench_deleted(uint64_t count)
{
	make_container();
	for (uint64_t i = 0; i < count; i++)
		change_row(i, false);
	lanes_drain();
	print_first_page("full");
	for (uint64_t i = 10; i < count; i++) {
		change_row(i, true);
		if (i % (count / 4) == 0) {
			lanes_drain();
			print_first_page("while deleting");
		}
	}
	lanes_drain();
	print_first_page("after deleting");
	print_first_page("again");
	for (int i = 0; i < 5; i++) {
		usleep(1000 * 1000);
		print_first_page("a second later");
	}
	settle();
	print_first_page("settled");
}

/* ---- objects ---- */

static size_t device_of(uint64_t number)
{
	return (size_t)((spread(number) >> 32) % DEVICES);
}

static struct object_key key_of(uint64_t number)
{
	struct object_key key = {0};
	uint64_t halves[2] = {spread(number), number};
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	(void)EVP_Digest(halves, sizeof(halves), digest, &length, EVP_md5(), NULL);
	memcpy(key.hash, digest, sizeof(key.hash));
	return key;
}

static void put_object(uint64_t number, size_t bytes)
{
	static char body[BODY_BYTES_MAX];
	size_t index = device_of(number);
	struct device *device = device_at(index);
	struct flight *flight = lane_take(&lanes[index]);
	struct object_key key = key_of(number);
	struct object_writer *writer;
	memcpy(body, &number, sizeof(number) < bytes ? sizeof(number) : bytes);
	check("object_writer_new", object_writer_new(device, &key, (int64_t)bytes, &writer));
	check("object_writer_append", object_writer_append(writer, body, bytes));
	check("object_writer_finish", object_writer_finish(writer));
	int length = snprintf(flight->name, sizeof(flight->name), "/AUTH_test/bench/%" PRIu64, number);
	flight->put = (struct object_put){
		.key = key,
		.name = slice_of(flight->name, (size_t)length),
		.timestamp = tick(),
		.writer = writer,
		.etag = "d41d8cd98f00b204e9800998ecf8427e",
		.content_type = "application/octet-stream",
	};
	flight_start(flight, device, object_put, &flight->put);
}

static void delete_object(uint64_t number)
{
	size_t index = device_of(number);
	struct flight *flight = lane_take(&lanes[index]);
	int length = snprintf(flight->name, sizeof(flight->name), "/AUTH_test/bench/%" PRIu64, number);
	flight->arena = arena_new();
	flight->delete = (struct object_delete){
		.key = key_of(number),
		.name = slice_of(flight->name, (size_t)length),
		.timestamp = tick(),
		.arena = flight->arena,
	};
	flight_start(flight, device_at(index), object_delete, &flight->delete);
}

static void fill(uint64_t count, size_t bytes)
{
	printf("   objects   PUTs/s  PUTs/cpu-s     RSS MiB    disk MiB\n");
	uint64_t done = 0;
	for (uint64_t step = 1000; done < count; step = step * 10 < count ? step * 10 : count) {
		double start = wall(), start_cpu = cpu();
		uint64_t before = done;
		for (; done < step; done++)
			put_object(done, bytes);
		lanes_drain();
		printf("%10" PRIu64 "  %7.0f  %10.0f  %10.1f  %10.1f\n", step,
			(double)(step - before) / (wall() - start), (double)(step - before) / (cpu() - start_cpu),
			resident_mib(), disk_mib());
		(void)fflush(stdout);
	}
}

/* `stride` apart, so that each is met for the first time. */
static void print_gets(const char *what, uint64_t first, uint64_t end, enum object_kind expected)
{
	double start = wall(), start_cpu = own_cpu();
	char body[BODY_BYTES_MAX];
	uint64_t gets = 0;
	for (; gets < GETS; gets++) {
		uint64_t number = first + spread(gets) % (end - first);
		struct device *device = device_at(device_of(number));
		struct object_key key = key_of(number);
		struct object_record record;
		struct arena *arena = arena_new();
		check("object_read", object_read(device, &key, arena, &record));
		if (record.kind != expected) {
			fprintf(stderr, "bench_scale: object %" PRIu64 " is not what it should be\n", number);
			exit(1);
		}
		if (record.kind == OBJECT_DATA) {
			struct object_body *opened;
			check("object_body_open", object_body_open(device, &key, &record, &opened));
			check("object_body_read", (int)object_body_read(opened, 0, body, sizeof(body)));
			object_body_free(opened);
		}
		arena_free(arena);
	}
	printf("%-28s %7.1f us, %6.1f us of CPU\n", what, (wall() - start) * 1e6 / (double)gets,
		(own_cpu() - start_cpu) * 1e6 / (double)gets);
	(void)fflush(stdout);
}

static void drop_page_cache(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

static int drop_entry(const char *path, const struct stat *info, int type, struct FTW *position)
{
	(void)info;
	(void)position;
	if (type == FTW_F)
		drop_page_cache(path);
	return 0;
}

static void bench_objects(uint64_t count, size_t bytes)
{
	double empty = resident_mib();
	fill(count, bytes);
	settle();
	double idle = resident_mib();
	printf("idle: %.1f MiB, %.1f bytes an object more than the empty process\n", idle,
		(idle - empty) * 1048576 / (double)count);
	device_set_care(set, false);
	print_gets("GET", 0, count, OBJECT_DATA);
	print_gets("GET, the same again", 0, count, OBJECT_DATA);
	print_gets("GET of what is not there", count, 2 * count, OBJECT_ABSENT);
	double full = resident_mib();
	printf("after GETs: %.1f MiB, %.1f bytes an object\n", full, (full - empty) * 1048576 / (double)count);

	double start = wall();
	close_devices();
	printf("closing: %.2f s\n", wall() - start);
	sync();
	(void)nftw(root, drop_entry, 32, FTW_PHYS);
	start = wall();
	open_devices();
	printf("opening, page cache cold: %.2f s, then %.1f MiB\n", wall() - start, resident_mib());
	print_gets("GET, page cache cold", 0, count, OBJECT_DATA);
}

static void bench_emptied(uint64_t count, size_t bytes)
{
	fill(count, bytes);
	settle();
	double before = disk_mib();
	for (uint64_t i = 0; i < count; i++)
		if (i % 10)
			delete_object(i);
	lanes_drain();
	printf("before %.1f MiB, deleted 90 %%: %.1f MiB\n", before, disk_mib());
	for (int i = 0; i < 10; i++) {
		usleep(1000 * 1000);
		settle();
		printf("later: %.1f MiB\n", disk_mib());
		(void)fflush(stdout);
	}
	print_gets("GET of what was deleted", 1, 2, OBJECT_TOMBSTONE);
}

static void end(void)
{
	(void)nftw(root, remove_entry, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int main(int argc, char **argv)
{
	static const char usage[] = "usage: bench_scale rows|deleted DIR N, or objects|emptied DIR N BYTES\n";
	if (argc < 4 || argc > 5)
		return fputs(usage, stderr) < 0 ? 1 : 2;
	uint64_t count = (uint64_t)strtod(argv[3], NULL);
	size_t bytes = argc > 4 ? (size_t)strtod(argv[4], NULL) : 100;
	root = argv[2];
	if (count < 1000 || bytes > BODY_BYTES_MAX || mkdir(root, 0700) < 0) {
		fprintf(stderr, "bench_scale: N is 1000 at least, BYTES %d at most, and %s must be new\n",
			BODY_BYTES_MAX, root);
		return 2;
	}
	(void)atexit(end);
	(void)mallopt(M_MMAP_THRESHOLD, 64 * 1024 + 1);
	(void)mallopt(M_TRIM_THRESHOLD, 128 * 1024);
	(void)mallopt(M_ARENA_MAX, 4);
	open_devices();
	lanes_init();
	if (strcmp(argv[1], "rows") == 0)
		bench_rows(count);
	else if (strcmp(argv[1], "deleted") == 0)
		bench_deleted(count);
	else if (strcmp(argv[1], "objects") == 0)
		bench_objects(count, bytes);
	else if (strcmp(argv[1], "emptied") == 0)
		bench_emptied(count, bytes);
	else
		return fputs(usage, stderr) < 0 ? 1 : 2;
	close_devices();
	return 0;
}
