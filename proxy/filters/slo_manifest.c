#include "proxy/filters/slo_manifest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/swift/base64.h"
#include "lib/swift/bounded_json.h"
#include "lib/swift/number.h"
#include "lib/swift/range.h"

/* ---- a client's manifest ---- */

struct parse {
	struct arena *arena;
	struct slice own_path;
	size_t count; /* of all segments */
	struct buf errors;
};

static void complain(struct parse *parse, size_t index, const char *text)
{
	buf_printf(&parse->errors, "Index %zu: %s\n", index, text);
}

/* Names of keys that do not belong there, sorted and quoted as JSON. NULL: there are none. */
static const char *extra_keys(struct arena *arena, json_t *item, const char *const *allowed)
{
	json_t *extra = json_object();
	const char *key;
	json_t *value;
	json_object_foreach(item, key, value)
	{
		bool known = false;
		for (size_t i = 0; allowed[i]; i++)
			known |= strcmp(allowed[i], key) == 0;
		if (!known)
			json_object_set_new(extra, key, json_null());
	}
	const char *text = NULL;
	if (json_object_size(extra)) {
		char *sorted = json_dumps(extra, JSON_SORT_KEYS | JSON_ENSURE_ASCII);
		struct buf list = BUF_INIT;
		/* {"a": null, "b": null} without its values and brackets */
		for (const char *at = sorted + 1; *at && *at != '}';) {
			const char *null = strstr(at, ": null");
			if (!null)
				break;
			buf_append(&list, at, (size_t)(null - at));
			at = null + strlen(": null");
			if (*at == ',') {
				buf_append_text(&list, ", ");
				at += 2;
			}
		}
		text = arena_strndup(arena, list.data, list.length);
		buf_release(&list);
		free(sorted);
	}
	json_decref(extra);
	return text;
}

static const char *string_of(struct arena *arena, json_t *value)
{
	return arena_strndup(arena, json_string_value(value), json_string_length(value));
}

/* "/container/object" in two; slashes around it do not count before, but belong to the object behind. */
static bool split_path_text(struct slo_segment *segment)
{
	const char *path = segment->path + strspn(segment->path, "/");
	const char *slash = strchr(path, '/');
	if (!slash || !slash[1] || strspn(slash, "/") == strlen(slash))
		return false;
	segment->container = slice_of(path, (size_t)(slash - path));
	segment->object = slice_from(slash + 1);
	return true;
}

static bool take_size(json_t *value, int64_t *ret_bytes)
{
	*ret_bytes = -1;
	if (!value || json_is_null(value))
		return true;
	if (json_is_integer(value))
		*ret_bytes = json_integer_value(value);
	else if (json_is_real(value))
		*ret_bytes = (int64_t)json_real_value(value);
	else if (json_is_boolean(value))
		*ret_bytes = json_is_true(value);
	else
		return json_is_string(value) &&
		       number_parse_integer(slice_of(json_string_value(value), json_string_length(value)), ret_bytes) ==
			       0;
	return true;
}

/* The range of a segment: NULL, or what is wrong with it. `bytes` -1: the size is not known yet. */
static const char *range_complaint(struct arena *arena, const char *range, int64_t bytes)
{
	struct byte_range ranges[RANGE_COUNT_MAX];
	size_t count;
	const char *header = arena_printf(arena, "bytes=%s", range);
	/* against an endless object everything that is well-formed fits */
	if (range_evaluate(header, INT64_MAX, ranges, &count) == RANGE_NONE)
		return "invalid range";
	if (strchr(range, ','))
		return "multiple ranges (only one allowed)";
	if (bytes >= 0 && (range_evaluate(header, (uint64_t)bytes, ranges, &count) != RANGE_OK))
		return "unsatisfiable range";
	return NULL;
}

static const char *read_object_segment(struct parse *parse, json_t *item, size_t index, struct slo_segment *segment)
{
	json_t *path = json_object_get(item, "path"), *etag = json_object_get(item, "etag");
	json_t *range = json_object_get(item, "range");
	if (!json_is_string(path))
		return "\"path\" must be a string";
	if (etag && !json_is_null(etag) && !json_is_string(etag))
		return "\"etag\" must be a string or null (if provided)";
	segment->path = string_of(parse->arena, path);
	segment->etag = json_is_string(etag) ? string_of(parse->arena, etag) : NULL;
	if (strlen(segment->path) != json_string_length(path) || !split_path_text(segment))
		return "path does not refer to an object. Path must be of the form /container/object.";
	if (!take_size(json_object_get(item, "size_bytes"), &segment->bytes))
		return "invalid size_bytes";
	bool has_size = json_object_get(item, "size_bytes") && !json_is_null(json_object_get(item, "size_bytes"));
	if (has_size && segment->bytes < 1 && index + 1 != parse->count)
		return "too small; each segment must be at least 1 byte.";
	const char *own =
		arena_printf(parse->arena, "/%.*s/%.*s", SLICE_PRINT(segment->container), SLICE_PRINT(segment->object));
	if (slice_equal(slice_from(own), parse->own_path))
		return "manifest must not include itself as a segment";
	if (json_is_string(range) && json_string_length(range)) {
		segment->range = string_of(parse->arena, range);
		return range_complaint(parse->arena, segment->range, segment->bytes);
	}
	return range && json_is_true(range) ? "invalid range" : NULL;
}

