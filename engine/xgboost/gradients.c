#include "engine/xgboost/gradients.h"

#include <math.h>

#include "engine/base/alloc.h"
#include "engine/xgboost/narrow.h"

static mle_status take(const mle_batch *batch, size_t first, size_t width, mle_gradients *out,
                       mle_error *err) {
  for (size_t c = 0; c < 2 * width; c++) {
    float *to = c < width ? out->gradient + c : out->hessian + (c - width);
    for (size_t r = 0; r < batch->rows; r++) {
      float value = mle_narrow_value(&batch->column[c], r);
      if (!isfinite(value))
        return mle_fail(err, MLE_EINVAL, "obj: the %s of row %zu is no number (null, NaN or infinite)",
                        c < width ? "gradient" : "hessian", first + r + 1);
      to[(first + r) * width] = value;
    }
  }
  return MLE_OK;
}

mle_status mle_gradients_read(mle_stream *stream, size_t rows, size_t width, mle_gradients *out,
                              mle_error *err) {
  size_t first = 0;
  *out = (mle_gradients){.rows = rows, .width = width};
  out->gradient = mle_realloc_array(NULL, rows, width * sizeof(float));
  out->hessian = mle_realloc_array(NULL, rows, width * sizeof(float));
  if (out->gradient == NULL || out->hessian == NULL) return mle_nomem(err, "computing gradients");
  for (;;) {
    mle_batch batch;
    MLE_TRY(mle_stream_next(stream, &batch, err));
    if (batch.rows == 0) break;
    if (batch.num_columns != 2 * width || first + batch.rows > rows)
      return mle_fail(err, MLE_EINVAL, "obj: more gradients came than there are rows");
    MLE_TRY(take(&batch, first, width, out, err));
    first += batch.rows;
  }
  if (first == rows) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "obj: gradients came for %zu of %zu rows", first, rows);
}

void mle_gradients_release(mle_gradients *gradients) {
  mle_free(gradients->gradient);
  mle_free(gradients->hessian);
  *gradients = (mle_gradients){0};
}
