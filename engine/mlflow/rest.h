/*
 * rest.h -- the tracking store behind an MLflow server; private to engine/mlflow.
 *
 *     mle_json *answer;
 *     mle_rest_request request = {.method = "GET", .path = path};
 *     MLE_GO(mle_rest_call(store, &request, &answer, err));
 *     mle_json_at root = mle_json_root(answer);
 *   done:
 *     mle_json_free(answer);
 *
 * MLflow's REST API 2.0, spoken to servers 2.22 to 3.17. A call that may be sent
 * twice is, until the server is well again or the attempts are used up. What may
 * not (a run, a logged model, a version) carries a tag of ours, MLE_REST_KEY: when
 * nobody knows whether it came through, it is looked for before it is sent again.
 */
#ifndef MLE_MLFLOW_REST_H
#define MLE_MLFLOW_REST_H

#include "engine/http/client.h"
#include "engine/json/json.h"
#include "engine/mlflow/backend.h"
#include "engine/mlflow/rest_settings.h"

#define MLE_REST_KEY "mlengine.request"

typedef struct mle_rest_store {
  mle_mlflow base; /* first: a store is one of these */
  mle_http_client *client;
  mle_arena memory; /* of what follows */
  const char *uri;      /* as it was given, with user and password */
  mle_rest_settings settings;
  const char *version;  /* "3.17.2"; NULL until looked for */
  bool logged_models;   /* MLflow 3's layout */
} mle_rest_store;

mle_status mle_mlflow_open_rest(const char *uri, mle_mlflow **out, mle_error *err);

mle_rest_store *mle_rest_of(mle_mlflow *store);

/* ====== Calls ====== */

typedef struct mle_rest_request {
  const char *method;
  const char *path;   /* "runs/create", with the query; below /api/2.0 when it begins with "/" */
  mle_json *body;     /* freed by the call; NULL: none */
  bool once;          /* may not be sent twice */
  bool last_words;    /* see client.h */
} mle_rest_request;

/*
 * `*out` is the answer, to be freed also after a failure; NULL `out` where it does
 * not matter. Fails with MLflow's own message: ENOTFOUND, EEXISTS, EINVAL, EREFUSED
 * (401, 403), EIO (the server is not well), EUNKNOWN (`once`, and no answer came).
 */
mle_status mle_rest_call(mle_rest_store *store, const mle_rest_request *request, mle_json **out,
                         mle_error *err);

/* "PATH?key=value&...", each value encoded; keys and values in turn, NULL at the end. */
__attribute__((sentinel))
mle_status mle_rest_query(mle_arena *memory, const char **out, mle_error *err, const char *path,
                          ...);

/*
 * Sends what may not be sent twice. `send` does so once; when it fails with EUNKNOWN,
 * or with a server that is not well, `find` says whether it came through after all.
 */
typedef struct mle_rest_creation {
  mle_status (*send)(mle_rest_store *store, void *what, mle_error *err);
  mle_status (*find)(mle_rest_store *store, void *what, bool *out_found, mle_error *err);
  void *what;
} mle_rest_creation;
mle_status mle_rest_create(mle_rest_store *store, const mle_rest_creation *creation,
                           mle_error *err);

/* What the server is, asked once. */
mle_status mle_rest_look(mle_rest_store *store, mle_error *err);

/* Sends `body` and reads nothing of the answer. */
mle_status mle_rest_send(mle_rest_store *store, const char *method, const char *path,
                         mle_json *body, mle_error *err);

/* What carries tags: how it is named in a request, and where its tags are set and deleted. */
typedef struct mle_rest_tagged {
  mle_mlflow_pair id[2]; /* the second may be empty */
  const char *set_path, *delete_path, *delete_method;
} mle_rest_tagged;

/* `value` NULL deletes. */
mle_status mle_rest_send_tag(mle_rest_store *store, const mle_rest_tagged *what, const char *key,
                             const char *value, mle_error *err);
mle_status mle_rest_change_tags(mle_rest_store *store, const mle_rest_tagged *what,
                                const mle_mlflow_change *change, mle_error *err);

/* ====== Searches ====== */

