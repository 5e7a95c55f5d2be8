#include "lib/http/access_log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/swift/constraints.h"

/* As written, escapes counted: together they stay below what a line of the log may have. */
enum { PATH_BYTES_MAX = 1280, TEXT_BYTES_MAX = 220, LINE_BYTES_USUAL = 512 };

static struct access_options options = {.json = false, .reveal_bytes = 16};

void access_log_set(const struct access_options *given)
{
	options = *given;
}

/* ---- secrets ---- */

/* Parameters that are as good as a key (Swift: register_sensitive_param of tempurl and s3api). */
static bool is_sensitive(const char *name, size_t length)
{
	static const char *const names[] = {"temp_url_sig", "Signature", "X-Amz-Signature", "X-Amz-Security-Token"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == length && strncasecmp(names[i], name, length) == 0)
			return true;
	return false;
}

static void append_secret(struct buf *text, const char *value, size_t length)
{
	bool cut = length > options.reveal_bytes;
	buf_append(text, value, cut ? options.reveal_bytes : length);
	if (cut)
		buf_append_text(text, "...");
}

/* Copies a path or URL with what signs it cut short. */
static void append_redacted(struct buf *text, const char *path)
{
	size_t start = strcspn(path, "?");
	buf_append(text, path, start);
	path += start;
	while (*path) {
		buf_append_byte(text, *path++);
		size_t length = strcspn(path, "&;");
		const char *equals = memchr(path, '=', length);
		size_t name = equals ? (size_t)(equals - path) : length;
		if (equals && is_sensitive(path, name)) {
			buf_append(text, path, name + 1);
			append_secret(text, equals + 1, length - name - 1);
		} else {
			buf_append(text, path, length);
		}
		path += length;
	}
}

/* ---- Swift's fields ---- */

/*
 * Percent-encoded but for letters, digits and "_.-~:/{}" (Swift's LogStringFormatter), so that a line has as many
 * fields as it should whatever a client sends.
 */
static void append_quoted(struct buf *line, const char *text, size_t bytes_max)
{
	static const bool plain[256] = {['a' ... 'z'] = true,
		['A' ... 'Z'] = true,
		['0' ... '9'] = true,
		['_'] = true,
		['.'] = true,
		['-'] = true,
		['~'] = true,
		[':'] = true,
		['/'] = true,
		['{'] = true,
		['}'] = true};
	if (!text || !*text)
		text = "-";
	char *start = buf_reserve(line, bytes_max + 8);
	char *at = start;
	for (; *text && at < start + bytes_max; text++) {
		unsigned char byte = (unsigned char)*text;
		if (plain[byte]) {
			*at++ = (char)byte;
			continue;
		}
		*at++ = '%';
		*at++ = "0123456789ABCDEF"[byte >> 4];
		*at++ = "0123456789ABCDEF"[byte & 0xf];
	}
	for (int i = 0; *text && i < 3; i++)
		*at++ = '.';
	*at = '\0';
	line->length = (size_t)(at - line->data);
}

static void append_path(struct buf *line, const char *path, size_t bytes_max)
{
	if (!path || !strchr(path, '?')) {
		append_quoted(line, path, bytes_max);
		return;
	}
	struct buf redacted = BUF_INIT;
	append_redacted(&redacted, path);
	append_quoted(line, redacted.data, bytes_max);
	buf_release(&redacted);
}

static void add_field(struct buf *line, const char *text)
{
	if (line->length)
		buf_append_byte(line, ' ');
	append_quoted(line, text, TEXT_BYTES_MAX);
}

static void add_number(struct buf *line, uint64_t number)
{
	buf_append_byte(line, ' ');
	buf_append_decimal(line, number);
}

/* 0 is shown as "-". */
static void add_count(struct buf *line, uint64_t count)
{
	if (count)
		add_number(line, count);
	else
		buf_append(line, " -", 2);
}

/* Seconds and as many decimals as `fraction` has below 10^decimals. */
static void add_seconds(struct buf *line, uint64_t seconds, uint64_t fraction, size_t decimals)
{
	char text[10] = ".";
	for (size_t i = decimals; i > 0; i--, fraction /= 10)
		text[i] = (char)('0' + fraction % 10);
	add_number(line, seconds);
	buf_append(line, text, decimals + 1);
}

