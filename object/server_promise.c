/*
 * A promise is made before the commit, becomes a to-do entry in it, and is kept by a job: a
 * coroutine that sends the update, removes or rewrites the entry, and outlives the request when a
 * container server is slow.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/co/co.h"
#include "lib/store/co_device.h"
#include "lib/swift/constraints.h"
#include "lib/swift/number.h"
#include "lib/swift/url.h"
#include "object/object_server_private.h"

#define QUEUE_ACCOUNT SLICE_LITERAL(".expiring_objects")
#define MD5_OF_NOTHING "d41d8cd98f00b204e9800998ecf8427e"

enum {
	QUEUE_DIVISOR_SECONDS = 86400, /* expiring_objects_container_divisor */
	QUEUE_CONTAINERS = 100,        /* task containers for each divisor */
	REFUSED_LOG_INTERVAL_MS = 60000,
};

/* ---- the update ---- */

static const char *time_text(struct arena *arena, struct timestamp time)
{
	char text[TIMESTAMP_TEXT_BYTES];
	size_t length = timestamp_internal(time, text);
	return arena_strndup(arena, text, length);
}

/* Headers that every update has. `arena` may be another than the request's. */
static void update_start(const struct object_request *r, struct arena *arena, enum update_operation operation,
	struct object_update *update)
{
	object_update_init(update, arena);
	update->operation = operation;
	const char *host = object_request_header(r, "Host");
	const char *transaction = object_request_header(r, "X-Trans-Id");
	headers_set(&update->headers, "X-Timestamp", time_text(arena, r->timestamp));
	headers_set(&update->headers, "X-Trans-Id", transaction ? transaction : "-");
	headers_set_format(&update->headers, "Referer", "%s http://%s%.*s", r->request->method_text,
		host ? host : "localhost", SLICE_PRINT(r->request->path));
}

static struct object_promise *promise_new(
	struct object_request *r, struct object_promises *promises, enum update_operation operation)
{
	struct object_promise *promise = arena_zalloc(r->arena, sizeof(*promise));
	update_start(r, r->arena, operation, &promise->update);
	promises->items[promises->count++] = promise;
	return promise;
}

/* ---- servers named by headers ---- */

static size_t count_items(const char *list)
{
	size_t count = 1;
	for (; *list; list++)
		count += *list == ',';
	return count;
}

/* Takes the next item of a comma-separated list, without blanks. */
static const char *next_item(struct arena *arena, const char **list)
{
	size_t length = strcspn(*list, ",");
	struct slice item = number_trim(slice_of(*list, length));
	*list += length;
	*list += **list == ',';
	return arena_strndup(arena, item.data, item.length);
}

/* "ip:port"; an IPv6 address may stand in brackets. */
static bool parse_host(struct arena *arena, const char *host, struct update_target *target)
{
	const char *colon = strrchr(host, ':');
	int64_t port;
	if (!colon || number_parse_integer(slice_from(colon + 1), &port) || port < 1 || port > 65535)
		return false;
	struct slice ip = slice_of(host, (size_t)(colon - host));
	if (ip.length > 2 && ip.data[0] == '[' && ip.data[ip.length - 1] == ']')
		ip = slice_of(ip.data + 1, ip.length - 2);
	target->ip = arena_strndup(arena, ip.data, ip.length);
	target->port = (int)port;
	return ip.length > 0;
}

/* One line a minute: who can forge headers could fill the log. */
static void log_refused(const struct object_request *r, const struct update_target *target)
{
	uint64_t now = loop_now_ms();
	uint64_t last = atomic_load(&r->server->refused_ms);
	if (last && now - last < REFUSED_LOG_INTERVAL_MS)
		return;
	if (atomic_compare_exchange_strong(&r->server->refused_ms, &last, now ? now : 1))
		log_write(LOG_LEVEL_WARNING, r->request->transaction_id,
			"no update is sent to %s:%d, named by a request: not a container server of "
			"the ring",
			target->ip, target->port);
}

static bool is_allowed(const struct object_request *r, const struct update_target *target)
{
	const struct object_server_options *options = &r->server->options;
	if (!options->peer_allowed ||
		options->peer_allowed(options->argument, BACKEND_CONTAINER, target->ip, target->port))
		return true;
	log_refused(r, target);
	return false;
}

