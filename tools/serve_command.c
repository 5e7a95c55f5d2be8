#include "tools/serve_command.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/backend/backend.h"
#include "lib/backend/server_listing.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/settings.h"
#include "lib/base/statsd.h"
#include "lib/co/co.h"
#include "lib/http/access_log.h"
#include "lib/http/body.h"
#include "lib/http/server.h"
#include "proxy/proxy.h"
#include "tools/confinement.h"
#include "tools/doors.h"
#include "tools/idle.h"
#include "tools/listeners.h"
#include "tools/node.h"
#include "tools/notify.h"
#include "tools/privileges.h"

/*
 *	supervisor ──fork──► server: worker threads, each a loop with its own listeners, in a sandbox
 *	     │                  │
 *	     └── binds the addresses, gives up root, restarts the server when it dies by a signal or asks for it;
 *	         passes SIGTERM, SIGINT and SIGHUP on
 */

enum {
	REFRESH_MS = 5000,
	TRIM_MS = 2000,
	RATE_SLOW = 500, /* bytes a second, where http.rate_min is off */
	DRAIN_CHECK_MS = 20,
	RESTART_MS_FIRST = 500,
	RESTART_MS_MAX = 30000,
	AGAIN_MS_MAX = 10000,
	EXIT_USAGE = 2,
	EXIT_AGAIN = 75, /* of a server that is to be started again at once: EX_TEMPFAIL */
};

static const char help[] =
	"usage: swiftlet serve --config FILE\n"
	"\n"
	"Runs the servers (proxy, account, container, object) that FILE names under [swiftlet] roles, in the "
	"foreground.\n"
	"\n"
	"  -c, --config FILE   the configuration; `swiftlet config sample` prints one with every option explained\n"
	"  -n, --no-supervisor serve in this very process: no restart after a crash (for debuggers)\n"
	"  -h, --help          this text\n"
	"\n"
	"Signals: SIGTERM and SIGINT stop accepting, let the requests in flight end ([swiftlet] stop_timeout) and exit "
	"with 0;\n"
	"SIGHUP loads token keys, TLS certificates and rings again (certificates and rings that change are noticed "
	"within\n"
	"seconds anyway).\n"
	"Logs go to standard error, one line per event. Exit codes: 0 stopped, 1 cannot serve, 2 wrong options.\n";

/* ---- workers ---- */

struct worker {
	struct service *service;
	struct loop *loop;
	pthread_t thread;
	size_t index;
	struct http_server *servers[NODE_ROLE_COUNT];
	struct loop_message start;
	struct loop_message stop;
	atomic_bool stopping;
};

struct service {
	const struct settings *settings;
	struct node *node;
	struct worker workers[WORKERS_MAX];
	struct listeners listeners;
	atomic_bool reload;
	bool supervised;
	bool again; /* the supervisor is to start another server when this one has stopped */
};

static struct http_limits door_limits(const struct settings *settings)
{
	return (struct http_limits){
		.request_line_max = (size_t)settings->constraints.max_request_line,
		.header_line_max = (size_t)settings->constraints.max_header_size,
		.header_count_max = (size_t)constraints_header_count_max(&settings->constraints),
	};
}

/* Servers accept what a proxy adds to a client's request. */
static const struct http_limits backend_limits = {
	.request_line_max = 32768,
	.header_line_max = 32768,
	.header_count_max = 512,
};

static const struct http_door *door_of(const struct service *service, enum node_role role, size_t listener)
{
	if (role != NODE_PROXY)
		return NULL;
	const struct doors *doors = node_doors(service->node);
	return listener < service->listeners.tls_from ? &doors->plain : &doors->tls;
}

/* Storage servers call a proxy slow, too, whose client is; giving it up is the proxy's affair. */
static void set_rate(const struct settings *settings, bool door, struct http_server_options *options)
{
	uint64_t rate_min = (uint64_t)settings->http.rate_min;
	options->rate_min = rate_min ? rate_min : RATE_SLOW;
	options->rate_window_ms = door && rate_min ? options->client_timeout_ms : CO_FOREVER;
}

