/*
 * The PROXY protocol: what a load balancer that passes bytes on says first about the client it serves
 * (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt). Version 1 is a line of text, version 2 is binary.
 */
#ifndef LIB_HTTP_PROXY_PROTOCOL_H
#define LIB_HTTP_PROXY_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/ip_address.h"

enum {
	PROXY_LINE_BYTES_MAX = 107,    /* of version 1, with its CR LF; the protocol's own bound */
	PROXY_HEADER_BYTES_MAX = 2048, /* of version 2, with the values (TLVs) at its end; a bound of ours */
};

struct proxy_header {
	bool has_client; /* false: the balancer speaks for itself (LOCAL), or for what is not IP (UNKNOWN, UNIX) */
	struct ip_address client;
	/* The client came by TLS: version 2 says so itself, or the port it connected to is 443, as Swift takes it. */
	bool tls;
};

/*
 * Looks at the first bytes of a connection, at most PROXY_HEADER_BYTES_MAX of them. Returns the header's length in bytes
 * with *ret_header, 0 when it is right as far as it goes and more is needed, or -EPROTO.
 */
int proxy_protocol_parse(const void *data, size_t length, struct proxy_header *ret_header);

#endif
