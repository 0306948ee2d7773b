/*
 * sqlite_models.c -- a run's models, in MLflow 3's layout where the file has its
 * tables, else in MLflow 2's, which both read.
 *
 * MLflow 3: a row of logged_models (status 1 while files are written, then 2, or
 * 3 when that failed), an output of the run, copies of the run's params and
 * metrics; files under EXPERIMENT/models/ID/artifacts. MLflow 2: files among the
 * run's artifacts, and an entry in its tag mlflow.log-model.history.
 */
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/mlflow/model_entry.h"
#include "engine/mlflow/sqlite.h"

#define READY 2
#define FAILED 3

#define HISTORY_TAG "mlflow.log-model.history"
#define VERSIONS_TAG "mlflow.modelVersions"

/* ====== Beginning ====== */

static mle_status insert_model(mle_sqlite_store *store, const mle_mlflow_model *model,
                               const char *experiment_id, mle_error *err) {
  char input[MLE_UUID_TEXT];
  int64_t now = mle_now_ms();
  MLE_TRY(mle_db_run(store->db, err,
                     "insert into logged_models (model_id, experiment_id, name, artifact_location,"
                     " creation_timestamp_ms, last_updated_timestamp_ms, status, lifecycle_stage,"
                     " source_run_id) values (?, cast(? as integer), ?, ?, ?, ?, 1, 'active', ?)",
                     "ssssiis", model->id, experiment_id, model->name, model->artifact_uri, now,
                     now, model->run_id));
  return mle_db_run(store->db, err,
                    "insert into inputs (input_uuid, source_type, source_id, destination_type,"
                    " destination_id) values (?, 'RUN_OUTPUT', ?, 'MODEL_OUTPUT', ?)",
                    "sss", mle_uuid_hex(input), model->run_id, model->id);
}

static mle_status begin_3(mle_sqlite_store *store, const mle_mlflow_run *run, mle_arena *memory,
                          mle_mlflow_model *out, mle_error *err) {
  char hex[MLE_UUID_TEXT];
  mle_mlflow_experiment experiment = {0};
  MLE_TRY(mle_sqlite_get_experiment(&store->base, run->experiment_id, memory, &experiment, err));
  out->id = mle_arena_format(memory, "m-%s", mle_uuid_hex(hex));
  const char *location = experiment.artifact_location;
  size_t len = strlen(location);
  while (len > 0 && location[len - 1] == '/') len--;
  out->artifact_uri = mle_arena_format(memory, "%.*s/models/m-%s/artifacts", (int)len, location, hex);
  out->uri = mle_arena_format(memory, "models:/m-%s", hex);
  out->format = "3.17.2";
  if (out->id == NULL || out->artifact_uri == NULL || out->uri == NULL)
    return mle_nomem(err, "logging a model");
  return insert_model(store, out, run->experiment_id, err);
}

static mle_status begin_2(const mle_mlflow_run *run, mle_arena *memory, mle_mlflow_model *out,
                          mle_error *err) {
  out->artifact_uri = mle_arena_format(memory, "%s/%s", run->artifact_uri, out->name);
  out->uri = mle_arena_format(memory, "runs:/%s/%s", run->id, out->name);
  out->format = "2.22.5";
  if (out->artifact_uri == NULL || out->uri == NULL) return mle_nomem(err, "logging a model");
  return MLE_OK;
}

static mle_status begin(mle_sqlite_store *store, const char *run_id, const char *name,
                        mle_arena *memory, mle_mlflow_model *out, mle_error *err) {
  mle_mlflow_run run = {0};
  MLE_TRY(mle_sqlite_need_run(store, run_id, err));
  MLE_TRY(mle_sqlite_get_run(&store->base, run_id, memory, &run, err));
  MLE_TRY(mle_arena_copy(memory, name, &out->name, err));
  out->run_id = run.id;
  return store->layout.logged_models ? begin_3(store, &run, memory, out, err)
                                     : begin_2(&run, memory, out, err);
}

mle_status mle_sqlite_begin_model(mle_mlflow *base, const char *run_id, const char *name,
                                  mle_arena *memory, mle_mlflow_model *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, begin(store, run_id, name, memory, out, err), err);
}

