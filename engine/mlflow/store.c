#include "engine/mlflow/store.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/base/clock.h"
#include "engine/mlflow/backend.h"
#include "engine/mlflow/origin.h"
#include "engine/mlflow/rest.h"
#include "engine/mlflow/rules.h"
#include "engine/mlflow/sqlite.h"

#define SEARCH_DEFAULT 1000
#define SEARCH_MAX 50000

/* ====== Opening ====== */

/* A URI may hold a password, so messages name its scheme only. */
static mle_status refuse_scheme(const char *uri, mle_error *err) {
  int len = (int)strcspn(uri, ":");
  if (strstr(uri, "://") == NULL)
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "tracking URI '%s': MLflow's file store is not spoken, use sqlite:///mlflow.db "
                    "or a server's http://HOST:PORT",
                    uri);
  return mle_fail(err, MLE_EUNSUPPORTED, "tracking URI %.*s://... is not spoken, use %s", len, uri,
                  "sqlite:///mlflow.db or a server's http://HOST:PORT");
}

mle_status mle_mlflow_open(const char *uri, mle_mlflow **out, mle_error *err) {
  static const char scheme[] = "sqlite:///";
  *out = NULL;
  if (strncasecmp(uri, "http://", 7) == 0 || strncasecmp(uri, "https://", 8) == 0)
    return mle_mlflow_open_rest(uri, out, err);
  if (strncmp(uri, scheme, strlen(scheme)) != 0) return refuse_scheme(uri, err);
  const char *path = uri + strlen(scheme);
  if (*path == '\0' || strpbrk(path, "?#") != NULL || strcmp(path, ":memory:") == 0)
    return mle_fail(err, MLE_EINVAL, "tracking URI '%s' must name a file: sqlite:///mlflow.db", uri);
  return mle_mlflow_open_sqlite(path, out, err);
}

mle_mlflow *mle_mlflow_retain(mle_mlflow *store) {
  store->owners++;
  return store;
}

void mle_mlflow_close(mle_mlflow *store) {
  if (store != NULL && --store->owners == 0) store->call->close(store);
}

/* ====== Experiments ====== */

mle_status mle_mlflow_create_experiment(mle_mlflow *store, const mle_mlflow_new_experiment *request,
                                        mle_arena *memory, mle_mlflow_experiment *out,
                                        mle_error *err) {
  mle_mlflow_new_experiment checked = *request;
  *out = (mle_mlflow_experiment){0};
  MLE_TRY(mle_mlflow_check_experiment_name(request->name, err));
  if (request->artifact_location != NULL)
    MLE_TRY(mle_mlflow_check_text("an artifact location", request->artifact_location, 256, err));
  MLE_TRY(mle_mlflow_cut_pairs("tag", MLE_MLFLOW_VERSION_TAG_MAX, &checked.tags, memory, err));
  return store->call->create_experiment(store, &checked, memory, out, err);
}

mle_status mle_mlflow_get_experiment(mle_mlflow *store, const char *id, mle_arena *memory,
                                     mle_mlflow_experiment *out, mle_error *err) {
  *out = (mle_mlflow_experiment){0};
  return store->call->get_experiment(store, id, memory, out, err);
}

mle_status mle_mlflow_find_experiment(mle_mlflow *store, const char *name, mle_arena *memory,
                                      mle_mlflow_experiment *out, mle_error *err) {
  *out = (mle_mlflow_experiment){0};
  return store->call->find_experiment(store, name, memory, out, err);
}

mle_status mle_mlflow_use_experiment(mle_mlflow *store, const char *name, mle_arena *memory,
                                     mle_mlflow_experiment *out, mle_error *err) {
  MLE_TRY(mle_mlflow_find_experiment(store, name, memory, out, err));
  if (out->id == NULL) {
    mle_mlflow_new_experiment request = {.name = name};
    mle_status status = mle_mlflow_create_experiment(store, &request, memory, out, err);
    if (status != MLE_EEXISTS) return status;
    MLE_TRY(mle_mlflow_find_experiment(store, name, memory, out, err)); /* another was faster */
  }
  if (out->id == NULL || strcmp(out->lifecycle_stage, "active") != 0)
    return mle_fail(err, MLE_EREFUSED,
                    "experiment '%s' is deleted; restore it in MLflow or choose another name", name);
  return MLE_OK;
}

