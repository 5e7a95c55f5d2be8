/*
 * What the files of the object controller share.
 */
#ifndef PROXY_OBJECT_H
#define PROXY_OBJECT_H

#include "proxy/proxy_private.h"

/* Where the updates of one object write go: the container's nodes and the expirer's, to be shared
 * out over requests. */
struct object_updates {
	struct nodes containers;
	bool has_containers;
	struct nodes expirer;
	bool has_expirer;
	const char *delete_at_container; /* name of the expirer's container */
	int policy_index;
	size_t object_quorum;
};

/* 0, or -ENOENT when a ring is missing. `delete_at` is in seconds, -1 for none. */
int object_updates_init(struct object_updates *updates, struct proxy *proxy, struct request *request,
	const struct info *container, int64_t delete_at);
void object_updates_release(struct object_updates *updates);
/* X-Container-Host and its kind for request `index` of `count` (proxy.md 7.1). The argument is the
 * updates. */
void object_updates_headers(void *updates, size_t index, size_t count, struct headers *headers);

/* The client's headers for the object servers, with X-Backend-Storage-Policy-Index and the rest. */
void object_backend_headers(struct request *request, int policy_index, struct headers *headers);

/* Parameters of the content type that begin with swift_ are the servers' own. False: 400 is set. */
bool object_check_content_type(struct request *request, struct reply *reply);

/* X-Delete-At of a PUT or POST, from either header: -1 for none. False: 400 is set. */
bool object_take_delete_at(struct request *request, struct reply *reply, int64_t *ret_delete_at);

void co_store_object(struct proxy *proxy, struct request *request, const struct info *container, struct reply *reply);

#endif
