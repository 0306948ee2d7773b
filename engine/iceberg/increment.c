#include "engine/iceberg/increment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"

/* The ancestors of a snapshot, itself first, as far as metadata knows them. */
typedef struct chain {
  const mle_snapshot **snapshots;
  size_t count;
  int64_t
      missing; /* the parent that expired, MLE_NO_SNAPSHOT when there is none or it is not named */
  bool cut; /* history before the oldest known is gone */
} chain;

static bool read_count(const mle_snapshot *snapshot, const char *key, int64_t *out) {
  const char *text = mle_snapshot_summary(snapshot, key);
  char *end;
  *out = text == NULL ? -1 : strtoll(text, &end, 10);
  return text != NULL && *text != '\0' && *end == '\0' && *out >= 0;
}

/* PyIceberg takes the parent's name away when it expires the parent: then only the
 * totals tell that rows were there before. What a compaction adds or a delete takes away was. */
static bool had_rows_before(const mle_snapshot *first) {
  int64_t total, added, deleted;
  const char *operation = first->operation == NULL ? "" : first->operation;
  if (strcmp(operation, "replace") == 0 || strcmp(operation, "delete") == 0) return true;
  if (!read_count(first, "total-records", &total)) return false;
  if (!read_count(first, "added-records", &added)) added = 0;
  if (!read_count(first, "deleted-records", &deleted)) deleted = 0;
  return total > added || deleted > 0;
}

static mle_status walk(const mle_metadata *m, const mle_snapshot *head, mle_arena *arena,
                       chain *out, mle_error *err) {
  *out = (chain){.missing = MLE_NO_SNAPSHOT};
  while (head != NULL) {
    if (out->count > m->num_snapshots)
      return mle_fail(err, MLE_EFORMAT, "the parents of snapshot %" PRId64 " form a circle",
                      head->id);
    const mle_snapshot **longer = mle_arena_grow(arena, out->snapshots, out->count, sizeof *longer);
    if (longer == NULL) return mle_nomem(err, "resolving a range");
    out->snapshots = longer;
    out->snapshots[out->count++] = head;
    const mle_snapshot *parent = mle_metadata_snapshot(m, head->parent_id);
    if (parent == NULL) {
      out->missing = head->parent_id;
      out->cut = head->parent_id != MLE_NO_SNAPSHOT || had_rows_before(head);
    }
    head = parent;
  }
  return MLE_OK;
}

/* How many snapshots of the chain come after `id`: `id` is the next one, or the missing parent. */
static bool find_in_chain(const chain *c, int64_t id, size_t *out) {
  for (*out = 0; *out < c->count; ++*out)
    if (c->snapshots[*out]->id == id) return true;
  return c->missing == id && id != MLE_NO_SNAPSHOT;
}

/* The newest snapshot that both chains have; it may be the expired parent of both. */
static bool find_common(const chain *a, const chain *b, int64_t *out) {
  size_t position;
  for (size_t i = 0; i < b->count; i++) {
    *out = b->snapshots[i]->id;
    if (find_in_chain(a, *out, &position)) return true;
  }
  *out = b->missing;
  return b->missing != MLE_NO_SNAPSHOT && find_in_chain(a, b->missing, &position);
}

/* ====== Which snapshots count ====== */

static mle_status refuse_non_append(const mle_snapshot *snapshot, mle_error *err) {
  char when[MLE_TIME_TEXT];
  return mle_fail(err, MLE_EREFUSED,
                  "snapshot %" PRId64
                  " (%s, %s) in the range is not an append; on_non_append = \"skip\" "
                  "leaves it out, \"include_added\" reads the rows it added",
                  snapshot->id,
                  snapshot->operation == NULL ? "no operation recorded" : snapshot->operation,
                  mle_time_text(snapshot->timestamp_ms, when));
}

static bool is_left_out(const mle_increment_options *options, int64_t id) {
  for (size_t i = 0; i < options->num_without; i++)
    if (options->without[i] == id) return true;
  return false;
}

typedef enum verdict { PASSED_OVER, COUNTS, REFUSED } verdict;

static verdict judge(const mle_snapshot *snapshot, const mle_increment_options *options) {
  const char *operation = snapshot->operation == NULL ? "" : snapshot->operation;
  if (is_left_out(options, snapshot->id)) return PASSED_OVER;
  if (strcmp(operation, "append") == 0) return COUNTS;
  if (strcmp(operation, "replace") == 0) return PASSED_OVER;
  if (options->on_non_append == MLE_NON_APPEND_SKIP) return PASSED_OVER;
  return options->on_non_append == MLE_NON_APPEND_ERROR ? REFUSED : COUNTS;
}

