#include "engine/iceberg/plan.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/store/store.h"
#include "engine/base/cancel.h"
#include "engine/base/hash.h"
#include "engine/iceberg/prune.h"
#include "engine/iceberg/value.h"
#include "engine/store/store.h"

/* ====== A set of paths ====== */

typedef struct path_set {
  const char **slots; /* open addressing, at most half full */
  size_t capacity, count;
} path_set;

static size_t find_slot(const path_set *set, const char *path) {
  size_t at = (size_t)mle_hash64(path, strlen(path), 0) & (set->capacity - 1);
  while (set->slots[at] != NULL && strcmp(set->slots[at], path) != 0)
    at = (at + 1) & (set->capacity - 1);
  return at;
}

static mle_status grow_set(path_set *set, mle_error *err) {
  path_set wider = {.capacity = set->capacity == 0 ? 64 : set->capacity * 2};
  wider.slots = mle_calloc(wider.capacity, sizeof *wider.slots);
  if (wider.slots == NULL) return mle_nomem(err, "planning a scan");
  for (size_t i = 0; i < set->capacity; i++)
    if (set->slots[i] != NULL) wider.slots[find_slot(&wider, set->slots[i])] = set->slots[i];
  wider.count = set->count;
  mle_free(set->slots);
  *set = wider;
  return MLE_OK;
}

static mle_status add_path(path_set *set, const char *path, bool *out_new, mle_error *err) {
  if (2 * (set->count + 1) > set->capacity) MLE_TRY(grow_set(set, err));
  size_t at = find_slot(set, path);
  *out_new = set->slots[at] == NULL;
  if (!*out_new) return MLE_OK;
  set->slots[at] = path;
  set->count++;
  return MLE_OK;
}

static bool has_path(const path_set *set, const char *path) {
  return set->capacity > 0 && set->slots[find_slot(set, path)] != NULL;
}

/* ====== Files ====== */

static mle_status check_format(const mle_data_file *file, const char *what, mle_error *err) {
  if (file->format != NULL && strcasecmp(file->format, "parquet") == 0) return MLE_OK;
  return mle_fail(err, MLE_EUNSUPPORTED, "the %s file '%s' is %.20s; this version reads Parquet",
                  what, file->path, file->format == NULL ? "of no format" : file->format);
}

static mle_status check_file(const mle_data_file *file, mle_error *err) {
  if (file->content != MLE_FILE_DATA)
    return mle_fail(err, MLE_EFORMAT, "the delete file '%s' stands in a data manifest", file->path);
  return check_format(file, "data", err);
}

static mle_status add_file(mle_plan *plan, const mle_manifest_entry *entry, int32_t spec_id,
                           const mle_metadata *m, mle_error *err) {
  const mle_data_file *file = &entry->file;
  MLE_TRY(check_file(file, err));
  mle_plan_file *files = mle_arena_grow(&plan->arena, plan->files, plan->num_files, sizeof *files);
  if (files == NULL) return mle_nomem(err, "planning a scan");
  plan->files = files;
  mle_plan_file *added = &files[plan->num_files];
  *added = (mle_plan_file){.record_count = file->record_count,
                           .file_size = file->file_size,
                           .snapshot_id = entry->snapshot_id,
                           .sequence_number = entry->sequence_number,
                           .spec_id = spec_id};
  MLE_TRY(mle_arena_copy(&plan->arena, file->path, &added->path, err));
  MLE_TRY(mle_metadata_uri(m, added->path, &plan->arena, &added->uri, err));
  MLE_TRY(mle_tuple_copy(&file->partition, &plan->arena, &added->partition, err));
  if (__builtin_add_overflow(plan->rows, file->record_count, &plan->rows) ||
      __builtin_add_overflow(plan->bytes, file->file_size, &plan->bytes))
    return mle_fail(err, MLE_EFORMAT, "the row counts of the data files overflow");
  plan->num_files++;
  return MLE_OK;
}

