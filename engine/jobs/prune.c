#include "engine/jobs/prune.h"

#include <stdio.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"

#define BATCH 250

/* Numbers grow with time, so an age and a count are both a number up to which runs are old. */
static mle_status find_limit(mle_db *db, const char *table, const mle_prune_options *o, int64_t *out, mle_error *err) {
  int64_t by_age = 0, by_count = 0;
  char sql[160];
  if (o->before_ms > 0) {
    snprintf(sql, sizeof sql, "select ifnull((select id from %s where created >= ? order by id limit 1), "
                              "(select max(id) + 1 from %s)) - 1", table, table);
    MLE_TRY(mle_db_get_int(db, 0, &by_age, err, sql, "i", o->before_ms));
  }
  if (o->keep > 0) {
    snprintf(sql, sizeof sql, "select id from %s order by id desc limit 1 offset ?", table);
    MLE_TRY(mle_db_get_int(db, 0, &by_count, err, sql, "i", o->keep));
  }
  *out = by_age > by_count ? by_age : by_count;
  return MLE_OK;
}

#define DONE(alias) alias ".state = 'succeeded' and " alias ".rehearsal is null"

/*
 * Whether a run is the last success of its job: the next run of a child looks for it. The indices are named: the
 * planner would rather go through all successes there ever were.
 */
#define IS_LAST_SUCCESS(alias)                                                                       \
  "(" DONE(alias) " and not exists (select 1 from runs n indexed by runs_job where n.pipeline is " alias ".pipeline and" \
  " n.job = " alias ".job and n.id > " alias ".id and " DONE("n") "))"

/* Or the one whose outputs the last success took over. */
#define IS_LAST_OUTPUT(alias)          \
  "(" IS_LAST_SUCCESS(alias) " or exists (select 1 from runs o indexed by runs_reused where o.reused = " alias ".id and " \
  IS_LAST_SUCCESS("o") "))"

#define IS_KEPT                                                                                        \
  "exists (select 1 from intents where run = r.id and settled is null)"                                \
  " or exists (select 1 from actions where run = r.id and done is null)"                               \
  " or exists (select 1 from ranges where run = r.id and held = 'waiting')"                            \
  " or " IS_LAST_OUTPUT("r")                                                                          \
  " or exists (select 1 from inputs i cross join runs p not indexed on p.id = i.parent_run where i.run = r.id and "      \
  IS_LAST_OUTPUT("p") ")"                                                                             \
  " or exists (select 1 from ranges g where g.run = r.id and g.rows > 0 and " DONE("r")                \
  "   and not exists (select 1 from ranges h indexed by ranges_consumer cross join runs n not indexed on n.id = h.run"    \
  "     where h.consumer = g.consumer" \
  "     and h.table_uuid = g.table_uuid and h.branch = g.branch and h.run > g.run and h.rows > 0 and " \
  DONE("n") "))"                                                                                       \
  " or exists (select 1 from pipeline_runs p where p.id = r.pipeline_run and p.state = 'running')"

/* Those that go, in a table of this connection's own. */
static mle_status choose(mle_db *db, int64_t limit, int64_t *out_count, mle_error *err) {
  MLE_TRY(mle_db_script(db, "create temp table if not exists pruned (run integer primary key);"
                            "delete from temp.pruned", err));
  MLE_TRY(mle_db_run(db, err,
                     "insert into temp.pruned select r.id from runs r not indexed where r.id <= ? and r.ended is not null"
                     " and not (" IS_KEPT ") order by r.id limit ?",
                     "ii", limit, (int64_t)BATCH));
  *out_count = mle_db_changes(db);
  return MLE_OK;
}

