/*
 * auc = the share of (positive, negative) pairs in the right order, ties counting half.
 * With the rows sorted by prediction, a run of equal predictions with p positives and n
 * negatives adds p * (negatives before) + p * n / 2.
 */
#include "engine/xgboost/evaluate.h"

#include <math.h>
#include <stdlib.h>

#include "engine/base/alloc.h"
#include "engine/xgboost/model_layout.h"
#include "engine/xgboost/predictor.h"

/* As XGBoost: a probability is kept this far from 0 and 1 before its logarithm. */
#define TINY 1e-16

typedef struct pair {
  float prediction;
  float label;
} pair;

struct mle_evaluation {
  mle_task task;
  mle_link link;
  size_t width, rows;
  pair *pairs; /* binary only */
  size_t capacity;
  double loss, absolute, squared;
  size_t right, true_positive, predicted_positive, positive;
};

mle_status mle_evaluation_new(const mle_model *model, mle_evaluation **out, mle_error *err) {
  mle_evaluation *e = *out = mle_calloc(1, sizeof *e);
  if (e == NULL) return mle_nomem(err, "evaluating");
  e->task = model->objective->task;
  e->link = model->objective->link;
  e->width = mle_predictor_width(model);
  return MLE_OK;
}

void mle_evaluation_free(mle_evaluation *evaluation) {
  if (evaluation == NULL) return;
  mle_free(evaluation->pairs);
  mle_free(evaluation);
}

/* ====== Rows ====== */

static double log_of(double probability) { return log(fmax(probability, TINY)); }

static void add_binary(mle_evaluation *e, float prediction, float label) {
  float threshold = e->link == MLE_LINK_IDENTITY ? 0.0f : 0.5f;
  bool predicted = prediction > threshold, actual = label != 0.0f;
  double p = (double)prediction;
  e->right += predicted == actual;
  e->true_positive += predicted && actual;
  e->predicted_positive += predicted;
  e->positive += actual;
  if (e->link == MLE_LINK_LOGISTIC) e->loss -= actual ? log_of(p) : log_of(1.0 - p);
  e->pairs[e->rows] = (pair){prediction, label};
}

static void add_class(mle_evaluation *e, const float *prediction, float label) {
  size_t best = 0, actual = (size_t)label;
  if (e->width == 1) { /* softmax answers with the class */
    e->right += prediction[0] == label;
    return;
  }
  for (size_t i = 1; i < e->width; i++)
    if (prediction[i] > prediction[best]) best = i;
  e->right += best == actual;
  e->loss -= log_of(actual < e->width ? (double)prediction[actual] : 0.0);
}

static void add_number(mle_evaluation *e, const float *prediction, float label) {
  for (size_t i = 0; i < e->width; i++) {
    double difference = (double)prediction[i] - (double)label;
    e->squared += difference * difference;
    e->absolute += fabs(difference);
  }
}

static mle_status reserve(mle_evaluation *e, size_t rows, mle_error *err) {
  if (e->task != MLE_TASK_BINARY || e->rows + rows <= e->capacity) return MLE_OK;
  size_t capacity = e->capacity * 2 > e->rows + rows ? e->capacity * 2 : e->rows + rows;
  pair *grown = mle_realloc_array(e->pairs, capacity, sizeof *grown);
  if (grown == NULL) return mle_nomem(err, "evaluating");
  e->pairs = grown;
  e->capacity = capacity;
  return MLE_OK;
}

/* NaN compares false with everything, so it fails each of these. */
static bool is_label(const mle_evaluation *e, float label) {
  switch (e->task) {
    case MLE_TASK_BINARY: return label == 0.0f || label == 1.0f;
    case MLE_TASK_MULTICLASS: return label >= 0.0f && label < 65536.0f && floorf(label) == label;
    default: return isfinite(label);
  }
}

