#include "lib/swift/hash_path.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key; /* frees a thread's context when the thread ends */
static EVP_MD *md5;
static __thread EVP_MD_CTX *context;

static void context_free(void *pointer)
{
	EVP_MD_CTX_free(pointer);
	context = NULL;
}

static void require(bool condition)
{
	if (condition)
		return;
	fputs("swiftlet: OpenSSL has no working MD5, which Swift's name hash needs\n", stderr);
	abort();
}

static void initialize(void)
{
	/* Not for security: the secret prefix and suffix only keep clients from aiming at one
	 * partition. */
	md5 = EVP_MD_fetch(NULL, "MD5", "-fips");
	require(md5);
	require(pthread_key_create(&context_key, context_free) == 0);
}

static EVP_MD_CTX *thread_context(void)
{
	if (!context) {
		pthread_once(&once, initialize);
		context = EVP_MD_CTX_new();
		require(context);
		require(pthread_setspecific(context_key, context) == 0);
	}
	return context;
}

static void update(EVP_MD_CTX *digest, struct slice bytes)
{
	require(EVP_DigestUpdate(digest, bytes.data, bytes.length) == 1);
}

void hash_path(const struct hash_path_config *config, struct slice account, struct slice container, struct slice object,
	unsigned char ret_hash[HASH_PATH_BYTES])
{
	static const struct slice slash = SLICE_LITERAL("/");
	assert(container.data || !object.data);
	EVP_MD_CTX *digest = thread_context();
	require(EVP_DigestInit_ex2(digest, md5, NULL) == 1);
	update(digest, config->prefix);
	update(digest, slash);
	update(digest, account);
	if (container.data) {
		update(digest, slash);
		update(digest, container);
	}
	if (object.data) {
		update(digest, slash);
		update(digest, object);
	}
	update(digest, config->suffix);
	require(EVP_DigestFinal_ex(digest, ret_hash, NULL) == 1);
}

void hash_hex(const unsigned char hash[HASH_PATH_BYTES], char text[HASH_PATH_HEX_BYTES])
{
	for (size_t i = 0; i < HASH_PATH_BYTES; i++) {
		text[2 * i] = "0123456789abcdef"[hash[i] >> 4];
		text[2 * i + 1] = "0123456789abcdef"[hash[i] & 0xf];
	}
	text[2 * HASH_PATH_BYTES] = '\0';
}
