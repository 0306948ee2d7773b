#include "tests/engine/jobs/support.h"

#include "engine/jobs/attempt.h"
#include "engine/jobs/triggers.h"

static const mle_trigger WANTED = {.pipeline = "Fraud", .file = "p.lua", .job = "Retrain", .params = "[\"a=1\"]",
                                   .source = "schedule", .who = "cron", .detail = "2026"};

static int64_t add(const mle_cursor *moves) {
  int64_t id;
  mle_error err;
  must(mle_trigger_add(state, &WANTED, moves, &id, &err), &err);
  return id;
}

/* Whether the trigger, as JSON, says so. */
static bool says(int64_t id, const char *part) {
  char *json;
  mle_error err;
  must(mle_trigger_json(state, id, &json, &err), &err);
  bool found = strstr(json, part) != NULL;
  if (!found) print_message("%s\n", json);
  mle_free(json);
  return found;
}

static void from_queued_to_its_end(void **unused) {
  (void)unused;
  mle_lock *lock, *other;
  mle_error err;
  int64_t id = add(NULL);
  assert_true(says(id, "\"state\":\"queued\"") && says(id, "\"params\":[\"a=1\"]"));
  must(mle_trigger_take(state, id, &lock, &err), &err);
  assert_int_equal(mle_trigger_take(state, id, &other, &err), MLE_EBUSY);
  must(mle_trigger_put_back(state, id, &err), &err);
  mle_lock_free(lock);
  assert_true(says(id, "\"state\":\"queued\""));
  must(mle_trigger_take(state, id, &lock, &err), &err);
  must(mle_trigger_bind(state, id, 7, &err), &err);
  must(mle_trigger_put_back(state, id, &err), &err); /* too late: it has a run */
  assert_true(says(id, "\"state\":\"started\""));
  assert_int_equal(mle_trigger_cancel(state, id, "ann", &err), MLE_ECONFLICT);
  must(mle_trigger_end(state, id, "succeeded", NULL, &err), &err);
  must(mle_trigger_end(state, id, "failed", "again", &err), &err); /* the first word counts */
  assert_true(says(id, "\"outcome\":\"succeeded\"") && says(id, "\"pipeline_run\":7"));
  mle_lock_free(lock);
  assert_int_equal(mle_trigger_take(state, id, &lock, &err), MLE_ECONFLICT);
}

static void a_cancelled_one_is_never_taken(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  int64_t id = add(NULL);
  must(mle_trigger_cancel(state, id, "ann", &err), &err);
  assert_true(says(id, "taken back by ann"));
  assert_int_equal(mle_trigger_take(state, id, &lock, &err), MLE_ECONFLICT);
  assert_int_equal(mle_trigger_json(state, 99, &(char *){NULL}, &err), MLE_ENOTFOUND);
}

/* Those that wait, and those that never had a run of the job. */
static void those_without_a_run(void **unused) {
  (void)unused;
  mle_lock *lock, *pipeline, *job;
  char *json, first[32], second[32];
  mle_error err;
  int64_t run, id, waits = add(NULL), runs = add(NULL), cancelled = add(NULL);
  must(mle_trigger_cancel(state, cancelled, "ann", &err), &err);
  must(mle_trigger_take(state, runs, &lock, &err), &err);
  must(mle_pipeline_run_create(state, "Fraud", "p.lua", NULL, NULL, &pipeline, &run, &err), &err);
  must(mle_trigger_bind(state, runs, run, &err), &err);
  mle_run_spec spec = {.pipeline_run = run, .pipeline = "Fraud", .job = "Retrain", .script = "r.lua", .script_text = "x",
                       .consumer = "Fraud/Retrain", .params = "{}"};
  must(mle_run_create(state, &spec, &job, &id, &err), &err);
  must(mle_triggers_without_run_json(state, "Fraud", "Retrain", 10, &json, &err), &err);
  snprintf(first, sizeof first, "{\"trigger\":%lld,", (long long)cancelled);
  snprintf(second, sizeof second, ",{\"trigger\":%lld,", (long long)waits);
  const char *a = strstr(json, first), *b = strstr(json, second);
  assert_true(a == json + 1 && b != NULL && b > a && strstr(b + 3, "\"trigger\":") == NULL);
  mle_free(json);
  must(mle_triggers_without_run_json(state, "Fraud", "Retrain", 1, &json, &err), &err);
  assert_true(strstr(json, first) != NULL && strstr(json, second) == NULL);
  mle_free(json);
  must(mle_triggers_without_run_json(state, "Fraud", "Other", 10, &json, &err), &err);
  assert_string_equal(json, "[]");
  mle_free(json);
  mle_lock_free(job);
  mle_lock_free(pipeline);
  mle_lock_free(lock);
}

