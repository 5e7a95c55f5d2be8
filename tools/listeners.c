#include "tools/listeners.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/co/socket.h"

static int open_address(struct listeners *listeners, enum node_role role, const char *address, char **ret_error)
{
	char ip[46];
	int port;
	size_t place = listeners->counts[role];
	int error = place < LISTENERS_PER_ROLE_MAX ? socket_address_parse(address, ip, &port) : -E2BIG;
	if (!error)
		error = socket_probe(ip, port);
	for (size_t w = 0; !error && w < listeners->worker_count; w++) {
		int fd = socket_listen(ip, port, listeners->backlog);
		listeners->fds[w][role][place] = fd;
		error = fd < 0 ? fd : 0;
	}
	if (error) {
		*ret_error = xasprintf("cannot listen on %s: %s", address,
			error == -EADDRINUSE ? "the port is in use by another process"
			: error == -E2BIG    ? "there are too many addresses"
					     : strerror(-error));
		return error;
	}
	listeners->counts[role]++;
	return 0;
}

static int open_addresses(
	struct listeners *listeners, enum node_role role, const struct text_list *addresses, char **ret_error)
{
	int error = 0;
	for (size_t i = 0; i < addresses->count && !error; i++)
		error = open_address(listeners, role, addresses->items[i], ret_error);
	return error;
}

static int open_role(
	struct listeners *listeners, const struct settings *settings, enum node_role role, char **ret_error)
{
	int error = open_addresses(listeners, role, node_binds(settings, role), ret_error);
	if (error || role != NODE_PROXY)
		return error;
	listeners->tls_from = listeners->counts[role];
	return open_addresses(listeners, role, &settings->proxy.tls_bind, ret_error);
}

int listeners_open(struct listeners *listeners, const struct settings *settings, size_t worker_count, char **ret_error)
{
	static const char *const names[] = {"proxy", "object", "container", "account"};
	listeners->worker_count = worker_count;
	listeners->backlog = (int)settings->swiftlet.backlog;
	int error = 0;
	for (enum node_role role = NODE_PROXY; role < NODE_ROLE_COUNT && !error; role++)
		if (role == NODE_METRICS || settings_has_role(settings, names[role]))
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
