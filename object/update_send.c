#include "object/update_send.h"

#include <assert.h>
#include <errno.h>

#include "lib/backend/leg.h"
#include "lib/co/co.h"
#include "lib/swift/constraints.h"
#include "lib/swift/url.h"

/* "/device/partition/account/container/object", percent-encoded. */
static struct slice target_path(
	const struct object_update *update, const struct update_target *target, struct arena *arena)
{
	struct slice account, container;
	object_update_target(update, &account, &container);
	const struct slice segments[] = {slice_from(target->device), slice_from(target->partition), account, container};
	struct buf path = BUF_INIT;
	for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
		buf_append_byte(&path, '/');
		url_encode_append(&path, segments[i], false);
	}
	buf_append_byte(&path, '/');
	url_encode_append(&path, update->object, true);
	struct slice kept = arena_slice(arena, buf_slice(&path));
	buf_release(&path);
	return kept;
}

static void start_leg(struct legs *legs, const struct object_update *update, const struct update_target *target,
	const struct update_send_options *options)
{
	enum method method = update->operation == UPDATE_PUT ? METHOD_PUT : METHOD_DELETE;
	const struct leg_target server = {BACKEND_CONTAINER, target->ip, target->port, target->device};
	struct leg *leg = leg_new(legs, &server, method, NULL);
	struct request *request = leg_request(leg);
	request->path = target_path(update, target, leg_arena(leg));
	struct headers *headers = &request->headers;
	headers_copy(headers, &update->headers);
	headers_set_format(headers, "X-Backend-Storage-Policy-Index", "%u", update->policy);
	headers_set(headers, "User-Agent", arena_strdup(leg_arena(leg), options->user_agent));
	if (options->accept_redirect) {
		headers_set(headers, "X-Backend-Accept-Redirect", "true");
		headers_set(headers, "X-Backend-Accept-Quoted-Location", "true");
	}
	leg_start(leg, &options->timeouts);
}

/* Swift's get_redirect_data: the first two segments of Location's path, and a time that must be
 * one. */
static void take_redirect(const struct object_update *update, const struct reply *reply, struct update_answer *answer)
{
	const char *location = headers_get(&reply->headers, "Location");
	const char *time = headers_get(&reply->headers, "X-Backend-Redirect-Timestamp");
	struct slice segments[3];
	if (!location || !time || timestamp_parse(slice_from(time), &answer->redirect_time))
		return;
	struct slice path = slice_from(location);
	bool quoted = config_true_value(headers_get(&reply->headers, "X-Backend-Location-Is-Quoted"));
	int error = quoted ? path_split(update->arena, path, 2, 3, true, segments)
			   : path_split_decoded(path, 2, 3, true, segments);
	if (error)
		return;
	struct buf shard = BUF_INIT;
	buf_append_slice(&shard, segments[0]);
	buf_append_byte(&shard, '/');
	buf_append_slice(&shard, segments[1]);
	answer->shard = arena_slice(update->arena, buf_slice(&shard));
	buf_release(&shard);
}

static bool all_ended(const struct legs *legs)
{
	for (size_t i = 0; i < legs_count(legs); i++) {
		enum leg_state state = leg_state(legs_at(legs, i));
		if (state != LEG_REPLIED && state != LEG_FAILED)
			return false;
	}
	return true;
}

void co_update_send(const struct object_update *update, const struct update_target *targets, size_t count,
	const struct update_send_options *options, struct update_answer *ret_answers)
{
	assert(count <= UPDATE_TARGETS_MAX);
	struct legs *legs = legs_new();
	for (size_t i = 0; i < count; i++)
		start_leg(legs, update, &targets[i], options);
	/* a server of this process is called without time limits of its own */
	uint64_t deadline = deadline_after_ms(options->timeouts.connect_ms + options->timeouts.node_ms);
	while (!all_ended(legs) && co_legs_wait(legs, deadline) == 0)
		continue;
	for (size_t i = 0; i < count; i++) {
		struct leg *leg = legs_at(legs, i);
		ret_answers[i] = (struct update_answer){0};
		if (leg_state(leg) != LEG_REPLIED)
			continue;
		const struct reply *reply = leg_reply(leg);
		ret_answers[i].status = reply->status;
		ret_answers[i].confirmed = reply->status / 100 == 2;
		if (reply->status == 301)
			take_redirect(update, reply, &ret_answers[i]);
	}
	legs_free(legs);
}

struct update_outcome update_take_answers(struct object_update *update, const struct update_target *targets,
	size_t count, const struct update_answer *answers)
{
	struct update_outcome outcome = {.confirmed = true};
	const struct update_answer *redirect = NULL;
	for (size_t i = 0; i < count; i++) {
		outcome.confirmed &= answers[i].confirmed;
		outcome.changed |= answers[i].confirmed;
		if (answers[i].confirmed)
			object_update_confirm(update, targets[i].ip, targets[i].port, targets[i].device);
		if (answers[i].shard.length &&
			(!redirect || timestamp_compare(answers[i].redirect_time, redirect->redirect_time) > 0))
			redirect = &answers[i];
	}
	if (redirect) {
		object_update_redirect(update, redirect->shard);
		outcome.redirected = true;
		outcome.changed = true;
	}
	return outcome;
}