#define MLE_REST_PAGES_MAX 10000

/* One search: where it is asked, and how one thing found is read into a list. */
typedef struct mle_rest_search {
  const mle_mlflow_search *search;
  const char *path, *list;  /* of the API; of the answer */
  const char *view;         /* the name that the API has for it, of a POST; NULL: none */
  size_t page;              /* the most that one request may ask for */
  mle_status (*request)(const struct mle_rest_search *how, const char *token,
                        mle_rest_request *out, mle_error *err); /* the next two */
  mle_status (*read)(const mle_json_at *item, mle_arena *memory, void *list, mle_error *err);
  mle_arena *memory;
  size_t left;
} mle_rest_search;

mle_status mle_rest_post_search(const mle_rest_search *how, const char *token,
                                mle_rest_request *out, mle_error *err);
mle_status mle_rest_get_search(const mle_rest_search *how, const char *token,
                               mle_rest_request *out, mle_error *err);

/* Reads pages until `max` are there or no more; `count` is that of the list `out`. */
mle_status mle_rest_search_all(mle_rest_store *store, mle_rest_search *how, void *out,
                               const size_t *count, const char **token, mle_error *err);

/* ====== Reading answers ====== */

/* A member's text copied into `memory`; NULL when absent. */
mle_status mle_rest_text(const mle_json_at *at, const char *key, mle_arena *memory,
                         const char **out, mle_error *err);

/* A number, or a text that holds one; 0 when absent. */
mle_status mle_rest_int(const mle_json_at *at, const char *key, int64_t *out, mle_error *err);

/* A list of {key, value}; none when absent. */
mle_status mle_rest_pairs(const mle_json_at *at, const char *key, mle_arena *memory,
                          mle_mlflow_pairs *out, mle_error *err);
void mle_rest_add_pairs(mle_json *to, const char *key, const mle_mlflow_pairs *pairs);

/* `pairs` with MLE_REST_KEY behind: `out` lives in `memory`. */
mle_status mle_rest_with_key(const mle_mlflow_pairs *pairs, const char *key, mle_arena *memory,
                             mle_mlflow_pairs *out, mle_error *err);

mle_status mle_rest_read_run(const mle_json_at *run, mle_arena *memory, mle_mlflow_run *out,
                             mle_error *err);

/* ====== The calls, by file ====== */

/* rest_experiments.c */
mle_status mle_rest_create_experiment(mle_mlflow *, const mle_mlflow_new_experiment *,
                                      mle_arena *, mle_mlflow_experiment *, mle_error *);
mle_status mle_rest_get_experiment(mle_mlflow *, const char *, mle_arena *,
                                   mle_mlflow_experiment *, mle_error *);
mle_status mle_rest_find_experiment(mle_mlflow *, const char *, mle_arena *,
                                    mle_mlflow_experiment *, mle_error *);
mle_status mle_rest_search_experiments(mle_mlflow *, const mle_mlflow_search *, mle_arena *,
                                       mle_mlflow_experiments *, mle_error *);
mle_status mle_rest_change_experiment(mle_mlflow *, const char *, const mle_mlflow_change *,
                                      mle_error *);
mle_status mle_rest_stage_experiment(mle_mlflow *, const char *, bool, mle_error *);

/* rest_runs.c */
mle_status mle_rest_create_run(mle_mlflow *, const mle_mlflow_new_run *, mle_arena *,
                               mle_mlflow_run *, mle_error *);
mle_status mle_rest_get_run(mle_mlflow *, const char *, mle_arena *, mle_mlflow_run *,
                            mle_error *);
mle_status mle_rest_get_run_data(mle_mlflow *, const char *, mle_arena *, mle_mlflow_run_data *,
                                 mle_error *);
mle_status mle_rest_metric_history(mle_mlflow *, const char *, const char *, mle_arena *,
                                   mle_mlflow_metrics *, mle_error *);
mle_status mle_rest_update_run(mle_mlflow *, const char *, const mle_mlflow_run_change *, bool,
                               mle_error *);
