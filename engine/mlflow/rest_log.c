/*
 * rest_log.c -- what a run logs, in batches that a server takes and that may be resent.
 *
 * A server takes at most 1000 metrics, 100 params, 100 tags and 1000 in all. The same
 * rows sent twice are stored once, by 2.22 only while a batch has at most 100 keys of
 * metrics. So a long batch of ours goes in parts, params and tags first, and what was
 * sent stays when a later part fails; the same batch again does no harm.
 */
#include <string.h>

#include "engine/mlflow/metric_json.h"
#include "engine/mlflow/rest.h"

#define PART_METRICS 800
#define PART_KEYS 100
#define PART_PAIRS 100

/* ====== Parts ====== */

static bool has_key(const mle_mlflow_metric *const *keys, size_t count, const char *key) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(keys[i]->key, key) == 0) return true;
  return false;
}

/* How many metrics from `from` on make the next part. */
static size_t part_of(const mle_mlflow_metrics *metrics, size_t from) {
  const mle_mlflow_metric *keys[PART_KEYS];
  size_t num_keys = 0, count = 0;
  for (; from + count < metrics->count && count < PART_METRICS; count++) {
    const mle_mlflow_metric *metric = &metrics->item[from + count];
    if (has_key(keys, num_keys, metric->key)) continue;
    if (num_keys == PART_KEYS) break;
    keys[num_keys++] = metric;
  }
  return count;
}

static void add_metrics(mle_json *body, const mle_mlflow_metrics *metrics, size_t from,
                        size_t count, const char *model_id) {
  mle_json *list = mle_json_add_array(body, "metrics");
  for (size_t i = from; i < from + count; i++) {
    mle_json *item = mle_metric_add(list, &metrics->item[i]);
    if (model_id != NULL) mle_json_add_text(item, "model_id", model_id);
  }
}

static mle_status send_metrics(mle_rest_store *store, const char *run_id,
                               const mle_mlflow_metrics *metrics, const char *model_id,
                               mle_error *err) {
  for (size_t at = 0; at < metrics->count;) {
    size_t count = part_of(metrics, at);
    mle_json *body = mle_json_new_object();
    mle_json_add_text(body, "run_id", run_id);
    add_metrics(body, metrics, at, count, model_id);
    mle_rest_request request = {
        .method = "POST", .path = "runs/log-batch", .body = body, .last_words = true};
    MLE_TRY(mle_rest_call(store, &request, NULL, err));
    at += count;
  }
  return MLE_OK;
}

static mle_mlflow_pairs slice(const mle_mlflow_pairs *pairs, size_t at) {
  size_t left = at < pairs->count ? pairs->count - at : 0;
  return (mle_mlflow_pairs){left < PART_PAIRS ? left : PART_PAIRS,
                            left == 0 ? NULL : pairs->item + at};
}

static mle_status send_pairs(mle_rest_store *store, const char *run_id,
                             const mle_mlflow_batch *batch, mle_error *err) {
  for (size_t at = 0; at < batch->params.count || at < batch->tags.count; at += PART_PAIRS) {
    mle_mlflow_pairs params = slice(&batch->params, at), tags = slice(&batch->tags, at);
    mle_json *body = mle_json_new_object();
    mle_json_add_text(body, "run_id", run_id);
    mle_rest_add_pairs(body, "params", &params);
    mle_rest_add_pairs(body, "tags", &tags);
    mle_rest_request request = {.method = "POST", .path = "runs/log-batch", .body = body};
    MLE_TRY(mle_rest_call(store, &request, NULL, err));
  }
  return MLE_OK;
}

mle_status mle_rest_log_batch(mle_mlflow *base, const char *run_id, const mle_mlflow_batch *batch,
                              mle_error *err) {
  mle_rest_store *store = mle_rest_of(base);
  MLE_TRY(send_pairs(store, run_id, batch, err));
  return send_metrics(store, run_id, &batch->metrics, NULL, err);
}

mle_status mle_rest_log_model_metrics(mle_rest_store *store, const char *run_id,
                                      const char *model_id, const mle_mlflow_metrics *metrics,
                                      mle_error *err) {
  return send_metrics(store, run_id, metrics, model_id, err);
}

/* ====== Datasets ====== */

mle_status mle_rest_log_dataset(mle_mlflow *base, const char *run_id,
                                const mle_mlflow_dataset *dataset, mle_error *err) {
  mle_json *body = mle_json_new_object();
  mle_json_add_text(body, "run_id", run_id);
  mle_json *input = mle_json_add_object(mle_json_add_array(body, "datasets"), NULL);
  if (dataset->context != NULL) {
    mle_mlflow_pair context = {"mlflow.data.context", dataset->context};
    mle_rest_add_pairs(input, "tags", &(mle_mlflow_pairs){1, &context});
  }
  mle_json *item = mle_json_add_object(input, "dataset");
  mle_json_add_text(item, "name", dataset->name);
  mle_json_add_text(item, "digest", dataset->digest);
  mle_json_add_text(item, "source_type", dataset->source_type);
  mle_json_add_text(item, "source", dataset->source);
  if (dataset->schema != NULL) mle_json_add_text(item, "schema", dataset->schema);
  if (dataset->profile != NULL) mle_json_add_text(item, "profile", dataset->profile);
  mle_rest_request request = {.method = "POST", .path = "runs/log-inputs", .body = body};
  return mle_rest_call(mle_rest_of(base), &request, NULL, err);
}
