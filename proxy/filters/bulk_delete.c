#include "proxy/filters/bulk_delete.h"

#include <errno.h>
#include <string.h>

#include "lib/co/co.h"
#include "lib/swift/constraints.h"
#include "lib/swift/url.h"
#include "proxy/filters/summary.h"
#include "proxy/inner_request.h"

enum { CONCURRENCY_MAX = 64 };

struct bulk_delete {
	struct body body; /* of the reply */
	const struct filter *filter;
	struct request *request;
	struct bulk_names *names;
	struct bulk_delete_options options;
	struct summary summary;
	int64_t deleted;
	int64_t not_found;
	bool bad_gateway;   /* a server failed: the whole counts as 502 */
	const char *status; /* why it stopped; NULL: it did not */
	const char *text;
	bool names_ended;
	struct bulk_name held; /* a container that waits until the objects before it are gone */
	bool has_held;
	bool has_yielded;
	bool has_ended;
	uint64_t last_beat_ms;
};

/* One DELETE, in a coroutine of its own. */
struct removal {
	struct bulk_delete *bulk;
	struct bulk_name name;
	struct arena *arena;
	int status;
	const char *reason;
	size_t *running;
	struct co_signal *ended;
};

static void co_remove(void *argument)
{
	static const char *const tokens[] = {"X-Auth-Token", "X-Storage-Token", "X-Service-Token"};
	struct removal *removal = argument;
	struct bulk_delete *bulk = removal->bulk;
	struct slice name = removal->name.name;
	const char *slash = memchr(name.data, '/', name.length);
	size_t container = slash ? (size_t)(slash - name.data) : name.length;
	struct inner_request inner = {
		.method = METHOD_DELETE,
		.account = proxy_context_of(bulk->request)->account,
		.container = slice_of(name.data, container),
		.object = slash && container + 1 < name.length
				  ? slice_of(name.data + container + 1, name.length - container - 1)
				  : SLICE_NONE,
		.source = bulk->options.source,
	};
	if (removal->name.version_id) {
		struct slice id = url_encode(removal->arena, slice_from(removal->name.version_id), false);
		inner.query = arena_printf(removal->arena, "version-id=%.*s", SLICE_PRINT(id));
	}
	struct request *request = inner_request_new(removal->arena, bulk->request, &inner);
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		const char *token = headers_get(&bulk->request->headers, tokens[i]);
		if (token)
			headers_set(&request->headers, tokens[i], token);
	}
	struct reply reply;
	reply_init(&reply, removal->arena);
	co_filter_next(bulk->filter, request, &reply);
	removal->status = reply.status;
	removal->reason = reply.reason;
	reply_finish(request, &reply, 0, 0);
	(*removal->running)--;
	co_signal_raise(removal->ended);
}

static void take_result(struct bulk_delete *bulk, const struct removal *removal)
{
	if (removal->status / 100 == 2) {
		bulk->deleted++;
		return;
	}
	if (removal->status == 404) {
		bulk->not_found++;
		return;
	}
	bulk->bad_gateway |= removal->status / 100 == 5;
	summary_error(
		&bulk->summary, removal->name.name, summary_status(removal->arena, removal->status, removal->reason));
}

/* The next name that can be deleted. False: none is left. */
static bool co_next_name(struct bulk_delete *bulk, struct bulk_name *ret_name)
{
	if (bulk->has_held) {
		bulk->has_held = false;
		*ret_name = bulk->held;
		return true;
	}
	for (;;) {
		int next = bulk->names->co_next(bulk->names, ret_name);
		if (next < 0) {
			bulk->status = summary_status(bulk->request->arena, bulk->names->status, NULL);
			bulk->text = bulk->names->text;
		}
		if (next <= 0)
			return false;
		struct slice *name = &ret_name->name;
		while (name->length && name->data[0] == '/')
			*name = slice_of(name->data + 1, name->length - 1);
		if (name->length == 0)
			continue;
		if (ret_name->error == 404)
			bulk->not_found++;
		else if (ret_name->error)
			summary_error(&bulk->summary, *name, ret_name->error_message);
		else if (!constraints_text_valid(*name, false))
			summary_error(&bulk->summary, *name, "412 Precondition Failed");
		else
			return true;
	}
}

static bool is_container(struct slice name)
{
	const char *slash = memchr(name.data, '/', name.length);
	return !slash || slash + 1 == name.data + name.length;
}

