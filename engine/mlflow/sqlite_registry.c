/*
 * sqlite_registry.c -- registered models, their versions and aliases, in SQLite.
 *
 * A version's stage is the text 'None' (a null would hide it). One that MLflow
 * deletes stays as a row of stage 'Deleted_Internal', so that its number is not
 * given again.
 */
#include <string.h>

#include "engine/base/clock.h"
#include "engine/mlflow/sqlite.h"

#define SCOPED(store, sql) MLE_SQLITE_SCOPED((store)->layout.registry_workspaces, sql)

static mle_status fail_no_model(mle_sqlite_store *store, const char *name, mle_error *err) {
  return mle_fail(err, MLE_ENOTFOUND, "there is no registered model '%s' in '%s'", name,
                  mle_db_path(store->db));
}

/* ====== Registered models ====== */

static mle_status has_model(mle_sqlite_store *store, const char *name, bool *out, mle_error *err) {
  int64_t count;
  mle_status status =
      mle_db_get_int(store->db, 0, &count, err,
                     SCOPED(store, "select count(*) from registered_models where name = ?"), "s",
                     name);
  *out = count > 0;
  return status;
}

static mle_status insert_model(mle_sqlite_store *store, const char *name, const char *description,
                               mle_error *err) {
  bool taken;
  int64_t now = mle_now_ms();
  MLE_TRY(has_model(store, name, &taken, err));
  if (taken) return mle_fail(err, MLE_EEXISTS, "registered model '%s' exists already", name);
  return mle_db_run(store->db, err,
                    "insert into registered_models (name, creation_time, last_updated_time,"
                    " description) values (?, ?, ?, ?)",
                    "siis", name, now, now, description);
}

mle_status mle_sqlite_create_registered_model(mle_mlflow *base, const char *name,
                                              const char *description, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, insert_model(store, name, description, err), err);
}

static mle_status read_model(mle_db_rows *rows, mle_arena *memory,
                             mle_mlflow_registered_model *out, mle_error *err) {
  MLE_TRY(mle_db_next(rows, err));
  if (!rows->found) return MLE_OK;
  MLE_TRY(mle_sqlite_text(rows, 0, memory, &out->name, err));
  MLE_TRY(mle_sqlite_text(rows, 1, memory, &out->description, err));
  out->creation_time = mle_db_int(rows, 2);
  out->last_updated_time = mle_db_int(rows, 3);
  return MLE_OK;
}

mle_status mle_sqlite_get_registered_model(mle_mlflow *base, const char *name, mle_arena *memory,
                                           mle_mlflow_registered_model *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_db_rows rows;
  MLE_TRY(mle_sqlite_look(store, err));
  mle_status status =
      mle_db_query(store->db, &rows, err,
                   SCOPED(store, "select name, description, creation_time, last_updated_time"
                                 " from registered_models where name = ?"),
                   "s", name);
  if (status == MLE_OK) status = read_model(&rows, memory, out, err);
  mle_db_end(&rows);
  if (status == MLE_OK && out->name == NULL) return fail_no_model(store, name, err);
  return status;
}

static mle_status touch_model(mle_sqlite_store *store, const char *name, mle_error *err) {
  return mle_db_run(store->db, err,
                    SCOPED(store, "update registered_models set last_updated_time = ?"
                                  " where name = ?"),
                    "is", mle_now_ms(), name);
}

/* ====== Versions: writing ====== */

static mle_status put_version_tag(mle_sqlite_store *store, const char *name, int64_t version,
                                  const char *key, const char *value, mle_error *err) {
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "update model_version_tags set value = ?"
                                   " where key = ? and name = ? and version = ?"),
                     "sssi", value, key, name, version));
  if (mle_db_changes(store->db) > 0) return MLE_OK;
  return mle_db_run(store->db, err,
                    "insert into model_version_tags (key, value, name, version)"
                    " values (?, ?, ?, ?)",
                    "sssi", key, value, name, version);
}