/* The snapshots taken so far, against the limits. */
typedef struct taking {
  const mle_metadata *metadata;
  const mle_increment_options *options;
  int64_t *ids;
  size_t count;
  int64_t rows; /* only with max_rows */
} taking;

static mle_status rows_of(const mle_metadata *m, int64_t id, int64_t *out, mle_error *err) {
  const mle_increment one = {.from = MLE_NO_SNAPSHOT, .to = id, .snapshots = &id, .count = 1};
  return mle_increment_rows(m, &one, out, err);
}

/* Whether the limits let one more snapshot in. The first always gets in, else nothing would move. */
static mle_status has_room(taking *t, const mle_snapshot *snapshot, verdict v, bool *out,
                           mle_error *err) {
  int64_t rows = 0, max_snapshots = t->options->max_snapshots, max_rows = t->options->max_rows;
  if (max_rows > 0 && v == COUNTS) MLE_TRY(rows_of(t->metadata, snapshot->id, &rows, err));
  *out = t->count == 0 || ((max_snapshots == 0 || (int64_t)t->count < max_snapshots) &&
                           (max_rows == 0 || (t->rows < max_rows && rows <= max_rows - t->rows)));
  if (*out) t->rows += rows;
  return MLE_OK;
}

/* The first `length` of the chain, oldest first, less those that do not count. */
static mle_status keep_snapshots(const mle_metadata *m, const chain *c, size_t length,
                                 const mle_increment_options *options, mle_arena *arena,
                                 mle_increment *out, mle_error *err) {
  taking t = {.metadata = m, .options = options};
  out->snapshots = t.ids = mle_arena_array(arena, length, sizeof *t.ids);
  if (t.ids == NULL) return mle_nomem(err, "resolving a range");
  for (size_t i = length; i-- > 0;) {
    bool room;
    verdict v = judge(c->snapshots[i], options);
    if (v == PASSED_OVER) continue;
    MLE_TRY(has_room(&t, c->snapshots[i], v, &room, err));
    if (!room) {
      out->more = true;
      out->to = c->snapshots[i + 1]->id; /* what was passed over since is done with */
      break;
    }
    if (v == REFUSED) return refuse_non_append(c->snapshots[i], err);
    t.ids[t.count++] = c->snapshots[i]->id;
  }
  out->count = t.count;
  return MLE_OK;
}

/* ====== Where the range starts ====== */

static mle_status read_all(mle_increment *out) {
  out->full = true;
  out->from = MLE_NO_SNAPSHOT;
  return MLE_OK;
}

static mle_status meet_gap(const chain *c, const mle_increment_options *options, mle_increment *out,
                           mle_error *err) {
  char start[64] = "from the beginning";
  if (options->on_gap == MLE_GAP_FULL) return read_all(out);
  if (options->from != MLE_NO_SNAPSHOT)
    snprintf(start, sizeof start, "after snapshot %" PRId64, options->from);
  return mle_fail(err, MLE_EREFUSED,
                  "rows %s up to snapshot %" PRId64
                  " cannot be told: history before snapshot %" PRId64
                  " was expired; on_gap = \"full\" reads all rows of snapshot %" PRId64,
                  start, out->to, c->snapshots[c->count - 1]->id, out->to);
}

static mle_status meet_rollback(const chain *c, const chain *old,
                                const mle_increment_options *options, mle_increment *out,
                                size_t *length, mle_error *err) {
  int64_t common = MLE_NO_SNAPSHOT;
  bool found = find_common(c, old, &common);
  if (options->on_rollback == MLE_ROLLBACK_FULL) return read_all(out);
  if (options->on_rollback == MLE_ROLLBACK_COMMON_ANCESTOR && found) {
    out->from = common;
    find_in_chain(c, common, length);
    return MLE_OK;
  }
  if (options->on_rollback == MLE_ROLLBACK_COMMON_ANCESTOR)
    return mle_fail(err, MLE_EREFUSED,
                    "snapshots %" PRId64 " and %" PRId64
                    " have no common ancestor (the table was replaced); "
                    "on_rollback = \"full\" reads all rows of snapshot %" PRId64,
                    options->from, out->to, out->to);
  return mle_fail(
      err, MLE_EREFUSED,
      "snapshot %" PRId64 " is not an ancestor of snapshot %" PRId64
      " (rolled back or replaced); "
      "on_rollback = \"common_ancestor\" reads from the last snapshot both have, \"full\" all rows",
      options->from, out->to);
}

