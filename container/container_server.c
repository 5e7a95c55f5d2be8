#include "container/container_server.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "container/container_private.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/store/co_device.h"
#include "lib/swift/constraints.h"

enum {
	UPDATE_INTERVAL_DEFAULT_MS = 1000,
	ACCOUNT_SUPPRESSION_DEFAULT_MS = 60000,
};

/* Headers that are stored besides the metadata (swift/container/server.py, save_headers). */
static const char *const save_headers[] = {
	"X-Container-Read", "X-Container-Write", "X-Container-Sync-Key", "X-Container-Sync-To", NULL};

struct container_server *container_server_new(const struct container_server_options *options)
{
	struct container_server *server = xcalloc(1, sizeof(*server));
	server->options = *options;
	if (!server->options.update_interval_ms)
		server->options.update_interval_ms = UPDATE_INTERVAL_DEFAULT_MS;
	if (!server->options.account_suppression_ms)
		server->options.account_suppression_ms = ACCOUNT_SUPPRESSION_DEFAULT_MS;
	snprintf(server->user_agent, sizeof(server->user_agent), "container-server %d", (int)getpid());
	snprintf(server->updater_user_agent, sizeof(server->updater_user_agent), "container-updater %d", (int)getpid());
	/* What an earlier process promised is still to be found. */
	atomic_store(&server->changed, true);
	return server;
}

void container_server_free(struct container_server *server)
{
	free(server);
}

/* ---- steps that the handlers share ---- */

int container_call_enter(struct container_call *call, bool needs_space)
{
	struct device_set *devices = call->server->options.devices;
	int error = server_request_enter(devices, &call->path, needs_space, call->reply, &call->entry);
	if (!error)
		hash_path(call->server->options.hash_path, call->path.account, call->path.container, SLICE_NONE,
			call->hash);
	return error;
}

/* The policy index in a header that is there; 400 when it is not one of ours. */
static int refuse_policy(struct container_call *call, const char *header, const char *value)
{
	const char *text = arena_printf(call->reply->arena, "Invalid %s %s", header, value);
	reply_text(call->reply, 400, "text/plain", text);
	return -EINVAL;
}

int container_call_policy(struct container_call *call, int *ret_policy)
{
	static const char header[] = "X-Backend-Storage-Policy-Index";
	const struct server_policies *policies = call->server->options.policies;
	int policy;
	int error = server_request_policy(call->request, &policy);
	if (error || (policy >= 0 && !server_policy_name((uint16_t)policy, (void *)policies)))
		return refuse_policy(call, header, headers_get(&call->request->headers, header));
	*ret_policy = policy;
	return 0;
}

int co_container_commit(struct container_call *call, device_change_fn *change, void *argument, const char *doing)
{
	int error = co_device_commit(device_entry_device(call->entry), change, argument);
	if (!error)
		atomic_store(&call->server->changed, true);
	else if (error != -E2BIG)
		server_reply_error(call->request, call->reply, call->path.device, error, doing);
	return error;
}

/* The metadata of a PUT or POST. 400 for a sync target that the operator does not allow. */
static int take_metas(struct container_call *call, struct listing_change *change)
{
	const struct container_server_options *options = &call->server->options;
	const char *sync_to = headers_get(&call->request->headers, "X-Container-Sync-To");
	const char *error = NULL;
	if (sync_to && options->sync_to_error)
		error = options->sync_to_error(options->argument, sync_to, call->reply->arena);
	if (error) {
		reply_text(call->reply, 400, "text/html; charset=UTF-8", error);
		return -EINVAL;
	}
	return server_request_metas(
		call->request, call->reply, LISTING_CONTAINER, save_headers, call->timestamp, change);
}

static void init_change(const struct container_call *call, struct listing_change *change)
{
	const struct constraints *constraints = call->server->options.constraints;
	change->kind = LISTING_CONTAINER;
	memcpy(change->hash, call->hash, sizeof(change->hash));
	change->account = call->path.account;
	change->container = call->path.container;
	change->timestamp = call->timestamp;
	change->meta_count_max = (size_t)constraints->max_meta_count;
	change->meta_bytes_max = (size_t)constraints->max_meta_overall_size;
}