static void promise_targets(struct object_request *r, struct object_promise *promise, const char *hosts,
	const char *devices, const char *partition)
{
	while (*hosts || *devices) {
		struct update_target target = {.partition = partition};
		const char *host = next_item(r->arena, &hosts);
		target.device = next_item(r->arena, &devices);
		if (promise->target_count == UPDATE_TARGETS_MAX || !*target.device ||
			!parse_host(r->arena, host, &target) || !is_allowed(r, &target))
			promise->incomplete = true;
		else
			promise->targets[promise->target_count++] = target;
	}
	promise->incomplete |= promise->target_count == 0;
}

/* ---- the container's row ---- */

/* A shard of the container that the proxy wants to have the row. */
static void take_shard(const struct object_request *r, struct object_update *update)
{
	const char *quoted = object_request_header(r, "X-Backend-Quoted-Container-Path");
	const char *plain = object_request_header(r, "X-Backend-Container-Path");
	struct slice path = slice_from(plain);
	if (quoted && *quoted)
		path = url_decode(update->arena, slice_from(quoted), false);
	if (!path.length)
		return;
	struct slice parts[2];
	char *text = arena_alloc(update->arena, path.length + 1);
	text[0] = '/';
	memcpy(text + 1, path.data, path.length);
	if (path_split_decoded(slice_of(text, path.length + 1), 2, 2, false, parts) == 0)
		update->shard = slice_of(text + 1, path.length);
	else
		log_write(LOG_LEVEL_ERROR, r->request->transaction_id,
			"the shard for a container update is not \"account/container\": the root "
			"gets it");
}

struct object_update *object_promise_row(
	struct object_request *r, struct object_promises *promises, enum update_operation operation)
{
	const char *hosts = object_request_header(r, "X-Container-Host");
	const char *devices = object_request_header(r, "X-Container-Device");
	const char *partition = object_request_header(r, "X-Container-Partition");
	if (!partition || !*partition)
		return NULL;
	hosts = hosts ? hosts : "";
	devices = devices ? devices : "";
	if (count_items(hosts) != count_items(devices)) {
		log_write(LOG_LEVEL_ERROR, r->request->transaction_id,
			"no container update: the request names different numbers of hosts and "
			"devices");
		return NULL;
	}
	struct object_promise *promise = promise_new(r, promises, operation);
	struct object_update *update = &promise->update;
	update->policy = r->key.policy;
	update->account = r->path.account;
	update->container = r->path.container;
	update->object = r->path.object;
	take_shard(r, update);
	promise_targets(r, promise, hosts, devices, partition);
	return update;
}

static void override_from(struct object_update *update, const struct headers *headers, const char *prefix)
{
	for (size_t i = 0; headers && i < headers->count; i++) {
		const char *name = headers->items[i].name;
		if (!header_has_prefix(name, prefix) || !name[strlen(prefix)])
			continue;
		char *title = arena_printf(update->arena, "X-%s", name + strlen(prefix));
		header_title_case(title);
		headers_set(&update->headers, title, arena_strdup(update->arena, headers->items[i].value));
	}
}

void object_update_override(struct object_update *update, const struct headers *headers, const struct headers *footers)
{
	/* Later ones win: Swift's _check_container_override. */
	static const char *const prefixes[] = {
		"X-Backend-Container-Update-Override-", "X-Object-Sysmeta-Container-Update-Override-"};
	for (size_t i = 0; i < 2; i++) {
		override_from(update, headers, prefixes[i]);
		override_from(update, footers, prefixes[i]);
	}
}

/* ---- the expirer's queue ---- */

/* Names account, container and object of the entry for an object that expires at `delete_at`. */
static void queue_entry_name(const struct object_request *r, int64_t delete_at, struct object_update *update)
{
	unsigned remainder = 0;
	for (size_t i = 0; i < HASH_PATH_BYTES; i++)
		remainder = (remainder * 256 + r->key.hash[i]) % QUEUE_CONTAINERS;
	char text[DELETE_AT_TEXT_BYTES];
	delete_at_format(delete_at / QUEUE_DIVISOR_SECONDS * QUEUE_DIVISOR_SECONDS - remainder, text);
	update->policy = 0;
	update->account = QUEUE_ACCOUNT;
	update->container = slice_from(arena_strdup(update->arena, text));
	delete_at_format(delete_at, text);
	struct buf object = BUF_INIT;
	buf_append_text(&object, text);
	buf_append_byte(&object, '-');
	buf_append(&object, r->name.data + 1, r->name.length - 1);
	update->object = arena_slice(update->arena, buf_slice(&object));
	buf_release(&object);
}

