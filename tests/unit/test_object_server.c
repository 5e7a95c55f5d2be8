#include "tests/unit/object_server_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <openssl/evp.h>

#include "lib/backend/backend.h"

/* ---- the capture ---- */

static int hex_digit(char digit)
{
	return digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
}

/* b'…' as Python prints bytes. */
static struct slice unquote_python(struct arena *arena, const char *text)
{
	size_t length = strlen(text);
	assert_true(length >= 3 && text[0] == 'b' && text[length - 1] == text[1]);
	struct buf bytes = BUF_INIT;
	for (const char *at = text + 2; at < text + length - 1; at++) {
		if (*at != '\\') {
			buf_append_byte(&bytes, *at);
			continue;
		}
		at++;
		if (*at == 'x') {
			buf_append_byte(&bytes, (char)(hex_digit(at[1]) * 16 + hex_digit(at[2])));
			at += 2;
		} else {
			buf_append_byte(&bytes, *at == 'r' ? '\r' : *at == 'n' ? '\n' : *at);
		}
	}
	struct slice kept = arena_slice(arena, buf_slice(&bytes));
	buf_release(&bytes);
	return kept;
}

struct capture {
	struct arena *arena;
	char *title;
	char *request; /* "VERB /path [Name: value] … body=b'…'" */
	char *head;    /* "200 OK [Name: value] …" */
	char *body;    /* "b'…'" or NULL */
};

/* Two boundaries are never the same: the captured one takes the place of ours. */
static void adopt_boundary(struct exchange *exchange, const char *head)
{
	static const char marker[] = "boundary=";
	const char *type = headers_get(&exchange->reply.headers, "Content-Type");
	const char *captured = strstr(head, marker);
	const char *own = type ? strstr(type, marker) : NULL;
	if (!captured || !own)
		return;
	captured += strlen(marker);
	own += strlen(marker);
	assert_int_equal(strlen(own), 32);
	char *text = (char *)exchange->received.data;
	for (size_t i = 0; i + 32 <= exchange->received.length; i++)
		if (memcmp(text + i, own, 32) == 0)
			memcpy(text + i, captured, 32);
	memcpy((char *)own, captured, 32);
}

static void compare_header(
	const struct capture *capture, const struct exchange *exchange, const char *name, const char *expected)
{
	const char *value = headers_get(&exchange->reply.headers, name);
	if (strcasecmp(name, "Content-Length") == 0 && !value)
		value = arena_printf(exchange->arena, "%zu", exchange->received.length);
	if (!value || strcmp(value, expected) != 0)
		fail_msg("%s: %s is %s, expected %s", capture->title, name, value ? value : "missing", expected);
}

static void compare_reply(const struct capture *capture, struct exchange *exchange)
{
	const struct reply *reply = &exchange->reply;
	adopt_boundary(exchange, capture->head);
	char *status = arena_printf(
		exchange->arena, "%d %s ", reply->status, reply->reason ? reply->reason : status_reason(reply->status));
	if (strncmp(capture->head, status, strlen(status)) != 0)
		fail_msg("%s: %s(%.*s), expected %s", capture->title, status, SLICE_PRINT(reply->text), capture->head);
	size_t expected_count = 0;
	char *at = capture->head;
	while ((at = strchr(at, '['))) {
		char *end = strchr(at, ']');
		char *value = strstr(at, ": ");
		*end = '\0';
		*value = '\0';
		compare_header(capture, exchange, at + 1, value + 2);
		expected_count += strcmp(at + 1, "Content-Length") != 0;
		at = end + 1;
	}
	size_t count = reply->headers.count - headers_occurrences(&reply->headers, "Content-Length");
	if (count != expected_count)
		fail_msg("%s: %zu headers, expected %zu", capture->title, count, expected_count);
	struct slice expected = capture->body ? unquote_python(exchange->arena, capture->body) : SLICE_NONE;
	if (!slice_equal(exchange->received, expected))
		fail_msg("%s: body %.*s, expected %.*s", capture->title, SLICE_PRINT(exchange->received),
			SLICE_PRINT(expected));
	if (reply->body)
		assert_int_equal(reply->content_length, exchange->received.length);
}

static char *expand_name(struct arena *arena, char *request)
{
	char *mark = strstr(request, "<1025 x>");
	if (!mark)
		return request;
	char *name = arena_alloc(arena, 1026);
	memset(name, 'x', 1025);
	name[1025] = '\0';
	return arena_printf(arena, "%.*s%s%s", (int)(mark - request), request, name, mark + strlen("<1025 x>"));
}

static void co_replay_one(struct fixture *fixture, struct capture *capture)
{
	struct exchange exchange;
	char *request = expand_name(capture->arena, capture->request);
	char *body = strstr(request, " body=");
	if (body)
		*body = '\0';
	exchange_init(&exchange, request);
	if (body)
		exchange_body(&exchange, unquote_python(exchange.arena, body + strlen(" body=")));
	/* what has expired is judged by the request's time, or the clock's */
	enum method method = exchange.request.method;
	if (method == METHOD_GET || method == METHOD_HEAD)
		headers_set(&exchange.request.headers, "X-Timestamp", "1795223000.00000");
	co_exchange(fixture, &exchange);
	compare_reply(capture, &exchange);
	exchange_release(&exchange);
}