/* ====== Finishing, MLflow 3 ====== */

static mle_status copy_facts(mle_sqlite_store *store, const mle_mlflow_model *model,
                             mle_error *err) {
  static const char *const copies[] = {
      "insert into logged_model_params (model_id, experiment_id, param_key, param_value)"
      " select m.model_id, m.experiment_id, p.key, p.value from logged_models m, params p"
      " where m.model_id = ?1 and p.run_uuid = ?2 and not exists (select 1 from"
      " logged_model_params x where x.model_id = ?1 and x.param_key = p.key)",

      "insert into logged_model_tags (model_id, experiment_id, tag_key, tag_value)"
      " select m.model_id, m.experiment_id, t.key, t.value from logged_models m, tags t"
      " where m.model_id = ?1 and t.run_uuid = ?2"
      " and (t.key = 'mlflow.user' or t.key glob 'mlflow.source.*') and not exists (select 1 from"
      " logged_model_tags x where x.model_id = ?1 and x.tag_key = t.key)",

      "insert into logged_model_metrics (model_id, metric_name, metric_timestamp_ms, metric_step,"
      " metric_value, experiment_id, run_id)"
      " select m.model_id, l.key, l.timestamp, l.step, l.value, m.experiment_id, ?2"
      " from logged_models m, latest_metrics l where m.model_id = ?1 and l.run_uuid = ?2"
      " and not exists (select 1 from logged_model_metrics x where x.model_id = ?1"
      " and x.metric_name = l.key and x.run_id = ?2)",
  };
  for (size_t i = 0; i < sizeof copies / sizeof *copies; i++)
    MLE_TRY(mle_db_run(store->db, err, copies[i], "ss", model->id, model->run_id));
  return MLE_OK;
}

static mle_status finish_3(mle_sqlite_store *store, const mle_mlflow_model *model, bool ready,
                           mle_error *err) {
  if (ready) MLE_TRY(copy_facts(store, model, err));
  return mle_db_run(store->db, err,
                    "update logged_models set status = ?, last_updated_timestamp_ms = ?"
                    " where model_id = ?",
                    "iis", (int64_t)(ready ? READY : FAILED), mle_now_ms(), model->id);
}

/* ====== Finishing, MLflow 2 ====== */

/* The list in a tag's text, as an array of its own; a text that is none counts as empty. */
static mle_status read_list(const char *text, mle_json **out, mle_error *err) {
  mle_json *old = NULL;
  *out = mle_json_new_array();
  if (*out == NULL) return mle_nomem(err, "reading a tag");
  if (text != NULL && mle_json_parse(text, strlen(text), &old, NULL) == MLE_OK) {
    mle_json_at root = mle_json_root(old), item;
    if (mle_json_is_array(&root))
      for (bool more = mle_json_first(&root, &item); more; more = mle_json_next(&item))
        mle_json_add_copy(*out, NULL, item.node);
  }
  mle_json_free(old);
  return MLE_OK;
}

/* Keeps the tag within MLflow's limit by forgetting the oldest entries. */
static mle_status put_history(mle_sqlite_store *store, const mle_mlflow_model *model,
                              const char *old, const char *flavors, mle_error *err) {
  mle_json *list = NULL;
  char *text = NULL;
  mle_status status;
  MLE_GO(read_list(old, &list, err));
  mle_mlflow_model_entry(list, model, flavors);
  text = mle_json_print(list, false);
  if (text == NULL) {
    status = mle_nomem(err, "logging a model");
    goto done;
  }
  if (old != NULL && strlen(text) > 8000) {
    status = put_history(store, model, NULL, flavors, err);
    goto done;
  }
  mle_mlflow_pair tag = {HISTORY_TAG, text};
  status = mle_sqlite_put_tags(store, model->run_id, &(mle_mlflow_pairs){1, &tag}, err);
done:
  mle_free(text);
  mle_json_free(list);
  return status;
}

static mle_status finish_2(mle_sqlite_store *store, const mle_mlflow_model *model, bool ready,
                           const char *flavors, mle_error *err) {
  char *old = NULL;
  if (!ready) return MLE_OK;
  MLE_TRY(mle_db_get_text(store->db, &old, err,
                          "select value from tags where key = '" HISTORY_TAG "' and run_uuid = ?",
                          "s", model->run_id));
  mle_status status = put_history(store, model, old, flavors, err);
  mle_free(old);
  return status;
}

