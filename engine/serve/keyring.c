#include "engine/serve/keyring.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"

#define KEY_MAX 512 /* of a text that may be a key at all */

void mle_keyring_init(mle_keyring *ring) {
  pthread_rwlock_init(&ring->lock, NULL);
  ring->entry = NULL;
  atomic_init(&ring->count, 0);
}

void mle_keyring_release(mle_keyring *ring) {
  pthread_rwlock_destroy(&ring->lock);
  mle_free(ring->entry);
  ring->entry = NULL;
}

static void replace(mle_keyring *ring, mle_keyring_entry *entry, size_t count) {
  pthread_rwlock_wrlock(&ring->lock);
  mle_keyring_entry *old = ring->entry;
  ring->entry = entry;
  atomic_store(&ring->count, count);
  pthread_rwlock_unlock(&ring->lock);
  mle_free(old);
}

mle_status mle_keyring_load(mle_keyring *ring, mle_db *db, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_keys keys;
  mle_keyring_entry *entry = NULL;
  mle_status status;
  MLE_GO(mle_keys_list(db, &memory, &keys, err));
  entry = mle_calloc(keys.count, sizeof *entry);
  if (entry == NULL) {
    status = mle_nomem(err, "reading access keys");
    goto done;
  }
  for (size_t i = 0; i < keys.count; i++) {
    const char *endpoint = keys.item[i].endpoint == NULL ? "" : keys.item[i].endpoint;
    snprintf(entry[i].endpoint, sizeof entry[i].endpoint, "%s", endpoint);
    snprintf(entry[i].sha256, sizeof entry[i].sha256, "%s", keys.item[i].sha256);
  }
  replace(ring, entry, keys.count);
done:
  mle_arena_release(&memory);
  return status;
}

static bool same_bytes(const char *a, const char *b, size_t len) {
  unsigned differ = 0;
  for (size_t i = 0; i < len; i++) differ |= (unsigned)(a[i] ^ b[i]);
  return differ == 0;
}

static bool same_digest(const char *a, const char *b) { return same_bytes(a, b, MLE_SHA256_HEX - 1); }

bool mle_keyring_same(const char *a, const char *b) {
  size_t len = strlen(a);
  return strlen(b) == len && same_bytes(a, b, len);
}

static bool digest_of(const char *key, char out[MLE_SHA256_HEX]) {
  size_t len = strlen(key);
  return len > 0 && len < KEY_MAX && mle_sha256_hex(key, len, out, NULL) == MLE_OK;
}

mle_access mle_keyring_check(mle_keyring *ring, const char *endpoint, const char *key) {
  char digest[MLE_SHA256_HEX];
  bool locked = *endpoint == '\0', known = false, opens = false;
  if (!locked && atomic_load_explicit(&ring->count, memory_order_relaxed) == 0)
    return MLE_ACCESS_GRANTED;
  bool given = digest_of(key, digest);
  pthread_rwlock_rdlock(&ring->lock);
  size_t count = atomic_load(&ring->count);
  for (size_t i = 0; i < count; i++) {
    bool ours = strcmp(ring->entry[i].endpoint, endpoint) == 0;
    bool fits = given && same_digest(ring->entry[i].sha256, digest);
    locked |= ours;
    known |= fits;
    opens |= ours && fits;
  }
  pthread_rwlock_unlock(&ring->lock);
  if (opens || !locked) return MLE_ACCESS_GRANTED;
  return known ? MLE_ACCESS_FOREIGN : MLE_ACCESS_UNKNOWN;
}

bool mle_keyring_endpoint(mle_keyring *ring, const char *key, char out[MLE_ENDPOINT_MAX]) {
  char digest[MLE_SHA256_HEX];
  bool found = false;
  if (!digest_of(key, digest)) return false;
  pthread_rwlock_rdlock(&ring->lock);
  size_t count = atomic_load(&ring->count);
  for (size_t i = 0; i < count && !found; i++) {
    found = *ring->entry[i].endpoint != '\0' && same_digest(ring->entry[i].sha256, digest);
    if (found) strcpy(out, ring->entry[i].endpoint);
  }
  pthread_rwlock_unlock(&ring->lock);
  return found;
}

const char *mle_keyring_bearer(const char *authorization) {
  if (strncasecmp(authorization, "Bearer ", 7) != 0) return "";
  return authorization + 7 + strspn(authorization + 7, " ");
}
