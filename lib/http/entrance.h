/*
 * What a connection passes before its first request: the header of the PROXY protocol, from peers that must send one,
 * then the TLS handshake. Nobody here has a coroutine, and everything has a bound:
 *
 *   - A connection that is not through after `timeout_ms` is closed.
 *   - ENTRANTS_MAX of them may be under way on a loop; a further one pushes out the one that came first. Those who are
 *     in earnest take milliseconds, so a crowd that opens connections and falls silent does not keep them out.
 *   - A turn of the loop spends ENTRANCE_TURN_US on handshakes, which are expensive, then lets requests have theirs.
 */
#ifndef LIB_HTTP_ENTRANCE_H
#define LIB_HTTP_ENTRANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/base/ip_address.h"
#include "lib/co/socket.h"
#include "lib/co/tls.h"

enum {
	ENTRANTS_MAX = 2048,
	ENTRANCE_TURN_US = 2000,
};

/* What a listening socket asks of those who come. */
struct http_door {
	struct tls_context *tls;            /* NULL: no TLS */
	const struct ip_network *balancers; /* these must begin with a PROXY header; nobody else may */
	size_t balancer_count;
};

struct entrance;

/* The part of a connection that lives here. All zeroes, it is outside. */
struct entrant {
	struct co_socket *socket;
	const struct http_door *door;
	uint64_t deadline_ms;
	bool awaits_header;
	bool inside;
	bool ready; /* in the queue of those who have something to do */
	/* results */
	struct ip_address client; /* whom the header names, or the peer */
	bool tls;                 /* the client came by TLS, to this door or to the balancer's */
	TAILQ_ENTRY(entrant) by_age;
	TAILQ_ENTRY(entrant) by_turn;
};

/*
 * Called on the loop when an entrant has left: 0 when it is through (its socket has `tls` set then, where the door asks
 * for it); -EPROTO: no right PROXY header; -ETIMEDOUT, -ECONNRESET. The callee may free it.
 */
typedef void entrance_left_function(struct entrant *entrant, int error);

/* On the current loop. */
struct entrance *entrance_new(uint64_t timeout_ms, entrance_left_function *left);
/* Nobody may be inside. NULL is accepted. */
void entrance_free(struct entrance *entrance);

/* Whether a peer has anything to pass at this door. */
bool http_door_asks(const struct http_door *door, const struct ip_address *peer);

/* Lets a connection in; `left` will be called, later. The entrant must stay where it is until then. */
void entrance_enter(struct entrance *entrance, struct entrant *entrant, struct co_socket *socket,
	const struct http_door *door, const struct ip_address *peer);

/* Its socket is readable or writable. */
void entrance_ready(struct entrance *entrance, struct entrant *entrant);

/* Takes it out without a call, for its owner closes it. Safe on one that is outside. */
void entrance_drop(struct entrance *entrance, struct entrant *entrant);

#endif
