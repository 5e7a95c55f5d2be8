/*
 * What background work tells about its last pass, as Swift's daemons do in their recon cache (swift/common/utils.py,
 * dump_recon_cache): values under Swift's names, which /recon shows. What was never put shows as null, as on a node
 * whose daemon never ran.
 *
 *	recon_put_number("object", "object_replication_time", minutes);
 *
 * From any thread. Values last as long as the process.
 */
#ifndef LIB_BASE_RECON_H
#define LIB_BASE_RECON_H

#include "lib/base/buf.h"

/* `cache` is "account", "container" or "object". The texts are copied; values beyond RECON_VALUES_MAX are ignored. */
enum { RECON_VALUES_MAX = 128 };
void recon_put_number(const char *cache, const char *name, double value);
/* A value as JSON: an object with counts, say. */
void recon_put_json(const char *cache, const char *name, const char *json);

/* Appends the value as JSON, "null" when there is none. */
void recon_get(const char *cache, const char *name, struct buf *json);

#endif
