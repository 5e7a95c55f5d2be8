#include "proxy/filters/slo.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/co/co.h"
#include "lib/swift/conditional.h"
#include "lib/swift/http_date.h"
#include "lib/swift/mime_guess.h"
#include "lib/swift/range.h"
#include "proxy/filters/summary.h"
#include "proxy/inner_request.h"

/*
 * A manifest is stored once every segment that it names was looked at: a HEAD for each object, through this filter, so
 * that segments which are large objects themselves count with their own size and ETag. With heartbeat=on the reply begins
 * at once and blanks keep the connection alive until the end is known.
 */

enum { CONCURRENCY_MAX = 8 };

struct slo_put {
	struct body body; /* of the reply, with a heartbeat */
	const struct filter *filter;
	const struct slo *slo;
	struct request *request;
	struct slo_manifest manifest;
	size_t *order; /* object segments by path: the same object is asked for once */
	size_t next;   /* in `order` */
	struct summary summary;
	bool has_begun; /* a heartbeat went out */
	bool has_ended;
	uint64_t last_beat_ms;
};

/* ---- looking at segments ---- */

static int compare_paths(const void *a, const void *b, void *argument)
{
	const struct slo_segment *segments = argument;
	size_t first = *(const size_t *)a, second = *(const size_t *)b;
	int order = strcmp(segments[first].path, segments[second].path);
	return order ? order : (first > second) - (first < second);
}

static void sort_segments(struct slo_put *put)
{
	size_t count = 0;
	put->order = arena_alloc(put->request->arena, (put->manifest.object_count + 1) * sizeof(*put->order));
	for (size_t i = 0; i < put->manifest.count; i++)
		if (!put->manifest.segments[i].data.data)
			put->order[count++] = i;
	qsort_r(put->order, count, sizeof(*put->order), compare_paths, put->manifest.segments);
}

/* One HEAD, in a coroutine of its own. */
struct look {
	struct slo_put *put;
	size_t segment;
	struct arena *arena;
	struct reply reply;
	size_t *running;
	struct co_signal *ended;
};

static void co_look(void *argument)
{
	struct look *look = argument;
	struct slo_put *put = look->put;
	const struct slo_segment *segment = &put->manifest.segments[look->segment];
	struct inner_request inner = {
		.method = METHOD_HEAD,
		.account = proxy_context_of(put->request)->account,
		.container = segment->container,
		.object = segment->object,
		.source = "SLO",
	};
	struct request *head = inner_request_new(look->arena, put->request, &inner);
	reply_init(&look->reply, look->arena);
	co_slo_handle(put->filter, head, &look->reply);
	reply_finish(head, &look->reply, 0, 0);
	(*look->running)--;
	co_signal_raise(look->ended);
}

static const char *iso_time(struct arena *arena, const char *last_modified)
{
	int64_t seconds = 0;
	if (last_modified)
		(void)http_date_parse(slice_from(last_modified), &seconds);
	time_t time = (time_t)seconds;
	struct tm parts;
	char text[40];
	gmtime_r(&time, &parts);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.000000", &parts);
	return arena_strdup(arena, text);
}

/* The wanted part, in plain numbers, now that the size is known. False: it lies outside. */
static bool fix_range(struct arena *arena, struct slo_segment *segment, uint64_t bytes)
{
	struct byte_range ranges[RANGE_COUNT_MAX];
	size_t count;
	segment->length = bytes;
	if (!segment->range)
		return true;
	const char *header = arena_printf(arena, "bytes=%s", segment->range);
	if (range_evaluate(header, bytes, ranges, &count) != RANGE_OK)
		return false;
	segment->first = ranges[0].first;
	segment->length = ranges[0].last - ranges[0].first + 1;
	segment->range = segment->length == bytes
				 ? NULL
				 : arena_printf(arena, "%llu-%llu", (unsigned long long)ranges[0].first,
					   (unsigned long long)ranges[0].last);
	return true;
}

