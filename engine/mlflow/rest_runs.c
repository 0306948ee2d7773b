#include <stdlib.h>
#include <string.h>

#include "engine/base/hash.h"
#include "engine/base/percent.h"
#include "engine/mlflow/metric_json.h"
#include "engine/mlflow/rest.h"

#define PAGE 1000
#define POINTS_PAGE 25000
#define PAGES_MAX 10000

/* ====== Reading ====== */

mle_status mle_rest_read_run(const mle_json_at *run, mle_arena *memory, mle_mlflow_run *out,
                             mle_error *err) {
  mle_json_at info;
  MLE_TRY(mle_json_get_object(run, "info", &info, err));
  MLE_TRY(mle_rest_text(&info, "run_id", memory, &out->id, err));
  MLE_TRY(mle_rest_text(&info, "experiment_id", memory, &out->experiment_id, err));
  MLE_TRY(mle_rest_text(&info, "run_name", memory, &out->name, err));
  MLE_TRY(mle_rest_text(&info, "user_id", memory, &out->user, err));
  MLE_TRY(mle_rest_text(&info, "status", memory, &out->status, err));
  MLE_TRY(mle_rest_text(&info, "lifecycle_stage", memory, &out->lifecycle_stage, err));
  MLE_TRY(mle_rest_text(&info, "artifact_uri", memory, &out->artifact_uri, err));
  MLE_TRY(mle_rest_int(&info, "start_time", &out->start_time, err));
  MLE_TRY(mle_rest_int(&info, "end_time", &out->end_time, err));
  if (out->id == NULL || out->experiment_id == NULL || out->status == NULL)
    return mle_json_fail(&info, err, "a run without run_id, experiment_id or status");
  return MLE_OK;
}

static mle_status read_metrics(const mle_json_at *at, mle_arena *memory, mle_mlflow_metrics *out,
                               mle_error *err) {
  mle_json_at list, item;
  mle_mlflow_metric *all = (void *)(uintptr_t)out->item;
  if (!mle_json_find(at, "metrics", &list)) return MLE_OK;
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item)) {
    all = mle_arena_grow(memory, all, out->count, sizeof *all);
    if (all == NULL) return mle_nomem(err, "reading metrics");
    out->item = all;
    mle_mlflow_metric *metric = &all[out->count++];
    MLE_TRY(mle_metric_read(&item, metric, err));
    MLE_TRY(mle_arena_copy(memory, metric->key, &metric->key, err));
  }
  return MLE_OK;
}

static mle_status read_dataset(const mle_json_at *at, mle_arena *memory, mle_mlflow_dataset *out,
                               mle_error *err) {
  mle_json_at dataset;
  mle_mlflow_pairs tags;
  MLE_TRY(mle_json_get_object(at, "dataset", &dataset, err));
  MLE_TRY(mle_rest_text(&dataset, "name", memory, &out->name, err));
  MLE_TRY(mle_rest_text(&dataset, "digest", memory, &out->digest, err));
  MLE_TRY(mle_rest_text(&dataset, "source_type", memory, &out->source_type, err));
  MLE_TRY(mle_rest_text(&dataset, "source", memory, &out->source, err));
  MLE_TRY(mle_rest_text(&dataset, "schema", memory, &out->schema, err));
  MLE_TRY(mle_rest_text(&dataset, "profile", memory, &out->profile, err));
  MLE_TRY(mle_rest_pairs(at, "tags", memory, &tags, err));
  out->context = mle_mlflow_find_pair(&tags, "mlflow.data.context");
  return MLE_OK;
}

static mle_status read_datasets(const mle_json_at *run, mle_arena *memory,
                                mle_mlflow_run_data *out, mle_error *err) {
  mle_json_at inputs, list, item;
  mle_mlflow_dataset *all = NULL;
  if (!mle_json_find(run, "inputs", &inputs) || !mle_json_find(&inputs, "dataset_inputs", &list))
    return MLE_OK;
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item)) {
    all = mle_arena_grow(memory, all, out->num_datasets, sizeof *all);
    if (all == NULL) return mle_nomem(err, "reading a run");
    out->dataset = all;
    all[out->num_datasets] = (mle_mlflow_dataset){0};
    MLE_TRY(read_dataset(&item, memory, &all[out->num_datasets++], err));
  }
  return MLE_OK;
}

