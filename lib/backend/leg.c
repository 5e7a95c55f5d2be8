#include "lib/backend/leg.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/base/memory.h"
#include "lib/co/co.h"

enum { LEGS_FIRST = 8 };

/* What the leg's server pulls and the owner feeds: one slot. */
struct feed {
	struct body body;
	struct leg *leg;
	struct chunk slot;
	bool full;
	bool ended;
	bool aborted;
	struct co_signal filled;  /* the server waits */
	struct co_signal emptied; /* the owner waits */
};

struct leg {
	struct legs *group;  /* NULL once the owner has left */
	unsigned references; /* the group and the coroutine */
	enum leg_state state;
	int error; /* of LEG_FAILED */
	struct leg_target target;
	struct arena *arena; /* of the request, the reply and what they refer to */
	struct request request;
	struct reply reply;
	struct backend_timeouts timeouts;
	struct feed feed;
	struct body_digest digest; /* of what was fed */
	void *argument;            /* the owner's */
	leg_late_failure_function *late_failure;
	void *late_failure_argument;
};

struct legs {
	struct leg **items; /* as many as nodes were asked: the nodes' iterator is their bound */
	size_t count;
	size_t capacity;
	struct co_signal changed;
	bool changes; /* since the last wait */
	leg_late_failure_function *late_failure;
	void *late_failure_argument;
};

/* ---- life ---- */

struct legs *legs_new(void)
{
	return xcalloc(1, sizeof(struct legs));
}

static void leg_unref(struct leg *leg)
{
	if (--leg->references)
		return;
	chunk_release(&leg->feed.slot);
	reply_finish(&leg->request, &leg->reply, 0, 0);
	arena_free(leg->arena);
	free(leg);
}

static void leg_leave(struct leg *leg)
{
	leg->group = NULL;
	if (!leg->feed.ended)
		leg_feed_abort(leg);
	leg_unref(leg);
}

void legs_free(struct legs *legs)
{
	if (!legs)
		return;
	for (size_t i = 0; i < legs->count; i++)
		leg_leave(legs->items[i]);
	free(legs->items);
	free(legs);
}

void legs_keep_only(struct legs *legs, struct leg *kept)
{
	for (size_t i = 0; i < legs->count; i++)
		if (legs->items[i] != kept)
			leg_leave(legs->items[i]);
	legs->items[0] = kept;
	legs->count = 1;
}

void legs_on_late_failure(struct legs *legs, leg_late_failure_function *function, void *argument)
{
	legs->late_failure = function;
	legs->late_failure_argument = argument;
}

struct leg *leg_new(struct legs *legs, const struct leg_target *target, enum method method, void *argument)
{
	if (legs->count == legs->capacity) {
		legs->capacity = legs->capacity ? legs->capacity * 2 : LEGS_FIRST;
		legs->items = xrealloc(legs->items, legs->capacity * sizeof(struct leg *));
	}
	struct leg *leg = xcalloc(1, sizeof(*leg));
	leg->arena = arena_new();
	leg->group = legs;
	leg->references = 1;
	leg->argument = argument;
	leg->late_failure = legs->late_failure;
	leg->late_failure_argument = legs->late_failure_argument;
	leg->target = (struct leg_target){target->service, arena_strdup(leg->arena, target->ip), target->port,
		arena_strdup(leg->arena, target->device)};
	request_init(&leg->request, leg->arena, method);
	reply_init(&leg->reply, leg->arena);
	legs->items[legs->count++] = leg;
	return leg;
}

struct request *leg_request(struct leg *leg)
{
	return &leg->request;
}

struct arena *leg_arena(struct leg *leg)
{
	return leg->arena;
}

static void set_state(struct leg *leg, enum leg_state state)
{
	assert(leg->state < state);
	leg->state = state;
	if (leg->group) {
		leg->group->changes = true;
		co_signal_raise(&leg->group->changed);
	}
}

/* ---- the body ---- */

