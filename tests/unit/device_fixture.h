/*
 * Directories and devices for tests: made below SWIFTLET_TEST_TMP, TMPDIR or /tmp, and removed with
 * all they hold.
 */
#ifndef TESTS_UNIT_DEVICE_FIXTURE_H
#define TESTS_UNIT_DEVICE_FIXTURE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/store/device.h"

#if defined(SWIFTLET_SANITIZER_thread)
/* The system's RocksDB is not instrumented: its atomics are invisible, so what they order looks
 * like races. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:librocksdb\nrace:libstdc++\n";
}
#endif

static inline char *fixture_directory(void)
{
	const char *parent = getenv("SWIFTLET_TEST_TMP");
	if (!parent)
		parent = getenv("TMPDIR");
	char *path = xasprintf("%s/swiftlet-test-XXXXXX", parent ? parent : "/tmp");
	if (!mkdtemp(path)) {
		perror(path);
		abort();
	}
	return path;
}

static inline int fixture_unlink(const char *path, const struct stat *info, int type, struct FTW *position)
{
	(void)info;
	(void)type;
	(void)position;
	return remove(path);
}

/* Removes the directory with all it holds and frees the path. */
static inline void fixture_remove(char *path)
{
	(void)nftw(path, fixture_unlink, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(path);
}

/* Opens the device "sda" there, made when it is new. Stops the test program when that fails. */
static inline struct device *fixture_open(const char *path)
{
	struct device_options options = {.path = path, .name = "sda", .create = true};
	struct device *device = NULL;
	char *error = NULL;
	int result = device_open(&options, &device, &error);
	if (result < 0) {
		fprintf(stderr, "device_open: %d %s\n", result, error);
		abort();
	}
	return device;
}

#endif
