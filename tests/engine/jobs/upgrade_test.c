/* A state as earlier versions left it becomes today's, with all that is in it. */
#include "tests/engine/jobs/support.h"

#include "engine/jobs/moves.h"

/* The tables of version 1 as they were released, and rows as it wrote them. */
static const char version_1[] =
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
    "pragma user_version = 1;"
    "insert into scripts values ('abc', 'return 1');"
    "insert into runs (id, pipeline, job, script, sha256, consumer, attempt, params, state, created)"
    "  values (3, 'Fraud', 'Retrain', 'retrain.lua', 'abc', 'Fraud/Retrain', 1, '{}',"
    "    'succeeded', 1);"
    "insert into ranges values (3, 'Fraud/Retrain', 'u-1', 'main', 'bank.trx', null, null, 41, 9);"
    "insert into watermarks values ('Fraud/Retrain', 'u-1', 'main', 'bank.trx', 41, 3, 1);";

static void write_version_1(void) {
  static const mle_db_options options = {.create = true, .wal = true, .mode = 0600};
  char path[96];
  mle_db *db;
  mle_error err;
  mle_state_close(state);
  must(mle_remove_tree(folder, &err), &err);
  must(mle_make_folders(folder, 0700, &err), &err);
  snprintf(path, sizeof path, "%s/state.db", folder);
  must(mle_db_open(path, &options, &db, &err), &err);
  must(mle_db_script(db, version_1, &err), &err);
  mle_db_close(db);
  must(mle_state_open(folder, &state, &err), &err);
}

static int64_t version(void) {
  int64_t n;
  mle_error err;
  must(mle_db_get_int(mle_state_db(state), 0, &n, &err, "pragma user_version", ""), &err);
  return n;
}

static void version_1_keeps_its_rows_and_goes_on(void **unused) {
  (void)unused;
  mle_lock *lock;
  mle_error err;
  int64_t new_version = version();
  write_version_1();
  assert_true(version() == new_version);
  assert_true(watermark() == 41);
  int64_t run = start_run(NULL, &lock);
  assert_true(run == 4);
  pin(run, 41, 50, 10);
  must(mle_run_succeed(state, run, "{}", NULL, 0, &err), &err);
  assert_true(watermark() == 50);
  mle_lock_free(lock);
  assert_run(3, "\"rows\":9");
}

/* The tables of an upgraded file and of a new one are the same. */
static char *tables(void) {
  char *text;
  mle_error err;
  must(mle_db_get_text(mle_state_db(state), &text, &err,
                       "select group_concat(sql, char(10)) from (select sql from sqlite_master"
                       " where sql is not null and name not like 'sqlite_%' order by name)",
                       ""),
       &err);
  return text;
}

static void an_upgraded_state_is_as_a_new_one(void **unused) {
  (void)unused;
  char *fresh = tables();
  write_version_1();
  char *upgraded = tables();
  assert_string_equal(upgraded, fresh);
  mle_free(fresh);
  mle_free(upgraded);
}

static void an_upgrade_is_done_whole_or_not_at_all(void **unused) {
  (void)unused;
  mle_error err;
  write_version_1();
  int64_t new_version = version();
  must(mle_db_script(mle_state_db(state), "drop table watermark_moves; pragma user_version = 1", &err), &err);
  mle_state *again;
  assert_int_not_equal(mle_state_open(folder, &again, &err), MLE_OK); /* columns are there twice */
  assert_non_null(strstr(err.message, "bringing the state"));
  assert_true(version() == 1 && new_version > 1); /* nothing of it was done */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(version_1_keeps_its_rows_and_goes_on),
      TEST(an_upgraded_state_is_as_a_new_one),
      TEST(an_upgrade_is_done_whole_or_not_at_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