/* `run` or `data` may be NULL. */
static mle_status get_run(mle_rest_store *store, const char *id, bool last_words,
                          mle_arena *memory, mle_mlflow_run *run, mle_mlflow_run_data *data,
                          mle_error *err) {
  const char *path;
  mle_json *answer = NULL;
  mle_json_at root, at, inside;
  mle_status status;
  MLE_GO(mle_rest_query(memory, &path, err, "runs/get", "run_id", id, NULL));
  mle_rest_request request = {.method = "GET", .path = path, .last_words = last_words};
  MLE_GO(mle_rest_call(store, &request, &answer, err));
  root = mle_json_root(answer);
  MLE_GO(mle_json_get_object(&root, "run", &at, err));
  if (run != NULL) MLE_GO(mle_rest_read_run(&at, memory, run, err));
  if (data == NULL) goto done;
  MLE_GO(read_datasets(&at, memory, data, err));
  if (!mle_json_find(&at, "data", &inside)) goto done;
  MLE_GO(mle_rest_pairs(&inside, "params", memory, &data->params, err));
  MLE_GO(mle_rest_pairs(&inside, "tags", memory, &data->tags, err));
  status = read_metrics(&inside, memory, &data->metrics, err);
done:
  mle_json_free(answer);
  return status;
}

mle_status mle_rest_get_run(mle_mlflow *base, const char *id, mle_arena *memory,
                            mle_mlflow_run *out, mle_error *err) {
  return get_run(mle_rest_of(base), id, false, memory, out, NULL, err);
}

mle_status mle_rest_get_run_data(mle_mlflow *base, const char *id, mle_arena *memory,
                                 mle_mlflow_run_data *out, mle_error *err) {
  return get_run(mle_rest_of(base), id, false, memory, NULL, out, err);
}

static mle_status history_page(mle_rest_store *store, const char *path, const char **token,
                               mle_arena *memory, mle_mlflow_metrics *out, mle_error *err) {
  mle_json *answer = NULL;
  mle_json_at root;
  mle_status status = MLE_OK;
  if (*token != NULL) {
    const char *coded = mle_percent_encode(memory, *token, false);
    path = coded == NULL ? NULL : mle_arena_format(memory, "%s&page_token=%s", path, coded);
    if (path == NULL) return mle_nomem(err, "reading metrics");
  }
  MLE_GO(mle_rest_call(store, &(mle_rest_request){.method = "GET", .path = path}, &answer, err));
  root = mle_json_root(answer);
  MLE_GO(read_metrics(&root, memory, out, err));
  status = mle_rest_text(&root, "next_page_token", memory, token, err);
done:
  mle_json_free(answer);
  return status;
}

static int by_time(const void *a, const void *b) {
  const mle_mlflow_metric *left = a, *right = b;
  if (left->timestamp != right->timestamp) return left->timestamp < right->timestamp ? -1 : 1;
  if (left->step != right->step) return left->step < right->step ? -1 : 1;
  return left->value < right->value ? -1 : left->value > right->value;
}

mle_status mle_rest_metric_history(mle_mlflow *base, const char *run_id, const char *key,
                                   mle_arena *memory, mle_mlflow_metrics *out, mle_error *err) {
  const char *path, *token = NULL;
  char *max = mle_arena_format(memory, "%d", POINTS_PAGE);
  int pages = 0;
  if (max == NULL) return mle_nomem(err, "reading metrics");
  MLE_TRY(mle_rest_query(memory, &path, err, "metrics/get-history", "run_id", run_id, "metric_key",
                         key, "max_results", max, NULL));
  do {
    if (pages++ == PAGES_MAX) return mle_fail(err, MLE_EFORMAT, "MLflow lists points without an end");
    MLE_TRY(history_page(mle_rest_of(base), path, &token, memory, out, err));
  } while (token != NULL && *token != '\0');
  if (out->count > 1)
    qsort((void *)(uintptr_t)out->item, out->count, sizeof *out->item, by_time);
  return MLE_OK;
}

/* ====== Searching ====== */

static mle_status read_found(const mle_json_at *item, mle_arena *memory, void *list,
                             mle_error *err) {
  mle_mlflow_runs *out = list;
  mle_mlflow_run *all = (void *)(uintptr_t)out->item;
  all = mle_arena_grow(memory, all, out->count, sizeof *all);
  if (all == NULL) return mle_nomem(err, "searching runs");
  out->item = all;
  all[out->count] = (mle_mlflow_run){0};
  return mle_rest_read_run(item, memory, &all[out->count++], err);
}

mle_status mle_rest_search_runs(mle_mlflow *base, const mle_mlflow_search *search,
                                mle_arena *memory, mle_mlflow_runs *out, mle_error *err) {
  mle_rest_search how = {search, "runs/search", "runs", "run_view_type", PAGE,
                         mle_rest_post_search, read_found, memory, 0};
  if (search->experiment_ids == NULL || search->experiment_ids[0] == NULL) return MLE_OK;
  return mle_rest_search_all(mle_rest_of(base), &how, out, &out->count, &out->next_page_token, err);
}

