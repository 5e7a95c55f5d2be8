#include <jansson.h>
#include <regex.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/settings.h"
#include "lib/swift/url.h"
#include "proxy/filters/filters.h"
#include "proxy/proxy_private.h"

/*
 * Refuses names that other systems cannot hold: with some characters, too long, or matching a pattern
 * (swift/common/middleware/name_check.py). Judged is the decoded path.
 */

struct name_check {
	const struct settings *settings;
	bool has_pattern;
	regex_t pattern;
};

static void release(void *name_check)
{
	struct name_check *check = name_check;
	if (check->has_pattern)
		regfree(&check->pattern);
}

static const char *complaint(const struct name_check *check, struct arena *arena, struct slice path)
{
	const char *forbidden = check->settings->name_check.forbidden_chars;
	for (size_t i = 0; i < path.length; i++)
		if (path.data[i] && strchr(forbidden, path.data[i]))
			return arena_printf(
				arena, "Object/Container/Account name contains forbidden chars from %s", forbidden);
	/* characters, as Python counts a path that is bytes behind WSGI */
	if ((int64_t)path.length > check->settings->name_check.maximum_length)
		return arena_printf(arena, "Object/Container/Account name longer than the allowed maximum %lld",
			(long long)check->settings->name_check.maximum_length);
	if (check->has_pattern &&
		regexec(&check->pattern, arena_strndup(arena, path.data, path.length), 0, NULL, 0) == 0)
		return arena_printf(arena,
			"Object/Container/Account name contains a forbidden substring from regular expression %s",
			check->settings->name_check.forbidden_regexp);
	return NULL;
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	struct slice path = url_decode(request->arena, request->path, false);
	const char *text = complaint(filter->context, request->arena, path);
	if (text)
		reply_text(reply, 400, "text/html; charset=UTF-8", text);
	else
		co_filter_next(filter, request, reply);
}

struct filter filter_name_check(struct proxy *proxy, const struct settings *settings)
{
	struct name_check *check = arena_zalloc(proxy->arena, sizeof(*check));
	const char *pattern = settings->name_check.forbidden_regexp;
	check->settings = settings;
	check->has_pattern = *pattern && regcomp(&check->pattern, pattern, REG_EXTENDED | REG_NOSUB) == 0;
	if (*pattern && !check->has_pattern)
		log_error("[name_check] forbidden_regexp is not a regular expression: it is not applied");
	arena_defer(proxy->arena, release, check);
	if (settings->name_check.enabled)
		proxy_announce(proxy, "name_check",
			json_pack("{s:s, s:I, s:s}", "forbidden_chars", settings->name_check.forbidden_chars,
				"maximum_length", (json_int_t)settings->name_check.maximum_length, "forbidden_regexp",
				pattern));
	return (struct filter){.name = "name_check", .co_handle = co_handle, .context = check};
}
