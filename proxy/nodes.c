#include "proxy/nodes.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <xxhash.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/co/co.h"
#include "lib/swift/url.h"
#include "proxy/proxy_private.h"

/* ---- who failed of late: a table of atomics, read for each node of each request ---- */

enum { LIMITER_SLOTS = 4096, LIMITER_PROBES = 16 };

struct limiter_slot {
	_Atomic uint64_t key; /* 0: free */
	_Atomic uint32_t errors;
	_Atomic uint64_t last_error_ms;
};

struct error_limiter {
	unsigned limit;
	uint64_t interval_ms;
	struct limiter_slot slots[LIMITER_SLOTS];
};

struct error_limiter *error_limiter_new(unsigned limit, uint64_t interval_ms)
{
	struct error_limiter *limiter = xcalloc(1, sizeof(*limiter));
	limiter->limit = limit;
	limiter->interval_ms = interval_ms;
	return limiter;
}

void error_limiter_free(struct error_limiter *limiter)
{
	free(limiter);
}

static uint64_t device_key(const char *ip, int port, const char *device)
{
	uint64_t key = XXH3_64bits_withSeed(ip, strlen(ip), (XXH64_hash_t)port);
	key = XXH3_64bits_withSeed(device, strlen(device), key);
	return key ? key : 1;
}

/* The slot of the key; with `make` a free one is taken. NULL when there is none. */
static struct limiter_slot *slot_of(struct error_limiter *limiter, uint64_t key, bool make)
{
	for (size_t i = 0; i < LIMITER_PROBES; i++) {
		struct limiter_slot *slot = &limiter->slots[(key + i) % LIMITER_SLOTS];
		uint64_t found = atomic_load_explicit(&slot->key, memory_order_acquire);
		if (found == key)
			return slot;
		if (found)
			continue;
		if (!make)
			return NULL;
		if (atomic_compare_exchange_strong(&slot->key, &found, key) || found == key)
			return slot;
	}
	return NULL;
}

static bool is_limited(struct error_limiter *limiter, const struct ring_device *device)
{
	uint64_t key = device_key(device->ip, device->port, device->device);
	struct limiter_slot *slot = slot_of(limiter, key, false);
	if (!slot)
		return false;
	/* another loop's clock may be a little ahead of ours */
	if (loop_now_ms() > atomic_load(&slot->last_error_ms) + limiter->interval_ms) {
		atomic_store(&slot->errors, 0);
		return false;
	}
	return atomic_load(&slot->errors) > limiter->limit;
}

static void count_errors(struct error_limiter *limiter, uint64_t key, uint32_t errors)
{
	struct limiter_slot *slot = slot_of(limiter, key, true);
	if (!slot)
		return;
	/* the time first: errors that look old would be forgotten */
	atomic_store(&slot->last_error_ms, loop_now_ms());
	atomic_fetch_add(&slot->errors, errors);
}

void node_failed(struct nodes *nodes, const struct ring_device *device, const char *transaction, const char *what)
{
	struct error_limiter *limiter = nodes->proxy->limiter;
	count_errors(limiter, device_key(device->ip, device->port, device->device), 1);
	nodes->left += is_limited(limiter, device);
	log_write(LOG_LEVEL_WARNING, transaction, "%s %s:%d/%s: %s", backend_service_name(nodes->service), device->ip,
		device->port, device->device, what);
}

void node_failed_late(void *argument, const struct leg_target *target, const char *transaction, int error)
{
	struct proxy *proxy = argument;
	count_errors(proxy->limiter, device_key(target->ip, target->port, target->device), 1);
	log_write(LOG_LEVEL_WARNING, transaction, "%s %s:%d/%s: %s, after the request was answered",
		backend_service_name(target->service), target->ip, target->port, target->device, strerror(-error));
}

void node_refused(
	struct nodes *nodes, const struct ring_device *device, const struct reply *reply, const char *transaction)
{
	bool full = headers_get(&reply->headers, "X-Backend-Device-Full") != NULL;
	if (!full)
		count_errors(nodes->proxy->limiter, device_key(device->ip, device->port, device->device),
			nodes->proxy->options.error_suppression_limit + 1);
	nodes->left++;
	log_write(LOG_LEVEL_WARNING, transaction, "%s %s:%d/%s: %s", backend_service_name(nodes->service), device->ip,
		device->port, device->device,
		full ? "device full (507)" : "device unusable (507), left out for a while");
}

/* ---- the order ---- */

static void shuffle(const struct ring_device **devices, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t other = proxy_random() % i;
		const struct ring_device *kept = devices[i - 1];
		devices[i - 1] = devices[other];
		devices[other] = kept;
	}
}