/* `from` was not found behind `to`: tells an expired history from a branch left behind. */
static mle_status find_start(const mle_metadata *m, const chain *c,
                             const mle_increment_options *options, mle_arena *arena,
                             mle_increment *out, size_t *length, mle_error *err) {
  chain old;
  int64_t common;
  const mle_snapshot *from = mle_metadata_snapshot(m, options->from);
  MLE_TRY(walk(m, from, arena, &old, err));
  bool whole = !c->cut;
  if (from == NULL && whole)
    return options->on_rollback == MLE_ROLLBACK_FULL
               ? read_all(out)
               : mle_fail(err, MLE_ENOTFOUND,
                          "snapshot %" PRId64
                          " is unknown to this table, and no known snapshot has it as its "
                          "parent; on_rollback = \"full\" reads all rows of snapshot %" PRId64,
                          options->from, out->to);
  if (whole || find_common(c, &old, &common))
    return meet_rollback(c, &old, options, out, length, err);
  return meet_gap(c, options, out, err);
}

/* With its start: what begins before it, the parent, is then where it starts from. */
static void include_start(const chain *c, mle_increment *out, size_t *length) {
  out->from = c->snapshots[(*length)++]->parent_id;
}

static mle_status start_range(const mle_metadata *m, const chain *c,
                              const mle_increment_options *options, mle_arena *arena,
                              mle_increment *out, size_t *length, mle_error *err) {
  *length = c->count;
  if (options->from == MLE_NO_SNAPSHOT) return c->cut ? meet_gap(c, options, out, err) : MLE_OK;
  if (find_in_chain(c, options->from, length)) {
    if (!options->inclusive) return MLE_OK;
    if (*length == c->count) return meet_gap(c, options, out, err); /* only its name is known */
    include_start(c, out, length);
    return MLE_OK;
  }
  return find_start(m, c, options, arena, out, length, err);
}

/* ====== Where the range ends ====== */

static mle_status find_branch(const mle_metadata *m, const char *name, int64_t *out_head,
                              mle_error *err) {
  const mle_ref *ref = mle_metadata_ref(m, name);
  if (ref == NULL)
    return mle_fail(err, MLE_ENOTFOUND,
                    "the table has no branch '%s'; mlengine table refs lists them", name);
  if (strcmp(ref->type, "branch") != 0)
    return mle_fail(err, MLE_EINVAL, "'%s' is a tag, not a branch; a range may end at a tag: to = "
                    "\"%s\"", name, name);
  *out_head = ref->snapshot_id;
  return MLE_OK;
}

/* An end that is given lies on the branch that is given. */
static mle_status check_on_branch(const mle_metadata *m, const char *branch, int64_t head,
                                  int64_t to, mle_arena *arena, mle_error *err) {
  chain c;
  size_t position;
  MLE_TRY(walk(m, mle_metadata_snapshot(m, head), arena, &c, err));
  if (find_in_chain(&c, to, &position)) return MLE_OK;
  return mle_fail(err, MLE_EREFUSED, "snapshot %" PRId64 " is not on branch '%s'", to, branch);
}

static mle_status find_end(const mle_metadata *m, const mle_increment_options *options,
                           mle_arena *arena, int64_t *out, mle_error *err) {
  int64_t head = m->current_snapshot_id;
  bool is_main = options->branch == NULL || strcmp(options->branch, "main") == 0;
  if (!is_main) MLE_TRY(find_branch(m, options->branch, &head, err));
  *out = options->to == MLE_NO_SNAPSHOT ? head : options->to;
  if (options->branch == NULL || options->to == MLE_NO_SNAPSHOT) return MLE_OK;
  return check_on_branch(m, options->branch, head, options->to, arena, err);
}

mle_status mle_increment_resolve(const mle_metadata *m, const mle_increment_options *options,
                                 mle_arena *arena, mle_increment *out, mle_error *err) {
  int64_t to_id;
  *out = (mle_increment){.from = options->from, .to = options->to};
  MLE_TRY(find_end(m, options, arena, &to_id, err));
  out->to = to_id;
  if (options->from == to_id && !(options->inclusive && to_id != MLE_NO_SNAPSHOT))
    return MLE_OK; /* nothing, or a table that has nothing yet */
  if (to_id == MLE_NO_SNAPSHOT)
    return mle_fail(err, MLE_EREFUSED, "the table has no snapshot, and so none after %" PRId64,
                    options->from);
  const mle_snapshot *to = mle_metadata_snapshot(m, to_id);
  if (to == NULL)
    return mle_fail(err, MLE_ENOTFOUND, "snapshot %" PRId64 " is not in the table's metadata",
                    to_id);
  chain c;
  size_t length;
  MLE_TRY(walk(m, to, arena, &c, err));
  MLE_TRY(start_range(m, &c, options, arena, out, &length, err));
  return out->full ? MLE_OK : keep_snapshots(m, &c, length, options, arena, out, err);
}

