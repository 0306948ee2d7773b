/*
 * plan.c -- from snapshots to files, in three steps:
 *
 *   lists      each snapshot's manifest list: which manifests may have what is wanted
 *   manifests  their entries, into one part for every few manifests or piece of a large one
 *   merge      the parts in their order, so that threads make no difference
 */
#include "engine/iceberg/plan.h"

#include <inttypes.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/cancel.h"
#include "engine/base/hash.h"
#include "engine/base/parallel.h"
#include "engine/iceberg/plan_part.h"
#include "engine/iceberg/prune.h"
#include "engine/store/store.h"

#define THREADS_MAX 16 /* where each waits for its own request; else as many as processors, at most */
#define THREADS_LOCAL 8
#define PART_BYTES ((int64_t)128 << 10) /* of manifests, that one thread takes at once */
#define PART_MANIFESTS 32 /* and 1 where each takes a request */
#define PIECES_MAX 64 /* of one manifest */

static mle_status no_memory(mle_error *err) { return mle_nomem(err, "planning a scan"); }

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
  if (wider.slots == NULL) return no_memory(err);
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

/* ====== The whole ====== */

/* One snapshot's manifest list, and what it has of interest. */
typedef struct listed {
  const mle_snapshot *snapshot;
  int64_t snapshot_id; /* of the entries that are wanted; MLE_NO_SNAPSHOT: all that are live */
  mle_manifest_file *manifests;
  size_t num_manifests;
  mle_plan_skipped *skipped;
  size_t num_skipped;
} listed;

typedef struct planning {
  mle_plan *plan;
  mle_plan_request request;
  listed *lists;
  size_t num_lists;
  mle_avro_reader *list_readers[THREADS_MAX];
  mle_plan_worker workers[THREADS_MAX];
  unsigned threads;
  size_t part_manifests;
  mle_plan_source *sources;
  size_t num_sources;
  size_t *starts; /* of each part among the sources, and where the last one ends */
  mle_plan_part *parts;
  size_t num_parts;
} planning;

/* ====== Lists ====== */

typedef struct list_visit {
  planning *p;
  listed *list;
  mle_arena *arena;
} list_visit;

/* Counts that are not known count as some. */
static bool is_wanted(const listed *list, const mle_manifest_file *manifest) {
  if (list->snapshot_id == MLE_NO_SNAPSHOT)
    return manifest->added_files != 0 || manifest->existing_files != 0;
  bool unknown = manifest->added_snapshot_id == MLE_NULL_LONG;
  return manifest->content == MLE_MANIFEST_DATA && manifest->added_files != 0 &&
         (unknown || manifest->added_snapshot_id == list->snapshot_id);
}

static mle_status note_skipped(const list_visit *v, const char *path, const mle_condition *why,
                               mle_error *err) {
  listed *l = v->list;
  mle_plan_skipped *skipped = mle_arena_grow(v->arena, l->skipped, l->num_skipped, sizeof *skipped);
  if (skipped == NULL) return no_memory(err);
  l->skipped = skipped;
  skipped[l->num_skipped] = (mle_plan_skipped){MLE_SKIPPED_MANIFEST, NULL, why};
  return mle_arena_copy(v->arena, path, &skipped[l->num_skipped++].path, err);
}

static mle_status visit_manifest(void *context, const mle_manifest_file *manifest, mle_error *err) {
  const list_visit *v = context;
  const mle_metadata *m = v->p->request.metadata;
  const mle_condition *why = NULL;
  listed *l = v->list;
  if (!is_wanted(l, manifest)) return MLE_OK;
  if (manifest->content == MLE_MANIFEST_DATA)
    why = mle_prune_manifest(v->p->request.condition, mle_metadata_spec(m, manifest->spec_id),
                             manifest);
  if (why != NULL) return note_skipped(v, manifest->path, why, err);
  mle_manifest_file *manifests =
      mle_arena_grow(v->arena, l->manifests, l->num_manifests, sizeof *manifests);
  if (manifests == NULL) return no_memory(err);
  l->manifests = manifests;
  mle_manifest_file *kept = &manifests[l->num_manifests];
  *kept = *manifest;
  kept->partitions = (mle_list){NULL, 0}; /* have done their service */
  MLE_TRY(mle_manifest_keep(v->arena, kept, err));
  l->num_manifests++;
  return mle_metadata_uri(m, kept->path, v->arena, &kept->path, err);
}

