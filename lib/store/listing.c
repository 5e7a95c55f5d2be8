/*
 * Databases as a whole: reading them, creating, PUT, POST and DELETE. Rows are in listing_rows.c,
 * listings in listing_walk.c, records in listing_record.c.
 *
 * A request of Swift makes several small SQL updates, each with its own condition; here they act on
 * a struct listing_info in memory, in the same order, and the result is written if it differs from
 * what was read.
 */
#include "lib/store/listing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "lib/store/listing_private.h"

/* Where a read goes: a change's transaction, or the device. */
struct source {
	struct device_txn *txn;
	struct device *device;
	bool cached; /* device: only what is in memory */
};

static int source_get(const struct source *source, enum device_family family, struct slice key, struct buf *value)
{
	if (source->txn)
		return txn_get(source->txn, family, key, value);
	if (source->cached)
		return device_get_cached(source->device, family, key, value);
	return device_get(source->device, family, key, value);
}

static int read_area(const struct source *source, enum listing_kind kind, const unsigned char hash[LISTING_HASH_BYTES],
	enum listing_area area, struct arena *arena, struct slice *ret_value)
{
	struct buf key = BUF_INIT;
	struct buf value = BUF_INIT;
	listing_key(&key, hash, area);
	int error = source_get(source, listing_family(kind), buf_slice(&key), &value);
	if (!error)
		*ret_value = arena_slice(arena, buf_slice(&value));
	buf_release(&key);
	buf_release(&value);
	return error;
}

static int read_info(const struct source *source, enum listing_kind kind, const unsigned char hash[LISTING_HASH_BYTES],
	struct arena *arena, struct listing_info *ret_info)
{
	struct slice info_value;
	struct slice numbers_value;
	int error = read_area(source, kind, hash, LISTING_AREA_INFO, arena, &info_value);
	if (!error)
		error = read_area(source, kind, hash, LISTING_AREA_NUMBERS, arena, &numbers_value);
	if (error)
		return error;
	struct listing_info info = {.kind = kind};
	error = listing_decode_info(info_value, kind, arena, &info);
	if (!error)
		error = listing_decode_numbers(numbers_value, &info);
	if (!error)
		*ret_info = info;
	return error;
}

int listing_read(struct device *device, enum listing_kind kind, const unsigned char hash[LISTING_HASH_BYTES],
	struct arena *arena, struct listing_info *ret_info)
{
	struct source source = {.device = device};
	return read_info(&source, kind, hash, arena, ret_info);
}

int listing_read_cached(struct device *device, enum listing_kind kind, const unsigned char hash[LISTING_HASH_BYTES],
	struct arena *arena, struct listing_info *ret_info)
{
	struct source source = {.device = device, .cached = true};
	return read_info(&source, kind, hash, arena, ret_info);
}

int listing_read_txn(struct device_txn *txn, enum listing_kind kind, const unsigned char hash[LISTING_HASH_BYTES],
	struct arena *arena, struct listing_info *ret_info)
{
	struct source source = {.txn = txn};
	return read_info(&source, kind, hash, arena, ret_info);
}

/* ---- numbers and status ---- */

struct listing_policy_count listing_total(const struct listing_info *info)
{
	struct listing_policy_count total = {0};
	for (size_t i = 0; i < info->count_count; i++) {
		total.containers += info->counts[i].containers;
		total.objects += info->counts[i].objects;
		total.bytes += info->counts[i].bytes;
	}
	return total;
}

struct listing_policy_count listing_count_of(const struct listing_info *info, uint16_t policy)
{
	for (size_t i = 0; i < info->count_count; i++) {
		if (info->counts[i].policy == policy)
			return info->counts[i];
	}
	return (struct listing_policy_count){.policy = policy};
}

struct listing_policy_count *listing_count_for(struct listing_info *info, uint16_t policy)
{
	for (size_t i = 0; i < info->count_count; i++) {
		if (info->counts[i].policy == policy)
			return &info->counts[i];
	}
	if (info->count_count == LISTING_POLICIES_MAX)
		return NULL;
	struct listing_policy_count *count = &info->counts[info->count_count++];
	*count = (struct listing_policy_count){.policy = policy};
	return count;
}

bool listing_is_deleted(const struct listing_info *info)
{
	bool newer_delete = timestamp_compare(info->delete_timestamp, info->put_timestamp) > 0;
	if (info->kind == LISTING_CONTAINER)
		return newer_delete && listing_count_of(info, info->policy).objects == 0;
	return info->account_status_deleted || (newer_delete && listing_total(info).containers == 0);
}

