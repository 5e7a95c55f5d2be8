/*
 * A proxy over fake account, container and object servers, all in one loop. The rings are built
 * into a temporary directory; every device is a server of this process at an address of its
 * own, 10.0.0.1 to 10.0.0.12. What a service answers is a script, consumed in the order in which
 * requests arrive, whichever server they go to:
 *
 *	201         the status, at once
 *	^409        the same before the request's body is read
 *	404@7       with X-Backend-Timestamp 7
 *	200!30      GET: the body breaks off after 30 bytes; PUT: answers after 30 bytes of the body
 *	hang        no answer until the test is over
 *	200~30      GET: hangs after 30 bytes; PUT: hangs after 30 bytes of the body
 *	slow201     answers after SLOW_MS
 *
 * When the script is at its end the service's usual answer follows: what a healthy server would
 * say.
 */
#ifndef TESTS_UNIT_PROXY_FIXTURE_H
#define TESTS_UNIT_PROXY_FIXTURE_H

#include <errno.h>
#include <fcntl.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/backend/leg.h"
#include "lib/co/socket.h"
#include "lib/swift/quorum.h"
#include "proxy/filters/filters.h"
#include "proxy/proxy_private.h"
#include "ring/builder.h"
#include "ring/ring_store.h"
#include "tests/unit/server_fixture.h"

enum {
	FAKE_DEVICES_MAX = 12,
	FAKE_PORT = 6000, /* plus the service */
	FAKE_REQUESTS_MAX = 128,
	FAKE_STEPS_MAX = 32,
	FAKE_PIECE_BYTES = 16,
	CONNECT_MS = 100,
	NODE_MS = 500,
	MOMENT_MS = 150, /* post_quorum */
	SLOW_MS = 60,
};

/* One answer of a script. */
struct fake_step {
	int status; /* 0: hang */
	bool early;
	bool slow;
	bool breaks;
	bool hangs;
	size_t at;        /* of breaks and hangs */
	const char *time; /* X-Backend-Timestamp, or NULL */
};

/* A request as it arrived. */
struct fake_request {
	enum backend_service service;
	int device; /* number of the server, from 1 */
	enum method method;
	const char *path;
	const char *query;
	struct headers headers;
	size_t received; /* bytes of body */
	int error;       /* of the body */
	bool complete;   /* the body was read to its end */
};

struct proxy_fixture {
	char *root;
	struct arena *arena;
	struct ring_store *rings;
	struct proxy *proxy;
	struct proxy_options options;
	struct fake_step script[BACKEND_SERVICE_COUNT][FAKE_STEPS_MAX];
	size_t script_count[BACKEND_SERVICE_COUNT];
	size_t script_next[BACKEND_SERVICE_COUNT];
	int usual_status[BACKEND_SERVICE_COUNT]; /* instead of a healthy server's; 0: healthy */
	struct fake_request requests[FAKE_REQUESTS_MAX];
	size_t request_count;
	const char *content;            /* of the object */
	const char *listing;            /* of a container or account */
	const char *object_headers[16]; /* name, value, …, NULL: of a healthy object's GET */
	const char *container_headers[16];
	size_t bodies_open; /* of replies, not closed yet */
	bool over;          /* ends what hangs */
	bool no_container;  /* HEAD of a container: 404 */
	bool no_account;    /* HEAD of an account: 404, until somebody PUTs it */
};

static struct proxy_fixture *fake_fixture; /* the one whose servers are asked */

/* ---- the fake servers ---- */

static inline struct fake_step parse_step(const char *text)
{
	struct fake_step step = {0};
	if (strcmp(text, "hang") == 0)
		return step;
	if (*text == '^') {
		step.early = true;
		text++;
	}
	if (strncmp(text, "slow", 4) == 0) {
		step.slow = true;
		text += 4;
	}
	char *end;
	step.status = (int)strtol(text, &end, 10);
	assert_in_range(step.status, 100, 599);
	if (*end == '@') {
		size_t length = strcspn(end + 1, "!~");
		step.time = arena_strndup(fake_fixture->arena, end + 1, length);
		end += 1 + length;
	}
	step.breaks = *end == '!';
	step.hangs = *end == '~';
	if (*end)
		step.at = strtoul(end + 1, NULL, 10);
	return step;
}

