#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "lib/co/co.h"
#include "lib/swift/constraints.h"
#include "lib/swift/url.h"
#include "proxy/filters/bulk.h"
#include "proxy/filters/summary.h"
#include "proxy/inner_request.h"

/*
 * A tar archive unpacked on arrival: libarchive reads the request's body (in this coroutine, block by block), and each
 * regular file becomes a PUT. The answer is always 200; its body tells what came of it. Files are stored as fast as the
 * archive arrives, so the client is not kept waiting at the end, and no blanks are sent meanwhile as Swift does.
 */

struct upload {
	const struct filter *filter;
	const struct bulk *bulk;
	struct request *request;
	struct archive *archive;
	struct chunk input; /* what libarchive reads at the moment */
	int input_error;
	struct slice base; /* "container/prefix" of the request's path, or nothing */
	struct summary summary;
	int64_t created;
	int64_t containers_created;
	uint64_t *containers; /* hashes of those that were looked at, grown by doubling */
	size_t container_count, container_capacity;
	bool bad_gateway;
	const char *status; /* why it stopped; NULL: it did not */
	const char *text;
	bool archive_ended;
};

/* ---- libarchive ---- */

static la_ssize_t co_read_input(struct archive *archive, void *argument, const void **ret_data)
{
	struct upload *upload = argument;
	chunk_release(&upload->input);
	upload->input_error = co_body_next(upload->request->body, &upload->input);
	if (upload->input_error) {
		archive_set_error(archive, EIO, "%s", "the request broke off");
		return ARCHIVE_FATAL;
	}
	*ret_data = upload->input.data;
	return (la_ssize_t)upload->input.length;
}

static void release(void *argument)
{
	struct upload *upload = argument;
	if (upload->archive)
		archive_read_free(upload->archive);
	upload->archive = NULL;
	chunk_release(&upload->input);
	free(upload->containers);
	upload->containers = NULL;
}

static void stop(struct upload *upload, const char *status, const char *text)
{
	if (!upload->status) {
		upload->status = status;
		upload->text = text;
	}
}

static void stop_on_archive_error(struct upload *upload)
{
	const char *error = archive_error_string(upload->archive);
	stop(upload, "400 Bad Request",
		arena_printf(upload->request->arena, "Invalid Tar File: %s", error ? error : "unreadable"));
}

static bool co_open_archive(struct upload *upload, const char *format)
{
	upload->archive = archive_read_new();
	archive_read_support_format_tar(upload->archive);
	if (strcmp(format, "tar.gz") == 0)
		archive_read_support_filter_gzip(upload->archive);
	else if (strcmp(format, "tar.bz2") == 0)
		archive_read_support_filter_bzip2(upload->archive);
	if (archive_read_open(upload->archive, upload, NULL, co_read_input, NULL) == ARCHIVE_OK)
		return true;
	stop_on_archive_error(upload);
	return false;
}

/* The content of the file under way as the body of a PUT. */
struct file_body {
	struct body body;
	struct upload *upload;
	int64_t left;
};

static int co_file_next(struct body *body, struct chunk *ret_chunk)
{
	struct file_body *file = (struct file_body *)body;
	*ret_chunk = CHUNK_NONE;
	if (file->left == 0)
		return 0;
	struct block *block = block_new();
	size_t wanted = file->left < BLOCK_BYTES ? (size_t)file->left : BLOCK_BYTES;
	la_ssize_t bytes = archive_read_data(file->upload->archive, block->data, wanted);
	/* unpacking a block can give thousands: others have their turn in between */
	co_yield ();
	if (bytes <= 0) {
		block_unref(block);
		return -EPROTO;
	}
	file->left -= bytes;
	*ret_chunk = (struct chunk){block, block->data, (size_t)bytes};
	return 0;
}

static const struct body_operations file_operations = {co_file_next, NULL};

/* ---- containers ---- */

/* Whether the container was looked at before; it counts as looked at from now on. */
static bool was_seen(struct upload *upload, struct slice container)
{
	uint64_t hash = XXH3_64bits(container.data, container.length);
	for (size_t i = 0; i < upload->container_count; i++)
		if (upload->containers[i] == hash)
			return true;
	if (upload->container_count == upload->container_capacity) {
		upload->container_capacity = upload->container_capacity ? 2 * upload->container_capacity : 16;
		upload->containers =
			realloc(upload->containers, upload->container_capacity * sizeof(*upload->containers));
		if (!upload->containers)
			abort();
	}
	upload->containers[upload->container_count++] = hash;
	return false;
}

