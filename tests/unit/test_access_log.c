#include "lib/http/access_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct access_entry full = {
	.server = "proxy-server",
	.transaction_id = "tx1",
	.client_ip = "192.0.2.1",
	.remote_address = "10.0.0.1",
	.method = "PUT",
	.path = "/v1/a/c/o?temp_url_sig=0123456789abcdefXYZ&x=\"",
	.referer = "http://x/?Signature=0123456789abcdefXYZ",
	.user_agent = "agent 1",
	.token = "AUTH_tk0123456789abcdef",
	.etag = "e",
	.user = "a:b",
	.policy = "0",
	.status = 201,
	.bytes_received = 5,
	.start = {1000000000, 0},
	.end = {1000000001, 500000000},
	.first_byte_seconds = 0.25,
};

static void assert_formats(const struct access_entry *entry, const char *wanted)
{
	struct buf line = BUF_INIT;
	access_log_format(entry, &line);
	assert_string_equal(line.data, wanted);
	buf_release(&line);
}

static void use(bool json, size_t reveal_bytes)
{
	struct access_options options = {.json = json, .reveal_bytes = reveal_bytes};
	access_log_set(&options);
}

static void access_log__text(void **state)
{
	(void)state;
	use(false, 16);
	assert_formats(&full,
		"192.0.2.1 10.0.0.1 09/Sep/2001/01/46/41 PUT "
		"/v1/a/c/o%3Ftemp_url_sig%3D0123456789abcdef...%26x%3D%22 HTTP/1.1 201 "
		"http://x/%3FSignature%3D0123456789abcdef... agent%201 AUTH_tk012345678... 5 - e tx1 - 1.5000 - a:b "
		"1000000000.000000000 1000000001.500000000 0");
	struct access_entry server = full;
	server.server = "object-server";
	server.path = "/sda/1/a/c/o";
	server.referer = NULL;
	server.bytes_sent = 7;
	struct buf line = BUF_INIT;
	access_log_format(&server, &line);
	static const char begin[] =
		"object-server: 10.0.0.1 - - [09/Sep/2001:01:46:41 +0000] \"PUT /sda/1/a/c/o\" 201 7 "
		"\"-\" \"tx1\" \"agent%201\" 1.5000 \"-\" ";
	assert_int_equal(strncmp(line.data, begin, strlen(begin)), 0);
	buf_release(&line);
}

static void access_log__json(void **state)
{
	(void)state;
	use(true, 4);
	assert_formats(&full,
		"{\"time\":\"2001-09-09T01:46:41.500000Z\",\"server\":\"proxy-server\",\"transaction_id\":\"tx1\","
		"\"client_ip\":\"192.0.2.1\",\"remote_address\":\"10.0.0.1\",\"method\":\"PUT\","
		"\"path\":\"/v1/a/c/o?temp_url_sig=0123...&x=\\\"\",\"referer\":\"http://x/?Signature=0123...\","
		"\"token\":\"AUTH...\",\"protocol\":\"HTTP/1.1\",\"status\":201,\"bytes_received\":5,\"bytes_sent\":0,"
		"\"duration\":1.500000,\"first_byte\":0.250000,\"user_agent\":\"agent 1\",\"etag\":\"e\","
		"\"user\":\"a:b\",\"policy\":\"0\"}");
	struct access_entry odd = {.server = "x",
		.user_agent = "\xff\xc3\xbc",
		.path = "\xc3\xbc\x01",
		.first_byte_seconds = -1,
		.http_1_0 = true};
	assert_formats(&odd,
		"{\"time\":\"1970-01-01T00:00:00.000000Z\",\"server\":\"x\",\"path\":\"\xc3\xbc\\u0001\","
		"\"protocol\":\"HTTP/1.0\",\"status\":0,\"bytes_received\":0,\"bytes_sent\":0,\"duration\":0.000000,"
		"\"user_agent\":\"%FF%C3%BC\"}");
}

/* Secrets in all places where a query may have them. */
static void access_log__secrets(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		const char *shown;
	} cases[] = {
		{"/a?temp_url_sig=abcdefgh", "/a%3Ftemp_url_sig%3Dabcd..."},
		{"/a?temp_url_sig=abcd", "/a%3Ftemp_url_sig%3Dabcd"},
		{"/a?temp_url_sig=&b=1", "/a%3Ftemp_url_sig%3D%26b%3D1"},
		{"/a?b=1&TEMP_URL_SIG=abcdefgh;c", "/a%3Fb%3D1%26TEMP_URL_SIG%3Dabcd...%3Bc"},
		{"/a?X-Amz-Signature=abcdefgh&X-Amz-Security-Token=abcdefgh",
			"/a%3FX-Amz-Signature%3Dabcd...%26X-Amz-Security-Token%3Dabcd..."},
		{"/a?temp_url_sigs=abcdefgh&signature", "/a%3Ftemp_url_sigs%3Dabcdefgh%26signature"},
		{"/temp_url_sig=abcdefgh", "/temp_url_sig%3Dabcdefgh"},
		{"/a?", "/a%3F"},
		{"/a?=abcdefgh&&", "/a%3F%3Dabcdefgh%26%26"},
		{"", "-"},
	};
	use(false, 4);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct access_entry entry = {.server = "proxy-server", .path = cases[i].path, .method = "GET"};
		char wanted[300];
		(void)snprintf(wanted, sizeof(wanted), " GET %s HTTP/1.1 ", cases[i].shown);
		struct buf line = BUF_INIT;
		access_log_format(&entry, &line);
		if (!strstr(line.data, wanted))
			fail_msg("%s: %s is not in %s", cases[i].path, wanted, line.data);
		buf_release(&line);
	}
}

/* However long the texts are, the line keeps its end and stays below what the log takes. */
static void access_log__long_texts(void **state)
{
	(void)state;
	char text[20000];
	memset(text, '"', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	struct access_entry entry = full;
	entry.client_ip = entry.path = entry.referer = entry.user_agent = entry.token = entry.etag = text;
	entry.user = entry.source = entry.transaction_id = text;
	for (int json = 0; json <= 1; json++) {
		use(json, sizeof(text));
		struct buf line = BUF_INIT;
		access_log_format(&entry, &line);
		assert_true(line.length < 3500);
		const char *end = json ? "\"policy\":\"0\"}" : "1000000001.500000000 0";
		assert_string_equal(line.data + line.length - strlen(end), end);
		buf_release(&line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(access_log__text),
		cmocka_unit_test(access_log__json),
		cmocka_unit_test(access_log__secrets),
		cmocka_unit_test(access_log__long_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
