/*
 * The expirer: removes objects whose X-Delete-At has come, and what asynchronous deletions have left to it, as the queue
 * says (proxy/expirer_queue.h; swift/obj/expirer.py). It hides nothing: expired objects are not seen anyway.
 *
 * There is no single point: it runs beside every container server, and a task belongs to one of the primaries of its
 * task container, by the hash of its name. Another primary does it when it is still there takeover_ms later, the next one
 * after twice that, and so on. To do it twice is harmless: the object servers compare X-Delete-At and times.
 *
 *	due task ──DELETE with X-If-Delete-At──► 2xx, 409: done ──► its row is removed from the queue
 *	                                         404, 412: not there, or to be deleted at another time: asked again in
 *	                                                   later passes, as a copy may turn up, until reclaim_age_ms
 *	                                         others:   asked again
 */
#ifndef PROXY_DAEMONS_EXPIRER_H
#define PROXY_DAEMONS_EXPIRER_H

#include <stdint.h>

#include "lib/base/settings.h"
#include "lib/swift/timestamp.h"

struct proxy;
struct expirer;

struct expirer_options {
	struct proxy *proxy;
	uint64_t interval_ms;
	uint64_t reclaim_age_ms;
	uint64_t takeover_ms;
	double tasks_per_second; /* of this process; 0: no limit */
	size_t concurrency;
	const struct text_list *delay_reaping; /* "account=seconds", "account/container=seconds", percent-encoded */
};

/* 0, or -EINVAL with a malloc'ed line about delay_reaping. What the options point to must live as long as it does. */
int expirer_new(const struct expirer_options *options, struct expirer **ret_expirer, char **ret_error);
/* It must have ended. NULL is accepted. */
void expirer_free(struct expirer *expirer);

/* A co_function: passes until expirer_stop(); the first one begins within an interval, at random. */
void co_expirer_run(void *expirer);
void expirer_stop(struct expirer *expirer);

struct expirer_counts {
	uint64_t deleted; /* tasks that are done */
	uint64_t dropped; /* rows whose object was never found in the state that they describe */
	uint64_t kept;    /* 404 and 412: to be asked again */
	uint64_t failed;  /* answers that say nothing */
};

/* One pass over what is due at `now`. */
void co_expirer_pass(struct expirer *expirer, struct timestamp now, struct expirer_counts *ret_counts);

#endif
