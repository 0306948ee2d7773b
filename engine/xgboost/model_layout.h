/*
 * model_layout.h -- what a mle_model is made of. Internal to engine/xgboost.
 */
#ifndef MLE_XGBOOST_MODEL_LAYOUT_H
#define MLE_XGBOOST_MODEL_LAYOUT_H

#include "engine/xgboost/categories.h"
#include "engine/xgboost/forest.h"
#include "engine/xgboost/model.h"
#include "engine/xgboost/objective.h"

typedef struct mle_attribute {
  char *name, *value;
} mle_attribute;

struct mle_model {
  int version[3];
  size_t num_features, num_outputs, num_rounds;
  int64_t *round_start; /* num_rounds + 1 numbers of trees; NULL: all rounds are alike */
  const mle_objective *objective;
  float *base;        /* num_outputs margins that sums begin with */
  uint32_t *output;   /* of each tree: the output it adds to */
  float *weight;      /* of each tree, for dart; else NULL */
  char **name, **type; /* num_features each, or NULL */
  mle_attribute *attribute;
  size_t num_attributes;
  mle_forest forest;
  float *linear; /* gblinear: num_outputs weights of each feature, then the biases; else NULL */
  mle_category_names *categories; /* of each feature; NULL: none */
};

#endif
