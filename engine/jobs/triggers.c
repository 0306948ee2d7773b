/*
 * The states of a trigger, and the function behind each arrow:
 *
 *     mle_trigger_add --> queued -- mle_trigger_take --> started -- mle_trigger_end -----> ended
 *                         |    ^                          |  |      mle_triggers_recover
 *      mle_trigger_cancel |    +-- mle_trigger_put_back --+  |
 *                         v        mle_triggers_recover      | mle_trigger_bind: its run is known
 *                     cancelled                              v
 */
#include "engine/jobs/triggers.h"

#include <stdio.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/jobs/lock.h"

#define LOCK "trigger"
#define NUMBER_TEXT 24

static const char *number_text(int64_t number, char text[NUMBER_TEXT]) {
  snprintf(text, NUMBER_TEXT, "%lld", (long long)number);
  return text;
}

/* ====== Cursors ====== */

mle_status mle_cursor_find(mle_state *state, const char *pipeline, const char *job, const char *source,
                           bool *out_found, int64_t *out_value, mle_error *err) {
  mle_db_rows rows;
  *out_found = false;
  *out_value = 0;
  mle_status status =
      mle_db_query(mle_state_db(state), &rows, err,
                   "select value from cursors where pipeline = ? and job = ? and source = ?", "sss", pipeline,
                   job, source);
  if (status == MLE_OK) status = mle_db_next(&rows, err);
  if (status == MLE_OK && rows.found) {
    *out_found = true;
    *out_value = mle_db_int(&rows, 0);
  }
  mle_db_end(&rows);
  return status;
}

mle_status mle_cursor_set(mle_state *state, const mle_cursor *cursor, mle_error *err) {
  return mle_db_run(mle_state_db(state), err,
                    "insert into cursors (pipeline, job, source, value, updated) values (?1, ?2, ?3, ?4, ?5)"
                    " on conflict (pipeline, job) do update set source = ?3, value = ?4, updated = ?5",
                    "sssii", cursor->pipeline, cursor->job, cursor->source, cursor->value, mle_now_ms());
}

mle_status mle_cursors_ahead_json(mle_state *state, int64_t time, char **out, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_group_array(json_array(pipeline, job, source, value)) from cursors"
                         " where value > ? and source like 'cron %'",
                         "i", time);
}

/* ====== Arrows ====== */

static mle_status insert(mle_db *db, const mle_trigger *t, int64_t *out_id, mle_error *err) {
  MLE_TRY(mle_db_run(db, err,
                     "insert into triggers (pipeline, file, job, params, source, who, detail, state, created)"
                     " values (?, ?, ?, ?, ?, ?, ?, 'queued', ?)",
                     "sssssssi", t->pipeline, t->file, t->job, t->params, t->source, t->who, t->detail,
                     mle_now_ms()));
  *out_id = mle_db_inserted(db);
  return MLE_OK;
}

mle_status mle_trigger_add(mle_state *state, const mle_trigger *wanted, const mle_cursor *moves, int64_t *out_id,
                           mle_error *err) {
  mle_db *db = mle_state_db(state);
  *out_id = 0;
  MLE_TRY(mle_db_begin(db, err));
  mle_status status = insert(db, wanted, out_id, err);
  if (status == MLE_OK && moves != NULL) status = mle_cursor_set(state, moves, err);
  if (status == MLE_OK) return mle_db_commit(db, err);
  mle_db_rollback(db);
  return status;
}

mle_status mle_trigger_take(mle_state *state, int64_t id, mle_lock **out_lock, mle_error *err) {
  char name[NUMBER_TEXT];
  *out_lock = NULL;
  MLE_TRY(mle_lock_take(mle_state_folder(state), LOCK, number_text(id, name), out_lock, err));
  mle_status status =
      mle_db_run(mle_state_db(state), err,
                 "update triggers set state = 'started', started = ? where id = ? and state = 'queued'", "ii",
                 mle_now_ms(), id);
  if (status == MLE_OK && mle_db_changes(mle_state_db(state)) != 1)
    status = mle_fail(err, MLE_ECONFLICT, "trigger %lld does not wait any more", (long long)id);
  if (status == MLE_OK) return MLE_OK;
  mle_lock_free(*out_lock);
  *out_lock = NULL;
  return status;
}

