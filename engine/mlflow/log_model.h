/*
 * log_model.h -- a model becomes part of its run: whole, or not at all.
 */
#ifndef MLE_MLFLOW_LOG_MODEL_H
#define MLE_MLFLOW_LOG_MODEL_H

#include "engine/mlflow/flavor.h"

/*
 * Writes the model's folder aside, gives it its name in one step, and declares it
 * ready. A failure leaves no folder, and in MLflow 3's layout a model marked failed.
 */
mle_status mle_mlflow_log_model(mle_mlflow *store, const char *run_id, const char *name,
                                const mle_flavor *flavor, mle_arena *memory,
                                mle_mlflow_model *out, mle_error *err);

#endif
