#include <errno.h>
#include <string.h>

#include "lib/base/log.h"
#include "object/object_server_private.h"

/*
 * Pieces are at most one block, and end where a block of the body ends: then whole blocks are
 * checked in place. The first piece is read before there is a stream, so that a damaged body can
 * still be answered with an error.
 */
struct object_stream {
	struct body body;
	struct object_request request; /* as it was; owns the device entry */
	const struct object_record *record;
	struct object_body *source;
	const struct object_segment *segments;
	size_t count;
	size_t index;    /* of the segment under way */
	uint64_t offset; /* in that segment */
	struct chunk first;
	int error;
};

struct read_job {
	struct object_body *source;
	uint64_t offset;
	void *data;
	size_t bytes;
	ssize_t result;
};

static void read_piece(void *argument)
{
	struct read_job *job = argument;
	job->result = object_body_read(job->source, job->offset, job->data, job->bytes);
}

static int co_read(struct object_stream *stream, uint64_t offset, uint64_t bytes, struct chunk *ret_chunk)
{
	struct slice memory = object_body_memory(stream->source);
	if (memory.length) {
		*ret_chunk = (struct chunk){NULL, memory.data + offset, (size_t)bytes};
		return 0;
	}
	struct block *block = block_new();
	uint64_t to_boundary = BLOCK_BYTES - offset % BLOCK_BYTES;
	size_t wanted = (size_t)(bytes < to_boundary ? bytes : to_boundary);
	struct read_job job = {stream->source, offset, block->data, wanted, 0};
	job.result = object_body_read_cached(stream->source, offset, block->data, wanted);
	if (job.result == -EAGAIN)
		co_offload(stream->request.pool, read_piece, &job);
	if (job.result > 0) {
		*ret_chunk = (struct chunk){block, block->data, (size_t)job.result};
		return 0;
	}
	block_unref(block);
	return job.result ? (int)job.result : -EBADMSG;
}

static int co_stream_read(struct object_stream *stream, struct chunk *ret_chunk)
{
	while (stream->index < stream->count) {
		const struct object_segment *segment = &stream->segments[stream->index];
		if (segment->bytes == 0) {
			*ret_chunk = (struct chunk){NULL, segment->text.data, segment->text.length};
			stream->index++;
			return 0;
		}
		if (stream->offset == segment->bytes) {
			stream->index++;
			stream->offset = 0;
			continue;
		}
		int error =
			co_read(stream, segment->first + stream->offset, segment->bytes - stream->offset, ret_chunk);
		if (!error)
			stream->offset += ret_chunk->length;
		return error;
	}
	*ret_chunk = CHUNK_NONE;
	return 0;
}

static void co_stream_damaged(struct object_stream *stream)
{
	if (stream->error == -EBADMSG)
		co_object_quarantine(&stream->request, stream->record, "its body is damaged");
	else if (stream->error == -EIO && stream->source)
		object_device_fail(&stream->request, "reading an object");
}

static int co_stream_next(struct body *body, struct chunk *ret_chunk)
{
	struct object_stream *stream = (struct object_stream *)body;
	if (stream->first.length) {
		*ret_chunk = stream->first;
		stream->first = CHUNK_NONE;
		return 0;
	}
	if (stream->error)
		return stream->error;
	stream->error = co_stream_read(stream, ret_chunk);
	if (stream->error)
		co_stream_damaged(stream);
	return stream->error;
}

static void stream_close(struct body *body)
{
	struct object_stream *stream = (struct object_stream *)body;
	chunk_release(&stream->first);
	object_body_free(stream->source);
	object_request_leave(&stream->request);
}

/* ---- opening ---- */

struct open_job {
	struct object_request *request;
	const struct object_record *record;
	struct object_body *source;
	int result;
};

static void open_body(void *argument)
{
	struct open_job *job = argument;
	job->result = object_body_open(job->request->device, &job->request->key, job->record, &job->source);
}

static int co_open(struct object_request *r, const struct object_record *record, struct object_body **ret_source)
{
	struct open_job job = {.request = r, .record = record};
	job.result = object_body_open_cached(r->device, &r->key, record, &job.source);
	if (job.result == -EAGAIN)
		co_offload(r->pool, open_body, &job);
	if (!job.result)
		*ret_source = job.source;
	return job.result;
}

int co_object_stream_new(struct object_request *r, const struct object_record *record,
	const struct object_segment *segments, size_t count, struct body **ret_body)
{
	static const struct body_operations operations = {.co_next = co_stream_next, .close = stream_close};
	struct object_stream *stream = arena_zalloc(r->reply->arena, sizeof(*stream));
	*stream = (struct object_stream){
		.body.operations = &operations,
		.request = *r,
		.record = record,
		.segments = segments,
		.count = count,
	};
	stream->error = co_open(r, record, &stream->source);
	if (!stream->error)
		stream->error = co_stream_read(stream, &stream->first);
	if (stream->error) {
		co_stream_damaged(stream);
		object_body_free(stream->source);
		return stream->error;
	}
	r->entry = NULL;
	*ret_body = &stream->body;
	return 0;
}
