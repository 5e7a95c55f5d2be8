/*
 * The object store against a model in memory, with the process killed again and again.
 *
 * Workers (threads) have objects of their own, and each runs an endless row of operations that
 * depends on the seed alone. A child process runs them and tells its parent through a pipe of each
 * operation that was acknowledged. The parent kills it; the next child opens the store and finds
 * for every worker exactly the state after all acknowledged operations, or after one more: the one
 * that was under way. It tells the parent which, and goes on from there.
 *
 * SWIFTLET_MODEL_OPERATIONS: how many operations in all (100000). SWIFTLET_MODEL_SEED: another row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "lib/store/device.h"
#include "object/object_record.h"
#include "object/object_store.h"
#include "tests/unit/device_fixture.h"

enum {
	WORKERS = 16,
	OBJECTS_PER_WORKER = 12,
	OPERATIONS_DEFAULT = 100000,
	LARGE_BYTES_MAX = 300000,
};

static uint64_t seed;

/* ---- random operations ---- */

enum verb { PUT, POST, DELETE, EXPIRE, READ, READ_RANGE, READ_FOREIGN };

struct operation {
	enum verb verb;
	int object;
	uint64_t id; /* number of the operation, from 1: in headers, types and bodies */
	struct timestamp time;
	uint64_t size;      /* PUT */
	uint64_t delete_at; /* PUT, POST: the header, 0 = none; EXPIRE: what is asked for */
	bool with_type;     /* POST */
	bool announced;     /* PUT: the size is known from the start */
	uint64_t random;    /* for ranges */
};

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t random_size(uint64_t *state)
{
	uint64_t kind = next_random(state) % 100;
	if (kind < 5)
		return next_random(state) % 3 * (OBJECT_INLINE_BYTES_MAX / 2);
	if (kind < 10)
		return OBJECT_INLINE_BYTES_MAX + 1 + next_random(state) % LARGE_BYTES_MAX;
	return next_random(state) % (kind < 90 ? 2000 : OBJECT_INLINE_BYTES_MAX + 1);
}

/* Times creep forward, with enough noise that old, equal and offset times are usual. */
static struct timestamp random_time(uint64_t *state, uint64_t id)
{
	uint64_t seconds = 1000 + id / 16 + next_random(state) % 24;
	return (struct timestamp){seconds * TIMESTAMP_RAW_PER_SECOND, next_random(state) % 4 == 0 ? 1 : 0};
}

static struct operation operation_of(int worker, uint64_t id)
{
	static const enum verb verbs[] = {PUT, PUT, PUT, PUT, PUT, POST, POST, POST, DELETE, EXPIRE, READ, READ, READ,
		READ, READ_RANGE, READ_RANGE, READ_FOREIGN, READ_FOREIGN};
	uint64_t state = seed * 1000003 + (uint64_t)worker * 0x100000000 + id;
	struct operation operation = {
		.verb = verbs[next_random(&state) % (sizeof(verbs) / sizeof(verbs[0]))],
		.object = (int)(next_random(&state) % OBJECTS_PER_WORKER),
		.id = id,
	};
	operation.time = random_time(&state, id);
	operation.size = random_size(&state);
	uint64_t seconds = operation.time.raw / TIMESTAMP_RAW_PER_SECOND;
	if (next_random(&state) % 3 == 0 || operation.verb == EXPIRE)
		operation.delete_at = seconds + next_random(&state) % 20;
	operation.with_type = next_random(&state) % 2;
	operation.announced = next_random(&state) % 2;
	operation.random = next_random(&state);
	return operation;
}

static struct object_key key_of(int worker, int object)
{
	struct object_key key = {.policy = (uint16_t)(worker % 2)};
	uint64_t state = (uint64_t)worker * 1000 + (uint64_t)object;
	for (int i = 0; i < 2; i++) {
		uint64_t half = next_random(&state);
		memcpy(key.hash + i * 8, &half, 8);
	}
	return key;
}

/* Eight bytes of a body at a time. */
static uint64_t body_word(uint64_t id, uint64_t index)
{
	return (id * 0x9e3779b97f4a7c15) ^ (index * 0xbf58476d1ce4e5b9);
}

static char *body_of(uint64_t id, uint64_t size)
{
	uint64_t words = size / 8 + 1;
	uint64_t *data = xmalloc(words * 8);
	for (uint64_t i = 0; i < words; i++)
		data[i] = body_word(id, i);
	return (char *)data;
}

/* ---- the model: Swift's rules once more, as short as they can be said ---- */

