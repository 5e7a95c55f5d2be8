/*
 * Swift's databases the simple way: arrays of rows over a fixed set of names, times of object rows
 * as the texts that Swift's column created_at holds, counters by counting, listings by sorting and
 * filtering. What the listing store does must come out the same.
 */
#ifndef TESTS_UNIT_LISTING_MODEL_H
#define TESTS_UNIT_LISTING_MODEL_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/listing.h"

enum {
	MODEL_NAMES = 200,
	MODEL_POLICIES = 3,
	MODEL_METAS = 6,
	MODEL_META_COUNT_MAX = 3, /* the limit that the store is told */
};

/* ---- random numbers: splitmix64 ---- */

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
	uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline unsigned random_below(struct random *random, unsigned limit)
{
	return (unsigned)(random_next(random) % limit);
}

static inline bool random_percent(struct random *random, unsigned percent)
{
	return random_below(random, 100) < percent;
}

/* ---- names: many share prefixes and delimiters ---- */

static struct slice model_names[MODEL_NAMES]; /* sorted */

static inline int model_compare_names(const void *a, const void *b)
{
	return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static inline struct slice model_random_text(struct random *random, unsigned pieces_max, char *room)
{
	static const struct slice pieces[] = {SLICE_LITERAL("a"), SLICE_LITERAL("b"), SLICE_LITERAL("/"),
		SLICE_LITERAL("//"), SLICE_LITERAL("-"), SLICE_LITERAL("0"), SLICE_LITERAL("a/"), SLICE_LITERAL("\x01"),
		SLICE_LITERAL("\xc3\xa9"), SLICE_LITERAL("\xf4\x8f\xbf\xbf"), SLICE_LITERAL("\xff"),
		SLICE_LITERAL("\0")};
	unsigned count = 1 + random_below(random, pieces_max);
	size_t length = 0;
	for (unsigned i = 0; i < count; i++) {
		struct slice piece = pieces[random_below(random, sizeof(pieces) / sizeof(pieces[0]))];
		memcpy(room + length, piece.data, piece.length);
		length += piece.length;
	}
	return slice_of(room, length);
}

static inline void model_make_names(void)
{
	static char rooms[MODEL_NAMES][32];
	struct random random = {42};
	for (size_t i = 0; i < MODEL_NAMES;) {
		struct slice name = model_random_text(&random, 6, rooms[i]);
		bool known = false;
		for (size_t j = 0; j < i; j++)
			known |= slice_equal(name, model_names[j]);
		if (!known)
			model_names[i++] = name;
	}
	qsort(model_names, MODEL_NAMES, sizeof(model_names[0]), model_compare_names);
}

/* ---- state ---- */

struct model_meta {
	bool exists;
	unsigned value; /* 0: the empty one */
	struct timestamp time;
};

/* All of a database but its rows. */
struct model_info {
	bool exists;
	struct timestamp put;
	struct timestamp delete;
	struct timestamp status_changed;
	bool status_deleted;
	uint16_t policy;
	bool policy_known[MODEL_POLICIES]; /* has a line in policy_stat */
	struct model_meta metas[MODEL_METAS];
	struct listing_reported reported;
	uint64_t max_row;
};

/* Texts stand for themselves as small numbers: see the store's side in the test. */
struct model_object {
	bool exists;
	bool deleted;
	char created_at[TIMESTAMP_ENCODED_BYTES];
	int64_t size;
	unsigned etag;
	unsigned content_type;
	unsigned swift_bytes; /* 0: none */
	uint64_t sequence;
};

struct model_container {
	bool exists;
	bool deleted;
	struct timestamp put;
	struct timestamp delete;
	int64_t objects;
	int64_t bytes;
	uint16_t policy;
	uint64_t sequence;
};

struct model_database {
	enum listing_kind kind;
	struct model_info info;
	struct model_object objects[MODEL_POLICIES][MODEL_NAMES];
	struct model_container containers[MODEL_NAMES];
};

/* ---- counting ---- */

static inline struct listing_policy_count model_count(const struct model_database *database, uint16_t policy)
{
	struct listing_policy_count count = {.policy = policy};
	for (size_t i = 0; i < MODEL_NAMES; i++) {
		const struct model_object *object = &database->objects[policy][i];
		if (object->exists) {
			count.objects += !object->deleted;
			count.bytes += object->size;
		}
		const struct model_container *container = &database->containers[i];
		if (container->exists && container->policy == policy) {
			count.containers += !container->deleted;
			count.objects += container->objects;
			count.bytes += container->bytes;
		}
	}
	return count;
}

static inline int64_t model_total(const struct model_database *database, bool containers)
{
	int64_t total = 0;
	for (uint16_t policy = 0; policy < MODEL_POLICIES; policy++) {
		struct listing_policy_count count = model_count(database, policy);
		total += containers ? count.containers : count.objects;
	}
	return total;
}

static inline bool model_newer(struct timestamp a, struct timestamp b)
{
	return timestamp_compare(a, b) > 0;
}

static inline bool model_is_deleted(const struct model_database *database)
{
	const struct model_info *info = &database->info;
	if (!info->exists)
		return true;
	bool newer = model_newer(info->delete, info->put);
	if (database->kind == LISTING_ACCOUNT)
		return info->status_deleted || (model_total(database, true) == 0 && newer);
	return model_count(database, info->policy).objects == 0 && newer;
}

/* ---- PUT, POST, DELETE ---- */

/* What the store is asked; results as in struct listing_change. */
struct model_change {
	struct timestamp timestamp;
	int policy_requested;
	uint16_t policy_default;
	bool keep_put;
	unsigned meta_count;
	struct {
		unsigned name;
		unsigned value;
	} metas[2];
};

struct model_result {
	int error;
	enum listing_outcome outcome;
	uint16_t policy;
	bool was_there;
	bool is_deleted;
};

static inline void model_create(struct model_database *database, struct timestamp timestamp, uint16_t policy)
{
	database->info = (struct model_info){
		.exists = true,
		.put = timestamp,
		.status_changed = timestamp,
		.policy = policy,
	};
	if (database->kind == LISTING_CONTAINER)
		database->info.policy_known[policy] = true;
}

/* False: too many items. The last one is sysmeta and counts for nothing. */
static inline bool model_update_metadata(struct model_info *info, const struct model_change *change)
{
	bool changed = false;
	unsigned count = 0;
	for (unsigned i = 0; i < change->meta_count; i++) {
		struct model_meta *meta = &info->metas[change->metas[i].name];
		if (meta->exists && !model_newer(change->timestamp, meta->time))
			continue;
		*meta = (struct model_meta){true, change->metas[i].value, change->timestamp};
		changed = true;
	}
	for (unsigned i = 0; i < MODEL_METAS - 1; i++)
		count += info->metas[i].exists && info->metas[i].value;
	return !changed || count <= MODEL_META_COUNT_MAX;
}

static inline void model_raise(struct timestamp *timestamp, struct timestamp other)
{
	if (model_newer(other, *timestamp))
		*timestamp = other;
}

/* Container server, _update_or_create. */
static inline enum listing_outcome model_update_or_create(
	struct model_database *database, const struct model_change *change)
{
	struct model_info *info = &database->info;
	uint16_t policy = change->policy_requested >= 0 ? (uint16_t)change->policy_requested : change->policy_default;
	if (!info->exists) {
		model_create(database, change->timestamp, policy);
		return LISTING_CREATED;
	}
	bool recreated = model_is_deleted(database);
	if (recreated && policy != info->policy) {
		info->policy = policy;
		info->policy_known[policy] = true;
		model_raise(&info->status_changed, change->timestamp);
	} else if (!recreated && change->policy_requested >= 0 && policy != info->policy) {
		return LISTING_CONFLICT;
	}
	model_raise(&info->put, change->timestamp);
	if (model_is_deleted(database))
		return LISTING_CONFLICT;
	if (recreated)
		model_raise(&info->status_changed, change->timestamp);
	return recreated ? LISTING_CREATED : LISTING_UPDATED;
}

/* Account server, PUT. */
static inline enum listing_outcome model_put_account(struct model_database *database, const struct model_change *change)
{
	struct model_info *info = &database->info;
	if (!info->exists) {
		model_create(database, change->timestamp, 0);
		return LISTING_CREATED;
	}
	if (info->status_deleted || model_newer(info->delete, info->put))
		return LISTING_RECENTLY_DELETED;
	model_raise(&info->put, change->timestamp);
	return LISTING_UPDATED;
}

static inline struct model_result model_put(struct model_database *database, const struct model_change *change)
{
	struct model_info before = database->info;
	struct model_result result = {.outcome = database->kind == LISTING_CONTAINER
							 ? model_update_or_create(database, change)
							 : model_put_account(database, change)};
	bool accepted = result.outcome == LISTING_CREATED || result.outcome == LISTING_UPDATED;
	if (accepted && !model_update_metadata(&database->info, change)) {
		database->info = before;
		return (struct model_result){.error = -E2BIG};
	}
	result.policy = database->info.policy;
	return result;
}

static inline struct model_result model_post(struct model_database *database, const struct model_change *change)
{
	struct model_info before = database->info;
	struct model_result result = {.outcome = LISTING_MISSING, .policy = before.policy};
	if (model_is_deleted(database)) {
		result.is_deleted = before.exists;
		return result;
	}
	if (!change->keep_put)
		model_raise(&database->info.put, change->timestamp);
	if (!model_update_metadata(&database->info, change)) {
		database->info = before;
		return (struct model_result){.error = -E2BIG};
	}
	result.outcome = LISTING_UPDATED;
	return result;
}

/* db.py, delete_db; the last of the metas is one that survives. */
static inline void model_delete_db(struct model_info *info, struct timestamp timestamp)
{
	for (unsigned i = 0; i < MODEL_METAS - 1; i++) {
		struct model_meta *meta = &info->metas[i];
		if (meta->exists && model_newer(timestamp, meta->time))
			*meta = (struct model_meta){true, 0, timestamp};
	}
	if (!model_newer(timestamp, info->delete))
		return;
	info->delete = timestamp;
	info->status_changed = timestamp;
	info->status_deleted = true;
}

static inline struct model_result model_delete(struct model_database *database, const struct model_change *change)
{
	struct model_info *info = &database->info;
	struct model_result result = {.outcome = LISTING_MISSING, .policy = info->policy};
	bool deleted = model_is_deleted(database);
	if (!info->exists)
		return result;
	if (database->kind == LISTING_ACCOUNT) {
		result.is_deleted = deleted;
		result.was_there = !deleted;
		if (deleted)
			return result;
		model_delete_db(info, change->timestamp);
		result.outcome = LISTING_UPDATED;
		return result;
	}
	result.outcome = LISTING_CONFLICT;
	if (model_total(database, false) > 0)
		return result;
	model_delete_db(info, change->timestamp);
	if (!model_is_deleted(database))
		return result;
	result.outcome = LISTING_UPDATED;
	result.was_there = !deleted && !timestamp_is_zero(info->put);
	return result;
}

/* ---- rows ---- */

struct model_object_change {
	unsigned name;
	uint16_t policy;
	bool create_missing;
	struct timestamp data;
	struct timestamp type;
	struct timestamp meta;
	struct model_object values;
};

/* update_new_item_from_existing, on the texts. */
static inline bool model_merge(
	struct model_object *item, const struct model_object *existing, const struct model_object_change *change)
{
	struct timestamp data = change->data;
	struct timestamp type = change->type;
	struct timestamp meta = change->meta;
	struct timestamp old_data = TIMESTAMP_ZERO;
	struct timestamp old_type = TIMESTAMP_ZERO;
	struct timestamp old_meta = TIMESTAMP_ZERO;
	bool newer = !existing->exists;
	if (existing->exists) {
		(void)timestamp_decode(slice_from(existing->created_at), &old_data, &old_type, &old_meta);
		newer = model_newer(data, old_data) || model_newer(type, old_type) || model_newer(meta, old_meta);
		if (!model_newer(data, old_data)) {
			item->size = existing->size;
			item->etag = existing->etag;
			item->deleted = existing->deleted;
			item->swift_bytes = existing->swift_bytes;
			data = old_data;
		}
		if (!model_newer(type, old_type)) {
			item->content_type = existing->content_type;
			type = old_type;
		}
		model_raise(&meta, old_meta);
	}
	(void)timestamp_encode(&data, &type, &meta, false, item->created_at);
	return newer;
}

static inline enum listing_outcome model_put_object(
	struct model_database *database, const struct model_object_change *change)
{
	enum listing_outcome outcome = LISTING_UPDATED;
	if (!database->info.exists) {
		if (!change->create_missing)
			return LISTING_MISSING;
		model_create(database, (struct timestamp){.raw = change->data.raw}, change->policy);
		outcome = LISTING_CREATED;
	}
	struct model_object *existing = &database->objects[change->policy][change->name];
	struct model_object item = change->values;
	if (!model_merge(&item, existing, change))
		return outcome;
	*existing = item;
	existing->exists = true;
	existing->sequence = ++database->info.max_row;
	database->info.policy_known[change->policy] = true;
	return outcome;
}

struct model_container_change {
	unsigned name;
	bool create_missing;
	bool override_deleted;
	struct timestamp timestamp;
	struct model_container values;
};

/* Swift writes such a row again; the store need not, and nobody can tell but by the row's number.
 */
static inline bool model_same_container(const struct model_container *a, const struct model_container *b)
{
	return a->exists == b->exists && timestamp_compare(a->put, b->put) == 0 &&
	       timestamp_compare(a->delete, b->delete) == 0 && a->objects == b->objects && a->bytes == b->bytes &&
	       a->policy == b->policy;
}

/* Account backend, put_container and merge_items. */
static inline enum listing_outcome model_put_container(
	struct model_database *database, const struct model_container_change *change)
{
	enum listing_outcome outcome = LISTING_UPDATED;
	if (!database->info.exists && change->create_missing) {
		model_create(database, change->timestamp, 0);
		outcome = LISTING_CREATED;
	} else if (!database->info.exists || (model_is_deleted(database) && !change->override_deleted)) {
		return LISTING_MISSING;
	}
	struct model_container *existing = &database->containers[change->name];
	struct model_container item = change->values;
	if (existing->exists) {
		model_raise(&item.put, existing->put);
		model_raise(&item.delete, existing->delete);
	}
	item.exists = true;
	item.deleted = model_newer(item.delete, item.put) && item.objects == 0;
	if (model_same_container(&item, existing))
		return outcome;
	item.sequence = ++database->info.max_row;
	*existing = item;
	database->info.policy_known[item.policy] = true;
	return outcome;
}

/* ---- listings ---- */

struct model_entry {
	bool subdir;
	struct slice name;
	unsigned index; /* of the name, for rows */
};

static inline bool model_is_listed(const struct model_database *database, uint16_t policy, unsigned index)
{
	if (database->kind == LISTING_ACCOUNT)
		return database->containers[index].exists && !database->containers[index].deleted;
	return database->objects[policy][index].exists && !database->objects[policy][index].deleted;
}

/* The bounds of a query, but for the delimiter. */
static inline bool model_in_range(const struct listing_query *query, struct slice prefix, struct slice name)
{
	struct slice above = query->reverse ? query->end_marker : query->marker;
	struct slice below = query->reverse ? query->marker : query->end_marker;
	if (above.length && slice_compare(name, above) <= 0)
		return false;
	if (below.length && slice_compare(name, below) >= 0)
		return false;
	if (!query->allow_reserved && (unsigned char)name.data[0] < 1)
		return false;
	return slice_starts_with(name, prefix);
}

/* Sort and filter; returns the number of entries. `prefix_room` keeps the prefix of path mode. */
static inline size_t model_list(const struct model_database *database, const struct listing_query *query,
	char *prefix_room, struct model_entry entries[MODEL_NAMES])
{
	struct slice above = query->reverse ? query->end_marker : query->marker;
	struct slice prefix = query->prefix;
	struct slice delimiter = query->delimiter;
	struct slice last = SLICE_NONE;
	bool path_mode = query->kind == LISTING_CONTAINER && query->path.data;
	size_t count = 0;
	if (path_mode) {
		prefix = query->path;
		while (prefix.length && prefix.data[prefix.length - 1] == '/')
			prefix.length--;
		memcpy(prefix_room, prefix.data, prefix.length);
		prefix_room[prefix.length] = '/';
		prefix = slice_of(prefix_room, query->path.length ? prefix.length + 1 : 0);
		delimiter = SLICE_LITERAL("/");
	}
	for (unsigned i = 0; i < MODEL_NAMES && count < query->limit; i++) {
		unsigned index = query->reverse ? MODEL_NAMES - 1 - i : i;
		struct slice name = model_names[index];
		if (!model_is_listed(database, query->policy, index) || !model_in_range(query, prefix, name))
			continue;
		const char *found = delimiter.length ? memmem(name.data + prefix.length, name.length - prefix.length,
							       delimiter.data, delimiter.length)
						     : NULL;
		struct slice group = {name.data, found ? (size_t)(found - name.data) + delimiter.length : 0};
		if (path_mode && (slice_equal(name, prefix) || (found && group.length < name.length)))
			continue;
		if (!found || path_mode) {
			entries[count++] = (struct model_entry){.name = name, .index = index};
		} else if (!slice_equal(group, last)) {
			last = group;
			if (!slice_equal(group, above))
				entries[count++] = (struct model_entry){.subdir = true, .name = group};
		}
	}
	return count;
}

#endif
