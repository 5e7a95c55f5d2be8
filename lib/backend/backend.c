#include "lib/backend/backend.h"

#include <assert.h>
#include <string.h>

#include "lib/backend/client.h"

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

int co_backend_call(enum backend_service service, const char *ip, int port, struct request *request,
	struct reply *reply, const struct backend_timeouts *timeouts)
{
	const struct local *local = find_local(service, ip, port);
	if (!local)
		return co_client_call(ip, port, request, reply, timeouts);
	request->internal = true;
	local->handler(local->context, request, reply);
	return 0;
}

void backend_pool_release(void)
{
	client_pool_release();
}