/* Whether an entry belongs to the plan. */
typedef struct selection {
  const int64_t *snapshots; /* NULL: all live entries */
  size_t count;
} selection;

static bool has_snapshot(const selection *wanted, int64_t id) {
  for (size_t i = 0; i < wanted->count; i++)
    if (wanted->snapshots[i] == id) return true;
  return false;
}

static bool is_selected(const selection *wanted, const mle_manifest_entry *entry) {
  if (wanted->snapshots == NULL) return entry->status != MLE_ENTRY_DELETED;
  return entry->status == MLE_ENTRY_ADDED && has_snapshot(wanted, entry->snapshot_id);
}

/* ====== What a condition leaves out ====== */

static mle_status note_skipped(mle_plan *plan, mle_skipped_by by, const char *path,
                               const mle_condition *why, mle_error *err) {
  mle_plan_skipped *skipped =
      mle_arena_grow(&plan->arena, plan->skipped, plan->num_skipped, sizeof *skipped);
  if (skipped == NULL) return mle_nomem(err, "planning a scan");
  plan->skipped = skipped;
  skipped[plan->num_skipped] = (mle_plan_skipped){by, NULL, why};
  return mle_arena_copy(&plan->arena, path, &skipped[plan->num_skipped++].path, err);
}

static mle_status skip_manifest(mle_plan *plan, const mle_metadata *m,
                                const mle_manifest_file *manifest, bool *out, mle_error *err) {
  const mle_partition_spec *spec = mle_metadata_spec(m, manifest->spec_id);
  const mle_condition *why = mle_prune_manifest(plan->condition, spec, manifest);
  *out = why != NULL;
  return *out ? note_skipped(plan, MLE_SKIPPED_MANIFEST, manifest->path, why, err) : MLE_OK;
}

static mle_status skip_file(mle_plan *plan, const mle_metadata *m, const mle_data_file *file,
                            int32_t spec_id, bool *out, mle_error *err) {
  mle_skipped_by by = MLE_SKIPPED_PARTITION;
  const mle_partition_spec *spec = mle_metadata_spec(m, spec_id);
  const mle_condition *why = mle_prune_partition(plan->condition, spec, &file->partition);
  if (why == NULL) {
    by = MLE_SKIPPED_BOUNDS;
    why = mle_prune_file(plan->condition, file);
  }
  *out = why != NULL;
  return *out ? note_skipped(plan, by, file->path, why, err) : MLE_OK;
}

/* Adds what is selected in a manifest; a path in `seen` (unless NULL) only the first time. */
static mle_status add_manifest(mle_plan *plan, const mle_metadata *m,
                               const mle_manifest_file *manifest,
                               const selection *wanted, path_set *seen, mle_error *err) {
  mle_manifest_reader *reader;
  mle_manifest_entry entry;
  mle_status status;
  bool found, is_new, skipped;
  if (mle_cancelled()) return mle_cancel_fail(err, "planning a scan");
  MLE_TRY(skip_manifest(plan, m, manifest, &skipped, err));
  if (skipped) return MLE_OK;
  mle_manifest_columns columns = plan->condition == NULL ? MLE_MANIFEST_PLAN : MLE_MANIFEST_ALL;
  MLE_TRY(mle_manifest_open(manifest, columns, &reader, err));
  for (;;) {
    MLE_GO(mle_manifest_next(reader, &entry, &found, err));
    if (!found) break;
    if (!is_selected(wanted, &entry) || (seen != NULL && has_path(seen, entry.file.path))) continue;
    MLE_GO(skip_file(plan, m, &entry.file, mle_manifest_spec(reader), &skipped, err));
    if (skipped) continue;
    MLE_GO(add_file(plan, &entry, mle_manifest_spec(reader), m, err));
    if (seen != NULL) MLE_GO(add_path(seen, plan->files[plan->num_files - 1].path, &is_new, err));
  }
done:
  mle_manifest_close(reader);
  return status;
}

/* ====== Delete files ====== */

