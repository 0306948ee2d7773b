#include "engine/xgboost/label.h"

#include <math.h>
#include <stdio.h>

#include "engine/xgboost/narrow.h"

/* What one pass over a column finds. */
typedef struct survey {
  size_t rows, bad, zeros, ones;
  float first_bad;
} survey;

typedef bool (*predicate)(float value, size_t num_classes);

static bool is_binary(float value, size_t num_classes) {
  (void)num_classes;
  return value == 0.0f || value == 1.0f;
}

static bool is_class(float value, size_t num_classes) {
  return value >= 0.0f && floorf(value) == value &&
         (num_classes == 0 || value < (float)num_classes);
}

static bool is_count(float value, size_t num_classes) {
  (void)num_classes;
  return value >= 0.0f;
}

static mle_status look(mle_spool *spool, size_t column, predicate good, size_t num_classes,
                       survey *out, mle_error *err) {
  *out = (survey){0};
  for (size_t i = 0; i < mle_spool_num_batches(spool); i++) {
    mle_batch batch;
    MLE_TRY(mle_spool_batch(spool, i, &batch, err));
    for (size_t r = 0; r < batch.rows; r++) {
      float value = mle_narrow_value(&batch.column[column], r);
      if (!good(value, num_classes) && out->bad++ == 0) out->first_bad = value;
      out->zeros += value == 0.0f;
      out->ones += value == 1.0f;
    }
    out->rows += batch.rows;
  }
  return MLE_OK;
}

/* What must hold for any objective; all counted while the rows were read. */
static mle_status check_facts(const mle_spool *spool, size_t column, const char *name,
                              mle_error *err) {
  const mle_spool_facts *f = mle_spool_column_facts(spool, column);
  size_t rows = mle_spool_rows(spool);
  if (f->nulls + f->nans > 0)
    return mle_fail(err, MLE_EINVAL,
                    "label '%s': %zu of %zu rows have none (null or NaN); leave them out first, "
                    "for example with frame:where(\"%s is not null\")",
                    name, f->nulls + f->nans, rows, name);
  if (f->infinite > 0)
    return mle_fail(err, MLE_EINVAL, "label '%s': %zu of %zu rows are infinite or beyond float32",
                    name, f->infinite, rows);
  if (f->inexact > 0)
    return mle_fail(err, MLE_EINVAL,
                    "label '%s': %zu of %zu rows are whole numbers that float32, in which XGBoost "
                    "computes, would round; scale the label down",
                    name, f->inexact, rows);
  return MLE_OK;
}

static mle_status check_binary(mle_spool *spool, size_t column, const mle_label *label,
                               mle_error *err) {
  survey s;
  const char *objective = label->objective->name;
  MLE_TRY(look(spool, column, is_binary, 0, &s, err));
  if (s.bad > 0)
    return mle_fail(err, MLE_EINVAL,
                    "label '%s': %zu of %zu rows are neither 0 nor 1 (the first is %g), which %s needs",
                    label->name, s.bad, s.rows, (double)s.first_bad, objective);
  if (label->training && (s.zeros == 0 || s.ones == 0))
    return mle_fail(err, MLE_EINVAL,
                    "label '%s': all %zu rows are %d; %s needs rows of both classes to learn from",
                    label->name, s.rows, s.ones > 0, objective);
  return MLE_OK;
}

static mle_status check_classes(mle_spool *spool, size_t column, const mle_label *label,
                                mle_error *err) {
  survey s;
  char range[80] = "from 0";
  MLE_TRY(look(spool, column, is_class, label->num_classes, &s, err));
  if (s.bad == 0) return MLE_OK;
  if (label->num_classes > 0)
    snprintf(range, sizeof range, "from 0 to %zu (num_class is %zu)", label->num_classes - 1,
             label->num_classes);
  return mle_fail(err, MLE_EINVAL,
                  "label '%s': %zu of %zu rows are no class %s; the first is %g", label->name,
                  s.bad, s.rows, range, (double)s.first_bad);
}

static mle_status check_counts(mle_spool *spool, size_t column, const mle_label *label,
                               mle_error *err) {
  survey s;
  MLE_TRY(look(spool, column, is_count, 0, &s, err));
  if (s.bad == 0) return MLE_OK;
  return mle_fail(err, MLE_EINVAL,
                  "label '%s': %zu of %zu rows are below 0 (the first is %g), which %s refuses",
                  label->name, s.bad, s.rows, (double)s.first_bad, label->objective->name);
}

mle_status mle_label_check(mle_spool *spool, size_t column, const mle_label *label,
                           mle_error *err) {
  MLE_TRY(check_facts(spool, column, label->name, err));
  if (label->objective == NULL) return MLE_OK;
  switch (label->objective->task) {
    case MLE_TASK_BINARY: return check_binary(spool, column, label, err);
    case MLE_TASK_MULTICLASS: return check_classes(spool, column, label, err);
    case MLE_TASK_COUNT: return check_counts(spool, column, label, err);
    default: return MLE_OK;
  }
}

mle_status mle_weight_check(mle_spool *spool, size_t column, const char *name, mle_error *err) {
  survey s;
  const mle_spool_facts *f = mle_spool_column_facts(spool, column);
  MLE_TRY(look(spool, column, is_count, 0, &s, err));
  size_t bad = s.bad + f->infinite;
  if (bad == 0) return MLE_OK;
  return mle_fail(err, MLE_EINVAL,
                  "weight '%s': %zu of %zu rows have none, or one that is negative or infinite",
                  name, bad, s.rows);
}

mle_status mle_margin_check(const mle_spool *spool, size_t column, const char *name, mle_error *err) {
  const mle_spool_facts *f = mle_spool_column_facts(spool, column);
  size_t bad = f->nulls + f->nans + f->infinite;
  if (bad == 0) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "base_margin '%s': %zu of %zu rows have none, or an infinite one",
                  name, bad, mle_spool_rows(spool));
}

mle_status mle_bound_check(const mle_spool *spool, size_t column, const char *name, mle_error *err) {
  const mle_spool_facts *f = mle_spool_column_facts(spool, column);
  size_t bad = f->nulls + f->nans;
  if (bad == 0) return MLE_OK;
  return mle_fail(err, MLE_EINVAL,
                  "bound '%s': %zu of %zu rows have none; a time without an end is 'Infinity'::float",
                  name, bad, mle_spool_rows(spool));
}
