/*
 * filter.h -- MLflow's search language, of runs and of what else can be searched.
 *
 *     metrics.auc > 0.8 and params.max_depth = '6' and attributes.status = 'FINISHED'
 *
 * Conditions are joined by `and` only. A name is ENTITY.KEY, an attribute may
 * stand alone; odd keys stand in back-quotes or double quotes. Metrics and times
 * compare with numbers (= != > >= < <=), all else with quoted texts (= != LIKE
 * ILIKE), ids, datasets and names of the registry also IN ('a', 'b') and NOT IN; params
 * and tags also IS NULL, IS NOT NULL.
 */
#ifndef MLE_MLFLOW_FILTER_H
#define MLE_MLFLOW_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/arena.h"
#include "engine/base/error.h"

typedef enum mle_filter_entity {
  MLE_FILTER_ATTRIBUTE, /* key: one of the subject's */
  MLE_FILTER_METRIC,
  MLE_FILTER_PARAM,
  MLE_FILTER_TAG,
  MLE_FILTER_DATASET /* key: name, digest, context */
} mle_filter_entity;

/* An attribute of what is searched. */
typedef struct mle_filter_attribute {
  const char *name;
  const char *column; /* in MLflow's tables */
  enum { MLE_FILTER_TEXT, MLE_FILTER_LISTED, MLE_FILTER_NUMBER, MLE_FILTER_ORDER_ONLY } kind;
} mle_filter_attribute;

/* What is searched. */
typedef struct mle_filter_subject {
  const mle_filter_attribute *attribute; /* ends with a NULL name */
  const char *attributes;                /* their names, for messages */
  unsigned conditions, orders;           /* a bit for each entity that may stand there */
} mle_filter_subject;

extern const mle_filter_subject mle_filter_runs, mle_filter_experiments, mle_filter_models,
    mle_filter_versions, mle_filter_logged_models;

typedef struct mle_filter_condition {
  mle_filter_entity entity;
  const char *key;
  const mle_filter_attribute *attribute; /* NULL: of another entity */
  const char *operator; /* "=", "!=", ">", ">=", "<", "<=", "LIKE", "ILIKE", "IN", "NOT IN",
                           "IS NULL", "IS NOT NULL" */
  bool is_number;
  double number;
  size_t num_texts; /* 1, or those of a list */
  const char **text;
} mle_filter_condition;

typedef struct mle_filter {
  size_t count;
  const mle_filter_condition *condition;
} mle_filter;

typedef struct mle_filter_order {
  mle_filter_entity entity;
  const char *key;
  const mle_filter_attribute *attribute;
  bool descending;
} mle_filter_order;

/* What is parsed lives in `memory`. An empty text is a filter without conditions. */
mle_status mle_filter_parse(const mle_filter_subject *subject, const char *text, mle_arena *memory,
                            mle_filter *out, mle_error *err);
mle_status mle_filter_parse_order(const mle_filter_subject *subject, const char *text,
                                  mle_arena *memory, mle_filter_order *out, mle_error *err);

#endif
