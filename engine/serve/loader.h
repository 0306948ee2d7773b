/*
 * loader.h -- from a deployment record to a model that may be served.
 */
#ifndef MLE_LOADER_H
#define MLE_LOADER_H

#include "engine/deploy/records.h"
#include "engine/serve/served.h"

/*
 * Loads the project's copy of a deployment's model, if it is what was deployed: its
 * digest, and its scores of the logged example once some were recorded.
 */
mle_status mle_load_deployment(const mle_deployment *deployment, mle_served **out, mle_error *err);

/* The same from a model in memory that was loaded from an equal copy. */
mle_status mle_load_warm(const mle_deployment *deployment, mle_served *warm, mle_served **out,
                         mle_error *err);

/* The same after a process of its own survived it. */
mle_status mle_load_checked(const mle_deployment *deployment, const char *program,
                            mle_served **out, char **out_report, mle_error *err);

#endif