mle_mlflow_search mle_mlflow_bounded(const mle_mlflow_search *search) {
  mle_mlflow_search copy = *search;
  if (copy.max == 0) copy.max = SEARCH_DEFAULT;
  if (copy.max > SEARCH_MAX) copy.max = SEARCH_MAX;
  return copy;
}

mle_status mle_mlflow_search_experiments(mle_mlflow *store, const mle_mlflow_search *search,
                                         mle_arena *memory, mle_mlflow_experiments *out,
                                         mle_error *err) {
  mle_mlflow_search request = mle_mlflow_bounded(search);
  *out = (mle_mlflow_experiments){0};
  return store->call->search_experiments(store, &request, memory, out, err);
}

mle_status mle_mlflow_list_experiments(mle_mlflow *store, mle_arena *memory,
                                       mle_mlflow_experiments *out, mle_error *err) {
  static const char *const oldest_first[] = {"experiment_id ASC", NULL};
  mle_mlflow_search all = {.order_by = oldest_first, .max = SEARCH_MAX};
  return mle_mlflow_search_experiments(store, &all, memory, out, err);
}

mle_status mle_mlflow_change_experiment(mle_mlflow *store, const char *id,
                                        const mle_mlflow_change *change, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_mlflow_change checked = *change;
  mle_status status;
  if (change->name != NULL) MLE_TRY(mle_mlflow_check_experiment_name(change->name, err));
  MLE_GO(mle_mlflow_cut_pairs("tag", MLE_MLFLOW_VERSION_TAG_MAX, &checked.set_tags, &memory, err));
  status = store->call->change_experiment(store, id, &checked, err);
done:
  mle_arena_release(&memory);
  return status;
}

mle_status mle_mlflow_delete_experiment(mle_mlflow *store, const char *id, mle_error *err) {
  return store->call->stage_experiment(store, id, false, err);
}

mle_status mle_mlflow_restore_experiment(mle_mlflow *store, const char *id, mle_error *err) {
  return store->call->stage_experiment(store, id, true, err);
}

/* ====== Runs ====== */

const char *mle_mlflow_find_pair(const mle_mlflow_pairs *pairs, const char *key) {
  for (size_t i = 0; i < pairs->count; i++)
    if (strcmp(pairs->item[i].key, key) == 0) return pairs->item[i].value;
  return NULL;
}

/* `pairs` with the given one behind, unless the key is there. */
static mle_status add_pair(mle_mlflow_pairs *pairs, const char *key, const char *value,
                           mle_arena *memory, mle_error *err) {
  if (mle_mlflow_find_pair(pairs, key) != NULL) return MLE_OK;
  mle_mlflow_pair *longer = mle_arena_alloc(memory, (pairs->count + 1) * sizeof *longer);
  if (longer == NULL) return mle_nomem(err, "creating a run");
  if (pairs->count > 0) memcpy(longer, pairs->item, pairs->count * sizeof *longer);
  longer[pairs->count++] = (mle_mlflow_pair){key, value};
  pairs->item = longer;
  return MLE_OK;
}

/* The tag mlflow.runName and the run's name are one: either gives the other. */
static mle_status name_run(mle_mlflow_new_run *run, mle_arena *memory, mle_error *err) {
  if (run->name == NULL || *run->name == '\0') run->name = mle_mlflow_find_pair(&run->tags, "mlflow.runName");
  if (run->name == NULL || *run->name == '\0') {
    char *invented = mle_arena_alloc(memory, MLE_RUN_NAME_TEXT);
    if (invented == NULL) return mle_nomem(err, "naming a run");
    run->name = mle_mlflow_run_name(invented);
  }
  MLE_TRY(mle_mlflow_check_text("a run's name", run->name, 250, err));
  return add_pair(&run->tags, "mlflow.runName", run->name, memory, err);
}

static mle_status check_new_id(const char *id, mle_error *err) {
  if (id == NULL || (strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32)) return MLE_OK;
  return mle_fail(err, MLE_EINVAL, "run id '%.60s' must be 32 hex digits", id);
}

