#include "lib/swift/constraints.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "lib/swift/number.h"
#include "lib/swift/url.h"

enum {
	/* Headers that every request carries besides metadata (Swift: constraints.py). */
	HEADER_COUNT_BASE = 36,
	/* Longest metadata prefix with NUL, "x-container-meta-". */
	META_PREFIX_BYTES = 32,
};

#define DELETE_AT_SECONDS_MAX INT64_C(9999999999)

const struct constraints constraints_default = {
	.max_file_size = INT64_C(5368709122),
	.max_meta_name_length = 128,
	.max_meta_value_length = 256,
	.max_meta_count = 90,
	.max_meta_overall_size = 4096,
	.max_header_size = 8192,
	.max_request_line = 8192,
	.max_object_name_length = 1024,
	.max_account_name_length = 256,
	.max_container_name_length = 256,
	.container_listing_limit = 10000,
	.account_listing_limit = 10000,
	.extra_header_count = 0,
	.valid_api_versions = "v1,v1.0",
	.auto_create_account_prefix = ".",
};

/* Swift's options that are numbers, and where they live. */
static const struct {
	const char *name;
	size_t place;
} number_options[] = {
#define OPTION(name)                                                                                                   \
	{                                                                                                              \
#name, offsetof(struct constraints, name)                                                              \
	}
	OPTION(max_file_size),
	OPTION(max_meta_name_length),
	OPTION(max_meta_value_length),
	OPTION(max_meta_count),
	OPTION(max_meta_overall_size),
	OPTION(max_header_size),
	OPTION(max_request_line),
	OPTION(max_object_name_length),
	OPTION(max_account_name_length),
	OPTION(max_container_name_length),
	OPTION(container_listing_limit),
	OPTION(account_listing_limit),
	OPTION(extra_header_count),
#undef OPTION
};

int constraints_set(struct constraints *constraints, const char *name, const char *value)
{
	if (strcmp(name, "valid_api_versions") == 0) {
		constraints->valid_api_versions = value;
		return 0;
	}
	if (strcmp(name, "auto_create_account_prefix") == 0) {
		constraints->auto_create_account_prefix = value;
		return 0;
	}
	for (size_t i = 0; i < sizeof(number_options) / sizeof(number_options[0]); i++) {
		if (strcmp(name, number_options[i].name) != 0)
			continue;
		int64_t number;
		if (number_parse_integer(slice_from(value), &number) || number < 0)
			return -EINVAL;
		memcpy((char *)constraints + number_options[i].place, &number, sizeof(number));
		return 0;
	}
	return -ENOENT;
}

int64_t constraints_header_count_max(const struct constraints *constraints)
{
	return constraints->max_meta_count + HEADER_COUNT_BASE + constraints->extra_header_count;
}

bool constraints_api_version_valid(const struct constraints *constraints, struct slice version)
{
	const char *at = constraints->valid_api_versions;
	while (*at) {
		size_t length = strcspn(at, ",");
		if (slice_equal(number_trim(slice_of(at, length)), version))
			return version.length > 0;
		at += length + (at[length] == ',');
	}
	return false;
}

bool constraints_account_auto_created(const struct constraints *constraints, struct slice account)
{
	return slice_starts_with(account, slice_from(constraints->auto_create_account_prefix));
}

