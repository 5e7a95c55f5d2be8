/*
 * IP addresses and networks as values. IPv4 is kept in its place within IPv6 (::ffff:a.b.c.d), so that a client of an
 * IPv4 socket and the same one seen by an IPv6 socket are equal, and one comparison serves both.
 */
#ifndef LIB_BASE_IP_ADDRESS_H
#define LIB_BASE_IP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum { IP_TEXT_BYTES = 46 }; /* the longest text of an address, with its NUL */

struct ip_address {
	unsigned char bytes[16];
};

struct ip_network {
	struct ip_address address;
	unsigned prefix_bits; /* 0 to 128 */
};

/* "192.0.2.1" or "2001:db8::1". 0 or -EINVAL. */
int ip_address_parse(const char *text, struct ip_address *ret_address);

/* From `bytes` of 4 or 16 in network order. */
struct ip_address ip_address_of(const unsigned char *data, size_t bytes);

/* Of a socket's address; false when it is not one of IP. */
bool ip_address_from_socket(const struct sockaddr_storage *socket_address, struct ip_address *ret_address);

/* IPv4 comes out in its own form. */
void ip_address_format(const struct ip_address *address, char text[IP_TEXT_BYTES]);

/* An address alone, or with "/" and the length of the prefix: "10.0.0.0/8", "::1", "fd00::/8". 0 or -EINVAL. */
int ip_network_parse(const char *text, struct ip_network *ret_network);

bool ip_network_contains(const struct ip_network *network, const struct ip_address *address);

#endif
