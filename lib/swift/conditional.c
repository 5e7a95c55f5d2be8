#include "lib/swift/conditional.h"

#include "lib/swift/http_date.h"
#include "lib/swift/number.h"

struct slice normalize_etag(struct slice etag)
{
	if (etag.length >= 2 && etag.data[0] == '"' && etag.data[etag.length - 1] == '"')
		return slice_of(etag.data + 1, etag.length - 2);
	return etag;
}

bool etag_list_matches(const char *list, const char *etag)
{
	static const struct slice any = SLICE_LITERAL("*");
	struct slice wanted = normalize_etag(slice_from(etag));
	for (const char *at = list;; at++) {
		size_t length = strcspn(at, ",");
		struct slice tag = number_trim(slice_of(at, length));
		if (tag.length) {
			tag = normalize_etag(tag);
			if (slice_equal(tag, any) || (etag && slice_equal(tag, wanted)))
				return true;
		}
		at += length;
		if (*at == '\0')
			return false;
	}
}

int conditional_evaluate(const char *if_match, const char *if_none_match, const char *if_modified_since,
	const char *if_unmodified_since, const char *etag, int64_t last_modified_seconds)
{
	int64_t date;
	if (!etag)
		return if_match && etag_list_matches(if_match, NULL) ? 412 : 0;
	if (if_none_match && etag_list_matches(if_none_match, etag))
		return 304;
	if (if_match && !etag_list_matches(if_match, etag))
		return 412;
	if (last_modified_seconds < 0)
		return 0;
	if (if_modified_since && http_date_parse(slice_from(if_modified_since), &date) == 0 &&
		last_modified_seconds <= date)
		return 304;
	if (if_unmodified_since && http_date_parse(slice_from(if_unmodified_since), &date) == 0 &&
		last_modified_seconds > date)
		return 412;
	return 0;
}
