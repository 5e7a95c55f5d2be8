#include "tools/idle.h"

#include <malloc.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

enum {
	IDLE_SHARE = 20,         /* below 1/20 of one core */
	IDLE_CALLS = 3,          /* in a row */
	WORK_MIN_US = 20 * 1000, /* CPU time since the last trim that makes another one worth while */
	HEAPS_MAX = 4,
	PIECE_BYTES =
		64 *
		1024, /* larger ones are mapped: blocks of bodies and of RocksDB's memtables go back as they are freed */
};

void heap_tame(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, PIECE_BYTES + 1);
	(void)mallopt(M_TRIM_THRESHOLD, 2 * PIECE_BYTES);
	(void)mallopt(M_ARENA_MAX, HEAPS_MAX);
}

static int64_t cpu_us(void)
{
	struct rusage usage;
	(void)getrusage(RUSAGE_SELF, &usage);
	return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
	       usage.ru_stime.tv_usec;
}

static int64_t now_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

bool process_is_idle(void)
{
	static int64_t last_now_us, last_cpu_us;
	static int idle_calls;
	int64_t now = now_us();
	int64_t cpu = cpu_us();
	bool idle = (cpu - last_cpu_us) * IDLE_SHARE < now - last_now_us;
	idle_calls = !idle ? 0 : idle_calls < IDLE_CALLS ? idle_calls + 1 : IDLE_CALLS;
	last_now_us = now;
	last_cpu_us = cpu;
	return idle_calls == IDLE_CALLS;
}

void heap_trim(void)
{
	static int64_t trimmed_cpu_us;
	if (cpu_us() - trimmed_cpu_us < WORK_MIN_US)
		return;
	(void)malloc_trim(0);
	trimmed_cpu_us = cpu_us();
}
