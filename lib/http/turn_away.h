/*
 * Connections for which there is no room: they are told 503 before they have asked, and closed. A bounded number is kept
 * open for a moment, since closing a socket with unread bytes sends a reset, which may overtake the answer. One
 * descriptor is held in reserve, so that connections can be turned away when the process has none left.
 */
#ifndef LIB_HTTP_TURN_AWAY_H
#define LIB_HTTP_TURN_AWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TURN_AWAY_LINGERING_MAX = 64,
	TURN_AWAY_LINGER_MS = 1000,
};

struct turn_away {
	int reserve_fd; /* -1: given away and not got back */
	struct {
		int fd; /* -1: free */
		uint64_t since_ms;
	} lingering[TURN_AWAY_LINGERING_MAX];
	size_t next; /* the oldest of them */
};

void turn_away_init(struct turn_away *self);
/* Closes all. */
void turn_away_release(struct turn_away *self);

/* Answers (unless it is not `plain` HTTP) and closes an accepted connection, in a moment. */
void turn_away_connection(struct turn_away *self, int fd, bool plain);

/* Accepts one connection at the expense of the reserve. False: nobody waits, or the reserve is not there. */
bool turn_away_without_descriptor(struct turn_away *self, int listener_fd, bool plain);

/* Closes those that have had their moment; once a second or so. */
void turn_away_sweep(struct turn_away *self, uint64_t now_ms);

#endif
