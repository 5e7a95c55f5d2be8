#include "lib/swift/acl.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "lib/base/buf.h"
#include "lib/swift/bounded_json.h"
#include "lib/swift/number.h"
#include "lib/swift/url.h"

static bool equals(struct slice text, const char *literal)
{
	return slice_equal(text, slice_from(literal));
}

static struct slice skip(struct slice text, size_t bytes)
{
	return slice_of(text.data + bytes, text.length - bytes);
}

/* Splits off what stands before the next comma. */
static struct slice take_element(struct slice *rest)
{
	const char *comma = memchr(rest->data, ',', rest->length);
	struct slice element = slice_of(rest->data, comma ? (size_t)(comma - rest->data) : rest->length);
	*rest = skip(*rest, comma ? element.length + 1 : element.length);
	return element;
}

/* The text between single quotes as Python's repr() shows it: control characters escaped, UTF-8
 * left alone. */
static char *quote(struct arena *arena, struct slice text)
{
	bool single = text.length && memchr(text.data, '\'', text.length);
	bool use_double = single && !memchr(text.data, '"', text.length);
	char mark = use_double ? '"' : '\'';
	char *quoted = arena_alloc(arena, 4 * text.length + 3);
	size_t length = 0;
	quoted[length++] = mark;
	for (size_t i = 0; i < text.length; i++) {
		unsigned char byte = (unsigned char)text.data[i];
		if (byte < 0x20 || byte == 0x7f) {
			quoted[length++] = '\\';
			quoted[length++] = 'x';
			quoted[length++] = "0123456789abcdef"[byte >> 4];
			quoted[length++] = "0123456789abcdef"[byte & 0xf];
			continue;
		}
		if (byte == '\\' || byte == (unsigned char)mark)
			quoted[length++] = '\\';
		quoted[length++] = (char)byte;
	}
	quoted[length++] = mark;
	quoted[length] = '\0';
	return quoted;
}

static bool is_referrer_designator(struct slice designator)
{
	return equals(designator, ".r") || equals(designator, ".ref") || equals(designator, ".referer") ||
	       equals(designator, ".referrer");
}

/* One element of the form ".r:[-]value"; `value` is what follows the first ":". */
static int clean_referrer(
	struct arena *arena, struct slice element, struct slice value, struct buf *clean, const char **ret_error)
{
	bool negate = value.length && value.data[0] == '-';
	if (negate)
		value = number_trim(skip(value, 1));
	if (value.length > 1 && value.data[0] == '*')
		value = number_trim(skip(value, 1));
	if (value.length == 0 || equals(value, ".")) {
		*ret_error = arena_printf(
			arena, "No host/domain value after referrer designation in ACL: %s", quote(arena, element));
		return -EINVAL;
	}
	buf_append_text(clean, negate ? ".r:-" : ".r:");
	buf_append_slice(clean, value);
	return 0;
}

static int clean_element(
	struct arena *arena, bool is_write, struct slice element, struct buf *clean, const char **ret_error)
{
	const char *colon = memchr(element.data, ':', element.length);
	if (!colon || element.data[0] != '.') {
		buf_append_slice(clean, element);
		return 0;
	}
	size_t length = (size_t)(colon - element.data);
	struct slice designator = number_trim(slice_of(element.data, length));
	struct slice value = number_trim(skip(element, length + 1));
	if (!is_referrer_designator(designator)) {
		*ret_error = arena_printf(
			arena, "Unknown designator %s in ACL: %s", quote(arena, designator), quote(arena, element));
		return -EINVAL;
	}
	if (is_write) {
		*ret_error = arena_printf(arena, "Referrers not allowed in write ACL: %s", quote(arena, element));
		return -EINVAL;
	}
	return clean_referrer(arena, element, value, clean, ret_error);
}

int acl_clean(struct arena *arena, const char *header_name, struct slice value, struct slice *ret_clean,
	const char **ret_error)
{
	bool is_write = strcasestr(header_name, "write") != NULL;
	struct buf clean = BUF_INIT;
	int result = 0;
	while (value.length && !result) {
		struct slice element = number_trim(take_element(&value));
		if (element.length == 0)
			continue;
		if (clean.length)
			buf_append_byte(&clean, ',');
		result = clean_element(arena, is_write, element, &clean, ret_error);
	}
	if (!result)
		*ret_clean = arena_slice(arena, buf_slice(&clean));
	buf_release(&clean);
	return result;
}

