/*
 * resolve.h -- from what a user writes to the place that holds the files.
 *
 *     runs:/RUN/PATH            an artifact, or a model, of a run
 *     models:/NAME/VERSION      a registered version; VERSION "latest" is the newest
 *     models:/NAME@ALIAS        the version an alias names
 *     models:/m-ID              a logged model of MLflow 3
 *     /path, path, file:///path
 *
 * Behind each, "/more" goes deeper into the folder.
 */
#ifndef MLE_MLFLOW_RESOLVE_H
#define MLE_MLFLOW_RESOLVE_H

#include "engine/mlflow/store.h"

/* What a URI names; texts that do not apply are NULL. */
typedef struct mle_mlflow_place {
  const char *location; /* URI of the files, which are there */
  const char *folder;   /* the same as a local path; NULL: behind the tracking server */
  const char *run_id;
  const char *model_id;
  const char *name;   /* of the registered model */
  int64_t version;    /* 0: not registered */
} mle_mlflow_place;

/* `store` may be NULL for a path. ENOTFOUND says which step found nothing. */
mle_status mle_mlflow_resolve(mle_mlflow *store, const char *uri, mle_arena *memory,
                              mle_mlflow_place *out, mle_error *err);

#endif
