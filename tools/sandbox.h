/*
 * The walls around a serving process, put up by itself once it knows what it needs: no new privileges, no core dumps
 * and no debuggers, Landlock for files and TCP ports, seccomp for system calls. What the kernel lacks is left out and
 * said in the text that sandbox_enter() gives.
 *
 *	struct sandbox *sandbox = sandbox_new();
 *	sandbox_allow_write(sandbox, "/srv/node");
 *	sandbox_allow_connect(sandbox, 6201);
 *	error = sandbox_enter(sandbox, SANDBOX_ON, &state);
 *
 * Landlock confines the calling thread and what it creates from then on: sandbox_enter() belongs before the first
 * thread. Nothing can be allowed afterwards; rules on folders also hold for what is put there later, but not for what
 * is mounted there later: for that the rule must be on a folder above the mount point.
 */
#ifndef TOOLS_SANDBOX_H
#define TOOLS_SANDBOX_H

#include <stdbool.h>

struct sandbox;

enum sandbox_mode {
	SANDBOX_ON,
	SANDBOX_LOG, /* nothing is refused; the kernel's log names system calls that would have been */
	SANDBOX_OFF,
};

/* Parses "on", "log", "off". -EINVAL for other texts. */
int sandbox_mode_parse(const char *text, enum sandbox_mode *ret_mode);

/* Starts with what the libraries below us read: time zone, random numbers, /proc/self, /sys/devices. */
struct sandbox *sandbox_new(void);
/* Frees the lists. What was entered stays. NULL is accepted. */
void sandbox_free(struct sandbox *sandbox);

/* A file, or a folder with everything below it; one that is not there is left out. The text is copied. */
void sandbox_allow_read(struct sandbox *sandbox, const char *path);
/* The same for reading, writing, making and removing. */
void sandbox_allow_write(struct sandbox *sandbox, const char *path);
/* The folder that the file is in, for files that are replaced by rename. "" is nothing. */
void sandbox_allow_read_beside(struct sandbox *sandbox, const char *path);
/* TCP to this port of any address. */
void sandbox_allow_connect(struct sandbox *sandbox, int port);

/* Whether a connection to the port is possible: allowed, or nothing keeps it from happening. */
bool sandbox_may_connect(const struct sandbox *sandbox, int port);

/*
 * Applies it all to this process. *ret_state becomes a malloc'ed line for the log, such as "Landlock ABI 7 (files, TCP
 * ports), seccomp". Returns 0, also when the kernel has nothing of it; or -errno when it has it and fails.
 *
 * From then on a system call that a server has no use for answers EPERM and is logged once, so that one that was
 * forgotten is not an outage; those that only an attacker has a use for (execve, ptrace, mount …) end the process.
 */
int sandbox_enter(struct sandbox *sandbox, enum sandbox_mode mode, char **ret_state);

#endif
