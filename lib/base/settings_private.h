/*
 * What the parts of the configuration's loader share: the parse under way and its first error. For
 * settings*.c only.
 */
#ifndef LIB_BASE_SETTINGS_PRIVATE_H
#define LIB_BASE_SETTINGS_PRIVATE_H

#include "lib/base/settings.h"

/* A line whose name is made by the operator: a user, a prefix's option, anything in a storage
 * policy's section. */
struct settings_line {
	unsigned number;
	char *section;
	char *name;
	char *value;
};

struct settings_parse {
	const char *path;
	char *folder; /* of the file */
	struct settings *settings;
	unsigned line;    /* of the file, the one being read; 0 after the end */
	unsigned *set_on; /* for each option the line that set it, 0: not yet */
	struct settings_line *lines;
	size_t line_count;
	char *error; /* malloc'ed; the first one counts */
};

/* Records "<path>:<line>: [section] name: reason", without the line when it is 0, without the name
 * when it is NULL. Returns -EINVAL. */
int settings_fail(struct settings_parse *parse, unsigned line, const char *section, const char *name,
	const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Whether the lines of this section, or the name in [auth], are kept in parse->lines. */
bool settings_is_policy_section(const char *section);
bool settings_is_auth_line(const char *name);

/* Turn the kept lines into policies, resellers and users. 0 or -EINVAL. */
int settings_read_policies(struct settings_parse *parse);
int settings_read_resellers(struct settings_parse *parse);
int settings_read_users(struct settings_parse *parse);

/* Free what they made. */
void settings_release_policies(struct settings *settings);
void settings_release_auth(struct settings *settings);

#endif
