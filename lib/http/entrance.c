#include "lib/http/entrance.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/memory.h"
#include "lib/http/proxy_protocol.h"

TAILQ_HEAD(entrants, entrant);

struct entrance {
	uint64_t timeout_ms;
	entrance_left_function *left;
	struct event *turn; /* at once while somebody is ready, else when the oldest one has had its time */
	struct entrants by_age;
	struct entrants by_turn;
	size_t count;
};

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void leave(struct entrance *entrance, struct entrant *entrant, int error)
{
	entrance_drop(entrance, entrant);
	entrance->left(entrant, error);
}

/* ---- the PROXY header ---- */

static bool is_balancer(const struct http_door *door, const struct ip_address *peer)
{
	for (size_t i = 0; i < door->balancer_count; i++)
		if (ip_network_contains(&door->balancers[i], peer))
			return true;
	return false;
}

static int take_header(struct entrant *entrant)
{
	char bytes[PROXY_HEADER_BYTES_MAX];
	ssize_t count = recv(entrant->socket->fd, bytes, sizeof(bytes), MSG_PEEK);
	if (count <= 0)
		return count < 0 ? -errno : -ECONNRESET;
	struct proxy_header header;
	int length = proxy_protocol_parse(bytes, (size_t)count, &header);
	if (length <= 0)
		return length < 0 ? length : -EAGAIN;
	if (header.has_client)
		entrant->client = header.client;
	entrant->tls = header.tls;
	entrant->awaits_header = false;
	/* all of it is there: now it leaves the socket, and no byte after it does */
	return recv(entrant->socket->fd, bytes, (size_t)length, 0) == length ? 0 : -ECONNRESET;
}

/* ---- turns ---- */

static int shake_hands(struct entrant *entrant)
{
	struct co_socket *socket = entrant->socket;
	if (!entrant->door->tls)
		return 0;
	if (!socket->tls)
		socket->tls = tls_new(entrant->door->tls, socket->fd);
	int error = socket->tls ? tls_handshake(socket->tls) : -ENOMEM;
	if (!error)
		entrant->tls = true;
	return error;
}

static void go_on(struct entrance *entrance, struct entrant *entrant)
{
	int error = entrant->awaits_header ? take_header(entrant) : 0;
	if (!error)
		error = shake_hands(entrant);
	if (error == -EAGAIN || error == -EINTR)
		return;
	leave(entrance, entrant, error);
}

static void plan_turn(struct entrance *entrance)
{
	const struct entrant *oldest = TAILQ_FIRST(&entrance->by_age);
	uint64_t wait_ms = 0;
	uint64_t now_ms = loop_now_ms();
	if (!oldest) {
		evtimer_del(entrance->turn);
		return;
	}
	if (TAILQ_EMPTY(&entrance->by_turn) && oldest->deadline_ms > now_ms)
		wait_ms = oldest->deadline_ms - now_ms;
	struct timeval wait = {(time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000 * 1000)};
	evtimer_add(entrance->turn, &wait);
}

static void on_turn(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	struct entrance *entrance = argument;
	struct entrant *entrant;
	uint64_t end_us = now_us() + ENTRANCE_TURN_US;
	while ((entrant = TAILQ_FIRST(&entrance->by_turn)) && now_us() < end_us) {
		TAILQ_REMOVE(&entrance->by_turn, entrant, by_turn);
		entrant->ready = false;
		go_on(entrance, entrant);
	}
	while ((entrant = TAILQ_FIRST(&entrance->by_age)) && entrant->deadline_ms <= loop_now_ms())
		leave(entrance, entrant, -ETIMEDOUT);
	plan_turn(entrance);
}

/* ---- the outside ---- */

struct entrance *entrance_new(uint64_t timeout_ms, entrance_left_function *left)
{
	struct entrance *entrance = xcalloc(1, sizeof(*entrance));
	entrance->timeout_ms = timeout_ms;
	entrance->left = left;
	entrance->turn = evtimer_new(loop_event_base(loop_current()), on_turn, entrance);
	TAILQ_INIT(&entrance->by_age);
	TAILQ_INIT(&entrance->by_turn);
	return entrance;
}

void entrance_free(struct entrance *entrance)
{
	if (!entrance)
		return;
	event_free(entrance->turn);
	free(entrance);
}

bool http_door_asks(const struct http_door *door, const struct ip_address *peer)
{
	return door->tls || is_balancer(door, peer);
}

void entrance_enter(struct entrance *entrance, struct entrant *entrant, struct co_socket *socket,
	const struct http_door *door, const struct ip_address *peer)
{
	*entrant = (struct entrant){
		.socket = socket,
		.door = door,
		.deadline_ms = deadline_after_ms(entrance->timeout_ms),
		.awaits_header = is_balancer(door, peer),
		.inside = true,
		.client = *peer,
	};
	if (entrance->count == ENTRANTS_MAX)
		leave(entrance, TAILQ_FIRST(&entrance->by_age), -ETIMEDOUT);
	TAILQ_INSERT_TAIL(&entrance->by_age, entrant, by_age);
	entrance->count++;
	if (entrance->count == 1)
		plan_turn(entrance);
}

void entrance_ready(struct entrance *entrance, struct entrant *entrant)
{
	if (entrant->ready)
		return;
	entrant->ready = true;
	bool first = TAILQ_EMPTY(&entrance->by_turn);
	TAILQ_INSERT_TAIL(&entrance->by_turn, entrant, by_turn);
	if (first)
		plan_turn(entrance);
}

void entrance_drop(struct entrance *entrance, struct entrant *entrant)
{
	if (!entrant->inside)
		return;
	TAILQ_REMOVE(&entrance->by_age, entrant, by_age);
	if (entrant->ready)
		TAILQ_REMOVE(&entrance->by_turn, entrant, by_turn);
	entrant->inside = false;
	entrant->ready = false;
	entrance->count--;
}
