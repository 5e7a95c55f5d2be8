#include "tools/node.h"

#include <errno.h>
#include <ifaddrs.h>
#include <jansson.h>
#include <net/if.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "account/account_server.h"
#include "container/container_server.h"
#include "lib/backend/server_observe.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/metrics.h"
#include "lib/co/co.h"
#include "lib/co/socket.h"
#include "lib/store/device_set.h"
#include "object/object_server.h"
#include "object/object_store.h"
#include "object/updater.h"
#include "proxy/auth/auth.h"
#include "proxy/daemons/expirer.h"
#include "proxy/daemons/reaper.h"
#include "proxy/filters/filters.h"
#include "proxy/proxy.h"
#include "ring/ring.h"
#include "ring/ring_store.h"
#include "tools/confinement.h"
#include "tools/doors.h"
#include "tools/status.h"
#include "tools/version.h"

enum { DEVICES_MAX = 1024, UPDATER_RETRY_MS = 1000, UPDATER_CONCURRENCY = 8 };

struct node {
	const struct settings *settings;
	struct ring_store *rings;
	struct hash_path_config hash;
	struct device_set *devices;
	struct proxy *proxy; /* also where there is no door: daemons send their requests by it */
	struct expirer *expirer;
	struct reaper *reaper;
	struct doors *doors;
	struct auth *auth;
	struct object_server *object_server;
	struct container_server *container_server;
	struct account_server *account_server;
	struct confinement *confinement;
	struct server_observed observed[NODE_METRICS]; /* by role; the proxy has its own ways */
	struct status *status;
	struct object_updater *updaters[DEVICES_MAX];
	atomic_size_t updater_count; /* also read where answers about the status are made */
	struct proxy_policy *proxy_policies;
	struct server_policy *server_policy_items;
	struct server_policies server_policies;
	const char **allowed_headers;
	const char **origins;
	const char **exposed;
	const char **whitelist;
	const char **disallowed; /* [proxy] disallowed_sections */
};

static const char *const role_names[] = {
	[NODE_PROXY] = "proxy",
	[NODE_OBJECT] = "object",
	[NODE_CONTAINER] = "container",
	[NODE_ACCOUNT] = "account",
};

static bool has_role(const struct node *node, enum node_role role)
{
	if (role == NODE_METRICS)
		return node->settings->swiftlet.metrics_bind.count > 0;
	return settings_has_role(node->settings, role_names[role]);
}

const struct text_list *node_binds(const struct settings *settings, enum node_role role)
{
	switch (role) {
	case NODE_PROXY:
		return &settings->proxy.bind;
	case NODE_OBJECT:
		return &settings->object.bind;
	case NODE_CONTAINER:
		return &settings->container.bind;
	case NODE_METRICS:
		return &settings->swiftlet.metrics_bind;
	default:
		return &settings->account.bind;
	}
}

/* A NULL-terminated array of the list's texts. */
static const char **terminated(const struct text_list *list)
{
	const char **items = xcalloc(list->count + 1, sizeof(*items));
	for (size_t i = 0; i < list->count; i++)
		items[i] = list->items[i];
	return items;
}

/* ---- which devices are ours: those of the rings at an address that we listen on ---- */

static const enum ring_kind ring_kinds[] = {
	[NODE_OBJECT] = RING_OBJECT,
	[NODE_CONTAINER] = RING_CONTAINER,
	[NODE_ACCOUNT] = RING_ACCOUNT,
};

static const enum backend_service services[] = {
	[NODE_OBJECT] = BACKEND_OBJECT,
	[NODE_CONTAINER] = BACKEND_CONTAINER,
	[NODE_ACCOUNT] = BACKEND_ACCOUNT,
};

static void add_name(const char *names[], size_t *count, const char *name)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp(names[i], name) == 0)
			return;
	if (*count < DEVICES_MAX)
		names[(*count)++] = name;
}

static void add_ring_devices(
	struct node *node, enum node_role role, int policy_index, const char *names[], size_t *count)
{
	struct ring *ring = ring_store_get(node->rings, ring_kinds[role], policy_index);
	if (!ring)
		return;
	for (size_t i = 0; i < ring_device_count(ring); i++) {
		const struct ring_device *device = ring_device_at(ring, i);
		if (device && backend_is_local(services[role], device->ip, device->port))
			add_name(names, count, xstrdup(device->device));
	}
	ring_unref(ring);
}

