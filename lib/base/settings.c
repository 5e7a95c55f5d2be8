#include "lib/base/settings.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "lib/base/option.h"
#include "lib/base/settings_private.h"

enum { LINE_BYTES_MAX = 65536 }; /* of the file, with line end */

int settings_fail(
	struct settings_parse *parse, unsigned line, const char *section, const char *name, const char *format, ...)
{
	if (parse->error)
		return -EINVAL;
	struct buf text = BUF_INIT;
	buf_append_text(&text, parse->path);
	if (line)
		buf_printf(&text, ":%u", line);
	buf_append_text(&text, ": ");
	if (section)
		buf_printf(&text, "[%s] ", section);
	if (name)
		buf_printf(&text, "%s: ", name);
	va_list arguments;
	va_start(arguments, format);
	buf_vprintf(&text, format, arguments);
	va_end(arguments);
	parse->error = text.data;
	return -EINVAL;
}

static int keep_line(struct settings_parse *parse, const char *section, const char *name, const char *value)
{
	for (size_t i = 0; i < parse->line_count; i++) {
		const struct settings_line *other = &parse->lines[i];
		if (strcmp(other->section, section) == 0 && strcmp(other->name, name) == 0)
			return settings_fail(
				parse, parse->line, section, name, "is set already in line %u", other->number);
	}
	parse->lines = xrealloc(parse->lines, (parse->line_count + 1) * sizeof(*parse->lines));
	parse->lines[parse->line_count++] = (struct settings_line){
		.number = parse->line,
		.section = xstrdup(section),
		.name = xstrdup(name),
		.value = xstrdup(value),
	};
	return 0;
}

static int set_option(struct settings_parse *parse, const struct config_option *option, const char *value)
{
	unsigned *set_on = &parse->set_on[option - config_options];
	if (*set_on)
		return settings_fail(
			parse, parse->line, option->section, option->name, "is set already in line %u", *set_on);
	char *reason;
	if (option_set(option, value, parse->folder, parse->settings, &reason)) {
		settings_fail(parse, parse->line, option->section, option->name, "%s", reason);
		free(reason);
		return -EINVAL;
	}
	*set_on = parse->line;
	return 0;
}

static int take_line(struct settings_parse *parse, const char *section, const char *name, const char *value)
{
	const struct config_option *option = option_find(section, name);
	if (option)
		return set_option(parse, option, value);
	if (settings_is_policy_section(section))
		return keep_line(parse, section, name, value);
	if (strcmp(section, "auth") == 0 && settings_is_auth_line(name))
		return keep_line(parse, section, name, value);
	if (section[0] == '\0')
		return settings_fail(
			parse, parse->line, NULL, name, "stands before the first section (e.g. [swiftlet])");
	if (!option_section_find(section))
		return settings_fail(parse, parse->line, section, NULL, "there is no such section");
	return settings_fail(parse, parse->line, section, name, "there is no such option");
}

/* inih's handler: 0 stops the parse. */
static int on_line(void *argument, const char *section, const char *name, const char *value)
{
	return take_line(argument, section, name, value) == 0;
}

struct reader {
	FILE *file;
	struct settings_parse *parse;
};

/* fgets() that knows its line's number, which Debian's inih does not tell the handler. */
static char *read_line(char *text, int bytes, void *argument)
{
	struct reader *reader = argument;
	if (!fgets(text, bytes, reader->file))
		return NULL;
	reader->parse->line++;
	if (!strchr(text, '\n') && !feof(reader->file)) {
		settings_fail(
			reader->parse, reader->parse->line, NULL, NULL, "the line is too long, or holds a NUL byte");
		return NULL;
	}
	return text;
}

