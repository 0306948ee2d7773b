/*
 * state.h -- .mlengine/state.db: what ran, with what, how it ended, and how far each consumer has read.
 *
 *     mle_state *state;
 *     MLE_TRY(mle_state_open("/project/.mlengine", &state, err));
 *     ... run.h, watermark.h, history.h ...
 *     mle_state_close(state);
 *
 * Any number of processes may have it open: transactions are short, and a
 * statement waits for another's. A state belongs to one thread at a time.
 */
#ifndef MLE_JOBS_STATE_H
#define MLE_JOBS_STATE_H

#include "engine/base/db.h"
#include "engine/base/error.h"

typedef struct mle_state mle_state;

/*
 * Opens the state in `folder` (absolute), making folder (0700) and file (0600) when
 * they are missing. MLE_EREFUSED when a newer mlengine wrote it.
 */
mle_status mle_state_open(const char *folder, mle_state **out, mle_error *err);
void mle_state_close(mle_state *state); /* NULL is ignored */

/* Both live as long as the state. */
mle_db *mle_state_db(mle_state *state);
const char *mle_state_folder(const mle_state *state);

/* Another number whenever anybody has changed something; cheap to ask often. */
mle_status mle_state_version(mle_state *state, int64_t *out, mle_error *err);

#endif