static char *read_line(struct arena *arena, FILE *file)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t length = getline(&line, &room, file);
	char *kept = NULL;
	if (length >= 0) {
		line[strcspn(line, "\n")] = '\0';
		kept = arena_strdup(arena, line);
	}
	free(line);
	return kept;
}

/* The parser of HTTP answers the first; the second is the replicator's. */
static bool is_not_ours(const struct capture *capture)
{
	return strcmp(capture->title, "# bad length") == 0 || strncmp(capture->title, "# REPLICATE", 11) == 0;
}

static void co_replay(void *argument)
{
	struct fixture *fixture = argument;
	struct arena *arena = arena_new();
	FILE *file = fopen("tests/data/object-server-responses.txt", "r");
	assert_non_null(file);
	size_t count = 0;
	char *line = read_line(arena, file);
	while ((line = read_line(arena, file)) && line[0] == '#') {
		struct capture capture = {.arena = arena, .title = line};
		capture.request = read_line(arena, file) + 2;
		capture.head = read_line(arena, file) + 2;
		long place = ftell(file);
		char *next = read_line(arena, file);
		if (next && next[0] == ' ')
			capture.body = next + 2;
		else
			assert_int_equal(fseek(file, place, SEEK_SET), 0);
		if (is_not_ours(&capture))
			continue;
		co_replay_one(fixture, &capture);
		count++;
	}
	fclose(file);
	arena_free(arena);
	print_message("%zu requests replayed\n", count);
	assert_true(count > 60);
}

static void object_server__answers_as_captured(void **state)
{
	fixture_run(co_replay, *state);
}

/* ---- bodies ---- */

static struct slice pattern(struct arena *arena, size_t length)
{
	char *bytes = arena_alloc(arena, length + 1);
	for (size_t i = 0; i < length; i++)
		bytes[i] = (char)((i * 2654435761u) >> 13);
	return slice_of(bytes, length);
}

static void expect_bytes(const struct exchange *exchange, struct slice expected)
{
	assert_int_equal(exchange->error, 0);
	assert_int_equal(exchange->received.length, expected.length);
	assert_true(slice_equal(exchange->received, expected));
}

static void co_sizes(void *argument)
{
	static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 300000};
	struct fixture *fixture = argument;
	struct arena *arena = arena_new();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct slice bytes = pattern(arena, sizes[i]);
		struct exchange exchange;
		exchange_init(
			&exchange, arena_printf(arena, "PUT /d1/7/a/c/size [X-Timestamp: %zu] [Content-Type: a/b]",
					   1700000000 + i));
		exchange_body(&exchange, bytes);
		exchange.body.piece = 10007;
		if (i % 2) {
			exchange.request.has_length = false;
			exchange.request.chunked = true;
		}
		co_exchange(fixture, &exchange);
		expect_status(&exchange, "PUT", 201);
		exchange_release(&exchange);
		co_send(fixture, &exchange, "GET /d1/7/a/c/size", SLICE_NONE, 200);
		expect_bytes(&exchange, bytes);
		assert_int_equal(
			exchange.reply.content_length, sizes[i] ? (int64_t)sizes[i] : exchange.reply.content_length);
		exchange_release(&exchange);
	}
	arena_free(arena);
}

static void object_server__keeps_bodies_of_all_sizes(void **state)
{
	fixture_run(co_sizes, *state);
}

static void co_ranges(void *argument)
{
	static const struct {
		const char *range;
		uint64_t first, last;
	} cases[] = {{"bytes=0-0", 0, 0}, {"bytes=65535-65536", 65535, 65536}, {"bytes=65536-", 65536, 299999},
		{"bytes=-1", 299999, 299999}, {"bytes=100-262200", 100, 262200}};
	struct fixture *fixture = argument;
	struct arena *arena = arena_new();
	struct slice bytes = pattern(arena, 300000);
	struct exchange exchange;
	co_send(fixture, &exchange, "PUT /d1/7/a/c/r [X-Timestamp: 1700000000] [Content-Type: a/b]", bytes, 201);
	exchange_release(&exchange);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		co_send(fixture, &exchange, arena_printf(arena, "GET /d1/7/a/c/r [Range: %s]", cases[i].range),
			SLICE_NONE, 206);
		expect_bytes(&exchange, slice_of(bytes.data + cases[i].first, cases[i].last - cases[i].first + 1));
		exchange_release(&exchange);
	}
	co_send(fixture, &exchange, "GET /d1/7/a/c/r [Range: bytes=10-70000,131000-131100,5-6]", SLICE_NONE, 206);
	assert_int_equal(exchange.error, 0);
	assert_int_equal(exchange.received.length, exchange.reply.content_length);
	const char *first = memmem(exchange.received.data, exchange.received.length, "\r\n\r\n", 4);
	assert_memory_equal(first + 4, bytes.data + 10, 70000 - 10 + 1);
	exchange_release(&exchange);
	co_send(fixture, &exchange,
		"GET /d1/7/a/c/r [Range: bytes=0-1] "
		"[X-Backend-Ignore-Range-If-Metadata-Present: X-None, content-type]",
		SLICE_NONE, 200);
	expect_bytes(&exchange, bytes);
	exchange_release(&exchange);
	arena_free(arena);
}

