#include "proxy/auth/users.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/memory.h"
#include "lib/base/settings.h"
#include "lib/swift/url.h"

enum { DIGEST_BYTES = 32 };

struct entry {
	struct user user;
	unsigned char key_digest[DIGEST_BYTES]; /* equal lengths compare in equal time */
};

struct users {
	struct arena *arena;   /* the texts */
	struct entry *entries; /* by name */
	size_t count;
	unsigned char dummy_digest[DIGEST_BYTES]; /* stands in for the key of a user who is not there */
};

static void digest_key(const char *key, unsigned char digest[DIGEST_BYTES])
{
	if (EVP_Digest(key, strlen(key), digest, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* memory, or an OpenSSL without SHA-256: nobody may be let in */
}

static bool contains(const char *const *groups, size_t count, const char *group)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(groups[i], group) == 0)
			return true;
	}
	return false;
}

/* tempauth's _get_user_groups: one ".admin" is replaced by the ids of the account under every
 * non-empty prefix, and by the account that the storage URL names. */
static const char *const *make_groups(
	struct arena *arena, const struct settings *settings, const struct user_settings *from, const char *storage_url)
{
	size_t places = 2 + from->groups.count + settings->auth.reseller_count + 2;
	const char **groups = arena_zalloc(arena, places * sizeof(*groups));
	size_t count = 0;
	bool admin = false;
	groups[count++] = from->account;
	groups[count++] = from->name;
	for (size_t i = 0; i < from->groups.count; i++) {
		if (!admin && strcmp(from->groups.items[i], ".admin") == 0)
			admin = true;
		else
			groups[count++] = from->groups.items[i];
	}
	if (!admin)
		return groups;
	for (size_t i = 0; i < settings->auth.reseller_count; i++) {
		const char *prefix = settings->auth.resellers[i].prefix;
		if (*prefix)
			groups[count++] = arena_printf(arena, "%s%s", prefix, from->account);
	}
	const char *slash = strrchr(storage_url, '/');
	const char *account_id = slash ? slash + 1 : storage_url;
	if (!contains(groups, count, account_id))
		groups[count++] = account_id;
	return groups;
}

static void make_entry(
	struct arena *arena, const struct settings *settings, const struct user_settings *from, struct entry *entry)
{
	const char *url = from->storage_url;
	if (!*url) {
		struct slice quoted = url_encode(arena, slice_from(from->account), true);
		url = arena_printf(arena, "$HOST/v1/%s%.*s", settings->auth.resellers[0].prefix, SLICE_PRINT(quoted));
	}
	entry->user = (struct user){
		.name = from->name,
		.account = from->account,
		.groups = make_groups(arena, settings, from, url),
		.storage_url = url,
	};
	digest_key(from->key, entry->key_digest);
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *first = a, *second = b;
	return slice_compare(slice_from(first->user.name), slice_from(second->user.name));
}

struct users *users_new(const struct settings *settings)
{
	struct users *users = xcalloc(1, sizeof(*users));
	users->arena = arena_new();
	users->count = settings->auth.user_count;
	users->entries = xcalloc(users->count ? users->count : 1, sizeof(*users->entries));
	for (size_t i = 0; i < users->count; i++)
		make_entry(users->arena, settings, &settings->auth.users[i], &users->entries[i]);
	qsort(users->entries, users->count, sizeof(*users->entries), compare_entries);
	if (RAND_bytes(users->dummy_digest, DIGEST_BYTES) != 1)
		abort(); /* a machine without randomness must not let anybody in */
	return users;
}

void users_free(struct users *users)
{
	if (!users)
		return;
	arena_free(users->arena);
	free(users->entries);
	free(users);
}

static const struct entry *find_entry(const struct users *users, struct slice name)
{
	size_t low = 0, high = users->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = slice_compare(name, slice_from(users->entries[middle].user.name));
		if (order == 0)
			return &users->entries[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct user *users_find(const struct users *users, struct slice name)
{
	const struct entry *entry = find_entry(users, name);
	return entry ? &entry->user : NULL;
}

const struct user *users_check_key(const struct users *users, struct slice name, const char *key)
{
	unsigned char digest[DIGEST_BYTES];
	digest_key(key, digest);
	const struct entry *entry = find_entry(users, name);
	const unsigned char *wanted = entry ? entry->key_digest : users->dummy_digest;
	bool equal = CRYPTO_memcmp(digest, wanted, DIGEST_BYTES) == 0;
	return equal && entry ? &entry->user : NULL;
}
