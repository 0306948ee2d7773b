#include "engine/jobs/held.h"

#include <stddef.h>

#include "engine/base/clock.h"

/* The run of a job that announced an MLflow run. */
#define RUN_OF \
  "(select run from intents where kind = 'mlflow_run' and json_extract(data, '$.run_id') = ?1)"

static mle_status has_ranges(mle_db *db, const char *mlflow_run, bool *out, mle_error *err) {
  *out = false;
  return mlflow_run == NULL ? MLE_OK : mle_db_has_column(db, "ranges", "held", out, err);
}

/*
 * Moves the watermark from where the run found it. It may have been moved by an earlier run
 * that began there too: then this one's rows hold that one's, and go further.
 * `range`: run, consumer, table_uuid, branch, table_name, expected, to_id.
 */
static mle_status advance(mle_db *db, const mle_db_rows *range, bool *out_moved, mle_error *err) {
  int64_t run = mle_db_int(range, 0), to = mle_db_int(range, 6), now = mle_now_ms();
  const char *consumer = mle_db_text(range, 1), *uuid = mle_db_text(range, 2),
             *branch = mle_db_text(range, 3), *table = mle_db_text(range, 4);
  if (mle_db_is_null(range, 5)) {
    MLE_TRY(mle_db_run(
        db, err,
        "insert or ignore into watermarks (consumer, table_uuid, branch, table_name, snapshot,"
        " run, updated) values (?, ?, ?, ?, ?, ?, ?)",
        "ssssiii", consumer, uuid, branch, table, to, run, now));
    *out_moved = mle_db_changes(db) == 1;
    if (*out_moved) return MLE_OK;
  }
  MLE_TRY(mle_db_run(
      db, err,
      "update watermarks as w set snapshot = ?1, run = ?2, table_name = ?3, updated = ?4"
      " where consumer = ?5 and table_uuid = ?6 and branch = ?7 and (snapshot = ?8 or exists ("
      "  select 1 from ranges g where g.run = w.run and g.run < ?2 and g.consumer = ?5"
      "  and g.table_uuid = ?6 and g.branch = ?7 and g.held = 'released'"
      "  and g.expected is nullif(?8, -1)))",
      "iisisssi", to, run, table, now, consumer, uuid, branch,
      mle_db_is_null(range, 5) ? (int64_t)-1 : mle_db_int(range, 5)));
  *out_moved = mle_db_changes(db) == 1;
  return MLE_OK;
}

static mle_status settle(mle_db *db, const mle_db_rows *range, const char *how, mle_error *err) {
  return mle_db_run(db, err,
                    "update ranges set held = ? where run = ? and consumer = ? and table_uuid = ?"
                    " and branch = ?",
                    "sisss", how, mle_db_int(range, 0), mle_db_text(range, 1),
                    mle_db_text(range, 2), mle_db_text(range, 3));
}

static mle_status release(mle_db *db, const mle_db_rows *range, mle_error *err) {
  bool moved = true, is_over = mle_db_int(range, 7) != 0;
  if (is_over) MLE_TRY(advance(db, range, &moved, err));
  return settle(db, range, moved ? "released" : "superseded", err);
}

mle_status mle_held_release(mle_db *db, const char *mlflow_run, mle_error *err) {
  mle_db_rows range;
  bool known;
  MLE_TRY(has_ranges(db, mlflow_run, &known, err));
  if (!known) return MLE_OK;
  mle_status status = mle_db_query(
      db, &range, err,
      "select g.run, g.consumer, g.table_uuid, g.branch, g.table_name, g.expected, g.to_id,"
      " r.state = 'succeeded' from ranges g join runs r on r.id = g.run"
      " where g.run = " RUN_OF " and g.held in ('waiting', 'rejected')"
      " and r.state in ('running', 'succeeded') and r.rehearsal is null",
      "s", mlflow_run);
  while (status == MLE_OK) {
    status = mle_db_next(&range, err);
    if (status != MLE_OK || !range.found) break;
    status = release(db, &range, err);
  }
  mle_db_end(&range);
  return status;
}

mle_status mle_held_reject(mle_db *db, const char *mlflow_run, mle_error *err) {
  bool known;
  MLE_TRY(has_ranges(db, mlflow_run, &known, err));
  if (!known) return MLE_OK;
  return mle_db_run(db, err,
                    "update ranges set held = 'rejected' where run = " RUN_OF
                    " and held = 'waiting'",
                    "s", mlflow_run);
}

mle_status mle_held_waiting(mle_state *state, const mle_watermark_key *key, int64_t *out_run,
                            int64_t *out_to, mle_error *err) {
  mle_db_rows rows;
  *out_run = *out_to = 0;
  mle_status status =
      mle_db_query(mle_state_db(state), &rows, err,
                   "select g.run, g.to_id from ranges g join runs r on r.id = g.run"
                   " where g.consumer = ? and g.table_uuid = ? and g.branch = ?"
                   " and g.held = 'waiting' and r.state = 'succeeded' and r.rehearsal is null"
                   " order by g.run desc limit 1",
                   "sss", key->consumer, key->table_uuid, key->branch);
  if (status == MLE_OK) status = mle_db_next(&rows, err);
  if (status == MLE_OK && rows.found) {
    *out_run = mle_db_int(&rows, 0);
    *out_to = mle_db_int(&rows, 1);
  }
  mle_db_end(&rows);
  return status;
}
