#include "engine/deploy/records.h"

#include <string.h>
#include <sys/stat.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/jobs/held.h"

static const char schema[] =
    "create table if not exists deployments ("
    "  id integer primary key, previous integer not null default 0, endpoint text not null,"
    "  uri text not null, name text, version text, run_id text, snapshot_id text,"
    "  folder text not null, sha256 text not null, scores text, alias text,"
    "  state text not null, outcome text, created_ms integer not null,"
    "  updated_ms integer not null);"
    "create index if not exists deployments_endpoint on deployments (endpoint, id);"
    "create table if not exists slots ("
    "  endpoint text primary key, deployment integer not null, previous integer not null);"
    "create table if not exists access_keys ("
    "  id integer primary key autoincrement, endpoint text, label text not null,"
    "  sha256 text not null unique, created_ms integer not null);";

#define COLUMNS                                                                              \
  "d.id, d.previous, d.endpoint, d.uri, d.name, d.version, d.run_id, d.snapshot_id, d.folder, " \
  "d.sha256, d.scores, d.alias, d.state, d.outcome, d.created_ms, d.updated_ms"

mle_status mle_records_open(const char *state_folder, mle_db **out, mle_error *err) {
  *out = NULL;
  char *path = mle_path_join(state_folder, "state.db");
  if (path == NULL) return mle_nomem(err, "opening the project's state");
  mle_db_options options = {.create = true, .wal = true, .checked = true, .mode = 0600};
  mle_status status = mle_db_open(path, &options, out, err);
  mle_free(path);
  if (status == MLE_OK) status = mle_db_script(*out, schema, err);
  if (status == MLE_OK) return MLE_OK;
  mle_db_close(*out);
  *out = NULL;
  return status;
}

/* ====== Transactions ====== */

/* Ends a transaction the way `status` says. */
static mle_status end(mle_db *db, mle_status status, mle_error *err) {
  if (status == MLE_OK) return mle_db_commit(db, err);
  mle_db_rollback(db);
  return status;
}

static mle_status insert(mle_db *db, const mle_deployment *d, int64_t *out_id, mle_error *err) {
  int64_t now = mle_now_ms(), previous;
  MLE_TRY(mle_db_get_int(db, 0, &previous, err, "select deployment from slots where endpoint = ?",
                         "s", d->endpoint));
  MLE_TRY(mle_db_run(db, err,
                     "insert into deployments (previous, endpoint, uri, name, version, run_id, "
                     "snapshot_id, folder, sha256, alias, state, created_ms, updated_ms) "
                     "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'started', ?, ?)",
                     "isssssssssii", previous, d->endpoint, d->uri, d->name, d->version, d->run_id,
                     d->snapshot_id, d->folder, d->sha256, d->alias, now, now));
  *out_id = mle_db_inserted(db);
  return MLE_OK;
}

/* One that the slot names is taken up as long as it does: what was overtaken would be answered by another model. */
static mle_status find_open(mle_db *db, const mle_deployment *d, int64_t *out_id, mle_error *err) {
  return mle_db_get_int(
      db, 0, out_id, err,
      "select max(d.id) from deployments d left join slots s on s.deployment = d.id "
      "where d.endpoint = ? and d.uri = ? and d.sha256 = ? and "
      "(d.state in ('started', 'verified', 'accepted') "
      " or (d.state in ('recorded', 'live') and s.deployment = d.id))",
      "sss", d->endpoint, d->uri, d->sha256);
}

mle_status mle_records_begin(mle_db *db, const mle_deployment *wanted, int64_t *out_id,
                             mle_error *err) {
  *out_id = 0;
  MLE_TRY(mle_db_begin(db, err));
  mle_status status = find_open(db, wanted, out_id, err);
  if (status == MLE_OK && *out_id == 0) status = insert(db, wanted, out_id, err);
  else if (status == MLE_OK)
    status = mle_db_run(db, err, "update deployments set alias = ?, updated_ms = ? where id = ?",
                        "sii", wanted->alias, mle_now_ms(), *out_id);
  return end(db, status, err);
}

