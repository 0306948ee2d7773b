/*
 * predictor.h -- scores rows with a model, bit for bit as XGBoost does.
 *
 *     float margin[outputs], row[features];       NAN stands for a missing value
 *     mle_predictor_margin(model, row, margin);
 *     mle_predictor_predict(model, row, answer);
 *
 * What Booster.predict of Python gives: sums in float32 in the order of the trees,
 * the objective's own link. Functions on rows cannot fail and take no memory; any
 * number of threads may score with one model.
 */
#ifndef MLE_XGBOOST_PREDICTOR_H
#define MLE_XGBOOST_PREDICTOR_H

#include <stdbool.h>

#include "engine/frame/stream.h"
#include "engine/xgboost/model.h"

/* Writes mle_model_num_outputs() margins. `row` has mle_model_num_features() values. */
void mle_predictor_margin(const mle_model *model, const float *row, float *out);

/* Values a prediction has: the outputs, but 1 for multi:softmax, whose answer is the class. */
size_t mle_predictor_width(const mle_model *model);

/* Writes mle_predictor_width() values. Needs room for mle_model_num_outputs(). */
void mle_predictor_predict(const mle_model *model, const float *row, float *out);

#define MLE_PREDICTOR_BLOCK 64

/*
 * The same for `count` rows, one behind the other; faster than one by one. `scratch`
 * has room for MLE_PREDICTOR_BLOCK * num_outputs values.
 */
void mle_predictor_rows(const mle_model *model, const float *rows, size_t count, float *scratch,
                        float *out);

/*
 * Scores the rows of a batch whose columns are the model's features in order; the
 * batch may have more columns behind them. `out` has room for rows * outputs values
 * and is filled row after row: of num_outputs margins, or of width values.
 */
mle_status mle_predictor_batch(const mle_model *model, const mle_batch *batch, bool margin,
                               float *out, mle_error *err);

#endif
