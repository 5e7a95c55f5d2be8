/* The lines of [auth] whose names the operator makes: users, and options of one reseller prefix.
 * Rules of tempauth. */
#include "lib/base/settings_private.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/base/option.h"
#include "lib/base/slice.h"
#include "lib/swift/url.h"

#define USER_PREFIX "user_"
#define USER64_PREFIX "user64_"
#define GROUP_SUFFIX "require_group"

/* Of an account and user as written: a token with both must fit into a header. */
enum { NAME_BYTES_MAX = 1024 };

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_group_line(const char *name)
{
	size_t length = strlen(name), suffix = strlen(GROUP_SUFFIX);
	return length > suffix && strcmp(name + length - suffix, GROUP_SUFFIX) == 0;
}

static bool is_user_line(const char *name)
{
	return starts_with(name, USER_PREFIX) || starts_with(name, USER64_PREFIX);
}

bool settings_is_auth_line(const char *name)
{
	return is_user_line(name) || is_group_line(name);
}

/* ---- reseller prefixes ---- */

static struct reseller_settings *find_reseller(struct settings *settings, const char *prefix)
{
	for (size_t i = 0; i < settings->auth.reseller_count; i++) {
		if (strcmp(settings->auth.resellers[i].prefix, prefix) == 0)
			return &settings->auth.resellers[i];
	}
	return NULL;
}

static void add_reseller(struct settings *settings, const char *written)
{
	bool complete = written[0] == '\0' || written[strlen(written) - 1] == '_';
	char *prefix = xasprintf("%s%s", written, complete ? "" : "_");
	if (find_reseller(settings, prefix)) {
		free(prefix);
		return;
	}
	settings->auth.resellers = xrealloc(
		settings->auth.resellers, (settings->auth.reseller_count + 1) * sizeof(*settings->auth.resellers));
	settings->auth.resellers[settings->auth.reseller_count++] = (struct reseller_settings){
		.prefix = prefix,
		.require_group = xstrdup(settings->auth.require_group),
	};
}

/* "SERVICE_require_group", "''require_group". */
static int set_reseller_group(struct settings_parse *parse, const struct settings_line *line)
{
	size_t length = strlen(line->name) - strlen(GROUP_SUFFIX);
	_cleanup_free_ char *prefix = xasprintf("%.*s", (int)length, line->name);
	struct reseller_settings *reseller = find_reseller(parse->settings, strcmp(prefix, "''") == 0 ? "" : prefix);
	if (!reseller)
		return settings_fail(
			parse, line->number, line->section, line->name, "\"%s\" is not in reseller_prefix", prefix);
	if (line->value[0]) {
		free(reseller->require_group);
		reseller->require_group = xstrdup(line->value);
	}
	return 0;
}

int settings_read_resellers(struct settings_parse *parse)
{
	struct settings *settings = parse->settings;
	const struct text_list *written = &settings->auth.reseller_prefix;
	for (size_t i = 0; i < written->count; i++)
		add_reseller(settings, strcmp(written->items[i], "''") ? written->items[i] : "");
	if (settings->auth.reseller_count == 0)
		add_reseller(settings, "");
	for (size_t i = 0; i < parse->line_count; i++) {
		const struct settings_line *line = &parse->lines[i];
		if (strcmp(line->section, "auth") || is_user_line(line->name))
			continue;
		if (set_reseller_group(parse, line))
			return -EINVAL;
	}
	return 0;
}

/* ---- users ---- */

/* Base64 without its "=" signs. NULL when it is not, or not UTF-8 without NUL. */
static char *decode_base64(const char *text, size_t length)
{
	unsigned char padded[NAME_BYTES_MAX + 4];
	unsigned char decoded[NAME_BYTES_MAX + 4];
	if (length == 0 || length > NAME_BYTES_MAX || length % 4 == 1)
		return NULL;
	memcpy(padded, text, length);
	size_t whole = length;
	while (whole % 4)
		padded[whole++] = '=';
	int bytes = EVP_DecodeBlock(decoded, padded, (int)whole);
	if (bytes < 0)
		return NULL;
	struct slice result = slice_of((char *)decoded, (size_t)bytes - (whole - length));
	if (memchr(result.data, 0, result.length) || !utf8_valid(result))
		return NULL;
	return xasprintf("%.*s", SLICE_PRINT(result));
}

