/* A run that did not succeed starts again as itself; pipelines go on where they stopped. */
#include "tests/engine/jobs/support.h"

#include "engine/jobs/attempt.h"

static const mle_watermark_key key = {"Fraud/Retrain", "u-1", "main"};

static mle_run_range range_to_41(void) {
  mle_run_range range = range_of(0, 41, 9);
  range.read = "{\"snapshots\":[41]}";
  return range;
}

static void end(int64_t run, const char *how) {
  bool ended;
  mle_error err;
  must(mle_run_end(state, run, how, "boom", NULL, &ended, &err), &err);
  assert_true(ended);
}

static void assert_details(int64_t run, const char *wanted) {
  char *json;
  mle_error err;
  must(mle_history_run_json(state, run, &json, &err), &err);
  if (strstr(json, wanted) == NULL) fail_msg("%s is not in %s", wanted, json);
  mle_free(json);
}

static void an_attempt_keeps_the_range_and_consumes_it_once(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  char *json, *key_before, *key_after;
  int64_t attempt, snapshot, run = start_run(NULL, &lock);
  bool found;
  mle_run_range range = range_to_41();
  must(mle_run_pin_range(state, run, &range, &err), &err);
  must(mle_run_intend(state, run, "mlflow_run", "{\"run_id\":\"a\"}", &err), &err);
  must(mle_run_key(state, run, &key_before, &err), &err);
  end(run, "failed");
  mle_lock_free(lock);
  must(mle_run_try_again(state, run, &lock, &attempt, &err), &err);
  assert_int_equal(attempt, 2);
  assert_int_equal(mle_state_recover(state, &err), MLE_OK); /* the lock is held: not lost */
  assert_details(run, "\"attempts\":[{\"attempt\":1,\"state\":\"failed\",\"reason\":\"boom\"");
  must(mle_run_key(state, run, &key_after, &err), &err);
  assert_string_equal(key_before, key_after);
  must(mle_run_pinned_json(state, run, &key, &json, &err), &err);
  assert_non_null(strstr(json, "\"to\":41,\"rows\":9"));
  mle_free(json);
  must(mle_run_start(state, run, 1, &err), &err);
  must(mle_run_succeed(state, run, "{}", NULL, 0, &err), &err);
  must(mle_watermark_find(state, &key, &found, &snapshot, &err), &err);
  assert_int_equal(snapshot, 41);
  must(mle_history_unsettled_json(state, run, &json, &err), &err);
  assert_non_null(strstr(json, "\"stale\":true"));
  mle_free(json);
  mle_free(key_before);
  mle_free(key_after);
  mle_lock_free(lock);
}

/* The table was dropped and made again between the attempts: the second one reads the new. */
static void what_only_an_earlier_attempt_read_is_not_consumed(void **unused) {
  (void)unused;
  static const mle_watermark_key new_key = {"Fraud/Retrain", "u-2", "main"};
  mle_lock *lock;
  mle_error err;
  int64_t attempt, snapshot, run = start_run(NULL, &lock);
  bool found;
  mle_run_range range = range_to_41();
  must(mle_run_pin_range(state, run, &range, &err), &err);
  end(run, "failed");
  mle_lock_free(lock);
  must(mle_run_try_again(state, run, &lock, &attempt, &err), &err);
  must(mle_run_start(state, run, 1, &err), &err);
  range.table_uuid = "u-2";
  range.to = 7;
  must(mle_run_pin_range(state, run, &range, &err), &err);
  must(mle_run_succeed(state, run, "{}", NULL, 0, &err), &err);
  must(mle_watermark_find(state, &key, &found, &snapshot, &err), &err);
  assert_false(found);
  must(mle_watermark_find(state, &new_key, &found, &snapshot, &err), &err);
  assert_true(found);
  assert_int_equal(snapshot, 7);
  mle_lock_free(lock);
}

static void only_what_did_not_succeed_is_tried_again(void **unused) {
  (void)unused;
  mle_lock *lock, *second;
  mle_error err;
  int64_t attempt, run = start_run(NULL, &lock);
  assert_int_equal(mle_run_try_again(state, run, &second, &attempt, &err), MLE_ECONFLICT);
  assert_null(second);
  must(mle_run_succeed(state, run, "{}", NULL, 0, &err), &err);
  mle_lock_free(lock);
  assert_int_equal(mle_run_try_again(state, run, &second, &attempt, &err), MLE_ECONFLICT);
  assert_non_null(strstr(err.message, "run 1 is succeeded"));
  assert_int_equal(mle_run_try_again(state, 99, &second, &attempt, &err), MLE_ENOTFOUND);
}

