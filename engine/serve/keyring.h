/*
 * keyring.h -- the access keys as workers ask for them: in memory, replaced as a whole.
 */
#ifndef MLE_KEYRING_H
#define MLE_KEYRING_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/deploy/keys.h"
#include "engine/serve/slots.h"

typedef struct mle_keyring_entry {
  char endpoint[MLE_ENDPOINT_MAX]; /* "" for the admin's */
  char sha256[MLE_SHA256_HEX];
} mle_keyring_entry;

typedef struct mle_keyring {
  pthread_rwlock_t lock;
  mle_keyring_entry *entry;
  atomic_size_t count;
} mle_keyring;

void mle_keyring_init(mle_keyring *ring);
void mle_keyring_release(mle_keyring *ring);

/* Reads the keys of the records; the control thread, at start and when they changed. */
mle_status mle_keyring_load(mle_keyring *ring, mle_db *db, mle_error *err);

typedef enum mle_access {
  MLE_ACCESS_GRANTED,
  MLE_ACCESS_UNKNOWN, /* no key was given, or none that is known: 401 */
  MLE_ACCESS_FOREIGN  /* a key, but not this one's: 403 */
} mle_access;

/* An endpoint without keys is open; administration ("") never is. */
mle_access mle_keyring_check(mle_keyring *ring, const char *endpoint, const char *key);

/* The endpoint a key belongs to; false when it is none's. */
bool mle_keyring_endpoint(mle_keyring *ring, const char *key, char out[MLE_ENDPOINT_MAX]);

/* Whether two keys of one length are the same, in the same time wherever they differ. */
bool mle_keyring_same(const char *a, const char *b);

/* "Bearer KEY" gives KEY, all else "". */
const char *mle_keyring_bearer(const char *authorization);

#endif
