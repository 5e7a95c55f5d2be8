/*
 * What the files of the listing store share: keys, the encoding of the records, reading on either
 * side of a commit. Tests use it to recount what the numbers claim.
 */
#ifndef LIB_STORE_LISTING_PRIVATE_H
#define LIB_STORE_LISTING_PRIVATE_H

#include "lib/store/listing.h"

/* The byte after the hash in a key: see the table in listing.h. */
enum listing_area {
	LISTING_AREA_INFO = 'I',
	LISTING_AREA_NUMBERS = 'N',
	LISTING_AREA_ROWS = 'R',
	LISTING_AREA_SEQUENCE = 'S',
	LISTING_AREA_DELETED_ROWS = 'T',
};

enum {
	LISTING_HASH_BYTES = 16,
	LISTING_ROW_KEY_HEAD_BYTES = LISTING_HASH_BYTES + 1 + 2, /* before the name in a row's key */
	LISTING_ETAG_BYTES = 32,                                 /* an MD5 in hex */
};

enum device_family listing_family(enum listing_kind kind);

/* ---- keys: appended to an empty buffer ---- */

void listing_key(struct buf *key, const unsigned char hash[LISTING_HASH_BYTES], enum listing_area area);
void listing_key_row(struct buf *key, const unsigned char hash[LISTING_HASH_BYTES], bool deleted, uint16_t policy,
	struct slice name);
void listing_key_sequence(struct buf *key, const unsigned char hash[LISTING_HASH_BYTES], uint64_t sequence);

/* The value of a sequence entry: policy and name of the row. */
void listing_encode_sequence(struct buf *value, uint16_t policy, struct slice name);

/* ---- records ---- */

/* A container row as stored. */
struct listing_object_record {
	uint64_t sequence; /* of its newest change */
	struct container_row row;
	char etag[LISTING_ETAG_BYTES]; /* where row.etag points when it is stored in binary */
};

/* An account row as stored; `row` has the fields of the value, not hash, account and name. */
struct listing_container_record {
	uint64_t sequence;
	bool deleted;
	struct listing_container_row row;
};

void listing_encode_object(struct buf *value, uint64_t sequence, const struct container_row *row);
void listing_encode_container(struct buf *value, uint64_t sequence, const struct listing_container_row *row);
/* Decoders return -EIO for bytes that they did not write. Texts are views into `value`. */
int listing_decode_object(struct slice value, bool deleted, struct listing_object_record *ret_record);
int listing_decode_container(struct slice value, bool deleted, struct listing_container_record *ret_record);

/* Info ('I') and numbers ('N') are two records because a row change rewrites only the second. */
void listing_encode_info(struct buf *value, const struct listing_info *info);
void listing_encode_numbers(struct buf *value, const struct listing_info *info);
/* Each fills in its members of *info. The array of metas comes from the arena. */
int listing_decode_info(struct slice value, enum listing_kind kind, struct arena *arena, struct listing_info *info);
int listing_decode_numbers(struct slice value, struct listing_info *info);

/* ---- databases ---- */

/* As listing_read(), inside a change. */
int listing_read_txn(struct device_txn *txn, enum listing_kind kind, const unsigned char hash[LISTING_HASH_BYTES],
	struct arena *arena, struct listing_info *ret_info);

/* A database that was put at `timestamp` and has nothing in it: id and created_at are new. */
void listing_create(struct device_txn *txn, enum listing_kind kind, struct slice account, struct slice container,
	struct timestamp timestamp, uint16_t policy, struct listing_info *ret_info);

void listing_write_info(
	struct device_txn *txn, const unsigned char hash[LISTING_HASH_BYTES], const struct listing_info *info);
void listing_write_numbers(
	struct device_txn *txn, const unsigned char hash[LISTING_HASH_BYTES], const struct listing_info *info);

/* The entry of a policy, added with zeros when there is none. NULL when LISTING_POLICIES_MAX are in
 * use. */
struct listing_policy_count *listing_count_for(struct listing_info *info, uint16_t policy);

#endif
