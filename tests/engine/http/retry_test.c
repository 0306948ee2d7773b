#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/http/retry.h"

static void waits_grow_and_are_bounded(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++) {
    int64_t first = mle_retry_wait_ms(1, 500, -1), third = mle_retry_wait_ms(3, 500, -1);
    assert_in_range(first, 250, 500);
    assert_in_range(third, 1000, 2000);
    assert_in_range(mle_retry_wait_ms(1000, 500, -1), MLE_RETRY_WAIT_MAX_MS / 2, MLE_RETRY_WAIT_MAX_MS);
  }
}

static void the_servers_wish_is_kept(void **state) {
  (void)state;
  assert_int_equal(mle_retry_wait_ms(1, 500, 7), 7000);
  assert_int_equal(mle_retry_wait_ms(1, 500, INT64_MAX), MLE_RETRY_WAIT_MAX_MS);
  assert_int_equal(mle_retry_after_s("120", 0), 120);
  assert_int_equal(mle_retry_after_s("Fri, 01 Jan 2027 00:00:10 GMT", 1798761600), 10);
  assert_int_equal(mle_retry_after_s("Fri, 01 Jan 2010 00:00:10 GMT", 1798761600), 0);
  assert_int_equal(mle_retry_after_s("soon", 0), -1);
}

static void only_passing_statuses_count(void **state) {
  (void)state;
  assert_true(mle_retry_status(503) && mle_retry_status(429) && mle_retry_status(408));
  assert_false(mle_retry_status(200) || mle_retry_status(404) || mle_retry_status(501));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(waits_grow_and_are_bounded),
      cmocka_unit_test(the_servers_wish_is_kept),
      cmocka_unit_test(only_passing_statuses_count),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