mle_status mle_mlflow_create_run(mle_mlflow *store, const mle_mlflow_new_run *run,
                                 mle_arena *memory, mle_mlflow_run *out, mle_error *err) {
  mle_mlflow_new_run full = *run;
  *out = (mle_mlflow_run){0};
  MLE_TRY(check_new_id(full.id, err));
  if (full.user == NULL) full.user = mle_mlflow_user();
  if (full.start_time == 0) full.start_time = mle_now_ms();
  MLE_TRY(mle_mlflow_check_text("a user's name", full.user, 256, err));
  MLE_TRY(name_run(&full, memory, err));
  MLE_TRY(add_pair(&full.tags, "mlflow.user", full.user, memory, err));
  MLE_TRY(mle_mlflow_cut_pairs("tag", MLE_MLFLOW_TAG_MAX, &full.tags, memory, err));
  return store->call->create_run(store, &full, memory, out, err);
}

mle_status mle_mlflow_get_run(mle_mlflow *store, const char *id, mle_arena *memory,
                              mle_mlflow_run *out, mle_error *err) {
  *out = (mle_mlflow_run){0};
  return store->call->get_run(store, id, memory, out, err);
}

mle_status mle_mlflow_get_run_data(mle_mlflow *store, const char *id, mle_arena *memory,
                                   mle_mlflow_run_data *out, mle_error *err) {
  *out = (mle_mlflow_run_data){0};
  return store->call->get_run_data(store, id, memory, out, err);
}

mle_status mle_mlflow_metric_history(mle_mlflow *store, const char *run_id, const char *key,
                                     mle_arena *memory, mle_mlflow_metrics *out, mle_error *err) {
  *out = (mle_mlflow_metrics){0};
  return store->call->metric_history(store, run_id, key, memory, out, err);
}

static mle_status check_change(const mle_mlflow_run_change *change, mle_error *err) {
  if (change->status != NULL) MLE_TRY(mle_mlflow_check_status(change->status, err));
  if (change->name != NULL) MLE_TRY(mle_mlflow_check_text("a run's name", change->name, 250, err));
  return MLE_OK;
}

mle_status mle_mlflow_update_run(mle_mlflow *store, const char *id,
                                 const mle_mlflow_run_change *change, mle_error *err) {
  MLE_TRY(check_change(change, err));
  return store->call->update_run(store, id, change, false, err);
}

mle_status mle_mlflow_end_run(mle_mlflow *store, const char *id, const char *status,
                              int64_t end_time, mle_error *err) {
  mle_mlflow_run_change change = {.status = status,
                                  .end_time = end_time == 0 ? mle_now_ms() : end_time};
  MLE_TRY(check_change(&change, err));
  return store->call->update_run(store, id, &change, true, err);
}

mle_status mle_mlflow_search_runs(mle_mlflow *store, const mle_mlflow_search *search,
                                  mle_arena *memory, mle_mlflow_runs *out, mle_error *err) {
  mle_mlflow_search request = mle_mlflow_bounded(search);
  *out = (mle_mlflow_runs){0};
  return store->call->search_runs(store, &request, memory, out, err);
}

mle_status mle_mlflow_delete_run(mle_mlflow *store, const char *id, mle_error *err) {
  return store->call->stage_run(store, id, false, err);
}

mle_status mle_mlflow_restore_run(mle_mlflow *store, const char *id, mle_error *err) {
  return store->call->stage_run(store, id, true, err);
}

/* ====== What a run logs ====== */

static mle_status check_metrics(const mle_mlflow_metrics *metrics, mle_error *err) {
  for (size_t i = 0; i < metrics->count; i++) {
    const mle_mlflow_metric *metric = &metrics->item[i];
    MLE_TRY(mle_mlflow_check_key("metric", metric->key, err));
    if (metric->timestamp < 0)
      return mle_fail(err, MLE_EINVAL, "metric '%s' lies before 1970", metric->key);
  }
  return MLE_OK;
}

mle_status mle_mlflow_log_batch(mle_mlflow *store, const char *run_id,
                                const mle_mlflow_batch *batch, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_mlflow_batch checked = *batch;
  mle_status status;
  MLE_GO(check_metrics(&checked.metrics, err));
  MLE_GO(mle_mlflow_cut_pairs("param", MLE_MLFLOW_PARAM_MAX, &checked.params, &memory, err));
  MLE_GO(mle_mlflow_cut_pairs("tag", MLE_MLFLOW_TAG_MAX, &checked.tags, &memory, err));
  status = store->call->log_batch(store, run_id, &checked, err);
done:
  mle_arena_release(&memory);
  return status;
}

