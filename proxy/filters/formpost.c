#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/base/buf.h"
#include "lib/http/mime_parts.h"
#include "lib/swift/content_disposition.h"
#include "lib/swift/number.h"
#include "lib/swift/url.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/signature.h"
#include "proxy/inner_request.h"

/*
 * Uploads by forms of browsers: each file of a multipart/form-data document becomes a PUT, when the attributes before it
 * bear a signature with a key of the account or container (swift/common/middleware/formpost.py). Nothing is held back
 * of a file but what may be the delimiter behind it.
 */

enum {
	VALUE_BYTES_MAX = 4096, /* of an attribute; what is longer is cut */
	ATTRIBUTES_MAX = 1000,  /* parts that are no files; Swift has no limit */
	RESULT_BYTES_MAX = 65536,
};

struct formpost {
	struct proxy *proxy;
	const struct settings *settings;
};

enum attribute {
	REDIRECT,
	MAX_FILE_SIZE,
	MAX_FILE_COUNT,
	EXPIRES,
	SIGNATURE,
	DELETE_AT,
	DELETE_AFTER,
	CONTENT_TYPE,
	CONTENT_ENCODING,
	ATTRIBUTES,
};

static const char *const attribute_names[ATTRIBUTES] = {
	[REDIRECT] = "redirect",
	[MAX_FILE_SIZE] = "max_file_size",
	[MAX_FILE_COUNT] = "max_file_count",
	[EXPIRES] = "expires",
	[SIGNATURE] = "signature",
	[DELETE_AT] = "x_delete_at",
	[DELETE_AFTER] = "x_delete_after",
	[CONTENT_TYPE] = "content-type",
	[CONTENT_ENCODING] = "content-encoding",
};

struct form {
	const struct filter *filter;
	struct request *request;
	struct reply *reply;
	struct mime_parts *parts;
	struct slice path;              /* decoded */
	const char *values[ATTRIBUTES]; /* NULL: was not sent */
	struct signature_key keys[SIGNATURE_KEYS_MAX];
	size_t key_count;
	size_t attribute_count;
	int64_t file_count;
	bool ended;   /* nothing more is to be read */
	bool refused; /* the reply is complete */
	/* what came of it, of the last file that was tried; status 0: of none */
	int status;
	const char *reason;
	const char *message; /* Swift's, in lower case; "" for none */
	struct slice text;   /* body of the failed PUT */
	struct headers cors; /* Access-Control-* of it */
};

/* ---- refusals ---- */

/* Ends the work at the form with a reply of its own. */
static void refuse(struct form *form, const char *text)
{
	reply_text(form->reply, 400, "text/plain", arena_printf(form->reply->arena, "FormPost: %s", text));
	form->refused = form->ended = true;
}

static void refuse_unauthorised(struct form *form, const char *text)
{
	reply_text(
		form->reply, 401, "text/html; charset=UTF-8", arena_printf(form->reply->arena, "FormPost: %s", text));
	headers_set(&form->reply->headers, "Www-Authenticate", "Swift realm=\"unknown\"");
	form->refused = form->ended = true;
}

/* The request broke off, or is no document with the boundary that it named. */
static void refuse_document(struct form *form, int error)
{
	if (error == -EPROTO) {
		refuse(form, "invalid starting boundary");
		return;
	}
	reply_status(form->reply, error == -ETIMEDOUT ? 408 : error == -ECONNRESET ? 499 : 400);
	form->refused = form->ended = true;
}

/* ---- attributes ---- */

static const char *value_of(const struct form *form, enum attribute attribute)
{
	return form->values[attribute] ? form->values[attribute] : "";
}

/* A number; none or an empty one counts as 0. False: it is something else. */
static bool number_of(const struct form *form, enum attribute attribute, int64_t *ret_number)
{
	const char *text = value_of(form, attribute);
	*ret_number = 0;
	return !*text || number_parse_integer(slice_from(text), ret_number) == 0;
}

/* The part's first VALUE_BYTES_MAX bytes. */
static int co_read_value(struct form *form, struct buf *value)
{
	struct body *body = mime_parts_body(form->parts);
	struct chunk chunk;
	int error;
	while ((error = co_body_next(body, &chunk)) == 0 && chunk.length) {
		size_t room = VALUE_BYTES_MAX - value->length;
		buf_append(value, chunk.data, chunk.length < room ? chunk.length : room);
		chunk_release(&chunk);
	}
	return error;
}

