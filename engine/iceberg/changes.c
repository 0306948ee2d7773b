#include "engine/iceberg/changes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/iceberg/deletes.h"
#include "engine/iceberg/files.h"

#define NONE SIZE_MAX
#define SQL_MAX ((size_t)4 << 20)
#define PLACE "_change_place"

/* What is put beside each row, as numbers of its file. */
enum { INSERTED, ORDINAL, SNAPSHOT, MIXED, NUM_EXTRA };
static const char *const extra_names[NUM_EXTRA] = {"_change_inserted", "_change_ordinal",
                                                   "_commit_snapshot_id", "_change_mixed"};

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "planning a change scan"); }

/* The changes found so far. */
typedef struct gathering {
  mle_session *session;
  const mle_metadata *metadata;
  mle_arena arena;
  mle_files_item *items;
  int64_t **extra; /* of each item */
  size_t num_items;
  mle_bitmap **held; /* rows of items that are left out */
  size_t num_held;
  size_t first; /* item of the current snapshot */
  bool any_mixed;
} gathering;

/* ====== Items ====== */

/* Takes `dead`, also when it fails. */
static mle_status hold(gathering *g, mle_bitmap *dead, mle_error *err) {
  mle_bitmap **held = mle_arena_grow(&g->arena, g->held, g->num_held, sizeof(mle_bitmap *));
  if (held == NULL) {
    mle_bitmap_free(dead);
    return no_memory(err);
  }
  g->held = held;
  held[g->num_held++] = dead;
  return MLE_OK;
}

/* The rows of a file that are not in `dead`, which is taken. */
static mle_status add_item(gathering *g, const mle_plan_file *file, bool inserted,
                           mle_bitmap *dead, mle_error *err) {
  if (dead != NULL) MLE_TRY(hold(g, dead, err));
  mle_files_item *items = mle_arena_grow(&g->arena, g->items, g->num_items, sizeof *items);
  int64_t **extra = mle_arena_grow(&g->arena, g->extra, g->num_items, sizeof(int64_t *));
  int64_t *own = mle_arena_array(&g->arena, NUM_EXTRA, sizeof *own);
  if (items == NULL || extra == NULL || own == NULL) return no_memory(err);
  g->items = items;
  g->extra = extra;
  mle_files_item *to = &items[g->num_items];
  extra[g->num_items] = own;
  own[INSERTED] = inserted;
  *to = (mle_files_item){.record_count = file->record_count,
                         .ours = mle_files_ours(g->metadata, file->snapshot_id),
                         .spec_id = file->spec_id,
                         .number = g->num_items,
                         .dead = dead,
                         .extra = own};
  MLE_TRY(mle_arena_copy(&g->arena, file->uri, &to->uri, err));
  MLE_TRY(mle_tuple_copy(&file->partition, &g->arena, &to->partition, err));
  g->num_items++;
  return MLE_OK;
}

/* The rows that are in `more` and not in `less`, as a change of their own. */
static mle_status add_difference(gathering *g, const mle_plan_file *file, bool inserted,
                                 const mle_bitmap *more, const mle_bitmap *less, mle_error *err) {
  if (more == NULL) return MLE_OK;
  if (file->record_count > UINT32_MAX)
    return mle_fail(err, MLE_EUNSUPPORTED, "the data file '%s' has %" PRId64
                    " rows; this version reads changes of up to 2^32 - 1", file->path,
                    file->record_count);
  mle_bitmap *changed = mle_bitmap_minus(more, less);
  bool any = changed != NULL && mle_bitmap_below(changed, file->record_count) > 0;
  mle_bitmap *dead = any ? mle_bitmap_rest(changed, (uint32_t)file->record_count) : NULL;
  bool failed = changed == NULL || (any && dead == NULL);
  mle_bitmap_free(changed);
  if (failed) return no_memory(err);
  return any ? add_item(g, file, inserted, dead, err) : MLE_OK;
}

