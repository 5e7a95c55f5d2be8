#include "ring/device_text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "ring/ring.h"
#include "ring/ring_private.h"

/* Reads digits into *value when the text at *at goes on with `letter`; otherwise does nothing. */
static int parse_number(const char **at, char letter, int *value, char **ret_error)
{
	if (**at != letter)
		return 0;
	const char *digits = *at + 1;
	char *end;
	errno = 0;
	long number = strtol(digits, &end, 10);
	if (!isdigit((unsigned char)*digits) || errno || number > INT_MAX)
		return ring_fail(ret_error, EINVAL, "a number must follow %c", letter);
	*value = (int)number;
	*at = end;
	return 0;
}

static int copy_text(char *target, const char *text, size_t length, char **ret_error)
{
	if (length >= DEVICE_TEXT_MAX)
		return ring_fail(ret_error, EINVAL, "a part is longer than %d bytes", DEVICE_TEXT_MAX - 1);
	memcpy(target, text, length);
	target[length] = '\0';
	return 0;
}

/* Puts the address into the one form that all nodes use, so that equal hosts compare equal. */
static int normalize_ip(char *ip, char **ret_error)
{
	struct in6_addr address;
	if (strchr(ip, ':')) {
		if (inet_pton(AF_INET6, ip, &address) != 1)
			return ring_fail(ret_error, EINVAL, "%s is no IPv6 address", ip);
		(void)inet_ntop(AF_INET6, &address, ip, DEVICE_TEXT_MAX);
		return 0;
	}
	if (!*ip)
		return ring_fail(ret_error, EINVAL, "the address is missing");
	for (char *c = ip; *c; c++) {
		if (!isalnum((unsigned char)*c) && *c != '.' && *c != '-')
			return ring_fail(ret_error, EINVAL, "%s is neither an address nor a host name", ip);
		*c = (char)tolower((unsigned char)*c);
	}
	return 0;
}

/* Reads "<letter>ip[:port]"; the address ends at "R", "/", "_" or the end. */
static int parse_address(const char **at, char letter, char *ip, int *port, char **ret_error)
{
	int error;
	size_t length;
	if (**at != letter)
		return 0;
	const char *start = *at + 1;
	if (*start == '[') {
		start++;
		length = strcspn(start, "]");
		if (!start[length])
			return ring_fail(ret_error, EINVAL, "] is missing");
		*at = start + length + 1;
	} else {
		length = strcspn(start, ":R/_");
		*at = start + length;
	}
	if ((error = copy_text(ip, start, length, ret_error)) < 0 || (error = normalize_ip(ip, ret_error)) < 0 ||
		(error = parse_number(at, ':', port, ret_error)) < 0)
		return error;
	if (*port > 65535)
		return ring_fail(ret_error, EINVAL, "port %d is above 65535", *port);
	return 0;
}

static int parse_parts(const char *text, struct device_text *parsed, char **ret_error)
{
	const char *at = text;
	int error;
	if ((error = parse_number(&at, 'd', &parsed->id, ret_error)) < 0 ||
		(error = parse_number(&at, 'r', &parsed->region, ret_error)) < 0 ||
		(error = parse_number(&at, 'z', &parsed->zone, ret_error)) < 0 ||
		(error = parse_address(&at, '-', parsed->ip, &parsed->port, ret_error)) < 0 ||
		(error = parse_address(&at, 'R', parsed->replication_ip, &parsed->replication_port, ret_error)) < 0)
		return error;
	if (*at == '/') {
		size_t length = strcspn(at + 1, "_");
		error = copy_text(parsed->device, at + 1, length, ret_error);
		at += 1 + length;
	}
	if (error == 0 && *at == '_') {
		error = copy_text(parsed->meta, at + 1, strlen(at + 1), ret_error);
		at += strlen(at);
	}
	if (error == 0 && (*at || at == text))
		error = ring_fail(ret_error, EINVAL, "\"%s\" is not understood", *at ? at : text);
	return error;
}

int device_text_parse(const char *text, struct device_text *ret_parsed, char **ret_error)
{
	_cleanup_free_ char *why = NULL;
	struct device_text parsed = {.id = -1, .region = -1, .zone = -1, .port = -1, .replication_port = -1};
	int error = parse_parts(text, &parsed, &why);
	if (error < 0)
		return ring_fail(ret_error, -error, "device %s: %s", text, why);
	*ret_parsed = parsed;
	return 0;
}

bool device_text_matches(const struct device_text *pattern, const struct ring_device *device)
{
	if ((pattern->id >= 0 && pattern->id != device->id) ||
		(pattern->region >= 0 && pattern->region != device->region) ||
		(pattern->zone >= 0 && pattern->zone != device->zone) ||
		(pattern->port >= 0 && pattern->port != device->port) ||
		(pattern->replication_port >= 0 && pattern->replication_port != device->replication_port))
		return false;
	return (!*pattern->ip || strcmp(pattern->ip, device->ip) == 0) &&
	       (!*pattern->replication_ip || strcmp(pattern->replication_ip, device->replication_ip) == 0) &&
	       (!*pattern->device || strcmp(pattern->device, device->device) == 0) &&
	       strstr(device->meta, pattern->meta) != NULL;
}

int device_text_parse_whole(
	const char *text, struct device_text *parsed, struct ring_device *ret_device, char **ret_error)
{
	int error = device_text_parse(text, parsed, ret_error);
	if (error < 0)
		return error;
	const char *missing = parsed->id >= 0    ? "no d<id>; the builder gives it"
			      : parsed->zone < 0 ? "z<zone>"
			      : !*parsed->ip     ? "-<ip>:<port>"
			      : parsed->port < 0 ? ":<port> after the ip"
			      : !*parsed->device ? "/<device>"
			      : *parsed->replication_ip && parsed->replication_port < 0
				      ? ":<port> after the replication ip"
				      : NULL;
	if (missing)
		return ring_fail(ret_error, EINVAL, "device %s needs %s", text, missing);
	bool replicates_apart = *parsed->replication_ip != '\0';
	*ret_device = (struct ring_device){
		.id = -1,
		.device = parsed->device,
		.ip = parsed->ip,
		.port = parsed->port,
		.replication_ip = replicates_apart ? parsed->replication_ip : parsed->ip,
		.replication_port = replicates_apart ? parsed->replication_port : parsed->port,
		.region = parsed->region < 0 ? 1 : parsed->region,
		.zone = parsed->zone,
		.meta = parsed->meta,
	};
	return 0;
}

char *device_text_address(const char *ip, int port)
{
	return strchr(ip, ':') ? xasprintf("[%s]:%d", ip, port) : xasprintf("%s:%d", ip, port);
}

char *device_text_format(const struct ring_device *device)
{
	_cleanup_free_ char *address = device_text_address(device->ip, device->port);
	_cleanup_free_ char *replication = device_text_address(device->replication_ip, device->replication_port);
	return xasprintf("d%dr%dz%d-%sR%s/%s%s%s", device->id, device->region, device->zone, address, replication,
		device->device, *device->meta ? "_" : "", device->meta);
}
