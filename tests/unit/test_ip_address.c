#include "lib/base/ip_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static void ip_address__texts(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *canonical; /* NULL: refused */
	} cases[] = {
		{"127.0.0.1", "127.0.0.1"},
		{"255.255.255.255", "255.255.255.255"},
		{"::1", "::1"},
		{"::", "::"},
		{"2001:0DB8:0:0::1", "2001:db8::1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"127.0.0.256", NULL},
		{"127.1", NULL},
		{"1.2.3.4 ", NULL},
		{"::1%lo", NULL},
		{"[::1]", NULL},
		{"", NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_address address;
		char text[IP_TEXT_BYTES] = "";
		int error = ip_address_parse(cases[i].text, &address);
		if (!error)
			ip_address_format(&address, text);
		if (error != (cases[i].canonical ? 0 : -EINVAL) ||
			strcmp(text, cases[i].canonical ? cases[i].canonical : "") != 0)
			fail_msg("'%s': %d, '%s'", cases[i].text, error, text);
	}
}

static void ip_address__of_sockets(void **state)
{
	(void)state;
	struct sockaddr_storage storage = {0};
	struct sockaddr_in *four = (struct sockaddr_in *)&storage;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&storage;
	struct ip_address address, parsed;
	char text[IP_TEXT_BYTES];
	four->sin_family = AF_INET;
	four->sin_addr.s_addr = htonl(0xc0000201);
	assert_true(ip_address_from_socket(&storage, &address));
	ip_address_format(&address, text);
	assert_string_equal(text, "192.0.2.1");
	/* the same client, seen by a socket of IPv6 */
	assert_int_equal(ip_address_parse("::ffff:192.0.2.1", &parsed), 0);
	memset(&storage, 0, sizeof(storage));
	six->sin6_family = AF_INET6;
	memcpy(&six->sin6_addr, parsed.bytes, 16);
	assert_true(ip_address_from_socket(&storage, &parsed));
	assert_memory_equal(&address, &parsed, sizeof(address));
	storage.ss_family = AF_UNIX;
	assert_false(ip_address_from_socket(&storage, &address));
}

static void ip_network__contains(void **state)
{
	(void)state;
	static const struct {
		const char *network;
		const char *address; /* NULL: the network is refused */
		bool inside;
	} cases[] = {
		{"192.0.2.7", "192.0.2.7", true},
		{"192.0.2.7", "192.0.2.6", false},
		{"192.0.2.7", "::ffff:192.0.2.7", true},
		{"10.0.0.0/8", "10.255.255.255", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"10.1.2.3/8", "10.9.9.9", true}, /* the rest of the address does not count */
		{"10.0.0.0/9", "10.127.0.1", true},
		{"10.0.0.0/9", "10.128.0.1", false},
		{"192.0.2.6/31", "192.0.2.7", true},
		{"192.0.2.6/31", "192.0.2.8", false},
		{"0.0.0.0/0", "203.0.113.1", true},
		{"0.0.0.0/0", "2001:db8::1", false}, /* all of IPv4 */
		{"::/0", "2001:db8::1", true},
		{"::/0", "203.0.113.1", true}, /* everything */
		{"::1", "::1", true},
		{"::1/128", "::2", false},
		{"fd00::/8", "fdab::1", true},
		{"fd00::/8", "fe00::1", false},
		{"2001:db8::/33", "2001:db8:7fff::", true},
		{"2001:db8::/33", "2001:db8:8000::", false},
		{"10.0.0.0/33", NULL, false},
		{"::/129", NULL, false},
		{"10.0.0.0/", NULL, false},
		{"10.0.0.0/-1", NULL, false},
		{"10.0.0.0/8x", NULL, false},
		{"10.0.0.0/8/8", NULL, false},
		{"10.0.0.0/0000008", NULL, false},
		{"10.0.0/8", NULL, false},
		{"/8", NULL, false},
		{"", NULL, false},
		{"localhost", NULL, false},
		{"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/1", NULL, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_network network;
		struct ip_address address;
		int error = ip_network_parse(cases[i].network, &network);
		if (error != (cases[i].address ? 0 : -EINVAL))
			fail_msg("'%s': %d", cases[i].network, error);
		if (!cases[i].address)
			continue;
		assert_int_equal(ip_address_parse(cases[i].address, &address), 0);
		if (ip_network_contains(&network, &address) != cases[i].inside)
			fail_msg("%s in %s: not %d", cases[i].address, cases[i].network, cases[i].inside);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ip_address__texts),
		cmocka_unit_test(ip_address__of_sockets),
		cmocka_unit_test(ip_network__contains),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