mle_status mle_rest_search_runs(mle_mlflow *, const mle_mlflow_search *, mle_arena *,
                                mle_mlflow_runs *, mle_error *);
mle_status mle_rest_stage_run(mle_mlflow *, const char *, bool, mle_error *);
mle_status mle_rest_delete_tag(mle_mlflow *, const char *, const char *, mle_error *);

/* rest_log.c */
mle_status mle_rest_log_batch(mle_mlflow *, const char *, const mle_mlflow_batch *, mle_error *);
mle_status mle_rest_log_dataset(mle_mlflow *, const char *, const mle_mlflow_dataset *,
                                mle_error *);
/* Metrics as those of a logged model, too. */
mle_status mle_rest_log_model_metrics(mle_rest_store *, const char *run_id, const char *model_id,
                                      const mle_mlflow_metrics *, mle_error *);

/* rest_models.c */
mle_status mle_rest_begin_model(mle_mlflow *, const char *, const char *, mle_arena *,
                                mle_mlflow_model *, mle_error *);
mle_status mle_rest_finish_model(mle_mlflow *, const mle_mlflow_model *, bool, const char *,
                                 mle_error *);
mle_status mle_rest_get_model(mle_mlflow *, const char *, mle_arena *, mle_mlflow_model *,
                              mle_error *);
mle_status mle_rest_find_model(mle_mlflow *, const char *, const char *, mle_arena *,
                               mle_mlflow_model *, mle_error *);

/* {"info": ..., "data": ...} */
mle_status mle_rest_read_model(const mle_json_at *, mle_arena *, mle_mlflow_model *, mle_error *);

/* rest_logged.c */
mle_status mle_rest_get_logged(mle_mlflow *, const char *, mle_arena *, mle_mlflow_logged *,
                              mle_error *);
mle_status mle_rest_search_logged(mle_mlflow *, const mle_mlflow_search *, mle_arena *,
                                 mle_mlflow_logged_list *, mle_error *);
mle_status mle_rest_change_logged(mle_mlflow *, const char *, const mle_mlflow_change *,
                                 mle_error *);
mle_status mle_rest_delete_logged(mle_mlflow *, const char *, mle_error *);

/* rest_registry.c */
mle_status mle_rest_create_registered_model(mle_mlflow *, const char *, const char *, mle_error *);
mle_status mle_rest_get_registered_model(mle_mlflow *, const char *, mle_arena *,
                                         mle_mlflow_registered_model *, mle_error *);
mle_status mle_rest_search_registered_models(mle_mlflow *, const mle_mlflow_search *, mle_arena *,
                                             mle_mlflow_registered_models *, mle_error *);
mle_status mle_rest_change_registered_model(mle_mlflow *, const char *, const mle_mlflow_change *,
                                            mle_error *);
mle_status mle_rest_delete_registered_model(mle_mlflow *, const char *, mle_error *);
mle_status mle_rest_set_alias(mle_mlflow *, const char *, const char *, int64_t, mle_error *);
mle_status mle_rest_get_alias(mle_mlflow *, const char *, const char *, int64_t *, mle_error *);
mle_status mle_rest_delete_alias(mle_mlflow *, const char *, const char *, mle_error *);

/* rest_versions.c */
mle_status mle_rest_create_version(mle_mlflow *, const mle_mlflow_new_version *, int64_t *,
                                   mle_error *);
mle_status mle_rest_get_version(mle_mlflow *, const char *, int64_t, mle_arena *,
                                mle_mlflow_version *, mle_error *);
mle_status mle_rest_list_versions(mle_mlflow *, const char *, mle_arena *, mle_mlflow_versions *,
                                  mle_error *);
mle_status mle_rest_search_versions(mle_mlflow *, const mle_mlflow_search *, mle_arena *,
                                    mle_mlflow_versions *, mle_error *);
mle_status mle_rest_change_version(mle_mlflow *, const char *, int64_t, const mle_mlflow_change *,
                                   mle_error *);
mle_status mle_rest_delete_version(mle_mlflow *, const char *, int64_t, mle_error *);

/* rest_artifacts.c */
extern const mle_artifact_calls mle_rest_artifacts;

#endif
