/*
 * gradients.h -- gradients and hessians that a query computed. Internal to engine/xgboost and its binding.
 */
#ifndef MLE_XGBOOST_GRADIENTS_H
#define MLE_XGBOOST_GRADIENTS_H

#include "engine/frame/stream.h"

/* `width` values of each row, one row after another; all zero until read. */
typedef struct mle_gradients {
  size_t rows, width;
  float *gradient, *hessian;
} mle_gradients;

/*
 * Reads exactly `rows` rows of a stream whose columns are `width` gradients, then as many hessians. Refuses
 * nulls, NaN and infinities, which the library would take.
 */
mle_status mle_gradients_read(mle_stream *stream, size_t rows, size_t width, mle_gradients *out,
                              mle_error *err);
void mle_gradients_release(mle_gradients *gradients);

#endif
