/*
 * Changes of single rows. A row change writes the row, its sequence entry and the numbers, and
 * removes what the row was before: its old sequence entry, and its key among the live or deleted
 * rows when it moved between them. Info is not rewritten: whether a database is deleted follows
 * from its times and its numbers.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/store/listing_private.h"

/* One row on its way from what is stored to what will be. */
struct row_change {
	struct device_txn *txn;
	enum device_family family;
	const unsigned char *hash;
	uint16_t key_policy;
	struct slice name;
	bool exists;
	bool was_deleted;
	uint64_t old_sequence;
	struct buf old_value; /* decoded rows are views into this */
};

/* Reads the row wherever it is: live, deleted, nowhere (0 with exists false). */
static int row_change_read(struct row_change *change)
{
	struct buf key = BUF_INIT;
	int error = -ENOENT;
	for (int deleted = 0; deleted <= 1 && error == -ENOENT; deleted++) {
		buf_clear(&key);
		listing_key_row(&key, change->hash, deleted, change->key_policy, change->name);
		error = txn_get(change->txn, change->family, buf_slice(&key), &change->old_value);
		change->was_deleted = deleted;
	}
	buf_release(&key);
	change->exists = error == 0;
	return error == -ENOENT ? 0 : error;
}

static void row_change_write(struct row_change *change, bool deleted, uint64_t sequence, const struct buf *value)
{
	struct buf key = BUF_INIT;
	struct buf entry = BUF_INIT;
	if (change->exists && change->was_deleted != deleted) {
		listing_key_row(&key, change->hash, change->was_deleted, change->key_policy, change->name);
		txn_delete(change->txn, change->family, buf_slice(&key));
		buf_clear(&key);
	}
	listing_key_row(&key, change->hash, deleted, change->key_policy, change->name);
	txn_put(change->txn, change->family, buf_slice(&key), buf_slice(value));

	if (change->exists) {
		buf_clear(&key);
		listing_key_sequence(&key, change->hash, change->old_sequence);
		txn_delete(change->txn, change->family, buf_slice(&key));
	}
	buf_clear(&key);
	listing_key_sequence(&key, change->hash, sequence);
	listing_encode_sequence(&entry, change->key_policy, change->name);
	txn_put(change->txn, change->family, buf_slice(&key), buf_slice(&entry));
	buf_release(&key);
	buf_release(&entry);
}

static int read_numbers(struct device_txn *txn, enum listing_kind kind, const unsigned char hash[LISTING_HASH_BYTES],
	struct listing_info *info)
{
	struct buf key = BUF_INIT;
	struct buf value = BUF_INIT;
	listing_key(&key, hash, LISTING_AREA_NUMBERS);
	int error = txn_get(txn, listing_family(kind), buf_slice(&key), &value);
	*info = (struct listing_info){.kind = kind};
	if (!error)
		error = listing_decode_numbers(buf_slice(&value), info);
	buf_release(&key);
	buf_release(&value);
	return error;
}

/* ---- Swift's chexor: hash ^= MD5(name + "-" + times) ---- */

static void chexor(struct listing_info *info, struct slice name, const char *times, size_t times_length)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct buf text = BUF_INIT;
	buf_append_slice(&text, name);
	buf_append_byte(&text, '-');
	buf_append(&text, times, times_length);
	if (EVP_Digest(text.data, text.length, digest, NULL, EVP_md5(), NULL) != 1)
		abort();
	buf_release(&text);
	for (size_t i = 0; i < sizeof(info->hash); i++)
		info->hash[i] ^= digest[i];
}

/* created_at of an object row. */
static void chexor_object(struct listing_info *info, struct slice name, const struct container_row *row)
{
	char times[TIMESTAMP_ENCODED_BYTES];
	size_t length = timestamp_encode(&row->data, &row->content_type_time, &row->meta, false, times);
	chexor(info, name, times, length);
}

/*
 * put-delete-objects-bytes. Swift's databases keep the times as texts; a container that was never
 * deleted has the column's default "0" there, not the text of a zero time.
 */
static void chexor_container(struct listing_info *info, struct slice name, const struct listing_container_row *row)
{
	char put_text[TIMESTAMP_TEXT_BYTES];
	char delete_text[TIMESTAMP_TEXT_BYTES] = "0";
	char times[2 * TIMESTAMP_TEXT_BYTES + 48];
	timestamp_internal(row->put_timestamp, put_text);
	if (!timestamp_is_zero(row->delete_timestamp))
		timestamp_internal(row->delete_timestamp, delete_text);
	int length = snprintf(times, sizeof(times), "%s-%s-%lld-%lld", put_text, delete_text,
		(long long)row->object_count, (long long)row->bytes_used);
	chexor(info, name, times, (size_t)length);
}

/* ---- object rows ---- */

/* Adds (sign 1) or takes away (-1) a row. A tombstone counts with its size, which is 0 unless a
 * peer sent another: so do Swift's triggers. */
static void count_object(struct listing_policy_count *count, const struct container_row *row, int sign)
{
	count->objects += row->deleted ? 0 : sign;
	count->bytes += sign * row->size;
}

static void auto_create_container(
	struct device_txn *txn, struct listing_object_row *item, struct listing_info *ret_numbers)
{
	/* The offset belongs to the object's request, not to the container (_maybe_autocreate). */
	struct timestamp timestamp = {.raw = item->row.data.raw};
	listing_create(txn, LISTING_CONTAINER, item->account, item->container, timestamp, item->policy, ret_numbers);
	listing_write_info(txn, item->hash, ret_numbers);
}

