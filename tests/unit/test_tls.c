#include "lib/co/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <signal.h>

#include "lib/base/memory.h"
#include "tests/unit/tls_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

enum { BIG_BYTES = 3000000 };

/* ---- the server ---- */

static void handle(void *context, struct request *request, struct reply *reply)
{
	(void)context;
	struct slice bytes = SLICE_NONE;
	if (slice_equal(request->path, SLICE_LITERAL("/echo")) && request->body) {
		if (co_body_read_all(request->body, request->arena, BIG_BYTES, &bytes)) {
			reply_status(reply, 400);
			return;
		}
		reply_empty(reply, 200);
		reply->text = bytes;
	} else if (slice_equal(request->path, SLICE_LITERAL("/big"))) {
		char *text = arena_zalloc(request->arena, BIG_BYTES + 1);
		memset(text, 'b', BIG_BYTES);
		reply_text(reply, 200, "text/plain", text);
	} else {
		reply_text(reply, 200, "text/plain",
			arena_printf(request->arena, "%s from %s.", request->tls ? "tls" : "plain",
				request->remote_address));
	}
}

static char folder[] = "/tmp/swiftlet-test-tls-XXXXXX";
static struct test_pair first, second;
static struct tls_context *context;
static struct http_door door;
static struct ip_network balancer;
static struct server_thread server;

static void open_context(bool only_1_3)
{
	struct tls_pair pairs[] = {{first.certificate, first.key}, {second.certificate, second.key}};
	struct tls_options options = {.pairs = pairs, .pair_count = 2, .only_1_3 = only_1_3};
	char *error = NULL;
	if (tls_context_new(&options, &context, &error))
		fail_msg("%s", error);
	door = (struct http_door){.tls = context};
}

static void start_server(void)
{
	struct http_server_options options = server_thread_options(handle, NULL);
	options.client_timeout_ms = 1000;
	server_thread_start_behind(&server, &options, &door);
}

static int start(void **state)
{
	(void)state;
	test_pair_write(&first, "first.example");
	test_pair_write(&second, "*.second.example");
	open_context(false);
	start_server();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_thread_stop(&server);
	tls_context_free(context);
	return 0;
}

/* Waits until that many connections are left. */
static struct server_load wait_for_connections(size_t connections)
{
	struct server_load load = {0, 0};
	for (int i = 0; i < 500; i++) {
		load = server_thread_load(&server);
		if (load.connections == connections && load.coroutines == 0)
			break;
		usleep(10000);
	}
	assert_int_equal(load.connections, connections);
	return load;
}

static const struct tls_client_options anything = {0};

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* ---- what goes well ---- */

static void tls__serves(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct tls_client client;
		struct tls_client_options options = {.version = versions[i], .protocols = "\x02h2\x08http/1.1"};
		assert_true(tls_client_connect(&client, server.port, &options));
		const unsigned char *protocol;
		unsigned length;
		SSL_get0_alpn_selected(client.ssl, &protocol, &length);
		assert_int_equal(length, 8);
		assert_memory_equal(protocol, "http/1.1", 8);
		for (int request = 0; request < 3; request++) {
			/* an idle connection has no coroutine */
			assert_int_equal(wait_for_connections(1).coroutines, 0);
			tls_client_send(&client, GET("/"));
			assert_non_null(strstr(tls_client_read_until(&client, "."), "tls from 127.0.0.1"));
		}
		tls_client_send(&client, GET("/") GET("/"));
		tls_client_read_until(&client, ".");
		/* a clean end on both sides */
		assert_int_equal(SSL_shutdown(client.ssl), 0);
		char text[4096];
		int count;
		while ((count = SSL_read(client.ssl, text, sizeof(text))) > 0)
			continue;
		assert_int_equal(SSL_get_error(client.ssl, count), SSL_ERROR_ZERO_RETURN);
		tls_client_close(&client);
		wait_for_connections(0);
	}
}

