#include "lib/backend/server_listing.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "lib/swift/constraints.h"
#include "lib/swift/url.h"

static const char *const targets[] = {[LISTING_ACCOUNT] = "account", [LISTING_CONTAINER] = "container"};

const char *server_policy_name(uint16_t index, void *policies)
{
	const struct server_policies *known = policies;
	for (size_t i = 0; i < known->count; i++)
		if (known->items[i].index == index)
			return known->items[i].name;
	return NULL;
}

/* ---- parameters ---- */

static int refuse(struct reply *reply, int status, const char *content_type, const char *text)
{
	reply_text(reply, status, content_type, text);
	return -EINVAL;
}

static int parse_query(struct request *request, struct reply *reply, struct query *ret_query)
{
	if (query_parse(request->arena, request->query, ret_query) < 0)
		return refuse(reply, 400, "text/plain", "Too many parameters");
	return 0;
}

/* Swift's get_param: SLICE_NONE when missing, and an empty slice with data for an empty value. */
static int parameter(const struct query *query, const char *name, struct reply *reply, struct slice *ret_value)
{
	struct slice value = SLICE_NONE;
	if (query_get(query, name, &value) && !value.data)
		value = SLICE_LITERAL("");
	if (!utf8_valid(value)) {
		const char *text = arena_printf(reply->arena, "\"%s\" parameter not valid UTF-8", name);
		return refuse(reply, 400, "text/plain", text);
	}
	*ret_value = value;
	return 0;
}

static int choose_format(
	const struct query *query, struct request *request, struct reply *reply, enum listing_format *ret_format)
{
	struct slice name;
	if (parameter(query, "format", reply, &name) < 0)
		return -EINVAL;
	enum listing_format format = listing_format_choose(name, headers_get(&request->headers, "Accept"));
	if (format == LISTING_FORMAT_BAD_HEADER)
		return refuse(reply, 400, "text/plain", "Invalid Accept header");
	if (format == LISTING_FORMAT_NOT_ACCEPTABLE) {
		reply_status(reply, 406);
		return -EINVAL;
	}
	*ret_format = format;
	return 0;
}

int server_listing_format(struct request *request, struct reply *reply, enum listing_format *ret_format)
{
	struct query query;
	int error = parse_query(request, reply, &query);
	return error ? error : choose_format(&query, request, reply, ret_format);
}

/* Digits only, anything else counts as absent; so does the empty text. */
static int parse_limit(const struct query *query, struct reply *reply, size_t limit_max, size_t *ret_limit)
{
	struct slice digits;
	if (parameter(query, "limit", reply, &digits) < 0)
		return -EINVAL;
	size_t limit = digits.length ? 0 : limit_max;
	for (size_t i = 0; i < digits.length; i++) {
		if (digits.data[i] < '0' || digits.data[i] > '9') {
			limit = limit_max;
			break;
		}
		/* Above the maximum the value no longer matters, but further characters still do.
		 */
		if (limit <= limit_max)
			limit = limit * 10 + (size_t)(digits.data[i] - '0');
	}
	if (limit > limit_max) {
		const char *text = arena_printf(reply->arena, "Maximum limit is %zu", limit_max);
		return refuse(reply, 412, "text/html; charset=UTF-8", text);
	}
	*ret_limit = limit;
	return 0;
}

int server_listing_parse(struct request *request, struct reply *reply, enum listing_kind kind, size_t limit_max,
	struct listing_query *ret_query, enum listing_format *ret_format)
{
	struct query query;
	struct listing_query listing = {.kind = kind};
	struct slice reverse;
	if (parse_query(request, reply, &query) < 0 || parameter(&query, "marker", reply, &listing.marker) < 0 ||
		parameter(&query, "end_marker", reply, &listing.end_marker) < 0 ||
		parameter(&query, "prefix", reply, &listing.prefix) < 0 ||
		parameter(&query, "delimiter", reply, &listing.delimiter) < 0 ||
		parameter(&query, "reverse", reply, &reverse) < 0 ||
		parse_limit(&query, reply, limit_max, &listing.limit) < 0)
		return -EINVAL;
	if (kind == LISTING_CONTAINER && parameter(&query, "path", reply, &listing.path) < 0)
		return -EINVAL;
	if (choose_format(&query, request, reply, ret_format) < 0)
		return -EINVAL;
	listing.reverse = config_true_value(arena_strndup(request->arena, reverse.data, reverse.length));
	listing.allow_reserved = config_true_value(headers_get(&request->headers, "X-Backend-Allow-Reserved-Names"));
	*ret_query = listing;
	return 0;
}

/* ---- reading ---- */

struct read_job {
	struct device *device;
	enum listing_kind kind;
	const unsigned char *hash;
	struct arena *arena;
	struct listing_info *info;
	int result;
};

static void run_read(void *argument)
{
	struct read_job *job = argument;
	job->result = listing_read(job->device, job->kind, job->hash, job->arena, job->info);
}

int co_server_listing_read(struct device_entry *entry, enum listing_kind kind, const unsigned char hash[16],
	struct arena *arena, struct listing_info *ret_info)
{
	struct device *device = device_entry_device(entry);
	int result = listing_read_cached(device, kind, hash, arena, ret_info);
	if (result != -EAGAIN)
		return result;
	struct read_job job = {.device = device, .kind = kind, .hash = hash, .arena = arena, .info = ret_info};
	co_offload(device_entry_pool(entry), run_read, &job);
	return job.result;
}

/* ---- listings ---- */

enum { SPARE_BYTES_MAX = 8 * 1024 * 1024 };