struct model {
	enum object_kind kind;
	struct timestamp data_time;
	uint64_t size;
	uint64_t id; /* of the PUT */
	uint64_t delete_at;
	struct timestamp meta_time;
	uint64_t meta_id;
	uint64_t meta_delete_at;
	struct timestamp type_time;
	uint64_t type_id;
};

static uint64_t model_delete_at(const struct model *model)
{
	if (model->kind != OBJECT_DATA)
		return 0;
	return timestamp_is_zero(model->meta_time) ? model->delete_at : model->meta_delete_at;
}

static struct timestamp newest(struct timestamp a, struct timestamp b)
{
	return timestamp_compare(a, b) > 0 ? a : b;
}

static bool model_expired(const struct model *model, struct timestamp now)
{
	uint64_t delete_at = model_delete_at(model);
	return delete_at && now.raw >= delete_at * TIMESTAMP_RAW_PER_SECOND;
}

static int model_put(struct model *model, const struct operation *operation)
{
	if (model->kind != OBJECT_ABSENT && timestamp_compare(operation->time, model->data_time) <= 0)
		return -EEXIST;
	struct model old = *model;
	*model = (struct model){
		.kind = OBJECT_DATA,
		.data_time = operation->time,
		.size = operation->size,
		.id = operation->id,
		.delete_at = operation->delete_at,
	};
	if (timestamp_compare(old.meta_time, operation->time) > 0) {
		model->meta_time = old.meta_time;
		model->meta_id = old.meta_id;
		model->meta_delete_at = old.meta_delete_at;
	}
	if (timestamp_compare(old.type_time, operation->time) > 0) {
		model->type_time = old.type_time;
		model->type_id = old.type_id;
	}
	return 0;
}

static int model_post(struct model *model, const struct operation *operation)
{
	if (model->kind != OBJECT_DATA || model_expired(model, operation->time))
		return -ENOENT;
	bool newer = timestamp_compare(operation->time, newest(model->data_time, model->meta_time)) > 0;
	bool newer_type = operation->with_type &&
			  timestamp_compare(operation->time, newest(model->data_time, model->type_time)) > 0;
	if (newer) {
		model->meta_time = operation->time;
		model->meta_id = operation->id;
		model->meta_delete_at = operation->delete_at;
	}
	if (newer_type) {
		model->type_time = operation->time;
		model->type_id = operation->id;
	}
	return newer || newer_type ? 0 : -EEXIST;
}

static int model_delete(struct model *model, const struct operation *operation)
{
	bool newer = timestamp_compare(operation->time, model->data_time) > 0;
	if (operation->verb == EXPIRE) {
		if (model->kind == OBJECT_ABSENT)
			return -ENOENT;
		if (!newer)
			return -EEXIST;
		if (model_delete_at(model) != operation->delete_at)
			return -ESTALE;
	}
	if (!newer)
		return model->kind == OBJECT_DATA && !model_expired(model, operation->time) ? -EEXIST : 0;
	*model = (struct model){.kind = OBJECT_TOMBSTONE, .data_time = operation->time};
	return 0;
}

/* Returns the result that the store has to give. */
static int model_apply(struct model *objects, const struct operation *operation)
{
	struct model *model = &objects[operation->object];
	switch (operation->verb) {
	case PUT:
		return model_put(model, operation);
	case POST:
		return model_post(model, operation);
	case DELETE:
	case EXPIRE:
		return model_delete(model, operation);
	default:
		return 0;
	}
}

/* ---- the child: workers on the store ---- */

struct message {
	enum { RESOLVED, ACKNOWLEDGED } kind;
	int worker;
	uint64_t count; /* RESOLVED: operations that the store holds */
};

struct worker {
	int number;
	struct device *device;
	int pipe;
	uint64_t done; /* operations */
	uint64_t limit;
	struct model objects[OBJECTS_PER_WORKER];
};

#define CHECK(worker, condition)                                                                                       \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			complain(worker, #condition, __LINE__);                                                        \
	} while (0)

static void complain(const struct worker *worker, const char *condition, int line)
{
	fprintf(stderr, "model: worker %d, after %" PRIu64 " operations, line %d: not so: %s\n", worker->number,
		worker->done, line, condition);
	_exit(1);
}

static void send_message(const struct worker *worker, struct message message)
{
	ssize_t written = write(worker->pipe, &message, sizeof(message));
	CHECK(worker, written == (ssize_t)sizeof(message));
}

static struct slice name_of(int worker, int object, char text[32])
{
	int length = snprintf(text, 32, "/a/%d/%d", worker, object);
	return slice_of(text, (size_t)length);
}