static void take_segment(struct slo_put *put, size_t index, const struct reply *reply)
{
	struct arena *arena = put->request->arena;
	struct slo_segment *segment = &put->manifest.segments[index];
	struct slice name = slice_from(segment->path);
	const char *length = headers_get(&reply->headers, "Content-Length");
	const char *etag = headers_get(&reply->headers, "Etag"), *type = headers_get(&reply->headers, "Content-Type");
	if (reply->status / 100 != 2) {
		summary_error(&put->summary, name, summary_status(arena, reply->status, reply->reason));
		return;
	}
	int64_t bytes = length ? strtoll(length, NULL, 10) : 0;
	struct slice bare = etag ? normalize_etag(slice_from(etag)) : SLICE_LITERAL("");
	if (!fix_range(arena, segment, (uint64_t)bytes))
		summary_error(&put->summary, name, "Unsatisfiable Range");
	if (segment->length < 1 && index + 1 != put->manifest.count)
		summary_error(&put->summary, name, "Too small; each segment must be at least 1 byte.");
	if (segment->bytes >= 0 && segment->bytes != bytes)
		summary_error(&put->summary, name, "Size Mismatch");
	if (segment->etag && !slice_equal(slice_from(segment->etag), bare))
		summary_error(&put->summary, name, "Etag Mismatch");
	segment->bytes = bytes;
	segment->etag = arena_strndup(arena, bare.data, bare.length);
	segment->content_type = type ? arena_strndup(arena, type, strcspn(type, ";")) : "application/octet-stream";
	segment->last_modified = iso_time(arena, headers_get(&reply->headers, "Last-Modified"));
	segment->sub_slo = config_true_value(headers_get(&reply->headers, "X-Static-Large-Object"));
}

/* The segments in `order` from *from on that name the same object. */
static size_t same_object(const struct slo_put *put, size_t from)
{
	const char *path = put->manifest.segments[put->order[from]].path;
	size_t count = 1;
	while (from + count < put->manifest.object_count &&
		strcmp(put->manifest.segments[put->order[from + count]].path, path) == 0)
		count++;
	return count;
}

/* Looks at the next few objects, side by side. */
static void co_look_at_some(struct slo_put *put)
{
	struct look looks[CONCURRENCY_MAX];
	size_t starts[CONCURRENCY_MAX + 1], count = 0, running = 0;
	struct co_signal ended = {0};
	size_t wanted = (size_t)put->slo->settings->slo.concurrency;
	starts[0] = put->next;
	while (count < wanted && count < CONCURRENCY_MAX && starts[count] < put->manifest.object_count) {
		struct look *look = &looks[count];
		*look = (struct look){.put = put, .segment = put->order[starts[count]], .arena = arena_new()};
		look->running = &running;
		look->ended = &ended;
		running++;
		starts[count + 1] = starts[count] + same_object(put, starts[count]);
		count++;
	}
	for (size_t i = 0; i < count; i++)
		(void)co_start(co_look, &looks[i]);
	while (running)
		(void)co_signal_wait(&ended, CO_FOREVER);
	for (size_t i = 0; i < count; i++) {
		for (size_t j = starts[i]; j < starts[i + 1]; j++)
			take_segment(put, put->order[j], &looks[i].reply);
		arena_free(looks[i].arena);
	}
	put->next = starts[count];
}

/* ---- storing ---- */

static void md5_hex(struct slice text, char ret_hex[33])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	(void)EVP_Digest(text.data, text.length, digest, NULL, EVP_md5(), NULL);
	for (size_t i = 0; i < 16; i++)
		(void)snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

/* Listings show the manifest's own ETag with the large object's behind it. */
static void set_listing_etag(struct request *request, const char *own, const char *slo_etag)
{
	static const char header[] = "X-Object-Sysmeta-Container-Update-Override-Etag";
	const char *given = headers_get(&request->headers, header);
	size_t value = given ? strcspn(given, ";") : 0;
	if (value)
		headers_set_format(&request->headers, header, "%s; slo_etag=%s", given, slo_etag);
	else
		headers_set_format(&request->headers, header, "%s%s; slo_etag=%s", own, given ? given : "", slo_etag);
}

