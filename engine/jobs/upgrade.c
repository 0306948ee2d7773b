/*
 * The file's tables. Times are milliseconds since 1970, JSON columns are text.
 *
 *   pipeline_runs   one row per `mlengine run` of a pipeline
 *   runs            one row per run of a job; the states are drawn in run.c; `reused` is the run
 *                   whose outputs it took over, having nothing new to do
 *   attempts        how the attempts of a run ended that were followed by another
 *   scripts         each script text that ever ran, once, by its SHA-256
 *   inputs          which run of a parent's outputs a run was given
 *   ranges          the rows a run reads: (from, to] of a table, resolved once, before reading;
 *                   `expected` is the watermark that was found, which the commit compares
 *                   (`held`: not before the run's model is released; waiting, released, rejected
 *                   or superseded), `read` what of it is read, as JSON
 *   table_schemas   the columns of tables that were read, once each, for what changed since
 *   watermarks      per (consumer, table, branch): everything up to `snapshot` is consumed
 *   watermark_moves what people did to watermarks, who and why: adopt, set, reset, skip, unskip
 *   intents         what a run was about to do elsewhere, written before it did
 *   actions         what is to be done once the run's success is committed; pending while done is null
 *   notes           facts for the history
 *   triggers        what is to be started, and what became of it; the states are drawn in triggers.c
 *   cursors         up to where each job's schedule was seen to: a time, or a snapshot
 *   stops           runs that somebody wants ended; their engines look here
 *   run_counts      how many runs of a job ended how, and how long they took together; kept by triggers of
 *                   SQLite's own, so that it only grows, whatever is pruned
 *
 * A range, an intent and an action say what to do when the process that wrote
 * them is gone; see recovery.c.
 */
#include "engine/jobs/upgrade.h"

#include <stdio.h>

#include "engine/jobs/state.h"

/* ====== The steps: what is here was released; changes go into a new one ====== */

static mle_status make_tables(mle_db *db, mle_error *err) {
  static const char sql[] =
      "create table pipeline_runs ("
      "  id integer primary key autoincrement, pipeline text not null, file text not null,"
      "  rehearsal text, state text not null, reason text, pid integer not null,"
      "  created integer not null, ended integer);"
      "create table scripts (sha256 text primary key, text text not null) without rowid;"
      "create table runs ("
      "  id integer primary key autoincrement, pipeline_run integer references pipeline_runs (id),"
      "  pipeline text, job text not null, script text not null,"
      "  sha256 text not null references scripts (sha256), consumer text not null,"
      "  rehearsal text, attempt integer not null, params text not null,"
      "  state text not null check (state in ('starting', 'running', 'succeeded', 'failed',"
      "    'timed-out', 'stopped', 'skipped', 'lost')),"
      "  reason text, trace text, outputs text, pid integer,"
      "  created integer not null, started integer, ended integer);"
      "create index runs_live on runs (id) where state in ('starting', 'running');"
      "create index runs_job on runs (pipeline, job, id);"
      "create table inputs (run integer not null references runs (id), parent text not null,"
      "  parent_run integer not null references runs (id), primary key (run, parent)) without rowid;"
      "create index inputs_parent on inputs (parent_run);"
      "create table ranges (run integer not null references runs (id), consumer text not null,"
      "  table_uuid text not null, branch text not null, table_name text not null,"
      "  expected integer, from_id integer, to_id integer, rows integer not null,"
      "  primary key (run, consumer, table_uuid, branch)) without rowid;"
      "create index ranges_consumer on ranges (consumer, table_uuid, branch, run);"
      "create table watermarks (consumer text not null, table_uuid text not null,"
      "  branch text not null, table_name text not null, snapshot integer not null,"
      "  run integer, updated integer not null,"
      "  primary key (consumer, table_uuid, branch)) without rowid;"
      "create table intents (id integer primary key, run integer not null references runs (id),"
      "  kind text not null, data text not null, at integer not null, settled integer);"
      "create index intents_run on intents (run);"
      "create index intents_open on intents (run) where settled is null;"
      "create table actions (id integer primary key, run integer not null references runs (id),"
      "  kind text not null, data text not null, done integer);"
      "create index actions_pending on actions (run) where done is null;"
      "create table notes (id integer primary key, run integer not null references runs (id),"
      "  kind text not null, data text not null, at integer not null);"
      "create index notes_run on notes (run);";
  return mle_db_script(db, sql, err);
}

