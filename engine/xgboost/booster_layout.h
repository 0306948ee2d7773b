/*
 * booster_layout.h -- what a mle_booster is made of. Internal to engine/xgboost.
 */
#ifndef MLE_XGBOOST_BOOSTER_LAYOUT_H
#define MLE_XGBOOST_BOOSTER_LAYOUT_H

#include <xgboost/c_api.h>

#include "engine/xgboost/booster.h"
#include "engine/xgboost/stopping.h"

struct mle_booster {
  int holders;
  BoosterHandle handle;
  mle_matrix *train; /* NULL when loaded */
  mle_matrix **evals;
  size_t num_evals;
  DMatrixHandle *sets;    /* those of the evals */
  const char **set_names; /* "0", "1", ...: a user's name might hold '-' or ':' */
  char *name_texts;
  int rounds, num_rounds;
  int before; /* rounds of the model that is continued */
  int first_iteration;
  int early_stopping_rounds, maximize, stop_set; /* as in mle_training */
  char *stop_metric;
  double min_delta;
  mle_metric *metrics;
  size_t num_metrics, metric_capacity;
  bool stops;
  mle_stopping stopping;
};

#endif
