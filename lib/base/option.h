/*
 * The option table (options.def) as data, and the one place that turns an option's text into its
 * value. For the modules of lib/base/settings.h only.
 */
#ifndef LIB_BASE_OPTION_H
#define LIB_BASE_OPTION_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/settings.h"

enum option_type {
	OPTION_BOOL,       /* bool */
	OPTION_INT,        /* int64_t */
	OPTION_NUMBER,     /* double, not negative */
	OPTION_BYTES,      /* int64_t; K, M, G, T are powers of 1024 */
	OPTION_DURATION,   /* int64_t milliseconds; seconds unless ms, s, m, h follows */
	OPTION_FRACTION,   /* double, 0 to 1 */
	OPTION_RESERVE,    /* struct reserve */
	OPTION_NODE_COUNT, /* struct node_count */
	OPTION_TEXT,       /* const char * */
	OPTION_PATH,       /* const char * */
	OPTION_WORD,       /* const char *, one of `detail` */
	OPTION_WORDS,      /* struct text_list of words of `detail` */
	OPTION_LIST,       /* struct text_list */
	OPTION_PATHS,      /* struct text_list */
	OPTION_ADDRESSES,  /* struct text_list of ip:port, not empty unless that is the default */
	OPTION_NETWORKS,   /* struct text_list of what ip_network_parse() takes */
	OPTION_RATES,      /* struct rate_steps, "size:rate, …" */
};

struct config_option {
	const char *section;
	const char *name;
	enum option_type type;
	size_t place; /* offset of the member in struct settings */
	const char *fallback;
	int64_t min;
	int64_t max;
	const char *detail;
	const char *help;
};

struct config_section {
	const char *name;
	const char *help;
};

extern const struct config_option config_options[];
extern const size_t config_option_count;
extern const struct config_section config_sections[];
extern const size_t config_section_count;

/* NULL when there is none. */
const struct config_option *option_find(const char *section, const char *name);
const struct config_section *option_section_find(const char *name);

/* How the type is called in the documentation, e.g. "duration". */
const char *option_type_name(enum option_type type);

/*
 * Sets the member of `settings` from the text. `folder` is where relative paths start. 0, or
 * -EINVAL with a malloc'ed reason such as `"abc" is not a duration (e.g. 10, 500ms)`. Sets each
 * member once only; see option_clear.
 */
int option_set(const struct config_option *option, const char *text, const char *folder, struct settings *settings,
	char **ret_reason);

/* Frees what the member holds. */
void option_clear(const struct config_option *option, struct settings *settings);

/* Splits at commas, without blanks around and without empty items. */
struct text_list text_list_split(const char *text);
void text_list_release(struct text_list *list);

/* Swift's true and false words. -EINVAL for others. */
int option_parse_bool(const char *text, bool *ret_value);

#endif