static inline void fixture_script(enum backend_service service, const char *text)
{
	struct proxy_fixture *fixture = fake_fixture;
	char *copy = arena_strdup(fixture->arena, text);
	fixture->script_count[service] = fixture->script_next[service] = 0;
	for (char *word = strsep(&copy, " "); word; word = strsep(&copy, " "))
		if (*word)
			fixture->script[service][fixture->script_count[service]++] = parse_step(word);
}

static inline void co_hang(void)
{
	while (!fake_fixture->over)
		co_sleep_ms(5);
}

/* The body of an object or listing, in small pieces. */
struct fake_body {
	struct body body;
	struct fake_step step;
	const char *data;
	size_t length;
	size_t sent;
	bool closed;
};

static inline int co_fake_body_next(struct body *body, struct chunk *ret_chunk)
{
	struct fake_body *self = (struct fake_body *)body;
	size_t length = self->length - self->sent;
	if (length > FAKE_PIECE_BYTES)
		length = FAKE_PIECE_BYTES;
	bool stops = (self->step.breaks || self->step.hangs) && self->sent + length > self->step.at;
	if (stops && self->step.hangs)
		co_hang();
	if (stops && self->sent >= self->step.at)
		return -ECONNRESET;
	if (stops)
		length = self->step.at - self->sent;
	*ret_chunk = CHUNK_NONE;
	if (length == 0)
		return 0;
	struct block *block = block_new();
	memcpy(block->data, self->data + self->sent, length);
	*ret_chunk = (struct chunk){block, block->data, length};
	self->sent += length;
	co_yield ();
	return 0;
}

static inline void fake_body_close(struct body *body)
{
	struct fake_body *self = (struct fake_body *)body;
	assert_false(self->closed);
	self->closed = true;
	fake_fixture->bodies_open--;
}

static inline void fake_give_body(struct reply *reply, struct fake_step step, const char *data, size_t length)
{
	static const struct body_operations operations = {co_fake_body_next, fake_body_close};
	struct fake_body *body = arena_zalloc(reply->arena, sizeof(*body));
	*body = (struct fake_body){{&operations}, step, data, length, 0, false};
	fake_fixture->bodies_open++;
	reply->body = &body->body;
	reply->content_length = (int64_t)length;
}

static inline void fake_add_headers(struct reply *reply, const char *const *pairs)
{
	for (; *pairs; pairs += 2)
		headers_set(&reply->headers, pairs[0], pairs[1]);
}

static inline void fake_object_body(struct request *request, struct reply *reply, struct fake_step step)
{
	const char *content = fake_fixture->content;
	size_t first = 0, last = strlen(content) - 1;
	const char *range = headers_get(&request->headers, "Range");
	if (range && sscanf(range, "bytes=%zu-%zu", &first, &last) == 2) {
		reply->status = 206;
		headers_set_format(&reply->headers, "Content-Range", "bytes %zu-%zu/%zu", first, last, strlen(content));
	}
	if (request->method == METHOD_HEAD)
		headers_set_format(&reply->headers, "Content-Length", "%zu", strlen(content));
	else
		fake_give_body(reply, step, content + first, last - first + 1);
}

static inline void fake_good_read(
	enum backend_service service, struct request *request, struct reply *reply, struct fake_step step)
{
	if (service == BACKEND_OBJECT) {
		headers_set(&reply->headers, "Etag", "\"0123456789abcdef0123456789abcdef\"");
		headers_set(&reply->headers, "X-Timestamp", step.time ? step.time : "5");
		fake_add_headers(reply, fake_fixture->object_headers);
		fake_object_body(request, reply, step);
		return;
	}
	headers_set(&reply->headers, "X-Put-Timestamp", step.time ? step.time : "5");
	headers_set(&reply->headers, "X-Account-Container-Count", "2");
	headers_set(&reply->headers, "X-Backend-Storage-Policy-Index", "0");
	fake_add_headers(reply, fake_fixture->container_headers);
	if (request->method == METHOD_GET)
		fake_give_body(reply, step, fake_fixture->listing, strlen(fake_fixture->listing));
}

