/*
 * sender.h -- metrics on their way to a tracking server, in a thread of their own.
 *
 *     MLE_TRY(mle_sender_open(store, run_id, spool, &sender, err));    takes a twin of the store
 *     MLE_GO(mle_sender_give(sender, &metrics, err));                  returns at once
 *     MLE_GO(mle_sender_drain(sender, err));                           all sent, or an error
 *   done:
 *     mle_sender_close(sender);                                        what is left goes to the spool
 *
 * A boosting round never waits for the network. While the server is away metrics are
 * kept, and tried again. Those that cannot be sent in the end are written to a new file
 * SPOOL/RUN-ID.json, which mle_sender_flush sends later; sent twice they are stored once.
 */
#ifndef MLE_MLFLOW_SENDER_H
#define MLE_MLFLOW_SENDER_H

#include "engine/mlflow/store.h"

#define MLE_SENDER_KEPT_MAX 1000000 /* points; one more is refused */

typedef struct mle_sender mle_sender;

/* `*out` is NULL for a store that needs none: a local file is quick. `spool` is a folder,
 * made when it is needed; NULL: what cannot be sent is lost, with a warning. */
mle_status mle_sender_open(mle_mlflow *store, const char *run_id, const char *spool,
                           mle_sender **out, mle_error *err);

/* Copies the points. Fails with what the server refused before, once. */
mle_status mle_sender_give(mle_sender *sender, const mle_mlflow_metrics *metrics, mle_error *err);

/* Waits until all is sent, or an attempt that began now has failed; then the rest is in
 * the spool, and the message says where. */
mle_status mle_sender_drain(mle_sender *sender, mle_error *err);

/* NULL is ignored. */
void mle_sender_close(mle_sender *sender);

/* Sends a file of the spool and removes it; `*points` is how many it held. */
mle_status mle_sender_flush(mle_mlflow *store, const char *file, int64_t *points, mle_error *err);

#endif