struct object_update *object_promise_queue(
	struct object_request *r, struct object_promises *promises, int64_t delete_at)
{
	const char *hosts = object_request_header(r, "X-Delete-At-Host");
	const char *devices = object_request_header(r, "X-Delete-At-Device");
	const char *partition = object_request_header(r, "X-Delete-At-Partition");
	const char *container = object_request_header(r, "X-Delete-At-Container");
	if (!hosts || r->replication || delete_at <= 0)
		return NULL;
	struct object_promise *promise = promise_new(r, promises, UPDATE_PUT);
	struct object_update *update = &promise->update;
	queue_entry_name(r, delete_at, update);
	/* the proxy's choice fits the servers that it named */
	char text[DELETE_AT_TEXT_BYTES];
	if (container && *container && delete_at_normalize(slice_from(container), false, text) == 0)
		update->container = slice_from(arena_strdup(update->arena, text));
	if (partition && *partition)
		promise_targets(r, promise, hosts, devices ? devices : "", partition);
	else
		promise->incomplete = true;
	return update;
}

void object_promise_queue_fill(struct object_update *update, uint64_t size, struct timestamp data_time)
{
	struct headers *headers = &update->headers;
	headers_set(headers, "X-Size", "0");
	headers_set(headers, "X-Etag", MD5_OF_NOTHING);
	headers_set_format(headers, "X-Content-Type", "text/plain;swift_expirer_bytes=%llu", (unsigned long long)size);
	headers_set(headers, "X-Content-Type-Timestamp", time_text(update->arena, data_time));
}

/* ---- the commit ---- */

void object_promises_encode(const struct object_promises *promises, struct arena *arena, struct object_todos *todos)
{
	for (size_t i = 0; i < promises->count; i++) {
		struct buf value = BUF_INIT;
		object_update_encode(&promises->items[i]->update, &value);
		todos->values[i] = arena_slice(arena, buf_slice(&value));
		buf_release(&value);
	}
	todos->count = promises->count;
}

/* A to-do entry under a number of its own, in the store's form (object_store.h). */
static void add_todo(struct device_txn *txn, struct slice value)
{
	struct buf key = BUF_INIT;
	buf_append_byte(&key, 'U');
	buf_append_u64(&key, txn_next_number(txn));
	txn_put(txn, DEVICE_TODO, buf_slice(&key), value);
	buf_release(&key);
}

/*
 * The removal of the old queue entry. Only the change knows which version it replaced, so this
 * promise is made inside of the commit; it is left to the updater, as in Swift.
 */
static void promise_queue_removal(struct device_txn *txn, const struct object_request *r, int64_t delete_at)
{
	struct arena *arena = arena_new();
	struct object_update update;
	struct buf value = BUF_INIT;
	update_start(r, arena, UPDATE_DELETE, &update);
	queue_entry_name(r, delete_at, &update);
	object_update_encode(&update, &value);
	add_todo(txn, buf_slice(&value));
	buf_release(&value);
	arena_free(arena);
}

static int change_run(struct device_txn *txn, void *argument)
{
	struct object_change *change = argument;
	struct object_request *r = change->request;
	int error = change->change(txn, change->argument);
	if (error)
		return error;
	for (; change->claimed < change->todos->count; change->claimed++) {
		uint64_t number = change->todos->ret_numbers[change->claimed];
		/* 0: a DELETE that wrote no tombstone promised nothing */
		if (number)
			(void)update_board_claim(r->server->board, r->entry, number);
	}
	int64_t old = change->old_delete_at(change->argument);
	if (old && old != change->new_delete_at && !r->replication) {
		const char *clean = object_request_header(r, "X-Backend-Clean-Expiring-Object-Queue");
		change->queue_promised = !clean || config_true_value(clean);
	}
	if (change->queue_promised)
		promise_queue_removal(txn, r, old);
	return 0;
}

int co_object_change(struct object_change *change)
{
	struct object_request *r = change->request;
	int error = co_device_commit(r->device, change_run, change);
	if (error) {
		for (size_t i = 0; i < change->claimed; i++)
			update_board_release(r->server->board, r->entry, change->todos->ret_numbers[i]);
		return error;
	}
	if (change->queue_promised)
		update_board_left(r->server->board, r->entry);
	return 0;
}

