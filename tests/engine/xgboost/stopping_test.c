#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/xgboost/stopping.h"

static void numbers_read_as_python_writes_them(void **state) {
  (void)state;
  static const struct {
    double value;
    const char *text;
  } samples[] = {
      {0.5, "0.5"},       {1, "1.0"},         {0, "0.0"},         {-0.0, "-0.0"},
      {0.1, "0.1"},       {0.30000000000000004, "0.30000000000000004"},
      {100, "100.0"},     {1234.5, "1234.5"}, {0.0001, "0.0001"}, {0.00012, "0.00012"},
      {1e-5, "1e-05"},    {1.5e-7, "1.5e-07"}, {1e15, "1000000000000000.0"},
      {1e16, "1e+16"},    {1.25e22, "1.25e+22"}, {-2.5e-300, "-2.5e-300"},
      {NAN, "nan"},       {INFINITY, "inf"},  {-INFINITY, "-inf"},
      {0.67839184999999996, "0.6783918499999999"},    {5e-324, "5e-324"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
  };
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
    char text[MLE_REPR_TEXT];
    assert_string_equal(mle_python_repr(samples[i].value, text), samples[i].text);
  }
}

static void the_name_tells_the_direction(void **state) {
  (void)state;
  static const char *const more[] = {"auc", "aucpr", "pre@5", "map", "map@3-", "ndcg@10"};
  static const char *const less[] = {"mape", "logloss", "rmse", "error@0.7", "merror"};
  for (size_t i = 0; i < sizeof more / sizeof *more; i++)
    assert_true(mle_stopping_maximizes(more[i]));
  for (size_t i = 0; i < sizeof less / sizeof *less; i++)
    assert_false(mle_stopping_maximizes(less[i]));
}

static void patience_counts_rounds_without_improvement(void **state) {
  (void)state;
  const double scores[] = {0.5, 0.6, 0.6, 0.55, 0.7, NAN, 0.7, 0.1};
  mle_stopping s = mle_stopping_begin(3, true);
  for (int i = 0; i < 7; i++) assert_false(mle_stopping_update(&s, i, scores[i]));
  assert_true(mle_stopping_update(&s, 7, scores[7]));
  assert_int_equal(s.best_round, 4);
  assert_true(s.best_score == 0.7);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_read_as_python_writes_them),
      cmocka_unit_test(the_name_tells_the_direction),
      cmocka_unit_test(patience_counts_rounds_without_improvement),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
