#include "tools/config_command.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/base/settings.h"
#include "tools/doors.h"

enum { EXIT_USAGE = 2 };

static const char help[] =
	"usage: swiftlet config sample          print a configuration with every option and its "
	"default\n"
	"       swiftlet config markdown        print the same as tables, for "
	"docs/configuration.md\n"
	"       swiftlet config check FILE      say whether FILE is right, and where not\n"
	"\n"
	"To begin with: swiftlet config sample >swiftlet.conf, set hash_path_suffix and a user, "
	"then\n"
	"swiftlet config check swiftlet.conf. `check` only reads: it can be run beside a server, "
	"before a restart.\n"
	"It looks at TLS certificates and keys, not at rings, devices and addresses; `swiftlet serve` "
	"does.\n"
	"\n"
	"Exit codes: 0 done, 1 FILE is wrong, 2 wrong options.\n";

/* "a, b" of a list. */
static void print_list(const char *name, const struct text_list *list)
{
	printf("%s ", name);
	for (size_t i = 0; i < list->count; i++)
		printf("%s%s", i ? ", " : "", list->items[i]);
}

static int check(const char *path)
{
	struct settings *settings;
	_cleanup_free_ char *error = NULL;
	if (settings_load(path, &settings, &error)) {
		(void)fprintf(stderr, "swiftlet: %s\n", error);
		return EXIT_FAILURE;
	}
	struct doors *doors = NULL;
	if (settings_has_role(settings, "proxy") && doors_open(settings, &doors, &error)) {
		(void)fprintf(stderr, "swiftlet: %s: [proxy] tls_certificate: %s\n", path, error);
		settings_free(settings);
		return EXIT_FAILURE;
	}
	printf("%s is right: ", path);
	print_list("roles", &settings->swiftlet.roles);
	printf("; %zu users; %zu storage polic%s\n", settings->auth.user_count, settings->policy_count,
		settings->policy_count == 1 ? "y" : "ies");
	doors_free(doors);
	settings_free(settings);
	return EXIT_SUCCESS;
}

static int finish(void)
{
	if (fflush(stdout) == 0)
		return EXIT_SUCCESS;
	perror("swiftlet config");
	return EXIT_FAILURE;
}

int config_command(int argc, char **argv)
{
	const char *action = argc > 1 ? argv[1] : "";
	bool alone = argc == 2;
	if (alone && (strcmp(action, "--help") == 0 || strcmp(action, "-h") == 0))
		return fputs(help, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (alone && strcmp(action, "sample") == 0) {
		settings_print_sample(stdout);
		return finish();
	}
	if (alone && strcmp(action, "markdown") == 0) {
		settings_print_markdown(stdout);
		return finish();
	}
	if (argc == 3 && strcmp(action, "check") == 0 && argv[2][0] != '-')
		return check(argv[2]);
	(void)fprintf(stderr, "swiftlet config: say sample, markdown or check FILE; see swiftlet "
			      "config --help\n");
	return EXIT_USAGE;
}
