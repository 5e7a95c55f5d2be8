#include "lib/http/proxy_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define FOUR "\xc0\x00\x02\x01\xc0\x00\x02\x02"
#define SIX "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
#define PORT_8080 "\x1f\x90"
#define PORT_443 "\x01\xbb"
#define PORT_CLIENT "\xdc\x04"

struct parse_case {
	const char *name;
	const char *data;
	size_t length;
	const char *client; /* NULL: none */
	bool tls;
};

#define CASE(name, data, ...)                                                                                          \
	{                                                                                                              \
		name, data, sizeof(data) - 1, __VA_ARGS__                                                              \
	}

static const struct parse_case right_ones[] = {
	CASE("v1 four", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 8080\r\n", "192.0.2.1", false),
	CASE("v1 https", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "192.0.2.1", true),
	CASE("v1 six", "PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n", "2001:db8::1", false),
	CASE("v1 longest",
		"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
		"65535\r\n",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
	CASE("v1 unknown", "PROXY UNKNOWN\r\n", NULL, false),
	CASE("v1 unknown, and more",
		"PROXY UNKNOWN ffff:f...f:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
		"65535\r\n",
		NULL, false),
	CASE("v2 local", SIGNATURE "\x20\x00\0\0", NULL, false),
	CASE("v2 local with addresses", SIGNATURE "\x20\x11\0\x0c" FOUR PORT_CLIENT PORT_443, NULL, false),
	CASE("v2 unspecified", SIGNATURE "\x21\x00\0\x03xyz", NULL, false),
	CASE("v2 four", SIGNATURE "\x21\x11\0\x0c" FOUR PORT_CLIENT PORT_8080, "192.0.2.1", false),
	CASE("v2 https", SIGNATURE "\x21\x11\0\x0c" FOUR PORT_CLIENT PORT_443, "192.0.2.1", true),
	CASE("v2 six", SIGNATURE "\x21\x21\0\x24" SIX PORT_CLIENT PORT_8080, "2001:db8::1", false),
	CASE("v2 datagram", SIGNATURE "\x21\x12\0\x0c" FOUR PORT_CLIENT PORT_8080, NULL, false),
	CASE("v2 unix",
		SIGNATURE "\x21\x31\0\x04"
			  "path",
		NULL, false),
	CASE("v2 values",
		SIGNATURE "\x21\x11\0\x16" FOUR PORT_CLIENT PORT_8080 "\x04\0\x00\x05\0\x04"
			  "uniq",
		"192.0.2.1", false),
	CASE("v2 tls",
		SIGNATURE "\x21\x11\0\x17" FOUR PORT_CLIENT PORT_8080 "\x20\0\x08\x01\0\0\0\0"
			  "\x21\0\0",
		"192.0.2.1", true),
	CASE("v2 without tls", SIGNATURE "\x21\x11\0\x14" FOUR PORT_CLIENT PORT_8080 "\x20\0\x05\x00\0\0\0\0",
		"192.0.2.1", false),
};

static const struct parse_case wrong_ones[] = {
	CASE("http", "GET / HTTP/1.1\r\n", NULL, false),
	CASE("lower case", "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", NULL, false),
	CASE("v1 nothing", "PROXY \r\n", NULL, false),
	CASE("v1 line end at once", "PROXY\r\n", NULL, false),
	CASE("v1 bare lf", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", NULL, false),
	CASE("v1 udp", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", NULL, false),
	CASE("v1 no port", "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", NULL, false),
	CASE("v1 one too many", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", NULL, false),
	CASE("v1 blank at the end", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", NULL, false),
	CASE("v1 two blanks", "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", NULL, false),
	CASE("v1 tab", "PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n", NULL, false),
	CASE("v1 six as four", "PROXY TCP4 ::1 ::1 1 2\r\n", NULL, false),
	CASE("v1 four as six", "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", NULL, false),
	CASE("v1 bad server", "PROXY TCP4 192.0.2.1 192.0.2.256 1 2\r\n", NULL, false),
	CASE("v1 name", "PROXY TCP4 localhost 192.0.2.1 1 2\r\n", NULL, false),
	CASE("v1 nul", "PROXY TCP4 192.0.2.1\0x 192.0.2.2 1 2\r\n", NULL, false),
	CASE("v1 port too large", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", NULL, false),
	CASE("v1 port with zero", "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", NULL, false),
	CASE("v1 port with sign", "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", NULL, false),
	CASE("v1 port empty", "PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n", NULL, false),
	CASE("v1 too long",
		"PROXY UNKNOWN "
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"\r\n",
		NULL, false),
	CASE("v2 version 1", SIGNATURE "\x11\x11\0\x0c" FOUR PORT_CLIENT PORT_8080, NULL, false),
	CASE("v2 command 2", SIGNATURE "\x22\x11\0\x0c" FOUR PORT_CLIENT PORT_8080, NULL, false),
	CASE("v2 family 4", SIGNATURE "\x21\x41\0\x0c" FOUR PORT_CLIENT PORT_8080, NULL, false),
	CASE("v2 transport 3", SIGNATURE "\x21\x13\0\x0c" FOUR PORT_CLIENT PORT_8080, NULL, false),
	CASE("v2 four too short", SIGNATURE "\x21\x11\0\x0b" FOUR PORT_CLIENT "\x1f", NULL, false),
	CASE("v2 six too short", SIGNATURE "\x21\x21\0\x0c" FOUR PORT_CLIENT PORT_8080, NULL, false),
	CASE("v2 value cut in its head", SIGNATURE "\x21\x11\0\x0e" FOUR PORT_CLIENT PORT_8080 "\x05\0", NULL, false),
	CASE("v2 value beyond the end", SIGNATURE "\x21\x11\0\x10" FOUR PORT_CLIENT PORT_8080 "\x05\0\2x", NULL, false),
	CASE("v2 tls too short", SIGNATURE "\x21\x11\0\x13" FOUR PORT_CLIENT PORT_8080 "\x20\0\4\1\0\0\0", NULL, false),
	CASE("v2 too long", SIGNATURE "\x21\x11\x08\x00", NULL, false),
	CASE("v2 signature", "\r\n\r\n\0\r\nQUIX\n", NULL, false),
};

/* In memory of just that size, so that a sanitizer sees a byte read too many. */
static int parse(const char *data, size_t length, struct proxy_header *ret_header)
{
	char *copy = malloc(length ? length : 1);
	memcpy(copy, data, length);
	int result = proxy_protocol_parse(copy, length, ret_header);
	free(copy);
	return result;
}

static void check_header(const struct parse_case *this, const struct proxy_header *header)
{
	char text[IP_TEXT_BYTES] = "none";
	if (header->has_client)
		ip_address_format(&header->client, text);
	if (strcmp(text, this->client ? this->client : "none") != 0 || header->tls != this->tls)
		fail_msg("%s: client %s, tls %d", this->name, text, header->tls);
}

static void proxy_protocol__right(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(right_ones) / sizeof(right_ones[0]); i++) {
		const struct parse_case *this = &right_ones[i];
		struct proxy_header header;
		/* every beginning of it asks for more */
		for (size_t length = 0; length < this->length; length++)
			if (parse(this->data, length, &header) != 0)
				fail_msg("%s, %zu bytes of it: not 0", this->name, length);
		int result = parse(this->data, this->length, &header);
		if (result != (int)this->length)
			fail_msg("%s: %d instead of %zu", this->name, result, this->length);
		check_header(this, &header);
		/* what follows is not looked at */
		char longer[256];
		memcpy(longer, this->data, this->length);
		memcpy(longer + this->length, "GET ", 4);
		assert_int_equal(parse(longer, this->length + 4, &header), this->length);
		check_header(this, &header);
	}
}

static void proxy_protocol__wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrong_ones) / sizeof(wrong_ones[0]); i++) {
		struct proxy_header header;
		int result = parse(wrong_ones[i].data, wrong_ones[i].length, &header);
		if (result != -EPROTO)
			fail_msg("%s: %d", wrong_ones[i].name, result);
	}
}

/* The longest that is taken, and one byte more. */
static void proxy_protocol__bounds(void **state)
{
	(void)state;
	static char data[PROXY_HEADER_BYTES_MAX];
	memcpy(data, SIGNATURE "\x20\x00\x07\xf0", 16);
	struct proxy_header header;
	assert_int_equal(parse(data, sizeof(data) - 1, &header), 0);
	assert_int_equal(parse(data, sizeof(data), &header), PROXY_HEADER_BYTES_MAX);
	data[15]++;
	assert_int_equal(parse(data, sizeof(data), &header), -EPROTO);
	assert_int_equal(parse(data, 16, &header), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(proxy_protocol__right),
		cmocka_unit_test(proxy_protocol__wrong),
		cmocka_unit_test(proxy_protocol__bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
