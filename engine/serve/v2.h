/*
 * v2.h -- Open Inference Protocol V2: the body of POST v2/models/NAME/infer.
 *
 *     {"id": "42", "inputs": [
 *       {"name": "amount", "shape": [2], "datatype": "FP64", "data": [1.5, null]},
 *       {"name": "night",  "shape": [2, 1], "datatype": "BOOL", "data": [true, false]}]}
 *     {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3, 4]]}]}
 *
 * Either one tensor [rows, columns] by position, or one tensor [rows] or [rows, 1]
 * per column by name. Data is flat or nested, row-major; null and NaN are missing
 * values. Types BOOL, INT8..INT64, UINT8..UINT64, FP32, FP64. With the binary tensor
 * extension the JSON is followed by the data of each input that has the parameter
 * binary_data_size: little-endian, one behind the other.
 */
#ifndef MLE_V2_H
#define MLE_V2_H

#include "engine/base/buffer.h"
#include "engine/serve/rows.h"

#define MLE_V2_ID_MAX 512

typedef struct mle_v2_request {
  char id[MLE_V2_ID_MAX]; /* as it stood in the body, escapes and all; "" when absent */
  bool binary_output;     /* the answer's data is to be binary */
} mle_v2_request;

/* The one output that models have. */
#define MLE_V2_OUTPUT "predict"

/*
 * Reads a body into `rows`, which is empty and has the model's columns. `json_len` is what
 * Inference-Header-Content-Length said, `len` without one.
 */
mle_status mle_v2_parse(const mle_features *features, const char *body, size_t len,
                        size_t json_len, mle_v2_request *out, mle_rows *rows, mle_error *err);

#endif