/* ---- the account update of PUT and DELETE ---- */

/* The next element of a comma-separated list, without blanks; NULL after the last. */
static char *next_element(char **list)
{
	char *element = strsep(list, ",");
	if (!element)
		return NULL;
	element += strspn(element, " \t");
	size_t length = strlen(element);
	while (length && strchr(" \t", element[length - 1]))
		element[--length] = '\0';
	return element;
}

static size_t count_elements(const char *list)
{
	size_t count = 1;
	for (; *list; list++)
		count += *list == ',';
	return count;
}

/* "ip:port" or "[ipv6]:port", taken apart in place. */
static bool parse_host(char *host, const char **ret_ip, int *ret_port)
{
	char *colon = strrchr(host, ':');
	if (!colon || strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return false;
	long port = strtol(colon + 1, NULL, 10);
	*colon = '\0';
	size_t length = strlen(host);
	if (length > 1 && host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		host++;
	}
	if (port < 1 || port > 65535 || !*host)
		return false;
	*ret_ip = host;
	*ret_port = (int)port;
	return true;
}

/* The header might be anybody's: only servers of the cluster are spoken to. */
static bool host_is_allowed(struct container_server *server, const char *ip, int port)
{
	const struct container_server_options *options = &server->options;
	if (options->peer_allowed && options->peer_allowed(options->argument, ip, port))
		return true;
	if (!atomic_exchange(&server->refused_logged, true))
		log_warning("X-Account-Host names %s:%d, which is no account server of this cluster", ip, port);
	return false;
}

struct account_hosts {
	struct account_node nodes[ACCOUNT_NODES_MAX];
	size_t count;  /* those that may be spoken to */
	size_t wanted; /* those that the header names */
};

/* -EINVAL when hosts and devices do not go together. */
static int parse_account_hosts(struct container_call *call, struct account_hosts *ret_hosts)
{
	const struct headers *headers = &call->request->headers;
	const char *hosts = headers_get(headers, "X-Account-Host");
	const char *devices = headers_get(headers, "X-Account-Device");
	const char *partition = headers_get(headers, "X-Account-Partition");
	*ret_hosts = (struct account_hosts){.count = 0};
	size_t count = count_elements(hosts ? hosts : "");
	if (count != count_elements(devices ? devices : "") || count > ACCOUNT_NODES_MAX)
		return -EINVAL;
	if (!hosts || !devices || !partition || !*partition)
		return 0;
	char *host_list = arena_strdup(call->request->arena, hosts);
	char *device_list = arena_strdup(call->request->arena, devices);
	ret_hosts->wanted = count;
	for (size_t i = 0; i < count; i++) {
		struct account_node *node = &ret_hosts->nodes[ret_hosts->count];
		char *host = next_element(&host_list);
		node->device = next_element(&device_list);
		if (parse_host(host, &node->ip, &node->port) && host_is_allowed(call->server, node->ip, node->port))
			ret_hosts->count++;
	}
	return 0;
}

static const char *referer_of(const struct container_call *call)
{
	const char *host = headers_get(&call->request->headers, "Host");
	return arena_printf(call->request->arena, "%s http://%s%.*s", call->request->method_text,
		host ? host : "localhost", SLICE_PRINT(call->request->path));
}

/*
 * Tells the account servers that the request names. True when the request goes on; otherwise the
 * reply is filled in: 400 for headers that make no sense, 404 when every one says that there is no
 * such account. What fails otherwise is left to the updater.
 */
static bool co_update_account(struct container_call *call)
{
	const struct headers *headers = &call->request->headers;
	struct account_hosts hosts;
	struct listing_info info;
	if (parse_account_hosts(call, &hosts) < 0) {
		log_write(LOG_LEVEL_ERROR, server_request_transaction(call->request),
			"X-Account-Host and X-Account-Device do not go together");
		reply_status(call->reply, 400);
		return false;
	}
	if (hosts.count == 0 ||
		co_server_listing_read(call->entry, LISTING_CONTAINER, call->hash, call->request->arena, &info) < 0)
		return true;
	const char *override = headers_get(headers, "X-Account-Override-Deleted");
	struct account_update update = {
		.info = &info,
		.partition = headers_get(headers, "X-Account-Partition"),
		.user_agent = call->server->user_agent,
		.referer = referer_of(call),
		.transaction = server_request_transaction(call->request),
		.override_deleted = override && strcasecmp(override, "yes") == 0,
		.timeouts = call->server->options.account_timeouts,
	};
	struct account_update_result result = co_account_update(&update, hosts.nodes, hosts.count);
	if (result.missing < hosts.wanted)
		return true;
	reply_status(call->reply, 404);
	return false;
}

/* ---- PUT ---- */

static int take_policies(struct container_call *call, struct listing_change *change)
{
	static const char default_header[] = "X-Backend-Storage-Policy-Default";
	const struct server_policies *policies = call->server->options.policies;
	const char *text = headers_get(&call->request->headers, default_header);
	if (container_call_policy(call, &change->policy_requested) < 0)
		return -EINVAL;
	change->policy_default = policies->default_index;
	if (change->policy_requested >= 0 || !text)
		return 0;
	char *end;
	unsigned long policy = strtoul(text, &end, 10);
	if (end == text || *end || policy > UINT16_MAX || !server_policy_name((uint16_t)policy, (void *)policies))
		return refuse_policy(call, default_header, text);
	change->policy_default = (uint16_t)policy;
	return 0;
}

static void set_policy_header(struct container_call *call, uint16_t policy)
{
	headers_set_format(&call->reply->headers, "X-Backend-Storage-Policy-Index", "%u", policy);
}

static void reply_put_conflict(struct container_call *call, const struct listing_change *change)
{
	reply_status(call->reply, 409);
	/* Only a conflict of policies says which one the container has; the other kind is a newer
	 * deletion. */
	if (change->policy_requested >= 0 && change->policy_requested != change->policy)
		set_policy_header(call, change->policy);
}

static void co_put_entered(struct container_call *call, struct listing_change *change)
{
	if (take_policies(call, change) < 0)
		return;
	init_change(call, change);
	int error = co_container_commit(call, container_change_put, change, "creating a container");
	if (error == -E2BIG)
		server_reply_too_much_meta(call->reply, call->server->options.constraints);
	else if (!error && change->outcome == LISTING_CONFLICT)
		reply_put_conflict(call, change);
	if (error || change->outcome == LISTING_CONFLICT || !co_update_account(call))
		return;
	reply_status(call->reply, change->outcome == LISTING_CREATED ? 201 : 202);
	set_policy_header(call, change->policy);
}

static bool is_record_type_shard(const struct request *request)
{
	const char *type = headers_get(&request->headers, "X-Backend-Record-Type");
	return type && strcasecmp(type, "shard") == 0;
}

static void co_put(struct container_call *call)
{
	struct listing_change change = {.kind = LISTING_CONTAINER};
	if (server_request_timestamp(call->request, call->reply, &call->timestamp) < 0)
		return;
	if (!call->path.object.data && is_record_type_shard(call->request)) {
		/* Containers are not sharded here, so nobody has ranges to merge; taking them for a
		 * plain PUT would create a container. */
		reply_status(call->reply, 501);
		return;
	}
	if (!call->path.object.data && take_metas(call, &change) < 0)
		return;
	if (container_call_enter(call, true) < 0)
		return;
	if (call->path.object.data)
		co_container_row_put(call);
	else
		co_put_entered(call, &change);
	device_entry_leave(call->entry);
}

/* ---- POST ---- */

static void co_post_entered(struct container_call *call, struct listing_change *change)
{
	init_change(call, change);
	change->keep_put_timestamp =
		config_true_value(headers_get(&call->request->headers, "X-Backend-No-Timestamp-Update"));
	int error = co_container_commit(call, container_change_post, change, "updating a container");
	if (error == -E2BIG)
		server_reply_too_much_meta(call->reply, call->server->options.constraints);
	else if (!error && change->outcome == LISTING_MISSING)
		reply_status(call->reply, 404);
	else if (!error)
		reply_empty(call->reply, 204);
}

static void co_post(struct container_call *call)
{
	struct listing_change change = {.kind = LISTING_CONTAINER};
	if (server_request_timestamp(call->request, call->reply, &call->timestamp) < 0 ||
		take_metas(call, &change) < 0 || container_call_enter(call, true) < 0)
		return;
	co_post_entered(call, &change);
	device_entry_leave(call->entry);
}

/* ---- DELETE ---- */

static void co_delete_entered(struct container_call *call)
{
	struct listing_change change = {.kind = LISTING_CONTAINER};
	init_change(call, &change);
	if (co_container_commit(call, container_change_delete, &change, "deleting a container"))
		return;
	if (change.outcome == LISTING_MISSING)
		reply_status(call->reply, 404);
	else if (change.outcome == LISTING_CONFLICT)
		reply_status(call->reply, 409);
	else if (!co_update_account(call))
		return;
	else if (change.was_there)
		reply_empty(call->reply, 204);
	else
		reply_status(call->reply, 404);
}

static void co_delete(struct container_call *call)
{
	if (server_request_timestamp(call->request, call->reply, &call->timestamp) < 0 ||
		container_call_enter(call, false) < 0)
		return;
	if (call->path.object.data)
		co_container_row_delete(call);
	else
		co_delete_entered(call);
	device_entry_leave(call->entry);
}

static void co_update(struct container_call *call)
{
	if (server_request_timestamp(call->request, call->reply, &call->timestamp) < 0 ||
		container_call_enter(call, true) < 0)
		return;
	co_container_rows_update(call);
	device_entry_leave(call->entry);
}

/* ---- dispatch ---- */

static void co_handle_method(struct container_call *call)
{
	switch (call->request->method) {
	case METHOD_GET:
		co_container_get(call);
		break;
	case METHOD_HEAD:
		co_container_head(call);
		break;
	case METHOD_PUT:
		co_put(call);
		break;
	case METHOD_POST:
		co_post(call);
		break;
	case METHOD_DELETE:
		co_delete(call);
		break;
	case METHOD_UPDATE:
		co_update(call);
		break;
	default:
		reply_status(call->reply, 405);
	}
}

static bool has_path(enum method method)
{
	switch (method) {
	case METHOD_GET:
	case METHOD_HEAD:
	case METHOD_PUT:
	case METHOD_POST:
	case METHOD_DELETE:
	case METHOD_UPDATE:
		return true;
	default:
		return false;
	}
}

void co_container_server_handle(void *context, struct request *request, struct reply *reply)
{
	struct container_server *server = context;
	const struct container_server_options *options = &server->options;
	struct container_call call = {.server = server, .request = request, .reply = reply};
	if (request->method == METHOD_OPTIONS)
		server_reply_options(reply, options->co_replicate
						    ? "DELETE, GET, HEAD, OPTIONS, POST, PUT, REPLICATE, UPDATE"
						    : "DELETE, GET, HEAD, OPTIONS, POST, PUT, UPDATE");
	else if (request->method == METHOD_REPLICATE && options->co_replicate)
		options->co_replicate(options->replicate_context, request, reply);
	else if (!has_path(request->method))
		reply_status(reply, 405);
	else if (server_request_parse(request, reply, options->constraints, SERVER_PATH_CONTAINER, SERVER_PATH_OBJECT,
			 &call.path) == 0)
		co_handle_method(&call);
	assert(reply->status >= 200);
}
