/*
 * The name hash: MD5 of "/account[/container[/object]]" between a cluster's secret prefix and
 * suffix. It decides the partition, the place on disk and the key of everything stored.
 *
 * Safe from any thread; each thread keeps one digest context for all its calls.
 */
#ifndef LIB_SWIFT_HASH_PATH_H
#define LIB_SWIFT_HASH_PATH_H

#include "lib/base/slice.h"

enum {
	HASH_PATH_BYTES = 16,     /* a hash */
	HASH_PATH_HEX_BYTES = 33, /* its text with NUL */
};

/*
 * swift_hash_path_prefix and _suffix of swift.conf, as raw bytes. Swift refuses to start when both
 * are empty; that check is the configuration's.
 */
struct hash_path_config {
	struct slice prefix;
	struct slice suffix;
};

/*
 * Hashes the raw bytes of decoded names. An absent container or object is SLICE_NONE (.data ==
 * NULL); an object without a container is a broken invariant and aborts.
 */
void hash_path(const struct hash_path_config *config, struct slice account, struct slice container, struct slice object,
	unsigned char ret_hash[HASH_PATH_BYTES]);

/* 32 lower-case hex digits and a NUL. */
void hash_hex(const unsigned char hash[HASH_PATH_BYTES], char text[HASH_PATH_HEX_BYTES]);

#endif