/* DELETE looks at every policy: misplaced rows count, too. */
static bool has_objects(const struct listing_info *info)
{
	for (size_t i = 0; i < info->count_count; i++) {
		if (info->counts[i].objects > 0)
			return true;
	}
	return false;
}

/* ---- creating and writing ---- */

/* "<uuid4>-<device name>" */
static void make_id(const char *device_name_text, char ret_id[64])
{
	unsigned char r[16];
	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		abort();
	r[6] = (r[6] & 0x0f) | 0x40;
	r[8] = (r[8] & 0x3f) | 0x80;
	(void)snprintf(ret_id, 64, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x-%s", r[0],
		r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15],
		device_name_text);
}

void listing_create(struct device_txn *txn, enum listing_kind kind, struct slice account, struct slice container,
	struct timestamp timestamp, uint16_t policy, struct listing_info *ret_info)
{
	*ret_info = (struct listing_info){
		.kind = kind,
		.account = account,
		.container = container,
		.created_at = timestamp_now(),
		.put_timestamp = timestamp,
		.status_changed_at = timestamp,
		.policy = policy,
	};
	make_id(device_name(txn_device(txn)), ret_info->id);
	if (kind == LISTING_CONTAINER)
		(void)listing_count_for(ret_info, policy);
}

static void write_area(struct device_txn *txn, enum listing_kind kind, const unsigned char hash[LISTING_HASH_BYTES],
	enum listing_area area, const struct buf *value)
{
	struct buf key = BUF_INIT;
	listing_key(&key, hash, area);
	txn_put(txn, listing_family(kind), buf_slice(&key), buf_slice(value));
	buf_release(&key);
}

void listing_write_info(
	struct device_txn *txn, const unsigned char hash[LISTING_HASH_BYTES], const struct listing_info *info)
{
	struct buf value = BUF_INIT;
	listing_encode_info(&value, info);
	write_area(txn, info->kind, hash, LISTING_AREA_INFO, &value);
	buf_release(&value);
}

void listing_write_numbers(
	struct device_txn *txn, const unsigned char hash[LISTING_HASH_BYTES], const struct listing_info *info)
{
	struct buf value = BUF_INIT;
	listing_encode_numbers(&value, info);
	write_area(txn, info->kind, hash, LISTING_AREA_NUMBERS, &value);
	buf_release(&value);
}

/* ---- metadata ---- */

static struct listing_meta *find_meta(struct listing_meta *metas, size_t meta_count, struct slice name)
{
	for (size_t i = 0; i < meta_count; i++) {
		if (slice_equal(metas[i].name, name))
			return &metas[i];
	}
	return NULL;
}

/*
 * Swift's update_metadata: the newer time wins per name, equal times keep what is there. Says
 * whether anything changed.
 */
static bool merge_metas(
	struct arena *arena, struct listing_info *info, const struct listing_meta *updates, size_t update_count)
{
	size_t room = info->meta_count + update_count;
	struct listing_meta *metas = arena_alloc(arena, (room + 1) * sizeof(*metas));
	size_t meta_count = info->meta_count;
	bool changed = false;
	if (meta_count)
		memcpy(metas, info->metas, meta_count * sizeof(*metas));
	for (size_t i = 0; i < update_count; i++) {
		struct listing_meta *meta = find_meta(metas, meta_count, updates[i].name);
		if (meta && timestamp_compare(updates[i].time, meta->time) <= 0)
			continue;
		if (!meta)
			meta = &metas[meta_count++];
		*meta = updates[i];
		changed = true;
	}
	info->metas = metas;
	info->meta_count = meta_count;
	return changed;
}

/* Swift's validate_metadata: only the clients' own items count, without their prefix, and only
 * while they have a value. */
static bool metas_fit(const struct listing_info *info, const struct listing_change *change)
{
	struct slice prefix =
		info->kind == LISTING_ACCOUNT ? SLICE_LITERAL("x-account-meta-") : SLICE_LITERAL("x-container-meta-");
	size_t meta_count = 0;
	size_t meta_bytes = 0;
	for (size_t i = 0; i < info->meta_count; i++) {
		const struct listing_meta *meta = &info->metas[i];
		if (meta->value.length == 0 || meta->name.length < prefix.length ||
			strncasecmp(meta->name.data, prefix.data, prefix.length) != 0)
			continue;
		meta_count++;
		meta_bytes += meta->name.length - prefix.length + meta->value.length;
	}
	return (change->meta_count_max == 0 || meta_count <= change->meta_count_max) &&
	       (change->meta_bytes_max == 0 || meta_bytes <= change->meta_bytes_max);
}