/* ====== A window ====== */

/* How many snapshots of the chain the window takes in; false when it reaches behind what is known. */
static bool measure(const chain *c, const mle_increment_options *options, const mle_window *window,
                    size_t *out) {
  int64_t counted = 0, newest = c->snapshots[0]->timestamp_ms;
  int64_t since = window->age_ms > 0 ? newest - window->age_ms : window->since_ms;
  for (*out = 0; *out < c->count; ++*out) {
    const mle_snapshot *snapshot = c->snapshots[*out];
    if (window->snapshots > 0 && counted == window->snapshots) return true;
    if (window->snapshots == 0 && snapshot->timestamp_ms < since) return true;
    counted += judge(snapshot, options) == COUNTS;
  }
  return !c->cut || (window->snapshots > 0 && counted == window->snapshots);
}

static mle_status meet_short_window(const chain *c, const mle_increment_options *options,
                                    mle_increment *out, mle_error *err) {
  if (options->on_gap == MLE_GAP_FULL) return read_all(out);
  return mle_fail(err, MLE_EREFUSED,
                  "the window up to snapshot %" PRId64 " reaches behind snapshot %" PRId64
                  ", before which history was expired; ask for a shorter one, or on_gap = "
                  "\"full\" reads all rows of snapshot %" PRId64,
                  out->to, c->snapshots[c->count - 1]->id, out->to);
}

mle_status mle_increment_widen(const mle_metadata *m, const mle_increment_options *options,
                               const mle_window *window, mle_arena *arena, mle_increment *range,
                               mle_error *err) {
  chain c;
  size_t own = 0, length;
  mle_increment_options unlimited = *options;
  unlimited.max_snapshots = unlimited.max_rows = 0;
  if (range->full || range->to == MLE_NO_SNAPSHOT) return MLE_OK;
  MLE_TRY(walk(m, mle_metadata_snapshot(m, range->to), arena, &c, err));
  if (c.count == 0) return MLE_OK;
  if (range->from == MLE_NO_SNAPSHOT || !find_in_chain(&c, range->from, &own)) own = c.count;
  bool known = measure(&c, &unlimited, window, &length);
  if (!known) return meet_short_window(&c, options, range, err);
  if (length <= own) return MLE_OK; /* it is all new */
  range->from = length < c.count ? c.snapshots[length]->id : c.missing;
  range->count = 0;
  return keep_snapshots(m, &c, length, &unlimited, arena, range, err);
}

/* ====== Reading it ====== */

mle_status mle_increment_plan(const mle_metadata *m, const mle_increment *range,
                              const mle_condition *condition, mle_plan *out, mle_error *err) {
  if (range->full)
    return mle_plan_snapshot(m, mle_metadata_snapshot(m, range->to), condition, out, err);
  return mle_plan_added(m, range->snapshots, range->count, condition, out, err);
}

/* A summary without added-data-files added none. */
static bool sum_summaries(const mle_metadata *m, const mle_increment *range, int64_t *out) {
  for (size_t i = 0; i < range->count; i++) {
    const mle_snapshot *snapshot = mle_metadata_snapshot(m, range->snapshots[i]);
    int64_t rows = 0;
    bool silent = mle_snapshot_summary(snapshot, "added-data-files") == NULL &&
                  mle_snapshot_summary(snapshot, "total-records") != NULL;
    if (!silent && !read_count(snapshot, "added-records", &rows)) return false;
    *out += rows;
  }
  return true;
}

mle_status mle_increment_rows(const mle_metadata *m, const mle_increment *range, int64_t *out,
                              mle_error *err) {
  mle_plan plan;
  *out = 0;
  if (!range->full && sum_summaries(m, range, out)) return MLE_OK;
  *out = 0;
  MLE_TRY(mle_increment_plan(m, range, NULL, &plan, err));
  *out = plan.rows;
  mle_plan_release(&plan);
  return MLE_OK;
}