static void start_servers(struct worker *worker)
{
	struct service *service = worker->service;
	const struct settings *settings = service->settings;
	for (enum node_role role = NODE_PROXY; role < NODE_ROLE_COUNT; role++) {
		void *context;
		co_handler_function *handler = node_handler(service->node, role, &context);
		if (!handler)
			continue;
		bool door = role == NODE_PROXY;
		struct http_server_options options = {
			.handler = handler,
			.context = context,
			.role = (enum metric_role)role,
			.limits = door ? door_limits(settings) : backend_limits,
			.requests_max = (size_t)settings->swiftlet.requests_max,
			.slow_max = (size_t)settings->swiftlet.slow_max,
			.connections_max = (size_t)settings->swiftlet.connections_max,
			.buffer_bytes_max = (size_t)settings->swiftlet.buffer_max / service->listeners.worker_count,
			.head_timeout_ms = (uint64_t)settings->http.head_timeout_ms,
			.client_timeout_ms = (uint64_t)settings->http.client_timeout_ms,
			.keepalive_timeout_ms = (uint64_t)settings->http.keepalive_timeout_ms,
			.handshake_timeout_ms = (uint64_t)settings->proxy.handshake_timeout_ms,
			.refused = door ? proxy_refused : NULL,
		};
		set_rate(settings, door, &options);
		worker->servers[role] = http_server_new(&options);
		const struct listeners *listeners = &service->listeners;
		for (size_t i = 0; i < listeners->counts[role]; i++)
			(void)http_server_listen(worker->servers[role], listeners->fds[worker->index][role][i],
				door_of(service, role, i));
	}
}

/* Memory that was needed for a rush and is not any more. */
static void trim(struct worker *worker)
{
	loop_trim(worker->loop);
	block_pool_trim();
	server_listing_trim();
	if (worker->index == 0) {
		bool idle = process_is_idle();
		node_care(worker->service->node, idle);
		if (idle)
			heap_trim();
	}
}

/* At a time of its own, so that the nodes of a cluster do not all do it at once. */
static uint64_t time_to_start_again(void)
{
	unsigned random = 0;
	(void)!getrandom(&random, sizeof(random), 0);
	return deadline_after_ms(random % AGAIN_MS_MAX);
}

/* A ring names ports that the sandbox was made without: only a new process can have a wider one. */
static void start_again(struct service *service)
{
	log_info("stopping, to start again with a sandbox for the rings as they are now");
	service->again = true;
	(void)kill(getpid(), SIGTERM);
}

/* Background work and the regular look at rings and devices run on the first loop. */
static void co_housekeep(void *argument)
{
	struct worker *worker = argument;
	struct service *service = worker->service;
	uint64_t refresh_at = deadline_after_ms(REFRESH_MS);
	uint64_t trim_at = deadline_after_ms(TRIM_MS);
	uint64_t again_at = CO_FOREVER;
	while (!atomic_load(&worker->stopping)) {
		co_sleep_ms(200);
		if (loop_now_ms() >= trim_at) {
			trim(worker);
			trim_at = deadline_after_ms(TRIM_MS);
		}
		if (worker->index)
			continue;
		if (atomic_exchange(&service->reload, false)) {
			log_info("loading token keys and rings again");
			notify_reloading();
			node_reload(service->node);
			notify_send("READY=1");
		}
		if (loop_now_ms() >= refresh_at) {
			node_refresh(service->node);
			refresh_at = deadline_after_ms(REFRESH_MS);
		}
		if (again_at == CO_FOREVER && service->supervised &&
			confinement_outgrown(node_confinement(service->node)))
			again_at = time_to_start_again();
		if (loop_now_ms() >= again_at) {
			start_again(service);
			return;
		}
	}
}

static void on_start(struct loop_message *message)
{
	struct worker *worker = (struct worker *)((char *)message - offsetof(struct worker, start));
	start_servers(worker);
	if (worker->index == 0)
		node_start_background(worker->service->node);
	co_start(co_housekeep, worker);
}

static size_t open_connections(const struct worker *worker)
{
	size_t count = 0;
	for (enum node_role role = NODE_PROXY; role < NODE_ROLE_COUNT; role++)
		if (worker->servers[role])
			count += http_server_connections(worker->servers[role]);
	return count;
}

/* Requests in flight end, the background work stops, then the loop does. */
static void co_drain(void *argument)
{
	struct worker *worker = argument;
	uint64_t deadline = deadline_after_ms((uint64_t)worker->service->settings->swiftlet.stop_timeout_ms);
	while (open_connections(worker) && loop_now_ms() < deadline)
		co_sleep_ms(DRAIN_CHECK_MS);
	if (worker->index == 0)
		node_stop_background(worker->service->node);
	/* the one coroutine left is this */
	while (loop_coroutines(worker->loop) > 1 && loop_now_ms() < deadline)
		co_sleep_ms(DRAIN_CHECK_MS);
	backend_pool_release();
	loop_stop(worker->loop);
}