static const char *read_data_segment(struct parse *parse, json_t *item, struct slo_segment *segment)
{
	json_t *data = json_object_get(item, "data");
	segment->data = SLICE_LITERAL("");
	if (!json_is_string(data) ||
		!base64_decode(
			parse->arena, slice_of(json_string_value(data), json_string_length(data)), &segment->data))
		return "data must be valid base64";
	if (segment->data.length == 0)
		return "too small; each segment must be at least 1 byte.";
	segment->data_base64 = base64_encode(parse->arena, segment->data);
	segment->length = segment->data.length;
	return NULL;
}

static void read_segment(struct parse *parse, json_t *item, size_t index, struct slo_segment *segment)
{
	static const char *const object_keys[] = {"path", "range", "etag", "size_bytes", NULL};
	static const char *const data_keys[] = {"data", NULL};
	segment->bytes = -1;
	if (!json_is_object(item)) {
		complain(parse, index, "not a JSON object");
		return;
	}
	bool is_data = json_object_get(item, "data") != NULL;
	if (!is_data && !json_object_get(item, "path")) {
		complain(parse, index, "expected keys to include one of 'data' or 'path'");
		return;
	}
	const char *extra = extra_keys(parse->arena, item, is_data ? data_keys : object_keys);
	if (extra) {
		complain(parse, index, arena_printf(parse->arena, "extraneous keys %s", extra));
		return;
	}
	const char *wrong =
		is_data ? read_data_segment(parse, item, segment) : read_object_segment(parse, item, index, segment);
	if (wrong)
		complain(parse, index, wrong);
}

static void read_list(struct parse *parse, json_t *list, struct slo_manifest *manifest)
{
	size_t index;
	json_t *item;
	manifest->count = parse->count = json_array_size(list);
	manifest->segments = arena_zalloc(parse->arena, (manifest->count + 1) * sizeof(*manifest->segments));
	json_array_foreach(list, index, item)
	{
		read_segment(parse, item, index, &manifest->segments[index]);
		manifest->object_count += manifest->segments[index].data.data == NULL;
	}
	if (manifest->count && manifest->object_count == 0)
		buf_append_text(&parse->errors, "Inline data segments require at least one object-backed segment.\n");
}

int slo_manifest_parse(struct arena *arena, struct slice json, struct slice own_path, struct slo_manifest *ret_manifest,
	const char **ret_error, bool *ret_is_list)
{
	struct parse parse = {.arena = arena, .own_path = own_path, .errors = BUF_INIT};
	struct slo_manifest manifest = {0};
	json_t *list = bounded_json_parse(json, NULL);
	*ret_is_list = false;
	if (!json_is_array(list)) {
		*ret_error = list ? "Manifest must be a list.\n" : "Manifest must be valid JSON.\n";
		json_decref(list);
		return -EINVAL;
	}
	read_list(&parse, list, &manifest);
	json_decref(list);
	bool bad = parse.errors.length > 0;
	if (bad) {
		*ret_error = arena_strndup(arena, parse.errors.data, parse.errors.length);
		*ret_is_list = true;
	} else {
		*ret_manifest = manifest;
	}
	buf_release(&parse.errors);
	return bad ? -EINVAL : 0;
}

/* ---- a stored manifest ---- */

static const char *text_at(struct arena *arena, json_t *item, const char *key)
{
	json_t *value = json_object_get(item, key);
	return json_is_string(value) ? string_of(arena, value) : NULL;
}

/* swift_bytes of the content type is the size of a large object whose row says that of its manifest. */
static void take_swift_bytes(struct arena *arena, struct slo_segment *segment)
{
	const char *mark = segment->content_type ? strstr(segment->content_type, "swift_bytes=") : NULL;
	int64_t bytes;
	if (!mark)
		return;
	const char *digits = mark + strlen("swift_bytes=");
	if (number_parse_integer(slice_of(digits, strspn(digits, "0123456789")), &bytes) == 0)
		segment->bytes = bytes;
	size_t front = (size_t)(mark - segment->content_type);
	while (front && (segment->content_type[front - 1] == ' ' || segment->content_type[front - 1] == ';'))
		front--;
	segment->content_type = arena_strndup(arena, segment->content_type, front);
}

static bool load_object_segment(struct arena *arena, json_t *item, struct slo_segment *segment)
{
	segment->path = text_at(arena, item, "name");
	segment->etag = text_at(arena, item, "hash");
	segment->content_type = text_at(arena, item, "content_type");
	segment->last_modified = text_at(arena, item, "last_modified");
	segment->range = text_at(arena, item, "range");
	segment->sub_slo = json_is_true(json_object_get(item, "sub_slo"));
	if (!segment->path || !split_path_text(segment) ||
		!take_size(json_object_get(item, "bytes"), &segment->bytes) || segment->bytes < 0)
		return false;
	if (segment->sub_slo)
		take_swift_bytes(arena, segment);
	unsigned long long first = 0, last = 0;
	if (segment->range && sscanf(segment->range, "%llu-%llu", &first, &last) != 2)
		return false;
	if (segment->range && (last < first || last >= INT64_MAX))
		return false;
	segment->first = first;
	segment->length = segment->range ? last - first + 1 : (uint64_t)segment->bytes;
	return true;
}

