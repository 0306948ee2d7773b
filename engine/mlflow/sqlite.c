#include "engine/mlflow/sqlite.h"

#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/file.h"

static void close_store(mle_mlflow *base) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_db_close(store->db);
  mle_free(store->artifacts);
  mle_free(store);
}

static const mle_mlflow_calls calls = {
    .close = close_store,
    .create_experiment = mle_sqlite_create_experiment,
    .get_experiment = mle_sqlite_get_experiment,
    .find_experiment = mle_sqlite_find_experiment,
    .search_experiments = mle_sqlite_search_experiments,
    .change_experiment = mle_sqlite_change_experiment,
    .stage_experiment = mle_sqlite_stage_experiment,
    .create_run = mle_sqlite_create_run,
    .get_run = mle_sqlite_get_run,
    .get_run_data = mle_sqlite_get_run_data,
    .metric_history = mle_sqlite_metric_history,
    .update_run = mle_sqlite_update_run,
    .search_runs = mle_sqlite_search_runs,
    .stage_run = mle_sqlite_stage_run,
    .delete_tag = mle_sqlite_delete_tag,
    .log_batch = mle_sqlite_log_batch,
    .log_dataset = mle_sqlite_log_dataset,
    .begin_model = mle_sqlite_begin_model,
    .finish_model = mle_sqlite_finish_model,
    .get_model = mle_sqlite_get_model,
    .find_model = mle_sqlite_find_model,
    .get_logged = mle_sqlite_get_logged,
    .search_logged = mle_sqlite_search_logged,
    .change_logged = mle_sqlite_change_logged,
    .delete_logged = mle_sqlite_delete_logged,
    .create_registered_model = mle_sqlite_create_registered_model,
    .get_registered_model = mle_sqlite_get_registered_model,
    .search_registered_models = mle_sqlite_search_registered_models,
    .change_registered_model = mle_sqlite_change_registered_model,
    .delete_registered_model = mle_sqlite_delete_registered_model,
    .create_version = mle_sqlite_create_version,
    .get_version = mle_sqlite_get_version,
    .list_versions = mle_sqlite_list_versions,
    .search_versions = mle_sqlite_search_versions,
    .change_version = mle_sqlite_change_version,
    .delete_version = mle_sqlite_delete_version,
    .set_alias = mle_sqlite_set_alias,
    .get_alias = mle_sqlite_get_alias,
    .delete_alias = mle_sqlite_delete_alias,
};

mle_sqlite_store *mle_sqlite_of(mle_mlflow *store) { return (mle_sqlite_store *)store; }

/* ====== Opening ====== */

/* MLflow calls it ./mlruns; ours is beside the file, whatever the working folder. */
static mle_status find_artifacts(const char *path, char **out, mle_error *err) {
  char *absolute = mle_path_absolute(path);
  char *slash = absolute == NULL ? NULL : strrchr(absolute, '/');
  if (slash != NULL) *slash = '\0';
  *out = absolute == NULL ? NULL : mle_path_join(absolute, "mlruns");
  mle_free(absolute);
  return *out != NULL ? MLE_OK : mle_nomem(err, "opening a tracking store");
}

/* Only after the check: a file of somebody else's is left untouched. Beside a
 * busy MLflow the mode may not change now; then the next opening does it. */
static mle_status use_wal(mle_db *db, mle_error *err) {
  mle_status status = mle_db_script(db, "pragma journal_mode = wal", err);
  if (status != MLE_OK && status != MLE_EBUSY) return status;
  return mle_db_script(db, "pragma synchronous = full; pragma case_sensitive_like = on", err);
}

static mle_status set_up(mle_sqlite_store *store, mle_error *err) {
  MLE_TRY(mle_mlflow_schema_create(store->db, store->artifacts, err));
  MLE_TRY(mle_mlflow_schema_check(store->db, err));
  MLE_TRY(use_wal(store->db, err));
  MLE_TRY(mle_mlflow_schema_add_default(store->db, store->artifacts, err));
  return mle_sqlite_look(store, err);
}

mle_status mle_mlflow_open_sqlite(const char *path, mle_mlflow **out, mle_error *err) {
  static const mle_db_options options = {.create = true, .mode = 0600};
  mle_status status = MLE_OK;
  *out = NULL;
  mle_sqlite_store *store = mle_calloc(1, sizeof *store);
  if (store == NULL) return mle_nomem(err, "opening a tracking store");
  store->base = (mle_mlflow){&calls, 1};
  MLE_GO(find_artifacts(path, &store->artifacts, err));
  MLE_GO(mle_db_open(path, &options, &store->db, err));
  MLE_GO(set_up(store, err));
  *out = &store->base;
  store = NULL;
done:
  if (store != NULL) close_store(&store->base);
  return status;
}

/* ====== Reading and writing ====== */

mle_status mle_sqlite_look(mle_sqlite_store *store, mle_error *err) {
  return mle_mlflow_layout_refresh(store->db, &store->layout, err);
}

mle_status mle_sqlite_begin(mle_sqlite_store *store, mle_error *err) {
  MLE_TRY(mle_db_begin(store->db, err));
  mle_status status = mle_sqlite_look(store, err);
  if (status != MLE_OK) mle_db_rollback(store->db);
  return status;
}

mle_status mle_sqlite_end(mle_sqlite_store *store, mle_status status, mle_error *err) {
  if (status == MLE_OK) return mle_db_commit(store->db, err);
  mle_db_rollback(store->db);
  return status;
}

mle_status mle_sqlite_text(const mle_db_rows *rows, int column, mle_arena *memory,
                           const char **out, mle_error *err) {
  return mle_arena_copy(memory, mle_db_text(rows, column), out, err);
}

mle_status mle_sqlite_pairs(mle_sqlite_store *store, const char *sql, const char *id,
                            int64_t number, mle_arena *memory, mle_mlflow_pairs *out,
                            mle_error *err) {
  mle_db_rows rows;
  mle_mlflow_pair *list = NULL;
  *out = (mle_mlflow_pairs){0};
  mle_status status = number == 0 ? mle_db_query(store->db, &rows, err, sql, "s", id)
                                  : mle_db_query(store->db, &rows, err, sql, "si", id, number);
  while (status == MLE_OK) {
    MLE_GO(mle_db_next(&rows, err));
    if (!rows.found) break;
    list = mle_arena_grow(memory, list, out->count, sizeof *list);
    if (list == NULL) status = mle_nomem(err, "reading tags and params");
    if (list == NULL) break;
    out->item = list;
    MLE_GO(mle_sqlite_text(&rows, 0, memory, &list[out->count].key, err));
    MLE_GO(mle_sqlite_text(&rows, 1, memory, &list[out->count++].value, err));
  }
done:
  mle_db_end(&rows);
  return status;
}

const char *mle_sqlite_in_view(mle_mlflow_view view) {
  if (view == MLE_MLFLOW_ALL) return "true";
  return view == MLE_MLFLOW_ACTIVE_ONLY ? "r.lifecycle_stage = 'active'"
                                        : "r.lifecycle_stage = 'deleted'";
}