static void co_store(struct slo_put *put, const char *slo_etag, struct reply *reply)
{
	struct request *request = put->request;
	struct slice text = slo_manifest_print(request->arena, &put->manifest, false);
	uint64_t bytes = 0;
	for (size_t i = 0; i < put->manifest.count; i++)
		bytes += put->manifest.segments[i].length;
	char hex[33];
	md5_hex(text, hex);
	const char *own = arena_strdup(request->arena, hex);
	headers_set(&request->headers, SLO_ETAG_HEADER, slo_etag);
	headers_set_format(&request->headers, SLO_SIZE_HEADER, "%llu", (unsigned long long)bytes);
	headers_set(&request->headers, "X-Static-Large-Object", "True");
	headers_set(&request->headers, "Etag", own);
	headers_remove(&request->headers, "Transfer-Encoding");
	headers_set_format(&request->headers, "Content-Length", "%zu", text.length);
	set_listing_etag(request, own, slo_etag);
	const char *type = headers_get(&request->headers, "Content-Type");
	if (!type || !*type)
		type = mime_guess(proxy_context_of(request)->object);
	headers_set_format(&request->headers, "Content-Type", "%s;swift_bytes=%llu", type, (unsigned long long)bytes);
	proxy_context_of(request)->content_type_overridden = true;
	inner_request_set_body(request, body_from_slice(request->arena, text), (int64_t)text.length);
	co_filter_next(put->filter, request, reply);
	if (reply->status / 100 == 2)
		headers_set_format(&reply->headers, "Etag", "\"%s\"", slo_etag);
}

/* All objects were looked at: the reply as it is without a heartbeat. */
static void co_finish(struct slo_put *put, struct reply *reply)
{
	struct request *request = put->request;
	if (put->summary.error_count) {
		reply_text(reply, 400, put->summary.content_type, "");
		reply->text = summary_print(&put->summary, "upload");
		return;
	}
	char hex[33];
	slo_manifest_etag(&put->manifest, hex);
	const char *slo_etag = arena_strdup(request->arena, hex);
	const char *wanted = headers_get(&request->headers, "Etag");
	if (wanted && *wanted && !slice_equal(normalize_etag(slice_from(wanted)), slice_from(slo_etag))) {
		reply_status(reply, 422);
		return;
	}
	co_store(put, slo_etag, reply);
}

/* ---- the heartbeat ---- */

/* The two texts of a reply that was made by reply_status(), without their marks: title and explanation. */
static const char *without_marks(struct arena *arena, struct slice html)
{
	static const char front[] = "<html><h1>", middle[] = "</h1><p>", back[] = "</p></html>";
	const char *text = arena_strndup(arena, html.data ? html.data : "", html.length);
	const char *title_end = strstr(text, middle), *end = strstr(text, back);
	if (strncmp(text, front, strlen(front)) != 0 || !title_end || !end)
		return text;
	const char *title = text + strlen(front), *rest = title_end + strlen(middle);
	return arena_printf(arena, "%.*s\n%.*s", (int)(title_end - title), title, (int)(end - rest), rest);
}

/* The end of the reply, in which the true status is told. */
static struct slice co_last_words(struct slo_put *put)
{
	struct arena *arena = put->request->arena;
	struct reply reply;
	struct slice body = SLICE_NONE;
	reply_init(&reply, arena);
	bool had_errors = put->summary.error_count > 0;
	co_finish(put, &reply);
	body = reply.text;
	if (reply.body && co_body_read_all(reply.body, arena, BLOCK_BYTES, &body))
		body = SLICE_NONE;
	summary_text(&put->summary, "Response Status", summary_status(arena, reply.status, reply.reason));
	const char *etag = headers_get(&reply.headers, "Etag"), *time = headers_get(&reply.headers, "Last-Modified");
	if (reply.status / 100 == 2 && etag)
		summary_text(&put->summary, "Etag", etag);
	if (reply.status / 100 == 2 && time)
		summary_text(&put->summary, "Last Modified", time);
	summary_text(&put->summary, "Response Body",
		had_errors
			? "Bad Request\nThe server could not comply with the request since it is either malformed or "
			  "otherwise incorrect."
			: without_marks(arena, body));
	reply_finish(put->request, &reply, 0, 0);
	struct slice text = summary_print(&put->summary, "upload");
	return slice_from(arena_printf(arena, "\r\n\r\n%.*s", SLICE_PRINT(text)));
}

