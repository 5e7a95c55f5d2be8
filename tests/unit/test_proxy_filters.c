/*
 * The filters and what stands around them, over fake servers: gatekeeper, copy, listing formats,
 * CORS, transaction ids, the access log.
 */
#include "tests/unit/proxy_fixture.h"

/* ---- gatekeeper ---- */

static void co_gatekeeper_in(struct proxy_fixture *fixture)
{
	static const char *const names[] = {"X-Object-Sysmeta-A", "X-Object-Transient-Sysmeta-A",
		"X-Container-Sysmeta-A", "X-Account-Sysmeta-A", "X-Backend-A", "X-Backend-Storage-Policy-Index",
		"X-Backend-Replication", "x-backend-allow-reserved-names", "X_Backend_A", "X_Object_Sysmeta_A"};
	(void)fixture;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char line[128];
		snprintf(line, sizeof(line), "PUT /v1/a/c/o [%s: forged] body=x", names[i]);
		forget_requests();
		co_expect(line, 201);
		const struct fake_request *request = nth_request(BACKEND_OBJECT, METHOD_PUT, 0);
		for (size_t j = 0; j < request->headers.count; j++)
			if (strcmp(request->headers.items[j].value, "forged") == 0)
				fail_msg("%s went in as %s", names[i], request->headers.items[j].name);
	}
	forget_requests();
	co_expect("PUT /v1/a/c/o [X-Container-Host: 10.9.9.9:80] [X-Delete-At-Host: 10.9.9.9:80] "
		  "[X-Timestamp: 12] body=x",
		201);
	const struct fake_request *request = nth_request(BACKEND_OBJECT, METHOD_PUT, 0);
	assert_string_not_equal(request_header(request, "X-Container-Host"), "10.9.9.9:80");
	assert_null(request_header(request, "X-Delete-At-Host"));
	assert_string_equal(request_header(request, "X-Backend-Inbound-X-Timestamp"), "12");
	assert_string_not_equal(request_header(request, "X-Timestamp"), "12");
	/* two of what must be one */
	co_expect("GET /v1/a/c/o [X-Auth-Token: a] [X-Auth-Token: b]", 400);
	co_expect("GET /v1/a/c/o [X-Auth-Token: a] [X_Auth_Token: b]", 400);
	co_expect("GET /v1/a/c/o [Range: bytes=0-1] [Range: bytes=2-3]", 400);
}

static void gatekeeper__in(void **state)
{
	(void)state;
	with_proxy(co_gatekeeper_in, 3, 3);
}

static void co_gatekeeper_out(struct proxy_fixture *fixture)
{
	static const char *const headers[] = {"X-Object-Sysmeta-A", "1", "X-Backend-Timestamp", "1",
		"X-Object-Transient-Sysmeta-A", "1", "X-Object-Meta-A", "shown", NULL};
	memcpy(fixture->object_headers, headers, sizeof(headers));
	struct answer answer;
	co_ask(&answer, "GET /v1/a/c/o");
	assert_int_equal(answer.status, 200);
	assert_null(answer_header(&answer, "X-Object-Sysmeta-A"));
	assert_null(answer_header(&answer, "X-Object-Transient-Sysmeta-A"));
	assert_null(answer_header(&answer, "X-Backend-Timestamp"));
	assert_null(answer_header(&answer, "X-Backend-Storage-Policy-Index"));
	assert_string_equal(answer_header(&answer, "X-Object-Meta-A"), "shown");
	assert_string_equal(answer_header(&answer, "Etag"), "0123456789abcdef0123456789abcdef");
	assert_string_equal(answer_header(&answer, "Accept-Ranges"), "bytes");
	answer_release(&answer);
}

static void gatekeeper__out(void **state)
{
	(void)state;
	with_proxy(co_gatekeeper_out, 3, 3);
}

/* ---- copy ---- */

