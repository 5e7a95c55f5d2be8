#include "tools/sandbox_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

/*
 * Found by running all tests with this filter, and by reading what the libraries may call besides: whatever belongs to
 * files of a device, memory, threads, time, and sockets that are there. By name, so that calls that the library or the
 * architecture does not know are left out.
 */
static const char *const allowed_calls[] = {
	/* waiting and clocks */
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_ctl",
	"epoll_create1",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	"eventfd2",
	"pipe2",
	"poll",
	"ppoll",
	"select",
	"pselect6",
	"clock_gettime",
	"clock_getres",
	"clock_nanosleep",
	"nanosleep",
	"gettimeofday",
	"time",
	/* sockets */
	"accept4",
	"connect",
	"recvfrom",
	"recvmsg",
	"recvmmsg",
	"sendto",
	"sendmsg",
	"sendmmsg",
	"setsockopt",
	"getsockopt",
	"getsockname",
	"getpeername",
	"shutdown",
	/* bytes of files */
	"read",
	"readv",
	"pread64",
	"preadv",
	"preadv2",
	"write",
	"writev",
	"pwrite64",
	"pwritev",
	"pwritev2",
	"lseek",
	"sendfile",
	"splice",
	"tee",
	"copy_file_range",
	"readahead",
	"fadvise64",
	"fallocate",
	"ftruncate",
	"truncate",
	"fsync",
	"fdatasync",
	"sync_file_range",
	"syncfs",
	"flock",
	/* names */
	"open",
	"openat",
	"openat2",
	"openat2",
	"close",
	"close_range",
	"dup",
	"dup2",
	"dup3",
	"fcntl",
	"stat",
	"fstat",
	"lstat",
	"newfstatat",
	"statx",
	"statfs",
	"fstatfs",
	"access",
	"faccessat",
	"faccessat2",
	"getdents64",
	"getcwd",
	"readlink",
	"readlinkat",
	"mkdir",
	"mkdirat",
	"rmdir",
	"rename",
	"renameat",
	"renameat2",
	"link",
	"linkat",
	"unlink",
	"unlinkat",
	"chmod",
	"fchmod",
	"fchmodat",
	"umask",
	"utimensat",
	"futimesat",
	"fgetxattr",
	"getxattr",
	"fsetxattr",
	"flistxattr",
	/* memory */
	"brk",
	"munmap",
	"mremap",
	"madvise",
	"mincore",
	"msync",
	"mlock",
	"munlock",
	"membarrier",
	"memfd_create",
	/* threads and the process itself */
	"futex",
	"futex_waitv",
	"futex_wake",
	"futex_wait",
	"set_robust_list",
	"get_robust_list",
	"rseq",
	"gettid",
	"getpid",
	"getppid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getresuid",
	"getresgid",
	"getgroups",
	"exit",
	"exit_group",
	"sched_yield",
	"sched_getaffinity",
	"sched_getparam",
	"sched_getscheduler",
	"getpriority",
	"setpriority",
	"ioprio_get",
	"ioprio_set",
	"getcpu",
	"getrandom",
	"getrusage",
	"getrlimit",
	"sysinfo",
	"times",
	"uname",
	"set_tid_address",
	"restart_syscall",
	/* signals */
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigpending",
	"rt_sigreturn",
	"rt_sigsuspend",
	"rt_sigtimedwait",
	"sigaltstack",
	"wait4",
	"waitid",
};

/* A server that asks for one of these is not itself any more. */
static const char *const deadly_calls[] = {
	"execve",
	"execveat",
	"fork",
	"vfork",
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"process_madvise",
	"kcmp",
	"pidfd_getfd",
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"init_module",
	"finit_module",
	"delete_module",
	"create_module",
	"kexec_load",
	"kexec_file_load",
	"reboot",
	"mount",
	"umount",
	"umount2",
	"move_mount",
	"fsopen",
	"fsconfig",
	"fsmount",
	"fspick",
	"open_tree",
	"mount_setattr",
	"pivot_root",
	"chroot",
	"swapon",
	"swapoff",
	"setns",
	"unshare",
	"keyctl",
	"add_key",
	"request_key",
	"iopl",
	"ioperm",
	"modify_ldt",
	"open_by_handle_at",
	"acct",
	"quotactl",
	"quotactl_fd",
	"nfsservctl",
	"syslog",
	"settimeofday",
	"clock_settime",
	"clock_adjtime",
	"adjtimex",
	"sethostname",
	"setdomainname",
	"personality",
	"lookup_dcookie",
	"uselib",
	"vhangup",
};

/* ---- what an allowed call may do ---- */

static int allow_call(scmp_filter_ctx filter, const char *name)
{
	int number = seccomp_syscall_resolve_name(name);
	return number < 0 ? 0 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

static int allow_if(scmp_filter_ctx filter, int number, struct scmp_arg_cmp condition)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1, condition);
}

/* Threads only. The flags of clone3 are out of a filter's sight: the C library falls back to clone. */
static int allow_threads(scmp_filter_ctx filter)
{
	int error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (!error)
		error = allow_if(filter, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	return error;
}

/* No memory becomes code. */
static int allow_memory(scmp_filter_ctx filter)
{
	int error = allow_if(filter, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!error)
		error = allow_if(filter, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return error;
}

static int allow_sockets(scmp_filter_ctx filter)
{
	static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
	int error = 0;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]) && !error; i++)
		error = allow_if(filter, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	return error;
}

