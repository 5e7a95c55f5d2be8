#include "tools/ring_command.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "ring/builder.h"
#include "ring/device_text.h"
#include "ring/ring.h"

enum { EXIT_DONE = 0, EXIT_WARNING = 1, EXIT_ERROR = 2 };

/* From here on swift-ring-builder warns after a rebalance. */
static const double balance_warning_percent = 5;

/* One invocation: options taken out, `arguments` is what is left. */
struct invocation {
	const struct command *command;
	bool yes;
	bool force;
	uint64_t seed;
	int argument_count;
	char **arguments;
};

struct command {
	const char *name;
	const char *usage;   /* arguments, for the head of the help */
	const char *summary; /* one line for the list */
	const char *help;    /* paragraphs */
	int arguments_min;
	int (*run)(const struct invocation *invocation);
};

static int fail(const struct invocation *invocation, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(const struct invocation *invocation, const char *format, ...)
{
	va_list arguments;
	(void)fprintf(stderr, "swiftlet ring %s: ", invocation->command->name);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	return EXIT_ERROR;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);
	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* The ring file beside a builder file: object.builder gives object.ring.gz. */
static char *ring_path_of(const char *builder_path)
{
	size_t length = strlen(builder_path);
	if (ends_with(builder_path, ".builder"))
		length -= strlen(".builder");
	return xasprintf("%.*s.ring.gz", (int)length, builder_path);
}

static bool parse_integer(const char *text, int low, int high, int *ret_value)
{
	char *end;
	errno = 0;
	long value = strtol(text, &end, 10);
	if (end == text || *end || errno || value < low || value > high)
		return false;
	*ret_value = (int)value;
	return true;
}

static bool parse_number(const char *text, double *ret_value)
{
	char *end;
	double value = strtod(text, &end);
	if (end == text || *end || !isfinite(value))
		return false;
	*ret_value = value;
	return true;
}

/* Loads the builder that the first argument names; NULL after the error was printed. */
static struct ring_builder *load_builder(const struct invocation *invocation)
{
	struct ring_builder *builder;
	_cleanup_free_ char *error = NULL;
	if (ring_builder_load(invocation->arguments[0], &builder, &error) < 0) {
		(void)fail(invocation, "%s", error);
		return NULL;
	}
	return builder;
}

/* Saves the builder unless the command failed, and frees it. Returns the exit status. */
static int finish_builder(const struct invocation *invocation, struct ring_builder *builder, int status)
{
	int error = status == EXIT_ERROR ? 0 : ring_builder_save(builder, invocation->arguments[0]);
	ring_builder_free(builder);
	if (error < 0)
		return fail(invocation, "cannot write %s: %s", invocation->arguments[0], strerror(-error));
	return status;
}

static bool may_overwrite(const struct invocation *invocation)
{
	if (invocation->force || access(invocation->arguments[0], F_OK) < 0)
		return true;
	(void)fail(invocation, "%s exists; --force overwrites it", invocation->arguments[0]);
	return false;
}

static int run_create(const struct invocation *invocation)
{
	char **arguments = invocation->arguments;
	int part_power, min_part_hours;
	double replicas;
	struct ring_builder *builder;
	_cleanup_free_ char *error = NULL;
	if (invocation->argument_count > 4)
		return fail(invocation, "too many arguments");
	if (!parse_integer(arguments[1], 0, RING_BUILDER_PART_POWER_MAX, &part_power))
		return fail(invocation, "part power %s is not a number from 0 to %d", arguments[1],
			RING_BUILDER_PART_POWER_MAX);
	if (!parse_number(arguments[2], &replicas))
		return fail(invocation, "replicas %s is not a number", arguments[2]);
	if (!parse_integer(arguments[3], 0, INT32_MAX, &min_part_hours))
		return fail(invocation, "min_part_hours %s is not a number", arguments[3]);
	if (!may_overwrite(invocation))
		return EXIT_ERROR;
	if (ring_builder_new(part_power, replicas, min_part_hours, &builder, &error) < 0)
		return fail(invocation, "%s", error);
	return finish_builder(invocation, builder, EXIT_DONE);
}

static int run_import(const struct invocation *invocation)
{
	int min_part_hours = 1;
	struct ring *ring;
	struct ring_builder *builder;
	_cleanup_free_ char *error = NULL;
	if (invocation->argument_count > 3)
		return fail(invocation, "too many arguments");
	if (invocation->argument_count > 2 && !parse_integer(invocation->arguments[2], 0, INT32_MAX, &min_part_hours))
		return fail(invocation, "min_part_hours %s is not a number", invocation->arguments[2]);
	if (!may_overwrite(invocation))
		return EXIT_ERROR;
	if (ring_load(invocation->arguments[1], &ring, &error) < 0)
		return fail(invocation, "%s", error);
	int result = ring_builder_from_ring(ring, min_part_hours, &builder, &error);
	ring_unref(ring);
	if (result < 0)
		return fail(invocation, "%s", error);
	return finish_builder(invocation, builder, EXIT_DONE);
}

static int add_one(
	const struct invocation *invocation, struct ring_builder *builder, const char *text, const char *weight)
{
	struct device_text parsed;
	struct ring_device device;
	_cleanup_free_ char *error = NULL;
	int id;
	if (device_text_parse_whole(text, &parsed, &device, &error) < 0)
		return fail(invocation, "%s", error);
	if (!parse_number(weight, &device.weight))
		return fail(invocation, "weight %s of %s is not a number", weight, text);
	if (ring_builder_add_device(builder, &device, &id, &error) < 0)
		return fail(invocation, "%s: %s", text, error);
	_cleanup_free_ char *name = device_text_format(ring_builder_device_at(builder, (size_t)id));
	(void)printf("Device %s with weight %g got id %d\n", name, device.weight, id);
	return EXIT_DONE;
}

static int run_add(const struct invocation *invocation)
{
	int status = EXIT_DONE;
	if (invocation->argument_count % 2 == 0)
		return fail(invocation, "each device needs a weight after it");
	struct ring_builder *builder = load_builder(invocation);
	if (!builder)
		return EXIT_ERROR;
	for (int i = 1; i + 1 < invocation->argument_count && status == EXIT_DONE; i += 2)
		status = add_one(invocation, builder, invocation->arguments[i], invocation->arguments[i + 1]);
	return finish_builder(invocation, builder, status);
}

/*
 * Finds the devices that a pattern matches: their ids go to ret_ids, which has room for all. Prints
 * the error when there is none, or several without --yes. Returns the exit status.
 */
static int find_devices(const struct invocation *invocation, const struct ring_builder *builder, const char *text,
	int *ret_ids, size_t *ret_count)
{
	struct device_text pattern;
	_cleanup_free_ char *error = NULL;
	size_t count = 0;
	if (device_text_parse(text, &pattern, &error) < 0)
		return fail(invocation, "%s", error);
	for (size_t id = 0; id < ring_builder_device_count(builder); id++) {
		const struct ring_device *device = ring_builder_device_at(builder, id);
		if (device && device_text_matches(&pattern, device))
			ret_ids[count++] = (int)id;
	}
	if (count == 0)
		return fail(invocation, "no device matches %s", text);
	if (count > 1 && !invocation->yes)
		return fail(invocation, "%zu devices match %s; --yes takes them all", count, text);
	*ret_count = count;
	return EXIT_DONE;
}

/* Removes the devices that match, or sets their weight when `weight` is not NULL. */
static int change_devices(
	const struct invocation *invocation, struct ring_builder *builder, const char *text, const double *weight)
{
	_cleanup_free_ int *ids = xcalloc(ring_builder_device_count(builder) + 1, sizeof(ids[0]));
	_cleanup_free_ char *error = NULL;
	size_t count = 0;
	int status = find_devices(invocation, builder, text, ids, &count);
	for (size_t i = 0; i < count && status == EXIT_DONE; i++) {
		_cleanup_free_ char *name = device_text_format(ring_builder_device_at(builder, (size_t)ids[i]));
		int result = weight ? ring_builder_set_weight(builder, ids[i], *weight, &error)
				    : ring_builder_remove_device(builder, ids[i], &error);
		if (result < 0)
			status = fail(invocation, "%s", error);
		else if (weight)
			(void)printf("%s weight set to %g\n", name, *weight);
		else
			(void)printf("%s marked for removal at the next rebalance\n", name);
	}
	return status;
}

static int run_remove(const struct invocation *invocation)
{
	int status = EXIT_DONE;
	struct ring_builder *builder = load_builder(invocation);
	if (!builder)
		return EXIT_ERROR;
	for (int i = 1; i < invocation->argument_count && status == EXIT_DONE; i++)
		status = change_devices(invocation, builder, invocation->arguments[i], NULL);
	return finish_builder(invocation, builder, status);
}

static int run_set_weight(const struct invocation *invocation)
{
	int status = EXIT_DONE;
	if (invocation->argument_count % 2 == 0)
		return fail(invocation, "each device needs a weight after it");
	struct ring_builder *builder = load_builder(invocation);
	if (!builder)
		return EXIT_ERROR;
	for (int i = 1; i + 1 < invocation->argument_count && status == EXIT_DONE; i += 2) {
		double weight;
		if (!parse_number(invocation->arguments[i + 1], &weight))
			status = fail(invocation, "weight %s is not a number", invocation->arguments[i + 1]);
		else
			status = change_devices(invocation, builder, invocation->arguments[i], &weight);
	}
	return finish_builder(invocation, builder, status);
}

/* Tells what came of a rebalance. Returns the exit status. */
static int report_rebalance(const struct ring_builder *builder, const struct ring_rebalance *result)
{
	struct ring_quality quality;
	ring_builder_quality(builder, &quality);
	double partitions = ldexp(1, ring_builder_part_power(builder));
	(void)printf("Reassigned %zu (%.2f%%) partitions, %zu replicas. Balance is now %.2f. "
		     "Dispersion is now %.2f\n",
		result->partitions_moved, 100 * (double)result->partitions_moved / partitions, result->replicas_moved,
		quality.balance, quality.dispersion);
	bool unbalanced = quality.balance > balance_warning_percent || quality.dispersion > 0;
	if (result->replicas_pending || quality.dispersion > 0)
		(void)printf("NOTE: %zu replicas should still move. Push this ring, wait %d hours "
			     "or more, and "
			     "rebalance again.\n",
			result->replicas_pending, ring_builder_min_part_hours(builder));
	else if (unbalanced)
		(void)printf("NOTE: no better balance is possible with this part power and these "
			     "weights.\n");
	else if (!result->partitions_moved)
		(void)printf("There was no need to move anything.\n");
	return unbalanced || !result->partitions_moved ? EXIT_WARNING : EXIT_DONE;
}

static int run_rebalance(const struct invocation *invocation)
{
	struct ring_rebalance result;
	_cleanup_free_ char *error = NULL;
	if (invocation->argument_count > 1)
		return fail(invocation, "too many arguments");
	struct ring_builder *builder = load_builder(invocation);
	if (!builder)
		return EXIT_ERROR;
	if (ring_builder_rebalance(builder, invocation->seed, (uint32_t)time(NULL), &result, &error) < 0)
		return finish_builder(invocation, builder, fail(invocation, "%s", error));

	/* The builder first: a ring whose builder was lost could not be changed any further. */
	_cleanup_free_ char *ring_path = ring_path_of(invocation->arguments[0]);
	int code = ring_builder_save(builder, invocation->arguments[0]);
	if (code < 0) {
		ring_builder_free(builder);
		return fail(invocation, "cannot write %s: %s", invocation->arguments[0], strerror(-code));
	}
	struct ring *ring = ring_builder_ring(builder);
	code = ring_save_v1(ring, ring_path);
	ring_unref(ring);
	int status = code < 0 ? fail(invocation, "cannot write %s: %s", ring_path, strerror(-code))
			      : report_rebalance(builder, &result);
	ring_builder_free(builder);
	return status;
}

/* Loads a ring or a builder file, whichever the argument is. NULL after the error was printed. */
static struct ring_builder *load_either(const struct invocation *invocation)
{
	struct ring *ring;
	struct ring_builder *builder = NULL;
	_cleanup_free_ char *error = NULL;
	if (!ends_with(invocation->arguments[0], ".gz"))
		return load_builder(invocation);
	if (ring_load(invocation->arguments[0], &ring, &error) < 0) {
		(void)fail(invocation, "%s", error);
		return NULL;
	}
	if (ring_builder_from_ring(ring, 0, &builder, &error) < 0)
		(void)fail(invocation, "%s", error);
	ring_unref(ring);
	return builder;
}

static int longest(int width, const char *text)
{
	int length = (int)strlen(text);
	return length > width ? length : width;
}

static void print_devices(const struct ring_builder *builder)
{
	size_t count = ring_builder_device_count(builder);
	int address_width = 15, replication_width = 19, name_width = 4;
	for (int pass = 0; pass < 2; pass++) {
		if (pass)
			(void)printf("%5s %6s %4s %*s %*s %*s %9s %10s %8s %5s %s\n", "id", "region", "zone",
				address_width, "ip address:port", replication_width, "replication ip:port", name_width,
				"name", "weight", "partitions", "balance", "flags", "meta");
		for (size_t id = 0; id < count; id++) {
			const struct ring_device *d = ring_builder_device_at(builder, id);
			if (!d)
				continue;
			_cleanup_free_ char *address = device_text_address(d->ip, d->port);
			_cleanup_free_ char *replication = device_text_address(d->replication_ip, d->replication_port);
			if (pass == 0) {
				address_width = longest(address_width, address);
				replication_width = longest(replication_width, replication);
				name_width = longest(name_width, d->device);
				continue;
			}
			(void)printf("%5d %6d %4d %*s %*s %*s %9.2f %10zu %8.2f %5s %s\n", d->id, d->region, d->zone,
				address_width, address, replication_width, replication, name_width, d->device,
				d->weight, ring_builder_parts(builder, id), ring_builder_balance(builder, id),
				ring_builder_is_removed(builder, id) ? "DEL" : "", d->meta);
		}
	}
}

static int run_show(const struct invocation *invocation)
{
	struct ring_quality quality;
	if (invocation->argument_count > 1)
		return fail(invocation, "too many arguments");
	struct ring_builder *builder = load_either(invocation);
	if (!builder)
		return EXIT_ERROR;
	ring_builder_quality(builder, &quality);
	(void)printf("%s, version %lld\n", invocation->arguments[0], (long long)ring_builder_version(builder));
	(void)printf("%.0f partitions, %g replicas, %zu regions, %zu zones, %zu devices, %.2f "
		     "balance, %.2f "
		     "dispersion\n",
		ldexp(1, ring_builder_part_power(builder)), ring_builder_replicas(builder), quality.region_count,
		quality.zone_count, quality.device_count, quality.balance, quality.dispersion);
	if (!ends_with(invocation->arguments[0], ".gz"))
		(void)printf("A partition may move again after %d hours\n", ring_builder_min_part_hours(builder));
	print_devices(builder);
	ring_builder_free(builder);
	return EXIT_DONE;
}

static int run_validate(const struct invocation *invocation)
{
	_cleanup_free_ char *error = NULL;
	if (invocation->argument_count > 1)
		return fail(invocation, "too many arguments");
	struct ring_builder *builder = load_either(invocation);
	if (!builder)
		return EXIT_ERROR;
	int result = ring_builder_validate(builder, &error);
	ring_builder_free(builder);
	return result < 0 ? fail(invocation, "%s", error) : EXIT_DONE;
}

static const char device_help[] = "<device> is [r<region>]z<zone>-<ip>:<port>[R<replication "
				  "ip>:<port>]/<name>[_<meta>], for example\n"
				  "r1z2-10.0.0.1:6200/sda; IPv6 addresses stand in brackets, the "
				  "region is 1 when left out.\n";

static const char pattern_help[] =
	"<device> is d<id>, or d<id>r<region>z<zone>-<ip>:<port>R<ip>:<port>/<name>_<meta> with "
	"any parts\n"
	"left out: d3, z2, r1z2-10.0.0.1, /sda. When it matches several devices, --yes takes them "
	"all.\n";

static const struct command commands[] = {
	{"create", "[--force] <builder> <part power> <replicas> <min part hours>", "start a new builder file",
		"Makes a builder with 2^<part power> partitions, each on <replicas> devices (2.5 "
		"is possible). A\n"
		"partition may move one replica in <min part hours>: take the time that "
		"replication needs for a\n"
		"full round. An existing file is kept unless --force is given.\n",
		4, run_create},
	{"import", "[--force] <builder> <ring.gz> [<min part hours>]", "start a builder file from a ring",
		"Makes a builder that goes on from an existing ring file, such as one by "
		"swift-ring-builder: same\n"
		"devices, same assignment. <min part hours> is 1 unless given.\n",
		2, run_import},
	{"add", "<builder> <device> <weight> [<device> <weight> …]", "add devices",
		"Adds devices to the builder; they get partitions at the next rebalance. Weights "
		"are relative,\n"
		"for example the size in gigabytes. Either all devices are added or none.\n",
		3, run_add},
	{"remove", "[--yes] <builder> <device> …", "mark devices for removal",
		"The next rebalance assigns their partitions to other devices, whatever min part hours says. The ring "
		"alone\n"
		"changes: see that the data have been copied before the devices go.\n",
		2, run_remove},
	{"set-weight", "[--yes] <builder> <device> <weight> [<device> <weight> …]", "change weights",
		"The next rebalance moves partitions accordingly. Weight 0 drains a device.\n", 3, run_set_weight},
	{"rebalance", "[--seed <number>] <builder>", "assign partitions and write the ring file",
		"Assigns partitions to devices, saves the builder and writes the ring beside it: "
		"object.builder\n"
		"gives object.ring.gz. The same builder and seed (0 unless given) give the same "
		"ring. Exit status 1\n"
		"when there was nothing to move or another rebalance is needed later.\n",
		1, run_rebalance},
	{"show", "<builder or ring.gz>", "print a builder or ring",
		"Prints the devices with their partitions and balance: by how many percent a "
		"device holds more or\n"
		"less than its weight asks for. Ring files of swift-ring-builder are read too.\n",
		1, run_show},
	{"validate", "<builder or ring.gz>", "check a builder or ring",
		"Checks that every partition has all its replicas, on different devices. Exit "
		"status 2 when not.\n",
		1, run_validate},
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_overview(FILE *stream)
{
	(void)fprintf(stream, "usage: swiftlet ring <command> …\n\n");
	for (int i = 0; i < COMMAND_COUNT; i++)
		(void)fprintf(stream, "  %-11s %s\n", commands[i].name, commands[i].summary);
	(void)fprintf(stream, "\n`swiftlet ring <command> --help` tells more. Exit status: 0 done, 1 done with a "
			      "warning, 2 error.\n");
}

static void print_help(const struct command *command)
{
	(void)printf("usage: swiftlet ring %s %s\n\n%s", command->name, command->usage, command->help);
	if (command->run == run_add)
		(void)printf("\n%s", device_help);
	if (command->run == run_remove || command->run == run_set_weight)
		(void)printf("\n%s", pattern_help);
}

/* Takes the options out of argv. Returns false when the invocation is over with *ret_status. */
static bool parse_options(int argc, char **argv, struct invocation *invocation, int *ret_status)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {"yes", no_argument, NULL, 'y'},
		{"force", no_argument, NULL, 'f'}, {"seed", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
	int option;
	char *end;
	*ret_status = EXIT_ERROR;
	optind = 0; /* glibc: start anew, the caller may have used getopt for its own options */
	opterr = 0;
	while ((option = getopt_long(argc, argv, "hyfs:", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			print_help(invocation->command);
			*ret_status = EXIT_DONE;
			return false;
		case 'y':
			invocation->yes = true;
			break;
		case 'f':
			invocation->force = true;
			break;
		case 's':
			errno = 0;
			invocation->seed = strtoull(optarg, &end, 10);
			if (end != optarg && !*end && !errno)
				break;
			(void)fail(invocation, "seed %s is not a number", optarg);
			return false;
		default:
			(void)fail(
				invocation, "option %s is not known or lacks its value; see --help", argv[optind - 1]);
			return false;
		}
	}
	invocation->argument_count = argc - optind;
	invocation->arguments = argv + optind;
	return true;
}

int ring_command(int argc, char **argv)
{
	int status;
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_overview(argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_ERROR : EXIT_DONE;
	}
	for (int i = 0; i < COMMAND_COUNT; i++) {
		struct invocation invocation = {.command = &commands[i]};
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (!parse_options(argc - 1, argv + 1, &invocation, &status))
			return status;
		if (invocation.argument_count < commands[i].arguments_min)
			return fail(&invocation, "usage: swiftlet ring %s %s", commands[i].name, commands[i].usage);
		return commands[i].run(&invocation);
	}
	(void)fprintf(stderr, "swiftlet ring: unknown command %s; see swiftlet ring --help\n", argv[1]);
	return EXIT_ERROR;
}
