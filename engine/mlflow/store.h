/*
 * store.h -- an MLflow tracking store: experiments, runs, models, versions.
 *
 *     mle_mlflow *store;
 *     mle_arena memory = MLE_ARENA;
 *     MLE_TRY(mle_mlflow_open("sqlite:///mlflow.db", &store, err));
 *     MLE_GO(mle_mlflow_create_run(store, &(mle_mlflow_new_run){.experiment_id = "0"}, &memory, &run, err));
 *     MLE_GO(mle_mlflow_log_batch(store, run.id, &batch, err));
 *     MLE_GO(mle_mlflow_end_run(store, run.id, MLE_MLFLOW_FINISHED, 0, err));
 *   done:
 *     mle_arena_release(&memory);
 *     mle_mlflow_close(store);
 *
 * What is read goes into the caller's arena and lives as long as that. Times
 * are milliseconds since 1970 UTC. Keys, values and names follow MLflow's rules
 * (rules.h), checked here before a store sees them. A store belongs to one
 * thread at a time; every other process may have it open as well.
 */
#ifndef MLE_MLFLOW_STORE_H
#define MLE_MLFLOW_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/error.h"

typedef struct mle_mlflow mle_mlflow;

/* ====== Opening ====== */

/*
 * Opens a store by MLflow's tracking URI: sqlite:///relative.db (to the working
 * folder), sqlite:////absolute.db, or a tracking server's http(s)://HOST:PORT, which is
 * asked only when it is needed. A file that is missing is made, mode 0600.
 * EUNSUPPORTED names what is not spoken; EREFUSED a file of an unknown version.
 */
mle_status mle_mlflow_open(const char *uri, mle_mlflow **out, mle_error *err);

/* One more owner, for an object that needs the store alive. */
mle_mlflow *mle_mlflow_retain(mle_mlflow *store);

/* Gives one owner up; the last one closes. NULL is ignored. */
void mle_mlflow_close(mle_mlflow *store);

/* ====== Shared ====== */

/* A parameter or tag; of an alias, its version as text. */
typedef struct mle_mlflow_pair {
  const char *key, *value;
} mle_mlflow_pair;

typedef struct mle_mlflow_pairs {
  size_t count;
  const mle_mlflow_pair *item;
} mle_mlflow_pairs;

/* The value of a key; NULL when it is not there. */
const char *mle_mlflow_find_pair(const mle_mlflow_pairs *pairs, const char *key);

/*
 * What to change in an experiment, a registered model or a version. NULL and none
 * leave as it is. A tag that is to be deleted and not there is ENOTFOUND.
 */
typedef struct mle_mlflow_change {
  const char *name;        /* a new one; a version has none */
  const char *description; /* an experiment's is its tag mlflow.note.content */
  mle_mlflow_pairs set_tags;
  const char *delete_tag;
} mle_mlflow_change;

typedef enum mle_mlflow_view {
  MLE_MLFLOW_ACTIVE_ONLY,
  MLE_MLFLOW_DELETED_ONLY,
  MLE_MLFLOW_ALL
} mle_mlflow_view;

/*
 * A search. What it gives has `next_page_token`, for the same search once more from
 * where this one ended; NULL at the end.
 */
typedef struct mle_mlflow_search {
  const char *const *experiment_ids; /* of runs: where, NULL-terminated */
  const char *filter;                /* MLflow's grammar (filter.h), NULL: all */
  const char *const *order_by;       /* "metrics.auc DESC", ..., NULL: MLflow's order for it */
  size_t max;                        /* 0: 1000 */
  mle_mlflow_view view;              /* of runs and experiments */
  const char *page_token;            /* NULL: from the start */
} mle_mlflow_search;

/* ====== Experiments ====== */

typedef struct mle_mlflow_experiment {
  const char *id; /* a number as text */
  const char *name;
  const char *artifact_location; /* folder of its runs' and models' artifacts */
  const char *lifecycle_stage;   /* active, deleted */
  int64_t creation_time, last_update_time;
  mle_mlflow_pairs tags;
} mle_mlflow_experiment;

typedef struct mle_mlflow_experiments {
  size_t count;
  const mle_mlflow_experiment *item;
  const char *next_page_token;
} mle_mlflow_experiments;

typedef struct mle_mlflow_new_experiment {
  const char *name;
  const char *artifact_location; /* a URI or an absolute folder; NULL: the store chooses */
  mle_mlflow_pairs tags;
} mle_mlflow_new_experiment;

/* EEXISTS when the name is taken, also by a deleted experiment. */
mle_status mle_mlflow_create_experiment(mle_mlflow *store, const mle_mlflow_new_experiment *request,
                                        mle_arena *memory, mle_mlflow_experiment *out,
                                        mle_error *err);