static void object_server__reads_ranges_of_files(void **state)
{
	fixture_run(co_ranges, *state);
}

static void co_refusals_before_body(void *argument)
{
	static const struct {
		const char *line;
		int status;
	} cases[] = {
		{"PUT /d1/7/a/c/o [X-Timestamp: 1700000000] [Content-Type: a/b]", 409},
		{"PUT /d1/7/a/c/o [X-Timestamp: 1700000001] [Content-Type: a/b] [If-None-Match: *]", 412},
		{"PUT /nodev/7/a/c/o [X-Timestamp: 1700000001] [Content-Type: a/b]", 507},
		{"PUT /d1/7/a/c/o [X-Timestamp: 1700000001]", 400},
		{"PUT /d1/7/a/c/o [X-Timestamp: 1700000001] [Content-Type: a/b] [X-Object-Meta-: "
		 "x]",
			400},
		{"PUT /d1/7/a/c/o [X-Timestamp: 1700000001] [Content-Type: a/b] "
		 "[X-Backend-Obj-Metadata-Footer: yes]",
			400},
	};
	struct fixture *fixture = argument;
	co_expect(fixture, "PUT /d1/7/a/c/o [X-Timestamp: 1700000000] [Content-Type: a/b]", "x", 201);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct exchange exchange;
		co_send(fixture, &exchange, cases[i].line, SLICE_LITERAL("y"), cases[i].status);
		assert_int_equal(exchange.body.pulls, 0);
		exchange_release(&exchange);
	}
}

static void object_server__refuses_before_the_body_is_pulled(void **state)
{
	fixture_run(co_refusals_before_body, *state);
}

static void co_broken_bodies(void *argument)
{
	static const struct {
		int error;
		size_t length;
		int status;
	} cases[] = {{-ETIMEDOUT, 5, 408}, {-ECONNRESET, 5, 499}, {-EPROTO, 5, 400}, {0, 5, 499}, {0, 11, 499},
		{-ECONNRESET, 100000, 499}};
	struct fixture *fixture = argument;
	struct arena *arena = arena_new();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct exchange exchange;
		exchange_init(&exchange, "PUT /d1/7/a/c/broken [X-Timestamp: 1700000000] [Content-Type: a/b]");
		exchange_body(&exchange, pattern(arena, cases[i].length));
		exchange.request.content_length = cases[i].length > 1000 ? 200000 : 10;
		exchange.body.error = cases[i].error;
		co_exchange(fixture, &exchange);
		expect_status(&exchange, "broken body", cases[i].status);
		exchange_release(&exchange);
		co_expect(fixture, "GET /d1/7/a/c/broken", "", 404);
	}
	arena_free(arena);
}

static void object_server__stores_nothing_of_a_broken_body(void **state)
{
	fixture_run(co_broken_bodies, *state);
}

static void co_digest(void *argument)
{
	struct fixture *fixture = argument;
	struct body_digest digest = {.known = true, .md5 = "0123456789abcdef0123456789abcdef"};
	struct exchange exchange;
	exchange_init(&exchange, "PUT /d1/7/a/c/d [X-Timestamp: 1700000000] [Content-Type: a/b]");
	exchange_body(&exchange, SLICE_LITERAL("abc"));
	exchange.request.digest = &digest;
	co_exchange(fixture, &exchange);
	expect_status(&exchange, "PUT", 201);
	expect_header(&exchange, "Etag", "\"0123456789abcdef0123456789abcdef\"");
	exchange_release(&exchange);
}

static void object_server__takes_the_md5_of_a_sender_in_this_process(void **state)
{
	fixture_run(co_digest, *state);
}

/* ---- damage ---- */

/* The first regular file below the folder, or NULL; free it. */
static char *find_file(const char *folder)
{
	DIR *stream = opendir(folder);
	char *found = NULL;
	for (struct dirent *item; stream && !found && (item = readdir(stream));) {
		if (item->d_name[0] == '.')
			continue;
		char *path = xasprintf("%s/%s", folder, item->d_name);
		struct stat info;
		if (lstat(path, &info) == 0 && S_ISREG(info.st_mode)) {
			found = path;
			break;
		}
		found = find_file(path);
		free(path);
	}
	if (stream)
		closedir(stream);
	return found;
}

static char *body_file(const struct fixture *fixture)
{
	char *folder = xasprintf("%s/d1/bodies", fixture->root);
	char *path = find_file(folder);
	free(folder);
	if (!path) {
		folder = xasprintf("%s/d1/incoming", fixture->root);
		path = find_file(folder);
		free(folder);
	}
	assert_non_null(path);
	return path;
}

static void flip_byte(const struct fixture *fixture, off_t offset)
{
	char *path = body_file(fixture);
	int fd = open(path, O_RDWR);
	char byte;
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
	free(path);
}

static void expect_quarantined(const struct fixture *fixture)
{
	char *folder = xasprintf("%s/d1/quarantined", fixture->root);
	char *path = find_file(folder);
	assert_non_null(path);
	free(path);
	free(folder);
}

