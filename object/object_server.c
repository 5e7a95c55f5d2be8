#include "object/object_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "object/object_server_private.h"

static const char *const allowed_headers_default[] = {
	"Content-Disposition",
	"Content-Encoding",
	"X-Delete-At",
	"X-Object-Manifest",
	"X-Static-Large-Object",
	"Cache-Control",
	"Content-Language",
	"Expires",
	"X-Robots-Tag",
	NULL,
};

const struct object_server_options object_server_options_default = {
	.constraints = &constraints_default,
	.allowed_headers = allowed_headers_default,
	.container_update_timeout_ms = 1000,
	.container_timeouts = {.connect_ms = 500, .node_ms = 3000},
	.upload_timeout_ms = 86400 * UINT64_C(1000),
	.updates_max = 512,
};

struct object_server *object_server_new(const struct object_server_options *options)
{
	struct object_server *server = xcalloc(1, sizeof(*server));
	server->options = *options;
	server->board = update_board_new();
	(void)snprintf(server->user_agent, sizeof(server->user_agent), "object-server %ld", (long)getpid());
	return server;
}

void object_server_free(struct object_server *server)
{
	if (!server)
		return;
	update_board_free(server->board);
	free(server);
}

struct update_board *object_server_board(struct object_server *server)
{
	return server->board;
}

size_t object_server_updates(struct object_server *server)
{
	return atomic_load(&server->updates);
}

/* ---- requests ---- */

static bool knows_policy(const struct object_server *server, int policy)
{
	const struct server_policies *policies = server->options.policies;
	for (size_t i = 0; policies && i < policies->count; i++)
		if (policies->items[i].index == policy)
			return true;
	return !policies && policy == 0;
}

/* 0, or the reply is made. */
static int parse_policy(struct object_request *r, int *ret_policy)
{
	int policy;
	int error = server_request_policy(r->request, &policy);
	if (policy == -1)
		policy = 0;
	if (!error && knows_policy(r->server, policy)) {
		*ret_policy = policy;
		return 0;
	}
	const char *text = object_request_header(r, "X-Backend-Storage-Policy-Index");
	reply_text(r->reply, 503, "text/plain",
		arena_printf(r->reply->arena, "No policy with index %s", text ? text : "0"));
	return -1;
}

static struct slice full_name(struct arena *arena, const struct server_path *path)
{
	size_t length = path->account.length + path->container.length + path->object.length + 3;
	char *name = arena_alloc(arena, length + 1);
	char *at = name;
	const struct slice parts[] = {path->account, path->container, path->object};
	for (size_t i = 0; i < 3; i++) {
		*at++ = '/';
		memcpy(at, parts[i].data, parts[i].length);
		at += parts[i].length;
	}
	*at = '\0';
	return slice_of(name, length);
}

/* Everything before the device is touched. 0, or the reply is made. */
static int parse(struct object_request *r)
{
	int policy = 0;
	if (server_request_parse(r->request, r->reply, r->server->options.constraints, SERVER_PATH_OBJECT,
		    SERVER_PATH_OBJECT, &r->path))
		return -1;
	if (parse_policy(r, &policy))
		return -1;
	r->name = full_name(r->request->arena, &r->path);
	r->key.policy = (uint16_t)policy;
	hash_path(r->server->options.hash_path, r->path.account, r->path.container, r->path.object, r->key.hash);
	r->replication = object_request_is_true(r, "X-Backend-Replication");
	/* GET and HEAD may do without */
	bool reads = r->request->method == METHOD_GET || r->request->method == METHOD_HEAD;
	if (reads && !object_request_header(r, "X-Timestamp")) {
		r->timestamp = timestamp_now();
		return 0;
	}
	return server_request_timestamp(r->request, r->reply, &r->timestamp);
}

/* The proxy's id goes into every line of the log, where nobody has set it before. */
static void take_transaction(struct request *request)
{
	const char *id = headers_get(&request->headers, "X-Trans-Id");
	if (id && !request->transaction_id[0])
		(void)snprintf(request->transaction_id, sizeof(request->transaction_id), "%s", id);
}

static void (*verb_of(enum method method))(struct object_request *)
{
	switch (method) {
	case METHOD_GET:
	case METHOD_HEAD:
		return co_object_get;
	case METHOD_PUT:
		return co_object_put;
	case METHOD_POST:
		return co_object_post;
	case METHOD_DELETE:
		return co_object_delete;
	default:
		return NULL;
	}
}

void co_object_server_handle(void *context, struct request *request, struct reply *reply)
{
	struct object_server *server = context;
	struct object_request r = {.server = server, .arena = request->arena, .request = request, .reply = reply};
	take_transaction(request);
	bool replicates = request->method == METHOD_REPLICATE || request->method == METHOD_SSYNC;
	void (*verb)(struct object_request *) = verb_of(request->method);
	if (request->method == METHOD_OPTIONS) {
		server_reply_options(reply, "DELETE, GET, HEAD, OPTIONS, POST, PUT, REPLICATE, SSYNC");
	} else if (replicates && server->options.co_replicate) {
		server->options.co_replicate(server->options.replicate_context, request, reply);
	} else if (!verb) {
		reply_status(reply, 405);
	} else if (parse(&r) == 0) {
		verb(&r);
		object_request_leave(&r);
	}
}
