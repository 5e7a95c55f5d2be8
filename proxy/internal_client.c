#include "proxy/internal_client.h"

#include "proxy/filters/catch_errors.h"
#include "proxy/proxy_private.h"

enum { ANSWER_BYTES_MAX = 65536 };

void internal_client_init(struct internal_client *client, struct proxy *proxy, const char *source)
{
	*client = (struct internal_client){
		.proxy = proxy,
		.source = source,
		.filter = {.name = source, .next = &proxy->filters[proxy->filter_count]},
	};
}

struct request *internal_client_begin(struct internal_client *client, struct arena *arena)
{
	struct request *request = arena_alloc(arena, sizeof(*request));
	request_init(request, arena, METHOD_GET);
	request->path = SLICE_LITERAL("/v1");
	request->internal = true;
	request->remote_address = "-";
	catch_errors_begin(client->proxy, request);
	struct proxy_context *context = proxy_context_of(request);
	context->source = client->source;
	context->authorize_override = true;
	context->swift_owner = true;
	context->allow_reserved_names = true;
	return request;
}

int co_internal_client_status(struct internal_client *client, struct request *request)
{
	struct reply reply;
	struct slice body;
	int error = co_inner_request_read(&client->filter, request, ANSWER_BYTES_MAX, &reply, &body);
	return error ? 503 : reply.status;
}
