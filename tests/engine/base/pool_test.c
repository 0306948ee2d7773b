#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/pool.h"

static atomic_int begun, done, dropped, gate;

static void work(void *context, bool is_dropped) {
  (void)context;
  atomic_fetch_add(&begun, 1);
  while (!is_dropped && atomic_load(&gate) == 0) usleep(1000);
  atomic_fetch_add(is_dropped ? &dropped : &done, 1);
}

static int reset(void **state) {
  (void)state;
  atomic_store(&begun, 0);
  atomic_store(&done, 0);
  atomic_store(&dropped, 0);
  atomic_store(&gate, 0);
  return 0;
}

static void all_work_is_done(void **state) {
  (void)state;
  mle_pool *pool;
  atomic_store(&gate, 1);
  assert_int_equal(mle_pool_start(3, 50, &pool, NULL), MLE_OK);
  for (int i = 0; i < 1000;) {
    if (!mle_pool_reserve(pool)) continue;
    mle_pool_submit(pool, work, NULL);
    i++;
  }
  while (mle_pool_load(pool) > 0) usleep(100);
  mle_pool_free(pool);
  assert_int_equal(atomic_load(&done), 1000);
  assert_int_equal(atomic_load(&dropped), 0);
}

static void a_full_pool_says_so_and_what_waits_is_dropped(void **state) {
  (void)state;
  mle_pool *pool;
  assert_int_equal(mle_pool_start(1, 3, &pool, NULL), MLE_OK);
  for (int i = 0; i < 3; i++) {
    assert_true(mle_pool_reserve(pool));
    mle_pool_submit(pool, work, NULL);
    while (atomic_load(&begun) == 0) usleep(100); /* the first runs, the others wait */
  }
  assert_false(mle_pool_reserve(pool));
  assert_int_equal(mle_pool_load(pool), 3);
  atomic_store(&gate, 1);
  mle_pool_stop(pool);
  assert_false(mle_pool_reserve(pool));
  mle_pool_free(pool);
  assert_int_equal(atomic_load(&done) + atomic_load(&dropped), 3);
  assert_true(atomic_load(&done) >= 1);
}

static void a_start_without_memory_leaks_nothing(void **state) {
  (void)state;
  for (long granted = 0; granted < 3; granted++) {
    mle_pool *pool;
    mle_alloc_fail_after(granted);
    assert_int_equal(mle_pool_start(1, 3, &pool, NULL), MLE_ENOMEM);
    mle_alloc_fail_after(-1);
    assert_null(pool);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(all_work_is_done, reset),
      cmocka_unit_test_setup(a_full_pool_says_so_and_what_waits_is_dropped, reset),
      cmocka_unit_test_setup(a_start_without_memory_leaks_nothing, reset),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