/* Says of the items of a snapshot what they share. */
static void mark_items(gathering *g, int64_t snapshot_id, int64_t ordinal) {
  bool seen[2] = {false, false};
  for (size_t i = g->first; i < g->num_items; i++) seen[g->extra[i][INSERTED]] = true;
  for (size_t i = g->first; i < g->num_items; i++) {
    g->extra[i][ORDINAL] = ordinal;
    g->extra[i][SNAPSHOT] = snapshot_id;
    g->extra[i][MIXED] = seen[0] && seen[1];
  }
  g->any_mixed |= seen[0] && seen[1];
  g->first = g->num_items;
}

/* ====== One snapshot against its parent ====== */

typedef struct pair {
  mle_plan before, after;
  size_t *old; /* of each file of `after`: its number in `before`, or NONE */
} pair;

static bool same_delete(const mle_delete_file *a, const mle_delete_file *b) {
  return strcmp(a->path, b->path) == 0 && a->is_vector == b->is_vector &&
         (!a->is_vector || a->offset == b->offset);
}

static bool has_delete(const mle_plan *plan, const mle_plan_file *file, const mle_delete_file *one) {
  for (size_t i = 0; i < file->num_deletes; i++)
    if (same_delete(&plan->deletes[file->deletes[i]], one)) return true;
  return false;
}

static bool same_deletes(const pair *p, const mle_plan_file *before, const mle_plan_file *after) {
  if (before->num_deletes != after->num_deletes) return false;
  for (size_t i = 0; i < after->num_deletes; i++)
    if (!has_delete(&p->before, before, &p->after.deletes[after->deletes[i]])) return false;
  return true;
}

