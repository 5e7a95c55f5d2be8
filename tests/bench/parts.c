/*
 * What the parts that swiftlet is made of give on this machine by themselves; prints one number.
 *
 *	parts rocksdb DIRECTORY COPIES WRITERS SECONDS   synced puts of 4 KiB a second into each of COPIES databases,
 *	                                                 each with WRITERS threads of its own
 *	parts md5 SECONDS                                bytes a second on one core, in blocks of 64 KiB
 *	parts xxh3 SECONDS                               the same
 *	parts write DIRECTORY WRITERS BYTES SECONDS      bytes a second into new files of BYTES with a fdatasync() each
 *	parts sendfile DIRECTORY SECONDS                 bytes a second over loopback, out of a file of 64 MiB
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

enum {
	VALUE_BYTES = 4096,
	BLOCK_BYTES = 64 << 10,
	PIECE_BYTES = 1 << 20,
	FILE_BYTES = 64 << 20,
	COPIES_MAX = 16,
	THREADS_MAX = 1024,
};

/* A figure in the making: threads count into `done` until `stop`. */
struct measure {
	atomic_uint_fast64_t next, done;
	atomic_bool stop;
	const char *directory;
	uint64_t file_bytes;
	rocksdb_t *databases[COPIES_MAX];
	rocksdb_writeoptions_t *synced;
	int copies;
	int listening;
};

static char random_bytes[PIECE_BYTES];

__attribute__((noreturn)) static void fail(const char *what, const char *why)
{
	fprintf(stderr, "parts: %s: %s\n", what, why);
	exit(1);
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fill_random_bytes(void)
{
	uint64_t state = 0x9e3779b97f4a7c15;
	for (size_t i = 0; i < sizeof(random_bytes); i += sizeof(state)) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(random_bytes + i, &state, sizeof(state));
	}
}

/* What `work` does a second, in `threads` threads. */
static double run(struct measure *measure, void *(*work)(void *), int threads, double seconds)
{
	static pthread_t started[THREADS_MAX];
	if (threads < 1 || threads > THREADS_MAX)
		fail("threads", "too many");
	double start = now();
	for (int i = 0; i < threads; i++)
		if (pthread_create(&started[i], NULL, work, measure) != 0)
			fail("pthread_create", strerror(errno));
	usleep((useconds_t)(seconds * 1e6));
	measure->stop = true;
	for (int i = 0; i < threads; i++)
		pthread_join(started[i], NULL);
	return (double)measure->done / (now() - start);
}

/* ---- RocksDB ---- */

static void *put_values(void *argument)
{
	struct measure *measure = argument;
	rocksdb_t *database = measure->databases[measure->next++ % (unsigned)measure->copies];
	while (!measure->stop) {
		uint64_t number = measure->next++;
		/* Spread over the key space, as hashes are; the values differ, too. */
		uint64_t key = number * 0x9e3779b97f4a7c15;
		const char *value = random_bytes + number % (PIECE_BYTES - VALUE_BYTES);
		char *error = NULL;
		rocksdb_put(database, measure->synced, (const char *)&key, sizeof(key), value, VALUE_BYTES, &error);
		if (error)
			fail("rocksdb_put", error);
		measure->done++;
	}
	return NULL;
}

static double measure_rocksdb(const char *directory, int copies, int writers, double seconds)
{
	struct measure measure = {.copies = copies, .synced = rocksdb_writeoptions_create()};
	rocksdb_writeoptions_set_sync(measure.synced, 1);
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(options, 1);
	if (copies < 1 || copies > COPIES_MAX)
		fail("rocksdb", "too many copies");
	char path[COPIES_MAX][4096];
	char *error = NULL;
	for (int i = 0; i < copies && !error; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/rocksdb-%d", directory, i);
		measure.databases[i] = rocksdb_open(options, path[i], &error);
	}
	if (error)
		fail("rocksdb_open", error);
	double rate = run(&measure, put_values, copies * writers, seconds) / copies;
	for (int i = 0; i < copies; i++) {
		rocksdb_close(measure.databases[i]);
		rocksdb_destroy_db(options, path[i], &error);
	}
	rocksdb_options_destroy(options);
	rocksdb_writeoptions_destroy(measure.synced);
	return rate;
}

/* ---- checksums ---- */

static void *sum_md5(void *argument)
{
	struct measure *measure = argument;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_DigestInit_ex(context, EVP_md5(), NULL);
	while (!measure->stop) {
		EVP_DigestUpdate(context, random_bytes + measure->done % PIECE_BYTES, BLOCK_BYTES);
		measure->done += BLOCK_BYTES;
	}
	EVP_DigestFinal_ex(context, digest, NULL);
	EVP_MD_CTX_free(context);
	return NULL;
}

