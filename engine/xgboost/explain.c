/* Predictions of all kinds, importance and trees, in the library's own code: booster.h. */
#include <stdio.h>
#include <string.h>
#include <xgboost/c_api.h>

#include "engine/xgboost/booster_layout.h"
#include "engine/xgboost/interface.h"
#include "engine/xgboost/library.h"

/* ====== Prediction ====== */

static mle_status make_matrix(const mle_batch *batch, DMatrixHandle *out, mle_error *err) {
  mle_buffer json = MLE_BUFFER((size_t)64 << 20);
  mle_status status;
  for (size_t c = 0; c < batch->num_columns; c++) {
    MLE_GO(mle_buffer_puts(&json, c == 0 ? "[" : ",", err));
    MLE_GO(mle_interface_column(&json, &batch->column[c], batch->rows, err));
  }
  MLE_GO(mle_buffer_puts(&json, "]", err));
  MLE_GO(mle_library_check(
      XGDMatrixCreateFromColumnar(json.data, "{\"missing\":NaN,\"nthread\":1}", out), "predicting",
      err));
done:
  mle_buffer_release(&json);
  return status;
}

/* The library takes rows with too few columns silently. */
static mle_status check_columns(mle_booster *b, const mle_batch *batch, mle_error *err) {
  bst_ulong wanted;
  MLE_TRY(mle_library_check(XGBoosterGetNumFeature(b->handle, &wanted), "predicting", err));
  if (wanted == batch->num_columns) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "the model takes %zu columns, these rows have %zu",
                  (size_t)wanted, batch->num_columns);
}

static mle_status predict(mle_booster *b, DMatrixHandle matrix, const mle_predict_options *o,
                          bool training, const float **out, size_t *out_count, mle_error *err) {
  char config[160];
  const bst_ulong *shape;
  bst_ulong dim, count = 1;
  snprintf(config, sizeof config,
           "{\"type\":%d,\"iteration_begin\":%d,\"iteration_end\":%d,\"training\":%s,"
           "\"strict_shape\":true}",
           (int)o->kind, o->begin, o->end, training ? "true" : "false");
  MLE_TRY(mle_library_check(
      XGBoosterPredictFromDMatrix(b->handle, matrix, config, &shape, &dim, out), "predicting", err));
  for (bst_ulong i = 0; i < dim; i++) count *= shape[i];
  *out_count = (size_t)count;
  return MLE_OK;
}

mle_status mle_booster_predict(mle_booster *booster, const mle_batch *batch,
                               const mle_predict_options *options, size_t width, float *out,
                               mle_error *err) {
  DMatrixHandle matrix;
  mle_status status;
  const float *values;
  size_t count;
  mle_library_enter();
  MLE_TRY(check_columns(booster, batch, err));
  MLE_TRY(make_matrix(batch, &matrix, err));
  MLE_GO(predict(booster, matrix, options, false, &values, &count, err));
  if (count == batch->rows * width)
    memcpy(out, values, count * sizeof *out);
  else
    status = mle_fail(err, MLE_EINVAL, "predicting: %zu values came for %zu rows of %zu", count,
                      batch->rows, width);
done:
  XGDMatrixFree(matrix);
  return status;
}

mle_status mle_booster_scores(mle_booster *booster, int set, bool margin, const float **out,
                              size_t *out_count, mle_error *err) {
  const mle_predict_options options = {.kind = margin ? MLE_PREDICT_MARGIN : MLE_PREDICT_VALUE};
  mle_library_enter();
  if (set >= 0 && (size_t)set >= booster->num_evals)
    return mle_fail(err, MLE_EINVAL, "there is no set %d", set);
  DMatrixHandle matrix = set < 0 ? mle_matrix_handle(booster->train) : booster->sets[set];
  return predict(booster, matrix, &options, set < 0, out, out_count, err);
}

/* ====== Importance ====== */

mle_status mle_booster_importance(mle_booster *booster, const char *kind, mle_importance_sink add,
                                  void *context, mle_error *err) {
  char config[64];
  bst_ulong features, dim;
  const char **names;
  const bst_ulong *shape;
  const float *scores;
  snprintf(config, sizeof config, "{\"importance_type\":\"%.20s\"}", kind);
  mle_library_enter();
  MLE_TRY(mle_library_check(
      XGBoosterFeatureScore(booster->handle, config, &features, &names, &dim, &shape, &scores),
      "importance", err));
  size_t width = dim > 1 ? (size_t)shape[1] : 1; /* linear: a coefficient for each output */
  for (size_t i = 0; i < features; i++) {
    double sum = 0;
    for (size_t w = 0; w < width; w++) sum += (double)scores[i * width + w];
    add(context, names[i], sum / (double)width);
  }
  return MLE_OK;
}

/* ====== Trees ====== */

mle_status mle_booster_dump(mle_booster *booster, const char *format, bool with_stats,
                            const char *const **out, size_t *out_count, mle_error *err) {
  bst_ulong count;
  const char **texts;
  mle_library_enter();
  MLE_TRY(mle_library_check(
      XGBoosterDumpModelEx(booster->handle, "", with_stats, format, &count, &texts), "dumping trees",
      err));
  *out = texts;
  *out_count = (size_t)count;
  return MLE_OK;
}