mle_status mle_mlflow_set_tag(mle_mlflow *store, const char *run_id, const char *key,
                              const char *value, mle_error *err) {
  mle_mlflow_pair tag = {key, value};
  return mle_mlflow_log_batch(store, run_id, &(mle_mlflow_batch){.tags = {1, &tag}}, err);
}

mle_status mle_mlflow_delete_tag(mle_mlflow *store, const char *run_id, const char *key,
                                 mle_error *err) {
  return store->call->delete_tag(store, run_id, key, err);
}

mle_status mle_mlflow_log_dataset(mle_mlflow *store, const char *run_id,
                                  const mle_mlflow_dataset *dataset, mle_error *err) {
  MLE_TRY(mle_mlflow_check_text("a dataset's name", dataset->name, 500, err));
  MLE_TRY(mle_mlflow_check_text("a dataset's digest", dataset->digest, 36, err));
  MLE_TRY(mle_mlflow_check_text("a dataset's source_type", dataset->source_type, 36, err));
  MLE_TRY(mle_mlflow_check_text("a dataset's source", dataset->source, 65535, err));
  if (dataset->schema != NULL)
    MLE_TRY(mle_mlflow_check_text("a dataset's schema", dataset->schema, 1048575, err));
  if (dataset->profile != NULL)
    MLE_TRY(mle_mlflow_check_text("a dataset's profile", dataset->profile, 16777215, err));
  if (dataset->context != NULL)
    MLE_TRY(mle_mlflow_check_text("a dataset's context", dataset->context, 500, err));
  return store->call->log_dataset(store, run_id, dataset, err);
}

mle_status mle_mlflow_begin_model(mle_mlflow *store, const char *run_id, const char *name,
                                  mle_arena *memory, mle_mlflow_model *out, mle_error *err) {
  *out = (mle_mlflow_model){0};
  MLE_TRY(mle_mlflow_check_logged_name(name, err));
  return store->call->begin_model(store, run_id, name, memory, out, err);
}

mle_status mle_mlflow_finish_model(mle_mlflow *store, const mle_mlflow_model *model, bool ready,
                                   const char *flavors, mle_error *err) {
  return store->call->finish_model(store, model, ready, flavors, err);
}

mle_status mle_mlflow_get_model(mle_mlflow *store, const char *id, mle_arena *memory,
                                mle_mlflow_model *out, mle_error *err) {
  *out = (mle_mlflow_model){0};
  return store->call->get_model(store, id, memory, out, err);
}

mle_status mle_mlflow_find_model(mle_mlflow *store, const char *run_id, const char *name,
                                 mle_arena *memory, mle_mlflow_model *out, mle_error *err) {
  *out = (mle_mlflow_model){0};
  return store->call->find_model(store, run_id, name, memory, out, err);
}

/* ====== Logged models ====== */

mle_status mle_mlflow_get_logged(mle_mlflow *store, const char *id, mle_arena *memory,
                                 mle_mlflow_logged *out, mle_error *err) {
  *out = (mle_mlflow_logged){0};
  return store->call->get_logged(store, id, memory, out, err);
}

mle_status mle_mlflow_search_logged(mle_mlflow *store, const mle_mlflow_search *search,
                                    mle_arena *memory, mle_mlflow_logged_list *out,
                                    mle_error *err) {
  mle_mlflow_search request = mle_mlflow_bounded(search);
  *out = (mle_mlflow_logged_list){0};
  return store->call->search_logged(store, &request, memory, out, err);
}

mle_status mle_mlflow_change_logged(mle_mlflow *store, const char *id,
                                    const mle_mlflow_change *change, mle_error *err) {
  mle_arena memory = MLE_ARENA;
  mle_mlflow_change checked = *change;
  mle_status status = mle_mlflow_cut_pairs("tag", MLE_MLFLOW_TAG_MAX, &checked.set_tags, &memory, err);
  if (status == MLE_OK) status = store->call->change_logged(store, id, &checked, err);
  mle_arena_release(&memory);
  return status;
}

mle_status mle_mlflow_delete_logged(mle_mlflow *store, const char *id, mle_error *err) {
  return store->call->delete_logged(store, id, err);
}
