/*
 * rest_models.c -- a run's models on a server: MLflow 3's entity, or MLflow 2's folder.
 *
 * On a server of version 3 a model is created pending, is made an output of its run,
 * gets its files under EXPERIMENT/models/ID/artifacts, and is declared ready. On one
 * of version 2 its files are the run's artifacts, and runs/log-model lists it.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/hash.h"
#include "engine/base/percent.h"
#include "engine/mlflow/model_entry.h"
#include "engine/mlflow/rest.h"

#define FOUND_MAX 100

/* ====== Reading ====== */

mle_status mle_rest_read_model(const mle_json_at *model, mle_arena *memory, mle_mlflow_model *out,
                               mle_error *err) {
  mle_json_at info;
  MLE_TRY(mle_json_get_object(model, "info", &info, err));
  MLE_TRY(mle_rest_text(&info, "model_id", memory, &out->id, err));
  MLE_TRY(mle_rest_text(&info, "name", memory, &out->name, err));
  MLE_TRY(mle_rest_text(&info, "source_run_id", memory, &out->run_id, err));
  MLE_TRY(mle_rest_text(&info, "artifact_uri", memory, &out->artifact_uri, err));
  if (out->id == NULL || out->artifact_uri == NULL)
    return mle_json_fail(&info, err, "a model without model_id or artifact_uri");
  out->uri = mle_arena_format(memory, "models:/%s", out->id);
  return out->uri != NULL ? MLE_OK : mle_nomem(err, "reading a model");
}

static mle_status model_of_answer(const mle_json *answer, mle_arena *memory, mle_mlflow_model *out,
                                  mle_error *err) {
  mle_json_at root = mle_json_root(answer), model;
  MLE_TRY(mle_json_get_object(&root, "model", &model, err));
  return mle_rest_read_model(&model, memory, out, err);
}

mle_status mle_rest_get_model(mle_mlflow *base, const char *id, mle_arena *memory,
                              mle_mlflow_model *out, mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  mle_json *answer = NULL;
  mle_status status;
  MLE_TRY(mle_rest_look(store, err));
  if (!store->logged_models)
    return mle_fail(err, MLE_ENOTFOUND, "there is no model '%.60s': MLflow %s keeps models by run", id,
                    store->version);
  const char *coded = mle_percent_encode(memory, id, false);
  char *path = coded == NULL ? NULL : mle_arena_format(memory, "logged-models/%s", coded);
  if (path == NULL) return mle_nomem(err, "reading a model");
  status = mle_rest_call(store, &(mle_rest_request){.method = "GET", .path = path}, &answer, err);
  if (status == MLE_OK) status = model_of_answer(answer, memory, out, err);
  mle_json_free(answer);
  return status;
}

/* ====== Searching ====== */

typedef struct wanted {
  const char *experiment_id, *name, *run_id;
  const char *key; /* NULL: the newest that is ready */
} wanted;

static bool is_wanted(const mle_json_at *model, const wanted *w) {
  mle_json_at info, list, item;
  const char *run = NULL, *status = NULL;
  if (!mle_json_find(model, "info", &info)) return false;
  mle_json_opt_text(&info, "source_run_id", NULL, &run, NULL);
  mle_json_opt_text(&info, "status", NULL, &status, NULL);
  if (run == NULL || strcmp(run, w->run_id) != 0) return false;
  if (w->key == NULL) return status != NULL && strcmp(status, "LOGGED_MODEL_READY") == 0;
  if (!mle_json_find(&info, "tags", &list)) return false;
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item)) {
    const char *key = NULL, *value = NULL;
    mle_json_opt_text(&item, "key", NULL, &key, NULL);
    mle_json_opt_text(&item, "value", NULL, &value, NULL);
    if (key != NULL && value != NULL && strcmp(key, MLE_REST_KEY) == 0 && strcmp(value, w->key) == 0)
      return true;
  }
  return false;
}

static mle_json *search_body(const wanted *w) {
  char filter[600];
  snprintf(filter, sizeof filter, "name = '%s'", w->name); /* a name has no quotes: rules.h */
  mle_json *body = mle_json_new_object();
  mle_json_add_text(mle_json_add_array(body, "experiment_ids"), NULL, w->experiment_id);
  mle_json_add_text(body, "filter", filter);
  mle_json_add_int(body, "max_results", FOUND_MAX);
  mle_json *order = mle_json_add_object(mle_json_add_array(body, "order_by"), NULL);
  mle_json_add_text(order, "field_name", "creation_timestamp");
  mle_json_add_bool(order, "ascending", false);
  return body;
}

