/*
 * How fast a peer takes or gives bytes, so that slow ones can be told from fast ones, counted apart and given up. Only
 * time that somebody spends waiting for the peer counts: whoever is held up by a disk of ours is not slow.
 *
 *	fast ──a second of waiting below the rate──► slow ──window_ms of it──► given up
 *	  ▲                                            │
 *	  └──────────────── at the rate ───────────────┘
 */
#ifndef LIB_CO_PACE_H
#define LIB_CO_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	CO_PACE_GRACE_MS = 1000,      /* of waiting before anybody is called slow */
	CO_PACE_CHECK_MAX_MS = 10000, /* longest pause between two looks at a slow peer */
};

struct co_pace {
	uint64_t rate_min;  /* bytes a second; 0: nobody is slow */
	uint64_t window_ms; /* of waiting, after which a slow peer is given up; CO_FOREVER: never */
	/* Told that `slow` has changed. False when it became true and there is no room for one more: given up at once. */
	bool (*changed)(struct co_pace *pace);
	uint64_t waited_ms;
	uint64_t bytes; /* that came or went meanwhile */
	bool slow;
};

/* Begins anew, as when another request starts. Tells `changed` when the peer was slow. */
void co_pace_reset(struct co_pace *pace);

/* So much time went by in a wait; so many bytes moved. */
static inline void co_pace_count_wait(struct co_pace *pace, uint64_t waited_ms)
{
	pace->waited_ms += waited_ms;
}

static inline void co_pace_count_bytes(struct co_pace *pace, uint64_t bytes)
{
	pace->bytes += bytes;
}

/* What moved during the wait is not known. */
static inline void co_pace_forget_wait(struct co_pace *pace)
{
	pace->bytes += pace->waited_ms * pace->rate_min / 1000;
}

/* Before a wait: 0, or -ETIMEDOUT when the peer is given up. *ret_check_ms: how long to wait before asking again. */
int co_pace_judge(struct co_pace *pace, uint64_t *ret_check_ms);

#endif
