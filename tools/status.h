/*
 * What a node tells about itself: /metrics for Prometheus, /healthcheck, and /recon/… as Swift's recon middleware does
 * (swift/common/middleware/recon.py), for swift-recon. On the ports of the storage servers and at [swiftlet]
 * metrics_bind; the proxy's door shows none of it.
 *
 * Answers are made in a thread of their own: they read files. Figures of devices come from a watch
 * (lib/store/device_figures.h) that waits a second for a sick disk.
 *
 * Files: status.c routes, status_recon.c makes recon's answers, status_metrics.c writes the metrics of devices.
 */
#ifndef TOOLS_STATUS_H
#define TOOLS_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/settings.h"
#include "lib/http/message.h"
#include "lib/store/device_set.h"

struct status;

/* What the updater of a device, in the order of the device set, has to tell. */
struct status_updater {
	uint64_t pending; /* entries that its last walk left */
	uint64_t sent;
	uint64_t failed;
	double walk_seconds; /* of the last walk; negative: there was none */
	double walked_at;    /* its end, since 1970 */
};

struct status_options {
	const struct settings *settings;
	struct device_set *devices; /* NULL: none */
	/* False: the device has no updater. May be NULL. Called from any thread. */
	bool (*updater)(void *argument, size_t device_index, struct status_updater *ret_updater);
	void *argument;
};

/* 0 or -errno. One per process: the metrics of the devices are registered. */
int status_new(const struct status_options *options, struct status **ret_status);
/* After the devices were closed. NULL is accepted. */
void status_free(struct status *status);

/* Whether the request's path is one of those above; then the reply is filled in. `recon`: /recon/… is, too. */
bool co_status_handle(struct status *status, bool recon, struct request *request, struct reply *reply);

#endif
