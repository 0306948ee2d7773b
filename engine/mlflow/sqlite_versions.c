/*
 * sqlite_versions.c -- the versions of registered models, in SQLite.
 *
 * A version's stage is the text 'None' (a null would hide it). One that is
 * deleted stays as a row of stage 'Deleted_Internal', so that its number is not
 * given again.
 */
#include <string.h>

#include "engine/base/clock.h"
#include "engine/mlflow/sqlite_search.h"

#define SCOPED(store, sql) MLE_SQLITE_SCOPED((store)->layout.registry_workspaces, sql)

/* ====== Writing ====== */

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
  return mle_sqlite_touch_model(store, version->name, err);
}

static mle_status create_version(mle_sqlite_store *store, const mle_mlflow_new_version *version,
                                 int64_t *out, mle_error *err) {
  MLE_TRY(mle_sqlite_need_model(store, version->name, err));
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

mle_status mle_sqlite_need_version(mle_sqlite_store *store, const char *name, int64_t version,
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

static mle_status delete_version_tag(mle_sqlite_store *store, const char *name, int64_t version,
                                     const char *key, mle_error *err) {
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "delete from model_version_tags"
                                   " where key = ? and name = ? and version = ?"),
                     "ssi", key, name, version));
  if (mle_db_changes(store->db) > 0) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "models:/%s/%lld has no tag '%.250s'", name,
                  (long long)version, key);
}

static mle_status change_version(mle_sqlite_store *store, const char *name, int64_t version,
                                 const mle_mlflow_change *change, mle_error *err) {
  MLE_TRY(mle_sqlite_need_version(store, name, version, err));
  for (size_t i = 0; i < change->set_tags.count; i++)
    MLE_TRY(put_version_tag(store, name, version, change->set_tags.item[i].key,
                            change->set_tags.item[i].value, err));
  if (change->delete_tag != NULL)
    MLE_TRY(delete_version_tag(store, name, version, change->delete_tag, err));
  if (change->description == NULL) return MLE_OK;
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "update model_versions set description = ?,"
                                   " last_updated_time = ? where name = ? and version = ?"),
                     "sisi", change->description, mle_now_ms(), name, version));
  return mle_sqlite_touch_model(store, name, err);
}

mle_status mle_sqlite_change_version(mle_mlflow *base, const char *name, int64_t version,
                                     const mle_mlflow_change *change, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, change_version(store, name, version, change, err), err);
}

/* The row stays with nothing in it, as MLflow leaves it. */
static mle_status delete_version(mle_sqlite_store *store, const char *name, int64_t version,
                                 mle_error *err) {
  MLE_TRY(mle_sqlite_need_version(store, name, version, err));
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "delete from registered_model_aliases where name = ? and version = ?"),
                     "si", name, version));
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "delete from model_version_tags where name = ? and version = ?"),
                     "si", name, version));
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "update model_versions set current_stage = 'Deleted_Internal',"
                                   " source = 'REDACTED-SOURCE-PATH', run_id = 'REDACTED-RUN-ID',"
                                   " run_link = 'REDACTED-RUN-LINK', description = null,"
                                   " user_id = null, status_message = null, storage_location = null,"
                                   " last_updated_time = ? where name = ? and version = ?"),
                     "isi", mle_now_ms(), name, version));
  return mle_sqlite_touch_model(store, name, err);
}

mle_status mle_sqlite_delete_version(mle_mlflow *base, const char *name, int64_t version,
                                     mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, delete_version(store, name, version, err), err);
}

/* ====== Reading ====== */

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

static mle_status read_rows(mle_db_rows *rows, mle_arena *memory, mle_mlflow_versions *out,
                            mle_error *err) {
  mle_mlflow_version *list = NULL;
  while (true) {
    MLE_TRY(mle_db_next(rows, err));
    if (!rows->found) return MLE_OK;
    list = mle_arena_grow(memory, list, out->count, sizeof *list);
    if (list == NULL) return mle_nomem(err, "listing versions");
    out->item = list;
    list[out->count] = (mle_mlflow_version){0};
    MLE_TRY(read_version(rows, memory, &list[out->count++], err));
  }
}

