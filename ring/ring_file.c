/*
 * Reading ring files: gunzip, then format 1 or 2.
 *
 *	format 1   "R1NG"  u16 1  u32 J  JSON of J bytes  rows of u16 ids in the JSON's byteorder
 *	format 2   "R1NG"  u16 2  sections (u64 length, data)…  index (u64 length, JSON)
 *	           u64 offset of the index  u64 its offset in the compressed file
 *
 * Header numbers are big-endian. Of format 2's sections three are used: swift/ring/metadata,
 * swift/ring/devices and swift/ring/assignments. The index gives their places,
 * {name: [_, start, _, end, "sha256", hex]}; the checksum covers the length and the data.
 */
#include "ring/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/evp.h>
#include <zlib.h>

#include "lib/base/memory.h"
#include "ring/ring_private.h"

enum { HEADER_BYTES = 6, TRAILER_BYTES = 16, CHUNK_BYTES = 1 << 18, JSON_BYTES_MAX = 1 << 28 };

/* A compressed ring is never larger than its contents. */
#define FILE_BYTES_MAX RING_STREAM_BYTES_MAX

static void drop_json(json_t **json)
{
	json_decref(*json);
}
#define _cleanup_json_ __attribute__((cleanup(drop_json)))

/* What both formats say beside the table. */
struct ring_metadata {
	int part_power;
	int next_part_power;  /* -1: none */
	int64_t version;      /* -1: none */
	double replica_count; /* as the file claims */
};

int ring_gunzip(struct slice file, struct buf *stream, char **ret_error)
{
	z_stream inflater = {.next_in = (unsigned char *)(uintptr_t)file.data, .avail_in = (unsigned)file.length};
	if (file.length > FILE_BYTES_MAX)
		return ring_fail(ret_error, EINVAL, "larger than %zu bytes", FILE_BYTES_MAX);
	if (inflateInit2(&inflater, MAX_WBITS + 16) != Z_OK)
		memory_exhausted();
	int result;
	do {
		inflater.next_out = (unsigned char *)buf_reserve(stream, CHUNK_BYTES);
		inflater.avail_out = CHUNK_BYTES;
		result = inflate(&inflater, Z_NO_FLUSH);
		stream->length += CHUNK_BYTES - inflater.avail_out;
	} while (result == Z_OK && stream->length <= RING_STREAM_BYTES_MAX);
	unsigned rest = inflater.avail_in;
	_cleanup_free_ char *message = xstrdup(inflater.msg ? inflater.msg : "the end is missing");
	(void)inflateEnd(&inflater);

	if (stream->length > RING_STREAM_BYTES_MAX)
		return ring_fail(ret_error, EINVAL, "decompresses to more than %zu bytes", RING_STREAM_BYTES_MAX);
	if (result != Z_STREAM_END)
		return ring_fail(ret_error, EINVAL, "gzip data is damaged: %s", message);
	if (rest)
		return ring_fail(ret_error, EINVAL, "%u bytes follow the gzip data", rest);
	return 0;
}

/* An integer member in [low, high]. Missing members give `fallback`, or an error when that is below
 * `low`. */
static int get_integer(json_t *object, const char *key, int64_t low, int64_t high, int64_t fallback, int64_t *ret_value,
	char **ret_error)
{
	json_t *member = json_object_get(object, key);
	int64_t value = member ? json_integer_value(member) : fallback;
	if ((!member || json_is_null(member)) && fallback >= low) {
		*ret_value = fallback;
		return 0;
	}
	if (!member)
		return ring_fail(ret_error, EINVAL, "%s is missing", key);
	if (!json_is_integer(member) || value < low || value > high)
		return ring_fail(ret_error, EINVAL, "%s is not an integer from %lld to %lld", key, (long long)low,
			(long long)high);
	*ret_value = value;
	return 0;
}

/* A text member; missing ones give `fallback`, or an error when that is NULL. The text belongs to
 * the JSON. */
static int get_text(json_t *object, const char *key, const char *fallback, const char **ret_text, char **ret_error)
{
	json_t *member = json_object_get(object, key);
	const char *text = member && !json_is_null(member) ? json_string_value(member) : fallback;
	if (!text)
		return ring_fail(ret_error, EINVAL, "%s is %s", key, member ? "not a text" : "missing");
	*ret_text = text;
	return 0;
}

static int get_number(json_t *object, const char *key, double fallback, double *ret_value, char **ret_error)
{
	json_t *member = json_object_get(object, key);
	double value = member ? json_number_value(member) : fallback;
	if ((member && !json_is_number(member)) || !isfinite(value) || value < 0)
		return ring_fail(ret_error, EINVAL, "%s is not a number of at least 0", key);
	*ret_value = value;
	return 0;
}

