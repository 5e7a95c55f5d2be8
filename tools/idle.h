/*
 * What a process has in memory while it works, and what it gives back when it has nothing to do.
 */
#ifndef TOOLS_IDLE_H
#define TOOLS_IDLE_H

#include <stdbool.h>

/* Makes glibc's malloc give large pieces back at once. Once at the start, before there are threads. */
void heap_tame(void);

/*
 * To be called at regular intervals of a few seconds, always by the same thread: whether the process has used next to
 * no CPU time during the last few of them. Little work, some requests a second, counts as idle.
 */
bool process_is_idle(void);

/* Gives free memory of the heap back to the system, when there was work since the last call. Takes milliseconds. */
void heap_trim(void);

#endif