enum { PATH_FIELD = 2147483546 }; /* spec, "Reserved Field IDs" */

static mle_status copy_bytes(mle_plan *plan, mle_bytes from, mle_bytes *out, mle_error *err) {
  *out = from;
  if (from.data == NULL) return MLE_OK;
  out->data = mle_arena_text(&plan->arena, from.data, from.len);
  return out->data == NULL ? mle_nomem(err, "planning a scan") : MLE_OK;
}

static mle_bytes find_bound(const mle_list *bounds, int id) {
  const mle_key_bytes *items = bounds->items;
  for (size_t i = 0; i < bounds->count; i++)
    if (items[i].key == id) return items[i].value;
  return (mle_bytes){NULL, 0};
}

/* Which data files a position delete is about. Bounds that are equal name one, unless they were cut. */
static mle_status copy_about(mle_plan *plan, const mle_data_file *file, mle_delete_file *to,
                             mle_error *err) {
  MLE_TRY(mle_arena_copy(&plan->arena, file->referenced_data_file, &to->referenced, err));
  MLE_TRY(copy_bytes(plan, find_bound(&file->lower_bounds, PATH_FIELD), &to->first, err));
  MLE_TRY(copy_bytes(plan, find_bound(&file->upper_bounds, PATH_FIELD), &to->last, err));
  bool one = to->first.data != NULL && to->last.data != NULL && to->first.len == to->last.len &&
             to->first.len > 4 * MLE_BOUND_LENGTH &&
             memcmp(to->first.data, to->last.data, to->first.len) == 0;
  if (one && to->referenced == NULL) to->referenced = to->first.data;
  return MLE_OK;
}

static mle_status check_delete(const mle_data_file *file, bool is_vector, mle_error *err) {
  if (file->content == MLE_FILE_DATA)
    return mle_fail(err, MLE_EFORMAT, "the data file '%s' stands in a delete manifest", file->path);
  if (file->content == MLE_FILE_EQUALITY_DELETES && file->equality_ids.count == 0)
    return mle_fail(err, MLE_EFORMAT, "the equality delete file '%s' names no columns", file->path);
  if (!is_vector) return check_format(file, "delete", err);
  if (file->referenced_data_file != NULL && file->content_offset != MLE_NULL_LONG &&
      file->content_size != MLE_NULL_LONG)
    return MLE_OK;
  return mle_fail(err, MLE_EFORMAT, "the deletion vector in '%s' names no data file, offset or size",
                  file->path);
}

static mle_status add_delete(mle_plan *plan, const mle_manifest_entry *entry, int32_t spec_id,
                             const mle_metadata *m, mle_error *err) {
  const mle_data_file *file = &entry->file;
  bool is_vector = file->content == MLE_FILE_POSITION_DELETES && file->format != NULL &&
                   strcasecmp(file->format, "puffin") == 0;
  MLE_TRY(check_delete(file, is_vector, err));
  mle_delete_file *items =
      mle_arena_grow(&plan->arena, plan->deletes, plan->num_deletes, sizeof *items);
  if (items == NULL) return mle_nomem(err, "planning a scan");
  plan->deletes = items;
  mle_delete_file *to = &items[plan->num_deletes];
  *to = (mle_delete_file){.content = file->content,
                          .is_vector = is_vector,
                          .record_count = file->record_count,
                          .file_size = file->file_size,
                          .sequence_number = entry->sequence_number,
                          .snapshot_id = entry->snapshot_id,
                          .offset = file->content_offset,
                          .size = file->content_size,
                          .spec_id = spec_id};
  MLE_TRY(mle_arena_copy(&plan->arena, file->path, &to->path, err));
  MLE_TRY(mle_metadata_uri(m, to->path, &plan->arena, &to->uri, err));
  MLE_TRY(mle_tuple_copy(&file->partition, &plan->arena, &to->partition, err));
  int32_t *ids = mle_arena_array(&plan->arena, file->equality_ids.count, sizeof *ids);
  if (ids == NULL) return mle_nomem(err, "planning a scan");
  if (file->equality_ids.count > 0)
    memcpy(ids, file->equality_ids.items, file->equality_ids.count * sizeof *ids);
  to->equality_ids = (mle_list){ids, file->equality_ids.count};
  if (file->content == MLE_FILE_POSITION_DELETES) MLE_TRY(copy_about(plan, file, to, err));
  plan->num_deletes++;
  return MLE_OK;
}

