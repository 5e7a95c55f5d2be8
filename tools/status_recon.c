#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/base/recon.h"
#include "tools/status_private.h"
#include "tools/version.h"

/* As swift-recon looks it up, wherever the file is (swift/common/utils.py, SWIFT_CONF_FILE). */
#define SWIFT_CONF_NAME "/etc/swift/swift.conf"

enum { LINE_BYTES = 1024 };

/* ---- /proc ---- */

static FILE *open_file(const char *path)
{
	return fopen(path, "re");
}

static json_t *get_load(void)
{
	FILE *file = open_file("/proc/loadavg");
	double load[3];
	char tasks[32];
	int process = 0;
	json_t *result = NULL;
	if (file && fscanf(file, "%lf %lf %lf %31s %d", &load[0], &load[1], &load[2], tasks, &process) == 5)
		result = json_pack("{s:f, s:f, s:f, s:s, s:i}", "1m", load[0], "5m", load[1], "15m", load[2], "tasks",
			tasks, "processes", process);
	if (file)
		(void)fclose(file);
	return result;
}

/* Blanks around, and the line's end. */
static char *trim(char *text)
{
	text += strspn(text, " \t");
	size_t length = strlen(text);
	while (length && strchr(" \t\n", text[length - 1]))
		text[--length] = '\0';
	return text;
}

static json_t *get_mem(void)
{
	FILE *file = open_file("/proc/meminfo");
	char line[LINE_BYTES];
	json_t *result = json_object();
	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = '\0';
		json_object_set_new(result, line, json_string(trim(colon + 1)));
	}
	if (file)
		(void)fclose(file);
	return result;
}

static json_t *get_mounted(void)
{
	FILE *file = open_file("/proc/mounts");
	char line[LINE_BYTES * 4 - 64];
	json_t *result = json_array();
	while (file && fgets(line, sizeof(line), file)) {
		char *rest = line;
		const char *device = strsep(&rest, " ");
		const char *path = strsep(&rest, " ");
		json_t *mount = path ? json_pack("{s:s, s:s}", "device", device, "path", path) : NULL;
		if (mount)
			json_array_append_new(result, mount);
	}
	if (file)
		(void)fclose(file);
	return result;
}

/* The number behind `word` in a line of "word number word number …". */
static long number_after(const char *line, const char *word)
{
	const char *at = strstr(line, word);
	return at ? strtol(at + strlen(word), NULL, 10) : 0;
}

static void add_sockets(json_t *result, const char *path)
{
	FILE *file = open_file(path);
	char line[LINE_BYTES];
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "TCP: inuse", 10) == 0) {
			json_object_set_new(result, "tcp_in_use", json_integer(number_after(line, " inuse ")));
			json_object_set_new(result, "orphan", json_integer(number_after(line, " orphan ")));
			json_object_set_new(result, "time_wait", json_integer(number_after(line, " tw ")));
			json_object_set_new(result, "tcp_mem_allocated_bytes",
				json_integer(number_after(line, " mem ") * sysconf(_SC_PAGESIZE)));
		} else if (strncmp(line, "TCP6: inuse", 11) == 0) {
			json_object_set_new(result, "tcp6_in_use", json_integer(number_after(line, " inuse ")));
		}
	}
	if (file)
		(void)fclose(file);
}

static json_t *get_sockstat(void)
{
	json_t *result = json_object();
	add_sockets(result, "/proc/net/sockstat");
	add_sockets(result, "/proc/net/sockstat6");
	return result;
}

static json_t *get_time(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return json_real((double)now.tv_sec + (double)now.tv_nsec / 1e9);
}

/* ---- files ---- */

