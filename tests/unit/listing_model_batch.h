/*
 * Batches of random operations on the databases of one thread, and how the store does them. A batch
 * follows from the seed, the thread and its number alone.
 */
#ifndef TESTS_UNIT_LISTING_MODEL_BATCH_H
#define TESTS_UNIT_LISTING_MODEL_BATCH_H

#include <stdio.h>
#include <unistd.h>

#include "lib/store/listing_private.h"
#include "tests/unit/listing_model.h"

enum {
	BATCH_OPERATIONS = 50,
	BATCHES_PER_ACCOUNT = 40, /* a deleted account stays deleted, so there is always a next */
	TIME_BASE = 170000000,
};

static uint64_t seed = 1;

/* Without cmocka: runs in forked processes and in threads. */
#define CHECK(condition, ...)                                                                                          \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                \
			fprintf(stderr, __VA_ARGS__);                                                                  \
			fprintf(stderr, " (seed %llu)\n", (unsigned long long)seed);                                   \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

/* ---- operations ---- */

enum operation_kind { PUT_OBJECT, PUT_CONTAINER, PUT, POST, DELETE, REPORT };

struct operation {
	enum operation_kind kind;
	enum listing_kind target;
	unsigned container; /* which of the thread's */
	struct model_change change;
	struct model_object_change object;
	struct model_container_change row;
	struct model_result result; /* of the store */
};

struct batch {
	unsigned thread;
	unsigned number; /* from 1 */
	struct operation operations[BATCH_OPERATIONS];
};

static inline struct timestamp random_time(struct random *random, unsigned batch)
{
	struct timestamp time = {.raw = (uint64_t)TIME_BASE + batch * 4 + random_below(random, 30)};
	if (random_percent(random, 10))
		time.offset = 1 + random_below(random, 3);
	return time;
}

static inline void make_change(struct random *random, unsigned batch, struct operation *operation)
{
	struct model_change *change = &operation->change;
	change->timestamp = random_time(random, batch);
	change->policy_requested = (int)random_below(random, MODEL_POLICIES + 3) - 3;
	if (change->policy_requested < 0)
		change->policy_requested = -1;
	change->policy_default = (uint16_t)random_below(random, MODEL_POLICIES);
	change->keep_put = operation->target == LISTING_ACCOUNT || random_percent(random, 30);
	change->meta_count = random_below(random, 3);
	for (unsigned i = 0; i < change->meta_count; i++) {
		change->metas[i].name = random_below(random, MODEL_METAS);
		change->metas[i].value = random_below(random, 4);
	}
}

static inline void make_object(struct random *random, unsigned batch, struct operation *operation)
{
	struct model_object_change *object = &operation->object;
	bool small = operation->container == 1;
	object->name = random_below(random, small ? 1 : MODEL_NAMES);
	object->policy = (uint16_t)(random_percent(random, 70) ? 0 : random_below(random, MODEL_POLICIES));
	object->create_missing = random_percent(random, 20);
	object->data = random_time(random, batch);
	object->type = random_percent(random, 30) ? random_time(random, batch) : object->data;
	object->meta = random_percent(random, 30) ? random_time(random, batch) : object->type;
	object->values = (struct model_object){
		.size = random_below(random, 1000),
		.etag = random_below(random, 100),
		.content_type = random_below(random, 100),
		.swift_bytes = random_percent(random, 10) ? 1 + random_below(random, 1000) : 0,
	};
	if (random_percent(random, small ? 70 : 25)) {
		object->type = object->data;
		object->meta = object->data;
		object->values = (struct model_object){.deleted = true};
	}
}

static inline void make_row(struct random *random, unsigned batch, struct operation *operation)
{
	struct model_container_change *row = &operation->row;
	row->name = random_below(random, MODEL_NAMES);
	row->create_missing = random_percent(random, 10);
	row->override_deleted = random_percent(random, 10);
	row->timestamp = random_time(random, batch);
	row->values.put = random_time(random, batch);
	row->values.delete = random_percent(random, 50) ? random_time(random, batch) : TIMESTAMP_ZERO;
	row->values.objects = random_percent(random, 50) ? random_below(random, 100) : 0;
	row->values.bytes = random_below(random, 1000);
	row->values.policy = (uint16_t)random_below(random, MODEL_POLICIES);
}

