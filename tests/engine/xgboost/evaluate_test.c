#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"
#include "engine/base/file.h"
#include "engine/xgboost/evaluate.h"

/* A model of an objective: the sample's, with its objective's name replaced. */
static mle_model *model_of(const char *objective, const char *classes) {
  mle_buffer text = MLE_BUFFER((size_t)1 << 20);
  mle_error err;
  mle_model *model;
  assert_int_equal(mle_file_read("tests/fuzz/corpus/model/binary.json", &text, NULL), MLE_OK);
  static const char class_text[] = "\"num_class\":\"0\"", name[] = "binary:logistic";
  char *at = strstr(text.data, class_text), *rest = at + strlen(class_text);
  char *name_at = strstr(rest, name);
  char *whole = mle_format("%.*s\"num_class\":\"%s\"%.*s%s%s", (int)(at - text.data), text.data,
                           classes, (int)(name_at - rest), rest, objective, name_at + strlen(name));
  mle_buffer_release(&text);
  if (mle_model_parse(whole, strlen(whole), &model, &err) != MLE_OK) fail_msg("%s", err.message);
  mle_free(whole);
  return model;
}

static size_t evaluate(const char *objective, const char *classes, const float *prediction,
                       const float *label, size_t rows, mle_score *out) {
  mle_model *model = model_of(objective, classes);
  mle_evaluation *e;
  mle_error err;
  size_t count;
  assert_int_equal(mle_evaluation_new(model, &e, &err), MLE_OK);
  if (mle_evaluation_add(e, prediction, label, rows, &err) != MLE_OK ||
      mle_evaluation_finish(e, out, &count, &err) != MLE_OK)
    fail_msg("%s", err.message);
  mle_evaluation_free(e);
  mle_model_free(model);
  return count;
}

static void expect(const mle_score *scores, size_t count, const char *name, double value) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(scores[i].name, name) == 0) {
      if (fabs(scores[i].value - value) > 1e-12) fail_msg("%s is %.17g", name, scores[i].value);
      return;
    }
  fail_msg("no %s", name);
}

/* Ties across classes count half: of 6 pairs 4 right, 1 tied. */
static void binary_scores_are_by_hand(void **state) {
  (void)state;
  const float prediction[] = {0.75f, 0.5f, 0.5f, 0.25f, 0.125f};
  const float label[] = {1, 1, 0, 0, 0};
  mle_score s[MLE_SCORES_MAX];
  size_t n = evaluate("binary:logistic", "0", prediction, label, 5, s);
  assert_int_equal(n, 5);
  expect(s, n, "auc", 5.5 / 6);
  expect(s, n, "logloss", -(log(0.75) + log(0.5) + log(0.5) + log(0.75) + log(0.875)) / 5);
  expect(s, n, "accuracy", 4.0 / 5); /* 0.5 is not above the threshold */
  expect(s, n, "precision", 1);
  expect(s, n, "recall", 0.5);
}

static void one_class_has_no_auc(void **state) {
  (void)state;
  const float prediction[] = {0.25f, 0.125f}, label[] = {0, 0};
  mle_score s[MLE_SCORES_MAX];
  size_t n = evaluate("binary:logistic", "0", prediction, label, 2, s);
  assert_int_equal(n, 4);
  assert_string_equal(s[0].name, "logloss");
  expect(s, n, "precision", 0);
  expect(s, n, "recall", 0);
}

static void classes_and_numbers(void **state) {
  (void)state;
  const float probability[] = {0.5f, 0.25f, 0.25f, 0.25f, 0.5f, 0.25f}, label[] = {0, 2};
  const float number[] = {1, 3}, truth[] = {2, 5};
  mle_score s[MLE_SCORES_MAX];
  size_t n = evaluate("multi:softprob", "3", probability, label, 2, s);
  expect(s, n, "accuracy", 0.5);
  expect(s, n, "mlogloss", -(log(0.5) + log(0.25)) / 2);
  n = evaluate("multi:softmax", "3", label, label, 2, s);
  assert_int_equal(n, 1);
  expect(s, n, "accuracy", 1);
  n = evaluate("reg:squarederror", "0", number, truth, 2, s);
  expect(s, n, "rmse", sqrt(2.5));
  expect(s, n, "mae", 1.5);
}

static void what_cannot_be_scored_is_refused(void **state) {
  (void)state;
  const float good[] = {0.5f}, nan[] = {NAN}, one[] = {1}, two[] = {2};
  mle_model *model = model_of("binary:logistic", "0");
  mle_evaluation *e;
  mle_score s[MLE_SCORES_MAX];
  mle_error err;
  size_t count;
  assert_int_equal(mle_evaluation_new(model, &e, &err), MLE_OK);
  assert_int_equal(mle_evaluation_finish(e, s, &count, &err), MLE_EINVAL);
  assert_int_equal(mle_evaluation_add(e, good, two, 1, &err), MLE_EINVAL);
  assert_non_null(strstr(err.message, "the label of row 1 is 2"));
  assert_int_equal(mle_evaluation_add(e, good, nan, 1, &err), MLE_EINVAL);
  assert_int_equal(mle_evaluation_add(e, nan, one, 1, &err), MLE_EINVAL);
  mle_alloc_fail_after(0);
  mle_evaluation *none;
  assert_int_equal(mle_evaluation_add(e, (float[1000]){0}, (float[1000]){0}, 1000, &err), MLE_ENOMEM);
  assert_int_equal(mle_evaluation_new(model, &none, &err), MLE_ENOMEM);
  mle_alloc_fail_after(-1);
  mle_evaluation_free(e);
  mle_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(binary_scores_are_by_hand),
      cmocka_unit_test(one_class_has_no_auc),
      cmocka_unit_test(classes_and_numbers),
      cmocka_unit_test(what_cannot_be_scored_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