static void keep_value(struct form *form, struct slice name, struct slice value)
{
	while (value.length && strchr("\r\n-", value.data[value.length - 1]))
		value.length--;
	for (size_t i = 0; i < ATTRIBUTES; i++)
		if (name.length == strlen(attribute_names[i]) &&
			strncasecmp(name.data, attribute_names[i], name.length) == 0)
			form->values[i] =
				arena_strndup(form->request->arena, value.data ? value.data : "", value.length);
}

static void co_take_attribute(struct form *form, struct slice disposition)
{
	struct buf value = BUF_INIT;
	struct slice name;
	int error = co_read_value(form, &value);
	if (error)
		refuse_document(form, error);
	else if (++form->attribute_count > ATTRIBUTES_MAX)
		refuse(form, "too many attributes");
	else if (!utf8_valid(buf_slice(&value)) || (value.length && memchr(value.data, '\0', value.length)))
		refuse(form, "attribute not valid UTF-8");
	else if (content_disposition_attribute(disposition, "name", &name))
		keep_value(form, name, buf_slice(&value));
	buf_release(&value);
}

/* ---- the signature ---- */

static void co_take_keys(struct form *form)
{
	const struct formpost *formpost = form->filter->context;
	const struct proxy_context *context = proxy_context_of(form->request);
	bool has_nul = memchr(form->path.data, '\0', form->path.length) != NULL;
	if (!has_nul && context->version && context->account.length && context->container.length &&
		constraints_api_version_valid(&formpost->proxy->options.constraints, slice_from(context->version)))
		form->key_count = co_signature_keys(
			formpost->proxy, form->request, context->account, context->container, form->keys);
}

static const char *or_zero(const char *text)
{
	return *text ? text : "0";
}

static bool is_signed(const struct form *form)
{
	const struct formpost *formpost = form->filter->context;
	struct arena *arena = form->request->arena;
	struct signature signature;
	if (form->key_count == 0 || signature_parse(arena, slice_from(value_of(form, SIGNATURE)),
					    &formpost->settings->formpost.allowed_digests, &signature))
		return false;
	const char *text = arena_printf(arena, "%.*s\n%s\n%s\n%s\n%s", SLICE_PRINT(form->path),
		value_of(form, REDIRECT), or_zero(value_of(form, MAX_FILE_SIZE)),
		or_zero(value_of(form, MAX_FILE_COUNT)), or_zero(value_of(form, EXPIRES)));
	for (size_t i = 0; i < form->key_count; i++)
		if (signature_matches(&signature, form->keys[i].key, slice_from(text)))
			return true;
	return false;
}

/* What a file needs before a byte of it is stored, in Swift's order. */
static bool may_store(struct form *form, int64_t *ret_max_file_size)
{
	int64_t number;
	if (form->key_count == 0)
		refuse_unauthorised(form, "Invalid Signature");
	else if (!number_of(form, MAX_FILE_SIZE, ret_max_file_size))
		refuse(form, "max_file_size not an integer");
	else if (form->values[DELETE_AT] && number_parse_integer(slice_from(form->values[DELETE_AT]), &number))
		refuse(form, "x_delete_at not an integer: Unix timestamp required.");
	else if (form->values[DELETE_AFTER] && number_parse_integer(slice_from(form->values[DELETE_AFTER]), &number))
		refuse(form, "x_delete_after not an integer: Number of seconds required.");
	else if (!number_of(form, EXPIRES, &number))
		refuse(form, "expired not an integer");
	else if (number <= (int64_t)time(NULL))
		refuse_unauthorised(form, "Form Expired");
	else if (!is_signed(form))
		refuse_unauthorised(form, "Invalid Signature");
	return !form->refused;
}

/* ---- files ---- */

/* A part as the body of a PUT. */
struct file_body {
	struct body body;
	struct body *part;
	int64_t left; /* of max_file_size */
	bool too_large;
};

static int co_file_next(struct body *body, struct chunk *ret_chunk)
{
	struct file_body *file = (struct file_body *)body;
	int error = co_body_next(file->part, ret_chunk);
	if (error || ret_chunk->length == 0)
		return error;
	if (file->left < 0 || ret_chunk->length > (uint64_t)file->left) {
		chunk_release(ret_chunk);
		file->too_large = true;
		return -EFBIG;
	}
	file->left -= (int64_t)ret_chunk->length;
	return 0;
}

static void set_integer(struct form *form, enum attribute attribute, const char *header, struct request *put)
{
	int64_t number;
	if (form->values[attribute] && number_parse_integer(slice_from(form->values[attribute]), &number) == 0)
		headers_set_format(&put->headers, header, "%lld", (long long)number);
}

