/* What is forgotten, and that the next runs decide as they would have. */
#include "tests/engine/jobs/support.h"

#include "engine/jobs/prune.h"
#include "engine/jobs/triggers.h"

static int64_t count(const char *sql) {
  int64_t n;
  mle_error err;
  must(mle_db_get_int(mle_state_db(state), 0, &n, &err, sql, ""), &err);
  return n;
}

/* A run of `job` that was given `parent`'s outputs and read (from, to]; it succeeds unless `fails`. */
static int64_t add(const char *job, int64_t parent, int64_t from, int64_t to, bool fails) {
  mle_run_input input = {"New Batch", parent};
  mle_run_spec spec = spec_of(NULL);
  mle_lock *lock;
  int64_t run;
  bool ended;
  mle_error err;
  spec.job = job;
  spec.inputs = &input;
  spec.num_inputs = parent > 0;
  must(mle_run_create(state, &spec, &lock, &run, &err), &err);
  must(mle_run_start(state, run, getpid(), &err), &err);
  if (to > 0) {
    mle_run_range range = {.consumer = "Fraud/Retrain", .table_uuid = "u", .branch = "main", .table_name = "t",
                           .has_expected = from > 0, .expected = from, .has_from = from > 0, .from = from,
                           .has_to = true, .to = to, .rows = 5};
    must(mle_run_pin_range(state, run, &range, &err), &err);
  }
  if (fails)
    must(mle_run_end(state, run, "failed", "no", NULL, &ended, &err), &err);
  else
    must(mle_run_succeed(state, run, "{}", NULL, 0, &err), &err);
  mle_lock_free(lock);
  return run;
}

static int64_t prune_all(mle_prune_options options) {
  int64_t sum = 0, removed;
  mle_error err;
  do {
    must(mle_history_prune(state, &options, &removed, &err), &err);
    sum += removed;
  } while (removed > 0);
  return sum;
}

static bool is_there(int64_t run) {
  char *json;
  mle_error err;
  mle_status status = mle_history_result_json(state, run, &json, &err);
  mle_free(json);
  return status == MLE_OK;
}

static void what_the_next_run_needs_stays(void **unused) {
  (void)unused;
  int64_t batch = add("New Batch", 0, 0, 0, false), retrain = add("Retrain", batch, 0, 41, false), run = 0;
  for (int i = 0; i < 600; i++) run = add("Retrain", 0, 0, 0, true);
  char *before, *after, folder_of[128];
  mle_consumed first, second;
  bool found;
  mle_error err;
  const mle_watermark_key key = {"Fraud/Retrain", "u", "main"};
  must(mle_history_output_json(state, "Fraud", "New Batch", "Retrain", &before, &err), &err);
  must(mle_consumed_last(state, &key, &found, &first, &err), &err);
  snprintf(folder_of, sizeof folder_of, "%s/runs/%lld", folder, (long long)run - 500);
  must(mle_make_folders(folder_of, 0700, &err), &err);

  assert_int_equal(prune_all((mle_prune_options){.keep = 10}), 590);
  assert_false(mle_file_exists(folder_of));
  assert_true(is_there(batch) && is_there(retrain) && is_there(run) && !is_there(run - 10));
  must(mle_history_output_json(state, "Fraud", "New Batch", "Retrain", &after, &err), &err);
  assert_string_equal(before, after);
  assert_non_null(strstr(after, "\"consumed\":true"));
  must(mle_consumed_last(state, &key, &found, &second, &err), &err);
  assert_true(found && second.to == first.to && second.run == first.run);
  assert_int_equal(count("select runs from run_counts where state = 'failed'"), 600); /* counters only grow */
  mle_free(before);
  mle_free(after);

  int64_t later = add("New Batch", 0, 0, 0, false), next = add("Retrain", later, 41, 42, false);
  for (int i = 0; i < 12; i++) add("Other", 0, 0, 0, false);
  prune_all((mle_prune_options){.keep = 10});
  assert_true(!is_there(batch) && !is_there(retrain) && is_there(later) && is_there(next));
}

static void what_is_not_over_stays(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  int64_t running = start_run(NULL, &lock), announced = add("A", 0, 0, 0, true);
  must(mle_db_run(mle_state_db(state), &err, "insert into intents (run, kind, data, at) values (?, 'x', '{}', 1)", "i",
                  announced), &err);
  for (int i = 0; i < 3; i++) add("A", 0, 0, 0, true);
  assert_int_equal(prune_all((mle_prune_options){.keep = 1}), 2);
  assert_true(is_there(running) && is_there(announced));
  mle_lock_free(lock);
}

static void by_age_and_without_a_limit(void **unused) {
  (void)unused;
  mle_error err;
  for (int i = 0; i < 5; i++) add("A", 0, 0, 0, true);
  must(mle_db_script(mle_state_db(state), "update runs set created = id", &err), &err);
  assert_int_equal(prune_all((mle_prune_options){0}), 0);
  assert_int_equal(prune_all((mle_prune_options){.before_ms = 1}), 0);
  assert_int_equal(prune_all((mle_prune_options){.before_ms = 4}), 3);
  assert_int_equal(count("select min(id) from runs"), 4);
  assert_int_equal(prune_all((mle_prune_options){.before_ms = INT64_MAX}), 2);
  assert_int_equal(count("select count(*) from scripts"), 0); /* no run has that text any more */
}

static void pipelines_runs_and_triggers_go_too(void **unused) {
  (void)unused;
  const mle_trigger wanted = {.pipeline = "P", .file = "p.lua", .params = "[]", .source = "api", .who = "ann"};
  mle_lock *lock;
  int64_t whole, run, trigger;
  mle_error err;
  for (int i = 0; i < 3; i++) {
    mle_run_spec spec = spec_of(NULL);
    must(mle_pipeline_run_create(state, "Fraud", "p.lua", NULL, NULL, &lock, &whole, &err), &err);
    spec.pipeline_run = whole;
    must(mle_run_create_skipped(state, &spec, "no", &run, &err), &err);
    if (i < 2) must(mle_pipeline_run_end(state, whole, "skipped", NULL, &err), &err);
    mle_lock_free(lock);
    must(mle_trigger_add(state, &wanted, NULL, &trigger, &err), &err);
    if (i < 2) must(mle_trigger_cancel(state, trigger, "ann", &err), &err);
  }
  prune_all((mle_prune_options){.before_ms = INT64_MAX});
  assert_int_equal(count("select count(*) from runs"), 1); /* its pipeline's run is going */
  assert_int_equal(count("select count(*) from pipeline_runs"), 1);
  assert_int_equal(count("select count(*) from triggers"), 1); /* it waits */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_the_next_run_needs_stays, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_not_over_stays, set_up, tear_down),
      cmocka_unit_test_setup_teardown(by_age_and_without_a_limit, set_up, tear_down),
      cmocka_unit_test_setup_teardown(pipelines_runs_and_triggers_go_too, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