/* Reads the integers of a device; `id` is its place in the list. */
static int get_device_integers(json_t *json, size_t id, struct ring_device *device, char **ret_error)
{
	int64_t value;
	int error;
	const struct {
		const char *key;
		int64_t low, high, fallback;
		int *target;
	} members[] = {
		{"id", (int64_t)id, (int64_t)id, (int64_t)id, &device->id},
		{"port", 0, 65535, -1, &device->port},
		{"replication_port", 0, 65535, json_integer_value(json_object_get(json, "port")),
			&device->replication_port},
		{"region", 0, INT_MAX, 1, &device->region},
		{"zone", 0, INT_MAX, -1, &device->zone},
	};
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		error = get_integer(
			json, members[i].key, members[i].low, members[i].high, members[i].fallback, &value, ret_error);
		if (error < 0)
			return error;
		*members[i].target = (int)value;
	}
	return 0;
}

static int put_device(struct ring *ring, json_t *json, size_t id, char **ret_error)
{
	struct ring_device device = {0};
	const char *name, *ip, *replication_ip, *meta;
	if (json_is_null(json))
		return 0;
	if (!json_is_object(json))
		return ring_fail(ret_error, EINVAL, "neither an object nor null");
	int error = get_device_integers(json, id, &device, ret_error);
	if (error < 0)
		return error;
	if ((error = get_text(json, "device", NULL, &name, ret_error)) < 0 ||
		(error = get_text(json, "ip", NULL, &ip, ret_error)) < 0 ||
		(error = get_text(json, "replication_ip", ip, &replication_ip, ret_error)) < 0 ||
		(error = get_text(json, "meta", "", &meta, ret_error)) < 0 ||
		(error = get_number(json, "weight", 0, &device.weight, ret_error)) < 0)
		return error;
	/* The ring copies the texts; the casts only satisfy the type. */
	device.device = (char *)(uintptr_t)name;
	device.ip = (char *)(uintptr_t)ip;
	device.replication_ip = (char *)(uintptr_t)replication_ip;
	device.meta = (char *)(uintptr_t)meta;
	ring_put_device(ring, &device);
	return 0;
}

static int put_devices(struct ring *ring, json_t *devices, char **ret_error)
{
	for (size_t id = 0; id < json_array_size(devices); id++) {
		_cleanup_free_ char *why = NULL;
		int error = put_device(ring, json_array_get(devices, id), id, &why);
		if (error < 0)
			return ring_fail(ret_error, -error, "device %zu: %s", id, why);
	}
	return 0;
}

static int check_devices(json_t *devices, size_t count_max, char **ret_error)
{
	if (!json_is_array(devices))
		return ring_fail(ret_error, EINVAL, "the list of devices is missing");
	if (json_array_size(devices) > count_max)
		return ring_fail(ret_error, EINVAL, "%zu devices are more than the limit of %zu",
			json_array_size(devices), count_max);
	return 0;
}

static int get_metadata(json_t *json, struct ring_metadata *metadata, char **ret_error)
{
	int64_t part_shift, next_part_power;
	int error;
	if ((error = get_integer(json, "part_shift", 0, RING_PART_POWER_MAX, -1, &part_shift, ret_error)) < 0 ||
		(error = get_integer(
			 json, "next_part_power", -1, RING_PART_POWER_MAX, -1, &next_part_power, ret_error)) < 0 ||
		(error = get_integer(json, "version", -1, INT64_MAX, -1, &metadata->version, ret_error)) < 0 ||
		(error = get_number(json, "replica_count", 0, &metadata->replica_count, ret_error)) < 0)
		return error;
	metadata->part_power = RING_PART_POWER_MAX - (int)part_shift;
	metadata->next_part_power = (int)next_part_power;
	if (!(metadata->replica_count >= 1 && metadata->replica_count <= RING_REPLICAS_MAX))
		return ring_fail(ret_error, EINVAL, "replica_count %g is not from 1 to %d", metadata->replica_count,
			RING_REPLICAS_MAX);
	return 0;
}

/*
 * Makes the ring and fills it from `table`, rows of 2^part_power ids of which the last may be
 * shorter. The number of rows follows from the data, and `replica_count` (rounded up for format 1)
 * has to agree with it.
 */
