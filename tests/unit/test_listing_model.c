/*
 * The listing store against a naive model: threads, each with databases of its own, commit batches
 * of random changes and compare every answer, then random listings. Now and then the whole process
 * is killed; its successor must find every acknowledged batch, all or nothing of the one that was
 * under way, and numbers that equal a recount.
 *
 * A new process gets the model back by doing the batches again without the store.
 * SWIFTLET_MODEL_OPERATIONS sets the number of changes, SWIFTLET_MODEL_SEED the seed.
 */
#include "tests/unit/listing_model_batch.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/evp.h>

#include "lib/base/memory.h"
#include "lib/store/listing_private.h"

enum {
	THREADS = 3,
	CONTAINERS = 2, /* per thread: one with all names, one with a single name, often empty */
	QUERIES_PER_BATCH = 40,
	KILLS = 4,
	OPERATIONS_DEFAULT = 100000,
};

static unsigned batches_per_thread;
static char directory[] = "/tmp/test_listing_model.XXXXXX";

/* Outlives the killed processes. */
struct progress {
	atomic_uint acknowledged[THREADS]; /* batches */
};
static struct progress *progress;

/* ---- the model's side ---- */

struct worker {
	struct device *device;
	unsigned thread;
	unsigned batch_number; /* newest one done */
	struct model_database *containers[CONTAINERS];
	struct model_database **accounts;
	unsigned account_count;
};

static void worker_init(struct worker *worker, struct device *device, unsigned thread)
{
	*worker = (struct worker){.device = device, .thread = thread};
	worker->account_count = batches_per_thread / BATCHES_PER_ACCOUNT + 1;
	worker->accounts = xcalloc(worker->account_count, sizeof(*worker->accounts));
	for (unsigned i = 0; i < CONTAINERS; i++) {
		worker->containers[i] = xcalloc(1, sizeof(struct model_database));
		worker->containers[i]->kind = LISTING_CONTAINER;
	}
	for (unsigned i = 0; i < worker->account_count; i++) {
		worker->accounts[i] = xcalloc(1, sizeof(struct model_database));
		worker->accounts[i]->kind = LISTING_ACCOUNT;
	}
}

static void worker_release(struct worker *worker)
{
	for (unsigned i = 0; i < CONTAINERS; i++)
		free(worker->containers[i]);
	for (unsigned i = 0; i < worker->account_count; i++)
		free(worker->accounts[i]);
	free(worker->accounts);
}

static struct model_result model_apply(struct model_database *database, const struct operation *operation)
{
	struct model_result result = {0};
	switch (operation->kind) {
	case PUT_OBJECT:
		result.outcome = model_put_object(database, &operation->object);
		break;
	case PUT_CONTAINER:
		result.outcome = model_put_container(database, &operation->row);
		break;
	case PUT:
		result = model_put(database, &operation->change);
		break;
	case POST:
		result = model_post(database, &operation->change);
		break;
	case DELETE:
		result = model_delete(database, &operation->change);
		break;
	case REPORT:
		result.error = database->info.exists ? 0 : -ENOENT;
		if (database->info.exists)
			database->info.reported = reported_of(operation);
		break;
	}
	return result;
}

/* Does a batch in the model; with `compare` its answers must be those that the store gave. */
static void worker_apply(struct worker *worker, const struct batch *batch, bool compare)
{
	for (size_t i = 0; i < BATCH_OPERATIONS; i++) {
		const struct operation *operation = &batch->operations[i];
		struct model_database *database = operation->target == LISTING_ACCOUNT
							  ? worker->accounts[batch->number / BATCHES_PER_ACCOUNT]
							  : worker->containers[operation->container];
		struct model_result expected = model_apply(database, operation);
		const struct model_result *got = &operation->result;
		if (!compare)
			continue;
		CHECK(got->error == expected.error, "batch %u/%u operation %zu kind %d: got %d, expected %d",
			batch->thread, batch->number, i, operation->kind, got->error, expected.error);
		if (expected.error)
			continue;
		CHECK(got->outcome == expected.outcome, "batch %u/%u operation %zu kind %d: got %d, expected %d",
			batch->thread, batch->number, i, operation->kind, got->outcome, expected.outcome);
		CHECK(got->policy == expected.policy && got->was_there == expected.was_there &&
				got->is_deleted == expected.is_deleted,
			"batch %u/%u operation %zu kind %d: policy %u, expected %u", batch->thread, batch->number, i,
			operation->kind, got->policy, expected.policy);
	}
	worker->batch_number = batch->number;
}

