#include "lib/base/settings.h"

#include <string.h>

#include "lib/base/option.h"

enum { COMMENT_COLUMNS = 100 };

/* The text as comment lines of at most COMMENT_COLUMNS, broken at blanks. */
static void print_comment(FILE *output, const char *text)
{
	while (*text) {
		size_t length = strlen(text);
		if (length > COMMENT_COLUMNS - 2) {
			length = COMMENT_COLUMNS - 2;
			while (text[length] != ' ')
				length--;
		}
		fprintf(output, "# %.*s\n", (int)length, text);
		text += length + (text[length] == ' ');
	}
}

static void print_sample_options(FILE *output, const char *section)
{
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *option = &config_options[i];
		if (strcmp(option->section, section) != 0)
			continue;
		fputc('\n', output);
		print_comment(output, option->help);
		if (option->detail[0])
			fprintf(output, "# Known: %s.\n", option->detail);
		fprintf(output, "#%s =%s%s\n", option->name, option->fallback[0] ? " " : "", option->fallback);
	}
}

static const char sample_head[] =
	"# The configuration of swiftlet, with every option and its default. Lines that begin with "
	"\"#\"\n"
	"# or \";\" are comments. Remove the \"#\" to set an option; only hash_path_suffix must be "
	"set.\n"
	"#\n"
	"# Durations are seconds, or a number with ms, s, m or h. Sizes are bytes, or a number "
	"with K, M,\n"
	"# G or T. Lists are separated by commas. Relative paths start at this file's folder.\n"
	"#\n"
	"# `swiftlet config check FILE` says whether a file is right.\n";

static const char sample_users[] =
	"\n"
	"# The users, a line each; whoever may read this file knows their keys.\n"
	"#\n"
	"#     user_<account>_<user> = <key> [group ...] [storage_url]\n"
	"#     user64_<account in base64>_<user in base64> = ...    (without \"=\"; for names with "
	"\"_\")\n"
	"#\n"
	"# .admin owns the account, .reseller_admin every account, .reseller_reader reads every "
	"account;\n"
	"# others do what ACLs allow them. $HOST in a storage URL is how the client reached us; "
	"left out,\n"
	"# the URL is $HOST/v1/<reseller_prefix>_<account>.\n"
	"#user_admin_admin = a-key-of-your-own .admin .reseller_admin\n"
	"#user_test_tester = another-key .admin\n";

static const char sample_policies[] = "\n"
				      "# Storage policies: a section each; the rings are "
				      "object.ring.gz (0) and object-N.ring.gz. Without\n"
				      "# any there is one, Policy-0.\n"
				      "#[storage-policy:0]\n"
				      "#name = Policy-0\n"
				      "#aliases =\n"
				      "#default = true\n"
				      "#deprecated = false\n"
				      "#policy_type = replication\n";

void settings_print_sample(FILE *output)
{
	fputs(sample_head, output);
	for (size_t i = 0; i < config_section_count; i++) {
		const struct config_section *section = &config_sections[i];
		fputc('\n', output);
		print_comment(output, section->help);
		fprintf(output, "[%s]\n", section->name);
		print_sample_options(output, section->name);
		if (strcmp(section->name, "auth") == 0)
			fputs(sample_users, output);
	}
	fputs(sample_policies, output);
}

/* "|" would end a table's cell. */
static void print_cell(FILE *output, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			fputc('\\', output);
		fputc(*text, output);
	}
}

static void print_markdown_row(FILE *output, const struct config_option *option)
{
	fprintf(output, "| `%s` | %s | ", option->name, option_type_name(option->type));
	if (option->fallback[0])
		fprintf(output, "`%s`", option->fallback);
	fputs(" | ", output);
	print_cell(output, option->help);
	if (option->detail[0])
		fprintf(output, " Known: %s.", option->detail);
	fputs(" |\n", output);
}

void settings_print_markdown(FILE *output)
{
	for (size_t i = 0; i < config_section_count; i++) {
		const struct config_section *section = &config_sections[i];
		fprintf(output, "%s### [%s]\n\n%s\n\n", i ? "\n" : "", section->name, section->help);
		fputs("| Option | Value | Default | Meaning |\n| --- | --- | --- | --- |\n", output);
		for (size_t k = 0; k < config_option_count; k++) {
			if (strcmp(config_options[k].section, section->name) == 0)
				print_markdown_row(output, &config_options[k]);
		}
	}
}
