#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/deploy/keep.h"
#include "engine/deploy/records.h"

static char root[64];

static void put(const char *name, const char *text) {
  char *path = mle_path_join(root, name);
  assert_int_equal(mle_file_replace(path, text, strlen(text), 0600, NULL), MLE_OK);
  mle_free(path);
}

static char *at(const char *name) { return mle_path_join(root, name); }

static int start(void **state) {
  (void)state;
  strcpy(root, "/tmp/mlengine-keep-XXXXXX");
  assert_non_null(mkdtemp(root));
  char *source = at("source");
  mle_make_folders(source, 0700, NULL);
  mle_free(source);
  put("source/MLmodel", "flavors:\n  xgboost:\n    data: model.ubj\n");
  put("source/model.ubj", "bytes");
  put("source/serving_input_example.json", "{}");
  put("source/requirements.txt", "not kept");
  return 0;
}

static int stop(void **state) {
  (void)state;
  mle_remove_tree(root, NULL);
  return 0;
}

static mle_kept keep(void) {
  mle_kept kept;
  mle_error err;
  char *source = at("source"), *models = at("models");
  if (mle_keep_plan(source, models, &kept, &err) != MLE_OK) fail_msg("%s", err.message);
  if (mle_keep_copy(source, &kept, &err) != MLE_OK) fail_msg("%s", err.message);
  mle_free(source);
  mle_free(models);
  return kept;
}

static void a_copy_is_named_by_its_content(void **state) {
  (void)state;
  mle_kept first = keep(), again = keep();
  assert_string_equal(first.path, again.path);
  put("source/requirements.txt", "changed: it is not part of the model");
  again = keep();
  assert_string_equal(first.path, again.path);
  put("source/model.ubj", "other bytes");
  again = keep();
  assert_string_not_equal(first.path, again.path);
}

static void a_damaged_copy_is_noticed_and_mended(void **state) {
  (void)state;
  mle_kept kept = keep();
  char *path = mle_path_join(kept.path, "model.ubj");
  mle_error err;
  assert_int_equal(mle_file_replace(path, "bitrot", 6, 0600, NULL), MLE_OK);
  assert_int_equal(mle_keep_check(&kept, &err), MLE_EFORMAT);
  assert_non_null(strstr(err.message, "was changed since it was deployed"));
  keep();
  assert_int_equal(mle_keep_check(&kept, NULL), MLE_OK);
  mle_file_remove(path, NULL);
  assert_int_equal(mle_keep_check(&kept, &err), MLE_ENOTFOUND);
  mle_free(path);
}

static void what_is_no_model_is_refused(void **state) {
  (void)state;
  mle_kept kept;
  mle_error err;
  char *source = at("source");
  put("source/MLmodel", "flavors:\n  xgboost:\n    data: a/b.ubj\n");
  assert_int_equal(mle_keep_plan(source, root, &kept, &err), MLE_EREFUSED);
  put("source/MLmodel", "flavors:\n  sklearn: {}\n");
  assert_int_equal(mle_keep_plan(source, root, &kept, &err), MLE_EUNSUPPORTED);
  assert_int_equal(mle_keep_plan(root, root, &kept, &err), MLE_ENOTFOUND);
  mle_free(source);
}

static void copies_nobody_needs_are_removed(void **state) {
  (void)state;
  mle_kept kept = keep();
  mle_db *db;
  char *models = at("models");
  assert_int_equal(mle_records_open(root, &db, NULL), MLE_OK);
  int64_t id;
  mle_deployment wanted = {.endpoint = "e", .uri = "u", .folder = kept.path, .sha256 = kept.sha256};
  assert_int_equal(mle_records_begin(db, &wanted, &id, NULL), MLE_OK);
  assert_int_equal(mle_keep_prune(db, models, NULL), MLE_OK);
  assert_true(mle_file_exists(kept.path));
  assert_int_equal(mle_records_advance(db, id, "failed", "x", NULL), MLE_OK);
  put("source/model.ubj", "other");
  mle_kept other = keep();
  assert_int_equal(mle_keep_prune(db, models, NULL), MLE_OK);
  assert_false(mle_file_exists(other.path));
  mle_db_close(db);
  mle_free(models);
}

static void make_old(const char *path) {
  const struct timespec times[2] = {{.tv_sec = time(NULL) - 90000}, {.tv_sec = time(NULL) - 90000}};
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* A release that was killed while it copied, an upload whose sender went away. */
static void what_was_left_half_made_is_removed(void **state) {
  (void)state;
  static const char *const names[] = {"models/0123456789abcdef.tmp-77", "models/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.part"};
  mle_db *db;
  char *models = at("models"), *other = at("models/readme");
  assert_int_equal(mle_records_open(root, &db, NULL), MLE_OK);
  assert_int_equal(mle_make_folders(models, 0700, NULL), MLE_OK);
  put("models/readme", "a user's");
  make_old(other);
  for (int i = 0; i < 2; i++) {
    char *folder = at(names[i]), *file = mle_format("%s/model.ubj", names[i]);
    assert_int_equal(mle_make_folders(folder, 0700, NULL), MLE_OK);
    put(file, "half");
    assert_int_equal(mle_keep_prune(db, models, NULL), MLE_OK);
    assert_true(mle_file_exists(folder)); /* somebody may be at it */
    make_old(folder);
    assert_int_equal(mle_keep_prune(db, models, NULL), MLE_OK);
    assert_false(mle_file_exists(folder));
    mle_free(folder);
    mle_free(file);
  }
  assert_true(mle_file_exists(other));
  mle_db_close(db);
  mle_free(models);
  mle_free(other);
}

static void out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  (void)state;
  char *source = at("source"), *models = at("models");
  for (long granted = 0;; granted++) {
    mle_kept kept;
    mle_alloc_fail_after(granted);
    mle_status status = mle_keep_plan(source, models, &kept, NULL);
    if (status == MLE_OK) status = mle_keep_copy(source, &kept, NULL);
    mle_alloc_fail_after(-1);
    mle_remove_tree(models, NULL);
    if (status == MLE_OK) break;
    assert_true(granted < 2000);
  }
  mle_free(source);
  mle_free(models);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_copy_is_named_by_its_content, start, stop),
      cmocka_unit_test_setup_teardown(a_damaged_copy_is_noticed_and_mended, start, stop),
      cmocka_unit_test_setup_teardown(what_is_no_model_is_refused, start, stop),
      cmocka_unit_test_setup_teardown(copies_nobody_needs_are_removed, start, stop),
      cmocka_unit_test_setup_teardown(what_was_left_half_made_is_removed, start, stop),
      cmocka_unit_test_setup_teardown(out_of_memory_is_an_error_and_leaks_nothing, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
