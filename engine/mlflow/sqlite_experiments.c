#include <string.h>

#include "engine/base/clock.h"
#include "engine/mlflow/sqlite.h"

#define COLUMNS \
  "experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time"

static mle_status read_experiment(const mle_db_rows *rows, mle_arena *memory,
                                  mle_mlflow_experiment *out, mle_error *err) {
  MLE_TRY(mle_sqlite_text(rows, 0, memory, &out->id, err));
  MLE_TRY(mle_sqlite_text(rows, 1, memory, &out->name, err));
  MLE_TRY(mle_sqlite_text(rows, 2, memory, &out->artifact_location, err));
  MLE_TRY(mle_sqlite_text(rows, 3, memory, &out->lifecycle_stage, err));
  if (out->lifecycle_stage == NULL) out->lifecycle_stage = "deleted"; /* MLflow hides it, too */
  out->creation_time = mle_db_int(rows, 4);
  out->last_update_time = mle_db_int(rows, 5);
  return MLE_OK;
}

/* One experiment; `out` stays empty when there is none. */
static mle_status read_one(mle_sqlite_store *store, const char *sql, const char *value,
                           mle_arena *memory, mle_mlflow_experiment *out, mle_error *err) {
  mle_db_rows rows;
  mle_status status = mle_db_query(store->db, &rows, err, sql, "s", value);
  if (status == MLE_OK) status = mle_db_next(&rows, err);
  if (status == MLE_OK && rows.found) status = read_experiment(&rows, memory, out, err);
  mle_db_end(&rows);
  return status;
}

static mle_status find_by_name(mle_sqlite_store *store, const char *name, mle_arena *memory,
                               mle_mlflow_experiment *out, mle_error *err) {
  return read_one(store,
                  MLE_SQLITE_SCOPED(store->layout.experiment_workspaces,
                                    "select " COLUMNS " from experiments where name = ?"),
                  name, memory, out, err);
}

static mle_status find_by_id(mle_sqlite_store *store, const char *id, mle_arena *memory,
                             mle_mlflow_experiment *out, mle_error *err) {
  return read_one(store,
                  "select " COLUMNS " from experiments where experiment_id = cast(? as integer)", id,
                  memory, out, err);
}

/* The id is the row's own number, and part of the folder's name. */
static mle_status insert_experiment(mle_sqlite_store *store, const char *name, mle_arena *memory,
                                    mle_mlflow_experiment *out, mle_error *err) {
  int64_t now = mle_now_ms();
  MLE_TRY(mle_db_run(store->db, err,
                     "insert into experiments (name, lifecycle_stage, creation_time,"
                     " last_update_time) values (?, 'active', ?, ?)",
                     "sii", name, now, now));
  int64_t id = mle_db_inserted(store->db);
  MLE_TRY(mle_db_run(store->db, err,
                     "update experiments set artifact_location = ? || '/' || experiment_id"
                     " where experiment_id = ?",
                     "si", store->artifacts, id));
  const char *text = mle_arena_format(memory, "%lld", (long long)id);
  if (text == NULL) return mle_nomem(err, "creating an experiment");
  return find_by_id(store, text, memory, out, err);
}

static mle_status create(mle_sqlite_store *store, const char *name, mle_arena *memory,
                         mle_mlflow_experiment *out, mle_error *err) {
  mle_mlflow_experiment taken = {0};
  MLE_TRY(find_by_name(store, name, memory, &taken, err));
  if (taken.id != NULL)
    return mle_fail(err, MLE_EEXISTS, "experiment '%s' exists already (id %s, %s)", name, taken.id,
                    taken.lifecycle_stage);
  return insert_experiment(store, name, memory, out, err);
}

mle_status mle_sqlite_create_experiment(mle_mlflow *base, const char *name, mle_arena *memory,
                                        mle_mlflow_experiment *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, create(store, name, memory, out, err), err);
}

mle_status mle_sqlite_get_experiment(mle_mlflow *base, const char *id, mle_arena *memory,
                                     mle_mlflow_experiment *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  if (*id != '\0' && id[strspn(id, "0123456789")] == '\0')
    MLE_TRY(find_by_id(store, id, memory, out, err));
  if (out->id == NULL) return mle_fail(err, MLE_ENOTFOUND, "there is no experiment with id '%s'", id);
  return MLE_OK;
}

mle_status mle_sqlite_find_experiment(mle_mlflow *base, const char *name, mle_arena *memory,
                                      mle_mlflow_experiment *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_look(store, err));
  return find_by_name(store, name, memory, out, err);
}

static mle_status read_list(mle_db_rows *rows, mle_arena *memory, mle_mlflow_experiments *out,
                            mle_error *err) {
  mle_mlflow_experiment *list = NULL;
  while (true) {
    MLE_TRY(mle_db_next(rows, err));
    if (!rows->found) return MLE_OK;
    list = mle_arena_grow(memory, list, out->count, sizeof *list);
    if (list == NULL) return mle_nomem(err, "listing experiments");
    out->item = list;
    MLE_TRY(read_experiment(rows, memory, &list[out->count++], err));
  }
}

mle_status mle_sqlite_list_experiments(mle_mlflow *base, mle_arena *memory,
                                       mle_mlflow_experiments *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_db_rows rows;
  MLE_TRY(mle_sqlite_look(store, err));
  const char *sql =
      store->layout.experiment_workspaces
          ? "select " COLUMNS " from experiments where lifecycle_stage = 'active'"
            " and workspace = 'default' order by experiment_id"
          : "select " COLUMNS " from experiments where lifecycle_stage = 'active'"
            " order by experiment_id";
  mle_status status = mle_db_query(store->db, &rows, err, sql, "");
  if (status == MLE_OK) status = read_list(&rows, memory, out, err);
  mle_db_end(&rows);
  return status;
}