mle_status mle_trigger_put_back(mle_state *state, int64_t id, mle_error *err) {
  return mle_db_run(mle_state_db(state), err,
                    "update triggers set state = 'queued', started = null where id = ? and state = 'started' and"
                    " (pipeline_run is null or resumed = 1)",
                    "i", id);
}

mle_status mle_trigger_bind(mle_state *state, int64_t id, int64_t pipeline_run, mle_error *err) {
  return mle_db_run(mle_state_db(state), err, "update triggers set pipeline_run = ? where id = ?", "ii",
                    pipeline_run, id);
}

mle_status mle_trigger_end(mle_state *state, int64_t id, const char *outcome, const char *reason, mle_error *err) {
  char name[NUMBER_TEXT];
  MLE_TRY(mle_db_run(mle_state_db(state), err,
                     "update triggers set state = 'ended', outcome = ?, reason = ?, ended = ? where id = ?"
                     " and state = 'started'",
                     "ssii", outcome, reason, mle_now_ms(), id));
  mle_lock_remove(mle_state_folder(state), LOCK, number_text(id, name));
  return MLE_OK;
}

mle_status mle_trigger_cancel(mle_state *state, int64_t id, const char *who, mle_error *err) {
  mle_db *db = mle_state_db(state);
  MLE_TRY(mle_db_run(db, err,
                     "update triggers set state = 'cancelled', reason = 'taken back by ' || ?, ended = ?"
                     " where id = ? and state = 'queued'",
                     "sii", who, mle_now_ms(), id));
  if (mle_db_changes(db) == 1) return MLE_OK;
  return mle_fail(err, MLE_ECONFLICT, "trigger %lld does not wait any more; mlengine stop RUN ends what it started",
                  (long long)id);
}

/* ====== Recovery ====== */

/* Whether it waits again, for its lost run to be resumed. */
static mle_status resume_lost(mle_state *state, int64_t id, bool *out, mle_error *err) {
  mle_status status = mle_db_run(
      mle_state_db(state), err,
      "update triggers set state = 'queued', started = null, resumed = 1 where id = ? and state = 'started' and"
      " resumed = 0 and exists (select 1 from pipeline_runs p join runs r on r.pipeline_run = p.id"
      "   where p.id = triggers.pipeline_run and p.state = 'lost')",
      "i", id);
  *out = status == MLE_OK && mle_db_changes(mle_state_db(state)) == 1;
  return status;
}

static mle_status end_when_gone(mle_state *state, int64_t id, mle_error *err) {
  char name[NUMBER_TEXT], *outcome = NULL;
  bool held, resumed;
  MLE_TRY(mle_lock_is_held(mle_state_folder(state), LOCK, number_text(id, name), &held, err));
  if (held) return MLE_OK;
  MLE_TRY(resume_lost(state, id, &resumed, err));
  if (resumed) return MLE_OK;
  mle_status status = mle_db_get_text(
      mle_state_db(state), &outcome, err,
      "select p.state from triggers t join pipeline_runs p on p.id = t.pipeline_run where t.id = ?", "i", id);
  if (status == MLE_OK)
    status = outcome != NULL ? mle_trigger_end(state, id, outcome, NULL, err)
                             : mle_trigger_end(state, id, "lost", "its process ended before a run began", err);
  mle_free(outcome);
  return status;
}

mle_status mle_triggers_recover(mle_state *state, mle_error *err) {
  int64_t id = 0;
  for (;;) {
    MLE_TRY(mle_db_get_int(mle_state_db(state), 0, &id, err,
                           "select min(id) from triggers where state = 'started' and id > ?", "i", id));
    if (id == 0) return MLE_OK;
    MLE_TRY(end_when_gone(state, id, err));
  }
}