/* ENOTFOUND when absent; a deleted experiment is returned. */
mle_status mle_mlflow_get_experiment(mle_mlflow *store, const char *id, mle_arena *memory,
                                     mle_mlflow_experiment *out, mle_error *err);

/* By name; `out->id` is NULL when there is none. */
mle_status mle_mlflow_find_experiment(mle_mlflow *store, const char *name, mle_arena *memory,
                                      mle_mlflow_experiment *out, mle_error *err);

/* The active experiment of that name, created when missing; EREFUSED when deleted. */
mle_status mle_mlflow_use_experiment(mle_mlflow *store, const char *name, mle_arena *memory,
                                     mle_mlflow_experiment *out, mle_error *err);

/* Filters: name, creation_time, last_update_time, tags.x. Newest first. */
mle_status mle_mlflow_search_experiments(mle_mlflow *store, const mle_mlflow_search *search,
                                         mle_arena *memory, mle_mlflow_experiments *out,
                                         mle_error *err);

/* The active ones, oldest first. */
mle_status mle_mlflow_list_experiments(mle_mlflow *store, mle_arena *memory,
                                       mle_mlflow_experiments *out, mle_error *err);

/* EREFUSED when it is deleted. */
mle_status mle_mlflow_change_experiment(mle_mlflow *store, const char *id,
                                        const mle_mlflow_change *change, mle_error *err);

/* Deletes it with its runs, or brings all of them back. Nothing is removed from the store. */
mle_status mle_mlflow_delete_experiment(mle_mlflow *store, const char *id, mle_error *err);
mle_status mle_mlflow_restore_experiment(mle_mlflow *store, const char *id, mle_error *err);

/* ====== Runs ====== */

#define MLE_MLFLOW_RUNNING "RUNNING"
#define MLE_MLFLOW_FINISHED "FINISHED"
#define MLE_MLFLOW_FAILED "FAILED"
#define MLE_MLFLOW_KILLED "KILLED"

/* One point of a metric; the value may be NaN or infinite. */
typedef struct mle_mlflow_metric {
  const char *key;
  double value;
  int64_t timestamp, step;
} mle_mlflow_metric;

typedef struct mle_mlflow_metrics {
  size_t count;
  const mle_mlflow_metric *item;
} mle_mlflow_metrics;

/* The rows a run read. */
typedef struct mle_mlflow_dataset {
  const char *name;        /* at most 500 characters */
  const char *digest;      /* at most 36 */
  const char *source_type; /* "iceberg", "local", ... */
  const char *source;      /* JSON text: {"uri": ...} */
  const char *schema;      /* JSON text or NULL */
  const char *profile;     /* JSON text or NULL */
  const char *context;     /* "train", "eval", or NULL */
} mle_mlflow_dataset;

typedef struct mle_mlflow_run {
  const char *id;
  const char *experiment_id;
  const char *name;
  const char *user;
  const char *status;          /* RUNNING, SCHEDULED, FINISHED, FAILED, KILLED */
  const char *lifecycle_stage; /* active, deleted */
  const char *artifact_uri;
  int64_t start_time, end_time; /* end 0 while it runs */
} mle_mlflow_run;

typedef struct mle_mlflow_runs {
  size_t count;
  const mle_mlflow_run *item;
  const char *next_page_token;
} mle_mlflow_runs;

typedef struct mle_mlflow_run_data {
  mle_mlflow_pairs params, tags;
  mle_mlflow_metrics metrics; /* the latest point of each */
  size_t num_datasets;
  const mle_mlflow_dataset *dataset;
} mle_mlflow_run_data;

typedef struct mle_mlflow_new_run {
  const char *id;        /* 32 hex digits, to be known beforehand; NULL: the store chooses.
                            A tracking server always chooses: go by what comes back */
  const char *experiment_id;
  const char *name;      /* NULL: one is invented */
  const char *user;      /* NULL: the user of this process */
  int64_t start_time;    /* 0: now */
  mle_mlflow_pairs tags; /* mlflow.runName and mlflow.user are added */
} mle_mlflow_new_run;

/* A new RUNNING run; EREFUSED in a deleted experiment. */
mle_status mle_mlflow_create_run(mle_mlflow *store, const mle_mlflow_new_run *run,
                                 mle_arena *memory, mle_mlflow_run *out, mle_error *err);

mle_status mle_mlflow_get_run(mle_mlflow *store, const char *id, mle_arena *memory,
                              mle_mlflow_run *out, mle_error *err);
mle_status mle_mlflow_get_run_data(mle_mlflow *store, const char *id, mle_arena *memory,
                                   mle_mlflow_run_data *out, mle_error *err);

/* All points of one metric, by time and step. */
mle_status mle_mlflow_metric_history(mle_mlflow *store, const char *run_id, const char *key,
                                     mle_arena *memory, mle_mlflow_metrics *out, mle_error *err);

