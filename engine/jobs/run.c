/*
 * The states of a run, and the function behind each arrow:
 *
 *                            mle_run_create
 *                                  |                       mle_run_create_skipped
 *                                  v                                 |
 *        +------------------- starting                               |
 *        |                         |  mle_run_start                  |
 *        |                         v                                 v
 *        +------------------- running ---- mle_run_skip ---------> skipped
 *        |                         |
 *        | mle_run_end             |  mle_run_succeed, mle_run_reuse
 *        v                         v
 *   failed, timed-out,         succeeded
 *   stopped, lost -------- mle_run_try_again (attempt.h) --------> starting
 *
 * Every arrow is an update guarded by the state it leaves (`where state in ...`):
 * of the job's process, its engine and a recovery that race, one wins, and the
 * others see that no row changed. Success and skip are the job process's own;
 * "lost" is recovery's, the other ends are the job's or the engine's.
 */
#include "engine/jobs/run.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/jobs/attempt.h"

#define RUN_LOCK "run"
#define PIPELINE_LOCK "pipeline"
#define NUMBER_TEXT 24

static const char *number_text(int64_t number, char text[NUMBER_TEXT]) {
  snprintf(text, NUMBER_TEXT, "%lld", (long long)number);
  return text;
}

/* Commits when `status` is fine, else undoes the transaction. */
static mle_status finish(mle_state *state, mle_status status, mle_error *err) {
  if (status == MLE_OK) return mle_db_commit(mle_state_db(state), err);
  mle_db_rollback(mle_state_db(state));
  return status;
}

/* ====== Making a run ====== */

static mle_status insert_run(mle_db *db, const mle_run_spec *spec, const char *run_state,
                             const char *reason, int64_t *out_run, mle_error *err) {
  char sha256[MLE_SHA256_HEX], key[MLE_UUID_TEXT];
  int64_t now = mle_now_ms();
  MLE_TRY(mle_script_keep(db, spec->script_text, sha256, err));
  MLE_TRY(mle_db_run(
      db, err,
      "insert into runs (pipeline_run, pipeline, job, script, sha256, consumer, rehearsal,"
      " attempt, params, state, reason, created, key, spec, ended) values"
      " (nullif(?1, 0), ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?9, ?10, ?11, ?12, ?13,"
      "  case ?9 when 'skipped' then ?11 end)",
      "isssssssssiss", spec->pipeline_run, spec->pipeline, spec->job, spec->script, sha256,
      spec->consumer, spec->rehearsal, spec->params, run_state, reason, now, mle_uuid(key),
      spec->spec));
  *out_run = mle_db_inserted(db);
  return MLE_OK;
}

static mle_status insert_inputs(mle_db *db, const mle_run_spec *spec, int64_t run, mle_error *err) {
  for (size_t i = 0; i < spec->num_inputs; i++)
    MLE_TRY(mle_db_run(db, err, "insert into inputs (run, parent, parent_run) values (?, ?, ?)",
                       "isi", run, spec->inputs[i].parent, spec->inputs[i].run));
  return MLE_OK;
}

/* The lock is taken before the row can be seen: no recovery finds it free. */
static mle_status take_lock(mle_state *state, const char *kind, int64_t id, mle_lock **out,
                            mle_error *err) {
  char name[NUMBER_TEXT];
  return mle_lock_take(mle_state_folder(state), kind, number_text(id, name), out, err);
}

mle_status mle_run_create(mle_state *state, const mle_run_spec *spec, mle_lock **out_lock,
                          int64_t *out_run, mle_error *err) {
  mle_db *db = mle_state_db(state);
  *out_lock = NULL;
  MLE_TRY(mle_db_begin(db, err));
  mle_status status = insert_run(db, spec, "starting", NULL, out_run, err);
  if (status == MLE_OK) status = insert_inputs(db, spec, *out_run, err);
  if (status == MLE_OK) status = take_lock(state, RUN_LOCK, *out_run, out_lock, err);
  status = finish(state, status, err);
  if (status == MLE_OK) return MLE_OK;
  mle_lock_free(*out_lock);
  *out_lock = NULL;
  return status;
}

