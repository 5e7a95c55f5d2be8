#include "proxy/filters/slo.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/swift/conditional.h"
#include "lib/swift/http_date.h"
#include "lib/swift/number.h"
#include "lib/swift/range.h"
#include "proxy/filters/segmented.h"
#include "proxy/inner_request.h"

/*
 * GET and HEAD of a manifest, and of every other object: only the reply tells. Object servers are asked to judge
 * conditions by the large object's ETag and to send a manifest whole whatever the range.
 */

enum { DEPTH_MAX = 10, BOUNDARY_BYTES = 16 };

struct slo_get {
	const struct filter *filter;
	const struct slo *slo;
	struct request *request;
	struct slo_manifest manifest;
	bool has_manifest;
	char etag[33];
	uint64_t size;
	int64_t part; /* part-number; 0: not asked for */
};

/* ---- segments in the order in which the client gets them ---- */

/* A manifest under way, with what is wanted of it. */
struct level {
	struct slo_manifest manifest;
	size_t next;         /* segment */
	uint64_t first;      /* of the bytes still wanted, from the start of segment `next` */
	uint64_t left;       /* how many are still wanted */
	struct arena *arena; /* of the manifest; NULL for the first one */
};

struct walk {
	struct segment_source source;
	struct slo_get *get;
	struct byte_range ranges[RANGE_COUNT_MAX];
	size_t range_count;
	size_t next_range;
	bool in_parts; /* multipart/byteranges: texts stand between the ranges */
	const char *boundary;
	const char *content_type;
	struct level levels[DEPTH_MAX];
	size_t depth; /* levels in use */
};

static void leave_level(struct walk *walk)
{
	struct level *level = &walk->levels[--walk->depth];
	if (level->arena)
		arena_free(level->arena);
	level->arena = NULL;
}

static void release_walk(void *argument)
{
	struct walk *walk = argument;
	while (walk->depth)
		leave_level(walk);
}

static int enter_range(struct walk *walk, struct segment *ret_segment)
{
	bool ends = walk->next_range == walk->range_count;
	if (ends && !walk->in_parts)
		return 0;
	struct arena *arena = walk->get->request->arena;
	const char *text;
	if (ends) {
		walk->in_parts = false;
		text = arena_printf(arena, "\r\n--%s--", walk->boundary);
	} else {
		const struct byte_range *range = &walk->ranges[walk->next_range++];
		uint64_t bytes = range->last - range->first + 1;
		walk->levels[walk->depth++] =
			(struct level){.manifest = walk->get->manifest, .first = range->first, .left = bytes};
		if (!walk->in_parts)
			return -EAGAIN;
		text = arena_printf(arena, "%s--%s\r\nContent-Type: %s\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
			walk->next_range > 1 ? "\r\n" : "", walk->boundary, walk->content_type,
			(unsigned long long)range->first, (unsigned long long)range->last,
			(unsigned long long)walk->get->size);
	}
	*ret_segment = (struct segment){.data = slice_from(text), .bytes = -1};
	return 1;
}

/* The manifest of a segment that is a large object itself becomes the next level. */
static int co_enter_sub_manifest(struct walk *walk, const struct slo_segment *segment, uint64_t first, uint64_t bytes)
{
	struct request *request = walk->get->request;
	if (walk->depth >= DEPTH_MAX) {
		log_write(LOG_LEVEL_ERROR, request->transaction_id, "SLO %.*s: manifests are nested too deeply",
			SLICE_PRINT(request->path));
		return -EPROTO;
	}
	struct level *level = &walk->levels[walk->depth++];
	*level = (struct level){.first = first, .left = bytes, .arena = arena_new()};
	struct inner_request inner = {
		.method = METHOD_GET,
		.account = proxy_context_of(request)->account,
		.container = segment->container,
		.object = segment->object,
		.query = "multipart-manifest=get",
		.source = "SLO",
	};
	struct request *get = inner_request_new(level->arena, request, &inner);
	const char *open_expired = headers_get(&request->headers, "X-Open-Expired");
	if (open_expired)
		headers_set(&get->headers, "X-Open-Expired", open_expired);
	struct reply reply;
	struct slice text;
	int error = co_inner_request_read(walk->get->filter, get, SLO_MANIFEST_READ_MAX, &reply, &text);
	if (!error && reply.status / 100 == 2)
		error = slo_manifest_load(level->arena, text, &level->manifest);
	else
		error = -EPROTO;
	if (error)
		log_write(LOG_LEVEL_ERROR, request->transaction_id,
			"SLO %.*s: the manifest of segment %s cannot be read (status %d)", SLICE_PRINT(request->path),
			segment->path, reply.status);
	return error ? -EPROTO : 0;
}

