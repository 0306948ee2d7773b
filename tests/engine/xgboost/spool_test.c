#include "tests/engine/xgboost/synthetic.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/xgboost/narrow.h"
#include "engine/xgboost/spool.h"

enum { COLUMNS = 6, MANY = 300000 };

static float *rows; /* MANY * COLUMNS */
static synthetic source;

static int make_rows(void **state) {
  (void)state;
  uint32_t seed = 5;
  rows = malloc(sizeof *rows * MANY * COLUMNS);
  for (size_t i = 0; i < (size_t)MANY * COLUMNS; i++) {
    seed = seed * 1664525u + 1013904223u;
    float whole = (float)(seed >> 24); /* fits every kind */
    rows[i] = i % COLUMNS == 1 || (seed >> 8) % 10 > 0 ? whole : NAN;
  }
  return rows == NULL;
}

static int free_rows(void **state) {
  (void)state;
  free(rows);
  return 0;
}

static mle_stream *open_source(size_t num_rows, size_t batch) {
  static const mle_kind kinds[COLUMNS] = {MLE_FLOAT, MLE_DOUBLE, MLE_INT64,
                                          MLE_INT32, MLE_INT16,  MLE_UINT8};
  mle_stream *stream = synthetic_open(&source, rows, num_rows, COLUMNS, batch);
  memcpy(source.kind, kinds, sizeof kinds);
  return stream;
}

static mle_spool *filled(size_t num_rows, size_t batch, size_t memory_max) {
  mle_spool *spool;
  mle_error err;
  const mle_spool_options options = {.memory_max = memory_max};
  assert_int_equal(mle_spool_new(&options, &spool, &err), MLE_OK);
  if (mle_spool_fill(spool, open_source(num_rows, batch), &err) != MLE_OK)
    fail_msg("%s", err.message);
  return spool;
}

static void expect_rows(mle_spool *spool, size_t num_rows) {
  size_t at = 0;
  for (size_t i = 0; i < mle_spool_num_batches(spool); i++) {
    mle_batch batch;
    assert_int_equal(mle_spool_batch(spool, i, &batch, NULL), MLE_OK);
    assert_int_equal(batch.num_columns, COLUMNS);
    for (size_t r = 0; r < batch.rows; r++, at++)
      for (size_t c = 0; c < COLUMNS; c++) {
        float is = mle_narrow_value(&batch.column[c], r), was = rows[at * COLUMNS + c];
        if (is != was && !(isnan(is) && isnan(was)))
          fail_msg("row %zu, column %zu: %g, was %g", at, c, (double)is, (double)was);
      }
  }
  assert_int_equal(at, num_rows);
  assert_int_equal(mle_spool_rows(spool), num_rows);
}

/* Batches whose ends fall anywhere in a validity word. */
static void rows_come_back_as_they_went_in(void **state) {
  (void)state;
  static const size_t batches[] = {1, 63, 64, 777, 2048, 4096};
  for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
    size_t count = batches[i] == 1 ? 5000 : 140001;
    mle_spool *spool = filled(count, batches[i], 0);
    expect_rows(spool, count);
    expect_rows(spool, count); /* and again: passes are equal */
    assert_int_equal(mle_spool_file_size(spool), 0);
    mle_spool_free(spool);
  }
}

static void what_exceeds_the_budget_goes_to_a_file(void **state) {
  (void)state;
  mle_spool *spool = filled(MANY, 2048, 1);
  assert_true(mle_spool_file_size(spool) > 0);
  expect_rows(spool, MANY);
  size_t whole = mle_spool_memory(spool) + mle_spool_file_size(spool);
  mle_spool_free(spool);
  spool = filled(MANY, 2048, whole - 1); /* some in each */
  assert_true(mle_spool_file_size(spool) > 0 && mle_spool_memory(spool) > mle_spool_file_size(spool));
  expect_rows(spool, MANY);
  mle_spool_free(spool);
}