mle_status mle_run_create_skipped(mle_state *state, const mle_run_spec *spec, const char *reason,
                                  int64_t *out_run, mle_error *err) {
  MLE_TRY(mle_db_begin(mle_state_db(state), err));
  return finish(state, insert_run(mle_state_db(state), spec, "skipped", reason, out_run, err), err);
}

static mle_status fail_ended(mle_state *state, int64_t run, mle_error *err) {
  char *now = NULL;
  mle_db_get_text(mle_state_db(state), &now, NULL, "select state from runs where id = ?", "i", run);
  mle_status status =
      mle_fail(err, MLE_ECONFLICT, "run %lld is %s already; its result is not recorded",
               (long long)run, now == NULL ? "unknown" : now);
  mle_free(now);
  return status;
}

/* Not waited for: that it was to start is on the disk, and one that was starting is as lost as one that ran. What it
 * then means to do it writes down in transactions of its own, which bring this along. */
mle_status mle_run_start(mle_state *state, int64_t run, int64_t pid, mle_error *err) {
  mle_db *db = mle_state_db(state);
  MLE_TRY(mle_db_run_unsynced(
      db, err,
      "update runs set state = 'running', pid = ?, started = ? where id = ? and state = 'starting'",
      "iii", pid, mle_now_ms(), run));
  return mle_db_changes(db) == 1 ? MLE_OK : fail_ended(state, run, err);
}

/* ====== What a running job records ====== */

/* Optional numbers go in as texts: a NULL text binds null, and the columns turn digits into integers. */
static const char *optional(bool has, int64_t value, char text[NUMBER_TEXT]) {
  return has ? number_text(value, text) : NULL;
}

static mle_status insert_range(mle_db *db, int64_t run, const mle_run_range *r, mle_error *err) {
  char expected[NUMBER_TEXT], from[NUMBER_TEXT], to[NUMBER_TEXT], schema[NUMBER_TEXT];
  return mle_db_run(
      db, err,
      "insert into ranges (run, consumer, table_uuid, branch, table_name, expected, from_id,"
      " to_id, rows, schema_id, read, held, attempt) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
      " ?10, ?11, ?12, ifnull((select attempt from runs where id = ?1), 1))",
      "isssssssisss", run, r->consumer, r->table_uuid, r->branch, r->table_name,
      optional(r->has_expected, r->expected, expected), optional(r->has_from, r->from, from),
      optional(r->has_to, r->to, to), r->rows, optional(r->fields != NULL, r->schema_id, schema),
      r->read, r->held && r->rows > 0 ? "waiting" : NULL);
}

mle_status mle_run_pin_range(mle_state *state, int64_t run, const mle_run_range *r,
                             mle_error *err) {
  mle_db *db = mle_state_db(state);
  MLE_TRY(mle_db_begin(db, err));
  mle_status status = insert_range(db, run, r, err);
  if (status == MLE_OK && r->fields != NULL)
    status = mle_db_run(db, err,
                        "insert or ignore into table_schemas (table_uuid, schema_id, fields)"
                        " values (?, ?, ?)",
                        "sis", r->table_uuid, r->schema_id, r->fields);
  return finish(state, status, err);
}

mle_status mle_run_intend(mle_state *state, int64_t run, const char *kind, const char *data,
                          mle_error *err) {
  return mle_db_run(mle_state_db(state), err,
                    "insert into intents (run, attempt, kind, data, at) values"
                    " (?1, ifnull((select attempt from runs where id = ?1), 1), ?2, ?3, ?4)",
                    "issi", run, kind, data, mle_now_ms());
}

mle_status mle_intent_settle(mle_state *state, int64_t intent, mle_error *err) {
  return mle_db_run(mle_state_db(state), err,
                    "update intents set settled = ? where id = ? and settled is null", "ii",
                    mle_now_ms(), intent);
}

