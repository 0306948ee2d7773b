/* A release by another machine: its records, and what a server short of memory makes of them. */

#include "rig.h"

#include "engine/deploy/keep.h"
#include "engine/deploy/records.h"
#include "engine/serve/remote.h"

static char root[64];
static mle_db *db;
static char digest[MLE_SHA256_HEX];

/* A model as it was uploaded: models/DIGEST.part. */
static void upload(void) {
  char *models = mle_path_join(root, "models");
  mle_make_folders(models, 0700, NULL);
  char *source = make_folder("binary.ubj", MLMODEL_OF("xgboost.core.Booster"));
  mle_kept kept;
  assert_int_equal(mle_keep_plan(source, models, &kept, NULL), MLE_OK);
  strcpy(digest, kept.sha256);
  char *part = mle_format("%s/%s.part", models, digest);
  mle_remove_tree(part, NULL);
  assert_int_equal(rename(source, part), 0);
  mle_free(part);
  mle_free(source);
  mle_free(models);
}

static int start(void **state) {
  (void)state;
  strcpy(root, "/tmp/mlengine-remote-XXXXXX");
  assert_non_null(mkdtemp(root));
  upload();
  return mle_records_open(root, &db, NULL) == MLE_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  mle_db_close(db);
  mle_remove_tree(root, NULL);
  return 0;
}

/* The reply's text, NULL when there was no memory for it. */
static mle_status record(const char *request, char **out, mle_error *err) {
  mle_json *doc, *reply = NULL;
  mle_status status;
  *out = NULL;
  MLE_TRY(mle_json_parse(request, strlen(request), &doc, err));
  mle_json_at at = mle_json_root(doc);
  reply = mle_json_new_object();
  status = reply == NULL ? mle_nomem(err, "replying") : mle_remote_record(db, root, &at, reply, err);
  if (status == MLE_OK) *out = mle_json_print(reply, false);
  mle_json_free(reply);
  mle_json_free(doc);
  return status;
}

static void expect(const char *request, const char *part) {
  char *reply;
  mle_error err;
  if (record(request, &reply, &err) != MLE_OK) fail_msg("%s: %s", request, err.message);
  if (reply == NULL || strstr(reply, part) == NULL) fail_msg("%s: %s", request, reply);
  mle_free(reply);
}

static void refuse(const char *request, mle_status wanted, const char *part) {
  char *reply;
  mle_error err;
  mle_status status = record(request, &reply, &err);
  if (status != wanted || strstr(err.message, part) == NULL) fail_msg("%s: %d %s", request, status, err.message);
  assert_null(reply);
}

static char *begin_text(void) {
  return mle_format("{\"call\":\"begin\",\"endpoint\":\"fraud\",\"uri\":\"models:/M/1\",\"version\":\"1\",\"sha256\":\"%s\"}", digest);
}

static void a_release_goes_through_its_states(void **state) {
  (void)state;
  char *begin = begin_text();
  expect(begin, "\"id\":1");
  expect("{\"call\":\"advance\",\"id\":1,\"state\":\"verified\",\"text\":\"[1]\"}", "{}");
  expect("{\"call\":\"advance\",\"id\":1,\"state\":\"accepted\"}", "{}");
  expect("{\"call\":\"point\",\"id\":1}", "{}");
  expect("{\"call\":\"finish\",\"id\":1}", "{}");
  expect("{\"call\":\"get\",\"id\":1}", "\"state\":\"live\"");
  expect("{\"call\":\"slot\",\"endpoint\":\"fraud\"}", "\"version\":\"1\"");
  expect("{\"call\":\"slot\",\"endpoint\":\"none\"}", "{}");
  expect("{\"call\":\"list\"}", "\"deployments\":[{\"id\":1,\"endpoint\":\"fraud\"");
  mle_free(begin);
}

static void what_cannot_be_recorded_is_refused(void **state) {
  (void)state;
  refuse("{\"call\":\"drop\"}", MLE_EINVAL, "there is no call 'drop'");
  refuse("{\"call\":\"get\",\"id\":9}", MLE_ENOTFOUND, "9");
  refuse("{\"call\":\"begin\",\"endpoint\":\"a/b\",\"uri\":\"u\",\"sha256\":\"x\"}", MLE_EINVAL, "no name for an endpoint");
  refuse("{\"call\":\"begin\",\"endpoint\":\"a\",\"uri\":\"u\",\"sha256\":\"../../x\"}", MLE_EINVAL, "must be a digest");
  char *damaged = mle_format("%s/models/%s.part/model.ubj", root, digest), *begin = begin_text();
  assert_int_equal(mle_file_replace(damaged, "{", 1, 0600, NULL), MLE_OK);
  refuse(begin, MLE_EFORMAT, "arrived damaged");
  mle_free(damaged);
  mle_free(begin);
}

/* Whatever fails, nothing leaks, and once there is memory the same call works: begin needs its upload again. */
static void walk(const char *request, bool uploads) {
  long granted = 0;
  for (;; granted++) {
    char *reply;
    if (uploads) upload();
    mle_alloc_fail_after(granted);
    mle_status status = record(request, &reply, NULL);
    mle_alloc_fail_after(-1);
    bool done = status == MLE_OK && reply != NULL;
    mle_free(reply);
    if (done) break;
    assert_true(granted < 2000);
  }
  assert_true(granted > 0);
}

static void out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  (void)state;
  char *begin = begin_text();
  walk(begin, true);
  walk("{\"call\":\"get\",\"id\":1}", false);
  walk("{\"call\":\"list\"}", false);
  walk("{\"call\":\"advance\",\"id\":1,\"state\":\"verified\",\"text\":\"[1]\"}", false);
  expect("{\"call\":\"get\",\"id\":1}", "\"scores\":\"[1]\"");
  mle_free(begin);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_release_goes_through_its_states, start, stop),
      cmocka_unit_test_setup_teardown(what_cannot_be_recorded_is_refused, start, stop),
      cmocka_unit_test_setup_teardown(out_of_memory_is_an_error_and_leaks_nothing, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
