/*
 * history.h -- what ran, as JSON texts (owned by the caller) for the command line and the page.
 */
#ifndef MLE_JOBS_HISTORY_H
#define MLE_JOBS_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/jobs/state.h"

/* Which runs; what is NULL or 0 does not matter. */
typedef struct mle_history_filter {
  const char *pipeline, *job, *run_state; /* run_state may be "reused", which is a kind of "succeeded" */
  const char *trigger; /* the source of what began it, or "terminal" */
  int64_t before;      /* only runs before this one */
  int64_t floor;       /* and after this one */
  int64_t pipeline_run;
} mle_history_filter;

/* The last `limit` of those runs, newest first: an array of objects. */
mle_status mle_history_json(mle_state *state, const mle_history_filter *filter, int64_t limit, char **out,
                            mle_error *err);

/* The last run of a job that was no rehearsal, in few words: {run, state, reason, created, started, ended}; NULL when there is none. */
mle_status mle_history_last_json(mle_state *state, const char *pipeline, const char *job, char **out, mle_error *err);

/* The same of all that ever ran, at once: an array of [pipeline, job, run, state, reason, created, started, ended, reused]. */
mle_status mle_history_last_runs(mle_state *state, char **out, mle_error *err);

/* How each pipeline's job ran last, of those that ever did: an array of [pipeline, job, state]. */
mle_status mle_history_last_states(mle_state *state, char **out, mle_error *err);

/*
 * How many attempts of each job ended how, ever, and how long they took: samples of Prometheus' text format, a
 * line each. NULL when there are none.
 */
mle_status mle_history_runs_total(mle_state *state, char **out, mle_error *err);
mle_status mle_history_seconds_total(mle_state *state, char **out, mle_error *err);

/* Everything about one run: also params, outputs, intents, actions, script text. ENOTFOUND. */
mle_status mle_history_run_json(mle_state *state, int64_t run, char **out, mle_error *err);

/* Just enough to report a run: id, state, reason, times, outputs, notes. */
mle_status mle_history_result_json(mle_state *state, int64_t run, char **out, mle_error *err);

/*
 * The last succeeded run of a pipeline's job that was no rehearsal, for its child `child`:
 * {run, outputs, consumed}; NULL when there is none. Consumed: a succeeded run of
 * the child was given these outputs.
 */
mle_status mle_history_output_json(mle_state *state, const char *pipeline, const char *job,
                                   const char *child, char **out, mle_error *err);

/*
 * The run of the same job before `run` that was neither a rehearsal nor skipped, however it ended: {run, state, ranges,
 * note}, the last thing it noted as `kind`; run and ranges are those of the run it reused, if any. NULL when there is none.
 */
mle_status mle_history_before_json(mle_state *state, int64_t run, const char *kind, char **out, mle_error *err);

/*
 * What ended runs left to do: an array of {run, state, intents: [{id, kind, data}],
 * actions: [{id, kind, data}]}. With `run`, of that run only; 0 is all.
 */
mle_status mle_history_unsettled_json(mle_state *state, int64_t run, char **out, mle_error *err);

#endif
