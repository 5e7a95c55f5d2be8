/*
 * An update that the object server promised to a container: the row of an object, or an entry of
 * the expirer's queue. It is committed as a to-do value together with the object and removed when
 * every server concerned has confirmed it, so that a listing can be late but never wrong. The object
 * server sends it at once, the updater for as long as it takes.
 *
 * As a value (integers big-endian, counted(x) = u32 length and bytes):
 *
 *	u8 version (1)  u8 operation ('P' or 'D')  u16 policy
 *	counted(account)  counted(container)  counted(object)  counted(shard)
 *	u16 headers    { counted(name)  counted(value) } …
 *	u16 confirmed  { counted("ip:port/device") } …
 *	u16 redirects  { counted(percent-encoded "account/container") } …
 */
#ifndef OBJECT_UPDATE_H
#define OBJECT_UPDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/slice.h"
#include "lib/http/headers.h"

enum {
	UPDATE_HEADERS_MAX = 256,  /* of a row: Swift's few, and overrides that the request named */
	UPDATE_CONFIRMED_MAX = 64, /* servers that are remembered; further ones are asked again */
	UPDATE_REDIRECTS_MAX = 16, /* shards that sent it on; then it starts again at the root */
};

enum update_operation { UPDATE_PUT = 'P', UPDATE_DELETE = 'D' };

struct update_texts {
	const char **items;
	size_t count;
};

struct object_update {
	struct arena *arena; /* everything below lives here */
	enum update_operation operation;
	uint16_t policy; /* X-Backend-Storage-Policy-Index of the row */
	struct slice account;
	struct slice container;
	struct slice object;
	struct slice shard;            /* "account/container" that gets the row in place of the above; empty:
			       none */
	struct headers headers;        /* of the row's PUT or DELETE, without the policy's */
	struct update_texts confirmed; /* servers that have it: "ip:port/device" */
	struct update_texts redirects; /* shards that it was sent to: the next one must be new */
};

/* An empty PUT. */
void object_update_init(struct object_update *update, struct arena *arena);

/* Appends the value. Headers and lists beyond their limits are left out. */
void object_update_encode(const struct object_update *update, struct buf *value);

/* Reads a value; texts are copied to the arena. -EBADMSG when it is not one. */
int object_update_decode(struct slice value, struct arena *arena, struct object_update *ret_update);

/* Whether that server has confirmed the update; and noting that it has. */
bool object_update_is_confirmed(const struct object_update *update, const char *ip, int port, const char *device);
void object_update_confirm(struct object_update *update, const char *ip, int port, const char *device);

/*
 * The container has moved the row's range to `shard` ("account/container"). Forgets who confirmed;
 * goes back to the root when that shard was tried before (Swift: obj/updater.py,
 * process_object_update).
 */
void object_update_redirect(struct object_update *update, struct slice shard);

/* Account and container that the update goes to now. */
void object_update_target(const struct object_update *update, struct slice *ret_account, struct slice *ret_container);

#endif