mle_status mle_evaluation_add(mle_evaluation *evaluation, const float *prediction,
                              const float *label, size_t rows, mle_error *err) {
  mle_evaluation *e = evaluation;
  MLE_TRY(reserve(e, rows, err));
  for (size_t r = 0; r < rows; r++, e->rows++) {
    if (isnan(label[r]))
      return mle_fail(err, MLE_EINVAL, "evaluating: row %zu has no label", e->rows + 1);
    if (!is_label(e, label[r]))
      return mle_fail(err, MLE_EINVAL,
                      "evaluating: the label of row %zu is %g, which the model's objective does not have",
                      e->rows + 1, (double)label[r]);
    if (isnan(prediction[r * e->width]))
      return mle_fail(err, MLE_EINVAL, "evaluating: the model gives NaN for row %zu", e->rows + 1);
    if (e->task == MLE_TASK_BINARY)
      add_binary(e, prediction[r], label[r]);
    else if (e->task == MLE_TASK_MULTICLASS)
      add_class(e, prediction + r * e->width, label[r]);
    else
      add_number(e, prediction + r * e->width, label[r]);
  }
  return MLE_OK;
}

/* ====== Scores ====== */

static int by_prediction(const void *a, const void *b) {
  float x = ((const pair *)a)->prediction, y = ((const pair *)b)->prediction;
  return (x > y) - (x < y);
}

static double area_under_curve(mle_evaluation *e) {
  double area = 0, before = 0;
  double negative = (double)(e->rows - e->positive), positive = (double)e->positive;
  qsort(e->pairs, e->rows, sizeof *e->pairs, by_prediction);
  for (size_t i = 0; i < e->rows;) {
    double run_positive = 0, run_negative = 0;
    float prediction = e->pairs[i].prediction;
    for (; i < e->rows && e->pairs[i].prediction == prediction; i++) {
      run_positive += e->pairs[i].label != 0.0f;
      run_negative += e->pairs[i].label == 0.0f;
    }
    area += run_positive * (before + run_negative / 2);
    before += run_negative;
  }
  return area / (positive * negative);
}

/* Of nothing: 0, as scikit-learn has it. */
static double share(size_t part, size_t whole) {
  return whole == 0 ? 0 : (double)part / (double)whole;
}

static size_t binary_scores(mle_evaluation *e, mle_score *out) {
  size_t n = 0;
  double rows = (double)e->rows;
  if (e->positive > 0 && e->positive < e->rows)
    out[n++] = (mle_score){"auc", area_under_curve(e)};
  if (e->link == MLE_LINK_LOGISTIC) out[n++] = (mle_score){"logloss", e->loss / rows};
  out[n++] = (mle_score){"accuracy", (double)e->right / rows};
  out[n++] = (mle_score){"precision", share(e->true_positive, e->predicted_positive)};
  out[n++] = (mle_score){"recall", share(e->true_positive, e->positive)};
  return n;
}

static size_t class_scores(const mle_evaluation *e, mle_score *out) {
  size_t n = 0;
  double rows = (double)e->rows;
  out[n++] = (mle_score){"accuracy", (double)e->right / rows};
  if (e->width > 1) out[n++] = (mle_score){"mlogloss", e->loss / rows};
  return n;
}

static size_t number_scores(const mle_evaluation *e, mle_score *out) {
  double count = (double)e->rows * (double)e->width;
  out[0] = (mle_score){"rmse", sqrt(e->squared / count)};
  out[1] = (mle_score){"mae", e->absolute / count};
  return 2;
}

mle_status mle_evaluation_finish(mle_evaluation *evaluation, mle_score out[MLE_SCORES_MAX],
                                 size_t *out_count, mle_error *err) {
  *out_count = 0;
  if (evaluation->rows == 0) return mle_fail(err, MLE_EINVAL, "evaluating: there are no rows");
  if (evaluation->task == MLE_TASK_BINARY)
    *out_count = binary_scores(evaluation, out);
  else if (evaluation->task == MLE_TASK_MULTICLASS)
    *out_count = class_scores(evaluation, out);
  else
    *out_count = number_scores(evaluation, out);
  return MLE_OK;
}
