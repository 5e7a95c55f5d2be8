/*
 * The builder file; builder.h describes the format.
 */
#include "ring/builder.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/evp.h>
#include <zlib.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "ring/builder_private.h"
#include "ring/file_replace.h"
#include "ring/ring_private.h"

static const char format_name[] = "swiftlet ring builder";

enum { FORMAT_VERSION = 1 };

static void drop_json(json_t **json)
{
	json_decref(*json);
}
#define _cleanup_json_ __attribute__((cleanup(drop_json)))

/* Compresses the bytes and gives them as base64 text. */
static json_t *pack(const void *bytes, size_t length)
{
	uLongf compressed_length = compressBound(length);
	_cleanup_free_ unsigned char *compressed = xmalloc(compressed_length);
	if (compress2(compressed, &compressed_length, bytes, length, Z_DEFAULT_COMPRESSION) != Z_OK)
		memory_exhausted();
	_cleanup_free_ unsigned char *text = xmalloc((compressed_length + 2) / 3 * 4 + 1);
	int text_length = EVP_EncodeBlock(text, compressed, (int)compressed_length);
	return json_stringn((const char *)text, (size_t)text_length);
}

/* The reverse, into exactly `length` bytes. Returns 0 or -EINVAL with a text. */
static int unpack(json_t *text, const char *name, void *ret_bytes, size_t length, char **ret_error)
{
	size_t text_length = json_string_length(text);
	if (!json_is_string(text) || text_length == 0 || text_length % 4 || text_length > INT_MAX)
		return ring_fail(ret_error, EINVAL, "%s is not base64", name);
	const char *characters = json_string_value(text);
	_cleanup_free_ unsigned char *compressed = xmalloc(text_length / 4 * 3);
	int compressed_length = EVP_DecodeBlock(compressed, (const unsigned char *)characters, (int)text_length);
	if (compressed_length < 0)
		return ring_fail(ret_error, EINVAL, "%s is not base64", name);
	/* EVP_DecodeBlock counts padding as bytes. */
	for (size_t i = text_length; i > text_length - 2 && characters[i - 1] == '='; i--)
		compressed_length--;
	uLongf got = length;
	if (uncompress(ret_bytes, &got, compressed, (uLong)compressed_length) != Z_OK || got != length)
		return ring_fail(ret_error, EINVAL, "%s is damaged", name);
	return 0;
}

static json_t *device_to_json(const struct builder_device *device)
{
	if (!device)
		return json_null();
	const struct ring_device *d = &device->device;
	return json_pack("{s:i, s:s, s:s, s:i, s:s, s:i, s:i, s:i, s:f, s:s, s:b}", "id", d->id, "device", d->device,
		"ip", d->ip, "port", d->port, "replication_ip", d->replication_ip, "replication_port",
		d->replication_port, "region", d->region, "zone", d->zone, "weight", d->weight, "meta", d->meta,
		"removed", device->removed);
}

static size_t slots_of_builder(const struct ring_builder *builder)
{
	return (size_t)builder->partition_count * builder->row_count;
}

static json_t *pack_slots(const struct ring_builder *builder)
{
	size_t count = slots_of_builder(builder);
	_cleanup_free_ uint16_t *slots = xmalloc(count * sizeof(slots[0]));
	for (size_t i = 0; i < count; i++)
		slots[i] = htobe16(builder->slots[i]);
	return pack(slots, count * sizeof(slots[0]));
}

static json_t *pack_times(const struct ring_builder *builder)
{
	_cleanup_free_ uint32_t *times = xmalloc(builder->partition_count * sizeof(times[0]));
	for (uint32_t i = 0; i < builder->partition_count; i++)
		times[i] = htobe32(builder->moved_at[i]);
	return pack(times, builder->partition_count * sizeof(times[0]));
}

int ring_builder_save(const struct ring_builder *builder, const char *path)
{
	json_t *devices = json_array();
	for (size_t id = 0; id < builder->device_count; id++)
		(void)json_array_append_new(devices, device_to_json(builder->devices[id]));
	json_t *slots = builder->assigned ? pack_slots(builder) : json_null();
	_cleanup_json_ json_t *json = json_pack("{s:s, s:i, s:i, s:f, s:i, s:I, s:o, s:o, s:o}", "format", format_name,
		"format_version", FORMAT_VERSION, "part_power", builder->part_power, "replicas", builder->replicas,
		"min_part_hours", builder->min_part_hours, "version", (json_int_t)builder->version, "devices", devices,
		"assignment", slots, "moved_at", pack_times(builder));
	if (!json)
		return -EINVAL; /* a text that is not UTF-8 */
	_cleanup_free_ char *text = json_dumps(json, JSON_INDENT(1));
	if (!text)
		memory_exhausted();
	return ring_file_replace(path, slice_from(text));
}