/* What to change; NULL and 0 leave as it is. */
typedef struct mle_mlflow_run_change {
  const char *status;
  const char *name;
  int64_t end_time;
} mle_mlflow_run_change;

mle_status mle_mlflow_update_run(mle_mlflow *store, const char *id,
                                 const mle_mlflow_run_change *change, mle_error *err);

/*
 * Ends a run that still runs; one that has ended keeps its status, so that a
 * late recovery changes nothing. `end_time` 0: now.
 */
mle_status mle_mlflow_end_run(mle_mlflow *store, const char *id, const char *status,
                              int64_t end_time, mle_error *err);

/* A deleted run keeps its data; it is neither found nor written to until it is restored. */
mle_status mle_mlflow_delete_run(mle_mlflow *store, const char *id, mle_error *err);
mle_status mle_mlflow_restore_run(mle_mlflow *store, const char *id, mle_error *err);

mle_status mle_mlflow_search_runs(mle_mlflow *store, const mle_mlflow_search *search,
                                  mle_arena *memory, mle_mlflow_runs *out, mle_error *err);

typedef struct mle_mlflow_batch {
  mle_mlflow_metrics metrics;
  mle_mlflow_pairs params, tags;
} mle_mlflow_batch;

/*
 * Writes all of the batch or nothing. A parameter keeps the value it was first
 * given (EREFUSED for another one); a tag is replaced. Long values are cut as
 * MLflow cuts them: parameters at 6000 characters, tags at 8000.
 */
mle_status mle_mlflow_log_batch(mle_mlflow *store, const char *run_id,
                                const mle_mlflow_batch *batch, mle_error *err);
mle_status mle_mlflow_set_tag(mle_mlflow *store, const char *run_id, const char *key,
                              const char *value, mle_error *err);

/* ENOTFOUND when the run has no such tag. */
mle_status mle_mlflow_delete_tag(mle_mlflow *store, const char *run_id, const char *key,
                                 mle_error *err);

/* The same dataset again in one run keeps its first context. */
mle_status mle_mlflow_log_dataset(mle_mlflow *store, const char *run_id,
                                  const mle_mlflow_dataset *dataset, mle_error *err);

/* ====== Models of a run ====== */

/*
 * A model as a run logs it. MLflow 3 keeps it as an entity of its own (`id`
 * "m-..."), MLflow 2 as a folder among the run's artifacts (`id` NULL); the
 * store knows which of them its other readers expect.
 */
typedef struct mle_mlflow_model {
  const char *id;           /* NULL in MLflow 2's layout */
  const char *name;         /* also the artifact path in MLflow 2's layout */
  const char *run_id;       /* NULL: made outside a run */
  const char *artifact_uri; /* where its files are, or go */
  const char *uri;          /* models:/m-..., or runs:/RUN/NAME */
  const char *format;       /* the MLflow version whose layout this is: for its MLmodel */
} mle_mlflow_model;

/* Says where a model's files go; until it is finished nobody may use it. */
mle_status mle_mlflow_begin_model(mle_mlflow *store, const char *run_id, const char *name,
                                  mle_arena *memory, mle_mlflow_model *out, mle_error *err);

/* Declares the files complete, or the upload failed. `flavors` is JSON text of the MLmodel's. */
mle_status mle_mlflow_finish_model(mle_mlflow *store, const mle_mlflow_model *model, bool ready,
                                   const char *flavors, mle_error *err);

/* By its id; by its run and name (`out->uri` NULL when there is none). MLflow 3's layout only. */
mle_status mle_mlflow_get_model(mle_mlflow *store, const char *id, mle_arena *memory,
                                mle_mlflow_model *out, mle_error *err);
mle_status mle_mlflow_find_model(mle_mlflow *store, const char *run_id, const char *name,
                                 mle_arena *memory, mle_mlflow_model *out, mle_error *err);

/* ====== Logged models: MLflow 3's entities, wherever they were logged ====== */

typedef struct mle_mlflow_logged {
  mle_mlflow_model model;
  const char *experiment_id;
  const char *type;   /* NULL: not said */
  const char *status; /* PENDING, READY, UPLOAD_FAILED */
  int64_t creation_time, last_updated_time;
  mle_mlflow_pairs params, tags;
  mle_mlflow_metrics metrics; /* the latest point of each */
} mle_mlflow_logged;

typedef struct mle_mlflow_logged_list {
  size_t count;
  const mle_mlflow_logged *item;
  const char *next_page_token;
} mle_mlflow_logged_list;

/* All of these are EUNSUPPORTED in a store of MLflow 2's, which knows no such entities. */
mle_status mle_mlflow_get_logged(mle_mlflow *store, const char *id, mle_arena *memory,
                                 mle_mlflow_logged *out, mle_error *err);