static void check_copy(struct proxy_fixture *fixture, const char *line, const char *source, const char *target)
{
	forget_requests();
	struct answer answer;
	co_ask(&answer, line);
	if (answer.status != 201)
		fail_msg("%s: %d", line, answer.status);
	const struct fake_request *get = nth_request(BACKEND_OBJECT, METHOD_GET, 0);
	const struct fake_request *put = nth_request(BACKEND_OBJECT, METHOD_PUT, 0);
	if (!strstr(get->path, source) || !strstr(put->path, target))
		fail_msg("%s: from %s to %s", line, get->path, put->path);
	assert_int_equal(put->received, strlen(fixture->content));
	assert_string_equal(request_header(put, "X-Object-Meta-A"), "old");
	assert_string_equal(request_header(put, "X-Object-Meta-B"), "new");
	assert_string_equal(request_header(put, "Content-Type"), "text/x-source");
	assert_null(request_header(put, "X-Copy-From"));
	assert_null(request_header(put, "Destination"));
	assert_string_equal(answer_header(&answer, "X-Copied-From"), source + 3);
	assert_string_equal(answer_header(&answer, "X-Copied-From-Account"), "a");
	assert_string_equal(answer_header(&answer, "X-Object-Meta-A"), "old");
	answer_release(&answer);
	assert_int_equal(fixture->bodies_open, 0);
}

static void copy_source(struct proxy_fixture *fixture)
{
	static const char *const headers[] = {"X-Object-Meta-A", "old", "X-Object-Meta-B", "old", "Content-Type",
		"text/x-source", "Etag", "\"a762f852ab70be5bcaa76e8685a30047\"", NULL};
	memcpy(fixture->object_headers, headers, sizeof(headers));
}

static void co_copies(struct proxy_fixture *fixture)
{
	copy_source(fixture);
	check_copy(fixture, "COPY /v1/a/c/from [Destination: d/to] [X-Object-Meta-B: new]", "/a/c/from", "/a/d/to");
	check_copy(fixture, "COPY /v1/a/c/from [Destination: /d/to%20there] [X-Object-Meta-B: new]", "/a/c/from",
		"/a/d/to%20there");
	check_copy(fixture,
		"COPY /v1/a/c/from [Destination: d/to] [Destination-Account: b] [X-Object-Meta-B: "
		"new]",
		"/a/c/from", "/b/d/to");
	check_copy(fixture, "PUT /v1/a/d/to [X-Copy-From: c/from] [X-Object-Meta-B: new]", "/a/c/from", "/a/d/to");
	check_copy(fixture,
		"PUT /v1/b/d/to [X-Copy-From: c/from] [X-Copy-From-Account: a] [X-Object-Meta-B: "
		"new]",
		"/a/c/from", "/b/d/to");
	/* all servers are asked for the newest */
	assert_int_equal(count_requests(BACKEND_OBJECT, METHOD_GET), 6);
}

static void copy__both_ways(void **state)
{
	(void)state;
	with_proxy(co_copies, 3, 3);
}

static const struct {
	const char *line;
	const char *script;
	int status;
} copy_failures[] = {
	{"COPY /v1/a/c/o", "", 412},
	{"COPY /v1/a/c/o [Destination: only-a-container]", "", 412},
	{"PUT /v1/a/c/o [X-Copy-From: only-a-container]", "", 412},
	{"PUT /v1/a/c/o [X-Copy-From: d/p] body=x", "", 400},
	{"COPY /v1/a/c/o [Destination: d/p] [Destination-Account: a/b]", "", 412},
	{"COPY /v1/a/c/o [Destination: d/p]", "404 404 404 404 404 404", 404},
	{"COPY /v1/a/c/o [Destination: d/p]", "503 503 503 503 503 503", 503},
	/* what is copied cannot be read: that is not the client's doing */
	{"COPY /v1/a/c/o [Destination: d/p]", "200!20 404 404 404 404 404", 500},
	/* an empty one is none */
	{"PUT /v1/a/c/o [X-Copy-From: ] body=x", "201", 201},
};

static void co_copy_failures(struct proxy_fixture *fixture)
{
	copy_source(fixture);
	for (size_t i = 0; i < sizeof(copy_failures) / sizeof(copy_failures[0]); i++) {
		fixture_start_proxy(fixture);
		fixture_script(BACKEND_OBJECT, copy_failures[i].script);
		co_expect(copy_failures[i].line, copy_failures[i].status);
		assert_int_equal(fixture->bodies_open, 0);
	}
}

static void copy__failures(void **state)
{
	(void)state;
	with_proxy(co_copy_failures, 3, 3);
}

/* ---- listing formats ---- */

