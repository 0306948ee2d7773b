#include "engine/mlflow/rest.h"

#define PAGE 1000
#define PAGES_MAX 1000

static mle_status read_experiment(const mle_json_at *at, mle_arena *memory,
                                  mle_mlflow_experiment *out, mle_error *err) {
  MLE_TRY(mle_rest_text(at, "experiment_id", memory, &out->id, err));
  MLE_TRY(mle_rest_text(at, "name", memory, &out->name, err));
  MLE_TRY(mle_rest_text(at, "artifact_location", memory, &out->artifact_location, err));
  MLE_TRY(mle_rest_text(at, "lifecycle_stage", memory, &out->lifecycle_stage, err));
  MLE_TRY(mle_rest_int(at, "creation_time", &out->creation_time, err));
  MLE_TRY(mle_rest_int(at, "last_update_time", &out->last_update_time, err));
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
mle_status mle_rest_create_experiment(mle_mlflow *base, const char *name, mle_arena *memory,
                                      mle_mlflow_experiment *out, mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  mle_json *answer, *body = mle_json_new_object();
  mle_json_at root;
  const char *id;
  mle_status status;
  mle_json_add_text(body, "name", name);
  mle_rest_request request = {.method = "POST", .path = "experiments/create", .body = body};
  MLE_GO(mle_rest_call(store, &request, &answer, err));
  root = mle_json_root(answer);
  MLE_GO(mle_json_get_text(&root, "experiment_id", &id, err));
  status = mle_rest_get_experiment(base, id, memory, out, err);
done:
  mle_json_free(answer);
  return status;
}

/* ====== Listing ====== */

static mle_status read_page(const mle_json_at *root, mle_arena *memory,
                            mle_mlflow_experiments *out, mle_error *err) {
  mle_json_at list, item;
  mle_mlflow_experiment *all = (void *)(uintptr_t)out->item;
  if (!mle_json_find(root, "experiments", &list)) return MLE_OK;
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item)) {
    all = mle_arena_grow(memory, all, out->count, sizeof *all);
    if (all == NULL) return mle_nomem(err, "listing experiments");
    out->item = all;
    all[out->count] = (mle_mlflow_experiment){0};
    MLE_TRY(read_experiment(&item, memory, &all[out->count++], err));
  }
  return MLE_OK;
}

static mle_status list_page(mle_rest_store *store, const char **token, mle_arena *memory,
                            mle_mlflow_experiments *out, mle_error *err) {
  mle_json *answer, *body = mle_json_new_object();
  mle_json_at root;
  mle_status status;
  mle_json_add_int(body, "max_results", PAGE);
  mle_json_add_text(mle_json_add_array(body, "order_by"), NULL, "experiment_id ASC");
  if (*token != NULL) mle_json_add_text(body, "page_token", *token);
  mle_rest_request request = {.method = "POST", .path = "experiments/search", .body = body};
  MLE_GO(mle_rest_call(store, &request, &answer, err));
  root = mle_json_root(answer);
  MLE_GO(read_page(&root, memory, out, err));
  status = mle_rest_text(&root, "next_page_token", memory, token, err);
done:
  mle_json_free(answer);
  return status;
}

mle_status mle_rest_list_experiments(mle_mlflow *base, mle_arena *memory,
                                     mle_mlflow_experiments *out, mle_error *err) {
  const char *token = NULL;
  int pages = 0;
  do {
    if (pages++ == PAGES_MAX) return mle_fail(err, MLE_EFORMAT, "MLflow lists experiments without an end");
    MLE_TRY(list_page(mle_rest_of(base), &token, memory, out, err));
  } while (token != NULL && *token != '\0');
  return MLE_OK;
}