static void add_time(struct buf *line, struct timespec time)
{
	add_seconds(line, (uint64_t)time.tv_sec, (uint64_t)time.tv_nsec, 9);
}

/* 0 when the clock was set back. */
static uint64_t duration_ns(const struct access_entry *entry)
{
	int64_t ns =
		(entry->end.tv_sec - entry->start.tv_sec) * 1000000000 + (entry->end.tv_nsec - entry->start.tv_nsec);
	return ns > 0 ? (uint64_t)ns : 0;
}

/* In tenths of a millisecond. */
static void add_duration(struct buf *line, const struct access_entry *entry)
{
	uint64_t rounded = (duration_ns(entry) + 50000) / 100000;
	add_seconds(line, rounded / 10000, rounded % 10000, 4);
}

struct date {
	char proxy[32];  /* 21/Nov/2026/06/50/57 */
	char server[40]; /* 21/Nov/2026:06:50:57 +0000 */
	char json[32];   /* 2026-11-21T06:50:57 */
};

/* Formatted once a second. */
static const struct date *date_of(time_t second)
{
	static __thread struct date date;
	static __thread time_t formatted;
	if (second == formatted)
		return &date;
	struct tm broken_down;
	gmtime_r(&second, &broken_down);
	(void)strftime(date.proxy, sizeof(date.proxy), "%d/%b/%Y/%H/%M/%S", &broken_down);
	(void)strftime(date.server, sizeof(date.server), "%d/%b/%Y:%H:%M:%S +0000", &broken_down);
	(void)strftime(date.json, sizeof(date.json), "%Y-%m-%dT%H:%M:%S", &broken_down);
	formatted = second;
	return &date;
}

static void add_token(struct buf *line, const char *token)
{
	struct buf cut = BUF_INIT;
	if (token)
		append_secret(&cut, token, strlen(token));
	add_field(line, cut.data);
	buf_release(&cut);
}

static void format_proxy(const struct access_entry *entry, struct buf *line)
{
	add_field(line, entry->client_ip);
	add_field(line, entry->remote_address);
	add_field(line, date_of(entry->end.tv_sec)->proxy);
	add_field(line, entry->method);
	buf_append_byte(line, ' ');
	append_path(line, entry->path, PATH_BYTES_MAX);
	add_field(line, entry->http_1_0 ? "HTTP/1.0" : "HTTP/1.1");
	add_number(line, (uint64_t)entry->status);
	buf_append_byte(line, ' ');
	append_path(line, entry->referer, TEXT_BYTES_MAX);
	add_field(line, entry->user_agent);
	add_token(line, entry->token);
	add_count(line, entry->bytes_received);
	add_count(line, entry->bytes_sent);
	add_field(line, entry->etag);
	add_field(line, entry->transaction_id);
	add_field(line, NULL);
	add_duration(line, entry);
	add_field(line, entry->source);
	add_field(line, entry->user);
	add_time(line, entry->start);
	add_time(line, entry->end);
	add_field(line, entry->policy);
}

static void format_server(const struct access_entry *entry, struct buf *line)
{
	buf_append_text(line, entry->server);
	buf_append_byte(line, ':');
	add_field(line, entry->remote_address);
	buf_append_text(line, " - - [");
	buf_append_text(line, date_of(entry->end.tv_sec)->server);
	buf_append_text(line, "] \"");
	append_quoted(line, entry->method, TEXT_BYTES_MAX);
	buf_append_byte(line, ' ');
	append_path(line, entry->path, PATH_BYTES_MAX);
	buf_append_byte(line, '"');
	add_number(line, (uint64_t)entry->status);
	add_count(line, entry->bytes_sent);
	buf_append_text(line, " \"");
	append_path(line, entry->referer, TEXT_BYTES_MAX);
	buf_append_text(line, "\" \"");
	append_quoted(line, entry->transaction_id, TEXT_BYTES_MAX);
	buf_append_text(line, "\" \"");
	append_quoted(line, entry->user_agent, TEXT_BYTES_MAX);
	buf_append_byte(line, '"');
	add_duration(line, entry);
	buf_append_text(line, " \"-\"");
	add_number(line, (uint64_t)getpid());
	add_field(line, entry->policy);
}