static void send_big(struct tls_client *client, const char *body)
{
	tls_client_send(client, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
	for (size_t sent = 0; sent < BIG_BYTES; sent += 100000)
		assert_int_equal(SSL_write(client->ssl, body + sent, 100000), 100000);
}

static void check_big(struct tls_client *client, const char *body)
{
	static char text[BIG_BYTES + 1000];
	size_t length = 0, head = 0;
	while (!head || length < head + BIG_BYTES) {
		int count = SSL_read(client->ssl, text + length, (int)(sizeof(text) - 1 - length));
		assert_true(count > 0);
		length += (size_t)count;
		text[length] = '\0';
		const char *end = head ? NULL : strstr(text, "\r\n\r\n");
		if (end)
			head = (size_t)(end + 4 - text);
	}
	assert_int_equal(length, head + BIG_BYTES);
	assert_memory_equal(text + head, body, BIG_BYTES);
}

/* More than any buffer holds, both ways. */
static void tls__large_bodies(void **state)
{
	(void)state;
	char *body = malloc(BIG_BYTES);
	for (size_t i = 0; i < BIG_BYTES; i++)
		body[i] = (char)(i % 251);
	for (size_t i = 0; i < 2; i++) {
		struct tls_client client;
		struct tls_client_options options = {.version = versions[i]};
		assert_true(tls_client_connect(&client, server.port, &options));
		for (int round = 0; round < 2; round++) {
			send_big(&client, body);
			check_big(&client, body);
		}
		tls_client_close(&client);
	}
	free(body);
}

static void move_bytes(struct tls_client *client, BIO *to_server)
{
	char *data;
	long length = BIO_get_mem_data(to_server, &data);
	raw_write(&client->raw, data, (size_t)length);
	(void)BIO_reset(to_server);
}

/* Up to the client's last flight, which stays in the BIO: what follows can go with it. */
static BIO *shake_hands_in_memory(struct tls_client *client, int version)
{
	struct tls_client_options options = {.version = version};
	tls_client_open(client, server.port, &options);
	BIO *from_server = BIO_new(BIO_s_mem());
	BIO *to_server = BIO_new(BIO_s_mem());
	SSL_set_bio(client->ssl, from_server, to_server);
	while (SSL_connect(client->ssl) != 1) {
		move_bytes(client, to_server);
		char data[8192];
		ssize_t count = recv(client->raw.fd, data, sizeof(data), 0);
		assert_true(count > 0);
		assert_int_equal(BIO_write(from_server, data, (int)count), count);
	}
	return to_server;
}

static void check_answer(struct tls_client *client)
{
	SSL_set_fd(client->ssl, client->raw.fd);
	assert_non_null(strstr(tls_client_read_until(client, "."), "tls from"));
	tls_client_close(client);
}

/* The request rides with the end of the handshake, or everything comes byte by byte. */
static void tls__records_in_odd_pieces(void **state)
{
	(void)state;
	struct tls_client client;
	BIO *to_server = shake_hands_in_memory(&client, TLS1_3_VERSION);
	tls_client_send(&client, GET("/"));
	move_bytes(&client, to_server);
	check_answer(&client);

	for (size_t i = 0; i < 2; i++) {
		to_server = shake_hands_in_memory(&client, versions[i]);
		if (versions[i] == TLS1_3_VERSION)
			tls_client_send(&client, GET("/"));
		char *data;
		long length = BIO_get_mem_data(to_server, &data);
		for (long at = 0; at < length; at++) {
			raw_write(&client.raw, data + at, 1);
			usleep(at % 32 ? 0 : 1000);
		}
		(void)BIO_reset(to_server);
		if (versions[i] == TLS1_2_VERSION) {
			SSL_set_fd(client.ssl, client.raw.fd);
			tls_client_send(&client, GET("/"));
		}
		check_answer(&client);
	}
	/* half a record and silence costs no coroutine */
	to_server = shake_hands_in_memory(&client, TLS1_3_VERSION);
	tls_client_send(&client, GET("/"));
	char *data;
	long length = BIO_get_mem_data(to_server, &data);
	raw_write(&client.raw, data, (size_t)length - 10);
	usleep(50000);
	assert_int_equal(wait_for_connections(1).coroutines, 0);
	tls_client_close(&client);
}

static void tls__resumes(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct tls_client client;
		struct tls_client_options options = {.version = versions[i]};
		assert_true(tls_client_connect(&client, server.port, &options));
		tls_client_send(&client, GET("/"));
		tls_client_read_until(&client, ".");
		SSL_SESSION *session = SSL_get1_session(client.ssl);
		SSL_shutdown(client.ssl);
		tls_client_close(&client);
		/* tickets outlive a change of certificates */
		char *error;
		assert_int_equal(tls_context_reload(context, &error), 0);
		options.session = session;
		assert_true(tls_client_connect(&client, server.port, &options));
		assert_true(SSL_session_reused(client.ssl));
		tls_client_send(&client, GET("/"));
		tls_client_read_until(&client, ".");
		tls_client_close(&client);
		SSL_SESSION_free(session);
	}
}

