/*
 * The rings of this process: account, container and one object ring for each storage policy, found
 * in Swift's configuration directory as account.ring.gz, container.ring.gz, object.ring.gz (policy
 * 0) and object-N.ring.gz.
 *
 * Requests take a reference to the ring they need and keep it until they end, so a ring that is
 * replaced meanwhile stays valid for them. The server's timer calls ring_store_reload() every few
 * seconds.
 */
#ifndef RING_RING_STORE_H
#define RING_RING_STORE_H

struct ring;
struct ring_store;

enum ring_kind { RING_ACCOUNT, RING_CONTAINER, RING_OBJECT };

/* The highest policy index whose ring is looked for; files with a higher number are reported and
 * left alone. */
enum { RING_POLICY_INDEX_MAX = 255 };

/*
 * Loads every ring that `directory` holds. Rings that are not there are no error (a server may need
 * only some); one that is there and broken is. Returns 0, or a negative errno with a text in
 * *ret_error (malloc'ed, may be NULL to decline).
 */
int ring_store_open(const char *directory, struct ring_store **ret_store, char **ret_error);

/* Drops the store's references. Nobody may use the store any more; rings handed out stay valid.
 * NULL is accepted. */
void ring_store_free(struct ring_store *store);

/*
 * A new reference to the ring in use, which the caller drops with ring_unref(); NULL when there is
 * none. `policy_index` counts for RING_OBJECT only. From any thread; no system call unless a reload
 * swaps a pointer at this very moment.
 */
struct ring *ring_store_get(struct ring_store *store, enum ring_kind kind, int policy_index);

/*
 * Looks at the directory again and loads each file whose modification time differs from that of the
 * ring in use, and files that are new. A ring that cannot be read, or a file that went away, leaves
 * the old ring in use and is logged once, not at each call. Returns how many rings were loaded, or
 * a negative errno when the directory cannot be read. From any thread; two calls at once take
 * turns.
 */
int ring_store_reload(struct ring_store *store);

#endif
