/*
 * A PUT: checks, the body, one commit, its updates. Everything that can be refused without the body
 * is refused before its first piece is pulled: pulling is what answers "100 Continue".
 */
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/co/co.h"
#include "lib/http/chunk_pipe.h"
#include "lib/swift/bounded_json.h"
#include "lib/swift/conditional.h"
#include "lib/swift/number.h"
#include "object/object_server_private.h"
#include "lib/http/mime_parts.h"

enum {
	FOOTER_BYTES_MAX = 64 * 1024,
	DRAIN_BYTES_MAX = 64 * 1024,
	MD5_BYTES = 16,
};

struct put {
	struct object_request *request;
	int64_t expected;         /* bytes of the body; -1: not known */
	int64_t delete_at;        /* -1: none */
	struct mime_parts *parts; /* NULL: the body is the object and nothing else */
	struct body *body;        /* of the object */
	struct headers footers;
	struct object_writer *writer;
	struct chunk_pipe *pipe; /* to the device's threads, once the body goes to a file */
	uint64_t received;       /* of the object */
	EVP_MD_CTX *md5;         /* NULL when the sender tells the MD5 */
	char etag[HASH_PATH_HEX_BYTES];
	struct object_header_list headers;
	struct object_promises promises;
	struct object_put store;
};

static int refuse(struct put *put, int status, const char *text)
{
	reply_text(put->request->reply, status, "text/plain", text);
	return -1;
}

/* ---- checks of the request: check_object_creation ---- */

static int check_length(struct put *put)
{
	const struct request *request = put->request->request;
	const char *encoding = object_request_header(put->request, "Transfer-Encoding");
	const char *length = object_request_header(put->request, "Content-Length");
	int64_t number;
	if (encoding && strchr(encoding, ','))
		return refuse(put, 501,
			"Unsupported Transfer-Coding header value specified in Transfer-Encoding "
			"header");
	if (encoding && strcasecmp(encoding, "chunked") != 0)
		return refuse(put, 400, "Invalid Transfer-Encoding header value");
	if (length && (number_parse_integer(slice_from(length), &number) || number < 0))
		return refuse(put, 400, "Invalid Content-Length header value");
	put->expected = request->chunked || !request->has_length ? -1 : request->content_length;
	if (put->expected > put->request->server->options.constraints->max_file_size)
		return refuse(put, 413, "Your request is too large.");
	if (!request->chunked && !request->has_length)
		return refuse(put, 411, "Missing Content-Length header.");
	return 0;
}

/* The size that a sender of a MIME document announces beside it. */
static int check_announced_length(struct put *put)
{
	const char *text = object_request_header(put->request, "X-Backend-Obj-Content-Length");
	if (!text || put->expected >= 0)
		return 0;
	int64_t number;
	if (number_parse_integer(slice_from(text), &number) || number < 0)
		return refuse(put, 400, "Invalid X-Backend-Obj-Content-Length header value");
	put->expected = number;
	return 0;
}

static int check_headers(struct put *put)
{
	struct object_request *r = put->request;
	const struct constraints *constraints = r->server->options.constraints;
	char error[CONSTRAINTS_ERROR_BYTES];
	if (check_length(put))
		return -1;
	if (constraints_check_object_name(constraints, r->path.object, error))
		return refuse(put, 400, arena_strdup(r->reply->arena, error));
	const char *content_type = object_request_header(r, "Content-Type");
	if (delete_at_check(object_request_header(r, "X-Delete-At"), object_request_header(r, "X-Delete-After"),
		    r->timestamp, r->replication, &put->delete_at, error))
		return refuse(put, 400, arena_strdup(r->reply->arena, error));
	if (!content_type || !constraints_text_valid(slice_from(content_type), false))
		return refuse(put, 400, "Invalid Content-Type");
	if (object_request_check_metadata(r))
		return -1;
	return check_announced_length(put);
}

/* What is there already: 412, 409, or 0. */
static int co_check_existing(struct put *put)
{
	struct object_request *r = put->request;
	struct object_record record;
	if (co_object_request_record(r, &record)) {
		/* a damaged record was set aside and counts as none */
		if (r->reply->status != 404)
			return -1;
		reply_reset(r->reply);
		return 0;
	}
	if (record.kind == OBJECT_DATA) {
		struct object_view view;
		object_view(&record, r->arena, &view);
		const char *if_none_match = object_request_header(r, "If-None-Match");
		if (if_none_match && !object_is_expired(r, &view) && etag_list_matches(if_none_match, record.etag)) {
			object_reply_time(r, 412, NULL);
			return -1;
		}
	}
	if (record.kind != OBJECT_ABSENT && timestamp_compare(record.data_time, r->timestamp) >= 0) {
		object_reply_time(r, 409, &record.data_time);
		return -1;
	}
	return 0;
}

