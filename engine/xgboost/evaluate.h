/*
 * evaluate.h -- how good predictions are, in one pass over predictions and labels.
 *
 *     mle_evaluation *e;
 *     MLE_TRY(mle_evaluation_new(model, &e, err));
 *     MLE_GO(mle_evaluation_add(e, prediction, label, rows, err));     as often as there are batches
 *     MLE_GO(mle_evaluation_finish(e, &scores, err));
 *   done:
 *     mle_evaluation_free(e);
 *
 * Sums are in double. Two numbers a row (8 bytes) are kept for auc, which needs all
 * of them sorted; nothing else is.
 */
#ifndef MLE_XGBOOST_EVALUATE_H
#define MLE_XGBOOST_EVALUATE_H

#include <stddef.h>

#include "engine/xgboost/model.h"

typedef struct mle_evaluation mle_evaluation;

mle_status mle_evaluation_new(const mle_model *model, mle_evaluation **out, mle_error *err);
void mle_evaluation_free(mle_evaluation *evaluation); /* NULL is ignored */

/* `prediction` holds mle_predictor_width() values a row, as mle_predictor_predict gives them. */
mle_status mle_evaluation_add(mle_evaluation *evaluation, const float *prediction,
                              const float *label, size_t rows, mle_error *err);

typedef struct mle_score {
  const char *name; /* "auc", "logloss", ... */
  double value;
} mle_score;

#define MLE_SCORES_MAX 8

/*
 * binary: auc, logloss, accuracy, precision, recall (threshold 0.5; a raw margin: 0);
 * multi-class: accuracy, and mlogloss for probabilities; else rmse, mae. Rows of one
 * class have no auc: it is left out then.
 */
mle_status mle_evaluation_finish(mle_evaluation *evaluation, mle_score out[MLE_SCORES_MAX],
                                 size_t *out_count, mle_error *err);

#endif
