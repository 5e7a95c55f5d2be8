/*
 * Who works on which promised update. The object server sends an update in the same second in which
 * it was committed, the updater looks for those that were left: the board keeps the two from
 * sending one update at the same time, and lets the server wake the updater of a device. Safe from
 * any thread; nothing here waits.
 */
#ifndef OBJECT_UPDATE_BOARD_H
#define OBJECT_UPDATE_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/store/device_set.h"
#include "object/update.h"

struct update_board;

struct update_board *update_board_new(void);
/* No claim may be left. NULL is accepted. */
void update_board_free(struct update_board *board);

/* Takes the to-do entry `number` of the device: false when somebody else has it. */
bool update_board_claim(struct update_board *board, struct device_entry *entry, uint64_t number);
/* Gives it back. Entries that nobody has are accepted. */
void update_board_release(struct update_board *board, struct device_entry *entry, uint64_t number);
size_t update_board_claims(struct update_board *board);

/*
 * The claimed entry is done, or has to be rewritten because a part of it is; the rest of it is then
 * left, and the watcher told. Rides on somebody else's commit within a second; the claim ends with
 * it. When the device is gone by now, the entry stays as it is.
 */
void update_board_done(struct update_board *board, struct device_entry *entry, uint64_t number);
void update_board_replace(
	struct update_board *board, struct device_entry *entry, uint64_t number, const struct object_update *update);

/*
 * `left` will be called, from any thread and with the board locked, when an update of the device
 * was left for later. One watcher per device. Unwatching returns after the last call has ended.
 */
void update_board_watch(
	struct update_board *board, struct device_entry *entry, void (*left)(void *argument), void *argument);
void update_board_unwatch(struct update_board *board, struct device_entry *entry);
/* Says that an update was left. */
void update_board_left(struct update_board *board, struct device_entry *entry);

#endif