static inline int healthy_status(enum backend_service service, enum method method)
{
	struct proxy_fixture *fixture = fake_fixture;
	bool reading = method == METHOD_GET || method == METHOD_HEAD;
	if (service == BACKEND_ACCOUNT && method == METHOD_PUT)
		fixture->no_account = false;
	if (service == BACKEND_ACCOUNT && reading && fixture->no_account)
		return 404;
	if (service == BACKEND_CONTAINER && reading && fixture->no_container)
		return 404;
	if (fixture->usual_status[service])
		return fixture->usual_status[service];
	switch (method) {
	case METHOD_GET:
		return 200;
	case METHOD_HEAD:
		return service == BACKEND_OBJECT ? 200 : 204;
	case METHOD_PUT:
		return 201;
	case METHOD_POST:
		return service == BACKEND_OBJECT ? 202 : 204;
	default:
		return 204;
	}
}

/* Reads the body as far as the step wants. */
static inline void co_fake_receive(struct request *request, struct fake_step step, struct fake_request *record)
{
	bool stops = step.breaks || step.hangs;
	while (!stops || record->received < step.at) {
		struct chunk chunk;
		record->error = co_body_next(request->body, &chunk);
		if (record->error)
			return;
		if (chunk.length == 0) {
			record->complete = true;
			return;
		}
		record->received += chunk.length;
		chunk_release(&chunk);
	}
	if (step.hangs)
		co_hang();
}

struct fake_server {
	enum backend_service service;
	int device;
};

static inline void co_fake_handle(void *context, struct request *request, struct reply *reply)
{
	const struct fake_server *server = context;
	struct proxy_fixture *fixture = fake_fixture;
	enum backend_service service = server->service;
	struct fake_step step = {.status = healthy_status(service, request->method)};
	if (fixture->script_next[service] < fixture->script_count[service])
		step = fixture->script[service][fixture->script_next[service]++];
	assert_true(fixture->request_count < FAKE_REQUESTS_MAX);
	struct fake_request *record = &fixture->requests[fixture->request_count++];
	*record = (struct fake_request){service, server->device, request->method,
		arena_strndup(fixture->arena, request->path.data, request->path.length),
		arena_strndup(fixture->arena, request->query.data, request->query.length), {0}, 0, 0, false};
	headers_init(&record->headers, fixture->arena);
	headers_copy(&record->headers, &request->headers);
	if (!step.status)
		co_hang();
	if (step.slow)
		co_sleep_ms(SLOW_MS);
	if (request->method == METHOD_PUT && step.status && !step.early)
		co_fake_receive(request, step, record);
	reply_status(reply, step.status ? step.status : 503);
	if (record->error)
		reply_status(reply, 499);
	if (step.time)
		headers_set(&reply->headers, "X-Backend-Timestamp", step.time);
	bool reading = request->method == METHOD_GET || request->method == METHOD_HEAD;
	if (reading && (step.status / 100 == 2)) {
		reply_empty(reply, step.status);
		fake_good_read(service, request, reply, step);
	}
}

/* ---- the fixture ---- */

/* Once, before the first test. */
static inline void fake_servers_register(void)
{
	static struct fake_server servers[BACKEND_SERVICE_COUNT][FAKE_DEVICES_MAX];
	static char addresses[FAKE_DEVICES_MAX][16];
	log_init("test", LOG_LEVEL_ERROR);
	for (int i = 0; i < FAKE_DEVICES_MAX; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "10.0.0.%d", i + 1);
		for (enum backend_service service = 0; service < BACKEND_SERVICE_COUNT; service++) {
			servers[service][i] = (struct fake_server){service, i + 1};
			backend_register_local(
				service, addresses[i], FAKE_PORT + (int)service, co_fake_handle, &servers[service][i]);
		}
	}
}