/* Which states lead to a state; repeating a step is allowed up to `recorded`. */
static const struct arrow {
  const char *to, *from;
} arrows[] = {
    {"verified", "'started', 'verified', 'accepted'"},
    {"accepted", "'verified', 'accepted'"},
    {"recorded", "'accepted', 'recorded'"},
    {"live", "'recorded', 'live'"},
    {"failed", "'started', 'verified', 'accepted'"},
    {"rejected", "'started', 'verified', 'accepted'"},
};

static mle_status move(mle_db *db, int64_t id, const char *state, mle_error *err) {
  const struct arrow *arrow = arrows;
  while (strcmp(arrow->to, state) != 0) arrow++;
  char *sql = mle_format("update deployments set state = ?, updated_ms = ? where id = ? and "
                         "state in (%s)", arrow->from);
  if (sql == NULL) return mle_nomem(err, "recording a deployment");
  mle_status status = mle_db_run(db, err, sql, "sii", state, mle_now_ms(), id);
  mle_free(sql);
  if (status != MLE_OK || mle_db_changes(db) == 1) return status;
  return mle_fail(err, MLE_ECONFLICT,
                  "deployment %lld is no longer where it can become '%s'; another release of its "
                  "endpoint was there", (long long)id, state);
}

/* The rows behind the model may have waited for this. */
static mle_status tell_consumer(mle_db *db, int64_t id,
                                mle_status (*tell)(mle_db *db, const char *run, mle_error *err),
                                mle_error *err) {
  char *run = NULL;
  mle_status status =
      mle_db_get_text(db, &run, err, "select run_id from deployments where id = ?", "i", id);
  if (status == MLE_OK) status = tell(db, run, err);
  mle_free(run);
  return status;
}

static bool is_state(const char *state) {
  for (size_t i = 0; i < sizeof arrows / sizeof *arrows; i++)
    if (strcmp(arrows[i].to, state) == 0) return true;
  return false;
}

mle_status mle_records_advance(mle_db *db, int64_t id, const char *state, const char *text,
                               mle_error *err) {
  if (!is_state(state)) return mle_fail(err, MLE_EINVAL, "'%s' is no state of a deployment", state);
  const char *sql = strcmp(state, "verified") == 0
                        ? "update deployments set scores = ? where id = ?"
                        : "update deployments set outcome = coalesce(?, outcome) where id = ?";
  MLE_TRY(mle_db_begin(db, err));
  mle_status status = move(db, id, state, err);
  if (status == MLE_OK) status = mle_db_run(db, err, sql, "si", text, id);
  if (status == MLE_OK && strcmp(state, "rejected") == 0)
    status = tell_consumer(db, id, mle_held_reject, err);
  return end(db, status, err);
}

/* ====== The slot record ====== */

/* A slot that names `id` already is left alone, so that its previous stays. */
static mle_status set_slot(mle_db *db, int64_t id, mle_error *err) {
  return mle_db_run(db, err,
                    "insert into slots (endpoint, deployment, previous) "
                    "select endpoint, id, 0 from deployments where id = ? "
                    "on conflict (endpoint) do update set "
                    "previous = slots.deployment, deployment = excluded.deployment "
                    "where slots.deployment <> excluded.deployment",
                    "i", id);
}

/* It may have been begun when another was live; and one that came no further than its slot record is overtaken. */
static mle_status take_place(mle_db *db, int64_t id, mle_error *err) {
  MLE_TRY(mle_db_run(db, err,
                     "update deployments set previous = (select previous from slots where deployment = ?1) "
                     "where id = ?1", "i", id));
  return mle_db_run(db, err,
                    "update deployments set state = 'retired', updated_ms = ?2 where state = 'recorded' and "
                    "id <> ?1 and endpoint = (select endpoint from deployments where id = ?1)",
                    "ii", id, mle_now_ms());
}

static mle_status point(mle_db *db, int64_t id, mle_error *err) {
  MLE_TRY(move(db, id, "recorded", err));
  MLE_TRY(set_slot(db, id, err));
  return mle_db_changes(db) == 0 ? MLE_OK : take_place(db, id, err);
}

