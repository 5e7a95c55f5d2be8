/*
 * Care of the store: what a crash interrupted is finished, what is damaged is set aside.
 */
#include "object/object_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/store/device_files.h"
#include "object/object_store_private.h"

/* ---- recovery ---- */

/* 1 when the record names this file, 0 when not, or a negative error when nobody can say. */
static int is_referred_to(struct device *device, const struct object_footer *footer, uint64_t number)
{
	struct arena *arena = arena_new();
	struct object_record record;
	int result = object_read(device, &footer->key, arena, &record);
	if (result == 0)
		result = record.kind == OBJECT_DATA && record.body_in_file && record.body_number == number;
	arena_free(arena);
	return result;
}

/* The file's own footer says which record to ask. One without a footer was never finished, so no
 * record was. */
static int find_owner(struct device *device, uint64_t number, struct object_footer *ret_footer)
{
	int fd = device_file_open(device, number, (const unsigned char[16]){0});
	if (fd < 0)
		return fd;
	int result = object_footer_read(fd, ret_footer);
	close(fd);
	if (result == -EBADMSG || (result == 0 && ret_footer->number != number))
		return 0;
	return result < 0 ? result : is_referred_to(device, ret_footer, number);
}

static int sweep_file(struct device *device, uint64_t number, void *unused)
{
	(void)unused;
	struct object_footer footer = {0};
	int owned = find_owner(device, number, &footer);
	if (owned < 0) {
		log_warning("device %s: incoming/%016" PRIx64 " is left alone: %s", device_name(device), number,
			strerror(-owned));
		return 0;
	}
	if (owned)
		return device_file_settle(device, number, footer.key.hash);
	return device_file_remove(device, number, footer.key.hash);
}

int object_store_recover(struct device *device)
{
	int result = device_files_walk_incoming(device, sweep_file, NULL);
	return result < 0 ? result : device_files_remove_promised(device);
}

/* ---- quarantine ---- */

enum { QUARANTINE_PATH_BYTES = 96 };

struct quarantine {
	struct device *device;
	const struct object_key *key;
	const struct object_record *record; /* NULL: the record's own bytes are the damage */
	struct arena *arena;
	char folder[QUARANTINE_PATH_BYTES]; /* relative to the device */
	bool gone;                          /* another version is there meanwhile, or none: nothing to do */
};

static bool same_version(const struct object_record *a, const struct object_record *b)
{
	return a->kind == b->kind && timestamp_compare(a->data_time, b->data_time) == 0 &&
	       a->body_number == b->body_number && a->body_checksum == b->body_checksum;
}

/* Whether what `bytes` say is still the damaged thing. */
static bool still_there(const struct quarantine *quarantine, struct slice bytes)
{
	struct object_record record;
	int result = object_record_decode(bytes, quarantine->arena, &record);
	if (!quarantine->record)
		return result == -EBADMSG;
	return result == 0 && same_version(&record, quarantine->record);
}

/* quarantined/<hash>, or with a number behind it when there is one already. */
static int make_folder(struct quarantine *quarantine)
{
	int directory = device_directory(quarantine->device);
	struct buf path = BUF_INIT;
	buf_append_text(&path, "quarantined/");
	for (size_t i = 0; i < sizeof(quarantine->key->hash); i++)
		buf_printf(&path, "%02x", quarantine->key->hash[i]);
	int result = mkdirat(directory, path.data, 0700) < 0 ? -errno : 0;
	if (result == -EEXIST) {
		buf_printf(&path, "-%016" PRIx64, device_next_number(quarantine->device));
		result = mkdirat(directory, path.data, 0700) < 0 ? -errno : 0;
	}
	snprintf(quarantine->folder, sizeof(quarantine->folder), "%s", path.data);
	buf_release(&path);
	return result;
}

static void path_in_folder(const struct quarantine *quarantine, const char *name, char path[QUARANTINE_PATH_BYTES + 8])
{
	snprintf(path, QUARANTINE_PATH_BYTES + 8, "%s/%s", quarantine->folder, name);
}