static inline void make_operation(struct random *random, unsigned batch, struct operation *operation)
{
	unsigned kind = random_below(random, 100);
	*operation = (struct operation){.target = LISTING_CONTAINER, .container = random_percent(random, 30)};
	if (kind < 65) {
		operation->kind = PUT_OBJECT;
		make_object(random, batch, operation);
		return;
	}
	if (kind < 80) {
		operation->kind = PUT_CONTAINER;
		operation->target = LISTING_ACCOUNT;
		make_row(random, batch, operation);
		return;
	}
	if (kind < 84)
		operation->target = LISTING_ACCOUNT;
	else
		operation->container = random_percent(random, 75);
	operation->kind = kind < 82 || (kind >= 84 && kind < 90) ? PUT : kind < 93 ? POST : kind < 98 ? DELETE : REPORT;
	if (operation->target == LISTING_ACCOUNT && random_percent(random, 3))
		operation->kind = DELETE;
	make_change(random, batch, operation);
}

static inline void make_batch(unsigned thread, unsigned number, struct batch *batch)
{
	struct random random = {seed * 1000003 + thread};
	random.state ^= random_next(&random) + number * UINT64_C(0x2545f4914f6cdd1d);
	batch->thread = thread;
	batch->number = number;
	for (size_t i = 0; i < BATCH_OPERATIONS; i++)
		make_operation(&random, number, &batch->operations[i]);
}

/* ---- the store's side ---- */

struct hash {
	unsigned char bytes[16];
};

static inline struct hash database_hash(unsigned thread, enum listing_kind kind, unsigned index)
{
	struct hash hash = {{(unsigned char)(0x70 + kind), (unsigned char)thread, (unsigned char)index}};
	return hash;
}

static inline struct hash operation_hash(const struct batch *batch, const struct operation *operation)
{
	unsigned index =
		operation->target == LISTING_ACCOUNT ? batch->number / BATCHES_PER_ACCOUNT : operation->container;
	return database_hash(batch->thread, operation->target, index);
}

static inline struct slice meta_name(enum listing_kind kind, unsigned name)
{
	static const char *const names[2][MODEL_METAS] = {
		{"X-Account-Meta-A", "X-Account-Meta-B", "X-Account-Meta-C", "X-Account-Meta-D", "X-Account-Meta-E",
			"X-Container-Sysmeta-Shard-Root"},
		{"X-Container-Meta-A", "X-Container-Meta-B", "X-Container-Meta-C", "X-Container-Meta-D",
			"X-Container-Meta-E", "X-Container-Sysmeta-Shard-Root"}};
	return slice_from(names[kind][name]);
}

/* "" for 0, else the digit. */
static inline struct slice meta_value(unsigned value)
{
	static const char digits[] = "0123456789";
	return slice_of(digits + value, value ? 1 : 0);
}

/* Texts of an object row. */
struct object_texts {
	char etag[40];
	char content_type[32];
	char swift_bytes[16];
};

static inline struct container_row object_row(
	const struct model_object *values, struct timestamp times[3], struct object_texts *texts)
{
	/* Both forms of etags that the store knows. */
	(void)snprintf(texts->etag, sizeof(texts->etag), values->etag % 2 ? "%032x" : "etag %u", values->etag);
	(void)snprintf(texts->content_type, sizeof(texts->content_type), "type/%u", values->content_type);
	(void)snprintf(texts->swift_bytes, sizeof(texts->swift_bytes), "%u", values->swift_bytes);
	return (struct container_row){
		.data = times[0],
		.content_type_time = times[1],
		.meta = times[2],
		.size = values->size,
		.content_type = slice_from(texts->content_type),
		.swift_bytes = values->swift_bytes ? slice_from(texts->swift_bytes) : SLICE_NONE,
		.etag = slice_from(texts->etag),
		.deleted = values->deleted,
	};
}

static inline void store_put_object(struct device_txn *txn, struct hash hash, struct operation *operation)
{
	struct object_texts texts;
	struct timestamp times[3] = {operation->object.data, operation->object.type, operation->object.meta};
	struct listing_object_row item = {
		.account = SLICE_LITERAL("a"),
		.container = SLICE_LITERAL("c"),
		.name = model_names[operation->object.name],
		.policy = operation->object.policy,
		.row = object_row(&operation->object.values, times, &texts),
		.create_missing = operation->object.create_missing,
	};
	memcpy(item.hash, &hash, sizeof(hash));
	operation->result.error = listing_put_object_row(txn, &item);
	operation->result.outcome = item.outcome;
}