/* 1: a segment. -EAGAIN: look again (another level). 0 or an error: the end. */
static int co_step(struct walk *walk, struct segment *ret_segment)
{
	if (walk->depth == 0)
		return enter_range(walk, ret_segment);
	struct level *level = &walk->levels[walk->depth - 1];
	if (level->left == 0) {
		leave_level(walk);
		return -EAGAIN;
	}
	/* one that gives less than it was said to: else manifests of nothing but such could keep a GET busy for ever */
	if (level->next == level->manifest.count) {
		log_write(LOG_LEVEL_ERROR, walk->get->request->transaction_id,
			"SLO %.*s: a manifest has %llu bytes less than it should",
			SLICE_PRINT(walk->get->request->path), (unsigned long long)level->left);
		return -EPROTO;
	}
	const struct slo_segment *segment = &level->manifest.segments[level->next++];
	if (level->first >= segment->length) {
		level->first -= segment->length;
		return -EAGAIN;
	}
	uint64_t first = level->first, bytes = segment->length - first;
	if (bytes > level->left)
		bytes = level->left;
	level->first = 0;
	level->left -= bytes;
	if (segment->data.data) {
		*ret_segment = (struct segment){.data = slice_of(segment->data.data + first, bytes), .bytes = -1};
		return 1;
	}
	first += segment->first;
	if (segment->sub_slo) {
		int error = co_enter_sub_manifest(walk, segment, first, bytes);
		return error ? error : -EAGAIN;
	}
	*ret_segment = (struct segment){.container = segment->container,
		.object = segment->object,
		.etag = segment->etag,
		.bytes = segment->bytes,
		.ranged = first > 0 || bytes < (uint64_t)segment->bytes,
		.first = first,
		.last = first + bytes - 1};
	return 1;
}

static int co_walk_next(struct segment_source *source, struct segment *ret_segment)
{
	struct walk *walk = (struct walk *)source;
	int step;
	do
		step = co_step(walk, ret_segment);
	while (step == -EAGAIN);
	return step;
}

static struct walk *walk_new(struct slo_get *get)
{
	struct walk *walk = arena_zalloc(get->request->arena, sizeof(*walk));
	walk->source.co_next = co_walk_next;
	walk->get = get;
	arena_defer(get->request->arena, release_walk, walk);
	return walk;
}

/* ---- the reply ---- */

static bool parse_size(const char *text, uint64_t *ret_size)
{
	int64_t size;
	if (!text || !*text || number_parse_integer(slice_from(text), &size) || size < 0)
		return false;
	*ret_size = (uint64_t)size;
	return true;
}

/* Size and ETag as they were stored with the manifest. False: a very old one has neither. */
static bool take_stored(struct slo_get *get, const struct reply *reply)
{
	const char *etag = headers_get(&reply->headers, SLO_ETAG_HEADER);
	if (!etag || strlen(etag) != 32 || !parse_size(headers_get(&reply->headers, SLO_SIZE_HEADER), &get->size))
		return false;
	memcpy(get->etag, etag, sizeof(get->etag));
	return true;
}

static void set_headers(const struct slo_get *get, struct reply *reply)
{
	const char *manifest_etag = headers_get(&reply->headers, "Etag");
	if (manifest_etag)
		headers_set(&reply->headers, "X-Manifest-Etag", manifest_etag);
	headers_set_format(&reply->headers, "Etag", "\"%s\"", get->etag);
	headers_remove(&reply->headers, "Content-Range");
	headers_remove(&reply->headers, "Content-Length");
	/* what is copied from here is no manifest and must not be judged by these */
	headers_remove(&reply->headers, SLO_ETAG_HEADER);
	headers_remove(&reply->headers, SLO_SIZE_HEADER);
}