static void columns_without_nulls_have_no_bits(void **state) {
  (void)state;
  mle_spool *spool = filled(1000, 100, 0);
  mle_batch batch;
  assert_int_equal(mle_spool_batch(spool, 0, &batch, NULL), MLE_OK);
  assert_non_null(batch.column[0].valid);
  assert_null(batch.column[1].valid);
  assert_int_equal(batch.column[1].kind, MLE_FLOAT);
  assert_int_equal(batch.column[4].kind, MLE_INT16);
  assert_int_equal(batch.column[5].kind, MLE_UINT8);
  mle_spool_free(spool);
}

static void what_is_lost_is_counted(void **state) {
  (void)state;
  double values[] = {1, NAN, INFINITY, 1e300, 2};
  int64_t whole[] = {16777216, 16777217, -16777219, INT64_MAX, 16777217};
  const uint64_t but_last = 0xf;
  mle_spool_facts reals = {0}, integers = {0};
  float out[5];
  mle_narrow_values(&(mle_column){MLE_DOUBLE, values, NULL}, 0, 5, out, &reals);
  assert_int_equal(reals.nans, 1);
  assert_int_equal(reals.infinite, 2);
  mle_narrow_values(&(mle_column){MLE_INT64, whole, &but_last}, 0, 5, out, &integers);
  assert_int_equal(integers.inexact, 3); /* the null one does not count */
}

static void an_empty_stream_gives_no_batch(void **state) {
  (void)state;
  mle_spool *spool = filled(0, 100, 0);
  assert_int_equal(mle_spool_rows(spool), 0);
  assert_int_equal(mle_spool_num_batches(spool), 0);
  mle_spool_free(spool);
}

static mle_status fill_in(const char *folder, size_t num_rows, mle_error *err) {
  mle_spool *spool;
  const mle_spool_options options = {.folder = folder, .memory_max = 1};
  mle_status status = mle_spool_new(&options, &spool, err);
  if (status == MLE_OK) status = mle_spool_fill(spool, open_source(num_rows, 2048), err);
  mle_spool_free(spool);
  return status;
}

static void a_folder_that_takes_nothing_is_named(void **state) {
  (void)state;
  mle_error err;
  assert_int_not_equal(fill_in("/proc/none/here", MANY, &err), MLE_OK);
  assert_non_null(strstr(err.message, "/proc/none"));
}

/* As on a full disk: the write fails, nothing else happens. */
static void a_full_disk_is_an_error(void **state) {
  (void)state;
  struct rlimit old, small;
  mle_error err;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  small = old;
  small.rlim_cur = 1 << 20;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  mle_status status = fill_in(NULL, MANY, &err);
  setrlimit(RLIMIT_FSIZE, &old);
  assert_int_equal(status, MLE_EIO);
  assert_non_null(strstr(err.message, "keeping rows for training in '"));
  assert_non_null(strstr(err.message, "File too large"));
}

static void a_broken_source_fails_the_filling(void **state) {
  (void)state;
  mle_spool *spool;
  mle_error err;
  assert_int_equal(mle_spool_new(&(mle_spool_options){0}, &spool, NULL), MLE_OK);
  mle_stream *stream = open_source(10000, 1000);
  source.fail_at = 5000;
  assert_int_equal(mle_spool_fill(spool, stream, &err), MLE_EIO);
  assert_string_equal(err.message, "the source broke");
  mle_spool_free(spool);
}

static void running_out_of_memory_is_clean(void **state) {
  (void)state;
  mle_status status = MLE_ENOMEM;
  for (long n = 0; status != MLE_OK; n++) {
    mle_error err;
    mle_alloc_fail_after(n);
    status = fill_in(NULL, 200000, &err);
    mle_alloc_fail_after(-1);
    assert_true(status == MLE_OK || status == MLE_ENOMEM);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_come_back_as_they_went_in),
      cmocka_unit_test(what_exceeds_the_budget_goes_to_a_file),
      cmocka_unit_test(columns_without_nulls_have_no_bits),
      cmocka_unit_test(what_is_lost_is_counted),
      cmocka_unit_test(an_empty_stream_gives_no_batch),
      cmocka_unit_test(a_folder_that_takes_nothing_is_named),
      cmocka_unit_test(a_full_disk_is_an_error),
      cmocka_unit_test(a_broken_source_fails_the_filling),
      cmocka_unit_test(running_out_of_memory_is_clean),
  };
  return cmocka_run_group_tests(tests, make_rows, free_rows);
}
