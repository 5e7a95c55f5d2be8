#include "tools/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/base/metrics.h"
#include "lib/swift/url.h"
#include "tools/status_private.h"

/* How long a sick disk may hold up an answer. */
enum { FIGURES_WAIT_MS = 1000 };

int status_new(const struct status_options *options, struct status **ret_status)
{
	struct status *status = xcalloc(1, sizeof(*status));
	status->options = *options;
	int error = pool_new("status", 1, &status->pool);
	if (error) {
		free(status);
		return error;
	}
	if (options->devices)
		status->watch = device_watch_new(options->devices);
	metrics_add_collector(status_collect_devices, status);
	*ret_status = status;
	return 0;
}

void status_free(struct status *status)
{
	if (!status)
		return;
	metrics_remove_collectors();
	pool_free(status->pool);
	device_watch_free(status->watch);
	free(status);
}

bool status_updater_at(const struct status *status, size_t device_index, struct status_updater *ret_updater)
{
	return status->options.updater && status->options.updater(status->options.argument, device_index, ret_updater);
}

const char *status_state_name(enum device_state state)
{
	static const char *const names[] = {
		[DEVICE_USABLE] = "usable",
		[DEVICE_UNMOUNTED] = "unmounted",
		[DEVICE_FAILED] = "failed",
		[DEVICE_FULL] = "full",
	};
	return names[state];
}

/* ---- answers ---- */

struct answer {
	const struct status *status;
	const char *check; /* of recon; NULL: the metrics */
	const char *type;
	struct buf text;
	int error;
};

static void make_answer(void *argument)
{
	struct answer *answer = argument;
	if (answer->check)
		answer->error = status_recon(answer->status, answer->check, answer->type, &answer->text);
	else
		metrics_write(&answer->text);
}

static void co_make_answer(struct status *status, struct answer *answer)
{
	if (status->watch && (!answer->check || status_recon_needs_figures(answer->check)))
		co_device_watch_refresh(status->watch, FIGURES_WAIT_MS);
	co_offload(status->pool, make_answer, answer);
}

static void reply_buf(struct reply *reply, int status, const char *content_type, struct buf *text)
{
	reply_text(reply, status, content_type, arena_strndup(reply->arena, text->data, text->length));
	buf_release(text);
}

static void co_reply_metrics(struct status *status, struct reply *reply)
{
	struct answer answer = {.status = status};
	co_make_answer(status, &answer);
	reply_buf(reply, 200, METRICS_CONTENT_TYPE, &answer.text);
}

static void co_reply_recon(struct status *status, struct request *request, struct slice path, struct reply *reply)
{
	char *check = arena_strndup(request->arena, path.data, path.length);
	char *type = strchr(check, '/');
	if (type)
		*type++ = '\0';
	struct answer answer = {.status = status, .check = check, .type = type && *type ? type : NULL};
	co_make_answer(status, &answer);
	if (answer.error == 0) {
		reply_buf(reply, 200, "application/json", &answer.text);
		return;
	}
	buf_release(&answer.text);
	if (answer.error == -ENOENT)
		reply_text(reply, 404, "text/plain",
			arena_printf(reply->arena, "Invalid path: %.*s", SLICE_PRINT(request->path)));
	else
		reply_text(reply, 500, "text/plain", "Internal server error.");
}

bool co_status_handle(struct status *status, bool recon, struct request *request, struct reply *reply)
{
	static const char prefix[] = "/recon/";
	const size_t length = sizeof(prefix) - 1;
	/* these paths have too few parts for anything that a storage server would answer otherwise */
	if (request->internal)
		return false;
	if (slice_equal(request->path, SLICE_LITERAL("/metrics")))
		co_reply_metrics(status, reply);
	else if (slice_equal(request->path, SLICE_LITERAL("/healthcheck")))
		reply_text(reply, 200, "text/plain", "OK");
	else if (recon && request->path.length > length && memcmp(request->path.data, prefix, length) == 0)
		co_reply_recon(
			status, request, slice_of(request->path.data + length, request->path.length - length), reply);
	else
		return false;
	return true;
}
