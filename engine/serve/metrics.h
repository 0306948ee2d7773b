/*
 * metrics.h -- GET /metrics, in Prometheus' text format.
 */
#ifndef MLE_METRICS_H
#define MLE_METRICS_H

#include "engine/serve/api.h"

mle_status mle_metrics_write(mle_api *api, mle_buffer *out, mle_error *err);

#endif
