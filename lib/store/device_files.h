/*
 * The tree of body files of a device. A file has a number (device_next_number) and belongs to an
 * object hash; it is written in incoming/, and after the commit that refers to it settles in
 * bodies/ab/cd/, the first two bytes of the hash. Names are the number in 16 hex digits.
 *
 * All of it blocks on the disk: call from a pool thread, but for txn_remove_file() and device_file_open_cached().
 */
#ifndef LIB_STORE_DEVICE_FILES_H
#define LIB_STORE_DEVICE_FILES_H

#include <stdint.h>

#include "lib/store/device.h"

enum { DEVICE_FILE_NAME_BYTES = 17 }; /* 16 hex digits and a NUL */

/* A new empty file in incoming/, open for reading and writing. Returns the descriptor, -ENOSPC,
 * -EROFS or -EIO. */
int device_file_create(struct device *device, uint64_t number);

/*
 * Opens a file for reading, wherever it is: in bodies/, else in incoming/, else (it moved between
 * the two looks) in bodies/. Returns the descriptor, -ENOENT or another negative error.
 */
int device_file_open(struct device *device, uint64_t number, const unsigned char hash[16]);

/* The same without the disk, from a loop: -EAGAIN unless the file is in its place and the kernel knows it by heart. */
int device_file_open_cached(struct device *device, uint64_t number, const unsigned char hash[16]);

/* Moves a file from incoming/ to its place. -ENOENT when it is not in incoming/ (any more). */
int device_file_settle(struct device *device, uint64_t number, const unsigned char hash[16]);

/* Removes a file, wherever it is. 0, also when there is none; else a negative error. */
int device_file_remove(struct device *device, uint64_t number, const unsigned char hash[16]);

/* Links a file under another name, a path relative to the device. 0, -ENOENT, -EEXIST or another
 * negative error. */
int device_file_link(struct device *device, uint64_t number, const unsigned char hash[16], const char *path);

/*
 * Promises with this change that the file will be removed: a to-do entry 'G' entry(8) -> number(8)
 * hash(16) is committed with it, and a thread of the device removes first the file, then (lazily)
 * the entry.
 */
void txn_remove_file(struct device_txn *txn, uint64_t number, const unsigned char hash[16]);

/* Keeps the promises that a crash left open, in the caller's thread. 0 or -EIO. */
int device_files_remove_promised(struct device *device);

/*
 * Calls `visit` with the number of each file in incoming/. Names that are no number are passed
 * over. `visit` may settle or remove the file. Returns 0, or the first non-zero value of `visit`,
 * or a negative error.
 */
int device_files_walk_incoming(
	struct device *device, int (*visit)(struct device *device, uint64_t number, void *argument), void *argument);

/* Descriptors of the device's top directory and of incoming/, for the ...at() calls. The device's
 * own. */
int device_directory(const struct device *device);
int device_incoming_directory(const struct device *device);

#endif