static mle_status add_deletes(mle_plan *plan, const mle_metadata *m,
                              const mle_manifest_file *manifest, mle_error *err) {
  mle_manifest_reader *reader;
  mle_manifest_entry entry;
  bool found = true;
  mle_status status;
  MLE_TRY(mle_manifest_open(manifest, MLE_MANIFEST_ALL, &reader, err));
  while ((status = mle_manifest_next(reader, &entry, &found, err)) == MLE_OK && found) {
    if (entry.status == MLE_ENTRY_DELETED) continue;
    MLE_GO(add_delete(plan, &entry, mle_manifest_spec(reader), m, err));
  }
done:
  mle_manifest_close(reader);
  return status;
}

/* ====== A whole snapshot ====== */

static bool may_have_live(const mle_manifest_file *manifest) {
  return manifest->added_files != 0 || manifest->existing_files != 0; /* unknown counts as some */
}

/* Manifests that will be needed are read many at once where each takes a request. */
static mle_status fetch_manifests(const mle_manifest_list *list, mle_arena *arena, mle_error *err) {
  const char **uris = mle_arena_array(arena, list->count, sizeof *uris);
  size_t count = 0;
  if (uris == NULL) return mle_nomem(err, "planning a scan");
  for (size_t i = 0; i < list->count; i++)
    if (may_have_live(&list->files[i])) uris[count++] = list->files[i].path;
  return mle_store_fetch(uris, count, err);
}

static mle_status plan_list(mle_plan *plan, const mle_metadata *m, const mle_snapshot *snapshot,
                            mle_error *err) {
  mle_manifest_list list;
  const selection all = {NULL, 0};
  MLE_TRY(mle_snapshot_manifests(m, snapshot, &plan->arena, &list, err));
  MLE_TRY(fetch_manifests(&list, &plan->arena, err));
  for (size_t i = 0; i < list.count; i++) {
    const mle_manifest_file *manifest = &list.files[i];
    if (!may_have_live(manifest)) continue;
    if (manifest->content == MLE_MANIFEST_DELETES)
      MLE_TRY(add_deletes(plan, m, manifest, err));
    else
      MLE_TRY(add_manifest(plan, m, manifest, &all, NULL, err));
  }
  return MLE_OK;
}

static mle_status assign_deletes(const mle_metadata *m, mle_plan *plan, mle_error *err) {
  mle_delete_index index;
  if (plan->num_deletes == 0) return MLE_OK;
  MLE_TRY(mle_delete_index_build(m, plan->deletes, plan->num_deletes, &plan->arena, &index, err));
  for (size_t i = 0; i < plan->num_files; i++) {
    mle_plan_file *file = &plan->files[i];
    const mle_delete_target target = {file->path, file->sequence_number, file->spec_id,
                                      file->partition};
    size_t *numbers;
    MLE_TRY(mle_delete_index_find(&index, &target, &plan->arena, &numbers, &file->num_deletes,
                                  err));
    file->deletes = numbers;
  }
  return MLE_OK;
}

mle_status mle_plan_snapshot(const mle_metadata *metadata, const mle_snapshot *snapshot,
                             const mle_condition *condition, mle_plan *out, mle_error *err) {
  *out = (mle_plan){.arena = MLE_ARENA, .condition = condition};
  mle_status status = plan_list(out, metadata, snapshot, err);
  if (status == MLE_OK) status = assign_deletes(metadata, out, err);
  if (status != MLE_OK) mle_plan_release(out);
  return status;
}

/* ====== What snapshots added ====== */

