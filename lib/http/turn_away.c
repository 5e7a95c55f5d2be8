#include "lib/http/turn_away.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/co/co.h"

static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
			     "Content-Length: 0\r\n"
			     "Retry-After: 1\r\n"
			     "Connection: close\r\n\r\n";

static void take_reserve(struct turn_away *self)
{
	if (self->reserve_fd < 0)
		self->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void turn_away_init(struct turn_away *self)
{
	*self = (struct turn_away){.reserve_fd = -1};
	for (size_t i = 0; i < TURN_AWAY_LINGERING_MAX; i++)
		self->lingering[i].fd = -1;
	take_reserve(self);
}

static void close_slot(struct turn_away *self, size_t slot)
{
	if (self->lingering[slot].fd >= 0)
		close(self->lingering[slot].fd);
	self->lingering[slot].fd = -1;
}

void turn_away_release(struct turn_away *self)
{
	for (size_t i = 0; i < TURN_AWAY_LINGERING_MAX; i++)
		close_slot(self, i);
	if (self->reserve_fd >= 0)
		close(self->reserve_fd);
	self->reserve_fd = -1;
}

static void say(int fd, bool plain)
{
	char request[4096];
	if (plain)
		(void)send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)shutdown(fd, SHUT_WR);
	(void)!recv(fd, request, sizeof(request), MSG_DONTWAIT);
}

void turn_away_connection(struct turn_away *self, int fd, bool plain)
{
	say(fd, plain);
	close_slot(self, self->next);
	self->lingering[self->next].fd = fd;
	self->lingering[self->next].since_ms = loop_now_ms();
	self->next = (self->next + 1) % TURN_AWAY_LINGERING_MAX;
}

bool turn_away_without_descriptor(struct turn_away *self, int listener_fd, bool plain)
{
	take_reserve(self);
	if (self->reserve_fd < 0)
		return false;
	close(self->reserve_fd);
	self->reserve_fd = -1;
	int fd = accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		say(fd, plain);
		close(fd);
	}
	take_reserve(self);
	return fd >= 0;
}

void turn_away_sweep(struct turn_away *self, uint64_t now_ms)
{
	for (size_t i = 0; i < TURN_AWAY_LINGERING_MAX; i++)
		if (self->lingering[i].fd >= 0 && now_ms - self->lingering[i].since_ms >= TURN_AWAY_LINGER_MS)
			close_slot(self, i);
	take_reserve(self);
}
