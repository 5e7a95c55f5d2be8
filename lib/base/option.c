#include "lib/base/option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/ip_address.h"
#include "lib/base/memory.h"
#include "lib/base/slice.h"
#include "lib/co/socket.h"
#include "lib/swift/number.h"

/* The C type behind each option type; a row whose member has another one does not compile. */
#define MEMBER_BOOL bool
#define MEMBER_INT int64_t
#define MEMBER_NUMBER double
#define MEMBER_BYTES int64_t
#define MEMBER_DURATION int64_t
#define MEMBER_FRACTION double
#define MEMBER_RESERVE struct reserve
#define MEMBER_NODE_COUNT struct node_count
#define MEMBER_TEXT const char *
#define MEMBER_PATH const char *
#define MEMBER_WORD const char *
#define MEMBER_WORDS struct text_list
#define MEMBER_LIST struct text_list
#define MEMBER_PATHS struct text_list
#define MEMBER_ADDRESSES struct text_list
#define MEMBER_NETWORKS struct text_list
#define MEMBER_RATES struct rate_steps

#define OPTION(section, name, type, member, fallback, min, max, detail, help)                                          \
	_Static_assert(__builtin_types_compatible_p(__typeof__(((struct settings *)0)->member), MEMBER_##type),        \
		#section " " #name ": the member is not of the option's type");
#include "lib/base/options.def"

const struct config_option config_options[] = {
#define OPTION(section, name, type, member, fallback, min, max, detail, help)                                          \
	{#section, #name, OPTION_##type, offsetof(struct settings, member), fallback, min, max, detail, help},
#include "lib/base/options.def"
};
const size_t config_option_count = sizeof(config_options) / sizeof(config_options[0]);

const struct config_section config_sections[] = {
#define SECTION(name, help) {#name, help},
#include "lib/base/options.def"
};
const size_t config_section_count = sizeof(config_sections) / sizeof(config_sections[0]);

const struct config_option *option_find(const char *section, const char *name)
{
	for (size_t i = 0; i < config_option_count; i++) {
		if (strcmp(config_options[i].section, section) == 0 && strcmp(config_options[i].name, name) == 0)
			return &config_options[i];
	}
	return NULL;
}

const struct config_section *option_section_find(const char *name)
{
	for (size_t i = 0; i < config_section_count; i++) {
		if (strcmp(config_sections[i].name, name) == 0)
			return &config_sections[i];
	}
	return NULL;
}

const char *option_type_name(enum option_type type)
{
	switch (type) {
	case OPTION_BOOL:
		return "yes or no";
	case OPTION_INT:
		return "number";
	case OPTION_NUMBER:
		return "decimal number";
	case OPTION_BYTES:
		return "size";
	case OPTION_DURATION:
		return "duration";
	case OPTION_FRACTION:
		return "number from 0 to 1";
	case OPTION_RESERVE:
		return "size or percent";
	case OPTION_NODE_COUNT:
		return "number of nodes";
	case OPTION_TEXT:
		return "text";
	case OPTION_PATH:
		return "path";
	case OPTION_WORD:
		return "word";
	case OPTION_WORDS:
		return "words";
	case OPTION_LIST:
		return "list";
	case OPTION_PATHS:
		return "paths";
	case OPTION_ADDRESSES:
		return "addresses";
	case OPTION_NETWORKS:
		return "networks";
	case OPTION_RATES:
		return "rates by size";
	}
	abort();
}

/* ---- lists ---- */

struct text_list text_list_split(const char *text)
{
	struct text_list list = {NULL, 0};
	while (*text) {
		size_t length = strcspn(text, ",");
		struct slice item = number_trim(slice_of(text, length));
		if (item.length) {
			list.items = xrealloc(list.items, (list.count + 1) * sizeof(*list.items));
			list.items[list.count++] = xasprintf("%.*s", SLICE_PRINT(item));
		}
		text += length + (text[length] == ',');
	}
	return list;
}

void text_list_release(struct text_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct text_list){NULL, 0};
}

/* ---- one function for each type; a reason is returned, NULL means it went well ---- */

int option_parse_bool(const char *text, bool *ret_value)
{
	static const char *const yes[] = {"true", "1", "yes", "on", "t", "y"};
	static const char *const no[] = {"false", "0", "no", "off", "f", "n"};
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcasecmp(text, yes[i]) && strcasecmp(text, no[i]))
			continue;
		*ret_value = strcasecmp(text, yes[i]) == 0;
		return 0;
	}
	return -EINVAL;
}

