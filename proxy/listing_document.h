/*
 * Container listings that a filter changes on their way to the client. Our servers write every form themselves; a filter
 * that must see the rows asks for JSON, changes them and writes the form that was wanted, as Swift's listing_formats does.
 */
#ifndef PROXY_LISTING_DOCUMENT_H
#define PROXY_LISTING_DOCUMENT_H

#include <jansson.h>

#include "lib/swift/accept.h"
#include "proxy/filter.h"

/* The form that the `format` parameter of the query names, as listing_formats has set it. */
enum listing_format listing_document_format(struct request *request);

/* Sets the parameter anew, e.g. "json". */
void listing_document_set_format(struct request *request, const char *format);

/* The rows as text in the arena, to the byte as Swift's listing_formats writes them. `container` is the name in XML. */
struct slice listing_document_text(
	struct arena *arena, json_t *rows, enum listing_format format, struct slice container);

/* Puts the rows into the reply in the form that the request wants: text, status 204 when empty, Content-Type. */
void listing_document_reply(struct request *request, json_t *rows, enum listing_format format, struct reply *reply);

/*
 * The rows of a listing that came as JSON (to be released by json_decref()), their stream read to its end; NULL when it is
 * not a listing: the reply is then what the client gets.
 */
json_t *co_listing_take_rows(struct reply *reply);

/* Changes the array in place. */
typedef void listing_rewrite_function(json_t *rows, void *argument);

/*
 * Passes a GET of a container on and lets `rewrite` change its rows. With `mark`, a text without which no row is of
 * interest (such as "; slo_etag="), JSON listings that do not hold it pass unparsed and other forms pass as they are.
 */
void co_listing_rewrite(const struct filter *filter, struct request *request, struct reply *reply, const char *mark,
	listing_rewrite_function *rewrite, void *argument);

#endif