static int apply_metas(struct arena *arena, struct listing_info *info, struct listing_change *change)
{
	if (!merge_metas(arena, info, change->metas, change->meta_count))
		return 0;
	change->too_much_meta = !metas_fit(info, change);
	return change->too_much_meta ? -E2BIG : 0;
}

/* Deletion keeps only what tells a shard its root (delete_meta_whitelist). */
static bool meta_survives_delete(const struct listing_meta *meta)
{
	static const struct slice kept[] = {
		SLICE_LITERAL("x-container-sysmeta-shard-quoted-root"),
		SLICE_LITERAL("x-container-sysmeta-shard-root"),
	};
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (meta->name.length == kept[i].length &&
			strncasecmp(meta->name.data, kept[i].data, kept[i].length) == 0)
			return true;
	}
	return false;
}

static void empty_metas(struct listing_info *info, struct timestamp timestamp)
{
	for (size_t i = 0; i < info->meta_count; i++) {
		struct listing_meta *meta = &info->metas[i];
		if (meta_survives_delete(meta) || timestamp_compare(timestamp, meta->time) <= 0)
			continue;
		meta->value = SLICE_NONE;
		meta->time = timestamp;
	}
}

/* ---- PUT, POST, DELETE ---- */

static void raise_timestamp(struct timestamp *timestamp, struct timestamp other)
{
	if (timestamp_compare(other, *timestamp) > 0)
		*timestamp = other;
}

/* Container server, _update_or_create. What it changed before finding a conflict stays changed, as
 * in Swift. */
static enum listing_outcome put_container(struct listing_info *info, const struct listing_change *change)
{
	bool requested = change->policy_requested >= 0;
	uint16_t policy = requested ? (uint16_t)change->policy_requested : change->policy_default;
	bool recreated = listing_is_deleted(info);
	if (!recreated && requested && policy != info->policy)
		return LISTING_CONFLICT;
	if (recreated && policy != info->policy) {
		(void)listing_count_for(info, policy);
		info->policy = policy;
		raise_timestamp(&info->status_changed_at, change->timestamp);
	}
	raise_timestamp(&info->put_timestamp, change->timestamp);
	if (listing_is_deleted(info))
		return LISTING_CONFLICT;
	if (!recreated)
		return LISTING_UPDATED;
	raise_timestamp(&info->status_changed_at, change->timestamp);
	return LISTING_CREATED;
}

static enum listing_outcome put_account(struct listing_info *info, const struct listing_change *change)
{
	/* is_status_deleted: an account whose deletion is newer than its PUT waits for the reaper,
	 * full or empty. */
	if (info->account_status_deleted || timestamp_compare(info->delete_timestamp, info->put_timestamp) > 0)
		return LISTING_RECENTLY_DELETED;
	raise_timestamp(&info->put_timestamp, change->timestamp);
	return LISTING_UPDATED;
}

/* A database that did not exist. */
static int put_new(
	struct device_txn *txn, struct listing_change *change, struct arena *arena, struct listing_info *info)
{
	uint16_t policy = 0;
	if (change->kind == LISTING_CONTAINER)
		policy = change->policy_requested >= 0 ? (uint16_t)change->policy_requested : change->policy_default;
	listing_create(txn, change->kind, change->account, change->container, change->timestamp, policy, info);
	change->outcome = LISTING_CREATED;
	return apply_metas(arena, info, change);
}

static int put_existing(struct listing_change *change, struct arena *arena, struct listing_info *info)
{
	change->outcome = change->kind == LISTING_CONTAINER ? put_container(info, change) : put_account(info, change);
	if (change->outcome == LISTING_CONFLICT || change->outcome == LISTING_RECENTLY_DELETED)
		return 0;
	return apply_metas(arena, info, change);
}

static int post_existing(struct listing_change *change, struct arena *arena, struct listing_info *info)
{
	change->is_deleted = listing_is_deleted(info);
	if (change->is_deleted) {
		change->outcome = LISTING_MISSING;
		return 0;
	}
	change->outcome = LISTING_UPDATED;
	if (!change->keep_put_timestamp)
		raise_timestamp(&info->put_timestamp, change->timestamp);
	return apply_metas(arena, info, change);
}

/* db.py, delete_db. Its condition looks at the old delete time alone; status_changed_at may even go
 * back. */
static void mark_deleted(struct listing_info *info, struct timestamp timestamp)
{
	empty_metas(info, timestamp);
	if (timestamp_compare(timestamp, info->delete_timestamp) <= 0)
		return;
	info->delete_timestamp = timestamp;
	info->status_changed_at = timestamp;
	if (info->kind == LISTING_ACCOUNT)
		info->account_status_deleted = true;
}