static mle_status add_moves_and_held_ranges(mle_db *db, mle_error *err) {
  static const char sql[] =
      "alter table ranges add column schema_id integer;"
      "alter table ranges add column read text;"
      "alter table ranges add column held text"
      "  check (held in ('waiting', 'released', 'rejected', 'superseded'));"
      "create index ranges_held on ranges (run) where held is not null;"
      "create table table_schemas (table_uuid text not null, schema_id integer not null,"
      "  fields text not null, primary key (table_uuid, schema_id)) without rowid;"
      "create table watermark_moves (id integer primary key autoincrement,"
      "  consumer text not null, table_uuid text not null, branch text not null,"
      "  table_name text not null, action text not null"
      "    check (action in ('adopt', 'set', 'reset', 'skip', 'unskip')),"
      "  from_id integer, to_id integer, who text not null, why text not null,"
      "  at integer not null);"
      "create index watermark_moves_key on watermark_moves (consumer, table_uuid, branch);";
  return mle_db_script(db, sql, err);
}

static mle_status add_scheduler(mle_db *db, mle_error *err) {
  static const char sql[] =
      "create table triggers (id integer primary key autoincrement, pipeline text not null,"
      "  file text not null, job text, params text not null, source text not null,"
      "  who text not null, detail text, state text not null"
      "    check (state in ('queued', 'started', 'ended', 'cancelled')),"
      "  outcome text, reason text, pipeline_run integer, created integer not null,"
      "  started integer, ended integer);"
      "create index triggers_live on triggers (id) where state in ('queued', 'started');"
      "create table cursors (pipeline text not null, job text not null, source text not null,"
      "  value integer not null, updated integer not null, primary key (pipeline, job)) without rowid;"
      "create table stops (run integer primary key, who text not null, at integer not null);"
      "create index pipeline_runs_live on pipeline_runs (pipeline) where state = 'running';"
      "create index runs_pipeline_run on runs (pipeline_run);"
      "create index runs_state on runs (state, id);"
      "create table run_counts (pipeline text not null, job text not null, state text not null,"
      "  runs integer not null, ms integer not null, primary key (pipeline, job, state)) without rowid;"
      "insert into run_counts select ifnull(pipeline, ''), job, state, count(*), sum(ended - created)"
      "  from runs where ended is not null and rehearsal is null group by 1, 2, 3;"
      "create trigger run_ended after update of ended on runs"
      "  when new.ended is not null and old.ended is null and new.rehearsal is null begin"
      "  insert into run_counts values (ifnull(new.pipeline, ''), new.job, new.state, 1, new.ended - new.created)"
      "  on conflict do update set runs = runs + 1, ms = ms + excluded.ms; end;"
      "create trigger run_never_began after insert on runs"
      "  when new.ended is not null and new.rehearsal is null begin"
      "  insert into run_counts values (ifnull(new.pipeline, ''), new.job, new.state, 1, 0)"
      "  on conflict do update set runs = runs + 1; end;";
  return mle_db_script(db, sql, err);
}

/* Runs of before get a key as well: theirs was never written anywhere. */
static mle_status add_attempts(mle_db *db, mle_error *err) {
  static const char sql[] =
      "alter table runs add column key text;"
      "alter table runs add column spec text;"
      "update runs set key = lower(hex(randomblob(16)));"
      "alter table pipeline_runs add column plan text;"
      "alter table intents add column attempt integer not null default 1;"
      "create table attempts (run integer not null references runs (id), attempt integer not null,"
      "  state text not null, reason text, trace text, started integer not null,"
      "  ended integer, primary key (run, attempt)) without rowid;";
  return mle_db_script(db, sql, err);
}