/* A kept run may have been given the outputs of one that goes: then it says no more which. */
static mle_status remove_chosen(mle_db *db, mle_error *err) {
  static const char sql[] =
      "delete from inputs where run in (select run from temp.pruned) or parent_run in (select run from temp.pruned);"
      "delete from ranges where run in (select run from temp.pruned);"
      "delete from intents where run in (select run from temp.pruned);"
      "delete from actions where run in (select run from temp.pruned);"
      "delete from notes where run in (select run from temp.pruned);"
      "delete from attempts where run in (select run from temp.pruned);"
      "delete from stops where run in (select run from temp.pruned);"
      "create temp table if not exists emptied (id integer primary key, sha256 text);"
      "delete from temp.emptied;"
      "insert or ignore into temp.emptied select pipeline_run, sha256 from runs where id in"
      "  (select run from temp.pruned) and pipeline_run is not null;"
      "delete from runs where id in (select run from temp.pruned);"
      "delete from pipeline_runs where id in (select id from temp.emptied) and state <> 'running'"
      "  and not exists (select 1 from runs where pipeline_run = pipeline_runs.id);";
  return mle_db_script(db, sql, err);
}

/* Texts that no run has any more, nor the plan of a pipeline's run that may yet be resumed. */
static mle_status remove_texts(mle_db *db, mle_error *err) {
  return mle_db_script(db,
                       "delete from scripts where sha256 not in (select sha256 from runs) and sha256 not in"
                       " (select json_extract(s.value, '$.sha256') from pipeline_runs p,"
                       "   json_each(p.plan, '$.steps') s where p.state <> 'succeeded' and p.plan is not null"
                       "   and json_extract(s.value, '$.sha256') is not null)",
                       err);
}

static void remove_folders(mle_state *state) {
  mle_db_rows rows;
  mle_status status = mle_db_query(mle_state_db(state), &rows, NULL, "select run from temp.pruned", "");
  while (status == MLE_OK && (status = mle_db_next(&rows, NULL)) == MLE_OK && rows.found) {
    char *path = mle_format("%s/runs/%lld", mle_state_folder(state), (long long)mle_db_int(&rows, 0));
    if (path != NULL) mle_remove_tree(path, NULL); /* one that stays is only space */
    mle_free(path);
  }
  mle_db_end(&rows);
}

/* ====== Triggers ====== */

static mle_status remove_triggers(mle_state *state, const mle_prune_options *o, int64_t *out, mle_error *err) {
  mle_db *db = mle_state_db(state);
  int64_t limit;
  *out = 0;
  MLE_TRY(find_limit(db, "triggers", o, &limit, err));
  for (int64_t id = 0; *out < BATCH; (*out)++) {
    MLE_TRY(mle_db_get_int(db, 0, &id, err,
                           "select id from triggers where id > ? and id <= ? and state in ('ended', 'cancelled')"
                           " order by id limit 1", "ii", id, limit));
    if (id == 0) break;
    MLE_TRY(mle_db_run(db, err, "delete from triggers where id = ?", "i", id));
    char *path = mle_format("%s/triggers/%lld.log", mle_state_folder(state), (long long)id);
    if (path != NULL) mle_file_remove(path, NULL);
    mle_free(path);
  }
  return MLE_OK;
}

static mle_status remove_runs(mle_state *state, const mle_prune_options *o, int64_t *out, mle_error *err) {
  mle_db *db = mle_state_db(state);
  int64_t limit;
  *out = 0;
  MLE_TRY(find_limit(db, "runs", o, &limit, err));
  if (limit <= 0) return MLE_OK;
  MLE_TRY(choose(db, limit, out, err));
  if (*out == 0) return MLE_OK;
  MLE_TRY(remove_chosen(db, err));
  return *out < BATCH ? remove_texts(db, err) : MLE_OK;
}

mle_status mle_history_prune(mle_state *state, const mle_prune_options *options, int64_t *out_removed,
                             mle_error *err) {
  mle_db *db = mle_state_db(state);
  int64_t runs = 0, triggers = 0;
  *out_removed = 0;
  MLE_TRY(mle_db_begin(db, err));
  mle_status status = remove_runs(state, options, &runs, err);
  if (status == MLE_OK) status = remove_triggers(state, options, &triggers, err);
  if (status == MLE_OK) status = mle_db_commit(db, err);
  if (status != MLE_OK) {
    mle_db_rollback(db);
    return mle_context(err, "pruning the history");
  }
  if (runs > 0) remove_folders(state);
  *out_removed = runs + triggers;
  return MLE_OK;
}