static int refuse(int error_number, char error[CONSTRAINTS_ERROR_BYTES], const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(int error_number, char error[CONSTRAINTS_ERROR_BYTES], const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(error, CONSTRAINTS_ERROR_BYTES, format, arguments);
	va_end(arguments);
	return -error_number;
}

/* Refuses because of one item; its name appears title-cased, as Swift's headers have it. */
static int refuse_named(char error[CONSTRAINTS_ERROR_BYTES], const char *before, const char *prefix, const char *name,
	size_t name_length_max)
{
	char title[CONSTRAINTS_ERROR_BYTES];
	(void)snprintf(title, sizeof(title), "%s%s", prefix, name);
	header_title_case(title);
	size_t prefix_length = strlen(prefix);
	int length = name_length_max < sizeof(title) ? (int)name_length_max : (int)sizeof(title);
	return refuse(EINVAL, error, "%s%s%.*s", before, prefix, length, title + prefix_length);
}

/* Running sums over the metadata items of a request. */
struct metadata_sums {
	int64_t count;
	int64_t size; /* bytes */
};

static int check_sums(
	const struct constraints *constraints, const struct metadata_sums *sums, char error[CONSTRAINTS_ERROR_BYTES])
{
	if (sums->count > constraints->max_meta_count)
		return refuse(EINVAL, error, "Too many metadata items; max %" PRId64, constraints->max_meta_count);
	if (sums->size > constraints->max_meta_overall_size)
		return refuse(
			EINVAL, error, "Total metadata too large; max %" PRId64, constraints->max_meta_overall_size);
	return 0;
}

/* One item; `prefix` is lower-case and `name` follows it. */
static int check_item(const struct constraints *constraints, const char *prefix, const char *name, const char *value,
	bool utf8_only, struct metadata_sums *sums, char error[CONSTRAINTS_ERROR_BYTES])
{
	struct slice name_text = slice_from(name), value_text = slice_from(value);
	if (name_text.length == 0)
		return refuse(EINVAL, error, "Metadata name cannot be empty");
	if (utf8_only && (!constraints_text_valid(name_text, false) ||
				 (value_text.length && !constraints_text_valid(value_text, false))))
		return refuse(EINVAL, error, "Metadata must be valid UTF-8");
	sums->count++;
	sums->size += (int64_t)(name_text.length + value_text.length);
	if ((int64_t)name_text.length > constraints->max_meta_name_length)
		return refuse_named(error, "Metadata name too long: ", prefix, name, SIZE_MAX);
	if ((int64_t)value_text.length > constraints->max_meta_value_length) {
		char before[64];
		(void)snprintf(before, sizeof(before), "Metadata value longer than %" PRId64 ": ",
			constraints->max_meta_value_length);
		return refuse_named(error, before, prefix, name, SIZE_MAX);
	}
	return check_sums(constraints, sums, error);
}

int constraints_check_metadata(const struct constraints *constraints, const char *target,
	const struct header_pair *headers, size_t count, char error[CONSTRAINTS_ERROR_BYTES])
{
	char prefix[META_PREFIX_BYTES];
	int prefix_length = snprintf(prefix, sizeof(prefix), "x-%s-meta-", target);
	assert(prefix_length > 0 && (size_t)prefix_length < sizeof(prefix));
	bool utf8_only = strcmp(target, "object") != 0;
	struct metadata_sums sums = {0};
	for (size_t i = 0; i < count; i++) {
		if ((int64_t)strlen(headers[i].value) > constraints->max_header_size)
			return refuse_named(error, "Header value too long: ", "", headers[i].name,
				(size_t)constraints->max_meta_name_length);
		if (strncasecmp(headers[i].name, prefix, (size_t)prefix_length) != 0)
			continue;
		int result = check_item(constraints, prefix, headers[i].name + prefix_length, headers[i].value,
			utf8_only, &sums, error);
		if (result)
			return result;
	}
	return 0;
}

/* Bytes of "x-account-meta-" or "x-container-meta-" at the front, or 0. */
static size_t stored_prefix_length(const char *name)
{
	static const char *const prefixes[] = {"x-account-meta-", "x-container-meta-"};
	for (size_t i = 0; i < 2; i++)
		if (strncasecmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return strlen(prefixes[i]);
	return 0;
}

int constraints_check_stored_metadata(const struct constraints *constraints, const struct header_pair *items,
	size_t count, char error[CONSTRAINTS_ERROR_BYTES])
{
	struct metadata_sums sums = {0};
	for (size_t i = 0; i < count; i++) {
		struct slice name = slice_from(items[i].name), value = slice_from(items[i].value);
		if ((name.length && !constraints_text_valid(name, false)) ||
			(value.length && !constraints_text_valid(value, false)))
			return refuse(EINVAL, error, "Metadata must be valid UTF-8");
		size_t prefix_length = stored_prefix_length(items[i].name);
		if (value.length == 0 || prefix_length == 0)
			continue;
		sums.count++;
		sums.size += (int64_t)(name.length - prefix_length + value.length);
	}
	return check_sums(constraints, &sums, error);
}

static int check_length(const char *kind, struct slice name, int64_t limit, char error[CONSTRAINTS_ERROR_BYTES])
{
	int64_t length = (int64_t)utf8_length(name);
	if (length <= limit)
		return 0;
	return refuse(ENAMETOOLONG, error, "%s name length of %" PRId64 " longer than %" PRId64, kind, length, limit);
}

/* Names that the system makes from users' names get twice the room. */
static int64_t length_factor(const struct constraints *constraints, struct slice account)
{
	return constraints_account_auto_created(constraints, account) ? 2 : 1;
}

int constraints_check_account_name(
	const struct constraints *constraints, struct slice account, char error[CONSTRAINTS_ERROR_BYTES])
{
	int64_t limit = constraints->max_account_name_length * length_factor(constraints, account);
	return check_length("Account", account, limit, error);
}

int constraints_check_container_name(const struct constraints *constraints, struct slice account,
	struct slice container, char error[CONSTRAINTS_ERROR_BYTES])
{
	int64_t limit = constraints->max_container_name_length * length_factor(constraints, account);
	return check_length("Container", container, limit, error);
}

int constraints_check_object_name(
	const struct constraints *constraints, struct slice object, char error[CONSTRAINTS_ERROR_BYTES])
{
	return check_length("Object", object, constraints->max_object_name_length, error);
}

static bool has_nul(struct slice text)
{
	return text.length && memchr(text.data, '\0', text.length);
}

static bool is_reserved(struct slice name)
{
	return name.length && name.data[0] == '\0';
}

bool constraints_text_valid(struct slice text, bool allow_reserved)
{
	return text.length && utf8_valid(text) && (allow_reserved || !has_nul(text));
}

static int check_reserved_name(struct slice name, const char *kind, char error[CONSTRAINTS_ERROR_BYTES])
{
	if (has_nul(name) && !is_reserved(name))
		return refuse(EINVAL, error, "Invalid reserved-namespace %s", kind);
	return 0;
}

int constraints_check_reserved(const struct constraints *constraints, struct slice account, struct slice container,
	struct slice object, char error[CONSTRAINTS_ERROR_BYTES])
{
	int result = check_reserved_name(account, "account", error);
	if (!result)
		result = check_reserved_name(container, "container", error);
	if (result || !object.length || constraints_account_auto_created(constraints, account))
		return result;
	result = check_reserved_name(object, "object", error);
	if (result)
		return result;
	if (is_reserved(container) && !is_reserved(object))
		return refuse(EINVAL, error, "Invalid user-namespace object in reserved-namespace container");
	if (is_reserved(object) && !is_reserved(container))
		return refuse(EINVAL, error, "Invalid reserved-namespace object in user-namespace container");
	return 0;
}

static int64_t clamp_delete_at(int64_t seconds)
{
	if (seconds < 0)
		return 0;
	return seconds > DELETE_AT_SECONDS_MAX ? DELETE_AT_SECONDS_MAX : seconds;
}

void delete_at_format(int64_t seconds, char text[DELETE_AT_TEXT_BYTES])
{
	(void)snprintf(text, DELETE_AT_TEXT_BYTES, "%010" PRId64, clamp_delete_at(seconds));
}

int delete_at_normalize(struct slice text, bool high_precision, char ret_text[DELETE_AT_TEXT_BYTES])
{
	double seconds;
	int error = number_parse_decimal(text, &seconds);
	if (error)
		return error;
	/* Comparisons instead of fmax(), which may keep the sign of -0. */
	seconds = seconds > 0 ? fmin(seconds, 9999999999.99999) : 0;
	if (!high_precision) {
		delete_at_format((int64_t)seconds, ret_text);
		return 0;
	}
	(void)snprintf(ret_text, DELETE_AT_TEXT_BYTES, "%016.5f", seconds);
	return 0;
}

/* X-Delete-After: now + n in whole seconds. */
static int64_t delete_after_seconds(struct timestamp now, int64_t after)
{
	int64_t now_seconds = (int64_t)(now.raw / TIMESTAMP_RAW_PER_SECOND);
	int64_t seconds;
	if (__builtin_add_overflow(now_seconds, after, &seconds))
		seconds = after < 0 ? 0 : DELETE_AT_SECONDS_MAX;
	return clamp_delete_at(seconds);
}

static bool is_past(int64_t seconds, struct timestamp now)
{
	return (uint64_t)seconds * TIMESTAMP_RAW_PER_SECOND <= now.raw;
}

int delete_at_check(const char *delete_at, const char *delete_after, struct timestamp now, bool is_replication,
	int64_t *ret_seconds, char error[CONSTRAINTS_ERROR_BYTES])
{
	int64_t number, seconds;
	if (delete_after) {
		if (number_parse_integer(slice_from(delete_after), &number))
			return refuse(EINVAL, error, "Non-integer X-Delete-After");
		seconds = delete_after_seconds(now, number);
		if (is_past(seconds, now))
			return refuse(EINVAL, error, "X-Delete-After in past");
	} else if (delete_at) {
		if (number_parse_integer(slice_from(delete_at), &number))
			return refuse(EINVAL, error, "Non-integer X-Delete-At");
		seconds = clamp_delete_at(number);
		if (is_past(seconds, now) && !is_replication)
			return refuse(EINVAL, error, "X-Delete-At in past");
	} else {
		seconds = -1;
	}
	*ret_seconds = seconds;
	return 0;
}

void header_title_case(char *name)
{
	bool after_letter = false;
	for (; *name; name++) {
		char lower = *name | 0x20;
		bool is_letter = lower >= 'a' && lower <= 'z';
		if (is_letter)
			*name = after_letter ? lower : (char)(lower & ~0x20);
		else if (*name == '_')
			*name = '-';
		after_letter = is_letter;
	}
}

bool config_true_value(const char *text)
{
	static const char *const values[] = {"true", "1", "yes", "on", "t", "y"};
	for (size_t i = 0; text && i < sizeof(values) / sizeof(values[0]); i++)
		if (strcasecmp(text, values[i]) == 0)
			return true;
	return false;
}
