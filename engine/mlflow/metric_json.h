/*
 * metric_json.h -- a point of a metric as MLflow's REST API has it: {key, value, timestamp, step}.
 *
 * JSON has no NaN and no infinity: they are the texts "NaN", "Infinity" and "-Infinity".
 */
#ifndef MLE_MLFLOW_METRIC_JSON_H
#define MLE_MLFLOW_METRIC_JSON_H

#include "engine/json/json.h"
#include "engine/mlflow/store.h"

/* Adds it to a list; returns its object, for more members. */
mle_json *mle_metric_add(mle_json *list, const mle_mlflow_metric *metric);

/* Reads it; the key lives as long as the document. A number that is left out is 0. */
mle_status mle_metric_read(const mle_json_at *at, mle_mlflow_metric *out, mle_error *err);

#endif
