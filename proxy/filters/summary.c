#include "proxy/filters/summary.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/swift/accept.h"
#include "lib/swift/url.h"

const char *summary_content_type(const struct request *request)
{
	enum listing_format format = listing_format_choose(SLICE_NONE, headers_get(&request->headers, "Accept"));
	return listing_format_content_type(format < 0 ? LISTING_FORMAT_PLAIN : format);
}

void summary_init(struct summary *summary, struct arena *arena, const char *content_type)
{
	*summary = (struct summary){.arena = arena, .content_type = content_type};
}

static void add(struct summary *summary, struct summary_value value)
{
	assert(summary->count < SUMMARY_VALUES_MAX);
	summary->values[summary->count++] = value;
}

void summary_text(struct summary *summary, const char *name, const char *text)
{
	add(summary, (struct summary_value){.name = name, .text = text});
}

void summary_number(struct summary *summary, const char *name, int64_t number)
{
	add(summary, (struct summary_value){.name = name, .number = number});
}

void summary_error(struct summary *summary, struct slice name, const char *status)
{
	struct summary_error *error = arena_zalloc(summary->arena, sizeof(*error));
	struct slice encoded = url_encode(summary->arena, name, true);
	error->name = arena_strndup(summary->arena, encoded.data, encoded.length);
	error->status = arena_strdup(summary->arena, status);
	if (summary->last)
		summary->last->next = error;
	else
		summary->errors = error;
	summary->last = error;
	summary->error_count++;
}

static struct slice print_json(const struct summary *summary)
{
	json_t *root = json_object(), *errors = json_array();
	for (size_t i = 0; i < summary->count; i++) {
		const struct summary_value *value = &summary->values[i];
		json_object_set_new(
			root, value->name, value->text ? json_string(value->text) : json_integer(value->number));
	}
	for (const struct summary_error *error = summary->errors; error; error = error->next)
		json_array_append_new(errors, json_pack("[s, s]", error->name, error->status));
	json_object_set_new(root, "Errors", errors);
	char *text = json_dumps(root, JSON_ENSURE_ASCII);
	struct slice copy = slice_from(arena_strdup(summary->arena, text));
	free(text);
	json_decref(root);
	return copy;
}

static int compare_values(const void *a, const void *b)
{
	const struct summary_value *first = a, *second = b;
	return strcmp(first->name, second->name);
}

static void append_escaped(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '&')
			buf_append_text(out, "&amp;");
		else if (*text == '<')
			buf_append_text(out, "&lt;");
		else if (*text == '>')
			buf_append_text(out, "&gt;");
		else
			buf_append_byte(out, *text);
	}
}

/* "Response Status" becomes response_status. */
static void append_tag(struct buf *out, const char *opening, const char *name)
{
	buf_append_text(out, opening);
	for (; *name; name++)
		buf_append_byte(out, *name == ' ' ? '_' : *name >= 'A' && *name <= 'Z' ? (char)(*name + 32) : *name);
	buf_append_byte(out, '>');
}

static void append_value(struct buf *out, const struct summary_value *value, bool escaped)
{
	if (!value->text)
		buf_printf(out, "%lld", (long long)value->number);
	else if (escaped)
		append_escaped(out, value->text);
	else
		buf_append_text(out, value->text);
}

static void print_xml(
	const struct summary *summary, const struct summary_value *values, const char *root, struct buf *out)
{
	buf_printf(out, "<%s>\n", root);
	for (size_t i = 0; i < summary->count; i++) {
		append_tag(out, "<", values[i].name);
		append_value(out, &values[i], true);
		append_tag(out, "</", values[i].name);
		buf_append_byte(out, '\n');
	}
	buf_append_text(out, "<errors>\n");
	for (const struct summary_error *error = summary->errors; error; error = error->next) {
		buf_append_text(out, "<object><name>");
		append_escaped(out, error->name);
		buf_append_text(out, "</name><status>");
		append_escaped(out, error->status);
		buf_append_text(out, "</status></object>\n");
	}
	buf_printf(out, "</errors>\n</%s>\n", root);
}

static void print_plain(const struct summary *summary, const struct summary_value *values, struct buf *out)
{
	for (size_t i = 0; i < summary->count; i++) {
		buf_printf(out, "%s: ", values[i].name);
		append_value(out, &values[i], false);
		buf_append_byte(out, '\n');
	}
	buf_append_text(out, "Errors:\n");
	for (const struct summary_error *error = summary->errors; error; error = error->next)
		buf_printf(out, "%s, %s\n", error->name, error->status);
}

struct slice summary_print(const struct summary *summary, const char *root)
{
	if (strcmp(summary->content_type, "application/json") == 0)
		return print_json(summary);
	struct summary_value values[SUMMARY_VALUES_MAX];
	memcpy(values, summary->values, sizeof(values));
	qsort(values, summary->count, sizeof(values[0]), compare_values);
	struct buf out = BUF_INIT;
	if (strstr(summary->content_type, "/xml"))
		print_xml(summary, values, root, &out);
	else
		print_plain(summary, values, &out);
	struct slice text = arena_slice(summary->arena, buf_slice(&out));
	buf_release(&out);
	return text;
}

const char *summary_status(struct arena *arena, int status, const char *reason)
{
	return arena_printf(arena, "%d %s", status, reason ? reason : status_reason(status));
}
