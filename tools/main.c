/* The program's door: finds the sub-command and hands over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/auth_command.h"
#include "tools/config_command.h"
#include "tools/ring_command.h"
#include "tools/serve_command.h"
#include "tools/version.h"

enum { EXIT_USAGE = 2 };

static int version_command(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--help") == 0)
		return puts("usage: swiftlet version\n\nPrints the version.") < 0;
	if (argc > 1) {
		(void)fprintf(stderr, "swiftlet version: %s is too much\n", argv[1]);
		return EXIT_USAGE;
	}
	return puts("swiftlet " SWIFTLET_VERSION) < 0;
}

static const struct {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"serve", "run the servers that a configuration names", serve_command},
	{"ring", "make, change and show rings", ring_command},
	{"auth", "rotate the keys that sign tokens", auth_command},
	{"config", "print a sample configuration, check a file", config_command},
	{"version", "print the version", version_command},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static int print_overview(void)
{
	puts("usage: swiftlet <command> [arguments]\n\n"
	     "An object store with the interfaces of OpenStack Swift: proxy, account, container "
	     "and object\n"
	     "server in one program.\n");
	for (int i = 0; i < COMMAND_COUNT; i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].summary);
	puts("\n`swiftlet <command> --help` tells more. A first look: `make run` in the source "
	     "folder starts a\n"
	     "whole store with three replicas on this machine.");
	return ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		(void)fprintf(stderr, "swiftlet: no command; see swiftlet --help\n");
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return print_overview();
	if (strcmp(argv[1], "--version") == 0)
		return version_command(1, argv);
	for (int i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	(void)fprintf(stderr, "swiftlet: unknown command %s; see swiftlet --help\n", argv[1]);
	return EXIT_USAGE;
}