static int device_from_json(struct ring_builder *builder, json_t *json, size_t id, char **ret_error)
{
	struct ring_device device = {.id = (int)id, .device = "", .ip = "", .replication_ip = "", .meta = ""};
	int removed = 0, given_id = (int)id;
	json_error_t where;
	if (json_is_null(json)) {
		(void)builder_put_device(builder, &device);
		builder_drop_device(builder, id);
		return 0;
	}
	if (json_unpack_ex(json, &where, 0, "{s:i, s:s, s:s, s:i, s:s, s:i, s:i, s:i, s:F, s:s, s:b}", "id", &given_id,
		    "device", &device.device, "ip", &device.ip, "port", &device.port, "replication_ip",
		    &device.replication_ip, "replication_port", &device.replication_port, "region", &device.region,
		    "zone", &device.zone, "weight", &device.weight, "meta", &device.meta, "removed", &removed) < 0)
		return ring_fail(ret_error, EINVAL, "device %zu: %s", id, where.text);
	if (given_id != (int)id)
		return ring_fail(ret_error, EINVAL, "device %zu has the id %d", id, given_id);
	if (device.port < 0 || device.port > 65535 || device.replication_port < 0 || device.replication_port > 65535 ||
		device.region < 0 || device.zone < 0)
		return ring_fail(ret_error, EINVAL, "device %zu: a number is out of range", id);
	if (!isfinite(device.weight) || device.weight < 0)
		return ring_fail(ret_error, EINVAL, "device %zu has no good weight", id);
	builder_put_device(builder, &device)->removed = removed;
	return 0;
}

static int devices_from_json(struct ring_builder *builder, json_t *devices, char **ret_error)
{
	if (!json_is_array(devices) || json_array_size(devices) > RING_BUILDER_DEVICES_MAX)
		return ring_fail(ret_error, EINVAL, "the list of devices is not good");
	for (size_t id = 0; id < json_array_size(devices); id++) {
		int error = device_from_json(builder, json_array_get(devices, id), id, ret_error);
		if (error < 0)
			return error;
	}
	return 0;
}

/* Reads the slots and checks that each holds a device, except those a short last row leaves out. */
static int slots_from_json(struct ring_builder *builder, json_t *assignment, char **ret_error)
{
	size_t count = slots_of_builder(builder);
	if (json_is_null(assignment))
		return 0;
	int error = unpack(assignment, "assignment", builder->slots, count * sizeof(builder->slots[0]), ret_error);
	if (error < 0)
		return error;
	for (size_t i = 0; i < count; i++) {
		uint32_t id = builder->slots[i] = be16toh(builder->slots[i]);
		bool wanted = i % builder->row_count < builder_replicas_of(builder, (uint32_t)(i / builder->row_count));
		bool good = wanted ? id < builder->device_count && builder->devices[id] : id == BUILDER_SLOT_NONE;
		if (!good)
			return ring_fail(ret_error, EINVAL, "partition %zu is on device %u, which does not exist",
				i / builder->row_count, id);
	}
	builder->assigned = true;
	builder_count_parts(builder);
	return 0;
}

static int times_from_json(struct ring_builder *builder, json_t *moved_at, char **ret_error)
{
	int error = unpack(moved_at, "moved_at", builder->moved_at,
		builder->partition_count * sizeof(builder->moved_at[0]), ret_error);
	for (uint32_t i = 0; i < builder->partition_count && error == 0; i++)
		builder->moved_at[i] = be32toh(builder->moved_at[i]);
	return error;
}

static int builder_from_json(json_t *json, struct ring_builder **ret_builder, char **ret_error)
{
	const char *format;
	int format_version, part_power, min_part_hours;
	double replicas;
	json_int_t version;
	json_t *devices, *assignment, *moved_at;
	json_error_t where;
	struct ring_builder *builder;
	if (json_unpack_ex(json, &where, 0, "{s:s, s:i}", "format", &format, "format_version", &format_version) < 0 ||
		strcmp(format, format_name) != 0)
		return ring_fail(ret_error, EINVAL, "not a builder file");
	if (format_version != FORMAT_VERSION)
		return ring_fail(ret_error, EINVAL, "builder format %d is not known", format_version);
	if (json_unpack_ex(json, &where, 0, "{s:i, s:F, s:i, s:I, s:o, s:o, s:o}", "part_power", &part_power,
		    "replicas", &replicas, "min_part_hours", &min_part_hours, "version", &version, "devices", &devices,
		    "assignment", &assignment, "moved_at", &moved_at) < 0)
		return ring_fail(ret_error, EINVAL, "%s", where.text);
	int error = ring_builder_new(part_power, replicas, min_part_hours, &builder, ret_error);
	if (error < 0)
		return error;
	builder->version = version;
	if ((error = devices_from_json(builder, devices, ret_error)) < 0 ||
		(error = slots_from_json(builder, assignment, ret_error)) < 0 ||
		(error = times_from_json(builder, moved_at, ret_error)) < 0) {
		ring_builder_free(builder);
		return error;
	}
	*ret_builder = builder;
	return 0;
}

int ring_builder_load(const char *path, struct ring_builder **ret_builder, char **ret_error)
{
	json_error_t where;
	FILE *file = fopen(path, "re");
	if (!file) {
		int error = errno;
		return ring_fail(ret_error, error, "%s: %s", path, strerror(error));
	}
	_cleanup_json_ json_t *json = json_loadf(file, 0, &where);
	bool pickle = fseek(file, 0, SEEK_SET) == 0 && getc(file) == 0x80;
	(void)fclose(file);
	if (pickle)
		return ring_fail(ret_error, EINVAL,
			"%s: a file of swift-ring-builder, which only that can read; take over its "
			"ring.gz instead",
			path);
	if (!json)
		return ring_fail(ret_error, EINVAL, "%s: not a builder file: %s", path, where.text);
	_cleanup_free_ char *why = NULL;
	int error = builder_from_json(json, ret_builder, &why);
	return error < 0 ? ring_fail(ret_error, -error, "%s: %s", path, why) : 0;
}