/* Ended, but its process is still about: it may write yet. */
static void a_run_whose_process_lives_is_left_alone(void **unused) {
  (void)unused;
  mle_lock *lock, *second;
  mle_error err;
  int64_t attempt, run = start_run(NULL, &lock);
  end(run, "stopped");
  assert_int_equal(mle_run_try_again(state, run, &second, &attempt, &err), MLE_EBUSY);
  assert_details(run, "\"state\":\"stopped\"");
  assert_details(run, "\"attempts\":[]");
  mle_lock_free(lock);
}

static void a_pipeline_goes_on_unless_it_succeeded(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  char *json;
  int64_t id;
  must(mle_pipeline_run_create(state, "Fraud", "p.lua", NULL, "{\"steps\":[]}", &lock, &id, &err),
       &err);
  mle_lock_free(lock);
  assert_int_equal(mle_pipeline_run_reopen(state, id, &lock, &err), MLE_ECONFLICT);
  must(mle_state_recover(state, &err), &err); /* its lock is free */
  must(mle_unfinished_json(state, &json, &err), &err);
  assert_string_equal(json, "{\"run\":null,\"pipeline_run\":1}");
  mle_free(json);
  must(mle_pipeline_run_reopen(state, id, &lock, &err), &err);
  must(mle_pipeline_run_json(state, id, &json, &err), &err);
  assert_non_null(strstr(json, "\"state\":\"running\",\"plan\":{\"steps\":[]},\"runs\":[]"));
  mle_free(json);
  must(mle_pipeline_run_end(state, id, "succeeded", NULL, &err), &err);
  mle_lock_free(lock);
  must(mle_unfinished_json(state, &json, &err), &err);
  assert_null(json);
  assert_int_equal(mle_pipeline_run_reopen(state, id, &lock, &err), MLE_ECONFLICT);
  assert_int_equal(mle_pipeline_run_json(state, 7, &json, &err), MLE_ENOTFOUND);
}

static void script_texts_are_kept_once(void **unused) {
  (void)unused;
  char first[65], second[65], *text;
  mle_error err;
  must(mle_script_keep(mle_state_db(state), "return 1", first, &err), &err);
  must(mle_script_keep(mle_state_db(state), "return 1", second, &err), &err);
  assert_string_equal(first, second);
  must(mle_script_text(state, first, &text, &err), &err);
  assert_string_equal(text, "return 1");
  mle_free(text);
  assert_int_equal(mle_script_text(state, "00", &text, &err), MLE_ENOTFOUND);
}

static mle_status again(int64_t run, mle_error *err) {
  mle_lock *lock = NULL;
  char *json = NULL, *text = NULL;
  int64_t attempt;
  bool ended;
  mle_status status;
  MLE_GO(mle_run_try_again(state, run, &lock, &attempt, err));
  MLE_GO(mle_run_pinned_json(state, run, &key, &json, err));
  MLE_GO(mle_run_key(state, run, &text, err));
done:
  if (lock != NULL) mle_run_end(state, run, "failed", "boom", NULL, &ended, NULL);
  mle_free(json);
  mle_free(text);
  mle_lock_free(lock);
  return status;
}

static void memory_may_end_anywhere(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  int64_t run = start_run(NULL, &lock);
  mle_run_range range = range_to_41();
  must(mle_run_pin_range(state, run, &range, &err), &err);
  end(run, "failed");
  mle_lock_free(lock);
  for (long granted = 0;; granted++) {
    mle_alloc_fail_after(granted);
    mle_status status = again(run, &err);
    mle_alloc_fail_after(-1);
    if (status == MLE_OK) break;
    assert_int_equal(status, MLE_ENOMEM);
    bool ended; /* as its engine would */
    mle_run_end(state, run, "failed", "boom", NULL, &ended, NULL);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(an_attempt_keeps_the_range_and_consumes_it_once),
      TEST(what_only_an_earlier_attempt_read_is_not_consumed),
      TEST(only_what_did_not_succeed_is_tried_again),
      TEST(a_run_whose_process_lives_is_left_alone),
      TEST(a_pipeline_goes_on_unless_it_succeeded),
      TEST(script_texts_are_kept_once),
      TEST(memory_may_end_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
