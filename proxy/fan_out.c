/*
 * Writes to several servers at once (Swift's make_requests): one leg per primary; a server that
 * cannot answer is replaced by the next node; once a quorum agrees the others get a moment
 * (post_quorum) more; the best response wins.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/backend/leg.h"
#include "lib/co/co.h"
#include "lib/swift/quorum.h"
#include "proxy/proxy_private.h"

enum { BODY_BYTES_MAX = 65536 };

/* One of the answers that are wanted. */
struct slot {
	struct leg *leg; /* under way or answered; NULL when no node is left */
	const struct ring_device *device;
	bool handoff;
	int status; /* 0 while under way */
	uint64_t deadline_ms;
};

struct fan_out_run {
	struct request *request;
	const struct fan_out *plan;
	struct legs *legs;
	struct slot slots[RING_REPLICAS_MAX * 2]; /* one per primary, then the extra handoffs of a POST */
	size_t count;
	size_t primaries;
	bool extra_asked;
};

/* Small and known whole: sent without asking first whether it is welcome. */
static void set_body(struct leg *leg, struct slice body)
{
	struct request *request = leg_request(leg);
	request->body = body_from_slice(leg_arena(leg), arena_slice(leg_arena(leg), body));
	request->content_length = (int64_t)body.length;
	request->has_length = true;
	headers_set_format(&request->headers, "Content-Length", "%zu", body.length);
}

static void start_leg(struct fan_out_run *run, struct slot *slot, size_t index)
{
	const struct fan_out *plan = run->plan;
	slot->leg = NULL;
	slot->status = 0;
	slot->device = nodes_next(plan->nodes, &slot->handoff);
	if (!slot->device) {
		slot->status = 503;
		return;
	}
	struct leg_target target = {plan->nodes->service, slot->device->ip, slot->device->port, slot->device->device};
	struct leg *leg = leg_new(run->legs, &target, plan->method, slot);
	struct request *request = leg_request(leg);
	request->path = node_path(
		leg_arena(leg), slot->device, plan->nodes->partition, plan->account, plan->container, plan->object);
	request->query = arena_slice(leg_arena(leg), plan->query);
	headers_copy(&request->headers, plan->headers);
	if (plan->body.length)
		set_body(leg, plan->body);
	(void)snprintf(request->transaction_id, sizeof(request->transaction_id), "%s", run->request->transaction_id);
	if (plan->more_headers)
		plan->more_headers(plan->argument, index, run->primaries, &request->headers);
	const struct backend_timeouts *timeouts = &plan->nodes->proxy->options.timeouts;
	slot->leg = leg;
	slot->deadline_ms = deadline_after_ms(timeouts->connect_ms + timeouts->node_ms);
	leg_start(leg, timeouts);
}

/* A 404 of a handoff that has never heard of the name says nothing: it counts as no answer. */
static bool is_useful(const struct slot *slot, const struct reply *reply)
{
	return !(slot->handoff && reply->status == 404 && !headers_get(&reply->headers, "X-Backend-Timestamp"));
}

static void take_answer(struct fan_out_run *run, struct slot *slot, size_t index)
{
	struct nodes *nodes = run->plan->nodes;
	const char *transaction = run->request->transaction_id;
	if (leg_state(slot->leg) == LEG_FAILED) {
		node_failed(nodes, slot->device, transaction, strerror(-leg_error(slot->leg)));
		start_leg(run, slot, index);
		return;
	}
	struct reply *reply = leg_reply(slot->leg);
	if (reply->status == 507) {
		node_refused(nodes, slot->device, reply, transaction);
		start_leg(run, slot, index);
	} else if (reply->status / 100 == 5) {
		node_failed(nodes, slot->device, transaction, status_reason(reply->status));
		start_leg(run, slot, index);
	} else {
		slot->status = is_useful(slot, reply) ? reply->status : 503;
	}
}

static void take_answers(struct fan_out_run *run)
{
	uint64_t now = loop_now_ms();
	for (size_t i = 0; i < run->count; i++) {
		struct slot *slot = &run->slots[i];
		if (slot->status)
			continue;
		if (leg_state(slot->leg) >= LEG_REPLIED) {
			take_answer(run, slot, i);
		} else if (now >= slot->deadline_ms) {
			node_failed(run->plan->nodes, slot->device, run->request->transaction_id, "timed out");
			start_leg(run, slot, i);
		}
	}
}

