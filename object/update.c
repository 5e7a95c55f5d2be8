#include "object/update.h"

#include <errno.h>
#include <string.h>

#include "lib/swift/url.h"

enum { UPDATE_VERSION = 1 };

void object_update_init(struct object_update *update, struct arena *arena)
{
	*update = (struct object_update){.arena = arena, .operation = UPDATE_PUT};
	headers_init(&update->headers, arena);
}

/* ---- the value ---- */

static void encode_texts(const struct update_texts *texts, size_t count_max, struct buf *value)
{
	size_t count = texts->count < count_max ? texts->count : count_max;
	buf_append_u16(value, (uint16_t)count);
	for (size_t i = 0; i < count; i++)
		buf_append_counted(value, slice_from(texts->items[i]));
}

void object_update_encode(const struct object_update *update, struct buf *value)
{
	buf_append_byte(value, UPDATE_VERSION);
	buf_append_byte(value, (char)update->operation);
	buf_append_u16(value, update->policy);
	buf_append_counted(value, update->account);
	buf_append_counted(value, update->container);
	buf_append_counted(value, update->object);
	buf_append_counted(value, update->shard);
	size_t count = update->headers.count;
	if (count > UPDATE_HEADERS_MAX)
		count = UPDATE_HEADERS_MAX;
	buf_append_u16(value, (uint16_t)count);
	for (size_t i = 0; i < count; i++) {
		buf_append_counted(value, slice_from(update->headers.items[i].name));
		buf_append_counted(value, slice_from(update->headers.items[i].value));
	}
	encode_texts(&update->confirmed, UPDATE_CONFIRMED_MAX, value);
	encode_texts(&update->redirects, UPDATE_REDIRECTS_MAX, value);
}

/* Headers are sent as C strings: a NUL inside would cut one short. */
static const char *decode_text(struct cursor *cursor, struct arena *arena)
{
	struct slice text = cursor_counted(cursor);
	if (text.length && memchr(text.data, '\0', text.length))
		cursor->failed = true;
	return arena_strndup(arena, text.length ? text.data : "", text.length);
}

static void decode_headers(struct cursor *cursor, struct headers *headers)
{
	size_t count = cursor_u16(cursor);
	if (count > UPDATE_HEADERS_MAX)
		cursor->failed = true;
	for (size_t i = 0; i < count && !cursor->failed; i++) {
		const char *name = decode_text(cursor, headers->arena);
		const char *value = decode_text(cursor, headers->arena);
		headers_add(headers, name, value);
	}
}

static struct update_texts decode_texts(struct cursor *cursor, size_t count_max, struct arena *arena)
{
	struct update_texts texts = {0};
	size_t count = cursor_u16(cursor);
	if (count > count_max)
		cursor->failed = true;
	if (cursor->failed)
		return texts;
	texts.items = arena_alloc(arena, count * sizeof(*texts.items));
	while (texts.count < count && !cursor->failed)
		texts.items[texts.count++] = decode_text(cursor, arena);
	return texts;
}

int object_update_decode(struct slice value, struct arena *arena, struct object_update *ret_update)
{
	struct object_update update;
	object_update_init(&update, arena);
	struct cursor cursor = cursor_of(value);
	uint8_t version = cursor_u8(&cursor);
	update.operation = (enum update_operation)cursor_u8(&cursor);
	update.policy = cursor_u16(&cursor);
	update.account = arena_slice(arena, cursor_counted(&cursor));
	update.container = arena_slice(arena, cursor_counted(&cursor));
	update.object = arena_slice(arena, cursor_counted(&cursor));
	update.shard = arena_slice(arena, cursor_counted(&cursor));
	decode_headers(&cursor, &update.headers);
	update.confirmed = decode_texts(&cursor, UPDATE_CONFIRMED_MAX, arena);
	update.redirects = decode_texts(&cursor, UPDATE_REDIRECTS_MAX, arena);
	bool known = version == UPDATE_VERSION && (update.operation == UPDATE_PUT || update.operation == UPDATE_DELETE);
	if (!known || cursor.failed || cursor.at != cursor.end)
		return -EBADMSG;
	*ret_update = update;
	return 0;
}

/* ---- what happened to it ---- */

static bool texts_contain(const struct update_texts *texts, const char *text)
{
	for (size_t i = 0; i < texts->count; i++)
		if (strcmp(texts->items[i], text) == 0)
			return true;
	return false;
}

static void texts_add(struct update_texts *texts, struct arena *arena, size_t count_max, const char *text)
{
	if (texts->count == count_max)
		return;
	const char **items = arena_alloc(arena, (texts->count + 1) * sizeof(*items));
	if (texts->count)
		memcpy(items, texts->items, texts->count * sizeof(*items));
	items[texts->count++] = text;
	texts->items = items;
}

bool object_update_is_confirmed(const struct object_update *update, const char *ip, int port, const char *device)
{
	return texts_contain(&update->confirmed, arena_printf(update->arena, "%s:%d/%s", ip, port, device));
}

void object_update_confirm(struct object_update *update, const char *ip, int port, const char *device)
{
	const char *text = arena_printf(update->arena, "%s:%d/%s", ip, port, device);
	if (!texts_contain(&update->confirmed, text))
		texts_add(&update->confirmed, update->arena, UPDATE_CONFIRMED_MAX, text);
}

void object_update_redirect(struct object_update *update, struct slice shard)
{
	update->confirmed = (struct update_texts){0};
	struct slice quoted = url_encode(update->arena, shard, true);
	const char *text = arena_strndup(update->arena, quoted.data, quoted.length);
	if (texts_contain(&update->redirects, text) || update->redirects.count == UPDATE_REDIRECTS_MAX) {
		update->shard = SLICE_NONE;
		update->redirects = (struct update_texts){0};
		return;
	}
	update->shard = arena_slice(update->arena, shard);
	texts_add(&update->redirects, update->arena, UPDATE_REDIRECTS_MAX, text);
}

void object_update_target(const struct object_update *update, struct slice *ret_account, struct slice *ret_container)
{
	*ret_account = update->account;
	*ret_container = update->container;
	const char *slash = update->shard.length ? memchr(update->shard.data, '/', update->shard.length) : NULL;
	if (!slash)
		return;
	size_t length = (size_t)(slash - update->shard.data);
	*ret_account = slice_of(update->shard.data, length);
	*ret_container = slice_of(slash + 1, update->shard.length - length - 1);
}
