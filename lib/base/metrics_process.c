#include "lib/base/metrics_process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/metrics.h"

enum { STAT_BYTES_MAX = 1024 };

static bool read_text(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	size_t length = fread(text, 1, size - 1, file);
	text[length] = '\0';
	(void)fclose(file);
	return length > 0;
}

/* Fields of /proc/self/stat by proc(5)'s numbers, from the third on: the second, a name, may hold blanks. */
static bool stat_fields(uint64_t *fields, int first, int last)
{
	char text[STAT_BYTES_MAX];
	if (!read_text("/proc/self/stat", text, sizeof(text)))
		return false;
	char *at = strrchr(text, ')');
	if (!at)
		return false;
	at += 4; /* ") S ": the state is the third */
	for (int field = 4; field <= last; field++) {
		char *end;
		uint64_t value = strtoull(at, &end, 10);
		if (end == at)
			return false;
		if (field >= first)
			fields[field - first] = value;
		at = end;
	}
	return true;
}

static double boot_time(void)
{
	FILE *file = fopen("/proc/stat", "re");
	char line[256];
	double time = 0;
	while (file && time == 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, "btime ", 6) == 0)
			time = strtod(line + 6, NULL);
	if (file)
		(void)fclose(file);
	return time;
}

double metrics_process_start(void)
{
	uint64_t started;
	double boot = boot_time();
	if (boot == 0 || !stat_fields(&started, 22, 22))
		return 0;
	return boot + (double)started / (double)sysconf(_SC_CLK_TCK);
}

static int open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	if (!folder)
		return -1;
	int count = -1; /* the folder's own */
	for (struct dirent *item; (item = readdir(folder));)
		count += item->d_name[0] != '.';
	(void)closedir(folder);
	return count;
}

static void write_one(struct buf *text, const char *name, enum metric_kind kind, const char *help, double value)
{
	metrics_write_family(text, name, kind, help);
	metrics_write_sample(text, name, NULL, value);
}

void metrics_write_process(struct buf *text)
{
	struct rusage usage;
	if (getrusage(RUSAGE_SELF, &usage) == 0) {
		double seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
		write_one(text, "process_cpu_seconds_total", METRIC_COUNTER, "User and system CPU time.", seconds);
	}
	enum { THREADS = 20, VSIZE = 23, RSS = 24 };
	uint64_t fields[RSS - THREADS + 1];
	if (stat_fields(fields, THREADS, RSS)) {
		write_one(text, "process_threads", METRIC_GAUGE, "Threads of the process.", (double)fields[0]);
		write_one(text, "process_virtual_memory_bytes", METRIC_GAUGE, "Address space.",
			(double)fields[VSIZE - THREADS]);
		write_one(text, "process_resident_memory_bytes", METRIC_GAUGE, "Memory in use.",
			(double)fields[RSS - THREADS] * (double)sysconf(_SC_PAGESIZE));
	}
	int descriptors = open_descriptors();
	if (descriptors >= 0)
		write_one(text, "process_open_fds", METRIC_GAUGE, "Open file descriptors.", descriptors);
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		write_one(text, "process_max_fds", METRIC_GAUGE, "Most file descriptors that may be open.",
			(double)limit.rlim_cur);
	double started = metrics_process_start();
	if (started > 0)
		write_one(
			text, "process_start_time_seconds", METRIC_GAUGE, "Start of the process since 1970.", started);
}
