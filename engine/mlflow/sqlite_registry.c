/* sqlite_registry.c -- registered models and their aliases, in SQLite */
#include <string.h>

#include "engine/base/clock.h"
#include "engine/mlflow/sqlite_search.h"

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

mle_status mle_sqlite_need_model(mle_sqlite_store *store, const char *name, mle_error *err) {
  bool there;
  MLE_TRY(has_model(store, name, &there, err));
  return there ? MLE_OK : fail_no_model(store, name, err);
}

/* ====== Reading ====== */

#define MODEL_COLUMNS "name, description, creation_time, last_updated_time"

static mle_status read_models(mle_db_rows *rows, mle_arena *memory,
                              mle_mlflow_registered_models *out, mle_error *err) {
  mle_mlflow_registered_model *list = NULL;
  while (true) {
    MLE_TRY(mle_db_next(rows, err));
    if (!rows->found) return MLE_OK;
    list = mle_arena_grow(memory, list, out->count, sizeof *list);
    if (list == NULL) return mle_nomem(err, "reading registered models");
    out->item = list;
    mle_mlflow_registered_model *model = &list[out->count++];
    *model = (mle_mlflow_registered_model){0};
    MLE_TRY(mle_sqlite_text(rows, 0, memory, &model->name, err));
    MLE_TRY(mle_sqlite_text(rows, 1, memory, &model->description, err));
    model->creation_time = mle_db_int(rows, 2);
    model->last_updated_time = mle_db_int(rows, 3);
  }
}

static mle_status read_tags_and_aliases(mle_sqlite_store *store, mle_arena *memory,
                                        const mle_mlflow_registered_models *models,
                                        mle_error *err) {
  mle_mlflow_registered_model *list = (void *)(uintptr_t)models->item;
  for (size_t i = 0; i < models->count; i++) {
    MLE_TRY(mle_sqlite_pairs(
        store, SCOPED(store, "select key, value from registered_model_tags where name = ?"),
        list[i].name, 0, memory, &list[i].tags, err));
    MLE_TRY(mle_sqlite_pairs(
        store, SCOPED(store, "select alias, version from registered_model_aliases where name = ?"),
        list[i].name, 0, memory, &list[i].aliases, err));
  }
  return MLE_OK;
}

mle_status mle_sqlite_get_registered_model(mle_mlflow *base, const char *name, mle_arena *memory,
                                           mle_mlflow_registered_model *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_mlflow_registered_models found = {0};
  mle_db_rows rows = {0};
  mle_status status;
  MLE_GO(mle_sqlite_look(store, err));
  MLE_GO(mle_db_query(store->db, &rows, err,
                      SCOPED(store, "select " MODEL_COLUMNS " from registered_models where name = ?"),
                      "s", name));
  MLE_GO(read_models(&rows, memory, &found, err));
  if (found.count == 0) status = fail_no_model(store, name, err);
  if (found.count == 0) goto done;
  MLE_GO(read_tags_and_aliases(store, memory, &found, err));
  *out = found.item[0];
done:
  mle_db_end(&rows);
  return status;
}

mle_status mle_sqlite_search_registered_models(mle_mlflow *base, const mle_mlflow_search *search,
                                               mle_arena *memory,
                                               mle_mlflow_registered_models *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_buffer sql = MLE_BUFFER(MLE_SQLITE_SQL_MAX);
  mle_db_rows rows = {0};
  mle_status status;
  MLE_GO(mle_sqlite_look(store, err));
  MLE_GO(mle_buffer_printf(&sql, err, "select " MODEL_COLUMNS " from registered_models r where %s",
                           store->layout.registry_workspaces ? "r.workspace = 'default'" : "true"));
  MLE_GO(mle_sqlite_put_search(&sql, &mle_sqlite_models, search, memory, err));
  MLE_GO(mle_db_query(store->db, &rows, err, sql.data, ""));
  MLE_GO(read_models(&rows, memory, out, err));
  MLE_GO(mle_sqlite_next_page(search, &out->count, memory, &out->next_page_token, err));
  status = read_tags_and_aliases(store, memory, out, err);
done:
  mle_db_end(&rows);
  mle_buffer_release(&sql);
  return status;
}

/* ====== Changing ====== */

