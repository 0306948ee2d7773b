#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/parallel.h"

#define COUNT 1000

typedef struct seen {
  atomic_int times[COUNT];
  atomic_uint workers;
  size_t fails_from; /* these fail */
} seen;

static mle_status note(void *context, unsigned worker, size_t i, mle_error *err) {
  seen *s = context;
  atomic_fetch_add(&s->times[i], 1);
  atomic_fetch_or(&s->workers, 1u << worker);
  if (i >= s->fails_from) return mle_fail(err, MLE_EFORMAT, "number %zu", i);
  return MLE_OK;
}

static void each_is_done_once(void **state) {
  (void)state;
  for (unsigned threads = 0; threads < 30; threads += 4) {
    seen s = {.fails_from = COUNT};
    assert_int_equal(mle_parallel(threads, COUNT, note, &s, NULL), MLE_OK);
    for (size_t i = 0; i < COUNT; i++) assert_int_equal(s.times[i], 1);
    assert_true(s.workers < 1u << (threads == 0 ? 1 : threads));
  }
  assert_int_equal(mle_parallel(4, 0, note, NULL, NULL), MLE_OK);
}

static void the_first_failure_comes_back(void **state) {
  (void)state;
  for (int round = 0; round < 50; round++) {
    seen s = {.fails_from = 100};
    mle_error err = {0};
    assert_int_equal(mle_parallel(4, COUNT, note, &s, &err), MLE_EFORMAT);
    assert_string_equal(err.message, "number 100");
    for (size_t i = 0; i < 100; i++) assert_int_equal(s.times[i], 1);
    assert_int_equal(s.times[COUNT - 1], 0);
  }
}

static void there_is_a_processor(void **state) {
  (void)state;
  assert_true(mle_processors() >= 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_is_done_once),
      cmocka_unit_test(the_first_failure_comes_back),
      cmocka_unit_test(there_is_a_processor),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