/* A directory that is a mount point and holds nothing of ours yet gets its marker; an unmounted one never does. */
static void mark_mounted(const char *path, const char *name)
{
	_cleanup_free_ char *marker = xasprintf("%s/swiftlet.device", path);
	struct stat status;
	if (!is_mount_point(path) || stat(marker, &status) == 0)
		return;
	struct device_options options = {.path = path, .name = name, .create = true};
	struct device *device;
	char *error = NULL;
	if (device_open(&options, &device, &error) == 0) {
		log_info("%s is a new mounted device: marked", path);
		device_close(device);
	}
	free(error);
}

static int recover(struct device *device, void *argument)
{
	(void)argument;
	return object_store_recover(device);
}

static size_t collect_devices(struct node *node, const char *names[])
{
	const struct settings *settings = node->settings;
	size_t count = 0;
	for (enum node_role role = NODE_OBJECT; role <= NODE_ACCOUNT; role++) {
		if (!has_role(node, role))
			continue;
		add_ring_devices(node, role, 0, names, &count);
		for (size_t i = 0; role == NODE_OBJECT && i < settings->policy_count; i++)
			add_ring_devices(node, role, settings->policies[i].index, names, &count);
	}
	return count;
}

static int open_devices(struct node *node, const char *names[], size_t count, char **ret_error)
{
	const struct settings *settings = node->settings;
	for (size_t i = 0; settings->swiftlet.mount_check && i < count; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", settings->swiftlet.devices, names[i]);
		mark_mounted(path, names[i]);
	}
	struct device_set_options options = {
		.root = settings->swiftlet.devices,
		.names = names,
		.create = !settings->swiftlet.mount_check,
		.reserve_bytes = (uint64_t)settings->swiftlet.fallocate_reserve.bytes,
		.reserve_percent = settings->swiftlet.fallocate_reserve.percent,
		.cache_bytes = (uint64_t)settings->swiftlet.cache_bytes,
		.buffer_bytes = (uint64_t)settings->swiftlet.write_buffer_bytes,
		.threads = (size_t)settings->swiftlet.threads_per_device,
		.opened = recover,
	};
	int error = count ? device_set_open(&options, &node->devices) : 0;
	if (error)
		*ret_error = xasprintf("devices %s: %s", settings->swiftlet.devices, strerror(-error));
	else if (count == 0)
		log_warning("no device of the rings belongs to an address of this process");
	return error;
}

/* ---- addresses ---- */

static void register_at(enum node_role role, const char *ip, int port, co_handler_function *handler, void *context)
{
	backend_register_local(services[role], xstrdup(ip), port, handler, context);
}

/* A wildcard stands for every address of the machine. */
static void register_everywhere(enum node_role role, int port, co_handler_function *handler, void *context)
{
	struct ifaddrs *interfaces;
	if (getifaddrs(&interfaces))
		return;
	for (struct ifaddrs *i = interfaces; i; i = i->ifa_next) {
		char ip[NI_MAXHOST];
		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		if (getnameinfo(
			    i->ifa_addr, sizeof(struct sockaddr_storage), ip, sizeof(ip), NULL, 0, NI_NUMERICHOST) == 0)
			register_at(role, ip, port, handler, context);
	}
	freeifaddrs(interfaces);
}

/* The trampolines give the registration a context before the servers exist: devices are found by it first. */
static void co_node_handle(struct node *node, enum node_role role, struct request *request, struct reply *reply)
{
	if (!co_status_handle(node->status, true, request, reply))
		co_server_observe(&node->observed[role], request, reply);
}

static void co_node_object(void *context, struct request *request, struct reply *reply)
{
	co_node_handle(context, NODE_OBJECT, request, reply);
}

static void co_node_container(void *context, struct request *request, struct reply *reply)
{
	co_node_handle(context, NODE_CONTAINER, request, reply);
}

static void co_node_account(void *context, struct request *request, struct reply *reply)
{
	co_node_handle(context, NODE_ACCOUNT, request, reply);
}