/* abort() and a thread that tells the process to stop. */
static int allow_signals_to_itself(scmp_filter_ctx filter)
{
	scmp_datum_t self = (scmp_datum_t)getpid();
	int error = allow_if(filter, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, self));
	if (!error)
		error = allow_if(filter, SCMP_SYS(kill), SCMP_A0(SCMP_CMP_EQ, self));
	return error;
}

static int allow_odds(scmp_filter_ctx filter)
{
	enum { SET_VMA = 0x53564d41 }; /* PR_SET_VMA: newer C libraries name their memory */
	static const unsigned options[] = {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, SET_VMA};
	int error = 0;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]) && !error; i++)
		error = allow_if(filter, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, options[i]));
	/* asking for limits of its own, setting none of others */
	if (!error)
		error = allow_if(filter, SCMP_SYS(prlimit64), SCMP_A0(SCMP_CMP_EQ, 0));
	/* isatty(), bytes that wait, close-on-exec and the like: no terminal is ever pushed into */
	static const unsigned requests[] = {0x5401 /* TCGETS */, 0x541b /* FIONREAD */, 0x5421 /* FIONBIO */};
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]) && !error; i++)
		error = allow_if(filter, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, requests[i]));
	return error;
}

/* ---- a call that is not on the list ---- */

enum { CALLS_MAX = 1024, NAME_BYTES_MAX = 32 };
static char call_names[CALLS_MAX][NAME_BYTES_MAX];
static atomic_bool call_logged[CALLS_MAX];

static void name_calls(void)
{
	for (int i = 0; i < CALLS_MAX; i++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
		(void)snprintf(call_names[i], sizeof(call_names[i]), "%s", name ? name : "");
		free(name);
	}
}

static void set_result(void *context, long result)
{
	ucontext_t *machine = context;
#if defined(__x86_64__)
	machine->uc_mcontext.gregs[REG_RAX] = result;
#elif defined(__aarch64__)
	machine->uc_mcontext.regs[0] = (unsigned long long)result;
#else
	_Static_assert(!machine, "the register of a system call's result on this architecture");
#endif
}

static void append(char *line, size_t size, size_t *length, const char *text)
{
	while (*text && *length < size)
		line[(*length)++] = *text++;
}

/* In the thread that made the call, wherever it was: only what a signal handler may do. */
static void on_refused_call(int number, siginfo_t *info, void *context)
{
	(void)number;
	int kept_errno = errno;
	int call = info->si_syscall;
	bool known = call >= 0 && call < CALLS_MAX && call_names[call][0];
	if (known && !atomic_exchange(&call_logged[call], true)) {
		char line[160];
		size_t length = 0;
		append(line, sizeof(line), &length, "swiftlet error: sandbox: the system call ");
		append(line, sizeof(line), &length, call_names[call]);
		append(line, sizeof(line), &length, " was refused (EPERM); said once for each call\n");
		(void)!write(STDERR_FILENO, line, length);
	}
	errno = kept_errno;
	/* callers know what to do about a call that is too new */
	set_result(context, known ? -EPERM : -ENOSYS);
}

static int catch_refused_calls(void)
{
	name_calls();
	struct sigaction action = {.sa_sigaction = on_refused_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigemptyset(&action.sa_mask);
	return sigaction(SIGSYS, &action, NULL) ? -errno : 0;
}

/* ---- the filter ---- */

static int add_rules(scmp_filter_ctx filter, enum sandbox_mode mode)
{
	int error = 0;
	for (size_t i = 0; i < sizeof(allowed_calls) / sizeof(allowed_calls[0]) && !error; i++)
		error = allow_call(filter, allowed_calls[i]);
	for (size_t i = 0; mode == SANDBOX_ON && i < sizeof(deadly_calls) / sizeof(deadly_calls[0]) && !error; i++) {
		int number = seccomp_syscall_resolve_name(deadly_calls[i]);
		error = number < 0 ? 0 : seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, number, 0);
	}
	if (!error)
		error = allow_threads(filter);
	if (!error)
		error = allow_memory(filter);
	if (!error)
		error = allow_sockets(filter);
	if (!error)
		error = allow_signals_to_itself(filter);
	if (!error)
		error = allow_odds(filter);
	return error;
}

/* A binary tree keeps the price of a call low where the kernel does not remember the answers itself (before 5.11). */
static int tune(scmp_filter_ctx filter)
{
	enum { BINARY_TREE = 2 };
	int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, BINARY_TREE);
	if (!error)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	return error;
}

int sandbox_filter_calls(enum sandbox_mode mode)
{
	if (seccomp_api_get() < 2)
		return -ENOSYS;
	scmp_filter_ctx filter = seccomp_init(mode == SANDBOX_ON ? SCMP_ACT_TRAP : SCMP_ACT_LOG);
	if (!filter)
		return -ENOMEM;
	int error = tune(filter);
	if (!error)
		error = add_rules(filter, mode);
	if (!error && mode == SANDBOX_ON)
		error = catch_refused_calls();
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}
