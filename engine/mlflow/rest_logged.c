/* rest_logged.c -- MLflow 3's logged models, behind a server: found, described, tagged, deleted */

#include <string.h>

#include "engine/base/percent.h"
#include "engine/mlflow/filter.h"
#include "engine/mlflow/metric_json.h"
#include "engine/mlflow/rest.h"

#define PAGE 50 /* the most that a server gives at once */

static mle_status need_models(mle_rest_store *store, mle_error *err) {
  MLE_TRY(mle_rest_look(store, err));
  if (store->logged_models) return MLE_OK;
  return mle_fail(err, MLE_EUNSUPPORTED,
                  "MLflow %s at %s has no logged models; a server of version 3 has", store->version,
                  store->settings.url);
}

/* "logged-models/ID", and what follows. */
static mle_status path_of(mle_arena *memory, const char *id, const char *more, const char **out,
                          mle_error *err) {
  const char *coded = mle_percent_encode(memory, id, false);
  *out = coded == NULL ? NULL : mle_arena_format(memory, "logged-models/%s%s", coded, more);
  return *out != NULL ? MLE_OK : mle_nomem(err, "reaching a model");
}

/* ====== Reading ====== */

static bool is_newer(const mle_mlflow_metric *a, const mle_mlflow_metric *b) {
  return a->timestamp != b->timestamp ? a->timestamp > b->timestamp : a->step > b->step;
}

/* All points are listed; of each metric the latest stays. */
static mle_status read_metrics(const mle_json_at *data, mle_arena *memory, mle_mlflow_metrics *out,
                               mle_error *err) {
  mle_json_at list, item;
  mle_mlflow_metric *all = NULL;
  if (!mle_json_find(data, "metrics", &list)) return MLE_OK;
  for (bool more = mle_json_first(&list, &item); more; more = mle_json_next(&item)) {
    mle_mlflow_metric point;
    size_t at = 0;
    MLE_TRY(mle_metric_read(&item, &point, err));
    while (at < out->count && strcmp(all[at].key, point.key) != 0) at++;
    if (at < out->count && is_newer(&all[at], &point)) continue;
    MLE_TRY(mle_arena_copy(memory, point.key, &point.key, err));
    all = mle_arena_grow(memory, all, out->count, sizeof *all);
    if (all == NULL) return mle_nomem(err, "reading metrics");
    out->item = all;
    all[at] = point;
    if (at == out->count) out->count++;
  }
  return MLE_OK;
}

static const char *status_name(const char *text) {
  static const char prefix[] = "LOGGED_MODEL_";
  if (text == NULL || strncmp(text, prefix, strlen(prefix)) != 0) return "UNSPECIFIED";
  return text + strlen(prefix);
}

static mle_status read_logged(const mle_json_at *at, mle_arena *memory, mle_mlflow_logged *out,
                              mle_error *err) {
  mle_json_at info, data;
  MLE_TRY(mle_rest_read_model(at, memory, &out->model, err));
  MLE_TRY(mle_json_get_object(at, "info", &info, err));
  MLE_TRY(mle_rest_text(&info, "experiment_id", memory, &out->experiment_id, err));
  MLE_TRY(mle_rest_text(&info, "model_type", memory, &out->type, err));
  if (out->type != NULL && *out->type == '\0') out->type = NULL;
  MLE_TRY(mle_rest_text(&info, "status", memory, &out->status, err));
  out->status = status_name(out->status);
  MLE_TRY(mle_rest_int(&info, "creation_timestamp_ms", &out->creation_time, err));
  MLE_TRY(mle_rest_int(&info, "last_updated_timestamp_ms", &out->last_updated_time, err));
  MLE_TRY(mle_rest_pairs(&info, "tags", memory, &out->tags, err));
  if (!mle_json_find(at, "data", &data)) return MLE_OK;
  MLE_TRY(mle_rest_pairs(&data, "params", memory, &out->params, err));
  return read_metrics(&data, memory, &out->metrics, err);
}

mle_status mle_rest_get_logged(mle_mlflow *base, const char *id, mle_arena *memory,
                               mle_mlflow_logged *out, mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  mle_json *answer = NULL;
  mle_json_at root, model;
  const char *path;
  mle_status status;
  MLE_TRY(need_models(store, err));
  MLE_TRY(path_of(memory, id, "", &path, err));
  MLE_GO(mle_rest_call(store, &(mle_rest_request){.method = "GET", .path = path}, &answer, err));
  root = mle_json_root(answer);
  MLE_GO(mle_json_get_object(&root, "model", &model, err));
  status = read_logged(&model, memory, out, err);
done:
  mle_json_free(answer);
  return status;
}

