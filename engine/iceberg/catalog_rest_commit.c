/*
 * catalog_rest_commit.c -- a snapshot made the head of main by a REST server.
 *
 * The request says what must hold (this table, main at `base`) and what changes (the
 * snapshot, then main). Answers are of three kinds: done; refused for certain; and
 * unknown: 5xx, a connection that broke, bytes that are no answer. Then the table is
 * looked at. It has the snapshot: done. Its main is elsewhere: our request can never
 * take effect any more. Neither: the request may still be under way, so the same one is
 * sent again, which takes effect once at most, because main must be at `base`.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/clock.h"
#include "engine/http/retry.h"
#include "engine/iceberg/catalog_rest.h"

#define SENT_MAX 5 /* times that one request is sent */

/* ====== The request ====== */

static void add_requirements(mle_json *body, const mle_metadata *base) {
  mle_json *list = mle_json_add_array(body, "requirements"), *item;
  if (base->uuid != NULL) {
    item = mle_json_add_object(list, NULL);
    mle_json_add_text(item, "type", "assert-table-uuid");
    mle_json_add_text(item, "uuid", base->uuid);
  }
  item = mle_json_add_object(list, NULL);
  mle_json_add_text(item, "type", "assert-ref-snapshot-id");
  mle_json_add_text(item, "ref", "main");
  if (base->current_snapshot_id == MLE_NO_SNAPSHOT)
    mle_json_add_null(item, "snapshot-id");
  else
    mle_json_add_int(item, "snapshot-id", base->current_snapshot_id);
}

/* main moves and keeps its retention settings. */
static void add_ref(mle_json *item, const mle_metadata *base, int64_t snapshot_id) {
  static const char *const kept[] = {"max-ref-age-ms", "max-snapshot-age-ms",
                                     "min-snapshots-to-keep"};
  mle_json_at root = mle_json_root(base->document), refs, branch, member;
  mle_json_add_text(item, "action", "set-snapshot-ref");
  mle_json_add_text(item, "ref-name", "main");
  mle_json_add_text(item, "type", "branch");
  mle_json_add_int(item, "snapshot-id", snapshot_id);
  if (!mle_json_find(&root, "refs", &refs) || !mle_json_find(&refs, "main", &branch)) return;
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
    if (mle_json_find(&branch, kept[i], &member)) mle_json_add_copy(item, kept[i], member.node);
}

static mle_json *make_body(const mle_table *base, const mle_snapshot *snapshot) {
  mle_json *body = mle_json_new_object(), *item = mle_json_add_object(body, "identifier");
  mle_irc_add_namespace(item, "namespace", base->space);
  mle_json_add_text(item, "name", base->name);
  add_requirements(body, base->metadata);
  mle_json *updates = mle_json_add_array(body, "updates");
  item = mle_json_add_object(updates, NULL);
  mle_json_add_text(item, "action", "add-snapshot");
  mle_metadata_add_snapshot(item, "snapshot", snapshot);
  add_ref(mle_json_add_object(updates, NULL), base->metadata, snapshot->id);
  return body;
}

/* ====== The answer ====== */

static bool is_same(const mle_table *base, const mle_table *other) {
  const char *mine = base->metadata->uuid, *theirs = other->metadata->uuid;
  return mine == NULL || (theirs != NULL && strcmp(mine, theirs) == 0);
}

/* Sends it once. An answer that is not about our commit leaves the outcome unknown. */
static mle_status send_once(mle_rest_catalog *c, const mle_table *base,
                            const mle_snapshot *snapshot, mle_table **out, mle_error *err) {
  const mle_table_name name = {base->space, base->name};
  mle_irc_request request = {
      .endpoint = MLE_IRC_COMMIT_TABLE, .name = name, .body = make_body(base, snapshot)};
  mle_json *answer;
  mle_table *next = NULL;
  mle_status status = mle_irc_call(c->server, &request, &answer, err);
  if (status != MLE_OK) return status;
  status = mle_rest_catalog_take(&name, answer, &next, err);
  mle_json_free(answer);
  if (status == MLE_ENOMEM) return MLE_EUNKNOWN;
  if (status == MLE_OK && is_same(base, next) &&
      mle_metadata_snapshot(next->metadata, snapshot->id) != NULL) {
    *out = next;
    return MLE_OK;
  }
  mle_table_free(next);
  return mle_fail(err, MLE_EUNKNOWN, "the catalog's answer to a commit does not have its snapshot");
}

/* ====== The outcome ====== */

typedef enum outcome { COMMITTED, NEVER, NOT_YET, UNKNOWN } outcome;

/* What the table says became of our request; `now` is the table where it was read. */
static outcome look(mle_rest_catalog *c, const mle_table *base, int64_t snapshot_id,
                    mle_table **now, mle_error *why) {
  const mle_table_name name = {base->space, base->name};
  if (c->base.class->load(&c->base, &name, now, why) != MLE_OK) return UNKNOWN;
  if (!is_same(base, *now)) {
    mle_fail(why, MLE_EREFUSED, "the catalog answers with a table of another UUID");
    return UNKNOWN;
  }
  if (mle_metadata_snapshot((*now)->metadata, snapshot_id) != NULL) return COMMITTED;
  return (*now)->metadata->current_snapshot_id != base->metadata->current_snapshot_id ? NEVER
                                                                                      : NOT_YET;
}

static mle_status fail_unknown(const mle_table *base, int64_t snapshot_id, const char *why,
                               mle_error *err) {
  return mle_fail(err, MLE_EUNKNOWN,
                  "whether snapshot %lld of %s.%s was committed is not known (%.300s); see mlengine "
                  "table snapshots before trying again",
                  (long long)snapshot_id, base->space, base->name, why);
}

/* Not unknown at last: then `status` is what the request came to. */
static bool settle(mle_rest_catalog *c, const mle_table *base, int64_t snapshot_id,
                   mle_status *status, mle_table **out, mle_error *err) {
  mle_error why = {0};
  mle_table *now = NULL;
  outcome found = look(c, base, snapshot_id, &now, &why);
  if (found == COMMITTED) {
    *out = now;
    *status = MLE_OK;
    return true;
  }
  mle_table_free(now);
  if (found == NEVER)
    *status = mle_fail(err, MLE_ECONFLICT, "table %s.%s was changed by another writer",
                       base->space, base->name);
  if (found == UNKNOWN) *status = fail_unknown(base, snapshot_id, why.message, err);
  return found != NOT_YET;
}

static bool is_unsettled(mle_status status, bool doubtful) {
  return status == MLE_EUNKNOWN || (doubtful && status != MLE_OK);
}

mle_status mle_rest_catalog_commit(mle_catalog *catalog, const mle_table *base,
                                   const mle_snapshot *snapshot, mle_table **out, mle_error *err) {
  mle_rest_catalog *c = (mle_rest_catalog *)catalog;
  bool doubtful = false; /* an earlier request may have taken effect, or may yet */
  mle_status status = MLE_OK;
  for (int sent = 1;; sent++) {
    status = send_once(c, base, snapshot, out, err);
    bool busy = status == MLE_EBUSY;
    if (!busy && !is_unsettled(status, doubtful)) return status;
    doubtful |= status == MLE_EUNKNOWN;
    mle_error last = err == NULL ? (mle_error){0} : *err;
    if (doubtful && settle(c, base, snapshot->id, &status, out, err)) return status;
    if (sent == SENT_MAX || mle_cancelled())
      return doubtful ? fail_unknown(base, snapshot->id, last.message, err) : status;
    mle_sleep_ms(mle_retry_wait_ms(sent, 200, -1));
  }
}
