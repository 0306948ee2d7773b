/*
 * sqlite_log.c -- what a run logs, in SQLite.
 *
 * A metric's points are rows of metrics, keyed by all their columns. Its newest
 * is also in latest_metrics: greatest by (step, timestamp, value), where NaN is
 * stored as 0.0 with is_nan and counts as 0.0. Infinities are the greatest doubles.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "engine/base/hash.h"
#include "engine/mlflow/sqlite.h"

/* ====== Metrics ====== */

static double stored_value(double value) {
  if (isnan(value)) return 0.0;
  if (isinf(value)) return value > 0 ? DBL_MAX : -DBL_MAX;
  return value;
}

/* Statements of one batch, each prepared once. */
typedef struct metric_writer {
  mle_db_rows point, find, insert, update;
} metric_writer;

static mle_status prepare_metrics(mle_db *db, metric_writer *writer, mle_error *err) {
  MLE_TRY(mle_db_query(db, &writer->point, err,
                       "insert or ignore into metrics (key, value, timestamp, run_uuid, step,"
                       " is_nan) values (?, ?, ?, ?, ?, ?)",
                       ""));
  MLE_TRY(mle_db_query(db, &writer->find, err,
                       "select step, timestamp, value from latest_metrics"
                       " where key = ? and run_uuid = ?",
                       ""));
  MLE_TRY(mle_db_query(db, &writer->insert, err,
                       "insert into latest_metrics (key, value, timestamp, run_uuid, step, is_nan)"
                       " values (?, ?, ?, ?, ?, ?)",
                       ""));
  return mle_db_query(db, &writer->update, err,
                      "update latest_metrics set value = ?2, timestamp = ?3, step = ?5, is_nan = ?6"
                      " where key = ?1 and run_uuid = ?4",
                      "");
}

static mle_status write_point(mle_db_rows *rows, const char *run_id, const mle_mlflow_metric *m,
                              mle_error *err) {
  MLE_TRY(mle_db_again(rows, err, "sdisii", m->key, stored_value(m->value), m->timestamp, run_id,
                       m->step, (int64_t)isnan(m->value)));
  return mle_db_next(rows, err);
}

/* Whether a point is newer than the row at hand. */
static bool is_newer(const mle_mlflow_metric *m, const mle_db_rows *row) {
  int64_t step = mle_db_int(row, 0), timestamp = mle_db_int(row, 1);
  if (m->step != step) return m->step > step;
  if (m->timestamp != timestamp) return m->timestamp > timestamp;
  return stored_value(m->value) > mle_db_double(row, 2);
}

static mle_status write_metric(metric_writer *writer, const char *run_id,
                               const mle_mlflow_metric *m, mle_error *err) {
  MLE_TRY(write_point(&writer->point, run_id, m, err));
  MLE_TRY(mle_db_again(&writer->find, err, "ss", m->key, run_id));
  MLE_TRY(mle_db_next(&writer->find, err));
  if (!writer->find.found) return write_point(&writer->insert, run_id, m, err);
  return is_newer(m, &writer->find) ? write_point(&writer->update, run_id, m, err) : MLE_OK;
}

static mle_status write_metrics(mle_sqlite_store *store, const char *run_id,
                                const mle_mlflow_metrics *metrics, mle_error *err) {
  metric_writer writer = {0};
  if (metrics->count == 0) return MLE_OK;
  mle_status status = prepare_metrics(store->db, &writer, err);
  for (size_t i = 0; status == MLE_OK && i < metrics->count; i++)
    status = write_metric(&writer, run_id, &metrics->item[i], err);
  mle_db_end(&writer.point);
  mle_db_end(&writer.find);
  mle_db_end(&writer.insert);
  mle_db_end(&writer.update);
  return status;
}

/* ====== Params and tags ====== */

static mle_status write_param(mle_sqlite_store *store, const char *run_id,
                              const mle_mlflow_pair *param, mle_error *err) {
  int64_t state; /* 0 absent, 1 another value, 2 this value */
  MLE_TRY(mle_db_get_int(store->db, 0, &state, err,
                         "select 1 + (value = ?3) from params where key = ?1 and run_uuid = ?2",
                         "sss", param->key, run_id, param->value));
  if (state == 1)
    return mle_fail(err, MLE_EREFUSED,
                    "param '%s' of run '%s' has another value already, not '%.200s'; a param is "
                    "logged once, what changes is a metric or a tag",
                    param->key, run_id, param->value);
  if (state == 2) return MLE_OK;
  return mle_db_run(store->db, err, "insert into params (key, value, run_uuid) values (?, ?, ?)",
                    "sss", param->key, param->value, run_id);
}

