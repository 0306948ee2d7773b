#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/cancel.h"
#include "engine/jobs/command.h"

static mle_status run(const char *script, const char *folder, int *code, int *by, mle_error *err) {
  const char *const argv[] = {"sh", "-c", script, NULL};
  return mle_command_run(argv, folder, code, by, err);
}

static void its_end_is_told(void **unused) {
  (void)unused;
  int code, by;
  mle_error err;
  assert_int_equal(run("exit 7", "/", &code, &by, &err), MLE_OK);
  assert_int_equal(code, 7);
  assert_int_equal(by, 0);
  assert_int_equal(run("kill -TERM $$", "/", &code, &by, &err), MLE_OK);
  assert_int_equal(code, 0);
  assert_int_equal(by, SIGTERM);
}

static void it_begins_in_the_folder_with_plain_signals(void **unused) {
  (void)unused;
  int code, by;
  mle_error err;
  signal(SIGPIPE, SIG_IGN);
  assert_int_equal(run("test \"$PWD\" = /usr/bin && kill -PIPE $$", "/usr/bin", &code, &by, &err),
                   MLE_OK);
  signal(SIGPIPE, SIG_DFL);
  assert_int_equal(by, SIGPIPE);
}

static void what_cannot_be_started_is_named(void **unused) {
  (void)unused;
  static const char *const argv[] = {"no-such-program", NULL};
  int code, by;
  mle_error err;
  assert_int_equal(mle_command_run(argv, "/", &code, &by, &err), MLE_ENOTFOUND);
  assert_string_equal(err.message, "cannot start 'no-such-program' in /: No such file or directory");
  assert_int_equal(run("exit 0", "/no/such/folder", &code, &by, &err), MLE_ENOTFOUND);
}

static void being_asked_to_stop_is_not_success(void **unused) {
  (void)unused;
  int code, by;
  mle_error err;
  mle_cancel(SIGINT);
  assert_int_equal(run("exit 0", "/", &code, &by, &err), MLE_ECANCELLED);
  assert_true(mle_cancel_forgive());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(its_end_is_told),
      cmocka_unit_test(it_begins_in_the_folder_with_plain_signals),
      cmocka_unit_test(what_cannot_be_started_is_named),
      cmocka_unit_test(being_asked_to_stop_is_not_success),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
