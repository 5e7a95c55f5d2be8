#include "proxy/filters/host_rewrite.h"

#include <string.h>
#include <strings.h>

bool host_split(const struct request *request, struct slice *ret_name, struct slice *ret_port)
{
	const char *host = headers_get(&request->headers, "Host");
	if (!host || !*host)
		return false;
	const char *colon = strrchr(host, ':');
	size_t length = colon ? (size_t)(colon - host) : strlen(host);
	*ret_name = slice_of(host, length);
	*ret_port = slice_from(host + length);
	return true;
}

/* Whether `host` is `domain` or a name below it. */
static bool ends_with(struct slice host, struct slice domain)
{
	if (host.length < domain.length ||
		strncasecmp(host.data + host.length - domain.length, domain.data, domain.length) != 0)
		return false;
	return host.length == domain.length || host.data[host.length - domain.length - 1] == '.';
}

bool host_is_below(struct slice host, const struct text_list *domains, struct slice *ret_front)
{
	for (size_t i = 0; i < domains->count; i++) {
		struct slice domain = slice_from(domains->items[i]);
		if (domain.length && domain.data[0] == '.')
			domain = slice_of(domain.data + 1, domain.length - 1);
		if (domain.length == 0 || !ends_with(host, domain))
			continue;
		size_t front = host.length - domain.length;
		*ret_front = slice_of(host.data, front ? front - 1 : 0);
		return true;
	}
	return false;
}

static const char *rewritten(
	struct arena *arena, const char *location, struct slice from, struct slice to, bool behind_host)
{
	const char *host = strstr(location, "://");
	if (!host)
		return NULL;
	host += strlen("://");
	const char *at = behind_host ? host + strcspn(host, "/") : host;
	if (strncmp(at, from.data, from.length) != 0)
		return NULL;
	const char *rest = at + from.length;
	if (!behind_host && *rest && *rest != '/')
		return NULL;
	return arena_printf(arena, "%.*s%.*s%s", (int)(at - location), location, SLICE_PRINT(to), rest);
}

void host_rewrite_locations(struct reply *reply, struct slice from, struct slice to, bool behind_host)
{
	static const char *const names[] = {"Location", "Content-Location"};
	for (size_t i = 0; i < 2; i++) {
		const char *location = headers_get(&reply->headers, names[i]);
		const char *other = location ? rewritten(reply->arena, location, from, to, behind_host) : NULL;
		if (other)
			headers_set(&reply->headers, names[i], other);
	}
}