/* ---- certificates ---- */

static void check_shown(const char *asked, const char *shown)
{
	struct tls_client client;
	struct tls_client_options options = {.server_name = asked};
	assert_true(tls_client_connect(&client, server.port, &options));
	tls_client_check_host(&client, shown);
	tls_client_close(&client);
}

static void tls__chooses_certificates(void **state)
{
	(void)state;
	check_shown("first.example", "first.example");
	check_shown("a.second.example", "a.second.example");
	check_shown("A.SECOND.example", "a.second.example");
	check_shown("a.b.second.example", "first.example");
	check_shown("unknown.example", "first.example");
	check_shown(NULL, "first.example");
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void expect_reload_to_fail(const char *words)
{
	_cleanup_free_ char *error = NULL;
	assert_true(tls_context_is_stale(context));
	assert_int_equal(tls_context_reload(context, &error), -EINVAL);
	if (!strstr(error, words))
		fail_msg("'%s' is not in '%s'", words, error);
	assert_false(tls_context_is_stale(context));
}

static void tls__reloads(void **state)
{
	(void)state;
	struct tls_client old;
	assert_true(tls_client_connect(&old, server.port, &anything));
	tls_client_check_host(&old, "first.example");
	assert_false(tls_context_is_stale(context));
	char *error = NULL;
	test_pair_write(&first, "third.example");
	assert_true(tls_context_is_stale(context));
	assert_int_equal(tls_context_reload(context, &error), 0);
	assert_false(tls_context_is_stale(context));
	check_shown("third.example", "third.example");
	check_shown("a.second.example", "a.second.example");
	/* what is broken changes nothing */
	struct test_pair other = test_pair_at(folder, "other");
	test_pair_write(&other, "other.example");
	assert_int_equal(rename(other.key, first.key), 0);
	expect_reload_to_fail(first.key);
	write_text(first.certificate, "-----BEGIN CERTIFICATE-----\nnonsense\n");
	expect_reload_to_fail(first.certificate);
	assert_int_equal(unlink(first.certificate), 0);
	expect_reload_to_fail("No such file");
	write_text(first.certificate, "");
	expect_reload_to_fail(first.certificate);
	check_shown("third.example", "third.example");
	/* and the connection that was there before all this goes on */
	tls_client_send(&old, GET("/"));
	tls_client_read_until(&old, ".");
	tls_client_close(&old);
}

static void tls__context_errors(void **state)
{
	(void)state;
	struct tls_pair pairs[] = {{second.certificate, second.key}, {second.certificate, "/nowhere.key"}};
	struct tls_options options = {.pairs = pairs, .pair_count = 2};
	struct tls_context *none = NULL;
	char *error;
	assert_int_equal(tls_context_new(&options, &none, &error), -EINVAL);
	assert_string_equal(error, "/nowhere.key: no key of that certificate could be read: No such file or directory");
	free(error);
	/* a key with a passphrase is an error, not a question at the terminal */
	struct test_pair locked = test_pair_at(folder, "locked");
	EVP_PKEY *key = EVP_EC_gen("P-256");
	FILE *file = fopen(locked.key, "we");
	char word[] = "secret";
	assert_true(PEM_write_PKCS8PrivateKey(file, key, EVP_aes_128_cbc(), word, 6, NULL, NULL));
	fclose(file);
	EVP_PKEY_free(key);
	pairs[1].key = locked.key;
	assert_int_equal(tls_context_new(&options, &none, &error), -EINVAL);
	free(error);
	assert_null(none);
	tls_context_free(NULL);
}

/* ---- what is refused ---- */

static void tls__refuses_old_versions(void **state)
{
	(void)state;
	struct tls_client client;
	for (int version = TLS1_VERSION; version < TLS1_2_VERSION; version++) {
		struct tls_client_options options = {.version = version};
		assert_false(tls_client_connect(&client, server.port, &options));
		assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
		tls_client_close(&client);
	}
	stop(NULL);
	open_context(true);
	start_server();
	struct tls_client_options options = {.version = TLS1_2_VERSION};
	assert_false(tls_client_connect(&client, server.port, &options));
	tls_client_close(&client);
	options.version = TLS1_3_VERSION;
	assert_true(tls_client_connect(&client, server.port, &options));
	tls_client_close(&client);
}

static void tls__refuses_other_protocols(void **state)
{
	(void)state;
	struct tls_client client;
	struct tls_client_options options = {.protocols = "\x02h2"};
	assert_false(tls_client_connect(&client, server.port, &options));
	assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
	tls_client_close(&client);
	/* HTTP where TLS is spoken, and what nobody speaks */
	static const char *const nonsense[] = {
		GET("/"), "\x16\x03\x01\x02\x05nonsense", "\x80\x2e\x01\x03\x01", "x\r\n"};
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		struct raw_client raw;
		raw_connect(&raw, server.port);
		raw_send(&raw, nonsense[i]);
		while (raw_more(&raw))
			continue;
		assert_null(raw.input.data && strstr(raw.input.data, "HTTP/1.1") ? "an answer in plain text" : NULL);
		raw_close(&raw);
	}
	wait_for_connections(0);
}

