/*
 * Manifests of static large objects: what a client sends with multipart-manifest=put, and what is stored, both JSON lists
 * of segments (swift/common/middleware/slo.py).
 */
#ifndef PROXY_FILTERS_SLO_MANIFEST_H
#define PROXY_FILTERS_SLO_MANIFEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/slice.h"

struct slo_segment {
	struct slice data;       /* inline: the bytes, decoded; .data == NULL for objects */
	const char *data_base64; /* the same as it is stored */
	const char *path;        /* "/container/object", not encoded; as the client wrote it in its manifest */
	struct slice container;  /* of the path */
	struct slice object;
	const char *etag;         /* NULL: the client did not say */
	int64_t bytes;            /* of the whole object; -1: the client did not say */
	const char *range;        /* the client's "M-N", "M-" or "-N"; stored: "M-N"; NULL: all of it */
	const char *content_type; /* stored ones only, as the next two */
	const char *last_modified;
	bool sub_slo;    /* the segment is a static large object itself */
	uint64_t first;  /* stored ones: the bytes that are wanted; whole without a range */
	uint64_t length; /* of the data, or of the wanted part */
};

struct slo_manifest {
	struct slo_segment *segments;
	size_t count;
	size_t object_count; /* segments that are objects */
	uint64_t bytes;      /* stored ones: of all segments */
};

/*
 * Reads a client's manifest. `own_path` is "/container/object" of the request: a manifest must not name itself. -EINVAL
 * with the text of the 400 (text/plain when `ret_is_list`, a list of complaints) in *ret_error. Texts live in the arena.
 */
int slo_manifest_parse(struct arena *arena, struct slice json, struct slice own_path, struct slo_manifest *ret_manifest,
	const char **ret_error, bool *ret_is_list);

/* Reads a stored one. -EINVAL when it is none. */
int slo_manifest_load(struct arena *arena, struct slice json, struct slo_manifest *ret_manifest);

/* What is stored: every segment with hash, bytes, content type and time; or, with `raw`, in the form that clients send. */
struct slice slo_manifest_print(struct arena *arena, const struct slo_manifest *manifest, bool raw);

/* The MD5 of the segments' MD5s (with ":range;" behind those with a range), in hexadecimal. */
void slo_manifest_etag(const struct slo_manifest *manifest, char ret_etag[33]);

#endif
