/*
 * sqlite.h -- the tracking store in MLflow's SQLite file; private to engine/mlflow.
 *
 * The file belongs to others as well: MLflow may write to it, or upgrade it, at
 * any moment. Hence each write is one short IMMEDIATE transaction that begins by
 * looking at the tables as they are now, each insert names its columns, and a
 * row that may be there already is looked for rather than left to ON CONFLICT,
 * whose targets changed between revisions.
 */
#ifndef MLE_MLFLOW_SQLITE_H
#define MLE_MLFLOW_SQLITE_H

#include "engine/base/db.h"
#include "engine/mlflow/backend.h"
#include "engine/mlflow/schema.h"

typedef struct mle_sqlite_store {
  mle_mlflow base; /* first: a store is one of these */
  mle_db *db;
  char *artifacts; /* ROOT/mlruns, absolute, beside the file */
  mle_mlflow_layout layout;
} mle_sqlite_store;

/* Opens the file, making it when missing. */
mle_status mle_mlflow_open_sqlite(const char *path, mle_mlflow **out, mle_error *err);

/* Before reading: the layout is that of the file now. */
mle_sqlite_store *mle_sqlite_of(mle_mlflow *store);
mle_status mle_sqlite_look(mle_sqlite_store *store, mle_error *err);

/* Around writing: begin, and end with the status of what came between. */
mle_status mle_sqlite_begin(mle_sqlite_store *store, mle_error *err);
mle_status mle_sqlite_end(mle_sqlite_store *store, mle_status status, mle_error *err);

/* Copies a text column into `memory`; NULL for null. */
mle_status mle_sqlite_text(const mle_db_rows *rows, int column, mle_arena *memory,
                           const char **out, mle_error *err);

/* The pairs that `sql` selects for an id, and a number unless that is 0. */
mle_status mle_sqlite_pairs(mle_sqlite_store *store, const char *sql, const char *id,
                            int64_t number, mle_arena *memory, mle_mlflow_pairs *out,
                            mle_error *err);

/* A condition on the stage of table `r`. */
const char *mle_sqlite_in_view(mle_mlflow_view view);

/* SQL whose last condition is inside the workspace "default", where there are workspaces. */
#define MLE_SQLITE_SCOPED(has_workspaces, sql) \
  ((has_workspaces) ? sql " and workspace = 'default'" : sql)

/* ENOTFOUND when there is no such run; EREFUSED when it is deleted. */
mle_status mle_sqlite_need_run(mle_sqlite_store *store, const char *run_id, mle_error *err);

/* Writes tags of an existing run, replacing. */
mle_status mle_sqlite_put_tags(mle_sqlite_store *store, const char *run_id,
                               const mle_mlflow_pairs *tags, mle_error *err);

/* The columns of a run, in the order mle_sqlite_read_run reads them. */
#define MLE_SQLITE_RUN_COLUMNS                                                             \
  "run_uuid, experiment_id, name, user_id, status, lifecycle_stage, artifact_uri," \
  " start_time, end_time"
mle_status mle_sqlite_read_run(const mle_db_rows *rows, mle_arena *memory, mle_mlflow_run *out,
                               mle_error *err);

/* ====== The calls, by file ====== */

/* sqlite_experiments.c */
mle_status mle_sqlite_create_experiment(mle_mlflow *, const mle_mlflow_new_experiment *,
                                        mle_arena *, mle_mlflow_experiment *, mle_error *);
mle_status mle_sqlite_get_experiment(mle_mlflow *, const char *, mle_arena *,
                                     mle_mlflow_experiment *, mle_error *);
mle_status mle_sqlite_find_experiment(mle_mlflow *, const char *, mle_arena *,
                                      mle_mlflow_experiment *, mle_error *);
mle_status mle_sqlite_search_experiments(mle_mlflow *, const mle_mlflow_search *, mle_arena *,
                                         mle_mlflow_experiments *, mle_error *);
mle_status mle_sqlite_change_experiment(mle_mlflow *, const char *, const mle_mlflow_change *,
                                        mle_error *);
mle_status mle_sqlite_stage_experiment(mle_mlflow *, const char *, bool, mle_error *);

/* sqlite_runs.c */
mle_status mle_sqlite_create_run(mle_mlflow *, const mle_mlflow_new_run *, mle_arena *,
                                 mle_mlflow_run *, mle_error *);
mle_status mle_sqlite_get_run(mle_mlflow *, const char *, mle_arena *, mle_mlflow_run *,
                              mle_error *);
mle_status mle_sqlite_get_run_data(mle_mlflow *, const char *, mle_arena *, mle_mlflow_run_data *,
                                   mle_error *);
mle_status mle_sqlite_metric_history(mle_mlflow *, const char *, const char *, mle_arena *,
                                     mle_mlflow_metrics *, mle_error *);