static void co_node_metrics(void *context, struct request *request, struct reply *reply)
{
	if (!co_status_handle(((struct node *)context)->status, false, request, reply))
		reply_status(reply, 404);
}

static co_handler_function *const storage_handlers[] = {
	[NODE_OBJECT] = co_node_object,
	[NODE_CONTAINER] = co_node_container,
	[NODE_ACCOUNT] = co_node_account,
};

static void register_addresses(struct node *node)
{
	for (enum node_role role = NODE_OBJECT; role <= NODE_ACCOUNT; role++) {
		const struct text_list *binds = node_binds(node->settings, role);
		for (size_t i = 0; has_role(node, role) && i < binds->count; i++) {
			char ip[46];
			int port;
			if (socket_address_parse(binds->items[i], ip, &port))
				continue;
			if (strcmp(ip, "0.0.0.0") == 0 || strcmp(ip, "::") == 0)
				register_everywhere(role, port, storage_handlers[role], node);
			else
				register_at(role, ip, port, storage_handlers[role], node);
		}
	}
}

/* ---- what servers ask of the rings ---- */

static bool is_peer(struct node *node, enum ring_kind kind, const char *ip, int port)
{
	struct ring *ring = ring_store_get(node->rings, kind, 0);
	if (!ring)
		return false;
	bool found = ring_has_address(ring, ip, port);
	ring_unref(ring);
	return found;
}

static bool is_container_peer(void *context, enum backend_service service, const char *ip, int port)
{
	if (service != BACKEND_CONTAINER)
		return false;
	return backend_is_local(service, ip, port) || is_peer(context, RING_CONTAINER, ip, port);
}

static bool is_account_peer(void *context, const char *ip, int port)
{
	return backend_is_local(BACKEND_ACCOUNT, ip, port) || is_peer(context, RING_ACCOUNT, ip, port);
}

/*
 * The primaries of a name. The ring's texts outlive the call: the store holds the ring until node_refresh(), which runs
 * on the same loop as those who ask.
 */
static size_t primaries_of(struct node *node, enum ring_kind kind, struct slice account, struct slice container,
	const struct ring_device *ret_devices[RING_REPLICAS_MAX], uint32_t *ret_partition)
{
	struct ring *ring = ring_store_get(node->rings, kind, 0);
	if (!ring)
		return 0;
	unsigned char hash[16];
	hash_path(&node->hash, account, container, SLICE_NONE, hash);
	*ret_partition = ring_partition(ring, hash);
	size_t count = ring_primaries(ring, *ret_partition, ret_devices);
	ring_unref(ring);
	return count;
}

static size_t account_nodes(
	void *context, struct slice account, struct account_node *ret_nodes, size_t max, uint32_t *ret_partition)
{
	const struct ring_device *devices[RING_REPLICAS_MAX];
	size_t count = primaries_of(context, RING_ACCOUNT, account, SLICE_NONE, devices, ret_partition);
	for (size_t i = 0; i < count && i < max; i++)
		ret_nodes[i] = (struct account_node){devices[i]->ip, devices[i]->port, devices[i]->device};
	return count < max ? count : max;
}

static size_t container_nodes(void *context, struct slice account, struct slice container,
	struct object_updater_node *ret_nodes, size_t max, uint32_t *ret_partition)
{
	const struct ring_device *devices[RING_REPLICAS_MAX];
	size_t count = primaries_of(context, RING_CONTAINER, account, container, devices, ret_partition);
	for (size_t i = 0; i < count && i < max; i++)
		ret_nodes[i] = (struct object_updater_node){
			.ip = devices[i]->ip, .port = devices[i]->port, .device = devices[i]->device};
	return count < max ? count : max;
}

/* ---- the servers ---- */