static void on_stop(struct loop_message *message)
{
	struct worker *worker = (struct worker *)((char *)message - offsetof(struct worker, stop));
	atomic_store(&worker->stopping, true);
	for (enum node_role role = NODE_PROXY; role < NODE_ROLE_COUNT; role++)
		if (worker->servers[role])
			http_server_stop(worker->servers[role]);
	co_start(co_drain, worker);
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	worker->start.call = on_start;
	loop_post(worker->loop, &worker->start);
	loop_run(worker->loop);
	return NULL;
}

/* ---- the server process ---- */

static size_t worker_count(const struct settings *settings)
{
	long count = settings->swiftlet.workers ? (long)settings->swiftlet.workers : sysconf(_SC_NPROCESSORS_ONLN);
	return count < 1 ? 1 : count > WORKERS_MAX ? WORKERS_MAX : (size_t)count;
}

/* As many descriptors as the system lets us have. */
static void raise_limits(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int start_service(struct service *service, char **ret_error)
{
	int error = node_new(service->settings, &service->node, ret_error);
	if (error)
		return error;
	for (size_t i = 0; i < service->listeners.worker_count; i++) {
		struct worker *worker = &service->workers[i];
		worker->service = service;
		worker->index = i;
		error = loop_new(&worker->loop);
		if (!error)
			error = -pthread_create(&worker->thread, NULL, worker_main, worker);
		if (error) {
			*ret_error = xasprintf("cannot start a worker: %s", strerror(-error));
			return error;
		}
		(void)pthread_setname_np(worker->thread, "worker");
	}
	return 0;
}

static void wait_for_stop(struct service *service, const sigset_t *signals)
{
	for (;;) {
		int number;
		if (sigwait(signals, &number))
			continue;
		if (number != SIGHUP)
			return;
		atomic_store(&service->reload, true);
	}
}

/* What hangs on a sick disk after the time to stop must not keep the process. */
static void *end_hard(void *argument)
{
	const struct settings *settings = argument;
	struct timespec pause = {settings->swiftlet.stop_timeout_ms / 1000 + 5, 0};
	(void)nanosleep(&pause, NULL);
	log_warning("did not stop in time: exiting with requests in flight");
	_exit(1);
}

static void stop_service(struct service *service)
{
	log_info("stopping: no new connections, requests in flight end");
	if (service->again)
		listeners_refuse(&service->listeners);
	else
		notify_send("STOPPING=1");
	pthread_t last_resort;
	if (pthread_create(&last_resort, NULL, end_hard, (void *)service->settings) == 0)
		(void)pthread_detach(last_resort);
	for (size_t i = 0; i < service->listeners.worker_count; i++) {
		service->workers[i].stop.call = on_stop;
		loop_post(service->workers[i].loop, &service->workers[i].stop);
	}
	for (size_t i = 0; i < service->listeners.worker_count; i++)
		pthread_join(service->workers[i].thread, NULL);
}

/* Without it the servers serve all the same. */
static void start_statsd(const struct settings *settings)
{
	struct statsd_options options = {
		.host = settings->statsd.host,
		.port = (int)settings->statsd.port,
		.prefix = settings->statsd.metric_prefix,
		.sample_rate = settings->statsd.default_sample_rate * settings->statsd.sample_rate_factor,
	};
	int error = statsd_init(&options);
	if (error)
		log_error("statsd is off: cannot reach %s: %s", options.host, strerror(-error));
}

static int run_server(struct service *service, const sigset_t *signals)
{
	const struct settings *settings = service->settings;
	raise_limits();
	heap_tame();
	(void)prctl(PR_SET_DUMPABLE, settings->swiftlet.core_dumps ? 1 : 0);
	start_statsd(settings);
	char *error = NULL;
	if (start_service(service, &error)) {
		(void)fprintf(stderr, "swiftlet: %s\n", error ? error : "cannot start");
		return 1;
	}
	log_info("serving with %zu workers; sandbox: %s", service->listeners.worker_count,
		confinement_state(node_confinement(service->node)));
	notify_send("READY=1");
	wait_for_stop(service, signals);
	stop_service(service);
	node_free(service->node);
	log_info("stopped");
	return service->again ? EXIT_AGAIN : 0;
}

/* ---- the supervisor ---- */

static pid_t start_child(struct service *service, const sigset_t *signals)
{
	pid_t parent = getpid();
	pid_t child = fork();
	if (child)
		return child;
	/* a server without its supervisor would be nobody's */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	listeners_resume(&service->listeners);
	_exit(run_server(service, signals));
}

static void sleep_ms(long duration_ms)
{
	struct timespec pause = {duration_ms / 1000, duration_ms % 1000 * 1000000};
	(void)nanosleep(&pause, NULL);
}

/* Looks after one child until it dies; its wait status. After a signal that stops us, ret_stopping is true. */
static int watch_child(struct service *service, const sigset_t *signals, pid_t child, bool *ret_stopping)
{
	for (;;) {
		int number, status;
		if (sigwait(signals, &number))
			continue;
		if (number != SIGCHLD) {
			(void)kill(child, number);
			if (number != SIGHUP) {
				*ret_stopping = true;
				listeners_close(&service->listeners);
			}
			continue;
		}
		if (waitpid(child, &status, WNOHANG) == child)
			return status;
	}
}

static int supervise(struct service *service, const sigset_t *signals)
{
	long restart_ms = RESTART_MS_FIRST;
	bool stopping = false;
	for (;;) {
		pid_t child = start_child(service, signals);
		time_t started = time(NULL);
		int status = watch_child(service, signals, child, &stopping);
		if (WIFEXITED(status)) {
			if (WEXITSTATUS(status) == EXIT_AGAIN && !stopping)
				continue;
			return WEXITSTATUS(status) == EXIT_AGAIN ? 0 : WEXITSTATUS(status);
		}
		log_error("the server died by signal %d", WTERMSIG(status));
		if (stopping)
			return 1;
		listeners_refuse(&service->listeners);
		if (time(NULL) - started > 60)
			restart_ms = RESTART_MS_FIRST;
		sleep_ms(restart_ms);
		restart_ms = restart_ms * 2 > RESTART_MS_MAX ? RESTART_MS_MAX : restart_ms * 2;
		log_info("starting it again");
	}
}

/* ---- the command ---- */

static int usage(const char *message)
{
	(void)fprintf(stderr, "swiftlet serve: %s; see swiftlet serve --help\n", message);
	return EXIT_USAGE;
}

static sigset_t block_signals(void)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return signals;
}

