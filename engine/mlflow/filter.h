/*
 * filter.h -- MLflow's search language for runs.
 *
 *     metrics.auc > 0.8 and params.max_depth = '6' and attributes.status = 'FINISHED'
 *
 * Conditions are joined by `and` only. A name is ENTITY.KEY, an attribute may
 * stand alone; odd keys stand in back-quotes or double quotes. Metrics and times
 * compare with numbers (= != > >= < <=), all else with quoted texts (= != LIKE
 * ILIKE), run_id also IN ('a', 'b').
 */
#ifndef MLE_MLFLOW_FILTER_H
#define MLE_MLFLOW_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/arena.h"
#include "engine/base/error.h"

typedef enum mle_filter_entity {
  MLE_FILTER_ATTRIBUTE, /* key: run_id, run_name, status, user_id, artifact_uri, start_time, end_time */
  MLE_FILTER_METRIC,
  MLE_FILTER_PARAM,
  MLE_FILTER_TAG,
  MLE_FILTER_DATASET /* key: name, digest, context */
} mle_filter_entity;

typedef struct mle_filter_condition {
  mle_filter_entity entity;
  const char *key;
  const char *operator; /* "=", "!=", ">", ">=", "<", "<=", "LIKE", "ILIKE", "IN" */
  bool is_number;
  double number;
  size_t num_texts; /* 1, or those of an IN */
  const char **text;
} mle_filter_condition;

typedef struct mle_filter {
  size_t count;
  const mle_filter_condition *condition;
} mle_filter;

typedef struct mle_filter_order {
  mle_filter_entity entity;
  const char *key;
  bool descending;
} mle_filter_order;

/* What is parsed lives in `memory`. An empty text is a filter without conditions. */
mle_status mle_filter_parse(const char *text, mle_arena *memory, mle_filter *out, mle_error *err);
mle_status mle_filter_parse_order(const char *text, mle_arena *memory, mle_filter_order *out,
                                  mle_error *err);

#endif
