/*
 * sqlite_logged.c -- MLflow 3's logged models, in SQLite: found, described, tagged, deleted.
 *
 * A file of MLflow 2's revision has no tables for them.
 */
#include <string.h>

#include "engine/base/clock.h"
#include "engine/mlflow/sqlite_search.h"

static mle_status need_tables(const mle_sqlite_store *store, mle_error *err) {
  if (store->layout.logged_models) return MLE_OK;
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "'%s' is of MLflow 2, which has no logged models; MLflow 3 upgrades it with: "
                  "mlflow db upgrade sqlite:///%s",
                  mle_db_path(store->db), mle_db_path(store->db));
}

/* ====== Reading ====== */

#define COLUMNS                                                                              \
  "model_id, name, source_run_id, artifact_location, experiment_id, model_type, status,"     \
  " creation_timestamp_ms, last_updated_timestamp_ms"

static const char *status_name(int64_t number) {
  static const char *const names[] = {"UNSPECIFIED", "PENDING", "READY", "UPLOAD_FAILED"};
  return number >= 0 && number < 4 ? names[number] : names[0];
}

static mle_status read_row(const mle_db_rows *rows, mle_arena *memory, mle_mlflow_logged *out,
                           mle_error *err) {
  mle_mlflow_model *model = &out->model;
  const char **const texts[] = {&model->id,           &model->name,        &model->run_id,
                                &model->artifact_uri, &out->experiment_id, &out->type};
  for (int i = 0; i < 6; i++) MLE_TRY(mle_sqlite_text(rows, i, memory, texts[i], err));
  out->status = status_name(mle_db_int(rows, 6));
  out->creation_time = mle_db_int(rows, 7);
  out->last_updated_time = mle_db_int(rows, 8);
  model->uri = mle_arena_format(memory, "models:/%s", model->id);
  return model->uri != NULL ? MLE_OK : mle_nomem(err, "reading a model");
}

static mle_status read_rows(mle_db_rows *rows, mle_arena *memory, mle_mlflow_logged_list *out,
                            mle_error *err) {
  mle_mlflow_logged *list = NULL;
  while (true) {
    MLE_TRY(mle_db_next(rows, err));
    if (!rows->found) return MLE_OK;
    list = mle_arena_grow(memory, list, out->count, sizeof *list);
    if (list == NULL) return mle_nomem(err, "listing models");
    out->item = list;
    list[out->count] = (mle_mlflow_logged){0};
    MLE_TRY(read_row(rows, memory, &list[out->count++], err));
  }
}

/* Rows in the order of their points; of each metric the last one stays. */
static mle_status read_metrics(mle_db_rows *rows, mle_arena *memory, mle_mlflow_metrics *out,
                               mle_error *err) {
  mle_mlflow_metric *list = NULL;
  while (true) {
    mle_mlflow_metric point = {0};
    MLE_TRY(mle_db_next(rows, err));
    if (!rows->found) return MLE_OK;
    MLE_TRY(mle_sqlite_text(rows, 0, memory, &point.key, err));
    point.value = mle_db_double(rows, 1);
    point.timestamp = mle_db_int(rows, 2);
    point.step = mle_db_int(rows, 3);
    bool same = out->count > 0 && strcmp(list[out->count - 1].key, point.key) == 0;
    list = mle_arena_grow(memory, list, out->count, sizeof *list);
    if (list == NULL) return mle_nomem(err, "reading metrics");
    out->item = list;
    list[same ? out->count - 1 : out->count++] = point;
  }
}

static mle_status describe(mle_sqlite_store *store, mle_arena *memory, mle_mlflow_logged *out,
                           mle_error *err) {
  mle_db_rows rows;
  const char *id = out->model.id;
  MLE_TRY(mle_sqlite_pairs(store,
                           "select param_key, param_value from logged_model_params"
                           " where model_id = ? order by 1",
                           id, 0, memory, &out->params, err));
  MLE_TRY(mle_sqlite_pairs(store,
                           "select tag_key, tag_value from logged_model_tags"
                           " where model_id = ? order by 1",
                           id, 0, memory, &out->tags, err));
  mle_status status = mle_db_query(store->db, &rows, err,
                                   "select metric_name, metric_value, metric_timestamp_ms, metric_step"
                                   " from logged_model_metrics where model_id = ?"
                                   " order by 1, 3, 4, run_id desc",
                                   "s", id);
  if (status == MLE_OK) status = read_metrics(&rows, memory, &out->metrics, err);
  mle_db_end(&rows);
  return status;
}