static void *sum_xxh3(void *argument)
{
	struct measure *measure = argument;
	static volatile uint64_t sum; /* keeps the loop */
	while (!measure->stop) {
		sum += XXH3_64bits(random_bytes + measure->done % PIECE_BYTES, BLOCK_BYTES);
		measure->done += BLOCK_BYTES;
	}
	return NULL;
}

/* ---- files ---- */

static void write_file(struct measure *measure, uint64_t number)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/file-%" PRIu64, measure->directory, number);
	int file = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0)
		fail(path, strerror(errno));
	for (uint64_t left = measure->file_bytes; left;) {
		ssize_t count = write(file, random_bytes, left < PIECE_BYTES ? left : PIECE_BYTES);
		if (count < 0)
			fail(path, strerror(errno));
		left -= (uint64_t)count;
	}
	if (fdatasync(file) < 0)
		fail(path, strerror(errno));
	close(file);
	unlink(path);
}

static void *write_files(void *argument)
{
	struct measure *measure = argument;
	while (!measure->stop) {
		write_file(measure, measure->next++);
		measure->done += measure->file_bytes;
	}
	return NULL;
}

static double measure_write(const char *directory, int writers, uint64_t bytes, double seconds)
{
	struct measure measure = {.directory = directory, .file_bytes = bytes};
	return run(&measure, write_files, writers, seconds);
}

/* ---- loopback ---- */

static int listen_on_loopback(struct sockaddr_in *ret_address)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listening < 0 || bind(listening, (struct sockaddr *)&address, length) < 0 || listen(listening, 1) < 0 ||
		getsockname(listening, (struct sockaddr *)&address, &length) < 0)
		fail("listen", strerror(errno));
	*ret_address = address;
	return listening;
}

/* Throws the bytes away in the kernel, as the load generator does. */
static void *receive_all(void *argument)
{
	struct measure *measure = argument;
	int connection = accept4(measure->listening, NULL, NULL, SOCK_CLOEXEC);
	ssize_t count;
	while ((count = recv(connection, NULL, PIECE_BYTES, MSG_TRUNC)) > 0)
		measure->done += (uint64_t)count;
	close(connection);
	return NULL;
}

static void send_file_again_and_again(int file, int connection, double seconds)
{
	double end = now() + seconds;
	off_t offset = 0;
	while (now() < end) {
		if (sendfile(connection, file, &offset, PIECE_BYTES) < 0)
			fail("sendfile", strerror(errno));
		if (offset >= FILE_BYTES)
			offset = 0;
	}
}

static double measure_sendfile(const char *directory, double seconds)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/sent", directory);
	int file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	for (int i = 0; i < FILE_BYTES / PIECE_BYTES; i++)
		if (write(file, random_bytes, PIECE_BYTES) != PIECE_BYTES)
			fail(path, strerror(errno));
	struct sockaddr_in address;
	struct measure measure = {.listening = listen_on_loopback(&address)};
	pthread_t receiver;
	pthread_create(&receiver, NULL, receive_all, &measure);
	int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(connection, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("connect", strerror(errno));
	double start = now();
	send_file_again_and_again(file, connection, seconds);
	close(connection);
	pthread_join(receiver, NULL);
	double rate = (double)measure.done / (now() - start);
	close(file);
	unlink(path);
	return rate;
}

int main(int argc, char **argv)
{
	const char *part = argc > 1 ? argv[1] : "";
	struct measure measure = {0};
	fill_random_bytes();
	double rate;
	if (strcmp(part, "rocksdb") == 0 && argc == 6)
		rate = measure_rocksdb(
			argv[2], (int)strtol(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10), strtod(argv[5], NULL));
	else if (strcmp(part, "md5") == 0 && argc == 3)
		rate = run(&measure, sum_md5, 1, strtod(argv[2], NULL));
	else if (strcmp(part, "xxh3") == 0 && argc == 3)
		rate = run(&measure, sum_xxh3, 1, strtod(argv[2], NULL));
	else if (strcmp(part, "write") == 0 && argc == 6)
		rate = measure_write(
			argv[2], (int)strtol(argv[3], NULL, 10), strtoull(argv[4], NULL, 10), strtod(argv[5], NULL));
	else if (strcmp(part, "sendfile") == 0 && argc == 4)
		rate = measure_sendfile(argv[2], strtod(argv[3], NULL));
	else
		fail("usage", "see the head of tests/bench/parts.c");
	printf("%.1f\n", rate);
	return 0;
}
