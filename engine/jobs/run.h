/*
 * run.h -- one run of a job, from its row to its end.
 *
 *     mle_run_create(state, &spec, &lock, &run, err);        the engine; then it starts the process
 *     mle_run_start(state, run, getpid(), err);              the job's process, from here on
 *     mle_run_pin_range(state, run, &range, err);            before it reads
 *     mle_run_intend(state, run, "mlflow_run", json, err);   before it acts elsewhere
 *     mle_run_succeed(state, run, outputs, actions, count, err);
 *
 * Each call is one short transaction, on disk when it returns.
 */
#ifndef MLE_JOBS_RUN_H
#define MLE_JOBS_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/jobs/lock.h"
#include "engine/jobs/state.h"

#define MLE_RUN_OUTPUTS_MAX ((size_t)64 << 10)

/* Which run's outputs a run is given, by the parent's name. */
typedef struct mle_run_input {
  const char *parent;
  int64_t run;
} mle_run_input;

/* What runs. Texts may be NULL where it says so. */
typedef struct mle_run_spec {
  int64_t pipeline_run; /* 0: not part of one */
  const char *pipeline; /* NULL: a script on its own */
  const char *job;
  const char *script; /* its path in the project */
  const char *script_text;
  const char *consumer;
  const char *rehearsal; /* NULL: the job itself */
  const char *params;    /* JSON object */
  const char *spec;      /* JSON: what it takes to start it again; NULL: it cannot be */
  const mle_run_input *inputs;
  size_t num_inputs;
} mle_run_spec;

/*
 * Makes the row of a run about to start, and its lock, which must be held from
 * now on until the run has ended: recovery takes a run whose lock is free for lost.
 */
mle_status mle_run_create(mle_state *state, const mle_run_spec *spec, mle_lock **out_lock,
                          int64_t *out_run, mle_error *err);

/* Makes the row of a run that does not take place: skipped, for `reason`. */
mle_status mle_run_create_skipped(mle_state *state, const mle_run_spec *spec, const char *reason,
                                  int64_t *out_run, mle_error *err);

mle_status mle_run_start(mle_state *state, int64_t run, int64_t pid, mle_error *err);

/* What a run reads of a table: (from, to]. `has_from` is false for a read from the
 * beginning, `has_to` for a table without a snapshot. */
typedef struct mle_run_range {
  const char *consumer, *table_uuid, *branch, *table_name;
  bool has_expected, has_from, has_to;
  int64_t expected; /* the watermark as it was found */
  int64_t from, to;
  int64_t rows;
  const char *read;   /* JSON: what of it is read; NULL: all of it */
  const char *fields; /* JSON: the table's columns in schema `schema_id`; NULL: not recorded */
  int64_t schema_id;
  bool held; /* until the run's model is released (held.h) */
} mle_run_range;

/* Records the range, as the intent to read it. A second call for the same table is EEXISTS. */
mle_status mle_run_pin_range(mle_state *state, int64_t run, const mle_run_range *range,
                             mle_error *err);

/* `data` is JSON. An intent is settled when what it announced has an end. */
mle_status mle_run_intend(mle_state *state, int64_t run, const char *kind, const char *data,
                          mle_error *err);
mle_status mle_intent_settle(mle_state *state, int64_t intent, mle_error *err);
mle_status mle_run_note(mle_state *state, int64_t run, const char *kind, const char *data,
                        mle_error *err);

/* What is to be done after the commit, by the run or by recovery. */
typedef struct mle_run_action {
  const char *kind, *data;
} mle_run_action;

/*
 * The run's success, in one transaction: its state, its outputs (JSON), each
 * watermark that is not held from `expected` to `to`, its actions. MLE_ECONFLICT, naming the
 * other run, when a watermark is not where this run found it; then nothing is
 * changed. A rehearsal moves no watermark.
 */
mle_status mle_run_succeed(mle_state *state, int64_t run, const char *outputs,
                           const mle_run_action *actions, size_t num_actions, mle_error *err);
mle_status mle_action_done(mle_state *state, int64_t action, mle_error *err);

/*
 * The run's success without having run: it takes over the outputs of `earlier`, a succeeded run of its job, and
 * what that one noted as `kind`. ENOTFOUND when there is no such run any more; then nothing is changed.
 */
mle_status mle_run_reuse(mle_state *state, int64_t run, int64_t earlier, const char *kind, mle_error *err);

/* The run had nothing to do. Only watermarks whose range held no row are moved. */
mle_status mle_run_skip(mle_state *state, int64_t run, const char *reason,
                        const mle_run_action *actions, size_t num_actions, mle_error *err);

/*
 * Ends a run that is still starting or running: "failed", "timed-out", "stopped" or "lost".
 * `out_ended` is false when it had ended before. `trace` may be NULL.
 */
mle_status mle_run_end(mle_state *state, int64_t run, const char *how, const char *reason,
                       const char *trace, bool *out_ended, mle_error *err);

/* Records what the run's processes used; `usage` is a JSON object. */
mle_status mle_run_used(mle_state *state, int64_t run, const char *usage, mle_error *err);

/* The row of a pipeline's run, and its lock. `plan` is what it is to do, as JSON, for one
 * that goes on later (attempt.h); NULL: it cannot. */
mle_status mle_pipeline_run_create(mle_state *state, const char *pipeline, const char *file,
                                   const char *rehearsal, const char *plan,
                                   mle_lock **out_lock, int64_t *out_id,
                                   mle_error *err);
mle_status mle_pipeline_run_end(mle_state *state, int64_t id, const char *how, const char *reason,
                                mle_error *err);

/*
 * Ends as lost all runs, and runs of pipelines, whose processes are gone. What
 * they left to do is in mle_history_unsettled (history.h).
 */
mle_status mle_state_recover(mle_state *state, mle_error *err);

#endif
