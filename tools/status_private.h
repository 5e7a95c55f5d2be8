/* For tools/status*.c alone. */
#ifndef TOOLS_STATUS_PRIVATE_H
#define TOOLS_STATUS_PRIVATE_H

#include "lib/base/buf.h"
#include "lib/co/pool.h"
#include "lib/store/device_figures.h"
#include "tools/status.h"

struct status {
	struct status_options options;
	struct device_watch *watch; /* NULL without devices */
	struct pool *pool;          /* one thread, in which answers are made */
};

static inline size_t status_device_count(const struct status *status)
{
	return status->options.devices ? device_set_count(status->options.devices) : 0;
}

/* False when the device has no updater. */
bool status_updater_at(const struct status *status, size_t device_index, struct status_updater *ret_updater);

/* "usable", "unmounted", "failed" or "full". */
const char *status_state_name(enum device_state state);

/*
 * Appends the answer to /recon/<check>[/<type>] as JSON; `type` may be NULL. 0; -ENOENT for a check that Swift has not
 * got either; or another negative errno. Blocks.
 */
int status_recon(const struct status *status, const char *check, const char *type, struct buf *json);

/* Whether that check needs fresh figures of the devices. */
bool status_recon_needs_figures(const char *check);

/* A metrics_collect_function for the devices; `status` is a struct status. */
void status_collect_devices(void *status, struct buf *text);

#endif
