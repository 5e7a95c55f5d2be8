/*
 * Writing ring files in format 1, byte for byte as Swift's RingData.serialize_v1 does: the JSON
 * that Python's json.dumps prints with sorted keys, and a gzip header with a fixed time and the
 * file's name.
 */
#include "ring/ring.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "lib/base/memory.h"
#include "ring/file_replace.h"
#include "ring/ring_private.h"

enum {
	GZIP_TIME = 1300507380, /* swift/common/ring/ring.py, RingData.save: the same ring gives the
				   same bytes */
	GZIP_SYSTEM = 255       /* "unknown", as Python's gzip module writes */
};

/* The code point of the valid UTF-8 sequence at *text, which moves behind it. */
static uint32_t next_code_point(const unsigned char **text)
{
	uint32_t point = *(*text)++;
	if (point < 0x80)
		return point;
	point &= point >= 0xf0 ? 0x07 : point >= 0xe0 ? 0x0f : 0x1f;
	while ((**text & 0xc0) == 0x80)
		point = point << 6 | (*(*text)++ & 0x3f);
	return point;
}

/* A text as json.dumps prints it: lower-case hex, surrogate pairs, DEL as it is. */
static void append_text(struct buf *json, const char *text)
{
	static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	const unsigned char *at = (const unsigned char *)text;
	buf_append_byte(json, '"');
	while (*at) {
		uint32_t point = next_code_point(&at);
		const char *name = NULL;
		for (size_t i = 0; i + 1 < sizeof(named) && !name; i += 2)
			if (point == (unsigned char)named[i])
				name = &named[i + 1];
		if (name)
			buf_printf(json, "\\%c", *name);
		else if (point >= 0x10000)
			buf_printf(json, "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10),
				0xdc00 + ((point - 0x10000) & 0x3ff));
		else if (point < ' ' || point > 0x7f)
			buf_printf(json, "\\u%04x", point);
		else
			buf_append_byte(json, (char)point);
	}
	buf_append_byte(json, '"');
}

/* A float as Python's repr prints it: the fewest digits that read back equal, exponent below 1e-4
 * and from 1e16 on. */
static void append_float(struct buf *json, double value)
{
	char digits[40];
	int precision = 0;
	do
		(void)snprintf(digits, sizeof(digits), "%.*e", precision, value);
	while (strtod(digits, NULL) != value && ++precision < 17);
	int exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
	if (exponent >= -4 && exponent < 16) {
		int decimals = precision > exponent ? precision - exponent : 1;
		buf_printf(json, "%.*f", decimals, value);
	} else {
		buf_append_text(json, digits);
	}
}

static void append_device(struct buf *json, const struct ring_device *device)
{
	if (!device) {
		buf_append_text(json, "null");
		return;
	}
	buf_append_text(json, "{\"device\": ");
	append_text(json, device->device);
	buf_printf(json, ", \"id\": %d, \"ip\": ", device->id);
	append_text(json, device->ip);
	buf_append_text(json, ", \"meta\": ");
	append_text(json, device->meta);
	buf_printf(json, ", \"port\": %d, \"region\": %d, \"replication_ip\": ", device->port, device->region);
	append_text(json, device->replication_ip);
	buf_printf(json, ", \"replication_port\": %d, \"weight\": ", device->replication_port);
	append_float(json, device->weight);
	buf_printf(json, ", \"zone\": %d}", device->zone);
}

static void append_header(struct buf *json, const struct ring *ring)
{
	buf_append_text(json, "{\"byteorder\": \"little\", \"devs\": [");
	for (size_t id = 0; id < ring->device_count; id++) {
		if (id)
			buf_append_text(json, ", ");
		append_device(json, ring->devices[id]);
	}
	buf_append_text(json, "], ");
	if (ring->next_part_power >= 0)
		buf_printf(json, "\"next_part_power\": %d, ", ring->next_part_power);
	buf_printf(json, "\"part_shift\": %d, \"replica_count\": %u", RING_PART_POWER_MAX - ring->part_power,
		ring->row_count);
	if (ring->version >= 0)
		buf_printf(json, ", \"version\": %lld", (long long)ring->version);
	buf_append_byte(json, '}');
}

static void append_row(struct buf *stream, const struct ring *ring, uint32_t row)
{
	uint32_t length = row + 1 < ring->row_count ? ring->partition_count : ring->last_row_length;
	char *at = buf_reserve(stream, 2 * (size_t)length);
	for (uint32_t partition = 0; partition < length; partition++) {
		uint32_t id = ring_slot(ring, partition, row);
		*at++ = (char)(id & 0xff);
		*at++ = (char)(id >> 8);
	}
	stream->length += 2 * (size_t)length;
}

int ring_encode_v1(const struct ring *ring, struct buf *stream)
{
	if (ring->device_count > RING_NARROW_DEVICES_MAX)
		return -E2BIG;
	struct buf json = BUF_INIT;
	append_header(&json, ring);
	buf_append_text(stream, "R1NG");
	buf_append_u16(stream, 1);
	buf_append_counted(stream, buf_slice(&json));
	buf_release(&json);
	for (uint32_t row = 0; row < ring->row_count; row++)
		append_row(stream, ring, row);
	return 0;
}

void ring_gzip(struct slice stream, const char *name, struct buf *file)
{
	z_stream deflater = {0};
	if (deflateInit2(&deflater, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		memory_exhausted();
	gz_header header = {
		.time = GZIP_TIME,
		.os = GZIP_SYSTEM,
		.name = (unsigned char *)(uintptr_t)name,
	};
	(void)deflateSetHeader(&deflater, &header); /* fails only for streams without a gzip header */
	size_t bound = deflateBound(&deflater, stream.length);
	deflater.next_in = (unsigned char *)(uintptr_t)stream.data;
	deflater.avail_in = (unsigned)stream.length;
	deflater.next_out = (unsigned char *)buf_reserve(file, bound);
	deflater.avail_out = (unsigned)bound;
	int result = deflate(&deflater, Z_FINISH);
	if (result != Z_STREAM_END)
		memory_exhausted(); /* deflateBound() was room enough for anything else */
	file->length += bound - deflater.avail_out;
	(void)deflateEnd(&deflater);
}

/* The name in the gzip header: that of the file without ".gz". */
static char *name_in_header(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = xstrdup(slash ? slash + 1 : path);
	size_t length = strlen(name);
	if (length > 3 && strcmp(name + length - 3, ".gz") == 0)
		name[length - 3] = '\0';
	return name;
}

int ring_save_v1(const struct ring *ring, const char *path)
{
	struct buf stream = BUF_INIT, file = BUF_INIT;
	int error = ring_encode_v1(ring, &stream);
	if (error == 0) {
		_cleanup_free_ char *name = name_in_header(path);
		ring_gzip(buf_slice(&stream), name, &file);
		error = ring_file_replace(path, buf_slice(&file));
	}
	buf_release(&stream);
	buf_release(&file);
	return error;
}