static void co_rot_in_the_middle(void *argument)
{
	struct fixture *fixture = argument;
	struct arena *arena = arena_new();
	struct slice bytes = pattern(arena, 200000);
	struct exchange exchange;
	co_send(fixture, &exchange, "PUT /d1/7/a/c/rot [X-Timestamp: 1700000000] [Content-Type: a/b]", bytes, 201);
	exchange_release(&exchange);
	flip_byte(fixture, 131072 + 17);
	co_send(fixture, &exchange, "GET /d1/7/a/c/rot", SLICE_NONE, 200);
	assert_int_equal(exchange.error, -EBADMSG);
	assert_true(exchange.received.length <= 131072);
	assert_memory_equal(exchange.received.data, bytes.data, exchange.received.length);
	exchange_release(&exchange);
	expect_quarantined(fixture);
	co_send(fixture, &exchange, "GET /d1/7/a/c/rot", SLICE_NONE, 404);
	expect_header(&exchange, "X-Backend-Timestamp", NULL);
	exchange_release(&exchange);
	/* what was set aside is no obstacle to a good copy */
	co_send(fixture, &exchange, "PUT /d1/7/a/c/rot [X-Timestamp: 1700000000] [Content-Type: a/b]", bytes, 201);
	exchange_release(&exchange);
	co_send(fixture, &exchange, "GET /d1/7/a/c/rot", SLICE_NONE, 200);
	expect_bytes(&exchange, bytes);
	exchange_release(&exchange);
	arena_free(arena);
}

static void object_server__breaks_off_before_rotten_bytes(void **state)
{
	fixture_run(co_rot_in_the_middle, *state);
}

static void co_rot_at_the_start(void *argument)
{
	struct fixture *fixture = argument;
	struct arena *arena = arena_new();
	struct slice bytes = pattern(arena, 200000);
	struct exchange exchange;
	co_send(fixture, &exchange, "PUT /d1/7/a/c/rot [X-Timestamp: 1700000000] [Content-Type: a/b]", bytes, 201);
	exchange_release(&exchange);
	flip_byte(fixture, 0);
	/* a range of sound blocks is fine */
	co_send(fixture, &exchange, "GET /d1/7/a/c/rot [Range: bytes=70000-70009]", SLICE_NONE, 206);
	expect_bytes(&exchange, slice_of(bytes.data + 70000, 10));
	exchange_release(&exchange);
	co_expect(fixture, "HEAD /d1/7/a/c/rot", "", 200);
	co_expect(fixture, "GET /d1/7/a/c/rot", "", 404);
	expect_quarantined(fixture);
	co_expect(fixture, "HEAD /d1/7/a/c/rot", "", 404);
	arena_free(arena);
}

static void object_server__answers_404_when_the_first_block_is_rotten(void **state)
{
	fixture_run(co_rot_at_the_start, *state);
}

static void co_missing_file(void *argument)
{
	struct fixture *fixture = argument;
	struct arena *arena = arena_new();
	struct exchange exchange;
	co_send(fixture, &exchange, "PUT /d1/7/a/c/gone [X-Timestamp: 1700000000] [Content-Type: a/b]",
		pattern(arena, 100000), 201);
	exchange_release(&exchange);
	char *path = body_file(fixture);
	assert_int_equal(unlink(path), 0);
	free(path);
	co_expect(fixture, "GET /d1/7/a/c/gone", "", 404);
	co_expect(fixture, "HEAD /d1/7/a/c/gone", "", 404);
	arena_free(arena);
}

static void object_server__answers_404_when_the_body_is_gone(void **state)
{
	fixture_run(co_missing_file, *state);
}

/* ---- footers ---- */

static const char *md5_text(struct arena *arena, const char *text)
{
	unsigned char md5[16];
	char hex[HASH_PATH_HEX_BYTES];
	assert_true(EVP_Digest(text, strlen(text), md5, NULL, EVP_md5(), NULL));
	hash_hex(md5, hex);
	return arena_strdup(arena, hex);
}

static char *document(struct arena *arena, const char *body, const char *footer, const char *md5)
{
	if (!footer)
		return arena_printf(arena, "--BB\r\nX-Document: object body\r\n\r\n%s\r\n--BB--", body);
	const char *md5_line = md5 ? arena_printf(arena, "Content-MD5: %s\r\n", md5) : "";
	return arena_printf(arena,
		"--BB\r\nX-Document: object body\r\n\r\n%s\r\n--BB\r\nX-Document: object "
		"metadata\r\n%s\r\n%s\r\n--BB--",
		body, md5_line, footer);
}

#define FOOTER_PUT                                                                                                     \
	"PUT /d1/7/a/c/f [X-Timestamp: %d] [Content-Type: a/b] [Transfer-Encoding: chunked] "                          \
	"[X-Backend-Obj-Metadata-Footer: yes] [X-Backend-Obj-Multipart-Mime-Boundary: BB] "                            \
	"[ETag: 00000000000000000000000000000000] [X-Object-Meta-A: head] "                                            \
	"[X-Container-Host: 127.0.0.1:6201] [X-Container-Device: sdc] [X-Container-Partition: 3]"