mle_status mle_sqlite_touch_model(mle_sqlite_store *store, const char *name, mle_error *err) {
  return mle_db_run(store->db, err,
                    SCOPED(store, "update registered_models set last_updated_time = ?"
                                  " where name = ?"),
                    "is", mle_now_ms(), name);
}

static mle_status put_model_tag(mle_sqlite_store *store, const char *name,
                                const mle_mlflow_pair *tag, mle_error *err) {
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "update registered_model_tags set value = ?"
                                   " where key = ? and name = ?"),
                     "sss", tag->value, tag->key, name));
  if (mle_db_changes(store->db) > 0) return MLE_OK;
  return mle_db_run(store->db, err,
                    "insert into registered_model_tags (key, value, name) values (?, ?, ?)", "sss",
                    tag->key, tag->value, name);
}

static mle_status delete_model_tag(mle_sqlite_store *store, const char *name, const char *key,
                                   mle_error *err) {
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "delete from registered_model_tags where key = ? and name = ?"),
                     "ss", key, name));
  if (mle_db_changes(store->db) > 0) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "registered model '%s' has no tag '%.250s'", name, key);
}

/* Versions, tags and aliases follow by the tables' own rules (on update cascade). */
static mle_status rename_model(mle_sqlite_store *store, const char *name, const char *to,
                               mle_error *err) {
  bool taken;
  MLE_TRY(has_model(store, to, &taken, err));
  if (taken) return mle_fail(err, MLE_EEXISTS, "registered model '%s' exists already", to);
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "update registered_models set name = ? where name = ?"), "ss", to,
                     name));
  return mle_db_run(store->db, err,
                    SCOPED(store, "update model_versions set last_updated_time = ? where name = ?"),
                    "is", mle_now_ms(), to);
}

static mle_status change_model(mle_sqlite_store *store, const char *name,
                               const mle_mlflow_change *change, mle_error *err) {
  MLE_TRY(mle_sqlite_need_model(store, name, err));
  for (size_t i = 0; i < change->set_tags.count; i++)
    MLE_TRY(put_model_tag(store, name, &change->set_tags.item[i], err));
  if (change->delete_tag != NULL) MLE_TRY(delete_model_tag(store, name, change->delete_tag, err));
  if (change->description != NULL)
    MLE_TRY(mle_db_run(store->db, err,
                       SCOPED(store, "update registered_models set description = ? where name = ?"),
                       "ss", change->description, name));
  MLE_TRY(mle_sqlite_touch_model(store, name, err));
  return change->name == NULL || strcmp(change->name, name) == 0
             ? MLE_OK
             : rename_model(store, name, change->name, err);
}

mle_status mle_sqlite_change_registered_model(mle_mlflow *base, const char *name,
                                              const mle_mlflow_change *change, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, change_model(store, name, change, err), err);
}

/* Not left to a cascade: not each foreign key of each revision has one. */
static mle_status delete_model(mle_sqlite_store *store, const char *name, mle_error *err) {
  MLE_TRY(mle_sqlite_need_model(store, name, err));
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "delete from registered_model_aliases where name = ?"), "s", name));
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "delete from registered_model_tags where name = ?"), "s", name));
  MLE_TRY(mle_db_run(store->db, err, SCOPED(store, "delete from model_version_tags where name = ?"),
                     "s", name));
  MLE_TRY(mle_db_run(store->db, err, SCOPED(store, "delete from model_versions where name = ?"), "s",
                     name));
  return mle_db_run(store->db, err, SCOPED(store, "delete from registered_models where name = ?"), "s",
                    name);
}

mle_status mle_sqlite_delete_registered_model(mle_mlflow *base, const char *name, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, delete_model(store, name, err), err);
}

/* ====== Aliases ====== */

static mle_status put_alias(mle_sqlite_store *store, const char *name, const char *alias,
                            int64_t version, mle_error *err) {
  MLE_TRY(mle_sqlite_need_version(store, name, version, err));
  MLE_TRY(mle_db_run(store->db, err,
                     SCOPED(store, "update registered_model_aliases set version = ?"
                                   " where name = ? and alias = ?"),
                     "iss", version, name, alias));
  if (mle_db_changes(store->db) == 0)
    MLE_TRY(mle_db_run(store->db, err,
                       "insert into registered_model_aliases (alias, version, name)"
                       " values (?, ?, ?)",
                       "sis", alias, version, name));
  return mle_sqlite_touch_model(store, name, err);
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
