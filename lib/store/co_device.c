#include "lib/store/co_device.h"

#include <stdlib.h>

#include "lib/base/memory.h"
#include "lib/co/co.h"

struct waiting_commit {
	struct device_commit commit;
	struct loop_message message;
	struct loop *loop;
	struct co *co;
	bool finished;
};

static void commit_finished(struct loop_message *message)
{
	struct waiting_commit *waiting =
		(struct waiting_commit *)((char *)message - offsetof(struct waiting_commit, message));
	waiting->finished = true;
	co_wake(waiting->co);
}

static void commit_done(struct device_commit *commit)
{
	struct waiting_commit *waiting = commit->done_argument;
	loop_post(waiting->loop, &waiting->message);
}

/*
 * Devices of which this thread's committers have to hear at the end of the turn: the other legs of a PUT and other
 * requests often bring more for the same device, and waking a thread costs more than the change.
 */
enum { KICKS_MAX = 16 };

static __thread struct {
	struct loop_message message;
	struct device *devices[KICKS_MAX];
	size_t count;
} kicks;

static void kick_all(struct loop_message *message)
{
	(void)message;
	for (size_t i = 0; i < kicks.count; i++)
		device_commit_kick(kicks.devices[i]);
	kicks.count = 0;
}

/* The device is there until its commit is done, and that reaches this loop after the turn. */
static void kick_later(struct device *device)
{
	for (size_t i = 0; i < kicks.count; i++)
		if (kicks.devices[i] == device)
			return;
	if (kicks.count == KICKS_MAX) {
		device_commit_kick(device);
		return;
	}
	kicks.devices[kicks.count++] = device;
	if (kicks.count > 1)
		return;
	kicks.message.call = kick_all;
	loop_defer(&kicks.message);
}

int co_device_commit(struct device *device, device_change_fn *change, void *argument)
{
	struct waiting_commit waiting = {
		.commit = {.change = change,
			.argument = argument,
			.done = commit_done,
			.transaction = co_transaction()},
		.message = {.call = commit_finished},
		.loop = loop_current(),
		.co = co_self(),
	};
	waiting.commit.done_argument = &waiting;
	device_commit_queue(device, &waiting.commit);
	kick_later(device);
	while (!waiting.finished)
		co_suspend();
	return waiting.commit.result;
}

static void lazy_done(struct device_commit *commit)
{
	free(commit->argument);
	free(commit);
}

void device_commit_lazily(struct device *device, device_change_fn *change, void *argument)
{
	struct device_commit *commit = xcalloc(1, sizeof(*commit));
	commit->change = change;
	commit->argument = argument;
	commit->done = lazy_done;
	commit->lazy = true;
	device_commit_start(device, commit);
}
