/* Runs on a real state file in a folder of their own. */
#include "tests/engine/jobs/support.h"

#include <sys/wait.h>

/* ====== The commit ====== */

static void success_moves_the_watermark_and_keeps_63_bits(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  static const mle_run_action action = {"mlflow_finish", "{\"run_id\":\"abc\"}"};
  int64_t run = start_run(NULL, &lock);
  pin(run, 0, INT64_MAX, 10);
  must(mle_run_succeed(state, run, "{\"id\":9223372036854775807}", &action, 1, &err), &err);
  mle_lock_free(lock);
  assert_true(watermark() == INT64_MAX);
  assert_run(run, "\"state\":\"succeeded\"");
  assert_run(run, "\"outputs\":{\"id\":9223372036854775807}");
  assert_run(run, "\"to\":9223372036854775807");
  assert_run(run, "\"kind\":\"mlflow_finish\"");
}

static void of_two_runs_with_one_start_only_the_first_commits(void **unused) {
  (void)unused;
  mle_lock *a, *b, *c;
  mle_error err;
  int64_t first = start_run(NULL, &a), second = start_run(NULL, &b);
  pin(first, 0, 5, 10);
  pin(second, 0, 5, 10);
  must(mle_run_succeed(state, first, "{}", NULL, 0, &err), &err);
  assert_int_equal(mle_run_succeed(state, second, "{}", NULL, 0, &err), MLE_ECONFLICT);
  char wanted[64];
  snprintf(wanted, sizeof wanted, "run %lld moved the watermark", (long long)first);
  assert_non_null(strstr(err.message, wanted));
  assert_run(second, "\"state\":\"running\""); /* nothing of it was kept */
  int64_t third = start_run(NULL, &c);
  pin(third, 4, 6, 1);
  assert_int_equal(mle_run_succeed(state, third, "{}", NULL, 0, &err), MLE_ECONFLICT);
  assert_true(watermark() == 5);
  mle_lock_free(a);
  mle_lock_free(b);
  mle_lock_free(c);
}

static void rehearsals_move_nothing(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  int64_t run = start_run("again", &lock);
  pin(run, 0, 5, 10);
  must(mle_run_succeed(state, run, "{}", NULL, 0, &err), &err);
  assert_true(watermark() == -1);
  mle_lock_free(lock);
}

static void skipping_moves_only_what_held_no_row(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  int64_t run = start_run(NULL, &lock);
  pin(run, 0, 5, 0);
  must(mle_run_skip(state, run, "no new snapshot", NULL, 0, &err), &err);
  mle_lock_free(lock);
  assert_true(watermark() == 5);
  run = start_run(NULL, &lock);
  pin(run, 5, 6, 3);
  must(mle_run_skip(state, run, "too few rows", NULL, 0, &err), &err);
  mle_lock_free(lock);
  assert_true(watermark() == 5);
}

static void an_empty_table_has_no_watermark(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  int64_t run = start_run(NULL, &lock);
  pin(run, 0, 0, 0);
  must(mle_run_succeed(state, run, "{}", NULL, 0, &err), &err);
  assert_true(watermark() == -1);
  mle_lock_free(lock);
}

static void an_ended_run_cannot_succeed(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  bool ended;
  int64_t run = start_run(NULL, &lock);
  pin(run, 0, 5, 1);
  must(mle_run_end(state, run, "timed-out", "too long", NULL, &ended, &err), &err);
  assert_true(ended);
  assert_int_equal(mle_run_succeed(state, run, "{}", NULL, 0, &err), MLE_ECONFLICT);
  assert_non_null(strstr(err.message, "timed-out"));
  must(mle_run_end(state, run, "failed", "again", NULL, &ended, &err), &err);
  assert_false(ended);
  assert_run(run, "\"reason\":\"too long\"");
  assert_true(watermark() == -1);
  mle_lock_free(lock);
}

