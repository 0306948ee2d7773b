/*
 * backend.h -- what a tracking store has to do; private to engine/mlflow.
 *
 * A store embeds mle_mlflow as its first member and fills in the calls. Their
 * arguments are those of store.h and obey MLflow's rules already.
 */
#ifndef MLE_MLFLOW_BACKEND_H
#define MLE_MLFLOW_BACKEND_H

#include "engine/mlflow/artifacts.h"
#include "engine/mlflow/store.h"

/* Artifacts on another machine. A listing has whole paths; a downloaded file must be new. */
typedef struct mle_artifact_calls {
  mle_status (*list)(mle_mlflow *store, const char *path, mle_arena *memory,
                     mle_artifact_list *out, mle_error *err);
  mle_status (*upload)(mle_mlflow *store, const char *path, const char *file, mle_error *err);
  mle_status (*download)(mle_mlflow *store, const char *path, const char *file, mle_error *err);
} mle_artifact_calls;

typedef struct mle_mlflow_calls {
  void (*close)(mle_mlflow *store);

  /* The same store once more, for another thread. NULL where calls are quick enough without. */
  mle_status (*twin)(mle_mlflow *store, mle_mlflow **out, mle_error *err);

  mle_status (*create_experiment)(mle_mlflow *store, const mle_mlflow_new_experiment *request,
                                  mle_arena *memory, mle_mlflow_experiment *out, mle_error *err);
  mle_status (*get_experiment)(mle_mlflow *store, const char *id, mle_arena *memory,
                               mle_mlflow_experiment *out, mle_error *err);
  mle_status (*find_experiment)(mle_mlflow *store, const char *name, mle_arena *memory,
                                mle_mlflow_experiment *out, mle_error *err);
  mle_status (*search_experiments)(mle_mlflow *store, const mle_mlflow_search *search,
                                   mle_arena *memory, mle_mlflow_experiments *out,
                                   mle_error *err);
  mle_status (*change_experiment)(mle_mlflow *store, const char *id,
                                  const mle_mlflow_change *change, mle_error *err);
  mle_status (*stage_experiment)(mle_mlflow *store, const char *id, bool active, mle_error *err);

  /* name, user and start_time are given. */
  mle_status (*create_run)(mle_mlflow *store, const mle_mlflow_new_run *run, mle_arena *memory,
                           mle_mlflow_run *out, mle_error *err);
  mle_status (*get_run)(mle_mlflow *store, const char *id, mle_arena *memory, mle_mlflow_run *out,
                        mle_error *err);
  mle_status (*get_run_data)(mle_mlflow *store, const char *id, mle_arena *memory,
                             mle_mlflow_run_data *out, mle_error *err);
  mle_status (*metric_history)(mle_mlflow *store, const char *run_id, const char *key,
                               mle_arena *memory, mle_mlflow_metrics *out, mle_error *err);
  /* `only_running`: a run that has ended stays as it is. */
  mle_status (*update_run)(mle_mlflow *store, const char *id, const mle_mlflow_run_change *change,
                           bool only_running, mle_error *err);
  mle_status (*search_runs)(mle_mlflow *store, const mle_mlflow_search *search, mle_arena *memory,
                            mle_mlflow_runs *out, mle_error *err);
  mle_status (*stage_run)(mle_mlflow *store, const char *id, bool active, mle_error *err);
  mle_status (*delete_tag)(mle_mlflow *store, const char *run_id, const char *key, mle_error *err);
  mle_status (*log_batch)(mle_mlflow *store, const char *run_id, const mle_mlflow_batch *batch,
                          mle_error *err);
  mle_status (*log_dataset)(mle_mlflow *store, const char *run_id,
                            const mle_mlflow_dataset *dataset, mle_error *err);

  mle_status (*begin_model)(mle_mlflow *store, const char *run_id, const char *name,
                            mle_arena *memory, mle_mlflow_model *out, mle_error *err);
  mle_status (*finish_model)(mle_mlflow *store, const mle_mlflow_model *model, bool ready,
                             const char *flavors, mle_error *err);
  mle_status (*get_model)(mle_mlflow *store, const char *id, mle_arena *memory,
                          mle_mlflow_model *out, mle_error *err);
  mle_status (*find_model)(mle_mlflow *store, const char *run_id, const char *name,
                           mle_arena *memory, mle_mlflow_model *out, mle_error *err);

  mle_status (*get_logged)(mle_mlflow *store, const char *id, mle_arena *memory,
                           mle_mlflow_logged *out, mle_error *err);
  mle_status (*search_logged)(mle_mlflow *store, const mle_mlflow_search *search,
                              mle_arena *memory, mle_mlflow_logged_list *out, mle_error *err);
  mle_status (*change_logged)(mle_mlflow *store, const char *id, const mle_mlflow_change *change,
                              mle_error *err);
  mle_status (*delete_logged)(mle_mlflow *store, const char *id, mle_error *err);

  mle_status (*create_registered_model)(mle_mlflow *store, const char *name,
                                        const char *description, mle_error *err);
  mle_status (*get_registered_model)(mle_mlflow *store, const char *name, mle_arena *memory,
                                     mle_mlflow_registered_model *out, mle_error *err);
  mle_status (*search_registered_models)(mle_mlflow *store, const mle_mlflow_search *search,
                                         mle_arena *memory, mle_mlflow_registered_models *out,
                                         mle_error *err);
  mle_status (*change_registered_model)(mle_mlflow *store, const char *name,
                                        const mle_mlflow_change *change, mle_error *err);
  mle_status (*delete_registered_model)(mle_mlflow *store, const char *name, mle_error *err);
  mle_status (*create_version)(mle_mlflow *store, const mle_mlflow_new_version *version,
                               int64_t *out, mle_error *err);
  mle_status (*get_version)(mle_mlflow *store, const char *name, int64_t version,
                            mle_arena *memory, mle_mlflow_version *out, mle_error *err);
  mle_status (*list_versions)(mle_mlflow *store, const char *name, mle_arena *memory,
                              mle_mlflow_versions *out, mle_error *err);
  mle_status (*search_versions)(mle_mlflow *store, const mle_mlflow_search *search,
                                mle_arena *memory, mle_mlflow_versions *out, mle_error *err);
  mle_status (*change_version)(mle_mlflow *store, const char *name, int64_t version,
                               const mle_mlflow_change *change, mle_error *err);
  mle_status (*delete_version)(mle_mlflow *store, const char *name, int64_t version,
                               mle_error *err);
  mle_status (*set_alias)(mle_mlflow *store, const char *name, const char *alias, int64_t version,
                          mle_error *err);
  mle_status (*get_alias)(mle_mlflow *store, const char *name, const char *alias, int64_t *out,
                          mle_error *err);
  mle_status (*delete_alias)(mle_mlflow *store, const char *name, const char *alias,
                             mle_error *err);

  /*
   * Artifacts that the store itself hands out; `path` is what follows mlflow-artifacts:/.
   * NULL in a store that hands out none.
   */
  const mle_artifact_calls *artifacts;
} mle_mlflow_calls;

struct mle_mlflow {
  const mle_mlflow_calls *call;
  long owners;
};

/* A search whose `max` is a number to go by. */
mle_mlflow_search mle_mlflow_bounded(const mle_mlflow_search *search);

#endif
