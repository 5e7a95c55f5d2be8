/*
 * Sending an update to container servers, all of them at once.
 */
#ifndef OBJECT_UPDATE_SEND_H
#define OBJECT_UPDATE_SEND_H

#include "lib/backend/backend.h"
#include "lib/swift/timestamp.h"
#include "object/update.h"

/* A container server and where on it the container lives. */
struct update_target {
	const char *ip;
	int port;
	const char *device;
	const char *partition;
};

struct update_answer {
	int status; /* of the server's reply; 0: none came */
	bool confirmed;
	struct slice shard; /* "account/container" of a redirect (301); empty: none. In the update's
			       arena */
	struct timestamp redirect_time;
};

struct update_send_options {
	const char *user_agent;
	bool accept_redirect; /* the server may answer 301 to a shard */
	struct backend_timeouts timeouts;
};

enum { UPDATE_TARGETS_MAX = 32 };

/*
 * Sends the update to `count` servers (at most UPDATE_TARGETS_MAX) and waits until all have
 * answered or had their time. ret_answers has `count` places.
 */
void co_update_send(const struct object_update *update, const struct update_target *targets, size_t count,
	const struct update_send_options *options, struct update_answer *ret_answers);

/* What the answers mean for the update. */
struct update_outcome {
	bool confirmed;  /* every one of the servers has it */
	bool redirected; /* it belongs to a shard, which may be tried at once */
	bool changed;    /* the update has changed: what is stored of it must, too */
};

/* Notes in the update who has confirmed it, or follows the newest redirect. */
struct update_outcome update_take_answers(struct object_update *update, const struct update_target *targets,
	size_t count, const struct update_answer *answers);

#endif
