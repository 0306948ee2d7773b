#include <math.h>
#include <string.h>

#include "engine/base/hash.h"
#include "engine/base/clock.h"
#include "engine/mlflow/sqlite_search.h"

/* ====== Reading ====== */

mle_status mle_sqlite_read_run(const mle_db_rows *rows, mle_arena *memory, mle_mlflow_run *out,
                               mle_error *err) {
  const char **const texts[] = {&out->id,     &out->experiment_id,   &out->name,        &out->user,
                                &out->status, &out->lifecycle_stage, &out->artifact_uri};
  for (int i = 0; i < 7; i++) MLE_TRY(mle_sqlite_text(rows, i, memory, texts[i], err));
  out->start_time = mle_db_int(rows, 7);
  out->end_time = mle_db_int(rows, 8);
  return MLE_OK;
}

static mle_status read_run(mle_sqlite_store *store, const char *id, mle_arena *memory,
                           mle_mlflow_run *out, mle_error *err) {
  mle_db_rows rows;
  mle_status status = mle_db_query(store->db, &rows, err,
                                   "select " MLE_SQLITE_RUN_COLUMNS " from runs where run_uuid = ?",
                                   "s", id);
  if (status == MLE_OK) status = mle_db_next(&rows, err);
  if (status == MLE_OK && rows.found) status = mle_sqlite_read_run(&rows, memory, out, err);
  if (status == MLE_OK && !rows.found)
    status = mle_fail(err, MLE_ENOTFOUND, "there is no run '%.40s' in '%s'", id,
                      mle_db_path(store->db));
  mle_db_end(&rows);
  return status;
}

mle_status mle_sqlite_get_run(mle_mlflow *base, const char *id, mle_arena *memory,
                              mle_mlflow_run *out, mle_error *err) {
  return read_run(mle_sqlite_of(base), id, memory, out, err);
}

mle_status mle_sqlite_need_run(mle_sqlite_store *store, const char *run_id, mle_error *err) {
  int64_t state; /* 0 absent, 1 deleted, 2 active */
  MLE_TRY(mle_db_get_int(store->db, 0, &state, err,
                         "select 1 + (lifecycle_stage is 'active') from runs where run_uuid = ?",
                         "s", run_id));
  if (state == 2) return MLE_OK;
  if (state == 1)
    return mle_fail(err, MLE_EREFUSED, "run '%s' is deleted; restore it in MLflow first", run_id);
  return mle_fail(err, MLE_ENOTFOUND, "there is no run '%.40s' in '%s'", run_id,
                  mle_db_path(store->db));
}

/* Columns: key, value, timestamp, step, is_nan. */
static mle_status read_metrics(mle_db_rows *rows, mle_arena *memory, mle_mlflow_metrics *out,
                               mle_error *err) {
  mle_mlflow_metric *list = NULL;
  while (true) {
    MLE_TRY(mle_db_next(rows, err));
    if (!rows->found) return MLE_OK;
    list = mle_arena_grow(memory, list, out->count, sizeof *list);
    if (list == NULL) return mle_nomem(err, "reading metrics");
    out->item = list;
    mle_mlflow_metric *metric = &list[out->count++];
    MLE_TRY(mle_sqlite_text(rows, 0, memory, &metric->key, err));
    metric->value = mle_db_int(rows, 4) != 0 ? NAN : mle_db_double(rows, 1);
    metric->timestamp = mle_db_int(rows, 2);
    metric->step = mle_db_int(rows, 3);
  }
}

static mle_status read_latest(mle_sqlite_store *store, const char *run_id, mle_arena *memory,
                              mle_mlflow_metrics *out, mle_error *err) {
  mle_db_rows rows;
  mle_status status = mle_db_query(store->db, &rows, err,
                                   "select key, value, timestamp, step, is_nan from latest_metrics"
                                   " where run_uuid = ? order by key",
                                   "s", run_id);
  if (status == MLE_OK) status = read_metrics(&rows, memory, out, err);
  mle_db_end(&rows);
  return status;
}

static mle_status read_dataset(const mle_db_rows *rows, mle_arena *memory, mle_mlflow_dataset *out,
                               mle_error *err) {
  const char **const texts[] = {&out->name,   &out->digest,  &out->source_type, &out->source,
                                &out->schema, &out->profile, &out->context};
  for (int i = 0; i < 7; i++) MLE_TRY(mle_sqlite_text(rows, i, memory, texts[i], err));
  return MLE_OK;
}