static int fill_ring(const struct ring_metadata *metadata, json_t *devices, struct slice table, unsigned device_bytes,
	bool little_endian, struct ring **ret_ring, char **ret_error)
{
	uint64_t partitions = (uint64_t)1 << metadata->part_power;
	uint64_t ids = table.length / device_bytes;
	uint64_t rows = (ids + partitions - 1) / partitions;
	if (table.length % device_bytes)
		return ring_fail(ret_error, EINVAL, "the table ends within a device id");
	if (ids < partitions || rows != (uint64_t)ceil(metadata->replica_count))
		return ring_fail(ret_error, EINVAL,
			"the table has %llu device ids, which are not %g rows for %llu partitions",
			(unsigned long long)ids, metadata->replica_count, (unsigned long long)partitions);

	struct ring *ring = ring_new(metadata->part_power, (uint32_t)rows, (uint32_t)(ids - (rows - 1) * partitions),
		json_array_size(devices), device_bytes);
	ring->next_part_power = metadata->next_part_power;
	ring->version = metadata->version;
	const unsigned char *at = (const unsigned char *)table.data;
	for (uint64_t i = 0; i < ids; i++, at += device_bytes) {
		uint32_t id = little_endian ? (uint32_t)(at[0] | at[1] << 8) : (uint32_t)(at[0] << 8 | at[1]);
		if (device_bytes == 4)
			id = id << 16 | (uint32_t)(at[2] << 8 | at[3]);
		ring_put_slot(ring, (uint32_t)(i & (partitions - 1)), (uint32_t)(i >> metadata->part_power), id);
	}
	int error = put_devices(ring, devices, ret_error);
	if (error == 0)
		error = ring_finish(ring, ret_error);
	if (error < 0) {
		ring_unref(ring);
		return error;
	}
	*ret_ring = ring;
	return 0;
}

static json_t *parse_json(struct slice text, const char *what, char **ret_error)
{
	json_error_t where;
	if (text.length > JSON_BYTES_MAX) {
		(void)ring_fail(ret_error, EINVAL, "%s is larger than %d bytes", what, JSON_BYTES_MAX);
		return NULL;
	}
	json_t *json = json_loadb(text.data, text.length, 0, &where);
	if (!json)
		(void)ring_fail(ret_error, EINVAL, "%s is not JSON: %s at byte %d", what, where.text, where.position);
	return json;
}

static int decode_v1(struct slice stream, struct ring **ret_ring, char **ret_error)
{
	struct cursor cursor = cursor_of(stream);
	(void)cursor_bytes(&cursor, HEADER_BYTES);
	struct slice text = cursor_counted(&cursor);
	if (cursor.failed)
		return ring_fail(ret_error, EINVAL, "the file ends within the JSON header");
	_cleanup_json_ json_t *json = parse_json(text, "the header", ret_error);
	if (!json)
		return -EINVAL;

	struct ring_metadata metadata;
	const char *byte_order;
	const char *own_order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? "little" : "big";
	json_t *devices = json_object_get(json, "devs");
	int error;
	if ((error = get_metadata(json, &metadata, ret_error)) < 0 ||
		(error = get_text(json, "byteorder", own_order, &byte_order, ret_error)) < 0 ||
		(error = check_devices(devices, RING_NARROW_DEVICES_MAX, ret_error)) < 0)
		return error;
	bool little = strcmp(byte_order, "little") == 0;
	if (!little && strcmp(byte_order, "big") != 0)
		return ring_fail(ret_error, EINVAL, "byteorder is neither little nor big");
	struct slice table = slice_of(cursor.at, (size_t)(cursor.end - cursor.at));
	return fill_ring(&metadata, devices, table, 2, little, ret_ring, ret_error);
}

static bool checksum_equal(struct slice bytes, const char *hex)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	char text[2 * EVP_MAX_MD_SIZE + 1];
	if (EVP_Digest(bytes.data, bytes.length, digest, &length, EVP_sha256(), NULL) != 1)
		return false;
	for (unsigned i = 0; i < length; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return strcmp(text, hex) == 0;
}

/* Finds a section by the index and checks its checksum. The result is a view into the stream. */
static int find_section(struct slice stream, json_t *index, const char *name, struct slice *ret_data, char **ret_error)
{
	json_t *entry = json_object_get(index, name);
	int64_t start = json_integer_value(json_array_get(entry, 1));
	int64_t end = json_integer_value(json_array_get(entry, 3));
	const char *method = json_string_value(json_array_get(entry, 4));
	const char *checksum = json_string_value(json_array_get(entry, 5));
	if (!entry)
		return ring_fail(ret_error, EINVAL, "section %s is missing", name);
	if (start < HEADER_BYTES || end < start || (uint64_t)end > stream.length || end - start < 8)
		return ring_fail(ret_error, EINVAL, "section %s has a wrong place", name);
	struct slice section = slice_of(stream.data + start, (size_t)(end - start));
	if (!method || !checksum || strcmp(method, "sha256") != 0)
		return ring_fail(ret_error, EINVAL, "section %s has no SHA-256 checksum", name);
	if (!checksum_equal(section, checksum))
		return ring_fail(ret_error, EINVAL, "section %s does not match its checksum", name);
	struct cursor cursor = cursor_of(section);
	if (cursor_u64(&cursor) != section.length - 8)
		return ring_fail(ret_error, EINVAL, "section %s has a wrong length", name);
	*ret_data = slice_of(cursor.at, section.length - 8);
	return 0;
}

