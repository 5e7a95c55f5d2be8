#include "container/account_update.h"

#include <string.h>

#include "lib/backend/leg.h"
#include "lib/base/log.h"
#include "lib/co/co.h"
#include "lib/swift/url.h"

static const char *quote(struct arena *arena, struct slice text)
{
	struct slice quoted = url_encode(arena, text, false);
	return arena_strndup(arena, quoted.data, quoted.length);
}

static void set_time(struct headers *headers, const char *name, struct timestamp time)
{
	char text[TIMESTAMP_TEXT_BYTES];
	timestamp_internal(time, text);
	headers_set(headers, name, arena_strdup(headers->arena, text));
}

/* No X-Timestamp: the row has its own two times. */
static void set_headers(struct headers *headers, const struct account_update *update)
{
	const struct listing_info *info = update->info;
	struct listing_policy_count count = listing_count_of(info, info->policy);
	const char *transaction = update->transaction ? update->transaction : "-";
	set_time(headers, "X-Put-Timestamp", info->put_timestamp);
	set_time(headers, "X-Delete-Timestamp", info->delete_timestamp);
	headers_set_format(headers, "X-Object-Count", "%lld", (long long)count.objects);
	headers_set_format(headers, "X-Bytes-Used", "%lld", (long long)count.bytes);
	headers_set_format(headers, "X-Backend-Storage-Policy-Index", "%u", info->policy);
	headers_set(headers, "X-Trans-Id", arena_strdup(headers->arena, transaction));
	headers_set(headers, "User-Agent", arena_strdup(headers->arena, update->user_agent));
	if (update->referer)
		headers_set(headers, "Referer", arena_strdup(headers->arena, update->referer));
	if (update->override_deleted)
		headers_set(headers, "X-Account-Override-Deleted", "yes");
}

static void start_leg(struct legs *legs, const struct account_update *update, const struct account_node *node)
{
	struct leg_target target = {
		.service = BACKEND_ACCOUNT,
		.ip = node->ip,
		.port = node->port,
		.device = node->device,
	};
	struct leg *leg = leg_new(legs, &target, METHOD_PUT, NULL);
	struct arena *arena = leg_arena(leg);
	struct request *request = leg_request(leg);
	const char *device = quote(arena, slice_from(node->device));
	const char *partition = quote(arena, slice_from(update->partition));
	const char *account = quote(arena, update->info->account);
	const char *container = quote(arena, update->info->container);
	request->path = slice_from(arena_printf(arena, "/%s/%s/%s/%s", device, partition, account, container));
	set_headers(&request->headers, update);
	leg_start(leg, &update->timeouts);
}

static bool leg_is_done(const struct leg *leg)
{
	return leg_state(leg) == LEG_REPLIED || leg_state(leg) == LEG_FAILED;
}

static bool all_done(const struct legs *legs)
{
	for (size_t i = 0; i < legs_count(legs); i++)
		if (!leg_is_done(legs_at(legs, i)))
			return false;
	return true;
}

static void count_leg(struct leg *leg, const struct account_update *update, struct account_update_result *result)
{
	const struct leg_target *target = leg_target_of(leg);
	int status = 0;
	const char *trouble = "no answer in time";
	if (leg_state(leg) == LEG_REPLIED)
		status = leg_reply(leg)->status;
	else if (leg_state(leg) == LEG_FAILED)
		trouble = strerror(-leg_error(leg));
	if (status >= 200 && status < 300)
		result->successes++;
	else if (status == 404)
		result->missing++;
	else if (status)
		log_write(LOG_LEVEL_WARNING, update->transaction, "account update to %s:%d/%s failed: answer %d",
			target->ip, target->port, target->device, status);
	else
		log_write(LOG_LEVEL_WARNING, update->transaction, "account update to %s:%d/%s failed: %s", target->ip,
			target->port, target->device, trouble);
}

struct account_update_result co_account_update(
	const struct account_update *update, const struct account_node *nodes, size_t node_count)
{
	struct account_update_result result = {0};
	struct legs *legs = legs_new();
	/* The time-outs are for each step of an exchange; a server that dribbles must not hold up
	 * the caller. */
	uint64_t deadline_ms = deadline_after_ms(update->timeouts.connect_ms + 2 * update->timeouts.node_ms);
	for (size_t i = 0; i < node_count; i++)
		start_leg(legs, update, &nodes[i]);
	while (!all_done(legs) && co_legs_wait(legs, deadline_ms) == 0)
		;
	for (size_t i = 0; i < node_count; i++)
		count_leg(legs_at(legs, i), update, &result);
	legs_free(legs);
	return result;
}