static char *set_bool(const char *text, bool *ret_value)
{
	if (option_parse_bool(text, ret_value))
		return xasprintf("\"%s\" is neither true nor false", text);
	return NULL;
}

struct unit {
	const char *name;
	double factor;
};

static const struct unit duration_units[] = {
	{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1000}, {NULL, 0}};
static const struct unit byte_units[] = {
	{"K", 1024}, {"M", 1048576}, {"G", 1073741824}, {"T", 1099511627776}, {"", 1}, {NULL, 0}};

/* A decimal number with one of the units after it. */
static int parse_with_unit(const char *text, const struct unit *units, double *ret_value)
{
	size_t digits = strspn(text, "0123456789.");
	const char *name = text + digits + strspn(text + digits, " ");
	double number;
	if (digits == 0 || number_parse_decimal(slice_of(text, digits), &number))
		return -EINVAL;
	for (; units->name; units++) {
		if (strcmp(units->name, name) == 0) {
			*ret_value = number * units->factor;
			return 0;
		}
	}
	return -EINVAL;
}

static char *set_int(const struct config_option *option, const char *text, int64_t *ret_value)
{
	int64_t value;
	if (number_parse_integer(slice_from(text), &value))
		return xasprintf("\"%s\" is not a number", text);
	if (value < option->min || value > option->max)
		return xasprintf(
			"%s is out of range (%lld to %lld)", text, (long long)option->min, (long long)option->max);
	*ret_value = value;
	return NULL;
}

static char *set_number(const char *text, double *ret_value)
{
	double value;
	if (number_parse_decimal(slice_from(text), &value) || !(value >= 0) || value > 1e15)
		return xasprintf("\"%s\" is not a number", text);
	*ret_value = value;
	return NULL;
}

/* "100:50": 0 or -EINVAL. */
static int parse_rate_step(const char *text, struct rate_step *ret_step)
{
	const char *colon = strchr(text, ':');
	if (!colon || number_parse_integer(slice_of(text, (size_t)(colon - text)), &ret_step->size) ||
		number_parse_decimal(slice_from(colon + 1), &ret_step->rate))
		return -EINVAL;
	return ret_step->size >= 0 && ret_step->rate >= 0 && ret_step->rate <= 1e9 ? 0 : -EINVAL;
}

static char *set_rates(const char *text, struct rate_steps *ret_value)
{
	struct text_list list = text_list_split(text);
	struct rate_steps steps = {NULL, 0};
	char *reason = NULL;
	for (size_t i = 0; i < list.count && !reason; i++) {
		struct rate_step step;
		if (parse_rate_step(list.items[i], &step) ||
			(steps.count && steps.items[steps.count - 1].size >= step.size)) {
			reason = xasprintf(
				"\"%s\" is not a step with a larger size (e.g. 100:50, 1000:10)", list.items[i]);
			continue;
		}
		steps.items = xrealloc(steps.items, (steps.count + 1) * sizeof(*steps.items));
		steps.items[steps.count++] = step;
	}
	text_list_release(&list);
	if (reason)
		free(steps.items);
	else
		*ret_value = steps;
	return reason;
}

static char *set_bytes(const struct config_option *option, const char *text, int64_t *ret_value)
{
	double value;
	if (parse_with_unit(text, byte_units, &value))
		return xasprintf("\"%s\" is not a size (e.g. 65536, 64K, 5G)", text);
	if (value < (double)option->min || value > (double)option->max)
		return xasprintf("%s is out of range (%lld to %lld bytes)", text, (long long)option->min,
			(long long)option->max);
	*ret_value = (int64_t)value;
	return NULL;
}