static void co_footers(void *argument)
{
	static const char right[] = "{\"Etag\": \"5D41402ABC4B2A76B9719D911017C592\", \"X-Object-Meta-A\": \"foot\", "
				    "\"X-Object-Sysmeta-Crypto\": \"c\", \"X-Other\": \"no\", "
				    "\"X-Object-Sysmeta-Container-Update-Override-Etag\": \"shown\"}";
	static const struct {
		const char *footer;
		bool has_md5;
		const char *md5; /* NULL: the right one */
		int status;
	} cases[] = {
		{"{\"Etag\": \"5d41402abc4b2a76b9719d911017c593\"}", true, NULL, 422},
		{right, false, NULL, 400},
		{right, true, "5d41402abc4b2a76b9719d911017c592", 422},
		{"{\"Etag\": ", true, NULL, 400},
		{"[1]", true, NULL, 400},
		{"{\"X-Object-Meta-A\": \"a\\r\\nb\"}", true, NULL, 400},
		{NULL, false, NULL, 400},
		{right, true, NULL, 201},
	};
	struct fixture *fixture = argument;
	struct arena *arena = arena_new();
	for (size_t piece = 1; piece < 200; piece = piece * 3 + 1)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			const char *footer = cases[i].footer;
			const char *md5 = cases[i].md5;
			if (cases[i].has_md5 && !md5)
				md5 = md5_text(arena, footer);
			char *body = document(arena, "hello", footer, md5);
			char *line = arena_printf(arena, FOOTER_PUT, 1700000000 + (int)piece);
			struct exchange exchange;
			exchange_init(&exchange, line);
			exchange_body(&exchange, slice_from(body));
			exchange.body.piece = piece;
			co_exchange(fixture, &exchange);
			expect_status(&exchange, body, cases[i].status);
			if (cases[i].status == 201)
				expect_header(&exchange, "Etag", "\"5d41402abc4b2a76b9719d911017c592\"");
			assert_non_null(exchange.request.continue_headers);
			exchange_release(&exchange);
		}
	struct exchange exchange;
	co_send(fixture, &exchange, "GET /d1/7/a/c/f", SLICE_NONE, 200);
	expect_bytes(&exchange, SLICE_LITERAL("hello"));
	expect_header(&exchange, "X-Object-Meta-A", "foot");
	expect_header(&exchange, "X-Object-Sysmeta-Crypto", "c");
	expect_header(&exchange, "X-Other", NULL);
	exchange_release(&exchange);
	script_expect(0, "X-Etag", "shown");
	arena_free(arena);
}

static void object_server__takes_metadata_from_footers(void **state)
{
	fixture_run(co_footers, *state);
}

/* ---- promises ---- */

#define HOSTS "[X-Container-Host: 127.0.0.1:6201] [X-Container-Device: sdc] [X-Container-Partition: 9] "

static void co_row_updates(void *argument)
{
	struct fixture *fixture = argument;
	co_expect(fixture,
		"PUT /d1/7/a%20a/c/o/o [X-Timestamp: 1700000000.00000] [Content-Type: "
		"t/p;swift_bytes=9] "
		"[X-Trans-Id: tx1] [Host: h] " HOSTS,
		"hello", 201);
	script_expect_path(0, METHOD_PUT, "/sdc/9/a%20a/c/o/o");
	script_expect(0, "X-Timestamp", "1700000000.00000");
	script_expect(0, "X-Size", "5");
	script_expect(0, "X-Etag", "5d41402abc4b2a76b9719d911017c592");
	script_expect(0, "X-Content-Type", "t/p;swift_bytes=9");
	script_expect(0, "X-Backend-Storage-Policy-Index", "0");
	script_expect(0, "X-Trans-Id", "tx1");
	script_expect(0, "Referer", "PUT http://h/d1/7/a%20a/c/o/o");
	co_expect(
		fixture, "POST /d1/7/a%20a/c/o/o [X-Timestamp: 1700000001.00000] [Content-Type: n/n] " HOSTS, "", 202);
	script_expect_path(1, METHOD_PUT, "/sdc/9/a%20a/c/o/o");
	script_expect(1, "X-Timestamp", "1700000000.00000");
	script_expect(1, "X-Content-Type", "n/n;swift_bytes=9");
	script_expect(1, "X-Content-Type-Timestamp", "1700000001.00000");
	script_expect(1, "X-Meta-Timestamp", "1700000001.00000");
	script_expect(1, "X-Size", "5");
	co_expect(fixture, "DELETE /d1/7/a%20a/c/o/o [X-Timestamp: 1700000002.00000] " HOSTS, "", 204);
	script_expect_path(2, METHOD_DELETE, "/sdc/9/a%20a/c/o/o");
	script_expect(2, "X-Timestamp", "1700000002.00000");
	/* a conflict or a tombstone that is not written tells nobody */
	co_expect(fixture, "DELETE /d1/7/a%20a/c/o/o [X-Timestamp: 1700000002.00000] " HOSTS, "", 404);
	assert_int_equal(script.count, 3);
	co_wait_for_promises(fixture, 0);
}