/* The MD5 of a file as text, or null. */
static json_t *md5_of(const char *path)
{
	FILE *file = open_file(path);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_MD *md5 = EVP_MD_fetch(NULL, "MD5", "-fips");
	char bytes[2048];
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[2 * EVP_MAX_MD_SIZE + 1] = "";
	unsigned length = 0;
	bool good = file && context && md5 && EVP_DigestInit_ex(context, md5, NULL);
	for (size_t count; good && (count = fread(bytes, 1, sizeof(bytes), file)) > 0;)
		good = EVP_DigestUpdate(context, bytes, count);
	good = good && !ferror(file) && EVP_DigestFinal_ex(context, digest, &length);
	for (unsigned i = 0; good && i < length; i++)
		(void)snprintf(text + (size_t)2 * i, 3, "%02x", digest[i]);
	if (file)
		(void)fclose(file);
	EVP_MD_CTX_free(context);
	EVP_MD_free(md5);
	return good ? json_string(text) : json_null();
}

static bool is_ring(const char *name)
{
	size_t length = strlen(name);
	bool kind = strcmp(name, "account.ring.gz") == 0 || strcmp(name, "container.ring.gz") == 0 ||
		    strncmp(name, "object.", 7) == 0 || strncmp(name, "object-", 7) == 0;
	return kind && length > 8 && strcmp(name + length - 8, ".ring.gz") == 0;
}

static json_t *get_ring_md5(const struct status *status)
{
	const char *folder_path = status->options.settings->swiftlet.rings;
	json_t *result = json_object();
	DIR *folder = opendir(folder_path);
	for (struct dirent *item; folder && (item = readdir(folder));) {
		if (!is_ring(item->d_name))
			continue;
		_cleanup_free_ char *path = xasprintf("%s/%s", folder_path, item->d_name);
		json_object_set_new(result, path, md5_of(path));
	}
	if (folder)
		(void)closedir(folder);
	return result;
}

/* Nothing here reads a swift.conf; where one lies beside the rings, swift-recon can compare it over the cluster. */
static json_t *get_swift_conf_md5(const struct status *status)
{
	_cleanup_free_ char *path = xasprintf("%s/swift.conf", status->options.settings->swiftlet.rings);
	json_t *result = json_object();
	json_object_set_new(result, SWIFT_CONF_NAME, md5_of(path));
	json_object_set_new(result, path, md5_of(path));
	return result;
}

/* ---- devices ---- */

static json_t *get_devices(const struct status *status)
{
	json_t *names = json_array();
	for (size_t i = 0; i < status_device_count(status); i++)
		json_array_append_new(names, json_string(device_entry_name(device_set_at(status->options.devices, i))));
	json_t *result = json_object();
	json_object_set_new(result, status->options.settings->swiftlet.devices, names);
	return result;
}

/* true, false for one that is not mounted, or what is wrong with it. */
static json_t *mounted_of(enum device_state state)
{
	if (state == DEVICE_FAILED)
		return json_string("the device failed: see the log");
	return json_boolean(state != DEVICE_UNMOUNTED);
}

static json_t *get_unmounted(const struct status *status)
{
	json_t *result = json_array();
	for (size_t i = 0; i < status_device_count(status); i++) {
		struct device_entry *entry = device_set_at(status->options.devices, i);
		enum device_state state = device_entry_state(entry);
		if (state == DEVICE_UNMOUNTED || state == DEVICE_FAILED)
			json_array_append_new(result, json_pack("{s:s, s:o}", "device", device_entry_name(entry),
							      "mounted", mounted_of(state)));
	}
	return result;
}

static json_t *usage_of(const struct status *status, size_t index)
{
	struct device_entry *entry = device_set_at(status->options.devices, index);
	enum device_state state = device_entry_state(entry);
	const char *name = device_entry_name(entry);
	struct device_figures figures;
	if (device_watch_get(status->watch, index, &figures))
		return json_pack("{s:s, s:b, s:I, s:I, s:I}", "device", name, "mounted", 1, "size",
			(json_int_t)figures.size_bytes, "used", (json_int_t)figures.used_bytes, "avail",
			(json_int_t)figures.available_bytes);
	bool silent = state == DEVICE_USABLE || state == DEVICE_FULL;
	return json_pack("{s:s, s:o, s:s, s:s, s:s}", "device", name, "mounted",
		silent ? json_string("the device does not answer") : mounted_of(state), "size", "", "used", "", "avail",
		"");
}