static int read_file(struct settings_parse *parse)
{
	FILE *file = fopen(parse->path, "re");
	if (!file) {
		int error = errno;
		settings_fail(parse, 0, NULL, NULL, "%s", strerror(error));
		return -error;
	}
	/* As Swift's files are read: no comments behind values. An indented line is an option of
	 * its own, not more of the value above it. */
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;
	ini_use_stack = false;
	ini_initial_alloc = LINE_BYTES_MAX;
	ini_max_line = LINE_BYTES_MAX;
	ini_stop_on_first_error = true;
	struct reader reader = {file, parse};
	int bad_line = ini_parse_stream(read_line, &reader, on_line, parse);
	bool broken = ferror(file);
	(void)fclose(file);
	if (broken)
		return settings_fail(parse, 0, NULL, NULL, "cannot be read");
	if (bad_line && !parse->error)
		settings_fail(parse, parse->line, NULL, NULL,
			"is neither a [section], nor an option (name = value), nor a comment");
	parse->line = 0;
	return parse->error ? -EINVAL : 0;
}

static void set_defaults(struct settings_parse *parse)
{
	for (size_t i = 0; i < config_option_count; i++) {
		if (parse->set_on[i])
			continue;
		char *reason;
		if (option_set(&config_options[i], config_options[i].fallback, "", parse->settings, &reason)) {
			fprintf(stderr, "default of %s: %s\n", config_options[i].name, reason);
			abort();
		}
	}
}

/* tempauth's rules for odd prefixes: never empty, always between slashes. */
static void complete_auth_prefix(struct settings *settings)
{
	const char *text = settings->auth.auth_prefix;
	size_t start = strspn(text, "/");
	size_t length = strlen(text + start);
	while (length && text[start + length - 1] == '/')
		length--;
	char *whole = length ? xasprintf("/%.*s/", (int)length, text + start) : xstrdup("/auth/");
	free((char *)settings->auth.auth_prefix);
	settings->auth.auth_prefix = whole;
}

static int check_whole(struct settings_parse *parse)
{
	const struct settings *settings = parse->settings;
	if (!settings->swiftlet.hash_path_prefix[0] && !settings->swiftlet.hash_path_suffix[0])
		return settings_fail(parse, 0, "swiftlet", "hash_path_suffix",
			"set this or hash_path_prefix to a secret text of your own "
			"(e.g. from: openssl rand -hex 16)");
	if (settings->proxy.tls_bind.count && settings->proxy.tls_certificate.count == 0)
		return settings_fail(parse, 0, "proxy", "tls_certificate", "is needed for tls_bind");
	if (settings->proxy.tls_key.count && settings->proxy.tls_key.count != settings->proxy.tls_certificate.count)
		return settings_fail(parse, 0, "proxy", "tls_key", "%zu keys do not go with %zu certificates",
			settings->proxy.tls_key.count, settings->proxy.tls_certificate.count);
	return 0;
}

static int load(struct settings_parse *parse)
{
	int error = read_file(parse);
	set_defaults(parse);
	if (error == 0)
		error = settings_read_policies(parse);
	if (error == 0)
		error = settings_read_resellers(parse);
	if (error == 0)
		error = settings_read_users(parse);
	if (error == 0)
		error = check_whole(parse);
	complete_auth_prefix(parse->settings);
	return error;
}

int settings_load(const char *path, struct settings **ret_settings, char **ret_error)
{
	const char *slash = strrchr(path, '/');
	struct settings_parse parse = {
		.path = path,
		.folder = slash ? xasprintf("%.*s", (int)(slash - path), path) : xstrdup("."),
		.settings = xcalloc(1, sizeof(struct settings)),
		.set_on = xcalloc(config_option_count, sizeof(unsigned)),
	};
	int error = load(&parse);
	if (error) {
		settings_free(parse.settings);
		*ret_error = parse.error;
	} else {
		*ret_settings = parse.settings;
	}
	for (size_t i = 0; i < parse.line_count; i++) {
		free(parse.lines[i].section);
		free(parse.lines[i].name);
		free(parse.lines[i].value);
	}
	free(parse.lines);
	free(parse.set_on);
	free(parse.folder);
	return error;
}

void settings_free(struct settings *settings)
{
	if (!settings)
		return;
	for (size_t i = 0; i < config_option_count; i++)
		option_clear(&config_options[i], settings);
	settings_release_policies(settings);
	settings_release_auth(settings);
	free(settings);
}

bool settings_has_role(const struct settings *settings, const char *role)
{
	for (size_t i = 0; i < settings->swiftlet.roles.count; i++) {
		if (strcmp(settings->swiftlet.roles.items[i], role) == 0)
			return true;
	}
	return false;
}
