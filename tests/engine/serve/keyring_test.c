#include "rig.h"

#include "engine/deploy/records.h"
#include "engine/serve/keyring.h"

static char folder[64];
static mle_db *db;

static int start(void **state) {
  (void)state;
  strcpy(folder, "/tmp/mlengine-keyring-XXXXXX");
  assert_non_null(mkdtemp(folder));
  return mle_records_open(folder, &db, NULL) == MLE_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  mle_db_close(db);
  mle_remove_tree(folder, NULL);
  return 0;
}

static int64_t add(const char *endpoint, char key[MLE_KEY_TEXT]) {
  int64_t id;
  assert_int_equal(mle_keys_add(db, endpoint, "a label", key, &id, NULL), MLE_OK);
  return id;
}

static void a_key_opens_its_endpoint(void **state) {
  (void)state;
  char fraud[MLE_KEY_TEXT], churn[MLE_KEY_TEXT], admin[MLE_KEY_TEXT], endpoint[MLE_ENDPOINT_MAX];
  mle_keyring ring;
  mle_keyring_init(&ring);
  assert_int_equal(mle_keyring_load(&ring, db, NULL), MLE_OK);
  assert_int_equal(mle_keyring_check(&ring, "fraud", ""), MLE_ACCESS_GRANTED); /* no key yet: open */
  assert_int_equal(mle_keyring_check(&ring, "", ""), MLE_ACCESS_UNKNOWN);      /* but nobody administers */
  int64_t id = add("fraud", fraud);
  add("churn", churn);
  add(NULL, admin);
  assert_int_equal(mle_keyring_load(&ring, db, NULL), MLE_OK);
  assert_int_equal(mle_keyring_check(&ring, "fraud", fraud), MLE_ACCESS_GRANTED);
  assert_int_equal(mle_keyring_check(&ring, "fraud", ""), MLE_ACCESS_UNKNOWN);
  assert_int_equal(mle_keyring_check(&ring, "fraud", "mle_wrong"), MLE_ACCESS_UNKNOWN);
  assert_int_equal(mle_keyring_check(&ring, "fraud", churn), MLE_ACCESS_FOREIGN);
  assert_int_equal(mle_keyring_check(&ring, "fraud", admin), MLE_ACCESS_FOREIGN);
  assert_int_equal(mle_keyring_check(&ring, "", admin), MLE_ACCESS_GRANTED);
  assert_int_equal(mle_keyring_check(&ring, "", fraud), MLE_ACCESS_FOREIGN);
  assert_int_equal(mle_keyring_check(&ring, "other", ""), MLE_ACCESS_GRANTED);
  assert_true(mle_keyring_endpoint(&ring, churn, endpoint));
  assert_string_equal(endpoint, "churn");
  assert_false(mle_keyring_endpoint(&ring, admin, endpoint)); /* it is no endpoint's */
  assert_int_equal(mle_keys_revoke(db, id, NULL), MLE_OK);
  assert_int_equal(mle_keyring_load(&ring, db, NULL), MLE_OK);
  assert_int_equal(mle_keyring_check(&ring, "fraud", fraud), MLE_ACCESS_UNKNOWN);
  assert_int_equal(mle_keyring_check(&ring, "fraud", ""), MLE_ACCESS_UNKNOWN); /* still closed */
  mle_keyring_release(&ring);
}

static void a_bearer_is_told_from_other_credentials(void **state) {
  (void)state;
  assert_string_equal(mle_keyring_bearer("Bearer mle_x"), "mle_x");
  assert_string_equal(mle_keyring_bearer("bearer   mle_x"), "mle_x");
  assert_string_equal(mle_keyring_bearer("Basic bWxlOng="), "");
  assert_string_equal(mle_keyring_bearer("Bearer"), "");
  assert_string_equal(mle_keyring_bearer(""), "");
}

/* Keys that could not be read leave those of before in force: nothing opens by it. */
static void without_memory_the_keys_of_before_hold(void **state) {
  (void)state;
  char key[MLE_KEY_TEXT], second[MLE_KEY_TEXT];
  mle_keyring ring;
  add("fraud", key);
  mle_keyring_init(&ring);
  assert_int_equal(mle_keyring_load(&ring, db, NULL), MLE_OK);
  add("fraud", second);
  long granted = 0;
  for (;; granted++) {
    mle_alloc_fail_after(granted);
    mle_status status = mle_keyring_load(&ring, db, NULL);
    mle_alloc_fail_after(-1);
    if (status == MLE_OK) break;
    assert_int_equal(status, MLE_ENOMEM);
    assert_int_equal(mle_keyring_check(&ring, "fraud", key), MLE_ACCESS_GRANTED);
    assert_int_equal(mle_keyring_check(&ring, "fraud", second), MLE_ACCESS_UNKNOWN);
    assert_int_equal(mle_keyring_check(&ring, "fraud", ""), MLE_ACCESS_UNKNOWN);
    assert_true(granted < 1000);
  }
  assert_true(granted > 0);
  assert_int_equal(mle_keyring_check(&ring, "fraud", second), MLE_ACCESS_GRANTED);
  mle_keyring_release(&ring);
}

static void keys_of_another_length_are_others(void **state) {
  (void)state;
  assert_true(mle_keyring_same("abc", "abc"));
  assert_false(mle_keyring_same("abc", "abd"));
  assert_false(mle_keyring_same("bbc", "abc"));
  assert_false(mle_keyring_same("ab", "abc"));
  assert_false(mle_keyring_same("", "abc"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_key_opens_its_endpoint, start, stop),
      cmocka_unit_test(keys_of_another_length_are_others),
      cmocka_unit_test(a_bearer_is_told_from_other_credentials),
      cmocka_unit_test_setup_teardown(without_memory_the_keys_of_before_hold, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