/* The statuses so far; 503 for those that are missing, if wanted. */
static size_t collect(const struct fan_out_run *run, int statuses[], bool missing_too)
{
	size_t count = 0;
	for (size_t i = 0; i < run->count; i++)
		if (run->slots[i].status || missing_too)
			statuses[count++] = run->slots[i].status ? run->slots[i].status : 503;
	return count;
}

static size_t count_primaries(const struct fan_out_run *run, int status)
{
	size_t count = 0;
	for (size_t i = 0; i < run->primaries; i++)
		count += run->slots[i].status == status;
	return count;
}

/* POST: for each primary that never got the object a handoff may have it (Swift's _post_object). */
static bool ask_extra_handoffs(struct fan_out_run *run)
{
	size_t found = count_primaries(run, 202);
	if (!run->plan->is_post || run->extra_asked || !found || found >= quorum_size(run->primaries))
		return false;
	run->extra_asked = true;
	for (size_t missing = count_primaries(run, 404); missing; missing--) {
		start_leg(run, &run->slots[run->count], run->count);
		run->count++;
	}
	return run->count > run->primaries;
}

static bool all_answered(const struct fan_out_run *run)
{
	for (size_t i = 0; i < run->count; i++)
		if (!run->slots[i].status)
			return false;
	return true;
}

/* When the next slot times out. */
static uint64_t next_deadline(const struct fan_out_run *run)
{
	uint64_t deadline = CO_FOREVER;
	for (size_t i = 0; i < run->count; i++)
		if (!run->slots[i].status && run->slots[i].deadline_ms < deadline)
			deadline = run->slots[i].deadline_ms;
	return deadline;
}

/* Waits until every slot has its answer, or a quorum has and the others had their moment. */
static void co_gather(struct fan_out_run *run)
{
	uint64_t stragglers = CO_FOREVER;
	size_t quorum = quorum_size(run->primaries);
	for (;;) {
		take_answers(run);
		if (all_answered(run))
			return;
		int statuses[RING_REPLICAS_MAX * 2];
		size_t count = collect(run, statuses, false);
		if (stragglers == CO_FOREVER && quorum_reached(statuses, count, quorum))
			stragglers = deadline_after_ms(run->plan->nodes->proxy->options.post_quorum_ms);
		if (loop_now_ms() >= stragglers)
			return;
		uint64_t deadline = next_deadline(run);
		(void)co_legs_wait(run->legs, deadline < stragglers ? deadline : stragglers);
	}
}

static void co_choose(struct fan_out_run *run, struct reply *reply)
{
	int statuses[RING_REPLICAS_MAX * 2];
	size_t count = collect(run, statuses, true);
	size_t index;
	int status = quorum_best_response(
		statuses, count, quorum_size(run->primaries), run->plan->overrides, run->plan->override_count, &index);
	/* that nobody has it cannot be right where somebody took the POST */
	if (run->plan->is_post && status == 404 && count_primaries(run, 202))
		status = 503;
	if (status == 503)
		log_unavailable(run->request, run->plan->nodes->service, statuses, count);
	if (status == 503 || index >= count) {
		reply_status(reply, status);
		return;
	}
	struct reply *best = leg_reply(run->slots[index].leg);
	reply->status = status;
	headers_copy(&reply->headers, &best->headers);
	struct slice text = best->text;
	if (best->body && co_body_read_all(best->body, reply->arena, BODY_BYTES_MAX, &text))
		text = SLICE_NONE;
	reply->text = arena_slice(reply->arena, text);
	headers_remove(&reply->headers, "Content-Length");
	headers_remove(&reply->headers, "Transfer-Encoding");
}

void co_fan_out(struct request *request, const struct fan_out *plan, struct reply *reply)
{
	struct fan_out_run *run = arena_zalloc(request->arena, sizeof(*run));
	run->request = request;
	run->plan = plan;
	run->legs = legs_new();
	legs_on_late_failure(run->legs, node_failed_late, plan->nodes->proxy);
	run->primaries = plan->nodes->primary_count;
	run->count = run->primaries;
	for (size_t i = 0; i < run->count; i++)
		start_leg(run, &run->slots[i], i);
	co_gather(run);
	if (ask_extra_handoffs(run))
		co_gather(run);
	co_choose(run, reply);
	legs_free(run->legs);
}
