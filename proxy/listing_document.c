#include "proxy/listing_document.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/swift/bounded_json.h"
#include "lib/swift/url.h"
#include "proxy/context.h"
#include "proxy/inner_request.h"

enum listing_format listing_document_format(struct request *request)
{
	struct query query;
	struct slice format = SLICE_NONE;
	if (query_parse(request->arena, request->query, &query) == 0)
		(void)query_get(&query, "format", &format);
	return listing_format_choose(format, NULL);
}

/* The last parameter of a name counts. */
void listing_document_set_format(struct request *request, const char *format)
{
	request->query = slice_from(arena_printf(request->arena, "%.*s%sformat=%s", SLICE_PRINT(request->query),
		request->query.length ? "&" : "", format));
}

/* ---- text ---- */

static void append_escaped(struct buf *out, const char *text, size_t length, bool attribute)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '&')
			buf_append_text(out, "&amp;");
		else if (text[i] == '<')
			buf_append_text(out, "&lt;");
		else if (text[i] == '>')
			buf_append_text(out, "&gt;");
		else if (attribute && text[i] == '"')
			buf_append_text(out, "&quot;");
		else if (attribute && (text[i] == '\t' || text[i] == '\n' || text[i] == '\r'))
			buf_printf(out, "&#%02d;", text[i]);
		else
			buf_append_byte(out, text[i]);
	}
}

static void append_element(struct buf *out, json_t *row, const char *field)
{
	json_t *value = json_object_get(row, field);
	if (json_is_string(value) && json_string_length(value) == 0) {
		buf_printf(out, "<%s />", field);
		return;
	}
	buf_printf(out, "<%s>", field);
	if (json_is_string(value))
		append_escaped(out, json_string_value(value), json_string_length(value), false);
	else if (json_is_integer(value))
		buf_printf(out, "%lld", (long long)json_integer_value(value));
	else
		buf_append_text(out, "None");
	buf_printf(out, "</%s>", field);
}

static void append_containers(struct buf *out, json_t *rows, struct slice account)
{
	static const char *const fields[] = {"name", "count", "bytes", "last_modified", "storage_policy"};
	size_t index;
	json_t *row;
	buf_append_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<account name=\"");
	append_escaped(out, account.data, account.length, true);
	buf_append_text(out, "\">\n");
	json_array_foreach(rows, index, row)
	{
		json_t *subdir = json_object_get(row, "subdir");
		if (subdir) {
			buf_append_text(out, "<subdir name=\"");
			append_escaped(out, json_string_value(subdir), json_string_length(subdir), true);
			buf_append_text(out, "\" />\n");
			continue;
		}
		buf_append_text(out, "<container>");
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			if (json_object_get(row, fields[i]))
				append_element(out, row, fields[i]);
		buf_append_text(out, "</container>\n");
	}
	buf_append_text(out, "</account>");
}

static void append_xml(struct buf *out, json_t *rows, struct slice container)
{
	static const char *const fields[] = {"name", "hash", "bytes", "content_type", "last_modified"};
	size_t index;
	json_t *row;
	buf_append_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<container name=\"");
	append_escaped(out, container.data, container.length, true);
	buf_append_text(out, json_array_size(rows) ? "\">" : "\" />");
	json_array_foreach(rows, index, row)
	{
		json_t *subdir = json_object_get(row, "subdir");
		const char *name = json_string_value(subdir);
		if (name) {
			buf_append_text(out, "<subdir name=\"");
			append_escaped(out, name, json_string_length(subdir), true);
			buf_append_text(out, "\"><name>");
			append_escaped(out, name, json_string_length(subdir), false);
			buf_append_text(out, "</name></subdir>");
			continue;
		}
		buf_append_text(out, "<object>");
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			append_element(out, row, fields[i]);
		buf_append_text(out, "</object>");
	}
	if (json_array_size(rows))
		buf_append_text(out, "</container>");
}

static void append_plain(struct buf *out, json_t *rows)
{
	size_t index;
	json_t *row;
	json_array_foreach(rows, index, row)
	{
		json_t *name = json_object_get(row, "name");
		if (!name)
			name = json_object_get(row, "subdir");
		buf_append(out, json_string_value(name), json_string_length(name));
		buf_append_byte(out, '\n');
	}
}

struct slice listing_document_text(
	struct arena *arena, json_t *rows, enum listing_format format, struct slice container)
{
	struct buf out = BUF_INIT;
	if (format == LISTING_FORMAT_PLAIN) {
		append_plain(&out, rows);
	} else if (format == LISTING_FORMAT_JSON) {
		char *text = json_dumps(rows, JSON_ENSURE_ASCII);
		buf_append_text(&out, text);
		free(text);
	} else {
		append_xml(&out, rows, container);
	}
	struct slice text = arena_slice(arena, buf_slice(&out));
	buf_release(&out);
	return text;
}

void listing_document_reply(struct request *request, json_t *rows, enum listing_format format, struct reply *reply)
{
	const struct proxy_context *context = proxy_context_of(request);
	bool is_account = !context->container.data;
	bool is_xml = format == LISTING_FORMAT_XML || format == LISTING_FORMAT_TEXT_XML;
	if (is_account && is_xml) {
		struct buf out = BUF_INIT;
		append_containers(&out, rows, context->account);
		reply->text = arena_slice(reply->arena, buf_slice(&out));
		buf_release(&out);
	} else {
		reply->text = listing_document_text(reply->arena, rows, format, context->container);
	}
	reply->status = reply->text.length ? 200 : 204;
	headers_set_format(&reply->headers, "Content-Type", "%s; charset=utf-8", listing_format_content_type(format));
}

/* ---- change ---- */

/* The whole listing as text in the reply, its stream read to the end. False: the reply is 502 or not a listing. */
static bool co_take_text(struct reply *reply)
{
	if (reply->status / 100 != 2)
		return false;
	if (!reply->body)
		return true;
	struct slice text;
	int error = co_body_read_all(reply->body, reply->arena, INNER_LISTING_BYTES_MAX, &text);
	body_close(reply->body);
	reply->body = NULL;
	if (error) {
		reply_reset(reply);
		reply_status(reply, 502);
		return false;
	}
	reply->text = text;
	return true;
}

json_t *co_listing_take_rows(struct reply *reply)
{
	if (!co_take_text(reply))
		return NULL;
	json_t *rows = reply->status == 204 ? json_array() : bounded_json_parse(reply->text, NULL);
	if (json_is_array(rows))
		return rows;
	json_decref(rows);
	return NULL;
}

void co_listing_rewrite(const struct filter *filter, struct request *request, struct reply *reply, const char *mark,
	listing_rewrite_function *rewrite, void *argument)
{
	enum listing_format format = listing_document_format(request);
	bool pass = request->method != METHOD_GET || (mark && format == LISTING_FORMAT_PLAIN);
	if (!pass)
		listing_document_set_format(request, "json");
	co_filter_next(filter, request, reply);
	if (pass || !co_take_text(reply))
		return;
	struct slice text = reply->text;
	bool marked = !mark || memmem(text.data ? text.data : "", text.length, mark, strlen(mark));
	if (!marked && format == LISTING_FORMAT_JSON)
		return;
	json_t *rows = co_listing_take_rows(reply);
	if (rows) {
		rewrite(rows, argument);
		listing_document_reply(request, rows, format, reply);
	}
	json_decref(rows);
}