static void make_policies(struct node *node)
{
	const struct settings *settings = node->settings;
	size_t count = settings->policy_count;
	node->proxy_policies = xcalloc(count, sizeof(*node->proxy_policies));
	node->server_policy_items = xcalloc(count, sizeof(*node->server_policy_items));
	for (size_t i = 0; i < count; i++) {
		const struct policy_settings *policy = &settings->policies[i];
		char *aliases = xstrdup("");
		for (size_t j = 0; j < policy->aliases.count; j++) {
			char *longer = xasprintf("%s%s%s", aliases, j ? ", " : "", policy->aliases.items[j]);
			free(aliases);
			aliases = longer;
		}
		node->proxy_policies[i] = (struct proxy_policy){.index = policy->index,
			.name = policy->name,
			.aliases = aliases,
			.is_default = policy->is_default,
			.is_deprecated = policy->deprecated};
		node->server_policy_items[i] = (struct server_policy){(uint16_t)policy->index, policy->name};
		if (policy->is_default)
			node->server_policies.default_index = (uint16_t)policy->index;
	}
	node->server_policies.items = node->server_policy_items;
	node->server_policies.count = count;
}

static void observe(struct node *node, enum node_role role, co_handler_function *handler, void *server)
{
	static const char *const products[] = {
		[NODE_OBJECT] = "object-server/" SWIFTLET_VERSION,
		[NODE_CONTAINER] = "container-server/" SWIFTLET_VERSION,
		[NODE_ACCOUNT] = "account-server/" SWIFTLET_VERSION,
	};
	static const char *const names[] = {
		[NODE_OBJECT] = "object-server",
		[NODE_CONTAINER] = "container-server",
		[NODE_ACCOUNT] = "account-server",
	};
	node->observed[role] = (struct server_observed){
		.role = (enum metric_role)role,
		.name = names[role],
		.product = products[role],
		.log_network = strcmp(node->settings->swiftlet.log_requests, "false") != 0,
		.log_inside = strcmp(node->settings->swiftlet.log_requests, "true") == 0,
		.handler = handler,
		.context = server,
	};
}

static void make_object_server(struct node *node)
{
	const struct settings *settings = node->settings;
	node->allowed_headers = terminated(&settings->object.allowed_headers);
	struct object_server_options options = object_server_options_default;
	options.devices = node->devices;
	options.hash_path = &node->hash;
	options.constraints = &settings->constraints;
	options.allowed_headers = node->allowed_headers;
	options.policies = &node->server_policies;
	options.container_update_timeout_ms = (uint64_t)settings->object.container_update_timeout_ms;
	options.container_timeouts.connect_ms = (uint64_t)settings->object.conn_timeout_ms;
	options.container_timeouts.node_ms = (uint64_t)settings->object.node_timeout_ms;
	options.upload_timeout_ms = (uint64_t)settings->object.max_upload_time_ms;
	options.peer_allowed = is_container_peer;
	options.argument = node;
	node->object_server = object_server_new(&options);
	observe(node, NODE_OBJECT, co_object_server_handle, node->object_server);
}

static void make_container_server(struct node *node)
{
	const struct settings *settings = node->settings;
	struct container_server_options options = {
		.devices = node->devices,
		.hash_path = &node->hash,
		.constraints = &settings->constraints,
		.policies = &node->server_policies,
		.account_timeouts = {(uint64_t)settings->container.conn_timeout_ms,
			(uint64_t)settings->container.node_timeout_ms},
		.account_nodes = account_nodes,
		.peer_allowed = is_account_peer,
		.argument = node,
	};
	node->container_server = container_server_new(&options);
	observe(node, NODE_CONTAINER, co_container_server_handle, node->container_server);
}

static void make_account_server(struct node *node)
{
	struct account_server_options options = {
		.devices = node->devices,
		.hash_path = &node->hash,
		.constraints = &node->settings->constraints,
		.policies = &node->server_policies,
	};
	node->account_server = account_server_new(&options);
	observe(node, NODE_ACCOUNT, co_account_server_handle, node->account_server);
}

static bool updater_status(void *argument, size_t device_index, struct status_updater *ret_updater)
{
	const struct node *node = argument;
	struct object_updater_counts counts;
	if (device_index >= atomic_load(&node->updater_count))
		return false;
	object_updater_counts(node->updaters[device_index], &counts);
	*ret_updater = (struct status_updater){
		.pending = counts.pending,
		.sent = counts.sent,
		.failed = counts.failed,
		.walk_seconds = counts.walks ? (double)counts.walk_ms / 1000 : -1,
		.walked_at = (double)counts.walked_at,
	};
	return true;
}