static inline void store_put_container(struct device_txn *txn, struct hash hash, struct operation *operation)
{
	const struct model_container *values = &operation->row.values;
	struct listing_container_row item = {
		.account = SLICE_LITERAL("a"),
		.name = model_names[operation->row.name],
		.put_timestamp = values->put,
		.delete_timestamp = values->delete,
		.object_count = values->objects,
		.bytes_used = values->bytes,
		.policy = values->policy,
		.override_deleted = operation->row.override_deleted,
		.create_missing = operation->row.create_missing,
		.timestamp = operation->row.timestamp,
	};
	memcpy(item.hash, &hash, sizeof(hash));
	operation->result.error = listing_put_container_row(txn, &item);
	operation->result.outcome = item.outcome;
}

static inline struct listing_reported reported_of(const struct operation *operation)
{
	struct timestamp time = operation->change.timestamp;
	return (struct listing_reported){
		.put_timestamp = time,
		.delete_timestamp = {.raw = time.raw + 1},
		.object_count = (int64_t)(time.raw % 7),
		.bytes_used = (int64_t)(time.raw % 11),
	};
}

static inline void store_change(struct device_txn *txn, struct hash hash, struct operation *operation)
{
	const struct model_change *wanted = &operation->change;
	struct listing_meta metas[2];
	struct listing_change change = {
		.kind = operation->target,
		.account = SLICE_LITERAL("a"),
		.container = SLICE_LITERAL("c"),
		.timestamp = wanted->timestamp,
		.metas = metas,
		.meta_count = wanted->meta_count,
		.policy_requested = wanted->policy_requested,
		.policy_default = wanted->policy_default,
		.keep_put_timestamp = wanted->keep_put,
		.meta_count_max = MODEL_META_COUNT_MAX,
	};
	memcpy(change.hash, &hash, sizeof(hash));
	for (unsigned i = 0; i < wanted->meta_count; i++)
		metas[i] = (struct listing_meta){meta_name(operation->target, wanted->metas[i].name),
			meta_value(wanted->metas[i].value), wanted->timestamp};
	device_change_fn *function = operation->kind == PUT    ? listing_put
				     : operation->kind == POST ? listing_post
							       : listing_delete;
	operation->result.error = function(txn, &change);
	operation->result.outcome = change.outcome;
	operation->result.policy = change.policy;
	operation->result.was_there = change.was_there;
	operation->result.is_deleted = change.is_deleted;
}

static inline struct hash marker_key(unsigned thread)
{
	struct hash key = {{0x10, (unsigned char)thread}};
	return key;
}

/* A device_change_fn: all operations of a batch, and its number where a new process will look for
 * it. */
static inline int store_batch(struct device_txn *txn, void *argument)
{
	struct batch *batch = argument;
	for (size_t i = 0; i < BATCH_OPERATIONS; i++) {
		struct operation *operation = &batch->operations[i];
		struct hash hash = operation_hash(batch, operation);
		if (operation->kind == PUT_OBJECT) {
			store_put_object(txn, hash, operation);
		} else if (operation->kind == PUT_CONTAINER) {
			store_put_container(txn, hash, operation);
		} else if (operation->kind == REPORT) {
			struct listing_reported reported = reported_of(operation);
			memcpy(reported.hash, &hash, sizeof(hash));
			operation->result.error = listing_set_reported(txn, &reported);
		} else {
			store_change(txn, hash, operation);
		}
	}
	struct hash key = marker_key(batch->thread);
	txn_put(txn, DEVICE_CONTAINERS, slice_of((const char *)&key, sizeof(key)),
		slice_of((const char *)&batch->number, sizeof(batch->number)));
	return 0;
}

static inline unsigned read_marker(struct device *device, unsigned thread)
{
	struct hash key = marker_key(thread);
	struct buf value = BUF_INIT;
	unsigned number = 0;
	int error = device_get(device, DEVICE_CONTAINERS, slice_of((const char *)&key, sizeof(key)), &value);
	CHECK(error == 0 || error == -ENOENT, "%d", error);
	if (error == 0)
		memcpy(&number, value.data, sizeof(number));
	buf_release(&value);
	return number;
}

#endif