static void locals_first(struct nodes *nodes)
{
	size_t placed = 0;
	for (size_t i = 0; i < nodes->primary_count; i++) {
		const struct ring_device *device = nodes->primaries[i];
		if (!backend_is_local(nodes->service, device->ip, device->port))
			continue;
		nodes->primaries[i] = nodes->primaries[placed];
		nodes->primaries[placed++] = device;
	}
}

static struct ring *ring_of(struct proxy *proxy, enum backend_service service, int policy_index)
{
	static const enum ring_kind kinds[] = {
		[BACKEND_ACCOUNT] = RING_ACCOUNT,
		[BACKEND_CONTAINER] = RING_CONTAINER,
		[BACKEND_OBJECT] = RING_OBJECT,
	};
	return ring_store_get(proxy->options.rings, kinds[service], policy_index);
}

int nodes_init(struct nodes *nodes, struct proxy *proxy, enum backend_service service, int policy_index,
	struct slice account, struct slice container, struct slice object, bool for_reading)
{
	memset(nodes, 0, sizeof(*nodes));
	nodes->proxy = proxy;
	nodes->service = service;
	nodes->ring = ring_of(proxy, service, policy_index);
	if (!nodes->ring)
		return -ENOENT;
	unsigned char hash[16];
	hash_path(&proxy->options.hash, account, container, object, hash);
	nodes->partition = ring_partition(nodes->ring, hash);
	nodes->primary_count = ring_primaries(nodes->ring, nodes->partition, nodes->primaries);
	nodes->left =
		proxy->options.request_nodes * (proxy->options.request_nodes_per_replica ? nodes->primary_count : 1);
	if (for_reading) {
		shuffle(nodes->primaries, nodes->primary_count);
		locals_first(nodes);
	}
	return 0;
}

void nodes_release(struct nodes *nodes)
{
	if (nodes->handoffs_started)
		ring_handoffs_release(&nodes->handoffs);
	nodes->handoffs_started = false;
	ring_unref(nodes->ring);
	nodes->ring = NULL;
}

static const struct ring_device *next_any(struct nodes *nodes, bool *ret_handoff)
{
	*ret_handoff = nodes->next_primary >= nodes->primary_count;
	if (!*ret_handoff)
		return nodes->primaries[nodes->next_primary++];
	if (!nodes->handoffs_started) {
		ring_handoffs_init(&nodes->handoffs, nodes->ring, nodes->partition);
		nodes->handoffs_started = true;
	}
	return ring_handoffs_next(&nodes->handoffs);
}

const struct ring_device *nodes_next(struct nodes *nodes, bool *ret_handoff)
{
	while (nodes->left) {
		const struct ring_device *device = next_any(nodes, ret_handoff);
		if (!device)
			return NULL;
		if (is_limited(nodes->proxy->limiter, device))
			continue;
		nodes->left--;
		return device;
	}
	return NULL;
}

void nodes_share_out(const struct nodes *nodes, size_t updates, size_t index, size_t count, bool reversed,
	const char *prefix, struct headers *headers)
{
	struct buf hosts = BUF_INIT, devices = BUF_INIT;
	for (size_t j = 0; j < updates; j++) {
		size_t to = reversed ? count - 1 - j % count : j % count;
		if (to != index)
			continue;
		const struct ring_device *device = nodes->primaries[j % nodes->primary_count];
		const char *comma = hosts.length ? "," : "";
		buf_printf(&hosts, strchr(device->ip, ':') ? "%s[%s]:%d" : "%s%s:%d", comma, device->ip, device->port);
		buf_printf(&devices, "%s%s", comma, device->device);
	}
	if (hosts.length) {
		struct arena *arena = headers->arena;
		headers_set_format(headers, arena_printf(arena, "%s-Partition", prefix), "%u", nodes->partition);
		headers_set_format(headers, arena_printf(arena, "%s-Host", prefix), "%s", hosts.data);
		headers_set_format(headers, arena_printf(arena, "%s-Device", prefix), "%s", devices.data);
	}
	buf_release(&hosts);
	buf_release(&devices);
}

struct slice node_path(struct arena *arena, const struct ring_device *device, uint32_t partition, struct slice account,
	struct slice container, struct slice object)
{
	struct buf path = BUF_INIT;
	buf_printf(&path, "/%s/%u/", device->device, partition);
	url_encode_append(&path, account, false);
	if (container.data) {
		buf_append_byte(&path, '/');
		url_encode_append(&path, container, false);
	}
	if (object.data) {
		buf_append_byte(&path, '/');
		url_encode_append(&path, object, true);
	}
	struct slice kept = arena_slice(arena, buf_slice(&path));
	buf_release(&path);
	return kept;
}