/* `out->uri` stays NULL when there is none among the newest of that name. */
static mle_status search(mle_rest_store *store, const wanted *w, mle_arena *memory,
                         mle_mlflow_model *out, mle_error *err) {
  mle_json *answer = NULL;
  mle_json_at root, list, item;
  mle_rest_request request = {
      .method = "POST", .path = "logged-models/search", .body = search_body(w)};
  mle_status status = mle_rest_call(store, &request, &answer, err);
  if (status != MLE_OK) goto done;
  root = mle_json_root(answer);
  if (!mle_json_find(&root, "models", &list)) goto done;
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item)) {
    if (!is_wanted(&item, w)) continue;
    status = mle_rest_read_model(&item, memory, out, err);
    break;
  }
done:
  mle_json_free(answer);
  return status;
}

mle_status mle_rest_find_model(mle_mlflow *base, const char *run_id, const char *name,
                               mle_arena *memory, mle_mlflow_model *out, mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  mle_mlflow_run run = {0};
  MLE_TRY(mle_rest_look(store, err));
  if (!store->logged_models || strpbrk(name, "'\"") != NULL || strlen(name) > 500) return MLE_OK;
  MLE_TRY(mle_rest_get_run(base, run_id, memory, &run, err));
  return search(store, &(wanted){run.experiment_id, name, run_id, NULL}, memory, out, err);
}

/* ====== Beginning, MLflow 3 ====== */

typedef struct new_model {
  wanted look;
  char key[MLE_UUID_TEXT];
  const mle_mlflow_run_data *run;
  mle_arena *memory;
  mle_mlflow_model *out;
} new_model;

/* Params of the run, and where it comes from, are the model's too. */
static mle_json *model_body(const new_model *n) {
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "experiment_id", n->look.experiment_id);
  mle_json_add_text(body, "name", n->look.name);
  mle_json_add_text(body, "source_run_id", n->look.run_id);
  mle_rest_add_pairs(body, "params", &n->run->params);
  mle_json *tags = mle_json_add_array(body, "tags");
  for (size_t i = 0; i <= n->run->tags.count; i++) {
    bool own = i == n->run->tags.count;
    const char *key = own ? MLE_REST_KEY : n->run->tags.item[i].key;
    if (!own && strcmp(key, "mlflow.user") != 0 && strncmp(key, "mlflow.source.", 14) != 0) continue;
    mle_json *item = mle_json_add_object(tags, NULL);
    mle_json_add_text(item, "key", key);
    mle_json_add_text(item, "value", own ? n->key : n->run->tags.item[i].value);
  }
  return body;
}

static mle_status send_model(mle_rest_store *store, void *what, mle_error *err) {
  const new_model *n = what;
  mle_json *answer = NULL;
  mle_rest_request request = {
      .method = "POST", .path = "logged-models", .body = model_body(n), .once = true};
  mle_status status = mle_rest_call(store, &request, &answer, err);
  if (status == MLE_OK) status = model_of_answer(answer, n->memory, n->out, err);
  mle_json_free(answer);
  return status;
}

static mle_status find_new(mle_rest_store *store, void *what, bool *out_found, mle_error *err) {
  const new_model *n = what;
  MLE_TRY(search(store, &n->look, n->memory, n->out, err));
  *out_found = n->out->uri != NULL;
  return MLE_OK;
}

/* runs/outputs: refused the second time, so look whether it is there. */
static mle_status send_output(mle_rest_store *store, void *what, mle_error *err) {
  const new_model *n = what;
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "run_id", n->look.run_id);
  mle_json *model = mle_json_add_object(mle_json_add_array(body, "models"), NULL);
  mle_json_add_text(model, "model_id", n->out->id);
  mle_json_add_int(model, "step", 0);
  mle_rest_request request = {
      .method = "POST", .path = "runs/outputs", .body = body, .once = true};
  return mle_rest_call(store, &request, NULL, err);
}

static mle_status find_output(mle_rest_store *store, void *what, bool *out_found, mle_error *err) {
  const new_model *n = what;
  const char *path;
  mle_json *answer = NULL;
  mle_json_at root, run, outputs, list, item;
  mle_status status;
  MLE_GO(mle_rest_query(n->memory, &path, err, "runs/get", "run_id", n->look.run_id, NULL));
  MLE_GO(mle_rest_call(store, &(mle_rest_request){.method = "GET", .path = path}, &answer, err));
  root = mle_json_root(answer);
  MLE_GO(mle_json_get_object(&root, "run", &run, err));
  if (!mle_json_find(&run, "outputs", &outputs) || !mle_json_find(&outputs, "model_outputs", &list))
    goto done;
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item)) {
    const char *id = NULL;
    mle_json_opt_text(&item, "model_id", NULL, &id, NULL);
    *out_found = *out_found || (id != NULL && strcmp(id, n->out->id) == 0);
  }
