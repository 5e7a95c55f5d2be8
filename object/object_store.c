#include "object/object_store.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "lib/store/device_files.h"
#include "object/object_store_private.h"

/* ---- keys ---- */

struct slice object_record_key(const struct object_key *key, char bytes[OBJECT_KEY_BYTES])
{
	uint16_t policy = htobe16(key->policy);
	memcpy(bytes, &policy, 2);
	memcpy(bytes + 2, key->hash, 16);
	bytes[18] = 'o';
	return slice_of(bytes, OBJECT_KEY_BYTES);
}

struct slice object_body_key(uint64_t number, char bytes[OBJECT_NUMBER_KEY_BYTES])
{
	number = htobe64(number);
	memcpy(bytes, &number, OBJECT_NUMBER_KEY_BYTES);
	return slice_of(bytes, OBJECT_NUMBER_KEY_BYTES);
}

enum { TODO_KEY_BYTES = 9 };

static struct slice todo_key(uint64_t number, char bytes[TODO_KEY_BYTES])
{
	bytes[0] = 'U';
	(void)object_body_key(number, bytes + 1);
	return slice_of(bytes, TODO_KEY_BYTES);
}

/* ---- reading records ---- */

/* Makes a record of what a get answered; frees the bytes. */
static int decode_got(int result, struct buf *bytes, struct arena *arena, struct object_record *ret_record)
{
	if (result == -ENOENT) {
		*ret_record = (struct object_record){.kind = OBJECT_ABSENT};
		result = 0;
	} else if (result == 0) {
		result = object_record_decode(buf_slice(bytes), arena, ret_record);
	}
	buf_release(bytes);
	return result;
}

int object_read(
	struct device *device, const struct object_key *key, struct arena *arena, struct object_record *ret_record)
{
	char bytes[OBJECT_KEY_BYTES];
	struct buf value = BUF_INIT;
	int result = device_get(device, DEVICE_OBJECTS, object_record_key(key, bytes), &value);
	return decode_got(result, &value, arena, ret_record);
}

int object_read_cached(
	struct device *device, const struct object_key *key, struct arena *arena, struct object_record *ret_record)
{
	char bytes[OBJECT_KEY_BYTES];
	struct buf value = BUF_INIT;
	int result = device_get_cached(device, DEVICE_OBJECTS, object_record_key(key, bytes), &value);
	return decode_got(result, &value, arena, ret_record);
}

/* ---- changes: common parts ---- */

static int txn_read(
	struct device_txn *txn, const struct object_key *key, struct arena *arena, struct object_record *ret_record)
{
	char bytes[OBJECT_KEY_BYTES];
	struct buf value = BUF_INIT;
	int result = txn_get(txn, DEVICE_OBJECTS, object_record_key(key, bytes), &value);
	return decode_got(result, &value, arena, ret_record);
}

/* For changes that put something new in the place of whatever was there: a damaged record counts as
 * none. */
static int txn_read_or_forget(
	struct device_txn *txn, const struct object_key *key, struct arena *arena, struct object_record *ret_record)
{
	int result = txn_read(txn, key, arena, ret_record);
	if (result != -EBADMSG)
		return result;
	*ret_record = (struct object_record){.kind = OBJECT_ABSENT};
	return 0;
}

static void txn_write(struct device_txn *txn, const struct object_key *key, const struct object_record *record)
{
	char bytes[OBJECT_KEY_BYTES];
	struct buf value = BUF_INIT;
	object_record_encode(record, &value);
	txn_put(txn, DEVICE_OBJECTS, object_record_key(key, bytes), buf_slice(&value));
	buf_release(&value);
}

static void put_todos(struct device_txn *txn, struct object_todos *todos)
{
	char bytes[TODO_KEY_BYTES];
	assert(todos->count <= OBJECT_TODOS_MAX);
	for (size_t i = 0; i < todos->count; i++) {
		todos->ret_numbers[i] = txn_next_number(txn);
		txn_put(txn, DEVICE_TODO, todo_key(todos->ret_numbers[i], bytes), todos->values[i]);
	}
}

