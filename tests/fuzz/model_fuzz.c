/* Any bytes: refused, or a forest that every row falls through. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/alloc.h"
#include "engine/xgboost/predictor.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void score(const mle_model *model, float value) {
  size_t features = mle_model_num_features(model);
  float *row = mle_alloc((features + mle_model_num_outputs(model)) * sizeof *row);
  if (row == NULL) return;
  for (size_t f = 0; f < features; f++) row[f] = value;
  mle_predictor_predict(model, row, row + features);
  mle_free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  mle_model *model;
  mle_error err;
  if (mle_model_parse(bytes, len, &model, &err) != MLE_OK) return 0;
  score(model, NAN);
  score(model, -1e30f);
  score(model, 2.0f);
  score(model, INFINITY);
  mle_model_free(model);
  return 0;
}