mle_status mle_sqlite_update_run(mle_mlflow *, const char *, const mle_mlflow_run_change *, bool,
                                 mle_error *);

mle_status mle_sqlite_stage_run(mle_mlflow *, const char *, bool, mle_error *);
mle_status mle_sqlite_delete_tag(mle_mlflow *, const char *, const char *, mle_error *);
mle_status mle_sqlite_search_runs(mle_mlflow *, const mle_mlflow_search *, mle_arena *,
                                  mle_mlflow_runs *, mle_error *);

/* sqlite_log.c */
mle_status mle_sqlite_log_batch(mle_mlflow *, const char *, const mle_mlflow_batch *, mle_error *);
mle_status mle_sqlite_log_dataset(mle_mlflow *, const char *, const mle_mlflow_dataset *,
                                  mle_error *);

/* sqlite_models.c */
mle_status mle_sqlite_begin_model(mle_mlflow *, const char *, const char *, mle_arena *,
                                  mle_mlflow_model *, mle_error *);
mle_status mle_sqlite_finish_model(mle_mlflow *, const mle_mlflow_model *, bool, const char *,
                                   mle_error *);
mle_status mle_sqlite_get_model(mle_mlflow *, const char *, mle_arena *, mle_mlflow_model *,
                                mle_error *);
mle_status mle_sqlite_find_model(mle_mlflow *, const char *, const char *, mle_arena *,
                                 mle_mlflow_model *, mle_error *);
/* Adds a version to the model's tag mlflow.modelVersions; nothing in MLflow 2's layout. */
mle_status mle_sqlite_tag_model_version(mle_sqlite_store *, const char *model_id,
                                        const char *name, int64_t version, mle_error *);

/* sqlite_logged.c */
mle_status mle_sqlite_get_logged(mle_mlflow *, const char *, mle_arena *, mle_mlflow_logged *,
                              mle_error *);
mle_status mle_sqlite_search_logged(mle_mlflow *, const mle_mlflow_search *, mle_arena *,
                                 mle_mlflow_logged_list *, mle_error *);
mle_status mle_sqlite_change_logged(mle_mlflow *, const char *, const mle_mlflow_change *,
                                 mle_error *);
mle_status mle_sqlite_delete_logged(mle_mlflow *, const char *, mle_error *);
mle_status mle_sqlite_put_logged_tag(mle_sqlite_store *, const char *id, const char *key,
                                     const char *value, mle_error *);

/* sqlite_registry.c */
mle_status mle_sqlite_create_registered_model(mle_mlflow *, const char *, const char *,
                                              mle_error *);
mle_status mle_sqlite_get_registered_model(mle_mlflow *, const char *, mle_arena *,
                                           mle_mlflow_registered_model *, mle_error *);
mle_status mle_sqlite_search_registered_models(mle_mlflow *, const mle_mlflow_search *,
                                               mle_arena *, mle_mlflow_registered_models *,
                                               mle_error *);
mle_status mle_sqlite_change_registered_model(mle_mlflow *, const char *,
                                              const mle_mlflow_change *, mle_error *);
mle_status mle_sqlite_delete_registered_model(mle_mlflow *, const char *, mle_error *);
/* ENOTFOUND when there is none of that name. */
mle_status mle_sqlite_need_model(mle_sqlite_store *, const char *name, mle_error *);
/* It was changed now. */
mle_status mle_sqlite_touch_model(mle_sqlite_store *, const char *name, mle_error *);
mle_status mle_sqlite_set_alias(mle_mlflow *, const char *, const char *, int64_t, mle_error *);
mle_status mle_sqlite_get_alias(mle_mlflow *, const char *, const char *, int64_t *, mle_error *);
mle_status mle_sqlite_delete_alias(mle_mlflow *, const char *, const char *, mle_error *);

/* sqlite_versions.c */
mle_status mle_sqlite_create_version(mle_mlflow *, const mle_mlflow_new_version *, int64_t *,
                                     mle_error *);
mle_status mle_sqlite_get_version(mle_mlflow *, const char *, int64_t, mle_arena *,
                                  mle_mlflow_version *, mle_error *);
mle_status mle_sqlite_list_versions(mle_mlflow *, const char *, mle_arena *, mle_mlflow_versions *,
                                    mle_error *);
mle_status mle_sqlite_search_versions(mle_mlflow *, const mle_mlflow_search *, mle_arena *,
                                      mle_mlflow_versions *, mle_error *);
mle_status mle_sqlite_change_version(mle_mlflow *, const char *, int64_t,
                                     const mle_mlflow_change *, mle_error *);
mle_status mle_sqlite_delete_version(mle_mlflow *, const char *, int64_t, mle_error *);
mle_status mle_sqlite_need_version(mle_sqlite_store *, const char *name, int64_t version,
                                   mle_error *);

#endif
