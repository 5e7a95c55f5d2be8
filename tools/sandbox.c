#include "tools/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "tools/sandbox_calls.h"

enum { PORT_COUNT = 65536 };

struct rule {
	char *path;
	uint64_t access;
};

struct sandbox {
	struct rule *rules;
	size_t rule_count;
	unsigned char ports[PORT_COUNT / 8];
	bool ports_closed; /* the kernel refuses all others */
};

/*
 * Debian 12's headers end before the newer ABIs of the kernel, whose numbers never change:
 * Documentation/userspace-api/landlock.rst.
 */
enum {
	FS_REFER = 1 << 13,    /* ABI 2 */
	FS_TRUNCATE = 1 << 14, /* ABI 3 */
	FS_IOCTL_DEV = 1 << 15 /* ABI 5 */,
	NET_BIND_TCP = 1 << 0,        /* ABI 4 */
	NET_CONNECT_TCP = 1 << 1,     /* ABI 4 */
	SCOPE_ABSTRACT_UNIX = 1 << 0, /* ABI 6 */
	SCOPE_SIGNAL = 1 << 1,        /* ABI 6 */
	RULE_NET_PORT = 2,
	ABI_FILES = 2, /* the first one with which files can be renamed into other folders, which devices need */
	ABI_TRUNCATE = 3,
	ABI_PORTS = 4,
	ABI_IOCTL = 5,
	ABI_SCOPES = 6,
};

struct ruleset_attributes {
	uint64_t access_files;
	uint64_t access_ports;
	uint64_t scopes;
};

struct port_attributes {
	uint64_t access;
	uint64_t port;
};

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE                                                                                                   \
	(ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                                 \
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |           \
		FS_REFER | FS_TRUNCATE)
#define ACCESS_OF_A_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
/* All that the ABIs up to ABI_FILES know: from EXECUTE to REFER. */
#define ACCESS_HANDLED ((FS_REFER << 1) - 1)

/* What C library, RocksDB and OpenSSL look at by themselves. */
static const char *const library_files[] = {
	"/dev/urandom",
	"/dev/null",
	"/etc/localtime",
	"/etc/ssl/openssl.cnf",
	"/proc/self",
	"/proc/sys/kernel/random",
	"/proc/sys/vm/overcommit_memory",
	"/sys/devices",
	"/usr/share/zoneinfo",
};