/* Headers of PUT and POST alike: who made them, and when the object ends. */
struct headers {
	char id[24];
	char delete_at[24];
	char type[32];
	struct object_header list[2];
	size_t count;
};

static void make_headers(const struct operation *operation, struct headers *headers)
{
	snprintf(headers->id, sizeof(headers->id), "%" PRIu64, operation->id);
	snprintf(headers->delete_at, sizeof(headers->delete_at), "%" PRIu64, operation->delete_at);
	snprintf(headers->type, sizeof(headers->type), "type/%" PRIu64, operation->id);
	headers->list[0] = (struct object_header){"X-Object-Meta-Id", headers->id};
	headers->list[1] = (struct object_header){"X-Delete-At", headers->delete_at};
	headers->count = operation->delete_at ? 2 : 1;
}

static int store_put(struct worker *worker, const struct operation *operation)
{
	struct object_key key = key_of(worker->number, operation->object);
	struct object_writer *writer;
	int64_t announced = operation->announced ? (int64_t)operation->size : -1;
	CHECK(worker, object_writer_new(worker->device, &key, announced, &writer) == 0);
	char *body = body_of(operation->id, operation->size);
	size_t piece = 1 + operation->random % 100000;
	for (uint64_t at = 0; at < operation->size; at += piece) {
		uint64_t left = operation->size - at;
		size_t part = left < piece ? (size_t)left : piece;
		CHECK(worker, object_writer_append(writer, body + at, part) == 0);
	}
	free(body);
	CHECK(worker, object_writer_finish(writer) == 0);
	char name[32];
	struct headers headers;
	make_headers(operation, &headers);
	struct object_put put = {
		.key = key,
		.name = name_of(worker->number, operation->object, name),
		.timestamp = operation->time,
		.writer = writer,
		.etag = headers.id,
		.content_type = headers.type,
		.headers = headers.list,
		.header_count = headers.count,
	};
	int result = device_commit(worker->device, object_put, &put);
	object_writer_free(writer);
	return result;
}

static int store_post(struct worker *worker, const struct operation *operation, struct arena *arena)
{
	struct headers headers;
	make_headers(operation, &headers);
	struct object_post post = {
		.key = key_of(worker->number, operation->object),
		.timestamp = operation->time,
		.type_time = operation->with_type ? operation->time : TIMESTAMP_ZERO,
		.content_type = headers.type,
		.headers = headers.list,
		.header_count = headers.count,
		.arena = arena,
	};
	return device_commit(worker->device, object_post, &post);
}

static int store_delete(struct worker *worker, const struct operation *operation, struct arena *arena)
{
	char name[32];
	struct object_delete delete = {
		.key = key_of(worker->number, operation->object),
		.name = name_of(worker->number, operation->object, name),
		.timestamp = operation->time,
		.check_delete_at = operation->verb == EXPIRE,
		.if_delete_at = (int64_t)operation->delete_at,
		.arena = arena,
	};
	return device_commit(worker->device, object_delete, &delete);
}

/* ---- comparing ---- */

static bool same_time(struct timestamp a, struct timestamp b)
{
	return timestamp_compare(a, b) == 0;
}

static bool record_matches(const struct object_record *record, const struct model *model, struct arena *arena)
{
	if (record->kind != model->kind || !same_time(record->data_time, model->data_time))
		return false;
	if (model->kind != OBJECT_DATA)
		return true;
	if (record->size != model->size || !same_time(record->meta_time, model->meta_time) ||
		!same_time(record->type_time, model->type_time) || strtoull(record->etag, NULL, 10) != model->id ||
		object_record_delete_at(record) != model_delete_at(model))
		return false;
	struct object_view view;
	object_view(record, arena, &view);
	const char *id = object_header_get(view.headers, view.header_count, "X-Object-Meta-Id");
	uint64_t meta_id = timestamp_is_zero(model->meta_time) ? model->id : model->meta_id;
	uint64_t type_id = timestamp_is_zero(model->type_time) ? model->id : model->type_id;
	return id && strtoull(id, NULL, 10) == meta_id &&
	       strtoull(view.content_type + strlen("type/"), NULL, 10) == type_id;
}

static bool body_matches(struct object_body *body, uint64_t id, uint64_t size, uint64_t from, uint64_t bytes)
{
	char *expected = body_of(id, size);
	char *data = xmalloc(bytes + 1);
	ssize_t count = object_body_read(body, from, data, bytes);
	uint64_t right = from >= size ? 0 : size - from < bytes ? size - from : bytes;
	bool matches = count == (ssize_t)right && memcmp(data, expected + from, right) == 0;
	free(data);
	free(expected);
	return matches;
}