/* A look before the body spares the network a body for nothing, and If-None-Match needs it. A small one of a sender in
 * this process is judged by its change alone, which looks anyway. */
static bool wants_look(const struct put *put)
{
	return !put->request->request->digest || put->expected < 0 || put->expected > OBJECT_INLINE_BYTES_MAX ||
	       object_request_header(put->request, "If-None-Match");
}

/* ---- the body ---- */

/* The status for an error of the request's stream. */
static int reply_body_error(struct put *put, int error)
{
	int status = 499;
	if (error == -ETIMEDOUT)
		status = 408;
	else if (error == -EPROTO)
		status = 400;
	else if (error == -EFBIG)
		status = 413;
	object_reply_time(put->request, status, NULL);
	put->request->reply->close = true;
	return -1;
}

/* Prepares for a MIME document with the metadata behind the object. */
static int open_parts(struct put *put)
{
	struct object_request *r = put->request;
	put->body = r->request->body;
	headers_init(&put->footers, r->arena);
	if (object_request_is_true(r, "X-Backend-Obj-Multiphase-Commit")) {
		object_reply_time(r, 501, NULL);
		return -1;
	}
	if (!object_request_is_true(r, "X-Backend-Obj-Metadata-Footer"))
		return 0;
	const char *boundary = object_request_header(r, "X-Backend-Obj-Multipart-Mime-Boundary");
	if (!boundary || !*boundary) {
		reply_text(r->reply, 400, "text/html; charset=UTF-8", "no MIME boundary");
		return -1;
	}
	struct headers *extra = arena_alloc(r->request->arena, sizeof(*extra));
	headers_init(extra, r->request->arena);
	headers_set(extra, "X-Obj-Metadata-Footer", "yes");
	r->request->continue_headers = extra;
	put->parts = mime_parts_new(r->arena, r->request->body, boundary);
	put->body = mime_parts_body(put->parts);
	return 0;
}

/* Where the bytes go to the disk, their digest leaves the loop along with them. */
static int append_chunks(void *argument, const struct chunk *chunks, size_t count)
{
	struct put *put = argument;
	for (size_t i = 0; i < count; i++) {
		if (put->md5)
			EVP_DigestUpdate(put->md5, chunks[i].data, chunks[i].length);
		int error = object_writer_append(put->writer, chunks[i].data, chunks[i].length);
		if (error)
			return error;
	}
	return 0;
}

static int reply_write_error(struct put *put, int error)
{
	if (error)
		object_reply_device(put->request, error, "writing an object");
	return error;
}

/* Takes over the chunk. */
static int co_append(struct put *put, struct chunk *chunk)
{
	if (!put->pipe && object_writer_blocks(put->writer, chunk->length))
		put->pipe = chunk_pipe_new(put->request->pool, append_chunks, put);
	if (put->pipe)
		return reply_write_error(put, co_chunk_pipe_push(put->pipe, chunk));
	int error = append_chunks(put, chunk, 1);
	chunk_release(chunk);
	return reply_write_error(put, error);
}

/* One piece: 0, 1 at the end, negative when the reply is made. */
static int co_receive_piece(struct put *put, uint64_t deadline_ms)
{
	struct chunk chunk;
	int error = co_body_next(put->body, &chunk);
	if (error)
		return reply_body_error(put, error);
	if (chunk.length == 0)
		return 1;
	put->received += chunk.length;
	uint64_t size_max = (uint64_t)put->request->server->options.constraints->max_file_size;
	if (loop_now_ms() <= deadline_ms && put->received <= size_max)
		return co_append(put, &chunk);
	chunk_release(&chunk);
	return reply_body_error(put, put->received > size_max ? -EFBIG : -ETIMEDOUT);
}

static int take_md5(struct put *put)
{
	unsigned char bytes[MD5_BYTES];
	if (put->md5) {
		EVP_DigestFinal_ex(put->md5, bytes, NULL);
		hash_hex(bytes, put->etag);
		return 0;
	}
	const struct body_digest *digest = put->request->request->digest;
	if (digest->known && strlen(digest->md5) == sizeof(put->etag) - 1) {
		memcpy(put->etag, digest->md5, sizeof(put->etag));
		return 0;
	}
	log_write(LOG_LEVEL_ERROR, put->request->request->transaction_id,
		"a body was fed without the MD5 that its sender promised");
	object_reply_time(put->request, 500, NULL);
	return -1;
}