static int delete_existing(struct listing_change *change, struct arena *arena, struct listing_info *info)
{
	(void)arena;
	bool deleted_before = listing_is_deleted(info);
	if (change->kind == LISTING_ACCOUNT) {
		change->is_deleted = deleted_before;
		change->outcome = deleted_before ? LISTING_MISSING : LISTING_UPDATED;
		change->was_there = !deleted_before;
		if (!deleted_before)
			mark_deleted(info, change->timestamp);
		return 0;
	}
	change->outcome = LISTING_CONFLICT;
	if (has_objects(info))
		return 0;
	mark_deleted(info, change->timestamp);
	if (!listing_is_deleted(info))
		return 0;
	change->outcome = LISTING_UPDATED;
	change->was_there = !deleted_before && !timestamp_is_zero(info->put_timestamp);
	return 0;
}

/* ---- read, change, write what differs ---- */

typedef int change_existing_fn(struct listing_change *change, struct arena *arena, struct listing_info *info);

static void write_if_different(struct device_txn *txn, const unsigned char hash[LISTING_HASH_BYTES],
	const struct listing_info *before, const struct listing_info *after)
{
	struct buf old_value = BUF_INIT;
	struct buf new_value = BUF_INIT;
	listing_encode_info(&old_value, before);
	listing_encode_info(&new_value, after);
	if (!slice_equal(buf_slice(&old_value), buf_slice(&new_value)))
		write_area(txn, after->kind, hash, LISTING_AREA_INFO, &new_value);
	buf_clear(&old_value);
	buf_clear(&new_value);
	listing_encode_numbers(&old_value, before);
	listing_encode_numbers(&new_value, after);
	if (!slice_equal(buf_slice(&old_value), buf_slice(&new_value)))
		write_area(txn, after->kind, hash, LISTING_AREA_NUMBERS, &new_value);
	buf_release(&old_value);
	buf_release(&new_value);
}

static int change_existing(struct device_txn *txn, struct listing_change *change, change_existing_fn *apply,
	struct arena *arena, const struct listing_info *before)
{
	struct listing_info after = *before;
	/* Items are changed in place: the copy keeps `before` as it was read. */
	after.metas = arena_alloc(arena, (before->meta_count + 1) * sizeof(*after.metas));
	if (before->meta_count)
		memcpy(after.metas, before->metas, before->meta_count * sizeof(*after.metas));
	int error = apply(change, arena, &after);
	if (error)
		return error;
	change->policy = after.policy;
	write_if_different(txn, change->hash, before, &after);
	return 0;
}

static void clear_results(struct listing_change *change)
{
	change->outcome = LISTING_MISSING;
	change->policy = 0;
	change->was_there = false;
	change->is_deleted = false;
	change->too_much_meta = false;
}

int listing_put(struct device_txn *txn, void *argument)
{
	struct listing_change *change = argument;
	struct arena *arena = arena_new();
	struct listing_info info;
	clear_results(change);
	int error = listing_read_txn(txn, change->kind, change->hash, arena, &info);
	if (error == -ENOENT) {
		error = put_new(txn, change, arena, &info);
		if (!error) {
			change->policy = info.policy;
			listing_write_info(txn, change->hash, &info);
			listing_write_numbers(txn, change->hash, &info);
		}
	} else if (!error) {
		error = change_existing(txn, change, put_existing, arena, &info);
	}
	arena_free(arena);
	return error;
}

static int change_or_miss(struct device_txn *txn, struct listing_change *change, change_existing_fn *apply)
{
	struct arena *arena = arena_new();
	struct listing_info info;
	clear_results(change);
	int error = listing_read_txn(txn, change->kind, change->hash, arena, &info);
	if (error == -ENOENT)
		error = 0;
	else if (!error)
		error = change_existing(txn, change, apply, arena, &info);
	arena_free(arena);
	return error;
}

int listing_post(struct device_txn *txn, void *change)
{
	return change_or_miss(txn, change, post_existing);
}

int listing_delete(struct device_txn *txn, void *change)
{
	return change_or_miss(txn, change, delete_existing);
}

int listing_set_reported(struct device_txn *txn, void *argument)
{
	const struct listing_reported *reported = argument;
	struct arena *arena = arena_new();
	struct listing_info before;
	int error = listing_read_txn(txn, LISTING_CONTAINER, reported->hash, arena, &before);
	if (!error) {
		struct listing_info after = before;
		after.reported_put_timestamp = reported->put_timestamp;
		after.reported_delete_timestamp = reported->delete_timestamp;
		after.reported_object_count = reported->object_count;
		after.reported_bytes_used = reported->bytes_used;
		write_if_different(txn, reported->hash, &before, &after);
	}
	arena_free(arena);
	return error;
}
