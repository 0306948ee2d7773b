/*
 * held.h -- rows that count as consumed only when the model they made is live.
 *
 * A range pinned as held does not move its watermark when its run succeeds: it waits. It is
 * the deployment's last step that moves it, in that step's own transaction (deploy/records.h):
 *
 *     waiting -> released     a model of the run went live; the watermark moves
 *             -> rejected     the gate refused it: the rows are new again
 *             -> superseded   a model that was made later of these rows was released before,
 *                             or somebody moved the watermark by hand
 *
 * Until then a later run reads the same rows again, with those that came since.
 */
#ifndef MLE_JOBS_HELD_H
#define MLE_JOBS_HELD_H

#include "engine/jobs/watermark.h"

/*
 * The model that an MLflow run logged is live, or was rejected. Both are called inside a
 * transaction on the project's state.db, which may have no such tables yet, and do nothing
 * for a run (NULL too) of which nothing waits. A run that is still going moves its watermark
 * itself as it succeeds.
 */
mle_status mle_held_release(mle_db *db, const char *mlflow_run, mle_error *err);
mle_status mle_held_reject(mle_db *db, const char *mlflow_run, mle_error *err);

/* The newest succeeded run whose rows of this key wait, and up to where it read; 0 without one. */
mle_status mle_held_waiting(mle_state *state, const mle_watermark_key *key, int64_t *out_run,
                            int64_t *out_to, mle_error *err);

#endif