static void outputs_have_a_maximum(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  int64_t run = start_run(NULL, &lock);
  char *text = mle_alloc(MLE_RUN_OUTPUTS_MAX + 16);
  memset(text, ' ', MLE_RUN_OUTPUTS_MAX + 15);
  text[MLE_RUN_OUTPUTS_MAX + 15] = '\0';
  assert_int_equal(mle_run_succeed(state, run, text, NULL, 0, &err), MLE_EREFUSED);
  mle_free(text);
  mle_lock_free(lock);
}

/* Eight processes have read the same range; they all commit at once. */
static void of_racing_processes_one_commits(void **unused) {
  (void)unused;
  enum { RACERS = 8 };
  int64_t runs[RACERS];
  mle_lock *locks[RACERS];
  for (int i = 0; i < RACERS; i++) pin(runs[i] = start_run(NULL, &locks[i]), 0, 5, 1);
  pid_t children[RACERS];
  for (int i = 0; i < RACERS; i++) {
    if ((children[i] = fork()) != 0) continue;
    mle_state *own;
    mle_error err;
    mle_status status = mle_state_open(folder, &own, &err);
    if (status == MLE_OK) status = mle_run_succeed(own, runs[i], "{}", NULL, 0, &err);
    _exit((int)status);
  }
  int won = 0, lost = 0;
  for (int i = 0; i < RACERS; i++) {
    int status;
    waitpid(children[i], &status, 0);
    won += WEXITSTATUS(status) == MLE_OK;
    lost += WEXITSTATUS(status) == MLE_ECONFLICT;
    mle_lock_free(locks[i]);
  }
  assert_int_equal(won, 1);
  assert_int_equal(lost, RACERS - 1);
}

/* ====== Recovery ====== */

static void a_run_whose_lock_is_free_is_lost(void **unused) {
  (void)unused;
  mle_lock *alive, *dead;
  mle_error err;
  int64_t living = start_run(NULL, &alive), gone = start_run(NULL, &dead);
  must(mle_run_intend(state, gone, "mlflow_run", "{\"run_id\":\"abc\"}", &err), &err);
  mle_lock_free(dead);
  must(mle_state_recover(state, &err), &err);
  assert_run(living, "\"state\":\"running\"");
  assert_run(gone, "\"state\":\"lost\"");
  assert_run(gone, "ended without a word");
  assert_run(gone, "\"mlflow_run\":\"abc\"");
  char *json;
  must(mle_history_unsettled_json(state, 0, &json, &err), &err);
  assert_non_null(
      strstr(json, "\"state\":\"lost\",\"intents\":[{\"id\":1,\"kind\":\"mlflow_run\""));
  mle_free(json);
  must(mle_intent_settle(state, 1, &err), &err);
  must(mle_history_unsettled_json(state, 0, &json, &err), &err);
  assert_string_equal(json, "[]");
  mle_free(json);
  mle_lock_free(alive);
}

static void a_pipeline_whose_engine_is_gone_is_lost(void **unused) {
  (void)unused;
  mle_lock *lock;
  int64_t id, count;
  mle_error err;
  must(mle_pipeline_run_create(state, "Fraud", "pipeline.lua", NULL, NULL, &lock, &id, &err), &err);
  must(mle_state_recover(state, &err), &err);
  static const char lost[] = "select count(*) from pipeline_runs where state = 'lost'";
  must(mle_db_get_int(mle_state_db(state), -1, &count, &err, lost, ""), &err);
  assert_int_equal(count, 0);
  mle_lock_free(lock);
  must(mle_state_recover(state, &err), &err);
  must(mle_db_get_int(mle_state_db(state), -1, &count, &err, lost, ""), &err);
  assert_int_equal(count, 1);
}

/* ====== What is due ====== */

