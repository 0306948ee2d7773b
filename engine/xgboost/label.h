/*
 * label.h -- whether labels and weights are what an objective can learn from.
 *
 * XGBoost's own answers come late, name no column and count nothing. Internal to
 * engine/xgboost.
 */
#ifndef MLE_XGBOOST_LABEL_H
#define MLE_XGBOOST_LABEL_H

#include "engine/xgboost/objective.h"
#include "engine/xgboost/spool.h"

typedef struct mle_label {
  const char *name;               /* of the column, for messages */
  const mle_objective *objective; /* NULL: any finite number will do */
  size_t num_classes;             /* of a multi-class objective; 0: not known */
  bool training;                  /* else a set of one class is fine */
} mle_label;

/* Refuses nulls, NaN, infinities, rounded integers, values outside the objective's, one class. */
mle_status mle_label_check(mle_spool *spool, size_t column, const mle_label *label, mle_error *err);

/* Refuses weights that are absent, negative or infinite. */
mle_status mle_weight_check(mle_spool *spool, size_t column, const char *name, mle_error *err);

/* Refuses margins that are absent or infinite. */
mle_status mle_margin_check(const mle_spool *spool, size_t column, const char *name, mle_error *err);

/* Refuses bounds of a time that are absent; an infinite one is fine. */
mle_status mle_bound_check(const mle_spool *spool, size_t column, const char *name, mle_error *err);

#endif