static size_t count_elements(struct slice text)
{
	size_t count = 0;
	while (text.length) {
		take_element(&text);
		count++;
	}
	return count;
}

void acl_parse(struct arena *arena, struct slice text, struct acl *ret_acl)
{
	static const struct slice referrer = SLICE_LITERAL(".r:");
	size_t count = count_elements(text);
	struct acl acl = {
		.referrers = arena_alloc(arena, count * sizeof(*acl.referrers)),
		.groups = arena_alloc(arena, count * sizeof(*acl.groups)),
	};
	while (text.length) {
		struct slice element = take_element(&text);
		if (slice_starts_with(element, referrer))
			acl.referrers[acl.referrer_count++] = skip(element, referrer.length);
		else if (element.length)
			acl.groups[acl.group_count++] = url_decode(arena, element, false);
	}
	*ret_acl = acl;
}

bool acl_has_group(const struct acl *acl, struct slice group)
{
	for (size_t i = 0; i < acl->group_count; i++)
		if (slice_equal(acl->groups[i], group))
			return true;
	return false;
}

bool acl_allows_listings(const struct acl *acl)
{
	static const struct slice listings = SLICE_LITERAL(".rlistings");
	return acl_has_group(acl, listings);
}

/* Letters, digits, "+", "-", "." before a colon, beginning with a letter; its length or 0. */
static size_t scheme_length(struct slice url)
{
	size_t length = 0;
	while (length < url.length &&
		(isalnum((unsigned char)url.data[length]) || (url.data[length] && strchr("+-.", url.data[length]))))
		length++;
	bool is_scheme = length && length < url.length && url.data[length] == ':';
	return is_scheme && isalpha((unsigned char)url.data[0]) ? length : 0;
}

/* The host of a URL without user, port and brackets; the empty slice when it has none. */
static struct slice host_of(struct slice url)
{
	static const struct slice slashes = SLICE_LITERAL("//");
	url = number_trim(url);
	size_t scheme = scheme_length(url);
	if (scheme)
		url = skip(url, scheme + 1);
	if (!slice_starts_with(url, slashes))
		return SLICE_NONE;
	struct slice host = skip(url, slashes.length);
	size_t length = 0;
	while (length < host.length && !strchr("/?#", host.data[length]))
		length++;
	host.length = length;
	const char *at_sign = host.length ? memrchr(host.data, '@', host.length) : NULL;
	if (at_sign)
		host = skip(host, (size_t)(at_sign + 1 - host.data));
	bool bracketed = host.length && host.data[0] == '[';
	if (bracketed)
		host = skip(host, 1);
	const char *end = host.length ? memchr(host.data, bracketed ? ']' : ':', host.length) : NULL;
	if (end)
		host.length = (size_t)(end - host.data);
	return host;
}

/* Hosts of URLs compare in lower case, those of the ACL as they were written: Swift's rule. */
static bool lower_equals(struct slice host, struct slice pattern)
{
	if (host.length != pattern.length)
		return false;
	for (size_t i = 0; i < host.length; i++)
		if (tolower((unsigned char)host.data[i]) != (unsigned char)pattern.data[i])
			return false;
	return true;
}

static bool host_matches(struct slice host, struct slice pattern)
{
	if (lower_equals(host, pattern))
		return true;
	bool is_domain = pattern.length && pattern.data[0] == '.' && pattern.length < host.length;
	return is_domain && lower_equals(skip(host, host.length - pattern.length), pattern);
}

bool acl_referrer_allowed(const char *referrer, const struct acl *acl)
{
	static const struct slice unknown = SLICE_LITERAL("unknown");
	struct slice host = host_of(slice_from(referrer));
	if (host.length == 0)
		host = unknown;
	bool allowed = false;
	for (size_t i = 0; i < acl->referrer_count; i++) {
		struct slice pattern = acl->referrers[i];
		if (pattern.length && pattern.data[0] == '-') {
			if (host_matches(host, skip(pattern, 1)))
				allowed = false;
		} else if (equals(pattern, "*") || host_matches(host, pattern)) {
			allowed = true;
		}
	}
	return allowed;
}