static json_t *get_diskusage(const struct status *status)
{
	json_t *result = json_array();
	for (size_t i = 0; i < status_device_count(status); i++)
		json_array_append_new(result, usage_of(status, i));
	return result;
}

/* Only objects are ever quarantined. The folder does not say of which policy, so with several there is no split. */
static json_t *get_quarantined(const struct status *status)
{
	const struct settings *settings = status->options.settings;
	uint64_t objects = 0;
	for (size_t i = 0; i < status_device_count(status); i++) {
		struct device_figures figures;
		if (device_watch_get(status->watch, i, &figures))
			objects += figures.quarantined;
	}
	json_t *policies = json_object();
	if (objects && settings->policy_count == 1) {
		char index[16];
		(void)snprintf(index, sizeof(index), "%d", settings->policies[0].index);
		json_object_set_new(policies, index, json_pack("{s:I}", "objects", (json_int_t)objects));
	}
	return json_pack("{s:I, s:i, s:i, s:o}", "objects", (json_int_t)objects, "containers", 0, "accounts", 0,
		"policies", policies);
}

/* ---- background work ---- */

static json_t *cached(const char *cache, const char *name)
{
	struct buf text = BUF_INIT;
	recon_get(cache, name, &text);
	json_t *value = json_loadb(text.data, text.length, JSON_DECODE_ANY, NULL);
	buf_release(&text);
	return value ? value : json_null();
}

/* Values of Swift's recon cache under their names. */
static json_t *get_cached(const char *cache, const char *const *names)
{
	json_t *result = json_object();
	for (; *names; names++)
		json_object_set_new(result, *names, cached(cache, *names));
	return result;
}

/* The sum over the devices' updaters; the oldest walk says how old it is. Null without one that has walked. */
static json_t *get_async(const struct status *status)
{
	uint64_t pending = 0;
	double oldest = 0;
	bool walked = false;
	for (size_t i = 0; i < status_device_count(status); i++) {
		struct status_updater updater;
		if (!status_updater_at(status, i, &updater) || updater.walk_seconds < 0)
			continue;
		pending += updater.pending;
		oldest = !walked || updater.walked_at < oldest ? updater.walked_at : oldest;
		walked = true;
	}
	return json_pack("{s:o, s:o}", "async_pending", walked ? json_integer((json_int_t)pending) : json_null(),
		"async_pending_last", walked ? json_real(oldest) : json_null());
}

/* Of the device whose walk took longest: they walk side by side. */
static json_t *object_sweep(const struct status *status)
{
	double longest = -1;
	for (size_t i = 0; i < status_device_count(status); i++) {
		struct status_updater updater;
		if (status_updater_at(status, i, &updater) && updater.walk_seconds > longest)
			longest = updater.walk_seconds;
	}
	return longest < 0 ? json_null() : json_real(longest);
}

static json_t *get_updater(const struct status *status, const char *type)
{
	if (strcmp(type, "object") == 0)
		return json_pack("{s:o}", "object_updater_sweep", object_sweep(status));
	static const char *const names[] = {"container_updater_sweep", NULL};
	return strcmp(type, "container") == 0 ? get_cached("container", names) : NULL;
}

static bool is_server(const char *type)
{
	return strcmp(type, "account") == 0 || strcmp(type, "container") == 0 || strcmp(type, "object") == 0;
}

static json_t *get_replication(const char *type)
{
	static const char *const listing[] = {"replication_time", "replication_stats", "replication_last", NULL};
	static const char *const object[] = {"replication_time", "replication_stats", "replication_last",
		"object_replication_time", "object_replication_last", NULL};
	if (!is_server(type))
		return NULL;
	return get_cached(type, strcmp(type, "object") == 0 ? object : listing);
}

