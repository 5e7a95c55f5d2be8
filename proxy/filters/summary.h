/*
 * What came of many small steps, as the text that Swift's bulk operations and manifests answer with: some values and a
 * list of names with what went wrong (swift/common/request_helpers.py, get_heartbeat_response_body).
 */
#ifndef PROXY_FILTERS_SUMMARY_H
#define PROXY_FILTERS_SUMMARY_H

#include "lib/base/arena.h"
#include "lib/base/slice.h"
#include "lib/http/message.h"

enum { SUMMARY_VALUES_MAX = 8 };

/* The form that the Accept header asks for; without one, or with one that cannot be met, text/plain. */
const char *summary_content_type(const struct request *request);

struct summary_value {
	const char *name;
	const char *text; /* NULL: `number` counts */
	int64_t number;
};

struct summary_error {
	const char *name;   /* percent-encoded */
	const char *status; /* such as "404 Not Found" */
	struct summary_error *next;
};

struct summary {
	struct arena *arena; /* everything lives there */
	const char *content_type;
	struct summary_value values[SUMMARY_VALUES_MAX];
	size_t count;
	struct summary_error *errors; /* in order */
	struct summary_error *last;
	size_t error_count;
};

void summary_init(struct summary *summary, struct arena *arena, const char *content_type);
/* Texts are kept, not copied. */
void summary_text(struct summary *summary, const char *name, const char *text);
void summary_number(struct summary *summary, const char *name, int64_t number);
/* Copies both; the name is encoded here. */
void summary_error(struct summary *summary, struct slice name, const char *status);

/* The text; `root` is the element in XML ("upload", "delete", "extract"). */
struct slice summary_print(const struct summary *summary, const char *root);

/* "404 Not Found" of a status. */
const char *summary_status(struct arena *arena, int status, const char *reason);

#endif
