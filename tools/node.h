/*
 * A node: the servers that one process runs, wired together from its settings. Built once at the start; everything in it
 * lives until the process ends.
 */
#ifndef TOOLS_NODE_H
#define TOOLS_NODE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/settings.h"
#include "lib/http/message.h"

struct confinement;
struct node;
struct doors;

enum node_role { NODE_PROXY, NODE_OBJECT, NODE_CONTAINER, NODE_ACCOUNT, NODE_METRICS, NODE_ROLE_COUNT };

/*
 * Opens rings and devices, makes the servers of the roles. Between rings and devices, before there is any other thread,
 * the process goes into its sandbox. 0, or a negative errno with a malloc'ed line.
 */
int node_new(const struct settings *settings, struct node **ret_node, char **ret_error);
/* All loops must have ended. NULL is accepted. */
void node_free(struct node *node);

/* A server's handler; NULL when the process has not got the role. NODE_METRICS is /metrics at [swiftlet] metrics_bind. */
co_handler_function *node_handler(struct node *node, enum node_role role, void **ret_context);
const struct text_list *node_binds(const struct settings *settings, enum node_role role);
/* What the proxy's listeners ask of connections; NULL when the process has not got the role. */
const struct doors *node_doors(const struct node *node);

/* Starts the coroutines of the background work on the current loop; stop makes them end. */
void node_start_background(struct node *node);
void node_stop_background(struct node *node);

/* What the process is confined to. */
const struct confinement *node_confinement(const struct node *node);

/* Every few seconds: rings and certificates that changed, devices that came back. */
void node_refresh(struct node *node);
/* Every few seconds: what devices do by themselves, more of it when the process is idle. */
void node_care(struct node *node, bool idle);
/* SIGHUP: token keys, certificates, and what else can change without a restart. */
void node_reload(struct node *node);

#endif