static int co_beat(struct body *body, struct chunk *ret_chunk)
{
	struct slo_put *put = (struct slo_put *)body;
	*ret_chunk = CHUNK_NONE;
	if (put->has_ended)
		return 0;
	bool beat = !put->has_begun;
	put->has_begun = true;
	while (!beat && put->next < put->manifest.object_count) {
		co_look_at_some(put);
		beat = loop_now_ms() - put->last_beat_ms > (uint64_t)put->slo->settings->slo.yield_frequency_ms;
	}
	struct slice text = SLICE_LITERAL(" ");
	if (beat) {
		put->last_beat_ms = loop_now_ms();
	} else {
		text = co_last_words(put);
		put->has_ended = true;
	}
	ret_chunk->data = text.data;
	ret_chunk->length = text.length;
	return 0;
}

static const struct body_operations beat_operations = {co_beat, NULL};

/* ---- the request ---- */

/* The client's manifest, checked. False: the reply is set. */
static bool co_take_manifest(struct slo_put *put, struct reply *reply)
{
	struct request *request = put->request;
	const struct settings *settings = put->slo->settings;
	const struct proxy_context *context = proxy_context_of(request);
	int64_t limit = settings->slo.max_manifest_size;
	if (!request->has_length && !request->chunked) {
		reply_status(reply, 411);
		return false;
	}
	struct slice text = SLICE_NONE;
	int error = request->content_length > limit ? -EFBIG : 0;
	if (!error)
		error = co_body_read_all(request->body, request->arena, (size_t)limit, &text);
	const char *wrong = NULL;
	bool is_list = false;
	if (error == -EFBIG) {
		reply_text(reply, 413, "text/html; charset=UTF-8",
			arena_printf(reply->arena, "Manifest File > %lld bytes", (long long)limit));
	} else if (error) {
		reply_status(reply, error == -ETIMEDOUT ? 408 : error == -EPROTO ? 400 : 499);
	} else if (slo_manifest_parse(request->arena, text,
			   slice_from(arena_printf(request->arena, "/%.*s/%.*s", SLICE_PRINT(context->container),
				   SLICE_PRINT(context->object))),
			   &put->manifest, &wrong, &is_list)) {
		reply_text(reply, 400, is_list ? "text/plain" : "text/html; charset=UTF-8", wrong);
	} else if ((int64_t)put->manifest.object_count > settings->slo.max_manifest_segments) {
		reply_text(reply, 413, "text/html; charset=UTF-8",
			arena_printf(reply->arena, "Number of object-backed segments must be <= %lld",
				(long long)settings->slo.max_manifest_segments));
	} else {
		return true;
	}
	return false;
}

void co_slo_put(const struct filter *filter, struct request *request, struct reply *reply)
{
	if (headers_get(&request->headers, "X-Copy-From")) {
		reply_text(reply, 405, "text/html; charset=UTF-8", "Multipart Manifest PUTs cannot be COPY requests");
		return;
	}
	struct slo_put *put = arena_zalloc(request->arena, sizeof(*put));
	put->filter = filter;
	put->slo = filter->context;
	put->request = request;
	if (!co_take_manifest(put, reply))
		return;
	summary_init(&put->summary, request->arena, summary_content_type(request));
	sort_segments(put);
	const char *heartbeat = slo_parameter(request, "heartbeat");
	if (heartbeat && config_true_value(heartbeat)) {
		put->body.operations = &beat_operations;
		put->last_beat_ms = loop_now_ms();
		reply_text(reply, 202, put->summary.content_type, "");
		reply->body = &put->body;
		reply->content_length = -1;
		return;
	}
	while (put->next < put->manifest.object_count)
		co_look_at_some(put);
	co_finish(put, reply);
}