/* A ClientHello with a server name of that many bytes. */
static size_t make_hello(unsigned char *hello, size_t name)
{
	static const unsigned char start[] = {0x16, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3};
	static const unsigned char suites[] = {0, 0, 2, 0xc0, 0x2b, 1, 0};
	size_t at = 0;
	memcpy(hello, start, sizeof(start));
	at = sizeof(start) + 32;
	memcpy(hello + at, suites, sizeof(suites));
	at += sizeof(suites);
	size_t lengths[] = {name + 9, 0, name + 5, name + 3};
	for (size_t i = 0; i < 4; i++) {
		hello[at++] = (unsigned char)(lengths[i] >> 8);
		hello[at++] = (unsigned char)lengths[i];
	}
	hello[at++] = 0;
	hello[at++] = (unsigned char)(name >> 8);
	hello[at++] = (unsigned char)name;
	memset(hello + at, 'n', name);
	at += name;
	hello[3] = (unsigned char)((at - 5) >> 8);
	hello[4] = (unsigned char)(at - 5);
	hello[7] = (unsigned char)((at - 9) >> 8);
	hello[8] = (unsigned char)(at - 9);
	return at;
}

static void tls__refuses_long_names(void **state)
{
	(void)state;
	static const size_t names[] = {256, 300, 16000};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		static unsigned char hello[20000];
		memset(hello, 0, sizeof(hello));
		struct raw_client raw;
		raw_connect(&raw, server.port);
		raw_write(&raw, hello, make_hello(hello, names[i]));
		while (raw_more(&raw))
			continue;
		/* an alert: fatal */
		assert_true(raw.input.length >= 7);
		assert_int_equal(raw.input.data[0], 0x15);
		assert_int_equal(raw.input.data[5], 2);
		raw_close(&raw);
	}
}

static void tls__refuses_renegotiation(void **state)
{
	(void)state;
	struct tls_client client;
	struct tls_client_options options = {.version = TLS1_2_VERSION};
	assert_true(tls_client_connect(&client, server.port, &options));
	assert_int_equal(SSL_renegotiate(client.ssl), 1);
	int result = SSL_do_handshake(client.ssl);
	assert_true(result != 1 || SSL_renegotiate_pending(client.ssl));
	tls_client_close(&client);
}

/* ---- who is slow ---- */

static void tls__handshakes_end_in_time(void **state)
{
	(void)state;
	struct raw_client silent, halfway;
	static unsigned char hello[1000];
	raw_connect(&silent, server.port);
	raw_connect(&halfway, server.port);
	raw_write(&halfway, hello, make_hello(hello, 10) - 1);
	wait_for_connections(2);
	/* within handshake_timeout_ms */
	assert_false(raw_more(&silent));
	assert_false(raw_more(&halfway));
	raw_close(&silent);
	raw_close(&halfway);
	assert_int_equal(server_thread_load(&server).connections, 0);
}