/* Version 1 may have the paths themselves. */
static mle_status visit_paths(list_visit *v, mle_error *err) {
  const mle_snapshot *snapshot = v->list->snapshot;
  for (size_t i = 0; i < snapshot->num_manifests; i++) {
    mle_manifest_file manifest = mle_manifest_file_none;
    manifest.path = snapshot->manifests[i];
    MLE_TRY(visit_manifest(v, &manifest, err));
  }
  return MLE_OK;
}

static mle_status read_list(void *context, unsigned worker, size_t i, mle_error *err) {
  planning *p = context;
  list_visit v = {p, &p->lists[i], &p->workers[worker].arena};
  const char *uri = v.list->snapshot->manifest_list;
  if (mle_cancelled()) return mle_cancel_fail(err, "planning a scan");
  if (uri == NULL) return visit_paths(&v, err);
  MLE_TRY(mle_metadata_uri(p->request.metadata, uri, v.arena, &uri, err));
  return mle_manifest_list_visit(uri, &p->list_readers[worker], visit_manifest, &v, err);
}

/* ====== Manifests ====== */

static size_t count_pieces(const planning *p, const mle_manifest_file *manifest) {
  if (p->threads < 2 || manifest->length < 2 * PART_BYTES) return 1;
  int64_t pieces = manifest->length / PART_BYTES;
  return pieces > PIECES_MAX ? PIECES_MAX : (size_t)pieces;
}

static mle_status add_pieces(planning *p, const mle_manifest_file *manifest, int64_t snapshot_id,
                             size_t pieces, mle_error *err) {
  struct mle_plan_shared *shared = NULL;
  if (pieces > 1) MLE_TRY(mle_plan_shared_new(manifest->path, (unsigned)pieces, &shared, err));
  size_t step = (size_t)manifest->length / pieces;
  for (size_t i = 0; i < pieces; i++)
    p->sources[p->num_sources++] =
        (mle_plan_source){.manifest = manifest,
                          .snapshot_id = snapshot_id,
                          .shared = shared,
                          .from = i * step,
                          .to = i + 1 == pieces ? SIZE_MAX : (i + 1) * step};
  return MLE_OK;
}

static mle_status add_sources(planning *p, mle_error *err) {
  size_t count = 0;
  for (size_t i = 0; i < p->num_lists; i++)
    for (size_t j = 0; j < p->lists[i].num_manifests; j++)
      count += count_pieces(p, &p->lists[i].manifests[j]);
  p->sources = mle_calloc(count, sizeof *p->sources);
  p->starts = mle_calloc(count + 1, sizeof *p->starts);
  if (p->sources == NULL || p->starts == NULL) return no_memory(err);
  for (size_t i = 0; i < p->num_lists; i++)
    for (size_t j = 0; j < p->lists[i].num_manifests; j++) {
      const mle_manifest_file *manifest = &p->lists[i].manifests[j];
      MLE_TRY(add_pieces(p, manifest, p->lists[i].snapshot_id, count_pieces(p, manifest), err));
    }
  return MLE_OK;
}

/* A piece is a part of its own; of small manifests one takes several. */
static mle_status divide(planning *p, mle_error *err) {
  int64_t bytes = PART_BYTES;
  size_t manifests = 0;
  for (size_t i = 0; i < p->num_sources; i++) {
    const mle_plan_source *source = &p->sources[i];
    if (source->shared != NULL || bytes >= PART_BYTES || manifests >= p->part_manifests) {
      p->starts[p->num_parts++] = i;
      bytes = 0;
      manifests = 0;
    }
    bytes = source->shared != NULL || source->manifest->length > PART_BYTES
                ? PART_BYTES
                : bytes + source->manifest->length;
    manifests++;
  }
  p->starts[p->num_parts] = p->num_sources;
  p->parts = mle_calloc(p->num_parts, sizeof *p->parts);
  return p->parts == NULL ? no_memory(err) : MLE_OK;
}