static json_t *read_index(struct slice stream, char **ret_error)
{
	if (stream.length < HEADER_BYTES + TRAILER_BYTES) {
		(void)ring_fail(ret_error, EINVAL, "the file is too short for format 2");
		return NULL;
	}
	size_t trailer_at = stream.length - TRAILER_BYTES;
	struct cursor trailer = cursor_of(slice_of(stream.data + trailer_at, TRAILER_BYTES));
	uint64_t index_at = cursor_u64(&trailer);
	if (index_at < HEADER_BYTES || index_at > trailer_at) {
		(void)ring_fail(ret_error, EINVAL, "the index has a wrong place");
		return NULL;
	}
	struct cursor cursor = cursor_of(slice_of(stream.data + index_at, trailer_at - index_at));
	uint64_t length = cursor_u64(&cursor);
	if (cursor.failed || length != (uint64_t)(cursor.end - cursor.at)) {
		(void)ring_fail(ret_error, EINVAL, "the index has a wrong length");
		return NULL;
	}
	return parse_json(slice_of(cursor.at, length), "the index", ret_error);
}

static int decode_v2(struct slice stream, struct ring **ret_ring, char **ret_error)
{
	struct slice metadata_text, devices_text, table;
	int error;
	_cleanup_json_ json_t *index = read_index(stream, ret_error);
	if (!index)
		return -EINVAL;
	if ((error = find_section(stream, index, "swift/ring/metadata", &metadata_text, ret_error)) < 0 ||
		(error = find_section(stream, index, "swift/ring/devices", &devices_text, ret_error)) < 0 ||
		(error = find_section(stream, index, "swift/ring/assignments", &table, ret_error)) < 0)
		return error;
	_cleanup_json_ json_t *json = parse_json(metadata_text, "the metadata section", ret_error);
	if (!json)
		return -EINVAL;
	_cleanup_json_ json_t *devices = parse_json(devices_text, "the devices section", ret_error);
	if (!devices)
		return -EINVAL;

	struct ring_metadata metadata;
	int64_t device_bytes;
	if ((error = get_metadata(json, &metadata, ret_error)) < 0 ||
		(error = get_integer(json, "dev_id_bytes", 2, 4, -1, &device_bytes, ret_error)) < 0)
		return error;
	if (device_bytes == 3)
		return ring_fail(ret_error, EINVAL, "dev_id_bytes is neither 2 nor 4");
	size_t devices_max = device_bytes == 2 ? (size_t)RING_NARROW_DEVICES_MAX : (size_t)RING_DEVICES_MAX;
	if ((error = check_devices(devices, devices_max, ret_error)) < 0)
		return error;
	return fill_ring(&metadata, devices, table, (unsigned)device_bytes, false, ret_ring, ret_error);
}

int ring_decode(struct slice stream, struct ring **ret_ring, char **ret_error)
{
	struct cursor cursor = cursor_of(stream);
	struct slice magic = cursor_bytes(&cursor, 4);
	unsigned format = cursor_u16(&cursor);
	if (cursor.failed || !slice_equal(magic, SLICE_LITERAL("R1NG")))
		return ring_fail(ret_error, EINVAL, "does not begin with R1NG");
	if (format == 1)
		return decode_v1(stream, ret_ring, ret_error);
	if (format == 2)
		return decode_v2(stream, ret_ring, ret_error);
	return ring_fail(ret_error, EINVAL, "ring format %u is not known", format);
}

/* Appends the file's bytes to `file`. */
static int read_file(const char *path, struct buf *file)
{
	int error = 0;
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0)
		error = -errno;
	else if (!S_ISREG(status.st_mode))
		error = S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	while (error == 0 && file->length <= FILE_BYTES_MAX) {
		ssize_t count = read(fd, buf_reserve(file, CHUNK_BYTES), CHUNK_BYTES);
		if (count == 0)
			break;
		if (count > 0)
			file->length += (size_t)count;
		else if (errno != EINTR)
			error = -errno;
	}
	(void)close(fd);
	return error;
}

int ring_load(const char *path, struct ring **ret_ring, char **ret_error)
{
	struct buf file = BUF_INIT, stream = BUF_INIT;
	_cleanup_free_ char *why = NULL;
	int error = read_file(path, &file);
	if (error < 0)
		why = xstrdup(strerror(-error));
	else
		error = ring_gunzip(buf_slice(&file), &stream, &why);
	buf_release(&file);
	if (error == 0)
		error = ring_decode(buf_slice(&stream), ret_ring, &why);
	buf_release(&stream);
	if (error < 0)
		return ring_fail(ret_error, -error, "%s: %s", path, why);
	return 0;
}
