#include <string.h>

#include "engine/base/clock.h"
#include "engine/mlflow/sqlite_search.h"

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

static mle_status read_tags(mle_sqlite_store *store, mle_arena *memory, mle_mlflow_experiment *out,
                            mle_error *err) {
  return mle_sqlite_pairs(store,
                          "select key, value from experiment_tags"
                          " where experiment_id = cast(? as integer) order by key",
                          out->id, 0, memory, &out->tags, err);
}

/* One experiment; `out` stays empty when there is none. */
static mle_status read_one(mle_sqlite_store *store, const char *sql, const char *value,
                           mle_arena *memory, mle_mlflow_experiment *out, mle_error *err) {
  mle_db_rows rows;
  mle_status status = mle_db_query(store->db, &rows, err, sql, "s", value);
  if (status == MLE_OK) status = mle_db_next(&rows, err);
  if (status == MLE_OK && rows.found) status = read_experiment(&rows, memory, out, err);
  mle_db_end(&rows);
  if (status == MLE_OK && out->id != NULL) status = read_tags(store, memory, out, err);
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

/* ====== Creating ====== */

static mle_status put_tags(mle_sqlite_store *store, const char *id, const mle_mlflow_pairs *tags,
                           mle_error *err) {
  for (size_t i = 0; i < tags->count; i++) {
    const mle_mlflow_pair *tag = &tags->item[i];
    MLE_TRY(mle_db_run(store->db, err,
                       "update experiment_tags set value = ?"
                       " where key = ? and experiment_id = cast(? as integer)",
                       "sss", tag->value, tag->key, id));
    if (mle_db_changes(store->db) > 0) continue;
    MLE_TRY(mle_db_run(store->db, err,
                       "insert into experiment_tags (key, value, experiment_id)"
                       " values (?, ?, cast(? as integer))",
                       "sss", tag->key, tag->value, id));
  }
  return MLE_OK;
}

/* The id is the row's own number, and part of the folder's name. */
static mle_status insert_experiment(mle_sqlite_store *store,
                                    const mle_mlflow_new_experiment *request, mle_arena *memory,
                                    mle_mlflow_experiment *out, mle_error *err) {
  int64_t now = mle_now_ms();
  MLE_TRY(mle_db_run(store->db, err,
                     "insert into experiments (name, artifact_location, lifecycle_stage,"
                     " creation_time, last_update_time) values (?, ?, 'active', ?, ?)",
                     "ssii", request->name, request->artifact_location, now, now));
  int64_t id = mle_db_inserted(store->db);
  MLE_TRY(mle_db_run(store->db, err,
                     "update experiments set artifact_location = ? || '/' || experiment_id"
                     " where experiment_id = ? and artifact_location is null",
                     "si", store->artifacts, id));
  const char *text = mle_arena_format(memory, "%lld", (long long)id);
  if (text == NULL) return mle_nomem(err, "creating an experiment");
  MLE_TRY(put_tags(store, text, &request->tags, err));
  return find_by_id(store, text, memory, out, err);
}

static mle_status need_free_name(mle_sqlite_store *store, const char *name, mle_arena *memory,
                                 mle_error *err) {
  mle_mlflow_experiment taken = {0};
  MLE_TRY(find_by_name(store, name, memory, &taken, err));
  if (taken.id == NULL) return MLE_OK;
  return mle_fail(err, MLE_EEXISTS, "experiment '%s' exists already (id %s, %s)", name, taken.id,
                  taken.lifecycle_stage);
}

static mle_status create(mle_sqlite_store *store, const mle_mlflow_new_experiment *request,
                         mle_arena *memory, mle_mlflow_experiment *out, mle_error *err) {
  MLE_TRY(need_free_name(store, request->name, memory, err));
  return insert_experiment(store, request, memory, out, err);
}

mle_status mle_sqlite_create_experiment(mle_mlflow *base, const mle_mlflow_new_experiment *request,
                                        mle_arena *memory, mle_mlflow_experiment *out,
                                        mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, create(store, request, memory, out, err), err);
}

/* ====== Reading ====== */

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

