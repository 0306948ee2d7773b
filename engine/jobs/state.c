/*
 * The file's tables. Times are milliseconds since 1970, JSON columns are text.
 *
 *   pipeline_runs   one row per `mlengine run` of a pipeline
 *   runs            one row per run of a job; the states are drawn in run.c
 *   scripts         each script text that ever ran, once, by its SHA-256
 *   inputs          which run of a parent's outputs a run was given
 *   ranges          the rows a run reads: (from, to] of a table, resolved once, before reading;
 *                   `expected` is the watermark that was found, which the commit compares
 *   watermarks      per (consumer, table, branch): everything up to `snapshot` is consumed
 *   intents         what a run was about to do elsewhere, written before it did
 *   actions         what is to be done once the run's success is committed; pending while done is null
 *   notes           facts for the history
 *
 * A range, an intent and an action say what to do when the process that wrote
 * them is gone; see recovery.c.
 */
#include "engine/jobs/state.h"

#include "engine/base/alloc.h"
#include "engine/base/file.h"

struct mle_state {
  mle_db *db;
  char *folder;
};

static const char schema[] =
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
    "create index notes_run on notes (run);"
    "pragma user_version = 1;";

static mle_status read_version(mle_state *state, int64_t *out, mle_error *err) {
  return mle_db_get_int(state->db, 0, out, err, "pragma user_version", "");
}

static mle_status refuse_newer(const mle_state *state, int64_t version, mle_error *err) {
  if (version <= MLE_STATE_VERSION) return MLE_OK;
  return mle_fail(
      err, MLE_EREFUSED,
      "the state '%s' was written by a newer mlengine (schema %lld, this program knows %d); "
      "use that version, or another project folder",
      mle_db_path(state->db), (long long)version, MLE_STATE_VERSION);
}

/* Another process may be making the same tables: look again under the write lock. */
static mle_status create_tables(mle_state *state, mle_error *err) {
  int64_t version;
  MLE_TRY(mle_db_begin(state->db, err));
  mle_status status = read_version(state, &version, err);
  if (status == MLE_OK && version == 0) status = mle_db_script(state->db, schema, err);
  if (status == MLE_OK) return mle_db_commit(state->db, err);
  mle_db_rollback(state->db);
  return status;
}

static mle_status check_schema(mle_state *state, mle_error *err) {
  int64_t version;
  MLE_TRY(read_version(state, &version, err));
  MLE_TRY(refuse_newer(state, version, err));
  return version == 0 ? create_tables(state, err) : MLE_OK;
}

static mle_status make_locks_folder(const char *folder, mle_error *err) {
  char *locks = mle_path_join(folder, "locks");
  if (locks == NULL) return mle_nomem(err, "opening the state");
  mle_status status = mle_make_folders(locks, 0700, err); /* and so `folder` */
  mle_free(locks);
  return status;
}

mle_status mle_state_open(const char *folder, mle_state **out, mle_error *err) {
  static const mle_db_options options = {.create = true, .wal = true, .mode = 0600};
  mle_status status = MLE_OK;
  char *path = NULL;
  *out = NULL;
  mle_state *state = mle_calloc(1, sizeof *state);
  if (state == NULL || (state->folder = mle_strdup(folder)) == NULL ||
      (path = mle_path_join(folder, "state.db")) == NULL) {
    status = mle_nomem(err, "opening the state");
    goto done;
  }
  MLE_GO(make_locks_folder(folder, err));
  MLE_GO(mle_db_open(path, &options, &state->db, err));
  MLE_GO(check_schema(state, err));
  *out = state;
  state = NULL;
done:
  mle_free(path);
  mle_state_close(state);
  return status;
}

void mle_state_close(mle_state *state) {
  if (state == NULL) return;
  mle_db_close(state->db);
  mle_free(state->folder);
  mle_free(state);
}

mle_db *mle_state_db(mle_state *state) { return state->db; }
const char *mle_state_folder(const mle_state *state) { return state->folder; }
