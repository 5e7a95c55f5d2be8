/*
 * Telling systemd how we are: sd_notify(3) without its library. The socket that NOTIFY_SOCKET names is opened once, so
 * that a process in a sandbox can still reach it; nothing is said where there is none.
 */
#ifndef TOOLS_NOTIFY_H
#define TOOLS_NOTIFY_H

/* Before the first fork and before the sandbox. */
void notify_init(void);

/* One or more lines such as "READY=1"; never waits. From any thread. */
void notify_send(const char *lines);

/* RELOADING=1, which carries the time; READY=1 follows when it is done. */
void notify_reloading(void);

#endif
