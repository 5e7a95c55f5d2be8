/*
 * Fan-out: legs are requests to several servers at once, each in a coroutine of its own, so that
 * one slow server holds up nobody. The coroutine that made them sleeps in co_legs_wait() and looks
 * at their states; it may leave while some are still under way: a leg owns its memory and ends by
 * itself.
 *
 *	LEG_CONNECTING ──► LEG_READY ──► LEG_REPLIED      READY: asked for the body (100 Continue)
 *	      │    └──────────┼────────────►  ▲           a final answer may come at any time
 *	      └───────────────┴──► LEG_FAILED             no answer: refused, timed out, broke
 */
#ifndef LIB_BACKEND_LEG_H
#define LIB_BACKEND_LEG_H

#include "lib/backend/backend.h"

enum leg_state { LEG_CONNECTING, LEG_READY, LEG_REPLIED, LEG_FAILED };

struct legs; /* the group, with the signal its owner waits on */
struct leg;

struct legs *legs_new(void);
/*
 * The owner leaves. Legs under way go on alone; their bodies end with an error unless they were
 * finished. NULL is accepted.
 */
void legs_free(struct legs *legs);
/* The owner leaves all legs but one, as legs_free() would. */
void legs_keep_only(struct legs *legs, struct leg *kept);

struct leg_target {
	enum backend_service service;
	const char *ip; /* copied */
	int port;
	const char *device; /* copied; for the log */
};

/*
 * Told of a leg that failed when its owner had left already, so that a server that never answers is
 * noticed although nobody waits for it to the end. Not called for legs whose body the owner broke
 * off. `argument` must outlive the loop.
 */
typedef void leg_late_failure_function(
	void *argument, const struct leg_target *target, const char *transaction_id, int error);
void legs_on_late_failure(struct legs *legs, leg_late_failure_function *function, void *argument);

/*
 * A new leg with an empty request in its own arena: fill in path and headers, then leg_start().
 * `argument` is the owner's own.
 */
struct leg *leg_new(struct legs *legs, const struct leg_target *target, enum method method, void *argument);
struct request *leg_request(struct leg *leg);
struct arena *leg_arena(struct leg *leg);
/* The request has a body that leg_feed() will bring: `length` bytes, or -1 for chunked. Before
 * leg_start(). */
void leg_expect_body(struct leg *leg, int64_t length);
void leg_start(struct leg *leg, const struct backend_timeouts *timeouts);

enum leg_state leg_state(const struct leg *leg);
void *leg_argument(const struct leg *leg);
const struct leg_target *leg_target_of(const struct leg *leg);
/* Of a leg in LEG_REPLIED. The reply, its texts and its stream belong to the leg: use them before
 * legs_free(). */
struct reply *leg_reply(struct leg *leg);
/* Of a leg in LEG_FAILED: negative errno. */
int leg_error(const struct leg *leg);

size_t legs_count(const struct legs *legs);
struct leg *legs_at(const struct legs *legs, size_t index);

/* Sleeps until any leg changed its state since the last wait, or the deadline: 0 or -ETIMEDOUT, and
 * then loop_now_ms() is not before the deadline. */
int co_legs_wait(struct legs *legs, uint64_t deadline_ms);

/*
 * Hands a piece of the body to the leg: it takes a reference of its own, or a copy where there is
 * no block to hold on to. At most one piece waits per leg: sleeps until there is room, or the leg
 * is no longer LEG_READY (-ECANCELED), or the deadline (-ETIMEDOUT).
 */
int co_leg_feed(struct leg *leg, const struct chunk *chunk, uint64_t deadline_ms);
/* No more body. `digest` (may be NULL) is handed to a server in this process. */
void leg_feed_end(struct leg *leg, const struct body_digest *digest);
/* The body broke off: the server must see a broken request, and store nothing. */
void leg_feed_abort(struct leg *leg);

#endif