/* Filters: name, model_id, ..., metrics.x, params.x, tags.x. Newest first. */
mle_status mle_mlflow_search_logged(mle_mlflow *store, const mle_mlflow_search *search,
                                    mle_arena *memory, mle_mlflow_logged_list *out,
                                    mle_error *err);

/* Its tags: nothing else of it changes. */
mle_status mle_mlflow_change_logged(mle_mlflow *store, const char *id,
                                    const mle_mlflow_change *change, mle_error *err);

/* It is no longer found; its files and the versions made of it stay. */
mle_status mle_mlflow_delete_logged(mle_mlflow *store, const char *id, mle_error *err);

/* ====== Registry ====== */

typedef struct mle_mlflow_registered_model {
  const char *name, *description;
  int64_t creation_time, last_updated_time;
  mle_mlflow_pairs tags, aliases;
} mle_mlflow_registered_model;

typedef struct mle_mlflow_registered_models {
  size_t count;
  const mle_mlflow_registered_model *item;
  const char *next_page_token;
} mle_mlflow_registered_models;

typedef struct mle_mlflow_version {
  const char *name;
  int64_t version;
  const char *status;   /* READY */
  const char *stage;    /* None, Production, ... */
  const char *source;   /* what it was made from */
  const char *location; /* the folder of its files */
  const char *run_id;   /* NULL: of no run */
  const char *description;
  int64_t creation_time, last_updated_time;
  mle_mlflow_pairs tags;
} mle_mlflow_version;

typedef struct mle_mlflow_versions {
  size_t count;
  const mle_mlflow_version *item;
  const char *next_page_token;
} mle_mlflow_versions;

typedef struct mle_mlflow_new_version {
  const char *name;     /* of the registered model, which must exist */
  const char *source;   /* as MLflow keeps it: a folder, models:/m-... */
  const char *location; /* the folder of its files */
  const char *run_id, *model_id, *description;
  mle_mlflow_pairs tags;
} mle_mlflow_new_version;

/* EEXISTS when the name is taken. */
mle_status mle_mlflow_create_registered_model(mle_mlflow *store, const char *name,
                                              const char *description, mle_error *err);
mle_status mle_mlflow_get_registered_model(mle_mlflow *store, const char *name, mle_arena *memory,
                                           mle_mlflow_registered_model *out, mle_error *err);

/* Filters: name, tags.x. By name. */
mle_status mle_mlflow_search_registered_models(mle_mlflow *store, const mle_mlflow_search *search,
                                               mle_arena *memory,
                                               mle_mlflow_registered_models *out, mle_error *err);
mle_status mle_mlflow_change_registered_model(mle_mlflow *store, const char *name,
                                              const mle_mlflow_change *change, mle_error *err);

/* With its versions, aliases and tags, for good; the files stay. */
mle_status mle_mlflow_delete_registered_model(mle_mlflow *store, const char *name, mle_error *err);

/* Numbers are never given twice, also after a deletion. */
mle_status mle_mlflow_create_version(mle_mlflow *store, const mle_mlflow_new_version *version,
                                     int64_t *out, mle_error *err);
mle_status mle_mlflow_get_version(mle_mlflow *store, const char *name, int64_t version,
                                  mle_arena *memory, mle_mlflow_version *out, mle_error *err);

/* All that are not deleted, newest first. */
mle_status mle_mlflow_list_versions(mle_mlflow *store, const char *name, mle_arena *memory,
                                    mle_mlflow_versions *out, mle_error *err);

/* Filters: name, version_number, run_id, source_path, tags.x. Last changed first. */
mle_status mle_mlflow_search_versions(mle_mlflow *store, const mle_mlflow_search *search,
                                      mle_arena *memory, mle_mlflow_versions *out, mle_error *err);
mle_status mle_mlflow_change_version(mle_mlflow *store, const char *name, int64_t version,
                                     const mle_mlflow_change *change, mle_error *err);
mle_status mle_mlflow_set_version_tag(mle_mlflow *store, const char *name, int64_t version,
                                      const char *key, const char *value, mle_error *err);

/* With its aliases and tags; the number is not given again, and the files stay. */
mle_status mle_mlflow_delete_version(mle_mlflow *store, const char *name, int64_t version,
                                     mle_error *err);

mle_status mle_mlflow_set_alias(mle_mlflow *store, const char *name, const char *alias,
                                int64_t version, mle_error *err);
/* `out` is 0 when the alias is not set. */
mle_status mle_mlflow_get_alias(mle_mlflow *store, const char *name, const char *alias,
                                int64_t *out, mle_error *err);
/* Deleting one that is not set is fine. */
mle_status mle_mlflow_delete_alias(mle_mlflow *store, const char *name, const char *alias,
                                   mle_error *err);

#endif