mle_status mle_run_note(mle_state *state, int64_t run, const char *kind, const char *data,
                        mle_error *err) {
  return mle_db_run(mle_state_db(state), err,
                    "insert into notes (run, kind, data, at) values (?, ?, ?, ?)", "issi", run,
                    kind, data, mle_now_ms());
}

/* Not waited for: how it ended is on the disk already, and whatever comes next brings this along. */
mle_status mle_run_used(mle_state *state, int64_t run, const char *usage, mle_error *err) {
  return mle_db_run_unsynced(mle_state_db(state), err, "update runs set usage = ? where id = ?", "si", usage, run);
}

/* ====== The commit ====== */

static mle_status fail_moved(mle_db *db, const mle_db_rows *range, mle_error *err) {
  const char *consumer = mle_db_text(range, 0), *table = mle_db_text(range, 3);
  int64_t by;
  mle_db_get_int(db, 0, &by, NULL,
                 "select run from watermarks where consumer = ? and table_uuid = ? and branch = ?",
                 "sss", consumer, mle_db_text(range, 1), mle_db_text(range, 2));
  if (by == 0)
    return mle_fail(err, MLE_ECONFLICT,
                    "the watermark of '%s' on %s was moved by hand while this run was reading; "
                    "nothing is consumed, run it again",
                    consumer, table);
  return mle_fail(err, MLE_ECONFLICT,
                  "run %lld moved the watermark of '%s' on %s while this run was reading; "
                  "nothing is consumed, run it again",
                  (long long)by, consumer, table);
}

/* Compare-and-swap of one watermark.
 * `range`: consumer, table_uuid, branch, table_name, expected, to_id. */
static mle_status advance(mle_db *db, const mle_db_rows *range, int64_t run, mle_error *err) {
  const char *consumer = mle_db_text(range, 0), *uuid = mle_db_text(range, 1),
             *branch = mle_db_text(range, 2);
  if (mle_db_is_null(range, 5)) return MLE_OK; /* the table has no snapshot yet */
  if (mle_db_is_null(range, 4))
    MLE_TRY(mle_db_run(
        db, err,
        "insert or ignore into watermarks (consumer, table_uuid, branch, table_name, snapshot,"
        " run, updated) values (?, ?, ?, ?, ?, ?, ?)",
        "ssssiii", consumer, uuid, branch, mle_db_text(range, 3), mle_db_int(range, 5), run,
        mle_now_ms()));
  else
    MLE_TRY(mle_db_run(db, err,
                       "update watermarks set snapshot = ?, table_name = ?, run = ?, updated = ?"
                       " where consumer = ? and table_uuid = ? and branch = ? and snapshot = ?",
                       "isiisssi", mle_db_int(range, 5), mle_db_text(range, 3), run, mle_now_ms(),
                       consumer, uuid, branch, mle_db_int(range, 4)));
  return mle_db_changes(db) == 1 ? MLE_OK : fail_moved(db, range, err);
}

static mle_status advance_all(mle_db *db, int64_t run, bool only_empty, mle_error *err) {
  mle_db_rows ranges;
  mle_status status = mle_db_query(
      db, &ranges, err,
      "select g.consumer, g.table_uuid, g.branch, g.table_name, g.expected, g.to_id from ranges g"
      " join runs r on r.id = g.run where g.run = ? and r.rehearsal is null"
      " and (g.held is null or g.held = 'released') and (g.rows = 0 or ?)",
      "ii", run, (int64_t)!only_empty);
  while (status == MLE_OK) {
    status = mle_db_next(&ranges, err);
    if (status != MLE_OK || !ranges.found) break;
    status = advance(db, &ranges, run, err);
  }
  mle_db_end(&ranges);
  return status;
}

static mle_status insert_actions(mle_db *db, int64_t run, const mle_run_action *actions,
                                 size_t count, mle_error *err) {
  for (size_t i = 0; i < count; i++)
    MLE_TRY(mle_db_run(db, err, "insert into actions (run, kind, data) values (?, ?, ?)", "iss",
                       run, actions[i].kind, actions[i].data));
  return MLE_OK;
}