/* ---- comparing ---- */

static bool same_time(struct timestamp a, struct timestamp b)
{
	return timestamp_compare(a, b) == 0;
}

static void check_object(const struct model_object *model, const struct container_row *row, struct slice name)
{
	struct timestamp times[3];
	struct object_texts texts;
	CHECK(timestamp_decode(slice_from(model->created_at), &times[0], &times[1], &times[2]) == 0, "%s",
		model->created_at);
	struct container_row expected = object_row(model, times, &texts);
	CHECK(same_time(row->data, expected.data) && same_time(row->content_type_time, expected.content_type_time) &&
			same_time(row->meta, expected.meta),
		"%.*s", SLICE_PRINT(name));
	CHECK(row->size == expected.size && row->deleted == expected.deleted && slice_equal(row->etag, expected.etag) &&
			slice_equal(row->content_type, expected.content_type) &&
			slice_equal(row->swift_bytes, expected.swift_bytes),
		"%.*s", SLICE_PRINT(name));
}

static void check_container(
	const struct model_container *model, const struct listing_container_row *row, struct slice name)
{
	CHECK(same_time(row->put_timestamp, model->put) && same_time(row->delete_timestamp, model->delete) &&
			row->object_count == model->objects && row->bytes_used == model->bytes &&
			row->policy == model->policy,
		"%.*s", SLICE_PRINT(name));
}

/* A listing under comparison. */
struct comparison {
	const struct model_database *database;
	const struct listing_query *query;
	const struct model_entry *entries;
	size_t count;
	size_t next;
};

static int compare_entry(const struct listing_entry *entry, void *argument)
{
	struct comparison *comparison = argument;
	CHECK(comparison->next < comparison->count, "too many: %.*s", SLICE_PRINT(entry->name));
	const struct model_entry *expected = &comparison->entries[comparison->next++];
	CHECK(entry->subdir == expected->subdir && slice_equal(entry->name, expected->name), "got %.*s, expected %.*s",
		SLICE_PRINT(entry->name), SLICE_PRINT(expected->name));
	const struct model_database *database = comparison->database;
	if (!entry->subdir && database->kind == LISTING_CONTAINER)
		check_object(
			&database->objects[comparison->query->policy][expected->index], &entry->object, entry->name);
	else if (!entry->subdir)
		check_container(&database->containers[expected->index], &entry->container, entry->name);
	return 0;
}

static struct slice random_marker(struct random *random, unsigned percent, char *room)
{
	if (!random_percent(random, percent))
		return SLICE_NONE;
	if (random_percent(random, 60))
		return model_names[random_below(random, MODEL_NAMES)];
	return model_random_text(random, 3, room);
}

static void compare_listing(
	struct worker *worker, struct random *random, const struct model_database *database, struct hash hash)
{
	static const struct slice delimiters[] = {SLICE_LITERAL("/"), SLICE_LITERAL("/"), SLICE_LITERAL("//"),
		SLICE_LITERAL("-"), SLICE_LITERAL("a/"), SLICE_LITERAL("\xff"), SLICE_LITERAL("a"), SLICE_LITERAL("0")};
	static const unsigned limits[] = {0, 1, 2, 5, 20, 10000, 10000, 10000};
	static const struct slice paths[] = {SLICE_LITERAL(""), SLICE_LITERAL("a"), SLICE_LITERAL("a/"),
		SLICE_LITERAL("a//"), SLICE_LITERAL("/"), SLICE_LITERAL("b/a")};
	char rooms[4][64];
	struct listing_query query = {
		.kind = database->kind,
		.policy = (uint16_t)(database->kind == LISTING_ACCOUNT ? 0 : random_below(random, MODEL_POLICIES)),
		.limit = limits[random_below(random, 8)],
		.marker = random_marker(random, 40, rooms[0]),
		.end_marker = random_marker(random, 40, rooms[1]),
		.prefix = random_percent(random, 40) ? model_random_text(random, 2, rooms[2]) : SLICE_NONE,
		.delimiter = random_percent(random, 60) ? delimiters[random_below(random, 8)] : SLICE_NONE,
		.path = random_percent(random, 20) ? paths[random_below(random, 6)] : SLICE_NONE,
		.reverse = random_percent(random, 50),
		.allow_reserved = random_percent(random, 30),
	};
	memcpy(query.hash, &hash, sizeof(hash));
	struct model_entry entries[MODEL_NAMES];
	struct comparison comparison = {.database = database, .query = &query, .entries = entries};
	comparison.count = model_list(database, &query, rooms[3], entries);
	int result = listing_walk(worker->device, &query, compare_entry, &comparison);
	CHECK(result == 0 && comparison.next == comparison.count, "%zu of %zu entries", comparison.next,
		comparison.count);
}