static json_t *get_auditor(const char *type)
{
	static const char *const account[] = {"account_audits_passed", "account_auditor_pass_completed",
		"account_audits_since", "account_audits_failed", NULL};
	static const char *const container[] = {"container_audits_passed", "container_auditor_pass_completed",
		"container_audits_since", "container_audits_failed", NULL};
	static const char *const object[] = {"object_auditor_stats_ALL", "object_auditor_stats_ZBF", NULL};
	if (!is_server(type))
		return NULL;
	return get_cached(type, *type == 'a' ? account : *type == 'c' ? container : object);
}

/* What Swift's daemons leave in a cache, without more ado. */
static json_t *get_daemon(const char *check, const char *type)
{
	static const struct {
		const char *check;
		const char *type; /* NULL: any */
		const char *cache;
		const char *names[4];
	} daemons[] = {
		{"expirer", "object", "object", {"object_expiration_pass", "expired_last_pass"}},
		{"reconstruction", "object", "object", {"object_reconstruction_last", "object_reconstruction_time"}},
		{"sharding", NULL, "container", {"sharding_stats", "sharding_time", "sharding_last"}},
		{"relinker", NULL, "relinker", {"devices", "workers"}},
		{"driveaudit", NULL, "drive", {"drive_audit_errors"}},
	};
	for (size_t i = 0; i < sizeof(daemons) / sizeof(daemons[0]); i++) {
		bool fits = !daemons[i].type || strcmp(daemons[i].type, type) == 0;
		if (fits && strcmp(daemons[i].check, check) == 0)
			return get_cached(daemons[i].cache, daemons[i].names);
	}
	return NULL;
}

/* ---- the table ---- */

bool status_recon_needs_figures(const char *check)
{
	return strcmp(check, "diskusage") == 0 || strcmp(check, "quarantined") == 0;
}

static json_t *get_plain(const char *check)
{
	static const struct {
		const char *check;
		json_t *(*get)(void);
	} plain[] = {{"mem", get_mem}, {"load", get_load}, {"mounted", get_mounted}, {"sockstat", get_sockstat},
		{"time", get_time}};
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (strcmp(plain[i].check, check) == 0)
			return plain[i].get();
	return strcmp(check, "version") == 0 ? json_pack("{s:s}", "version", SWIFTLET_VERSION) : NULL;
}

static json_t *get_of_node(const struct status *status, const char *check)
{
	static const struct {
		const char *check;
		json_t *(*get)(const struct status *status);
	} of_node[] = {{"async", get_async}, {"devices", get_devices}, {"unmounted", get_unmounted},
		{"diskusage", get_diskusage}, {"ringmd5", get_ring_md5}, {"swiftconfmd5", get_swift_conf_md5},
		{"quarantined", get_quarantined}};
	for (size_t i = 0; i < sizeof(of_node) / sizeof(of_node[0]); i++)
		if (strcmp(of_node[i].check, check) == 0)
			return of_node[i].get(status);
	return NULL;
}

int status_recon(const struct status *status, const char *check, const char *type, struct buf *json)
{
	json_t *result = get_plain(check);
	if (!result)
		result = get_of_node(status, check);
	if (!result && strcmp(check, "replication") == 0)
		result = get_replication(type ? type : "object");
	if (!result && strcmp(check, "auditor") == 0)
		result = get_auditor(type ? type : "");
	if (!result && strcmp(check, "updater") == 0)
		result = get_updater(status, type ? type : "");
	if (!result)
		result = get_daemon(check, type ? type : "");
	if (!result)
		return -ENOENT;
	char *text = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(result);
	if (!text)
		return -EIO;
	buf_append_text(json, text);
	free(text);
	return 0;
}