static bool may_have_added(const mle_manifest_file *manifest, const selection *wanted) {
  if (manifest->content != MLE_MANIFEST_DATA || manifest->added_files == 0) return false;
  return manifest->added_snapshot_id == MLE_NULL_LONG || has_snapshot(wanted, manifest->added_snapshot_id);
}

static mle_status plan_added(mle_plan *plan, const mle_metadata *m, const mle_snapshot *snapshot,
                             const selection *wanted, path_set *seen, mle_error *err) {
  mle_manifest_list list;
  MLE_TRY(mle_snapshot_manifests(m, snapshot, &plan->arena, &list, err));
  for (size_t i = 0; i < list.count; i++) {
    const mle_manifest_file *manifest = &list.files[i];
    if (!may_have_added(manifest, wanted)) continue;
    MLE_TRY(add_manifest(plan, m, manifest, wanted, seen, err));
  }
  return MLE_OK;
}

/* The lists of a table on another machine, then what they name, each many at once. What is wrong
 * with one of them is said when it is needed. */
static mle_status fetch_added(const mle_metadata *m, const int64_t *ids, size_t count, mle_error *err) {
  if (count < 2 || m->num_rewrites > 0 || !mle_store_is_remote(m->location)) return MLE_OK;
  mle_arena arena = MLE_ARENA;
  const char **uris = mle_arena_array(&arena, count, sizeof *uris), **files = NULL;
  size_t num_uris = 0, num_files = 0;
  mle_status status = uris == NULL ? mle_nomem(err, "planning a scan") : MLE_OK;
  for (size_t i = 0; i < count && status == MLE_OK; i++) {
    const mle_snapshot *snapshot = mle_metadata_snapshot(m, ids[i]);
    if (snapshot != NULL && snapshot->manifest_list != NULL) uris[num_uris++] = snapshot->manifest_list;
  }
  MLE_GO(status);
  MLE_GO(mle_store_fetch(uris, num_uris, err));
  for (size_t i = 0; i < count; i++) {
    const mle_snapshot *snapshot = mle_metadata_snapshot(m, ids[i]);
    const selection wanted = {&ids[i], 1};
    mle_manifest_list list;
    if (snapshot == NULL || mle_snapshot_manifests(m, snapshot, &arena, &list, NULL) != MLE_OK) continue;
    for (size_t j = 0; j < list.count; j++) {
      if (!may_have_added(&list.files[j], &wanted)) continue;
      files = mle_arena_grow(&arena, files, num_files, sizeof *files);
      if (files == NULL) MLE_GO(mle_nomem(err, "planning a scan"));
      files[num_files++] = list.files[j].path;
    }
  }
  status = mle_store_fetch(files, num_files, err);
done:
  mle_arena_release(&arena);
  return status;
}

mle_status mle_plan_added(const mle_metadata *metadata, const int64_t *snapshots, size_t count,
                          const mle_condition *condition, mle_plan *out, mle_error *err) {
  path_set seen = {NULL, 0, 0};
  *out = (mle_plan){.arena = MLE_ARENA, .condition = condition};
  mle_status status = fetch_added(metadata, snapshots, count, err);
  for (size_t i = 0; i < count && status == MLE_OK; i++) {
    const mle_snapshot *snapshot = mle_metadata_snapshot(metadata, snapshots[i]);
    const selection wanted = {&snapshots[i], 1}; /* one at a time: oldest files first */
    if (snapshot == NULL)
      status = mle_fail(err, MLE_ENOTFOUND, "snapshot %" PRId64 " is not in the table's metadata",
                        snapshots[i]);
    else
      status = plan_added(out, metadata, snapshot, &wanted, &seen, err);
  }
  mle_free(seen.slots);
  if (status != MLE_OK) mle_plan_release(out);
  return status;
}

void mle_plan_release(mle_plan *plan) {
  mle_arena_release(&plan->arena);
  *plan = (mle_plan){.arena = MLE_ARENA};
}
