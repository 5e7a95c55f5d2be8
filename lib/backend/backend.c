#include "lib/backend/backend.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/backend/client.h"
#include "lib/base/metrics.h"

enum { LOCALS_MAX = 64 };

/* Servers of this process; written before the loops run, read-only after. */
static struct local {
	enum backend_service service;
	const char *ip;
	int port;
	co_handler_function *handler;
	void *context;
} locals[LOCALS_MAX];
static size_t local_count;

void backend_register_local(
	enum backend_service service, const char *ip, int port, co_handler_function *handler, void *context)
{
	assert(local_count < LOCALS_MAX);
	locals[local_count++] = (struct local){service, ip, port, handler, context};
}

static const struct local *find_local(enum backend_service service, const char *ip, int port)
{
	for (size_t i = 0; i < local_count; i++)
		if (locals[i].service == service && locals[i].port == port && strcmp(locals[i].ip, ip) == 0)
			return &locals[i];
	return NULL;
}

bool backend_is_local(enum backend_service service, const char *ip, int port)
{
	return find_local(service, ip, port) != NULL;
}

/* Between a request's body and a handler of this process: breaks where the network would, and
 * remembers it. */
struct watched_body {
	struct body body;
	struct body *inner;
	const struct request *request;
	uint64_t received; /* bytes handed on */
	bool failed;
};

static int watched_next(struct body *body, struct chunk *ret_chunk)
{
	struct watched_body *self = (struct watched_body *)body;
	if (self->failed)
		return -ECONNRESET;
	int error = co_body_next(self->inner, ret_chunk);
	if (error) {
		self->failed = true;
		return error;
	}
	uint64_t promised = (uint64_t)self->request->content_length;
	self->received += ret_chunk->length;
	bool end = ret_chunk->length == 0;
	if (self->request->chunked || (end ? self->received == promised : self->received <= promised))
		return 0;
	self->failed = true;
	chunk_release(ret_chunk);
	return -ECONNRESET;
}

static int call_local(const struct local *local, struct request *request, struct reply *reply)
{
	static const struct body_operations operations = {.co_next = watched_next};
	struct watched_body *watched = arena_zalloc(request->arena, sizeof(*watched));
	watched->body.operations = &operations;
	watched->inner = request->body;
	watched->request = request;
	request->body = &watched->body;
	request->internal = true;
	local->handler(local->context, request, reply);
	request->body = watched->inner;
	if (!watched->failed)
		return 0;
	reply_finish(request, reply, 0, -ECANCELED);
	return -ECANCELED;
}

static enum metric_call call_result(int error)
{
	switch (error) {
	case 0:
		return METRIC_CALL_ANSWERED;
	case -ECONNREFUSED:
		return METRIC_CALL_REFUSED;
	case -ETIMEDOUT:
		return METRIC_CALL_TIMED_OUT;
	default:
		return METRIC_CALL_BROKEN;
	}
}

int co_backend_call(enum backend_service service, const char *ip, int port, struct request *request,
	struct reply *reply, const struct backend_timeouts *timeouts)
{
	const struct local *local = find_local(service, ip, port);
	if (local) {
		metric_add(METRIC_BACKEND_CALLS, 1, service, METRIC_CALL_LOCAL);
		return call_local(local, request, reply);
	}
	int error = co_client_call(ip, port, request, reply, timeouts);
	/* -ECANCELED: the caller broke it off */
	if (error != -ECANCELED)
		metric_add(METRIC_BACKEND_CALLS, 1, service, call_result(error));
	return error;
}

void backend_set_gate(bool (*may_connect)(void *context, const char *ip, int port), void *context)
{
	client_set_gate(may_connect, context);
}

void backend_pool_release(void)
{
	client_pool_release();
}