static int co_ask_container(struct upload *upload, struct arena *arena, enum method method, struct slice container)
{
	struct inner_request inner = {
		.method = method,
		.account = proxy_context_of(upload->request)->account,
		.container = container,
		.source = "EA",
	};
	struct request *request = inner_request_new(arena, upload->request, &inner);
	const char *token = headers_get(&upload->request->headers, "X-Auth-Token");
	if (token)
		headers_set(&request->headers, "X-Auth-Token", token);
	struct reply reply;
	reply_init(&reply, arena);
	co_filter_next(upload->filter, request, &reply);
	reply_finish(request, &reply, 0, 0);
	return reply.status;
}

/* 0: it is there now. Otherwise the status of what failed; the PUT may go well all the same, by the container's ACL. */
static int co_make_container(struct upload *upload, struct arena *arena, struct slice container)
{
	int status = co_ask_container(upload, arena, METHOD_HEAD, container);
	if (status / 100 == 2)
		return 0;
	if (status == 404) {
		if (upload->containers_created >= upload->bulk->settings->bulk.max_containers_per_extraction) {
			stop(upload, "400 Bad Request",
				arena_printf(upload->request->arena, "More than %lld containers to create from tar.",
					(long long)upload->bulk->settings->bulk.max_containers_per_extraction));
			return 400;
		}
		status = co_ask_container(upload, arena, METHOD_PUT, container);
		if (status / 100 == 2) {
			upload->containers_created++;
			return 0;
		}
	}
	if (status == 401)
		stop(upload, "401 Unauthorized", "");
	return status;
}

/* ---- files ---- */

/* The header that an extended attribute of the archive stands for, or NULL. */
static const char *header_of_attribute(struct arena *arena, const char *name)
{
	static const char meta[] = "user.meta.";
	if (strcmp(name, "user.mime_type") == 0)
		return "Content-Type";
	if (strncmp(name, meta, strlen(meta)) == 0)
		return arena_printf(arena, "X-Object-Meta-%s", name + strlen(meta));
	return NULL;
}

static void take_attributes(struct archive_entry *entry, struct arena *arena, struct request *put)
{
	const char *name;
	const void *value;
	size_t bytes;
	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &bytes) == ARCHIVE_OK) {
		const char *header = name ? header_of_attribute(arena, name) : NULL;
		bool clean = header && !strpbrk(header, "\r\n: ") && !memchr(value, '\r', bytes) &&
			     !memchr(value, '\n', bytes) && !memchr(value, '\0', bytes);
		if (clean)
			headers_set(&put->headers, header, arena_strndup(arena, value, bytes));
	}
}

static void take_client_headers(const struct request *request, struct request *put)
{
	for (size_t i = 0; i < request->headers.count; i++) {
		const struct header *header = &request->headers.items[i];
		if (strcasecmp(header->name, "X-Delete-At") == 0 || strcasecmp(header->name, "X-Delete-After") == 0 ||
			strcasecmp(header->name, "X-Auth-Token") == 0 ||
			header_has_prefix(header->name, "X-Object-Meta-"))
			headers_set(&put->headers, header->name, header->value);
	}
}

static void take_result(struct upload *upload, struct slice path, struct reply *reply, int container_status)
{
	struct arena *arena = upload->request->arena;
	if (reply->status / 100 == 2) {
		upload->created++;
		return;
	}
	const char *slash = memchr(path.data, '/', path.length);
	if (container_status)
		summary_error(&upload->summary,
			slice_from(arena_printf(arena, "/v1/%.*s/%.*s",
				SLICE_PRINT(proxy_context_of(upload->request)->account), (int)(slash - path.data),
				path.data)),
			summary_status(arena, container_status, NULL));
	summary_error(&upload->summary, path, summary_status(arena, reply->status, reply->reason));
	if (reply->status == 401)
		stop(upload, "401 Unauthorized", "");
	upload->bad_gateway |= reply->status / 100 == 5;
}

static void co_store_file(struct upload *upload, struct archive_entry *entry, struct slice path)
{
	struct arena *arena = arena_new();
	const char *slash = memchr(path.data, '/', path.length);
	struct slice container = slice_of(path.data, (size_t)(slash - path.data));
	int container_status = was_seen(upload, container) ? 0 : co_make_container(upload, arena, container);
	if (!upload->status) {
		struct inner_request inner = {
			.method = METHOD_PUT,
			.account = proxy_context_of(upload->request)->account,
			.container = container,
			.object = slice_of(slash + 1, path.length - container.length - 1),
			.source = "EA",
		};
		struct request *put = inner_request_new(arena, upload->request, &inner);
		struct file_body file = {{&file_operations}, upload, archive_entry_size(entry)};
		take_client_headers(upload->request, put);
		take_attributes(entry, arena, put);
		headers_set_format(&put->headers, "Content-Length", "%lld", (long long)file.left);
		inner_request_set_body(put, &file.body, file.left);
		struct reply reply;
		reply_init(&reply, arena);
		co_filter_next(upload->filter, put, &reply);
		take_result(upload, path, &reply, container_status);
		reply_finish(put, &reply, 0, 0);
	}
	arena_free(arena);
}