/* The layout in which the model was begun holds, whatever the file became since. */
mle_status mle_sqlite_finish_model(mle_mlflow *base, const mle_mlflow_model *model, bool ready,
                                   const char *flavors, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  mle_status status = model->id != NULL ? finish_3(store, model, ready, err)
                                        : finish_2(store, model, ready, flavors, err);
  return mle_sqlite_end(store, status, err);
}

/* ====== Finding ====== */

#define MODEL_COLUMNS "model_id, name, source_run_id, artifact_location"

static mle_status read_model(mle_db_rows *rows, mle_arena *memory, mle_mlflow_model *out,
                             mle_error *err) {
  MLE_TRY(mle_db_next(rows, err));
  if (!rows->found) return MLE_OK;
  MLE_TRY(mle_sqlite_text(rows, 0, memory, &out->id, err));
  MLE_TRY(mle_sqlite_text(rows, 1, memory, &out->name, err));
  MLE_TRY(mle_sqlite_text(rows, 2, memory, &out->run_id, err));
  MLE_TRY(mle_sqlite_text(rows, 3, memory, &out->artifact_uri, err));
  out->uri = mle_arena_format(memory, "models:/%s", out->id);
  return out->uri != NULL ? MLE_OK : mle_nomem(err, "reading a model");
}

mle_status mle_sqlite_get_model(mle_mlflow *base, const char *id, mle_arena *memory,
                                mle_mlflow_model *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_db_rows rows;
  MLE_TRY(mle_sqlite_look(store, err));
  if (store->layout.logged_models) {
    mle_status status = mle_db_query(
        store->db, &rows, err,
        "select " MODEL_COLUMNS " from logged_models where model_id = ?"
        " and lifecycle_stage is not 'deleted'",
        "s", id);
    if (status == MLE_OK) status = read_model(&rows, memory, out, err);
    mle_db_end(&rows);
    if (status != MLE_OK) return status;
  }
  if (out->uri == NULL)
    return mle_fail(err, MLE_ENOTFOUND, "there is no model '%.60s' in '%s'", id,
                    mle_db_path(store->db));
  return MLE_OK;
}

mle_status mle_sqlite_find_model(mle_mlflow *base, const char *run_id, const char *name,
                                 mle_arena *memory, mle_mlflow_model *out, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  mle_db_rows rows;
  MLE_TRY(mle_sqlite_look(store, err));
  if (!store->layout.logged_models) return MLE_OK;
  mle_status status = mle_db_query(store->db, &rows, err,
                                   "select " MODEL_COLUMNS " from logged_models"
                                   " where source_run_id = ? and name = ? and status = 2"
                                   " and lifecycle_stage is not 'deleted'"
                                   " order by creation_timestamp_ms desc limit 1",
                                   "ss", run_id, name);
  if (status == MLE_OK) status = read_model(&rows, memory, out, err);
  mle_db_end(&rows);
  return status;
}

/* ====== Versions of a model ====== */

mle_status mle_sqlite_tag_model_version(mle_sqlite_store *store, const char *model_id,
                                        const char *name, int64_t version, mle_error *err) {
  char *old = NULL, *text = NULL;
  mle_json *list = NULL;
  mle_status status;
  if (!store->layout.logged_models || model_id == NULL) return MLE_OK;
  MLE_GO(mle_db_get_text(store->db, &old, err,
                         "select tag_value from logged_model_tags where model_id = ?"
                         " and tag_key = '" VERSIONS_TAG "'",
                         "s", model_id));
  MLE_GO(read_list(old, &list, err));
  mle_json *entry = mle_json_add_object(list, NULL);
  mle_json_add_text(entry, "name", name);
  mle_json_add_int(entry, "version", version);
  text = mle_json_print(list, false);
  status = text == NULL ? mle_nomem(err, "registering a model")
                        : mle_sqlite_put_logged_tag(store, model_id, VERSIONS_TAG, text, err);
done:
  mle_free(text);
  mle_json_free(list);
  mle_free(old);
  return status;
}
