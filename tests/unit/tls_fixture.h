/*
 * For tests of TLS: certificates in a directory of their own, and a client by OpenSSL on a blocking socket. Included by
 * one test program each.
 */
#ifndef TESTS_UNIT_TLS_FIXTURE_H
#define TESTS_UNIT_TLS_FIXTURE_H

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/http_fixture.h"

/* ---- certificates ---- */

struct test_pair {
	char certificate[64];
	char key[64];
};

static inline struct test_pair test_pair_at(const char *folder, const char *name)
{
	struct test_pair pair;
	snprintf(pair.certificate, sizeof(pair.certificate), "%s/%s.crt", folder, name);
	snprintf(pair.key, sizeof(pair.key), "%s/%s.key", folder, name);
	return pair;
}

static inline X509 *test_certificate(EVP_PKEY *key, const char *host)
{
	static long serial;
	X509 *certificate = X509_new();
	assert_true(X509_set_version(certificate, 2));
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	X509_NAME *name = X509_get_subject_name(certificate);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)host, -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	char names[300];
	snprintf(names, sizeof(names), "DNS:%s", host);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	return certificate;
}

/* A new key, and a certificate for it that is good for `host`. */
static inline void test_pair_write(const struct test_pair *pair, const char *host)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = test_certificate(key, host);
	FILE *file = fopen(pair->certificate, "we");
	assert_non_null(file);
	assert_true(PEM_write_X509(file, certificate));
	assert_int_equal(fclose(file), 0);
	file = fopen(pair->key, "we");
	assert_non_null(file);
	assert_true(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
	assert_int_equal(fclose(file), 0);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

/* ---- a client ---- */

struct tls_client {
	struct raw_client raw;
	SSL_CTX *context;
	SSL *ssl;
};

struct tls_client_options {
	const char *server_name; /* NULL: none */
	int version;             /* the only one; 0: any */
	const char *protocols;   /* for ALPN, each with its length before it; NULL: none */
	SSL_SESSION *session;    /* to resume; NULL: none */
	const char *preface;     /* sent before the handshake; NULL: nothing */
};

/* Connected, before the handshake. */
static inline void tls_client_open(struct tls_client *client, int port, const struct tls_client_options *options)
{
	*client = (struct tls_client){.context = SSL_CTX_new(TLS_client_method())};
	SSL_CTX_set_cipher_list(client->context, "ALL:@SECLEVEL=0");
	SSL_CTX_set_min_proto_version(client->context, options->version ? options->version : TLS1_VERSION);
	SSL_CTX_set_max_proto_version(client->context, options->version);
	client->ssl = SSL_new(client->context);
	if (options->server_name)
		SSL_set_tlsext_host_name(client->ssl, options->server_name);
	if (options->protocols)
		SSL_set_alpn_protos(
			client->ssl, (const unsigned char *)options->protocols, (unsigned)strlen(options->protocols));
	if (options->session)
		SSL_set_session(client->ssl, options->session);
	raw_connect(&client->raw, port);
	if (options->preface)
		raw_send(&client->raw, options->preface);
	SSL_set_fd(client->ssl, client->raw.fd);
}

/* With the handshake; false when it fails. */
static inline bool tls_client_connect(struct tls_client *client, int port, const struct tls_client_options *options)
{
	tls_client_open(client, port, options);
	ERR_clear_error();
	return SSL_connect(client->ssl) == 1;
}

static inline void tls_client_close(struct tls_client *client)
{
	SSL_free(client->ssl);
	SSL_CTX_free(client->context);
	raw_close(&client->raw);
}

static inline void tls_client_send(struct tls_client *client, const char *text)
{
	assert_int_equal(SSL_write(client->ssl, text, (int)strlen(text)), strlen(text));
}

/* Reads until the text of the answers so far ends so; what was read, which lives until the next call. */
static inline const char *tls_client_read_until(struct tls_client *client, const char *end)
{
	static char text[4096];
	size_t length = 0;
	text[0] = '\0';
	while (!strstr(text, end)) {
		int count = SSL_read(client->ssl, text + length, (int)(sizeof(text) - 1 - length));
		if (count <= 0)
			fail_msg(
				"the end (%d) before '%s'; so far: '%s'", SSL_get_error(client->ssl, count), end, text);
		length += (size_t)count;
		text[length] = '\0';
	}
	return text;
}

/* The name in the certificate that the server showed. */
static inline void tls_client_check_host(struct tls_client *client, const char *host)
{
	X509 *certificate = SSL_get1_peer_certificate(client->ssl);
	assert_non_null(certificate);
	if (X509_check_host(certificate, host, 0, 0, NULL) != 1)
		fail_msg("the certificate is not that of %s", host);
	X509_free(certificate);
}

#endif