/* One of the lists of an account ACL: where its strings go. */
struct account_acl_list {
	const char *key;
	struct slice **names;
	size_t *count;
};

enum { ACCOUNT_ACL_LISTS = 3 };

static void account_acl_lists(struct account_acl *acl, struct account_acl_list lists[ACCOUNT_ACL_LISTS])
{
	lists[0] = (struct account_acl_list){"admin", &acl->admin, &acl->admin_count};
	lists[1] = (struct account_acl_list){"read-only", &acl->read_only, &acl->read_only_count};
	lists[2] = (struct account_acl_list){"read-write", &acl->read_write, &acl->read_write_count};
}

static char *json_quote(struct arena *arena, const char *text)
{
	json_t *string = json_string(text);
	char *dumped = json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
	char *copy = arena_strdup(arena, dumped);
	free(dumped);
	json_decref(string);
	return copy;
}

static int read_list(
	struct arena *arena, const json_t *value, const struct account_acl_list *list, const char **ret_error)
{
	if (!json_is_array(value)) {
		*ret_error = arena_printf(arena, "Value for key \"%s\" must be a list", list->key);
		return -EINVAL;
	}
	size_t count = json_array_size(value);
	struct slice *names = arena_alloc(arena, count * sizeof(*names));
	for (size_t i = 0; i < count; i++) {
		const json_t *name = json_array_get(value, i);
		if (!json_is_string(name)) {
			*ret_error = arena_printf(arena, "Elements of \"%s\" list must be strings", list->key);
			return -EINVAL;
		}
		struct slice text = slice_of(json_string_value(name), json_string_length(name));
		names[i] = arena_slice(arena, text);
	}
	*list->names = names;
	*list->count = count;
	return 0;
}

static int read_lists(struct arena *arena, json_t *root, struct account_acl *acl, const char **ret_error)
{
	struct account_acl_list lists[ACCOUNT_ACL_LISTS];
	account_acl_lists(acl, lists);
	const char *key;
	json_t *value;
	json_object_foreach(root, key, value)
	{
		bool known = false;
		for (size_t i = 0; i < ACCOUNT_ACL_LISTS; i++)
			known = known || strcmp(key, lists[i].key) == 0;
		if (!known) {
			*ret_error = arena_printf(arena, "Key %s not recognized", json_quote(arena, key));
			return -EINVAL;
		}
	}
	for (size_t i = 0; i < ACCOUNT_ACL_LISTS; i++) {
		value = json_object_get(root, lists[i].key);
		int result = value ? read_list(arena, value, &lists[i], ret_error) : 0;
		if (result)
			return result;
	}
	return 0;
}

int account_acl_parse(struct arena *arena, struct slice json, struct account_acl *ret_acl, const char **ret_error)
{
	struct account_acl acl = {0};
	if (json.length == 0) {
		*ret_acl = acl;
		return 0;
	}
	json_t *root = bounded_json_parse(json, NULL);
	if (!json_is_object(root)) {
		json_decref(root);
		*ret_error = arena_printf(arena, "Syntax error in input (%s)", quote(arena, json));
		return -EINVAL;
	}
	int result = read_lists(arena, root, &acl, ret_error);
	json_decref(root);
	if (!result)
		*ret_acl = acl;
	return result;
}

struct slice account_acl_format(struct arena *arena, const struct account_acl *acl)
{
	struct account_acl copy = *acl;
	struct account_acl_list lists[ACCOUNT_ACL_LISTS];
	account_acl_lists(&copy, lists);
	json_t *root = json_object();
	for (size_t i = 0; i < ACCOUNT_ACL_LISTS; i++) {
		json_t *names = json_array();
		for (size_t j = 0; j < *lists[i].count; j++) {
			struct slice name = (*lists[i].names)[j];
			json_array_append_new(names, json_stringn(name.data, name.length));
		}
		if (json_array_size(names))
			json_object_set(root, lists[i].key, names);
		json_decref(names);
	}
	struct slice text = SLICE_NONE;
	if (json_object_size(root)) {
		char *dumped = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII);
		text = arena_slice(arena, slice_from(dumped));
		free(dumped);
	}
	json_decref(root);
	return text;
}
