#include "tests/engine/jobs/support.h"

#include "engine/jobs/moves.h"

static mle_status do_move(mle_move_action action, int64_t snapshot, const char *why, mle_error *err) {
  const mle_watermark_move m = {.action = action, .table_name = "bank.trx", .snapshot = snapshot,
                                .who = "ann", .why = why};
  return mle_watermark_move_by_hand(state, &KEY, &m, err);
}

static void move(mle_move_action action, int64_t snapshot) {
  mle_error err;
  must(do_move(action, snapshot, "test", &err), &err);
}

static void assert_moves(const char *wanted) {
  char *json;
  mle_error err;
  must(mle_watermark_moves_json(state, 1, &json, &err), &err);
  if (strstr(json, wanted) == NULL) fail_msg("no %s in %s", wanted, json);
  mle_free(json);
}

static void assert_skipped(const char *wanted) {
  char *json;
  mle_error err;
  must(mle_watermark_skipped_json(state, &KEY, &json, &err), &err);
  assert_string_equal(json, wanted);
  mle_free(json);
}

static void adopting_sets_a_watermark_once(void **unused) {
  (void)unused;
  mle_error err;
  move(MLE_MOVE_ADOPT, 42);
  assert_true(watermark() == 42);
  assert_int_equal(do_move(MLE_MOVE_ADOPT, 43, "again", &err), MLE_EEXISTS);
  assert_true(watermark() == 42);
}

static void a_move_is_recorded_with_who_and_why(void **unused) {
  (void)unused;
  mle_error err;
  move(MLE_MOVE_SET, INT64_MAX - 1);
  must(do_move(MLE_MOVE_SET, 7, "bad batch", &err), &err);
  assert_moves("\"action\":\"set\",\"from\":9223372036854775806,\"to\":7,\"who\":\"ann\","
               "\"why\":\"bad batch\"");
  assert_int_equal(do_move(MLE_MOVE_SET, 8, "", &err), MLE_EINVAL);
  assert_true(watermark() == 7);
}

static void a_refused_move_leaves_no_record(void **unused) {
  (void)unused;
  mle_error err;
  move(MLE_MOVE_SET, 7);
  assert_int_equal(do_move(MLE_MOVE_ADOPT, 8, "refused", &err), MLE_EEXISTS);
  assert_int_equal(do_move(MLE_MOVE_UNSKIP, 8, "refused", &err), MLE_ENOTFOUND);
  assert_moves("\"why\":\"test\"");
}

static void a_reset_is_told_from_a_lost_state(void **unused) {
  (void)unused;
  bool reset;
  mle_error err;
  must(mle_watermark_was_reset(state, &KEY, &reset, &err), &err);
  assert_false(reset);
  move(MLE_MOVE_SET, 7);
  move(MLE_MOVE_RESET, 0);
  must(mle_watermark_was_reset(state, &KEY, &reset, &err), &err);
  assert_true(reset);
  assert_true(watermark() == -1);
  assert_moves("\"from\":7,\"to\":null");
}

static void a_snapshot_is_left_out_until_it_is_not(void **unused) {
  (void)unused;
  mle_error err;
  assert_skipped("[]");
  move(MLE_MOVE_SKIP, INT64_MAX);
  assert_int_equal(do_move(MLE_MOVE_SKIP, INT64_MAX, "again", &err), MLE_EEXISTS);
  assert_skipped("[9223372036854775807]");
  move(MLE_MOVE_UNSKIP, INT64_MAX);
  assert_skipped("[]");
  move(MLE_MOVE_SKIP, INT64_MAX);
  assert_skipped("[9223372036854775807]");
  assert_true(watermark() == -1);
}

static void a_run_that_reads_meanwhile_does_not_commit(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  move(MLE_MOVE_SET, 5);
  int64_t run = start_run(NULL, &lock);
  pin(run, 5, 9, 10);
  move(MLE_MOVE_SET, 7);
  assert_int_equal(mle_run_succeed(state, run, "{}", NULL, 0, &err), MLE_ECONFLICT);
  assert_non_null(strstr(err.message, "moved by hand"));
  assert_true(watermark() == 7);
  mle_lock_free(lock);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(adopting_sets_a_watermark_once),
      TEST(a_move_is_recorded_with_who_and_why),
      TEST(a_refused_move_leaves_no_record),
      TEST(a_reset_is_told_from_a_lost_state),
      TEST(a_snapshot_is_left_out_until_it_is_not),
      TEST(a_run_that_reads_meanwhile_does_not_commit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
