#include "engine/iceberg/plan.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/hash.h"

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

static mle_status check_file(const mle_data_file *file, mle_error *err) {
  if (file->content != MLE_FILE_DATA)
    return mle_fail(err, MLE_EFORMAT, "the delete file '%s' stands in a data manifest", file->path);
  if (file->format != NULL && strcasecmp(file->format, "parquet") == 0) return MLE_OK;
  return mle_fail(err, MLE_EUNSUPPORTED, "the data file '%s' is %.20s; this version reads Parquet",
                  file->path, file->format == NULL ? "of no format" : file->format);
}

static mle_status add_file(mle_plan *plan, const mle_manifest_entry *entry, mle_error *err) {
  const mle_data_file *file = &entry->file;
  MLE_TRY(check_file(file, err));
  mle_plan_file *files = mle_arena_grow(&plan->arena, plan->files, plan->num_files, sizeof *files);
  if (files == NULL) return mle_nomem(err, "planning a scan");
  plan->files = files;
  mle_plan_file *added = &files[plan->num_files];
  MLE_TRY(mle_arena_copy(&plan->arena, file->path, &added->path, err));
  added->record_count = file->record_count;
  added->file_size = file->file_size;
  added->snapshot_id = entry->snapshot_id;
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

/* Adds what is selected in a manifest; a path in `seen` (unless NULL) only the first time. */
static mle_status add_manifest(mle_plan *plan, const mle_manifest_file *manifest,
                               const selection *wanted, path_set *seen, mle_error *err) {
  mle_manifest_reader *reader;
  mle_manifest_entry entry;
  mle_status status;
  bool found, is_new;
  if (mle_cancelled()) return mle_cancel_fail(err, "planning a scan");
  MLE_TRY(mle_manifest_open(manifest, MLE_MANIFEST_PLAN, &reader, err));
  for (;;) {
    MLE_GO(mle_manifest_next(reader, &entry, &found, err));
    if (!found) break;
    if (!is_selected(wanted, &entry) || (seen != NULL && has_path(seen, entry.file.path))) continue;
    MLE_GO(add_file(plan, &entry, err));
    if (seen != NULL) MLE_GO(add_path(seen, plan->files[plan->num_files - 1].path, &is_new, err));
  }
done:
  mle_manifest_close(reader);
  return status;
}

/* ====== A whole snapshot ====== */

static bool may_have_live(const mle_manifest_file *manifest) {
  return manifest->added_files != 0 || manifest->existing_files != 0; /* unknown counts as some */
}

/* Fails when the manifest names a delete file in force. */
static mle_status refuse_deletes(const mle_manifest_file *manifest, const mle_snapshot *snapshot,
                                 mle_error *err) {
  mle_manifest_reader *reader;
  mle_manifest_entry entry;
  bool found = true;
  mle_status status;
  MLE_TRY(mle_manifest_open(manifest, MLE_MANIFEST_PLAN, &reader, err));
  while ((status = mle_manifest_next(reader, &entry, &found, err)) == MLE_OK && found)
    if (entry.status != MLE_ENTRY_DELETED) break;
  if (status == MLE_OK && found)
    status = mle_fail(err, MLE_EUNSUPPORTED,
                      "snapshot %" PRId64
                      " has row-level deletes (%s), which this version does not "
                      "apply; compact the table first, or read an increment, which needs none",
                      snapshot->id, entry.file.path);
  mle_manifest_close(reader);
  return status;
}

static mle_status plan_list(mle_plan *plan, const mle_snapshot *snapshot, mle_error *err) {
  mle_manifest_list list;
  const selection all = {NULL, 0};
  MLE_TRY(mle_snapshot_manifests(snapshot, &plan->arena, &list, err));
  for (size_t i = 0; i < list.count; i++) {
    const mle_manifest_file *manifest = &list.files[i];
    if (!may_have_live(manifest)) continue;
    if (manifest->content == MLE_MANIFEST_DELETES)
      MLE_TRY(refuse_deletes(manifest, snapshot, err));
    else
      MLE_TRY(add_manifest(plan, manifest, &all, NULL, err));
  }
  return MLE_OK;
}

mle_status mle_plan_snapshot(const mle_metadata *metadata, const mle_snapshot *snapshot,
                             mle_plan *out, mle_error *err) {
  (void)metadata; /* partition specs and schemas, once plans filter by them */
  *out = (mle_plan){.arena = MLE_ARENA};
  mle_status status = plan_list(out, snapshot, err);
  if (status != MLE_OK) mle_plan_release(out);
  return status;
}

/* ====== What snapshots added ====== */

static mle_status plan_added(mle_plan *plan, const mle_snapshot *snapshot, const selection *wanted,
                             path_set *seen, mle_error *err) {
  mle_manifest_list list;
  MLE_TRY(mle_snapshot_manifests(snapshot, &plan->arena, &list, err));
  for (size_t i = 0; i < list.count; i++) {
    const mle_manifest_file *manifest = &list.files[i];
    if (manifest->content != MLE_MANIFEST_DATA || manifest->added_files == 0) continue;
    bool unknown = manifest->added_snapshot_id == MLE_NULL_LONG;
    if (!unknown && !has_snapshot(wanted, manifest->added_snapshot_id)) continue;
    MLE_TRY(add_manifest(plan, manifest, wanted, seen, err));
  }
  return MLE_OK;
}

mle_status mle_plan_added(const mle_metadata *metadata, const int64_t *snapshots, size_t count,
                          mle_plan *out, mle_error *err) {
  path_set seen = {NULL, 0, 0};
  mle_status status = MLE_OK;
  *out = (mle_plan){.arena = MLE_ARENA};
  for (size_t i = 0; i < count && status == MLE_OK; i++) {
    const mle_snapshot *snapshot = mle_metadata_snapshot(metadata, snapshots[i]);
    const selection wanted = {&snapshots[i], 1}; /* one at a time: oldest files first */
    if (snapshot == NULL)
      status = mle_fail(err, MLE_ENOTFOUND, "snapshot %" PRId64 " is not in the table's metadata",
                        snapshots[i]);
    else
      status = plan_added(out, snapshot, &wanted, &seen, err);
  }
  mle_free(seen.slots);
  if (status != MLE_OK) mle_plan_release(out);
  return status;
}

void mle_plan_release(mle_plan *plan) {
  mle_arena_release(&plan->arena);
  *plan = (mle_plan){.arena = MLE_ARENA};
}
