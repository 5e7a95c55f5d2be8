/* The list of system calls of a serving process, as a seccomp filter. For tools/sandbox.h only. */
#ifndef TOOLS_SANDBOX_CALLS_H
#define TOOLS_SANDBOX_CALLS_H

#include "tools/sandbox.h"

/*
 * Filters the system calls of all threads of the process, after PR_SET_NO_NEW_PRIVS. Returns 0, -ENOSYS when the kernel
 * has no seccomp filters, or another -errno.
 */
int sandbox_filter_calls(enum sandbox_mode mode);

#endif