static void object_server__sends_rows_and_forgets_them(void **state)
{
	fixture_run(co_row_updates, *state);
}

static void co_row_failures(void *argument)
{
	struct fixture *fixture = argument;
	script_reset(503);
	co_expect(fixture, "PUT /d1/7/a/c/o [X-Timestamp: 1700000000] [Content-Type: t/p] " HOSTS, "hello", 201);
	co_expect(fixture,
		"PUT /d1/7/a/c/p [X-Timestamp: 1700000000] [Content-Type: t/p] "
		"[X-Container-Partition: 9] "
		"[X-Container-Host: 127.0.0.1:6201,127.0.0.1:1] [X-Container-Device: sdc]",
		"hello", 201);
	assert_int_equal(script.count, 1);
	struct promises_seen seen;
	see_promises(fixture, &seen);
	/* the second named different numbers of hosts and devices: no update, as in Swift */
	assert_int_equal(seen.count, 1);
	assert_true(slice_equal(seen.updates[0].object, SLICE_LITERAL("o")));
	assert_int_equal(seen.updates[0].confirmed.count, 0);
	arena_free(seen.arena);
	/* one of two confirms */
	script_reset(201);
	co_expect(fixture,
		"PUT /d1/7/a/c/q [X-Timestamp: 1700000000] [Content-Type: t/p] "
		"[X-Container-Partition: 9] "
		"[X-Container-Host: 127.0.0.1:6201, 127.0.0.1:1] [X-Container-Device: sdc, sdd]",
		"hello", 201);
	co_sleep_ms(1200);
	see_promises(fixture, &seen);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.updates[1].confirmed.count, 1);
	assert_string_equal(seen.updates[1].confirmed.items[0], "127.0.0.1:6201/sdc");
	arena_free(seen.arena);
}

static void object_server__keeps_promises_that_failed(void **state)
{
	fixture_run(co_row_failures, *state);
}

static void co_slow_row(void *argument)
{
	struct fixture *fixture = argument;
	script_reset(0);
	uint64_t before = loop_now_ms();
	co_expect(fixture, "PUT /d1/7/a/c/o [X-Timestamp: 1700000000] [Content-Type: t/p] " HOSTS, "hello", 201);
	assert_in_range(loop_now_ms() - before, 950, 1900);
	assert_int_equal(object_server_updates(fixture->server), 1);
	assert_int_equal(count_promises(fixture), 1);
	script.release = true;
	co_wait_for_promises(fixture, 0);
}

static void object_server__waits_a_second_for_a_slow_container(void **state)
{
	fixture_run(co_slow_row, *state);
}

static bool allow_none(void *argument, enum backend_service service, const char *ip, int port)
{
	(void)argument;
	(void)service;
	(void)ip;
	(void)port;
	return false;
}

static void co_forged_peer(void *argument)
{
	struct fixture *fixture = argument;
	co_expect(fixture, "PUT /d1/7/a/c/o [X-Timestamp: 1700000000] [Content-Type: t/p] " HOSTS, "hello", 201);
	assert_int_equal(script.count, 0);
	assert_int_equal(count_promises(fixture), 1);
}

static void object_server__does_not_speak_to_forged_peers(void **state)
{
	struct fixture *fixture = *state;
	fixture_end(fixture);
	fixture->options.peer_allowed = allow_none;
	fixture_start(fixture);
	fixture_run(co_forged_peer, fixture);
}

#define QUEUE                                                                                                          \
	"[X-Delete-At-Container: 1795305599] [X-Delete-At-Partition: 54] [X-Delete-At-Host: "                          \
	"127.0.0.1:6201] "                                                                                             \
	"[X-Delete-At-Device: d5] "

static void co_queue(void *argument)
{
	struct fixture *fixture = argument;
	co_expect(fixture,
		"PUT /d1/20/AUTH_test/c1/sess [X-Timestamp: 1795222619.29997] [X-Delete-At: "
		"1795309019] "
		"[Content-Type: text/plain] " QUEUE,
		"hello", 201);
	/* the capture of replicated-object-session.txt */
	assert_int_equal(script.count, 1);
	script_expect_path(0, METHOD_PUT, "/d5/54/.expiring_objects/1795305599/1795309019-AUTH_test/c1/sess");
	script_expect(0, "X-Timestamp", "1795222619.29997");
	script_expect(0, "X-Size", "0");
	script_expect(0, "X-Content-Type", "text/plain;swift_expirer_bytes=5");
	script_expect(0, "X-Etag", "d41d8cd98f00b204e9800998ecf8427e");
	script_expect(0, "X-Content-Type-Timestamp", "1795222619.29997");
	script_expect(0, "X-Backend-Storage-Policy-Index", "0");
	co_wait_for_promises(fixture, 0);
	/* a POST without X-Delete-At drops the expiry: the old entry is to be removed */
	co_expect(fixture, "POST /d1/20/AUTH_test/c1/sess [X-Timestamp: 1795222619.68759]", "", 202);
	struct promises_seen seen;
	see_promises(fixture, &seen);
	assert_int_equal(seen.count, 1);
	const struct object_update *update = &seen.updates[0];
	assert_int_equal(update->operation, UPDATE_DELETE);
	assert_true(slice_equal(update->account, SLICE_LITERAL(".expiring_objects")));
	assert_true(slice_equal(update->object, SLICE_LITERAL("1795309019-AUTH_test/c1/sess")));
	assert_string_equal(headers_get(&update->headers, "X-Timestamp"), "1795222619.68759");
	arena_free(seen.arena);
}