static void compare_info(const struct model_database *database, const struct listing_info *info)
{
	const struct model_info *model = &database->info;
	CHECK(same_time(info->put_timestamp, model->put) && same_time(info->delete_timestamp, model->delete) &&
			same_time(info->status_changed_at, model->status_changed),
		"times");
	CHECK(info->policy == model->policy && info->max_row == model->max_row, "policy %u, row %llu", info->policy,
		(unsigned long long)info->max_row);
	CHECK(listing_is_deleted(info) == model_is_deleted(database), "%d", listing_is_deleted(info));
	const struct listing_reported *reported = &model->reported;
	CHECK(same_time(info->reported_put_timestamp, reported->put_timestamp) &&
			same_time(info->reported_delete_timestamp, reported->delete_timestamp) &&
			info->reported_object_count == reported->object_count &&
			info->reported_bytes_used == reported->bytes_used,
		"reported numbers");
	size_t policies = 0;
	for (uint16_t policy = 0; policy < MODEL_POLICIES; policy++) {
		struct listing_policy_count expected = model_count(database, policy);
		struct listing_policy_count got = listing_count_of(info, policy);
		policies += model->policy_known[policy];
		CHECK(got.containers == expected.containers && got.objects == expected.objects &&
				got.bytes == expected.bytes,
			"policy %u: %lld objects, expected %lld", policy, (long long)got.objects,
			(long long)expected.objects);
	}
	CHECK(info->count_count == policies, "%zu policies, expected %zu", info->count_count, policies);
	size_t metas = 0;
	for (unsigned i = 0; i < MODEL_METAS; i++) {
		const struct model_meta *meta = &model->metas[i];
		metas += meta->exists;
		for (size_t j = 0; j < info->meta_count; j++) {
			if (slice_equal(info->metas[j].name, meta_name(database->kind, i)))
				CHECK(meta->exists && same_time(info->metas[j].time, meta->time) &&
						slice_equal(info->metas[j].value, meta_value(meta->value)),
					"metadata %u", i);
		}
	}
	CHECK(info->meta_count == metas, "%zu metadata items, expected %zu", info->meta_count, metas);
}

/* ---- every key of a database ---- */

struct recount {
	const struct model_database *database;
	unsigned char hash[16]; /* Swift's chexor */
	size_t rows;
	size_t sequences;
};

static unsigned name_index(struct slice name)
{
	const struct slice *found =
		bsearch(&name, model_names, MODEL_NAMES, sizeof(model_names[0]), model_compare_names);
	CHECK(found, "%.*s", SLICE_PRINT(name));
	return (unsigned)(found - model_names);
}

static void recount_hash(struct recount *recount, struct slice name, const char *times)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct buf text = BUF_INIT;
	buf_printf(&text, "%.*s", 0, "");
	buf_append_slice(&text, name);
	buf_printf(&text, "-%s", times);
	CHECK(EVP_Digest(text.data, text.length, digest, NULL, EVP_md5(), NULL) == 1, "MD5");
	for (size_t i = 0; i < 16; i++)
		recount->hash[i] ^= digest[i];
	buf_release(&text);
}

static void recount_row(struct recount *recount, bool deleted, uint16_t policy, struct slice name, struct slice value)
{
	unsigned index = name_index(name);
	recount->rows++;
	if (recount->database->kind == LISTING_CONTAINER) {
		struct listing_object_record record;
		const struct model_object *model = &recount->database->objects[policy][index];
		CHECK(listing_decode_object(value, deleted, &record) == 0, "%.*s", SLICE_PRINT(name));
		CHECK(model->exists && record.sequence == model->sequence, "%.*s", SLICE_PRINT(name));
		check_object(model, &record.row, name);
		recount_hash(recount, name, model->created_at);
		return;
	}
	struct listing_container_record record;
	const struct model_container *model = &recount->database->containers[index];
	CHECK(listing_decode_container(value, deleted, &record) == 0, "%.*s", SLICE_PRINT(name));
	CHECK(model->exists && record.sequence == model->sequence && deleted == model->deleted, "%.*s",
		SLICE_PRINT(name));
	check_container(model, &record.row, name);
	char put[TIMESTAMP_TEXT_BYTES];
	char delete[TIMESTAMP_TEXT_BYTES];
	timestamp_internal(model->put, put);
	timestamp_internal(model->delete, delete);
	char *times = xasprintf("%s-%s-%lld-%lld", put, timestamp_is_zero(model->delete) ? "0" : delete,
		(long long)model->objects, (long long)model->bytes);
	recount_hash(recount, name, times);
	free(times);
}