/* A crowd that says nothing, or half of something, keeps nobody out. */
static void tls__a_crowd_keeps_nobody_out(void **state)
{
	(void)state;
	enum { CROWD = ENTRANTS_MAX + 300 };
	static struct raw_client crowd[CROWD];
	static unsigned char hello[1000];
	size_t length = make_hello(hello, 10) - 1;
	for (size_t i = 0; i < CROWD; i++) {
		raw_connect(&crowd[i], server.port);
		if (i % 2)
			raw_write(&crowd[i], hello, length);
	}
	struct tls_client client;
	assert_true(tls_client_connect(&client, server.port, &anything));
	tls_client_send(&client, GET("/"));
	tls_client_read_until(&client, ".");
	struct server_load load = server_thread_load(&server);
	assert_in_range(load.connections, 1, ENTRANTS_MAX + 1);
	assert_in_range(load.coroutines, 0, 1);
	wait_for_connections(1);
	for (size_t i = 0; i < CROWD; i++)
		raw_close(&crowd[i]);
	tls_client_send(&client, GET("/"));
	tls_client_read_until(&client, ".");
	tls_client_close(&client);
}

/* Who does not read what was asked for is given up, in the middle of a record. */
static void tls__stuck_writes_end_in_time(void **state)
{
	(void)state;
	struct tls_client client;
	assert_true(tls_client_connect(&client, server.port, &anything));
	for (int i = 0; i < 5; i++)
		tls_client_send(&client, GET("/big"));
	usleep(100000);
	wait_for_connections(0);
	char text[4096];
	int count;
	while ((count = SSL_read(client.ssl, text, sizeof(text))) > 0)
		continue;
	/* no clean end */
	assert_int_not_equal(SSL_get_error(client.ssl, count), SSL_ERROR_ZERO_RETURN);
	tls_client_close(&client);
}

static void tls__behind_a_balancer(void **state)
{
	(void)state;
	assert_int_equal(ip_network_parse("127.0.0.0/8", &balancer), 0);
	stop(NULL);
	open_context(false);
	door.balancers = &balancer;
	door.balancer_count = 1;
	start_server();
	struct tls_client client;
	struct tls_client_options options = {.preface = "PROXY TCP4 192.0.2.1 192.0.2.2 1 8443\r\n"};
	assert_true(tls_client_connect(&client, server.port, &options));
	tls_client_send(&client, GET("/"));
	assert_non_null(strstr(tls_client_read_until(&client, "."), "tls from 192.0.2.1"));
	tls_client_close(&client);
	/* without a header, or with a broken one, there is no handshake */
	assert_false(tls_client_connect(&client, server.port, &anything));
	tls_client_close(&client);
	options.preface = "PROXY nonsense\r\n";
	assert_false(tls_client_connect(&client, server.port, &options));
	tls_client_close(&client);
}

static int make_folder(void **state)
{
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_non_null(mkdtemp(folder));
	first = test_pair_at(folder, "first");
	second = test_pair_at(folder, "second");
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	_cleanup_free_ char *command = xasprintf("rm -r %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tls__serves, start, stop),
		cmocka_unit_test_setup_teardown(tls__large_bodies, start, stop),
		cmocka_unit_test_setup_teardown(tls__records_in_odd_pieces, start, stop),
		cmocka_unit_test_setup_teardown(tls__resumes, start, stop),
		cmocka_unit_test_setup_teardown(tls__chooses_certificates, start, stop),
		cmocka_unit_test_setup_teardown(tls__reloads, start, stop),
		cmocka_unit_test_setup_teardown(tls__context_errors, start, stop),
		cmocka_unit_test_setup_teardown(tls__refuses_old_versions, start, stop),
		cmocka_unit_test_setup_teardown(tls__refuses_other_protocols, start, stop),
		cmocka_unit_test_setup_teardown(tls__refuses_long_names, start, stop),
		cmocka_unit_test_setup_teardown(tls__refuses_renegotiation, start, stop),
		cmocka_unit_test_setup_teardown(tls__handshakes_end_in_time, start, stop),
		cmocka_unit_test_setup_teardown(tls__a_crowd_keeps_nobody_out, start, stop),
		cmocka_unit_test_setup_teardown(tls__stuck_writes_end_in_time, start, stop),
		cmocka_unit_test_setup_teardown(tls__behind_a_balancer, start, stop),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
