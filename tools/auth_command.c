#include "tools/auth_command.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/base/slice.h"
#include "lib/swift/number.h"
#include "proxy/auth/token.h"

enum { EXIT_USAGE = 2 };

static const char help[] = "usage: swiftlet auth rotate-key [--keep N] FILE\n"
			   "\n"
			   "Puts a new key at the head of FILE ([auth] token_keys), which signs "
			   "all tokens from now on, and keeps the N keys\n"
			   "before it (2 if not said), so that tokens signed with them stay valid. "
			   "FILE is made, readable by its owner only,\n"
			   "when it is not there. Running proxies read it again on SIGHUP.\n"
			   "\n"
			   "On a cluster: rotate on one node, copy FILE to all proxies, then send "
			   "them SIGHUP. Until the last one has it, some\n"
			   "proxies refuse each other's newest tokens, and clients log in again. "
			   "--keep 0 ends every token at once.\n"
			   "\n"
			   "Exit codes: 0 done, 1 FILE was left as it is, 2 wrong options.\n";

static int wrong_usage(const char *message)
{
	(void)fprintf(stderr, "swiftlet auth: %s; see swiftlet auth --help\n", message);
	return EXIT_USAGE;
}

static int rotate_key(const char *path, unsigned kept)
{
	uint32_t id;
	_cleanup_free_ char *error = NULL;
	if (token_keys_rotate(path, kept, &id, &error)) {
		(void)fprintf(stderr, "swiftlet auth: %s\n", error);
		return EXIT_FAILURE;
	}
	printf("%s: key %" PRIu32 " signs from now on\n", path, id);
	return EXIT_SUCCESS;
}

int auth_command(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'}, {"keep", required_argument, NULL, 'k'}, {NULL, 0, NULL, 0}};
	int64_t kept = TOKEN_KEYS_KEPT;
	optind = 0; /* glibc: start anew */
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, "hk:", options, NULL)) != -1;) {
		if (option == 'h')
			return fputs(help, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
		if (option != 'k')
			return wrong_usage("unknown option, or one without its value");
		if (number_parse_integer(slice_from(optarg), &kept) || kept < 0 || kept >= TOKEN_KEYS_MAX)
			return wrong_usage("--keep takes a number from 0 to 63");
	}
	if (optind == argc || strcmp(argv[optind], "rotate-key") != 0)
		return wrong_usage("say what to do: rotate-key");
	if (argc - optind != 2)
		return wrong_usage("rotate-key takes one FILE");
	return rotate_key(argv[optind + 1], (unsigned)kept);
}
