#include "tools/confinement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/backend/backend.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/co/socket.h"
#include "ring/ring.h"
#include "ring/ring_store.h"
#include "tools/privileges.h"
#include "tools/sandbox.h"

enum { DNS_PORT = 53 };

struct confinement {
	const struct settings *settings;
	struct ring_store *rings;
	struct sandbox *sandbox;
	char *state;
	bool outgrown;
};

struct confinement *confinement_new(const struct settings *settings, struct ring_store *rings)
{
	struct confinement *confinement = xcalloc(1, sizeof(*confinement));
	confinement->settings = settings;
	confinement->rings = rings;
	return confinement;
}

void confinement_free(struct confinement *confinement)
{
	if (!confinement)
		return;
	backend_set_gate(NULL, NULL);
	sandbox_free(confinement->sandbox);
	free(confinement->state);
	free(confinement);
}

/* ---- devices ---- */

bool is_mount_point(const char *path)
{
	struct stat self, parent;
	_cleanup_free_ char *above = xasprintf("%s/..", path);
	return stat(path, &self) == 0 && stat(above, &parent) == 0 && self.st_dev != parent.st_dev;
}

/* Not one that waits for its disk: the directory below a mount point is best root's. */
static bool is_device(const struct settings *settings, const char *path)
{
	_cleanup_free_ char *marker = xasprintf("%s/swiftlet.device", path);
	return !settings->swiftlet.mount_check || is_mount_point(path) || access(marker, F_OK) == 0;
}

/* One device that is not ours to use is out of service; when none of them is, the mistake is another one. */
static int check_privileges(const struct confinement *confinement, const char *names[], size_t count, char **ret_error)
{
	size_t refused = 0, usable = 0;
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", confinement->settings->swiftlet.devices, names[i]);
		char *why = NULL;
		if (!is_device(confinement->settings, path))
			continue;
		if (privileges_check_device(path, &why) == 0) {
			usable++;
			continue;
		}
		log_error("%s", why);
		free(*ret_error);
		*ret_error = why;
		refused++;
	}
	if (refused && !usable)
		return -EACCES;
	free(*ret_error);
	*ret_error = NULL;
	return 0;
}

/* ---- addresses ---- */

bool ring_has_address(struct ring *ring, const char *ip, int port)
{
	for (size_t i = 0; i < ring_device_count(ring); i++) {
		const struct ring_device *device = ring_device_at(ring, i);
		if (!device)
			continue;
		if ((device->port == port && strcmp(device->ip, ip) == 0) ||
			(device->replication_port == port && strcmp(device->replication_ip, ip) == 0))
			return true;
	}
	return false;
}

struct address {
	const char *ip;
	int port;
};

/* Whether `test` says so of any ring that the process uses. */
static bool any_ring(struct confinement *confinement,
	bool (*test)(struct confinement *confinement, struct ring *ring, const struct address *address),
	const struct address *address)
{
	const struct settings *settings = confinement->settings;
	bool found = false;
	for (enum ring_kind kind = RING_ACCOUNT; kind <= RING_OBJECT && !found; kind++) {
		for (size_t i = 0; i < (kind == RING_OBJECT ? settings->policy_count : 1) && !found; i++) {
			struct ring *ring = ring_store_get(confinement->rings, kind, settings->policies[i].index);
			if (!ring)
				continue;
			found = test(confinement, ring, address);
			ring_unref(ring);
		}
	}
	return found;
}

static bool names_address(struct confinement *confinement, struct ring *ring, const struct address *address)
{
	(void)confinement;
	return ring_has_address(ring, address->ip, address->port);
}

/* The kernel knows ports alone; addresses are ours to check. */
static bool may_connect(void *context, const char *ip, int port)
{
	return any_ring(context, names_address, &(struct address){ip, port});
}

static bool allow_ports(struct confinement *confinement, struct ring *ring, const struct address *address)
{
	(void)address;
	for (size_t i = 0; i < ring_device_count(ring); i++) {
		const struct ring_device *device = ring_device_at(ring, i);
		if (!device)
			continue;
		sandbox_allow_connect(confinement->sandbox, device->port);
		sandbox_allow_connect(confinement->sandbox, device->replication_port);
	}
	return false;
}

static bool names_closed_port(struct confinement *confinement, struct ring *ring, const struct address *address)
{
	(void)address;
	for (size_t i = 0; i < ring_device_count(ring); i++) {
		const struct ring_device *device = ring_device_at(ring, i);
		if (!device || sandbox_may_connect(confinement->sandbox, device->port))
			continue;
		log_warning("the rings name port %d, which the sandbox was made without: it stays closed until this "
			    "process is started again",
			device->port);
		return true;
	}
	return false;
}

/* ---- files ---- */