static void recount_sequence(struct recount *recount, uint64_t sequence, uint16_t policy, struct slice name)
{
	unsigned index = name_index(name);
	uint64_t expected = recount->database->kind == LISTING_CONTAINER
				    ? recount->database->objects[policy][index].sequence
				    : recount->database->containers[index].sequence;
	CHECK(sequence == expected, "%.*s: %llu", SLICE_PRINT(name), (unsigned long long)sequence);
	recount->sequences++;
}

static void recount_key(struct recount *recount, struct slice key, struct slice value)
{
	struct cursor cursor = cursor_of(key);
	(void)cursor_bytes(&cursor, LISTING_HASH_BYTES);
	char area = (char)cursor_u8(&cursor);
	if (area == LISTING_AREA_SEQUENCE) {
		uint64_t sequence = cursor_u64(&cursor);
		cursor = cursor_of(value);
		uint16_t policy = cursor_u16(&cursor);
		recount_sequence(recount, sequence, policy, slice_of(cursor.at, (size_t)(cursor.end - cursor.at)));
		return;
	}
	if (area == LISTING_AREA_INFO || area == LISTING_AREA_NUMBERS)
		return;
	CHECK(area == LISTING_AREA_ROWS || area == LISTING_AREA_DELETED_ROWS, "%c", area);
	uint16_t policy = cursor_u16(&cursor);
	recount_row(recount, area == LISTING_AREA_DELETED_ROWS, policy,
		slice_of(cursor.at, (size_t)(cursor.end - cursor.at)), value);
}

static size_t model_rows(const struct model_database *database)
{
	size_t rows = 0;
	for (size_t i = 0; i < MODEL_NAMES; i++) {
		rows += database->containers[i].exists;
		for (size_t policy = 0; policy < MODEL_POLICIES; policy++)
			rows += database->objects[policy][i].exists;
	}
	return rows;
}

static void compare_database(struct device *device, const struct model_database *database, struct hash hash)
{
	struct arena *arena = arena_new();
	struct listing_info info;
	struct recount recount = {.database = database};
	int result = listing_read(device, database->kind, hash.bytes, arena, &info);
	CHECK(result == (database->info.exists ? 0 : -ENOENT), "%d", result);
	struct slice lower = slice_of((const char *)hash.bytes, sizeof(hash.bytes));
	struct hash end = hash;
	end.bytes[15]++;
	struct device_iterator *iterator = device_iterator_new(
		device, listing_family(database->kind), lower, slice_of((const char *)end.bytes, sizeof(end.bytes)));
	for (bool valid = device_iterator_seek(iterator, lower); valid; valid = device_iterator_next(iterator))
		recount_key(&recount, device_iterator_key(iterator), device_iterator_value(iterator));
	CHECK(device_iterator_error(iterator) == 0, "iterator");
	device_iterator_free(iterator);
	CHECK(recount.rows == model_rows(database) && recount.sequences == recount.rows,
		"%zu rows, %zu sequences, expected %zu", recount.rows, recount.sequences, model_rows(database));
	if (result == 0) {
		compare_info(database, &info);
		CHECK(memcmp(info.hash, recount.hash, sizeof(info.hash)) == 0, "hash of all rows");
	}
	arena_free(arena);
}

static void compare_all(struct worker *worker)
{
	for (unsigned i = 0; i < CONTAINERS; i++)
		compare_database(
			worker->device, worker->containers[i], database_hash(worker->thread, LISTING_CONTAINER, i));
	for (unsigned i = 0; i < worker->account_count; i++)
		compare_database(
			worker->device, worker->accounts[i], database_hash(worker->thread, LISTING_ACCOUNT, i));
}