static int co_receive(struct put *put)
{
	struct object_request *r = put->request;
	int error = object_writer_new(r->device, &r->key, put->expected, &put->writer);
	if (error) {
		object_reply_device(r, error, "opening a new object");
		return error;
	}
	/* the sender's digest is of the whole document where there is one */
	if (put->parts || !r->request->digest) {
		put->md5 = EVP_MD_CTX_new();
		if (!put->md5 || !EVP_DigestInit_ex(put->md5, EVP_md5(), NULL))
			memory_exhausted();
	}
	if (put->parts) {
		struct headers ignored;
		error = co_mime_parts_next(put->parts, put->request->arena, &ignored);
		if (error)
			return reply_body_error(put, error == -ENOENT ? -EPROTO : error);
	}
	uint64_t deadline_ms = deadline_after_ms(r->server->options.upload_timeout_ms);
	while (!error)
		error = co_receive_piece(put, deadline_ms);
	if (error < 0)
		return error;
	if (put->expected >= 0 && (uint64_t)put->expected != put->received)
		return reply_body_error(put, -ECONNRESET);
	if (put->pipe && reply_write_error(put, co_chunk_pipe_drain(put->pipe)))
		return -1;
	return take_md5(put);
}

/* ---- footers ---- */

static int refuse_footers(struct put *put, int status, const char *text)
{
	reply_text(put->request->reply, status, "text/html; charset=UTF-8", text);
	return -1;
}

static void md5_hex(struct slice bytes, char text[HASH_PATH_HEX_BYTES])
{
	unsigned char md5[MD5_BYTES];
	if (!EVP_Digest(bytes.data, bytes.length, md5, NULL, EVP_md5(), NULL))
		memory_exhausted();
	hash_hex(md5, text);
}

/* What could not have come as a header must not become one. */
static bool is_header(const char *name, const char *value)
{
	for (const char *at = name; *at; at++)
		if ((unsigned char)*at <= ' ' || *at == ':' || *at == 0x7f)
			return false;
	return *name && value && !strpbrk(value, "\r\n");
}

/* A JSON object of header names and texts. */
static int take_footers(struct put *put, struct slice text)
{
	struct arena *arena = put->request->arena;
	json_t *footers = bounded_json_parse(text, NULL);
	const char *name;
	json_t *value;
	int error = json_is_object(footers) ? 0 : -1;
	json_object_foreach(footers, name, value)
	{
		if (!is_header(name, json_string_value(value))) {
			error = -1;
			break;
		}
		headers_set(&put->footers, arena_strdup(arena, name), arena_strdup(arena, json_string_value(value)));
	}
	json_decref(footers);
	return error ? refuse_footers(put, 400, "invalid JSON for footer doc") : 0;
}

static int co_read_footers(struct put *put)
{
	if (!put->parts)
		return 0;
	struct headers headers;
	struct slice text;
	int error = co_mime_parts_next(put->parts, put->request->arena, &headers);
	if (error == -ENOENT || error == -EPROTO)
		return refuse_footers(put, 400, "couldn't find footer MIME doc");
	if (!error)
		error = co_body_read_all(mime_parts_body(put->parts), put->request->arena, FOOTER_BYTES_MAX, &text);
	if (error)
		return reply_body_error(put, error);
	const char *expected = headers_get(&headers, "Content-MD5");
	char actual[HASH_PATH_HEX_BYTES];
	md5_hex(text, actual);
	if (!expected || !*expected)
		return refuse_footers(put, 400, "no Content-MD5 in footer");
	if (strcmp(expected, actual) != 0)
		return refuse_footers(put, 422, "footer MD5 mismatch");
	if (take_footers(put, text))
		return -1;
	/* so that the connection can be used again */
	(void)co_body_drain(put->request->request->body, DRAIN_BYTES_MAX);
	return 0;
}

static int check_etag(struct put *put)
{
	const char *wanted = headers_get(&put->footers, "ETag");
	struct slice etag = SLICE_NONE;
	bool equal;
	if (wanted && *wanted) {
		etag = normalize_etag(slice_from(wanted));
		equal = etag.length == strlen(put->etag) && strncasecmp(etag.data, put->etag, etag.length) == 0;
	} else {
		etag = normalize_etag(slice_from(object_request_header(put->request, "ETag")));
		equal = slice_equal(etag, slice_from(put->etag));
	}
	if (!etag.length || equal)
		return 0;
	object_reply_time(put->request, 422, NULL);
	return -1;
}

