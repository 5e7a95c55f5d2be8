#include "proxy/filters/staticweb.h"

#include <ctype.h>
#include <math.h>

#include "lib/co/co.h"
#include "lib/swift/url.h"

enum {
	ROWS_PER_TURN = 500,
	HTML_BYTES_MAX = 32 << 20, /* the longest names, all of them to be escaped, would make three times as much */
};

/* Python's html.escape(). */
static void append_escaped(struct buf *html, struct slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		switch (text.data[i]) {
		case '&':
			buf_append_text(html, "&amp;");
			break;
		case '<':
			buf_append_text(html, "&lt;");
			break;
		case '>':
			buf_append_text(html, "&gt;");
			break;
		case '"':
			buf_append_text(html, "&quot;");
			break;
		case '\'':
			buf_append_text(html, "&#x27;");
			break;
		default:
			buf_append_byte(html, text.data[i]);
		}
	}
}

/* A name of the listing behind "./": without dots, so that no browser takes a part of it for a step up. */
static void append_link(struct buf *html, struct slice name)
{
	size_t from = 0;
	for (size_t i = 0; i <= name.length; i++) {
		if (i < name.length && name.data[i] != '.')
			continue;
		url_encode_append(html, slice_of(name.data + from, i - from), true);
		if (i < name.length)
			buf_append_text(html, "%2E");
		from = i + 1;
	}
}

/* Python's quote(text, ':/'). */
static void append_url(struct buf *html, struct slice url)
{
	size_t from = 0;
	for (size_t i = 0; i <= url.length; i++) {
		if (i < url.length && url.data[i] != ':')
			continue;
		url_encode_append(html, slice_of(url.data + from, i - from), true);
		if (i < url.length)
			buf_append_byte(html, ':');
		from = i + 1;
	}
}

/* Where the style sheet is: in the container, unless it is a URL or begins with a slash. */
static void append_css_link(const struct staticweb_page *page, struct buf *html)
{
	struct slice css = page->site->listings_css;
	buf_append_text(html, "  <link rel=\"stylesheet\" type=\"text/css\" href=\"");
	if (slice_starts_with(css, SLICE_LITERAL("/")) || slice_starts_with(css, SLICE_LITERAL("http://")) ||
		slice_starts_with(css, SLICE_LITERAL("https://"))) {
		append_url(html, css);
	} else {
		for (size_t i = 0; i < page->prefix.length; i++)
			if (page->prefix.data[i] == '/')
				buf_append_text(html, "../");
		url_encode_append(html, css, true);
	}
	buf_append_text(html, "\" />\n");
}

/* The path that was asked for; with a label of the owner's what stands behind the container in it. */
static void append_label(const struct staticweb_page *page, struct buf *html)
{
	struct slice label = page->site->listings_label, rest = page->path;
	if (label.length == 0) {
		append_escaped(html, rest);
		return;
	}
	for (int slashes = 0; rest.length && slashes < 4; rest = slice_of(rest.data + 1, rest.length - 1))
		slashes += rest.data[0] == '/';
	append_escaped(html, label);
	buf_append_byte(html, '/');
	append_escaped(html, rest);
}

/* Swift's human_readable(): 1024 of something are one of the next; halves go to the even number. */
static void append_size(struct buf *html, int64_t bytes)
{
	static const char suffixes[] = "KMGTPEZY";
	double value = (double)bytes;
	int index = -1;
	while (value >= 1024 && suffixes[index + 1]) {
		index++;
		value = nearbyint(value / 1024);
	}
	buf_printf(html, "%.0f", value);
	if (index >= 0)
		buf_printf(html, "%ci", suffixes[index]);
}

static struct slice text_of(json_t *row, const char *name)
{
	json_t *text = json_object_get(row, name);
	return json_is_string(text) ? slice_of(json_string_value(text), json_string_length(text)) : SLICE_NONE;
}

static struct slice without_prefix(const struct staticweb_page *page, struct slice name)
{
	size_t length = page->prefix.length < name.length ? page->prefix.length : name.length;
	return slice_of(name.data + length, name.length - length);
}

static void append_name(const struct staticweb_page *page, struct slice name, struct buf *html)
{
	buf_append_text(html, "    <td class=\"colname\"><a href=\"./");
	append_link(html, name);
	buf_append_slice(html, page->tempurl_query);
	buf_append_text(html, "\">");
	append_escaped(html, name);
	buf_append_text(html, "</a></td>\n");
}

static void append_subdir(const struct staticweb_page *page, json_t *row, struct buf *html)
{
	buf_append_text(html, "   <tr class=\"item subdir\">\n");
	append_name(page, without_prefix(page, text_of(row, "subdir")), html);
	buf_append_text(html, "    <td class=\"colsize\">&nbsp;</td>\n"
			      "    <td class=\"coldate\">&nbsp;</td>\n"
			      "   </tr>\n");
}

