/*
 * artifacts_s3.h -- artifacts that lie in S3 itself, by s3://BUCKET/KEY.
 *
 * Reached with AWS's own variables and files, or as a catalog's settings say for that
 * bucket; MLFLOW_S3_ENDPOINT_URL names a server that is not AWS's.
 */
#ifndef MLE_MLFLOW_ARTIFACTS_S3_H
#define MLE_MLFLOW_ARTIFACTS_S3_H

#include "engine/mlflow/backend.h"

bool mle_artifacts_s3_is(const char *uri);

/* Checks the URI, and lets the variable decide about its bucket. */
mle_status mle_artifacts_s3_open(const char *uri, mle_error *err);

extern const mle_artifact_calls mle_artifacts_s3; /* their `path` is the whole URI */

#endif
