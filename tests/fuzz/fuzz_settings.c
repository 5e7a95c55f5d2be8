/*
 * Configuration files and addresses. A file is taken with all members within their bounds, or refused with one line;
 * an address that is taken reads the same when it is written again.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/base/settings.h"
#include "lib/co/socket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_taken(const struct settings *settings)
{
	assert(settings->policy_count >= 1 && settings->auth.reseller_count >= 1);
	size_t defaults = 0;
	for (size_t i = 0; i < settings->policy_count; i++)
		defaults += settings->policies[i].is_default;
	assert(defaults == 1);
	assert(settings->swiftlet.workers >= 0 && settings->swiftlet.threads_per_device >= 1);
	for (size_t i = 0; i < settings->proxy.bind.count; i++) {
		char ip[46];
		int port;
		assert(socket_address_parse(settings->proxy.bind.items[i], ip, &port) == 0);
	}
}

static void check_file(const uint8_t *data, size_t size)
{
	char path[64];
	int fd = memfd_create("settings", MFD_CLOEXEC);
	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct settings *settings = NULL;
	char *error = NULL;
	int result = settings_load(path, &settings, &error);
	assert((result < 0) == (error != NULL));
	assert(!error || !strchr(error, '\n'));
	if (result == 0)
		check_taken(settings);
	settings_free(settings);
	free(error);
	close(fd);
}

static void check_address(const char *text)
{
	char ip[46], again_ip[46];
	int port, again_port;
	if (socket_address_parse(text, ip, &port))
		return;
	assert(strlen(ip) < sizeof(ip) && port > 0 && port < 65536);
	_cleanup_free_ char *again = xasprintf(strchr(ip, ':') ? "[%s]:%d" : "%s:%d", ip, port);
	assert(socket_address_parse(again, again_ip, &again_port) == 0);
	assert(strcmp(ip, again_ip) == 0 && port == again_port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xmalloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	check_address(text);
	check_file(data, size);
	return 0;
}
