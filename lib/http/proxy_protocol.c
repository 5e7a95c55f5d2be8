#include "lib/http/proxy_protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/slice.h"

enum { PORT_HTTPS = 443 };

/* ---- version 1: PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 CR LF ---- */

static const char line_start[] = "PROXY ";

/* Cuts off the text up to the next blank; false when nothing is left. */
static bool next_word(struct slice *rest, struct slice *ret_word)
{
	if (!rest->data)
		return false;
	const char *blank = memchr(rest->data, ' ', rest->length);
	size_t length = blank ? (size_t)(blank - rest->data) : rest->length;
	*ret_word = slice_of(rest->data, length);
	*rest = blank ? slice_of(blank + 1, rest->length - length - 1) : SLICE_NONE;
	return true;
}

static bool parse_ip(struct slice word, int family, struct ip_address *ret_address)
{
	char text[IP_TEXT_BYTES];
	unsigned char bytes[16];
	if (word.length >= sizeof(text))
		return false;
	memcpy(text, word.data, word.length);
	text[word.length] = '\0';
	if (strlen(text) != word.length || inet_pton(family, text, bytes) != 1)
		return false;
	*ret_address = ip_address_of(bytes, family == AF_INET ? 4 : 16);
	return true;
}

static bool parse_port(struct slice word, unsigned *ret_port)
{
	unsigned port = 0;
	if (word.length == 0 || word.length > 5 || (word.data[0] == '0' && word.length > 1))
		return false;
	for (size_t i = 0; i < word.length; i++) {
		if (word.data[i] < '0' || word.data[i] > '9')
			return false;
		port = port * 10 + (unsigned)(word.data[i] - '0');
	}
	*ret_port = port;
	return port <= 65535;
}

static int parse_words(struct slice rest, struct proxy_header *ret_header)
{
	struct slice protocol, word[4];
	if (!next_word(&rest, &protocol))
		return -EPROTO;
	/* whatever follows means nothing, says the protocol */
	if (slice_equal(protocol, SLICE_LITERAL("UNKNOWN")))
		return 0;
	bool six = slice_equal(protocol, SLICE_LITERAL("TCP6"));
	if (!six && !slice_equal(protocol, SLICE_LITERAL("TCP4")))
		return -EPROTO;
	for (int i = 0; i < 4; i++)
		if (!next_word(&rest, &word[i]))
			return -EPROTO;
	struct ip_address server;
	unsigned client_port, server_port;
	int family = six ? AF_INET6 : AF_INET;
	if (rest.data || !parse_ip(word[0], family, &ret_header->client) || !parse_ip(word[1], family, &server) ||
		!parse_port(word[2], &client_port) || !parse_port(word[3], &server_port))
		return -EPROTO;
	ret_header->has_client = true;
	ret_header->tls = server_port == PORT_HTTPS;
	return 0;
}

static int parse_line(const char *data, size_t length, struct proxy_header *ret_header)
{
	size_t start = sizeof(line_start) - 1;
	size_t known = length < start ? length : start;
	if (memcmp(data, line_start, known) != 0)
		return -EPROTO;
	size_t bound = length < PROXY_LINE_BYTES_MAX ? length : PROXY_LINE_BYTES_MAX;
	const char *end = memchr(data, '\n', bound);
	if (!end)
		return bound == PROXY_LINE_BYTES_MAX ? -EPROTO : 0;
	if (end == data || end[-1] != '\r' || end - 1 < data + start)
		return -EPROTO;
	int error = parse_words(slice_of(data + start, (size_t)(end - 1 - data) - start), ret_header);
	return error ? error : (int)(end + 1 - data);
}

/* ---- version 2: signature, version and command, family, length of the rest, addresses, values ---- */

static const unsigned char signature[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

enum {
	V2_FIXED_BYTES = 16,
	V2_LOCAL = 0x20, /* of version and command */
	V2_PROXY = 0x21,
	V2_TCP4 = 0x11, /* of family and transport */
	V2_TCP6 = 0x21,
	V2_FAMILY_MAX = 3,    /* unspecified, IPv4, IPv6, UNIX */
	V2_TRANSPORT_MAX = 2, /* unspecified, stream, datagram */
	V2_VALUE_SSL = 0x20,
	V2_SSL_BYTES_MIN = 5,
	V2_SSL_CLIENT = 0x01,
};

static unsigned two_bytes(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static int walk_values(const unsigned char *at, size_t left, struct proxy_header *ret_header)
{
	while (left) {
		if (left < 3 || two_bytes(at + 1) > left - 3)
			return -EPROTO;
		size_t length = two_bytes(at + 1);
		if (at[0] == V2_VALUE_SSL && length < V2_SSL_BYTES_MIN)
			return -EPROTO;
		if (at[0] == V2_VALUE_SSL && at[3] & V2_SSL_CLIENT)
			ret_header->tls = true;
		at += 3 + length;
		left -= 3 + length;
	}
	return 0;
}

/* What stands behind the fixed part. */
static int parse_addresses(unsigned family, const unsigned char *at, size_t length, struct proxy_header *ret_header)
{
	if (family >> 4 > V2_FAMILY_MAX || (family & 15) > V2_TRANSPORT_MAX)
		return -EPROTO;
	if (family != V2_TCP4 && family != V2_TCP6)
		return 0;
	size_t one = family == V2_TCP4 ? 4 : 16;
	size_t both = 2 * one + 4; /* each address, then each port */
	if (length < both)
		return -EPROTO;
	ret_header->has_client = true;
	ret_header->client = ip_address_of(at, one);
	ret_header->tls = two_bytes(at + 2 * one + 2) == PORT_HTTPS;
	return walk_values(at + both, length - both, ret_header);
}

static int parse_binary(const unsigned char *data, size_t length, struct proxy_header *ret_header)
{
	size_t known = length < sizeof(signature) ? length : sizeof(signature);
	if (memcmp(data, signature, known) != 0)
		return -EPROTO;
	if (length > 12 && data[12] != V2_LOCAL && data[12] != V2_PROXY)
		return -EPROTO;
	if (length < V2_FIXED_BYTES)
		return 0;
	size_t rest = two_bytes(data + 14);
	if (V2_FIXED_BYTES + rest > PROXY_HEADER_BYTES_MAX)
		return -EPROTO;
	if (length < V2_FIXED_BYTES + rest)
		return 0;
	int error = 0;
	if (data[12] == V2_PROXY)
		error = parse_addresses(data[13], data + V2_FIXED_BYTES, rest, ret_header);
	return error ? error : (int)(V2_FIXED_BYTES + rest);
}

int proxy_protocol_parse(const void *data, size_t length, struct proxy_header *ret_header)
{
	*ret_header = (struct proxy_header){0};
	if (length == 0)
		return 0;
	if (*(const unsigned char *)data == signature[0])
		return parse_binary(data, length, ret_header);
	return parse_line(data, length, ret_header);
}
