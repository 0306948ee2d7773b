#include "engine/xgboost/objective.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const mle_objective objectives[] = {
    {"binary:logistic", MLE_LINK_LOGISTIC, MLE_BASE_LOGIT, MLE_TASK_BINARY},
    {"binary:logitraw", MLE_LINK_IDENTITY, MLE_BASE_IDENTITY, MLE_TASK_BINARY},
    {"binary:hinge", MLE_LINK_STEP, MLE_BASE_IDENTITY, MLE_TASK_BINARY},
    {"reg:squarederror", MLE_LINK_IDENTITY, MLE_BASE_IDENTITY, MLE_TASK_REGRESSION},
    {"reg:linear", MLE_LINK_IDENTITY, MLE_BASE_IDENTITY, MLE_TASK_REGRESSION},
    {"reg:squaredlogerror", MLE_LINK_IDENTITY, MLE_BASE_IDENTITY, MLE_TASK_REGRESSION},
    {"reg:logistic", MLE_LINK_LOGISTIC, MLE_BASE_LOGIT, MLE_TASK_REGRESSION},
    {"reg:pseudohubererror", MLE_LINK_IDENTITY, MLE_BASE_IDENTITY, MLE_TASK_REGRESSION},
    {"reg:absoluteerror", MLE_LINK_IDENTITY, MLE_BASE_IDENTITY, MLE_TASK_REGRESSION},
    {"reg:quantileerror", MLE_LINK_IDENTITY, MLE_BASE_IDENTITY, MLE_TASK_REGRESSION},
    {"reg:gamma", MLE_LINK_EXP, MLE_BASE_LOG, MLE_TASK_REGRESSION},
    {"reg:tweedie", MLE_LINK_EXP, MLE_BASE_LOG, MLE_TASK_COUNT},
    {"count:poisson", MLE_LINK_EXP, MLE_BASE_LOG, MLE_TASK_COUNT},
    {"survival:cox", MLE_LINK_EXP, MLE_BASE_LOG, MLE_TASK_SURVIVAL},
    {"survival:aft", MLE_LINK_EXP_DOUBLE, MLE_BASE_LOG, MLE_TASK_SURVIVAL},
    {"multi:softprob", MLE_LINK_SOFTMAX, MLE_BASE_IDENTITY, MLE_TASK_MULTICLASS},
    {"multi:softmax", MLE_LINK_ARGMAX, MLE_BASE_IDENTITY, MLE_TASK_MULTICLASS},
    {"rank:ndcg", MLE_LINK_IDENTITY, MLE_BASE_IDENTITY, MLE_TASK_RANKING},
    {"rank:map", MLE_LINK_IDENTITY, MLE_BASE_IDENTITY, MLE_TASK_RANKING},
    {"rank:pairwise", MLE_LINK_IDENTITY, MLE_BASE_IDENTITY, MLE_TASK_RANKING},
};

const mle_objective *mle_objective_find(const char *name) {
  for (size_t i = 0; i < sizeof objectives / sizeof *objectives; i++)
    if (strcmp(objectives[i].name, name) == 0) return &objectives[i];
  return NULL;
}

/* Each step rounds to float, as the library's does. */
float mle_objective_base_margin(const mle_objective *objective, float base_score) {
  const float tiny = 1e-6f;
  switch (objective->base) {
    case MLE_BASE_LOG: return logf(base_score);
    case MLE_BASE_LOGIT: {
      float p = fminf(fmaxf(base_score, tiny), 1.0f - tiny);
      return -logf(1.0f / p - 1.0f);
    }
    default: return base_score;
  }
}
