#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/file.h"
#include "engine/frame/frame.h"

static mle_session *session;
static mle_error err;

#define OK(expr) \
  do { if ((expr) != MLE_OK) fail_msg("%s", err.message); } while (0)

static mle_frame *sql(const char *text) {
  mle_frame *frame;
  OK(mle_frame_from_sql(session, text, &frame, &err));
  return frame;
}

static void counts_and_columns(void **state) {
  (void)state;
  mle_frame *f = sql("select i, i::float as x, {'a b': i, 'l': [1.5::decimal(9,2)]} as st, map {'k': 1::utinyint} as m from range(10) t(i)");
  const mle_frame_column *columns;
  size_t n;
  int64_t rows;
  OK(mle_frame_columns(f, &columns, &n, &err));
  assert_int_equal(n, 4);
  assert_string_equal(columns[0].type, "BIGINT");
  assert_string_equal(columns[1].type, "FLOAT");
  assert_string_equal(columns[2].type, "STRUCT(\"a b\" BIGINT, \"l\" DECIMAL(9,2)[])");
  assert_string_equal(columns[3].type, "MAP(VARCHAR, UTINYINT)");
  OK(mle_frame_count(f, &rows, &err));
  assert_int_equal(rows, 10);
  mle_frame_free(f);
}

static double sum_of(mle_frame *f, const char *expression, int64_t *rows) {
  mle_stream *stream;
  mle_batch batch;
  double sum = 0;
  *rows = 0;
  OK(mle_frame_stream(f, &expression, 1, &stream, &err));
  for (;;) {
    OK(mle_stream_next(stream, &batch, &err));
    if (batch.rows == 0) break;
    const float *values = batch.column[0].data;
    for (size_t i = 0; i < batch.rows; i++) sum += (double)values[i] * (double)(*rows + (int64_t)i + 1);
    *rows += (int64_t)batch.rows;
  }
  mle_stream_close(stream);
  return sum;
}

static void streams_in_order(void **state) {
  (void)state;
  mle_frame *f = sql("select i from range(100000) t(i)");
  int64_t rows;
  double sum = sum_of(f, "cast(i % 10 as float)", &rows);
  assert_int_equal(rows, 100000);
  double want = 0;
  for (int i = 0; i < 100000; i++) want += (i % 10) * (double)(i + 1);
  assert_true(sum == want);
  mle_frame_free(f);
}

static const mle_parquet_column *leaf(const mle_parquet_stats *stats, const char *name) {
  for (size_t i = 0; i < stats->num_columns; i++)
    if (strcmp(stats->columns[i].path[stats->columns[i].path_len - 1], name) == 0)
      return &stats->columns[i];
  fail_msg("no statistics of %s", name);
  return NULL;
}

static void writes_and_scans(void **state) {
  (void)state;
  mle_frame *f = sql("select i::integer as a, {'x': i::double} as st, case when i % 2 = 0 then 'even' end as s from range(300000) t(i)");
  mle_parquet_stats stats;
  char path[64];
  snprintf(path, sizeof path, "/tmp/mle-frame-%d[1].parquet", (int)getpid());
  OK(mle_frame_write_parquet(f, path, "a: 1, st: {__duckdb_field_id: 2, x: 3}, s: 4", &stats, &err));
  assert_int_equal(stats.record_count, 300000);
  assert_int_equal(stats.num_columns, 3);
  assert_int_equal(stats.num_split_offsets, 3);
  assert_int_equal(stats.split_offsets[0], 4);
  assert_int_equal(leaf(&stats, "x")->path_len, 2);
  assert_string_equal(leaf(&stats, "x")->path[0], "st");
  assert_string_equal(leaf(&stats, "a")->max, "299999");
  assert_int_equal(leaf(&stats, "s")->null_count, 150000);
  mle_frame_free(f);

  mle_scan_file file = {path, 300000};
  mle_scan_column columns[] = {{1, "A", "BIGINT", NULL, true}, {9, "new", "INTEGER", "7", false}, {2, "st", "STRUCT(\"x\" DOUBLE)", NULL, false}};
  mle_scan scan = {&file, 1, columns, 3, NULL, false};
  OK(mle_frame_scan(session, &scan, &f, &err));
  int64_t rows;
  assert_true(sum_of(f, "cast(new as float)", &rows) == 7.0 * 300000.0 * 300001.0 / 2);
  mle_frame_free(f);
  mle_parquet_stats_release(&stats);
  unlink(path);
}

static int open_session(void **state) {
  (void)state;
  return mle_session_open(&(mle_session_options){.threads = 2, .memory_max = 1 << 30}, &session, &err);
}

static int close_session(void **state) {
  (void)state;
  mle_session_close(session);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_and_columns),
      cmocka_unit_test(streams_in_order),
      cmocka_unit_test(writes_and_scans),
  };
  return cmocka_run_group_tests(tests, open_session, close_session);
}
