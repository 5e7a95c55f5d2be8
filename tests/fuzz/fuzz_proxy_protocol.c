/*
 * Headers of the PROXY protocol from anybody. Whatever the bytes are, the answer for a beginning of them must go with
 * the answer for all of them.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/http/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory of just that size. */
static int parse(const uint8_t *data, size_t size, struct proxy_header *ret_header)
{
	_cleanup_free_ uint8_t *copy = xmalloc(size + !size);
	memcpy(copy, data, size);
	return proxy_protocol_parse(copy, size, ret_header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header header, again;
	if (size > PROXY_HEADER_BYTES_MAX)
		size = PROXY_HEADER_BYTES_MAX;
	int whole = parse(data, size, &header);
	assert(whole == -EPROTO || (whole >= 0 && (size_t)whole <= size));
	assert(whole != 0 || size < PROXY_HEADER_BYTES_MAX);
	if (whole > 0) {
		assert(parse(data, (size_t)whole, &again) == whole);
		assert(again.has_client == header.has_client && again.tls == header.tls);
		assert(parse(data, (size_t)whole - 1, &again) == 0);
	}
	for (size_t length = 0; length < size && length < 64; length++) {
		int part = parse(data, length, &again);
		assert(part == 0 || part == whole);
	}
	if (whole > 0 && header.has_client) {
		char text[IP_TEXT_BYTES];
		struct ip_address parsed;
		ip_address_format(&header.client, text);
		assert(ip_address_parse(text, &parsed) == 0);
		assert(memcmp(&parsed, &header.client, sizeof(parsed)) == 0);
	}
	return 0;
}