static inline void make_fixture_ring(struct proxy_fixture *fixture, enum backend_service service, double replicas)
{
	static const char *const names[] = {"account", "container", "object"};
	struct ring_builder *builder;
	struct ring_rebalance result;
	assert_int_equal(ring_builder_new(4, replicas, 0, &builder, NULL), 0);
	for (int i = 0; i < FAKE_DEVICES_MAX; i++) {
		char ip[16], device[8];
		int id;
		snprintf(ip, sizeof(ip), "10.0.0.%d", i + 1);
		snprintf(device, sizeof(device), "d%d", i + 1);
		struct ring_device added = {.device = device,
			.ip = ip,
			.port = FAKE_PORT + (int)service,
			.replication_ip = ip,
			.replication_port = FAKE_PORT + (int)service,
			.region = 1,
			.zone = i + 1,
			.weight = 100,
			.meta = (char *)""};
		assert_int_equal(ring_builder_add_device(builder, &added, &id, NULL), 0);
	}
	assert_int_equal(ring_builder_rebalance(builder, 1, 1, &result, NULL), 0);
	struct ring *ring = ring_builder_ring(builder);
	char *path = xasprintf("%s/%s.ring.gz", fixture->root, names[service]);
	assert_int_equal(ring_save_v1(ring, path), 0);
	free(path);
	ring_unref(ring);
	ring_builder_free(builder);
}

static const struct proxy_policy fixture_proxy_policies[] = {
	{0, "gold", "yellow", true, false}, {1, "old", "", false, true}};

static inline void fixture_start_proxy(struct proxy_fixture *fixture)
{
	proxy_free(fixture->proxy);
	fixture->proxy = proxy_new(&fixture->options);
	const struct filter filters[] = {filter_gatekeeper(fixture->proxy), filter_healthcheck(fixture->proxy),
		filter_proxy_logging(fixture->proxy), filter_listing_formats(fixture->proxy),
		filter_copy(fixture->proxy)};
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		proxy_add_filter(fixture->proxy, &filters[i]);
}

static inline struct proxy_fixture *proxy_fixture_new(
	double account_replicas, double container_replicas, double object_replicas)
{
	struct proxy_fixture *fixture = xcalloc(1, sizeof(*fixture));
	fake_fixture = fixture;
	fixture->root = fixture_directory();
	fixture->arena = arena_new();
	make_fixture_ring(fixture, BACKEND_ACCOUNT, account_replicas);
	make_fixture_ring(fixture, BACKEND_CONTAINER, container_replicas);
	make_fixture_ring(fixture, BACKEND_OBJECT, object_replicas);
	assert_int_equal(ring_store_open(fixture->root, &fixture->rings, NULL), 0);
	fixture->content = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all.";
	fixture->listing = "[]";
	fixture->options = (struct proxy_options){
		.rings = fixture->rings,
		.hash = {.suffix = SLICE_LITERAL("changeme")},
		.constraints = constraints_default,
		.timeouts = {.connect_ms = CONNECT_MS, .node_ms = NODE_MS},
		.post_quorum_ms = MOMENT_MS,
		.request_nodes = 2,
		.request_nodes_per_replica = true,
		.error_suppression_interval_ms = 60000,
		.error_suppression_limit = 10,
		.recheck_account_ms = 60000,
		.recheck_container_ms = 60000,
		.allow_account_management = true,
		.strict_cors_mode = true,
		.trans_id_suffix = "-here",
		.expose_info = true,
		.policies = fixture_proxy_policies,
		.policy_count = 2,
		.version = "1",
	};
	fixture_start_proxy(fixture);
	return fixture;
}

static inline void proxy_fixture_free(struct proxy_fixture *fixture)
{
	proxy_free(fixture->proxy);
	ring_store_free(fixture->rings);
	fixture_remove(fixture->root);
	arena_free(fixture->arena);
	free(fixture);
	fake_fixture = NULL;
}

/* ---- one test ---- */

struct fixture_test {
	void (*co_test)(struct proxy_fixture *fixture);
	struct proxy_fixture *fixture;
};

static inline void co_fixture_test(void *argument)
{
	struct fixture_test *test = argument;
	test->co_test(test->fixture);
	test->fixture->over = true;
	while (loop_coroutines(loop_current()) > 1)
		co_sleep_ms(5);
}

