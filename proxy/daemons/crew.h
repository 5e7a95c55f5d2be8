/*
 * Several coroutines that work off a list of known length, as background work does with the rows of a page.
 */
#ifndef PROXY_DAEMONS_CREW_H
#define PROXY_DAEMONS_CREW_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Calls co_work(argument, i) for each i below `count`, in order, up to `workers` of them at once; returns when the last one
 * has. When *stopping becomes true no further one begins.
 */
void co_crew_run(size_t count, size_t workers, void (*co_work)(void *argument, size_t index), void *argument,
	const bool *stopping);

#endif