/* What an earlier attempt was to read and this one did not, its table dropped perhaps: nothing
 * of it is consumed. */
static mle_status forget_unread(mle_db *db, int64_t run, mle_error *err) {
  return mle_db_run(db, err,
                    "delete from ranges where run = ?1"
                    " and attempt < (select attempt from runs where id = ?1)",
                    "i", run);
}

/* Called inside the transaction, after the row was updated. */
static mle_status commit_run(mle_state *state, int64_t run, bool only_empty,
                             const mle_run_action *actions, size_t count, mle_error *err) {
  mle_db *db = mle_state_db(state);
  if (mle_db_changes(db) != 1) return fail_ended(state, run, err);
  MLE_TRY(forget_unread(db, run, err));
  MLE_TRY(advance_all(db, run, only_empty, err));
  return insert_actions(db, run, actions, count, err);
}

mle_status mle_run_succeed(mle_state *state, int64_t run, const char *outputs,
                           const mle_run_action *actions, size_t num_actions, mle_error *err) {
  mle_db *db = mle_state_db(state);
  if (strlen(outputs) > MLE_RUN_OUTPUTS_MAX)
    return mle_fail(err, MLE_EREFUSED, "the outputs take %zu bytes; at most %zu are kept",
                    strlen(outputs), MLE_RUN_OUTPUTS_MAX);
  MLE_TRY(mle_db_begin(db, err));
  mle_status status = mle_db_run(db, err,
                                 "update runs set state = 'succeeded', outputs = ?, ended = ? "
                                 "where id = ? and state = 'running'",
                                 "sii", outputs, mle_now_ms(), run);
  if (status == MLE_OK) status = commit_run(state, run, false, actions, num_actions, err);
  return finish(state, status, err);
}

static mle_status take_over(mle_state *state, int64_t run, int64_t earlier, const char *kind, mle_error *err) {
  mle_db *db = mle_state_db(state);
  int64_t found;
  MLE_TRY(mle_db_get_int(db, 0, &found, err,
                         "select 1 from runs where id = ? and state = 'succeeded' and rehearsal is null", "i", earlier));
  if (found == 0) return mle_fail(err, MLE_ENOTFOUND, "run %lld, whose outputs were to be reused, is gone", (long long)earlier);
  MLE_TRY(mle_db_run(db, err,
                     "update runs set state = 'succeeded', reused = ?2, ended = ?3,"
                     " outputs = (select outputs from runs where id = ?2) where id = ?1 and state = 'running'",
                     "iii", run, earlier, mle_now_ms()));
  if (mle_db_changes(db) != 1) return fail_ended(state, run, err);
  return mle_db_run(db, err,
                    "insert into notes (run, kind, data, at) select ?1, kind, data, ?4 from notes"
                    " where run = ?2 and kind = ?3",
                    "iisi", run, earlier, kind, mle_now_ms());
}

mle_status mle_run_reuse(mle_state *state, int64_t run, int64_t earlier, const char *kind, mle_error *err) {
  MLE_TRY(mle_db_begin(mle_state_db(state), err));
  return finish(state, take_over(state, run, earlier, kind, err), err);
}

mle_status mle_run_skip(mle_state *state, int64_t run, const char *reason,
                        const mle_run_action *actions, size_t num_actions, mle_error *err) {
  mle_db *db = mle_state_db(state);
  MLE_TRY(mle_db_begin(db, err));
  mle_status status = mle_db_run(
      db, err,
      "update runs set state = 'skipped', reason = ?, ended = ? where id = ? and state = 'running'",
      "sii", reason, mle_now_ms(), run);
  if (status == MLE_OK) status = commit_run(state, run, true, actions, num_actions, err);
  return finish(state, status, err);
}

