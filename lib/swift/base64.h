/*
 * Base64 in the standard alphabet.
 */
#ifndef LIB_SWIFT_BASE64_H
#define LIB_SWIFT_BASE64_H

#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/slice.h"

/* Strict: padding is needed, nothing else may stand in between (Swift's strict_b64decode). False: it is none. */
bool base64_decode(struct arena *arena, struct slice text, struct slice *ret_bytes);

/* With padding, in the arena. */
const char *base64_encode(struct arena *arena, struct slice bytes);

#endif
