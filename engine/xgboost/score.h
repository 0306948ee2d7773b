/*
 * score.h -- predictions for all rows of a stream.
 *
 *     mle_scorer scorer = {.model = model};
 *     MLE_GO(mle_score_stream(&scorer, stream, add, &sum, err));       batch by batch
 *     MLE_GO(mle_score_all(&scorer, stream, &scores, err));            all in memory
 *     MLE_GO(mle_score_evaluate(model, stream, scores, &count, err));  against labels
 *
 * The stream's columns are the model's features in order; columns behind them are
 * for the sink. Takes memory for one batch, besides what the sink keeps.
 */
#ifndef MLE_XGBOOST_SCORE_H
#define MLE_XGBOOST_SCORE_H

#include <stdbool.h>

#include "engine/frame/stream.h"
#include "engine/xgboost/booster.h"
#include "engine/xgboost/evaluate.h"
#include "engine/xgboost/model.h"

typedef struct mle_scorer {
  const mle_model *model;
  mle_predict_options options; /* kinds but values and margins need the library */
  mle_booster *library; /* the same model, to score with the library's code; else NULL */
} mle_scorer;

/* Values a row gets. */
size_t mle_scorer_width(const mle_scorer *scorer);

/* Receives mle_scorer_width() values for each row of `batch`. */
typedef mle_status (*mle_score_sink)(void *context, const float *values, const mle_batch *batch,
                                     mle_error *err);

mle_status mle_score_stream(const mle_scorer *scorer, mle_stream *stream, mle_score_sink sink,
                            void *context, mle_error *err);

/* All predictions: `column[i]` holds the i-th value of each row. */
typedef struct mle_scores {
  size_t width, rows, capacity;
  float **column;
} mle_scores;

mle_status mle_score_all(const mle_scorer *scorer, mle_stream *stream, mle_scores *out,
                         mle_error *err);

/* A copy of values that lie row after row. */
mle_status mle_scores_copy(const float *values, size_t rows, size_t width, mle_scores *out,
                           mle_error *err);
void mle_scores_release(mle_scores *scores);

/* The label is the stream's column behind the features. */
mle_status mle_score_evaluate(const mle_model *model, mle_stream *stream,
                              mle_score out[MLE_SCORES_MAX], size_t *out_count, mle_error *err);

#endif
