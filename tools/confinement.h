/*
 * What a node may touch, made of its settings and rings: which walls tools/sandbox.h puts up around it, the check of
 * addresses that the kernel cannot do, and whether its devices are its user's to use at all.
 */
#ifndef TOOLS_CONFINEMENT_H
#define TOOLS_CONFINEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/settings.h"

struct confinement;
struct ring;
struct ring_store;

/* Both arguments must outlive it. */
struct confinement *confinement_new(const struct settings *settings, struct ring_store *rings);
/* The walls stay. No loop may run any more. NULL is accepted. */
void confinement_free(struct confinement *confinement);

/*
 * Goes inside, as said in sandbox.h: before there is another thread, with `names` of the devices that will be opened.
 * A device that our user may not write to is logged; -EACCES when that is so of all. Returns 0, or a negative errno with
 * a malloc'ed line.
 */
int confinement_enter(struct confinement *confinement, const char *names[], size_t count, char **ret_error);

/* What keeps the process in, for the log. */
const char *confinement_state(const struct confinement *confinement);

/* To be called when rings were loaded again: looks for ports that are closed to us, and logs one. */
void confinement_review(struct confinement *confinement);
/* Whether one was found: only a new process can have a wider sandbox. */
bool confinement_outgrown(const struct confinement *confinement);

/* Whether a device of the ring is at that address, or replicates there. */
bool ring_has_address(struct ring *ring, const char *ip, int port);

/* Whether another file system is mounted there. */
bool is_mount_point(const char *path);

#endif
