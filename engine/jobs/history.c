/* SQLite builds the JSON itself; its integers keep all 64 bits. */
#include "engine/jobs/history.h"

#include <stddef.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buffer.h"

#define RANGES                                                                                   \
  "(select json_group_array(json_object('table', table_name, 'branch', branch, 'from', from_id," \
  " 'to', to_id, 'rows', rows, 'consumer', consumer, 'table_uuid', table_uuid, 'held', held,"      \
  " 'read', json(read))) from ranges where run = r.id)"

#define NOTES                                                               \
  "(select json_group_array(json_object('kind', kind, 'data', json(data)))" \
  " from (select * from notes where run = r.id order by id))"

/* MLflow's run, as the run announced it. */
#define MLFLOW_RUN                                                           \
  "(select json_extract(data, '$.run_id') from intents where run = r.id and" \
  " kind = 'mlflow_run' order by id desc limit 1)"

/* What its pipeline was started by; null for one started in a terminal. */
#define TRIGGER                                                                                 \
  "(select json_object('trigger', t.id, 'job', t.job, 'params', json(t.params), 'source', t.source,"  \
  " 'who', t.who, 'detail', t.detail)"                                                           \
  " from triggers t where t.pipeline_run = r.pipeline_run order by t.id limit 1)"

#define SUMMARY                                                                                  \
  "'run', r.id, 'pipeline_run', r.pipeline_run, 'pipeline', r.pipeline, 'job', r.job,"           \
  " 'script', r.script, 'consumer', r.consumer, 'rehearsal', r.rehearsal, 'attempt', r.attempt," \
  " 'state', r.state, 'reason', r.reason, 'pid', r.pid, 'created', r.created, 'started', "       \
  "r.started,"                                                                                   \
  " 'ended', r.ended, 'outputs', json(r.outputs), 'reused', r.reused, 'ranges', json(" RANGES                        \
  "), 'notes', json(" NOTES "), 'usage', json(r.usage), 'trigger', json(" TRIGGER "), 'mlflow_run', " MLFLOW_RUN

#define LIST_OF(alias, table, where)                                                  \
  "(select json_group_array(json_object('id', id, 'kind', kind, 'data', json(data)))" \
  " from (select * from " table " " alias " where " where " order by id))"

static const char *trigger_condition(const char *trigger) {
  if (trigger == NULL) return "?7 is null";
  if (strcmp(trigger, "terminal") == 0)
    return "?7 is not null and not exists (select 1 from triggers t where t.pipeline_run = r.pipeline_run)";
  return "exists (select 1 from triggers t where t.pipeline_run = r.pipeline_run and t.source = ?7)";
}

/* A job has fewer runs than a state has: the + keeps the state's index out of it. */
static const char *state_condition(const mle_history_filter *filter) {
  if (filter->run_state == NULL) return "?3 is null";
  if (strcmp(filter->run_state, "reused") == 0) return "r.reused is not null and ?3 = 'reused'";
  return filter->job != NULL ? "+r.state = ?3" : "r.state = ?3";
}

/* Only the conditions that were given are written down, so that an index can serve them. Which runs it is comes first:
 * what is said of them would else be put together before they are sorted. */
mle_status mle_history_json(mle_state *state, const mle_history_filter *filter, int64_t limit, char **out,
                            mle_error *err) {
  *out = NULL;
  char *sql = mle_format("select json_group_array(json(item)) from (select json_object(" SUMMARY ") as item"
                         " from (select r.id as chosen from runs r where %s and %s and %s and %s and %s and %s and %s"
                         "   order by r.id desc limit ?6) cross join runs r on r.id = chosen order by chosen desc)",
                         filter->pipeline != NULL ? "r.pipeline = ?1" : "?1 is null",
                         filter->job != NULL ? "r.job = ?2" : "?2 is null",
                         state_condition(filter),
                         filter->before != 0 ? "r.id < ?4" : "?4 = 0",
                         filter->pipeline_run != 0 ? "r.pipeline_run = ?5" : "?5 = 0",
                         trigger_condition(filter->trigger),
                         filter->floor != 0 ? "r.id > ?8" : "?8 = 0");
  if (sql == NULL) return mle_nomem(err, "reading the history");
  mle_status status = mle_db_get_text(mle_state_db(state), out, err, sql, "sssiiisi", filter->pipeline, filter->job,
                                      filter->run_state, filter->before, filter->pipeline_run, limit,
                                      filter->trigger, filter->floor);
  mle_free(sql);
  return status;
}