/* Drops the body that came with the reply, which is the manifest's. */
static void drop_body(struct reply *reply)
{
	body_close(reply->body);
	reply->body = NULL;
	reply->text = SLICE_NONE;
	reply->content_length = 0;
}

static void reply_unsatisfiable(const struct slo_get *get, struct reply *reply)
{
	drop_body(reply);
	reply->status = 416;
	headers_set_format(&reply->headers, "Content-Range", "bytes */%llu", (unsigned long long)get->size);
	if (get->part && get->request->method == METHOD_GET)
		reply->text = SLICE_LITERAL("The requested part number is not satisfiable");
	else if (get->request->method == METHOD_GET)
		reply->text = slice_from("<html><h1>Requested Range Not Satisfiable</h1><p>The Range requested is not "
					 "available.</p></html>");
}

/* The bytes of a part, counted from 1. */
static struct byte_range part_range(const struct slo_get *get)
{
	uint64_t first = 0;
	for (int64_t i = 0; i + 1 < get->part; i++)
		first += get->manifest.segments[i].length;
	return (struct byte_range){first, first + get->manifest.segments[get->part - 1].length - 1};
}

static void set_content_range(const struct slo_get *get, const struct byte_range *range, struct reply *reply)
{
	reply->status = 206;
	headers_set_format(&reply->headers, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)range->first,
		(unsigned long long)range->last, (unsigned long long)get->size);
}

/* Boundary, part headers and end: how many bytes they add. */
static int64_t plan_parts(struct walk *walk, struct reply *reply)
{
	unsigned char bytes[BOUNDARY_BYTES];
	char hex[2 * BOUNDARY_BYTES + 1];
	(void)RAND_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	const char *type = headers_get(&reply->headers, "Content-Type");
	walk->in_parts = true;
	walk->boundary = arena_strdup(reply->arena, hex);
	walk->content_type = arena_strdup(reply->arena, type ? type : "application/octet-stream");
	int64_t added = (int64_t)strlen("\r\n----") + (int64_t)strlen(hex);
	for (size_t i = 0; i < walk->range_count; i++) {
		char line[160];
		added += snprintf(line, sizeof(line),
			"%s--%s\r\nContent-Type: \r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n", i ? "\r\n" : "", hex,
			(unsigned long long)walk->ranges[i].first, (unsigned long long)walk->ranges[i].last,
			(unsigned long long)walk->get->size);
		added += (int64_t)strlen(walk->content_type);
	}
	headers_set_format(&reply->headers, "Content-Type", "multipart/byteranges;boundary=%s", hex);
	return added;
}

/* Which bytes; false: 416 is set. */
static bool choose_ranges(struct slo_get *get, struct walk *walk, struct reply *reply)
{
	const char *header = headers_get(&get->request->headers, "Range");
	if (get->part) {
		walk->ranges[0] = part_range(get);
		walk->range_count = 1;
		set_content_range(get, &walk->ranges[0], reply);
		return true;
	}
	enum range_result result = range_evaluate(header, get->size, walk->ranges, &walk->range_count);
	if (result == RANGE_UNSATISFIABLE) {
		reply_unsatisfiable(get, reply);
		return false;
	}
	if (result == RANGE_OK) {
		reply->status = 206;
		if (walk->range_count == 1)
			set_content_range(get, &walk->ranges[0], reply);
		return true;
	}
	walk->ranges[0] = (struct byte_range){0, get->size - 1};
	walk->range_count = get->size > 0;
	return true;
}

