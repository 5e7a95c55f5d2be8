#include "proxy/filters/segmented.h"

#include <errno.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/co/co.h"
#include "lib/swift/conditional.h"
#include "proxy/inner_request.h"

struct segmented {
	struct body body;
	const struct filter *filter;
	struct request *request; /* the client's */
	struct segment_source *source;
	struct segmented_options options;
	uint64_t deadline_ms;
	size_t small_count;
	uint64_t next_small_ms; /* when the next small segment may be fetched */
	/* the segment under way */
	struct arena *arena; /* its request's and reply's; NULL: none */
	struct request *inner;
	struct reply reply;
	uint64_t left; /* bytes that it still has to give */
	/* what was read ahead to see whether the first segment is good */
	struct chunk first;
	bool has_first;
	int error; /* what broke it off, for good */
};

/* ---- one segment ---- */

static void end_segment(struct segmented *segmented, int error)
{
	if (!segmented->arena)
		return;
	reply_finish(segmented->inner, &segmented->reply, 0, error);
	arena_free(segmented->arena);
	segmented->arena = NULL;
}

/* Small segments cost a request each for few bytes: after some of them they come at a bounded rate. */
static void co_wait_for_turn(struct segmented *segmented, const struct segment *segment)
{
	const struct segmented_options *options = &segmented->options;
	uint64_t wanted = segment->ranged ? segment->last - segment->first + 1 : (uint64_t)segment->bytes;
	if (options->small_per_second <= 0 || (!segment->ranged && segment->bytes < 0) ||
		wanted >= options->small_bytes)
		return;
	if (segmented->small_count++ < options->limit_after)
		return;
	uint64_t now = loop_now_ms();
	if (segmented->next_small_ms > now)
		co_sleep_ms(segmented->next_small_ms - now);
	segmented->next_small_ms = loop_now_ms() + (uint64_t)(1000 / options->small_per_second);
}

static void copy_header(struct request *inner, const struct request *request, const char *name)
{
	const char *value = headers_get(&request->headers, name);
	if (value)
		headers_set(&inner->headers, name, value);
}

static struct request *segment_request(const struct segmented *segmented, const struct segment *segment)
{
	struct inner_request get = {
		.method = METHOD_GET,
		.account = proxy_context_of(segmented->request)->account,
		.container = segment->container,
		.object = segment->object,
		/* a segment is taken for what it is stored as, so that its ETag can be compared */
		.query = "multipart-manifest=get",
		.source = segmented->options.source,
	};
	struct request *inner = inner_request_new(segmented->arena, segmented->request, &get);
	copy_header(inner, segmented->request, "X-Auth-Token");
	copy_header(inner, segmented->request, "X-Open-Expired");
	copy_header(inner, segmented->request, "X-Newest");
	if (segment->ranged)
		headers_set_format(&inner->headers, "Range", "bytes=%llu-%llu", (unsigned long long)segment->first,
			(unsigned long long)segment->last);
	return inner;
}

/* 0, -EIO or -EPROTO (logged). */
static int judge(const struct segmented *segmented, const struct segment *segment)
{
	const struct reply *reply = &segmented->reply;
	const char *header = headers_get(&reply->headers, "Etag");
	struct slice etag = header ? normalize_etag(slice_from(header)) : SLICE_NONE;
	int64_t bytes = reply->body ? reply->content_length : (int64_t)reply->text.length;
	const char *wrong = NULL;
	if (reply->status / 100 != 2)
		wrong = "is not there";
	else if (segment->etag && !slice_equal(etag, slice_from(segment->etag)))
		wrong = "has another ETag";
	else if (!segment->ranged && segment->bytes >= 0 && bytes != segment->bytes)
		wrong = "has another size";
	else if (bytes < 0 || (segment->ranged && (uint64_t)bytes != segment->last - segment->first + 1))
		wrong = "gives another number of bytes";
	if (!wrong)
		return 0;
	log_write(LOG_LEVEL_ERROR, segmented->request->transaction_id, "%s %.*s: segment /%.*s/%.*s %s (status %d)",
		segmented->options.source, SLICE_PRINT(segmented->request->path), SLICE_PRINT(segment->container),
		SLICE_PRINT(segment->object), wrong, reply->status);
	return reply->status / 100 == 5 ? -EIO : -EPROTO;
}

