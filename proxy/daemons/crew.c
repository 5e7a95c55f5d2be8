#include "proxy/daemons/crew.h"

#include "lib/co/co.h"

struct crew {
	size_t count;
	size_t next;
	size_t working;
	void (*co_work)(void *argument, size_t index);
	void *argument;
	const bool *stopping;
	struct co_signal done; /* raised by the last one */
};

static void co_member(void *argument)
{
	struct crew *crew = argument;
	while (crew->next < crew->count && !*crew->stopping)
		crew->co_work(crew->argument, crew->next++);
	if (--crew->working == 0)
		co_signal_raise(&crew->done);
}

void co_crew_run(size_t count, size_t workers, void (*co_work)(void *argument, size_t index), void *argument,
	const bool *stopping)
{
	struct crew crew = {.count = count, .co_work = co_work, .argument = argument, .stopping = stopping};
	crew.working = count < workers ? count : workers;
	for (size_t i = crew.working; i > 0; i--)
		co_start(co_member, &crew);
	while (crew.working)
		(void)co_signal_wait(&crew.done, CO_FOREVER);
}