static int co_feed_next(struct body *body, struct chunk *ret_chunk)
{
	struct feed *feed = (struct feed *)body;
	if (feed->leg->state == LEG_CONNECTING)
		set_state(feed->leg, LEG_READY);
	while (!feed->full && !feed->ended && !feed->aborted)
		(void)co_signal_wait(&feed->filled, CO_FOREVER);
	if (feed->aborted)
		return -ECONNRESET;
	if (!feed->full) {
		*ret_chunk = CHUNK_NONE;
		return 0;
	}
	*ret_chunk = feed->slot;
	feed->slot = CHUNK_NONE;
	feed->full = false;
	co_signal_raise(&feed->emptied);
	return 0;
}

void leg_expect_body(struct leg *leg, int64_t length)
{
	static const struct body_operations operations = {.co_next = co_feed_next};
	leg->feed.body.operations = &operations;
	leg->feed.leg = leg;
	leg->request.body = &leg->feed.body;
	leg->request.content_length = length;
	leg->request.has_length = length >= 0;
	leg->request.chunked = length < 0;
	if (length >= 0)
		headers_set_format(&leg->request.headers, "Content-Length", "%lld", (long long)length);
	else
		headers_set(&leg->request.headers, "Transfer-Encoding", "chunked");
	headers_set(&leg->request.headers, "Expect", "100-continue");
	leg->request.digest = &leg->digest;
}

int co_leg_feed(struct leg *leg, const struct chunk *chunk, uint64_t deadline_ms)
{
	struct feed *feed = &leg->feed;
	while (feed->full && leg->state == LEG_READY) {
		int error = co_signal_wait(&feed->emptied, deadline_ms);
		if (error)
			return error;
	}
	if (leg->state != LEG_READY)
		return -ECANCELED;
	feed->slot = *chunk;
	/* the leg may outlive its owner, and with it what the bytes lie in */
	if (chunk->block)
		(void)block_ref(chunk->block);
	else
		feed->slot.data = arena_strndup(leg->arena, chunk->data, chunk->length);
	feed->full = true;
	co_signal_raise(&feed->filled);
	return 0;
}

void leg_feed_end(struct leg *leg, const struct body_digest *digest)
{
	if (digest)
		leg->digest = *digest;
	leg->feed.ended = true;
	co_signal_raise(&leg->feed.filled);
}

void leg_feed_abort(struct leg *leg)
{
	leg->feed.aborted = true;
	co_signal_raise(&leg->feed.filled);
}

/* ---- running ---- */

static void co_leg_run(void *argument)
{
	struct leg *leg = argument;
	int error = co_backend_call(
		leg->target.service, leg->target.ip, leg->target.port, &leg->request, &leg->reply, &leg->timeouts);
	leg->error = error;
	set_state(leg, error ? LEG_FAILED : LEG_REPLIED);
	co_signal_raise(&leg->feed.emptied);
	if (error && error != -ECANCELED && !leg->group && leg->late_failure)
		leg->late_failure(leg->late_failure_argument, &leg->target, leg->request.transaction_id, error);
	leg_unref(leg);
}

void leg_start(struct leg *leg, const struct backend_timeouts *timeouts)
{
	leg->timeouts = *timeouts;
	leg->references++;
	co_start(co_leg_run, leg);
}

enum leg_state leg_state(const struct leg *leg)
{
	return leg->state;
}

void *leg_argument(const struct leg *leg)
{
	return leg->argument;
}

const struct leg_target *leg_target_of(const struct leg *leg)
{
	return &leg->target;
}

struct reply *leg_reply(struct leg *leg)
{
	assert(leg->state == LEG_REPLIED);
	return &leg->reply;
}

int leg_error(const struct leg *leg)
{
	return leg->error;
}

size_t legs_count(const struct legs *legs)
{
	return legs->count;
}

struct leg *legs_at(const struct legs *legs, size_t index)
{
	assert(index < legs->count);
	return legs->items[index];
}

int co_legs_wait(struct legs *legs, uint64_t deadline_ms)
{
	while (!legs->changes) {
		int error = co_signal_wait(&legs->changed, deadline_ms);
		if (!error)
			continue;
		/* the loop's clock stands still within a turn: callers compare it with their
		 * deadline again */
		if (loop_now_ms() < deadline_ms)
			co_yield ();
		return error;
	}
	legs->changes = false;
	return 0;
}
