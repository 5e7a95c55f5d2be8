#include <errno.h>

#include "lib/swift/number.h"
#include "lib/swift/row_merge.h"
#include "object/object_server_private.h"

struct post {
	struct object_request *request;
	int64_t delete_at; /* 0: none */
	struct object_header_list headers;
	struct object_promises promises;
	struct object_update *row;   /* NULL: the container is not to be updated */
	struct object_update *queue; /* the last promise, or NULL */
	struct object_post store;
};

static int refuse(struct post *post, const char *text)
{
	reply_text(post->request->reply, 400, "text/plain", text);
	return -1;
}

/* ---- the request ---- */

static int check_delete_at(struct post *post)
{
	const struct object_request *r = post->request;
	const char *text = object_request_header(r, "X-Delete-At");
	if (!text || !*text)
		return 0;
	if (number_parse_integer(slice_from(text), &post->delete_at))
		return refuse(post, "Non-integer X-Delete-At");
	uint64_t now = r->timestamp.raw;
	bool past = post->delete_at < 0 || ((uint64_t)post->delete_at < TIMESTAMP_RAW_MAX / TIMESTAMP_RAW_PER_SECOND &&
						   (uint64_t)post->delete_at * TIMESTAMP_RAW_PER_SECOND < now);
	return past && post->delete_at ? refuse(post, "X-Delete-At in past") : 0;
}

static int check_content_type(struct post *post)
{
	const struct object_request *r = post->request;
	const char *type = object_request_header(r, "Content-Type");
	const char *time = object_request_header(r, "Content-Type-Timestamp");
	if (!type || !*type)
		return 0;
	post->store.content_type = type;
	post->store.type_time = r->timestamp;
	if (time && timestamp_parse(slice_from(time), &post->store.type_time))
		return refuse(post, "Invalid Content-Type-Timestamp header");
	return 0;
}

/* ---- updates ---- */

static void set_time(struct headers *headers, const char *name, struct timestamp time)
{
	char text[TIMESTAMP_TEXT_BYTES];
	(void)timestamp_internal(time, text);
	headers_set(headers, name, arena_strdup(headers->arena, text));
}

/* The newest type; swift_bytes stays what the PUT said, whatever type a POST gave. */
static const char *row_content_type(
	struct arena *arena, const struct object_record *record, const struct object_view *view)
{
	if (timestamp_compare(view->content_type_time, record->data_time) == 0)
		return view->content_type;
	struct slice type, bytes;
	content_type_split(arena, slice_from(record->content_type), &type, &bytes);
	if (!bytes.length)
		return view->content_type;
	return arena_printf(arena, "%s;swift_bytes=%.*s", view->content_type, SLICE_PRINT(bytes));
}

static void fill_row(struct object_update *row, const struct object_record *record, const struct object_view *view)
{
	struct headers *headers = &row->headers;
	struct headers stored;
	headers_init(&stored, row->arena);
	for (size_t i = 0; i < view->header_count; i++)
		headers_add(&stored, view->headers[i].name, view->headers[i].value);
	const char *etag = headers_get(&stored, "X-Object-Sysmeta-Ec-Etag");
	const char *size = headers_get(&stored, "X-Object-Sysmeta-Ec-Content-Length");
	headers_set_format(headers, "X-Size", "%llu", (unsigned long long)record->size);
	if (size)
		headers_set(headers, "X-Size", size);
	headers_set(headers, "X-Etag", etag ? etag : record->etag);
	headers_set(headers, "X-Content-Type", row_content_type(row->arena, record, view));
	set_time(headers, "X-Timestamp", record->data_time);
	set_time(headers, "X-Content-Type-Timestamp", view->content_type_time);
	set_time(headers, "X-Meta-Timestamp", view->timestamp);
	object_update_override(row, &stored, NULL);
}

/* In the committer's thread: nothing but the request's own arena is touched. */
static void make_todos(const struct object_record *record, struct object_todos *todos, void *argument)
{
	struct post *post = argument;
	struct object_view view;
	object_view(record, post->request->arena, &view);
	if (post->row)
		fill_row(post->row, record, &view);
	bool applied = timestamp_compare(record->meta_time, post->request->timestamp) == 0;
	if (post->queue && applied)
		object_promise_queue_fill(post->queue, record->size, record->data_time);
	else if (post->queue)
		post->promises.count--;
	object_promises_encode(&post->promises, post->request->arena, todos);
}

static int64_t old_delete_at(void *argument)
{
	const struct object_post *store = argument;
	const struct post *post = store->argument;
	/* a POST of a content type alone leaves the rest as it was */
	if (timestamp_compare(store->record.meta_time, post->request->timestamp) != 0)
		return 0;
	return (int64_t)store->ret_old_delete_at;
}

/* ---- all of it ---- */

static int co_check_existing(struct object_request *r)
{
	struct object_record record;
	if (co_object_request_record(r, &record))
		return -1;
	if (record.kind == OBJECT_DATA)
		return 0;
	object_reply_time(r, 404, NULL);
	return -1;
}

static int co_commit(struct post *post)
{
	struct object_request *r = post->request;
	struct object_post *store = &post->store;
	store->key = r->key;
	store->timestamp = r->timestamp;
	store->headers = post->headers.items;
	store->header_count = post->headers.count;
	store->make_todos = make_todos;
	store->argument = post;
	store->arena = r->arena;
	store->open_expired = object_request_is_true(r, "X-Backend-Open-Expired");
	struct object_change change = {
		.request = r,
		.change = object_post,
		.argument = store,
		.todos = &store->todos,
		.old_delete_at = old_delete_at,
		.new_delete_at = post->delete_at,
	};
	int error = co_object_change(&change);
	if (error == -ENOENT)
		object_reply_time(r, 404, NULL);
	else if (error == -EEXIST)
		object_reply_time(r, 409, &store->existing);
	else if (error)
		object_reply_device(r, error, "committing metadata");
	return error;
}

static void reply_accepted(struct object_request *r, const struct object_record *record)
{
	struct object_view view;
	struct headers *headers = &r->reply->headers;
	object_view(record, r->arena, &view);
	reply_status(r->reply, 202);
	headers_set(headers, "X-Backend-Content-Type", arena_strdup(headers->arena, view.content_type));
	for (size_t i = 0; i < view.header_count; i++)
		if (object_header_is_sysmeta(view.headers[i].name))
			headers_add(headers, arena_strdup(headers->arena, view.headers[i].name),
				arena_strdup(headers->arena, view.headers[i].value));
}

static void co_post(struct post *post)
{
	struct object_request *r = post->request;
	if (check_delete_at(post) || object_request_check_metadata(r) || check_content_type(post))
		return;
	if (object_request_enter(r, true) || co_check_existing(r))
		return;
	post->headers.arena = r->arena;
	object_headers_collect(
		r, &r->request->headers, OBJECT_META | OBJECT_ALLOWED | OBJECT_REPLICATED, &post->headers);
	post->row = object_promise_row(r, &post->promises, UPDATE_PUT);
	post->queue = object_promise_queue(r, &post->promises, post->delete_at);
	if (co_commit(post))
		return;
	reply_accepted(r, &post->store.record);
	co_object_promises_keep(r, &post->promises, &post->store.todos);
}

void co_object_post(struct object_request *r)
{
	r->arena = arena_new();
	struct post *post = arena_zalloc(r->arena, sizeof(*post));
	post->request = r;
	co_post(post);
	arena_free(r->arena);
	r->arena = r->request->arena;
}