static int co_begin_segment(struct segmented *segmented, const struct segment *segment)
{
	co_wait_for_turn(segmented, segment);
	segmented->arena = arena_new();
	reply_init(&segmented->reply, segmented->arena);
	if (segment->data.data) {
		segmented->inner = segmented->request;
		segmented->reply.body = body_from_slice(segmented->arena, segment->data);
		segmented->left = segment->data.length;
		return 0;
	}
	segmented->inner = segment_request(segmented, segment);
	co_filter_next(segmented->filter, segmented->inner, &segmented->reply);
	int error = judge(segmented, segment);
	if (error) {
		end_segment(segmented, error);
		return error;
	}
	struct reply *reply = &segmented->reply;
	segmented->left = reply->body ? (uint64_t)reply->content_length : reply->text.length;
	if (!reply->body)
		reply->body = body_from_slice(segmented->arena, reply->text);
	return 0;
}

/* ---- the stream ---- */

static int co_read_segment(struct segmented *segmented, struct chunk *ret_chunk)
{
	int error = co_body_next(segmented->reply.body, ret_chunk);
	if (!error && ret_chunk->length > segmented->left) {
		chunk_release(ret_chunk);
		error = -EIO;
	}
	if (!error && ret_chunk->length == 0 && segmented->left > 0)
		error = -EIO;
	if (error) {
		end_segment(segmented, error);
		return error;
	}
	segmented->left -= ret_chunk->length;
	return 0;
}

static int co_next_piece(struct segmented *segmented, struct chunk *ret_chunk)
{
	for (;;) {
		if (!segmented->arena) {
			struct segment segment = {0};
			int next = segmented->source->co_next(segmented->source, &segment);
			if (next <= 0) {
				*ret_chunk = CHUNK_NONE;
				return next;
			}
			int error = co_begin_segment(segmented, &segment);
			if (error)
				return error;
		}
		int error = co_read_segment(segmented, ret_chunk);
		if (error || ret_chunk->length)
			return error;
		end_segment(segmented, 0);
	}
}

static int co_segmented_next(struct body *body, struct chunk *ret_chunk)
{
	struct segmented *segmented = (struct segmented *)body;
	if (segmented->has_first) {
		segmented->has_first = false;
		*ret_chunk = segmented->first;
		segmented->first = CHUNK_NONE;
		return 0;
	}
	if (segmented->error)
		return segmented->error;
	if (loop_now_ms() > segmented->deadline_ms) {
		log_write(LOG_LEVEL_ERROR, segmented->request->transaction_id, "%s %.*s: took longer than max_get_time",
			segmented->options.source, SLICE_PRINT(segmented->request->path));
		return -ETIMEDOUT;
	}
	segmented->error = co_next_piece(segmented, ret_chunk);
	return segmented->error;
}

static void segmented_close(struct body *body)
{
	struct segmented *segmented = (struct segmented *)body;
	chunk_release(&segmented->first);
	end_segment(segmented, -ECONNRESET);
}

static const struct body_operations segmented_operations = {co_segmented_next, segmented_close};

int co_segmented_new(const struct filter *filter, struct request *request, struct segment_source *source,
	const struct segmented_options *options, struct body **ret_body)
{
	struct segmented *segmented = arena_zalloc(request->arena, sizeof(*segmented));
	segmented->body.operations = &segmented_operations;
	segmented->filter = filter;
	segmented->request = request;
	segmented->source = source;
	segmented->options = *options;
	segmented->deadline_ms = deadline_after_ms(options->max_get_time_ms);
	int error = co_next_piece(segmented, &segmented->first);
	if (error) {
		segmented_close(&segmented->body);
		return error == -EPROTO ? -EPROTO : -EIO;
	}
	segmented->has_first = true;
	*ret_body = &segmented->body;
	return 0;
}
