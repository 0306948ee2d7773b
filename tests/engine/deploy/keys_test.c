#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/deploy/keys.h"
#include "engine/deploy/records.h"

static char folder[64];
static mle_db *db;

static int start(void **state) {
  (void)state;
  strcpy(folder, "/tmp/mlengine-keys-XXXXXX");
  assert_non_null(mkdtemp(folder));
  return mle_records_open(folder, &db, NULL) == MLE_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  mle_db_close(db);
  mle_remove_tree(folder, NULL);
  return 0;
}

static size_t count(void) {
  mle_arena memory = MLE_ARENA;
  mle_keys keys;
  assert_int_equal(mle_keys_list(db, &memory, &keys, NULL), MLE_OK);
  mle_arena_release(&memory);
  return keys.count;
}

static void only_the_digest_is_kept(void **state) {
  (void)state;
  char key[MLE_KEY_TEXT], second[MLE_KEY_TEXT], digest[MLE_SHA256_HEX];
  int64_t id, other;
  assert_int_equal(mle_keys_add(db, "fraud", "the shop", key, &id, NULL), MLE_OK);
  assert_int_equal(mle_keys_add(db, NULL, "", second, &other, NULL), MLE_OK);
  assert_string_not_equal(key, second);
  assert_int_equal(mle_sha256_hex(key, strlen(key), digest, NULL), MLE_OK);
  mle_arena memory = MLE_ARENA;
  mle_keys keys;
  assert_int_equal(mle_keys_list(db, &memory, &keys, NULL), MLE_OK);
  assert_int_equal(keys.count, 2);
  for (size_t i = 0; i < 2; i++) {
    const mle_key *k = &keys.item[i];
    if (k->id == id) assert_string_equal(k->sha256, digest);
    if (k->id == other) assert_null(k->endpoint);
  }
  mle_arena_release(&memory);
}

static void keys_are_revoked_and_forgotten(void **state) {
  (void)state;
  char key[MLE_KEY_TEXT];
  int64_t id, other;
  assert_int_equal(mle_keys_add(db, "fraud", "", key, &id, NULL), MLE_OK);
  assert_int_equal(mle_keys_add(db, "churn", "", key, &other, NULL), MLE_OK);
  assert_int_equal(mle_keys_revoke(db, id + 100, NULL), MLE_ENOTFOUND);
  assert_int_equal(mle_keys_revoke(db, id, NULL), MLE_OK);
  assert_int_equal(count(), 2); /* still there: the endpoint stays closed */
  assert_int_equal(mle_keys_open(db, "fraud", NULL), MLE_OK);
  assert_int_equal(count(), 1);
}

static void out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  (void)state;
  char key[MLE_KEY_TEXT];
  int64_t id;
  mle_keys keys;
  assert_int_equal(mle_keys_add(db, "fraud", "a label", key, &id, NULL), MLE_OK);
  long granted = 0;
  for (;; granted++) {
    mle_arena memory = MLE_ARENA;
    mle_alloc_fail_after(granted);
    mle_status status = mle_keys_list(db, &memory, &keys, NULL);
    mle_alloc_fail_after(-1);
    mle_arena_release(&memory);
    if (status == MLE_OK) break;
    assert_int_equal(status, MLE_ENOMEM);
    assert_true(granted < 1000);
  }
  assert_true(granted > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(only_the_digest_is_kept, start, stop),
      cmocka_unit_test_setup_teardown(keys_are_revoked_and_forgotten, start, stop),
      cmocka_unit_test_setup_teardown(out_of_memory_is_an_error_and_leaks_nothing, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
