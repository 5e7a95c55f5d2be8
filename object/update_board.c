#include "object/update_board.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "lib/base/memory.h"
#include "object/object_store.h"

/* Claims live for milliseconds, so there are about as many as requests in flight. */
enum { BUCKETS = 1024 };

struct claim {
	struct claim *next;
	struct device_entry *entry;
	uint64_t number;
};

struct watcher {
	struct watcher *next;
	struct device_entry *entry;
	void (*left)(void *argument);
	void *argument;
};

struct update_board {
	pthread_mutex_t lock;
	struct claim *buckets[BUCKETS];
	size_t claim_count;
	struct watcher *watchers;
};

struct update_board *update_board_new(void)
{
	struct update_board *board = xcalloc(1, sizeof(*board));
	pthread_mutex_init(&board->lock, NULL);
	return board;
}

void update_board_free(struct update_board *board)
{
	if (!board)
		return;
	assert(board->claim_count == 0);
	while (board->watchers) {
		struct watcher *watcher = board->watchers;
		board->watchers = watcher->next;
		free(watcher);
	}
	pthread_mutex_destroy(&board->lock);
	free(board);
}

/* The place that points, or would point, to the claim. Numbers of a device are handed out one by
 * one. */
static struct claim **find_claim(struct update_board *board, struct device_entry *entry, uint64_t number)
{
	struct claim **place = &board->buckets[number % BUCKETS];
	while (*place && ((*place)->number != number || (*place)->entry != entry))
		place = &(*place)->next;
	return place;
}

bool update_board_claim(struct update_board *board, struct device_entry *entry, uint64_t number)
{
	pthread_mutex_lock(&board->lock);
	struct claim **place = find_claim(board, entry, number);
	bool is_free = !*place;
	if (is_free) {
		struct claim *claim = xmalloc(sizeof(*claim));
		*claim = (struct claim){NULL, entry, number};
		*place = claim;
		board->claim_count++;
	}
	pthread_mutex_unlock(&board->lock);
	return is_free;
}

void update_board_release(struct update_board *board, struct device_entry *entry, uint64_t number)
{
	pthread_mutex_lock(&board->lock);
	struct claim **place = find_claim(board, entry, number);
	struct claim *claim = *place;
	if (claim) {
		*place = claim->next;
		board->claim_count--;
	}
	pthread_mutex_unlock(&board->lock);
	free(claim);
}

size_t update_board_claims(struct update_board *board)
{
	pthread_mutex_lock(&board->lock);
	size_t count = board->claim_count;
	pthread_mutex_unlock(&board->lock);
	return count;
}

/* ---- ends of entries ---- */

/* A change of a to-do entry under way, and what it needs until it is done. */
struct settling {
	struct device_commit commit;
	struct update_board *board;
	struct device_entry *entry;
	struct object_todo_update update;
	struct buf value;
};

static void settled(struct device_commit *commit)
{
	struct settling *settling = commit->done_argument;
	update_board_release(settling->board, settling->entry, settling->update.number);
	if (settling->value.data)
		update_board_left(settling->board, settling->entry);
	buf_release(&settling->value);
	free(settling);
}

static struct settling *settling_new(struct update_board *board, struct device_entry *entry, uint64_t number)
{
	struct settling *settling = xcalloc(1, sizeof(*settling));
	settling->board = board;
	settling->entry = entry;
	settling->update.number = number;
	settling->commit.done = settled;
	settling->commit.done_argument = settling;
	settling->commit.lazy = true;
	return settling;
}

static void settling_start(struct settling *settling)
{
	struct device_entry *entry = settling->entry;
	if (device_entry_enter(entry)) {
		settled(&settling->commit);
		return;
	}
	/* a device that closes waits for what was handed to it */
	device_commit_start(device_entry_device(entry), &settling->commit);
	device_entry_leave(entry);
}

void update_board_done(struct update_board *board, struct device_entry *entry, uint64_t number)
{
	struct settling *settling = settling_new(board, entry, number);
	settling->commit.change = object_todo_done;
	settling->commit.argument = &settling->update.number;
	settling_start(settling);
}

void update_board_replace(
	struct update_board *board, struct device_entry *entry, uint64_t number, const struct object_update *update)
{
	struct settling *settling = settling_new(board, entry, number);
	object_update_encode(update, &settling->value);
	settling->update.value = buf_slice(&settling->value);
	settling->commit.change = object_todo_replace;
	settling->commit.argument = &settling->update;
	settling_start(settling);
}

/* ---- watching ---- */

void update_board_watch(
	struct update_board *board, struct device_entry *entry, void (*left)(void *argument), void *argument)
{
	struct watcher *watcher = xmalloc(sizeof(*watcher));
	pthread_mutex_lock(&board->lock);
	*watcher = (struct watcher){board->watchers, entry, left, argument};
	board->watchers = watcher;
	pthread_mutex_unlock(&board->lock);
}

void update_board_unwatch(struct update_board *board, struct device_entry *entry)
{
	pthread_mutex_lock(&board->lock);
	struct watcher **place = &board->watchers;
	while (*place && (*place)->entry != entry)
		place = &(*place)->next;
	struct watcher *watcher = *place;
	if (watcher)
		*place = watcher->next;
	pthread_mutex_unlock(&board->lock);
	free(watcher);
}

void update_board_left(struct update_board *board, struct device_entry *entry)
{
	pthread_mutex_lock(&board->lock);
	for (struct watcher *watcher = board->watchers; watcher; watcher = watcher->next)
		if (watcher->entry == entry)
			watcher->left(watcher->argument);
	pthread_mutex_unlock(&board->lock);
}