static int make_status(struct node *node)
{
	int indexes[METRIC_POLICIES_MAX];
	size_t count = 0;
	for (; count < node->settings->policy_count && count < METRIC_POLICIES_MAX; count++)
		indexes[count] = node->settings->policies[count].index;
	metrics_set_policies(indexes, count);
	struct status_options options = {
		.settings = node->settings,
		.devices = node->devices,
		.updater = updater_status,
		.argument = node,
	};
	return status_new(&options, &node->status);
}

static struct proxy_options proxy_options(struct node *node)
{
	const struct settings *settings = node->settings;
	node->origins = terminated(&settings->proxy.cors_allow_origin);
	node->exposed = terminated(&settings->proxy.cors_expose_headers);
	node->disallowed = terminated(&settings->proxy.disallowed_sections);
	node->whitelist = terminated(&settings->proxy.max_containers_whitelist);
	return (struct proxy_options){
		.rings = node->rings,
		.hash = node->hash,
		.constraints = settings->constraints,
		.timeouts = {(uint64_t)settings->proxy.conn_timeout_ms, (uint64_t)settings->proxy.node_timeout_ms},
		.post_quorum_ms = (uint64_t)settings->proxy.post_quorum_timeout_ms,
		.request_nodes = (size_t)settings->proxy.request_node_count.count,
		.request_nodes_per_replica = settings->proxy.request_node_count.per_replica,
		.error_suppression_interval_ms = (uint64_t)settings->proxy.error_suppression_interval_ms,
		.error_suppression_limit = (unsigned)settings->proxy.error_suppression_limit,
		.recheck_account_ms = (uint64_t)settings->proxy.recheck_account_existence_ms,
		.recheck_container_ms = (uint64_t)settings->proxy.recheck_container_existence_ms,
		.account_autocreate = settings->proxy.account_autocreate,
		.allow_account_management = settings->proxy.allow_account_management,
		.allow_open_expired = settings->proxy.allow_open_expired,
		.max_containers_per_account = settings->proxy.max_containers_per_account,
		.max_containers_whitelist = node->whitelist,
		.cors_allow_origin = node->origins,
		.cors_expose_headers = node->exposed,
		.strict_cors_mode = settings->proxy.strict_cors_mode,
		.trans_id_suffix = settings->proxy.trans_id_suffix,
		.disable_path = settings->proxy.disable_path,
		.expose_info = settings->proxy.expose_info,
		.admin_key = settings->proxy.admin_key,
		.disallowed_sections = node->disallowed,
		.policies = node->proxy_policies,
		.policy_count = settings->policy_count,
		.version = SWIFTLET_VERSION,
	};
}

/* In the order of Swift's reference pipeline. */
static void add_filters(struct node *node)
{
	struct proxy *proxy = node->proxy;
	const struct settings *settings = node->settings;
	const struct {
		bool wanted;
		struct filter filter;
	} filters[] = {
		{true, filter_gatekeeper(proxy)},
		{true, filter_healthcheck(proxy)},
		{settings->crossdomain.enabled, filter_crossdomain(proxy, settings)},
		{true, filter_proxy_logging(proxy)},
		{settings->cname_lookup.storage_domain.count > 0, filter_cname_lookup(proxy, settings)},
		{settings->domain_remap.storage_domain.count > 0, filter_domain_remap(proxy, settings)},
		{settings->name_check.enabled, filter_name_check(proxy, settings)},
		{settings->list_endpoints.enabled, filter_list_endpoints(proxy, settings)},
		{true, filter_etag_quoter(proxy, settings)},
		{true, filter_listing_formats(proxy)},
		{true, filter_bulk(proxy, settings)},
		{true, filter_tempurl(proxy, settings)},
		{true, filter_formpost(proxy, settings)},
		{settings->ratelimit.enabled, filter_ratelimit(proxy, settings)},
		{true, filter_auth(node->auth)},
		{true, filter_read_only(proxy, settings)},
		{true, filter_staticweb(proxy, settings)},
		{true, filter_copy(proxy)},
		{true, filter_container_quotas(proxy)},
		{true, filter_account_quotas(proxy)},
		{true, filter_slo(proxy, settings)},
		{true, filter_dlo(proxy, settings)},
		{settings->versioned_writes.allow_versioned_writes, filter_versioned_writes(proxy, settings)},
		{settings->versioned_writes.allow_object_versioning, filter_object_versioning(proxy, settings)},
		{true, filter_symlink(proxy, settings)},
	};
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		if (filters[i].wanted)
			proxy_add_filter(proxy, &filters[i].filter);
}