mle_status mle_action_done(mle_state *state, int64_t action, mle_error *err) {
  return mle_db_run(mle_state_db(state), err,
                    "update actions set done = ? where id = ? and done is null", "ii", mle_now_ms(),
                    action);
}

/* ====== Other ends ====== */

mle_status mle_run_end(mle_state *state, int64_t run, const char *how, const char *reason,
                       const char *trace, bool *out_ended, mle_error *err) {
  mle_db *db = mle_state_db(state);
  *out_ended = false;
  MLE_TRY(mle_db_run(db, err,
                     "update runs set state = ?, reason = ?, trace = ?, ended = ?"
                     " where id = ? and state in ('starting', 'running')",
                     "sssii", how, reason, trace, mle_now_ms(), run));
  *out_ended = mle_db_changes(db) == 1;
  return MLE_OK;
}

mle_status mle_pipeline_run_create(mle_state *state, const char *pipeline, const char *file,
                                   const char *rehearsal, const char *plan,
                                   mle_lock **out_lock, int64_t *out_id,
                                   mle_error *err) {
  mle_db *db = mle_state_db(state);
  *out_lock = NULL;
  MLE_TRY(mle_db_begin(db, err));
  mle_status status =
      mle_db_run(db, err,
                 "insert into pipeline_runs (pipeline, file, rehearsal, plan, state, pid, created)"
                 " values (?, ?, ?, ?, 'running', ?, ?)",
                 "ssssii", pipeline, file, rehearsal, plan, (int64_t)getpid(), mle_now_ms());
  *out_id = mle_db_inserted(db);
  if (status == MLE_OK) status = take_lock(state, PIPELINE_LOCK, *out_id, out_lock, err);
  status = finish(state, status, err);
  if (status == MLE_OK) return MLE_OK;
  mle_lock_free(*out_lock);
  *out_lock = NULL;
  return status;
}

mle_status mle_pipeline_run_end(mle_state *state, int64_t id, const char *how, const char *reason,
                                mle_error *err) {
  char name[NUMBER_TEXT];
  MLE_TRY(mle_db_run(mle_state_db(state), err,
                     "update pipeline_runs set state = ?, reason = ?, ended = ? where id = ? and "
                     "state = 'running'",
                     "ssii", how, reason, mle_now_ms(), id));
  mle_lock_remove(mle_state_folder(state), PIPELINE_LOCK, number_text(id, name));
  return MLE_OK;
}

/* ====== Recovery ====== */

static const char lost_reason[] = "its process ended without a word (killed?)";

static mle_status end_when_gone(mle_state *state, const char *kind, int64_t id, mle_error *err) {
  char name[NUMBER_TEXT];
  bool held, ended;
  number_text(id, name);
  MLE_TRY(mle_lock_is_held(mle_state_folder(state), kind, name, &held, err));
  if (held) return MLE_OK;
  if (strcmp(kind, PIPELINE_LOCK) == 0)
    return mle_pipeline_run_end(state, id, "lost", lost_reason, err);
  MLE_TRY(mle_run_end(state, id, "lost", lost_reason, NULL, &ended, err));
  mle_lock_remove(mle_state_folder(state), kind, name);
  return MLE_OK;
}

/* One after the other, each in a statement of its own: an open one would keep an old view. */
static mle_status end_all_gone(mle_state *state, const char *kind, const char *next,
                               mle_error *err) {
  int64_t id = 0;
  for (;;) {
    MLE_TRY(mle_db_get_int(mle_state_db(state), 0, &id, err, next, "i", id));
    if (id == 0) return MLE_OK;
    MLE_TRY(end_when_gone(state, kind, id, err));
  }
}

mle_status mle_state_recover(mle_state *state, mle_error *err) {
  MLE_TRY(end_all_gone(state, RUN_LOCK,
                       "select min(id) from runs where state in ('starting', 'running') and id > ?",
                       err));
  return end_all_gone(state, PIPELINE_LOCK,
                      "select min(id) from pipeline_runs where state = 'running' and id > ?", err);
}