static mle_status read_part(void *context, unsigned worker, size_t i, mle_error *err) {
  planning *p = context;
  for (size_t j = p->starts[i]; j < p->starts[i + 1]; j++)
    MLE_TRY(mle_plan_part_read(&p->request, &p->sources[j], &p->workers[worker], &p->parts[i], err));
  return MLE_OK;
}

/* ====== Merging ====== */

static mle_status make_room(planning *p, mle_error *err) {
  size_t files = 0, deletes = 0, skipped = 0;
  mle_plan *plan = p->plan;
  for (size_t i = 0; i < p->num_lists; i++) skipped += p->lists[i].num_skipped;
  for (size_t i = 0; i < p->num_parts; i++) {
    files += p->parts[i].num_files;
    deletes += p->parts[i].num_deletes;
    skipped += p->parts[i].num_skipped;
  }
  plan->files = mle_arena_array(&plan->arena, files, sizeof *plan->files);
  plan->deletes = mle_arena_array(&plan->arena, deletes, sizeof *plan->deletes);
  plan->skipped = mle_arena_array(&plan->arena, skipped, sizeof *plan->skipped);
  bool enough = plan->files != NULL && plan->deletes != NULL && plan->skipped != NULL;
  return enough ? MLE_OK : no_memory(err);
}

static mle_status take_file(mle_plan *plan, const mle_plan_file *file, path_set *seen,
                            mle_error *err) {
  bool is_new = true;
  if (seen != NULL) MLE_TRY(add_path(seen, file->path, &is_new, err));
  if (!is_new) return MLE_OK;
  plan->files[plan->num_files++] = *file;
  if (__builtin_add_overflow(plan->rows, file->record_count, &plan->rows) ||
      __builtin_add_overflow(plan->bytes, file->file_size, &plan->bytes))
    return mle_fail(err, MLE_EFORMAT, "the row counts of the data files overflow");
  return MLE_OK;
}

static void take_skipped(mle_plan *plan, const mle_plan_skipped *skipped, size_t count) {
  if (count > 0) memcpy(plan->skipped + plan->num_skipped, skipped, count * sizeof *skipped);
  plan->num_skipped += count;
}