static void co_stream(struct slo_get *get, struct reply *reply)
{
	const struct settings *settings = get->slo->settings;
	struct segmented_options options = {
		.source = "SLO",
		.max_get_time_ms = (uint64_t)settings->slo.max_get_time_ms,
		.small_bytes = (uint64_t)settings->slo.rate_limit_under_size,
		.limit_after = (size_t)settings->slo.rate_limit_after_segment,
		.small_per_second = settings->slo.rate_limit_segments_per_sec,
	};
	struct walk *walk = walk_new(get);
	if (!choose_ranges(get, walk, reply))
		return;
	int64_t length = 0;
	for (size_t i = 0; i < walk->range_count; i++)
		length += (int64_t)(walk->ranges[i].last - walk->ranges[i].first + 1);
	if (walk->range_count > 1)
		length += plan_parts(walk, reply);
	struct body *body;
	int error = co_segmented_new(get->filter, get->request, &walk->source, &options, &body);
	if (error) {
		reply_reset(reply);
		reply_status(reply, error == -EPROTO ? 409 : 503);
		return;
	}
	reply->body = body;
	reply->content_length = length;
}

static void head_part(struct slo_get *get, struct reply *reply)
{
	struct byte_range range = part_range(get);
	set_content_range(get, &range, reply);
	headers_set_format(&reply->headers, "Content-Length", "%llu",
		(unsigned long long)get->manifest.segments[get->part - 1].length);
}

/* The manifest is known if it was needed; `reply` has its headers. */
static void co_answer(struct slo_get *get, struct reply *reply)
{
	set_headers(get, reply);
	if (reply->status == 304 || reply->status == 412) {
		drop_body(reply);
		return;
	}
	drop_body(reply);
	reply->status = 200;
	if (get->part)
		headers_set_format(&reply->headers, "X-Parts-Count", "%zu", get->manifest.count);
	if (get->part && (uint64_t)get->part > get->manifest.count)
		reply_unsatisfiable(get, reply);
	else if (get->part && get->request->method == METHOD_HEAD)
		head_part(get, reply);
	else if (get->request->method == METHOD_HEAD)
		headers_set_format(&reply->headers, "Content-Length", "%llu", (unsigned long long)get->size);
	else
		co_stream(get, reply);
}

/* ---- the manifest ---- */

/* The text of the reply's body, the stream read to its end. */
static int co_take_text(struct slo_get *get, struct reply *reply, struct slice *ret_text)
{
	*ret_text = reply->text;
	int error =
		reply->body ? co_body_read_all(reply->body, get->request->arena, SLO_MANIFEST_READ_MAX, ret_text) : 0;
	body_close(reply->body);
	reply->body = NULL;
	return error;
}

static int take_manifest(struct slo_get *get, const struct reply *reply, struct slice text)
{
	int error = slo_manifest_load(get->request->arena, text, &get->manifest);
	if (error) {
		log_write(LOG_LEVEL_ERROR, get->request->transaction_id, "Unable to load SLO manifest %.*s",
			SLICE_PRINT(get->request->path));
		return error;
	}
	get->has_manifest = true;
	if (!take_stored(get, reply)) {
		get->size = get->manifest.bytes;
		slo_manifest_etag(&get->manifest, get->etag);
	}
	return 0;
}

/* The reply was about the manifest but did not bring it (HEAD, 304, 416): it is fetched. False: `reply` is the answer. */
static bool co_fetch_manifest(struct slo_get *get, struct reply *reply)
{
	struct request *request = get->request;
	const struct proxy_context *context = proxy_context_of(request);
	struct inner_request inner = {
		.method = METHOD_GET,
		.account = context->account,
		.container = context->container,
		.object = context->object,
		.query = arena_strndup(
			request->arena, request->query.data ? request->query.data : "", request->query.length),
		.source = "SLO",
	};
	struct request *again = inner_request_new(request->arena, request, &inner);
	const char *open_expired = headers_get(&request->headers, "X-Open-Expired");
	if (open_expired)
		headers_set(&again->headers, "X-Open-Expired", open_expired);
	struct reply manifest;
	struct slice text;
	int error = co_inner_request_read(get->filter, again, SLO_MANIFEST_READ_MAX, &manifest, &text);
	bool is_manifest = !error && manifest.status == 200 &&
			   config_true_value(headers_get(&manifest.headers, "X-Static-Large-Object"));
	if (!is_manifest || take_manifest(get, &manifest, text)) {
		drop_body(reply);
		reply_reset(reply);
		reply_status(reply, is_manifest ? 500 : 503);
		return false;
	}
	return true;
}

