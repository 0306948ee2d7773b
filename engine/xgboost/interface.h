/*
 * interface.h -- columns of numbers in XGBoost's array interface, a JSON that names their memory:
 *
 *     {"data":[ADDRESS,true],"shape":[ROWS],"typestr":"<f4","version":3}
 *
 * Internal to engine/xgboost.
 */
#ifndef MLE_XGBOOST_INTERFACE_H
#define MLE_XGBOOST_INTERFACE_H

#include "engine/base/buffer.h"
#include "engine/frame/stream.h"

/* The names of a feature's categories, one behind the other; the i-th is
 * bytes[offset[i]] up to bytes[offset[i + 1]]. */
typedef struct mle_dictionary {
  size_t count; /* 0: the feature has none */
  const int32_t *offset;
  const char *bytes;
} mle_dictionary;

/* Appends one column, with its validity bits. */
mle_status mle_interface_column(mle_buffer *json, const mle_column *column, size_t rows,
                                mle_error *err);

/* Appends a column of codes with the names they stand for. */
mle_status mle_interface_categories(mle_buffer *json, const mle_column *codes, size_t rows,
                                    const mle_dictionary *dictionary, mle_error *err);

/* Appends floats that lie row after row, `width` to a row. */
mle_status mle_interface_floats(mle_buffer *json, const float *values, size_t rows, size_t width,
                                mle_error *err);

#endif
