/*
 * What the two ways of keeping former versions share: names in the reserved namespace, and moving an object from one
 * container to another by requests of our own.
 */
#ifndef PROXY_FILTERS_VERSIONS_H
#define PROXY_FILTERS_VERSIONS_H

#include "lib/swift/timestamp.h"
#include "proxy/inner_request.h"
#include "proxy/proxy_private.h"

/* The content type says it: clients cannot send one with swift_ in it. */
#define DELETE_MARKER_TYPE "application/x-deleted;swift_versions_deleted=1"

enum { VERSIONS_REPLY_BYTES_MAX = 65536 };

/* ---- names (object versioning) ---- */

/* "\0versions\0container": where the versions of a container's objects are. */
struct slice versions_container_name(struct arena *arena, struct slice container);
/* The reverse; a name that is not of this form comes back as it is. */
struct slice versions_container_parent(struct slice name);
/* "\0object\0": what the names of all versions of an object begin with. */
struct slice versions_object_prefix(struct arena *arena, struct slice object);
/* "\0object\0<inverted time>": the newest version comes first in listings. The offset of the time does not count. */
struct slice versions_object_name(struct arena *arena, struct slice object, struct timestamp time);
/* The reverse; *ret_version is the id that clients see. False: the name is not that of a version. */
bool versions_object_parse(struct arena *arena, struct slice name, struct slice *ret_object, const char **ret_version);
/* "container/object", not encoded, apart at the first slash. False when one of them is empty. */
bool versions_path_split(struct slice path, struct slice *ret_container, struct slice *ret_object);

/* ---- requests ---- */

/* The decoded value of a parameter of the request's query. False: it is not there. */
bool versions_parameter(struct request *request, const char *name, struct slice *ret_value);

/* Asks now whether the client may write to the container, before anything is moved. False: the reply is the refusal. */
bool co_versions_may_write(struct request *request, const struct info *container, struct reply *reply);

/* An object that is being moved: its reply streams. */
struct versions_source {
	struct request *request;
	struct reply reply;
};

/*
 * Starts reading an object or symlink (not what it points to) without asking who may. The status is in ret_source->reply:
 * 413 stands for what is larger than an object may be. To be ended by versions_source_end().
 */
void co_versions_open(const struct filter *filter, struct request *request, struct slice container, struct slice object,
	const char *source_tag, struct versions_source *ret_source);
void versions_source_end(struct versions_source *source);

/* Stores it, with its metadata but as written now, under another name of the account. The reply has no stream. */
void co_versions_store(const struct filter *filter, struct request *request, struct versions_source *source,
	struct slice container, struct slice object, const char *source_tag, struct reply *ret_reply);

/* Sends a request without a body on and reads the small answer; 503 when it cannot be read. */
void co_versions_ask(const struct filter *filter, struct request *request, struct reply *ret_reply);

/* Puts an empty delete marker there, as of the client's time or of now. The reply has no stream. */
void co_versions_mark_deleted(const struct filter *filter, struct request *request, struct slice container,
	struct slice object, bool client_timestamp, const char *source_tag, struct reply *ret_reply);

#endif