static bool load_segment(struct arena *arena, json_t *item, struct slo_segment *segment)
{
	json_t *data = json_object_get(item, "data");
	segment->bytes = -1;
	if (!data)
		return load_object_segment(arena, item, segment);
	segment->data_base64 = text_at(arena, item, "data");
	if (!segment->data_base64 || !base64_decode(arena, slice_from(segment->data_base64), &segment->data))
		return false;
	segment->length = segment->data.length;
	return true;
}

int slo_manifest_load(struct arena *arena, struct slice json, struct slo_manifest *ret_manifest)
{
	struct slo_manifest manifest = {0};
	json_t *list = bounded_json_parse(json, NULL);
	bool good = json_is_array(list);
	if (good) {
		size_t index;
		json_t *item;
		manifest.count = json_array_size(list);
		manifest.segments = arena_zalloc(arena, (manifest.count + 1) * sizeof(*manifest.segments));
		json_array_foreach(list, index, item)
		{
			struct slo_segment *segment = &manifest.segments[index];
			good = good && load_segment(arena, item, segment) &&
			       !__builtin_add_overflow(manifest.bytes, segment->length, &manifest.bytes);
			manifest.object_count += segment->data.data == NULL;
		}
	}
	json_decref(list);
	if (!good)
		return -EINVAL;
	*ret_manifest = manifest;
	return 0;
}

/* ---- printing ---- */

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *stored_json(const struct slo_segment *segment)
{
	json_t *item = json_object();
	json_object_set_new(item, "name",
		json_sprintf("/%.*s/%.*s", SLICE_PRINT(segment->container), SLICE_PRINT(segment->object)));
	json_object_set_new(item, "bytes", json_integer(segment->bytes));
	json_object_set_new(item, "hash", text_or_null(segment->etag));
	json_object_set_new(item, "content_type", text_or_null(segment->content_type));
	json_object_set_new(item, "last_modified", text_or_null(segment->last_modified));
	if (segment->range)
		json_object_set_new(item, "range", json_string(segment->range));
	if (segment->sub_slo)
		json_object_set_new(item, "sub_slo", json_true());
	return item;
}

static json_t *raw_json(const struct slo_segment *segment)
{
	json_t *item = json_object();
	json_object_set_new(item, "path", text_or_null(segment->path));
	json_object_set_new(item, "size_bytes", json_integer(segment->bytes));
	json_object_set_new(item, "etag", text_or_null(segment->etag));
	if (segment->range)
		json_object_set_new(item, "range", json_string(segment->range));
	return item;
}

struct slice slo_manifest_print(struct arena *arena, const struct slo_manifest *manifest, bool raw)
{
	json_t *list = json_array();
	for (size_t i = 0; i < manifest->count; i++) {
		const struct slo_segment *segment = &manifest->segments[i];
		json_array_append_new(list, segment->data.data ? json_pack("{s:s}", "data", segment->data_base64)
					    : raw              ? raw_json(segment)
							       : stored_json(segment));
	}
	char *text = json_dumps(list, JSON_ENSURE_ASCII | (raw ? JSON_SORT_KEYS : 0));
	json_decref(list);
	struct slice copy = slice_from(arena_strdup(arena, text));
	free(text);
	return copy;
}

static void hex_of(EVP_MD_CTX *context, char ret_hex[33])
{
	unsigned char digest[16];
	(void)EVP_DigestFinal_ex(context, digest, NULL);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

void slo_manifest_etag(const struct slo_manifest *manifest, char ret_etag[33])
{
	EVP_MD_CTX *whole = EVP_MD_CTX_new(), *part = EVP_MD_CTX_new();
	(void)EVP_DigestInit_ex(whole, EVP_md5(), NULL);
	for (size_t i = 0; i < manifest->count; i++) {
		const struct slo_segment *segment = &manifest->segments[i];
		char hex[33];
		if (segment->data.data) {
			(void)EVP_DigestInit_ex(part, EVP_md5(), NULL);
			(void)EVP_DigestUpdate(part, segment->data.data, segment->data.length);
			hex_of(part, hex);
			(void)EVP_DigestUpdate(whole, hex, 32);
			continue;
		}
		(void)EVP_DigestUpdate(
			whole, segment->etag ? segment->etag : "", segment->etag ? strlen(segment->etag) : 0);
		if (segment->range) {
			(void)EVP_DigestUpdate(whole, ":", 1);
			(void)EVP_DigestUpdate(whole, segment->range, strlen(segment->range));
			(void)EVP_DigestUpdate(whole, ";", 1);
		}
	}
	hex_of(whole, ret_etag);
	EVP_MD_CTX_free(part);
	EVP_MD_CTX_free(whole);
}