/* ---- the commit ---- */

static void collect_headers(struct put *put)
{
	struct object_request *r = put->request;
	put->headers.arena = r->arena;
	object_headers_collect(r, &r->request->headers,
		OBJECT_META | OBJECT_SYSMETA | OBJECT_ALLOWED | OBJECT_REPLICATED, &put->headers);
	object_headers_collect(r, &put->footers, OBJECT_META | OBJECT_SYSMETA, &put->headers);
	if (!object_request_header(r, "X-Delete-After"))
		return;
	char text[DELETE_AT_TEXT_BYTES];
	delete_at_format(put->delete_at, text);
	object_headers_put(&put->headers, "X-Delete-At", arena_strdup(r->arena, text));
}

static void make_promises(struct put *put)
{
	struct object_request *r = put->request;
	uint64_t size = object_writer_size(put->writer);
	struct object_update *queue = object_promise_queue(r, &put->promises, put->delete_at);
	if (queue)
		object_promise_queue_fill(queue, size, r->timestamp);
	struct object_update *row = object_promise_row(r, &put->promises, UPDATE_PUT);
	if (row) {
		headers_set_format(&row->headers, "X-Size", "%llu", (unsigned long long)size);
		headers_set(&row->headers, "X-Content-Type", put->store.content_type);
		headers_set(&row->headers, "X-Etag", put->etag);
		object_update_override(row, &r->request->headers, &put->footers);
	}
	object_promises_encode(&put->promises, r->arena, &put->store.todos);
}

struct finish_job {
	struct object_writer *writer;
	int result;
};

static void finish_writer(void *argument)
{
	struct finish_job *job = argument;
	job->result = object_writer_finish(job->writer);
}

static int co_finish_writer(struct put *put)
{
	struct finish_job job = {.writer = put->writer};
	if (object_writer_blocks(put->writer, 0))
		co_offload(put->request->pool, finish_writer, &job);
	else
		finish_writer(&job);
	if (job.result)
		object_reply_device(put->request, job.result, "finishing an object");
	return job.result;
}

static int64_t old_delete_at(void *argument)
{
	const struct object_put *store = argument;
	return (int64_t)store->ret_old_delete_at;
}

static int co_commit(struct put *put)
{
	struct object_request *r = put->request;
	collect_headers(put);
	put->store = (struct object_put){
		.key = r->key,
		.name = r->name,
		.timestamp = r->timestamp,
		.writer = put->writer,
		.etag = put->etag,
		.content_type = object_request_header(r, "Content-Type"),
		.headers = put->headers.items,
		.header_count = put->headers.count,
	};
	make_promises(put);
	struct object_change change = {
		.request = r,
		.change = object_put,
		.argument = &put->store,
		.todos = &put->store.todos,
		.old_delete_at = old_delete_at,
		.new_delete_at = put->delete_at > 0 ? put->delete_at : 0,
	};
	int error = co_object_change(&change);
	if (error == -EEXIST)
		object_reply_time(r, 409, &put->store.existing);
	else if (error == -EBADMSG)
		object_reply_time(r, 403, NULL);
	else if (error)
		object_reply_device(r, error, "committing an object");
	return error;
}

/* ---- all of it ---- */

static void free_writer(void *argument)
{
	object_writer_free(argument);
}

static void co_put_release(struct put *put)
{
	co_chunk_pipe_free(put->pipe);
	EVP_MD_CTX_free(put->md5);
	if (put->writer && object_writer_blocks(put->writer, 0))
		co_offload(put->request->pool, free_writer, put->writer);
	else
		object_writer_free(put->writer);
	put->writer = NULL;
}

/* 0: committed. Otherwise the reply is made. */
static int co_store(struct put *put)
{
	int error = open_parts(put);
	if (!error)
		error = co_receive(put);
	if (!error)
		error = co_read_footers(put);
	if (!error)
		error = check_etag(put);
	if (!error)
		error = co_finish_writer(put);
	if (!error)
		error = co_commit(put);
	co_put_release(put);
	return error;
}

void co_object_put(struct object_request *r)
{
	struct put *put = arena_zalloc(r->arena, sizeof(*put));
	put->request = r;
	if (check_headers(put) || object_request_enter(r, true))
		return;
	if ((wants_look(put) && co_check_existing(put)) || co_store(put))
		return;
	co_object_promises_keep(r, &put->promises, &put->store.todos);
	reply_empty(r->reply, 201);
	headers_set_format(&r->reply->headers, "Etag", "\"%s\"", put->etag);
}