done:
  mle_json_free(answer);
  return status;
}

static mle_status begin_3(mle_rest_store *store, const mle_mlflow_run *run, const char *name,
                          mle_arena *memory, mle_mlflow_model *out, mle_error *err) {
  mle_mlflow_run_data data = {0};
  new_model n = {.look = {run->experiment_id, name, run->id, NULL}, .run = &data, .memory = memory};
  n.look.key = mle_uuid_hex(n.key);
  n.out = out;
  MLE_TRY(mle_rest_get_run_data(&store->base, run->id, memory, &data, err));
  MLE_TRY(mle_rest_create(store, &(mle_rest_creation){send_model, find_new, &n}, err));
  out->format = store->version;
  return mle_rest_create(store, &(mle_rest_creation){send_output, find_output, &n}, err);
}

/* ====== Beginning ====== */

static mle_status begin_2(const mle_rest_store *store, const mle_mlflow_run *run, const char *name,
                          mle_arena *memory, mle_mlflow_model *out, mle_error *err) {
  out->name = name;
  out->run_id = run->id;
  out->artifact_uri = mle_arena_format(memory, "%s/%s", run->artifact_uri, name);
  out->uri = mle_arena_format(memory, "runs:/%s/%s", run->id, name);
  out->format = *store->version != '\0' ? store->version : "2.22.5";
  if (out->artifact_uri == NULL || out->uri == NULL) return mle_nomem(err, "logging a model");
  return MLE_OK;
}

mle_status mle_rest_begin_model(mle_mlflow *base, const char *run_id, const char *name,
                                mle_arena *memory, mle_mlflow_model *out, mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  mle_mlflow_run run = {0};
  MLE_TRY(mle_rest_look(store, err));
  MLE_TRY(mle_rest_get_run(base, run_id, memory, &run, err));
  if (run.lifecycle_stage != NULL && strcmp(run.lifecycle_stage, "active") != 0)
    return mle_fail(err, MLE_EREFUSED, "run '%s' is deleted; restore it in MLflow first", run_id);
  if (run.artifact_uri == NULL)
    return mle_fail(err, MLE_EFORMAT, "run '%s' has no artifact location", run_id);
  MLE_TRY(mle_arena_copy(memory, name, &name, err));
  return store->logged_models ? begin_3(store, &run, name, memory, out, err)
                              : begin_2(store, &run, name, memory, out, err);
}

/* ====== Finishing ====== */

static mle_status finish_3(mle_rest_store *store, const mle_mlflow_model *model, bool ready,
                           mle_arena *memory, mle_error *err) {
  mle_mlflow_run_data data = {0};
  if (ready) {
    MLE_TRY(mle_rest_get_run_data(&store->base, model->run_id, memory, &data, err));
    MLE_TRY(mle_rest_log_model_metrics(store, model->run_id, model->id, &data.metrics, err));
  }
  char *path = mle_arena_format(memory, "logged-models/%s", model->id);
  if (path == NULL) return mle_nomem(err, "logging a model");
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "model_id", model->id);
  mle_json_add_text(body, "status",
                    ready ? "LOGGED_MODEL_READY" : "LOGGED_MODEL_UPLOAD_FAILED");
  mle_rest_request request = {.method = "PATCH", .path = path, .body = body};
  return mle_rest_call(store, &request, NULL, err);
}

static mle_status finish_2(mle_rest_store *store, const mle_mlflow_model *model,
                           const char *flavors, mle_error *err) {
  mle_json *list = mle_json_new_array();
  char *entry = mle_json_print(mle_mlflow_model_entry(list, model, flavors), false);
  mle_json_free(list);
  if (entry == NULL) return mle_nomem(err, "logging a model");
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "run_id", model->run_id);
  mle_json_add_text(body, "model_json", entry);
  mle_free(entry);
  mle_rest_request request = {.method = "POST", .path = "runs/log-model", .body = body};
  return mle_rest_call(store, &request, NULL, err);
}

mle_status mle_rest_finish_model(mle_mlflow *base, const mle_mlflow_model *model, bool ready,
                                 const char *flavors, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_rest_store *store = mle_rest_of(base);
  mle_status status = MLE_OK;
  if (model->id != NULL) status = finish_3(store, model, ready, &memory, err);
  else if (ready) status = finish_2(store, model, flavors, err);
  mle_arena_release(&memory);
  return status;
}
