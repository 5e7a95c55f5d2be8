/*
 * Ring builder files, and devices as the command line writes them. A builder that is accepted passes its own check,
 * makes a ring, and survives being written and read; a device that is accepted is printed and read as the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "ring/builder.h"
#include "ring/device_text.h"
#include "ring/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_builder(const uint8_t *data, size_t size)
{
	char path[64];
	int fd = memfd_create("builder", MFD_CLOEXEC);
	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct ring_builder *builder = NULL;
	char *error = NULL;
	int result = ring_builder_load(path, &builder, &error);
	assert((result < 0) == (error != NULL));
	if (result == 0) {
		assert(ring_builder_part_power(builder) >= 0 && ring_builder_replicas(builder) >= 1);
		ring_unref(ring_builder_ring(builder));
		ring_builder_free(builder);
	}
	free(error);
	close(fd);
}

static void check_device(const char *text)
{
	struct device_text parsed, again;
	struct ring_device device = {0}, copy = {0};
	char *error = NULL;
	int result = device_text_parse_whole(text, &parsed, &device, &error);
	assert((result < 0) == (error != NULL));
	free(error);
	if (result < 0)
		return;
	assert(device_text_matches(&parsed, &device));
	_cleanup_free_ char *printed = device_text_format(&device);
	const char *without_id = strchr(printed, 'r');
	assert(without_id && device_text_parse_whole(without_id, &again, &copy, &error) == 0);
	assert(device.region == copy.region && device.zone == copy.zone && device.port == copy.port &&
		device.replication_port == copy.replication_port);
	assert(strcmp(device.ip, copy.ip) == 0 && strcmp(device.replication_ip, copy.replication_ip) == 0 &&
		strcmp(device.device, copy.device) == 0 && strcmp(device.meta, copy.meta) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xmalloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	check_device(text);
	check_builder(data, size);
	return 0;
}
