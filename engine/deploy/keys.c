#include "engine/deploy/keys.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"

static void make_key(char out[MLE_KEY_TEXT]) {
  unsigned char bits[32];
  mle_random_bytes(bits, sizeof bits);
  int len = snprintf(out, MLE_KEY_TEXT, "mle_");
  for (size_t i = 0; i < sizeof bits; i++)
    len += snprintf(out + len, MLE_KEY_TEXT - (size_t)len, "%02x", bits[i]);
}

mle_status mle_keys_add(mle_db *db, const char *endpoint, const char *label,
                        char out_key[MLE_KEY_TEXT], int64_t *out_id, mle_error *err) {
  char digest[MLE_SHA256_HEX];
  make_key(out_key);
  MLE_TRY(mle_sha256_hex(out_key, strlen(out_key), digest, err));
  MLE_TRY(mle_db_run(db, err,
                     "insert into access_keys (endpoint, label, sha256, created_ms) "
                     "values (?, ?, ?, ?)", "sssi", endpoint, label, digest, mle_now_ms()));
  *out_id = mle_db_inserted(db);
  return MLE_OK;
}

mle_status mle_keys_revoke(mle_db *db, int64_t id, mle_error *err) {
  MLE_TRY(mle_db_run(db, err, "update access_keys set sha256 = 'revoked ' || id where id = ? "
                              "and sha256 not like 'revoked %'", "i", id));
  if (mle_db_changes(db) == 1) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "there is no key %lld; mlengine key list shows them",
                  (long long)id);
}

mle_status mle_keys_open(mle_db *db, const char *endpoint, mle_error *err) {
  MLE_TRY(mle_db_run(db, err, "delete from access_keys where endpoint = ?", "s", endpoint));
  if (mle_db_changes(db) > 0) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "endpoint '%.128s' has no keys: it is open", endpoint);
}

static mle_status read_key(const mle_db_rows *rows, mle_arena *memory, mle_key *out,
                           mle_error *err) {
  out->id = mle_db_int(rows, 0);
  out->created_ms = mle_db_int(rows, 4);
  MLE_TRY(mle_arena_copy(memory, mle_db_text(rows, 1), &out->endpoint, err));
  MLE_TRY(mle_arena_copy(memory, mle_db_text(rows, 2), &out->label, err));
  return mle_arena_copy(memory, mle_db_text(rows, 3), &out->sha256, err);
}

mle_status mle_keys_list(mle_db *db, mle_arena *memory, mle_keys *out, mle_error *err) {
  mle_db_rows rows;
  mle_status status;
  *out = (mle_keys){0};
  MLE_TRY(mle_db_query(db, &rows, err, "select id, endpoint, label, sha256, created_ms "
                                       "from access_keys order by id", ""));
  while ((status = mle_db_next(&rows, err)) == MLE_OK && rows.found) {
    mle_key *item = mle_arena_grow(memory, out->item, out->count, sizeof *item);
    if (item == NULL) {
      status = mle_nomem(err, "reading access keys");
      goto done;
    }
    out->item = item;
    MLE_GO(read_key(&rows, memory, &item[out->count], err));
    out->count++;
  }
done:
  mle_db_end(&rows);
  return status;
}
