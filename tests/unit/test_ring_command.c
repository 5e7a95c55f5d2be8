#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ring/ring.h"
#include "tools/ring_command.h"

enum { ARGUMENTS_MAX = 16 };

/* Points a standard stream at `target` and returns a descriptor of what it was. */
static int divert(int stream, int target)
{
	int saved = dup(stream);
	assert_true(saved >= 0);
	assert_true(dup2(target, stream) >= 0);
	return saved;
}

static void restore(int stream, int saved)
{
	assert_true(dup2(saved, stream) >= 0);
	(void)close(saved);
}

/*
 * Runs `ring` with the blank-separated words. What it printed on both streams goes to ret_output.
 * Returns the exit status.
 */
static int run(const char *words, char *ret_output, size_t output_size)
{
	char *arguments[ARGUMENTS_MAX + 1] = {NULL};
	char *copy = strdup(words), *rest = copy, *word;
	int count = 0;
	while ((word = strsep(&rest, " ")) && count < ARGUMENTS_MAX)
		arguments[count++] = word;
	FILE *file = tmpfile();
	(void)fflush(stdout);
	int output = divert(STDOUT_FILENO, fileno(file));
	int error = divert(STDERR_FILENO, fileno(file));
	int status = ring_command(count, arguments);
	(void)fflush(stdout);
	restore(STDOUT_FILENO, output);
	restore(STDERR_FILENO, error);
	rewind(file);
	size_t length = fread(ret_output, 1, output_size - 1, file);
	ret_output[length] = '\0';
	(void)fclose(file);
	free(copy);
	return status;
}

static void ring_command__session(void **state)
{
	(void)state;
	static const struct {
		const char *words;
		int status;
		const char *output; /* a part of it */
	} steps[] = {
		{"ring", 2, "usage: swiftlet ring <command>"},
		{"ring --help", 0, "rebalance"},
		{"ring bogus", 2, "unknown command bogus"},
		{"ring create --help", 0, "usage: swiftlet ring create"},
		{"ring create t.builder 4", 2, "usage: swiftlet ring create"},
		{"ring create t.builder 33 3 1", 2, "part power 33"},
		{"ring create t.builder 4 x 1", 2, "replicas x is not a number"},
		{"ring create t.builder 4 0 1", 2, "0 replicas are not"},
		{"ring create t.builder 4 3 -1", 2, "option"},
		{"ring create t.builder 4 2 0", 0, ""},
		{"ring create t.builder 4 2 0", 2, "--force overwrites it"},
		{"ring create --force t.builder 4 2 0", 0, ""},
		{"ring rebalance t.builder", 2, "2 replicas need at least 2 devices with weight"},
		{"ring validate t.builder", 2, "rebalance first"},
		{"ring add t.builder r1z1-10.0.0.1:6200/sda", 2, "usage: swiftlet ring add"},
		{"ring add t.builder r1z1-10.0.0.1:6200/sda 1 z1-10.0.0.1:6200/sdb", 2, "weight after it"},
		{"ring add t.builder r1z1-10.0.0.1:6200/sda x", 2, "weight x"},
		{"ring add t.builder r1-10.0.0.1:6200/sda 1", 2, "needs z<zone>"},
		{"ring add t.builder r1z1-10.0.0.1:6200/sda 100 z2-[::1]:6200R[::2]:6300/sda_meta "
		 "100",
			0, "Device d1r1z2-[::1]:6200R[::2]:6300/sda_meta with weight 100 got id 1"},
		{"ring add t.builder r1z3-10.0.0.3:6200/sda 1 r1z1-10.0.0.1:6200/sda 1", 2, "device 0 already uses"},
		{"ring rebalance --seed x t.builder", 2, "seed x"},
		{"ring rebalance --seed 7 t.builder", 0, "Reassigned 16 (100.00%) partitions, 32 replicas"},
		{"ring rebalance t.builder", 1, "no need to move"},
		{"ring show t.builder", 0, "16 partitions, 2 replicas, 1 regions, 2 zones, 2 devices"},
		{"ring show t.ring.gz", 0, "[::2]:6300"},
		{"ring validate t.builder", 0, ""},
		{"ring validate t.ring.gz", 0, ""},
		{"ring set-weight t.builder z7 5", 2, "no device matches z7"},
		{"ring set-weight t.builder r1 5", 2, "2 devices match r1"},
		{"ring set-weight --yes t.builder r1 50", 0, "weight set to 50"},
		{"ring remove t.builder d0", 0, "marked for removal"},
		{"ring rebalance t.builder", 2, "2 replicas need at least 2"},
		{"ring add t.builder z9-10.0.0.9:6200/sda 50", 0, "got id 2"},
		{"ring rebalance t.builder", 0, "Reassigned 16"},
		{"ring import u.builder t.ring.gz 5", 0, ""},
		{"ring show u.builder", 0, "may move again after 5 hours"},
		{"ring show t.none", 2, "t.none: No such file"},
		{"ring show none.ring.gz", 2, "none.ring.gz: No such file"},
	};
	char directory[] = "/tmp/test_ring_command.XXXXXX", output[8192];
	int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chdir(directory), 0);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int status = run(steps[i].words, output, sizeof(output));
		if (status != steps[i].status || !strstr(output, steps[i].output))
			fail_msg("%s: status %d instead of %d, output:\n%s", steps[i].words, status, steps[i].status,
				output);
	}
	struct ring *ring;
	assert_int_equal(ring_load("t.ring.gz", &ring, NULL), 0);
	assert_int_equal(ring_partition_count(ring), 16);
	assert_null(ring_device_at(ring, 0));
	ring_unref(ring);
	assert_int_equal(unlink("t.ring.gz") | unlink("t.builder") | unlink("u.builder"), 0);
	assert_int_equal(fchdir(home), 0);
	(void)close(home);
	assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_command__session),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
