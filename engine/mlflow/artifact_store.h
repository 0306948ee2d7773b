/*
 * artifact_store.h -- artifacts by URI: in a local folder, behind a tracking server, on S3.
 *
 *     MLE_TRY(mle_mlflow_put_artifact(store, run.artifact_uri, "plots", "roc.png", err));
 *     MLE_TRY(mle_mlflow_fetch(store, "mlflow-artifacts:/1/RUN/artifacts/model", cache, err));
 *
 * A URI is a local path, file:, mlflow-artifacts:/PATH, which `store` hands out, or
 * s3://BUCKET/KEY. Local files appear whole or not at all (artifacts.h); elsewhere each
 * file does, a folder file by file. Others are EUNSUPPORTED, by name.
 */
#ifndef MLE_MLFLOW_ARTIFACT_STORE_H
#define MLE_MLFLOW_ARTIFACT_STORE_H

#include "engine/mlflow/artifacts.h"
#include "engine/mlflow/store.h"

/* Whether it is on another machine: then it has no local folder. */
bool mle_mlflow_is_remote(const char *uri);

/* Copies a local file or folder into URI/FOLDER, under its own name; FOLDER may be NULL. */
mle_status mle_mlflow_put_artifact(mle_mlflow *store, const char *uri, const char *folder,
                            const char *local, mle_error *err);

/* Copies what is in a local folder to URI itself. */
mle_status mle_mlflow_put_contents(mle_mlflow *store, const char *uri, const char *local,
                                     mle_error *err);

/* Writes bytes as URI/PATH. */
mle_status mle_mlflow_put_bytes(mle_mlflow *store, const char *uri, const char *path,
                                  const void *bytes, size_t len, mle_error *err);

/* What is directly in URI/PATH, by name. */
mle_status mle_mlflow_list_artifacts(mle_mlflow *store, const char *uri, const char *path,
                             mle_arena *memory, mle_artifact_list *out, mle_error *err);

mle_status mle_mlflow_has_artifact(mle_mlflow *store, const char *uri, bool *out, mle_error *err);

/* Copies a remote file or folder to `target`, replacing it in one step. */
mle_status mle_mlflow_fetch(mle_mlflow *store, const char *uri, const char *target,
                              mle_error *err);

/* URI/PATH, the path checked to stay inside; NULL or "" is the URI itself. */
mle_status mle_mlflow_below(const char *uri, const char *path, mle_arena *memory,
                              const char **out, mle_error *err);

#endif