static mle_status read_datasets(mle_sqlite_store *store, const char *run_id, mle_arena *memory,
                                mle_mlflow_run_data *out, mle_error *err) {
  mle_db_rows rows;
  mle_mlflow_dataset *list = NULL;
  mle_status status = mle_db_query(
      store->db, &rows, err,
      "select d.name, d.digest, d.dataset_source_type, d.dataset_source, d.dataset_schema,"
      " d.dataset_profile, t.value from inputs i join datasets d on d.dataset_uuid = i.source_id"
      " left join input_tags t on t.input_uuid = i.input_uuid and t.name = 'mlflow.data.context'"
      " where i.source_type = 'DATASET' and i.destination_type = 'RUN' and i.destination_id = ?"
      " order by i.rowid",
      "s", run_id);
  while (status == MLE_OK) {
    MLE_GO(mle_db_next(&rows, err));
    if (!rows.found) break;
    list = mle_arena_grow(memory, list, out->num_datasets, sizeof *list);
    if (list == NULL) status = mle_nomem(err, "reading a run");
    if (list == NULL) break;
    out->dataset = list;
    MLE_GO(read_dataset(&rows, memory, &list[out->num_datasets++], err));
  }
done:
  mle_db_end(&rows);
  return status;
}

mle_status mle_sqlite_get_run_data(mle_mlflow *base, const char *id, mle_arena *memory,
                                   mle_mlflow_run_data *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_pairs(store, "select key, value from params where run_uuid = ? order by key", id,
                           0, memory, &out->params, err));
  MLE_TRY(mle_sqlite_pairs(store, "select key, value from tags where run_uuid = ? order by key", id, 0,
                           memory, &out->tags, err));
  MLE_TRY(read_latest(store, id, memory, &out->metrics, err));
  return read_datasets(store, id, memory, out, err);
}

mle_status mle_sqlite_metric_history(mle_mlflow *base, const char *run_id, const char *key,
                                     mle_arena *memory, mle_mlflow_metrics *out, mle_error *err) {
  mle_db_rows rows;
  mle_status status = mle_db_query(mle_sqlite_of(base)->db, &rows, err,
                                   "select key, value, timestamp, step, is_nan from metrics"
                                   " where run_uuid = ? and key = ? order by timestamp, step, value",
                                   "ss", run_id, key);
  if (status == MLE_OK) status = read_metrics(&rows, memory, out, err);
  mle_db_end(&rows);
  return status;
}

/* ====== Writing ====== */

static mle_status need_active(const mle_mlflow_experiment *experiment, mle_error *err) {
  if (strcmp(experiment->lifecycle_stage, "active") != 0)
    return mle_fail(err, MLE_EREFUSED, "experiment '%s' is deleted; restore it in MLflow first",
                    experiment->name);
  if (experiment->artifact_location == NULL)
    return mle_fail(err, MLE_EFORMAT, "experiment '%s' has no artifact location", experiment->name);
  return MLE_OK;
}

/* Python leaves source_* so; the real values are tags. */
static mle_status insert_run(mle_sqlite_store *store, const mle_mlflow_new_run *run,
                             const char *artifact_location, mle_arena *memory, mle_mlflow_run *out,
                             mle_error *err) {
  char made[MLE_UUID_TEXT];
  const char *id = run->id != NULL ? run->id : mle_uuid_hex(made);
  MLE_TRY(mle_db_run(store->db, err,
                     "insert into runs (run_uuid, experiment_id, name, source_type, source_name,"
                     " entry_point_name, source_version, user_id, status, start_time,"
                     " lifecycle_stage, artifact_uri) values (?1, cast(?2 as integer), ?3, 'UNKNOWN', '', '',"
                     " '', ?4, 'RUNNING', ?5, 'active', rtrim(?6, '/') || '/' || ?1 || '/artifacts')",
                     "ssssis", id, run->experiment_id, run->name, run->user, run->start_time,
                     artifact_location));
  MLE_TRY(mle_sqlite_put_tags(store, id, &run->tags, err));
  return read_run(store, id, memory, out, err);
}

static mle_status create(mle_sqlite_store *store, const mle_mlflow_new_run *run, mle_arena *memory,
                         mle_mlflow_run *out, mle_error *err) {
  mle_mlflow_experiment experiment = {0};
  MLE_TRY(mle_sqlite_get_experiment(&store->base, run->experiment_id, memory, &experiment, err));
  MLE_TRY(need_active(&experiment, err));
  return insert_run(store, run, experiment.artifact_location, memory, out, err);
}

