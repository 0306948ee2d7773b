#include "engine/mlflow/rest.h"

#define PAGE 1000

static mle_status read_experiment(const mle_json_at *at, mle_arena *memory,
                                  mle_mlflow_experiment *out, mle_error *err) {
  MLE_TRY(mle_rest_text(at, "experiment_id", memory, &out->id, err));
  MLE_TRY(mle_rest_text(at, "name", memory, &out->name, err));
  MLE_TRY(mle_rest_text(at, "artifact_location", memory, &out->artifact_location, err));
  MLE_TRY(mle_rest_text(at, "lifecycle_stage", memory, &out->lifecycle_stage, err));
  MLE_TRY(mle_rest_int(at, "creation_time", &out->creation_time, err));
  MLE_TRY(mle_rest_int(at, "last_update_time", &out->last_update_time, err));
  MLE_TRY(mle_rest_pairs(at, "tags", memory, &out->tags, err));
  if (out->id == NULL || out->name == NULL || out->lifecycle_stage == NULL)
    return mle_json_fail(at, err, "an experiment without id, name or lifecycle_stage");
  return MLE_OK;
}

static mle_status get_experiment(mle_rest_store *store, const char *path, mle_arena *memory,
                                 mle_mlflow_experiment *out, mle_error *err) {
  mle_json *answer;
  mle_json_at root, experiment;
  mle_status status;
  MLE_GO(mle_rest_call(store, &(mle_rest_request){.method = "GET", .path = path}, &answer, err));
  root = mle_json_root(answer);
  MLE_GO(mle_json_get_object(&root, "experiment", &experiment, err));
  status = read_experiment(&experiment, memory, out, err);
done:
  mle_json_free(answer);
  return status;
}

mle_status mle_rest_get_experiment(mle_mlflow *base, const char *id, mle_arena *memory,
                                   mle_mlflow_experiment *out, mle_error *err) {
  const char *path;
  MLE_TRY(mle_rest_query(memory, &path, err, "experiments/get", "experiment_id", id, NULL));
  return get_experiment(mle_rest_of(base), path, memory, out, err);
}

mle_status mle_rest_find_experiment(mle_mlflow *base, const char *name, mle_arena *memory,
                                    mle_mlflow_experiment *out, mle_error *err) {
  const char *path;
  MLE_TRY(mle_rest_query(memory, &path, err, "experiments/get-by-name", "experiment_name", name,
                         NULL));
  mle_status status = get_experiment(mle_rest_of(base), path, memory, out, err);
  return status == MLE_ENOTFOUND ? MLE_OK : status;
}

/* Sent again after a lost answer, it finds its own name taken: that is EEXISTS, and told so. */
mle_status mle_rest_create_experiment(mle_mlflow *base, const mle_mlflow_new_experiment *given,
                                      mle_arena *memory, mle_mlflow_experiment *out,
                                      mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  mle_json *answer, *body = mle_json_new_object();
  mle_json_at root;
  const char *id;
  mle_status status;
  mle_json_add_text(body, "name", given->name);
  if (given->artifact_location != NULL)
    mle_json_add_text(body, "artifact_location", given->artifact_location);
  mle_rest_add_pairs(body, "tags", &given->tags);
  mle_rest_request request = {.method = "POST", .path = "experiments/create", .body = body};
  MLE_GO(mle_rest_call(store, &request, &answer, err));
  root = mle_json_root(answer);
  MLE_GO(mle_json_get_text(&root, "experiment_id", &id, err));
  status = mle_rest_get_experiment(base, id, memory, out, err);
done:
  mle_json_free(answer);
  return status;
}

/* ====== Searching ====== */

static mle_status read_found(const mle_json_at *item, mle_arena *memory, void *list,
                             mle_error *err) {
  mle_mlflow_experiments *out = list;
  mle_mlflow_experiment *all = (void *)(uintptr_t)out->item;
  all = mle_arena_grow(memory, all, out->count, sizeof *all);
  if (all == NULL) return mle_nomem(err, "searching experiments");
  out->item = all;
  all[out->count] = (mle_mlflow_experiment){0};
  return read_experiment(item, memory, &all[out->count++], err);
}

mle_status mle_rest_search_experiments(mle_mlflow *base, const mle_mlflow_search *search,
                                       mle_arena *memory, mle_mlflow_experiments *out,
                                       mle_error *err) {
  mle_rest_search how = {search, "experiments/search", "experiments", "view_type", PAGE,
                         mle_rest_post_search, read_found, memory, 0};
  return mle_rest_search_all(mle_rest_of(base), &how, out, &out->count, &out->next_page_token, err);
}

/* ====== Changing ====== */

mle_status mle_rest_change_experiment(mle_mlflow *base, const char *id,
                                      const mle_mlflow_change *change, mle_error *err) {
  mle_rest_tagged what = {{{"experiment_id", id}},
                          "experiments/set-experiment-tag",
                          "experiments/delete-experiment-tag",
                          "POST"};
  MLE_TRY(mle_rest_change_tags(mle_rest_of(base), &what, change, err));
  if (change->name == NULL) return MLE_OK;
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "experiment_id", id);
  mle_json_add_text(body, "new_name", change->name);
  return mle_rest_send(mle_rest_of(base), "POST", "experiments/update", body, err);
}

mle_status mle_rest_stage_experiment(mle_mlflow *base, const char *id, bool active,
                                     mle_error *err) {
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "experiment_id", id);
  return mle_rest_send(mle_rest_of(base), "POST",
                       active ? "experiments/restore" : "experiments/delete", body, err);
}
