#include "engine/iceberg/inspect_groups.h"

#include "engine/base/alloc.h"
#include "engine/iceberg/tuple.h"

/* The slot of a partition, or the free one it would have. */
static size_t find_slot(const mle_partition_groups *g, int32_t spec_id, const mle_list *tuple) {
  size_t at = (size_t)mle_tuple_hash(spec_id, tuple) & (g->capacity - 1);
  for (; g->slots[at] != 0; at = (at + 1) & (g->capacity - 1)) {
    const mle_partition_group *one = &g->items[g->slots[at] - 1];
    if (one->spec_id == spec_id && mle_tuple_equal(&one->tuple, tuple)) break;
  }
  return at;
}

static mle_status grow(mle_partition_groups *g, mle_error *err) {
  size_t capacity = g->capacity == 0 ? 64 : g->capacity * 2;
  size_t *slots = mle_calloc(capacity, sizeof *slots);
  if (slots == NULL) return mle_nomem(err, "grouping partitions");
  mle_free(g->slots);
  g->slots = slots;
  g->capacity = capacity;
  for (size_t i = 0; i < g->count; i++)
    slots[find_slot(g, g->items[i].spec_id, &g->items[i].tuple)] = i + 1;
  return MLE_OK;
}

static mle_status find_partition(mle_partition_groups *g, const mle_manifest_entry *entry,
                                 int32_t spec_id, mle_partition_group **out, mle_error *err) {
  if (2 * (g->count + 1) > g->capacity) MLE_TRY(grow(g, err));
  size_t at = find_slot(g, spec_id, &entry->file.partition);
  if (g->slots[at] == 0) {
    mle_partition_group *items = mle_arena_grow(g->memory, g->items, g->count, sizeof *items);
    if (items == NULL) return mle_nomem(err, "grouping partitions");
    g->items = items;
    items[g->count] = (mle_partition_group){.spec_id = spec_id};
    MLE_TRY(mle_tuple_copy(&entry->file.partition, g->memory, &items[g->count].tuple, err));
    g->slots[at] = ++g->count;
  }
  *out = &g->items[g->slots[at] - 1];
  return MLE_OK;
}

mle_status mle_partition_count(mle_partition_groups *g, const mle_metadata *metadata,
                               const mle_manifest_entry *entry, int32_t spec_id, mle_error *err) {
  mle_partition_group *to = NULL;
  if (entry->status == MLE_ENTRY_DELETED) return MLE_OK;
  MLE_TRY(find_partition(g, entry, spec_id, &to, err));
  const mle_snapshot *snapshot = mle_metadata_snapshot(metadata, entry->snapshot_id);
  if (snapshot != NULL && (to->updated == NULL || to->updated->timestamp_ms < snapshot->timestamp_ms))
    to->updated = snapshot;
  switch (entry->file.content) {
    case MLE_FILE_DATA:
      to->records += entry->file.record_count;
      to->bytes += entry->file.file_size;
      to->files++;
      break;
    case MLE_FILE_POSITION_DELETES:
      to->position_records += entry->file.record_count;
      to->position_files++;
      break;
    default:
      to->equality_records += entry->file.record_count;
      to->equality_files++;
      break;
  }
  return MLE_OK;
}

void mle_partition_groups_free(mle_partition_groups *g) {
  mle_free(g->slots);
  g->slots = NULL;
}