/* "text/html" as "type-text type-html". */
static void append_classes(struct slice content_type, struct buf *html)
{
	buf_append_text(html, "type-");
	for (size_t i = 0; i < content_type.length; i++) {
		char lower = (char)tolower((unsigned char)content_type.data[i]);
		if (lower == '/')
			buf_append_text(html, " type-");
		else
			append_escaped(html, slice_of(&lower, 1));
	}
}

/* 2026-01-31T23:59:59.123456 as "2026-01-31 23:59:59". */
static void append_date(struct slice date, struct buf *html)
{
	for (size_t i = 0; i < date.length && date.data[i] != '.'; i++)
		append_escaped(html, date.data[i] == 'T' ? SLICE_LITERAL(" ") : slice_of(date.data + i, 1));
}

static void append_object(const struct staticweb_page *page, json_t *row, struct buf *html)
{
	buf_append_text(html, "   <tr class=\"item ");
	append_classes(text_of(row, "content_type"), html);
	buf_append_text(html, "\">\n");
	append_name(page, without_prefix(page, text_of(row, "name")), html);
	buf_append_text(html, "    <td class=\"colsize\">");
	append_size(html, json_integer_value(json_object_get(row, "bytes")));
	buf_append_text(html, "</td>\n    <td class=\"coldate\">");
	append_date(text_of(row, "last_modified"), html);
	buf_append_text(html, "</td>\n   </tr>\n");
}

static void append_head(const struct staticweb_page *page, struct buf *html)
{
	buf_append_text(html, "<!DOCTYPE html>\n<html>\n <head>\n  <title>Listing of ");
	append_label(page, html);
	buf_append_text(html, "</title>\n");
	if (page->site->listings_css.length)
		append_css_link(page, html);
	else
		buf_append_text(html, "  <style type=\"text/css\">\n"
				      "   h1 {font-size: 1em; font-weight: bold;}\n"
				      "   th {text-align: left; padding: 0px 1em 0px 1em;}\n"
				      "   td {padding: 0px 1em 0px 1em;}\n"
				      "   a {text-decoration: none;}\n"
				      "  </style>\n");
	buf_append_text(html, " </head>\n <body>\n  <h1 id=\"title\">Listing of ");
	append_label(page, html);
	buf_append_text(html, "</h1>\n"
			      "  <table id=\"listing\">\n"
			      "   <tr id=\"heading\">\n"
			      "    <th class=\"colname\">Name</th>\n"
			      "    <th class=\"colsize\">Size</th>\n"
			      "    <th class=\"coldate\">Date</th>\n"
			      "   </tr>\n");
	if (page->prefix.length > page->tempurl_prefix.length)
		buf_printf(html,
			"   <tr id=\"parent\" class=\"item\">\n"
			"    <td class=\"colname\"><a href=\"../%.*s\">../</a></td>\n"
			"    <td class=\"colsize\">&nbsp;</td>\n"
			"    <td class=\"coldate\">&nbsp;</td>\n"
			"   </tr>\n",
			SLICE_PRINT(page->tempurl_query));
}

/* The rows that have a member of that name, each by `append`. */
static void co_append_rows(const struct staticweb_page *page, json_t *rows, const char *member,
	void (*append)(const struct staticweb_page *, json_t *, struct buf *), struct buf *html)
{
	size_t count = json_array_size(rows);
	for (size_t i = 0; i < count && html->length < HTML_BYTES_MAX; i++) {
		json_t *row = json_array_get(rows, i);
		if (json_object_get(row, member))
			append(page, row, html);
		if (i % ROWS_PER_TURN == ROWS_PER_TURN - 1)
			co_yield ();
	}
}

void co_staticweb_listing(const struct staticweb_page *page, json_t *rows, struct buf *html)
{
	append_head(page, html);
	co_append_rows(page, rows, "subdir", append_subdir, html);
	co_append_rows(page, rows, "name", append_object, html);
	buf_append_text(html, "  </table>\n </body>\n</html>\n");
}

void staticweb_disabled(const struct staticweb_page *page, struct buf *html)
{
	buf_append_text(html, "<!DOCTYPE html>\n<html>\n<head>\n<title>Listing of ");
	append_label(page, html);
	buf_append_text(html, "</title>\n");
	if (page->site->listings_css.length)
		append_css_link(page, html);
	else
		buf_append_text(html, "  <style type=\"text/css\">\n"
				      "   h1 {font-size: 1em; font-weight: bold;}\n"
				      "   p {font-size: 2}\n"
				      "  </style>\n");
	buf_append_text(html, "</head>\n<body>"
			      "  <h1>Web Listing Disabled</h1>"
			      "   <p>The owner of this web site has disabled web listing."
			      "   <p>If you are the owner of this web site, you can enable"
			      "   web listing by setting X-Container-Meta-Web-Listings.</p>");
	if (page->site->index.length) {
		buf_append_text(html, "<h1>Index File Not Found</h1>"
				      " <p>The owner of this web site has set "
				      " <b>X-Container-Meta-Web-Index: ");
		append_escaped(html, page->site->index);
		buf_append_text(html, "</b>.  However, this file is not found.</p>");
	}
	buf_append_text(html, " </body>\n</html>\n");
}