/* The body of a record that is being replaced. */
static void drop_body(struct device_txn *txn, const struct object_key *key, const struct object_record *record)
{
	char bytes[OBJECT_NUMBER_KEY_BYTES];
	if (record->kind != OBJECT_DATA)
		return;
	if (record->body_in_file)
		txn_remove_file(txn, record->body_number, key->hash);
	else if (record->size > 0)
		txn_delete(txn, DEVICE_BODIES, object_body_key(record->body_number, bytes));
}

/* ---- PUT ---- */

static void keep_newer_overlay(const struct object_record *old, struct object_record *record)
{
	if (timestamp_compare(old->meta_time, record->data_time) > 0) {
		record->meta_time = old->meta_time;
		record->meta_headers = old->meta_headers;
		record->meta_header_count = old->meta_header_count;
	}
	if (timestamp_compare(old->type_time, record->data_time) > 0) {
		record->type_time = old->type_time;
		record->meta_content_type = old->meta_content_type;
	}
}

/* A small body goes into the batch (an empty one is nothing at all), a file only needs its name on
 * the disk. */
static void put_body(struct device_txn *txn, struct object_writer *writer, struct object_record *record)
{
	char bytes[OBJECT_NUMBER_KEY_BYTES];
	record->size = writer->size;
	record->body_checksum = writer->checksum;
	record->body_in_file = writer->in_file;
	if (writer->in_file) {
		record->body_number = writer->number;
		txn_sync_incoming(txn);
	} else if (writer->size > 0) {
		record->body_number = txn_next_number(txn);
		txn_put(txn, DEVICE_BODIES, object_body_key(record->body_number, bytes), buf_slice(&writer->bytes));
	}
	writer->applied = true;
}

static void put_over(struct device_txn *txn, struct object_put *put, const struct object_record *old)
{
	struct object_record record = {
		.kind = OBJECT_DATA,
		.name = put->name,
		.data_time = put->timestamp,
		.content_type = put->content_type,
		.headers = put->headers,
		.header_count = put->header_count,
	};
	size_t etag_length = strlen(put->etag);
	assert(etag_length < sizeof(record.etag));
	memcpy(record.etag, put->etag, etag_length);
	if (old->kind == OBJECT_DATA)
		keep_newer_overlay(old, &record);
	put_body(txn, put->writer, &record);
	drop_body(txn, &put->key, old);
	txn_write(txn, &put->key, &record);
	put_todos(txn, &put->todos);
	put->ret_old_delete_at = object_record_delete_at(old);
}

static int put_in_arena(struct device_txn *txn, struct object_put *put, struct arena *arena)
{
	struct object_record old;
	int result = txn_read_or_forget(txn, &put->key, arena, &old);
	if (result < 0)
		return result;
	if (old.kind != OBJECT_ABSENT) {
		if (!slice_equal(old.name, put->name))
			return -EBADMSG;
		if (timestamp_compare(old.data_time, put->timestamp) >= 0) {
			put->existing = old.data_time;
			return -EEXIST;
		}
	}
	put_over(txn, put, &old);
	return 0;
}

int object_put(struct device_txn *txn, void *put)
{
	struct object_put *argument = put;
	assert(argument->writer->finished);
	assert(!argument->writer->applied);
	struct arena *arena = arena_new();
	int result = put_in_arena(txn, argument, arena);
	arena_free(arena);
	return result;
}

/* ---- POST ---- */

static int check_post(struct object_post *post, const struct object_record *record)
{
	if (record->kind != OBJECT_DATA) {
		post->existing = record->kind == OBJECT_TOMBSTONE ? record->data_time : TIMESTAMP_ZERO;
		return -ENOENT;
	}
	post->existing = object_record_time(record);
	if (!post->open_expired && object_record_expired(record, post->timestamp))
		return -ENOENT;
	struct timestamp type_time;
	(void)object_record_type(record, &type_time);
	if (timestamp_compare(post->existing, post->timestamp) >= 0 &&
		timestamp_compare(type_time, post->type_time) >= 0)
		return -EEXIST;
	return 0;
}

/* swift/obj/server.py, POST: newer metadata replaces the old as a whole, a newer content type goes
 * its own way. */
static void overlay(const struct object_post *post, struct object_record *record)
{
	struct timestamp type_time;
	(void)object_record_type(record, &type_time);
	if (timestamp_compare(post->timestamp, object_record_time(record)) > 0) {
		record->meta_time = post->timestamp;
		record->meta_headers = post->headers;
		record->meta_header_count = post->header_count;
	}
	if (timestamp_compare(post->type_time, type_time) > 0) {
		record->type_time = post->type_time;
		record->meta_content_type = post->content_type;
	}
}

