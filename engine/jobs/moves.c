#include "engine/jobs/moves.h"

#include <stddef.h>
#include <stdio.h>

#include "engine/base/clock.h"

#define KEY " consumer = ?1 and table_uuid = ?2 and branch = ?3 "

static const char *const names[] = {"adopt", "set", "reset", "skip", "unskip"};

/* ====== Moving ====== */

/* A snapshot is left out when the last word on it was "skip". */
#define SKIPPED                                                                           \
  "select to_id from watermark_moves m where" KEY                                         \
  "and action = 'skip' and not exists (select 1 from watermark_moves n where n.id > m.id" \
  " and n.consumer = ?1 and n.table_uuid = ?2 and n.branch = ?3 and n.to_id = m.to_id"    \
  " and n.action = 'unskip')"

static mle_status adopt(mle_db *db, const mle_watermark_key *key, const mle_watermark_move *move,
                        mle_error *err) {
  MLE_TRY(mle_db_run(
      db, err,
      "insert or ignore into watermarks (consumer, table_uuid, branch, table_name, snapshot,"
      " updated) values (?, ?, ?, ?, ?, ?)",
      "ssssii", key->consumer, key->table_uuid, key->branch, move->table_name, move->snapshot,
      mle_now_ms()));
  if (mle_db_changes(db) == 1) return MLE_OK;
  return mle_fail(err, MLE_EEXISTS,
                  "'%s' has a watermark on %s already; mlengine watermark show prints it, and "
                  "mlengine watermark set moves it",
                  key->consumer, move->table_name);
}

static mle_status set(mle_db *db, const mle_watermark_key *key, const mle_watermark_move *move,
                      mle_error *err) {
  return mle_db_run(
      db, err,
      "insert or replace into watermarks (consumer, table_uuid, branch, table_name, snapshot,"
      " updated) values (?, ?, ?, ?, ?, ?)",
      "ssssii", key->consumer, key->table_uuid, key->branch, move->table_name, move->snapshot,
      mle_now_ms());
}

static mle_status reset(mle_db *db, const mle_watermark_key *key, mle_error *err) {
  return mle_db_run(db, err, "delete from watermarks where" KEY, "sss", key->consumer,
                    key->table_uuid, key->branch);
}

static mle_status check_skip(mle_db *db, const mle_watermark_key *key,
                             const mle_watermark_move *move, mle_error *err) {
  int64_t skipped;
  bool undo = move->action == MLE_MOVE_UNSKIP;
  MLE_TRY(mle_db_get_int(db, 0, &skipped, err, "select count(*) from (" SKIPPED ") where to_id = ?4",
                         "sssi", key->consumer, key->table_uuid, key->branch, move->snapshot));
  if ((skipped > 0) == undo) return MLE_OK;
  return mle_fail(err, undo ? MLE_ENOTFOUND : MLE_EEXISTS,
                  undo ? "'%s' does not leave out snapshot %lld of %s"
                       : "'%s' leaves out snapshot %lld of %s already",
                  key->consumer, (long long)move->snapshot, move->table_name);
}

static mle_status apply(mle_db *db, const mle_watermark_key *key, const mle_watermark_move *move,
                        mle_error *err) {
  switch (move->action) {
    case MLE_MOVE_ADOPT: return adopt(db, key, move, err);
    case MLE_MOVE_SET: return set(db, key, move, err);
    case MLE_MOVE_RESET: return reset(db, key, err);
    default: return MLE_OK;
  }
}

/* A release must not move what somebody has moved since. */
static mle_status forget_waiting(mle_db *db, const mle_watermark_key *key, mle_error *err) {
  return mle_db_run(db, err,
                    "update ranges set held = 'superseded' where" KEY
                    "and held in ('waiting', 'rejected')",
                    "sss", key->consumer, key->table_uuid, key->branch);
}

static mle_status record(mle_db *db, const mle_watermark_key *key, const mle_watermark_move *move,
                         mle_error *err) {
  char to[24];
  snprintf(to, sizeof to, "%lld", (long long)move->snapshot);
  return mle_db_run(
      db, err,
      "insert into watermark_moves (consumer, table_uuid, branch, table_name, action, from_id,"
      " to_id, who, why, at) values (?1, ?2, ?3, ?4, ?5,"
      " (select snapshot from watermarks where" KEY "), ?6, ?7, ?8, ?9)",
      "ssssssssi", key->consumer, key->table_uuid, key->branch, move->table_name,
      names[move->action], move->action == MLE_MOVE_RESET ? NULL : to, move->who, move->why,
      mle_now_ms());
}

mle_status mle_watermark_move_by_hand(mle_state *state, const mle_watermark_key *key,
                                      const mle_watermark_move *move, mle_error *err) {
  mle_db *db = mle_state_db(state);
  if (move->who[0] == '\0' || move->why[0] == '\0')
    return mle_fail(err, MLE_EINVAL, "a watermark is moved by somebody, for a reason");
  bool moves = move->action != MLE_MOVE_SKIP && move->action != MLE_MOVE_UNSKIP;
  MLE_TRY(mle_db_begin(db, err));
  mle_status status = moves ? MLE_OK : check_skip(db, key, move, err);
  if (status == MLE_OK) status = record(db, key, move, err); /* before: it notes where the mark was */
  if (status == MLE_OK && moves) status = apply(db, key, move, err);
  if (status == MLE_OK && moves) status = forget_waiting(db, key, err);
  if (status == MLE_OK) return mle_db_commit(db, err);
  mle_db_rollback(db);
  return status;
}

/* ====== Looking ====== */

mle_status mle_watermark_was_reset(mle_state *state, const mle_watermark_key *key, bool *out,
                                   mle_error *err) {
  int64_t reset;
  *out = false;
  MLE_TRY(mle_db_get_int(mle_state_db(state), 0, &reset, err,
                         "select action = 'reset' from watermark_moves where" KEY
                         "and action in ('adopt', 'set', 'reset') order by id desc limit 1",
                         "sss", key->consumer, key->table_uuid, key->branch));
  *out = reset != 0;
  return MLE_OK;
}

mle_status mle_watermark_skipped_json(mle_state *state, const mle_watermark_key *key, char **out,
                                      mle_error *err) {
  return mle_db_get_text(mle_state_db(state), out, err,
                         "select json_group_array(distinct to_id) from (" SKIPPED ")", "sss",
                         key->consumer, key->table_uuid, key->branch);
}

mle_status mle_watermark_moves_json(mle_state *state, int64_t limit, char **out, mle_error *err) {
  return mle_db_get_text(
      mle_state_db(state), out, err,
      "select json_group_array(json_object('consumer', consumer, 'table', table_name,"
      " 'table_uuid', table_uuid, 'branch', branch, 'action', action, 'from', from_id, 'to', to_id,"
      " 'who', who, 'why', why, 'at', at))"
      " from (select * from watermark_moves order by id desc limit ?)",
      "i", limit);
}