static void an_output_is_fresh_until_a_child_succeeded_with_it(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  char *json;
  int64_t parent = start_run(NULL, &lock);
  must(mle_run_succeed(state, parent, "{\"x\":1}", NULL, 0, &err), &err);
  mle_lock_free(lock);
  mle_run_input input = {"Retrain", parent};
  mle_run_spec child = spec_of(NULL);
  child.job = "Redeploy", child.inputs = &input, child.num_inputs = 1;
  for (int failed = 1; failed >= 0; failed--) {
    int64_t run;
    bool ended;
    must(mle_history_output_json(state, "Fraud", "Retrain", "Redeploy", &json, &err), &err);
    assert_non_null(strstr(json, "\"outputs\":{\"x\":1},\"consumed\":false"));
    mle_free(json);
    must(mle_run_create(state, &child, &lock, &run, &err), &err);
    must(mle_run_start(state, run, 1, &err), &err);
    if (failed)
      must(mle_run_end(state, run, "failed", "no server", NULL, &ended, &err), &err);
    else
      must(mle_run_succeed(state, run, "{}", NULL, 0, &err), &err);
    mle_lock_free(lock);
  }
  must(mle_history_output_json(state, "Fraud", "Retrain", "Redeploy", &json, &err), &err);
  assert_non_null(strstr(json, "\"consumed\":true"));
  mle_free(json);
  must(mle_history_output_json(state, "Fraud", "Nobody", "Redeploy", &json, &err), &err);
  assert_null(json);
}

static void the_last_range_with_rows_is_read_again(void **unused) {
  (void)unused;
  static const mle_watermark_key key = {"Fraud/Retrain", "u-1", "main"};
  mle_lock *lock;
  mle_error err;
  bool found;
  mle_consumed last;
  must(mle_consumed_last(state, &key, &found, &last, &err), &err);
  assert_false(found);
  const int64_t ranges[][3] = {{0, 5, 10}, {5, 7, 2}, {7, 7, 0}};
  for (size_t i = 0; i < 3; i++) {
    int64_t run = start_run(NULL, &lock);
    pin(run, ranges[i][0], ranges[i][1], ranges[i][2]);
    must(mle_run_succeed(state, run, "{}", NULL, 0, &err), &err);
    mle_lock_free(lock);
  }
  must(mle_consumed_last(state, &key, &found, &last, &err), &err);
  assert_true(found && last.has_from && last.from == 5 && last.to == 7);
}

/* ====== The file ====== */

static void a_newer_state_is_refused(void **unused) {
  (void)unused;
  mle_error err;
  mle_state *again;
  must(mle_db_script(mle_state_db(state), "pragma user_version = 1000", &err), &err);
  assert_int_equal(mle_state_open(folder, &again, &err), MLE_EREFUSED);
  assert_non_null(strstr(err.message, "newer mlengine"));
  assert_null(again);
}

static void many_processes_may_make_it_at_once(void **unused) {
  (void)unused;
  enum { MAKERS = 8 };
  char other[96];
  snprintf(other, sizeof other, "%s/other", folder);
  for (int i = 0; i < MAKERS; i++) {
    if (fork() != 0) continue;
    mle_state *own;
    mle_status status = mle_state_open(other, &own, NULL);
    mle_state_close(own);
    _exit((int)status);
  }
  for (int i = 0; i < MAKERS; i++) {
    int status = 0;
    wait(&status);
    assert_int_equal(WEXITSTATUS(status), MLE_OK);
  }
}

/* One life of a run; every text and row on the way may meet an exhausted allocator. */
static mle_status live(mle_error *err) {
  mle_status status;
  mle_state *own = NULL;
  mle_lock *lock = NULL;
  char *json = NULL;
  int64_t run;
  mle_run_spec spec = spec_of("full");
  mle_run_range range = range_of(0, 5, 1);
  MLE_GO(mle_state_open(folder, &own, err));
  MLE_GO(mle_run_create(own, &spec, &lock, &run, err));
  MLE_GO(mle_run_start(own, run, 1, err));
  MLE_GO(mle_run_pin_range(own, run, &range, err));
  MLE_GO(mle_run_intend(own, run, "mlflow_run", "{}", err));
  MLE_GO(mle_run_succeed(own, run, "{}", NULL, 0, err));
  MLE_GO(mle_history_run_json(own, run, &json, err));
  mle_free(json);
  json = NULL;
  MLE_GO(mle_history_json(own, &(mle_history_filter){0}, 10, &json, err));
  MLE_GO(mle_state_recover(own, err));
done:
  mle_free(json);
  mle_lock_free(lock);
  mle_state_close(own);
  return status;
}

