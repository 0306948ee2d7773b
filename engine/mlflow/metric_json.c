#include "engine/mlflow/metric_json.h"

#include <math.h>
#include <string.h>

static const char *text_of(double value) {
  if (isnan(value)) return "NaN";
  return value > 0 ? "Infinity" : "-Infinity";
}

mle_json *mle_metric_add(mle_json *list, const mle_mlflow_metric *metric) {
  mle_json *item = mle_json_add_object(list, NULL);
  mle_json_add_text(item, "key", metric->key);
  if (isfinite(metric->value)) mle_json_add_double(item, "value", metric->value);
  else mle_json_add_text(item, "value", text_of(metric->value));
  mle_json_add_int(item, "timestamp", metric->timestamp);
  mle_json_add_int(item, "step", metric->step);
  return item;
}

static mle_status read_value(const mle_json_at *at, double *out, mle_error *err) {
  static const double values[] = {NAN, INFINITY, -INFINITY};
  const char *text;
  mle_json_at member;
  *out = 0;
  if (!mle_json_find(at, "value", &member)) return MLE_OK;
  if (!mle_json_is_text(&member)) return mle_json_double(&member, out, err);
  MLE_TRY(mle_json_text(&member, &text, err));
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    *out = values[i];
    if (strcmp(text, text_of(*out)) == 0) return MLE_OK;
  }
  return mle_json_fail(&member, err, "no number: '%.40s'", text);
}

mle_status mle_metric_read(const mle_json_at *at, mle_mlflow_metric *out, mle_error *err) {
  MLE_TRY(mle_json_get_text(at, "key", &out->key, err));
  MLE_TRY(read_value(at, &out->value, err));
  MLE_TRY(mle_json_opt_int(at, "timestamp", 0, &out->timestamp, err));
  return mle_json_opt_int(at, "step", 0, &out->step, err);
}