struct render_job {
	struct device *device;
	const struct listing_query *query;
	enum listing_format format;
	struct slice name;
	const struct server_policies *policies;
	struct buf *text;
	int result;
};

static int render_entry(const struct listing_entry *entry, void *writer)
{
	listing_writer_entry(writer, entry);
	return 0;
}

static void run_render(void *argument)
{
	struct render_job *job = argument;
	struct listing_writer writer;
	listing_writer_begin(&writer, job->query->kind, job->format, job->name, job->text);
	if (job->policies) {
		writer.policy_name = server_policy_name;
		writer.policy_argument = (void *)job->policies;
	}
	job->result = listing_walk(job->device, job->query, render_entry, &writer);
	listing_writer_end(&writer);
}

/*
 * A page is a megabyte or two, and fresh memory of that size costs more than writing the page: each loop keeps the last
 * one.
 */
static __thread struct buf spare;
static __thread bool spare_used; /* since the last server_listing_trim() */

static struct buf take_spare(void)
{
	struct buf text = spare;
	spare = BUF_INIT;
	spare_used = true;
	return text;
}

static void release_text(void *argument)
{
	struct buf *text = argument;
	if (text->capacity > spare.capacity && text->capacity <= SPARE_BYTES_MAX) {
		struct buf smaller = spare;
		spare = *text;
		*text = smaller;
		buf_clear(&spare);
	}
	buf_release(text);
}

void server_listing_trim(void)
{
	if (!spare_used)
		buf_release(&spare);
	spare_used = false;
}

int co_server_listing_render(struct device_entry *entry, const struct listing_query *query, enum listing_format format,
	struct slice name, const struct server_policies *policies, struct arena *arena, struct slice *ret_text)
{
	struct buf *text = arena_zalloc(arena, sizeof(*text));
	*text = take_spare();
	arena_defer(arena, release_text, text);
	struct render_job job = {
		.device = device_entry_device(entry),
		.query = query,
		.format = format,
		.name = name,
		.policies = policies,
		.text = text,
	};
	/* Without rows to look for there is nothing to wait for. */
	if (query->limit == 0)
		run_render(&job);
	else
		co_offload(device_entry_pool(entry), run_render, &job);
	if (job.result == 0)
		*ret_text = buf_slice(text);
	return job.result;
}

static void set_content_type(struct reply *reply, enum listing_format format)
{
	headers_set_format(&reply->headers, "Content-Type", "%s; charset=utf-8", listing_format_content_type(format));
}

void server_reply_listing(struct reply *reply, enum listing_format format, struct slice text, const char *empty_reason)
{
	reply_empty(reply, text.length ? 200 : 204);
	if (!text.length)
		reply->reason = empty_reason;
	reply->text = text;
	set_content_type(reply, format);
}

void server_reply_listing_head(struct reply *reply, enum listing_format format)
{
	reply_empty(reply, 204);
	set_content_type(reply, format);
}

/* ---- metadata ---- */

static bool is_meta_name(enum listing_kind kind, const char *name, const char *const *also)
{
	for (; also && *also; also++)
		if (strcasecmp(name, *also) == 0)
			return true;
	size_t target_length = strlen(targets[kind]);
	if (strncasecmp(name, "x-", 2) != 0 || strncasecmp(name + 2, targets[kind], target_length) != 0)
		return false;
	const char *rest = name + 2 + target_length;
	/* A prefix alone names nothing. */
	return (strncasecmp(rest, "-meta-", 6) == 0 && rest[6]) || (strncasecmp(rest, "-sysmeta-", 9) == 0 && rest[9]);
}

int server_request_metas(struct request *request, struct reply *reply, enum listing_kind kind, const char *const *also,
	struct timestamp timestamp, struct listing_change *change)
{
	const struct headers *headers = &request->headers;
	struct listing_meta *metas = arena_alloc(request->arena, (headers->count + 1) * sizeof(*metas));
	size_t count = 0;
	for (size_t i = 0; i < headers->count; i++) {
		char *name = arena_strdup(request->arena, headers->items[i].name);
		header_title_case(name);
		if (!is_meta_name(kind, name, also))
			continue;
		struct listing_meta meta = {
			.name = slice_from(name),
			.value = slice_from(headers->items[i].value),
			.time = timestamp,
		};
		if (!utf8_valid(meta.name) || !utf8_valid(meta.value))
			return refuse(reply, 400, "text/html; charset=UTF-8", "Metadata must be valid UTF-8");
		metas[count++] = meta;
	}
	change->metas = metas;
	change->meta_count = count;
	return 0;
}

void server_reply_too_much_meta(struct reply *reply, const struct constraints *constraints)
{
	const char *text = arena_printf(reply->arena,
		"Too many metadata items or total metadata too large; max %lld items, %lld bytes",
		(long long)constraints->max_meta_count, (long long)constraints->max_meta_overall_size);
	reply_text(reply, 400, "text/html; charset=UTF-8", text);
}

void server_reply_metas(struct reply *reply, const struct listing_info *info)
{
	for (size_t i = 0; i < info->meta_count; i++) {
		const struct listing_meta *meta = &info->metas[i];
		if (meta->value.length == 0)
			continue;
		const char *name = arena_strndup(reply->arena, meta->name.data, meta->name.length);
		const char *value = arena_strndup(reply->arena, meta->value.data, meta->value.length);
		headers_set(&reply->headers, name, value);
	}
}

void server_reply_time(struct reply *reply, const char *name, struct timestamp time,
	size_t (*format)(struct timestamp time, char text[TIMESTAMP_TEXT_BYTES]))
{
	char text[TIMESTAMP_TEXT_BYTES];
	format(time, text);
	headers_set(&reply->headers, name, arena_strdup(reply->arena, text));
}
