#include "tools/listeners.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/co/socket.h"

static int open_role(
	struct listeners *listeners, const struct settings *settings, enum node_role role, char **ret_error)
{
	const struct text_list *binds = node_binds(settings, role);
	for (size_t i = 0; i < binds->count && i < LISTENERS_PER_ROLE_MAX; i++) {
		char ip[46];
		int port;
		int error = socket_address_parse(binds->items[i], ip, &port);
		if (!error)
			error = socket_probe(ip, port);
		for (size_t w = 0; !error && w < listeners->worker_count; w++) {
			int fd = socket_listen(ip, port, listeners->backlog);
			listeners->fds[w][role][i] = fd;
			error = fd < 0 ? fd : 0;
		}
		if (error) {
			*ret_error = xasprintf("cannot listen on %s: %s", binds->items[i],
				error == -EADDRINUSE ? "the port is in use by another process" : strerror(-error));
			return error;
		}
		listeners->counts[role]++;
	}
	return 0;
}

int listeners_open(struct listeners *listeners, const struct settings *settings, size_t worker_count, char **ret_error)
{
	static const char *const names[] = {"proxy", "object", "container", "account"};
	listeners->worker_count = worker_count;
	listeners->backlog = (int)settings->swiftlet.backlog;
	int error = 0;
	for (enum node_role role = NODE_PROXY; role < NODE_ROLE_COUNT && !error; role++)
		if (settings_has_role(settings, names[role]))
			error = open_role(listeners, settings, role, ret_error);
	return error;
}

static void for_each(const struct listeners *listeners, void (*act)(const struct listeners *listeners, int fd))
{
	for (size_t w = 0; w < listeners->worker_count; w++)
		for (enum node_role role = NODE_PROXY; role < NODE_ROLE_COUNT; role++)
			for (size_t i = 0; i < listeners->counts[role]; i++)
				act(listeners, listeners->fds[w][role][i]);
}

static void refuse(const struct listeners *listeners, int fd)
{
	(void)listeners;
	(void)shutdown(fd, SHUT_RD);
}

static void resume(const struct listeners *listeners, int fd)
{
	(void)listen(fd, listeners->backlog);
}

static void close_one(const struct listeners *listeners, int fd)
{
	(void)listeners;
	close(fd);
}

void listeners_refuse(const struct listeners *listeners)
{
	for_each(listeners, refuse);
}

void listeners_resume(const struct listeners *listeners)
{
	for_each(listeners, resume);
}

void listeners_close(struct listeners *listeners)
{
	for_each(listeners, close_one);
	listeners->worker_count = 0;
}
