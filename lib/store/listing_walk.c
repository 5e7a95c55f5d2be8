/*
 * Listings: Swift's list_objects_iter and list_containers_iter over a sorted range of keys instead
 * of SQL.
 *
 * The range is narrowed by markers, prefix and the reserved names before the walk begins. A row
 * whose name has the delimiter after the prefix stands for its group, which is emitted once and
 * then jumped over:
 *
 *	forward   a/b/1 [a/b/2 a/b/3] a/c     seek to the first key that does not begin with a/b/
 *	reverse   a/a [a/b/ a/b/1 a/b/2] a/b/3    seek back to the last key before a/b/
 *
 * In path mode the members of groups are no subdirs, but the name that is exactly "a/b/" is an
 * entry of its own, in either direction. (Swift loses that name in reverse, and the name right
 * after the group, "a/b0", in forward order.)
 */
#include <errno.h>
#include <string.h>

#include "lib/store/listing_private.h"

struct walk {
	const struct listing_query *query;
	listing_emit_fn *emit;
	void *argument;
	struct device_iterator *iterator;
	bool path_mode;
	struct slice prefix;
	struct slice delimiter;
	struct slice hidden_subdir; /* not emitted: the client named it as its marker */
	struct buf prefix_room;     /* holds the prefix in path mode */
	struct buf lower;           /* keys in [lower, upper) */
	struct buf upper;
	struct buf target; /* where the next seek goes */
	size_t left;       /* entries still wanted */
};

static void row_key(struct walk *walk, struct buf *key, struct slice name)
{
	buf_clear(key);
	listing_key_row(key, walk->query->hash, false, walk->query->policy, name);
}

/*
 * Turns a key into the smallest one that neither is it nor begins with it. The byte of the area is
 * no 0xff, so the result stays inside of the database even for names of 0xff bytes only.
 */
static void key_successor(struct buf *key)
{
	while ((unsigned char)key->data[key->length - 1] == 0xff)
		key->length--;
	key->data[key->length - 1]++;
}

static void raise_lower(struct walk *walk)
{
	if (slice_compare(buf_slice(&walk->target), buf_slice(&walk->lower)) <= 0)
		return;
	buf_clear(&walk->lower);
	buf_append_slice(&walk->lower, buf_slice(&walk->target));
}

static void reduce_upper(struct walk *walk)
{
	if (slice_compare(buf_slice(&walk->target), buf_slice(&walk->upper)) >= 0)
		return;
	buf_clear(&walk->upper);
	buf_append_slice(&walk->upper, buf_slice(&walk->target));
}

static void walk_set_bounds(struct walk *walk, struct slice above, struct slice below)
{
	row_key(walk, &walk->lower, walk->prefix);
	row_key(walk, &walk->upper, walk->prefix);
	key_successor(&walk->upper);
	if (above.length) {
		row_key(walk, &walk->target, above);
		buf_append_byte(&walk->target, '\0');
		raise_lower(walk);
	}
	if (!walk->query->allow_reserved) {
		row_key(walk, &walk->target, SLICE_LITERAL("\x01"));
		raise_lower(walk);
	}
	if (below.length) {
		row_key(walk, &walk->target, below);
		reduce_upper(walk);
	}
}

/* `path` with exactly one "/" at its end; the empty path is the top level. */
static void walk_set_path(struct walk *walk)
{
	struct slice path = walk->query->path;
	while (path.length && path.data[path.length - 1] == '/')
		path.length--;
	buf_append_slice(&walk->prefix_room, path);
	if (walk->query->path.length)
		buf_append_byte(&walk->prefix_room, '/');
	walk->path_mode = true;
	walk->prefix = buf_slice(&walk->prefix_room);
	walk->delimiter = SLICE_LITERAL("/");
}

static struct slice current_name(const struct walk *walk)
{
	struct slice key = device_iterator_key(walk->iterator);
	return slice_of(key.data + LISTING_ROW_KEY_HEAD_BYTES, key.length - LISTING_ROW_KEY_HEAD_BYTES);
}

/* The group that a name belongs to, up to and including the delimiter; empty when it is an entry
 * itself. */
static struct slice group_of(const struct walk *walk, struct slice name)
{
	if (walk->delimiter.length == 0)
		return SLICE_NONE;
	const char *rest = name.data + walk->prefix.length;
	const char *found =
		memmem(rest, name.length - walk->prefix.length, walk->delimiter.data, walk->delimiter.length);
	if (!found)
		return SLICE_NONE;
	struct slice group = {name.data, (size_t)(found - name.data) + walk->delimiter.length};
	if (walk->path_mode && group.length == name.length)
		return SLICE_NONE;
	return group;
}

