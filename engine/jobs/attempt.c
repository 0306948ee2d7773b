#include "engine/jobs/attempt.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"

#define NUMBER_TEXT 24

/* Takes the lock, and commits what was begun; undoes it when either fails. */
static mle_status finish_locked(mle_state *state, mle_status status, const char *kind, int64_t id,
                                mle_lock **out_lock, mle_error *err) {
  char name[NUMBER_TEXT];
  snprintf(name, sizeof name, "%lld", (long long)id);
  if (status == MLE_OK) status = mle_lock_take(mle_state_folder(state), kind, name, out_lock, err);
  if (status == MLE_OK) status = mle_db_commit(mle_state_db(state), err);
  if (status == MLE_OK) return MLE_OK;
  mle_db_rollback(mle_state_db(state));
  mle_lock_free(*out_lock);
  *out_lock = NULL;
  return status;
}

/* ====== Runs ====== */

static mle_status fail_state(mle_db *db, int64_t run, mle_error *err) {
  char *now = NULL;
  MLE_TRY(mle_db_get_text(db, &now, err, "select state from runs where id = ?", "i", run));
  mle_status status =
      now == NULL
          ? mle_fail(err, MLE_ENOTFOUND, "there is no run %lld; mlengine history lists them",
                     (long long)run)
          : mle_fail(err, MLE_ECONFLICT,
                     "run %lld is %s; only one that failed, timed out, was stopped or lost is "
                     "tried again",
                     (long long)run, now);
  mle_free(now);
  return status;
}

static mle_status reset(mle_db *db, int64_t run, int64_t *out_attempt, mle_error *err) {
  MLE_TRY(mle_db_run(db, err,
                     "insert into attempts (run, attempt, state, reason, trace, started, ended)"
                     " select id, attempt, state, reason, trace, ifnull(started, created), ended"
                     " from runs where id = ? and state in ('failed', 'timed-out', 'stopped', 'lost')",
                     "i", run));
  if (mle_db_changes(db) != 1) return fail_state(db, run, err);
  MLE_TRY(mle_db_run(db, err,
                     "update runs set state = 'starting', attempt = attempt + 1, reason = null,"
                     " trace = null, pid = null, started = null, ended = null where id = ?",
                     "i", run));
  return mle_db_get_int(db, 0, out_attempt, err, "select attempt from runs where id = ?", "i", run);
}

mle_status mle_run_try_again(mle_state *state, int64_t run, mle_lock **out_lock,
                             int64_t *out_attempt, mle_error *err) {
  mle_db *db = mle_state_db(state);
  *out_lock = NULL;
  MLE_TRY(mle_db_begin(db, err));
  return finish_locked(state, reset(db, run, out_attempt, err), "run", run, out_lock, err);
}

mle_status mle_run_key(mle_state *state, int64_t run, char **out, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err, "select key from runs where id = ?", "i", run);
}

mle_status mle_run_pinned_json(mle_state *state, int64_t run, const mle_watermark_key *key,
                               char **out, mle_error *err) {
  *out = NULL;
  MLE_TRY(mle_db_run(mle_state_db(state), err,
                     "update ranges set attempt = (select attempt from runs where id = ?1)"
                     " where run = ?1 and consumer = ?2 and table_uuid = ?3 and branch = ?4",
                     "isss", run, key->consumer, key->table_uuid, key->branch));
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_object('expected', expected, 'from', from_id, 'to', to_id,"
                         " 'rows', rows, 'schema_id', schema_id, 'read', json(read)) from ranges"
                         " where run = ? and consumer = ? and table_uuid = ? and branch = ?",
                         "isss", run, key->consumer, key->table_uuid, key->branch);
}

/* ====== Pipelines ====== */

static mle_status reopen(mle_db *db, int64_t id, mle_error *err) {
  char *now = NULL;
  MLE_TRY(mle_db_run(db, err,
                     "update pipeline_runs set state = 'running', reason = null, ended = null,"
                     " pid = ? where id = ? and state in ('failed', 'stopped', 'lost')",
                     "ii", (int64_t)getpid(), id));
  if (mle_db_changes(db) == 1) return MLE_OK;
  MLE_TRY(mle_db_get_text(db, &now, err, "select state from pipeline_runs where id = ?", "i", id));
  mle_status status = mle_fail(err, MLE_ECONFLICT, "the pipeline's run %lld %s; there is nothing to resume",
                               (long long)id, now == NULL ? "is unknown" : strcmp(now, "running") == 0 ? "is running" : now);
  mle_free(now);
  return status;
}

mle_status mle_pipeline_run_reopen(mle_state *state, int64_t id, mle_lock **out_lock,
                                   mle_error *err) {
  mle_db *db = mle_state_db(state);
  *out_lock = NULL;
  MLE_TRY(mle_db_begin(db, err));
  return finish_locked(state, reopen(db, id, err), "pipeline", id, out_lock, err);
}

mle_status mle_pipeline_run_json(mle_state *state, int64_t id, char **out, mle_error *err) {
  MLE_TRY(mle_db_get_text(
      mle_state_db(state), out, err,
      "select json_object('id', p.id, 'pipeline', p.pipeline, 'file', p.file, 'rehearsal',"
      " p.rehearsal, 'state', p.state, 'plan', json(p.plan), 'runs', json((select"
      "  json_group_array(json_object('run', id, 'job', job, 'state', state, 'reason', reason,"
      "  'began', json(case when started is null then 'false' else 'true' end), 'outputs', json(outputs), 'reused', reused,"
      "  'created', created, 'ended', ended)) from (select * from runs where pipeline_run = p.id order by id))))"
      " from pipeline_runs p where p.id = ?",
      "i", id));
  if (*out != NULL) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "there is no pipeline's run %lld", (long long)id);
}

mle_status mle_unfinished_json(mle_state *state, char **out, mle_error *err) {
  return mle_db_get_text(
      mle_state_db(state), out, err,
      "select case when state in ('failed', 'timed-out', 'stopped', 'lost') then"
      " json_object('run', run, 'pipeline_run', pipeline_run) end from ("
      "  select * from (select null as run, id as pipeline_run, state, created from pipeline_runs"
      "   order by id desc limit 1) union all"
      "  select * from (select id, null, state, created from runs where pipeline_run is null"
      "   order by id desc limit 1)) order by created desc limit 1",
      "");
}

/* ====== Script texts ====== */

mle_status mle_script_keep(mle_db *db, const char *text, char *out_sha256, mle_error *err) {
  MLE_TRY(mle_sha256_hex(text, strlen(text), out_sha256, err));
  return mle_db_run(db, err, "insert or ignore into scripts (sha256, text) values (?, ?)", "ss",
                    out_sha256, text);
}

mle_status mle_script_text(mle_state *state, const char *sha256, char **out, mle_error *err) {
  MLE_TRY(mle_db_get_text(mle_state_db(state), out, err,
                          "select text from scripts where sha256 = ?", "s", sha256));
  if (*out != NULL) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "the state keeps no script text with sha256 %s", sha256);
}