static mle_status search(mle_sqlite_store *store, const mle_mlflow_search *search,
                         mle_arena *memory, mle_mlflow_experiments *out, mle_error *err) {
  mle_buffer sql = MLE_BUFFER(MLE_SQLITE_SQL_MAX);
  mle_db_rows rows = {0};
  mle_status status;
  MLE_GO(mle_buffer_printf(&sql, err, "select " COLUMNS " from experiments r where %s%s",
                           mle_sqlite_in_view(search->view),
                           store->layout.experiment_workspaces ? " and r.workspace = 'default'" : ""));
  MLE_GO(mle_sqlite_put_search(&sql, &mle_sqlite_experiments, search, memory, err));
  MLE_GO(mle_db_query(store->db, &rows, err, sql.data, ""));
  MLE_GO(read_list(&rows, memory, out, err));
  status = mle_sqlite_next_page(search, &out->count, memory, &out->next_page_token, err);
done:
  mle_db_end(&rows);
  mle_buffer_release(&sql);
  return status;
}

mle_status mle_sqlite_search_experiments(mle_mlflow *base, const mle_mlflow_search *request,
                                         mle_arena *memory, mle_mlflow_experiments *out,
                                         mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_look(store, err));
  MLE_TRY(search(store, request, memory, out, err));
  mle_mlflow_experiment *list = (void *)(uintptr_t)out->item;
  for (size_t i = 0; i < out->count; i++) MLE_TRY(read_tags(store, memory, &list[i], err));
  return MLE_OK;
}

/* ====== Changing ====== */

static mle_status need_active(mle_sqlite_store *store, const char *id, mle_arena *memory,
                              mle_error *err) {
  mle_mlflow_experiment experiment = {0};
  MLE_TRY(mle_sqlite_get_experiment(&store->base, id, memory, &experiment, err));
  if (strcmp(experiment.lifecycle_stage, "active") == 0) return MLE_OK;
  return mle_fail(err, MLE_EREFUSED, "experiment '%s' is deleted; restore it first", experiment.name);
}

static mle_status delete_tag(mle_sqlite_store *store, const char *id, const char *key,
                             mle_error *err) {
  MLE_TRY(mle_db_run(store->db, err,
                     "delete from experiment_tags where key = ?"
                     " and experiment_id = cast(? as integer)",
                     "ss", key, id));
  if (mle_db_changes(store->db) > 0) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "experiment %s has no tag '%.250s'", id, key);
}

static mle_status change_experiment(mle_sqlite_store *store, const char *id,
                                    const mle_mlflow_change *change, mle_arena *memory,
                                    mle_error *err) {
  MLE_TRY(need_active(store, id, memory, err));
  MLE_TRY(put_tags(store, id, &change->set_tags, err));
  if (change->delete_tag != NULL) MLE_TRY(delete_tag(store, id, change->delete_tag, err));
  if (change->name == NULL) return MLE_OK;
  MLE_TRY(need_free_name(store, change->name, memory, err));
  return mle_db_run(store->db, err,
                    "update experiments set name = ?, last_update_time = ?"
                    " where experiment_id = cast(? as integer)",
                    "sis", change->name, mle_now_ms(), id);
}

mle_status mle_sqlite_change_experiment(mle_mlflow *base, const char *id,
                                        const mle_mlflow_change *change, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_arena memory = MLE_ARENA;
  mle_status status = mle_sqlite_begin(store, err);
  if (status == MLE_OK)
    status = mle_sqlite_end(store, change_experiment(store, id, change, &memory, err), err);
  mle_arena_release(&memory);
  return status;
}

/* Its runs go and come back with it. */
static mle_status stage(mle_sqlite_store *store, const char *id, bool active, mle_arena *memory,
                        mle_error *err) {
  mle_mlflow_experiment experiment = {0};
  const char *to = active ? "active" : "deleted";
  int64_t now = mle_now_ms();
  MLE_TRY(mle_sqlite_get_experiment(&store->base, id, memory, &experiment, err));
  if (strcmp(experiment.lifecycle_stage, to) == 0)
    return mle_fail(err, MLE_EREFUSED, "experiment '%s' is %s already", experiment.name, to);
  MLE_TRY(mle_db_run(store->db, err,
                     "update experiments set lifecycle_stage = ?, last_update_time = ?"
                     " where experiment_id = cast(? as integer)",
                     "sis", to, now, id));
  return mle_db_run(store->db, err,
                    "update runs set lifecycle_stage = ?, deleted_time = nullif(?, 0)"
                    " where experiment_id = cast(? as integer)",
                    "sis", to, active ? (int64_t)0 : now, id);
}

mle_status mle_sqlite_stage_experiment(mle_mlflow *base, const char *id, bool active,
                                       mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_arena memory = MLE_ARENA;
  mle_status status = mle_sqlite_begin(store, err);
  if (status == MLE_OK) status = mle_sqlite_end(store, stage(store, id, active, &memory, err), err);
  mle_arena_release(&memory);
  return status;
}