/* ====== Searching ====== */

static mle_status read_found(const mle_json_at *item, mle_arena *memory, void *list,
                             mle_error *err) {
  mle_mlflow_logged_list *out = list;
  mle_mlflow_logged *all = (void *)(uintptr_t)out->item;
  all = mle_arena_grow(memory, all, out->count, sizeof *all);
  if (all == NULL) return mle_nomem(err, "searching models");
  out->item = all;
  all[out->count] = (mle_mlflow_logged){0};
  return read_logged(item, memory, &all[out->count++], err);
}

/* Here an order is an object: {"field_name": "metrics.auc", "ascending": false}. */
static mle_status add_order(mle_json *list, const char *text, mle_arena *memory, mle_error *err) {
  mle_filter_order order;
  MLE_TRY(mle_filter_parse_order(&mle_filter_logged_models, text, memory, &order, err));
  const char *name = order.attribute != NULL ? order.attribute->name
                                             : mle_arena_format(memory, "metrics.%s", order.key);
  if (name == NULL) return mle_nomem(err, "searching models");
  mle_json *item = mle_json_add_object(list, NULL);
  mle_json_add_text(item, "field_name", name);
  mle_json_add_bool(item, "ascending", !order.descending);
  return MLE_OK;
}

static mle_status make_request(const mle_rest_search *how, const char *token,
                               mle_rest_request *out, mle_error *err) {
  mle_mlflow_search search = *how->search;
  mle_rest_search without = *how;
  search.order_by = NULL;
  without.search = &search;
  MLE_TRY(mle_rest_post_search(&without, token, out, err));
  mle_json *list = how->search->order_by == NULL ? NULL : mle_json_add_array(out->body, "order_by");
  for (size_t i = 0; list != NULL && how->search->order_by[i] != NULL; i++) {
    mle_status status = add_order(list, how->search->order_by[i], how->memory, err);
    if (status == MLE_OK) continue;
    mle_json_free(out->body);
    return status;
  }
  return MLE_OK;
}

mle_status mle_rest_search_logged(mle_mlflow *base, const mle_mlflow_search *search,
                                  mle_arena *memory, mle_mlflow_logged_list *out, mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  mle_rest_search how = {search, "logged-models/search", "models", NULL, PAGE,
                         make_request, read_found, memory, 0};
  MLE_TRY(need_models(store, err));
  if (search->experiment_ids == NULL || search->experiment_ids[0] == NULL) return MLE_OK;
  return mle_rest_search_all(store, &how, out, &out->count, &out->next_page_token, err);
}

/* ====== Writing ====== */

static mle_status set_tags(mle_rest_store *store, const char *id, const mle_mlflow_pairs *tags,
                           mle_arena *memory, mle_error *err) {
  const char *path;
  if (tags->count == 0) return MLE_OK;
  MLE_TRY(path_of(memory, id, "/tags", &path, err));
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "model_id", id);
  mle_rest_add_pairs(body, "tags", tags);
  return mle_rest_send(store, "PATCH", path, body, err);
}

static mle_status drop_tag(mle_rest_store *store, const char *id, const char *key,
                           mle_arena *memory, mle_error *err) {
  const char *path, *coded = mle_percent_encode(memory, key, false);
  const char *more = coded == NULL ? NULL : mle_arena_format(memory, "/tags/%s", coded);
  if (more == NULL) return mle_nomem(err, "deleting a tag");
  MLE_TRY(path_of(memory, id, more, &path, err));
  return mle_rest_send(store, "DELETE", path, mle_json_new_object(), err);
}

mle_status mle_rest_change_logged(mle_mlflow *base, const char *id,
                                  const mle_mlflow_change *change, mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  mle_arena memory = MLE_ARENA;
  mle_status status;
  MLE_GO(need_models(store, err));
  MLE_GO(set_tags(store, id, &change->set_tags, &memory, err));
  if (change->delete_tag != NULL) status = drop_tag(store, id, change->delete_tag, &memory, err);
done:
  mle_arena_release(&memory);
  return status;
}

mle_status mle_rest_delete_logged(mle_mlflow *base, const char *id, mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  mle_arena memory = MLE_ARENA;
  const char *path;
  mle_status status;
  MLE_GO(need_models(store, err));
  MLE_GO(path_of(&memory, id, "", &path, err));
  status = mle_rest_send(store, "DELETE", path, mle_json_new_object(), err);
done:
  mle_arena_release(&memory);
  return status;
}