static char *set_duration(const struct config_option *option, const char *text, int64_t *ret_value)
{
	double value;
	if (parse_with_unit(text, duration_units, &value))
		return xasprintf("\"%s\" is not a duration (e.g. 10, 500ms)", text);
	if (value < (double)option->min || value > (double)option->max)
		return xasprintf("%s is out of range (%lldms to %llds)", text, (long long)option->min,
			(long long)option->max / 1000);
	*ret_value = (int64_t)value;
	return NULL;
}

static char *set_fraction(const char *text, double *ret_value)
{
	static const struct unit none[] = {{"", 1}, {NULL, 0}};
	double value;
	if (parse_with_unit(text, none, &value) || value > 1)
		return xasprintf("\"%s\" is not a number from 0 to 1", text);
	*ret_value = value;
	return NULL;
}

static char *set_reserve(const char *text, struct reserve *ret_value)
{
	static const struct unit percent[] = {{"%", 1}, {NULL, 0}};
	double value;
	if (parse_with_unit(text, percent, &value) == 0 && value <= 100) {
		*ret_value = (struct reserve){.percent = value};
		return NULL;
	}
	if (parse_with_unit(text, byte_units, &value) == 0 && value < 9e18) {
		*ret_value = (struct reserve){.bytes = (int64_t)value};
		return NULL;
	}
	return xasprintf("\"%s\" is neither a size nor a percentage (e.g. 10G, 1%%)", text);
}

static char *set_node_count(const struct config_option *option, const char *text, struct node_count *ret_value)
{
	const char *star = strchr(text, '*');
	size_t length = star ? (size_t)(star - text) : strlen(text);
	bool per_replica = star && slice_equal(number_trim(slice_from(star + 1)), SLICE_LITERAL("replicas"));
	int64_t count;
	if ((star && !per_replica) || number_parse_integer(slice_of(text, length), &count) || count < option->min ||
		count > option->max)
		return xasprintf("\"%s\" is not a number of nodes (e.g. 6, 2 * replicas)", text);
	*ret_value = (struct node_count){count, per_replica};
	return NULL;
}

static char *set_path(const char *text, const char *folder, const char **ret_value)
{
	bool complete = text[0] == '/' || text[0] == '\0';
	*ret_value = complete ? xstrdup(text) : xasprintf("%s/%s", folder, text);
	return NULL;
}

/* Whether `word` is one of the blank-separated `words`. */
static bool word_allowed(const char *word, const char *words)
{
	size_t length = strlen(word);
	while (*words) {
		size_t next = strcspn(words, " ");
		if (next == length && memcmp(words, word, length) == 0)
			return true;
		words += next + (words[next] == ' ');
	}
	return false;
}

static char *set_word(const struct config_option *option, const char *text, const char **ret_value)
{
	if (!word_allowed(text, option->detail))
		return xasprintf("\"%s\" is not one of: %s", text, option->detail);
	*ret_value = xstrdup(text);
	return NULL;
}

static char *set_words(const struct config_option *option, const char *text, struct text_list *ret_value)
{
	struct text_list list = text_list_split(text);
	char *reason = list.count ? NULL : xasprintf("at least one is needed of: %s", option->detail);
	for (size_t i = 0; i < list.count && !reason; i++) {
		if (!word_allowed(list.items[i], option->detail))
			reason = xasprintf("\"%s\" is not one of: %s", list.items[i], option->detail);
	}
	if (reason)
		text_list_release(&list);
	else
		*ret_value = list;
	return reason;
}

static void set_paths(const char *text, const char *folder, struct text_list *ret_value)
{
	*ret_value = text_list_split(text);
	for (size_t i = 0; i < ret_value->count; i++) {
		char *path = ret_value->items[i];
		(void)set_path(path, folder, (const char **)&ret_value->items[i]);
		free(path);
	}
}

