/*
 * Range, conditional, Accept and date headers from anybody. The first bytes of the input are the
 * size of the object and its modification time; the rest is one header value for all of the
 * parsers.
 */
#include <assert.h>
#include <stdlib.h>

#include "lib/base/arena.h"
#include "lib/base/memory.h"
#include "lib/swift/accept.h"
#include "lib/swift/conditional.h"
#include "lib/swift/http_date.h"
#include "lib/swift/range.h"
#include "lib/swift/row_merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_range(const char *header, uint64_t object_size)
{
	struct byte_range ranges[RANGE_COUNT_MAX];
	size_t count = SIZE_MAX;
	enum range_result result = range_evaluate(header, object_size, ranges, &count);
	assert(count <= RANGE_COUNT_MAX);
	assert(result == RANGE_OK ? count > 0 : count == 0 || object_size == 0);
	for (size_t i = 0; result == RANGE_OK && i < count; i++) {
		assert(ranges[i].first <= ranges[i].last);
		assert(ranges[i].last < object_size);
	}
}

static void check_conditional(const char *header, int64_t modified)
{
	static const char etag[] = "\"d41d8cd98f00b204e9800998ecf8427e\"";
	int result = conditional_evaluate(header, header, header, header, etag, modified);
	assert(result == 0 || result == 304 || result == 412);
	assert(result != 0 || !etag_list_matches(header, etag));
	result = conditional_evaluate(NULL, NULL, header, header, etag, modified);
	assert(result == 0 || result == 304 || result == 412);
	result = conditional_evaluate(header, header, header, header, NULL, -1);
	assert(result == (etag_list_matches(header, NULL) ? 412 : 0));
}

/* What was read and is written again reads as the same. */
static void check_date(const char *header)
{
	int64_t seconds, again;
	char text[HTTP_DATE_BYTES];
	if (http_date_parse(slice_from(header), &seconds))
		return;
	http_date_format(seconds, text);
	assert(http_date_parse(slice_from(text), &again) == 0);
	assert(again == seconds);
}

/* Taking a content type apart, joining and taking apart again changes nothing more. */
static void check_content_type(const char *header)
{
	struct arena *arena = arena_new();
	struct slice type, bytes, type_again, bytes_again;
	content_type_split(arena, slice_from(header), &type, &bytes);
	struct slice joined = content_type_join(arena, type, bytes);
	content_type_split(arena, joined, &type_again, &bytes_again);
	assert(slice_equal(type, type_again));
	assert(slice_equal(bytes, bytes_again));
	arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t object_size = 0;
	int64_t modified = 0;
	if (size < sizeof(object_size) + sizeof(modified))
		return 0;
	memcpy(&object_size, data, sizeof(object_size));
	memcpy(&modified, data + sizeof(object_size), sizeof(modified));
	size_t length = size - sizeof(object_size) - sizeof(modified);
	_cleanup_free_ char *header = xmalloc(length + 1);
	memcpy(header, data + size - length, length);
	header[length] = '\0';

	check_range(header, object_size);
	check_range(header, 10);
	check_range(header, 0);
	check_conditional(header, modified);
	check_date(header);
	check_content_type(header);
	(void)listing_format_choose(SLICE_NONE, header);
	return 0;
}