/*
 * A rule on a directory does not hold for what is mounted on it later, so devices that are mount points, or may become
 * some, need one on the folder above. A plain directory with our marker never becomes another one.
 */
static bool needs_whole_folder(const struct settings *settings, const char *names[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", settings->swiftlet.devices, names[i]);
		_cleanup_free_ char *marker = xasprintf("%s/swiftlet.device", path);
		struct stat status;
		if (stat(marker, &status) || is_mount_point(path))
			return true;
	}
	return !settings->swiftlet.mount_check;
}

/* Each device, wherever a link may lead, and the folder of all where disks come and go. */
static void allow_devices(struct confinement *confinement, const char *names[], size_t count)
{
	const struct settings *settings = confinement->settings;
	if (needs_whole_folder(settings, names, count))
		sandbox_allow_write(confinement->sandbox, settings->swiftlet.devices);
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", settings->swiftlet.devices, names[i]);
		sandbox_allow_write(confinement->sandbox, path);
	}
}

/* Files are replaced by putting others in their place, or by turning a link to them. */
static void allow_file(struct confinement *confinement, const char *path)
{
	_cleanup_free_ char *target = path[0] ? realpath(path, NULL) : NULL;
	sandbox_allow_read_beside(confinement->sandbox, path);
	sandbox_allow_read_beside(confinement->sandbox, target ? target : "");
}

static void allow_files(struct confinement *confinement, const struct text_list *paths)
{
	for (size_t i = 0; i < paths->count; i++)
		allow_file(confinement, paths->items[i]);
}

static void allow_rings(struct confinement *confinement)
{
	const struct settings *settings = confinement->settings;
	static const char *const names[] = {"account", "container", "object"};
	sandbox_allow_read(confinement->sandbox, settings->swiftlet.rings);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s.ring.gz", settings->swiftlet.rings, names[i]);
		allow_file(confinement, path);
	}
	for (size_t i = 0; i < settings->policy_count; i++) {
		_cleanup_free_ char *path =
			xasprintf("%s/object-%d.ring.gz", settings->swiftlet.rings, settings->policies[i].index);
		allow_file(confinement, path);
	}
}

/* Names of customers' hosts are asked of the resolver's servers, or of those that were configured. */
static void allow_resolver(struct confinement *confinement)
{
	static const char resolver[] = "/etc/resolv.conf";
	const struct text_list *servers = &confinement->settings->cname_lookup.nameservers;
	if (!confinement->settings->cname_lookup.storage_domain.count)
		return;
	_cleanup_free_ char *target = realpath(resolver, NULL);
	sandbox_allow_read(confinement->sandbox, resolver);
	if (target && strcmp(target, resolver) != 0)
		sandbox_allow_read_beside(confinement->sandbox, target);
	sandbox_allow_connect(confinement->sandbox, DNS_PORT);
	for (size_t i = 0; i < servers->count; i++) {
		char ip[46];
		int port;
		if (socket_address_parse(servers->items[i], ip, &port) == 0)
			sandbox_allow_connect(confinement->sandbox, port);
	}
}

/* ---- all of it ---- */

int confinement_enter(struct confinement *confinement, const char *names[], size_t count, char **ret_error)
{
	int denied = check_privileges(confinement, names, count, ret_error);
	if (denied)
		return denied;
	const struct settings *settings = confinement->settings;
	enum sandbox_mode mode = SANDBOX_ON;
	(void)sandbox_mode_parse(settings->swiftlet.sandbox, &mode);
	confinement->sandbox = sandbox_new();
	if (count)
		allow_devices(confinement, names, count);
	allow_rings(confinement);
	/* what /metrics and /recon tell of the machine */
	sandbox_allow_read(confinement->sandbox, "/proc/loadavg");
	sandbox_allow_read(confinement->sandbox, "/proc/meminfo");
	sandbox_allow_read(confinement->sandbox, "/proc/stat");
	allow_file(confinement, settings->auth.token_keys);
	allow_file(confinement, settings->proxy.disable_path);
	allow_files(confinement, &settings->proxy.tls_certificate);
	allow_files(confinement, &settings->proxy.tls_key);
	allow_resolver(confinement);
	(void)any_ring(confinement, allow_ports, NULL);
	backend_set_gate(may_connect, confinement);
	int error = sandbox_enter(confinement->sandbox, mode, &confinement->state);
	if (error)
		*ret_error = xasprintf("cannot enter the sandbox ([swiftlet] sandbox): %s", strerror(-error));
	return error;
}

const char *confinement_state(const struct confinement *confinement)
{
	return confinement->state;
}

void confinement_review(struct confinement *confinement)
{
	if (!confinement->outgrown)
		confinement->outgrown = any_ring(confinement, names_closed_port, NULL);
}

bool confinement_outgrown(const struct confinement *confinement)
{
	return confinement->outgrown;
}
