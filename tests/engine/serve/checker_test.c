/* A model's checker that fails in every way a process can. */

#include "rig.h"

#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/serve/checker.h"

static char folder[64], program[80];

/* What runs in place of mlengine; it is called as `program serve --check FOLDER`. */
static void pretend(const char *script) {
  assert_int_equal(mle_file_replace(program, script, strlen(script), 0700, NULL), MLE_OK);
}

static mle_status check(int timeout_ms, char **report, mle_error *err) {
  err->message[0] = '\0';
  return mle_check_in_child(program, "/models/m", timeout_ms, report, err);
}

static void a_report_is_one_line(void **state) {
  (void)state;
  char *report;
  mle_error err;
  pretend("#!/bin/sh\necho \"{\\\"arguments\\\":\\\"$*\\\"}\"\n");
  if (check(10000, &report, &err) != MLE_OK) fail_msg("%s", err.message);
  assert_string_equal(report, "{\"arguments\":\"serve --check /models/m\"}");
  mle_free(report);
}

static void failures_have_one_line(void **state) {
  (void)state;
  static const struct {
    const char *script, *message;
  } table[] = {
      {"#!/bin/sh\necho noise >&2\necho 'mlengine: tree 3: a cycle' >&2\nexit 1\n", "tree 3: a cycle"},
      {"#!/bin/sh\nexit 1\n", "the model in '/models/m' did not pass its check"},
      {"#!/bin/sh\nkill -SEGV $$\n", "the model in '/models/m' killed the process that checked it (signal 11)"},
      {"#!/bin/sh\nyes | head -c 9000000\nexit 3\n", "did not pass its check"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    char *report;
    mle_error err;
    pretend(table[i].script);
    assert_int_equal(check(20000, &report, &err), MLE_EFORMAT);
    assert_null(report);
    if (strstr(err.message, table[i].message) == NULL) fail_msg("%zu: %s", i, err.message);
  }
}

static void one_that_hangs_is_killed_in_time(void **state) {
  (void)state;
  char *report;
  mle_error err;
  pretend("#!/bin/sh\nexec sleep 60\n");
  int64_t begun = mle_monotonic_ns();
  assert_int_equal(check(300, &report, &err), MLE_ETIMEOUT);
  assert_true(mle_monotonic_ns() - begun < INT64_C(10000000000));
  assert_string_equal(err.message, "checking the model in '/models/m': it took too long");
}

static void a_program_that_is_not_there(void **state) {
  (void)state;
  char *report;
  mle_error err;
  unlink(program);
  assert_int_equal(check(1000, &report, &err), MLE_EIO);
  assert_non_null(strstr(err.message, "cannot start"));
}

static int start(void **state) {
  (void)state;
  strcpy(folder, "/tmp/mlengine-checker-XXXXXX");
  assert_non_null(mkdtemp(folder));
  snprintf(program, sizeof program, "%s/program", folder);
  return 0;
}

static int stop(void **state) {
  (void)state;
  return mle_remove_tree(folder, NULL) == MLE_OK ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_report_is_one_line),
      cmocka_unit_test(failures_have_one_line),
      cmocka_unit_test(one_that_hangs_is_killed_in_time),
      cmocka_unit_test(a_program_that_is_not_there),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
