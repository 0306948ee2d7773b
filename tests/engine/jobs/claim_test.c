/* Claims are the machine's: each test's are of another kind, lest a run beside this one counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/jobs/claim.h"

static char folder[64];
static const int four[] = {2, 3, 5, 7};

static int set_up(void **unused) {
  (void)unused;
  snprintf(folder, sizeof folder, "/tmp/mlengine-claim-XXXXXX");
  if (mkdtemp(folder) == NULL) return 1;
  return setenv("XDG_RUNTIME_DIR", folder, 1);
}

static int tear_down(void **unused) {
  (void)unused;
  char path[128];
  snprintf(path, sizeof path, "%s/mlengine-test-%u", folder, (unsigned)geteuid());
  unlink(path);
  return rmdir(folder);
}

static mle_claim *take(size_t count, int *chosen) {
  mle_claim *claim;
  mle_error err;
  if (mle_claim_take("test", four, 4, count, chosen, &claim, &err) != MLE_OK)
    fail_msg("%s", err.message);
  return claim;
}

static void what_is_taken_is_not_given_again(void **unused) {
  (void)unused;
  int a[2], b[2], c[3], d[1];
  mle_claim *first = take(2, a), *second = take(2, b);
  assert_int_equal(a[0], 2);
  assert_int_equal(a[1], 3);
  assert_int_equal(b[0], 5);
  assert_int_equal(b[1], 7);
  mle_claim *third = take(3, c); /* none is free: the second level begins */
  assert_int_equal(c[0], 2);
  assert_int_equal(c[2], 5);
  mle_claim *fourth = take(1, d);
  assert_int_equal(d[0], 7);
  mle_claim_free(second);
  mle_claim *again = take(2, b);
  assert_int_equal(b[0], 5);
  assert_int_equal(b[1], 7);
  mle_claim_free(first);
  mle_claim_free(third);
  mle_claim_free(fourth);
  mle_claim_free(again);
}

static void a_claim_lasts_as_long_as_a_process_has_it(void **unused) {
  (void)unused;
  int mine[1], next[1], held[2];
  char byte = 'x';
  assert_int_equal(pipe(held), 0);
  mle_claim *claim = take(1, mine);
  pid_t child = fork();
  if (child == 0) {
    close(held[1]);
    _exit(read(held[0], &byte, 1) == 0 ? 0 : 1); /* with the claim, until we close the pipe */
  }
  mle_claim_free(claim);
  claim = take(1, next);
  assert_int_not_equal(next[0], mine[0]);
  mle_claim_free(claim);
  close(held[1]);
  assert_int_equal(waitpid(child, NULL, 0), child);
  claim = take(1, next);
  assert_int_equal(next[0], mine[0]);
  mle_claim_free(claim);
  close(held[0]);
}

static void more_than_there_is_is_refused(void **unused) {
  (void)unused;
  int chosen[5];
  mle_claim *claim;
  mle_error err;
  assert_int_equal(mle_claim_take("test", four, 4, 5, chosen, &claim, &err), MLE_EINVAL);
  assert_string_equal(err.message, "the job wants 5 tests, but there are 4 to use here; ask for fewer in its resources");
  assert_null(claim);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(what_is_taken_is_not_given_again),
      TEST(a_claim_lasts_as_long_as_a_process_has_it),
      TEST(more_than_there_is_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
