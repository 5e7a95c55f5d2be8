/*
 * Headers that clients send as metadata, delete-at times, numbers, names and options of swift.conf. The input is lines
 * of "name: value".
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/swift/constraints.h"
#include "lib/swift/number.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAIRS_MAX = 200 };

static size_t read_pairs(struct arena *arena, struct slice input, struct header_pair pairs[PAIRS_MAX])
{
	size_t count = 0;
	const char *at = input.data, *end = input.data + input.length;
	while (at < end && count < PAIRS_MAX) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		line_end = line_end ? line_end : end;
		const char *colon = memchr(at, ':', (size_t)(line_end - at));
		const char *name_end = colon ? colon : line_end;
		const char *value = colon ? colon + 1 : line_end;
		pairs[count].name = arena_strndup(arena, at, (size_t)(name_end - at));
		pairs[count].value = arena_strndup(arena, value, (size_t)(line_end - value));
		count++;
		at = line_end + 1;
	}
	return count;
}

static void check_texts(const char *error)
{
	assert(strlen(error) < CONSTRAINTS_ERROR_BYTES);
}

static void check_metadata(const struct header_pair *pairs, size_t count)
{
	static const char *const targets[] = {"account", "container", "object"};
	char error[CONSTRAINTS_ERROR_BYTES] = "";
	for (size_t i = 0; i < 3; i++)
		(void)constraints_check_metadata(&constraints_default, targets[i], pairs, count, error);
	check_texts(error);
	(void)constraints_check_stored_metadata(&constraints_default, pairs, count, error);
	check_texts(error);
}

/* Writing a name in title case twice changes nothing more. */
static void check_title_case(struct arena *arena, const char *name)
{
	char *once = arena_strndup(arena, name, strlen(name));
	header_title_case(once);
	char *twice = arena_strndup(arena, once, strlen(once));
	header_title_case(twice);
	assert(strcmp(once, twice) == 0 && strlen(once) == strlen(name));
}

static void check_times(const char *at, const char *after)
{
	char error[CONSTRAINTS_ERROR_BYTES] = "", text[DELETE_AT_TEXT_BYTES], again[DELETE_AT_TEXT_BYTES];
	struct timestamp now = {.raw = 1795222396 * TIMESTAMP_RAW_PER_SECOND};
	int64_t seconds;
	if (delete_at_check(at, after, now, false, &seconds, error) == 0)
		assert(seconds >= -1 && seconds <= 9999999999);
	check_texts(error);
	for (int precise = 0; precise < 2; precise++) {
		if (delete_at_normalize(slice_from(at), precise, text))
			continue;
		assert(strlen(text) < sizeof(text));
		assert(delete_at_normalize(slice_from(text), precise, again) == 0);
		assert(strcmp(text, again) == 0);
	}
}

static void check_numbers(const char *text)
{
	double decimal;
	int64_t integer;
	if (number_parse_integer(slice_from(text), &integer) == 0)
		assert(number_parse_decimal(slice_from(text), &decimal) == 0 || strlen(text) > 127);
	(void)number_parse_decimal(slice_from(text), &decimal);
}

static void check_names(struct slice account, struct slice name)
{
	char error[CONSTRAINTS_ERROR_BYTES] = "";
	(void)constraints_check_account_name(&constraints_default, account, error);
	(void)constraints_check_container_name(&constraints_default, account, name, error);
	(void)constraints_check_object_name(&constraints_default, name, error);
	(void)constraints_check_reserved(&constraints_default, account, name, name, error);
	check_texts(error);
	(void)constraints_text_valid(name, true);
	assert(!constraints_text_valid(name, false) || constraints_text_valid(name, true));
	(void)constraints_api_version_valid(&constraints_default, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct slice input = slice_of((const char *)data, size);
	struct header_pair pairs[PAIRS_MAX];
	size_t count = size ? read_pairs(arena, input, pairs) : 0;
	struct constraints constraints = constraints_default;
	check_metadata(pairs, count);
	for (size_t i = 0; i < count; i++) {
		check_title_case(arena, pairs[i].name);
		check_times(pairs[i].name, pairs[i].value);
		check_numbers(pairs[i].value);
		check_names(slice_from(pairs[i].name), slice_from(pairs[i].value));
		(void)constraints_set(&constraints, pairs[i].name, pairs[i].value);
		(void)config_true_value(pairs[i].value);
	}
	check_names(input, input);
	arena_free(arena);
	return 0;
}