static bool wants_expirer(const struct node *node)
{
	return node->settings->expirer.enabled && has_role(node, NODE_CONTAINER);
}

static bool wants_reaper(const struct node *node)
{
	return node->settings->reaper.enabled && has_role(node, NODE_ACCOUNT) && node->devices;
}

static void make_proxy_core(struct node *node)
{
	struct proxy_options options = proxy_options(node);
	node->proxy = proxy_new(&options);
}

static int make_expirer(struct node *node, char **ret_error)
{
	const struct settings *settings = node->settings;
	struct expirer_options options = {
		.proxy = node->proxy,
		.interval_ms = (uint64_t)settings->expirer.interval_ms,
		.reclaim_age_ms = (uint64_t)settings->expirer.reclaim_age_ms,
		.takeover_ms = (uint64_t)settings->expirer.takeover_delay_ms,
		.tasks_per_second = settings->expirer.tasks_per_second,
		.concurrency = (size_t)settings->expirer.concurrency,
		.delay_reaping = &settings->expirer.delay_reaping,
	};
	return expirer_new(&options, &node->expirer, ret_error);
}

static void make_reaper(struct node *node)
{
	const struct settings *settings = node->settings;
	struct reaper_options options = {
		.proxy = node->proxy,
		.devices = node->devices,
		.interval_ms = (uint64_t)settings->reaper.interval_ms,
		.delay_ms = (uint64_t)settings->reaper.delay_reaping_ms,
		.warn_after_ms = (uint64_t)settings->reaper.reap_warn_after_ms,
		.takeover_ms = (uint64_t)settings->reaper.takeover_delay_ms,
		.concurrency = (size_t)settings->reaper.concurrency,
	};
	node->reaper = reaper_new(&options);
}

/* After the proxy's filters. */
static int make_daemons(struct node *node, char **ret_error)
{
	if (wants_reaper(node))
		make_reaper(node);
	return wants_expirer(node) ? make_expirer(node, ret_error) : 0;
}

static int make_proxy(struct node *node, char **ret_error)
{
	int error = auth_new(node->settings, co_proxy_account_acl, &node->auth, ret_error);
	if (error)
		return error;
	proxy_announce(node->proxy, "tempauth", json_pack("{s:b}", "account_acls", true));
	add_filters(node);
	return 0;
}

/* The devices of this process, with the sandbox around it before they are opened. */
static int open_storage(struct node *node, char **ret_error)
{
	const char **names = xcalloc(DEVICES_MAX + 1, sizeof(*names));
	bool storage = has_role(node, NODE_OBJECT) || has_role(node, NODE_CONTAINER) || has_role(node, NODE_ACCOUNT);
	size_t count = storage ? collect_devices(node, names) : 0;
	int error = confinement_enter(node->confinement, names, count, ret_error);
	if (!error && storage)
		error = open_devices(node, names, count, ret_error);
	for (size_t i = 0; i < count; i++)
		free((char *)names[i]);
	free(names);
	return error;
}

int node_new(const struct settings *settings, struct node **ret_node, char **ret_error)
{
	struct node *node = xcalloc(1, sizeof(*node));
	node->settings = settings;
	node->hash.prefix = slice_from(settings->swiftlet.hash_path_prefix);
	node->hash.suffix = slice_from(settings->swiftlet.hash_path_suffix);
	make_policies(node);
	int error = ring_store_open(settings->swiftlet.rings, &node->rings, ret_error);
	if (!error) {
		node->confinement = confinement_new(settings, node->rings);
		register_addresses(node);
		error = open_storage(node, ret_error);
	}
	if (!error)
		error = make_status(node);
	if (!error && has_role(node, NODE_OBJECT))
		make_object_server(node);
	if (!error && has_role(node, NODE_CONTAINER))
		make_container_server(node);
	if (!error && has_role(node, NODE_ACCOUNT))
		make_account_server(node);
	if (!error && (has_role(node, NODE_PROXY) || wants_expirer(node) || wants_reaper(node)))
		make_proxy_core(node);
	if (!error && has_role(node, NODE_PROXY))
		error = make_proxy(node, ret_error);
	if (!error)
		error = make_daemons(node, ret_error);
	if (!error && has_role(node, NODE_PROXY))
		error = doors_open(settings, &node->doors, ret_error);
	if (error) {
		node_free(node);
		return error;
	}
	*ret_node = node;
	return 0;
}