/* Runs the test in a loop, with a proxy of its own and as many replicas; nothing may be left over.
 */
static inline void with_proxy(void (*co_test)(struct proxy_fixture *fixture), double containers, double objects)
{
	struct fixture_test test = {co_test, proxy_fixture_new(3, containers, objects)};
	fixture_run(co_fixture_test, &test);
	assert_int_equal(test.fixture->bodies_open, 0);
	proxy_fixture_free(test.fixture);
}

/* ---- requests ---- */

/* What a client sent and got: exchange.reply with its body read. */
struct answer {
	struct exchange exchange;
	int status;
	struct slice body;
	int body_error;
	uint64_t duration_ms;
};

/* "METHOD /path [Name: value] … body=…": see exchange_init(). */
static inline void co_ask(struct answer *answer, const char *line)
{
	uint64_t start = loop_now_ms();
	char *copy = xstrdup(line);
	exchange_init(&answer->exchange, copy);
	free(copy);
	struct request *request = &answer->exchange.request;
	struct reply *reply = &answer->exchange.reply;
	const char *body = strstr(line, " body=");
	if (body) {
		request->content_length = (int64_t)strlen(body + strlen(" body="));
		request->has_length = true;
	}
	answer->status = 0;
	answer->body = SLICE_NONE;
	answer->body_error = 0;
	co_proxy_handle(fake_fixture->proxy, request, reply);
	answer->status = reply->status;
	answer->body = reply->text;
	if (reply->body)
		answer->body_error = co_body_read_all(reply->body, answer->exchange.arena, 1 << 20, &answer->body);
	reply_finish(request, reply, answer->body.length, answer->body_error);
	co_yield ();
	answer->duration_ms = loop_now_ms() - start;
}

static inline const char *answer_header(const struct answer *answer, const char *name)
{
	return headers_get(&answer->exchange.reply.headers, name);
}

static inline void answer_release(struct answer *answer)
{
	arena_free(answer->exchange.arena);
}

/* Compares the status only. */
static inline void co_expect(const char *line, int status)
{
	struct answer answer;
	co_ask(&answer, line);
	if (answer.status != status)
		fail_msg("%s: %d (%.*s), expected %d", line, answer.status, SLICE_PRINT(answer.body), status);
	answer_release(&answer);
}

/* ---- what the servers saw ---- */

static inline size_t count_requests(enum backend_service service, enum method method)
{
	size_t count = 0;
	for (size_t i = 0; i < fake_fixture->request_count; i++)
		count += fake_fixture->requests[i].service == service && fake_fixture->requests[i].method == method;
	return count;
}

/* The n-th request (from 0) with that service and method. */
static inline const struct fake_request *nth_request(enum backend_service service, enum method method, size_t n)
{
	for (size_t i = 0; i < fake_fixture->request_count; i++) {
		const struct fake_request *request = &fake_fixture->requests[i];
		if (request->service == service && request->method == method && n-- == 0)
			return request;
	}
	fail_msg("there is no such request");
	return NULL;
}

static inline const char *request_header(const struct fake_request *request, const char *name)
{
	return headers_get(&request->headers, name);
}

static inline void forget_requests(void)
{
	fake_fixture->request_count = 0;
}

/* The servers of /a/c/o in the ring's order, primaries first. Returns how many are primaries. */
static inline size_t ring_order(int devices[FAKE_DEVICES_MAX])
{
	struct nodes nodes;
	size_t count = 0;
	bool handoff;
	const struct ring_device *device;
	assert_int_equal(nodes_init(&nodes, fake_fixture->proxy, BACKEND_OBJECT, 0, SLICE_LITERAL("a"),
				 SLICE_LITERAL("c"), SLICE_LITERAL("o"), false),
		0);
	nodes.left = FAKE_DEVICES_MAX;
	size_t primaries = nodes.primary_count;
	while ((device = nodes_next(&nodes, &handoff)))
		devices[count++] = (int)strtol(device->device + 1, NULL, 10);
	nodes_release(&nodes);
	return primaries;
}

#endif