/* The account and user that the option's name holds; both malloc'ed. */
static int split_user_name(
	struct settings_parse *parse, const struct settings_line *line, char **ret_account, char **ret_user)
{
	bool coded = starts_with(line->name, USER64_PREFIX);
	const char *text = line->name + strlen(coded ? USER64_PREFIX : USER_PREFIX);
	const char *mark = strchr(text, '_');
	if (!mark || mark == text || !mark[1] || strchr(mark + 1, '_'))
		return settings_fail(parse, line->number, line->section, line->name,
			"is not user_<account>_<user>; names with \"_\" are written in base64, "
			"user64_<account>_<user>");
	if (strlen(text) > NAME_BYTES_MAX)
		return settings_fail(parse, line->number, line->section, NULL,
			"an account and its user have at most %d bytes together", NAME_BYTES_MAX);
	size_t length = (size_t)(mark - text);
	char *account = coded ? decode_base64(text, length) : xasprintf("%.*s", (int)length, text);
	char *user = coded ? decode_base64(mark + 1, strlen(mark + 1)) : xstrdup(mark + 1);
	if (account && user && !strchr(account, ':') && !strpbrk(account, ",\r\n") && !strpbrk(user, ",\r\n")) {
		*ret_account = account;
		*ret_user = user;
		return 0;
	}
	bool decoded = account && user;
	free(account);
	free(user);
	return settings_fail(parse, line->number, line->section, line->name, "%s",
		decoded ? "an account must be without \":\", both names without commas"
			: "account and user must be base64 without \"=\" of UTF-8 texts");
}

/* "<key> [group …] [storage_url]" into the user. Keys must never be seen in an error. */
static int split_user_value(struct settings_parse *parse, const struct settings_line *line, struct user_settings *user)
{
	const char *text = line->value;
	while (*(text += strspn(text, " \t"))) {
		size_t length = strcspn(text, " \t");
		char *word = xasprintf("%.*s", (int)length, text);
		text += length;
		if (!user->key) {
			user->key = word;
			continue;
		}
		user->groups.items =
			xrealloc(user->groups.items, (user->groups.count + 1) * sizeof(*user->groups.items));
		user->groups.items[user->groups.count++] = word;
	}
	if (!user->key)
		return settings_fail(
			parse, line->number, line->section, line->name, "has no key (<key> [group …] [storage_url])");
	if (user->groups.count) {
		char *last = user->groups.items[user->groups.count - 1];
		if (strstr(last, "://") || strstr(last, "$HOST")) {
			user->storage_url = last;
			user->groups.count--;
		}
	}
	for (size_t i = 0; i < user->groups.count; i++) {
		if (strchr(user->groups.items[i], ','))
			return settings_fail(parse, line->number, line->section, line->name,
				"groups are separated by blanks, without commas");
	}
	if (!user->storage_url)
		user->storage_url = xstrdup("");
	return 0;
}

static int add_user(struct settings_parse *parse, const struct settings_line *line)
{
	struct settings *settings = parse->settings;
	char *account = NULL, *name = NULL;
	if (split_user_name(parse, line, &account, &name))
		return -EINVAL;
	settings->auth.users =
		xrealloc(settings->auth.users, (settings->auth.user_count + 1) * sizeof(*settings->auth.users));
	struct user_settings *user = &settings->auth.users[settings->auth.user_count++];
	*user = (struct user_settings){
		.account = account,
		.name = xasprintf("%s:%s", account, name),
	};
	free(name);
	for (size_t i = 0; i + 1 < settings->auth.user_count; i++) {
		if (strcmp(settings->auth.users[i].name, user->name) == 0)
			return settings_fail(parse, line->number, line->section, line->name,
				"the user %s is there already", user->name);
	}
	return split_user_value(parse, line, user);
}

int settings_read_users(struct settings_parse *parse)
{
	for (size_t i = 0; i < parse->line_count; i++) {
		const struct settings_line *line = &parse->lines[i];
		if (strcmp(line->section, "auth") || !is_user_line(line->name))
			continue;
		if (add_user(parse, line))
			return -EINVAL;
	}
	return 0;
}

/* A secret does not stay in freed memory. */
static void free_secret(char *text)
{
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
}

void settings_release_auth(struct settings *settings)
{
	for (size_t i = 0; i < settings->auth.reseller_count; i++) {
		free(settings->auth.resellers[i].prefix);
		free(settings->auth.resellers[i].require_group);
	}
	free(settings->auth.resellers);
	for (size_t i = 0; i < settings->auth.user_count; i++) {
		struct user_settings *user = &settings->auth.users[i];
		free(user->account);
		free(user->name);
		free(user->storage_url);
		free_secret(user->key);
		text_list_release(&user->groups);
	}
	free(settings->auth.users);
}
