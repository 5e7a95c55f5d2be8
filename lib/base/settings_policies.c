/* [storage-policy:N], with the rules of Swift's common/storage_policy.py. */
#include "lib/base/settings_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/memory.h"
#include "lib/base/option.h"
#include "lib/swift/number.h"

#define SECTION_PREFIX "storage-policy:"

enum { POLICY_INDEX_MAX = 255 }; /* as ring/ring_store.h looks for rings */

bool settings_is_policy_section(const char *section)
{
	return strncmp(section, SECTION_PREFIX, strlen(SECTION_PREFIX)) == 0;
}

/* The policy of the line's section, made at its first line. NULL: the index is bad (said). */
static struct policy_settings *policy_of(struct settings_parse *parse, const struct settings_line *line)
{
	struct settings *settings = parse->settings;
	const char *digits = line->section + strlen(SECTION_PREFIX);
	int64_t index;
	if (!isdigit((unsigned char)digits[0]) || number_parse_integer(slice_from(digits), &index) ||
		index > POLICY_INDEX_MAX) {
		settings_fail(parse, line->number, line->section, NULL, "a policy's index is a number from 0 to %d",
			POLICY_INDEX_MAX);
		return NULL;
	}
	for (size_t i = 0; i < settings->policy_count; i++) {
		if (settings->policies[i].index == (int)index)
			return &settings->policies[i];
	}
	settings->policies = xrealloc(settings->policies, (settings->policy_count + 1) * sizeof(*settings->policies));
	struct policy_settings *policy = &settings->policies[settings->policy_count++];
	*policy = (struct policy_settings){.index = (int)index};
	return policy;
}

static int set_policy_line(struct settings_parse *parse, const struct settings_line *line)
{
	struct policy_settings *policy = policy_of(parse, line);
	if (!policy)
		return -EINVAL;
	bool *flag = NULL;
	if (strcmp(line->name, "name") == 0) {
		free(policy->name); /* "[storage-policy:1]" and "[storage-policy:01]" are one policy
				     */
		policy->name = xstrdup(line->value);
	} else if (strcmp(line->name, "aliases") == 0) {
		text_list_release(&policy->aliases);
		policy->aliases = text_list_split(line->value);
	} else if (strcmp(line->name, "policy_type") == 0) {
		if (strcmp(line->value, "replication") != 0)
			return settings_fail(parse, line->number, line->section, line->name,
				"\"%s\" is not one of: replication", line->value);
	} else if (strcmp(line->name, "default") == 0) {
		flag = &policy->is_default;
	} else if (strcmp(line->name, "deprecated") == 0) {
		flag = &policy->deprecated;
	} else {
		return settings_fail(parse, line->number, line->section, line->name,
			"there is no such option (name, aliases, default, deprecated, "
			"policy_type)");
	}
	if (flag && option_parse_bool(line->value, flag))
		return settings_fail(parse, line->number, line->section, line->name, "\"%s\" is neither true nor false",
			line->value);
	return 0;
}

static int compare_policies(const void *a, const void *b)
{
	const struct policy_settings *first = a, *second = b;
	return (first->index > second->index) - (first->index < second->index);
}

/* Names are compared without case and go into headers. */
static int check_name(
	struct settings_parse *parse, const struct policy_settings *policy, const char *name, const char *section)
{
	static const char allowed[] = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	if (name[0] == '\0' || name[strspn(name, allowed)])
		return settings_fail(
			parse, 0, section, NULL, "\"%s\" is no name: letters, digits and \"-\" make one", name);
	if (policy->index && strcasecmp(name, "Policy-0") == 0)
		return settings_fail(parse, 0, section, NULL, "the name Policy-0 is kept for index 0");
	const struct settings *settings = parse->settings;
	int uses = 0;
	for (size_t i = 0; i < settings->policy_count; i++) {
		const struct policy_settings *other = &settings->policies[i];
		uses += strcasecmp(other->name, name) == 0;
		for (size_t k = 0; k < other->aliases.count; k++)
			uses += strcasecmp(other->aliases.items[k], name) == 0;
	}
	if (uses > 1)
		return settings_fail(parse, 0, section, NULL, "the name %s is given more than once", name);
	return 0;
}

static int check_policy(struct settings_parse *parse, const struct policy_settings *policy)
{
	_cleanup_free_ char *section = xasprintf(SECTION_PREFIX "%d", policy->index);
	int error = check_name(parse, policy, policy->name, section);
	for (size_t i = 0; i < policy->aliases.count && !error; i++)
		error = check_name(parse, policy, policy->aliases.items[i], section);
	if (error)
		return error;
	if (policy->is_default && policy->deprecated)
		return settings_fail(parse, 0, section, NULL, "a deprecated policy cannot be the default one");
	return 0;
}

/* Exactly one default; it may be left out when there is only one policy. */
static int choose_default(struct settings_parse *parse)
{
	struct settings *settings = parse->settings;
	size_t defaults = 0;
	for (size_t i = 0; i < settings->policy_count; i++)
		defaults += settings->policies[i].is_default;
	if (defaults == 0 && settings->policy_count == 1 && !settings->policies[0].deprecated) {
		settings->policies[0].is_default = true;
		return 0;
	}
	if (defaults != 1)
		return settings_fail(parse, 0, NULL, NULL, "%s: write \"default = true\" into one [storage-policy:N]",
			defaults ? "several storage policies are the default" : "no storage policy is the default");
	return 0;
}

/* What is left out: the policy itself, its name, "replication". */
static void complete_policies(struct settings *settings)
{
	if (settings->policy_count == 0) {
		settings->policies = xcalloc(1, sizeof(*settings->policies));
		settings->policies[settings->policy_count++].is_default = true;
	}
	for (size_t i = 0; i < settings->policy_count; i++) {
		struct policy_settings *policy = &settings->policies[i];
		if (!policy->name)
			policy->name = xstrdup(policy->index ? "" : "Policy-0");
		policy->type = xstrdup("replication");
	}
	qsort(settings->policies, settings->policy_count, sizeof(*settings->policies), compare_policies);
}

/* Swift lets a policy repeat its name among its aliases. */
static void drop_own_alias(struct policy_settings *policy)
{
	size_t kept = 0;
	for (size_t i = 0; i < policy->aliases.count; i++) {
		if (strcmp(policy->aliases.items[i], policy->name) == 0)
			free(policy->aliases.items[i]);
		else
			policy->aliases.items[kept++] = policy->aliases.items[i];
	}
	policy->aliases.count = kept;
}

int settings_read_policies(struct settings_parse *parse)
{
	struct settings *settings = parse->settings;
	for (size_t i = 0; i < parse->line_count; i++) {
		const struct settings_line *line = &parse->lines[i];
		if (settings_is_policy_section(line->section) && set_policy_line(parse, line))
			return -EINVAL;
	}
	complete_policies(settings);
	if (settings->policies[0].index != 0)
		return settings_fail(parse, 0, NULL, NULL, "there are storage policies, but no [storage-policy:0]");
	for (size_t i = 0; i < settings->policy_count; i++)
		drop_own_alias(&settings->policies[i]);
	for (size_t i = 0; i < settings->policy_count; i++) {
		if (check_policy(parse, &settings->policies[i]))
			return -EINVAL;
	}
	return choose_default(parse);
}

void settings_release_policies(struct settings *settings)
{
	for (size_t i = 0; i < settings->policy_count; i++) {
		free(settings->policies[i].name);
		free(settings->policies[i].type);
		text_list_release(&settings->policies[i].aliases);
	}
	free(settings->policies);
}