static int merge_object(struct row_change *change, struct listing_object_row *item, struct listing_info *numbers)
{
	struct listing_object_record existing;
	struct container_row row = item->row;
	struct listing_policy_count *count = listing_count_for(numbers, item->policy);
	if (!count)
		return -E2BIG;
	if (change->exists) {
		int error = listing_decode_object(buf_slice(&change->old_value), change->was_deleted, &existing);
		if (error)
			return error;
		change->old_sequence = existing.sequence;
	}
	if (!container_row_merge(change->exists ? &existing.row : NULL, &row))
		return 0;
	if (change->exists) {
		count_object(count, &existing.row, -1);
		chexor_object(numbers, item->name, &existing.row);
	}
	count_object(count, &row, 1);
	chexor_object(numbers, item->name, &row);
	numbers->max_row++;

	struct buf value = BUF_INIT;
	listing_encode_object(&value, numbers->max_row, &row);
	row_change_write(change, row.deleted, numbers->max_row, &value);
	buf_release(&value);
	listing_write_numbers(change->txn, item->hash, numbers);
	return 0;
}

int listing_put_object_row(struct device_txn *txn, void *argument)
{
	struct listing_object_row *item = argument;
	struct listing_info numbers;
	struct row_change change = {
		.txn = txn,
		.family = DEVICE_CONTAINERS,
		.hash = item->hash,
		.key_policy = item->policy,
		.name = item->name,
		.old_value = BUF_INIT,
	};
	item->outcome = LISTING_MISSING;
	int error = read_numbers(txn, LISTING_CONTAINER, item->hash, &numbers);
	bool missing = error == -ENOENT;
	if (missing && !item->create_missing)
		return 0;
	if (missing) {
		auto_create_container(txn, item, &numbers);
		error = 0;
	} else if (!error) {
		error = row_change_read(&change);
	}
	if (!error)
		error = merge_object(&change, item, &numbers);
	if (!error)
		item->outcome = missing ? LISTING_CREATED : LISTING_UPDATED;
	buf_release(&change.old_value);
	return error;
}

/* ---- container rows ---- */

static void count_container(
	struct listing_policy_count *count, const struct listing_container_row *row, bool deleted, int sign)
{
	count->containers += deleted ? 0 : sign;
	count->objects += sign * row->object_count;
	count->bytes += sign * row->bytes_used;
}

static bool same_container(const struct listing_container_row *a, const struct listing_container_row *b)
{
	return timestamp_compare(a->put_timestamp, b->put_timestamp) == 0 &&
	       timestamp_compare(a->delete_timestamp, b->delete_timestamp) == 0 && a->object_count == b->object_count &&
	       a->bytes_used == b->bytes_used && a->policy == b->policy;
}

/* Account backend, merge_items: the newest times, everything else as it came last. A row that comes
 * again as it is changes nothing (Swift would give it a new number). */
static int merge_container(struct row_change *change, struct listing_container_row *item, struct listing_info *numbers)
{
	struct listing_container_record existing;
	struct listing_container_row row = *item;
	if (change->exists) {
		int error = listing_decode_container(buf_slice(&change->old_value), change->was_deleted, &existing);
		if (error)
			return error;
		change->old_sequence = existing.sequence;
		if (timestamp_compare(existing.row.put_timestamp, row.put_timestamp) > 0)
			row.put_timestamp = existing.row.put_timestamp;
		if (timestamp_compare(existing.row.delete_timestamp, row.delete_timestamp) > 0)
			row.delete_timestamp = existing.row.delete_timestamp;
		if (same_container(&existing.row, &row))
			return 0;
	}
	struct listing_policy_count *count = listing_count_for(numbers, row.policy);
	if (!count)
		return -E2BIG;
	bool deleted = timestamp_compare(row.delete_timestamp, row.put_timestamp) > 0 && row.object_count == 0;
	if (change->exists) {
		struct listing_policy_count *old_count = listing_count_for(numbers, existing.row.policy);
		if (!old_count)
			return -EIO;
		count_container(old_count, &existing.row, existing.deleted, -1);
		chexor_container(numbers, item->name, &existing.row);
	}
	count_container(count, &row, deleted, 1);
	chexor_container(numbers, item->name, &row);
	numbers->max_row++;

	struct buf value = BUF_INIT;
	listing_encode_container(&value, numbers->max_row, &row);
	row_change_write(change, deleted, numbers->max_row, &value);
	buf_release(&value);
	listing_write_numbers(change->txn, item->hash, numbers);
	return 0;
}

static void auto_create_account(
	struct device_txn *txn, struct listing_container_row *item, struct listing_info *ret_info)
{
	struct timestamp timestamp = timestamp_is_zero(item->timestamp) ? timestamp_now() : item->timestamp;
	listing_create(txn, LISTING_ACCOUNT, item->account, SLICE_NONE, timestamp, 0, ret_info);
}

int listing_put_container_row(struct device_txn *txn, void *argument)
{
	struct listing_container_row *item = argument;
	struct row_change change = {
		.txn = txn,
		.family = DEVICE_ACCOUNTS,
		.hash = item->hash,
		.name = item->name,
		.old_value = BUF_INIT,
	};
	struct arena *arena = arena_new();
	struct listing_info info;
	item->outcome = LISTING_MISSING;
	int error = listing_read_txn(txn, LISTING_ACCOUNT, item->hash, arena, &info);
	bool missing = error == -ENOENT;
	if (missing)
		error = 0;
	if (missing && item->create_missing) {
		auto_create_account(txn, item, &info);
		listing_write_info(txn, item->hash, &info);
		item->outcome = LISTING_CREATED;
	} else if (!missing && !error && (item->override_deleted || !listing_is_deleted(&info))) {
		error = row_change_read(&change);
		item->outcome = LISTING_UPDATED;
	}
	if (!error && item->outcome != LISTING_MISSING)
		error = merge_container(&change, item, &info);
	buf_release(&change.old_value);
	arena_free(arena);
	return error;
}