int sandbox_mode_parse(const char *text, enum sandbox_mode *ret_mode)
{
	static const char *const names[] = {[SANDBOX_ON] = "on", [SANDBOX_LOG] = "log", [SANDBOX_OFF] = "off"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret_mode = (enum sandbox_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

static void add_rule(struct sandbox *sandbox, const char *path, uint64_t access)
{
	sandbox->rules = xrealloc(sandbox->rules, (sandbox->rule_count + 1) * sizeof(*sandbox->rules));
	sandbox->rules[sandbox->rule_count++] = (struct rule){xstrdup(path), access};
}

struct sandbox *sandbox_new(void)
{
	struct sandbox *sandbox = xcalloc(1, sizeof(*sandbox));
	for (size_t i = 0; i < sizeof(library_files) / sizeof(library_files[0]); i++)
		sandbox_allow_read(sandbox, library_files[i]);
	/* the names of threads */
	add_rule(sandbox, "/proc/self/task", LANDLOCK_ACCESS_FS_WRITE_FILE);
	return sandbox;
}

void sandbox_free(struct sandbox *sandbox)
{
	if (!sandbox)
		return;
	for (size_t i = 0; i < sandbox->rule_count; i++)
		free(sandbox->rules[i].path);
	free(sandbox->rules);
	free(sandbox);
}

void sandbox_allow_read(struct sandbox *sandbox, const char *path)
{
	add_rule(sandbox, path, ACCESS_READ);
}

void sandbox_allow_write(struct sandbox *sandbox, const char *path)
{
	add_rule(sandbox, path, ACCESS_WRITE);
}

void sandbox_allow_read_beside(struct sandbox *sandbox, const char *path)
{
	if (!path[0])
		return;
	_cleanup_free_ char *folder = xstrdup(path);
	char *slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	sandbox_allow_read(sandbox, slash ? folder : ".");
}

void sandbox_allow_connect(struct sandbox *sandbox, int port)
{
	if (port > 0 && port < PORT_COUNT)
		sandbox->ports[port / 8] |= (unsigned char)(1 << port % 8);
}

static bool port_allowed(const struct sandbox *sandbox, int port)
{
	return port > 0 && port < PORT_COUNT && (sandbox->ports[port / 8] & 1 << port % 8);
}

bool sandbox_may_connect(const struct sandbox *sandbox, int port)
{
	return !sandbox->ports_closed || port_allowed(sandbox, port);
}

/* ---- Landlock ---- */

static int add_path(int ruleset, const struct rule *rule, uint64_t handled)
{
	int fd = open(rule->path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == EACCES ? 0 : -errno;
	struct stat status;
	int error = fstat(fd, &status) ? -errno : 0;
	struct landlock_path_beneath_attr attributes = {.parent_fd = fd};
	attributes.allowed_access = rule->access & handled;
	if (!error && !S_ISDIR(status.st_mode))
		attributes.allowed_access &= ACCESS_OF_A_FILE;
	if (!error && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attributes, 0))
		error = -errno;
	close(fd);
	return error;
}

static int add_ports(int ruleset, const struct sandbox *sandbox)
{
	for (int port = 1; port < PORT_COUNT; port++) {
		struct port_attributes attributes = {.access = NET_CONNECT_TCP, .port = (uint64_t)port};
		if (port_allowed(sandbox, port) &&
			syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &attributes, 0))
			return -errno;
	}
	return 0;
}

/* Rules for all that this ABI can refuse; no port may be bound, as listeners are there already. */
static int restrict_with(struct sandbox *sandbox, int abi)
{
	struct ruleset_attributes attributes = {.access_files = ACCESS_HANDLED};
	attributes.access_files |= abi >= ABI_TRUNCATE ? FS_TRUNCATE : 0;
	attributes.access_files |= abi >= ABI_IOCTL ? FS_IOCTL_DEV : 0;
	attributes.access_ports = abi >= ABI_PORTS ? NET_BIND_TCP | NET_CONNECT_TCP : 0;
	attributes.scopes = abi >= ABI_SCOPES ? SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL : 0;
	size_t bytes = (abi >= ABI_SCOPES ? 3 : abi >= ABI_PORTS ? 2 : 1) * sizeof(uint64_t);
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, bytes, 0);
	if (ruleset < 0)
		return -errno;
	int error = 0;
	for (size_t i = 0; i < sandbox->rule_count && !error; i++)
		error = add_path(ruleset, &sandbox->rules[i], attributes.access_files);
	if (!error && abi >= ABI_PORTS)
		error = add_ports(ruleset, sandbox);
	if (!error && syscall(SYS_landlock_restrict_self, ruleset, 0))
		error = -errno;
	close(ruleset);
	sandbox->ports_closed = !error && abi >= ABI_PORTS;
	return error;
}

/* Newer ABIs than we know only add what can be refused besides. */
static int confine_files(struct sandbox *sandbox, char **ret_state)
{
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < ABI_FILES) {
		*ret_state = xasprintf("no Landlock in this kernel");
		return 0;
	}
	*ret_state = xasprintf("Landlock ABI %d (files%s)", abi, abi >= ABI_PORTS ? ", TCP ports" : "");
	return restrict_with(sandbox, abi);
}

/* ---- all of it ---- */

/* The run-time libraries of gcc's sanitizers make calls and open files that a server has no use for. */
#if defined(SWIFTLET_SANITIZER_address) || defined(SWIFTLET_SANITIZER_thread)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

int sandbox_enter(struct sandbox *sandbox, enum sandbox_mode mode, char **ret_state)
{
	if (mode == SANDBOX_OFF || sanitized) {
		*ret_state = xasprintf(sanitized ? "off in a build with sanitizers" : "off");
		return 0;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	_cleanup_free_ char *files = NULL;
	int error = 0;
	if (mode == SANDBOX_ON)
		error = confine_files(sandbox, &files);
	if (error)
		return error;
	error = sandbox_filter_calls(mode);
	if (error && error != -ENOSYS)
		return error;
	*ret_state = xasprintf("%s%s%s", files ? files : "only the kernel's log",
		error ? ", no seccomp in this kernel" : ", seccomp", mode == SANDBOX_LOG ? " (log)" : "");
	return 0;
}