/* ====== Creating ====== */

typedef struct new_run {
  const mle_mlflow_new_run *run;
  mle_mlflow_pairs tags;
  const char *key;
  mle_arena *memory;
  mle_mlflow_run *out;
} new_run;

static mle_status send_run(mle_rest_store *store, void *what, mle_error *err) {
  const new_run *n = what;
  mle_json *answer, *body = mle_json_new_object();
  mle_json_at root, run;
  mle_status status;
  mle_json_add_text(body, "experiment_id", n->run->experiment_id);
  mle_json_add_text(body, "user_id", n->run->user);
  mle_json_add_text(body, "run_name", n->run->name);
  mle_json_add_int(body, "start_time", n->run->start_time);
  mle_rest_add_pairs(body, "tags", &n->tags);
  mle_rest_request request = {
      .method = "POST", .path = "runs/create", .body = body, .once = true};
  MLE_GO(mle_rest_call(store, &request, &answer, err));
  root = mle_json_root(answer);
  MLE_GO(mle_json_get_object(&root, "run", &run, err));
  status = mle_rest_read_run(&run, n->memory, n->out, err);
done:
  mle_json_free(answer);
  return status;
}

static mle_status find_run(mle_rest_store *store, void *what, bool *out_found, mle_error *err) {
  const new_run *n = what;
  const char *const ids[] = {n->run->experiment_id, NULL};
  mle_mlflow_runs found = {0};
  char *filter = mle_arena_format(n->memory, "tags.`" MLE_REST_KEY "` = '%s'", n->key);
  if (filter == NULL) return mle_nomem(err, "looking for a run");
  mle_mlflow_search search = {.experiment_ids = ids, .filter = filter, .max = 1};
  MLE_TRY(mle_rest_search_runs(&store->base, &search, n->memory, &found, err));
  *out_found = found.count > 0;
  if (*out_found) *n->out = found.item[0];
  return MLE_OK;
}

mle_status mle_rest_create_run(mle_mlflow *base, const mle_mlflow_new_run *run, mle_arena *memory,
                               mle_mlflow_run *out, mle_error *err) {
  char made[MLE_UUID_TEXT];
  new_run n = {.run = run, .memory = memory, .out = out};
  n.key = run->id != NULL ? run->id : mle_uuid_hex(made);
  MLE_TRY(mle_rest_with_key(&run->tags, n.key, memory, &n.tags, err));
  return mle_rest_create(mle_rest_of(base), &(mle_rest_creation){send_run, find_run, &n}, err);
}

/* ====== Changing ====== */

static bool is_over(const mle_mlflow_run *run) {
  return strcmp(run->status, MLE_MLFLOW_RUNNING) != 0 && strcmp(run->status, "SCHEDULED") != 0;
}

static mle_status send_change(mle_rest_store *store, const char *id,
                              const mle_mlflow_run_change *change, bool with_status,
                              bool last_words, mle_error *err) {
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "run_id", id);
  if (with_status && change->status != NULL) mle_json_add_text(body, "status", change->status);
  if (with_status && change->end_time != 0) mle_json_add_int(body, "end_time", change->end_time);
  if (change->name != NULL) mle_json_add_text(body, "run_name", change->name);
  mle_rest_request request = {
      .method = "POST", .path = "runs/update", .body = body, .last_words = last_words};
  return mle_rest_call(store, &request, NULL, err);
}

mle_status mle_rest_update_run(mle_mlflow *base, const char *id,
                               const mle_mlflow_run_change *change, bool only_running,
                               mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  mle_arena memory = MLE_ARENA;
  mle_mlflow_run run = {0};
  mle_status status = MLE_OK;
  if (only_running) MLE_GO(get_run(store, id, true, &memory, &run, NULL, err));
  bool over = run.id != NULL && is_over(&run);
  if (over && change->name == NULL) goto done;
  status = send_change(store, id, change, !over, only_running, err);
done:
  mle_arena_release(&memory);
  return status;
}

mle_status mle_rest_stage_run(mle_mlflow *base, const char *id, bool active, mle_error *err) {
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "run_id", id);
  return mle_rest_send(mle_rest_of(base), "POST", active ? "runs/restore" : "runs/delete", body, err);
}

mle_status mle_rest_delete_tag(mle_mlflow *base, const char *run_id, const char *key,
                               mle_error *err) {
  mle_rest_tagged what = {{{"run_id", run_id}}, "runs/set-tag", "runs/delete-tag", "POST"};
  return mle_rest_send_tag(mle_rest_of(base), &what, key, NULL, err);
}
