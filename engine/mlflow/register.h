/*
 * register.h -- from a logged model to a version of a registered one.
 */
#ifndef MLE_MLFLOW_REGISTER_H
#define MLE_MLFLOW_REGISTER_H

#include "engine/mlflow/store.h"

#define MLE_TAG_CONSUMER "mlengine.consumer"
#define MLE_TAG_RANGE "mlengine.range"
#define MLE_TAG_SUPERSEDED_BY "mlengine.superseded_by"

/*
 * Registers the model at `uri` (runs:/..., models:/..., a path) under `name`,
 * creating the registered model when there is none. Versions whose tags
 * mlengine.consumer and mlengine.range equal those in `tags`, and whose run did
 * not finish, were made by attempts that died: they get mlengine.superseded_by.
 */
mle_status mle_mlflow_register(mle_mlflow *store, const char *uri, const char *name,
                               const mle_mlflow_pairs *tags, int64_t *out, mle_error *err);

/*
 * Copies a version into another registered model, made when there is none, as its next
 * version: with its tags and description, source models:/NAME/VERSION. The files stay
 * where they are.
 */
mle_status mle_mlflow_copy_version(mle_mlflow *store, const char *name, int64_t version,
                                   const char *to, int64_t *out, mle_error *err);

#endif