/* Conditions on a very old manifest, whose ETag the object servers do not know. */
static void judge_conditions(struct slo_get *get, struct reply *reply)
{
	const struct headers *headers = &get->request->headers;
	const char *modified = headers_get(&reply->headers, "Last-Modified");
	int64_t seconds = -1;
	if (modified && http_date_parse(slice_from(modified), &seconds))
		seconds = -1;
	int status = conditional_evaluate(headers_get(headers, "If-Match"), headers_get(headers, "If-None-Match"),
		headers_get(headers, "If-Modified-Since"), headers_get(headers, "If-Unmodified-Since"), get->etag,
		seconds);
	reply->status = status ? status : 200;
}

static void co_large_object(struct slo_get *get, struct reply *reply)
{
	bool stored = take_stored(get, reply);
	bool condition_failed = reply->status == 304 || reply->status == 412;
	bool wants_segments = !stored || (get->request->method == METHOD_GET ? !condition_failed : get->part != 0);
	if (wants_segments && reply->status == 200 && get->request->method == METHOD_GET) {
		struct slice text;
		if (co_take_text(get, reply, &text) || take_manifest(get, reply, text)) {
			reply_reset(reply);
			reply_status(reply, 500);
			return;
		}
	} else if (wants_segments && !co_fetch_manifest(get, reply)) {
		return;
	}
	if (!stored)
		judge_conditions(get, reply);
	co_answer(get, reply);
}

/* multipart-manifest=get: the manifest as it is stored, or as clients write it with format=raw. */
static void co_manifest_itself(struct slo_get *get, struct reply *reply)
{
	const char *format = slo_parameter(get->request, "format");
	if (!format || strcmp(format, "raw") != 0 || get->request->method != METHOD_GET || reply->status != 200) {
		headers_set(&reply->headers, "Content-Type", "application/json; charset=utf-8");
		return;
	}
	struct slice text;
	if (co_take_text(get, reply, &text) || take_manifest(get, reply, text)) {
		reply_reset(reply);
		reply_status(reply, 500);
		return;
	}
	reply->text = slo_manifest_print(reply->arena, &get->manifest, true);
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[33];
	(void)EVP_Digest(reply->text.data, reply->text.length, digest, NULL, EVP_md5(), NULL);
	for (size_t i = 0; i < 16; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	headers_set_format(&reply->headers, "Etag", "%s", hex);
}

/* part-number: false: 400 is set. */
static bool take_part(struct slo_get *get, struct reply *reply)
{
	const char *text = slo_parameter(get->request, "part-number");
	if (!text)
		return true;
	const char *wrong = NULL;
	if (number_parse_integer(slice_from(text), &get->part) || get->part <= 0)
		wrong = "Part number must be an integer greater than 0";
	else if (headers_get(&get->request->headers, "Range"))
		wrong = "Range requests are not supported with part number queries";
	if (!wrong)
		return true;
	drop_body(reply);
	reply_reset(reply);
	reply_text(reply, 400, "text/html; charset=UTF-8", wrong);
	return false;
}

/* Appends to a list of names that a filter further right may have to see, too. */
static void append_name(struct request *request, const char *header, const char *name)
{
	const char *others = headers_get(&request->headers, header);
	if (others)
		headers_set_format(&request->headers, header, "%s,%s", others, name);
	else
		headers_set(&request->headers, header, name);
}

void co_slo_get(const struct filter *filter, struct request *request, struct reply *reply)
{
	const char *mode = slo_parameter(request, "multipart-manifest");
	bool manifest_wanted = mode && strcmp(mode, "get") == 0;
	if (!manifest_wanted) {
		append_name(request, "X-Backend-Etag-Is-At", SLO_ETAG_HEADER);
		append_name(request, "X-Backend-Ignore-Range-If-Metadata-Present", "X-Static-Large-Object");
	}
	co_filter_next(filter, request, reply);
	if (!config_true_value(headers_get(&reply->headers, "X-Static-Large-Object")))
		return;
	struct slo_get *get = arena_zalloc(request->arena, sizeof(*get));
	get->filter = filter;
	get->slo = filter->context;
	get->request = request;
	if (manifest_wanted)
		co_manifest_itself(get, reply);
	else if (take_part(get, reply))
		co_large_object(get, reply);
}