static mle_status insert_version(mle_sqlite_store *store, const mle_mlflow_new_version *version,
                                 int64_t number, mle_error *err) {
  int64_t now = mle_now_ms();
  MLE_TRY(mle_db_run(store->db, err,
                     "insert into model_versions (name, version, creation_time,"
                     " last_updated_time, description, current_stage, source, run_id, status,"
                     " storage_location) values (?, ?, ?, ?, ?, 'None', ?, ?, 'READY', ?)",
                     "siiissss", version->name, number, now, now, version->description,
                     version->source, version->run_id, version->location));
  for (size_t i = 0; i < version->tags.count; i++)
    MLE_TRY(put_version_tag(store, version->name, number, version->tags.item[i].key,
                            version->tags.item[i].value, err));
  MLE_TRY(mle_sqlite_tag_model_version(store, version->model_id, version->name, number, err));
  return touch_model(store, version->name, err);
}

static mle_status create_version(mle_sqlite_store *store, const mle_mlflow_new_version *version,
                                 int64_t *out, mle_error *err) {
  bool there;
  MLE_TRY(has_model(store, version->name, &there, err));
  if (!there) return fail_no_model(store, version->name, err);
  MLE_TRY(mle_db_get_int(store->db, 0, out, err,
                         SCOPED(store, "select max(version) from model_versions where name = ?"),
                         "s", version->name));
  ++*out;
  return insert_version(store, version, *out, err);
}

mle_status mle_sqlite_create_version(mle_mlflow *base, const mle_mlflow_new_version *version,
                                     int64_t *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  mle_status status = mle_sqlite_end(store, create_version(store, version, out, err), err);
  if (status != MLE_OK) *out = 0;
  return status;
}

static mle_status need_version(mle_sqlite_store *store, const char *name, int64_t version,
                               mle_error *err) {
  int64_t count;
  MLE_TRY(mle_db_get_int(store->db, 0, &count, err,
                         SCOPED(store, "select count(*) from model_versions where name = ? and"
                                       " version = ? and current_stage is not 'Deleted_Internal'"),
                         "si", name, version));
  if (count > 0) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "registered model '%s' has no version %lld", name,
                  (long long)version);
}

mle_status mle_sqlite_set_version_tag(mle_mlflow *base, const char *name, int64_t version,
                                      const char *key, const char *value, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  mle_status status = need_version(store, name, version, err);
  if (status == MLE_OK) status = put_version_tag(store, name, version, key, value, err);
  return mle_sqlite_end(store, status, err);
}

/* ====== Versions: reading ====== */

static mle_status read_tags(mle_sqlite_store *store, mle_arena *memory, mle_mlflow_version *version,
                            mle_error *err) {
  mle_db_rows rows;
  mle_mlflow_pair *list = NULL;
  mle_mlflow_pairs *tags = &version->tags;
  mle_status status = mle_db_query(store->db, &rows, err,
                                   SCOPED(store, "select key, value from model_version_tags"
                                                 " where name = ? and version = ?"),
                                   "si", version->name, version->version);
  while (status == MLE_OK) {
    MLE_GO(mle_db_next(&rows, err));
    if (!rows.found) break;
    list = mle_arena_grow(memory, list, tags->count, sizeof *list);
    if (list == NULL) status = mle_nomem(err, "reading a version");
    if (list == NULL) break;
    tags->item = list;
    MLE_GO(mle_sqlite_text(&rows, 0, memory, &list[tags->count].key, err));
    MLE_GO(mle_sqlite_text(&rows, 1, memory, &list[tags->count++].value, err));
  }
done:
  mle_db_end(&rows);
  return status;
}

#define VERSION_COLUMNS                                                                      \
  "name, status, current_stage, source, coalesce(storage_location, source), run_id," \
  " description, version, creation_time, last_updated_time"