static char *set_networks(const char *text, struct text_list *ret_value)
{
	struct text_list list = text_list_split(text);
	for (size_t i = 0; i < list.count; i++) {
		struct ip_network network;
		if (ip_network_parse(list.items[i], &network) == 0)
			continue;
		char *reason = xasprintf(
			"\"%s\" is not an address or network (e.g. 192.0.2.7, 10.0.0.0/8, fd00::/8)", list.items[i]);
		text_list_release(&list);
		return reason;
	}
	*ret_value = list;
	return NULL;
}

static char *set_addresses(const struct config_option *option, const char *text, struct text_list *ret_value)
{
	struct text_list list = text_list_split(text);
	bool enough = list.count || option->fallback[0] == '\0';
	char *reason = enough ? NULL : xstrdup("an address is needed (e.g. 127.0.0.1:8080)");
	for (size_t i = 0; i < list.count && !reason; i++) {
		char ip[46];
		int port;
		if (socket_address_parse(list.items[i], ip, &port))
			reason = xasprintf("\"%s\" is not an address with port (e.g. 127.0.0.1:8080, "
					   "[::1]:8080)",
				list.items[i]);
	}
	if (reason)
		text_list_release(&list);
	else
		*ret_value = list;
	return reason;
}

int option_set(const struct config_option *option, const char *text, const char *folder, struct settings *settings,
	char **ret_reason)
{
	void *member = (char *)settings + option->place;
	char *reason = NULL;
	switch (option->type) {
	case OPTION_BOOL:
		reason = set_bool(text, member);
		break;
	case OPTION_INT:
		reason = set_int(option, text, member);
		break;
	case OPTION_NUMBER:
		reason = set_number(text, member);
		break;
	case OPTION_BYTES:
		reason = set_bytes(option, text, member);
		break;
	case OPTION_DURATION:
		reason = set_duration(option, text, member);
		break;
	case OPTION_FRACTION:
		reason = set_fraction(text, member);
		break;
	case OPTION_RESERVE:
		reason = set_reserve(text, member);
		break;
	case OPTION_NODE_COUNT:
		reason = set_node_count(option, text, member);
		break;
	case OPTION_TEXT:
		*(const char **)member = xstrdup(text);
		break;
	case OPTION_PATH:
		reason = set_path(text, folder, member);
		break;
	case OPTION_WORD:
		reason = set_word(option, text, member);
		break;
	case OPTION_WORDS:
		reason = set_words(option, text, member);
		break;
	case OPTION_LIST:
		*(struct text_list *)member = text_list_split(text);
		break;
	case OPTION_PATHS:
		set_paths(text, folder, member);
		break;
	case OPTION_NETWORKS:
		reason = set_networks(text, member);
		break;
	case OPTION_ADDRESSES:
		reason = set_addresses(option, text, member);
		break;
	case OPTION_RATES:
		reason = set_rates(text, member);
		break;
	}
	if (!reason)
		return 0;
	*ret_reason = reason;
	return -EINVAL;
}

void option_clear(const struct config_option *option, struct settings *settings)
{
	void *member = (char *)settings + option->place;
	switch (option->type) {
	case OPTION_TEXT:
	case OPTION_PATH:
	case OPTION_WORD:
		free(*(char **)member);
		*(char **)member = NULL;
		break;
	case OPTION_WORDS:
	case OPTION_LIST:
	case OPTION_PATHS:
	case OPTION_ADDRESSES:
	case OPTION_NETWORKS:
		text_list_release(member);
		break;
	case OPTION_RATES:
		free(((struct rate_steps *)member)->items);
		*(struct rate_steps *)member = (struct rate_steps){NULL, 0};
		break;
	case OPTION_BOOL:
	case OPTION_INT:
	case OPTION_NUMBER:
	case OPTION_BYTES:
	case OPTION_DURATION:
	case OPTION_FRACTION:
	case OPTION_RESERVE:
	case OPTION_NODE_COUNT:
		break;
	}
}