static void the_dead_are_told_from_the_living(void **unused) {
  (void)unused;
  mle_lock *alive, *dead, *done, *pipeline;
  mle_error err;
  int64_t living = add(NULL), lost = add(NULL), ended = add(NULL), run;
  must(mle_trigger_take(state, living, &alive, &err), &err);
  must(mle_trigger_take(state, lost, &dead, &err), &err);
  must(mle_trigger_take(state, ended, &done, &err), &err);
  must(mle_pipeline_run_create(state, "Fraud", "p.lua", NULL, NULL, &pipeline, &run, &err), &err);
  must(mle_trigger_bind(state, ended, run, &err), &err);
  must(mle_pipeline_run_end(state, run, "succeeded", NULL, &err), &err);
  mle_lock_free(pipeline);
  mle_lock_free(dead);
  mle_lock_free(done);
  must(mle_triggers_recover(state, &err), &err);
  assert_true(says(living, "\"state\":\"started\""));
  assert_true(says(lost, "\"outcome\":\"lost\""));
  assert_true(says(ended, "\"outcome\":\"succeeded\""));
  mle_lock_free(alive);
}

/* What was lost with the machine is resumed once, and not again and again. */
static void a_lost_run_waits_to_be_resumed(void **unused) {
  (void)unused;
  mle_run_spec spec = spec_of(NULL);
  mle_lock *lock, *pipeline, *job;
  mle_error err;
  int64_t id = add(NULL), whole, run;
  must(mle_trigger_take(state, id, &lock, &err), &err);
  must(mle_pipeline_run_create(state, "Fraud", "p.lua", NULL, "{}", &pipeline, &whole, &err), &err);
  must(mle_trigger_bind(state, id, whole, &err), &err);
  spec.pipeline_run = whole;
  must(mle_run_create(state, &spec, &job, &run, &err), &err);
  mle_lock_free(lock);
  mle_lock_free(pipeline);
  mle_lock_free(job);
  must(mle_state_recover(state, &err), &err);
  must(mle_triggers_recover(state, &err), &err);
  assert_true(says(id, "\"state\":\"queued\"") && says(id, "\"resumed\":true"));
  must(mle_trigger_take(state, id, &lock, &err), &err);
  must(mle_trigger_put_back(state, id, &err), &err);
  mle_lock_free(lock);
  must(mle_trigger_take(state, id, &lock, &err), &err);
  mle_lock_free(lock);
  must(mle_triggers_recover(state, &err), &err);
  assert_true(says(id, "\"outcome\":\"lost\""));
}

static void a_cursor_moves_with_its_trigger(void **unused) {
  (void)unused;
  const mle_cursor to = {.pipeline = "Fraud", .job = "Retrain", .source = "@daily", .value = INT64_MAX};
  bool found;
  int64_t value;
  mle_error err;
  must(mle_cursor_find(state, "Fraud", "Retrain", "@daily", &found, &value, &err), &err);
  assert_false(found);
  add(&to);
  must(mle_cursor_find(state, "Fraud", "Retrain", "@daily", &found, &value, &err), &err);
  assert_true(found && value == INT64_MAX);
  must(mle_cursor_find(state, "Fraud", "Retrain", "@hourly", &found, &value, &err), &err);
  assert_false(found); /* another schedule begins anew */
}

static void runs_are_asked_to_stop(void **unused) {
  (void)unused;
  mle_lock *lock;
  char *who;
  bool ended;
  int64_t attempt;
  mle_error err;
  int64_t run = start_run(NULL, &lock);
  must(mle_stop_find(state, run, &who, &err), &err);
  assert_null(who);
  must(mle_stop_ask(state, run, "ann", &err), &err);
  must(mle_stop_ask(state, run, "bob", &err), &err);
  must(mle_stop_find(state, run, &who, &err), &err);
  assert_string_equal(who, "ann");
  mle_free(who);
  must(mle_run_end(state, run, "stopped", "", NULL, &ended, &err), &err);
  assert_int_equal(mle_stop_ask(state, run, "ann", &err), MLE_ECONFLICT);
  mle_lock_free(lock);
  must(mle_run_try_again(state, run, &lock, &attempt, &err), &err);
  must(mle_stop_find(state, run, &who, &err), &err);
  assert_null(who); /* that was about the attempt before */
  must(mle_stop_ask(state, run, "bob", &err), &err);
  must(mle_stop_find(state, run, &who, &err), &err);
  assert_string_equal(who, "bob");
  mle_free(who);
  assert_int_equal(mle_stop_ask(state, 99, "ann", &err), MLE_ECONFLICT);
  must(mle_run_end(state, run, "failed", "", NULL, &ended, &err), &err);
  must(mle_stop_ask(state, run, "ann", &err), &err); /* its engine waits to try it again */
  mle_lock_free(lock);
  assert_int_equal(mle_stop_ask(state, run, "ann", &err), MLE_ECONFLICT);
}

