#include "engine/jobs/watermark.h"

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

mle_status mle_consumed_schema_json(mle_state *state, const mle_watermark_key *key, char **out,
                                    mle_error *err) {
  return mle_db_get_text(
      mle_state_db(state), out, err,
      "select json_object('run', g.run, 'schema_id', g.schema_id, 'fields', json(s.fields))"
      " from ranges g join runs r on r.id = g.run join table_schemas s"
      " on s.table_uuid = g.table_uuid and s.schema_id = g.schema_id"
      " where g.consumer = ? and g.table_uuid = ? and g.branch = ? and g.rows > 0"
      " and r.state = 'succeeded' and r.rehearsal is null order by g.run desc limit 1",
      "sss", key->consumer, key->table_uuid, key->branch);
}

/* A consumer all of whose rows wait has no watermark yet. */
mle_status mle_watermarks_json(mle_state *state, char **out, mle_error *err) {
  return mle_db_get_text(
      mle_state_db(state), out, err,
      "with waiting as (select g.* from ranges g cross join runs r on r.id = g.run"
      "   where g.held = 'waiting' and r.state = 'succeeded'),"
      " keys as (select consumer, table_uuid, branch, table_name from watermarks union"
      "   select consumer, table_uuid, branch, table_name from waiting),"
      " shown as (select k.*, w.snapshot, w.run, w.updated,"
      "   (select json_object('run', run, 'snapshot', to_id) from waiting g where"
      "     g.consumer = k.consumer and g.table_uuid = k.table_uuid and g.branch = k.branch"
      "     order by run desc limit 1) as waits from keys k"
      "   left join watermarks w using (consumer, table_uuid, branch)"
      "   group by k.consumer, k.table_uuid, k.branch order by k.consumer, k.table_name, k.branch)"
      " select json_group_array(json_object('consumer', consumer, 'table', table_name,"
      " 'table_uuid', table_uuid, 'branch', branch, 'snapshot', snapshot, 'run', run,"
      " 'updated', updated, 'waits', json(waits))) from shown",
      "");
}