static const struct {
	const char *line;
	int status;
	const char *format; /* asked of the server */
	const char *type;
} listing_cases[] = {
	{"GET /v1/a/c", 200, "format=plain", "text/plain; charset=utf-8"},
	{"GET /v1/a/c?format=json", 200, "format=json", "application/json; charset=utf-8"},
	{"GET /v1/a/c?format=xml", 200, "format=xml", "application/xml; charset=utf-8"},
	{"GET /v1/a/c?format=strange", 200, "format=plain", "text/plain; charset=utf-8"},
	{"GET /v1/a/c [Accept: application/json]", 200, "format=json", "application/json; charset=utf-8"},
	{"GET /v1/a/c [Accept: text/xml]", 200, "format=xml", "text/xml; charset=utf-8"},
	{"GET /v1/a/c?format=json [Accept: text/xml]", 200, "format=json", "application/json; charset=utf-8"},
	{"GET /v1/a/c [Accept: image/png]", 406, NULL, NULL},
	{"GET /v1/a/c?prefix=%ff", 400, NULL, NULL},
	{"GET /v1/a?format=json", 200, "format=json", "application/json; charset=utf-8"},
};

static void co_listing_formats(struct proxy_fixture *fixture)
{
	(void)fixture;
	for (size_t i = 0; i < sizeof(listing_cases) / sizeof(listing_cases[0]); i++) {
		forget_requests();
		struct answer answer;
		co_ask(&answer, listing_cases[i].line);
		if (answer.status != listing_cases[i].status)
			fail_msg("%s: %d", listing_cases[i].line, answer.status);
		if (listing_cases[i].format) {
			bool container = strstr(listing_cases[i].line, "/c") != NULL;
			const char *query =
				nth_request(container ? BACKEND_CONTAINER : BACKEND_ACCOUNT, METHOD_GET, 0)->query;
			size_t length = strlen(query), wanted = strlen(listing_cases[i].format);
			if (length < wanted || strcmp(query + length - wanted, listing_cases[i].format) != 0)
				fail_msg("%s: asked for %s", listing_cases[i].line, query);
			assert_string_equal(answer_header(&answer, "Content-Type"), listing_cases[i].type);
		}
		answer_release(&answer);
	}
}

static void listing_formats__are_chosen(void **state)
{
	(void)state;
	with_proxy(co_listing_formats, 3, 3);
}

/* ---- CORS ---- */

static const struct {
	const char *line;
	int status;
	const char *origin; /* Access-Control-Allow-Origin, or NULL */
} cors_cases[] = {
	{"OPTIONS /v1/a/c/o", 200, NULL},
	{"OPTIONS /v1/a/c/o [Origin: http://good] [Access-Control-Request-Method: GET]", 200, "http://good"},
	{"OPTIONS /v1/a/c/o [Origin: http://bad] [Access-Control-Request-Method: GET]", 401, NULL},
	{"OPTIONS /v1/a/c/o [Origin: http://good]", 401, NULL},
	{"OPTIONS /v1/a/c/o [Origin: http://good] [Access-Control-Request-Method: ]", 401, NULL},
	/* a piece of a method is none */
	{"OPTIONS /v1/a/c/o [Origin: http://good] [Access-Control-Request-Method: GE]", 401, NULL},
	{"OPTIONS /v1/a/c/o [Origin: http://good] [Access-Control-Request-Method: GET, HEAD]", 401, NULL},
	{"OPTIONS /v1/a/c [Origin: http://good] [Access-Control-Request-Method: PUT]", 200, "http://good"},
	/* accounts take no part */
	{"OPTIONS /v1/a [Origin: http://good] [Access-Control-Request-Method: GET]", 200, NULL},
	{"OPTIONS /info [Origin: http://good] [Access-Control-Request-Method: GET]", 200, NULL},
	{"GET /v1/a/c/o [Origin: http://good]", 200, "http://good"},
	{"GET /v1/a/c/o [Origin: http://goo]", 200, NULL},
	{"GET /v1/a/c/o", 200, NULL},
};