static int save(const struct quarantine *quarantine, const char *name, struct slice bytes)
{
	char path[QUARANTINE_PATH_BYTES + 8];
	path_in_folder(quarantine, name, path);
	int fd = openat(device_directory(quarantine->device), path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ssize_t written = bytes.length > 0 ? write(fd, bytes.data, bytes.length) : 0;
	int result = written < 0 ? -errno : 0;
	if (result == 0 && (size_t)written != bytes.length)
		result = -ENOSPC;
	if (result == 0 && fsync(fd) < 0)
		result = -errno;
	close(fd);
	return result;
}

/* What is gone or unreadable cannot be kept: that is no reason to leave the record. */
static int save_body(const struct quarantine *quarantine)
{
	const struct object_record *record = quarantine->record;
	if (!record || record->kind != OBJECT_DATA)
		return 0;
	if (record->body_in_file) {
		char path[QUARANTINE_PATH_BYTES + 8];
		path_in_folder(quarantine, "body", path);
		int result = device_file_link(quarantine->device, record->body_number, quarantine->key->hash, path);
		return result == -ENOENT ? 0 : result;
	}
	char key[OBJECT_NUMBER_KEY_BYTES];
	struct buf body = BUF_INIT;
	int result = device_get(quarantine->device, DEVICE_BODIES, object_body_key(record->body_number, key), &body);
	result = result == 0 ? save(quarantine, "body", buf_slice(&body)) : 0;
	buf_release(&body);
	return result;
}

static int sync_folder(const struct quarantine *quarantine, const char *path)
{
	int fd = openat(device_directory(quarantine->device), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int result = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return result;
}

static void remove_folder(const struct quarantine *quarantine)
{
	int directory = device_directory(quarantine->device);
	char path[QUARANTINE_PATH_BYTES + 8];
	path_in_folder(quarantine, "body", path);
	(void)unlinkat(directory, path, 0);
	path_in_folder(quarantine, "record", path);
	(void)unlinkat(directory, path, 0);
	(void)unlinkat(directory, quarantine->folder, AT_REMOVEDIR);
}

/* A file goes by a promised removal of its first name: the second one is in the folder already. */
static int remove_record(struct device_txn *txn, void *argument)
{
	struct quarantine *quarantine = argument;
	char key_bytes[OBJECT_KEY_BYTES];
	struct slice key = object_record_key(quarantine->key, key_bytes);
	struct buf bytes = BUF_INIT;
	int result = txn_get(txn, DEVICE_OBJECTS, key, &bytes);
	quarantine->gone = result == -ENOENT || (result == 0 && !still_there(quarantine, buf_slice(&bytes)));
	buf_release(&bytes);
	if (quarantine->gone)
		return 0;
	if (result < 0)
		return result;
	txn_delete(txn, DEVICE_OBJECTS, key);
	const struct object_record *record = quarantine->record;
	if (!record || record->kind != OBJECT_DATA)
		return 0;
	char number[OBJECT_NUMBER_KEY_BYTES];
	if (record->body_in_file)
		txn_remove_file(txn, record->body_number, quarantine->key->hash);
	else
		txn_delete(txn, DEVICE_BODIES, object_body_key(record->body_number, number));
	return 0;
}

static int set_aside(struct quarantine *quarantine, struct slice record_bytes)
{
	int result = make_folder(quarantine);
	if (result < 0)
		return result;
	result = save(quarantine, "record", record_bytes);
	if (result == 0)
		result = save_body(quarantine);
	if (result == 0)
		result = sync_folder(quarantine, quarantine->folder);
	if (result == 0)
		result = sync_folder(quarantine, "quarantined");
	if (result == 0)
		result = device_commit(quarantine->device, remove_record, quarantine);
	if (result < 0 || quarantine->gone)
		remove_folder(quarantine);
	return result;
}

int object_quarantine(struct device *device, const struct object_key *key, const struct object_record *record)
{
	char key_bytes[OBJECT_KEY_BYTES];
	struct buf bytes = BUF_INIT;
	struct quarantine quarantine = {
		.device = device,
		.key = key,
		.record = record,
		.arena = arena_new(),
	};
	int result = device_get(device, DEVICE_OBJECTS, object_record_key(key, key_bytes), &bytes);
	if (result == 0 && still_there(&quarantine, buf_slice(&bytes)))
		result = set_aside(&quarantine, buf_slice(&bytes));
	arena_free(quarantine.arena);
	buf_release(&bytes);
	return result == -ENOENT ? 0 : result;
}
