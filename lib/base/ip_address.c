#include "lib/base/ip_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct ip_address ip_address_of(const unsigned char *data, size_t bytes)
{
	struct ip_address address = {{0}};
	if (bytes == 4)
		memcpy(address.bytes, mapped, sizeof(mapped));
	memcpy(address.bytes + sizeof(address.bytes) - bytes, data, bytes);
	return address;
}

int ip_address_parse(const char *text, struct ip_address *ret_address)
{
	unsigned char bytes[16];
	if (inet_pton(AF_INET, text, bytes) == 1) {
		*ret_address = ip_address_of(bytes, 4);
		return 0;
	}
	return inet_pton(AF_INET6, text, ret_address->bytes) == 1 ? 0 : -EINVAL;
}

bool ip_address_from_socket(const struct sockaddr_storage *socket_address, struct ip_address *ret_address)
{
	if (socket_address->ss_family == AF_INET) {
		const struct sockaddr_in *four = (const struct sockaddr_in *)socket_address;
		*ret_address = ip_address_of((const unsigned char *)&four->sin_addr, 4);
		return true;
	}
	if (socket_address->ss_family != AF_INET6)
		return false;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)socket_address;
	*ret_address = ip_address_of((const unsigned char *)&six->sin6_addr, 16);
	return true;
}

static bool is_mapped(const struct ip_address *address)
{
	return memcmp(address->bytes, mapped, sizeof(mapped)) == 0;
}

void ip_address_format(const struct ip_address *address, char text[IP_TEXT_BYTES])
{
	bool four = is_mapped(address);
	(void)inet_ntop(four ? AF_INET : AF_INET6, address->bytes + (four ? sizeof(mapped) : 0), text, IP_TEXT_BYTES);
}

int ip_network_parse(const char *text, struct ip_network *ret_network)
{
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	char address[IP_TEXT_BYTES];
	if (length >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, length);
	address[length] = '\0';
	if (ip_address_parse(address, &ret_network->address))
		return -EINVAL;
	unsigned bits_max = strchr(address, ':') ? 128 : 32;
	unsigned long bits = bits_max;
	if (slash) {
		size_t digits = strspn(slash + 1, "0123456789");
		if (digits == 0 || digits > 3 || slash[1 + digits])
			return -EINVAL;
		bits = strtoul(slash + 1, NULL, 10);
	}
	if (bits > bits_max)
		return -EINVAL;
	ret_network->prefix_bits = (unsigned)bits + 128 - bits_max;
	return 0;
}

bool ip_network_contains(const struct ip_network *network, const struct ip_address *address)
{
	unsigned whole = network->prefix_bits / 8;
	unsigned rest = network->prefix_bits % 8;
	if (memcmp(network->address.bytes, address->bytes, whole) != 0)
		return false;
	return rest == 0 || (network->address.bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}
