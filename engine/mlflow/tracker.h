/*
 * tracker.h -- a run while its script works: metrics in batches, an end in any case.
 *
 *     MLE_TRY(mle_tracker_open(store, id, &tracker, err));
 *     MLE_GO(mle_tracker_log_metric(tracker, "test-auc", 0.81, round, err));     returns at once, mostly
 *     MLE_GO(mle_tracker_end(tracker, MLE_MLFLOW_FINISHED, err));
 *   done:
 *     mle_tracker_close(run);          ends it FAILED, or KILLED, unless it was ended
 *
 * A metric is written at once when nothing was for a second, else kept: up to a
 * second, or 1000 of them. So slow rounds are seen as they come, and fast ones
 * wait for the disk once a second; for a server they never wait (sender.h).
 */
#ifndef MLE_MLFLOW_TRACKER_H
#define MLE_MLFLOW_TRACKER_H

#include "engine/mlflow/store.h"

typedef struct mle_tracker mle_tracker;

/* Takes a share of the store. On success the caller owns `*out`. `spool` is the folder for
 * what a server could not be sent (sender.h), or NULL. */
mle_status mle_tracker_open(mle_mlflow *store, const char *id, const char *spool,
                            mle_tracker **out, mle_error *err);

mle_status mle_tracker_log_metric(mle_tracker *tracker, const char *key, double value, int64_t step,
                              mle_error *err);

/* Writes what is kept. */
mle_status mle_tracker_flush(mle_tracker *tracker, mle_error *err);

/* Writes what is kept, then ends the run. */
mle_status mle_tracker_end(mle_tracker *tracker, const char *status, mle_error *err);

/* Writes what is kept; somebody else will end the run. */
mle_status mle_tracker_leave(mle_tracker *tracker, mle_error *err);

/* Neither ended nor left. */
bool mle_tracker_is_open(const mle_tracker *tracker);

/* An open run ends KILLED when the process was asked to stop, else FAILED. NULL is ignored. */
void mle_tracker_close(mle_tracker *tracker);

#endif