static void what_ran_is_counted(void **unused) {
  (void)unused;
  mle_run_spec spec = spec_of(NULL), rehearsal = spec_of("full");
  mle_lock *lock;
  char *json;
  bool ended;
  int64_t run;
  mle_error err;
  for (int i = 0; i < 2; i++) {
    run = start_run(NULL, &lock);
    must(mle_run_end(state, run, "failed", "", NULL, &ended, &err), &err);
    mle_lock_free(lock);
  }
  must(mle_run_create_skipped(state, &spec, "no", &run, &err), &err);
  must(mle_run_create_skipped(state, &rehearsal, "no", &run, &err), &err);
  spec.job = "a\"b\\c";
  must(mle_run_create_skipped(state, &spec, "no", &run, &err), &err);
  must(mle_history_runs_total(state, &json, &err), &err);
  assert_string_equal(json, "mlengine_runs_total{pipeline=\"Fraud\",job=\"Retrain\",state=\"failed\"} 2\n"
                            "mlengine_runs_total{pipeline=\"Fraud\",job=\"Retrain\",state=\"skipped\"} 1\n"
                            "mlengine_runs_total{pipeline=\"Fraud\",job=\"a\\\"b\\\\c\",state=\"skipped\"} 1");
  mle_free(json);
  must(mle_history_last_json(state, "Fraud", "Retrain", &json, &err), &err);
  assert_non_null(strstr(json, "{\"run\":3,\"state\":\"skipped\""));
  mle_free(json);
  must(mle_history_last_json(state, "Fraud", "None", &json, &err), &err);
  assert_null(json);
  must(mle_history_last_runs(state, &json, &err), &err);
  assert_non_null(strstr(json, "[[\"Fraud\",\"Retrain\",3,\"skipped\",\"no\","));
  assert_non_null(strstr(json, "],[\"Fraud\",\"a\\\"b\\\\c\",5,\"skipped\",\"no\","));
  mle_free(json);
  must(mle_history_last_states(state, &json, &err), &err);
  assert_string_equal(json, "[[\"Fraud\",\"Retrain\",\"skipped\"],[\"Fraud\",\"a\\\"b\\\\c\",\"skipped\"]]");
  mle_free(json);
}

static void history_is_filtered(void **unused) {
  (void)unused;
  static const struct {
    mle_history_filter filter;
    int64_t count;
  } cases[] = {
      {{0}, 3},
      {{.pipeline = "Fraud", .job = "Retrain"}, 3},
      {{.pipeline = "Fraud", .job = "Other"}, 0},
      {{.run_state = "skipped"}, 2},
      {{.before = 3}, 2},
      {{.before = 3, .run_state = "skipped"}, 1},
      {{.floor = 1}, 2},
      {{.floor = 1, .before = 3}, 1},
      {{.trigger = "terminal"}, 3},
      {{.trigger = "schedule"}, 0},
  };
  mle_run_spec spec = spec_of(NULL);
  mle_lock *lock;
  int64_t run;
  mle_error err;
  start_run(NULL, &lock);
  must(mle_run_create_skipped(state, &spec, "no", &run, &err), &err);
  must(mle_run_create_skipped(state, &spec, "no", &run, &err), &err);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *json;
    int64_t count;
    must(mle_history_json(state, &cases[i].filter, 10, &json, &err), &err);
    must(mle_db_get_int(mle_state_db(state), -1, &count, &err, "select json_array_length(?)", "s", json), &err);
    assert_int_equal(count, cases[i].count);
    mle_free(json);
  }
  mle_lock_free(lock);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(from_queued_to_its_end, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_cancelled_one_is_never_taken, set_up, tear_down),
      cmocka_unit_test_setup_teardown(those_without_a_run, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_dead_are_told_from_the_living, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_lost_run_waits_to_be_resumed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_cursor_moves_with_its_trigger, set_up, tear_down),
      cmocka_unit_test_setup_teardown(runs_are_asked_to_stop, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_ran_is_counted, set_up, tear_down),
      cmocka_unit_test_setup_teardown(history_is_filtered, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
