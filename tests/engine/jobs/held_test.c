#include "tests/engine/jobs/support.h"

#include "engine/deploy/records.h"
#include "engine/jobs/held.h"
#include "engine/jobs/moves.h"

/* A run that read (expected, to] held, and announced the MLflow run "m<to>". */
static int64_t begin_run(int64_t expected, int64_t to, mle_lock **lock) {
  char intent[64];
  mle_run_range range = range_of(expected, to, 10);
  mle_error err;
  int64_t run = start_run(NULL, lock);
  range.held = true;
  must(mle_run_pin_range(state, run, &range, &err), &err);
  snprintf(intent, sizeof intent, "{\"run_id\":\"m%lld\"}", (long long)to);
  must(mle_run_intend(state, run, "mlflow_run", intent, &err), &err);
  return run;
}

static void succeed(int64_t run, mle_lock *lock) {
  mle_error err;
  must(mle_run_succeed(state, run, "{}", NULL, 0, &err), &err);
  mle_lock_free(lock);
}

static int64_t train(int64_t expected, int64_t to) {
  mle_lock *lock;
  int64_t run = begin_run(expected, to, &lock);
  succeed(run, lock);
  return run;
}

/* A deployment of the model that "m<to>" logged, up to its end; each call is a new one. */
static void deploy(int64_t to, bool passes) {
  static int calls;
  char name[32], sha256[16];
  mle_db *db;
  mle_error err;
  int64_t id;
  snprintf(name, sizeof name, "m%lld", (long long)to);
  snprintf(sha256, sizeof sha256, "%d", calls++);
  mle_deployment wanted = {.endpoint = "fraud", .uri = name, .name = "M", .version = "1",
                           .run_id = name, .folder = name, .sha256 = sha256};
  must(mle_records_open(folder, &db, &err), &err);
  must(mle_records_begin(db, &wanted, &id, &err), &err);
  must(mle_records_advance(db, id, "verified", "[]", &err), &err);
  if (!passes) {
    must(mle_records_advance(db, id, "rejected", "worse", &err), &err);
  } else {
    must(mle_records_advance(db, id, "accepted", NULL, &err), &err);
    must(mle_records_point(db, id, &err), &err);
    must(mle_records_finish(db, id, &err), &err);
  }
  mle_db_close(db);
}

static int64_t waits_to(void) {
  int64_t run, to;
  mle_error err;
  must(mle_held_waiting(state, &KEY, &run, &to, &err), &err);
  return run == 0 ? -1 : to;
}

static void success_alone_moves_nothing(void **unused) {
  (void)unused;
  train(0, 5);
  assert_true(watermark() == -1);
  assert_true(waits_to() == 5);
}

static void a_release_moves_the_watermark_once(void **unused) {
  (void)unused;
  train(0, 5);
  deploy(5, true);
  assert_true(watermark() == 5 && waits_to() == -1);
  train(5, 8);
  deploy(8, true);
  deploy(8, true);
  assert_true(watermark() == 8);
}

static void a_rejected_model_leaves_its_rows_new(void **unused) {
  (void)unused;
  train(0, 5);
  deploy(5, false);
  assert_true(watermark() == -1 && waits_to() == -1);
}

static void a_later_model_of_the_same_rows_takes_over(void **unused) {
  (void)unused;
  train(0, 5);
  train(0, 8);
  deploy(8, true);
  assert_true(watermark() == 8);
  deploy(5, true); /* an old model goes live again: its rows are consumed already */
  assert_true(watermark() == 8);
}

static void both_models_may_be_released_in_order(void **unused) {
  (void)unused;
  train(0, 5);
  train(0, 8);
  deploy(5, true);
  assert_true(watermark() == 5);
  deploy(8, true);
  assert_true(watermark() == 8);
}

static void a_watermark_moved_by_hand_stays_where_it_was_put(void **unused) {
  (void)unused;
  const mle_watermark_move reset = {.action = MLE_MOVE_RESET, .table_name = "bank.trx",
                                    .who = "ann", .why = "again"};
  mle_error err;
  train(0, 5);
  must(mle_watermark_move_by_hand(state, &KEY, &reset, &err), &err);
  deploy(5, true);
  assert_true(watermark() == -1);
}

static void a_job_that_trains_and_releases_commits_itself(void **unused) {
  (void)unused;
  mle_lock *lock;
  int64_t run = begin_run(0, 5, &lock);
  deploy(5, true);
  assert_true(watermark() == -1);
  succeed(run, lock);
  assert_true(watermark() == 5);
}

static void a_failed_run_consumes_nothing_though_its_model_is_live(void **unused) {
  (void)unused;
  mle_lock *lock;
  bool ended;
  mle_error err;
  int64_t run = begin_run(0, 5, &lock);
  deploy(5, true);
  must(mle_run_end(state, run, "failed", "boom", NULL, &ended, &err), &err);
  mle_lock_free(lock);
  deploy(5, true);
  assert_true(watermark() == -1);
}

static void deployments_need_no_runs(void **unused) {
  (void)unused;
  mle_state_close(state);
  state = NULL;
  must(mle_remove_tree(folder, NULL), NULL);
  must(mle_make_folders(folder, 0700, NULL), NULL);
  deploy(5, true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(success_alone_moves_nothing),
      TEST(a_release_moves_the_watermark_once),
      TEST(a_rejected_model_leaves_its_rows_new),
      TEST(a_later_model_of_the_same_rows_takes_over),
      TEST(both_models_may_be_released_in_order),
      TEST(a_watermark_moved_by_hand_stays_where_it_was_put),
      TEST(a_job_that_trains_and_releases_commits_itself),
      TEST(a_failed_run_consumes_nothing_though_its_model_is_live),
      TEST(deployments_need_no_runs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