static mle_status put_tag(mle_sqlite_store *store, const char *run_id, const mle_mlflow_pair *tag,
                          mle_error *err) {
  MLE_TRY(mle_db_run(store->db, err, "update tags set value = ? where key = ? and run_uuid = ?",
                     "sss", tag->value, tag->key, run_id));
  if (mle_db_changes(store->db) > 0) return MLE_OK;
  return mle_db_run(store->db, err, "insert into tags (key, value, run_uuid) values (?, ?, ?)",
                    "sss", tag->key, tag->value, run_id);
}

mle_status mle_sqlite_put_tags(mle_sqlite_store *store, const char *run_id,
                               const mle_mlflow_pairs *tags, mle_error *err) {
  for (size_t i = 0; i < tags->count; i++)
    MLE_TRY(put_tag(store, run_id, &tags->item[i], err));
  return MLE_OK;
}

static mle_status write_batch(mle_sqlite_store *store, const char *run_id,
                              const mle_mlflow_batch *batch, mle_error *err) {
  MLE_TRY(mle_sqlite_need_run(store, run_id, err));
  for (size_t i = 0; i < batch->params.count; i++)
    MLE_TRY(write_param(store, run_id, &batch->params.item[i], err));
  MLE_TRY(mle_sqlite_put_tags(store, run_id, &batch->tags, err));
  return write_metrics(store, run_id, &batch->metrics, err);
}

mle_status mle_sqlite_log_batch(mle_mlflow *base, const char *run_id,
                                const mle_mlflow_batch *batch, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, write_batch(store, run_id, batch, err), err);
}

/* ====== Datasets ====== */

/* A dataset is kept once per (experiment, name, digest). */
static mle_status use_dataset(mle_sqlite_store *store, const char *run_id,
                              const mle_mlflow_dataset *dataset, char uuid[MLE_UUID_TEXT],
                              mle_error *err) {
  mle_db_rows rows;
  mle_uuid_hex(uuid);
  mle_status status = mle_db_query(store->db, &rows, err,
                                   "select d.dataset_uuid from datasets d, runs r"
                                   " where r.run_uuid = ? and d.experiment_id = r.experiment_id"
                                   " and d.name = ? and d.digest = ?",
                                   "sss", run_id, dataset->name, dataset->digest);
  if (status == MLE_OK) status = mle_db_next(&rows, err);
  bool found = status == MLE_OK && rows.found && mle_db_text(&rows, 0) != NULL;
  if (found) {
    uuid[0] = '\0';
    strncat(uuid, mle_db_text(&rows, 0), MLE_UUID_TEXT - 1);
  }
  mle_db_end(&rows);
  if (status != MLE_OK || found) return status;
  return mle_db_run(store->db, err,
                    "insert into datasets (dataset_uuid, experiment_id, name, digest,"
                    " dataset_source_type, dataset_source, dataset_schema, dataset_profile)"
                    " select ?, experiment_id, ?, ?, ?, ?, ?, ? from runs where run_uuid = ?",
                    "ssssssss", uuid, dataset->name, dataset->digest, dataset->source_type,
                    dataset->source, dataset->schema, dataset->profile, run_id);
}

static mle_status add_input(mle_sqlite_store *store, const char *run_id, const char *dataset_uuid,
                            const char *context, mle_error *err) {
  char input[MLE_UUID_TEXT];
  int64_t there;
  MLE_TRY(mle_db_get_int(store->db, 0, &there, err,
                         "select count(*) from inputs where source_type = 'DATASET' and"
                         " source_id = ? and destination_type = 'RUN' and destination_id = ?",
                         "ss", dataset_uuid, run_id));
  if (there > 0) return MLE_OK;
  MLE_TRY(mle_db_run(store->db, err,
                     "insert into inputs (input_uuid, source_type, source_id, destination_type,"
                     " destination_id) values (?, 'DATASET', ?, 'RUN', ?)",
                     "sss", mle_uuid_hex(input), dataset_uuid, run_id));
  if (context == NULL) return MLE_OK;
  return mle_db_run(store->db, err,
                    "insert into input_tags (input_uuid, name, value)"
                    " values (?, 'mlflow.data.context', ?)",
                    "ss", input, context);
}

static mle_status write_dataset(mle_sqlite_store *store, const char *run_id,
                                const mle_mlflow_dataset *dataset, mle_error *err) {
  char uuid[MLE_UUID_TEXT];
  MLE_TRY(mle_sqlite_need_run(store, run_id, err));
  MLE_TRY(use_dataset(store, run_id, dataset, uuid, err));
  return add_input(store, run_id, uuid, dataset->context, err);
}

mle_status mle_sqlite_log_dataset(mle_mlflow *base, const char *run_id,
                                  const mle_mlflow_dataset *dataset, mle_error *err) {
  mle_sqlite_store *store = mle_sqlite_of(base);
  MLE_TRY(mle_sqlite_begin(store, err));
  return mle_sqlite_end(store, write_dataset(store, run_id, dataset, err), err);
}
