/*
 * Names that symlinks have on the wire and in metadata. A symlink is an object without bytes whose target is in its sysmeta;
 * what lists it finds the target behind the ETag ("…; symlink_target=c/o").
 */
#ifndef PROXY_FILTERS_SYMLINK_H
#define PROXY_FILTERS_SYMLINK_H

#include "lib/http/headers.h"

/* as clients send and see them; values are percent-encoded */
#define SYMLINK_TARGET "X-Symlink-Target"
#define SYMLINK_TARGET_ACCOUNT "X-Symlink-Target-Account"
#define SYMLINK_TARGET_ETAG "X-Symlink-Target-Etag"
#define SYMLINK_TARGET_BYTES "X-Symlink-Target-Bytes"

/* as they are stored */
#define SYMLINK_STORED_TARGET "X-Object-Sysmeta-Symlink-Target"
#define SYMLINK_STORED_ACCOUNT "X-Object-Sysmeta-Symlink-Target-Account"
#define SYMLINK_STORED_ETAG "X-Object-Sysmeta-Symlink-Target-Etag"
#define SYMLINK_STORED_BYTES "X-Object-Sysmeta-Symlink-Target-Bytes"
/* "true": the link does not count towards symloop_max */
#define SYMLINK_STORED_EXTEND "X-Object-Sysmeta-Symloop-Extend"
/* "true": the target is in the reserved namespace, and whoever may read the link may read it */
#define SYMLINK_STORED_RESERVED "X-Object-Sysmeta-Allow-Reserved-Names"

/* "true": the link was made by object versioning */
#define SYMLINK_STORED_VERSION "X-Object-Sysmeta-Versions-Symlink"

/*
 * Whether a header gives a link rights that its maker need not have: only the filter that made the link may say so. It must
 * not go with a copy, whose target the client may choose. For headers_remove_if().
 */
static inline bool symlink_header_is_grant(const char *name, void *argument)
{
	(void)argument;
	return header_name_equal(name, SYMLINK_STORED_RESERVED) || header_name_equal(name, SYMLINK_STORED_EXTEND) ||
	       header_name_equal(name, SYMLINK_STORED_VERSION);
}

/* The ETag that the container's listing shows instead of the object's, with parameters behind it. */
#define LISTING_ETAG_HEADER "X-Object-Sysmeta-Container-Update-Override-Etag"
#define MD5_OF_NOTHING "d41d8cd98f00b204e9800998ecf8427e"

#endif