static int serve(const struct settings *settings, bool alone, const sigset_t *signals)
{
	static struct service service;
	service.settings = settings;
	service.supervised = !alone;
	char *error = NULL;
	if (listeners_open(&service.listeners, settings, worker_count(settings), &error) ||
		privileges_drop(settings->swiftlet.user, &error)) {
		(void)fprintf(stderr, "swiftlet: %s\n", error);
		free(error);
		return 1;
	}
	notify_init();
	return alone ? run_server(&service, signals) : supervise(&service, signals);
}

int serve_command(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"no-supervisor", no_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *config = NULL;
	bool alone = false;
	optind = 1;
	opterr = 0;
	for (int option; (option = getopt_long(argc, argv, "c:nh", options, NULL)) != -1;) {
		if (option == 'c')
			config = optarg;
		else if (option == 'n')
			alone = true;
		else if (option == 'h')
			return fputs(help, stdout) < 0;
		else
			return usage("unknown option, or one without its value");
	}
	if (!config || optind != argc)
		return usage(config ? "too many arguments" : "--config FILE is needed");
	struct settings *settings;
	char *error = NULL;
	if (settings_load(config, &settings, &error)) {
		(void)fprintf(stderr, "swiftlet: %s\n", error);
		free(error);
		return 1;
	}
	enum log_level level = LOG_LEVEL_INFO;
	(void)log_level_parse(settings->swiftlet.log_level, &level);
	log_init("swiftlet", level);
	struct access_options access = {
		.json = strcmp(settings->swiftlet.access_log_format, "json") == 0,
		.reveal_bytes = (size_t)settings->swiftlet.reveal_sensitive_prefix,
	};
	access_log_set(&access);
	sigset_t signals = block_signals();
	int code = serve(settings, alone, &signals);
	settings_free(settings);
	return code;
}
