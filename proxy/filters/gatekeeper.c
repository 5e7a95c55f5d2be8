#include <strings.h>

#include "proxy/filters/filters.h"
#include "proxy/proxy_private.h"

/*
 * In and out: what only servers and filters may say to each other. With the exact names nobody can
 * point a server at an address of his own (CVE-2026-50221); beyond that, servers take update
 * targets from their rings alone.
 */
static bool is_internal(const char *name, void *argument)
{
	static const char *const prefixes[] = {"X-Account-Sysmeta-", "X-Container-Sysmeta-", "X-Object-Sysmeta-",
		"X-Object-Transient-Sysmeta-", "X-Backend", NULL};
	static const char *const names[] = {"X-Account-Host", "X-Account-Device", "X-Account-Partition",
		"X-Container-Host", "X-Container-Device", "X-Container-Partition", "X-Container-Root-Db-State",
		"X-Delete-At-Host", "X-Delete-At-Device", "X-Delete-At-Partition", "X-Delete-At-Container", NULL};
	(void)argument;
	if ((name[0] != 'X' && name[0] != 'x') || name[1] != '-')
		return false;
	for (size_t i = 0; prefixes[i]; i++)
		if (header_has_prefix(name, prefixes[i]))
			return true;
	for (size_t i = 0; names[i]; i++)
		if (header_name_equal(name, names[i]))
			return true;
	return false;
}

/* "_" cannot be told from "-" behind a CGI-like interface: such names are judged as if they had
 * "-", and stored so. */
static void normalise_names(struct request *request)
{
	for (size_t i = 0; i < request->headers.count; i++) {
		const char *name = request->headers.items[i].name;
		if (!strchr(name, '_'))
			continue;
		char *copy = arena_strdup(request->arena, name);
		for (char *c = copy; *c; c++)
			if (*c == '_')
				*c = '-';
		/* framing must never come from such a name: it was judged before */
		if (strcasecmp(copy, "Content-Length") == 0 || strcasecmp(copy, "Transfer-Encoding") == 0)
			continue;
		request->headers.items[i].name = copy;
	}
}

/* Headers of which a second one would leave open whom or what the request means. */
static bool is_ambiguous(const struct request *request)
{
	static const char *const names[] = {"X-Auth-Token", "X-Storage-Token", "X-Service-Token", "Authorization",
		"X-Timestamp", "Range", "ETag", NULL};
	for (size_t i = 0; names[i]; i++)
		if (headers_occurrences(&request->headers, names[i]) > 1)
			return true;
	return false;
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	normalise_names(request);
	if (is_ambiguous(request)) {
		reply_status(reply, 400);
		return;
	}
	headers_remove_if(&request->headers, is_internal, NULL);
	const char *timestamp = headers_get(&request->headers, "X-Timestamp");
	if (timestamp) {
		headers_remove(&request->headers, "X-Timestamp");
		headers_set(&request->headers, "X-Backend-Inbound-X-Timestamp", timestamp);
	}
	co_filter_next(filter, request, reply);
	headers_remove_if(&reply->headers, is_internal, NULL);
}

struct filter filter_gatekeeper(struct proxy *proxy)
{
	return (struct filter){.name = "gatekeeper", .co_handle = co_handle, .context = proxy};
}
