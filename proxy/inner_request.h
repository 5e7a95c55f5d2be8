/*
 * Requests that a filter makes on behalf of a client's: Swift's make_subrequest() and make_pre_authed_request(). They go to
 * the rest of the chain by co_filter_next(), with the transaction id of the client's request and a tag of their own in
 * the log, and are judged as the client's unless the filter has judged already.
 */
#ifndef PROXY_INNER_REQUEST_H
#define PROXY_INNER_REQUEST_H

#include <jansson.h>

#include "proxy/context.h"
#include "proxy/filter.h"

/* What to ask. */
struct inner_request {
	enum method method;
	struct slice account; /* decoded; .data == NULL: none */
	struct slice container;
	struct slice object;
	const char *query;  /* without "?"; NULL: none */
	const char *source; /* tag in the log, as Swift's swift.source, e.g. "SLO" */
	bool with_headers;  /* the client's headers go along, but for those of framing and Expect; else Referer alone */
	bool authorised;    /* nobody is asked again who may */
	bool reserved_names;   /* names with NUL are allowed (hidden containers of versioning) */
	bool client_timestamp; /* the time of the client's request; otherwise it gets one of its own, later */
};

/*
 * A request in `arena` (often the client's; a loop over many makes one for each turn, so that memory stays flat). It
 * has no body; see inner_request_set_body(). Lives no longer than `original`.
 */
struct request *inner_request_new(
	struct arena *arena, const struct request *original, const struct inner_request *inner);

/* Gives it a body of `content_length` bytes; -1: sent chunked, until the stream ends. */
void inner_request_set_body(struct request *request, struct body *body, int64_t content_length);

/*
 * Sends a request whose answer's body is small: 0 with the reply's status and headers in *ret_reply and its whole body in
 * *ret_body, both in the request's arena; -EFBIG above `bytes_max`, or the stream's error. *ret_reply is finished.
 */
int co_inner_request_read(const struct filter *filter, struct request *request, size_t bytes_max,
	struct reply *ret_reply, struct slice *ret_body);

/* "/v1/a/c/o" percent-encoded, as request->path has it. Parts from the first NULL one on are left out. */
struct slice inner_request_path(
	struct arena *arena, const char *version, struct slice account, struct slice container, struct slice object);

/* One page of a listing. */
struct inner_listing {
	struct slice account;
	struct slice container; /* .data == NULL: the account's containers */
	struct slice prefix;    /* all decoded; empty: not asked for */
	struct slice marker;
	struct slice end_marker;
	struct slice delimiter;
	size_t limit; /* 0: the server's own */
	bool reverse;
	const char *source;
	bool authorised;
	bool reserved_names;
};

enum { INNER_LISTING_BYTES_MAX = 64 << 20 };

/*
 * The rows of the page as Swift's JSON has them (an array, to be released by json_decref()), or NULL when the status in
 * *ret_reply is not 2xx (the client gets that reply, or what the filter makes of it). 502 stands for an answer that is
 * not a listing. Without authority it is judged as the client's listing would be.
 */
json_t *co_inner_listing(const struct filter *filter, const struct request *original, struct arena *arena,
	const struct inner_listing *listing, struct reply *ret_reply);

#endif