mle_status mle_history_last_json(mle_state *state, const char *pipeline, const char *job, char **out, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_object('run', id, 'state', state, 'reason', reason, 'created', created,"
                         " 'started', started, 'ended', ended, 'reused', reused) from runs indexed by runs_job"
                         " where pipeline = ? and job = ? and rehearsal is null order by id desc limit 1",
                         "ss", pipeline, job);
}

/* Jobs that have ended once are in run_counts, which is small. */
#define JOBS_THAT_RAN                                  \
  "(select distinct pipeline, job from run_counts"     \
  "  union select pipeline, job from runs where state in ('starting', 'running'))"

/* One look into the index and one at the row for each; and their texts are only put together. */
mle_status mle_history_last_runs(mle_state *state, char **out, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select '[' || ifnull(group_concat(last, ','), '') || ']' from (select (select"
                         " json_array(pipeline, job, id, state, reason, created, started, ended, reused)"
                         "   from runs indexed by runs_job where pipeline = j.pipeline and job = j.job"
                         "   and rehearsal is null order by id desc limit 1) as last from " JOBS_THAT_RAN " j)"
                         " where last is not null",
                         "");
}

mle_status mle_history_last_states(mle_state *state, char **out, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_group_array(json_array(pipeline, job, last)) from (select j.pipeline, j.job,"
                         " (select state from runs indexed by runs_job where pipeline = j.pipeline and job = j.job"
                         "   and rehearsal is null order by id desc limit 1) as last from " JOBS_THAT_RAN " j)"
                         " where last is not null",
                         "");
}

/* ====== Samples ====== */

#define SAMPLES_MAX ((size_t)64 << 20)

/* A label's value: backslash, quote and line end are escaped. */
static mle_status put_label(mle_buffer *text, const char *value, mle_error *err) {
  for (;;) {
    size_t plain = strcspn(value, "\\\"\n");
    MLE_TRY(mle_buffer_append(text, value, plain, err));
    value += plain;
    if (*value == '\0') return MLE_OK;
    MLE_TRY(mle_buffer_puts(text, *value == '\n' ? "\\n" : *value == '"' ? "\\\"" : "\\\\", err));
    value++;
  }
}

/* `row`: pipeline, job, state, runs, milliseconds. */
static mle_status put_sample(mle_buffer *text, const mle_db_rows *row, const char *name, bool seconds, mle_error *err) {
  int64_t ms = mle_db_int(row, 4);
  MLE_TRY(mle_buffer_puts(text, text->len > 0 ? "\n" : "", err));
  MLE_TRY(mle_buffer_puts(text, name, err));
  MLE_TRY(mle_buffer_puts(text, "{pipeline=\"", err));
  MLE_TRY(put_label(text, mle_db_text(row, 0), err));
  MLE_TRY(mle_buffer_puts(text, "\",job=\"", err));
  MLE_TRY(put_label(text, mle_db_text(row, 1), err));
  MLE_TRY(mle_buffer_puts(text, "\",state=\"", err));
  MLE_TRY(mle_buffer_puts(text, mle_db_text(row, 2), err));
  if (!seconds) return mle_buffer_printf(text, err, "\"} %lld", (long long)mle_db_int(row, 3));
  return mle_buffer_printf(text, err, "\"} %lld.%03lld", (long long)(ms / 1000), (long long)(ms % 1000));
}

static mle_status samples(mle_state *state, const char *name, bool seconds, char **out, mle_error *err) {
  mle_buffer text = MLE_BUFFER(SAMPLES_MAX);
  mle_db_rows rows;
  *out = NULL;
  mle_status status =
      mle_db_query(mle_state_db(state), &rows, err, "select pipeline, job, state, runs, ms from run_counts", "");
  while (status == MLE_OK) {
    status = mle_db_next(&rows, err);
    if (status != MLE_OK || !rows.found) break;
    status = put_sample(&text, &rows, name, seconds, err);
  }
  mle_db_end(&rows);
  if (status == MLE_OK && text.len > 0) *out = mle_buffer_take(&text);
  mle_buffer_release(&text);
  return status;
}

mle_status mle_history_runs_total(mle_state *state, char **out, mle_error *err) {
  return samples(state, "mlengine_runs_total", false, out, err);
}

mle_status mle_history_seconds_total(mle_state *state, char **out, mle_error *err) {
  return samples(state, "mlengine_run_seconds_total", true, out, err);
}

/* ====== One run ====== */

static mle_status require(const char *found, int64_t run, mle_error *err) {
  if (found != NULL) return MLE_OK;
  return mle_fail(err, MLE_ENOTFOUND, "there is no run %lld; mlengine history lists them",
                  (long long)run);
}

mle_status mle_history_run_json(mle_state *state, int64_t run, char **out, mle_error *err) {
  MLE_TRY(mle_db_get_text(
      mle_state_db(state), out, err,
      "select json_object(" SUMMARY
      ", 'params', json(r.params), 'trace', r.trace, 'sha256', r.sha256, 'key', r.key, 'spec', json(r.spec),"
      " 'attempts', (select json_group_array(json_object('attempt', attempt, 'state', state,"
      "   'reason', reason, 'started', started, 'ended', ended)) from (select * from attempts where run = r.id"
      "   order by attempt)),"
      " 'script_text', (select text from scripts s where s.sha256 = r.sha256),"
      " 'inputs', (select json_group_object(parent, parent_run) from inputs where run = r.id),"
      " 'intents', json(" LIST_OF(
          "i", "intents", "i.run = r.id") "),"
                                          " 'actions', json(" LIST_OF(
                                              "a", "actions",
                                              "a.run = r.id") ")) from runs r where r.id = ?",
      "i", run));
  return require(*out, run, err);
}

mle_status mle_history_result_json(mle_state *state, int64_t run, char **out, mle_error *err) {
  MLE_TRY(mle_db_get_text(
      mle_state_db(state), out, err,
      "select json_object(" SUMMARY ", 'trace', r.trace) from runs r where r.id = ?", "i", run));
  return require(*out, run, err);
}

/* What took over an earlier run's outputs hands on that run. */
mle_status mle_history_output_json(mle_state *state, const char *pipeline, const char *job,
                                   const char *child, char **out, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_object('run', p.run, 'outputs', json(p.outputs), 'consumed', "
                         "json(case when exists ("
                         "  select 1 from inputs i join runs c on c.id = i.run where i.parent_run "
                         "= p.run and c.pipeline = ?1"
                         "  and c.job = ?3 and c.state = 'succeeded' and c.rehearsal is null) then "
                         "'true' else 'false' end))"
                         " from (select ifnull(reused, id) as run, outputs from runs where pipeline = ?1 and"
                         "  job = ?2 and state = 'succeeded' and rehearsal is null order by id desc limit 1) p",
                         "sss", pipeline, job, child);
}

mle_status mle_history_before_json(mle_state *state, int64_t run, const char *kind, char **out, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_object('run', ifnull(b.reused, b.id), 'state', b.state, 'ranges', json((select"
                         "  json_group_array(json_object('table_uuid', table_uuid, 'branch', branch, 'consumer',"
                         "  consumer, 'to', to_id)) from ranges where run = ifnull(b.reused, b.id))), 'note', json((select data"
                         "  from notes where run = b.id and kind = ?2 order by id desc limit 1)))"
                         " from runs r join runs b on b.id = (select n.id from runs n indexed by runs_job"
                         "  where n.pipeline is r.pipeline and n.job = r.job and n.id < r.id and n.state <> 'skipped'"
                         "  and n.rehearsal is null order by n.id desc limit 1) where r.id = ?1",
                         "is", run, kind);
}

mle_status mle_history_unsettled_json(mle_state *state, int64_t run, char **out, mle_error *err) {
  return mle_db_get_text(
      mle_state_db(state), out, err,
      "select json_group_array(json_object('run', r.id, 'state', r.state,"
      " 'intents', json((select json_group_array(json_object('id', id, 'kind', kind, 'data', json(data),"
      "   'stale', json(case when attempt < r.attempt then 'true' else 'false' end)))"
      "   from (select * from intents i where i.run = r.id and i.settled is null order by id))),"
      " 'actions', json(" LIST_OF("a", "actions", "a.run = r.id and a.done is null") ")))"
      " from runs r where r.state not in ('starting', 'running') and (r.id = ?1 or ?1 = 0)"
      " and r.id in (select run from intents where settled is null"
      "   union select run from actions where done is null)",
      "i", run);
}