/* "container/object" of the entry; empty: it is to be passed over. */
static struct slice path_of(struct upload *upload, struct archive_entry *entry, struct arena *arena)
{
	const char *name = archive_entry_pathname(entry);
	if (!name)
		return SLICE_NONE;
	if (strncmp(name, "./", 2) == 0)
		name += 2;
	name += strspn(name, "/");
	const char *path = upload->base.length ? arena_printf(arena, "%.*s/%s", SLICE_PRINT(upload->base), name)
					       : arena_strdup(arena, name);
	const char *slash = strchr(path, '/');
	return slash && slash[1] ? slice_from(path) : SLICE_NONE;
}

static void co_take_entry(struct upload *upload, struct archive_entry *entry)
{
	const struct constraints *limits = &upload->bulk->proxy->options.constraints;
	if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
		return;
	struct arena *arena = arena_new();
	struct slice path = path_of(upload, entry, arena);
	size_t shown_max = (size_t)(limits->max_object_name_length + limits->max_container_name_length + 2);
	struct slice shown = slice_of(path.data, path.length < shown_max ? path.length : shown_max);
	if (path.length == 0)
		;
	else if (!constraints_text_valid(path, false))
		summary_error(&upload->summary, shown, "412 Precondition Failed");
	else if (archive_entry_size(entry) > limits->max_file_size)
		summary_error(&upload->summary, shown, "413 Request Entity Too Large");
	else
		co_store_file(upload, entry, path);
	arena_free(arena);
}

static void co_next_entry(struct upload *upload)
{
	struct archive_entry *entry;
	int result = archive_read_next_header(upload->archive, &entry);
	if (result == ARCHIVE_EOF ||
		(int64_t)upload->summary.error_count >= upload->bulk->settings->bulk.max_failed_extractions) {
		upload->archive_ended = true;
	} else if (result < ARCHIVE_WARN) {
		stop_on_archive_error(upload);
	} else {
		co_take_entry(upload, entry);
		co_yield ();
	}
}

/* ---- the reply ---- */

static struct slice last_words(struct upload *upload)
{
	struct summary *summary = &upload->summary;
	const char *status = "201 Created", *text = "";
	if (upload->status) {
		status = upload->status;
		text = upload->text ? upload->text : "";
	} else if (summary->error_count) {
		status = upload->bad_gateway ? "502 Bad Gateway" : "400 Bad Request";
	} else if (upload->created == 0) {
		status = "400 Bad Request";
		text = "Invalid Tar File: No Valid Files";
	}
	summary_text(summary, "Response Status", status);
	summary_text(summary, "Response Body", text);
	summary_number(summary, "Number Files Created", upload->created);
	return summary_print(summary, "extract");
}

/* "container/prefix" of the request's path, without slashes at its end. */
static struct slice base_of(struct request *request)
{
	const struct proxy_context *context = proxy_context_of(request);
	if (!context->container.data)
		return SLICE_NONE;
	const char *text = context->object.data
				   ? arena_printf(request->arena, "%.*s/%.*s", SLICE_PRINT(context->container),
					     SLICE_PRINT(context->object))
				   : arena_strndup(request->arena, context->container.data, context->container.length);
	struct slice base = slice_from(text);
	while (base.length && base.data[base.length - 1] == '/')
		base.length--;
	return base;
}

void co_bulk_upload(const struct filter *filter, struct request *request, const char *format, struct reply *reply)
{
	struct upload *upload = arena_zalloc(request->arena, sizeof(*upload));
	upload->filter = filter;
	upload->bulk = filter->context;
	upload->request = request;
	upload->base = base_of(request);
	arena_defer(request->arena, release, upload);
	summary_init(&upload->summary, request->arena, summary_content_type(request));
	if (!proxy_context_of(request)->account.data)
		stop(upload, "404 Not Found", "");
	else if (!request->has_length && !request->chunked)
		stop(upload, "411 Length Required", "Missing Content-Length header.");
	else
		(void)co_open_archive(upload, format);
	while (!upload->archive_ended && !upload->status)
		co_next_entry(upload);
	reply_text(reply, 200, upload->summary.content_type, "");
	reply->text = last_words(upload);
}
