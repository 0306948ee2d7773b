#include "engine/jobs/watermark.h"

#include "engine/base/clock.h"

mle_status mle_watermark_find(mle_state *state, const mle_watermark_key *key, bool *out_found,
                              int64_t *out_snapshot, mle_error *err) {
  mle_db_rows rows;
  *out_found = false;
  *out_snapshot = 0;
  mle_status status = mle_db_query(
      mle_state_db(state), &rows, err,
      "select snapshot from watermarks where consumer = ? and table_uuid = ? and branch = ?", "sss",
      key->consumer, key->table_uuid, key->branch);
  if (status == MLE_OK) status = mle_db_next(&rows, err);
  if (status == MLE_OK && rows.found) {
    *out_found = true;
    *out_snapshot = mle_db_int(&rows, 0);
  }
  mle_db_end(&rows);
  return status;
}

mle_status mle_watermark_adopt(mle_state *state, const mle_watermark_key *key,
                               const char *table_name, int64_t snapshot, mle_error *err) {
  mle_db *db = mle_state_db(state);
  MLE_TRY(mle_db_run(
      db, err,
      "insert or ignore into watermarks (consumer, table_uuid, branch, table_name, snapshot,"
      " updated) values (?, ?, ?, ?, ?, ?)",
      "ssssii", key->consumer, key->table_uuid, key->branch, table_name, snapshot, mle_now_ms()));
  if (mle_db_changes(db) == 1) return MLE_OK;
  return mle_fail(err, MLE_EEXISTS,
                  "'%s' has a watermark on %s already; mlengine watermark show prints it",
                  key->consumer, table_name);
}

mle_status mle_consumed_last(mle_state *state, const mle_watermark_key *key, bool *out_found,
                             mle_consumed *out, mle_error *err) {
  mle_db_rows rows;
  *out_found = false;
  *out = (mle_consumed){0};
  mle_status status =
      mle_db_query(mle_state_db(state), &rows, err,
                   "select g.from_id, g.to_id, g.run from ranges g join runs r on r.id = g.run"
                   " where g.consumer = ? and g.table_uuid = ? and g.branch = ? and g.rows > 0"
                   " and r.state = 'succeeded' and r.rehearsal is null order by g.run desc limit 1",
                   "sss", key->consumer, key->table_uuid, key->branch);
  if (status == MLE_OK) status = mle_db_next(&rows, err);
  if (status == MLE_OK && rows.found) {
    *out_found = true;
    *out = (mle_consumed){.has_from = !mle_db_is_null(&rows, 0),
                          .from = mle_db_int(&rows, 0),
                          .to = mle_db_int(&rows, 1),
                          .run = mle_db_int(&rows, 2)};
  }
  mle_db_end(&rows);
  return status;
}

mle_status mle_watermarks_json(mle_state *state, char **out, mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_group_array(json_object('consumer', consumer, 'table', "
                         "table_name, 'table_uuid', table_uuid,"
                         " 'branch', branch, 'snapshot', snapshot, 'run', run, 'updated', updated))"
                         " from (select * from watermarks order by consumer, table_name, branch)",
                         "");
}