static void object_server__keeps_the_expirer_queue(void **state)
{
	fixture_run(co_queue, *state);
}

static void co_put_expiring(struct fixture *fixture, int object, int timestamp)
{
	char put[128];
	(void)snprintf(put, sizeof(put),
		"PUT /d1/20/a/c/%d [X-Timestamp: %d] [Content-Type: t/p] [X-Delete-At: 1795309019]", object, timestamp);
	co_expect(fixture, put, "x", 201);
}

static void co_queue_removals(void *argument)
{
	struct fixture *fixture = argument;
	for (int i = 0; i < 5; i++)
		co_put_expiring(fixture, i, 1795222600);
	assert_int_equal(count_promises(fixture), 0);
	/* the same time again, by a newer version */
	co_put_expiring(fixture, 0, 1795222601);
	assert_int_equal(count_promises(fixture), 0);
	co_expect(fixture, "PUT /d1/20/a/c/1 [X-Timestamp: 1795222601] [Content-Type: t/p]", "x", 201);
	assert_int_equal(count_promises(fixture), 1);
	co_expect(fixture, "DELETE /d1/20/a/c/2 [X-Timestamp: 1795222601]", "", 204);
	assert_int_equal(count_promises(fixture), 2);
	co_expect(fixture,
		"DELETE /d1/20/a/c/3 [X-Timestamp: 1795222601] "
		"[X-Backend-Clean-Expiring-Object-Queue: no]",
		"", 204);
	co_expect(fixture, "DELETE /d1/20/a/c/4 [X-Timestamp: 1795222601] [X-Backend-Replication: true]", "", 204);
	co_expect(fixture, "DELETE /d1/20/a/c/0 [X-Timestamp: 1795222600]", "", 409);
	assert_int_equal(count_promises(fixture), 2);
}

static void object_server__promises_to_remove_old_queue_entries(void **state)
{
	fixture_run(co_queue_removals, *state);
}

/* ---- metadata ---- */

static void co_metadata(void *argument)
{
	struct fixture *fixture = argument;
	struct exchange exchange;
	co_expect(fixture,
		"PUT /d1/7/a/c/m [X-Timestamp: 1700000000] [Content-Type: t/p] "
		"[x-object-meta-fOO-2b: 1] "
		"[X-Object-Sysmeta-S: s] [X-Object-Meta-Foo-2B: 2] [X-Object-Transient-Sysmeta-T: t] [X-Odd: odd] "
		"[X-Robots-Tag: none] "
		"[X-Backend-Replication-Headers: x-odd x-none] [X-Delete-After: 100]",
		"x", 201);
	co_send(fixture, &exchange, "GET /d1/7/a/c/m [X-Timestamp: 1700000001]", SLICE_NONE, 200);
	expect_header(&exchange, "X-Object-Meta-Foo-2B", "1,2");
	expect_header(&exchange, "X-Object-Transient-Sysmeta-T", "t");
	expect_header(&exchange, "X-Robots-Tag", "none");
	expect_header(&exchange, "X-Delete-At", "1700000100");
	expect_header(&exchange, "X-Delete-After", NULL);
	expect_header(&exchange, "X-Odd", NULL);
	exchange_release(&exchange);
	co_expect(fixture, "GET /d1/7/a/c/m [X-Timestamp: 1700000100]", "", 404);
	co_expect(fixture, "GET /d1/7/a/c/m [X-Timestamp: 1700000099.99999]", "", 200);
	co_expect(fixture,
		"GET /d1/7/a/c/m [X-Timestamp: 1700000001] [If-None-Match: s] "
		"[X-Backend-Etag-Is-At: "
		"X-None, x-object-sysmeta-s]",
		"", 304);
	co_expect(fixture, "POST /d1/7/a/c/m [X-Timestamp: 1700000002] [X-Object-Sysmeta-S: new]", "", 202);
	co_send(fixture, &exchange, "HEAD /d1/7/a/c/m", SLICE_NONE, 200);
	expect_header(&exchange, "X-Object-Sysmeta-S", "s");
	expect_header(&exchange, "X-Object-Transient-Sysmeta-T", NULL);
	expect_header(&exchange, "X-Object-Meta-Foo-2B", NULL);
	expect_header(&exchange, "X-Delete-At", NULL);
	expect_header(&exchange, "Content-Length", "1");
	exchange_release(&exchange);
}

static void object_server__keeps_the_headers_that_swift_keeps(void **state)
{
	fixture_run(co_metadata, *state);
}

/* ---- devices ---- */

