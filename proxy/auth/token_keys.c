/* The key file of proxy/auth/token.h. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "lib/swift/number.h"
#include "proxy/auth/token_private.h"

enum { FILE_BYTES_MAX = 65536 };

static void make_key(struct token_key *key, uint32_t id)
{
	*key = (struct token_key){.id = id, .length = TOKEN_KEY_BYTES};
	if (RAND_bytes(key->bytes, TOKEN_KEY_BYTES) != 1)
		abort(); /* a machine without randomness must not hand out tokens */
}

struct token_keys *token_keys_new(void)
{
	static _Atomic uint64_t last_serial;
	struct token_keys *keys = xcalloc(1, sizeof(*keys));
	keys->serial = atomic_fetch_add(&last_serial, 1) + 1;
	return keys;
}

struct token_keys *token_keys_random(void)
{
	struct token_keys *keys = token_keys_new();
	make_key(&keys->keys[keys->count++], 1);
	return keys;
}

void token_keys_free(struct token_keys *keys)
{
	if (keys)
		OPENSSL_cleanse(keys, sizeof(*keys));
	free(keys);
}

bool token_keys_equal(const struct token_keys *a, const struct token_keys *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct token_key *first = &a->keys[i], *second = &b->keys[i];
		if (first->id != second->id || first->length != second->length ||
			CRYPTO_memcmp(first->bytes, second->bytes, first->length) != 0)
			return false;
	}
	return true;
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

static bool read_hex(struct slice text, struct token_key *key)
{
	key->length = text.length / 2;
	if (text.length % 2 || key->length < TOKEN_KEY_BYTES_MIN || key->length > TOKEN_KEY_BYTES_MAX)
		return false;
	for (size_t i = 0; i < key->length; i++) {
		int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		key->bytes[i] = (unsigned char)(high * 16 + low);
	}
	return true;
}

/* "<id> <hex digits>". NULL, or what is wrong. */
static const char *read_line(struct slice line, struct token_keys *keys)
{
	const char *blank = memchr(line.data, ' ', line.length);
	size_t id_length = blank ? (size_t)(blank - line.data) : 0;
	struct slice rest = number_trim(slice_of(line.data + id_length, line.length - id_length));
	struct token_key key;
	int64_t id;
	if (number_parse_integer(slice_of(line.data, id_length), &id) || id < 1 || id > UINT32_MAX ||
		!read_hex(rest, &key))
		return "is not \"<id> <64 to 128 hex digits>\"";
	key.id = (uint32_t)id;
	for (size_t i = 0; i < keys->count; i++) {
		if (keys->keys[i].id == key.id)
			return "has the id of another key";
	}
	if (keys->count == TOKEN_KEYS_MAX)
		return "is one key too many";
	keys->keys[keys->count++] = key;
	return NULL;
}

int token_keys_parse(struct slice text, const char *path, struct token_keys **ret_keys, char **ret_error)
{
	struct token_keys *keys = token_keys_new();
	const char *wrong = NULL;
	unsigned number = 0;
	while (text.length && !wrong) {
		const char *end = memchr(text.data, '\n', text.length);
		size_t length = end ? (size_t)(end - text.data) : text.length;
		struct slice line = number_trim(slice_of(text.data, length));
		number++;
		if (line.length && line.data[0] != '#')
			wrong = read_line(line, keys);
		length += end != NULL;
		text = slice_of(text.data + length, text.length - length);
	}
	if (!wrong && keys->count) {
		*ret_keys = keys;
		return 0;
	}
	*ret_error = wrong ? xasprintf("%s:%u: %s", path, number, wrong)
			   : xasprintf("%s: holds no key (swiftlet auth rotate-key makes one)", path);
	token_keys_free(keys);
	return -EINVAL;
}

