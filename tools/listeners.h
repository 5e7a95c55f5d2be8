/*
 * The listening sockets of a service: one for each address and worker thread, opened once, by the supervisor while it
 * still has the privileges for it, and inherited by each server process that it starts.
 */
#ifndef TOOLS_LISTENERS_H
#define TOOLS_LISTENERS_H

#include <stddef.h>

#include "lib/base/settings.h"
#include "tools/node.h"

enum { WORKERS_MAX = 256, LISTENERS_PER_ROLE_MAX = 16 };

struct listeners {
	int fds[WORKERS_MAX][NODE_ROLE_COUNT][LISTENERS_PER_ROLE_MAX];
	size_t counts[NODE_ROLE_COUNT];
	size_t tls_from; /* the proxy's listeners from here on are for TLS */
	size_t worker_count;
	int backlog;
};

/* Binds the addresses of all roles. 0, or a negative errno with a malloc'ed line. */
int listeners_open(struct listeners *listeners, const struct settings *settings, size_t worker_count, char **ret_error);

/* Nobody serves: clients are refused at once instead of waiting in a queue. listeners_resume() undoes it. */
void listeners_refuse(const struct listeners *listeners);
void listeners_resume(const struct listeners *listeners);

/* Closes this process's descriptors. */
void listeners_close(struct listeners *listeners);

#endif
