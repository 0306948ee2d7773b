/*
 * rest_settings.h -- how an MLflow server is reached: MLflow's own variables.
 *
 * Who asks, the first of: "user:password@" in the URI; MLFLOW_TRACKING_USERNAME and
 * MLFLOW_TRACKING_PASSWORD; ~/.mlflow/credentials; MLFLOW_TRACKING_TOKEN as Bearer.
 * Whom to trust: MLFLOW_TRACKING_SERVER_CERT_PATH, MLFLOW_TRACKING_CLIENT_CERT_PATH,
 * MLFLOW_TRACKING_INSECURE_TLS. How long: MLFLOW_HTTP_REQUEST_TIMEOUT (seconds),
 * MLFLOW_HTTP_REQUEST_MAX_RETRIES. Which workspace: MLFLOW_WORKSPACE.
 */
#ifndef MLE_MLFLOW_REST_SETTINGS_H
#define MLE_MLFLOW_REST_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/arena.h"

#define MLE_REST_HEADERS_MAX 5

typedef struct mle_rest_settings {
  const char *url;   /* without user and password, without a slash at the end */
  const char *headers[MLE_REST_HEADERS_MAX]; /* NULL-terminated */
  const char *ca_file, *client_cert;
  bool insecure;
  int64_t timeout_ms;
  int retries;
} mle_rest_settings;

/* `uri` is http:// or https://. What is read lives in `memory`. */
mle_status mle_rest_settings_read(const char *uri, mle_arena *memory, mle_rest_settings *out,
                                  mle_error *err);

#endif