static void memory_may_end_anywhere(void **unused) {
  (void)unused;
  long granted = 0;
  for (;; granted++) {
    mle_error err;
    mle_alloc_fail_after(granted);
    mle_status status = live(&err);
    mle_alloc_fail_after(-1);
    if (status == MLE_OK) break;
    assert_int_equal(status, MLE_ENOMEM);
  }
  assert_true(granted > 5);
  mle_error err;
  must(mle_state_recover(state, &err), &err);
}

/* A run of Retrain that has succeeded, or was given the outputs of `earlier`. */
static int64_t ended_run(int64_t earlier) {
  mle_lock *lock;
  mle_error err;
  int64_t run = start_run(NULL, &lock);
  if (earlier != 0) {
    must(mle_run_reuse(state, run, earlier, "fingerprint", &err), &err);
  } else {
    must(mle_run_note(state, run, "fingerprint", "{\"key\":\"k\"}", &err), &err);
    must(mle_run_note(state, run, "model", "{}", &err), &err);
    must(mle_run_succeed(state, run, "{\"x\":1}", NULL, 0, &err), &err);
  }
  mle_lock_free(lock);
  return run;
}

static void a_reused_run_hands_on_the_earlier_ones(void **unused) {
  (void)unused;
  int64_t first = ended_run(0), second = ended_run(first);
  mle_lock *lock;
  mle_error err;
  char *json;
  assert_run(second, "\"outputs\":{\"x\":1},\"reused\":1");
  assert_run(second, "\"notes\":[{\"kind\":\"fingerprint\",\"data\":{\"key\":\"k\"}}]");
  must(mle_history_output_json(state, "Fraud", "Retrain", "Redeploy", &json, &err), &err);
  assert_non_null(strstr(json, "\"run\":1,\"outputs\":{\"x\":1},\"consumed\":false"));
  mle_free(json);
  must(mle_history_runs_total(state, &json, &err), &err);
  assert_non_null(strstr(json, "state=\"reused\"} 1"));
  mle_free(json);
  const mle_history_filter reused = {.run_state = "reused"};
  must(mle_history_json(state, &reused, 10, &json, &err), &err);
  assert_true(strstr(json, "\"run\":2") != NULL && strstr(json, "\"run\":1,") == NULL);
  mle_free(json);

  int64_t third = start_run(NULL, &lock);
  must(mle_history_before_json(state, third, "fingerprint", &json, &err), &err);
  assert_string_equal(json, "{\"run\":1,\"state\":\"succeeded\",\"ranges\":[],\"note\":{\"key\":\"k\"}}");
  mle_free(json);
  must(mle_history_before_json(state, first, "fingerprint", &json, &err), &err);
  assert_null(json);
  assert_int_equal(mle_run_reuse(state, third, third, "fingerprint", &err), MLE_ENOTFOUND); /* it has not succeeded */
  assert_int_equal(mle_run_reuse(state, third, 99, "fingerprint", &err), MLE_ENOTFOUND);
  must(mle_run_reuse(state, third, first, "fingerprint", &err), &err);
  assert_int_equal(mle_run_reuse(state, third, first, "fingerprint", &err), MLE_ECONFLICT); /* it has ended */
  mle_lock_free(lock);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_reused_run_hands_on_the_earlier_ones),
      TEST(success_moves_the_watermark_and_keeps_63_bits),
      TEST(of_two_runs_with_one_start_only_the_first_commits),
      TEST(rehearsals_move_nothing),
      TEST(skipping_moves_only_what_held_no_row),
      TEST(an_empty_table_has_no_watermark),
      TEST(an_ended_run_cannot_succeed),
      TEST(outputs_have_a_maximum),
      TEST(of_racing_processes_one_commits),
      TEST(a_run_whose_lock_is_free_is_lost),
      TEST(a_pipeline_whose_engine_is_gone_is_lost),
      TEST(an_output_is_fresh_until_a_child_succeeded_with_it),
      TEST(the_last_range_with_rows_is_read_again),
      TEST(a_newer_state_is_refused),
      TEST(many_processes_may_make_it_at_once),
      TEST(memory_may_end_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