mle_status mle_records_point(mle_db *db, int64_t id, mle_error *err) {
  MLE_TRY(mle_db_begin(db, err));
  return end(db, point(db, id, err), err);
}

static mle_status point_back(mle_db *db, int64_t id, int64_t earlier, mle_error *err) {
  MLE_TRY(move(db, id, "recorded", err));
  MLE_TRY(mle_db_run(db, err,
                     "update deployments set state = 'rolled back', updated_ms = ? where id = "
                     "(select deployment from slots where endpoint = "
                     " (select endpoint from deployments where id = ?)) and id <> ?",
                     "iii", mle_now_ms(), id, id));
  MLE_TRY(mle_db_run(db, err, "update deployments set previous = "
                              "(select previous from deployments where id = ?) where id = ?",
                     "ii", earlier, id));
  return mle_db_run(db, err,
                    "update slots set deployment = ?, previous = "
                    "(select previous from deployments where id = ?) where endpoint = "
                    "(select endpoint from deployments where id = ?)",
                    "iii", id, earlier, id);
}

mle_status mle_records_point_back(mle_db *db, int64_t id, int64_t earlier, mle_error *err) {
  MLE_TRY(mle_db_begin(db, err));
  return end(db, point_back(db, id, earlier, err), err);
}

static mle_status finish(mle_db *db, int64_t id, mle_error *err) {
  MLE_TRY(move(db, id, "live", err));
  MLE_TRY(tell_consumer(db, id, mle_held_release, err));
  return mle_db_run(db, err,
                    "update deployments set state = 'retired', updated_ms = ? where state = 'live' "
                    "and id <> ? and endpoint = (select endpoint from deployments where id = ?)",
                    "iii", mle_now_ms(), id, id);
}

mle_status mle_records_finish(mle_db *db, int64_t id, mle_error *err) {
  MLE_TRY(mle_db_begin(db, err));
  return end(db, finish(db, id, err), err);
}

static mle_status retire(mle_db *db, const char *endpoint, mle_error *err) {
  MLE_TRY(mle_db_run(db, err, "delete from slots where endpoint = ?", "s", endpoint));
  if (mle_db_changes(db) == 0)
    return mle_fail(err, MLE_ENOTFOUND, "there is no endpoint '%.128s'; mlengine deployments lists them", endpoint);
  return mle_db_run(db, err,
                    "update deployments set state = 'retired', updated_ms = ? where endpoint = ? and "
                    "state in ('recorded', 'live')",
                    "is", mle_now_ms(), endpoint);
}

mle_status mle_records_retire(mle_db *db, const char *endpoint, mle_error *err) {
  MLE_TRY(mle_db_begin(db, err));
  return end(db, retire(db, endpoint, err), err);
}

/* ====== Reading ====== */

static mle_status read_row(const mle_db_rows *rows, mle_arena *memory, mle_deployment *out,
                           mle_error *err) {
  const char **const texts[] = {&out->endpoint, &out->uri,    &out->name,   &out->version,
                                &out->run_id,   &out->snapshot_id, &out->folder, &out->sha256,
                                &out->scores,   &out->alias,  &out->state,  &out->outcome};
  out->id = mle_db_int(rows, 0);
  out->previous = mle_db_int(rows, 1);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    MLE_TRY(mle_arena_copy(memory, mle_db_text(rows, (int)i + 2), texts[i], err));
  out->created_ms = mle_db_int(rows, 14);
  out->updated_ms = mle_db_int(rows, 15);
  return MLE_OK;
}

/* A project that was moved, or was reached by another path, has its copies beside its state all the same; whoever loads one
 * compares its digest. */
static mle_status find_copy(const mle_db *db, mle_arena *memory, mle_deployment *d, mle_error *err) {
  const char *state = mle_db_path(db), *end = strrchr(state, '/'), *name = strrchr(d->folder, '/');
  if (end == NULL || name == NULL || mle_file_exists(d->folder)) return MLE_OK;
  char *beside = mle_arena_format(memory, "%.*s/models%s", (int)(end - state), state, name);
  if (beside == NULL) return mle_nomem(err, "reading deployments");
  if (mle_file_exists(beside)) d->folder = beside;
  return MLE_OK;
}