static int read_file(const char *path, char *text, size_t *ret_length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size_t length = 0;
	ssize_t count = 1;
	while (count > 0 && length < FILE_BYTES_MAX) {
		count = read(fd, text + length, FILE_BYTES_MAX - length);
		length += count > 0 ? (size_t)count : 0;
	}
	int error = count < 0 ? -errno : count > 0 ? -EFBIG : 0;
	(void)close(fd);
	*ret_length = length;
	return error;
}

int token_keys_load(const char *path, struct token_keys **ret_keys, char **ret_error)
{
	char *text = xmalloc(FILE_BYTES_MAX);
	size_t length = 0;
	int error = read_file(path, text, &length);
	if (error)
		*ret_error = xasprintf("%s: %s", path, strerror(-error));
	else
		error = token_keys_parse(slice_of(text, length), path, ret_keys, ret_error);
	OPENSSL_cleanse(text, FILE_BYTES_MAX);
	free(text);
	return error;
}

/* ---- rotation ---- */

static uint32_t next_id(const struct token_keys *keys)
{
	uint32_t last = 0;
	for (size_t i = 0; i < keys->count; i++)
		last = keys->keys[i].id > last ? keys->keys[i].id : last;
	if (last < UINT32_MAX)
		return last + 1;
	/* Somebody wrote the largest id by hand: the smallest one that is free. */
	for (uint32_t id = 1;; id++) {
		bool taken = false;
		for (size_t i = 0; i < keys->count; i++)
			taken = taken || keys->keys[i].id == id;
		if (!taken)
			return id;
	}
}

static void format_keys(const struct token_keys *keys, struct buf *text)
{
	for (size_t i = 0; i < keys->count; i++) {
		buf_printf(text, "%u ", keys->keys[i].id);
		for (size_t k = 0; k < keys->keys[i].length; k++)
			buf_printf(text, "%02x", keys->keys[i].bytes[k]);
		buf_append_byte(text, '\n');
	}
}

static int write_synced(int fd, struct slice text)
{
	while (text.length) {
		ssize_t count = write(fd, text.data, text.length);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		text = slice_of(text.data + count, text.length - (size_t)count);
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* The file as a whole: readers see the old keys or the new ones, nobody but the owner sees any. The
 * owner stays who it was, so that root can rotate the keys of a server that is not root. */
static int replace_file(const char *path, struct slice text)
{
	_cleanup_free_ char *temporary = xasprintf("%s.%d.tmp", path, (int)getpid());
	(void)unlink(temporary); /* of a rotation that was killed; usually not there */
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	struct stat old;
	int error = 0;
	if (stat(path, &old) == 0 && fchown(fd, old.st_uid, old.st_gid) < 0)
		error = -errno;
	if (error == 0)
		error = write_synced(fd, text);
	if (close(fd) < 0 && error == 0)
		error = -errno;
	if (error == 0 && rename(temporary, path) < 0)
		error = -errno;
	if (error)
		(void)unlink(temporary); /* a leftover does no harm: mode 0600, read by nobody */
	return error;
}

int token_keys_rotate(const char *path, unsigned kept, uint32_t *ret_id, char **ret_error)
{
	struct token_keys *old = NULL;
	if (access(path, F_OK) == 0 || errno != ENOENT) {
		int error = token_keys_load(path, &old, ret_error);
		if (error)
			return error;
	}
	if (!old)
		old = token_keys_new();
	struct token_keys *keys = token_keys_new();
	uint32_t id = next_id(old);
	make_key(&keys->keys[keys->count++], id);
	for (size_t i = 0; i < old->count && i < kept && keys->count < TOKEN_KEYS_MAX; i++)
		keys->keys[keys->count++] = old->keys[i];
	struct buf text = BUF_INIT;
	format_keys(keys, &text);
	int error = replace_file(path, buf_slice(&text));
	OPENSSL_cleanse(text.data, text.length);
	buf_release(&text);
	token_keys_free(keys);
	token_keys_free(old);
	if (error)
		*ret_error = xasprintf("%s: %s", path, strerror(-error));
	else
		*ret_id = id;
	return error;
}