static void check_body(struct worker *worker, const struct operation *operation, const struct object_key *key,
	const struct object_record *record)
{
	struct object_body *body;
	int result = object_body_open(worker->device, key, record, &body);
	/* Of somebody else's object: it may have been replaced since the record was read. */
	if (operation->verb == READ_FOREIGN && result == -ENOENT)
		return;
	CHECK(worker, result == 0);
	uint64_t id = strtoull(record->etag, NULL, 10);
	uint64_t from = 0;
	uint64_t bytes = record->size;
	if (operation->verb == READ_RANGE) {
		from = operation->random % (record->size + 1);
		bytes = operation->random / 1000003 % (record->size + 10);
	}
	CHECK(worker, body_matches(body, id, record->size, from, bytes));
	object_body_free(body);
}

static void check_object(struct worker *worker, const struct operation *operation, struct arena *arena)
{
	struct object_key key = key_of(worker->number, operation->object);
	struct object_record record;
	CHECK(worker, object_read(worker->device, &key, arena, &record) == 0);
	CHECK(worker, record_matches(&record, &worker->objects[operation->object], arena));
	if (record.kind == OBJECT_DATA)
		check_body(worker, operation, &key, &record);
}

static void check_foreign(struct worker *worker, const struct operation *operation, struct arena *arena)
{
	struct object_key key = key_of((int)(operation->random % WORKERS), operation->object);
	struct object_record record;
	CHECK(worker, object_read(worker->device, &key, arena, &record) == 0);
	if (record.kind == OBJECT_DATA)
		check_body(worker, operation, &key, &record);
}

/* ---- running ---- */

static void run_operation(struct worker *worker, const struct operation *operation, struct arena *arena)
{
	int expected = model_apply(worker->objects, operation);
	int result = 0;
	switch (operation->verb) {
	case PUT:
		result = store_put(worker, operation);
		break;
	case POST:
		result = store_post(worker, operation, arena);
		break;
	case DELETE:
	case EXPIRE:
		result = store_delete(worker, operation, arena);
		break;
	case READ:
	case READ_RANGE:
		check_object(worker, operation, arena);
		break;
	case READ_FOREIGN:
		check_foreign(worker, operation, arena);
		break;
	}
	CHECK(worker, result == expected);
}

static void *run_worker(void *argument)
{
	struct worker *worker = argument;
	while (worker->done < worker->limit) {
		struct arena *arena = arena_new();
		struct operation operation = operation_of(worker->number, worker->done + 1);
		run_operation(worker, &operation, arena);
		arena_free(arena);
		worker->done++;
		send_message(worker, (struct message){.kind = ACKNOWLEDGED, .worker = worker->number});
	}
	return NULL;
}

static bool store_matches(struct worker *worker)
{
	bool matches = true;
	struct arena *arena = arena_new();
	for (int i = 0; i < OBJECTS_PER_WORKER && matches; i++) {
		struct object_key key = key_of(worker->number, i);
		struct object_record record;
		CHECK(worker, object_read(worker->device, &key, arena, &record) == 0);
		matches = record_matches(&record, &worker->objects[i], arena);
	}
	arena_free(arena);
	return matches;
}

/* Which state has the store: after the acknowledged operations, or after one more? */
static void resolve(struct worker *worker)
{
	for (uint64_t i = 0; i < worker->done; i++) {
		struct operation operation = operation_of(worker->number, i + 1);
		(void)model_apply(worker->objects, &operation);
	}
	if (!store_matches(worker)) {
		struct operation operation = operation_of(worker->number, worker->done + 1);
		(void)model_apply(worker->objects, &operation);
		worker->done++;
		CHECK(worker, store_matches(worker));
	}
	send_message(worker, (struct message){.kind = RESOLVED, .worker = worker->number, .count = worker->done});
	struct arena *arena = arena_new();
	for (int i = 0; i < OBJECTS_PER_WORKER; i++)
		check_object(worker, &(struct operation){.verb = READ, .object = i}, arena);
	arena_free(arena);
}

/* ---- nothing is left over ---- */

static unsigned count_files(const char *path)
{
	DIR *directory = opendir(path);
	if (!directory)
		return 0;
	unsigned count = 0;
	for (struct dirent *entry; (entry = readdir(directory));) {
		if (entry->d_name[0] == '.')
			continue;
		char *below = xasprintf("%s/%s", path, entry->d_name);
		count += entry->d_type == DT_DIR ? count_files(below) : 1;
		free(below);
	}
	closedir(directory);
	return count;
}