/* Takes all rows of a query that was begun, and ends it. */
static mle_status read_rows(const mle_db *db, mle_db_rows *rows, mle_arena *memory, mle_deployments *out,
                            mle_error *err) {
  mle_status status;
  *out = (mle_deployments){0};
  while ((status = mle_db_next(rows, err)) == MLE_OK && rows->found) {
    mle_deployment *item = mle_arena_grow(memory, out->item, out->count, sizeof *item);
    if (item == NULL) {
      status = mle_nomem(err, "reading deployments");
      goto done;
    }
    out->item = item;
    MLE_GO(read_row(rows, memory, &item[out->count], err));
    MLE_GO(find_copy(db, memory, &item[out->count], err));
    out->count++;
  }
done:
  mle_db_end(rows);
  return status;
}

mle_status mle_records_get(mle_db *db, int64_t id, mle_arena *memory, mle_deployment *out,
                           mle_error *err) {
  mle_db_rows rows;
  mle_deployments found = {0};
  *out = (mle_deployment){0};
  mle_status status = mle_db_query(db, &rows, err,
                                   "select " COLUMNS " from deployments d where d.id = ?", "i", id);
  if (status == MLE_OK) status = read_rows(db, &rows, memory, &found, err);
  if (status != MLE_OK) return status;
  if (found.count == 0)
    return mle_fail(err, MLE_ENOTFOUND, "there is no deployment %lld", (long long)id);
  *out = found.item[0];
  return MLE_OK;
}

mle_status mle_records_slot(mle_db *db, const char *endpoint, mle_arena *memory,
                            mle_deployment *out, mle_error *err) {
  mle_db_rows rows;
  mle_deployments found = {0};
  *out = (mle_deployment){0};
  mle_status status =
      mle_db_query(db, &rows, err, "select " COLUMNS " from slots s join deployments d on "
                                   "d.id = s.deployment where s.endpoint = ?", "s", endpoint);
  if (status == MLE_OK) status = read_rows(db, &rows, memory, &found, err);
  if (status == MLE_OK && found.count > 0) *out = found.item[0];
  return status;
}

mle_status mle_records_slots(mle_db *db, mle_arena *memory, mle_deployments *out, mle_error *err) {
  mle_db_rows rows;
  *out = (mle_deployments){0};
  MLE_TRY(mle_db_query(db, &rows, err, "select " COLUMNS " from slots s join deployments d on "
                                       "d.id = s.deployment order by s.endpoint", ""));
  return read_rows(db, &rows, memory, out, err);
}

mle_status mle_records_list(mle_db *db, const char *endpoint, int limit, mle_arena *memory,
                            mle_deployments *out, mle_error *err) {
  mle_db_rows rows;
  *out = (mle_deployments){0};
  MLE_TRY(mle_db_query(db, &rows, err,
                       "select " COLUMNS " from deployments d where ?1 is null or "
                       "d.endpoint = ?1 order by d.id desc limit ?2",
                       "si", endpoint, (int64_t)limit));
  return read_rows(db, &rows, memory, out, err);
}

mle_status mle_records_needs(mle_db *db, const char *folder, bool *out, mle_error *err) {
  const char *slash = strrchr(folder, '/'), *name = slash == NULL ? folder : slash + 1;
  int64_t count;
  mle_status status = mle_db_get_int(
      db, 0, &count, err,
      "select count(*) from deployments d where substr(d.sha256, 1, length(?1)) = ?1 and ("
      "  state in ('started', 'verified', 'accepted', 'recorded', 'live')"
      "  or id in (select deployment from slots union select previous from slots)"
      "  or (select count(*) from deployments e where e.endpoint = d.endpoint and e.id > d.id"
      "      and e.state in ('live', 'retired', 'rolled back')) < 10)",
      "s", name);
  *out = count > 0;
  return status;
}
