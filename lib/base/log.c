#include "lib/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A longer line is cut; header values alone are bounded by 8 KiB, so nothing legitimate comes near. */
enum { LINE_BYTES_MAX = 3500, TRANSACTION_BYTES_MAX = 192, GATHERED_BYTES = 16 * 1024 };

static const char *program_name = "swiftlet";
static __thread const char *thread_transaction;
static _Atomic int level_max = LOG_LEVEL_INFO;
/* what several lines are written with must not end up inside of another thread's */
static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread char *gathered; /* GATHERED_BYTES, in a thread that gathers; NULL in others */
static __thread size_t gathered_bytes;

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

void log_set_transaction(const char *transaction)
{
	thread_transaction = transaction;
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

/* Whether one of eight bytes is below " " or DEL; now and then a yes for others behind one. */
static bool has_control(const char *eight)
{
	const uint64_t each = 0x0101010101010101, top = each * 0x80;
	uint64_t bytes;
	memcpy(&bytes, eight, sizeof(bytes));
	uint64_t no_del = bytes ^ (each * 0x7f);
	return (((bytes - each * ' ') & ~bytes) | ((no_del - each) & ~no_del)) & top;
}

/* One line is one event: a line break inside a message would let a client forge lines. */
static void flatten(char *text, size_t length)
{
	size_t i = 0;
	while (i < length) {
		if (length - i >= 8 && !has_control(text + i)) {
			i += 8;
			continue;
		}
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
		i++;
	}
}

/* A log that cannot be written must not stop the service. */
static void output(const char *lines, size_t length)
{
	pthread_mutex_lock(&output_lock);
	while (length > 0) {
		ssize_t written = write(STDERR_FILENO, lines, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			break;
		lines += written;
		length -= (size_t)written;
	}
	pthread_mutex_unlock(&output_lock);
}

void log_write(enum log_level level, const char *transaction, const char *format, ...)
{
	if (!log_wants(level))
		return;
	if (!transaction || !*transaction)
		transaction = thread_transaction;
	char line[LINE_BYTES_MAX + TRANSACTION_BYTES_MAX + 16];
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
	if (transaction && *transaction) {
		start = length;
		length += (size_t)snprintf(
			line + length, sizeof(line) - length - 1, " (txn: %.*s)", TRANSACTION_BYTES_MAX, transaction);
		flatten(line + start, length - start);
	}
	line[length++] = '\n';
	log_flush();
	output(line, length);
}

void log_raw(const char *text)
{
	size_t length = strlen(text);
	if (length > LINE_BYTES_MAX)
		length = LINE_BYTES_MAX;
	if (gathered_bytes + length + 1 > GATHERED_BYTES)
		log_flush();
	char one[LINE_BYTES_MAX + 1];
	char *line = gathered ? gathered + gathered_bytes : one;
	memcpy(line, text, length);
	flatten(line, length);
	line[length++] = '\n';
	if (gathered)
		gathered_bytes += length;
	else
		output(line, length);
}

/* ---- gathering ---- */

void log_gather(void)
{
	if (!gathered)
		gathered = malloc(GATHERED_BYTES); /* without, each line is written by itself */
}

void log_flush(void)
{
	if (!gathered_bytes)
		return;
	output(gathered, gathered_bytes);
	gathered_bytes = 0;
}

void log_gather_end(void)
{
	log_flush();
	free(gathered);
	gathered = NULL;
}
