/* What the tests of the state share: a real state file in a folder of its own, runs in it. */
#ifndef MLE_TESTS_JOBS_SUPPORT_H
#define MLE_TESTS_JOBS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"
#include "engine/jobs/history.h"
#include "engine/jobs/run.h"
#include "engine/jobs/watermark.h"

static char folder[64];
static mle_state *state;

static inline int set_up(void **unused) {
  (void)unused;
  strcpy(folder, "/tmp/mlengine-jobs-XXXXXX");
  assert_non_null(mkdtemp(folder));
  assert_int_equal(mle_state_open(folder, &state, NULL), MLE_OK);
  return 0;
}

static inline int tear_down(void **unused) {
  (void)unused;
  mle_state_close(state);
  return mle_remove_tree(folder, NULL) == MLE_OK ? 0 : 1;
}

static inline void must(mle_status status, const mle_error *err) {
  if (status != MLE_OK) fail_msg("%s", err->message);
}

static inline mle_run_spec spec_of(const char *rehearsal) {
  return (mle_run_spec){.pipeline = "Fraud",
                        .job = "Retrain",
                        .script = "retrain.lua",
                        .script_text = "return 1",
                        .consumer = "Fraud/Retrain",
                        .rehearsal = rehearsal,
                        .params = "{}"};
}

static inline int64_t start_run(const char *rehearsal, mle_lock **lock) {
  mle_run_spec spec = spec_of(rehearsal);
  int64_t run;
  mle_error err;
  must(mle_run_create(state, &spec, lock, &run, &err), &err);
  must(mle_run_start(state, run, getpid(), &err), &err);
  return run;
}

static inline mle_run_range range_of(int64_t expected, int64_t to, int64_t rows) {
  return (mle_run_range){.consumer = "Fraud/Retrain",
                         .table_uuid = "u-1",
                         .branch = "main",
                         .table_name = "bank.trx",
                         .has_expected = expected != 0,
                         .expected = expected,
                         .has_from = expected != 0,
                         .from = expected,
                         .has_to = to != 0,
                         .to = to,
                         .rows = rows};
}

static inline void pin(int64_t run, int64_t expected, int64_t to, int64_t rows) {
  mle_run_range range = range_of(expected, to, rows);
  mle_error err;
  must(mle_run_pin_range(state, run, &range, &err), &err);
}

static inline int64_t watermark(void) {
  static const mle_watermark_key key = {"Fraud/Retrain", "u-1", "main"};
  bool found;
  int64_t snapshot;
  mle_error err;
  must(mle_watermark_find(state, &key, &found, &snapshot, &err), &err);
  return found ? snapshot : -1;
}

static inline void assert_run(int64_t run, const char *part) {
  char *json;
  mle_error err;
  must(mle_history_run_json(state, run, &json, &err), &err);
  if (strstr(json, part) == NULL) fail_msg("no %s in %s", part, json);
  mle_free(json);
}

#define KEY ((mle_watermark_key){"Fraud/Retrain", "u-1", "main"})
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
