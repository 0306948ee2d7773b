/*
 * sampler.h -- what the machine does while a run works, as metrics "system/...".
 *
 *     MLE_TRY(mle_sampler_open("sqlite:///mlflow.db", run_id, 10000, &sampler, err));
 *     ...
 *     mle_sampler_close(sampler);
 *
 * A thread of its own reads /proc every `interval_ms` and logs a point of each metric,
 * at the steps 0, 1, 2, ..., under the names and in the units of MLflow's Python client:
 *
 *     cpu_utilization_percentage        of all processors, since the point before
 *     system_memory_usage_megabytes     10^6 bytes that are not available
 *     system_memory_usage_percentage
 *     disk_usage_megabytes, disk_available_megabytes, disk_usage_percentage     of "/"
 *     network_receive_megabytes, network_transmit_megabytes     since the sampler began
 *
 * A point that cannot be logged is left out, with one warning.
 */
#ifndef MLE_MLFLOW_SAMPLER_H
#define MLE_MLFLOW_SAMPLER_H

#include <stdint.h>

#include "engine/base/error.h"

#define MLE_SAMPLER_INTERVAL_MIN_MS 100

typedef struct mle_sampler mle_sampler;

/* Opens a store of its own at `uri`. EINVAL for an interval below the least. */
mle_status mle_sampler_open(const char *uri, const char *run_id, int64_t interval_ms,
                            mle_sampler **out, mle_error *err);

/* Waits for a point that is being logged. NULL is ignored. */
void mle_sampler_close(mle_sampler *sampler);

#endif