static unsigned count_values(struct device *device, enum device_family family)
{
	struct device_iterator *iterator = device_iterator_new(device, family, SLICE_NONE, SLICE_NONE);
	unsigned count = 0;
	for (bool found = device_iterator_seek(iterator, SLICE_NONE); found; found = device_iterator_next(iterator))
		count++;
	device_iterator_free(iterator);
	return count;
}

static void check_leftovers(const char *path, struct worker *workers)
{
	unsigned files = 0;
	unsigned values = 0;
	for (int i = 0; i < WORKERS; i++) {
		for (int j = 0; j < OBJECTS_PER_WORKER; j++) {
			const struct model *model = &workers[i].objects[j];
			if (model->kind != OBJECT_DATA)
				continue;
			files += model->size > OBJECT_INLINE_BYTES_MAX;
			values += model->size > 0 && model->size <= OBJECT_INLINE_BYTES_MAX;
		}
	}
	char *bodies = xasprintf("%s/bodies", path);
	char *incoming = xasprintf("%s/incoming", path);
	CHECK(workers, count_files(bodies) == files);
	CHECK(workers, count_files(incoming) == 0);
	CHECK(workers, count_values(workers->device, DEVICE_BODIES) == values);
	CHECK(workers, count_values(workers->device, DEVICE_TODO) == 0);
	free(bodies);
	free(incoming);
}

/* Life of a child: look, go on, and (when nobody kills it) end in order. */
static void run_child(const char *path, int pipe, const uint64_t *acknowledged, uint64_t limit)
{
	struct device *device = fixture_open(path);
	struct worker *workers = xcalloc(WORKERS, sizeof(*workers));
	pthread_t threads[WORKERS];
	CHECK(workers, object_store_recover(device) == 0);
	for (int i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){
			.number = i, .device = device, .pipe = pipe, .done = acknowledged[i], .limit = limit};
		resolve(&workers[i]);
	}
	check_leftovers(path, workers);
	for (int i = 0; i < WORKERS; i++)
		CHECK(workers, pthread_create(&threads[i], NULL, run_worker, &workers[i]) == 0);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	device_close(device);
	free(workers);
	_exit(0);
}

/* ---- the parent ---- */

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 10) : otherwise;
}

/* Reads messages until the pipe ends; kills the child when so many operations were acknowledged. */
static uint64_t listen_to_child(int pipe, pid_t child, uint64_t kill_after, uint64_t *acknowledged)
{
	uint64_t count = 0;
	struct message message;
	ssize_t bytes;
	while ((bytes = read(pipe, &message, sizeof(message))) > 0) {
		assert_int_equal(bytes, sizeof(message));
		assert_in_range(message.worker, 0, WORKERS - 1);
		if (message.kind == RESOLVED)
			acknowledged[message.worker] = message.count;
		else
			acknowledged[message.worker]++;
		if (message.kind == ACKNOWLEDGED && ++count == kill_after)
			kill(child, SIGKILL);
	}
	return count;
}

/* Returns true when the child came to its end by itself. */
static bool run_life(const char *path, uint64_t limit, uint64_t kill_after, uint64_t *acknowledged)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(ends[0]);
		run_child(path, ends[1], acknowledged, limit);
	}
	close(ends[1]);
	(void)listen_to_child(ends[0], child, kill_after, acknowledged);
	close(ends[0]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		assert_int_equal(WTERMSIG(status), SIGKILL);
	else
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFEXITED(status);
}

static void model__acknowledged_states_survive_kills(void **state)
{
	(void)state;
	seed = from_environment("SWIFTLET_MODEL_SEED", 1);
	uint64_t operations = from_environment("SWIFTLET_MODEL_OPERATIONS", OPERATIONS_DEFAULT);
	uint64_t acknowledged[WORKERS] = {0};
	uint64_t random = seed;
	char *path = fixture_directory();
	unsigned kills = 0;
	while (!run_life(path, operations / WORKERS, 1 + next_random(&random) % (operations / 8 + 1), acknowledged))
		kills++;
	/* Once more, to look at the end. */
	assert_true(run_life(path, operations / WORKERS, UINT64_MAX, acknowledged));
	for (int i = 0; i < WORKERS; i++)
		assert_true(acknowledged[i] == operations / WORKERS);
	print_message("\t%" PRIu64 " operations, %u kills\n", operations, kills);
	fixture_remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(model__acknowledged_states_survive_kills),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