static int compare_paths(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

typedef struct by_path {
  const char *path; /* first: compare_paths looks at it */
  size_t number;
} by_path;

static mle_status find_old(pair *p, mle_arena *arena, mle_error *err) {
  size_t count = p->before.num_files;
  by_path *sorted = mle_arena_array(arena, count, sizeof *sorted);
  p->old = mle_arena_array(arena, p->after.num_files, sizeof *p->old);
  if (sorted == NULL || p->old == NULL) return no_memory(err);
  for (size_t i = 0; i < count; i++) sorted[i] = (by_path){p->before.files[i].path, i};
  if (count > 1) qsort(sorted, count, sizeof *sorted, compare_paths);
  for (size_t i = 0; i < p->after.num_files; i++) {
    const char *const *path = &p->after.files[i].path;
    const by_path *found =
        count == 0 ? NULL : bsearch(path, sorted, count, sizeof *sorted, compare_paths);
    p->old[i] = found == NULL ? NONE : found->number;
  }
  return MLE_OK;
}

/* Keeps in both plans only the files in which they differ. */
static mle_status trim(pair *p, mle_arena *arena, mle_error *err) {
  size_t kept = 0, *moved = mle_arena_array(arena, p->before.num_files, sizeof *moved);
  bool *same = mle_arena_array(arena, p->before.num_files, sizeof *same);
  if (moved == NULL || same == NULL) return no_memory(err);
  MLE_TRY(find_old(p, arena, err));
  for (size_t i = 0; i < p->after.num_files; i++) {
    size_t old = p->old[i];
    if (old != NONE && same_deletes(p, &p->before.files[old], &p->after.files[i])) {
      same[old] = true;
      continue;
    }
    p->after.files[kept] = p->after.files[i];
    p->old[kept++] = old;
  }
  p->after.num_files = kept;
  kept = 0;
  for (size_t i = 0; i < p->before.num_files; i++) {
    if (same[i]) continue;
    moved[i] = kept;
    p->before.files[kept++] = p->before.files[i];
  }
  p->before.num_files = kept;
  for (size_t i = 0; i < p->after.num_files; i++)
    if (p->old[i] != NONE) p->old[i] = moved[p->old[i]];
  return MLE_OK;
}

static mle_bitmap *dead_of(mle_bitmap *const *dead, size_t i) { return dead == NULL ? NULL : dead[i]; }

static mle_status add_deleted(gathering *g, const pair *p, mle_bitmap *const *before,
                              mle_bitmap *const *after, mle_arena *arena, mle_error *err) {
  size_t *new = mle_arena_array(arena, p->before.num_files, sizeof *new);
  if (new == NULL) return no_memory(err);
  for (size_t i = 0; i < p->before.num_files; i++) new[i] = NONE;
  for (size_t i = 0; i < p->after.num_files; i++)
    if (p->old[i] != NONE) new[p->old[i]] = i;
  for (size_t i = 0; i < p->before.num_files; i++) {
    const mle_plan_file *file = &p->before.files[i];
    if (new[i] == NONE)
      MLE_TRY(add_item(g, file, false, mle_bitmap_ref(dead_of(before, i)), err));
    else
      MLE_TRY(add_difference(g, file, false, dead_of(after, new[i]), dead_of(before, i), err));
  }
  return MLE_OK;
}

/* A file that was there before gets rows back when a delete is taken away. */
static mle_status add_inserted(gathering *g, const pair *p, mle_bitmap *const *before,
                               mle_bitmap *const *after, mle_error *err) {
  for (size_t i = 0; i < p->after.num_files; i++) {
    const mle_plan_file *file = &p->after.files[i];
    if (p->old[i] == NONE)
      MLE_TRY(add_item(g, file, true, mle_bitmap_ref(dead_of(after, i)), err));
    else
      MLE_TRY(add_difference(g, file, true, dead_of(before, p->old[i]), dead_of(after, i), err));
  }
  return MLE_OK;
}

static mle_status add_pair(gathering *g, pair *p, mle_error *err) {
  mle_arena arena = MLE_ARENA;
  mle_bitmap **before = NULL, **after = NULL;
  mle_status status;
  MLE_GO(trim(p, &arena, err));
  MLE_GO(mle_deletes_read(g->session, g->metadata, &p->before, &before, err));
  MLE_GO(mle_deletes_read(g->session, g->metadata, &p->after, &after, err));
  MLE_GO(add_deleted(g, p, before, after, &arena, err));
  MLE_GO(add_inserted(g, p, before, after, err));
done:
  mle_deletes_free(before, p->before.num_files);
  mle_deletes_free(after, p->after.num_files);
  mle_arena_release(&arena);
  return status;
}

/* `parent` NULL: none, all of the snapshot was inserted. */
static mle_status compare(gathering *g, const mle_snapshot *parent, const mle_snapshot *snapshot,
                          const mle_condition *condition, mle_error *err) {
  pair p = {.before = {.arena = MLE_ARENA}, .after = {.arena = MLE_ARENA}};
  mle_status status;
  if (parent != NULL)
    MLE_GO(mle_plan_snapshot(g->metadata, parent, condition, &p.before, err));
  MLE_GO(mle_plan_snapshot(g->metadata, snapshot, condition, &p.after, err));
  MLE_GO(add_pair(g, &p, err));
done:
  mle_plan_release(&p.before);
  mle_plan_release(&p.after);
  return status;
}

/* ====== A range ====== */

/* Whether the snapshot only added files: its own entries then say everything. */
static mle_status only_added(const mle_metadata *m, const mle_snapshot *snapshot, bool *out,
                             mle_error *err) {
  mle_manifest_list list;
  mle_arena arena = MLE_ARENA;
  *out = snapshot->operation != NULL && strcmp(snapshot->operation, "append") == 0;
  if (!*out) return MLE_OK;
  mle_status status = mle_snapshot_manifests(m, snapshot, &arena, &list, err);
  for (size_t i = 0; status == MLE_OK && i < list.count; i++)
    if (list.files[i].content == MLE_MANIFEST_DELETES &&
        list.files[i].added_snapshot_id == snapshot->id)
      *out = false;
  mle_arena_release(&arena);
  return status;
}

static mle_status add_appended(gathering *g, const mle_snapshot *snapshot,
                               const mle_condition *condition, mle_error *err) {
  mle_plan plan;
  mle_status status = MLE_OK;
  MLE_TRY(mle_plan_added(g->metadata, &snapshot->id, 1, condition, &plan, err));
  for (size_t i = 0; i < plan.num_files && status == MLE_OK; i++)
    status = add_item(g, &plan.files[i], true, NULL, err);
  mle_plan_release(&plan);
  return status;
}

static mle_status add_snapshot(gathering *g, int64_t id, const mle_condition *condition,
                               mle_error *err) {
  const mle_metadata *m = g->metadata;
  const mle_snapshot *snapshot = mle_metadata_snapshot(m, id);
  bool append;
  if (mle_cancelled()) return mle_cancel_fail(err, "planning a change scan");
  if (snapshot == NULL)
    return mle_fail(err, MLE_ENOTFOUND, "snapshot %" PRId64 " is not in the table's metadata", id);
  MLE_TRY(only_added(m, snapshot, &append, err));
  if (append) return add_appended(g, snapshot, condition, err);
  const mle_snapshot *parent = mle_metadata_snapshot(m, snapshot->parent_id);
  if (parent == NULL && snapshot->parent_id != MLE_NO_SNAPSHOT)
    return mle_fail(err, MLE_EREFUSED, "what snapshot %" PRId64 " (%s) deleted cannot be told: "
                    "snapshot %" PRId64 " before it was expired; begin after it, from = %" PRId64,
                    id, snapshot->operation == NULL ? "no operation recorded" : snapshot->operation,
                    snapshot->parent_id, id);
  return compare(g, parent, snapshot, condition, err);
}

static mle_status gather(gathering *g, const mle_increment *range, const mle_condition *condition,
                         mle_error *err) {
  if (range->full) {
    const mle_snapshot *end = mle_metadata_snapshot(g->metadata, range->to);
    if (end != NULL) MLE_TRY(compare(g, NULL, end, condition, err));
    mark_items(g, range->to, 0);
    return MLE_OK;
  }
  for (size_t i = 0; i < range->count; i++) {
    MLE_TRY(add_snapshot(g, range->snapshots[i], condition, err));
    mark_items(g, range->snapshots[i], (int64_t)i);
  }
  return MLE_OK;
}

/* ====== As a frame ====== */

static mle_status check_names(const mle_schema *schema, mle_error *err) {
  static const char *const ours[] = {"_change_type", "_change_ordinal", "_commit_snapshot_id",
                                     "_change_inserted", "_change_mixed", PLACE};
  for (size_t i = 0; i < schema->num_fields; i++)
    for (size_t j = 0; j < sizeof ours / sizeof *ours; j++)
      if (strcasecmp(schema->fields[i].name, ours[j]) == 0)
        return mle_fail(err, MLE_EUNSUPPORTED,
                        "the table's column '%s' has a name that a change scan gives to its own",
                        schema->fields[i].name);
  return MLE_OK;
}

static mle_status put_columns(mle_buffer *sql, const mle_schema *schema, mle_error *err) {
  for (size_t i = 0; i < schema->num_fields; i++) {
    MLE_TRY(mle_sql_name(sql, schema->fields[i].name, err));
    MLE_TRY(mle_buffer_puts(sql, ", ", err));
  }
  return MLE_OK;
}

/* Of equal rows that one snapshot deleted and inserted, as many are left out as there are pairs. */
static mle_status put_changed(mle_buffer *sql, const mle_schema *schema, mle_error *err) {
  MLE_TRY(mle_buffer_puts(sql, "SELECT * EXCLUDE (gone, came, nth) FROM (SELECT *, "
                          "count(*) FILTER (_change_inserted = 0) OVER same AS gone, "
                          "count(*) FILTER (_change_inserted = 1) OVER same AS came, "
                          "row_number() OVER (PARTITION BY ", err));
  MLE_TRY(put_columns(sql, schema, err));
  MLE_TRY(mle_buffer_puts(sql, "_change_ordinal, _change_inserted ORDER BY " PLACE ") AS nth "
                          "FROM changes WHERE _change_mixed = 1 WINDOW same AS (PARTITION BY ", err));
  MLE_TRY(put_columns(sql, schema, err));
  return mle_buffer_puts(sql, "_change_ordinal)) WHERE nth > CASE _change_inserted WHEN 1 "
                         "THEN gone ELSE came END", err);
}

static mle_status put_query(mle_buffer *sql, const mle_schema *schema, bool mixed, mle_error *err) {
  MLE_TRY(mle_buffer_puts(sql, "SELECT ", err));
  MLE_TRY(put_columns(sql, schema, err));
  MLE_TRY(mle_buffer_puts(sql, "CASE _change_inserted WHEN 1 THEN 'INSERT' ELSE 'DELETE' END AS "
                          "_change_type, CAST(_change_ordinal AS INTEGER) AS _change_ordinal, "
                          "_commit_snapshot_id FROM ", err));
  if (!mixed) return mle_buffer_puts(sql, "changes", err);
  MLE_TRY(mle_buffer_puts(sql, "(SELECT * FROM changes WHERE _change_mixed = 0 UNION ALL ", err));
  MLE_TRY(put_changed(sql, schema, err));
  return mle_buffer_puts(sql, ") ORDER BY " PLACE, err);
}

/* All files as one relation, with the numbers beside their rows. */
static mle_status scan_items(gathering *g, const mle_schema *schema, mle_frame **out,
                             mle_error *err) {
  mle_json *mapping = NULL;
  const mle_field **fields = mle_arena_array(&g->arena, schema->num_fields, sizeof(mle_field *));
  if (fields == NULL) return no_memory(err);
  for (size_t i = 0; i < schema->num_fields; i++) fields[i] = &schema->fields[i];
  MLE_TRY(mle_metadata_name_mapping(g->metadata, &mapping, err));
  const mle_files_request request = {.metadata = g->metadata,
                                     .fields = fields,
                                     .num_fields = schema->num_fields,
                                     .files = g->items,
                                     .num_files = g->num_items,
                                     .extra = extra_names,
                                     .num_extra = NUM_EXTRA,
                                     .place = PLACE,
                                     .name_mapping = mapping};
  mle_status status = mle_files_frame(g->session, &request, out, err);
  mle_json_free(mapping);
  return status;
}

static mle_status make_frame(gathering *g, const mle_schema *schema,
                             const mle_changes_options *options, mle_frame **out, mle_error *err) {
  mle_buffer sql = MLE_BUFFER(SQL_MAX);
  mle_frame *all = NULL, *met = NULL;
  mle_status status;
  MLE_GO(scan_items(g, schema, &all, err));
  if (options->where != NULL) MLE_GO(mle_frame_where(all, options->where, &met, err));
  const mle_sql_table tables[] = {{"changes", met == NULL ? all : met}};
  MLE_GO(put_query(&sql, schema, g->any_mixed && !options->carried_over, err));
  MLE_GO(mle_frame_query(g->session, sql.data, NULL, 0, tables, 1, out, err));
done:
  mle_frame_free(met);
  mle_frame_free(all);
  mle_buffer_release(&sql);
  return status;
}

mle_status mle_changes_read(mle_session *session, const mle_metadata *metadata,
                            const mle_schema *schema, const mle_increment *range,
                            const mle_changes_options *options, mle_frame **out, mle_error *err) {
  gathering g = {.session = session, .metadata = metadata, .arena = MLE_ARENA};
  mle_status status;
  *out = NULL;
  MLE_GO(check_names(schema, err));
  MLE_GO(gather(&g, range, options->condition, err));
  MLE_GO(make_frame(&g, schema, options, out, err));
done:
  for (size_t i = 0; i < g.num_held; i++) mle_bitmap_free(g.held[i]);
  mle_arena_release(&g.arena);
  return status;
}
