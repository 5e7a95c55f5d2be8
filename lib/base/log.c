#include "lib/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A longer line is cut; header values alone are bounded by 8 KiB, so nothing legitimate comes near. */
enum { LINE_BYTES_MAX = 3500 };

static const char *program_name = "swiftlet";
static _Atomic int level_max = LOG_LEVEL_INFO;

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void log_init(const char *program, enum log_level level)
{
	program_name = program;
	atomic_store(&level_max, (int)level);
}

void log_set_level(enum log_level level)
{
	atomic_store(&level_max, (int)level);
}

bool log_wants(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

static size_t format_prefix(char *line, size_t size, enum log_level level)
{
	struct timespec now;
	struct tm broken_down;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &broken_down);
	size_t length = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &broken_down);
	int more = snprintf(line + length, size - length, ".%03ldZ %s[%d] %s: ", now.tv_nsec / 1000000, program_name,
		(int)getpid(), level_names[level]);
	return length + (size_t)more;
}

/* One line is one event: a line break inside a message would let a client forge lines. */
static void flatten(char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

void log_write(enum log_level level, const char *transaction, const char *format, ...)
{
	if (!log_wants(level))
		return;
	char line[LINE_BYTES_MAX + 64];
	size_t length = format_prefix(line, LINE_BYTES_MAX, level);
	size_t start = length;
	va_list arguments;
	va_start(arguments, format);
	int message = vsnprintf(line + length, LINE_BYTES_MAX - length, format, arguments);
	va_end(arguments);
	length += message < 0 ? 0 : (size_t)message;
	if (length >= LINE_BYTES_MAX)
		length = LINE_BYTES_MAX - 1;
	flatten(line + start, length - start);
	if (transaction)
		length += (size_t)snprintf(line + length, sizeof(line) - length - 1, " (txn: %.48s)", transaction);
	line[length++] = '\n';
	/* A log that cannot be written must not stop the service. */
	(void)!write(STDERR_FILENO, line, length);
}

void log_raw(const char *line)
{
	char copy[LINE_BYTES_MAX + 64];
	int length = snprintf(copy, sizeof(copy) - 1, "%s", line);
	if (length < 0)
		return;
	if ((size_t)length > sizeof(copy) - 2)
		length = sizeof(copy) - 2;
	flatten(copy, (size_t)length);
	copy[length++] = '\n';
	(void)!write(STDERR_FILENO, copy, (size_t)length);
}
