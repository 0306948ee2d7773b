/*
 * attempt.h -- a run that did not succeed, tried again: the same row, with the same
 * range, parameters and script text.
 *
 *     mle_run_try_again(state, run, &lock, &attempt, err);      failed, timed out, stopped or lost
 *     mle_run_pinned_json(state, run, &key, &json, err);        what its earlier attempt was to read
 *
 * What an attempt left elsewhere is found by the run's key, which no other run has, in
 * this state or another: a snapshot that was committed before the attempt died is
 * not committed again.
 */
#ifndef MLE_JOBS_ATTEMPT_H
#define MLE_JOBS_ATTEMPT_H

#include <stdint.h>

#include "engine/jobs/lock.h"
#include "engine/jobs/state.h"
#include "engine/jobs/watermark.h"

/*
 * From an end that is not a success back to starting, with the lock held as after
 * mle_run_create. How the attempt before ended is kept. ECONFLICT for a run that is
 * going on, succeeded or was skipped.
 */
mle_status mle_run_try_again(mle_state *state, int64_t run, mle_lock **out_lock,
                             int64_t *out_attempt, mle_error *err);

/* The run's key, owned by the caller; NULL for a run that is not there. */
mle_status mle_run_key(mle_state *state, int64_t run, char **out, mle_error *err);

/*
 * The range an earlier attempt recorded: {expected, from, to, rows, read}; NULL for none. From
 * now on it is this attempt's: what only an earlier one read is not consumed with the run.
 */
mle_status mle_run_pinned_json(mle_state *state, int64_t run, const mle_watermark_key *key,
                               char **out, mle_error *err);

/* ====== Pipelines ====== */

/* Makes a pipeline's run that ended without success go on, with its lock. ECONFLICT otherwise. */
mle_status mle_pipeline_run_reopen(mle_state *state, int64_t id, mle_lock **out_lock,
                                   mle_error *err);

/* {id, pipeline, file, rehearsal, state, plan, runs: [...]}, runs in the order they began. ENOTFOUND. */
mle_status mle_pipeline_run_json(mle_state *state, int64_t id, char **out, mle_error *err);

/* What `resume` goes on with: the last pipeline's run, or run on its own, that did not succeed. {run, pipeline_run};
 * NULL when the last one did. */
mle_status mle_unfinished_json(mle_state *state, char **out, mle_error *err);

/* ====== Script texts ====== */

mle_status mle_script_keep(mle_db *db, const char *text, char *out_sha256, mle_error *err);

/* Owned by the caller. ENOTFOUND. */
mle_status mle_script_text(mle_state *state, const char *sha256, char **out, mle_error *err);

#endif