/* The form's own value for all files wins over the one of a part. */
static const char *type_of(
	const struct form *form, enum attribute attribute, const struct headers *headers, const char *name)
{
	return form->values[attribute] ? form->values[attribute] : headers_get(headers, name);
}

static bool is_clean(const char *value)
{
	return !strpbrk(value, "\r\n");
}

static struct request *new_put(
	struct form *form, struct arena *arena, struct slice filename, const struct headers *headers)
{
	const struct proxy_context *context = proxy_context_of(form->request);
	struct slice front = context->object.data ? context->object : SLICE_LITERAL("");
	const struct inner_request inner = {
		.method = METHOD_PUT,
		.account = context->account,
		.container = context->container,
		.object = slice_from(arena_printf(arena, "%.*s%.*s", SLICE_PRINT(front), SLICE_PRINT(filename))),
		.source = "FP",
		.authorised = true,
	};
	struct request *put = inner_request_new(arena, form->request, &inner);
	const char *origin = headers_get(&form->request->headers, "Origin");
	const char *type = type_of(form, CONTENT_TYPE, headers, "Content-Type");
	const char *encoding = type_of(form, CONTENT_ENCODING, headers, "Content-Encoding");
	if (origin)
		headers_set(&put->headers, "Origin", origin);
	if (type && is_clean(type))
		headers_set(&put->headers, "Content-Type", *type ? type : "application/octet-stream");
	if (encoding && is_clean(encoding))
		headers_set(&put->headers, "Content-Encoding", encoding);
	set_integer(form, DELETE_AT, "X-Delete-At", put);
	set_integer(form, DELETE_AFTER, "X-Delete-After", put);
	return put;
}

static void take_result(struct form *form, const struct reply *reply, struct slice text)
{
	form->status = reply->status;
	form->reason = reply->reason ? arena_strdup(form->request->arena, reply->reason) : NULL;
	form->text = reply->status / 100 == 2 ? SLICE_NONE : arena_slice(form->request->arena, text);
	headers_init(&form->cors, form->request->arena);
	for (size_t i = 0; i < reply->headers.count; i++) {
		const struct header *header = &reply->headers.items[i];
		if (header_has_prefix(header->name, "Access-Control"))
			headers_add(&form->cors, arena_strdup(form->request->arena, header->name),
				arena_strdup(form->request->arena, header->value));
	}
	form->ended |= reply->status / 100 != 2;
}

static void co_store_file(struct form *form, struct arena *arena, struct slice filename, const struct headers *headers)
{
	static const struct body_operations operations = {co_file_next, NULL};
	int64_t max_file_size;
	if (!may_store(form, &max_file_size))
		return;
	struct file_body file = {{&operations}, mime_parts_body(form->parts), max_file_size, false};
	struct request *put = new_put(form, arena, filename, headers);
	struct reply reply;
	struct slice text = SLICE_NONE;
	inner_request_set_body(put, &file.body, -1);
	int error = co_inner_request_read(form->filter, put, RESULT_BYTES_MAX, &reply, &text);
	if (file.too_large)
		refuse(form, "max_file_size exceeded");
	else
		take_result(form, &reply, error ? SLICE_NONE : text);
}

static void co_take_file(struct form *form, struct arena *arena, struct slice filename, const struct headers *headers)
{
	int64_t max_file_count;
	if (!number_of(form, MAX_FILE_COUNT, &max_file_count)) {
		refuse(form, "max_file_count not an integer");
	} else if (++form->file_count > max_file_count) {
		form->status = 400;
		form->reason = NULL;
		form->message = "max file count exceeded";
		form->text = SLICE_NONE;
		form->ended = true;
	} else {
		co_store_file(form, arena, filename, headers);
	}
}

static void co_take_part(struct form *form, struct arena *arena)
{
	struct headers headers;
	struct slice filename;
	int error = co_mime_parts_next(form->parts, arena, &headers);
	if (error == -ENOENT) {
		form->ended = true;
		return;
	}
	if (error) {
		refuse_document(form, error);
		return;
	}
	struct slice disposition = slice_from(headers_get(&headers, "Content-Disposition"));
	if (slice_equal(content_disposition_word(disposition), SLICE_LITERAL("form-data")) &&
		content_disposition_attribute(disposition, "filename", &filename) && filename.length)
		co_take_file(form, arena, filename, &headers);
	else
		co_take_attribute(form, disposition);
	if (!form->ended && (error = co_body_drain(mime_parts_body(form->parts), UINT64_MAX)))
		refuse_document(form, error);
}