/* What the run's processes used, as JSON: memory, processor time, bytes read. */
static mle_status add_usage(mle_db *db, mle_error *err) {
  return mle_db_script(db, "alter table runs add column usage text;", err);
}

static mle_status add_resumed(mle_db *db, mle_error *err) {
  return mle_db_script(db,
                       "alter table triggers add column resumed integer not null default 0;"
                       "alter table stops add column attempt integer not null default 1;",
                       err);
}

/* Which attempt read a range; what only an earlier one read is not consumed. */
static mle_status add_range_attempts(mle_db *db, mle_error *err) {
  return mle_db_script(db, "alter table ranges add column attempt integer not null default 1;", err);
}

/* Which trigger a run came from is shown beside it. */
static mle_status add_trigger_index(mle_db *db, mle_error *err) {
  return mle_db_script(db, "create index triggers_pipeline_run on triggers (pipeline_run) where pipeline_run is not null;", err);
}

/* A run that took over the outputs of an earlier one is counted as what it is. */
static mle_status add_reused(mle_db *db, mle_error *err) {
  return mle_db_script(db,
                       "alter table runs add column reused integer;"
                       "create index runs_reused on runs (reused) where reused is not null;"
                       "drop trigger run_ended;"
                       "create trigger run_ended after update of ended on runs"
                       "  when new.ended is not null and old.ended is null and new.rehearsal is null begin"
                       "  insert into run_counts values (ifnull(new.pipeline, ''), new.job,"
                       "    case when new.reused is null then new.state else 'reused' end, 1, new.ended - new.created)"
                       "  on conflict do update set runs = runs + 1, ms = ms + excluded.ms; end;",
                       err);
}

/* A job's runs whatever its pipeline, and the rare ones that were reused, newest first without a look at the others. */
static mle_status add_history_indexes(mle_db *db, mle_error *err) {
  return mle_db_script(db,
                       "create index runs_of_job on runs (job, id);"
                       "create index runs_that_reused on runs (id) where reused is not null;",
                       err);
}

/* Step N leads from version N - 1 to version N. */
static mle_status (*const steps[])(mle_db *db, mle_error *err) = {
    make_tables,
    add_moves_and_held_ranges,
    add_scheduler,
    add_attempts,
    add_usage,
    add_resumed,
    add_range_attempts,
    add_trigger_index,
    add_reused,
    add_history_indexes,
};

#define VERSION ((int64_t)(sizeof steps / sizeof *steps))

/* ====== Taking them ====== */

static mle_status read_version(mle_db *db, int64_t *out, mle_error *err) {
  return mle_db_get_int(db, 0, out, err, "pragma user_version", "");
}

static mle_status refuse_newer(mle_db *db, int64_t version, mle_error *err) {
  return mle_fail(
      err, MLE_EREFUSED,
      "the state '%s' was written by a newer mlengine (schema %lld, this program knows %lld); "
      "use that version, or another project folder",
      mle_db_path(db), (long long)version, (long long)VERSION);
}

/* Another process may be taking the same steps: looks again under the write lock. */
static mle_status take_steps(mle_db *db, mle_error *err) {
  char sql[48];
  int64_t version;
  MLE_TRY(read_version(db, &version, err));
  for (; version < VERSION; version++) MLE_TRY(steps[version](db, err));
  snprintf(sql, sizeof sql, "pragma user_version = %lld", (long long)VERSION);
  return mle_db_script(db, sql, err);
}

mle_status mle_state_upgrade(mle_db *db, mle_error *err) {
  int64_t version;
  MLE_TRY(read_version(db, &version, err));
  if (version > VERSION) return refuse_newer(db, version, err);
  if (version == VERSION) return MLE_OK;
  MLE_TRY(mle_db_begin(db, err));
  mle_status status = take_steps(db, err);
  if (status == MLE_OK) return mle_db_commit(db, err);
  mle_db_rollback(db);
  return mle_context(err, "bringing the state '%s' up to date", mle_db_path(db));
}
