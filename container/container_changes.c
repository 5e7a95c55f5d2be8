/*
 * The server's changes, each with its promise to tell the account: an entry in DEVICE_TODO, key 'C'
 * hash, value the number of the newest change. The number tells whether a container has changed
 * again since a report was made up.
 */
#include <errno.h>
#include <string.h>

#include "container/container_private.h"

enum { PROMISE_LETTER = 'C' };

static void promise_key(struct buf *key, const unsigned char hash[HASH_PATH_BYTES])
{
	buf_clear(key);
	buf_append_byte(key, PROMISE_LETTER);
	buf_append(key, hash, HASH_PATH_BYTES);
}

static void make_promise(struct device_txn *txn, const unsigned char hash[HASH_PATH_BYTES])
{
	struct buf key = BUF_INIT;
	struct buf value = BUF_INIT;
	promise_key(&key, hash);
	buf_append_u64(&value, txn_next_number(txn));
	txn_put(txn, DEVICE_TODO, buf_slice(&key), buf_slice(&value));
	buf_release(&key);
	buf_release(&value);
}

static int change_with_promise(struct device_txn *txn, device_change_fn *apply, struct listing_change *change)
{
	int error = apply(txn, change);
	if (!error && change->outcome != LISTING_MISSING)
		make_promise(txn, change->hash);
	return error;
}

int container_change_put(struct device_txn *txn, void *change)
{
	return change_with_promise(txn, listing_put, change);
}

int container_change_post(struct device_txn *txn, void *change)
{
	return change_with_promise(txn, listing_post, change);
}

int container_change_delete(struct device_txn *txn, void *change)
{
	return change_with_promise(txn, listing_delete, change);
}

int container_change_rows(struct device_txn *txn, void *argument)
{
	struct container_rows *batch = argument;
	size_t done = 0;
	int error = 0;
	batch->missing = false;
	while (done < batch->count && !error && !batch->missing) {
		error = listing_put_object_row(txn, &batch->rows[done]);
		batch->missing = !error && batch->rows[done].outcome == LISTING_MISSING;
		done += !error && !batch->missing;
	}
	if (done)
		make_promise(txn, batch->rows[0].hash);
	batch->error = error;
	return done ? 0 : error;
}

int container_change_reported(struct device_txn *txn, void *argument)
{
	const struct container_report *report = argument;
	struct buf key = BUF_INIT;
	struct buf value = BUF_INIT;
	promise_key(&key, report->reported.hash);
	/* Everything that can fail comes before the first write. */
	int error = txn_get(txn, DEVICE_TODO, buf_slice(&key), &value);
	bool promised = error == 0;
	if ((promised || error == -ENOENT) && report->sent)
		error = listing_set_reported(txn, (void *)&report->reported);
	/* Either the container or the promise is gone: nothing is left to report. */
	if (error == -ENOENT)
		error = 0;
	struct cursor cursor = cursor_of(buf_slice(&value));
	if (!error && promised && cursor_u64(&cursor) == report->number)
		txn_delete(txn, DEVICE_TODO, buf_slice(&key));
	buf_release(&key);
	buf_release(&value);
	return error;
}

int container_promises(struct device *device, const unsigned char *after, struct container_promise *ret_promises,
	size_t max, size_t *ret_count)
{
	static const char end[] = {PROMISE_LETTER + 1};
	struct buf lower = BUF_INIT;
	buf_append_byte(&lower, PROMISE_LETTER);
	if (after) {
		promise_key(&lower, after);
		buf_append_byte(&lower, '\0');
	}
	struct device_iterator *iterator =
		device_iterator_new(device, DEVICE_TODO, buf_slice(&lower), slice_of(end, sizeof(end)));
	size_t count = 0;
	bool found = device_iterator_seek(iterator, buf_slice(&lower));
	for (; found && count < max; found = device_iterator_next(iterator)) {
		struct slice key = device_iterator_key(iterator);
		struct cursor value = cursor_of(device_iterator_value(iterator));
		if (key.length != 1 + HASH_PATH_BYTES)
			continue;
		memcpy(ret_promises[count].hash, key.data + 1, HASH_PATH_BYTES);
		ret_promises[count++].number = cursor_u64(&value);
	}
	int error = found ? 0 : device_iterator_error(iterator);
	device_iterator_free(iterator);
	buf_release(&lower);
	if (!error)
		*ret_count = count;
	return error;
}