mle_status mle_sqlite_get_logged(mle_mlflow *base, const char *id, mle_arena *memory,
                                 mle_mlflow_logged *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_mlflow_logged_list list = {0};
  mle_db_rows rows;
  MLE_TRY(mle_sqlite_look(store, err));
  MLE_TRY(need_tables(store, err));
  mle_status status = mle_db_query(store->db, &rows, err,
                                   "select " COLUMNS " from logged_models where model_id = ?"
                                   " and lifecycle_stage is not 'deleted'",
                                   "s", id);
  if (status == MLE_OK) status = read_rows(&rows, memory, &list, err);
  mle_db_end(&rows);
  if (status != MLE_OK) return status;
  if (list.count == 0)
    return mle_fail(err, MLE_ENOTFOUND, "there is no model '%.60s' in '%s'", id,
                    mle_db_path(store->db));
  *out = list.item[0];
  return describe(store, memory, out, err);
}

mle_status mle_sqlite_search_logged(mle_mlflow *base, const mle_mlflow_search *search,
                                    mle_arena *memory, mle_mlflow_logged_list *out,
                                    mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_buffer sql = MLE_BUFFER(MLE_SQLITE_SQL_MAX);
  mle_db_rows rows = {0};
  mle_status status;
  MLE_GO(mle_sqlite_look(store, err));
  MLE_GO(need_tables(store, err));
  MLE_GO(mle_buffer_puts(
      &sql, "select " COLUMNS " from logged_models r where r.lifecycle_stage is not 'deleted'", err));
  MLE_GO(mle_sqlite_put_experiments(&sql, search->experiment_ids, err));
  MLE_GO(mle_sqlite_put_search(&sql, &mle_sqlite_logged_models, search, memory, err));
  MLE_GO(mle_db_query(store->db, &rows, err, sql.data, ""));
  MLE_GO(read_rows(&rows, memory, out, err));
  MLE_GO(mle_sqlite_next_page(search, &out->count, memory, &out->next_page_token, err));
  mle_mlflow_logged *list = (void *)(uintptr_t)out->item;
  for (size_t i = 0; i < out->count; i++) MLE_GO(describe(store, memory, &list[i], err));
done:
  mle_db_end(&rows);
  mle_buffer_release(&sql);
  return status;
}

/* ====== Writing ====== */

static mle_status touch(mle_sqlite_store *store, const char *id, const char *stage, mle_error *err) {
  MLE_TRY(need_tables(store, err));
  MLE_TRY(mle_db_run(store->db, err,
                     "update logged_models set last_updated_timestamp_ms = ?,"
                     " lifecycle_stage = coalesce(?, lifecycle_stage)"
                     " where model_id = ? and lifecycle_stage is not 'deleted'",
                     "iss", mle_now_ms(), stage, id));
  if (mle_db_changes(store->db) > 0) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "there is no model '%.60s' in '%s'", id,
                  mle_db_path(store->db));
}

mle_status mle_sqlite_put_logged_tag(mle_sqlite_store *store, const char *id, const char *key,
                                     const char *value, mle_error *err) {
  MLE_TRY(mle_db_run(store->db, err,
                     "update logged_model_tags set tag_value = ? where model_id = ? and tag_key = ?",
                     "sss", value, id, key));
  if (mle_db_changes(store->db) > 0) return MLE_OK;
  return mle_db_run(store->db, err,
                    "insert into logged_model_tags (model_id, experiment_id, tag_key, tag_value)"
                    " select model_id, experiment_id, ?2, ?3 from logged_models where model_id = ?1",
                    "sss", id, key, value);
}

static mle_status change(mle_sqlite_store *store, const char *id, const mle_mlflow_change *what,
                         mle_error *err) {
  MLE_TRY(touch(store, id, NULL, err));
  for (size_t i = 0; i < what->set_tags.count; i++)
    MLE_TRY(mle_sqlite_put_logged_tag(store, id, what->set_tags.item[i].key,
                                      what->set_tags.item[i].value, err));
  if (what->delete_tag == NULL) return MLE_OK;
  MLE_TRY(mle_db_run(store->db, err,
                     "delete from logged_model_tags where model_id = ? and tag_key = ?", "ss", id,
                     what->delete_tag));
  if (mle_db_changes(store->db) > 0) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "models:/%s has no tag '%.250s'", id, what->delete_tag);
}

mle_status mle_sqlite_change_logged(mle_mlflow *base, const char *id,
                                    const mle_mlflow_change *what, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, change(store, id, what, err), err);
}

mle_status mle_sqlite_delete_logged(mle_mlflow *base, const char *id, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, touch(store, id, "deleted", err), err);
}