void node_free(struct node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->updater_count; i++)
		object_updater_free(node->updaters[i]);
	expirer_free(node->expirer);
	reaper_free(node->reaper);
	device_set_close(node->devices);
	object_server_free(node->object_server);
	container_server_free(node->container_server);
	account_server_free(node->account_server);
	status_free(node->status);
	proxy_free(node->proxy);
	doors_free(node->doors);
	auth_free(node->auth);
	confinement_free(node->confinement);
	ring_store_free(node->rings);
	for (size_t i = 0; i < node->settings->policy_count; i++)
		free((char *)node->proxy_policies[i].aliases);
	free(node->proxy_policies);
	free(node->server_policy_items);
	free(node->allowed_headers);
	free(node->origins);
	free(node->exposed);
	free(node->whitelist);
	free(node->disallowed);
	free(node);
}

const struct confinement *node_confinement(const struct node *node)
{
	return node->confinement;
}

co_handler_function *node_handler(struct node *node, enum node_role role, void **ret_context)
{
	if (!has_role(node, role))
		return NULL;
	if (role == NODE_PROXY) {
		*ret_context = node->proxy;
		return co_proxy_handle;
	}
	*ret_context = node;
	return role == NODE_METRICS ? co_node_metrics : storage_handlers[role];
}

const struct doors *node_doors(const struct node *node)
{
	return node->doors;
}

/* ---- background ---- */

static void start_updaters(struct node *node)
{
	const struct settings *settings = node->settings;
	for (size_t i = 0; i < device_set_count(node->devices); i++) {
		struct object_updater_options options = {
			.device = device_set_at(node->devices, i),
			.board = object_server_board(node->object_server),
			.container_nodes = container_nodes,
			.argument = node,
			.timeouts = {(uint64_t)settings->object.conn_timeout_ms,
				(uint64_t)settings->object.node_timeout_ms},
			.interval_ms = (uint64_t)settings->object.update_interval_ms,
			.retry_ms = UPDATER_RETRY_MS,
			.concurrency = UPDATER_CONCURRENCY,
		};
		node->updaters[i] = object_updater_new(&options);
		co_start(co_object_updater_run, node->updaters[i]);
		atomic_store(&node->updater_count, i + 1);
	}
}

static void co_run_container_updater(void *server)
{
	co_container_updater_run(server);
}

void node_start_background(struct node *node)
{
	if (node->object_server && node->devices)
		start_updaters(node);
	if (node->container_server && node->devices)
		co_start(co_run_container_updater, node->container_server);
	if (node->expirer)
		co_start(co_expirer_run, node->expirer);
	if (node->reaper)
		co_start(co_reaper_run, node->reaper);
}

void node_stop_background(struct node *node)
{
	for (size_t i = 0; i < node->updater_count; i++)
		object_updater_stop(node->updaters[i]);
	if (node->container_server && node->devices)
		container_updater_stop(node->container_server);
	if (node->expirer)
		expirer_stop(node->expirer);
	if (node->reaper)
		reaper_stop(node->reaper);
}

void node_refresh(struct node *node)
{
	if (ring_store_reload(node->rings) > 0)
		confinement_review(node->confinement);
	if (node->devices)
		device_set_retry(node->devices);
	if (node->doors)
		doors_refresh(node->doors, false);
}

void node_care(struct node *node, bool idle)
{
	if (node->devices)
		device_set_care(node->devices, idle);
}

void node_reload(struct node *node)
{
	char *error = NULL;
	if (node->auth && auth_reload(node->auth, &error))
		log_error("%s; the old token keys stay in use", error);
	free(error);
	if (node->doors)
		doors_refresh(node->doors, true);
	node_refresh(node);
}
