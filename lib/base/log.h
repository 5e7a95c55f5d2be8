/*
 * The log: one line per event on standard error (or syslog when so configured), never torn by another line.
 * Every line that belongs to a request carries its transaction id.
 *
 * Safe from any thread. Levels as in syslog; lines below log_level are not formatted at all.
 */
#ifndef LIB_BASE_LOG_H
#define LIB_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines above `level` are dropped. `program` stands at the head of each line and must outlive the log. */
void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level);
bool log_wants(enum log_level level);

/* Parses "error", "warning", "info", "debug". Returns -EINVAL for other texts. */
int log_level_parse(const char *text, enum log_level *ret_level);

/*
 * The request that the calling thread works for from now on: lines that name no transaction themselves get this one.
 * NULL or "": none. The text is not copied. Coroutines have theirs set by lib/co (co_set_transaction), and take it along
 * to the threads that work for them.
 */
void log_set_transaction(const char *transaction);

/* `transaction` may be NULL: then it is that of log_set_transaction(). */
void log_write(enum log_level level, const char *transaction, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A finished line as it is (the access log): no level, no transaction added; cut at about 3500 bytes. */
void log_raw(const char *line);

/*
 * From log_gather() to log_gather_end() the raw lines of the calling thread are kept together, up to 16 KiB, and written
 * by one write() at its next log_flush() or before its next log_write(). A loop flushes once per turn, so a line is
 * never held back while the thread sleeps; what a crash can lose are the lines of one turn.
 */
void log_gather(void);
void log_flush(void);
void log_gather_end(void);

#define log_error(...) log_write(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)

#endif
