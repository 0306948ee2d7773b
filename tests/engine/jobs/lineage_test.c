/* Who read a snapshot, who was given a run's outputs, what was noted. */
#include "engine/jobs/lineage.h"

#include "tests/engine/jobs/support.h"

static int64_t run_that_reads(const char *read, int64_t to) {
  mle_lock *lock;
  mle_error err;
  int64_t run = start_run(NULL, &lock);
  mle_run_range range = range_of(0, to, 10);
  range.read = read;
  must(mle_run_pin_range(state, run, &range, &err), &err);
  must(mle_run_skip(state, run, "seen", NULL, 0, &err), &err);
  mle_lock_free(lock);
  return run;
}

static void assert_json(mle_status status, char *json, const char *wanted, const mle_error *err) {
  must(status, err);
  assert_string_equal(json, wanted);
  mle_free(json);
}

static void readers_are_those_whose_range_has_the_snapshot(void **unused) {
  (void)unused;
  char *json = NULL;
  mle_error err;
  run_that_reads("{\"full\":false,\"snapshots\":[1,9223372036854775807]}", INT64_MAX);
  run_that_reads("{\"full\":false,\"snapshots\":[1]}", 1);
  run_that_reads("{\"full\":true,\"snapshots\":[],\"catalog\":\"lake\"}", 7);
  run_that_reads(NULL, INT64_MAX);
  mle_status status = mle_lineage_readers_json(state, INT64_MAX, &json, &err);
  assert_json(status, json,
              "[{\"run\":4,\"table_uuid\":\"u-1\",\"table\":\"bank.trx\",\"branch\":\"main\",\"catalog\":null,"
              "\"to\":9223372036854775807,\"full\":false},"
              "{\"run\":3,\"table_uuid\":\"u-1\",\"table\":\"bank.trx\",\"branch\":\"main\",\"catalog\":\"lake\","
              "\"to\":7,\"full\":true},"
              "{\"run\":1,\"table_uuid\":\"u-1\",\"table\":\"bank.trx\",\"branch\":\"main\",\"catalog\":null,"
              "\"to\":9223372036854775807,\"full\":false}]",
              &err);
}

static void a_full_scan_reads_its_snapshot(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  char *json = NULL;
  int64_t run = start_run(NULL, &lock);
  mle_lock_free(lock);
  must(mle_run_note(state, run, "scan",
                    "{\"key\":\"u-2@now\",\"table\":\"bank.customers\",\"table_uuid\":\"u-2\",\"snapshot_id\":5}", &err),
       &err);
  must(mle_run_note(state, run, "scan", "{\"key\":\"u-3@now\",\"table\":\"bank.empty\",\"table_uuid\":\"u-3\"}", &err), &err);
  mle_status status = mle_lineage_readers_json(state, 5, &json, &err);
  assert_json(status, json,
              "[{\"run\":1,\"table_uuid\":\"u-2\",\"table\":\"bank.customers\",\"branch\":\"main\",\"catalog\":null,"
              "\"to\":5,\"full\":true}]",
              &err);
}

static void runs_are_found_by_what_they_announced_and_noted(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  char *json = NULL;
  int64_t run = start_run(NULL, &lock), found;
  mle_lock_free(lock);
  must(mle_run_intend(state, run, "mlflow_run", "{\"run_id\":\"abc\"}", &err), &err);
  must(mle_run_note(state, run, "appended", "{\"snapshot_id\":9223372036854775807}", &err), &err);
  must(mle_lineage_run_of(state, "abc", &found, &err), &err);
  assert_true(found == run);
  must(mle_lineage_run_of(state, "abd", &found, &err), &err);
  assert_true(found == 0);
  mle_status status = mle_lineage_notes_json(state, "appended", "snapshot_id", "9223372036854775807", &json, &err);
  assert_json(status, json, "[{\"run\":1,\"data\":{\"snapshot_id\":9223372036854775807}}]", &err);
  status = mle_lineage_notes_json(state, "appended", "snapshot_id", "7", &json, &err);
  assert_json(status, json, "[]", &err);
}

static void children_are_those_given_the_outputs(void **unused) {
  (void)unused;
  mle_lock *parent, *child;
  mle_error err;
  char *json = NULL;
  int64_t run = start_run(NULL, &parent), other;
  mle_run_input input = {"Retrain", run};
  mle_run_spec spec = spec_of(NULL);
  spec.inputs = &input;
  spec.num_inputs = 1;
  must(mle_run_create(state, &spec, &child, &other, &err), &err);
  mle_lock_free(parent);
  mle_lock_free(child);
  mle_status status = mle_lineage_children_json(state, run, &json, &err);
  assert_json(status, json, "[2]", &err);
  status = mle_lineage_children_json(state, other, &json, &err);
  assert_json(status, json, "[]", &err);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(readers_are_those_whose_range_has_the_snapshot),
      TEST(a_full_scan_reads_its_snapshot),
      TEST(runs_are_found_by_what_they_announced_and_noted),
      TEST(children_are_those_given_the_outputs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