/* ---- the reply ---- */

/* Python's str.title(). */
static const char *title_of(struct arena *arena, const char *text)
{
	char *title = arena_strdup(arena, text);
	for (char *c = title; *c; c++)
		if ((c == title || c[-1] == ' ') && *c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	return title;
}

/* Swift escapes nothing here; "&" stays as it has it. */
static void append_escaped(struct buf *html, const char *text)
{
	for (; *text; text++) {
		const char *replacement = *text == '"' ? "&quot;" : *text == '<' ? "&lt;" : NULL;
		if (replacement)
			buf_append_text(html, replacement);
		else
			buf_append_byte(html, *text);
	}
}

/* Where the browser is sent. Only where the form's owner wanted: without its signature anybody could send it anywhere. */
static const char *redirect_of(const struct form *form)
{
	const char *redirect = value_of(form, REDIRECT);
	if (!*redirect || !is_clean(redirect) || !is_signed(form))
		return NULL;
	struct slice message = url_encode(form->reply->arena, slice_from(form->message), true);
	return arena_printf(form->reply->arena, "%s%sstatus=%d&message=%.*s", redirect,
		strchr(redirect, '?') ? "&" : "?", form->status, SLICE_PRINT(message));
}

static void send_redirect(struct form *form, const char *redirect)
{
	struct buf html = BUF_INIT;
	buf_append_text(&html, "<html><body><p><a href=\"");
	append_escaped(&html, redirect);
	buf_append_text(&html, "\">Click to continue...</a></p></body></html>");
	reply_empty(form->reply, 303);
	form->reply->text = arena_slice(form->reply->arena, buf_slice(&html));
	headers_set(&form->reply->headers, "Content-Type", "text/html; charset=UTF-8");
	headers_set(&form->reply->headers, "Location", redirect);
	buf_release(&html);
}

static void send_plain(struct form *form)
{
	struct arena *arena = form->reply->arena;
	const char *reason = form->reason ? form->reason : status_reason(form->status);
	const char *text = arena_printf(arena, "%d %s", form->status, reason);
	if (*form->message)
		text = arena_printf(arena, "%s\r\nFormPost: %s", text, title_of(arena, form->message));
	reply_text(form->reply, form->status, "text/plain", text);
	form->reply->reason = form->reason;
	if (form->text.length)
		form->reply->text = form->text;
}

static void send_reply(struct form *form)
{
	if (!form->status) {
		form->status = 400;
		form->message = "no files to process";
	}
	const char *redirect = redirect_of(form);
	if (redirect)
		send_redirect(form, redirect);
	else
		send_plain(form);
	for (size_t i = 0; i < form->cors.count; i++)
		headers_set(&form->reply->headers, form->cors.items[i].name, form->cors.items[i].value);
}

/* The boundary of a form's body, or NULL when this is no form. */
static const char *boundary_of(const struct request *request)
{
	struct slice type = slice_from(headers_get(&request->headers, "Content-Type"));
	struct slice boundary;
	if (request->method != METHOD_POST ||
		!slice_equal(content_disposition_word(type), SLICE_LITERAL("multipart/form-data")) ||
		!content_disposition_attribute(type, "boundary", &boundary))
		return NULL;
	return arena_strndup(request->arena, boundary.data, boundary.length);
}

static void co_handle(const struct filter *filter, struct request *request, struct reply *reply)
{
	const char *boundary = boundary_of(request);
	if (!boundary) {
		co_filter_next(filter, request, reply);
		return;
	}
	struct form form = {.filter = filter, .request = request, .reply = reply, .message = ""};
	form.path = url_decode(request->arena, request->path, false);
	form.parts = mime_parts_new(request->arena, request->body, boundary);
	co_take_keys(&form);
	while (!form.ended) {
		struct arena *arena = arena_new();
		co_take_part(&form, arena);
		arena_free(arena);
	}
	if (!form.refused)
		send_reply(&form);
}

struct filter filter_formpost(struct proxy *proxy, const struct settings *settings)
{
	struct formpost *formpost = arena_zalloc(proxy->arena, sizeof(*formpost));
	*formpost = (struct formpost){proxy, settings};
	json_t *section = json_object();
	signature_announce(section, &settings->formpost.allowed_digests);
	proxy_announce(proxy, "formpost", section);
	return (struct filter){.name = "formpost", .co_handle = co_handle, .context = formpost};
}