/* A path that is in `seen` (unless NULL) counts only the first time. */
static mle_status merge(planning *p, path_set *seen, mle_error *err) {
  mle_plan *plan = p->plan;
  MLE_TRY(make_room(p, err));
  for (size_t i = 0; i < p->num_lists; i++)
    take_skipped(plan, p->lists[i].skipped, p->lists[i].num_skipped);
  for (size_t i = 0; i < p->num_parts; i++) {
    mle_plan_part *part = &p->parts[i];
    for (size_t j = 0; j < part->num_files; j++)
      MLE_TRY(take_file(plan, &part->files[j], seen, err));
    if (part->num_deletes > 0)
      memcpy(plan->deletes + plan->num_deletes, part->deletes,
             part->num_deletes * sizeof *part->deletes);
    plan->num_deletes += part->num_deletes;
    take_skipped(plan, part->skipped, part->num_skipped);
    mle_plan_part_release(part);
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

/* ====== All steps ====== */

/* The columns of a condition's tests, each once. */
static mle_status find_columns(const mle_condition *c, mle_arena *arena, int32_t **ids,
                               size_t *count, mle_error *err) {
  if (c == NULL || c->kind == MLE_CONDITION_ANY) return MLE_OK;
  if (c->kind == MLE_CONDITION_AND || c->kind == MLE_CONDITION_OR) {
    MLE_TRY(find_columns(c->left, arena, ids, count, err));
    return find_columns(c->right, arena, ids, count, err);
  }
  for (size_t i = 0; i < *count; i++)
    if ((*ids)[i] == c->field->id) return MLE_OK;
  int32_t *more = mle_arena_grow(arena, *ids, *count, sizeof *more);
  if (more == NULL) return no_memory(err);
  *ids = more;
  more[(*count)++] = c->field->id;
  return MLE_OK;
}

static mle_status run(planning *p, path_set *seen, mle_error *err) {
  static const int32_t none[] = {-1};
  int32_t *columns = NULL;
  MLE_TRY(find_columns(p->request.condition, &p->plan->arena, &columns, &p->request.num_columns, err));
  p->request.columns = columns == NULL ? none : columns;
  MLE_TRY(mle_parallel(p->threads, p->num_lists, read_list, p, err));
  MLE_TRY(add_sources(p, err));
  MLE_TRY(divide(p, err));
  MLE_TRY(mle_parallel(p->threads, p->num_parts, read_part, p, err));
  MLE_TRY(merge(p, seen, err));
  return assign_deletes(p->request.metadata, p->plan, err);
}

static void finish(planning *p) {
  for (size_t i = 0; i < p->num_sources; i++)
    if (p->sources[i].shared != NULL && p->sources[i].from == 0)
      mle_plan_shared_free(p->sources[i].shared);
  for (size_t i = 0; i < p->num_parts && p->parts != NULL; i++) mle_plan_part_release(&p->parts[i]);
  for (size_t i = 0; i < THREADS_MAX; i++) {
    mle_avro_close(p->list_readers[i]);
    mle_plan_worker_close(&p->workers[i]);
    mle_arena_join(&p->plan->arena, &p->workers[i].arena);
  }
  mle_free(p->sources);
  mle_free(p->starts);
  mle_free(p->parts);
  mle_free(p->lists);
}

static mle_status plan_lists(planning *p, path_set *seen, mle_error *err) {
  bool remote = mle_store_is_remote(p->request.metadata->location);
  p->threads = mle_processors();
  if (p->threads > THREADS_LOCAL) p->threads = THREADS_LOCAL;
  if (remote) p->threads = THREADS_MAX;
  p->part_manifests = remote ? 1 : PART_MANIFESTS;
  mle_status status = p->lists == NULL ? no_memory(err) : run(p, seen, err);
  finish(p);
  if (status != MLE_OK) mle_plan_release(p->plan);
  return status;
}

mle_status mle_plan_snapshot(const mle_metadata *metadata, const mle_snapshot *snapshot,
                             const mle_condition *condition, mle_plan *out, mle_error *err) {
  *out = (mle_plan){.arena = MLE_ARENA, .condition = condition};
  planning p = {.plan = out, .request = {.metadata = metadata, .condition = condition},
                .lists = mle_calloc(1, sizeof *p.lists), .num_lists = 1};
  if (p.lists != NULL)
    p.lists[0] = (listed){.snapshot = snapshot, .snapshot_id = MLE_NO_SNAPSHOT};
  return plan_lists(&p, NULL, err);
}

mle_status mle_plan_added(const mle_metadata *metadata, const int64_t *snapshots, size_t count,
                          const mle_condition *condition, mle_plan *out, mle_error *err) {
  path_set seen = {NULL, 0, 0};
  *out = (mle_plan){.arena = MLE_ARENA, .condition = condition};
  planning p = {.plan = out, .request = {.metadata = metadata, .condition = condition},
                .lists = mle_calloc(count, sizeof *p.lists), .num_lists = count};
  for (size_t i = 0; i < count && p.lists != NULL; i++) {
    p.lists[i] = (listed){.snapshot = mle_metadata_snapshot(metadata, snapshots[i]),
                          .snapshot_id = snapshots[i]};
    if (p.lists[i].snapshot != NULL) continue;
    mle_free(p.lists);
    return mle_fail(err, MLE_ENOTFOUND, "snapshot %" PRId64 " is not in the table's metadata",
                    snapshots[i]);
  }
  mle_status status = plan_lists(&p, &seen, err);
  mle_free(seen.slots);
  return status;
}

void mle_plan_release(mle_plan *plan) {
  mle_arena_release(&plan->arena);
  *plan = (mle_plan){.arena = MLE_ARENA};
}
