/*
 * objective.h -- what each objective of XGBoost makes of a margin.
 *
 * Internal to engine/xgboost.
 */
#ifndef MLE_XGBOOST_OBJECTIVE_H
#define MLE_XGBOOST_OBJECTIVE_H

/* Margin to prediction. */
typedef enum mle_link {
  MLE_LINK_IDENTITY,
  MLE_LINK_LOGISTIC, /* a probability */
  MLE_LINK_EXP,
  MLE_LINK_EXP_DOUBLE, /* computed in double, then rounded */
  MLE_LINK_STEP,    /* 1 above zero */
  MLE_LINK_SOFTMAX, /* a probability of each class */
  MLE_LINK_ARGMAX   /* the class itself */
} mle_link;

/* base_score, as the model holds it, to the margin that each sum begins with. */
typedef enum mle_base { MLE_BASE_IDENTITY, MLE_BASE_LOGIT, MLE_BASE_LOG } mle_base;

/* What its labels are; decides which are refused and which metrics evaluate() gives. */
typedef enum mle_task {
  MLE_TASK_REGRESSION,
  MLE_TASK_BINARY,
  MLE_TASK_MULTICLASS,
  MLE_TASK_COUNT, /* labels from 0 */
  MLE_TASK_RANKING,
  MLE_TASK_SURVIVAL
} mle_task;

typedef struct mle_objective {
  const char *name;
  mle_link link;
  mle_base base;
  mle_task task;
} mle_objective;

const mle_objective *mle_objective_find(const char *name); /* NULL when unknown */

float mle_objective_base_margin(const mle_objective *objective, float base_score);

#endif