static void co_cors(struct proxy_fixture *fixture)
{
	static const char *const headers[] = {"X-Container-Meta-Access-Control-Allow-Origin",
		"http://good http://better", "X-Container-Meta-Access-Control-Max-Age", "5",
		"X-Container-Meta-Access-Control-Expose-Headers", "X-Own", NULL};
	memcpy(fixture->container_headers, headers, sizeof(headers));
	for (size_t i = 0; i < sizeof(cors_cases) / sizeof(cors_cases[0]); i++) {
		struct answer answer;
		co_ask(&answer, cors_cases[i].line);
		const char *origin = answer_header(&answer, "Access-Control-Allow-Origin");
		if (answer.status != cors_cases[i].status || !origin != !cors_cases[i].origin ||
			(origin && strcmp(origin, cors_cases[i].origin) != 0))
			fail_msg("%s: %d for %s", cors_cases[i].line, answer.status, origin ? origin : "nobody");
		answer_release(&answer);
	}
	struct answer answer;
	co_ask(&answer, "GET /v1/a/c/o [Origin: http://good]");
	assert_non_null(strstr(answer_header(&answer, "Access-Control-Expose-Headers"), "X-Own"));
	assert_non_null(strstr(answer_header(&answer, "Access-Control-Expose-Headers"), "x-trans-id"));
	assert_string_equal(answer_header(&answer, "Vary"), "Origin");
	answer_release(&answer);
}

static void cors__preflight_and_replies(void **state)
{
	(void)state;
	with_proxy(co_cors, 3, 3);
}

/* ---- transaction ids and odd paths ---- */

static void co_transaction_ids(struct proxy_fixture *fixture)
{
	static const char *const lines[] = {"GET /v1/a/c/o", "GET /v1/a/c/o [X-Trans-Id-Extra: more of/it]",
		"GET /healthcheck", "GET /nowhere", "PUT /v1/a/c/o", "GET /v1/a/c/%00"};
	static const int statuses[] = {200, 200, 200, 412, 411, 412};
	(void)fixture;
	char last[256] = "";
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct answer answer;
		co_ask(&answer, lines[i]);
		if (answer.status != statuses[i])
			fail_msg("%s: %d, expected %d", lines[i], answer.status, statuses[i]);
		const char *id = answer_header(&answer, "X-Trans-Id");
		assert_non_null(id);
		assert_string_equal(id, answer_header(&answer, "X-Openstack-Request-Id"));
		assert_int_equal(strspn(id + 2, "0123456789abcdef"), 21);
		assert_int_equal(id[23], '-');
		assert_int_equal(strspn(id + 24, "0123456789abcdef"), 10);
		assert_string_equal(id + 34, i == 1 ? "-here-more%20of/it" : "-here");
		assert_string_not_equal(id, last);
		snprintf(last, sizeof(last), "%s", id);
		answer_release(&answer);
	}
}

static void catch_errors__transaction_ids(void **state)
{
	(void)state;
	with_proxy(co_transaction_ids, 3, 3);
}

/* ---- the access log ---- */

/* Runs one request with standard error in a file, and returns what was written. */
static void co_logged(struct proxy_fixture *fixture, const char *line, int finish_error, char *log, size_t bytes)
{
	char *path = xasprintf("%s/log", fixture->root);
	int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	int kept = dup(2);
	dup2(file, 2);
	log_set_level(LOG_LEVEL_INFO);
	if (finish_error) {
		struct exchange exchange;
		char *copy = xstrdup(line);
		exchange_init(&exchange, copy);
		free(copy);
		co_proxy_handle(fixture->proxy, &exchange.request, &exchange.reply);
		reply_finish(&exchange.request, &exchange.reply, 7, finish_error);
		arena_free(exchange.arena);
	} else {
		struct answer answer;
		co_ask(&answer, line);
		answer_release(&answer);
	}
	log_flush();
	log_set_level(LOG_LEVEL_ERROR);
	dup2(kept, 2);
	close(kept);
	ssize_t length = pread(file, log, bytes - 1, 0);
	log[length > 0 ? length : 0] = '\0';
	close(file);
	(void)unlink(path);
	free(path);
}

enum { FIELDS = 21 };

static void split_fields(char *log, char *fields[FIELDS])
{
	size_t count = 0;
	log[strcspn(log, "\n")] = '\0';
	for (char *word = strsep(&log, " "); word; word = strsep(&log, " ")) {
		assert_true(count < FIELDS);
		fields[count++] = word;
	}
	assert_int_equal(count, FIELDS);
}

