/*
 * triggers.h -- what is to be started: asked for by hand, by a schedule or by a snapshot, and taken by `mlengine up`.
 *
 *     mle_trigger wanted = {.pipeline = "Fraud", .file = "pipeline.lua", .job = "New Batch", .params = "{}",
 *                           .source = "api", .who = "ann"};
 *     MLE_TRY(mle_trigger_add(state, &wanted, NULL, &id, err));
 *
 * It is on disk before anything starts, so it outlives whoever asked. One that was taken is alive as long as its
 * lock is held, by the process that runs it.
 */
#ifndef MLE_JOBS_TRIGGERS_H
#define MLE_JOBS_TRIGGERS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/jobs/lock.h"
#include "engine/jobs/state.h"

typedef struct mle_trigger {
  const char *pipeline, *file;
  const char *job;    /* NULL: the whole pipeline */
  const char *params; /* JSON: a list of "name=value" */
  const char *source; /* "api", "schedule", "snapshot" */
  const char *who;
  const char *detail; /* the time or the snapshot it is about; NULL */
} mle_trigger;

/* Up to where a job's schedule was seen to: a time (cron), a snapshot. */
typedef struct mle_cursor {
  const char *pipeline, *job;
  const char *source; /* the schedule; another one begins anew */
  int64_t value;
} mle_cursor;

/* With `moves`, the cursor moves in the same transaction. */
mle_status mle_trigger_add(mle_state *state, const mle_trigger *wanted, const mle_cursor *moves, int64_t *out_id,
                           mle_error *err);

mle_status mle_trigger_take(mle_state *state, int64_t id, mle_lock **out_lock, mle_error *err);
mle_status mle_trigger_put_back(mle_state *state, int64_t id, mle_error *err); /* its pipeline was in use */
mle_status mle_trigger_bind(mle_state *state, int64_t id, int64_t pipeline_run, mle_error *err);

/* `outcome` is how its pipeline's run ended; nothing happens when it had one already. */
mle_status mle_trigger_end(mle_state *state, int64_t id, const char *outcome, const char *reason, mle_error *err);

/* Only while it waits: ECONFLICT afterwards. */
mle_status mle_trigger_cancel(mle_state *state, int64_t id, const char *who, mle_error *err);

/*
 * Ends those whose process is gone as their pipeline's run ended. One whose run was lost too waits again, once:
 * whoever takes it resumes that run.
 */
mle_status mle_triggers_recover(mle_state *state, mle_error *err);

/* JSON owned by the caller: the newest first; only those that wait or run, the oldest first; one (ENOTFOUND). */
mle_status mle_triggers_json(mle_state *state, int64_t limit, char **out, mle_error *err);
mle_status mle_triggers_live_json(mle_state *state, char **out, mle_error *err);
mle_status mle_trigger_json(mle_state *state, int64_t id, char **out, mle_error *err);

/* Those of a job that have no run of it, or none yet, the newest first; of the last 10,000 triggers there were. */
mle_status mle_triggers_without_run_json(mle_state *state, const char *pipeline, const char *job, int64_t limit,
                                         char **out, mle_error *err);

mle_status mle_cursor_find(mle_state *state, const char *pipeline, const char *job, const char *source,
                           bool *out_found, int64_t *out_value, mle_error *err);
mle_status mle_cursor_set(mle_state *state, const mle_cursor *cursor, mle_error *err);

/* Those of clocks that are ahead of `time`, for the clock was set back: an array of [pipeline, job, source, value]. */
mle_status mle_cursors_ahead_json(mle_state *state, int64_t time, char **out, mle_error *err);

/* Whether a run of the pipeline that is no rehearsal is going, as far as the state knows. */
mle_status mle_pipeline_is_running(mle_state *state, const char *pipeline, bool *out, mle_error *err);

/*
 * Asks a run's engine to end this attempt; the engine looks a few times a second. ECONFLICT when it has ended.
 * `find` gives who asked, owned by the caller, or NULL.
 */
mle_status mle_stop_ask(mle_state *state, int64_t run, const char *who, mle_error *err);
mle_status mle_stop_find(mle_state *state, int64_t run, char **out_who, mle_error *err);

#endif
