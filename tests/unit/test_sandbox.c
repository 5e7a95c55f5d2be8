/* Each case in a process of its own, as what was entered never ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/memory.h"
#include "tools/sandbox.h"

/* Sanitizers' run-time libraries do not fit into the sandbox, which such builds leave out. */
#if defined(SWIFTLET_SANITIZER_address) || defined(SWIFTLET_SANITIZER_thread)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

struct place {
	char folder[64];
	char device[96];
	char outside[96];
	int allowed_port;
	int closed_port;
};

static int make_listener(int *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static int setup(void **state)
{
	struct place *place = xcalloc(1, sizeof(*place));
	(void)snprintf(place->folder, sizeof(place->folder), "/tmp/swiftlet-sandbox-XXXXXX");
	assert_non_null(mkdtemp(place->folder));
	(void)snprintf(place->device, sizeof(place->device), "%s/d1", place->folder);
	(void)snprintf(place->outside, sizeof(place->outside), "%s/outside", place->folder);
	assert_int_equal(mkdir(place->device, 0700), 0);
	int fd = open(place->outside, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	(void)make_listener(&place->allowed_port);
	(void)make_listener(&place->closed_port);
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *command = xasprintf("rm -rf %s", place->folder);
	int status = system(command);
	free(place);
	return status;
}

/* The wait status of a child that went into the sandbox and then did `act`. */
static int in_sandbox(struct place *place, int (*act)(struct place *place))
{
	(void)fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char *line = NULL;
		struct sandbox *sandbox = sandbox_new();
		sandbox_allow_write(sandbox, place->device);
		sandbox_allow_connect(sandbox, place->allowed_port);
		if (sandbox_enter(sandbox, SANDBOX_ON, &line))
			_exit(100);
		_exit(act(place));
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* These answer the errno, 0 for success, as the exit code of a child. */

static int answer(long result)
{
	return result < 0 ? errno : 0;
}

static int act_open_shadow(struct place *place)
{
	(void)place;
	return answer(open("/etc/shadow", O_RDONLY | O_CLOEXEC));
}

static int act_read_outside(struct place *place)
{
	return answer(open(place->outside, O_RDONLY | O_CLOEXEC));
}

static int act_truncate_outside(struct place *place)
{
	return answer(truncate(place->outside, 0));
}

static int act_list_outside(struct place *place)
{
	return answer(open(place->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int act_make_outside(struct place *place)
{
	_cleanup_free_ char *path = xasprintf("%s/new", place->folder);
	return answer(mkdir(path, 0700));
}

static int act_move_out(struct place *place)
{
	_cleanup_free_ char *from = xasprintf("%s/file", place->device);
	_cleanup_free_ char *to = xasprintf("%s/file", place->folder);
	int fd = open(from, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	return fd < 0 ? 101 : answer(rename(from, to));
}

static int act_use_device(struct place *place)
{
	_cleanup_free_ char *first = xasprintf("%s/a", place->device);
	_cleanup_free_ char *second = xasprintf("%s/b", place->device);
	_cleanup_free_ char *from = xasprintf("%s/body", first);
	_cleanup_free_ char *to = xasprintf("%s/body", second);
	if (mkdir(first, 0700) || mkdir(second, 0700))
		return errno;
	int fd = open(from, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || fdatasync(fd) || rename(from, to) || ftruncate(fd, 0))
		return errno;
	return answer(unlink(to));
}

static int connect_to(int port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? 102 : answer(connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int act_connect_allowed(struct place *place)
{
	return connect_to(place->allowed_port);
}

static int act_connect_closed(struct place *place)
{
	return connect_to(place->closed_port);
}

static int act_bind(struct place *place)
{
	(void)place;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? 102 : answer(bind(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int act_raw_socket(struct place *place)
{
	(void)place;
	return answer(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int act_kill_parent(struct place *place)
{
	(void)place;
	return answer(kill(getppid(), SIGCONT));
}

static int act_code_in_memory(struct place *place)
{
	(void)place;
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? errno : 0;
}

static int act_unknown_call(struct place *place)
{
	(void)place;
	return answer(syscall(1000));
}

static void *thread_open(void *argument)
{
	static int result;
	result = act_read_outside(argument);
	return &result;
}

static int act_in_new_thread(struct place *place)
{
	pthread_t thread;
	void *result;
	if (pthread_create(&thread, NULL, thread_open, place) || pthread_join(thread, &result))
		return 103;
	return *(int *)result;
}

static int act_execute(struct place *place)
{
	(void)place;
	return answer(execl("/bin/true", "true", (char *)NULL));
}

static int act_fork(struct place *place)
{
	(void)place;
	return answer(fork());
}

static int act_trace(struct place *place)
{
	(void)place;
	return answer(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int act_mount(struct place *place)
{
	return answer(syscall(SYS_mount, "none", place->device, "tmpfs", 0, NULL));
}

static int act_keys(struct place *place)
{
	(void)place;
	return answer(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int act_bpf(struct place *place)
{
	(void)place;
	return answer(syscall(SYS_bpf, 0, NULL, 0));
}

static void test_answers(void **state)
{
	static const struct {
		const char *name;
		int (*act)(struct place *place);
		int expected;
	} cases[] = {
		{"open /etc/shadow", act_open_shadow, EACCES},
		{"read a file outside", act_read_outside, EACCES},
		{"truncate a file outside", act_truncate_outside, EACCES},
		{"list a folder outside", act_list_outside, EACCES},
		{"make a folder outside", act_make_outside, EACCES},
		{"move a file out", act_move_out, EACCES},
		{"use the device", act_use_device, 0},
		{"connect to an allowed port", act_connect_allowed, 0},
		{"connect to another port", act_connect_closed, EACCES},
		{"bind", act_bind, EPERM},
		{"raw socket", act_raw_socket, EPERM},
		{"signal the parent", act_kill_parent, EPERM},
		{"memory to run", act_code_in_memory, EPERM},
		{"a call too new", act_unknown_call, ENOSYS},
		{"a new thread is inside, too", act_in_new_thread, EACCES},
		{"fork", act_fork, EPERM},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) && !sanitized; i++) {
		int status = in_sandbox(*state, cases[i].act);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != cases[i].expected)
			fail_msg("%s: status %#x, not errno %d", cases[i].name, (unsigned)status, cases[i].expected);
	}
}

static void test_deadly_calls(void **state)
{
	static const struct {
		const char *name;
		int (*act)(struct place *place);
	} cases[] = {
		{"execve", act_execute},
		{"ptrace", act_trace},
		{"mount", act_mount},
		{"keyctl", act_keys},
		{"bpf", act_bpf},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) && !sanitized; i++) {
		int status = in_sandbox(*state, cases[i].act);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: status %#x, not killed", cases[i].name, (unsigned)status);
	}
}

/* ---- modes ---- */

static int enter(enum sandbox_mode mode, const char *expected)
{
	char *line = NULL;
	struct sandbox *sandbox = sandbox_new();
	if (sandbox_enter(sandbox, mode, &line))
		return 100;
	bool same = strcmp(line, expected) == 0;
	bool free_to_connect = sandbox_may_connect(sandbox, 1);
	sandbox_free(sandbox);
	free(line);
	return same && free_to_connect ? 0 : 101;
}

static void test_modes(void **state)
{
	(void)state;
	static const struct {
		enum sandbox_mode mode;
		const char *state;
	} cases[] = {{SANDBOX_OFF, "off"}, {SANDBOX_LOG, "only the kernel's log, seccomp (log)"}};
	for (size_t i = 0; i < 2 && !sanitized; i++) {
		(void)fflush(NULL);
		pid_t child = fork();
		if (child == 0) {
			int code = enter(cases[i].mode, cases[i].state);
			/* nothing is refused in either */
			_exit(code ? code : open("/etc/shadow", O_RDONLY | O_CLOEXEC) < 0 && errno == EPERM);
		}
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

static void test_mode_words(void **state)
{
	(void)state;
	enum sandbox_mode mode;
	assert_int_equal(sandbox_mode_parse("on", &mode), 0);
	assert_int_equal(mode, SANDBOX_ON);
	assert_int_equal(sandbox_mode_parse("log", &mode), 0);
	assert_int_equal(mode, SANDBOX_LOG);
	assert_int_equal(sandbox_mode_parse("off", &mode), 0);
	assert_int_equal(mode, SANDBOX_OFF);
	assert_int_equal(sandbox_mode_parse("ON", &mode), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadly_calls, setup, teardown),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_mode_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
