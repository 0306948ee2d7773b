/*
 * flavor_texts.h -- what mlflow.pyfunc needs of a model that learned from texts.
 *
 * Neither MLflow 2.22 nor 3.17 hands texts to XGBoost: of a model with categories
 * pyfunc, its scoring server and the check of a serving example fail, whoever logged
 * it. MLflow's own way out is a loader of the model's (`loader_module`, in a folder
 * `code` beside it). Ours makes of each text the number that the model knows it by and
 * then does what mlflow.xgboost does; a text that training did not see is a missing
 * value, as in this program. categories.json is what it reads the numbers from.
 */
#ifndef MLE_MLFLOW_FLAVOR_TEXTS_H
#define MLE_MLFLOW_FLAVOR_TEXTS_H

#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/xgboost/model.h"

#define MLE_FLAVOR_TEXTS_LOADER "mlengine_texts"
#define MLE_FLAVOR_TEXTS_CODE "code"

/*
 * The columns that the signature `inputs` declares as texts and the model has
 * categories for, as JSON text: {"city": ["Bonn", "Ulm"]}, in the order of their codes.
 * NULL when there are none.
 */
mle_status mle_flavor_texts(const mle_model *model, const char *inputs, mle_arena *memory,
                            const char **out, mle_error *err);

/* Writes them and their loader into a model's folder. */
mle_status mle_flavor_write_texts(const char *folder, const char *texts, mle_error *err);

#endif