static int emit_row(struct walk *walk, struct slice name)
{
	struct slice value = device_iterator_value(walk->iterator);
	struct listing_entry entry = {.name = name};
	int error;
	walk->left--;
	if (walk->query->kind == LISTING_CONTAINER) {
		struct listing_object_record record;
		error = listing_decode_object(value, false, &record);
		if (error)
			return error;
		entry.object = record.row;
		return walk->emit(&entry, walk->argument);
	}
	struct listing_container_record record;
	error = listing_decode_container(value, false, &record);
	if (error)
		return error;
	entry.container = record.row;
	entry.container.name = name;
	return walk->emit(&entry, walk->argument);
}

static int emit_subdir(struct walk *walk, struct slice group)
{
	struct listing_entry entry = {.subdir = true, .name = group};
	if (walk->path_mode || slice_equal(group, walk->hidden_subdir))
		return 0;
	walk->left--;
	return walk->emit(&entry, walk->argument);
}

/* To the last key before `key`, which may be the end of the range. */
static bool seek_before(struct walk *walk, struct slice key)
{
	if (!device_iterator_seek_back(walk->iterator, key))
		return false;
	if (!slice_equal(device_iterator_key(walk->iterator), key))
		return true;
	return device_iterator_previous(walk->iterator);
}

static bool skip_group(struct walk *walk, struct slice group)
{
	row_key(walk, &walk->target, group);
	struct slice target;
	if (!walk->query->reverse) {
		key_successor(&walk->target);
		target = buf_slice(&walk->target);
		if (slice_compare(target, buf_slice(&walk->upper)) >= 0)
			return false;
		return device_iterator_seek(walk->iterator, target);
	}
	target = buf_slice(&walk->target);
	if (slice_compare(target, buf_slice(&walk->lower)) < 0)
		return false;
	if (walk->path_mode)
		return device_iterator_seek_back(walk->iterator, target);
	return seek_before(walk, target);
}

static bool walk_first(struct walk *walk)
{
	if (walk->query->reverse)
		return seek_before(walk, buf_slice(&walk->upper));
	return device_iterator_seek(walk->iterator, buf_slice(&walk->lower));
}

static bool walk_next(struct walk *walk)
{
	if (walk->query->reverse)
		return device_iterator_previous(walk->iterator);
	return device_iterator_next(walk->iterator);
}

static int walk_entries(struct walk *walk)
{
	for (bool valid = walk_first(walk); valid;) {
		struct slice name = current_name(walk);
		struct slice group = group_of(walk, name);
		bool directory_itself = walk->path_mode && slice_equal(name, walk->prefix);
		int result = 0;
		if (group.length)
			result = emit_subdir(walk, group);
		else if (!directory_itself)
			result = emit_row(walk, name);
		if (result || walk->left == 0)
			return result;
		valid = group.length ? skip_group(walk, group) : walk_next(walk);
	}
	return device_iterator_error(walk->iterator);
}

int listing_walk(struct device *device, const struct listing_query *query, listing_emit_fn *emit, void *argument)
{
	struct walk walk = {
		.query = query,
		.emit = emit,
		.argument = argument,
		.prefix = query->prefix,
		.delimiter = query->delimiter,
		.prefix_room = BUF_INIT,
		.lower = BUF_INIT,
		.upper = BUF_INIT,
		.target = BUF_INIT,
		.left = query->limit,
	};
	struct slice above = query->reverse ? query->end_marker : query->marker;
	struct slice below = query->reverse ? query->marker : query->end_marker;
	int result = 0;
	walk.hidden_subdir = above;
	if (query->kind == LISTING_CONTAINER && query->path.data)
		walk_set_path(&walk);
	walk_set_bounds(&walk, above, below);
	if (query->limit && slice_compare(buf_slice(&walk.lower), buf_slice(&walk.upper)) < 0) {
		walk.iterator = device_iterator_new(
			device, listing_family(query->kind), buf_slice(&walk.lower), buf_slice(&walk.upper));
		result = walk_entries(&walk);
		device_iterator_free(walk.iterator);
	}
	buf_release(&walk.prefix_room);
	buf_release(&walk.lower);
	buf_release(&walk.upper);
	buf_release(&walk.target);
	return result;
}
