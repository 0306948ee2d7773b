/*
 * model_entry.h -- how MLflow 2 lists a run's models: the tag mlflow.log-model.history.
 */
#ifndef MLE_MLFLOW_MODEL_ENTRY_H
#define MLE_MLFLOW_MODEL_ENTRY_H

#include "engine/json/json.h"
#include "engine/mlflow/store.h"

/* Adds the entry of a model to a list; `flavors` is JSON text of its MLmodel's. */
mle_json *mle_mlflow_model_entry(mle_json *list, const mle_mlflow_model *model,
                                 const char *flavors);

#endif
