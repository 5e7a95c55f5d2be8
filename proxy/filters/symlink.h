/*
 * Names that symlinks have on the wire and in metadata. A symlink is an object without bytes whose target is in its sysmeta;
 * what lists it finds the target behind the ETag ("…; symlink_target=c/o").
 */
#ifndef PROXY_FILTERS_SYMLINK_H
#define PROXY_FILTERS_SYMLINK_H

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

/* The ETag that the container's listing shows instead of the object's, with parameters behind it. */
#define LISTING_ETAG_HEADER "X-Object-Sysmeta-Container-Update-Override-Etag"
#define MD5_OF_NOTHING "d41d8cd98f00b204e9800998ecf8427e"

#endif