/* ---- JSON ---- */

/* A byte that is no part of valid UTF-8 would make the line no JSON: then all of them are percent-encoded. */
static void append_json_text(struct buf *line, const char *text, size_t bytes_max)
{
	bool valid = constraints_text_valid(slice_from(text), true);
	size_t end = line->length + bytes_max;
	buf_append_byte(line, '"');
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;
		/* no cut in the middle of a character */
		if (line->length >= end && (byte & 0xc0) != 0x80) {
			buf_append_text(line, "...");
			break;
		}
		if (byte == '"' || byte == '\\')
			buf_printf(line, "\\%c", byte);
		else if (byte < ' ' || byte == 0x7f)
			buf_printf(line, "\\u%04x", byte);
		else if (byte >= 0x80 && !valid)
			buf_printf(line, "%%%02X", byte);
		else
			buf_append_byte(line, *text);
	}
	buf_append_byte(line, '"');
}

static void add_json_text(struct buf *line, const char *name, const char *text, size_t bytes_max)
{
	if (!text || !*text)
		return;
	buf_printf(line, ",\"%s\":", name);
	append_json_text(line, text, bytes_max);
}

static void format_json(const struct access_entry *entry, struct buf *line)
{
	buf_printf(line, "{\"time\":\"%s.%06ldZ\",\"server\":\"%s\"", date_of(entry->end.tv_sec)->json,
		entry->end.tv_nsec / 1000, entry->server);
	add_json_text(line, "transaction_id", entry->transaction_id, TEXT_BYTES_MAX);
	add_json_text(line, "client_ip", entry->client_ip, TEXT_BYTES_MAX);
	add_json_text(line, "remote_address", entry->remote_address, TEXT_BYTES_MAX);
	add_json_text(line, "method", entry->method, TEXT_BYTES_MAX);
	struct buf redacted = BUF_INIT;
	append_redacted(&redacted, entry->path ? entry->path : "");
	add_json_text(line, "path", redacted.data, PATH_BYTES_MAX);
	buf_clear(&redacted);
	append_redacted(&redacted, entry->referer ? entry->referer : "");
	add_json_text(line, "referer", redacted.data, TEXT_BYTES_MAX);
	buf_clear(&redacted);
	append_secret(&redacted, entry->token ? entry->token : "", entry->token ? strlen(entry->token) : 0);
	add_json_text(line, "token", redacted.data, TEXT_BYTES_MAX);
	buf_release(&redacted);
	buf_printf(line,
		",\"protocol\":\"HTTP/1.%d\",\"status\":%d,\"bytes_received\":%" PRIu64 ",\"bytes_sent\":%" PRIu64
		",\"duration\":%.6f",
		!entry->http_1_0, entry->status, entry->bytes_received, entry->bytes_sent,
		(double)duration_ns(entry) / 1e9);
	if (entry->first_byte_seconds >= 0)
		buf_printf(line, ",\"first_byte\":%.6f", entry->first_byte_seconds);
	add_json_text(line, "user_agent", entry->user_agent, TEXT_BYTES_MAX);
	add_json_text(line, "etag", entry->etag, TEXT_BYTES_MAX);
	add_json_text(line, "user", entry->user, TEXT_BYTES_MAX);
	add_json_text(line, "source", entry->source, TEXT_BYTES_MAX);
	add_json_text(line, "policy", entry->policy, TEXT_BYTES_MAX);
	add_json_text(line, "error", entry->error, TEXT_BYTES_MAX);
	buf_append_byte(line, '}');
}

void access_log_format(const struct access_entry *entry, struct buf *line)
{
	assert(entry->server);
	if (options.json)
		format_json(entry, line);
	else if (strcmp(entry->server, "proxy-server") == 0)
		format_proxy(entry, line);
	else
		format_server(entry, line);
}

void access_log_write(const struct access_entry *entry)
{
	struct buf line = BUF_INIT;
	(void)buf_reserve(&line, LINE_BYTES_USUAL);
	access_log_format(entry, &line);
	log_raw(line.data);
	buf_release(&line);
}