int object_post(struct device_txn *txn, void *argument)
{
	struct object_post *post = argument;
	struct object_record record;
	int result = txn_read(txn, &post->key, post->arena, &record);
	if (result == 0)
		result = check_post(post, &record);
	if (result < 0)
		return result;
	post->ret_old_delete_at = object_record_delete_at(&record);
	overlay(post, &record);
	post->record = record;
	txn_write(txn, &post->key, &record);
	if (post->make_todos)
		post->make_todos(&record, &post->todos, post->argument);
	put_todos(txn, &post->todos);
	return 0;
}

/* ---- DELETE ---- */

static int check_delete(const struct object_delete *delete, const struct object_record *previous)
{
	bool in_the_way =
		previous->kind != OBJECT_ABSENT && timestamp_compare(previous->data_time, delete->timestamp) >= 0;
	if (delete->check_delete_at) {
		if (previous->kind == OBJECT_ABSENT)
			return -ENOENT;
		if (in_the_way)
			return -EEXIST;
		uint64_t delete_at = object_record_delete_at(previous);
		return delete->if_delete_at >= 0 && delete_at == (uint64_t) delete->if_delete_at ? 0 : -ESTALE;
	}
	/* An expired object is answered like a missing one, though nothing is written over a newer
	 * time. */
	if (in_the_way && previous->kind == OBJECT_DATA && !object_record_expired(previous, delete->timestamp))
		return -EEXIST;
	return 0;
}

int object_delete(struct device_txn *txn, void *argument)
{
	struct object_delete *delete = argument;
	delete->tombstone_written = false;
	int result = txn_read_or_forget(txn, &delete->key, delete->arena, &delete->previous);
	if (result < 0)
		return result;
	const struct object_record *previous = &delete->previous;
	if (previous->kind != OBJECT_ABSENT && !slice_equal(previous->name, delete->name))
		return -EBADMSG;
	result = check_delete(delete, previous);
	if (result < 0)
		return result;
	if (timestamp_compare(previous->data_time, delete->timestamp) >= 0)
		return 0;
	struct object_record tombstone = {
		.kind = OBJECT_TOMBSTONE,
		.name = delete->name,
		.data_time = delete->timestamp,
	};
	drop_body(txn, &delete->key, previous);
	txn_write(txn, &delete->key, &tombstone);
	put_todos(txn, &delete->todos);
	delete->tombstone_written = true;
	return 0;
}

/* ---- to-do entries ---- */

int object_todo_done(struct device_txn *txn, void *number)
{
	char bytes[TODO_KEY_BYTES];
	txn_delete(txn, DEVICE_TODO, todo_key(*(const uint64_t *)number, bytes));
	return 0;
}

int object_todo_replace(struct device_txn *txn, void *argument)
{
	const struct object_todo_update *update = argument;
	char bytes[TODO_KEY_BYTES];
	struct slice key = todo_key(update->number, bytes);
	struct buf old = BUF_INIT;
	int result = txn_get(txn, DEVICE_TODO, key, &old);
	buf_release(&old);
	if (result == 0)
		txn_put(txn, DEVICE_TODO, key, update->value);
	return result;
}

static uint64_t todo_number(struct slice key)
{
	struct cursor cursor = cursor_of(key);
	(void)cursor_u8(&cursor);
	return cursor_u64(&cursor);
}

int object_todo_walk(struct device *device, uint64_t from,
	int (*visit)(uint64_t number, struct slice value, void *argument), void *argument)
{
	char bytes[TODO_KEY_BYTES];
	struct slice lower = todo_key(from, bytes);
	struct device_iterator *iterator = device_iterator_new(device, DEVICE_TODO, lower, SLICE_LITERAL("V"));
	int result = 0;
	bool found = device_iterator_seek(iterator, lower);
	while (found && result == 0) {
		result = visit(todo_number(device_iterator_key(iterator)), device_iterator_value(iterator), argument);
		found = device_iterator_next(iterator);
	}
	if (result == 0)
		result = device_iterator_error(iterator);
	device_iterator_free(iterator);
	return result;
}
