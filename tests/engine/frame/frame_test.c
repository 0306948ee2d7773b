#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/frame/frame.h"
#include "engine/frame/words.h"

static mle_session *open_session(int threads) {
  mle_session *session;
  mle_error err;
  mle_session_options options = {.threads = threads, .memory_max = (int64_t)256 << 20};
  if (mle_session_open(&options, &session, &err) != MLE_OK) fail_msg("%s", err.message);
  return session;
}

static mle_frame *numbers(mle_session *session, const char *sql) {
  mle_frame *frame;
  mle_error err;
  if (mle_frame_from_sql(session, sql, &frame, &err) != MLE_OK) fail_msg("%s", err.message);
  return frame;
}

/* A hash over the streamed values, in their order. */
static mle_status digest(mle_frame *frame, uint64_t *out, size_t *out_rows, mle_error *err) {
  static const char *const expressions[] = {"CAST(\"i\" AS FLOAT)"};
  mle_stream *stream;
  mle_batch batch;
  mle_status status;
  *out = *out_rows = 0;
  MLE_TRY(mle_frame_stream(frame, expressions, 1, &stream, err));
  while ((status = mle_stream_next(stream, &batch, err)) == MLE_OK && batch.rows > 0) {
    const float *values = batch.column[0].data;
    for (size_t row = 0; row < batch.rows; row++) *out = *out * 31 + (uint64_t)values[row];
    *out_rows += batch.rows;
  }
  mle_stream_close(stream);
  return status;
}

static void streams_keep_plan_order_on_any_number_of_threads(void **state) {
  (void)state;
  uint64_t first = 0, hash;
  size_t rows;
  for (int threads = 1; threads <= 3; threads++) {
    mle_session *session = open_session(threads);
    mle_frame *frame = numbers(session, "select i from range(500000) t(i) where i % 3 > 0");
    assert_int_equal(digest(frame, &hash, &rows, NULL), MLE_OK);
    assert_int_equal(rows, 333333);
    if (threads == 1) first = hash;
    assert_true(hash == first);
    mle_frame_free(frame);
    mle_session_close(session);
  }
}

static void columns_and_mistakes_are_named(void **state) {
  (void)state;
  mle_session *session = open_session(2);
  mle_frame *frame = numbers(session, "select 1::bigint as i, 'x' as name"), *bad;
  const mle_frame_column *columns;
  size_t count;
  mle_error err;
  assert_int_equal(mle_frame_columns(frame, &columns, &count, &err), MLE_OK);
  assert_int_equal(count, 2);
  assert_string_equal(columns[0].name, "i");
  assert_string_equal(columns[1].type, "VARCHAR");
  assert_int_equal(mle_frame_where(frame, "j > 1", &bad, &err), MLE_OK);
  assert_int_not_equal(mle_frame_check(bad, &err), MLE_OK);
  assert_non_null(strstr(err.message, "\"j\""));
  mle_frame_free(bad);
  mle_frame_free(frame);
  mle_session_close(session);
}

/* SQL means the column where a row and a column have one name. */
static void rows_are_collected_whatever_their_columns_are_called(void **state) {
  (void)state;
  mle_session *session = open_session(1);
  mle_frame *frame = numbers(session, "select 1::bigint as t, 2::bigint as _row, 3::bigint as __row");
  mle_buffer text = MLE_BUFFER(1 << 20);
  mle_error err;
  assert_int_equal(mle_frame_collect(frame, 5, &text, &err), MLE_OK);
  assert_string_equal(text.data, "{\"t\":1,\"_row\":2,\"__row\":3}\n");
  mle_buffer_release(&text);
  mle_frame_free(frame);
  mle_session_close(session);
}

/* Splits, pins and streams; frees whatever was made. */
static mle_status work(mle_session *session, mle_error *err) {
  mle_frame *all = NULL, *some = NULL, *pin = NULL, *train = NULL, *test = NULL;
  mle_split how = {.test = 0.25, .seed = 1};
  mle_buffer text = MLE_BUFFER(1 << 20);
  mle_status status;
  uint64_t hash;
  size_t rows;
  MLE_GO(mle_frame_from_sql(session, "select i, i * 0.5 as x from range(100) t(i)", &all, err));
  MLE_GO(mle_frame_where(all, "i < 40", &some, err));
  MLE_GO(mle_frame_pin(some, &pin, err));
  MLE_GO(mle_frame_split(pin, &how, &train, &test, err));
  MLE_GO(mle_frame_collect(test, 5, &text, err));
  MLE_GO(digest(train, &hash, &rows, err));
  assert_true(rows > 20 && rows < 40);
done:
  mle_buffer_release(&text);
  mle_frame_free(test);
  mle_frame_free(train);
  mle_frame_free(pin);
  mle_frame_free(some);
  mle_frame_free(all);
  return status;
}

static void predicates_that_stay_in_their_parentheses(void **state) {
  (void)state;
  static const char *const closed[] = {"a > 1", "a in (1, (2)) or s = ')' -- )", "exists (from t) /* ) */", "s = $$)$$", "", NULL};
  static const char *const open[] = {"true) union all (select 1", "a > 1)", "(a > 1", "a > 1; drop table t", "columns(*) > 0", "a * 2 > 1",
                                     "COLUMNS('a|b') > 0", NULL};
  for (size_t i = 0; closed[i] != NULL; i++) assert_true(mle_words_closed(closed[i]));
  for (size_t i = 0; open[i] != NULL; i++) assert_false(mle_words_closed(open[i]));
}

static void out_of_memory_is_an_error_and_leaks_nothing(void **state) {
  (void)state;
  mle_session *session = open_session(1);
  mle_error err;
  long granted = 0;
  assert_int_equal(work(session, &err), MLE_OK);
  for (;; granted++) {
    mle_alloc_fail_after(granted);
    mle_status status = work(session, &err);
    mle_alloc_fail_after(-1);
    if (status == MLE_OK) break;
    assert_int_equal(status, MLE_ENOMEM);
  }
  assert_true(granted > 20);
  mle_session_close(session);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(streams_keep_plan_order_on_any_number_of_threads),
      cmocka_unit_test(columns_and_mistakes_are_named),
      cmocka_unit_test(rows_are_collected_whatever_their_columns_are_called),
      cmocka_unit_test(predicates_that_stay_in_their_parentheses),
      cmocka_unit_test(out_of_memory_is_an_error_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