mle_status mle_sqlite_create_run(mle_mlflow *base, const mle_mlflow_new_run *run,
                                 mle_arena *memory, mle_mlflow_run *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, create(store, run, memory, out, err), err);
}

/* The name of a run is also its tag mlflow.runName. */
static mle_status rename_run(mle_sqlite_store *store, const char *id, const char *name,
                             mle_error *err) {
  mle_mlflow_pair tag = {"mlflow.runName", name};
  if (name == NULL) return MLE_OK;
  MLE_TRY(mle_db_run(store->db, err, "update runs set name = ? where run_uuid = ?", "ss", name, id));
  return mle_sqlite_put_tags(store, id, &(mle_mlflow_pairs){1, &tag}, err);
}

static mle_status change_run(mle_sqlite_store *store, const char *id,
                             const mle_mlflow_run_change *change, bool only_running,
                             mle_error *err) {
  MLE_TRY(mle_sqlite_need_run(store, id, err));
  MLE_TRY(rename_run(store, id, change->name, err));
  return mle_db_run(store->db, err,
                    "update runs set status = coalesce(?2, status),"
                    " end_time = case when ?3 = 0 then end_time else ?3 end"
                    " where run_uuid = ?1 and (?4 = 0 or status in ('RUNNING', 'SCHEDULED'))",
                    "ssii", id, change->status, change->end_time, (int64_t)only_running);
}

mle_status mle_sqlite_update_run(mle_mlflow *base, const char *id,
                                 const mle_mlflow_run_change *change, bool only_running,
                                 mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, change_run(store, id, change, only_running, err), err);
}

/* MLflow leaves status and end as they are. */
static mle_status stage_run(mle_sqlite_store *store, const char *id, bool active, mle_error *err) {
  MLE_TRY(mle_db_run(store->db, err,
                     "update runs set lifecycle_stage = ?, deleted_time = nullif(?, 0)"
                     " where run_uuid = ?",
                     "sis", active ? "active" : "deleted", active ? (int64_t)0 : mle_now_ms(), id));
  if (mle_db_changes(store->db) > 0) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "there is no run '%.40s' in '%s'", id,
                  mle_db_path(store->db));
}

mle_status mle_sqlite_stage_run(mle_mlflow *base, const char *id, bool active, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, stage_run(store, id, active, err), err);
}

static mle_status delete_tag(mle_sqlite_store *store, const char *run_id, const char *key,
                             mle_error *err) {
  MLE_TRY(mle_sqlite_need_run(store, run_id, err));
  MLE_TRY(mle_db_run(store->db, err, "delete from tags where run_uuid = ? and key = ?", "ss", run_id,
                     key));
  if (mle_db_changes(store->db) > 0) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "run '%.40s' has no tag '%.250s'", run_id, key);
}

mle_status mle_sqlite_delete_tag(mle_mlflow *base, const char *run_id, const char *key,
                                 mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, delete_tag(store, run_id, key, err), err);
}

/* ====== Searching ====== */

static mle_status read_found(mle_db_rows *rows, mle_arena *memory, mle_mlflow_runs *out,
                             mle_error *err) {
  mle_mlflow_run *list = NULL;
  while (true) {
    MLE_TRY(mle_db_next(rows, err));
    if (!rows->found) return MLE_OK;
    list = mle_arena_grow(memory, list, out->count, sizeof *list);
    if (list == NULL) return mle_nomem(err, "searching runs");
    out->item = list;
    MLE_TRY(mle_sqlite_read_run(rows, memory, &list[out->count++], err));
  }
}

mle_status mle_sqlite_search_runs(mle_mlflow *base, const mle_mlflow_search *search,
                                  mle_arena *memory, mle_mlflow_runs *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_buffer sql = MLE_BUFFER(MLE_SQLITE_SQL_MAX);
  mle_db_rows rows = {0};
  mle_status status;
  MLE_GO(mle_buffer_printf(&sql, err, "select " MLE_SQLITE_RUN_COLUMNS " from runs r where %s",
                           mle_sqlite_in_view(search->view)));
  MLE_GO(mle_sqlite_put_experiments(&sql, search->experiment_ids, err));
  MLE_GO(mle_sqlite_put_search(&sql, &mle_sqlite_runs, search, memory, err));
  MLE_GO(mle_db_query(store->db, &rows, err, sql.data, ""));
  MLE_GO(read_found(&rows, memory, out, err));
  status = mle_sqlite_next_page(search, &out->count, memory, &out->next_page_token, err);
done:
  mle_db_end(&rows);
  mle_buffer_release(&sql);
  return status;
}