/* ====== Looking ====== */

#define OBJECT                                                                                              \
  "json_object('trigger', t.id, 'pipeline', t.pipeline, 'file', t.file, 'job', t.job,"                      \
  " 'params', json(t.params), 'source', t.source, 'who', t.who, 'detail', t.detail, 'state', t.state,"      \
  " 'outcome', t.outcome, 'reason', t.reason, 'pipeline_run', t.pipeline_run, 'created', t.created,"        \
  " 'started', t.started, 'ended', t.ended, 'resumed', json(case t.resumed when 1 then 'true' else 'false' end), 'pipeline_state', (select p.state from pipeline_runs p where"      \
  " p.id = t.pipeline_run), 'runs', (select json_group_array(r.id) from runs r where"       \
  " r.pipeline_run = t.pipeline_run))"

mle_status mle_triggers_json(mle_state *state, int64_t limit, char **out, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_group_array(json(item)) from (select " OBJECT
                         " as item from triggers t order by t.id desc limit ?)",
                         "i", limit);
}

mle_status mle_triggers_live_json(mle_state *state, char **out, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_group_array(json(item)) from (select " OBJECT
                         " as item from triggers t where t.state in ('queued', 'started') order by t.id)",
                         "");
}

mle_status mle_trigger_json(mle_state *state, int64_t id, char **out, mle_error *err) {
  MLE_TRY(mle_db_get_text(mle_state_db(state), out, err, "select " OBJECT " from triggers t where t.id = ?", "i", id));
  return *out != NULL ? MLE_OK : mle_fail(err, MLE_ENOTFOUND, "there is no trigger %lld", (long long)id);
}

mle_status mle_triggers_without_run_json(mle_state *state, const char *pipeline, const char *job, int64_t limit,
                                         char **out, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_group_array(json(item)) from (select " OBJECT
                         " as item from triggers t where t.id > (select max(id) from triggers) - 10000"
                         " and t.pipeline = ?1 and t.job = ?2 and not exists (select 1 from runs r"
                         "   where r.pipeline_run = t.pipeline_run and r.job = ?2) order by t.id desc limit ?3)",
                         "ssi", pipeline, job, limit);
}

mle_status mle_pipeline_is_running(mle_state *state, const char *pipeline, bool *out, mle_error *err) {
  int64_t found;
  mle_status status = mle_db_get_int(mle_state_db(state), 0, &found, err,
                                     "select 1 from pipeline_runs where state = 'running' and pipeline = ?"
                                     " and rehearsal is null limit 1",
                                     "s", pipeline);
  *out = status == MLE_OK && found == 1;
  return status;
}

/* ====== Being asked to stop ====== */

/* While an engine waits to try a run again, it holds the run's lock. */
mle_status mle_stop_ask(mle_state *state, int64_t run, const char *who, mle_error *err) {
  mle_db *db = mle_state_db(state);
  char name[24];
  bool held;
  snprintf(name, sizeof name, "%lld", (long long)run);
  MLE_TRY(mle_lock_is_held(mle_state_folder(state), "run", name, &held, err));
  MLE_TRY(mle_db_run(db, err,
                     "insert into stops (run, attempt, who, at) select id, attempt, ?1, ?2 from runs where id = ?3 and"
                     " (state in ('starting', 'running') or (?4 and state in ('failed', 'timed-out')))"
                     " on conflict (run) do update set at = excluded.at,"
                     " who = case attempt when excluded.attempt then who else excluded.who end,"
                     " attempt = excluded.attempt",
                     "siii", who, mle_now_ms(), run, (int64_t)held));
  if (mle_db_changes(db) == 1) return MLE_OK;
  return mle_fail(err, MLE_ECONFLICT, "run %lld is not running", (long long)run);
}

mle_status mle_stop_find(mle_state *state, int64_t run, char **out_who, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out_who, err, "select s.who from stops s join runs r on r.id = s.run where r.id = ? and s.attempt = r.attempt", "i",
                         run);
}