/* ---- sending ---- */

/* The request that waits for its jobs, and they: the last one frees it. All on one loop. */
struct update_wait {
	size_t references;
	size_t jobs;
	struct co_signal ended;
};

struct update_job {
	struct arena *arena;
	struct object_server *server;
	struct device_entry *entry;
	struct update_wait *wait;
	uint64_t number;
	struct object_update update;
	struct update_target *targets;
	size_t target_count;
	bool incomplete;
};

static void wait_unref(struct update_wait *wait)
{
	if (--wait->references == 0)
		free(wait);
}

/* Left to the updater as it is. */
static void leave_promise(struct object_server *server, struct device_entry *entry, uint64_t number)
{
	update_board_release(server->board, entry, number);
	update_board_left(server->board, entry);
}

/* Writes down what the servers answered. */
static void job_settle(struct update_job *job, const struct update_answer *answers)
{
	struct update_outcome outcome = update_take_answers(&job->update, job->targets, job->target_count, answers);
	if (outcome.confirmed && !job->incomplete)
		update_board_done(job->server->board, job->entry, job->number);
	else if (outcome.changed)
		update_board_replace(job->server->board, job->entry, job->number, &job->update);
	else
		leave_promise(job->server, job->entry, job->number);
}

static void job_run(void *argument)
{
	struct update_job *job = argument;
	struct update_answer *answers = arena_alloc(job->arena, job->target_count * sizeof(*answers));
	const struct update_send_options options = {
		.user_agent = job->server->user_agent,
		.timeouts = job->server->options.container_timeouts,
	};
	co_update_send(&job->update, job->targets, job->target_count, &options, answers);
	job_settle(job, answers);
	job->wait->jobs--;
	co_signal_raise(&job->wait->ended);
	wait_unref(job->wait);
	atomic_fetch_sub(&job->server->updates, 1);
	arena_free(job->arena);
}

static struct update_target *copy_targets(const struct object_promise *promise, struct arena *arena)
{
	struct update_target *targets = arena_alloc(arena, promise->target_count * sizeof(*targets));
	for (size_t i = 0; i < promise->target_count; i++) {
		const struct update_target *from = &promise->targets[i];
		targets[i] = (struct update_target){
			.ip = arena_strdup(arena, from->ip),
			.port = from->port,
			.device = arena_strdup(arena, from->device),
			.partition = arena_strdup(arena, from->partition),
		};
	}
	return targets;
}

/* The job has its own copy of everything: the request may end before it. */
static void job_start(struct object_request *r, const struct object_promise *promise, struct slice value,
	uint64_t number, struct device_entry *entry, struct update_wait *wait)
{
	struct arena *arena = arena_new();
	struct update_job *job = arena_zalloc(arena, sizeof(*job));
	*job = (struct update_job){.arena = arena, .server = r->server, .entry = entry, .wait = wait, .number = number};
	if (object_update_decode(value, arena, &job->update))
		abort(); /* it was encoded a moment ago */
	job->targets = copy_targets(promise, arena);
	job->target_count = promise->target_count;
	job->incomplete = promise->incomplete;
	wait->references++;
	wait->jobs++;
	co_start(job_run, job);
}

/* False: it is left to the updater. */
static bool may_send(struct object_server *server, const struct object_promise *promise)
{
	if (promise->target_count == 0)
		return false;
	if (atomic_fetch_add(&server->updates, 1) < server->options.updates_max)
		return true;
	atomic_fetch_sub(&server->updates, 1);
	return false;
}

void co_object_promises_keep(
	struct object_request *r, const struct object_promises *promises, const struct object_todos *todos)
{
	struct device_entry *entry = r->entry;
	object_request_leave(r);
	if (promises->count == 0)
		return;
	struct update_wait *wait = xcalloc(1, sizeof(*wait));
	wait->references = 1;
	for (size_t i = 0; i < promises->count; i++) {
		uint64_t number = todos->ret_numbers[i];
		if (may_send(r->server, promises->items[i]))
			job_start(r, promises->items[i], todos->values[i], number, entry, wait);
		else
			leave_promise(r->server, entry, number);
	}
	uint64_t deadline = deadline_after_ms(r->server->options.container_update_timeout_ms);
	while (wait->jobs > 0 && co_signal_wait(&wait->ended, deadline) == 0)
		continue;
	wait_unref(wait);
}