/* Deletes the next few side by side. */
static void co_remove_some(struct bulk_delete *bulk)
{
	struct arena *arena = arena_new();
	struct removal *removals = arena_zalloc(arena, CONCURRENCY_MAX * sizeof(*removals));
	struct co_signal ended = {0};
	size_t count = 0, running = 0;
	while (count < bulk->options.concurrency && count < CONCURRENCY_MAX && !bulk->names_ended) {
		struct removal *removal = &removals[count];
		*removal = (struct removal){.bulk = bulk, .arena = arena, .running = &running, .ended = &ended};
		bulk->names_ended = !co_next_name(bulk, &removal->name);
		bool waits = !bulk->names_ended && count && is_container(removal->name.name) &&
			     !is_container(removals[0].name.name);
		if (waits) {
			bulk->held = removal->name;
			bulk->has_held = true;
			break;
		}
		count += !bulk->names_ended;
	}
	running = count;
	for (size_t i = 0; i < count; i++)
		(void)co_start(co_remove, &removals[i]);
	while (running)
		(void)co_signal_wait(&ended, CO_FOREVER);
	for (size_t i = 0; i < count; i++)
		take_result(bulk, &removals[i]);
	arena_free(arena);
	if (bulk->summary.error_count >= bulk->options.failures_max && !bulk->status) {
		bulk->status = "400 Bad Request";
		bulk->text = "Max delete failures exceeded";
	}
}

static struct slice last_words(struct bulk_delete *bulk)
{
	struct summary *summary = &bulk->summary;
	const char *status = "200 OK", *text = "";
	if (bulk->status) {
		status = bulk->status;
		text = bulk->text ? bulk->text : "";
	} else if (summary->error_count) {
		status = bulk->bad_gateway ? "502 Bad Gateway" : "400 Bad Request";
	} else if (bulk->deleted + bulk->not_found == 0) {
		status = "400 Bad Request";
		text = "Invalid bulk delete.";
	}
	summary_text(summary, "Response Status", status);
	summary_text(summary, "Response Body", text);
	summary_number(summary, "Number Deleted", bulk->deleted);
	summary_number(summary, "Number Not Found", bulk->not_found);
	struct slice body = summary_print(summary, "delete");
	if (!bulk->has_yielded)
		return body;
	return slice_from(arena_printf(summary->arena, "\r\n\r\n%.*s", SLICE_PRINT(body)));
}

/* What goes out first, before it is known what to say. */
static struct slice first_beat(const struct bulk_delete *bulk)
{
	if (!bulk->has_yielded && strstr(bulk->summary.content_type, "/xml"))
		return SLICE_LITERAL("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	return SLICE_LITERAL(" ");
}

static int co_bulk_next(struct body *body, struct chunk *ret_chunk)
{
	struct bulk_delete *bulk = (struct bulk_delete *)body;
	*ret_chunk = CHUNK_NONE;
	if (bulk->has_ended)
		return 0;
	bool beat = false;
	while (!beat && !bulk->names_ended && !bulk->status) {
		co_remove_some(bulk);
		beat = loop_now_ms() - bulk->last_beat_ms > bulk->options.yield_frequency_ms;
	}
	struct slice text;
	if (beat) {
		text = first_beat(bulk);
		bulk->has_yielded = true;
		bulk->last_beat_ms = loop_now_ms();
	} else {
		text = last_words(bulk);
		bulk->has_ended = true;
	}
	ret_chunk->data = text.data;
	ret_chunk->length = text.length;
	return 0;
}

static const struct body_operations bulk_operations = {co_bulk_next, NULL};

void bulk_delete_begin(const struct filter *filter, struct request *request, struct bulk_names *names,
	const struct bulk_delete_options *options, struct reply *reply)
{
	struct bulk_delete *bulk = arena_zalloc(request->arena, sizeof(*bulk));
	bulk->body.operations = &bulk_operations;
	bulk->filter = filter;
	bulk->request = request;
	bulk->names = names;
	bulk->options = *options;
	bulk->last_beat_ms = loop_now_ms();
	summary_init(&bulk->summary, request->arena, summary_content_type(request));
	const char *type = headers_get(&request->headers, "Content-Type");
	if (!options->any_content_type && type && *type && strncmp(type, "text/plain", strlen("text/plain")) != 0)
		bulk->status = "406 Not Acceptable";
	reply_text(reply, 200, bulk->summary.content_type, "");
	reply->body = &bulk->body;
	reply->content_length = -1;
}
