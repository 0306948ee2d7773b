/*
 * prune.h -- forgetting old runs.
 *
 *     mle_prune_options options = {.before_ms = mle_now_ms() - YEAR, .keep = 1000000};
 *     do MLE_TRY(mle_history_prune(state, &options, &removed, err)); while (removed > 0);
 *
 * A run goes with all that was recorded of it, its log too. Never removed: one that is going or has something left to
 * do; the last success of each job, and the runs that took its outputs; the last range that each consumer read; rows
 * that wait for a release. So whatever the next run decides, it decides as it would have.
 */
#ifndef MLE_JOBS_PRUNE_H
#define MLE_JOBS_PRUNE_H

#include <stdint.h>

#include "engine/jobs/state.h"

typedef struct mle_prune_options {
  int64_t before_ms; /* created before this; 0: whatever its age */
  int64_t keep;      /* all but the newest so many; 0: however many there are */
} mle_prune_options;

/* A few hundred runs in one short transaction; 0 when none is left. Triggers that ended go by the same rules. */
mle_status mle_history_prune(mle_state *state, const mle_prune_options *options, int64_t *out_removed,
                             mle_error *err);

#endif
