/*
 * Devices as swift-ring-builder's command line writes them:
 *
 *	r1z2-10.0.0.1:6200R10.1.0.1:6210/sda_some remark
 *
 * region 1, zone 2, address, replication address, device, remark. The same with parts left out,
 * and with d<id> in front, is a pattern that matches devices. IPv6 addresses stand in brackets.
 */
#ifndef RING_DEVICE_TEXT_H
#define RING_DEVICE_TEXT_H

#include <stdbool.h>

struct ring_device;

enum { DEVICE_TEXT_MAX = 256 }; /* bytes of a name or address, the NUL counted */

/* What a text said. Numbers it did not mention are -1, texts are "". Addresses are in lower case,
 * IPv6 compressed. */
struct device_text {
	int id;
	int region;
	int zone;
	int port;
	int replication_port;
	char ip[DEVICE_TEXT_MAX];
	char replication_ip[DEVICE_TEXT_MAX];
	char device[DEVICE_TEXT_MAX];
	char meta[DEVICE_TEXT_MAX];
};

/* Reads a pattern; all parts are optional, but one must be there. Returns 0, or -EINVAL with a
 * malloc'ed text. */
int device_text_parse(const char *text, struct device_text *ret_parsed, char **ret_error);

/* Whether a device has all that the pattern mentions. A remark matches as a part. */
bool device_text_matches(const struct device_text *pattern, const struct ring_device *device);

/*
 * Reads a whole device: zone, address and name must be there, an id must not; the region is 1 and
 * the replication address the address unless given. The weight is 0, the texts point into *parsed.
 * Returns 0 or -EINVAL with a text.
 */
int device_text_parse_whole(
	const char *text, struct device_text *parsed, struct ring_device *ret_device, char **ret_error);

/* An address for people: "ip:port", IPv6 in brackets. The caller frees it. */
char *device_text_address(const char *ip, int port);

/* A device for people in the form above, with its id in front. The caller frees it. */
char *device_text_format(const struct ring_device *device);

#endif
