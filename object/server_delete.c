#include <errno.h>

#include "object/object_server_private.h"

struct delete
{
	struct object_request *request;
	struct object_promises promises;
	struct object_delete store;
};

/* X-If-Delete-At, a time of any form. 0, or the reply is made. */
static int check_condition(struct delete *delete)
{
	struct object_request *r = delete->request;
	const char *text = object_request_header(r, "X-If-Delete-At");
	struct timestamp time;
	if (!text)
		return 0;
	if (timestamp_parse(slice_from(text), &time)) {
		reply_text(r->reply, 400, "text/html; charset=UTF-8", "Bad X-If-Delete-At header value");
		return -1;
	}
	delete->store.check_delete_at = true;
	/* objects expire at whole seconds: nothing equals a fraction */
	bool whole = time.raw % TIMESTAMP_RAW_PER_SECOND == 0 && time.offset == 0;
	delete->store.if_delete_at = whole ? (int64_t)(time.raw / TIMESTAMP_RAW_PER_SECOND) : -1;
	return 0;
}

static int64_t old_delete_at(void *argument)
{
	struct object_delete *store = argument;
	if (!store->tombstone_written || store->previous.kind != OBJECT_DATA)
		return 0;
	struct object_view view;
	object_view(&store->previous, store->arena, &view);
	return object_delete_at(view.headers, view.header_count);
}

static int co_commit(struct delete *delete)
{
	struct object_request *r = delete->request;
	struct object_delete *store = &delete->store;
	store->key = r->key;
	store->name = r->name;
	store->timestamp = r->timestamp;
	store->arena = r->arena;
	(void)object_promise_row(r, &delete->promises, UPDATE_DELETE);
	object_promises_encode(&delete->promises, r->arena, &store->todos);
	struct object_change change = {
		.request = r,
		.change = object_delete,
		.argument = store,
		.todos = &store->todos,
		.old_delete_at = old_delete_at,
	};
	return co_object_change(&change);
}

static void reply_previous(struct delete *delete, int status, const struct object_view *view)
{
	struct object_request *r = delete->request;
	const struct object_record *previous = &delete->store.previous;
	struct timestamp time = r->timestamp;
	if (previous->kind != OBJECT_ABSENT && timestamp_compare(previous->data_time, time) > 0)
		time = previous->data_time;
	if (status == 204)
		reply_empty(r->reply, status);
	else
		reply_status(r->reply, status);
	object_reply_timestamp(r, "X-Backend-Timestamp", time);
	const char *type = view ? view->content_type : "";
	headers_set(&r->reply->headers, "X-Backend-Content-Type", arena_strdup(r->reply->arena, type));
}

static void reply_conditional(struct delete *delete, int error)
{
	struct object_request *r = delete->request;
	if (error == -ENOENT)
		object_reply_time(r, 404, NULL);
	else if (error == -EEXIST)
		object_reply_time(r, 409, NULL);
	else
		reply_text(r->reply, 412, "text/html; charset=UTF-8", "X-If-Delete-At and X-Delete-At do not match");
}

static void make_reply(struct delete *delete, int error)
{
	struct object_request *r = delete->request;
	const struct object_record *previous = &delete->store.previous;
	bool refused = error == -ENOENT || error == -EEXIST || error == -ESTALE;
	struct object_view view;
	bool has_data = (!error || refused) && previous->kind == OBJECT_DATA;
	if (has_data)
		object_view(previous, r->arena, &view);
	if (error == -EBADMSG)
		object_reply_time(r, 403, NULL);
	else if (error && !refused)
		object_reply_device(r, error, "committing a tombstone");
	else if (error && delete->store.check_delete_at)
		reply_conditional(delete, error);
	else if (error)
		reply_previous(delete, 409, has_data ? &view : NULL);
	else if (has_data && (delete->store.check_delete_at || !object_is_expired(r, &view)))
		reply_previous(delete, 204, &view);
	else
		reply_previous(delete, 404, has_data ? &view : NULL);
}

static void co_delete(struct delete *delete)
{
	struct object_request *r = delete->request;
	if (object_request_enter(r, false))
		return;
	if (check_condition(delete))
		return;
	int error = co_commit(delete);
	make_reply(delete, error);
	if (!error && delete->store.tombstone_written)
		co_object_promises_keep(r, &delete->promises, &delete->store.todos);
}

void co_object_delete(struct object_request *r)
{
	r->arena = arena_new();
	struct delete *delete = arena_zalloc(r->arena, sizeof(*delete));
	delete->request = r;
	co_delete(delete);
	arena_free(r->arena);
	r->arena = r->request->arena;
}