/* ---- processes and threads ---- */

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct batch *batch = xmalloc(sizeof(*batch));
	while (worker->batch_number < batches_per_thread) {
		unsigned number = worker->batch_number + 1;
		struct random random = {seed + number};
		make_batch(worker->thread, number, batch);
		int result = device_commit(worker->device, store_batch, batch);
		CHECK(result == 0, "%d", result);
		atomic_store(&progress->acknowledged[worker->thread], number);
		worker_apply(worker, batch, true);
		for (int i = 0; i < QUERIES_PER_BATCH; i++) {
			unsigned container = i % CONTAINERS;
			unsigned account = number / BATCHES_PER_ACCOUNT;
			if (i % 4 == 3)
				compare_listing(worker, &random, worker->accounts[account],
					database_hash(worker->thread, LISTING_ACCOUNT, account));
			else
				compare_listing(worker, &random, worker->containers[container],
					database_hash(worker->thread, LISTING_CONTAINER, container));
		}
	}
	free(batch);
	return NULL;
}

/* Brings the model to where the store is, which must have all that was acknowledged. */
static void worker_catch_up(struct worker *worker)
{
	unsigned found = read_marker(worker->device, worker->thread);
	unsigned acknowledged = atomic_load(&progress->acknowledged[worker->thread]);
	CHECK(found == acknowledged || found == acknowledged + 1, "thread %u: found %u, acknowledged %u",
		worker->thread, found, acknowledged);
	struct batch *batch = xmalloc(sizeof(*batch));
	for (unsigned number = 1; number <= found; number++) {
		make_batch(worker->thread, number, batch);
		worker_apply(worker, batch, false);
	}
	free(batch);
	compare_all(worker);
}

static int run_process(void)
{
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	struct device *device;
	char *error = NULL;
	struct device_options options = {.path = directory, .name = "sda", .create = true};
	int result = device_open(&options, &device, &error);
	CHECK(result == 0, "%s", error);
	for (unsigned i = 0; i < THREADS; i++) {
		worker_init(&workers[i], device, i);
		worker_catch_up(&workers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, worker_main, &workers[i]) == 0, "pthread_create");
	for (unsigned i = 0; i < THREADS; i++) {
		CHECK(pthread_join(threads[i], NULL) == 0, "pthread_join");
		compare_all(&workers[i]);
		worker_release(&workers[i]);
	}
	device_close(device);
	return 0;
}

static unsigned acknowledged_batches(void)
{
	unsigned sum = 0;
	for (unsigned i = 0; i < THREADS; i++)
		sum += atomic_load(&progress->acknowledged[i]);
	return sum;
}

/* Starts a process and kills it once `batches` are acknowledged. Says whether it was killed before
 * its end. */
static bool run_until(unsigned batches)
{
	int status = 0;
	(void)fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(run_process());
	while (waitpid(child, &status, WNOHANG) == 0) {
		if (acknowledged_batches() >= batches)
			(void)kill(child, SIGKILL);
		(void)usleep(1000);
	}
	bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	if (!killed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
		fail_msg("process ended with status %d after %u batches", status, acknowledged_batches());
	return killed;
}

static void listing_model__store_equals_model_and_survives_kills(void **state)
{
	(void)state;
	const char *operations_text = getenv("SWIFTLET_MODEL_OPERATIONS");
	const char *seed_text = getenv("SWIFTLET_MODEL_SEED");
	unsigned long operations = operations_text ? strtoul(operations_text, NULL, 10) : OPERATIONS_DEFAULT;
	if (seed_text)
		seed = strtoull(seed_text, NULL, 10);
	batches_per_thread = (unsigned)(operations / THREADS / BATCH_OPERATIONS) + 1;
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(progress != MAP_FAILED);
	assert_non_null(mkdtemp(directory));
	model_make_names();
	unsigned batches = batches_per_thread * THREADS;
	unsigned kills = 0;
	for (unsigned i = 1; i <= KILLS; i++)
		kills += run_until(batches * i / (KILLS + 1));
	assert_false(run_until(UINT32_MAX));
	assert_int_equal(acknowledged_batches(), batches);
	print_message("%u batches of %d operations, %u kills\n", batches, BATCH_OPERATIONS, kills);
	char *command = xasprintf("rm -rf %s", directory);
	assert_int_equal(system(command), 0);
	free(command);
	(void)munmap(progress, sizeof(*progress));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listing_model__store_equals_model_and_survives_kills),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
