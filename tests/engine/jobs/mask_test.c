#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/jobs/mask.h"

static mle_mask *make(const char *const *secrets, size_t count) {
  mle_mask *mask;
  assert_int_equal(mle_mask_new(secrets, count, &mask, NULL), MLE_OK);
  return mask;
}

static void assert_masked(const mle_mask *mask, const char *text, const char *wanted) {
  char bytes[128];
  strcpy(bytes, text);
  size_t len = mle_mask_apply(mask, bytes, strlen(bytes));
  assert_int_equal(len, strlen(wanted));
  assert_memory_equal(bytes, wanted, len);
}

static void secrets_are_replaced_wherever_they_are(void **unused) {
  (void)unused;
  static const char *const secrets[] = {"hunter2", "hunter2-prod", "abc", "line one\nline two\r\n"};
  mle_mask *mask = make(secrets, 4);
  assert_masked(mask, "hunter2hunter2 x", "****** x");
  assert_masked(mask, "a hunter2-prod b", "a *** b"); /* not *** and the rest of the longer one */
  assert_masked(mask, "abc hunter", "abc hunter");    /* too short to be masked; only a part */
  assert_masked(mask, "line two, line one", "***, ***");
  assert_masked(mask, "", "");
  assert_int_equal(mle_mask_apply(NULL, NULL, 0), 0);
  mle_mask_free(mask);
}

static void a_cut_line_ends_before_a_secret_that_began(void **unused) {
  (void)unused;
  static const char *const secrets[] = {"secret-1", "se"};
  mle_mask *mask = make(secrets, 2);
  assert_int_equal(mle_mask_open_end(mask, "..secret", 8), 6);
  assert_int_equal(mle_mask_open_end(mask, "..secret-1", 10), 0);
  assert_int_equal(mle_mask_open_end(mask, "..s", 3), 1);
  assert_int_equal(mle_mask_open_end(mask, "plain", 5), 0);
  assert_int_equal(mle_mask_open_end(NULL, "secret", 6), 0);
  mle_mask_free(mask);
}

static void memory_may_end_anywhere(void **unused) {
  (void)unused;
  static const char *const secrets[] = {"one one", "two two two"};
  mle_mask *mask = NULL;
  mle_status status = MLE_ENOMEM;
  for (long granted = 0; status != MLE_OK; granted++) {
    mle_alloc_fail_after(granted);
    status = mle_mask_new(secrets, 2, &mask, NULL);
    mle_alloc_fail_after(-1);
    assert_true(status == MLE_ENOMEM || status == MLE_OK);
  }
  mle_mask_free(mask);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(secrets_are_replaced_wherever_they_are),
      cmocka_unit_test(a_cut_line_ends_before_a_secret_that_began),
      cmocka_unit_test(memory_may_end_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
