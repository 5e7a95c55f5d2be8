/*
 * The queue of what is to be deleted at a time to come, as Swift keeps it: rows without objects in containers of the
 * account .expiring_objects. A row is "<time>-<account>/<container>/<object>"; its container is named by the day of the
 * time, less a number below 100 that spreads the objects of a day (swift/obj/expirer.py). Rows of X-Delete-At are
 * written by the object servers; those of asynchronous deletions, with a content type of their own, by this.
 */
#ifndef PROXY_EXPIRER_QUEUE_H
#define PROXY_EXPIRER_QUEUE_H

#include "lib/swift/timestamp.h"
#include "proxy/proxy_private.h"

#define EXPIRER_QUEUE_ACCOUNT ".expiring_objects"
#define EXPIRER_ASYNC_DELETE_TYPE "application/async-deleted"

enum { EXPIRER_DIVISOR_SECONDS = 86400, EXPIRER_CONTAINERS_PER_DIVISOR = 100 };

/* The container of an object that is to be deleted at `seconds`, in the arena. */
const char *expirer_queue_container(const struct proxy *proxy, struct arena *arena, struct slice account,
	struct slice container, struct slice object, int64_t seconds);

/* What a row says; the texts are views into its name. */
struct expirer_task {
	struct timestamp due;
	struct slice account;
	struct slice container;
	struct slice object;
};

/* -EINVAL when the name is none of a task. */
int expirer_task_parse(struct slice name, struct expirer_task *ret_task);

/*
 * Has objects of one container of the request's account deleted soon: as they are at the time of the request, newer ones
 * stay. The request's own path says into which container of the queue they go. 0, or -EIO when no quorum of container
 * servers took them; then some may be deleted all the same.
 */
int co_expirer_queue_deletes(
	struct request *request, struct slice container, const struct slice *objects, size_t count);

#endif