/* The rows of `sql`, which is let go, and their tags. */
static mle_status read_versions(mle_sqlite_store *store, const mle_buffer *sql, const char *name,
                                int64_t version, const mle_mlflow_search *page, mle_arena *memory,
                                mle_mlflow_versions *out, mle_error *err) {
  mle_db_rows rows = {0};
  mle_status status;
  if (name == NULL) MLE_GO(mle_db_query(store->db, &rows, err, sql->data, ""));
  if (name != NULL) MLE_GO(mle_db_query(store->db, &rows, err, sql->data, "si", name, version));
  MLE_GO(read_rows(&rows, memory, out, err));
  if (page != NULL)
    MLE_GO(mle_sqlite_next_page(page, &out->count, memory, &out->next_page_token, err));
  mle_mlflow_version *list = (void *)(uintptr_t)out->item;
  for (size_t i = 0; i < out->count; i++)
    MLE_GO(mle_sqlite_pairs(store,
                            SCOPED(store, "select key, value from model_version_tags"
                                          " where name = ? and version = ?"),
                            list[i].name, list[i].version, memory, &list[i].tags, err));
done:
  mle_db_end(&rows);
  return status;
}

static mle_status begin_sql(mle_sqlite_store *store, mle_buffer *sql, mle_error *err) {
  MLE_TRY(mle_sqlite_look(store, err));
  return mle_buffer_printf(sql, err,
                           "select " VERSION_COLUMNS " from model_versions r"
                           " where r.current_stage is not 'Deleted_Internal'%s",
                           store->layout.registry_workspaces ? " and r.workspace = 'default'" : "");
}

/* `version` 0: all of them, newest first. */
static mle_status list_versions(mle_sqlite_store *store, const char *name, int64_t version,
                                mle_arena *memory, mle_mlflow_versions *out, mle_error *err) {
  mle_buffer sql = MLE_BUFFER(MLE_SQLITE_SQL_MAX);
  mle_status status;
  MLE_GO(begin_sql(store, &sql, err));
  MLE_GO(mle_buffer_puts(
      &sql, " and r.name = ?1 and (?2 = 0 or r.version = ?2) order by r.version desc", err));
  status = read_versions(store, &sql, name, version, NULL, memory, out, err);
done:
  mle_buffer_release(&sql);
  return status;
}

mle_status mle_sqlite_get_version(mle_mlflow *base, const char *name, int64_t version,
                                  mle_arena *memory, mle_mlflow_version *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_mlflow_versions list = {0};
  if (version > 0) MLE_TRY(list_versions(store, name, version, memory, &list, err));
  if (list.count == 0)
    return mle_fail(err, MLE_ENOTFOUND, "registered model '%s' has no version %lld in '%s'", name,
                    (long long)version, mle_db_path(store->db));
  *out = list.item[0];
  return MLE_OK;
}

mle_status mle_sqlite_list_versions(mle_mlflow *base, const char *name, mle_arena *memory,
                                    mle_mlflow_versions *out, mle_error *err) {
  return list_versions(mle_sqlite_of(base), name, 0, memory, out, err);
}

mle_status mle_sqlite_search_versions(mle_mlflow *base, const mle_mlflow_search *search,
                                      mle_arena *memory, mle_mlflow_versions *out,
                                      mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_buffer sql = MLE_BUFFER(MLE_SQLITE_SQL_MAX);
  mle_status status;
  MLE_GO(begin_sql(store, &sql, err));
  MLE_GO(mle_sqlite_put_search(&sql, &mle_sqlite_versions, search, memory, err));
  status = read_versions(store, &sql, NULL, 0, search, memory, out, err);
done:
  mle_buffer_release(&sql);
  return status;
}