static void co_failing_device(void *argument)
{
	struct fixture *fixture = argument;
	struct exchange exchange;
	co_expect(fixture, "PUT /d1/7/a/c/old [X-Timestamp: 1700000000] [Content-Type: t/p]", "x", 201);
	exchange_init(&exchange, "PUT /d1/7/a/c/o [X-Timestamp: 1700000000] [Content-Type: t/p] " HOSTS);
	exchange_body(&exchange, SLICE_LITERAL("hello"));
	exchange.body.failing = device_entry_device(fixture->entry);
	co_exchange(fixture, &exchange);
	expect_status(&exchange, "PUT", 507);
	exchange_release(&exchange);
	assert_int_equal(script.count, 0);
	assert_int_equal(update_board_claims(object_server_board(fixture->server)), 0);
	co_expect(fixture, "GET /d1/7/a/c/old", "", 507);
	co_expect(fixture, "DELETE /d1/7/a/c/old [X-Timestamp: 1700000001]", "", 507);
	assert_int_equal(device_entry_requests(fixture->entry), 0);
}

static void object_server__answers_507_for_a_failed_device(void **state)
{
	fixture_run(co_failing_device, *state);
}

/* ---- several loops ---- */

enum { LOOPS = 3, ROUNDS = 60 };

struct loop_work {
	struct fixture *fixture;
	int index;
	int status; /* the first unexpected one, or 0: assertions are the main thread's */
};

/* `statuses` are those that may come, 0-terminated. */
static void co_count_unexpected(struct loop_work *work, const char *line, struct slice body, const int *statuses)
{
	struct exchange exchange;
	exchange_init(&exchange, line);
	if (exchange.request.method == METHOD_PUT)
		exchange_body(&exchange, body);
	co_exchange(work->fixture, &exchange);
	while (*statuses && *statuses != exchange.reply.status)
		statuses++;
	if (!*statuses || exchange.error)
		work->status = exchange.reply.status;
	exchange_release(&exchange);
}

static void co_work(void *argument)
{
	struct loop_work *work = argument;
	struct arena *arena = arena_new();
	struct slice small = SLICE_LITERAL("hello");
	struct slice large = pattern(arena, 70000);
	for (int i = 0; i < ROUNDS; i++) {
		const char *own = arena_printf(arena, "/d1/7/a/c/own-%d", work->index);
		int time = 1700000000 + i;
		struct slice body = i % 4 ? small : large;
		co_count_unexpected(work,
			arena_printf(arena,
				"PUT %s [X-Timestamp: %d] [Content-Type: t/p] [X-Container-Host: "
				"127.0.0.1:1] [X-Container-Device: sda] [X-Container-Partition: 9]",
				own, time),
			body, (int[]){201, 0});
		co_count_unexpected(work, arena_printf(arena, "GET %s", own), small, (int[]){200, 0});
		co_count_unexpected(
			work, arena_printf(arena, "POST %s [X-Timestamp: %d.5]", own, time), small, (int[]){202, 0});
		co_count_unexpected(work,
			arena_printf(arena, "PUT /d1/7/a/c/shared [X-Timestamp: %d] [Content-Type: t/p]", time), body,
			(int[]){201, 409, 0});
		co_count_unexpected(work, "GET /d1/7/a/c/shared", small, (int[]){200, 404, 0});
		co_count_unexpected(work, arena_printf(arena, "DELETE /d1/7/a/c/shared [X-Timestamp: %d.1]", time),
			small, (int[]){204, 404, 409, 0});
	}
	arena_free(arena);
}

static void *loop_thread(void *argument)
{
	fixture_run(co_work, argument);
	return NULL;
}

static void object_server__serves_several_loops(void **state)
{
	struct loop_work works[LOOPS];
	pthread_t threads[LOOPS];
	for (int i = 0; i < LOOPS; i++) {
		works[i] = (struct loop_work){.fixture = *state, .index = i};
		assert_int_equal(pthread_create(&threads[i], NULL, loop_thread, &works[i]), 0);
	}
	for (int i = 0; i < LOOPS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(works[i].status, 0);
	}
}

int main(void)
{
	backend_register_local(BACKEND_CONTAINER, "127.0.0.1", FIXTURE_CONTAINER_PORT, co_script_handle, NULL);
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(object_server__answers_as_captured),
		TEST(object_server__keeps_bodies_of_all_sizes),
		TEST(object_server__reads_ranges_of_files),
		TEST(object_server__refuses_before_the_body_is_pulled),
		TEST(object_server__stores_nothing_of_a_broken_body),
		TEST(object_server__takes_the_md5_of_a_sender_in_this_process),
		TEST(object_server__breaks_off_before_rotten_bytes),
		TEST(object_server__answers_404_when_the_first_block_is_rotten),
		TEST(object_server__answers_404_when_the_body_is_gone),
		TEST(object_server__takes_metadata_from_footers),
		TEST(object_server__sends_rows_and_forgets_them),
		TEST(object_server__keeps_promises_that_failed),
		TEST(object_server__waits_a_second_for_a_slow_container),
		TEST(object_server__does_not_speak_to_forged_peers),
		TEST(object_server__keeps_the_expirer_queue),
		TEST(object_server__promises_to_remove_old_queue_entries),
		TEST(object_server__keeps_the_headers_that_swift_keeps),
		TEST(object_server__answers_507_for_a_failed_device),
		TEST(object_server__serves_several_loops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