/* Field numbers from 0: 3 method, 4 path, 6 status, 8 agent, 9 token, 10 received, 11 sent, 12
 * etag, 20 policy. */
static const struct {
	const char *line;
	int finish_error;
	const char *wanted[FIELDS];
} log_cases[] = {
	{"GET /v1/a/c/o [User-Agent: a client] [X-Auth-Token: AUTH_tk0123456789abcdef]", 0,
		{[0] = "-",
			[3] = "GET",
			[4] = "/v1/a/c/o",
			[5] = "HTTP/1.1",
			[6] = "200",
			[8] = "a%20client",
			[9] = "AUTH_tk012345678...",
			[10] = "-",
			[11] = "78",
			[20] = "0"}},
	{"PUT /v1/a/c/a%20b?x=y [ETag: 9dd4e461268c8034f5c8564e155c67a6] body=x", 0,
		{[3] = "PUT",
			[4] = "/v1/a/c/a%2520b%3Fx%3Dy",
			[6] = "201",
			[10] = "1",
			[11] = "-",
			[12] = "9dd4e461268c8034f5c8564e155c67a6",
			[20] = "0"}},
	{"GET /v1/a [X-Forwarded-For: 1.2.3.4] [Referer: http://here/]", 0,
		{[0] = "1.2.3.4", [3] = "GET", [4] = "/v1/a", [6] = "200", [7] = "http://here/"}},
	/* the client went away; the transfer broke */
	{"GET /v1/a/c/o", -ECONNRESET, {[6] = "499", [11] = "7"}},
	{"GET /v1/a/c/o", -EIO, {[6] = "500", [11] = "7"}},
	{"GET /healthcheck", 0, {[3] = "GET", [4] = "/healthcheck", [6] = "200"}},
};

static void co_access_log(struct proxy_fixture *fixture)
{
	co_expect("GET /v1/a/c/o", 200);
	for (size_t i = 0; i < sizeof(log_cases) / sizeof(log_cases[0]); i++) {
		char log[2048];
		char *fields[FIELDS];
		co_logged(fixture, log_cases[i].line, log_cases[i].finish_error, log, sizeof(log));
		/* healthcheck answers before the log, as in Swift's pipeline */
		if (strstr(log_cases[i].line, "healthcheck")) {
			assert_string_equal(log, "");
			continue;
		}
		split_fields(log, fields);
		for (size_t j = 0; j < FIELDS; j++)
			if (log_cases[i].wanted[j] && strcmp(fields[j], log_cases[i].wanted[j]) != 0)
				fail_msg("%s: field %zu is %s, expected %s", log_cases[i].line, j, fields[j],
					log_cases[i].wanted[j]);
		assert_int_equal(strncmp(fields[13], "tx", 2), 0);
	}
}

static void access_log__fields(void **state)
{
	(void)state;
	with_proxy(co_access_log, 3, 3);
}

/* A head that could not be parsed has its line, too. */
static void co_refused(struct proxy_fixture *fixture)
{
	struct arena *arena = arena_new();
	struct request request;
	struct reply reply;
	request_init(&request, arena, METHOD_OTHER);
	reply_init(&reply, arena);
	reply_status(&reply, 400);
	log_set_level(LOG_LEVEL_INFO);
	proxy_refused(fixture->proxy, &request, &reply);
	assert_non_null(reply.finished);
	log_set_level(LOG_LEVEL_ERROR);
	assert_non_null(headers_get(&reply.headers, "X-Trans-Id"));
	reply.finished = NULL;
	arena_free(arena);
}

static void access_log__refused_heads(void **state)
{
	(void)state;
	with_proxy(co_refused, 3, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gatekeeper__in),
		cmocka_unit_test(gatekeeper__out),
		cmocka_unit_test(copy__both_ways),
		cmocka_unit_test(copy__failures),
		cmocka_unit_test(listing_formats__are_chosen),
		cmocka_unit_test(cors__preflight_and_replies),
		cmocka_unit_test(catch_errors__transaction_ids),
		cmocka_unit_test(access_log__fields),
		cmocka_unit_test(access_log__refused_heads),
	};
	fake_servers_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
