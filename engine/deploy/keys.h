/*
 * keys.h -- who may call an endpoint, or administer a server over the network.
 *
 *     char key[MLE_KEY_TEXT];
 *     MLE_TRY(mle_keys_add(db, "fraud", "the web shop", key, &id, err));   shown once
 *
 * Table `access_keys` of state.db holds a key's SHA-256, never the key: 256 random bits need no
 * salt. A key without an endpoint is the admin's.
 */
#ifndef MLE_KEYS_H
#define MLE_KEYS_H

#include "engine/base/arena.h"
#include "engine/base/db.h"
#include "engine/base/hash.h"

#define MLE_KEY_TEXT 72

typedef struct mle_key {
  int64_t id, created_ms;
  const char *endpoint; /* NULL: the admin's */
  const char *label, *sha256; /* "revoked ..." once it is */
} mle_key;

typedef struct mle_keys {
  mle_key *item;
  size_t count;
} mle_keys;

/* `label` is for people; it may be empty. */
mle_status mle_keys_add(mle_db *db, const char *endpoint, const char *label,
                        char out_key[MLE_KEY_TEXT], int64_t *out_id, mle_error *err);

/* It opens nothing any more; its endpoint stays closed to all without a key. ENOTFOUND when there
 * is no such key. */
mle_status mle_keys_revoke(mle_db *db, int64_t id, mle_error *err);

/* Forgets all keys of an endpoint: whoever reaches the port may ask it. */
mle_status mle_keys_open(mle_db *db, const char *endpoint, mle_error *err);

mle_status mle_keys_list(mle_db *db, mle_arena *memory, mle_keys *out, mle_error *err);

#endif
