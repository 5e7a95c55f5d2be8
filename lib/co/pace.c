#include "lib/co/pace.h"

#include <errno.h>

void co_pace_reset(struct co_pace *pace)
{
	pace->waited_ms = 0;
	pace->bytes = 0;
	if (!pace->slow)
		return;
	pace->slow = false;
	(void)pace->changed(pace);
}

static bool is_behind(const struct co_pace *pace)
{
	return pace->waited_ms >= CO_PACE_GRACE_MS && pace->bytes < pace->waited_ms * pace->rate_min / 1000;
}

static uint64_t check_interval_ms(const struct co_pace *pace)
{
	if (!pace->slow)
		return CO_PACE_GRACE_MS;
	uint64_t interval = (pace->window_ms - pace->waited_ms) / 4;
	if (interval < CO_PACE_GRACE_MS)
		return CO_PACE_GRACE_MS;
	return interval > CO_PACE_CHECK_MAX_MS ? CO_PACE_CHECK_MAX_MS : interval;
}

int co_pace_judge(struct co_pace *pace, uint64_t *ret_check_ms)
{
	if (is_behind(pace)) {
		if (pace->waited_ms >= pace->window_ms)
			return -ETIMEDOUT;
		if (!pace->slow) {
			pace->slow = true;
			if (!pace->changed(pace)) {
				pace->slow = false;
				return -ETIMEDOUT;
			}
		}
	} else if (pace->slow || pace->waited_ms >= CO_PACE_CHECK_MAX_MS || pace->bytes > pace->rate_min) {
		/* what was fast once gives no credit for being slow later */
		co_pace_reset(pace);
	}
	*ret_check_ms = check_interval_ms(pace);
	return 0;
}
