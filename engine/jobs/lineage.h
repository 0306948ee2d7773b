/*
 * lineage.h -- which run made or used what, from what runs recorded.
 *
 * Answers are JSON texts owned by the caller. What was read is in the ranges of a run; what it
 * made is in its notes (see stdlib/mlengine/context.lua).
 */
#ifndef MLE_JOBS_LINEAGE_H
#define MLE_JOBS_LINEAGE_H

#include <stdint.h>

#include "engine/jobs/state.h"

#define MLE_LINEAGE_MAX 1000 /* runs an answer names, the newest */

/* The run that announced an MLflow run; 0 when it is none of this state. */
mle_status mle_lineage_run_of(mle_state *state, const char *mlflow_run, int64_t *out_run, mle_error *err);

/*
 * Runs that read a snapshot, rehearsals too: an array of {run, table_uuid, table, branch,
 * catalog, to, full}. `full` ones read all rows of `to`: whether the snapshot is one of its
 * ancestors is for who knows the table; so they are there for each table.
 */
mle_status mle_lineage_readers_json(mle_state *state, int64_t snapshot, char **out, mle_error *err);

/* Runs that were given a run's outputs: an array of run numbers. */
mle_status mle_lineage_children_json(mle_state *state, int64_t run, char **out, mle_error *err);

/* Notes of a kind whose field `name` is `value` (numbers as their digits): an array of {run, data}. */
mle_status mle_lineage_notes_json(mle_state *state, const char *kind, const char *name, const char *value, char **out,
                                  mle_error *err);

#endif
