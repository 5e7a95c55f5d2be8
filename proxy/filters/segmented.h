/*
 * The body of a large object: one segment after the other, each fetched by an inner GET when its turn has come, so that
 * memory stays flat whatever the size. Swift's SegmentedIterable, for static and dynamic large objects alike.
 *
 * A segment that is gone, has another ETag or another size than its manifest says breaks the stream off: wrong bytes never
 * reach the client. The first segment is tried before the reply begins, so that this can still be told by a status.
 */
#ifndef PROXY_FILTERS_SEGMENTED_H
#define PROXY_FILTERS_SEGMENTED_H

#include "proxy/context.h"
#include "proxy/filter.h"

struct segment {
	struct slice container; /* decoded */
	struct slice object;
	const char *etag; /* without quotes; NULL: not checked */
	int64_t bytes;    /* of the whole object; -1: not checked */
	bool ranged;      /* only `first` to `last` of it */
	uint64_t first;
	uint64_t last;     /* inclusive */
	struct slice data; /* instead of an object: the bytes themselves */
};

/* Where the segments come from, in order. */
struct segment_source {
	/* 1 with the next one, whose texts live until the next call; 0 at the end; -EPROTO when it cannot be told. */
	int (*co_next)(struct segment_source *source, struct segment *ret_segment);
};

struct segmented_options {
	const char *source; /* tag in the log: "SLO", "DLO" */
	uint64_t max_get_time_ms;
	/* Segments of which less than this is wanted count as small; after `limit_after` of them each waits its turn. */
	uint64_t small_bytes;
	size_t limit_after;
	double small_per_second; /* 0: no limit */
};

/*
 * A stream in the request's arena; `source` lives as long. 0; -EPROTO when the first segment is not what it should be
 * (the answer is 409); -EIO when no server could give it (503).
 */
int co_segmented_new(const struct filter *filter, struct request *request, struct segment_source *source,
	const struct segmented_options *options, struct body **ret_body);

#endif