static mle_status read_version(const mle_db_rows *rows, mle_arena *memory, mle_mlflow_version *out,
                               mle_error *err) {
  const char **const texts[] = {&out->name,     &out->status, &out->stage,      &out->source,
                                &out->location, &out->run_id, &out->description};
  for (int i = 0; i < 7; i++) MLE_TRY(mle_sqlite_text(rows, i, memory, texts[i], err));
  out->version = mle_db_int(rows, 7);
  out->creation_time = mle_db_int(rows, 8);
  out->last_updated_time = mle_db_int(rows, 9);
  return MLE_OK;
}

/* `version` 0: all of them, newest first. */
static mle_status read_versions(mle_sqlite_store *store, const char *name, int64_t version,
                                mle_arena *memory, mle_mlflow_versions *out, mle_error *err) {
  mle_db_rows rows;
  mle_mlflow_version *list = NULL;
  const char *sql = store->layout.registry_workspaces
                        ? "select " VERSION_COLUMNS " from model_versions where name = ?1"
                          " and (?2 = 0 or version = ?2) and workspace = 'default'"
                          " and current_stage is not 'Deleted_Internal' order by version desc"
                        : "select " VERSION_COLUMNS " from model_versions where name = ?1"
                          " and (?2 = 0 or version = ?2)"
                          " and current_stage is not 'Deleted_Internal' order by version desc";
  mle_status status = mle_db_query(store->db, &rows, err, sql, "si", name, version);
  while (status == MLE_OK) {
    MLE_GO(mle_db_next(&rows, err));
    if (!rows.found) break;
    list = mle_arena_grow(memory, list, out->count, sizeof *list);
    if (list == NULL) status = mle_nomem(err, "reading versions");
    if (list == NULL) break;
    out->item = list;
    MLE_GO(read_version(&rows, memory, &list[out->count], err));
    MLE_GO(read_tags(store, memory, &list[out->count++], err));
  }
done:
  mle_db_end(&rows);
  return status;
}

mle_status mle_sqlite_get_version(mle_mlflow *base, const char *name, int64_t version,
                                  mle_arena *memory, mle_mlflow_version *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_mlflow_versions list = {0};
  MLE_TRY(mle_sqlite_look(store, err));
  if (version > 0) MLE_TRY(read_versions(store, name, version, memory, &list, err));
  if (list.count == 0)
    return mle_fail(err, MLE_ENOTFOUND, "registered model '%s' has no version %lld in '%s'", name,
                    (long long)version, mle_db_path(store->db));
  *out = list.item[0];
  return MLE_OK;
}

mle_status mle_sqlite_list_versions(mle_mlflow *base, const char *name, mle_arena *memory,
                                    mle_mlflow_versions *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_look(store, err));
  return read_versions(store, name, 0, memory, out, err);
}

/* ====== Aliases ====== */

static mle_status put_alias(mle_sqlite_store *store, const char *name, const char *alias,
                            int64_t version, mle_error *err) {
  MLE_TRY(need_version(store, name, version, err));
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "update registered_model_aliases set version = ?"
                                   " where name = ? and alias = ?"),
                     "iss", version, name, alias));
  if (mle_db_changes(store->db) == 0)
    MLE_TRY(mle_db_run(store->db, err,
                       "insert into registered_model_aliases (alias, version, name)"
                       " values (?, ?, ?)",
                       "sis", alias, version, name));
  return touch_model(store, name, err);
}

mle_status mle_sqlite_set_alias(mle_mlflow *base, const char *name, const char *alias,
                                int64_t version, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, put_alias(store, name, alias, version, err), err);
}

mle_status mle_sqlite_get_alias(mle_mlflow *base, const char *name, const char *alias,
                                int64_t *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_look(store, err));
  return mle_db_get_int(store->db, 0, out, err,
                        SCOPED(store, "select version from registered_model_aliases"
                                      " where name = ? and alias = ?"),
                        "ss", name, alias);
}

mle_status mle_sqlite_delete_alias(mle_mlflow *base, const char *name, const char *alias,
                                   mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  mle_status status = mle_db_run(store->db, err,
                                 SCOPED(store, "delete from registered_model_aliases"
                                               " where name = ? and alias = ?"),
                                 "ss", name, alias);
  return mle_sqlite_end(store, status, err);
}
